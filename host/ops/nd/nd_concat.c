#include <stdlib.h>

#include "ops/nd/nd_copy.h"

static const char what[] = "Concat";

struct part {
    size_t bytes;
    struct nd_copy join, split;
};

struct nd_concat {
    tess_context *ctx;
    struct nd_shape whole;
    size_t bytes;
    int count;
    struct part *parts;
};

static tess_status find_whole(tess_context *ctx, int axis, const struct nd_shape *parts, int count,
                              struct nd_shape *whole) {
    struct nd_shape sum = parts[0];
    for (int i = 0; i < count; i++) {
        tess_status status = nd_shape_check(ctx, &parts[i], what);
        if (status) return status;
        bool fits = parts[i].rank == sum.rank;
        for (int d = 0; fits && d < sum.rank; d++)
            fits = d == axis || parts[i].dims[d] == sum.dims[d];
        if (!fits)
            return context_fail(ctx, TESS_INVALID_SHAPE,
                                "%s: part %d differs from part 0 elsewhere than along axis %d; "
                                "make them equal",
                                what, i, axis);
        if (i > 0) sum.dims[axis] += parts[i].dims[axis];
        status = nd_shape_check(ctx, &sum, what);
        if (status) return status;
    }
    *whole = sum;
    return TESS_OK;
}

static tess_status make_part(struct nd_concat *op, int index, int axis, int64_t first,
                             const struct nd_shape *shape, enum nd_dtype dtype) {
    struct part *part = &op->parts[index];
    struct nd_space join = nd_space_of(shape), split;
    int64_t strides[ND_MAX_RANK];
    nd_space_add(&join, shape);
    nd_strides(&op->whole, strides);
    join.operands = 2;
    split = join;
    for (int d = 0; d < shape->rank; d++) {
        join.stride[1][d] = split.stride[0][d] = strides[d];
        split.stride[1][d] = join.stride[0][d];
    }
    join.start[1] = split.start[0] = first * strides[axis];
    part->bytes = (size_t)nd_elements(shape) * nd_dtype_bytes(dtype);
    tess_status status = nd_copy_create(op->ctx, &join, dtype, what, &part->join);
    if (!status) status = nd_copy_create(op->ctx, &split, dtype, what, &part->split);
    return status;
}

tess_status nd_concat_create(tess_context *ctx, enum nd_dtype dtype, int axis,
                             const struct nd_shape *parts, int count, struct nd_concat **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!parts || !out || count < 1)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: parts or out is NULL, or there is no part; give one", what);
    struct nd_shape whole;
    int at = 0;
    tess_status status = nd_dtype_check(ctx, dtype, false, what);
    if (!status) status = nd_shape_check(ctx, &parts[0], what);
    if (!status) status = nd_axis(ctx, axis, parts[0].rank, what, &at);
    if (!status) status = find_whole(ctx, at, parts, count, &whole);
    if (status) return status;
    struct nd_concat *op = calloc(1, sizeof *op);
    struct part *memory = calloc((size_t)count, sizeof *memory);
    if (!op || !memory) {
        free(op);
        free(memory);
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    }
    *op = (struct nd_concat){.ctx = ctx, .whole = whole, .count = count, .parts = memory};
    op->bytes = (size_t)nd_elements(&whole) * nd_dtype_bytes(dtype);
    int64_t first = 0;
    for (int i = 0; i < count; i++)
        op->parts[i].join.ctx = op->parts[i].split.ctx = ctx;
    for (int i = 0; !status && i < count; i++) {
        status = make_part(op, i, at, first, &parts[i], dtype);
        first += parts[i].dims[at];
    }
    if (status)
        nd_concat_destroy(op);
    else
        *out = op;
    return status;
}

void nd_concat_destroy(struct nd_concat *op) {
    if (!op) return;
    for (int i = 0; i < op->count; i++) {
        nd_copy_destroy(&op->parts[i].join);
        nd_copy_destroy(&op->parts[i].split);
    }
    free(op->parts);
    free(op);
}

const struct nd_shape *nd_concat_shape(const struct nd_concat *op) {
    return &op->whole;
}

tess_status nd_concat_join(struct nd_concat *op, const cl_mem *parts, cl_mem whole) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!parts) return context_fail(op->ctx, TESS_INVALID_ARGUMENT, "%s: parts is NULL", what);
    tess_status status = nd_expect(op->ctx, whole, op->bytes, what, "the whole");
    for (int i = 0; !status && i < op->count; i++)
        status = nd_expect(op->ctx, parts[i], op->parts[i].bytes, what, "a part");
    for (int i = 0; !status && i < op->count; i++)
        status = nd_copy_enqueue(&op->parts[i].join, parts[i], whole, what);
    return status;
}

tess_status nd_concat_split(struct nd_concat *op, cl_mem whole, const cl_mem *parts) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!parts) return context_fail(op->ctx, TESS_INVALID_ARGUMENT, "Split: parts is NULL");
    tess_status status = nd_expect(op->ctx, whole, op->bytes, "Split", "the whole");
    for (int i = 0; !status && i < op->count; i++)
        status = nd_expect(op->ctx, parts[i], parts[i] ? op->parts[i].bytes : 0, "Split", "a part");
    for (int i = 0; !status && i < op->count; i++)
        if (parts[i]) status = nd_copy_enqueue(&op->parts[i].split, whole, parts[i], "Split");
    return status;
}
