#include <stdlib.h>
#include <string.h>

#include "ops/nd/nd_copy.h"
#include "ops/nd/nd_taps.h"

static const char what[] = "Pad";

/* As in kernels_cl/nd_copy.cl. */
struct nd_padding {
    cl_int mode;
    cl_int before[ND_OUTER + 1], size[ND_OUTER + 1], stride[ND_OUTER + 1];
};

/* One direction with nd_pad. */
struct padding {
    tess_context *ctx;
    struct nd_walk_launch walk;
    cl_mem memory; /* struct nd_padding, owned */
    cl_kernel kernel;
};

struct nd_pad {
    tess_context *ctx;
    struct nd_pad_desc desc;
    struct nd_shape y;
    struct padding forward,
        backward;               /* backward: ND_PAD_CONSTANT, which cuts off what was padded */
    struct nd_taps_launch taps; /* backward: the other modes */
};

/* A dimension of y: source elements of x, `before` of them padded. */
struct pad_dim {
    int64_t y, x, before, stride;
};

/* Merges neighbours: without padding always; a padded dimension with following ones that are not, if the padding is constant. */
static int merge_dims(const struct nd_shape *x, const struct nd_shape *y, const int64_t *before,
                      bool constant, struct pad_dim dims[ND_MAX_RANK]) {
    int64_t strides[ND_MAX_RANK];
    int rank = 0;
    nd_strides(x, strides);
    for (int d = 0; d < x->rank; d++) {
        bool plain = before[d] == 0 && x->dims[d] == y->dims[d];
        struct pad_dim *last = rank > 0 ? &dims[rank - 1] : NULL;
        bool last_plain = last && last->before == 0 && last->x == last->y;
        if (plain && last && (last_plain || constant)) {
            last->y *= y->dims[d];
            last->x *= x->dims[d];
            last->before *= x->dims[d];
            last->stride = strides[d];
            continue;
        }
        dims[rank++] = (struct pad_dim){y->dims[d], x->dims[d], before[d], strides[d]};
    }
    if (rank == 0) dims[rank++] = (struct pad_dim){1, 1, 0, 1};
    return rank;
}

static tess_status padding_create(tess_context *ctx, const struct nd_shape *x,
                                  const struct nd_shape *y, const int64_t *before,
                                  enum nd_pad_mode mode, enum nd_dtype dtype, struct padding *out) {
    struct pad_dim dims[ND_MAX_RANK];
    struct nd_padding pad = {.mode = (cl_int)mode};
    int rank = merge_dims(x, y, before, mode == ND_PAD_CONSTANT, dims);
    struct nd_space space = {.rank = rank, .operands = 1};
    for (int d = 0; d < rank; d++) {
        int place = d == rank - 1 ? ND_OUTER : d;
        pad.before[place] = (cl_int)dims[d].before;
        pad.size[place] = (cl_int)dims[d].x;
        pad.stride[place] = (cl_int)dims[d].stride;
        space.dims[d] = dims[d].y;
    }
    struct program *program = NULL;
    tess_status status = nd_walk_create_as_is(ctx, &space, launch_vector(ctx), what, &out->walk);
    if (!status) status = nd_copy_program(ctx, dtype, &program);
    if (!status) status = program_kernel(ctx, program, "nd_pad", &out->kernel);
    if (!status) status = nd_upload(ctx, &pad, sizeof pad, what, &out->memory);
    return status;
}

static void padding_destroy(struct padding *padding) {
    nd_walk_destroy(&padding->walk);
    kernel_release(padding->kernel);
    context_buffer_release(padding->ctx, padding->memory, sizeof(struct nd_padding));
}

static tess_status check_desc(tess_context *ctx, const struct nd_pad_desc *desc,
                              struct nd_shape *y) {
    if ((unsigned)desc->mode > ND_PAD_REFLECT)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: there is no mode %d; use one of enum nd_pad_mode", what,
                            (int)desc->mode);
    tess_status status = nd_dtype_check(ctx, desc->dtype, desc->gradients, what);
    if (!status) status = nd_shape_check(ctx, &desc->x, what);
    if (status) return status;
    if (nd_dtype_bytes(desc->dtype) != 4)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "%s: elements of 4 bytes only; use another "
                            "dtype",
                            what);
    *y = desc->x;
    for (int d = 0; d < y->rank; d++) {
        int64_t before = desc->before[d], after = desc->after[d], most = INT32_MAX;
        bool constant = desc->mode == ND_PAD_CONSTANT;
        if (before < -most || before > most || after < -most || after > most)
            return context_fail(ctx, TESS_INVALID_SHAPE, "%s: more than 2^31 - 1 elements", what);
        if (!constant && (before < 0 || after < 0 || (y->dims[d] == 0 && before + after > 0)))
            return context_fail(ctx, TESS_INVALID_SHAPE,
                                "%s: dimension %d is empty or padded by less than 0; that needs "
                                "constant padding",
                                what, d);
        y->dims[d] += before + after;
    }
    return nd_shape_check(ctx, y, what);
}

/* x's coordinate for each of y's, as in kernels_cl/nd_copy.cl. */
static bool source_table(const struct nd_pad_desc *desc, int d, int y, struct nd_tap_table *out) {
    int size = (int)desc->x.dims[d], period = 2 * (size - 1);
    if (!nd_tap_table_alloc(out, size, y, y)) return false;
    for (int c = 0; c < y; c++) {
        int at = c - (int)desc->before[d];
        if (desc->mode == ND_PAD_EDGE || period == 0) {
            at = at < 0 ? 0 : at >= size ? size - 1 : at;
        } else {
            at = (at % period + period) % period;
            at = at < size ? at : period - at;
        }
        out->start[c + 1] = c + 1;
        out->index[c] = at;
        out->weight[c] = 1;
    }
    return true;
}

static tess_status make_taps(struct nd_pad *op) {
    struct nd_tap_table tables[ND_MAX_RANK] = {{0}};
    bool room = true;
    for (int d = 0; room && d < op->y.rank; d++) {
        struct nd_tap_table table;
        if (op->desc.before[d] == 0 && op->desc.after[d] == 0) continue;
        room = source_table(&op->desc, d, (int)op->y.dims[d], &table);
        if (!room) break;
        room = nd_tap_table_transpose(&table, &tables[d]);
        nd_tap_table_free(&table);
    }
    tess_status status = TESS_OK;
    if (room)
        status = nd_taps_create(op->ctx, &op->y, tables, what, &op->taps);
    else
        status = context_fail(op->ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    for (int d = 0; d < ND_MAX_RANK; d++)
        nd_tap_table_free(&tables[d]);
    return status;
}

static tess_status make_op(struct nd_pad *op) {
    tess_status status = padding_create(op->ctx, &op->desc.x, &op->y, op->desc.before,
                                        op->desc.mode, op->desc.dtype, &op->forward);
    if (status || !op->desc.gradients || nd_elements(&op->desc.x) == 0) return status;
    if (op->desc.mode != ND_PAD_CONSTANT) return make_taps(op);
    int64_t before[ND_MAX_RANK];
    for (int d = 0; d < ND_MAX_RANK; d++)
        before[d] = -op->desc.before[d];
    return padding_create(op->ctx, &op->y, &op->desc.x, before, ND_PAD_CONSTANT, op->desc.dtype,
                          &op->backward);
}

tess_status nd_pad_create(tess_context *ctx, const struct nd_pad_desc *desc, struct nd_pad **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: desc or out is NULL; give both", what);
    struct nd_shape y;
    tess_status status = check_desc(ctx, desc, &y);
    if (status) return status;
    struct nd_pad *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    op->ctx = op->forward.ctx = op->backward.ctx = op->taps.ctx = ctx;
    op->forward.walk.ctx = op->backward.walk.ctx = ctx;
    op->desc = *desc;
    op->y = y;
    status = make_op(op);
    if (status)
        nd_pad_destroy(op);
    else
        *out = op;
    return status;
}

void nd_pad_destroy(struct nd_pad *op) {
    if (!op) return;
    padding_destroy(&op->forward);
    padding_destroy(&op->backward);
    nd_taps_destroy(&op->taps);
    free(op);
}

const struct nd_shape *nd_pad_shape(const struct nd_pad *op) {
    return &op->y;
}

static tess_status enqueue(const struct padding *padding, float value, cl_mem x, cl_mem y) {
    if (!padding->walk.memory) return TESS_OK;
    cl_uint bits = 0;
    memcpy(&bits, &value, sizeof bits);
    const struct kernel_arg args[] = {ARG_MEM(padding->walk.memory), ARG_MEM(padding->memory),
                                      ARG_UINT(bits), ARG_MEM(x), ARG_MEM(y)};
    return kernel_enqueue(padding->ctx, padding->kernel, &padding->walk.range, args, 5, what);
}

tess_status nd_pad_forward(struct nd_pad *op, cl_mem x, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = nd_expect(op->ctx, x, (size_t)nd_elements(&op->desc.x) * 4, what, "x");
    if (!status) status = nd_expect(op->ctx, y, (size_t)nd_elements(&op->y) * 4, what, "y");
    if (status) return status;
    return enqueue(&op->forward, op->desc.dtype == ND_F32 ? op->desc.value : 0.0f, x, y);
}

tess_status nd_pad_backward(struct nd_pad *op, cl_mem dy, cl_mem dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!op->desc.gradients)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "%s: was made without gradients; ask for them in its desc", what);
    tess_status status = nd_expect(op->ctx, dy, (size_t)nd_elements(&op->y) * 4, what, "dy");
    if (!status) status = nd_expect(op->ctx, dx, (size_t)nd_elements(&op->desc.x) * 4, what, "dx");
    if (status || nd_elements(&op->desc.x) == 0) return status;
    if (op->taps.memory) return nd_taps_enqueue(&op->taps, dy, dx, what);
    return enqueue(&op->backward, 0.0f, dy, dx);
}
