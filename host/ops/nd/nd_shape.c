#include <inttypes.h>
#include <limits.h>

#include "ops/nd/nd_walk.h"

int64_t nd_elements(const struct nd_shape *shape) {
    int64_t count = 1;
    for (int d = 0; d < shape->rank; d++)
        count *= shape->dims[d];
    return count;
}

bool nd_shape_equal(const struct nd_shape *a, const struct nd_shape *b) {
    if (a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dims[d] != b->dims[d]) return false;
    return true;
}

tess_status nd_shape_check(tess_context *ctx, const struct nd_shape *shape, const char *what) {
    if (!shape)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: the shape is NULL; give one", what);
    if (shape->rank < 0 || shape->rank > ND_MAX_RANK)
        return context_fail(ctx, TESS_INVALID_SHAPE, "%s: %d dimensions; use 0 to %d", what,
                            shape->rank, ND_MAX_RANK);
    int64_t count = 1; /* of the dimensions that are not 0: a limit on strides too */
    for (int d = 0; d < shape->rank; d++) {
        int64_t dim = shape->dims[d];
        if (dim < 0)
            return context_fail(ctx, TESS_INVALID_SHAPE,
                                "%s: dimension %d is %" PRId64 "; it must not be negative", what, d,
                                dim);
        if (dim > INT_MAX / count)
            return context_fail(ctx, TESS_INVALID_SHAPE,
                                "%s: more than 2^31 - 1 elements; use a smaller shape", what);
        if (dim > 0) count *= dim;
    }
    return TESS_OK;
}

tess_status nd_broadcast(tess_context *ctx, const struct nd_shape *a, const struct nd_shape *b,
                         const char *what, struct nd_shape *out) {
    struct nd_shape y = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int d = 1; d <= y.rank; d++) {
        int64_t of_a = d <= a->rank ? a->dims[a->rank - d] : 1;
        int64_t of_b = d <= b->rank ? b->dims[b->rank - d] : 1;
        if (of_a != of_b && of_a != 1 && of_b != 1)
            return context_fail(ctx, TESS_INVALID_SHAPE,
                                "%s: dimension %d from the end is %" PRId64 " and %" PRId64
                                "; they must be equal, or one of them 1",
                                what, d, of_a, of_b);
        y.dims[y.rank - d] = of_a == 1 ? of_b : of_a;
    }
    tess_status status = nd_shape_check(ctx, &y, what);
    if (status) return status;
    *out = y;
    return TESS_OK;
}

tess_status nd_axis(tess_context *ctx, int axis, int rank, const char *what, int *out) {
    if (axis < -rank || axis >= rank)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: axis %d of a tensor with %d dimensions; use one from %d to %d",
                            what, axis, rank, -rank, rank - 1);
    *out = axis < 0 ? axis + rank : axis;
    return TESS_OK;
}

tess_status nd_expect(tess_context *ctx, cl_mem mem, size_t bytes, const char *what,
                      const char *name) {
    if (bytes == 0) return TESS_OK;
    if (!mem)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: %s is NULL; give a buffer of at least %zu bytes", what, name,
                            bytes);
    size_t have = 0;
    cl_int code = clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof have, &have, NULL);
    if (code != CL_SUCCESS) return context_fail_opencl(ctx, code, what);
    if (have >= bytes) return TESS_OK;
    return context_fail(ctx, TESS_INVALID_SHAPE, "%s: %s has %zu bytes; give at least %zu", what,
                        name, have, bytes);
}
