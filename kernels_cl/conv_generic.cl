/* conv_generic: every problem on every device, one work-item an element of the result. Slow, simple, correct.

   forward            y[n,p,q,k]  = act(sum_{r,s,c} x[n, p u - pt + r d, q v - pl + s e, c] w[r,s,c,k] + bias[k] + residual)
   backward-data      dx[n,h,w,c] = sum_{r,s,k} dy[n, (h + pt - r d) / u, (w + pl - s e) / v, k] w[r,s,c,k], exact quotients only
   backward-weights   dw[r,s,c,k] = sum_{n,p,q} x[n, p u - pt + r d, q v - pl + s e, c] dy[n,p,q,k]

   The layout is in the strides of n, h, w, c (activations) and r, s, c, k (weights), so NHWC / RSCK and NCHW / KCRS
   are the same code. Work-items next to each other differ in the channel, the innermost dimension of NHWC and RSCK.
   Global size: (channels, pixels or taps, images or channels), rounded up.

   No tuning parameters. */

#include "common.clh"
#include "activation.clh"

#define GEOMETRY_ARGS                                                                              \
    int N, int C, int H, int W, int K, int R, int S, int P, int Q, int U, int V, int PT, int PL,   \
        int D, int E, int Cg, int Kg, int x_n, int x_h, int x_w, int x_c, int w_r, int w_s,        \
        int w_c, int w_k, int y_n, int y_p, int y_q, int y_k

__kernel void conv_generic_fwd(__global const float *restrict x, __global const float *restrict w,
                               __global const float *bias, __global const float *residual,
                               __global float *restrict y, GEOMETRY_ARGS, int act, float alpha) {
    const int k = (int)get_global_id(0), pq = (int)get_global_id(1), n = (int)get_global_id(2);
    if (k >= K || pq >= P * Q) return;
    const int p = pq / Q, q = pq % Q, c0 = k / Kg * Cg;
    float sum = 0.0f;
    for (int r = 0; r < R; r++) {
        const int h = p * U - PT + r * D;
        if (h < 0 || h >= H) continue;
        for (int s = 0; s < S; s++) {
            const int col = q * V - PL + s * E;
            if (col < 0 || col >= W) continue;
            __global const float *xp = x + n * x_n + h * x_h + col * x_w + c0 * x_c;
            __global const float *wp = w + r * w_r + s * w_s + k * w_k;
            for (int c = 0; c < Cg; c++) sum = FMA(xp[c * x_c], wp[c * w_c], sum);
        }
    }
    const int at = n * y_n + p * y_p + q * y_q + k * y_k;
    if (bias) sum += bias[k];
    if (residual) sum += residual[at];
    y[at] = activate1(sum, act, alpha);
}

__kernel void conv_generic_bwd_data(__global const float *restrict dy,
                                    __global const float *restrict w, __global float *restrict dx,
                                    GEOMETRY_ARGS) {
    const int c = (int)get_global_id(0), hw = (int)get_global_id(1), n = (int)get_global_id(2);
    if (c >= C || hw >= H * W) return;
    const int h = hw / W, col = hw % W, k0 = c / Cg * Kg;
    float sum = 0.0f;
    for (int r = 0; r < R; r++) {
        const int t = h + PT - r * D;
        if (t < 0 || t % U != 0 || t / U >= P) continue;
        for (int s = 0; s < S; s++) {
            const int b = col + PL - s * E;
            if (b < 0 || b % V != 0 || b / V >= Q) continue;
            __global const float *yp = dy + n * y_n + t / U * y_p + b / V * y_q + k0 * y_k;
            __global const float *wp = w + r * w_r + s * w_s + c % Cg * w_c + k0 * w_k;
            for (int k = 0; k < Kg; k++) sum = FMA(yp[k * y_k], wp[k * w_k], sum);
        }
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
            const int h = p * U - PT + r * D;
            if (h < 0 || h >= H) continue;
            float row = 0.0f; /* added up row by row: shorter chains of roundings */
            for (int q = 0; q < Q; q++) {
                const int col = q * V - PL + s * E;
                if (col < 0 || col >= W) continue;
                row = FMA(x[n * x_n + h * x_h + col * x_w + channel * x_c],
                          dy[n * y_n + p * y_p + q * y_q + k * y_k], row);
            }
            sum += row;
        }
    dw[r * w_r + s * w_s + c * w_c + k * w_k] = sum;
}
