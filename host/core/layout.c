#include "core/tensor.h"

#include <string.h>

/* Height and width are adjacent in every layout, w inside: a layout is an order of three dimensions,
   n, c and s = h w. */
enum dimension { DIM_N, DIM_C, DIM_S };

/* Outermost first. */
static const enum dimension orders[][3] = {
    [TESS_NHWC] = {DIM_N, DIM_S, DIM_C},
    [TESS_NCHW] = {DIM_N, DIM_C, DIM_S},
    [TESS_RSCK] = {DIM_S, DIM_C, DIM_N},
};

static void strides_of(tess_layout layout, const size_t extent[3], size_t stride[3]) {
    size_t step = 1;
    for (int i = 2; i >= 0; i--) {
        stride[orders[layout][i]] = step;
        step *= extent[orders[layout][i]];
    }
}

bool layout_same(const tess_tensor_desc *desc, tess_layout a, tess_layout b) {
    const size_t extent[3] = {(size_t)desc->n, (size_t)desc->c, (size_t)desc->h * (size_t)desc->w};
    size_t stride_a[3] = {0}, stride_b[3] = {0};
    strides_of(a, extent, stride_a);
    strides_of(b, extent, stride_b);
    for (int i = 0; i < 3; i++)
        if (extent[i] > 1 && stride_a[i] != stride_b[i]) return false;
    return true;
}

/* Elements of four bytes, moved without looking at their type. */
#define ELEMENT 4

/* dst[i][j] = src[j][i] in square blocks. i steps through src one by one (and through dst by dst_step), j through dst one by
   one. A block goes through a copy, so that each line of src is read once: lines a power of two apart share few sets of
   the cache and would not stay until they are read again. */
static void transpose(const char *src, size_t src_step, char *dst, size_t dst_step, size_t rows,
                      size_t columns) {
    enum { block = 16 };
    char copy[block][block][ELEMENT];
    for (size_t i0 = 0; i0 < rows; i0 += block)
        for (size_t j0 = 0; j0 < columns; j0 += block) {
            size_t high = rows - i0 < block ? rows - i0 : block;
            size_t wide = columns - j0 < block ? columns - j0 : block;
            for (size_t j = 0; j < wide; j++)
                memcpy(copy[j], src + ((j0 + j) * src_step + i0) * ELEMENT, high * ELEMENT);
            for (size_t i = 0; i < high; i++)
                for (size_t j = 0; j < wide; j++)
                    memcpy(dst + ((i0 + i) * dst_step + j0 + j) * ELEMENT, copy[j][i], ELEMENT);
        }
}

void layout_copy(const tess_tensor_desc *desc, tess_layout from, const void *src, tess_layout to,
                 void *dst) {
    const size_t extent[3] = {(size_t)desc->n, (size_t)desc->c, (size_t)desc->h * (size_t)desc->w};
    if (layout_same(desc, from, to)) {
        memcpy(dst, src, extent[0] * extent[1] * extent[2] * ELEMENT);
        return;
    }
    size_t src_stride[3] = {0}, dst_stride[3] = {0};
    strides_of(from, extent, src_stride);
    strides_of(to, extent, dst_stride);
    enum dimension row = orders[from][2], column = orders[to][2];
    /* The innermost dimensions of two different layouts always differ. */
    enum dimension outer = (enum dimension)(DIM_N + DIM_C + DIM_S - row - column);
    for (size_t i = 0; i < extent[outer]; i++)
        transpose((const char *)src + i * src_stride[outer] * ELEMENT, src_stride[column],
                  (char *)dst + i * dst_stride[outer] * ELEMENT, dst_stride[row], extent[row],
                  extent[column]);
}
