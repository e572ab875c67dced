/* tessera eval: how well trained weights do on a data set. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/weights.h"
#include "train/data_spec.h"
#include "train/evaluate.h"

#include <stdio.h>
#include <string.h>

struct request {
    struct weights_request weights;
    const char *data;
    bool json;
};

static int print_evaluation(const struct request *request, const struct dataset *data,
                            const struct weights *weights, const struct evaluation *result) {
    char count[CLI_COUNT_SIZE];
    bool normalised = weights->format.has_normalisation;
    /* The same set, part of which --val-last may have held back. */
    bool seen = weights->format.data_hash && weights->format.data_hash == data_hash(data);
    if (request->json)
        return cli_print_json(json_pack(
            "{s:s, s:s, s:s, s:s, s:b, s:i, s:f, s:f, s:b, s:b}", "model", request->weights.model,
            "weights", request->weights.path ? request->weights.path : request->weights.model,
            "data", request->data, "data_name", data->name, "synthetic", data->synthetic, "images",
            result->count, "accuracy", result->accuracy, "mean_loss", result->mean_loss,
            "normalisation_from_weights", normalised, "trained_on", seen));
    if (!normalised)
        printf("note: %s does not say how its images were normalised; that of the data set is "
               "used\n",
               request->weights.path ? request->weights.path : request->weights.model);
    if (seen)
        printf("note: the network was trained on these images (but for those that --val-last held "
               "back); this says little about others\n");
    printf("accuracy %.2f %% on %s images of %s, mean loss %.4f\n", result->accuracy,
           cli_count((uint64_t)result->count, count), data->name, result->mean_loss);
    return EXIT_DONE;
}

static tess_status fit_data(const struct weights *weights, struct dataset *data,
                            tess_error *error) {
    if (data->classes != weights->classes)
        return error_set(error, TESS_INVALID_SHAPE,
                         "--data: %s has %d classes, the network has %d; give data of the kind it "
                         "was trained on",
                         data->name, data->classes, weights->classes);
    if (weights->format.has_normalisation) {
        memcpy(data->mean, weights->format.mean, sizeof data->mean);
        memcpy(data->std, weights->format.std, sizeof data->std);
    }
    return TESS_OK;
}

static int eval(const struct cli *cli, struct request *request) {
    tess_error error = {0};
    struct dataset *data = NULL;
    struct weights weights = {0};
    struct evaluation result;
    tess_status status = data_open(request->data, DATA_TEST, &error, &data);
    request->weights.data = data;
    if (!status) status = weights_open(cli, &request->weights, &error, &weights);
    if (!status) status = fit_data(&weights, data, &error);
    if (!status) status = evaluate(weights.ctx, weights.net, data, &error, &result);
    int code =
        status ? cli_fail("%s", error.text) : print_evaluation(request, data, &weights, &result);
    weights_close(&weights);
    dataset_destroy(data);
    return code;
}

int cmd_eval(const struct cli *cli, int argc, char **argv) {
    struct request request = {.weights.batch = 64};
    struct arg list[] = {
        {"weights", ARG_TEXT, &request.weights.path, "FILE", "best.safetensors of a training", 0, 0,
         false},
        {"data", ARG_TEXT, &request.data, "SPEC",
         "mnist:DIR, cifar10:DIR or synthetic:digits: its test images", 0, 0, false},
        {"batch", ARG_INT, &request.weights.batch, "N", "images at once (64)", 1, 65536, false},
        {"json", ARG_FLAG, &request.json, NULL, "one line of JSON", 0, 0, false},
        {"memory", ARG_BYTES, &request.weights.memory, "SIZE", MEMORY_HELP, 0, 0, false},
        {0},
    };
    struct arg_table table = {
        .command = "eval",
        .usage = "MODEL [--weights FILE] --data SPEC [--json] [--batch N]",
        .about = "Accuracy and mean loss of trained weights on the test images of a data set (the "
                 "training images where it\nhas no others). A .onnx file brings weights of its "
                 "own; others need --weights.",
        .list = list,
        .min_words = 1,
        .max_words = 1,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    if (!request.weights.path && !model_is_file(argv[words]))
        return cli_usage("eval: no --weights; give a safetensors file");
    if (!request.data) return cli_usage("eval: no --data; give one, e.g. --data mnist:DIR");
    request.weights.model = argv[words];
    return eval(cli, &request);
}
