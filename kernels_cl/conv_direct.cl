/* conv_direct: direct convolution for devices with wide SIMD units and many registers (CPUs through PoCL).

   forward            y[n,p,q,k]  = act(sum_{r,s,c} x[n, p u - pt + r d, q v - pl + s e, c] w[r,s,c,k] + bias[k] + residual)
   backward-data      dx[n,h,w,c] = sum_{r,s,k} dy[n, (h + pt - r d) / u, (w + pl - s e) / v, k] w[r,s,c,k], exact quotients only
   backward-weights   dw[r,s,c,k] = sum_{n,p,q} x[n, p u - pt + r d, q v - pl + s e, c] dy[n,p,q,k]

   Activations NHWC, weights RSCK. One work-item is a work-group: it owns vector registers, not lanes.

   Forward and backward-data are one loop nest: a work-item makes one row of the destination for one block of
   KV float16 of its channels, WT pixels at a time, all of them in registers:

        source row, pixels j         packed weights, one row a source channel
        +---+---+---+---+            +----------------+----------------+
        | 0 | 1 |...|WT |  channel c |  16 channels   |  16 channels   |   KV vectors
        +---+---+---+---+            +----------------+----------------+
          scalar, broadcast    x       vector loads                        += acc[WT][KV]

   In backward-data the pixels of a tile are v apart, so that all of them meet the same taps s.
   Packed weights: [group][block][R][S][source channel][16 KV], zero beyond the last channel, then a row of
   zeros, which stands for source pixels in the padding: edges need no multiplication by zero (NaN stays out) and
   no narrower code. The last tile of a row starts earlier where it would overhang.

   Backward-weights: a work-item makes ST taps x CT input channels x KV float16 of output channels for one row r of taps,
   summed over a chunk of the (n, p) rows. The chunks' sums lie one after the other and are added in order
   by conv_direct_reduce.

   parameter  meaning                                             unit             legal
   WT         destination pixels of a tile                        pixels           1 .. 28
   KV         vectors of destination channels                     16 channels      1 .. 4
   CT         input channels of a weight tile (bwd_weights)       channels         1 .. 16
   ST         taps of a row that share a load (bwd_weights)       taps             1 .. 8
   ORDER      work-items next to each other differ in             -                0 channel block, 1 row
   FIX_*      dimensions compiled in (all or none)                -                as the problem's                */

#include "common.clh"
#include "activation.clh"

#ifndef WT
#define WT 7
#endif
#ifndef KV
#define KV 1
#endif
#ifndef CT
#define CT 1
#endif
#ifndef ST
#define ST 1
#endif
#ifndef ORDER
#define ORDER 0
#endif
#if WT < 1 || WT > 28 || KV < 1 || KV > 4 || CT < 1 || CT > 16 || ST < 1 || ST > 8
#error "conv_direct: tile out of range"
#endif

#define KB (16 * KV) /* channels of a block */

#ifdef FIX_C
#define DIM(name) FIX_##name
#else
#define DIM(name) arg_##name
#endif

/* The first count lanes of v to p; count may be 0 or less. */
static inline void store_lanes(float16 v, int count, __global float *p) {
    if (count >= 16) vstore16(v, 0, p);
    if (count >= 16 || count <= 0) return;
    if (count & 8) {
        vstore8(v.lo, 0, p);
        v.lo = v.hi;
        p += 8;
    }
    if (count & 4) {
        vstore4(v.s0123, 0, p);
        v.s0123 = v.s4567;
        p += 4;
    }
    if (count & 2) {
        vstore2(v.s01, 0, p);
        v.s01 = v.s23;
        p += 2;
    }
    if (count & 1) *p = v.s0;
}

/* The first count lanes from p, the others zero; count may be 0 or less. */
static inline float16 load_lanes(int count, __global const float *p) {
    if (count >= 16) return vload16(0, p);
    float lane[16];
    for (int i = 0; i < 16; i++) lane[i] = i < count ? p[i] : 0.0f;
    return vload16(0, lane);
}

/* ---------------------------------------------------------------- packing */

/* One work-item a vector of 16 destination channels. fwd: source channels c, destination k; bwd_data: the reverse.
   The vectors beyond the weights are the row of zeros. */
__kernel void conv_direct_pack_fwd(__global const float *restrict w, __global float *restrict packed,
                                   int groups, int rs, int cg, int kg, int vectors) {
    const int i = (int)get_global_id(0);
    if (i >= vectors) return;
    const int blocks = (kg + KB - 1) / KB;
    const int lane = i % KV;
    const int c = i / KV % cg;
    const int tap = i / (KV * cg) % rs;
    const int block = i / (KV * cg * rs) % blocks;
    const int group = i / (KV * cg * rs * blocks);
    float16 v = (float16)(0.0f);
    if (group < groups) {
        const int k = block * KB + lane * 16;
        v = load_lanes(kg - k, w + ((size_t)tap * cg + c) * (groups * kg) + group * kg + k);
    }
    vstore16(v, i, packed);
}

__kernel void conv_direct_pack_bwd_data(__global const float *restrict w,
                                        __global float *restrict packed, int groups, int rs, int cg,
                                        int kg, int vectors) {
    const int i = (int)get_global_id(0);
    if (i >= vectors) return;
    const int blocks = (cg + KB - 1) / KB;
    const int lane = i % KV;
    const int k = i / KV % kg;
    const int tap = i / (KV * kg) % rs;
    const int block = i / (KV * kg * rs) % blocks;
    const int group = i / (KV * kg * rs * blocks);
    float value[16];
    for (int j = 0; j < 16; j++) {
        const int c = block * KB + lane * 16 + j;
        value[j] = group < groups && c < cg
                       ? w[((size_t)tap * cg + c) * (groups * kg) + group * kg + k]
                       : 0.0f;
    }
    vstore16(vload16(0, value), i, packed);
}

/* ---------------------------------------------------------------- forward and backward-data */

/* No restrict below: Oclgrind does not know what clang makes of it when it inlines.

   acc += source pixels (step floats apart) x weights, over all source channels of the group. */
static inline void accumulate(float16 acc[WT][KV], __global const float *source, int step,
                              __global const float *weights, int channels) {
    for (int c = 0; c < channels; c++) {
        float16 w[KV];
#pragma unroll
        for (int v = 0; v < KV; v++) w[v] = vload16(v, weights + (size_t)c * KB);
#pragma unroll
        for (int j = 0; j < WT; j++) {
            const float16 x = (float16)(source[j * step + c]);
#pragma unroll
            for (int v = 0; v < KV; v++) acc[j][v] = FMA(x, w[v], acc[j][v]);
        }
    }
}

/* The same where every pixel has its own place, which may be the row of zeros. */
static inline void accumulate_edge(float16 acc[WT][KV], __global const float *source[WT],
                                   __global const float *weights, int channels) {
    for (int c = 0; c < channels; c++) {
        float16 w[KV];
#pragma unroll
        for (int v = 0; v < KV; v++) w[v] = vload16(v, weights + (size_t)c * KB);
#pragma unroll
        for (int j = 0; j < WT; j++) {
            const float16 x = (float16)(source[j][c]);
#pragma unroll
            for (int v = 0; v < KV; v++) acc[j][v] = FMA(x, w[v], acc[j][v]);
        }
    }
}

/* Taps s of one source row: col0 + s * col_tap is the first pixel's column, in units of 1 / col_div pixels
   (backward-data: only exact quotients exist). */
static inline void accumulate_row(float16 acc[WT][KV], __global const float *row, int width,
                                  int pixel, int step, int col0, int col_tap, int col_div,
                                  __global const float *weights, int taps, int channels,
                                  __global const float *zeros) {
    for (int s = 0; s < taps; s++) {
        int col = col0 + s * col_tap;
        if (col % col_div != 0) continue;
        col /= col_div;
        __global const float *w = weights + (size_t)s * channels * KB;
        if (col >= 0 && col + (WT - 1) * step < width) {
            accumulate(acc, row + col * pixel, step * pixel, w, channels);
        } else {
            __global const float *source[WT];
#pragma unroll
            for (int j = 0; j < WT; j++) {
                const int at = col + j * step;
                source[j] = at >= 0 && at < width ? row + at * pixel : zeros;
            }
            accumulate_edge(acc, source, w, channels);
        }
    }
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_direct_fwd(__global const float *restrict x, __global const float *restrict packed,
                __global const float *bias, __global const float *residual,
                __global float *restrict y, int arg_H, int arg_W, int arg_C, int arg_P, int arg_Q,
                int arg_K, int arg_R, int arg_S, int arg_U, int arg_V, int arg_PT, int arg_PL,
                int arg_D, int arg_E, int arg_G, int zeros_at, int act, float alpha) {
    const int H = DIM(H), W = DIM(W), C = DIM(C), P = DIM(P), Q = DIM(Q), K = DIM(K);
    const int R = DIM(R), S = DIM(S), Cg = C / DIM(G), Kg = K / DIM(G);
    const int block = (int)get_global_id(ORDER), row = (int)get_global_id(1 - ORDER);
    const int blocks = (Kg + KB - 1) / KB;
    const int group = block / blocks, k0 = block % blocks * KB;
    const int n = row / P, p = row % P;
    const int lanes = Kg - k0; /* KB or fewer are left */
    __global const float *weights = packed + (size_t)block * R * S * Cg * KB;
    __global const float *image = x + (size_t)n * H * W * C + group * Cg;

    for (int tile = 0; tile < Q; tile += WT) {
        const int q0 = min(tile, Q - WT);
        float16 acc[WT][KV];
#pragma unroll
        for (int j = 0; j < WT; j++)
#pragma unroll
            for (int v = 0; v < KV; v++) acc[j][v] = (float16)(0.0f);

        for (int r = 0; r < R; r++) {
            const int h = p * DIM(U) - DIM(PT) + r * DIM(D);
            if (h < 0 || h >= H) continue;
            accumulate_row(acc, image + (size_t)h * W * C, W, C, DIM(V), q0 * DIM(V) - DIM(PL),
                           DIM(E), 1, weights + (size_t)r * S * Cg * KB, S, Cg, packed + zeros_at);
        }

        const size_t at = ((size_t)(n * P + p) * Q + q0) * K + group * Kg + k0;
        if (bias) {
#pragma unroll
            for (int v = 0; v < KV; v++) {
                const float16 b = load_lanes(lanes - 16 * v, bias + group * Kg + k0 + 16 * v);
#pragma unroll
                for (int j = 0; j < WT; j++) acc[j][v] += b;
            }
        }
        if (residual) {
#pragma unroll
            for (int j = 0; j < WT; j++)
#pragma unroll
                for (int v = 0; v < KV; v++)
                    acc[j][v] += load_lanes(lanes - 16 * v, residual + at + (size_t)j * K + 16 * v);
        }
        if (act == ACT_RELU) {
#pragma unroll
            for (int j = 0; j < WT; j++)
#pragma unroll
                for (int v = 0; v < KV; v++)
                    acc[j][v] = select(acc[j][v], (float16)(0.0f), acc[j][v] < 0.0f);
        }
#pragma unroll
        for (int j = 0; j < WT; j++)
#pragma unroll
            for (int v = 0; v < KV; v++)
                store_lanes(acc[j][v], lanes - 16 * v, y + at + (size_t)j * K + 16 * v);

        if (act > ACT_RELU) { /* rare and long: not unrolled, on what was just stored */
            for (int j = 0; j < WT; j++)
                for (int v = 0; v < KV; v++) {
                    __global float *out = y + at + (size_t)j * K + 16 * v;
                    const float16 value = load_lanes(lanes - 16 * v, out);
                    store_lanes(activate16(value, act, alpha), lanes - 16 * v, out);
                }
        }
    }
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_direct_bwd_data(__global const float *restrict dy, __global const float *restrict packed,
                     __global float *restrict dx, int arg_H, int arg_W, int arg_C, int arg_P,
                     int arg_Q, int arg_K, int arg_R, int arg_S, int arg_U, int arg_V, int arg_PT,
                     int arg_PL, int arg_D, int arg_E, int arg_G, int zeros_at) {
    const int H = DIM(H), W = DIM(W), C = DIM(C), P = DIM(P), Q = DIM(Q), K = DIM(K);
    const int R = DIM(R), S = DIM(S), V = DIM(V), Cg = C / DIM(G), Kg = K / DIM(G);
    const int block = (int)get_global_id(ORDER), row = (int)get_global_id(1 - ORDER);
    const int blocks = (Cg + KB - 1) / KB;
    const int group = block / blocks, c0 = block % blocks * KB;
    const int n = row / H, h = row % H;
    const int lanes = Cg - c0;
    __global const float *weights = packed + (size_t)block * R * S * Kg * KB;
    __global const float *image = dy + (size_t)n * P * Q * K + group * Kg;

    for (int phase = 0; phase < min(V, W); phase++) {
        const int count = (W - phase + V - 1) / V; /* pixels phase, phase + V, ... */
        for (int tile = 0; tile < count; tile += WT) {
            const int first = min(tile, count - WT);
            float16 acc[WT][KV];
#pragma unroll
            for (int j = 0; j < WT; j++)
#pragma unroll
                for (int v = 0; v < KV; v++) acc[j][v] = (float16)(0.0f);

            for (int r = 0; r < R; r++) {
                const int t = h + DIM(PT) - r * DIM(D);
                if (t < 0 || t % DIM(U) != 0 || t / DIM(U) >= P) continue;
                accumulate_row(acc, image + (size_t)(t / DIM(U)) * Q * K, Q, K, 1,
                               phase + first * V + DIM(PL), -DIM(E), V,
                               weights + (size_t)r * S * Kg * KB, S, Kg, packed + zeros_at);
            }
            __global float *out = dx + ((size_t)(n * H + h) * W + phase + first * V) * C +
                                  group * Cg + c0;
#pragma unroll
            for (int j = 0; j < WT; j++)
#pragma unroll
                for (int v = 0; v < KV; v++)
                    store_lanes(acc[j][v], lanes - 16 * v, out + (size_t)j * V * C + 16 * v);
        }
    }
}

/* ---------------------------------------------------------------- backward-weights */

/* Pixels q of [from, to) of one output row, all ST taps inside the image. */
static inline void weights_inside(float16 acc[ST][CT][KV], __global const float *x,
                                  __global const float *dy, int from, int to, int x_step,
                                  int tap_step, int K) {
    for (int q = from; q < to; q++) {
        float16 g[KV];
#pragma unroll
        for (int v = 0; v < KV; v++) g[v] = vload16(v, dy + (size_t)q * K);
#pragma unroll
        for (int s = 0; s < ST; s++)
#pragma unroll
            for (int c = 0; c < CT; c++) {
                const float16 a = (float16)(x[q * x_step + s * tap_step + c]);
#pragma unroll
                for (int v = 0; v < KV; v++) acc[s][c][v] = FMA(a, g[v], acc[s][c][v]);
            }
    }
}

/* The same where taps may lie in the padding, beyond the last tap, or dy's vector beyond dy's end: left(q) floats
   of dy remain from pixel q on. */
static inline void weights_edge(float16 acc[ST][CT][KV], __global const float *x,
                                __global const float *dy, int from, int to, int x_step,
                                int tap_step, int K, int col0, int col_step, int col_tap, int width,
                                int taps, int left) {
    for (int q = from; q < to; q++) {
        float16 g[KV];
#pragma unroll
        for (int v = 0; v < KV; v++)
            g[v] = load_lanes(left - q * K - 16 * v, dy + (size_t)q * K + 16 * v);
#pragma unroll
        for (int s = 0; s < ST; s++) {
            const int col = col0 + q * col_step + s * col_tap;
            if (s >= taps || col < 0 || col >= width) continue;
#pragma unroll
            for (int c = 0; c < CT; c++) {
                const float16 a = (float16)(x[q * x_step + s * tap_step + c]);
#pragma unroll
                for (int v = 0; v < KV; v++) acc[s][c][v] = FMA(a, g[v], acc[s][c][v]);
            }
        }
    }
}

/* Global size: (channel tiles x tap tiles x R, groups x blocks, chunks). A vector of dy may reach into the next
   pixel, whose lanes are never stored. */
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_direct_bwd_weights(__global const float *restrict x, __global const float *restrict dy,
                        __global float *restrict sums, int N, int arg_H, int arg_W, int arg_C,
                        int arg_P, int arg_Q, int arg_K, int arg_R, int arg_S, int arg_U, int arg_V,
                        int arg_PT, int arg_PL, int arg_D, int arg_E, int arg_G, int chunk_rows) {
    const int H = DIM(H), W = DIM(W), C = DIM(C), P = DIM(P), Q = DIM(Q), K = DIM(K);
    const int R = DIM(R), S = DIM(S), V = DIM(V), E = DIM(E);
    const int Cg = C / DIM(G), Kg = K / DIM(G);
    const int channel_tiles = (Cg + CT - 1) / CT, tap_tiles = (S + ST - 1) / ST;
    const int tile = (int)get_global_id(0);
    const int c_first = tile % channel_tiles * CT;
    const int c0 = min(c_first, Cg - CT); /* the last tile starts earlier and stores fewer */
    const int s0 = tile / channel_tiles % tap_tiles * ST;
    const int r = tile / (channel_tiles * tap_tiles);
    const int blocks = (Kg + KB - 1) / KB;
    const int group = (int)get_global_id(1) / blocks;
    const int k0 = (int)get_global_id(1) % blocks * KB;
    const int taps = min(ST, S - s0);
    const int row_first = (int)get_global_id(2) * chunk_rows;
    const int row_last = min(row_first + chunk_rows, N * P);

    /* Columns for which every tap of the tile lies inside: 0 <= col0 + q V and col0 + (taps - 1) E + q V < W. */
    const int col0 = s0 * E - DIM(PL);
    const int last = W - 1 - col0 - (taps - 1) * E;
    const int from = min(Q, col0 < 0 ? (-col0 + V - 1) / V : 0);
    const int to = taps < ST || last < 0 ? from : max(from, min(Q, last / V + 1));

    float16 acc[ST][CT][KV];
#pragma unroll
    for (int s = 0; s < ST; s++)
#pragma unroll
        for (int c = 0; c < CT; c++)
#pragma unroll
            for (int v = 0; v < KV; v++) acc[s][c][v] = (float16)(0.0f);

    for (int row = row_first; row < row_last; row++) {
        const int n = row / P, h = row % P * DIM(U) - DIM(PT) + r * DIM(D);
        if (h < 0 || h >= H) continue;
        __global const float *xr = x + (ptrdiff_t)((n * H + h) * W + col0) * C + group * Cg + c0;
        const size_t dy_at = (size_t)row * Q * K + group * Kg + k0;
        const int left = (int)((size_t)N * P * Q * K - dy_at);
        const int safe = left >= (Q - 1) * K + KB ? to : from; /* the tensor's very end */
        weights_edge(acc, xr, dy + dy_at, 0, from, V * C, E * C, K, col0, V, E, W, taps, left);
        weights_inside(acc, xr, dy + dy_at, from, safe, V * C, E * C, K);
        weights_edge(acc, xr, dy + dy_at, safe, Q, V * C, E * C, K, col0, V, E, W, taps, left);
    }

    __global float *out = sums + (size_t)get_global_id(2) * R * S * Cg * K;
#pragma unroll
    for (int s = 0; s < ST; s++)
#pragma unroll
        for (int c = 0; c < CT; c++)
#pragma unroll
            for (int v = 0; v < KV; v++) {
                if (s >= taps || c0 + c < c_first) continue;
                const size_t at = (((size_t)r * S + s0 + s) * Cg + c0 + c) * K + group * Kg + k0;
                store_lanes(acc[s][c][v], Kg - k0 - 16 * v, out + at + 16 * v);
            }
}

/* dw[i] = sums[0][i] + sums[1][i] + ..., in this order. */
__kernel void conv_direct_reduce(__global const float *restrict sums, __global float *restrict dw,
                                 int count, int chunks) {
    const int i = (int)get_global_id(0);
    if (i >= count) return;
    float total = sums[i];
    for (int chunk = 1; chunk < chunks; chunk++) total += sums[(size_t)chunk * count + i];
    dw[i] = total;
}
