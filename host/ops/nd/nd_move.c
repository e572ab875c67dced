#include <limits.h>
#include <stdlib.h>

#include "ops/nd/nd_copy.h"
#include "ops/nd/nd_reduce_core.h"

struct nd_move {
    tess_context *ctx;
    const char *what;
    enum nd_dtype dtype;
    struct nd_shape x, y;
    struct nd_copy forward;
    bool gradients;
    struct nd_copy backward; /* Transpose and Slice */
    cl_kernel clear;         /* Slice: dx becomes 0 before dy is copied into it */
    cl_int clear_chunk;
    struct kernel_range clear_range;
    struct nd_reduce_core sum; /* Expand and Tile */
};

static tess_status begin(tess_context *ctx, enum nd_dtype dtype, const struct nd_shape *x,
                         bool gradients, const char *what, struct nd_move **out) {
    tess_status status = nd_dtype_check(ctx, dtype, gradients, what);
    if (!status) status = nd_shape_check(ctx, x, what);
    if (status) return status;
    struct nd_move *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    op->ctx = op->forward.ctx = op->backward.ctx = op->sum.ctx = ctx;
    op->what = what;
    op->dtype = dtype;
    op->x = *x;
    op->gradients = gradients;
    *out = op;
    return TESS_OK;
}

/* Hands op over, or ends it. */
static tess_status end(struct nd_move *op, tess_status status, struct nd_move **out) {
    if (status)
        nd_move_destroy(op);
    else
        *out = op;
    return status;
}

static tess_status null_argument(tess_context *ctx, const char *what) {
    return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: an argument is NULL; give it", what);
}

static void swap_operands(struct nd_space *space) {
    for (int d = 0; d < space->rank; d++) {
        int64_t stride = space->stride[0][d];
        space->stride[0][d] = space->stride[1][d];
        space->stride[1][d] = stride;
    }
    int64_t start = space->start[0];
    space->start[0] = space->start[1];
    space->start[1] = start;
}

static tess_status check_perm(tess_context *ctx, const int *perm, int rank) {
    bool used[ND_MAX_RANK] = {false};
    for (int d = 0; d < rank; d++) {
        if (perm[d] < 0 || perm[d] >= rank || used[perm[d]])
            return context_fail(ctx, TESS_INVALID_ARGUMENT,
                                "Transpose: perm[%d] is %d; give each of 0 to %d once", d, perm[d],
                                rank - 1);
        used[perm[d]] = true;
    }
    return TESS_OK;
}

tess_status nd_transpose_create(tess_context *ctx, enum nd_dtype dtype, const struct nd_shape *x,
                                const int *perm, bool gradients, struct nd_move **out) {
    static const char what[] = "Transpose";
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out) return null_argument(ctx, what);
    struct nd_move *op = NULL;
    tess_status status = begin(ctx, dtype, x, gradients, what, &op);
    if (status) return status;
    int reversed[ND_MAX_RANK];
    for (int d = 0; d < x->rank; d++)
        reversed[d] = x->rank - 1 - d;
    if (!perm) perm = reversed;
    status = check_perm(ctx, perm, x->rank);
    if (status) return end(op, status, out);
    int64_t strides[ND_MAX_RANK];
    nd_strides(x, strides);
    struct nd_space there = {.rank = x->rank, .operands = 2}, back = {.rank = x->rank};
    op->y.rank = x->rank;
    for (int d = 0; d < x->rank; d++) {
        there.dims[d] = op->y.dims[d] = x->dims[perm[d]];
        there.stride[0][d] = strides[perm[d]];
    }
    nd_strides(&op->y, there.stride[1]);
    /* Back: in the order of dx's dimensions, so that it is dx that is written one row after the other. */
    back.operands = 2;
    for (int d = 0; d < x->rank; d++) {
        back.dims[perm[d]] = there.dims[d];
        back.stride[0][perm[d]] = there.stride[1][d];
        back.stride[1][perm[d]] = there.stride[0][d];
    }
    status = nd_copy_create(ctx, &there, dtype, what, &op->forward);
    if (!status && gradients) status = nd_copy_create(ctx, &back, dtype, what, &op->backward);
    return end(op, status, out);
}

/* One axis of a slice, limited as ONNX says: fills first, the first index, step, and count. */
static void slice_axis(int64_t dim, int64_t start, int64_t stop, int64_t *first, int64_t *step,
                       int64_t *count) {
    if (*step > INT_MAX) *step = INT_MAX;
    if (*step < -INT_MAX) *step = -INT_MAX;
    int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? dim - 1 : dim;
    if (start < 0) start += dim;
    if (stop < 0) stop += dim;
    start = start < 0 ? 0 : start;
    start = start > high ? high : start;
    stop = stop < low ? low : stop > high ? high : stop;
    *first = start;
    *count = 0;
    if (*step > 0 && stop > start) *count = (stop - start - 1) / *step + 1;
    if (*step < 0 && start > stop) *count = (start - stop - 1) / -*step + 1;
}

static tess_status slice_space(tess_context *ctx, const struct nd_slice_desc *desc,
                               struct nd_shape *y, struct nd_space *space) {
    bool used[ND_MAX_RANK] = {false};
    int64_t strides[ND_MAX_RANK];
    nd_strides(&desc->x, strides);
    *space = (struct nd_space){.rank = desc->x.rank, .operands = 2};
    *y = desc->x;
    for (int d = 0; d < desc->x.rank; d++)
        space->stride[0][d] = strides[d];
    for (int i = 0; i < desc->axis_count; i++) {
        int axis = 0;
        int64_t first = 0, step = desc->steps[i];
        tess_status status = nd_axis(ctx, desc->axes[i], desc->x.rank, "Slice", &axis);
        if (status) return status;
        if (used[axis] || step == 0)
            return context_fail(ctx, TESS_INVALID_ARGUMENT,
                                "Slice: axis %d twice, or its step is 0; give it once, and "
                                "another step",
                                axis);
        used[axis] = true;
        slice_axis(desc->x.dims[axis], desc->starts[i], desc->ends[i], &first, &step,
                   &y->dims[axis]);
        space->start[0] += first * strides[axis];
        space->stride[0][axis] = step * strides[axis];
    }
    for (int d = 0; d < desc->x.rank; d++)
        space->dims[d] = y->dims[d];
    nd_strides(y, space->stride[1]);
    return TESS_OK;
}

static tess_status make_slice_backward(struct nd_move *op, const struct nd_space *space) {
    struct nd_space back = *space;
    struct program *program = NULL;
    int64_t count = nd_elements(&op->x);
    swap_operands(&back);
    tess_status status = nd_copy_create(op->ctx, &back, op->dtype, op->what, &op->backward);
    if (!status) status = nd_copy_program(op->ctx, op->dtype, &program);
    if (!status) status = program_kernel(op->ctx, program, "nd_fill", &op->clear);
    op->clear_chunk = nd_chunk(op->ctx, count, launch_vector(op->ctx));
    op->clear_range = nd_chunk_range(op->ctx, count, op->clear_chunk);
    return status;
}

tess_status nd_slice_create(tess_context *ctx, const struct nd_slice_desc *desc,
                            struct nd_move **out) {
    static const char what[] = "Slice";
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out) return null_argument(ctx, what);
    struct nd_move *op = NULL;
    tess_status status = begin(ctx, desc->dtype, &desc->x, desc->gradients, what, &op);
    if (status) return status;
    struct nd_space space;
    if (desc->axis_count < 0 || desc->axis_count > desc->x.rank)
        status = context_fail(ctx, TESS_INVALID_ARGUMENT,
                              "Slice: %d axes of a tensor with %d dimensions; give each at most "
                              "once",
                              desc->axis_count, desc->x.rank);
    if (!status) status = slice_space(ctx, desc, &op->y, &space);
    if (!status) status = nd_copy_create(ctx, &space, desc->dtype, what, &op->forward);
    if (!status && desc->gradients) status = make_slice_backward(op, &space);
    return end(op, status, out);
}

tess_status nd_expand_create(tess_context *ctx, enum nd_dtype dtype, const struct nd_shape *x,
                             const struct nd_shape *shape, bool gradients, struct nd_move **out) {
    static const char what[] = "Expand";
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out) return null_argument(ctx, what);
    struct nd_move *op = NULL;
    tess_status status = begin(ctx, dtype, x, gradients, what, &op);
    if (status) return status;
    status = nd_shape_check(ctx, shape, what);
    if (!status) status = nd_broadcast(ctx, x, shape, what, &op->y);
    if (status) return end(op, status, out);
    struct nd_space space = nd_space_of(&op->y);
    nd_space_add(&space, x);
    nd_space_add(&space, &op->y);
    status = nd_copy_create(ctx, &space, dtype, what, &op->forward);
    if (!status && gradients && nd_elements(x) > 0) {
        struct nd_reduce_core_desc desc = {.rank = op->y.rank, .what = what};
        int missing = op->y.rank - x->rank;
        for (int d = 0; d < op->y.rank; d++) {
            desc.dims[d] = op->y.dims[d];
            desc.reduced[d] = d < missing || x->dims[d - missing] != op->y.dims[d];
        }
        status = nd_reduce_core_create(ctx, &desc, &op->sum);
    }
    return end(op, status, out);
}

/* Each dimension in two: the repeats, and x's. */
static void tile_space(const struct nd_shape *x, const struct nd_shape *y, const int64_t *repeats,
                       struct nd_space *space, struct nd_reduce_core_desc *sum) {
    int64_t x_strides[ND_MAX_RANK], y_strides[ND_MAX_RANK];
    nd_strides(x, x_strides);
    nd_strides(y, y_strides);
    *space = (struct nd_space){.rank = 2 * x->rank, .operands = 2};
    *sum = (struct nd_reduce_core_desc){.rank = 2 * x->rank, .what = "Tile"};
    for (int d = 0; d < x->rank; d++) {
        space->dims[2 * d] = sum->dims[2 * d] = repeats[d];
        space->dims[2 * d + 1] = sum->dims[2 * d + 1] = x->dims[d];
        space->stride[0][2 * d + 1] = x_strides[d];
        space->stride[1][2 * d] = y_strides[d] * x->dims[d];
        space->stride[1][2 * d + 1] = y_strides[d];
        sum->reduced[2 * d] = true;
    }
}

tess_status nd_tile_create(tess_context *ctx, enum nd_dtype dtype, const struct nd_shape *x,
                           const int64_t *repeats, bool gradients, struct nd_move **out) {
    static const char what[] = "Tile";
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out || !repeats) return null_argument(ctx, what);
    struct nd_move *op = NULL;
    tess_status status = begin(ctx, dtype, x, gradients, what, &op);
    if (status) return status;
    op->y = *x;
    for (int d = 0; !status && d < x->rank; d++) {
        if (repeats[d] < 0 || repeats[d] > INT_MAX)
            status = context_fail(ctx, TESS_INVALID_ARGUMENT,
                                  "Tile: %lld repeats; give 0 to 2^31 - 1", (long long)repeats[d]);
        else
            op->y.dims[d] *= repeats[d];
    }
    if (!status) status = nd_shape_check(ctx, &op->y, what);
    if (status) return end(op, status, out);
    struct nd_space space;
    struct nd_reduce_core_desc sum;
    tile_space(x, &op->y, repeats, &space, &sum);
    status = nd_copy_create(ctx, &space, dtype, what, &op->forward);
    if (!status && gradients && nd_elements(x) > 0)
        status = nd_reduce_core_create(ctx, &sum, &op->sum);
    return end(op, status, out);
}

void nd_move_destroy(struct nd_move *op) {
    if (!op) return;
    nd_copy_destroy(&op->forward);
    nd_copy_destroy(&op->backward);
    nd_reduce_core_destroy(&op->sum);
    kernel_release(op->clear);
    free(op);
}

const struct nd_shape *nd_move_shape(const struct nd_move *op) {
    return &op->y;
}

static size_t bytes_of(const struct nd_move *op, const struct nd_shape *shape) {
    return (size_t)nd_elements(shape) * nd_dtype_bytes(op->dtype);
}

tess_status nd_move_forward(struct nd_move *op, cl_mem x, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = nd_expect(op->ctx, x, bytes_of(op, &op->x), op->what, "x");
    if (!status) status = nd_expect(op->ctx, y, bytes_of(op, &op->y), op->what, "y");
    if (status) return status;
    return nd_copy_enqueue(&op->forward, x, y, op->what);
}

size_t nd_move_workspace(const struct nd_move *op) {
    return op ? op->sum.partials * sizeof(cl_float) : 0;
}

tess_status nd_move_backward(struct nd_move *op, cl_mem dy, cl_mem dx, cl_mem workspace) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_context *ctx = op->ctx;
    if (!op->gradients)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: was made without gradients; ask for them", op->what);
    tess_status status = nd_expect(ctx, dy, bytes_of(op, &op->y), op->what, "dy");
    if (!status) status = nd_expect(ctx, dx, bytes_of(op, &op->x), op->what, "dx");
    if (!status)
        status = nd_expect(ctx, workspace, nd_move_workspace(op), op->what, "the workspace");
    if (status || nd_elements(&op->x) == 0) return status;
    if (op->sum.first.memory)
        return nd_reduce_core_enqueue(
            &op->sum,
            &(struct nd_reduce_core_args){.x = dy, .y = dx, .workspace = workspace, .scale = 1},
            op->what);
    if (op->clear) {
        const struct kernel_arg args[] = {ARG_UINT(0), ARG_MEM(dx),
                                          ARG_INT((cl_int)nd_elements(&op->x)),
                                          ARG_INT(op->clear_chunk)};
        status = kernel_enqueue(ctx, op->clear, &op->clear_range, args, 4, op->what);
        if (status) return status;
    }
    return nd_copy_enqueue(&op->backward, dy, dx, op->what);
}
