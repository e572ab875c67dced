/* Parametric ReLU: kernels_cl/prelu.cl. */
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/column_sum.h"
#include "ops/expect.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"

struct tess_prelu {
    tess_context *ctx;
    tess_tensor_desc x;
    int rows, channels; /* as a matrix with one slope a column */
    struct column_split split;
    cl_kernel forward, backward;
    struct column_sum sum;
};

static tess_status make_kernels(tess_prelu *op) {
    char options[32], config[32];
    int vector = launch_vector(op->ctx);
    snprintf(options, sizeof options, "-DVEC=%d", vector);
    snprintf(config, sizeof config, "prelu__vec%d", vector);
    struct program *program;
    tess_status status = program_get(op->ctx, "prelu.cl", options, config, &program);
    if (!status) status = program_kernel(op->ctx, program, "prelu_fwd", &op->forward);
    if (!status) status = program_kernel(op->ctx, program, "prelu_bwd", &op->backward);
    if (status) return status;
    return column_sum_create(op->ctx, &op->sum);
}

tess_status tess_prelu_create(tess_context *ctx, const tess_prelu_desc *desc, tess_prelu **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "parametric ReLU: desc or out is NULL; give both");
    const tess_tensor_desc x = {TESS_F32, TESS_NHWC, desc->n, desc->c, desc->h, desc->w};
    tess_status status = tensor_desc_check(ctx, &x, "parametric ReLU: x");
    if (status) return status;
    tess_prelu *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "parametric ReLU: no memory; free some");
    op->ctx = ctx;
    op->x = x;
    op->channels = desc->shared ? 1 : desc->c;
    op->rows = (int)(tess_tensor_desc_elements(&x) / (size_t)op->channels);
    op->split = column_split_of(op->rows, op->channels);
    status = make_kernels(op);
    if (status) {
        tess_prelu_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void tess_prelu_destroy(tess_prelu *op) {
    if (!op) return;
    kernel_release(op->forward);
    kernel_release(op->backward);
    column_sum_destroy(&op->sum);
    free(op);
}

size_t tess_prelu_workspace(const tess_prelu *op) {
    return op ? column_sum_workspace(op->rows, op->channels) : 0;
}

/* The arguments that both kernels end with. */
#define ARGS_SPLIT(op)                                                                             \
    ARG_INT((op)->rows *(op)->channels), ARG_INT((op)->channels), ARG_INT((op)->split.width),      \
        ARG_INT((op)->split.blocks), ARG_INT((op)->split.rows_per_block),                          \
        ARG_ULONG(fastdiv((op)->split.width / (op)->sum.vector))

static struct kernel_range range_of(const tess_prelu *op) {
    size_t vectors = (size_t)(op->split.width / op->sum.vector);
    return launch_range(op->ctx, vectors * (size_t)op->split.blocks,
                        op->ctx->device.type == CL_DEVICE_TYPE_CPU ? 16 : 64);
}

tess_status tess_prelu_forward(tess_prelu *op, const tess_tensor *x, const tess_tensor *slope,
                               tess_tensor *y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_desc(op->ctx, x, &op->x, "parametric ReLU: x");
    if (!status) status = expect_desc(op->ctx, y, &op->x, "parametric ReLU: y");
    if (!status)
        status =
            tensor_expect(op->ctx, slope, TESS_F32, (size_t)op->channels, "parametric ReLU: slope");
    if (status) return status;
    struct kernel_range range = range_of(op);
    const struct kernel_arg args[] = {ARG_TENSOR(x), ARG_TENSOR(slope), ARG_TENSOR(y),
                                      ARGS_SPLIT(op)};
    return kernel_enqueue(op->ctx, op->forward, &range, args, sizeof args / sizeof args[0],
                          "parametric ReLU forward");
}

static tess_status check_backward(tess_prelu *op, const tess_prelu_grad_args *args) {
    tess_context *ctx = op->ctx;
    if (!args)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "parametric ReLU gradient: args is NULL; give them");
    size_t slopes = (size_t)op->channels;
    tess_status status = expect_desc(ctx, args->x, &op->x, "parametric ReLU gradient: x");
    if (!status) status = expect_desc(ctx, args->dy, &op->x, "parametric ReLU gradient: dy");
    if (!status && args->dx)
        status = expect_desc(ctx, args->dx, &op->x, "parametric ReLU gradient: dx");
    if (!status)
        status =
            tensor_expect(ctx, args->slope, TESS_F32, slopes, "parametric ReLU gradient: slope");
    if (!status)
        status =
            tensor_expect(ctx, args->dslope, TESS_F32, slopes, "parametric ReLU gradient: dslope");
    if (status) return status;
    return expect_workspace(ctx, args->workspace, tess_prelu_workspace(op),
                            "parametric ReLU gradient");
}

tess_status tess_prelu_backward(tess_prelu *op, const tess_prelu_grad_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check_backward(op, args);
    if (status) return status;
    struct kernel_range range = range_of(op);
    const struct kernel_arg backward[] = {ARG_TENSOR(args->x),         ARG_TENSOR(args->slope),
                                          ARG_TENSOR(args->dy),        ARG_TENSOR(args->dx),
                                          ARG_TENSOR(args->workspace), ARGS_SPLIT(op)};
    status = kernel_enqueue(op->ctx, op->backward, &range, backward,
                            sizeof backward / sizeof backward[0], "parametric ReLU backward");
    if (status) return status;
    struct column_sum_args sum = {.rows = op->rows,
                                  .channels = op->channels,
                                  .out = args->dslope->mem,
                                  .workspace = args->workspace->mem};
    return column_sum_finish(&op->sum, &sum, "parametric ReLU backward, dslope");
}
