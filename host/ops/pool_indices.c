#include "ops/pool_indices.h"

#include <stdlib.h>

#include "core/program.h"
#include "ops/expect.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"

struct pool_indices {
    tess_context *ctx;
    struct pool_indices_desc desc;
    tess_tensor_desc positions;
    cl_kernel kernel;
};

tess_status pool_indices_create(tess_context *ctx, const struct pool_indices_desc *desc,
                                struct pool_indices **out) {
    const tess_tensor_desc positions = {TESS_I32, TESS_NHWC, desc->n, desc->c, desc->p, desc->q};
    const tess_tensor_desc x = {TESS_F32, TESS_NHWC, desc->n, desc->c, desc->h, desc->w};
    struct program *program = NULL;
    tess_status status = tensor_desc_check(ctx, &positions, "pool indices");
    if (!status) status = tensor_desc_check(ctx, &x, "pool indices: x");
    if (status) return status;
    struct pool_indices *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "pool indices: no memory; free some");
    op->ctx = ctx;
    op->desc = *desc;
    op->positions = positions;
    status = program_get(ctx, "pool_indices.cl", "", "pool_indices", &program);
    if (!status) status = program_kernel(ctx, program, "pool_indices", &op->kernel);
    if (status) {
        pool_indices_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void pool_indices_destroy(struct pool_indices *op) {
    if (!op) return;
    kernel_release(op->kernel);
    free(op);
}

tess_status pool_indices_enqueue(struct pool_indices *op, const tess_tensor *positions, cl_mem y) {
    const struct pool_indices_desc *d = &op->desc;
    tess_status status = expect_desc(op->ctx, positions, &op->positions, "pool indices: positions");
    if (status) return status;
    int pixels = d->p * d->q, count = d->n * d->c * pixels;
    struct kernel_range range = launch_range(op->ctx, (size_t)count, 64);
    const struct kernel_arg args[] = {ARG_TENSOR(positions),
                                      ARG_MEM(y),
                                      ARG_INT(count),
                                      ARG_INT(d->c),
                                      ARG_INT(pixels),
                                      ARG_INT(d->h),
                                      ARG_INT(d->w),
                                      ARG_INT(d->by_columns),
                                      ARG_ULONG(fastdiv(d->c)),
                                      ARG_ULONG(fastdiv(pixels)),
                                      ARG_ULONG(fastdiv(d->w))};
    return kernel_enqueue(op->ctx, op->kernel, &range, args, sizeof args / sizeof args[0],
                          "pool indices");
}
