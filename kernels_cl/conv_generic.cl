/* conv_generic: every problem on every device, one work-item an element of the result. Slow, simple, correct.

   forward            y[n,p,q,k]  = act(sum_{r,s,c} x[n, p u - pt + r d, q v - pl + s e, c] w[r,s,c,k] + bias[k] + residual)
   backward-data      dx[n,h,w,c] = sum_{r,s,k} dy[n, (h + pt - r d) / u, (w + pl - s e) / v, k] w[r,s,c,k], exact quotients only
   backward-weights   dw[r,s,c,k] = sum_{n,p,q} x[n, p u - pt + r d, q v - pl + s e, c] dy[n,p,q,k]

   The layout is in the strides of n, h, w, c (activations) and r, s, c, k (weights), so NHWC / RSCK and NCHW / KCRS
   are the same code. Work-items next to each other differ in the channel, the innermost dimension of NHWC and RSCK.
   Global size: (channels, pixels or taps, images or channels), rounded up.

   Padding is zeros, which are skipped, or the image mirrored at its edges: then x is read at reflected indices, and in
   backward-data a pixel sums over the padded positions that show it, at most three a dimension:

        padded positions   -2 -1 | 0  1  2  ...  H-1 | H    H+1
        pixel               2  1 | 0  1  2  ...  H-1 | H-2  H-3

   No tuning parameters. Compiled in: MIRROR, 0 (zeros) or 1 (mirror); SLICE, forward: y is a part of a wider tensor, whose strides
   are y's (slice.clh). */

#include "common.clh"
#include "activation.clh"
#include "slice.clh"

#ifndef MIRROR
#define MIRROR 0
#endif
#if MIRROR != 0 && MIRROR != 1
#error "conv_generic: MIRROR is 0 or 1"
#endif

/* The pixel that padded position at shows; outside the image: there is none, only zeros. */
static inline int pixel_at(int at, int size) {
#if MIRROR
    if (at < 0) return -at;
    if (at >= size) return size - 1 - (at - (size - 1));
#endif
    return at;
}

/* Padded positions that may show a pixel: itself, its images before and after. */
#define IMAGES (MIRROR ? 3 : 1)

/* Whether image number i of pixel at exists; last: the last padded position that a window covers. (That those before
   the first window are none follows where p or q would be negative.) */
static inline bool has_image(int i, int at, int size, int last) {
    return i == 0 || (i == 1 ? at > 0 : at < size - 1 && size - 1 - at <= last - (size - 1));
}
static inline int image_at(int i, int at, int size) {
    return i == 0 ? at : i == 1 ? -at : size - 1 + (size - 1 - at);
}

#define GEOMETRY_ARGS                                                                              \
    int N, int C, int H, int W, int K, int R, int S, int P, int Q, int U, int V, int PT, int PL,   \
        int D, int E, int Cg, int Kg, int x_n, int x_h, int x_w, int x_c, int w_r, int w_s,        \
        int w_c, int w_k, int y_n, int y_p, int y_q, int y_k

__kernel void conv_generic_fwd(__global const float *restrict x, __global const float *restrict w,
                               __global const float *bias, __global const float *residual,
                               __global float *restrict y, GEOMETRY_ARGS, int act,
                               float alpha SLICE_ARGS) {
    const int k = (int)get_global_id(0), pq = (int)get_global_id(1), n = (int)get_global_id(2);
    if (k >= K || pq >= P * Q) return;
    const int p = pq / Q, q = pq % Q, c0 = k / Kg * Cg;
    float sum = 0.0f;
    for (int r = 0; r < R; r++) {
        const int h = pixel_at(p * U - PT + r * D, H);
        if (h < 0 || h >= H) continue;
        for (int s = 0; s < S; s++) {
            const int col = pixel_at(q * V - PL + s * E, W);
            if (col < 0 || col >= W) continue;
            __global const float *xp = x + n * x_n + h * x_h + col * x_w + c0 * x_c;
            __global const float *wp = w + r * w_r + s * w_s + k * w_k;
            for (int c = 0; c < Cg; c++) sum = FMA(xp[c * x_c], wp[c * w_c], sum);
        }
    }
    const int at = n * y_n + p * y_p + q * y_q + k * y_k;
    if (bias) sum += bias[k];
    if (residual) sum += residual[at];
    y[at + SLICE_FIRST] = activate1(sum, act, alpha);
}

/* sum plus dy * w over the windows that cover one padded position, row and col counted from the padding's start. */
static inline float add_windows(float sum, __global const float *dy, __global const float *w,
                                int row, int col, int Kg, int P, int Q, int R, int S, int U, int V,
                                int D, int E, int y_p, int y_q, int y_k, int w_r, int w_s,
                                int w_k) {
    for (int r = 0; r < R; r++) {
        const int t = row - r * D;
        if (t < 0 || t % U != 0 || t / U >= P) continue;
        for (int s = 0; s < S; s++) {
            const int b = col - s * E;
            if (b < 0 || b % V != 0 || b / V >= Q) continue;
            __global const float *yp = dy + t / U * y_p + b / V * y_q;
            __global const float *wp = w + r * w_r + s * w_s;
            for (int k = 0; k < Kg; k++) sum = FMA(yp[k * y_k], wp[k * w_k], sum);
        }
    }
    return sum;
}

__kernel void conv_generic_bwd_data(__global const float *restrict dy,
                                    __global const float *restrict w, __global float *restrict dx,
                                    GEOMETRY_ARGS) {
    const int c = (int)get_global_id(0), hw = (int)get_global_id(1), n = (int)get_global_id(2);
    if (c >= C || hw >= H * W) return;
    const int h = hw / W, col = hw % W, k0 = c / Cg * Kg;
    const int last_h = (P - 1) * U - PT + (R - 1) * D, last_w = (Q - 1) * V - PL + (S - 1) * E;
    float sum = 0.0f;
    for (int i = 0; i < IMAGES; i++) {
        if (!has_image(i, h, H, last_h)) continue;
        const int row = image_at(i, h, H);
        for (int j = 0; j < IMAGES; j++)
            if (has_image(j, col, W, last_w))
                sum = add_windows(sum, dy + n * y_n + k0 * y_k, w + c % Cg * w_c + k0 * w_k,
                                  row + PT, image_at(j, col, W) + PL, Kg, P, Q, R, S, U, V, D, E,
                                  y_p, y_q, y_k, w_r, w_s, w_k);
    }
    dx[n * x_n + h * x_h + col * x_w + c * x_c] = sum;
}

__kernel void conv_generic_bwd_weights(__global const float *restrict x,
                                       __global const float *restrict dy, __global float *restrict dw,
                                       GEOMETRY_ARGS) {
    const int k = (int)get_global_id(0), rs = (int)get_global_id(1), c = (int)get_global_id(2);
    if (k >= K || rs >= R * S) return;
    const int r = rs / S, s = rs % S, channel = k / Kg * Cg + c;
    float sum = 0.0f;
    for (int n = 0; n < N; n++)
        for (int p = 0; p < P; p++) {
            const int h = pixel_at(p * U - PT + r * D, H);
            if (h < 0 || h >= H) continue;
            float row = 0.0f; /* added up row by row: shorter chains of roundings */
            for (int q = 0; q < Q; q++) {
                const int col = pixel_at(q * V - PL + s * E, W);
                if (col < 0 || col >= W) continue;
                row = FMA(x[n * x_n + h * x_h + col * x_w + channel * x_c],
                          dy[n * y_n + p * y_p + q * y_q + k * y_k], row);
            }
            sum += row;
        }
    dw[r * w_r + s * w_s + c * w_c + k * w_k] = sum;
}
