#include <stdio.h>
#include <stdlib.h>

#include "ops/nd/nd_walk.h"

struct nd_softmax {
    tess_context *ctx;
    const char *what;
    cl_int outer, size, inner, columns;
    struct kernel_range range;
    cl_kernel forward, backward;
};

static tess_status make_kernels(struct nd_softmax *op, bool log) {
    tess_context *ctx = op->ctx;
    struct program *program = NULL;
    char options[64], config[64];
    int vector = launch_vector(ctx), inner = op->inner == 1;
    snprintf(options, sizeof options, "-DVEC=%d -DLOG=%d -DINNER=%d", vector, log, inner);
    snprintf(config, sizeof config, "nd_softmax__vec%d_log%d_inner%d", vector, log, inner);
    tess_status status = program_get(ctx, "nd_softmax.cl", options, config, &program);
    if (!status) status = program_kernel(ctx, program, "nd_softmax_fwd", &op->forward);
    if (!status) status = program_kernel(ctx, program, "nd_softmax_bwd", &op->backward);
    return status;
}

static void find_extents(struct nd_softmax *op, const struct nd_softmax_desc *desc, int axis) {
    op->outer = op->size = op->inner = 1;
    for (int d = 0; d < desc->x.rank; d++) {
        cl_int dim = (cl_int)desc->x.dims[d];
        if (d < axis)
            op->outer *= dim;
        else if (d == axis || desc->flat)
            op->size *= dim;
        else
            op->inner *= dim;
    }
    int vector = launch_vector(op->ctx);
    op->columns = op->inner == 1 ? 1 : (op->inner + vector - 1) / vector;
    size_t items = (size_t)op->outer * (size_t)op->columns;
    op->range = launch_range(op->ctx, items, nd_on_cpu(op->ctx) ? 4 : 64);
}

tess_status nd_softmax_create(tess_context *ctx, const struct nd_softmax_desc *desc,
                              struct nd_softmax **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "Softmax: desc or out is NULL; give both");
    const char *what = desc->log ? "LogSoftmax" : "Softmax";
    int axis = desc->axis;
    tess_status status = nd_shape_check(ctx, &desc->x, what);
    bool behind = desc->flat && axis == desc->x.rank;
    if (!status && !behind) status = nd_axis(ctx, desc->axis, desc->x.rank, what, &axis);
    if (status) return status;
    struct nd_softmax *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    op->ctx = ctx;
    op->what = what;
    find_extents(op, desc, axis);
    status = make_kernels(op, desc->log);
    if (status)
        nd_softmax_destroy(op);
    else
        *out = op;
    return status;
}

void nd_softmax_destroy(struct nd_softmax *op) {
    if (!op) return;
    kernel_release(op->forward);
    kernel_release(op->backward);
    free(op);
}

static size_t bytes_of(const struct nd_softmax *op) {
    return (size_t)op->outer * (size_t)op->size * (size_t)op->inner * sizeof(cl_float);
}

tess_status nd_softmax_forward(struct nd_softmax *op, cl_mem x, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    size_t bytes = bytes_of(op);
    tess_status status = nd_expect(op->ctx, x, bytes, op->what, "x");
    if (!status) status = nd_expect(op->ctx, y, bytes, op->what, "y");
    if (status || bytes == 0) return status;
    const struct kernel_arg args[] = {ARG_MEM(x),
                                      ARG_MEM(y),
                                      ARG_INT(op->outer),
                                      ARG_INT(op->size),
                                      ARG_INT(op->inner),
                                      ARG_INT(op->columns),
                                      ARG_ULONG(fastdiv(op->columns))};
    return kernel_enqueue(op->ctx, op->forward, &op->range, args, 7, op->what);
}

tess_status nd_softmax_backward(struct nd_softmax *op, cl_mem y, cl_mem dy, cl_mem dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    size_t bytes = bytes_of(op);
    tess_status status = nd_expect(op->ctx, y, bytes, op->what, "y");
    if (!status) status = nd_expect(op->ctx, dy, bytes, op->what, "dy");
    if (!status) status = nd_expect(op->ctx, dx, bytes, op->what, "dx");
    if (status || bytes == 0) return status;
    const struct kernel_arg args[] = {ARG_MEM(y),           ARG_MEM(dy),
                                      ARG_MEM(dx),          ARG_INT(op->outer),
                                      ARG_INT(op->size),    ARG_INT(op->inner),
                                      ARG_INT(op->columns), ARG_ULONG(fastdiv(op->columns))};
    return kernel_enqueue(op->ctx, op->backward, &op->range, args, 8, op->what);
}
