/* tessera predict: what trained weights say about pictures in PNG or JPEG files. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/weights.h"
#include "train/evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
    struct weights_request weights;
    int top;
    bool invert;
};

/* A data set of one picture, in the shape and normalisation of the training images, without pixels and labels yet. */
static struct dataset one_picture(const struct weights *weights) {
    const struct input_format *f = &weights->format;
    struct dataset data = {
        .count = 1,
        .c = f->image_c ? f->image_c : weights->input.c,
        .h = f->image_c ? f->image_h : weights->input.h,
        .w = f->image_c ? f->image_w : weights->input.w,
        .classes = weights->classes,
    };
    memcpy(data.mean, f->mean, sizeof data.mean);
    memcpy(data.std, f->std, sizeof data.std);
    return data;
}

static void print_answer(const struct request *request, const struct weights *weights,
                         const char *path, float *probabilities) {
    printf("%s:", path);
    for (int i = 0; i < request->top && i < weights->classes; i++) {
        int best = largest(probabilities, weights->classes);
        const char *name = best < 64 ? weights->format.class_names[best] : "";
        if (*name)
            printf("%s %s", i ? "," : "", name);
        else
            printf("%s %d", i ? "," : "", best);
        printf(" %.1f %%", 100 * (double)probabilities[best]);
        probabilities[best] = -1;
    }
    putchar('\n');
}

/* Networks that learned light figures on a dark ground see nothing in ink on paper. It is the user who knows which it is:
   the picture is used as it is, with a note. */
static void note_inverted(const struct request *request, const struct dataset *data,
                          const char *path) {
    size_t count = (size_t)data->h * (size_t)data->w;
    double sum = 0;
    if (data->c != 1 || !(data->mean[0] > 0 && data->mean[0] < 0.5f)) return;
    for (size_t i = 0; i < count; i++)
        sum += data->pixels[i];
    if (sum / (255 * (double)count) <= 0.5) return;
    printf("note: %s is light%s, but %s learned light figures on a dark ground; %s\n", path,
           request->invert ? " once inverted" : "", request->weights.model,
           request->invert ? "leave --invert away" : "try --invert");
}

static tess_status predict_one(const struct request *request, const struct weights *weights,
                               struct dataset *data, const char *path, float *probabilities,
                               tess_error *error) {
    static const int order[1] = {0};
    size_t bytes = (size_t)data->c * (size_t)data->h * (size_t)data->w;
    struct batch_rows rows = {data, order, 0, 1};
    tess_status status = image_load(path, data->c, data->h, data->w, error, data->pixels);
    if (status) return status;
    for (size_t i = 0; request->invert && i < bytes; i++)
        data->pixels[i] = (uint8_t)(255 - data->pixels[i]);
    note_inverted(request, data, path);
    status = classify(weights->ctx, weights->net, &rows, error, probabilities);
    if (!status) print_answer(request, weights, path, probabilities);
    return status;
}

static tess_status predict_all(const struct request *request, const struct weights *weights,
                               char **paths, tess_error *error) {
    int32_t label = 0;
    struct dataset data = one_picture(weights);
    tess_status status = TESS_OK;
    float *probabilities = calloc((size_t)weights->classes, sizeof *probabilities);
    data.labels = &label;
    data.pixels = malloc((size_t)data.c * (size_t)data.h * (size_t)data.w);
    if (!probabilities || !data.pixels)
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "predict: no memory; free some");
    if (!weights->format.has_normalisation)
        printf("note: %s does not say how its images were normalised; pixels are used as 0 .. 1\n",
               request->weights.path ? request->weights.path : request->weights.model);
    for (; !status && *paths; paths++)
        status = predict_one(request, weights, &data, *paths, probabilities, error);
    free(data.pixels);
    free(probabilities);
    return status;
}

int cmd_predict(const struct cli *cli, int argc, char **argv) {
    struct request request = {.weights.batch = 1, .top = 3};
    struct arg list[] = {
        {"weights", ARG_TEXT, &request.weights.path, "FILE", "best.safetensors of a training", 0, 0,
         false},
        {"top", ARG_INT, &request.top, "K", "print the K likeliest classes (3)", 1, 1e6, false},
        {"invert", ARG_FLAG, &request.invert, NULL,
         "swap dark and light first: for ink on paper, with digits learned from MNIST", 0, 0,
         false},
        {"memory", ARG_BYTES, &request.weights.memory, "SIZE", MEMORY_HELP, 0, 0, false},
        {0},
    };
    struct arg_table table = {
        .command = "predict",
        .usage = "MODEL [--weights FILE] IMAGE... [--top K] [--invert]",
        .about = "Classifies PNG and JPEG pictures, scaled to the size of the training images: one "
                 "line a picture.\nA .onnx file brings weights of its own; others need --weights.",
        .list = list,
        .min_words = 2,
        .max_words = 1 << 30,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    if (!request.weights.path && !model_is_file(argv[words]))
        return cli_usage("predict: no --weights; give a safetensors file");
    request.weights.model = argv[words];
    tess_error error = {0};
    struct weights weights = {0};
    if (weights_open(cli, &request.weights, &error, &weights)) return cli_fail("%s", error.text);
    int code = EXIT_DONE;
    if (predict_all(&request, &weights, argv + words + 1, &error))
        code = cli_fail("%s", error.text);
    weights_close(&weights);
    return code;
}
