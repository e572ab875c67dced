#include "ops/activation.h"
#include "ops/eltwise.h"
#include "ops/expect.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"

static tess_status expect_nhwc(const tess_eltwise *op, const tess_tensor *tensor,
                               const char *what) {
    tess_status status = eltwise_expect(op, tensor, NULL, what);
    if (status || tensor->desc.layout == TESS_NHWC) return status;
    return context_fail(op->ctx, TESS_INVALID_SHAPE,
                        "%s: is not in layout NHWC; convert it with tess_layout_convert", what);
}

tess_status tess_bias_forward(tess_eltwise *op, tess_act act, const tess_tensor *x,
                              const tess_tensor *bias, tess_tensor *y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_activation(op->ctx, act, "bias");
    if (!status) status = expect_nhwc(op, x, "bias: x");
    if (!status) status = eltwise_expect(op, y, x, "bias: y");
    if (status) return status;
    int channels = x->desc.c;
    status = tensor_expect(op->ctx, bias, TESS_F32, (size_t)channels, "bias: bias");
    if (status) return status;
    size_t count = tess_tensor_desc_elements(&x->desc), vector = (size_t)op->vector;
    struct kernel_range range = launch_range(op->ctx, (count + vector - 1) / vector, 64);
    const struct kernel_arg args[] = {ARG_TENSOR(x),
                                      ARG_TENSOR(bias),
                                      ARG_TENSOR(y),
                                      ARG_INT((cl_int)count),
                                      ARG_FLOAT(activation_alpha(act)),
                                      ARG_INT(channels),
                                      ARG_ULONG(fastdiv(channels))};
    return kernel_enqueue(op->ctx, op->bias_fwd[act.kind], &range, args, 7, "bias forward");
}

/* N H W, or 0 if the desc has no such tensor. */
static int bias_rows(const tess_tensor_desc *dy) {
    double rows = (double)dy->n * dy->h * dy->w;
    if (dy->n < 1 || dy->c < 1 || dy->h < 1 || dy->w < 1 || rows * dy->c > 2147483647.0) return 0;
    return dy->n * dy->h * dy->w;
}

size_t tess_bias_workspace(const tess_tensor_desc *dy) {
    if (!dy || bias_rows(dy) == 0) return 0;
    return column_sum_workspace(bias_rows(dy), dy->c);
}

tess_status tess_bias_backward(tess_eltwise *op, const tess_tensor *dy, tess_tensor *dbias,
                               tess_tensor *workspace) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_nhwc(op, dy, "bias gradient: dy");
    if (status) return status;
    int channels = dy->desc.c;
    status = tensor_expect(op->ctx, dbias, TESS_F32, (size_t)channels, "bias gradient: dbias");
    if (!status)
        status =
            expect_workspace(op->ctx, workspace, tess_bias_workspace(&dy->desc), "bias gradient");
    if (status) return status;
    const struct column_sum_args sum = {.x = dy->mem,
                                        .rows = bias_rows(&dy->desc),
                                        .channels = channels,
                                        .out = dbias->mem,
                                        .workspace = workspace->mem};
    return column_sum_enqueue(&op->sum, &sum, "bias backward");
}
