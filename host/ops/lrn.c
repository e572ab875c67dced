/* Local response normalisation: kernels_cl/lrn.cl. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/expect.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"

struct tess_lrn {
    tess_context *ctx;
    tess_lrn_desc desc; /* with defaults filled in */
    tess_tensor_desc x;
    int before, after; /* channels of a window on either side */
    int vector, chunk; /* VEC, CHUNK */
    int segments;      /* work-items of a pixel */
    cl_kernel forward, backward;
};

static bool positive(float value) {
    return value > 0 && isfinite(value);
}

static tess_lrn_desc fill_in(const tess_lrn_desc *desc) {
    tess_lrn_desc full = *desc;
    if (full.size == 0) full.size = 5;
    if (full.alpha == 0) full.alpha = 1e-4f;
    if (full.beta == 0) full.beta = 0.75f;
    if (full.k == 0) full.k = 1;
    return full;
}

static tess_status check_desc(tess_context *ctx, const tess_lrn_desc *desc) {
    const tess_tensor_desc x = {TESS_F32, TESS_NHWC, desc->n, desc->c, desc->h, desc->w};
    tess_status status = tensor_desc_check(ctx, &x, "local response normalisation: x");
    if (status) return status;
    if (desc->size < 1 || desc->size > TESS_LRN_MAX_SIZE)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "local response normalisation: size is %d; give one of 1 to %d",
                            desc->size, TESS_LRN_MAX_SIZE);
    if (positive(desc->alpha) && positive(desc->beta) && positive(desc->k)) return TESS_OK;
    return context_fail(ctx, TESS_INVALID_ARGUMENT,
                        "local response normalisation: alpha %g, beta %g, k %g; each must be a "
                        "finite number above 0, or 0 for its default",
                        (double)desc->alpha, (double)desc->beta, (double)desc->k);
}

static tess_status make_kernels(tess_lrn *op) {
    char options[96], config[96];
    int halo = (op->after + op->vector - 1) / op->vector;
    if (halo < 1) halo = 1;
    bool beta_75 = op->desc.beta == 0.75f;
    snprintf(options, sizeof options, "-DVEC=%d -DCHUNK=%d -DHALO=%d -DBETA_75=%d", op->vector,
             op->chunk, halo, beta_75);
    snprintf(config, sizeof config, "lrn__vec%d_chunk%d_halo%d_beta75%d", op->vector, op->chunk,
             halo, beta_75);
    struct program *program;
    tess_status status = program_get(op->ctx, "lrn.cl", options, config, &program);
    if (!status) status = program_kernel(op->ctx, program, "lrn_fwd", &op->forward);
    if (!status) status = program_kernel(op->ctx, program, "lrn_bwd", &op->backward);
    return status;
}

tess_status tess_lrn_create(tess_context *ctx, const tess_lrn_desc *desc, tess_lrn **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "local response normalisation: desc or out is NULL; give both");
    tess_lrn_desc full = fill_in(desc);
    tess_status status = check_desc(ctx, &full);
    if (status) return status;
    tess_lrn *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "local response normalisation: no memory; free some");
    op->ctx = ctx;
    op->desc = full;
    op->x = (tess_tensor_desc){TESS_F32, TESS_NHWC, full.n, full.c, full.h, full.w};
    op->before = (full.size - 1) / 2;
    op->after = full.size / 2;
    op->vector = launch_vector(ctx);
    op->chunk = ctx->device.type == CL_DEVICE_TYPE_CPU ? 8 : 1;
    int channels = op->vector * op->chunk;
    op->segments = (full.c - 1) / channels + 1;
    status = make_kernels(op);
    if (status) {
        tess_lrn_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void tess_lrn_destroy(tess_lrn *op) {
    if (!op) return;
    kernel_release(op->forward);
    kernel_release(op->backward);
    free(op);
}

/* The arguments that both kernels end with. */
#define ARGS_SHAPE(op)                                                                             \
    ARG_INT((op)->x.n *(op)->x.h *(op)->x.w), ARG_INT((op)->x.c), ARG_INT((op)->before),           \
        ARG_INT((op)->after), ARG_FLOAT((op)->desc.alpha / (float)(op)->desc.size),                \
        ARG_FLOAT((op)->desc.beta), ARG_FLOAT((op)->desc.k), ARG_INT((op)->segments),              \
        ARG_ULONG(fastdiv((op)->segments))

static struct kernel_range range_of(const tess_lrn *op) {
    size_t pixels = (size_t)op->x.n * (size_t)op->x.h * (size_t)op->x.w;
    return launch_range(op->ctx, pixels * (size_t)op->segments,
                        op->ctx->device.type == CL_DEVICE_TYPE_CPU ? 16 : 64);
}

/* Neighbours are read after an output may have been written. */
static tess_status expect_apart(tess_lrn *op, const tess_tensor *in, const tess_tensor *out) {
    if (in->mem != out->mem) return TESS_OK;
    return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                        "local response normalisation: an input is the output too; use two "
                        "tensors");
}

tess_status tess_lrn_forward(tess_lrn *op, const tess_tensor *x, tess_tensor *y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_desc(op->ctx, x, &op->x, "local response normalisation: x");
    if (!status) status = expect_desc(op->ctx, y, &op->x, "local response normalisation: y");
    if (!status) status = expect_apart(op, x, y);
    if (status) return status;
    struct kernel_range range = range_of(op);
    const struct kernel_arg args[] = {ARG_TENSOR(x), ARG_TENSOR(y), ARGS_SHAPE(op)};
    return kernel_enqueue(op->ctx, op->forward, &range, args, sizeof args / sizeof args[0],
                          "local response normalisation forward");
}

tess_status tess_lrn_backward(tess_lrn *op, const tess_tensor *x, const tess_tensor *dy,
                              tess_tensor *dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_context *ctx = op->ctx;
    tess_status status = expect_desc(ctx, x, &op->x, "local response normalisation gradient: x");
    if (!status) status = expect_desc(ctx, dy, &op->x, "local response normalisation gradient: dy");
    if (!status) status = expect_desc(ctx, dx, &op->x, "local response normalisation gradient: dx");
    if (!status) status = expect_apart(op, x, dx);
    if (!status) status = expect_apart(op, dy, dx);
    if (status) return status;
    struct kernel_range range = range_of(op);
    const struct kernel_arg args[] = {ARG_TENSOR(x), ARG_TENSOR(dy), ARG_TENSOR(dx),
                                      ARGS_SHAPE(op)};
    return kernel_enqueue(ctx, op->backward, &range, args, sizeof args / sizeof args[0],
                          "local response normalisation backward");
}
