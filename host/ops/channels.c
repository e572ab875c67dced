/* Concatenation along the channels, and its gradient. */
#include "ops/eltwise.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"

static tess_status check_parts(const tess_eltwise *op, const tess_tensor *part, int first_channel,
                               const tess_tensor *whole, const char *what) {
    tess_status status = eltwise_expect(op, part, NULL, what);
    if (!status) status = eltwise_expect(op, whole, NULL, what);
    if (status) return status;
    const tess_tensor_desc *p = &part->desc, *w = &whole->desc;
    if (p->layout != TESS_NHWC || w->layout != TESS_NHWC)
        return context_fail(op->ctx, TESS_INVALID_SHAPE,
                            "%s: a tensor is not in layout NHWC; convert it with "
                            "tess_layout_convert",
                            what);
    if (p->n != w->n || p->h != w->h || p->w != w->w)
        return context_fail(op->ctx, TESS_INVALID_SHAPE,
                            "%s: the part is n%d h%d w%d, the whole n%d h%d w%d; they must agree",
                            what, p->n, p->h, p->w, w->n, w->h, w->w);
    if (first_channel < 0 || first_channel > w->c - p->c)
        return context_fail(op->ctx, TESS_INVALID_SHAPE,
                            "%s: %d channels from %d on do not fit into %d; choose others", what,
                            p->c, first_channel, w->c);
    if (part->mem == whole->mem)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "%s: part and whole share their memory; use two tensors", what);
    return TESS_OK;
}

/* Copies count channels of every row of from, from from_first on, to to, to_first on. */
static tess_status copy(const tess_eltwise *op, const tess_tensor *from, int from_first,
                        const tess_tensor *to, int to_first, int count, const char *what) {
    int rows = from->desc.n * from->desc.h * from->desc.w;
    int segments = (count + op->vector - 1) / op->vector;
    struct kernel_range range = launch_range(op->ctx, (size_t)rows * (size_t)segments, 64);
    const struct kernel_arg args[] = {
        ARG_TENSOR(from),    ARG_INT(from->desc.c),       ARG_INT(from_first), ARG_TENSOR(to),
        ARG_INT(to->desc.c), ARG_INT(to_first),           ARG_INT(rows),       ARG_INT(count),
        ARG_INT(segments),   ARG_ULONG(fastdiv(segments))};
    return kernel_enqueue(op->ctx, op->copy_channels, &range, args, 10, what);
}

tess_status tess_concat(tess_eltwise *op, const tess_tensor *part, int first_channel,
                        tess_tensor *whole) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check_parts(op, part, first_channel, whole, "concat");
    if (status) return status;
    return copy(op, part, 0, whole, first_channel, part->desc.c, "concat");
}

tess_status tess_slice(tess_eltwise *op, const tess_tensor *whole, int first_channel,
                       tess_tensor *part) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check_parts(op, part, first_channel, whole, "slice");
    if (status) return status;
    return copy(op, whole, first_channel, part, 0, part->desc.c, "slice");
}
