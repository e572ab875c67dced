/* tessera kernels: programs compiled beforehand, for devices without a compiler. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct request {
    const char *model, *out;
    tess_zoo_options options;
    tess_net_options net;
};

static int build(const struct cli *cli, const struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_graph *graph = NULL;
    int status = EXIT_FAILED;
    if (tess_zoo_build(request->model, &request->options, &error, &graph) ||
        cli_context(cli, &error, &ctx))
        cli_fail("%s", error.text);
    else if (tess_kernels_build(ctx, graph, &request->net, request->out))
        cli_fail("%s", tess_context_last_error(ctx));
    else
        status = EXIT_DONE;
    struct stat info;
    char bytes[CLI_COUNT_SIZE];
    if (status == EXIT_DONE && stat(request->out, &info) == 0) {
        tess_counters counters = tess_context_counters(ctx);
        printf("%s: %llu programs, %s, for %s with driver %s\n", request->out,
               (unsigned long long)(counters.programs_compiled + counters.programs_loaded),
               cli_bytes((double)info.st_size, bytes), tess_context_device(ctx)->name,
               tess_context_device(ctx)->driver_version);
        printf("use it with: tessera --device '%s' --kernels %s COMMAND ...\n",
               tess_context_device(ctx)->name, request->out);
    }
    tess_context_destroy(ctx);
    tess_graph_destroy(graph);
    return status;
}

static bool parse_mode(const char *text, bool *training) {
    *training = strcmp(text, "train") == 0;
    return *training || strcmp(text, "infer") == 0;
}

int cmd_kernels(const struct cli *cli, int argc, char **argv) {
    struct cli own = *cli;
    struct request request = {.net.batch = 64};
    const char *mode = "train", *input = NULL;
    double width = 0;
    struct arg list[] = {
        {"net", ARG_TEXT, &request.model, "MODEL", "a name of the zoo", 0, 0, false},
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
    struct image_shape shape = {0};
    if (input && !parse_shape(input, &shape))
        return cli_usage("--input: '%s' is not CxHxW; write e.g. 3x32x32", input);
    request.options.c = shape.c;
    request.options.h = shape.h;
    request.options.w = shape.w;
    request.options.width = (float)width;
    return build(&own, &request);
}
