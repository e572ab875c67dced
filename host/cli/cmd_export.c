/* tessera export: a network and its weights as an ONNX model. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/weights.h"
#include "core/atomic_file.h"

#include <stdio.h>

int cmd_export(const struct cli *cli, int argc, char **argv) {
    struct weights_request request = {.batch = 1};
    const char *out = NULL;
    struct arg list[] = {
        {"weights", ARG_TEXT, &request.path, "FILE", "best.safetensors of a training", 0, 0, false},
        {"out", ARG_TEXT, &out, "FILE.onnx", "the model to write", 0, 0, false},
        {0},
    };
    struct arg_table table = {
        .command = "export",
        .usage = "MODEL [--weights FILE] --out FILE.onnx",
        .about = "Writes MODEL as an ONNX model for inference, with a free batch size: what other "
                 "tools, 'tessera run' and\n'tessera train' read. Without --weights a name of the "
                 "zoo gets the weights that training starts with.",
        .list = list,
        .min_words = 1,
        .max_words = 1,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    if (!out) return cli_usage("export: no --out; name the file to write");
    request.model = argv[words];
    tess_error error = {0};
    struct weights weights = {0};
    if (atomic_file_try(out, &error)) return cli_fail("%s", error.text);
    if (weights_open(cli, &request, &error, &weights)) return cli_fail("%s", error.text);
    status = EXIT_DONE;
    if (tess_net_save_onnx(weights.net, out))
        status = cli_fail("%s", tess_context_last_error(weights.ctx));
    else
        printf("%s: %s, input %dx%dx%d, %d classes\n", out, request.model, weights.input.c,
               weights.input.h, weights.input.w, weights.classes);
    weights_close(&weights);
    return status;
}
