/* tessera run: an ONNX model on arrays from .npy files. */
#include "cli/args.h"
#include "cli/cli.h"
#include "core/atomic_file.h"
#include "core/context.h"
#include "core/file_error.h"
#include "net/npy.h"
#include "net/onnx/onnx_run.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME 200 /* characters of an output's file name, at most */

struct request {
    const char *model, *output_dir;
    struct arg_texts inputs;
};

/* Inputs from NAME=FILE. names are owned. */
struct inputs {
    struct onnx_given given[ARG_LIST_ROOM];
    struct onnx_tensor tensors[ARG_LIST_ROOM];
    char *names[ARG_LIST_ROOM];
    int count;
};

static void inputs_clear(struct inputs *inputs) {
    for (int i = 0; i < inputs->count; i++) {
        onnx_tensor_clear(&inputs->tensors[i]);
        free(inputs->names[i]);
    }
}

static tess_status read_input(struct inputs *inputs, const char *text, tess_error *error) {
    const char *file = strchr(text, '='); /* cmd_run has seen it */
    char *name = strndup(text, (size_t)(file - text));
    if (!name) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", text);
    int i = inputs->count;
    tess_status status = npy_read(file + 1, error, &inputs->tensors[i]);
    if (status) {
        free(name);
        return status;
    }
    inputs->names[i] = name;
    inputs->given[i] = (struct onnx_given){name, &inputs->tensors[i]};
    inputs->count++;
    return TESS_OK;
}

/* The name with everything but letters, digits and ._- as '_', so that it names a file in the folder and nothing else. */
static void safe_name(const char *name, char out[FILE_NAME + 1]) {
    size_t length = 0;
    for (; length < FILE_NAME && name[length]; length++) {
        unsigned char c = (unsigned char)name[length];
        bool plain = c < 128 && (isalnum(c) || (strchr("._-", c) && length > 0));
        out[length] = plain ? (char)c : '_';
    }
    out[length] = '\0';
    if (!length) snprintf(out, FILE_NAME + 1, "output");
}

/* The file of output i: as its name says, with a number if an earlier output's name gives the same file. */
static void output_path(const struct request *request, const struct onnx_tensor *outputs, int i,
                        char *path, size_t size) {
    char name[FILE_NAME + 1], other[FILE_NAME + 1];
    int same = 1;
    safe_name(outputs[i].name, name);
    for (int j = 0; j < i; j++) {
        safe_name(outputs[j].name, other);
        if (strcmp(name, other) == 0) same++;
    }
    if (same == 1)
        snprintf(path, size, "%s/%s.npy", request->output_dir, name);
    else
        snprintf(path, size, "%s/%s-%d.npy", request->output_dir, name, same);
}

/* Whether outputs can be written, before the model runs. Leaves no folder. */
static tess_status try_folder(const char *folder, tess_error *error) {
    if (mkdir(folder, 0777) == 0) {
        (void)rmdir(folder);
        return TESS_OK;
    }
    if (errno != EEXIST) return error_file(error, errno, folder, "created");
    size_t size = strlen(folder) + 16;
    char *path = malloc(size);
    if (!path) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "run: no memory; free some");
    snprintf(path, size, "%s/output.npy", folder);
    tess_status status = atomic_file_try(path, error);
    free(path);
    return status;
}

static void print_output(const struct onnx_tensor *tensor, const char *path) {
    char shown[64];
    printf("%s: %s", printable(tensor->name, shown, sizeof shown), onnx_dtype_name(tensor->dtype));
    for (int d = 0; d < tensor->rank; d++)
        printf(d ? "x%lld" : " %lld", (long long)tensor->dims[d]);
    printf(", %s\n", path);
}

static tess_status write_outputs(const struct request *request, const struct onnx_tensor *outputs,
                                 int count, tess_error *error) {
    if (mkdir(request->output_dir, 0777) && errno != EEXIST)
        return error_file(error, errno, request->output_dir, "created");
    size_t size = strlen(request->output_dir) + FILE_NAME + 32;
    char *path = malloc(size);
    if (!path) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "run: no memory; free some");
    tess_status status = TESS_OK;
    for (int i = 0; i < count && !status; i++) {
        output_path(request, outputs, i, path, size);
        status = npy_write(path, &outputs[i], error);
        if (!status) print_output(&outputs[i], path);
    }
    free(path);
    return status;
}

static tess_status run_model(const struct cli *cli, const struct request *request,
                             const struct onnx_model *model, const struct inputs *inputs,
                             tess_error *error) {
    tess_context *ctx = NULL;
    struct onnx_tensor *outputs = calloc((size_t)model->output_count + 1, sizeof *outputs);
    if (!outputs) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "run: no memory; free some");
    tess_status status = cli_context(cli, error, &ctx);
    if (!status) {
        status = onnx_run_once(ctx, model, inputs->given, inputs->count, outputs);
        if (status) error_set(error, status, "%s", tess_context_last_error(ctx));
    }
    if (!status) {
        status = write_outputs(request, outputs, model->output_count, error);
        for (int i = 0; i < model->output_count; i++)
            onnx_tensor_clear(&outputs[i]);
    }
    free(outputs);
    tess_context_destroy(ctx);
    return status;
}

static int run(const struct cli *cli, const struct request *request) {
    struct inputs *inputs = calloc(1, sizeof *inputs);
    struct onnx_model *model = NULL;
    tess_error error = {0};
    if (!inputs) return cli_fail("run: no memory; free some");
    tess_status status = onnx_model_read(request->model, &error, &model);
    for (int i = 0; i < request->inputs.count && !status; i++)
        status = read_input(inputs, request->inputs.texts[i], &error);
    if (!status) status = try_folder(request->output_dir, &error);
    if (!status) status = run_model(cli, request, model, inputs, &error);
    onnx_model_destroy(model);
    inputs_clear(inputs);
    free(inputs);
    return status ? cli_fail("%s", error.text) : EXIT_DONE;
}

int cmd_run(const struct cli *cli, int argc, char **argv) {
    struct request request = {0};
    struct arg list[] = {
        {"input", ARG_LIST, &request.inputs, "NAME=FILE",
         "an input's contents, a .npy file; once for each input", 0, 0, false},
        {"output-dir", ARG_TEXT, &request.output_dir, "DIR",
         "where outputs go, one .npy file each; created if it is not there", 0, 0, false},
        {0},
    };
    struct arg_table table = {
        .command = "run",
        .usage = "MODEL.onnx --input NAME=FILE.npy ... --output-dir DIR",
        .about = "Runs an ONNX model once. Dimensions that the model leaves open are those of the "
                 "inputs.",
        .list = list,
        .min_words = 1,
        .max_words = 1,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    request.model = argv[words];
    if (!request.output_dir) return cli_usage("run: no --output-dir; give a folder");
    for (int i = 0; i < request.inputs.count; i++) {
        const char *equals = strchr(request.inputs.texts[i], '=');
        if (!equals || equals == request.inputs.texts[i] || !equals[1])
            return cli_usage("--input: '%s' is not NAME=FILE; write e.g. image=cat.npy",
                             request.inputs.texts[i]);
    }
    return run(cli, &request);
}
