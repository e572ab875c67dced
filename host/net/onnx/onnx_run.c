#include "net/onnx/onnx_run.h"

#include "core/file_error.h"
#include "net/onnx/exec_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sorted by name. */
static const struct exec_op ops[] = {
    {"Abs", exec_unary, false},
    {"Add", exec_binary, false},
    {"ArgMax", exec_arg, false},
    {"ArgMin", exec_arg, false},
    {"AveragePool", exec_pool, false},
    {"BatchNormalization", exec_batch_norm, false},
    {"Cast", exec_cast, true},
    {"Ceil", exec_unary, false},
    {"Clip", exec_clip, false},
    {"Concat", exec_concat, true},
    {"Conv", exec_conv, false},
    {"ConvTranspose", exec_conv_transpose, false},
    {"DepthToSpace", exec_depth_to_space, true},
    {"Div", exec_binary, false},
    {"Dropout", exec_dropout, false},
    {"Elu", exec_unary, false},
    {"Equal", exec_compare, false},
    {"Erf", exec_unary, false},
    {"Exp", exec_unary, false},
    {"Expand", exec_expand, true},
    {"Flatten", exec_same, true},
    {"Floor", exec_unary, false},
    {"Gather", exec_gather, true},
    {"Gemm", exec_gemm, false},
    {"GlobalAveragePool", exec_global_pool, false},
    {"GlobalMaxPool", exec_global_pool, false},
    {"Greater", exec_compare, false},
    {"GreaterOrEqual", exec_compare, false},
    {"HardSigmoid", exec_unary, false},
    {"HardSwish", exec_unary, false},
    {"Identity", exec_same, true},
    {"LRN", exec_lrn, false},
    {"LeakyRelu", exec_unary, false},
    {"Less", exec_compare, false},
    {"LessOrEqual", exec_compare, false},
    {"Log", exec_unary, false},
    {"LogSoftmax", exec_softmax, false},
    {"MatMul", exec_matmul, false},
    {"Max", exec_many, false},
    {"MaxPool", exec_pool, false},
    {"Mean", exec_many, false},
    {"Min", exec_many, false},
    {"Mul", exec_binary, false},
    {"Neg", exec_unary, false},
    {"PRelu", exec_binary, false},
    {"Pad", exec_pad, true},
    {"Pow", exec_binary, false},
    {"Reciprocal", exec_unary, false},
    {"ReduceL1", exec_reduce, false},
    {"ReduceL2", exec_reduce, false},
    {"ReduceLogSum", exec_reduce, false},
    {"ReduceMax", exec_reduce, false},
    {"ReduceMean", exec_reduce, false},
    {"ReduceMin", exec_reduce, false},
    {"ReduceProd", exec_reduce, false},
    {"ReduceSum", exec_reduce, false},
    {"ReduceSumSquare", exec_reduce, false},
    {"Relu", exec_unary, false},
    {"Reshape", exec_same, true},
    {"Resize", exec_resize, false},
    {"Selu", exec_unary, false},
    {"Sigmoid", exec_unary, false},
    {"Slice", exec_slice, true},
    {"Softmax", exec_softmax, false},
    {"Softplus", exec_unary, false},
    {"Softsign", exec_unary, false},
    {"Split", exec_split, true},
    {"Sqrt", exec_unary, false},
    {"Squeeze", exec_same, true},
    {"Sub", exec_binary, false},
    {"Sum", exec_many, false},
    {"Tanh", exec_unary, false},
    {"Tile", exec_tile, true},
    {"Transpose", exec_transpose, true},
    {"Unsqueeze", exec_same, true},
    {"Upsample", exec_resize, false},
    {"Where", exec_where, true},
};

static int compare_op(const void *key, const void *element) {
    return strcmp(key, ((const struct exec_op *)element)->name);
}

static const struct exec_op *find_op(const struct onnx_node *node) {
    if (*node->domain) return NULL;
    return bsearch(node->op, ops, sizeof ops / sizeof *ops, sizeof *ops, compare_op);
}

bool onnx_run_supports(const struct onnx_model *model, const struct onnx_node *node) {
    (void)model;
    const struct onnx_op *op = onnx_op_find(node);
    bool folds = op && (op->fold || op->infer == infer_constant_node || op->infer == infer_shape ||
                        op->infer == infer_size || op->infer == infer_range ||
                        op->infer == infer_constant_of_shape);
    return folds || find_op(node) != NULL;
}

/* ---------------------------------------------------------------- what does not run */

/* NULL: it runs, as far as types tell. */
static const char *obstacle(const struct onnx_run *run, const struct onnx_node *node) {
    const struct exec_op *op = find_op(node);
    enum nd_dtype dtype;
    if (!op) return "works on constants only";
    int x = node->input_count ? node->inputs[0] : ONNX_ABSENT;
    if (x < 0) return "has no input";
    const struct onnx_known *known = &run->folded->values[x];
    if (op->any_type ? exec_dtype(known->dtype, &dtype) : known->dtype == ONNX_FLOAT) return NULL;
    return onnx_dtype_name(known->dtype);
}

/* One message about all nodes that do not run. */
static tess_status check_nodes(const struct onnx_run *run) {
    char text[700] = "", name[48];
    size_t used = 0;
    int count = 0;
    for (int i = 0; i < run->folded->node_count; i++) {
        const struct onnx_node *node = &run->model->nodes[run->folded->nodes[i]];
        const char *why = obstacle(run, node);
        if (!why) continue;
        const char *from = *node->name || !node->output_count || node->outputs[0] < 0
                               ? node->name
                               : run->model->values[node->outputs[0]].name;
        printable(from, name, sizeof name);
        if (used + 120 < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %s (%s)",
                                     count ? ", " : "", node->op, name, why);
        count++;
    }
    if (!count) return TESS_OK;
    return context_fail(run->ctx, TESS_UNSUPPORTED,
                        "%s: %d node%s that no kernel is there for: %s%s; export the model in "
                        "float32, without them",
                        run->model->path, count, count == 1 ? "" : "s", text,
                        used + 120 < sizeof text ? "" : " ...");
}

/* ---------------------------------------------------------------- steps */

static tess_status build_node(struct exec_build *b, int index) {
    struct onnx_run *run = b->run;
    const struct onnx_node *node = &run->model->nodes[index];
    const char *path = run->model->path;
    b->in.node = node;
    tess_status status = find_op(node)->create(b);
    if (!status || strncmp(run->ctx->error.text, path, strlen(path)) == 0) return status;
    char text[sizeof run->ctx->error.text];
    snprintf(text, sizeof text, "%s", run->ctx->error.text);
    return onnx_node_fail(run->model, node, &run->ctx->error, status, "%s", text);
}

/* reader[v]: the only node that reads v; EXEC_NONE if there is none, or several, or the caller reads it. */
static void find_readers(const struct onnx_run *run, int *reader) {
    enum { NOBODY = -2 };
    for (int i = 0; i < run->model->value_count; i++)
        reader[i] = NOBODY;
    for (int i = 0; i < run->folded->node_count; i++) {
        int index = run->folded->nodes[i];
        const struct onnx_node *node = &run->model->nodes[index];
        for (int j = 0; j < node->input_count; j++)
            if (node->inputs[j] >= 0)
                reader[node->inputs[j]] = reader[node->inputs[j]] == NOBODY ? index : EXEC_NONE;
    }
    for (int i = 0; i < run->model->output_count; i++)
        reader[run->model->outputs[i]] = EXEC_NONE;
}

static tess_status build_inputs(struct onnx_run *run) {
    for (int i = 0; i < run->model->value_count; i++)
        for (int layout = 0; layout < EXEC_LAYOUTS; layout++)
            run->values[i].buffer[layout] = EXEC_NONE;
    for (int i = 0; i < run->model->input_count; i++) {
        int value = run->model->inputs[i], buffer;
        const struct onnx_known *known = &run->folded->values[value];
        if (known->constant) continue;
        tess_status status =
            exec_buffer_add(run, (size_t)known->count * onnx_dtype_size(known->dtype), &buffer);
        if (status) return status;
        run->buffers[buffer].fixed = true;
        run->values[value].buffer[EXEC_ROWS] = buffer;
    }
    return TESS_OK;
}

/* done: as in struct exec_build, which writes it. NOLINTNEXTLINE(readability-non-const-parameter) */
static tess_status build_nodes(struct onnx_run *run, int *reader, bool *done) {
    struct exec_build b = {
        run, {run->model, NULL, (struct onnx_folded *)run->folded, &run->ctx->error}, reader, done};
    tess_status status = build_inputs(run);
    find_readers(run, reader);
    for (int i = 0; i < run->folded->node_count && !status; i++)
        if (!done[run->folded->nodes[i]]) status = build_node(&b, run->folded->nodes[i]);
    for (int i = 0; i < run->model->output_count && !status; i++) {
        int value = run->model->outputs[i], node = run->model->values[value].node, buffer;
        if (run->folded->values[value].constant) continue;
        b.in.node = node < 0 ? b.in.node : &run->model->nodes[node];
        status = exec_need(&b, value, EXEC_ROWS, &buffer);
        if (status) return status;
        if (run->buffers[buffer].first < 0) run->buffers[buffer].first = 0;
        run->buffers[buffer].last = INT32_MAX; /* read after the last step */
    }
    return status;
}

static tess_status build(struct onnx_run *run) {
    int *reader = calloc((size_t)run->model->value_count + 1, sizeof *reader);
    bool *done = calloc((size_t)run->model->node_count + 1, sizeof *done);
    run->values = calloc((size_t)run->model->value_count + 1, sizeof *run->values);
    tess_status status = TESS_OK;
    if (!reader || !done || !run->values)
        status = context_fail(run->ctx, TESS_OUT_OF_HOST_MEMORY,
                              "%s: no host memory to plan it; free some memory", run->model->path);
    if (!status) status = build_nodes(run, reader, done);
    if (!status) status = exec_place(run);
    free(reader);
    free(done);
    return status;
}

/* ---------------------------------------------------------------- the whole */

tess_status onnx_run_create(tess_context *ctx, const struct onnx_model *model,
                            const struct onnx_folded *folded, struct onnx_run **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!model || !folded || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "ONNX: no model or nowhere to put the result; give both");
    struct onnx_run *run = calloc(1, sizeof *run);
    if (!run)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "%s: no host memory to plan it; free some memory", model->path);
    run->ctx = ctx;
    run->model = model;
    run->folded = folded;
    tess_status status = check_nodes(run);
    if (!status) status = build(run);
    if (status) {
        onnx_run_destroy(run);
        return status;
    }
    context_log(ctx, TESS_LOG_INFO, "%s: %d steps, %d of them conversions of layout", model->path,
                run->info.steps, run->info.conversions);
    *out = run;
    return TESS_OK;
}

void onnx_run_destroy(struct onnx_run *run) {
    if (!run) return;
    for (int i = 0; i < run->step_count; i++) {
        if (run->steps[i].destroy) run->steps[i].destroy(run->steps[i].op);
        free(run->steps[i].operands);
    }
    exec_memory_release(run);
    tess_eltwise_destroy(run->layouts);
    free(run->steps);
    free(run->values);
    free(run);
}

struct onnx_run_info onnx_run_info(const struct onnx_run *run) {
    return run->info;
}

/* The buffer of an input or output, and its size. */
static cl_mem memory_of(const struct onnx_run *run, int value, size_t *bytes) {
    int buffer = run->values[value].buffer[EXEC_ROWS];
    *bytes = run->buffers[buffer].bytes;
    return run->buffers[buffer].mem;
}

tess_status onnx_run_write(struct onnx_run *run, int index, const struct onnx_tensor *tensor) {
    int value = run->model->inputs[index];
    const struct onnx_known *known = &run->folded->values[value];
    if (known->constant) return TESS_OK;
    if (tensor->dtype != known->dtype || tensor->count != known->count)
        return context_fail(run->ctx, TESS_INVALID_SHAPE,
                            "%s: input '%s': is not of the type and shape that it was made for; "
                            "give it so",
                            run->model->path, run->model->values[value].name);
    size_t bytes;
    cl_mem mem = memory_of(run, value, &bytes);
    if (!bytes) return TESS_OK;
    cl_int code =
        clEnqueueWriteBuffer(run->ctx->queue, mem, CL_TRUE, 0, bytes, tensor->data, 0, NULL, NULL);
    return code ? context_fail_opencl(run->ctx, code, "writing a model's input") : TESS_OK;
}

tess_status onnx_run_forward(struct onnx_run *run) {
    for (int i = 0; i < run->step_count; i++) {
        const struct exec_step *step = &run->steps[i];
        tess_status status = step->enqueue(run, step);
        if (!status) continue;
        char text[sizeof run->ctx->error.text];
        snprintf(text, sizeof text, "%s", run->ctx->error.text);
        return onnx_node_fail(run->model, step->node, &run->ctx->error, status, "%s", text);
    }
    return TESS_OK;
}

tess_status onnx_run_read(struct onnx_run *run, int index, struct onnx_tensor *out) {
    int value = run->model->outputs[index];
    const struct onnx_known *known = &run->folded->values[value];
    size_t bytes = (size_t)known->count * onnx_dtype_size(known->dtype);
    struct onnx_tensor tensor = {.name = run->model->values[value].name,
                                 .dtype = known->dtype,
                                 .rank = known->rank,
                                 .count = known->count,
                                 .owned = malloc(bytes + 1)};
    memcpy(tensor.dims, known->dims, sizeof tensor.dims);
    tensor.data = tensor.owned;
    if (!tensor.owned)
        return context_fail(run->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "%s: output '%s': no host memory for %zu bytes; free some memory",
                            run->model->path, tensor.name, bytes);
    if (known->constant) {
        if (bytes) memcpy(tensor.owned, known->constant->data, bytes);
    } else if (bytes) {
        cl_mem mem = memory_of(run, value, &bytes);
        cl_int code = clEnqueueReadBuffer(run->ctx->queue, mem, CL_TRUE, 0, bytes, tensor.owned, 0,
                                          NULL, NULL);
        if (code) {
            free(tensor.owned);
            return context_fail_opencl(run->ctx, code, "reading a model's output");
        }
    }
    *out = tensor;
    return TESS_OK;
}
