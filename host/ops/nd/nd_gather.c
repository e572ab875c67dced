#include <stdlib.h>

#include "ops/nd/nd_select.h"

static const char what[] = "Gather";

struct nd_gather {
    tess_context *ctx;
    struct nd_gather_desc desc;
    struct nd_shape y;
    struct nd_extents x; /* around the axis */
    cl_int picks, count, chunk;
    cl_int columns, items; /* of backward: vectors along inner, and all */
    struct kernel_range forward_range, backward_range;
    cl_kernel forward, backward;
};

static tess_status check_desc(tess_context *ctx, const struct nd_gather_desc *desc, int *axis,
                              struct nd_shape *y) {
    tess_status status = nd_dtype_check(ctx, desc->dtype, desc->gradients, what);
    if (!status) status = nd_shape_check(ctx, &desc->x, what);
    if (!status) status = nd_shape_check(ctx, &desc->indices, what);
    if (!status) status = nd_axis(ctx, desc->axis, desc->x.rank, what, axis);
    if (status) return status;
    if (desc->index != ND_I64 && desc->index != ND_I32)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: indices are ND_I64 or ND_I32", what);
    int rank = desc->x.rank - 1 + desc->indices.rank;
    if (rank > ND_MAX_RANK)
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "%s: the result would have %d dimensions; at "
                            "most %d",
                            what, rank, ND_MAX_RANK);
    *y = (struct nd_shape){0};
    for (int d = 0; d < *axis; d++)
        y->dims[y->rank++] = desc->x.dims[d];
    for (int d = 0; d < desc->indices.rank; d++)
        y->dims[y->rank++] = desc->indices.dims[d];
    for (int d = *axis + 1; d < desc->x.rank; d++)
        y->dims[y->rank++] = desc->x.dims[d];
    return nd_shape_check(ctx, y, what);
}

static tess_status make_op(struct nd_gather *op) {
    tess_context *ctx = op->ctx;
    int vector = launch_vector(ctx);
    op->count = (cl_int)nd_elements(&op->y);
    op->picks = (cl_int)nd_elements(&op->desc.indices);
    op->chunk = nd_chunk(ctx, op->count, vector);
    op->forward_range = nd_chunk_range(ctx, op->count, op->chunk);
    op->columns = (op->x.inner + vector - 1) / vector;
    op->items = op->x.outer * op->x.size * op->columns;
    op->backward_range = launch_range(ctx, (size_t)op->items, nd_on_cpu(ctx) ? 8 : 64);
    tess_status status =
        nd_select_kernel(ctx, op->desc.dtype, op->desc.index, "nd_gather_fwd", &op->forward);
    if (status || !op->desc.gradients) return status;
    return nd_select_kernel(ctx, op->desc.dtype, op->desc.index, "nd_gather_bwd", &op->backward);
}

tess_status nd_gather_create(tess_context *ctx, const struct nd_gather_desc *desc,
                             struct nd_gather **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: desc or out is NULL; give both", what);
    struct nd_shape y;
    int axis = 0;
    tess_status status = check_desc(ctx, desc, &axis, &y);
    if (status) return status;
    struct nd_gather *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    op->ctx = ctx;
    op->desc = *desc;
    op->y = y;
    op->x = nd_extents_of(&desc->x, axis);
    status = make_op(op);
    if (status)
        nd_gather_destroy(op);
    else
        *out = op;
    return status;
}

void nd_gather_destroy(struct nd_gather *op) {
    if (!op) return;
    kernel_release(op->forward);
    kernel_release(op->backward);
    free(op);
}

const struct nd_shape *nd_gather_shape(const struct nd_gather *op) {
    return &op->y;
}

static tess_status check(struct nd_gather *op, cl_mem x, cl_mem indices, cl_mem y) {
    size_t bytes = nd_dtype_bytes(op->desc.dtype);
    tess_status status =
        nd_expect(op->ctx, x, (size_t)nd_elements(&op->desc.x) * bytes, what, "x or dx");
    if (!status)
        status = nd_expect(op->ctx, indices, (size_t)op->picks * nd_dtype_bytes(op->desc.index),
                           what, "the indices");
    if (!status) status = nd_expect(op->ctx, y, (size_t)op->count * bytes, what, "y or dy");
    return status;
}

tess_status nd_gather_forward(struct nd_gather *op, cl_mem x, cl_mem indices, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check(op, x, indices, y);
    if (status || op->count == 0) return status;
    const struct kernel_arg args[] = {ARG_MEM(x),
                                      ARG_MEM(indices),
                                      ARG_MEM(y),
                                      ARG_INT(op->count),
                                      ARG_INT(op->chunk),
                                      ARG_INT(op->x.size),
                                      ARG_INT(op->picks),
                                      ARG_INT(op->x.inner),
                                      ARG_ULONG(fastdiv(op->picks)),
                                      ARG_ULONG(fastdiv(op->x.inner))};
    return kernel_enqueue(op->ctx, op->forward, &op->forward_range, args, 10, what);
}

tess_status nd_gather_backward(struct nd_gather *op, cl_mem dy, cl_mem indices, cl_mem dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!op->backward)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "%s: was made without gradients; ask for them in its desc", what);
    tess_status status = check(op, dx, indices, dy);
    if (status || op->items == 0) return status;
    const struct kernel_arg args[] = {ARG_MEM(dy),
                                      ARG_MEM(indices),
                                      ARG_MEM(dx),
                                      ARG_INT(op->items),
                                      ARG_INT(op->columns),
                                      ARG_INT(op->x.size),
                                      ARG_INT(op->picks),
                                      ARG_INT(op->x.inner),
                                      ARG_ULONG(fastdiv(op->columns)),
                                      ARG_ULONG(fastdiv(op->x.size))};
    return kernel_enqueue(op->ctx, op->backward, &op->backward_range, args, 10, what);
}
