#include "ops/eltwise.h"
#include "ops/expect.h"

/* See layout.cl. */
struct transpose {
    int batch, rows, columns;
    int from_batch, from_row, to_batch, to_row;
};

/* False if there is no such conversion. */
static bool describe(const tess_tensor_desc *desc, tess_layout from, tess_layout to,
                     struct transpose *out) {
    int area = desc->h * desc->w, c = desc->c, n = desc->n;
    struct transpose t;
    if (from == TESS_NHWC && to == TESS_NCHW)
        t = (struct transpose){n, area, c, area * c, c, area * c, area};
    else if (from == TESS_NCHW && to == TESS_NHWC)
        t = (struct transpose){n, c, area, area * c, area, area * c, c};
    else if (from == TESS_RSCK && to == TESS_NCHW)
        t = (struct transpose){c, area, n, n, c * n, area, c * area};
    else if (from == TESS_NCHW && to == TESS_RSCK)
        t = (struct transpose){c, n, area, area, c * area, n, c * n};
    else
        return false;
    *out = t;
    return true;
}

static size_t round_up(int value, int unit) {
    return ((size_t)value + (size_t)unit - 1) / (size_t)unit * (size_t)unit;
}

static tess_status enqueue(const tess_eltwise *op, const struct transpose *t, const tess_tensor *x,
                           const tess_tensor *y) {
    const struct kernel_arg args[] = {
        ARG_TENSOR(x),          ARG_TENSOR(y),        ARG_INT(t->rows),     ARG_INT(t->columns),
        ARG_INT(t->from_batch), ARG_INT(t->from_row), ARG_INT(t->to_batch), ARG_INT(t->to_row)};
    bool narrow = t->rows < op->tile || t->columns < op->tile;
    struct kernel_range range = {.dims = 3};
    if (narrow) {
        size_t local = t->rows < 64 ? 16 : 64;
        if (local > op->ctx->device.max_work_group) local = 1;
        range = (struct kernel_range){
            .dims = 3,
            .global = {round_up(t->rows, (int)local), (size_t)t->columns, (size_t)t->batch},
            .local = {local, 1, 1}};
    } else {
        size_t tile = (size_t)op->tile;
        range = (struct kernel_range){.dims = 3,
                                      .global = {round_up(t->columns, op->tile),
                                                 round_up(t->rows, op->tile), (size_t)t->batch},
                                      .local = {tile, tile, 1}};
    }
    return kernel_enqueue(op->ctx, narrow ? op->layout_narrow : op->layout_tiled, &range, args, 8,
                          "layout conversion");
}

tess_status tess_layout_convert(tess_eltwise *op, const tess_tensor *x, tess_tensor *y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!x || !y)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "layout conversion: x or y is NULL; give both");
    tess_tensor_desc desc = x->desc;
    desc.layout = y->desc.layout;
    tess_status status = expect_desc(op->ctx, y, &desc, "layout conversion: y");
    if (status) return status;
    if (x->mem == y->mem)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "layout conversion: x and y share their memory; use two tensors");
    struct transpose transpose;
    if (!describe(&x->desc, x->desc.layout, y->desc.layout, &transpose))
        return context_fail(op->ctx, TESS_UNSUPPORTED,
                            "layout conversion: only NHWC and RSCK, to or from NCHW; convert by "
                            "way of NCHW");
    return enqueue(op, &transpose, x, y);
}
