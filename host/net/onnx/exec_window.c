/* Convolution and pooling: on images, NHWC. */
#include "net/onnx/exec_build.h"
#include "net/onnx/onnx_window.h"
#include "ops/pool_indices.h"

#include <stdlib.h>
#include <string.h>

/* The axis-th of height and width; a window over one dimension lies along the width. */
static int at(const struct onnx_window *w, const int64_t *list, int axis, int standard) {
    if (w->spatial == 2) return (int)list[axis];
    return axis == 1 ? (int)list[0] : standard;
}

static tess_status read_window(struct exec_build *b, const struct onnx_known *weights,
                               struct onnx_window *w) {
    tess_status status =
        onnx_window_of(b->in.model, b->in.node, infer_in(&b->in, 0), weights, b->in.error, w);
    if (status || w->spatial <= 2) return status;
    return infer_fail(&b->in, TESS_UNSUPPORTED,
                      "slides over %d dimensions, and one or two are supported; use a model for "
                      "images",
                      w->spatial);
}

static tess_status check_size(struct exec_build *b, int p, int q) {
    tess_tensor_desc want = exec_image(infer_out(&b->in, 0), EXEC_PIXELS);
    if (p == want.h && q == want.w) return TESS_OK;
    return infer_fail(
        &b->in, TESS_UNSUPPORTED,
        "its padding or rounding (%d x %d of %d x %d) is not supported; export it with "
        "explicit pads",
        p, q, want.h, want.w);
}

/* ---------------------------------------------------------------- convolution */

enum { CONV_X, CONV_W, CONV_BIAS, CONV_RESIDUAL, CONV_Y, CONV_OPERANDS };

/* The operands of a step as a convolution takes them. */
struct conv_tensors {
    struct tess_tensor tensors[CONV_OPERANDS], workspace;
    tess_conv_args args;
};

static void conv_tensors(const struct onnx_run *run, const struct exec_step *step,
                         struct conv_tensors *t) {
    for (int i = 0; i < CONV_OPERANDS; i++)
        t->tensors[i] = exec_tensor(run, step, i);
    t->workspace = exec_workspace(run, step);
    t->args = (tess_conv_args){
        .x = &t->tensors[CONV_X],
        .w = &t->tensors[CONV_W],
        .y = &t->tensors[CONV_Y],
        .bias = t->tensors[CONV_BIAS].mem ? &t->tensors[CONV_BIAS] : NULL,
        .residual = t->tensors[CONV_RESIDUAL].mem ? &t->tensors[CONV_RESIDUAL] : NULL,
        .workspace = step->workspace ? &t->workspace : NULL,
        .weights_version = step->fixed_weights};
}

static tess_status enqueue_conv(struct onnx_run *run, const struct exec_step *step) {
    struct conv_tensors t;
    conv_tensors(run, step, &t);
    return tess_conv_plan_enqueue(step->op, &t.args);
}

static tess_status enqueue_conv_transpose(struct onnx_run *run, const struct exec_step *step) {
    struct conv_tensors t;
    conv_tensors(run, step, &t);
    return tess_conv_transpose_enqueue(step->op, &t.args);
}

static void destroy_conv(void *op) {
    tess_conv_plan_destroy(op);
}

static void destroy_conv_transpose(void *op) {
    tess_conv_transpose_destroy(op);
}

static tess_status need_weights(struct exec_build *b, const struct exec_chain *chain, int *weights,
                                int *bias) {
    *bias = EXEC_NONE;
    if (chain->norm) return exec_fold_norm(b, chain, weights, bias);
    tess_status status = exec_need(b, exec_input(b, 1), EXEC_FILTERS, weights);
    if (status || exec_input(b, 2) < 0) return status;
    return exec_need(b, exec_input(b, 2), EXEC_ROWS, bias);
}

static tess_status need_operands(struct exec_build *b, const struct exec_chain *chain,
                                 struct exec_operand operands[CONV_OPERANDS]) {
    const struct onnx_known *values = b->run->folded->values;
    int x = exec_input(b, 0), w = exec_input(b, 1);
    operands[CONV_RESIDUAL].buffer = EXEC_NONE;
    tess_status status = exec_need(b, x, EXEC_PIXELS, &operands[CONV_X].buffer);
    if (!status)
        status = need_weights(b, chain, &operands[CONV_W].buffer, &operands[CONV_BIAS].buffer);
    if (!status && chain->residual >= 0)
        status = exec_need(b, chain->residual, EXEC_PIXELS, &operands[CONV_RESIDUAL].buffer);
    if (!status) status = exec_make(b, chain->y, EXEC_PIXELS, &operands[CONV_Y].buffer);
    if (status) return status;
    operands[CONV_X].desc = exec_image(&values[x], EXEC_PIXELS);
    operands[CONV_W].desc = exec_image(&values[w], EXEC_FILTERS);
    operands[CONV_Y].desc = exec_image(&values[chain->y], EXEC_PIXELS);
    operands[CONV_RESIDUAL].desc = operands[CONV_Y].desc;
    operands[CONV_BIAS].desc = exec_vector(operands[CONV_Y].desc.c);
    return TESS_OK;
}

static tess_conv_desc conv_desc(const struct onnx_window *w, const tess_tensor_desc *x, int k) {
    return (tess_conv_desc){.dtype = TESS_F32,
                            .layout = TESS_NHWC,
                            .n = x->n,
                            .c = x->c,
                            .h = x->h,
                            .w = x->w,
                            .k = k,
                            .r = at(w, w->kernel, 0, 1),
                            .s = at(w, w->kernel, 1, 1),
                            .stride_h = at(w, w->stride, 0, 1),
                            .stride_w = at(w, w->stride, 1, 1),
                            .pad_top = at(w, w->pad_begin, 0, 0),
                            .pad_bottom = at(w, w->pad_end, 0, 0),
                            .pad_left = at(w, w->pad_begin, 1, 0),
                            .pad_right = at(w, w->pad_end, 1, 0),
                            .dilation_h = at(w, w->dilation, 0, 1),
                            .dilation_w = at(w, w->dilation, 1, 1),
                            .groups = (int)w->group};
}

tess_status exec_conv(struct exec_build *b) {
    const struct onnx_known *weights = infer_in(&b->in, 1);
    tess_context *ctx = b->run->ctx;
    struct onnx_window w;
    struct exec_operand operands[CONV_OPERANDS];
    struct exec_chain chain;
    int p, q;
    tess_conv_plan *plan = NULL;
    tess_status status = read_window(b, weights, &w);
    if (status) return status;
    tess_tensor_desc x = exec_image(infer_in(&b->in, 0), EXEC_PIXELS);
    tess_conv_desc desc = conv_desc(&w, &x, (int)weights->dims[0]);
    status = tess_conv_out_size(&desc, &ctx->error, &p, &q);
    if (!status) status = check_size(b, p, q);
    if (!status) status = exec_chain_of(b, true, &chain);
    if (!status) status = need_operands(b, &chain, operands);
    if (status) return status;
    const tess_conv_options options = {.pass = TESS_CONV_FWD,
                                       .bias = operands[CONV_BIAS].buffer >= 0,
                                       .residual = chain.residual >= 0,
                                       .act = chain.act};
    status = tess_conv_plan_create(ctx, &desc, &options, &plan);
    if (status) return status;
    const struct exec_step step = {.op = plan,
                                   .enqueue = enqueue_conv,
                                   .destroy = destroy_conv,
                                   .workspace = tess_conv_plan_info(plan).workspace,
                                   .fixed_weights = weights->constant != NULL};
    return exec_add(b, &step, operands, CONV_OPERANDS);
}

static tess_conv_transpose_desc transpose_desc(const struct onnx_window *w,
                                               const tess_tensor_desc *x, int64_t k) {
    tess_conv_desc d = conv_desc(w, x, (int)k);
    return (tess_conv_transpose_desc){.dtype = d.dtype,
                                      .layout = d.layout,
                                      .n = d.n,
                                      .c = d.c,
                                      .h = d.h,
                                      .w = d.w,
                                      .k = d.k,
                                      .r = d.r,
                                      .s = d.s,
                                      .stride_h = d.stride_h,
                                      .stride_w = d.stride_w,
                                      .pad_top = d.pad_top,
                                      .pad_bottom = d.pad_bottom,
                                      .pad_left = d.pad_left,
                                      .pad_right = d.pad_right,
                                      .out_pad_h = at(w, w->output_padding, 0, 0),
                                      .out_pad_w = at(w, w->output_padding, 1, 0),
                                      .dilation_h = d.dilation_h,
                                      .dilation_w = d.dilation_w,
                                      .groups = d.groups};
}

tess_status exec_conv_transpose(struct exec_build *b) {
    const struct onnx_known *weights = infer_in(&b->in, 1);
    tess_context *ctx = b->run->ctx;
    struct onnx_window w;
    struct exec_operand operands[CONV_OPERANDS];
    struct exec_chain chain;
    int p, q;
    tess_conv_transpose *op = NULL;
    tess_status status = read_window(b, weights, &w);
    if (status) return status;
    tess_tensor_desc x = exec_image(infer_in(&b->in, 0), EXEC_PIXELS);
    tess_conv_transpose_desc desc = transpose_desc(&w, &x, weights->dims[1] * w.group);
    status = tess_conv_transpose_out_size(&desc, &ctx->error, &p, &q);
    if (!status) status = check_size(b, p, q);
    if (!status) status = exec_chain_of(b, false, &chain);
    if (!status) status = need_operands(b, &chain, operands);
    if (status) return status;
    const tess_conv_options options = {
        .pass = TESS_CONV_FWD, .bias = operands[CONV_BIAS].buffer >= 0, .act = chain.act};
    status = tess_conv_transpose_create(ctx, &desc, &options, &op);
    if (status) return status;
    const struct exec_step step = {.op = op,
                                   .enqueue = enqueue_conv_transpose,
                                   .destroy = destroy_conv_transpose,
                                   .workspace = tess_conv_transpose_info(op).workspace,
                                   .fixed_weights = weights->constant != NULL};
    return exec_add(b, &step, operands, CONV_OPERANDS);
}

/* ---------------------------------------------------------------- pooling */

/* Operands: x, y and, where the indices are read, the positions. */
static tess_status enqueue_pool(struct onnx_run *run, const struct exec_step *step) {
    struct tess_tensor x = exec_tensor(run, step, 0), y = exec_tensor(run, step, 1), positions;
    tess_pool_args args = {.x = &x, .y = &y};
    if (step->operand_count > 2) {
        positions = exec_tensor(run, step, 2);
        args.positions = &positions;
    }
    return tess_pool_forward(step->op, &args);
}

static void destroy_pool(void *op) {
    tess_pool_destroy(op);
}

/* positions: NULL where nobody reads the indices. */
static tess_status add_pool(struct exec_build *b, const tess_pool_desc *desc,
                            const struct exec_operand *positions) {
    int x = exec_input(b, 0), y = exec_output(b, 0);
    const struct onnx_known *values = b->run->folded->values;
    struct exec_operand operands[3] = {{.desc = exec_image(&values[x], EXEC_PIXELS)},
                                       {.desc = exec_image(&values[y], EXEC_PIXELS)}};
    tess_pool *pool = NULL;
    tess_status status = exec_need(b, x, EXEC_PIXELS, &operands[0].buffer);
    if (!status) status = exec_make(b, y, EXEC_PIXELS, &operands[1].buffer);
    if (!status) status = tess_pool_create(b->run->ctx, desc, &pool);
    if (status) return status;
    if (positions) operands[2] = *positions;
    const struct exec_step step = {.op = pool, .enqueue = enqueue_pool, .destroy = destroy_pool};
    return exec_add(b, &step, operands, positions ? 3 : 2);
}

/* Operands: positions, indices. */
static tess_status enqueue_indices(struct onnx_run *run, const struct exec_step *step) {
    struct tess_tensor positions = exec_tensor(run, step, 0);
    return pool_indices_enqueue(step->op, &positions, exec_mem(run, step, 1));
}

static void destroy_indices(void *op) {
    pool_indices_destroy(op);
}

static tess_status add_indices(struct exec_build *b, const tess_pool_desc *pool,
                               const struct exec_operand *positions) {
    const tess_tensor_desc *y = &positions->desc;
    struct pool_indices_desc desc = {
        .n = y->n, .c = y->c, .p = y->h, .q = y->w, .h = pool->h, .w = pool->w};
    struct exec_operand operands[2] = {*positions};
    struct pool_indices *op = NULL;
    int64_t order = 0;
    tess_status status =
        onnx_get_int(b->in.model, b->in.node, "storage_order", b->in.error, &order);
    desc.by_columns = order != 0;
    if (!status) status = exec_make(b, exec_output(b, 1), EXEC_ROWS, &operands[1].buffer);
    if (!status) status = pool_indices_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {
        .op = op, .enqueue = enqueue_indices, .destroy = destroy_indices};
    return exec_add(b, &step, operands, 2);
}

/* Max pooling whose second output, the indices, is read. */
static tess_status add_pool_with_indices(struct exec_build *b, const tess_pool_desc *desc) {
    struct exec_operand positions = {.desc = exec_image(infer_out(&b->in, 0), EXEC_PIXELS)};
    positions.desc.dtype = TESS_I32;
    tess_status status =
        exec_buffer_add(b->run, tess_tensor_desc_bytes(&positions.desc), &positions.buffer);
    if (!status) status = add_pool(b, desc, &positions);
    return status ? status : add_indices(b, desc, &positions);
}

tess_status exec_pool(struct exec_build *b) {
    tess_tensor_desc x = exec_image(infer_in(&b->in, 0), EXEC_PIXELS);
    int64_t with_pad = 0, ceil_mode = 0;
    struct onnx_window w;
    int p, q;
    tess_status status = read_window(b, NULL, &w);
    if (!status)
        status = onnx_get_int(b->in.model, b->in.node, "count_include_pad", b->in.error, &with_pad);
    if (!status)
        status = onnx_get_int(b->in.model, b->in.node, "ceil_mode", b->in.error, &ceil_mode);
    if (status) return status;
    tess_conv_desc d = conv_desc(&w, &x, x.c);
    bool max = strcmp(b->in.node->op, "MaxPool") == 0;
    const tess_pool_desc desc = {.mode = max        ? TESS_POOL_MAX
                                         : with_pad ? TESS_POOL_AVG_WITH_PAD
                                                    : TESS_POOL_AVG,
                                 .n = d.n,
                                 .c = d.c,
                                 .h = d.h,
                                 .w = d.w,
                                 .r = d.r,
                                 .s = d.s,
                                 .stride_h = d.stride_h,
                                 .stride_w = d.stride_w,
                                 .pad_top = d.pad_top,
                                 .pad_bottom = d.pad_bottom,
                                 .pad_left = d.pad_left,
                                 .pad_right = d.pad_right,
                                 .dilation_h = d.dilation_h,
                                 .dilation_w = d.dilation_w,
                                 .ceil_mode = ceil_mode != 0};
    status = tess_pool_out_size(&desc, b->in.error, &p, &q);
    if (!status) status = check_size(b, p, q);
    if (status) return status;
    return exec_output(b, 1) < 0 ? add_pool(b, &desc, NULL) : add_pool_with_indices(b, &desc);
}

tess_status exec_global_pool(struct exec_build *b) {
    tess_tensor_desc x = exec_image(infer_in(&b->in, 0), EXEC_PIXELS);
    bool max = strcmp(b->in.node->op, "GlobalMaxPool") == 0;
    return add_pool(b,
                    &(tess_pool_desc){.mode = max ? TESS_POOL_MAX : TESS_POOL_AVG,
                                      .n = x.n,
                                      .c = x.c,
                                      .h = x.h,
                                      .w = x.w,
                                      .global = true},
                    NULL);
}
