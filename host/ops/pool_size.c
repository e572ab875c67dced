#include "ops/pool_size.h"

#include <limits.h>

/* Positions in padded images stay below this, so that the kernels can add two of them. */
#define LARGEST_SIDE (1 << 30)

static tess_pool_desc fill_in(const tess_pool_desc *desc) {
    tess_pool_desc full = *desc;
    if (full.global) {
        full.r = full.h;
        full.s = full.w;
        full.stride_h = full.stride_w = 1;
        full.dilation_h = full.dilation_w = 1;
    }
    if (full.dilation_h == 0) full.dilation_h = 1;
    if (full.dilation_w == 0) full.dilation_w = 1;
    if (full.stride_h == 0) full.stride_h = full.r;
    if (full.stride_w == 0) full.stride_w = full.s;
    return full;
}

/* One dimension: a window of length window over length size. axis: "height" or "width". */
static tess_status size_1d(const char *axis, const tess_pool_desc *desc, bool vertical,
                           tess_error *error, int *out) {
    int64_t size = vertical ? desc->h : desc->w, window = vertical ? desc->r : desc->s;
    int64_t stride = vertical ? desc->stride_h : desc->stride_w;
    int64_t before = vertical ? desc->pad_top : desc->pad_left;
    int64_t after = vertical ? desc->pad_bottom : desc->pad_right;
    int64_t dilation = vertical ? desc->dilation_h : desc->dilation_w;
    if (window < 1 || stride < 1 || before < 0 || after < 0)
        return error_set(error, TESS_INVALID_SHAPE,
                         "pool: window %lld, stride %lld or padding %lld, %lld of the %s is out of "
                         "range; windows are at least 1, strides and paddings at least 0",
                         (long long)window, (long long)stride, (long long)before, (long long)after,
                         axis);
    if (dilation < 1 || (window > 1 && dilation > size))
        return error_set(
            error, TESS_INVALID_SHAPE,
            "pool: dilation %lld of the %s of %lld; it must be at least 1, and at most "
            "the input's size, or windows would miss the input",
            (long long)dilation, axis, (long long)size);
    if (window > LARGEST_SIDE / dilation)
        return error_set(error, TESS_INVALID_SHAPE,
                         "pool: a window of %lld with dilation %lld exceeds %d; use less",
                         (long long)window, (long long)dilation, LARGEST_SIDE);
    window = (window - 1) * dilation + 1;
    if (before >= window || after >= window)
        return error_set(error, TESS_INVALID_SHAPE,
                         "pool: padding %lld, %lld of the %s is not smaller than the window of "
                         "%lld, so windows would miss the input; use less padding",
                         (long long)before, (long long)after, axis, (long long)window);
    int64_t padded = size + before + after;
    if (padded > LARGEST_SIDE || stride > LARGEST_SIDE)
        return error_set(error, TESS_INVALID_SHAPE,
                         "pool: a %s of %lld with padding or its stride %lld exceeds %d; use less",
                         axis, (long long)padded, (long long)stride, LARGEST_SIDE);
    if (window > padded)
        return error_set(error, TESS_INVALID_SHAPE,
                         "pool: the window of %lld is larger than the padded %s of %lld; use a "
                         "smaller window",
                         (long long)window, axis, (long long)padded);
    int64_t steps = padded - window + (desc->ceil_mode ? stride - 1 : 0);
    int64_t count = steps / stride + 1;
    if ((count - 1) * stride >= size + before) count--; /* would start in the padding behind x */
    *out = (int)count;
    return TESS_OK;
}

tess_status pool_size(const tess_pool_desc *desc, tess_error *error, tess_pool_desc *full, int *p,
                      int *q) {
    if ((unsigned)desc->mode > (unsigned)TESS_POOL_WEIGHTED)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "pool: no mode has number %d; use one of tess_pool_mode", (int)desc->mode);
    if (desc->n < 1 || desc->c < 1 || desc->h < 1 || desc->w < 1)
        return error_set(error, TESS_INVALID_SHAPE,
                         "pool: input n%d c%d h%d w%d has no elements; each must be at least 1",
                         desc->n, desc->c, desc->h, desc->w);
    if (desc->global && (desc->pad_top || desc->pad_bottom || desc->pad_left || desc->pad_right))
        return error_set(error, TESS_INVALID_SHAPE,
                         "pool: a global window takes no padding; set it to 0");
    tess_pool_desc filled = fill_in(desc);
    int rows = 0, columns = 0;
    tess_status status = size_1d("height", &filled, true, error, &rows);
    if (!status) status = size_1d("width", &filled, false, error, &columns);
    if (status) return status;
    double images = (double)desc->n * desc->c;
    if (images * desc->h * desc->w > INT_MAX || images * rows * columns > INT_MAX)
        return error_set(error, TESS_INVALID_SHAPE,
                         "pool: input n%d c%d h%d w%d or output h%d w%d has more than 2^31 - 1 "
                         "elements; use a smaller batch",
                         desc->n, desc->c, desc->h, desc->w, rows, columns);
    *full = filled;
    *p = rows;
    *q = columns;
    return TESS_OK;
}

tess_status tess_pool_out_size(const tess_pool_desc *desc, tess_error *error, int *p, int *q) {
    if (!desc || !p || !q)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "pool: desc, p or q is NULL; give all of them");
    tess_pool_desc full;
    return pool_size(desc, error, &full, p, q);
}
