#include <stdlib.h>

#include "ops/nd/nd_select.h"

struct nd_arg {
    tess_context *ctx;
    struct nd_arg_desc desc;
    struct nd_shape y;
    struct nd_extents x; /* around the axis */
    cl_int count;
    struct kernel_range range;
    cl_kernel kernel;
};

static const char *name_of(const struct nd_arg_desc *desc) {
    return desc->smallest ? "ArgMin" : "ArgMax";
}

tess_status nd_arg_create(tess_context *ctx, const struct nd_arg_desc *desc, struct nd_arg **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "ArgMax: desc or out is NULL; give both");
    const char *what = name_of(desc);
    int axis = 0;
    tess_status status = nd_shape_check(ctx, &desc->x, what);
    if (!status) status = nd_axis(ctx, desc->axis, desc->x.rank, what, &axis);
    if (status) return status;
    if (desc->x.dims[axis] == 0)
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "%s: dimension %d has no elements; give it at least one", what, axis);
    struct nd_arg *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    op->ctx = ctx;
    op->desc = *desc;
    op->x = nd_extents_of(&desc->x, axis);
    for (int d = 0; d < desc->x.rank; d++)
        if (d != axis || !desc->drop_dims)
            op->y.dims[op->y.rank++] = d == axis ? 1 : desc->x.dims[d];
    op->count = op->x.outer * op->x.inner;
    op->range = launch_range(ctx, (size_t)op->count, nd_on_cpu(ctx) ? 8 : 64);
    status = nd_select_kernel(ctx, ND_F32, ND_I64, "nd_arg", &op->kernel);
    if (status)
        nd_arg_destroy(op);
    else
        *out = op;
    return status;
}

void nd_arg_destroy(struct nd_arg *op) {
    if (!op) return;
    kernel_release(op->kernel);
    free(op);
}

const struct nd_shape *nd_arg_shape(const struct nd_arg *op) {
    return &op->y;
}

tess_status nd_arg_forward(struct nd_arg *op, cl_mem x, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    const char *what = name_of(&op->desc);
    tess_status status = nd_expect(op->ctx, x, (size_t)nd_elements(&op->desc.x) * 4, what, "x");
    if (!status) status = nd_expect(op->ctx, y, (size_t)op->count * 8, what, "y");
    if (status || op->count == 0) return status;
    const struct kernel_arg args[] = {ARG_MEM(x),
                                      ARG_MEM(y),
                                      ARG_INT(op->count),
                                      ARG_INT(op->x.size),
                                      ARG_INT(op->x.inner),
                                      ARG_ULONG(fastdiv(op->x.inner)),
                                      ARG_FLOAT(op->desc.smallest ? -1.0f : 1.0f),
                                      ARG_INT(op->desc.last)};
    return kernel_enqueue(op->ctx, op->kernel, &op->range, args, 8, what);
}
