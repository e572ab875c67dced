/* Parametric ReLU (He et al. 2015) with one slope a channel, M rows of C channels.

     prelu_fwd   y = x > 0 ? x : slope[c] x
     prelu_bwd   dx = x > 0 ? dy : slope[c] dy;  partial sums of dy x where not x > 0, whose total is dslope

   x is read as wide rows of T = k C floats, as in reduce.cl, whose kernels add up what prelu_bwd leaves: a work-item goes through the
   wide rows of one block, in VEC columns, and leaves their sums in partial[block, t]. One slope for all channels is C = 1.

     VEC   see vector.clh; at least 4 and a divisor of 16 */
#include "common.clh"
#include "fastdiv.clh"
#include "lanes.clh"
#include "vector.clh"

#if VEC == 16
#define STORE(v, p) store_global(v, 0, p)
#else
#define STORE(v, p) VSTORE(v, p)
#endif

/* The slopes of columns t, t + 1, ... */
floatv slopes_at(global const float *slope, int t, int channels) {
    float lanes[VEC];
    int c = t % channels;
    for (int i = 0; i < VEC; i++) {
        lanes[i] = slope[c];
        c = c + 1 == channels ? 0 : c + 1;
    }
    return VLOAD(lanes);
}

/* The end of a block's wide rows, for a column: those that have nothing there left out. */
int last_row(int block, int rows, int t, int width, int count) {
    return t < count ? min((block + 1) * rows, (count - 1 - t) / width + 1) : 0;
}

/* by_vectors: T / VEC as a divisor. rows: wide rows of a block. count: M C. */
kernel void prelu_fwd(global const float *x, global const float *slope, global float *y, int count,
                      int channels, int width, int blocks, int rows, ulong by_vectors) {
    uint id = get_global_id(0);
    int block = divide(id, by_vectors);
    if (block >= blocks) return;
    int t = (id - block * (width / VEC)) * VEC;
    floatv leak = slopes_at(slope, t, channels);
    int last = last_row(block, rows, t, width, count);
    for (int row = block * rows; row < last; row++) {
        int at = row * width + t;
        floatv value = load_until(x, at, count);
        value = value > 0.0f ? value : leak * value;
        if (at <= count - VEC)
            STORE(value, y + at);
        else
            store_until(value, y, at, count);
    }
}

/* dx: may be dy, or null: not wanted. */
kernel void prelu_bwd(global const float *x, global const float *slope, global const float *dy,
                      global float *dx, global float *partial, int count, int channels, int width,
                      int blocks, int rows, ulong by_vectors) {
    uint id = get_global_id(0);
    int block = divide(id, by_vectors);
    if (block >= blocks) return;
    int t = (id - block * (width / VEC)) * VEC;
    floatv leak = slopes_at(slope, t, channels), sum = (floatv)(0.0f);
    int last = last_row(block, rows, t, width, count);
    for (int row = block * rows; row < last; row++) {
        int at = row * width + t;
        floatv value = load_until(x, at, count), gradient = load_until(dy, at, count);
        sum += value > 0.0f ? (floatv)(0.0f) : gradient * value;
        gradient = value > 0.0f ? gradient : leak * gradient;
        if (dx && at <= count - VEC)
            STORE(gradient, dx + at);
        else if (dx)
            store_until(gradient, dx, at, count);
    }
    STORE(sum, partial + block * width + t);
}
