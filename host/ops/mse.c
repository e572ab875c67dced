/* Squared error: kernels_cl/mse.cl. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/expect.h"
#include "ops/launch.h"

enum { STEPS = 16 };

struct tess_mse {
    tess_context *ctx;
    int n, c;
    int items; /* partial sums */
    size_t lanes;
    cl_kernel blocks, sum;
};

static tess_status make_kernels(tess_mse *op, int vector, int group) {
    char options[96], config[96];
    snprintf(options, sizeof options, "-DVEC=%d -DSTEPS=%d -DGROUP=%d -DLANES=%zu", vector, STEPS,
             group, op->lanes);
    snprintf(config, sizeof config, "mse__vec%d_steps%d_group%d_lanes%zu", vector, STEPS, group,
             op->lanes);
    struct program *program;
    tess_status status = program_get(op->ctx, "mse.cl", options, config, &program);
    if (!status) status = program_kernel(op->ctx, program, "mse_blocks", &op->blocks);
    if (!status) status = program_kernel(op->ctx, program, "mse_sum", &op->sum);
    return status;
}

tess_status tess_mse_create(tess_context *ctx, int n, int c, tess_mse **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "squared error: out is NULL; pass where to put the operator");
    if (n < 1 || c < 1 || n > INT_MAX / c)
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "squared error: %d rows of %d values; both must be at least 1, and the "
                            "elements at most 2^31 - 1",
                            n, c);
    tess_mse *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "squared error: no memory; free some");
    op->ctx = ctx;
    op->n = n;
    op->c = c;
    int vector = launch_vector(ctx), group = ctx->device.type == CL_DEVICE_TYPE_CPU ? 1 : 64;
    int64_t block = (int64_t)vector * STEPS * group, count = (int64_t)n * c;
    op->items = (int)((count + block - 1) / block) * group;
    op->lanes = launch_range(ctx, 1, 64).local[0] >= 64 ? 64 : 1;
    tess_status status = make_kernels(op, vector, group);
    if (status) {
        tess_mse_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void tess_mse_destroy(tess_mse *op) {
    if (!op) return;
    kernel_release(op->blocks);
    kernel_release(op->sum);
    free(op);
}

size_t tess_mse_workspace(const tess_mse *op) {
    return op ? (size_t)op->items * sizeof(cl_float) : 0;
}

static tess_status check(tess_mse *op, const tess_mse_args *args) {
    tess_context *ctx = op->ctx;
    if (!args)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "squared error: args is NULL; pass a tess_mse_args");
    size_t count = (size_t)op->n * (size_t)op->c;
    tess_status status = tensor_expect(ctx, args->x, TESS_F32, count, "squared error: x");
    if (!status)
        status = tensor_expect(ctx, args->target, TESS_F32, count, "squared error: target");
    if (!status) status = tensor_expect(ctx, args->result, TESS_F32, 1, "squared error: result");
    if (!status && args->dx)
        status = tensor_expect(ctx, args->dx, TESS_F32, count, "squared error: dx");
    if (status) return status;
    if (args->rows < 0 || args->rows > op->n)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "squared error: %d rows of %d; give 1 to %d, or 0 for all", args->rows,
                            op->n, op->n);
    if (!isfinite(args->scale))
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "squared error: scale is %g; give a finite one", (double)args->scale);
    return expect_workspace(ctx, args->workspace, tess_mse_workspace(op), "squared error");
}

tess_status tess_mse_enqueue(tess_mse *op, const tess_mse_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check(op, args);
    if (status) return status;
    int rows = args->rows ? args->rows : op->n;
    struct kernel_range range = launch_range(op->ctx, (size_t)op->items, 64);
    const struct kernel_arg blocks[] = {ARG_TENSOR(args->x),   ARG_TENSOR(args->target),
                                        ARG_TENSOR(args->dx),  ARG_TENSOR(args->workspace),
                                        ARG_INT(op->items),    ARG_INT(op->n * op->c),
                                        ARG_INT(rows * op->c), ARG_FLOAT(2 * args->scale)};
    status = kernel_enqueue(op->ctx, op->blocks, &range, blocks, sizeof blocks / sizeof blocks[0],
                            "squared error");
    if (status) return status;
    struct kernel_range one = {.dims = 1, .global = {op->lanes}, .local = {op->lanes}};
    const struct kernel_arg sum[] = {ARG_TENSOR(args->workspace), ARG_INT(op->items),
                                     ARG_TENSOR(args->result)};
    return kernel_enqueue(op->ctx, op->sum, &one, sum, 3, "squared error, sum");
}
