/* Softmax and cross-entropy: kernels_cl/softmax_xent.cl. */
#include "core/program.h"
#include "core/tensor.h"
#include "ops/expect.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Work-items of a work-group, where the device allows that many. */
enum { GROUP = 64 };

struct tess_softmax {
    tess_context *ctx;
    int n, c;
    size_t lanes, rows; /* of a work-group: work-items that share a row, and rows */
    cl_kernel forward, backward, xent_rows, xent_sum;
};

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* About four values a lane, so that short rows leave few lanes idle and long ones use the whole group. */
static void choose_group(tess_softmax *op, const tess_device_info *device) {
    size_t limit = smaller(GROUP, device->max_work_group);
    size_t most_lanes = smaller(limit, device->max_work_item[0]);
    op->lanes = 1;
    while (2 * op->lanes <= most_lanes && 4 * op->lanes < (size_t)op->c)
        op->lanes *= 2;
    op->rows = 1;
    while (2 * op->lanes * op->rows <= limit && 2 * op->rows <= device->max_work_item[1] &&
           op->lanes * op->rows * 2 <= device->max_work_item[0])
        op->rows *= 2;
}

static tess_status make_kernels(tess_softmax *op) {
    struct program *program = NULL;
    char options[64], config[64];
    snprintf(options, sizeof options, "-DLANES=%zu -DROWS=%zu", op->lanes, op->rows);
    snprintf(config, sizeof config, "softmax_xent__lanes%zu_rows%zu", op->lanes, op->rows);
    tess_status status = program_get(op->ctx, "softmax_xent.cl", options, config, &program);
    if (!status) status = program_kernel(op->ctx, program, "softmax_fwd", &op->forward);
    if (!status) status = program_kernel(op->ctx, program, "softmax_bwd", &op->backward);
    if (!status) status = program_kernel(op->ctx, program, "xent_rows", &op->xent_rows);
    if (!status) status = program_kernel(op->ctx, program, "xent_sum", &op->xent_sum);
    return status;
}

tess_status tess_softmax_create(tess_context *ctx, int n, int c, tess_softmax **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "softmax: out is NULL; pass where to put the operator");
    if (n < 1 || c < 1 || n > INT_MAX / c || n > INT_MAX / 2 - GROUP)
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "softmax: %d rows of %d values; both must be at least 1, and the "
                            "elements at most 2^31 - 1",
                            n, c);
    tess_softmax *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "softmax: no memory for the operator; free some memory");
    op->ctx = ctx;
    op->n = n;
    op->c = c;
    choose_group(op, &ctx->device);
    tess_status status = make_kernels(op);
    if (status) goto fail;
    *out = op;
    return TESS_OK;
fail:
    tess_softmax_destroy(op);
    return status;
}

void tess_softmax_destroy(tess_softmax *softmax) {
    if (!softmax) return;
    kernel_release(softmax->forward);
    kernel_release(softmax->backward);
    kernel_release(softmax->xent_rows);
    kernel_release(softmax->xent_sum);
    free(softmax);
}

/* A tensor of N rows of C values. */
static tess_status expect_rows(tess_softmax *op, const tess_tensor *tensor, const char *what) {
    tess_status status =
        tensor_expect(op->ctx, tensor, TESS_F32, (size_t)op->n * (size_t)op->c, what);
    if (status) return status;
    if (tensor->desc.n != op->n)
        return context_fail(op->ctx, TESS_INVALID_SHAPE,
                            "%s: %d rows; this operator was made for %d rows of %d values", what,
                            tensor->desc.n, op->n, op->c);
    return TESS_OK;
}

/* LANES x ROWS work-groups over all rows. */
static struct kernel_range range_rows(const tess_softmax *op) {
    size_t groups = ((size_t)op->n + op->rows - 1) / op->rows;
    return (struct kernel_range){
        .dims = 2, .global = {op->lanes, groups * op->rows}, .local = {op->lanes, op->rows}};
}

tess_status tess_softmax_forward(tess_softmax *op, const tess_tensor *x, tess_tensor *y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_rows(op, x, "softmax forward: x");
    if (!status) status = expect_rows(op, y, "softmax forward: y");
    if (status) return status;
    struct kernel_arg args[] = {ARG_INT(op->n), ARG_INT(op->c), ARG_TENSOR(x), ARG_TENSOR(y)};
    struct kernel_range range = range_rows(op);
    return kernel_enqueue(op->ctx, op->forward, &range, args, sizeof args / sizeof *args,
                          "softmax forward");
}

tess_status tess_softmax_backward(tess_softmax *op, const tess_tensor *y, const tess_tensor *dy,
                                  tess_tensor *dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_rows(op, y, "softmax backward: y");
    if (!status) status = expect_rows(op, dy, "softmax backward: dy");
    if (!status) status = expect_rows(op, dx, "softmax backward: dx");
    if (status) return status;
    struct kernel_arg args[] = {ARG_INT(op->n), ARG_INT(op->c), ARG_TENSOR(y), ARG_TENSOR(dy),
                                ARG_TENSOR(dx)};
    struct kernel_range range = range_rows(op);
    return kernel_enqueue(op->ctx, op->backward, &range, args, sizeof args / sizeof *args,
                          "softmax backward");
}

static tess_status expect_xent(tess_softmax *op, const tess_xent_args *args) {
    size_t rows = (size_t)op->n;
    tess_status status = expect_rows(op, args->logits, "cross-entropy: logits");
    if (!status)
        status = tensor_expect(op->ctx, args->labels, TESS_I32, rows, "cross-entropy: labels");
    if (!status)
        status = tensor_expect(op->ctx, args->result, TESS_F32, 2, "cross-entropy: result");
    if (!status && args->dlogits) status = expect_rows(op, args->dlogits, "cross-entropy: dlogits");
    if (status) return status;
    return expect_workspace(op->ctx, args->workspace, 2 * rows * sizeof(float),
                            "cross-entropy: workspace");
}

tess_status tess_xent(tess_softmax *op, const tess_xent_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!args)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "cross-entropy: args is NULL; pass a tess_xent_args");
    tess_status status = expect_xent(op, args);
    if (status) return status;
    struct kernel_arg row_args[] = {ARG_INT(op->n),           ARG_INT(op->c),
                                    ARG_FLOAT(args->scale),   ARG_TENSOR(args->logits),
                                    ARG_TENSOR(args->labels), ARG_TENSOR(args->workspace),
                                    ARG_TENSOR(args->dlogits)};
    struct kernel_range range = range_rows(op);
    status = kernel_enqueue(op->ctx, op->xent_rows, &range, row_args,
                            sizeof row_args / sizeof *row_args, "cross-entropy rows");
    if (status) return status;
    struct kernel_arg sum_args[] = {ARG_INT(op->n), ARG_TENSOR(args->workspace),
                                    ARG_TENSOR(args->result)};
    size_t group = op->lanes * op->rows;
    struct kernel_range one = {.dims = 1, .global = {group}, .local = {group}};
    return kernel_enqueue(op->ctx, op->xent_sum, &one, sum_args, sizeof sum_args / sizeof *sum_args,
                          "cross-entropy sum");
}
