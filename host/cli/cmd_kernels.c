/* tessera kernels: programs compiled beforehand, for devices without a compiler. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"
#include "core/atomic_file.h"
#include "net/kernels_build.h"
#include "net/onnx/onnx_run.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct request {
    const char *model, *out;
    bool onnx;     /* model is a file */
    int open_dims; /* onnx: dimension 0 of inputs that leave it open; 0: not given */
    tess_zoo_options options;
    tess_net_options net;
};

/* An ONNX model, whose inputs' shapes must be known but for the batch. */
static tess_status make_model(tess_context *ctx, void *user) {
    const struct request *request = user;
    struct onnx_model *model = NULL;
    struct onnx_folded *folded = NULL;
    struct onnx_run *run = NULL;
    tess_error *error = &ctx->error;
    tess_status status = onnx_model_read(request->model, error, &model);
    if (!status) status = onnx_check_operators(model, onnx_run_supports, error, NULL);
    if (!status)
        status = onnx_fold(model, &(struct onnx_fold_options){.batch = request->open_dims}, error,
                           &folded);
    if (!status) status = onnx_run_create(ctx, model, folded, &run);
    onnx_run_destroy(run);
    onnx_folded_destroy(folded);
    onnx_model_destroy(model);
    return status;
}

static void report(tess_context *ctx, const char *path) {
    struct stat info;
    char bytes[CLI_COUNT_SIZE];
    if (stat(path, &info)) return;
    const tess_device_info *device = tess_context_device(ctx);
    tess_counters counters = tess_context_counters(ctx);
    unsigned long long programs = counters.programs_compiled + counters.programs_loaded;
    printf("%s: %llu program%s, %s, for %s with driver %s\n", path, programs,
           programs == 1 ? "" : "s", cli_bytes((double)info.st_size, bytes), device->name,
           device->driver_version);
    printf("use it with: tessera --device '%s' --kernels %s COMMAND ...\n", device->name, path);
}

static int build(const struct cli *cli, const struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_graph *graph = NULL;
    tess_status status = TESS_OK;
    if (!request->onnx) status = tess_zoo_build(request->model, &request->options, &error, &graph);
    if (!status) status = atomic_file_try(request->out, &error);
    if (!status) status = cli_context(cli, &error, &ctx);
    if (status) {
        tess_graph_destroy(graph);
        return cli_fail("%s", error.text);
    }
    if (request->onnx)
        status = kernels_build(ctx, make_model, (void *)(uintptr_t)request, request->out);
    else
        status = tess_kernels_build(ctx, graph, &request->net, request->out);
    if (status)
        cli_fail("%s", tess_context_last_error(ctx));
    else
        report(ctx, request->out);
    tess_context_destroy(ctx);
    tess_graph_destroy(graph);
    return status ? EXIT_FAILED : EXIT_DONE;
}

static bool parse_mode(const char *text, bool *training) {
    *training = strcmp(text, "train") == 0;
    return *training || strcmp(text, "infer") == 0;
}

/* Sorts files from names; most options are for names only. */
static int check_model(const struct arg *list, struct request *request) {
    size_t length = strlen(request->model);
    request->onnx = length > 5 && strcmp(request->model + length - 5, ".onnx") == 0;
    for (const struct arg *arg = list; arg->name && request->onnx; arg++) {
        if (!arg->given) continue;
        bool any = !strcmp(arg->name, "net") || !strcmp(arg->name, "out");
        if (!strcmp(arg->name, "batch"))
            request->open_dims = request->net.batch;
        else if (!any && strcmp(arg->name, "device") != 0)
            return cli_usage("--%s: a .onnx file has its own; leave it out", arg->name);
    }
    return ARGS_CONTINUE;
}

int cmd_kernels(const struct cli *cli, int argc, char **argv) {
    struct cli own = *cli;
    struct request request = {.net.batch = 64};
    const char *mode = "train", *input = NULL;
    double width = 0;
    struct arg list[] = {
        {"net", ARG_TEXT, &request.model, "MODEL", "a name of the zoo, or a .onnx file", 0, 0,
         false},
        {"out", ARG_TEXT, &request.out, "BUNDLE", "the file to write", 0, 0, false},
        {"batch", ARG_INT, &request.net.batch, "N", "images a batch (64)", 1, 65536, false},
        {"mode", ARG_TEXT, &mode, "MODE", "infer: forward only; train: both (train)", 0, 0, false},
        {"input", ARG_TEXT, &input, "CxHxW", "the network's input instead of its own", 0, 0, false},
        {"classes", ARG_INT, &request.options.classes, "N", CLASSES_HELP, 1, 1 << 20, false},
        {"width", ARG_REAL, &width, "X", WIDTH_HELP, 0.001, 64, false},
        {"device", ARG_TEXT, &own.device, "SPEC", "the device to compile for", 0, 0, false},
        {0},
    };
    struct arg_table table = {
        .command = "kernels",
        .usage = "build --net MODEL --out BUNDLE [--device SPEC] [--batch N] [--mode train|infer]",
        .about =
            "Compiles all programs that a network needs on a device into one file. A command with "
            "the "
            "global option\n--kernels BUNDLE then runs the network there without calling a "
            "compiler: same "
            "network, batch and sizes, same\nkind of device, same driver. predict uses --batch 1.",
        .list = list,
        .min_words = 1,
        .max_words = 1,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    if (strcmp(argv[words], "build") != 0)
        return cli_usage("kernels: '%s' is no action; there is build", argv[words]);
    if (!request.model || !request.out)
        return cli_usage("kernels build: no --%s; give one", request.model ? "out" : "net");
    if (!parse_mode(mode, &request.net.training))
        return cli_usage("--mode: '%s' is no mode; give train or infer", mode);
    status = check_model(list, &request);
    if (status != ARGS_CONTINUE) return status;
    struct image_shape shape = {0};
    if (input && !parse_shape(input, &shape))
        return cli_usage("--input: '%s' is not CxHxW; write e.g. 3x32x32", input);
    request.options.c = shape.c;
    request.options.h = shape.h;
    request.options.w = shape.w;
    request.options.width = (float)width;
    return build(&own, &request);
}
