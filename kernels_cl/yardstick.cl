/* yardstick: work of the same kind and size as a convolution, to divide a machine's drift out of its time.

     y[m, k] = sum over t, c of  x[rows(m) + offset(t), c] * w[t, c, k]

   It reads and computes about as much as the direct algorithm on the same problem, and is no algorithm of ours: it is not tuned, and it
   stays as it is, so that times from different versions of the library have a common measure. Its numbers mean nothing.

   x   input rows of C floats                 w   TAPS x C x KBLOCKS 2 V          y   blocks of PIXELS rows, KBLOCKS 2 V each

   parameter  meaning                                     unit      legal
   V          width of a vector of output channels        floats    4 8 16        */

#include "common.clh"

#ifndef V
#define V 4
#endif
#if V == 4
typedef float4 vector;
#elif V == 8
typedef float8 vector;
#elif V == 16
typedef float16 vector;
#else
#error "yardstick: V is 4, 8 or 16"
#endif
#define PIXELS 8

/* Work-item (b, kb): PIXELS rows from b PIXELS on, 2 V channels from kb 2 V on. step: input rows an output row, in 1/256; width, s: offset(t) = t / s * width + t % s. */
__kernel void yardstick(__global const float *x, __global const vector *w, __global vector *y,
                        int blocks, int channels, int taps, int s, int width, int step) {
    const int b = (int)get_global_id(0), kb = (int)get_global_id(1);
    const int kblocks = (int)get_global_size(1);
    if (b >= blocks) return;
    vector acc[PIXELS][2];
#pragma unroll
    for (int i = 0; i < PIXELS; i++) acc[i][0] = acc[i][1] = (vector)(0.0f);
    for (int t = 0; t < taps; t++) {
        const size_t shift = (size_t)(t / s * width + t % s);
        __global const float *row[PIXELS];
#pragma unroll
        for (int i = 0; i < PIXELS; i++)
            row[i] = x + (((size_t)b * PIXELS + (size_t)i) * (size_t)step / 256 + shift) * (size_t)channels;
        __global const vector *wt = w + (size_t)t * (size_t)channels * (size_t)kblocks * 2 + (size_t)kb * 2;
        for (int c = 0; c < channels; c++) {
            const vector w0 = wt[(size_t)c * (size_t)kblocks * 2], w1 = wt[(size_t)c * (size_t)kblocks * 2 + 1];
#pragma unroll
            for (int i = 0; i < PIXELS; i++) {
                acc[i][0] = FMA((vector)(row[i][c]), w0, acc[i][0]);
                acc[i][1] = FMA((vector)(row[i][c]), w1, acc[i][1]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < PIXELS; i++) {
        const size_t at = (((size_t)b * PIXELS + (size_t)i) * (size_t)kblocks + (size_t)kb) * 2;
        y[at] = acc[i][0];
        y[at + 1] = acc[i][1];
    }
}
