#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/nd/nd_taps.h"

static const char what[] = "Resize";

struct nd_resize {
    tess_context *ctx;
    struct nd_resize_desc desc;
    struct nd_shape y;
    double scale[ND_MAX_RANK];
    bool empty;
    struct nd_taps_launch forward, backward;
};

/* y, and the scale of each dimension: as given, or exactly Y / X. */
static tess_status complete(tess_context *ctx, const struct nd_resize_desc *desc,
                            struct nd_shape *y, double scale[ND_MAX_RANK]) {
    bool by_size = false;
    tess_status status = nd_shape_check(ctx, &desc->x, what);
    if (status) return status;
    for (int d = 0; d < desc->x.rank; d++)
        by_size = by_size || desc->sizes[d] != 0;
    *y = desc->x;
    for (int d = 0; d < y->rank; d++) {
        int64_t x = desc->x.dims[d];
        float given = desc->scales[d];
        if (!(given >= 0.0f && given <= 1e9f) || (!by_size && given == 0.0f))
            return context_fail(ctx, TESS_INVALID_ARGUMENT,
                                "%s: the scale of dimension %d is %g; give a positive one, or "
                                "sizes",
                                what, d, (double)given);
        y->dims[d] = by_size ? desc->sizes[d] : (int64_t)floor((double)x * (double)given);
        if ((x == 0) != (y->dims[d] == 0))
            return context_fail(ctx, TESS_INVALID_SHAPE,
                                "%s: dimension %d would become empty, or is; change its scale or "
                                "size",
                                what, d);
        scale[d] = given != 0.0f ? (double)given : x > 0 ? (double)y->dims[d] / (double)x : 1;
    }
    return nd_shape_check(ctx, y, what);
}

/* y's length before it is rounded down. A scale from sizes gives the size, but for float's rounding. */
static double length_of(double scale, int64_t x, int64_t y) {
    double length = scale * (double)x;
    return fabs(length - (double)y) <= 1e-6 * (double)y ? (double)y : length;
}

/* Where y's coordinate c of Y lies in x, which has X. */
static double source_of(const struct nd_resize_desc *desc, double scale, int64_t x, int64_t y,
                        int64_t c) {
    switch (desc->coordinates) {
    case ND_ASYMMETRIC:
        return (double)c / scale;
    case ND_ALIGN_CORNERS:
        return y > 1 ? (double)(c * (x - 1)) / (length_of(scale, x, y) - 1) : 0;
    case ND_PYTORCH_HALF_PIXEL:
        if (y == 1) return 0;
        return ((double)c + 0.5) / scale - 0.5;
    default:
        return ((double)c + 0.5) / scale - 0.5;
    }
}

static double round_by(enum nd_rounding rounding, double at) {
    switch (rounding) {
    case ND_ROUND_PREFER_CEIL:
        return floor(at + 0.5);
    case ND_FLOOR_DOWN:
        return floor(at);
    case ND_CEIL_UP:
        return ceil(at);
    default:
        return ceil(at - 0.5);
    }
}

static int limit(double at, int64_t size) {
    return at < 0 ? 0 : at > (double)(size - 1) ? (int)(size - 1) : (int)at;
}

/* The taps of dimension d: one, or two with weights that add up to 1. */
static bool fill_table(const struct nd_resize *op, int d, struct nd_tap_table *out) {
    const struct nd_resize_desc *desc = &op->desc;
    int64_t x = desc->x.dims[d], y = op->y.dims[d];
    int tap = 0;
    if (!nd_tap_table_alloc(out, (int)x, (int)y, (int)(2 * y))) return false;
    for (int64_t c = 0; c < y; c++) {
        double at = source_of(desc, op->scale[d], x, y, c);
        if (desc->mode == ND_NEAREST) {
            out->index[tap] = limit(round_by(desc->rounding, at), x);
            out->weight[tap++] = 1;
        } else {
            double part = at - floor(at);
            int low = limit(floor(at), x), high = limit(floor(at) + 1, x);
            out->index[tap] = low;
            out->weight[tap++] = low == high ? 1 : (float)(1 - part);
            if (low != high && part > 0) {
                out->index[tap] = high;
                out->weight[tap++] = (float)part;
            }
        }
        out->start[c + 1] = tap;
    }
    return true;
}

static tess_status make_op(struct nd_resize *op) {
    struct nd_tap_table there[ND_MAX_RANK] = {{0}}, back[ND_MAX_RANK] = {{0}};
    bool room = true;
    for (int d = 0; room && d < op->y.rank; d++) {
        bool plain = op->y.dims[d] == op->desc.x.dims[d] && op->scale[d] == 1;
        if (plain) continue;
        room = fill_table(op, d, &there[d]);
        if (room && op->desc.gradients) room = nd_tap_table_transpose(&there[d], &back[d]);
    }
    tess_status status = TESS_OK;
    if (!room) status = context_fail(op->ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", what);
    if (!status) status = nd_taps_create(op->ctx, &op->desc.x, there, what, &op->forward);
    if (!status && op->desc.gradients)
        status = nd_taps_create(op->ctx, &op->y, back, what, &op->backward);
    for (int d = 0; d < ND_MAX_RANK; d++) {
        nd_tap_table_free(&there[d]);
        nd_tap_table_free(&back[d]);
    }
    return status;
}

tess_status nd_resize_create(tess_context *ctx, const struct nd_resize_desc *desc,
                             struct nd_resize **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: desc or out is NULL; give both", what);
    if ((unsigned)desc->mode > ND_LINEAR || (unsigned)desc->coordinates > ND_PYTORCH_HALF_PIXEL ||
        (unsigned)desc->rounding > ND_CEIL_UP)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: mode %d, coordinates %d or rounding %d is unknown; use the enums",
                            what, (int)desc->mode, (int)desc->coordinates, (int)desc->rounding);
    struct nd_shape y;
    double scale[ND_MAX_RANK] = {0};
    tess_status status = complete(ctx, desc, &y, scale);
    if (status) return status;
    struct nd_resize *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    op->ctx = op->forward.ctx = op->backward.ctx = ctx;
    op->desc = *desc;
    op->y = y;
    op->empty = nd_elements(&y) == 0;
    memcpy(op->scale, scale, sizeof scale);
    if (!op->empty) status = make_op(op);
    if (status)
        nd_resize_destroy(op);
    else
        *out = op;
    return status;
}

void nd_resize_destroy(struct nd_resize *op) {
    if (!op) return;
    nd_taps_destroy(&op->forward);
    nd_taps_destroy(&op->backward);
    free(op);
}

const struct nd_shape *nd_resize_shape(const struct nd_resize *op) {
    return &op->y;
}

static tess_status check(struct nd_resize *op, cl_mem of_x, const char *x_name, cl_mem of_y,
                         const char *y_name) {
    size_t x = (size_t)nd_elements(&op->desc.x) * sizeof(cl_float);
    size_t y = (size_t)nd_elements(&op->y) * sizeof(cl_float);
    tess_status status = nd_expect(op->ctx, of_x, x, what, x_name);
    if (!status) status = nd_expect(op->ctx, of_y, y, what, y_name);
    return status;
}

tess_status nd_resize_forward(struct nd_resize *op, cl_mem x, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check(op, x, "x", y, "y");
    if (status || op->empty) return status;
    return nd_taps_enqueue(&op->forward, x, y, what);
}

tess_status nd_resize_backward(struct nd_resize *op, cl_mem dy, cl_mem dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!op->desc.gradients)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "%s: was made without gradients; ask for them in its desc", what);
    tess_status status = check(op, dx, "dx", dy, "dy");
    if (status || op->empty) return status;
    return nd_taps_enqueue(&op->backward, dy, dx, what);
}
