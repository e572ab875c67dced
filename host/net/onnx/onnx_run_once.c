/* From a model and its inputs to its outputs, in one call. */
#include "core/file_error.h"
#include "net/onnx/onnx_run.h"

#include "core/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 64 /* size of a name in a message */

struct once {
    tess_context *ctx;
    const struct onnx_model *model;
    const struct onnx_given *given;
    int given_count;
};

static const struct onnx_tensor *find_given(const struct once *work, const char *name) {
    for (int i = 0; i < work->given_count; i++)
        if (strcmp(work->given[i].name, name) == 0) return work->given[i].tensor;
    return NULL;
}

static tess_status fail_input(const struct once *work, tess_status status, const char *name,
                              const char *why) {
    char shown[SHOWN];
    return context_fail(work->ctx, status, "%s: input '%s': %s", work->model->path,
                        printable(name, shown, sizeof shown), why);
}

/* The first name that was given and is no input; NULL: none. */
static const char *stray_name(const struct once *work) {
    for (int i = 0; i < work->given_count; i++) {
        bool known = false;
        for (int j = 0; j < work->model->input_count && !known; j++)
            known =
                strcmp(work->model->values[work->model->inputs[j]].name, work->given[i].name) == 0;
        if (!known) return work->given[i].name;
    }
    return NULL;
}

static tess_status fail_missing(const struct once *work, const char *name) {
    const char *stray = stray_name(work);
    char shown[SHOWN], why[2 * SHOWN];
    if (!stray) return fail_input(work, TESS_NOT_FOUND, name, "is not given; give its contents");
    snprintf(why, sizeof why, "is not given, but '%s', which is no input; give the right name",
             printable(stray, shown, sizeof shown));
    return fail_input(work, TESS_NOT_FOUND, name, why);
}

static tess_status check_names(const struct once *work) {
    for (int i = 0; i < work->given_count; i++) {
        const char *name = work->given[i].name;
        for (int j = 0; j < i; j++)
            if (strcmp(work->given[j].name, name) == 0)
                return fail_input(work, TESS_INVALID_ARGUMENT, name,
                                  "is given twice; give it once");
    }
    for (int i = 0; i < work->model->input_count; i++) {
        const char *name = work->model->values[work->model->inputs[i]].name;
        if (!find_given(work, name)) return fail_missing(work, name);
    }
    return TESS_OK;
}

/* All that decides about shapes, and all that is no float32, is bound by contents. binds has room for all that is given. */
static tess_status make_binds(const struct once *work, struct onnx_bind *binds) {
    const struct onnx_model *model = work->model;
    bool *needed = calloc((size_t)model->input_count + 1, sizeof *needed);
    if (!needed)
        return context_fail(work->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "%s: no memory to look at its inputs; free some memory", model->path);
    tess_status status = onnx_value_inputs(model, &work->ctx->error, needed);
    for (int i = 0; i < work->given_count && !status; i++) {
        const struct onnx_tensor *tensor = work->given[i].tensor;
        int value = onnx_model_find(model, work->given[i].name);
        /* A weight that is replaced, or a name that onnx_fold will not know. */
        bool by_value = value < 0 || model->values[value].tensor >= 0 ||
                        tensor->dtype != ONNX_FLOAT ||
                        tensor->dtype != model->values[value].type.dtype;
        for (int j = 0; j < model->input_count; j++)
            if (model->inputs[j] == value && needed[j]) by_value = true;
        binds[i] = (struct onnx_bind){.name = work->given[i].name, .rank = tensor->rank};
        memcpy(binds[i].dims, tensor->dims, sizeof binds[i].dims);
        if (by_value) binds[i].value = tensor;
    }
    free(needed);
    return status;
}

static tess_status fold(const struct once *work, struct onnx_folded **out) {
    struct onnx_bind *binds = calloc((size_t)work->given_count + 1, sizeof *binds);
    if (!binds)
        return context_fail(work->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "%s: no memory to look at its inputs; free some memory",
                            work->model->path);
    tess_error *error = &work->ctx->error;
    tess_status status = onnx_check_operators(work->model, onnx_run_supports, error, NULL);
    if (!status) status = make_binds(work, binds);
    if (!status)
        status = onnx_fold(
            work->model,
            &(struct onnx_fold_options){.inputs = binds, .input_count = work->given_count}, error,
            out);
    free(binds);
    return status;
}

static tess_status run(const struct once *work, struct onnx_run *run, struct onnx_tensor *outputs) {
    const struct onnx_model *model = work->model;
    tess_status status = TESS_OK;
    for (int i = 0; i < model->input_count && !status; i++)
        status = onnx_run_write(run, i, find_given(work, model->values[model->inputs[i]].name));
    if (!status) status = onnx_run_forward(run);
    for (int i = 0; i < model->output_count && !status; i++) {
        status = onnx_run_read(run, i, &outputs[i]);
        for (int j = 0; status && j < i; j++)
            onnx_tensor_clear(&outputs[j]);
    }
    return status;
}

tess_status onnx_run_once(tess_context *ctx, const struct onnx_model *model,
                          const struct onnx_given *given, int given_count,
                          struct onnx_tensor *outputs) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!model || !outputs || (given_count && !given))
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "ONNX: no model, inputs or room for outputs; give all of them");
    struct once work = {ctx, model, given, given_count};
    struct onnx_folded *folded = NULL;
    struct onnx_run *made = NULL;
    tess_status status = check_names(&work);
    if (!status) status = fold(&work, &folded);
    if (!status) status = onnx_run_create(ctx, model, folded, &made);
    if (!status) status = run(&work, made, outputs);
    onnx_run_destroy(made);
    onnx_folded_destroy(folded);
    return status;
}
