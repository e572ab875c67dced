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
   Packed weights: [group][block][R][S][source channel][16 KV], zero beyond the last channel. A tile whose taps reach
   into the padding reads a zero-padded copy of its part of the row in local memory, so edges need no narrower code;
   the last tile of a row starts earlier where it would overhang.

   Backward-weights: a work-item makes all of dw for KV float16 of output channels, summed over a chunk of the (n, p)
   rows: tiles of ST taps x CT input channels in registers, band after band of rows. The chunks' sums,
   [chunk][group][block][R][S][C/g][16 KV], are added in order by conv_direct_reduce.

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

/* One work-item a vector of 16 destination channels. fwd: source channels c, destination k; bwd_data: the reverse. */
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
    const int k = block * KB + lane * 16;
    vstore16(load_lanes(kg - k, w + ((size_t)tap * cg + c) * (groups * kg) + group * kg + k), i,
             packed);
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
        value[j] = c < cg ? w[((size_t)tap * cg + c) * (groups * kg) + group * kg + k] : 0.0f;
    }
    vstore16(vload16(0, value), i, packed);
}

/* ---------------------------------------------------------------- forward and backward-data */

/* acc += source pixels (step floats apart) x weights, over all source channels of the group. For a row of the image and
   for the scratch copy of one. No restrict: Oclgrind does not know what clang makes of it when it inlines. */
#define DEFINE_ACCUMULATE(name, SPACE)                                                             \
    static inline void name(float16 acc[WT][KV], SPACE const float *source, int step,              \
                            __global const float *weights, int channels) {                         \
        for (int c = 0; c < channels; c++) {                                                       \
            float16 w[KV];                                                                         \
            _Pragma("unroll") for (int v = 0; v < KV; v++)                                         \
                w[v] = vload16(v, weights + (size_t)c * KB);                                       \
            _Pragma("unroll") for (int j = 0; j < WT; j++) {                                       \
                const float16 x = (float16)(source[j * step + c]);                                 \
                _Pragma("unroll") for (int v = 0; v < KV; v++)                                     \
                    acc[j][v] = FMA(x, w[v], acc[j][v]);                                           \
            }                                                                                      \
        }                                                                                          \
    }
DEFINE_ACCUMULATE(accumulate_image, __global)
DEFINE_ACCUMULATE(accumulate_scratch, __local)

static inline int floor_div(int a, int b) {
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

static inline void fill_zeros(__local float *to, int count) {
    for (int i = 0; i < count; i++) to[i] = 0.0f;
}

static inline void copy_floats(__local float *to, __global const float *from, int count) {
    int i = 0;
    for (; i + 8 <= count; i += 8) vstore8(vload8(0, from + i), 0, to + i);
    for (; i < count; i++) to[i] = from[i];
}

/* Pixels first .. first + count - 1 of a row, zero outside the image, to scratch, pixel after pixel. */
static inline void copy_padded(__local float *scratch, __global const float *row, int first,
                               int count, int width, int pixel, int channels) {
    const int from = min(max(-first, 0), count), to = max(min(width - first, count), from);
    fill_zeros(scratch, from * channels);
    fill_zeros(scratch + to * channels, (count - to) * channels);
    if (pixel == channels) {
        copy_floats(scratch + from * channels, row + (first + from) * channels,
                    (to - from) * channels);
        return;
    }
    for (int i = from; i < to; i++)
        copy_floats(scratch + i * channels, row + (first + i) * pixel, channels);
}

/* All taps s of one source row for one tile: tap s reads the pixels (col0 + s col_tap) / col_div, + step, + 2 step, ...
   (backward-data: only exact quotients exist). A tile that reaches beyond the image goes through scratch. */
static inline void accumulate_row(float16 acc[WT][KV], __global const float *row, int width,
                                  int pixel, int step, int col0, int col_tap, int col_div,
                                  __global const float *weights, int taps, int channels,
                                  __local float *scratch) {
    const int reach = (taps - 1) * col_tap;
    const int first = floor_div(col0 + min(reach, 0), col_div);
    const int last = floor_div(col0 + max(reach, 0), col_div) + (WT - 1) * step;
    const bool inside = first >= 0 && last < width;
    if (!inside) copy_padded(scratch, row, first, last - first + 1, width, pixel, channels);
    for (int s = 0; s < taps; s++) {
        const int at = col0 + s * col_tap;
        if (at % col_div != 0) continue;
        const int col = at / col_div;
        __global const float *w = weights + (size_t)s * channels * KB;
        if (inside)
            accumulate_image(acc, row + col * pixel, step * pixel, w, channels);
        else
            accumulate_scratch(acc, scratch + (col - first) * channels, step * channels, w,
                               channels);
    }
}

/* out = act(acc + bias + residual) for WT pixels, step floats apart, of which lanes channels exist. bias and residual may be 0.
   Not unrolled, from a copy: the code stays short, and acc stays in registers until here. */
static inline void finish_tile(float16 acc[WT][KV], __global float *out, int step, int lanes,
                               __global const float *bias, __global const float *residual, int act,
                               float alpha) {
    float16 tile[WT * KV];
#pragma unroll
    for (int j = 0; j < WT; j++)
#pragma unroll
        for (int v = 0; v < KV; v++) tile[j * KV + v] = acc[j][v];
    for (int v = 0; v < KV; v++) {
        const int count = lanes - 16 * v;
        const float16 b = bias ? load_lanes(count, bias + 16 * v) : (float16)(0.0f);
        for (int j = 0; j < WT; j++) {
            const size_t at = (size_t)j * step + 16 * v;
            float16 value = tile[j * KV + v] + b;
            if (residual) value += load_lanes(count, residual + at);
            store_lanes(activate16(value, act, alpha), count, out + at);
        }
    }
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_direct_fwd(__global const float *restrict x, __global const float *restrict packed,
                __global const float *bias, __global const float *residual,
                __global float *restrict y, int arg_H, int arg_W, int arg_C, int arg_P, int arg_Q,
                int arg_K, int arg_R, int arg_S, int arg_U, int arg_V, int arg_PT, int arg_PL,
                int arg_D, int arg_E, int arg_G, int act, float alpha, __local float *scratch) {
    const int H = DIM(H), W = DIM(W), C = DIM(C), P = DIM(P), Q = DIM(Q), K = DIM(K);
    const int R = DIM(R), S = DIM(S), Cg = C / DIM(G), Kg = K / DIM(G);
    const int block = (int)get_global_id(ORDER), row = (int)get_global_id(1 - ORDER);
    const int blocks = (Kg + KB - 1) / KB;
    const int group = block / blocks, k0 = block % blocks * KB;
    const int n = row / P, p = row % P;
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
                           DIM(E), 1, weights + (size_t)r * S * Cg * KB, S, Cg, scratch);
        }

        const size_t at = ((size_t)(n * P + p) * Q + q0) * K + group * Kg + k0;
        finish_tile(acc, y + at, K, Kg - k0, bias ? bias + group * Kg + k0 : 0,
                    residual ? residual + at : 0, act, alpha);
    }
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_direct_bwd_data(__global const float *restrict dy, __global const float *restrict packed,
                     __global float *restrict dx, int arg_H, int arg_W, int arg_C, int arg_P,
                     int arg_Q, int arg_K, int arg_R, int arg_S, int arg_U, int arg_V, int arg_PT,
                     int arg_PL, int arg_D, int arg_E, int arg_G, __local float *scratch) {
    const int H = DIM(H), W = DIM(W), C = DIM(C), P = DIM(P), Q = DIM(Q), K = DIM(K);
    const int R = DIM(R), S = DIM(S), V = DIM(V), Cg = C / DIM(G), Kg = K / DIM(G);
    const int block = (int)get_global_id(ORDER), row = (int)get_global_id(1 - ORDER);
    const int blocks = (Cg + KB - 1) / KB;
    const int group = block / blocks, c0 = block % blocks * KB;
    const int n = row / H, h = row % H;
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
                               weights + (size_t)r * S * Kg * KB, S, Kg, scratch);
            }
            __global float *out = dx + ((size_t)(n * H + h) * W + phase + first * V) * C +
                                  group * Cg + c0;
            finish_tile(acc, out, V * C, Cg - c0, 0, 0, ACT_NONE, 0.0f);
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

/* The pixels outside [from, to): taps may lie in the padding or beyond the last one, and dy's vector may reach beyond dy's
   end: left floats of dy remain from this row on. */
static inline void weights_edge(float16 acc[ST][CT][KV], __global const float *x,
                                __global const float *dy, int from, int to, int count, int x_step,
                                int tap_step, int K, int col0, int col_step, int col_tap, int width,
                                int taps, int left) {
    for (int q = from > 0 ? 0 : to; q < count; q = q + 1 == from ? to : q + 1) {
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

/* Adds the tile's sums over rows row_first .. row_last - 1 of (n, p) to out: [tap][channel][KB], the first
   time (fresh) to nothing. c_first - c0 channels of the tile belong to the tile before it. */
static inline void weights_tile(__global const float *x, __global const float *dy,
                                __global float *out, bool fresh, int row_first, int row_last, int N,
                                int H, int W, int C, int P, int Q, int K, int S, int U, int V,
                                int PT, int D, int E, int Cg, int r, int s0, int col0, int c_first,
                                int channel0, int k0) {
    const int c0 = min(c_first, Cg - CT), taps = min(ST, S - s0);
    /* Columns for which every tap of the tile lies inside: 0 <= col0 + q V and col0 + (taps - 1) E + q V < W. */
    const int last = W - 1 - col0 - (taps - 1) * E;
    const int from = min(Q, col0 < 0 ? (-col0 + V - 1) / V : 0);
    const int to = taps < ST || last < 0 ? from : max(from, min(Q, last / V + 1));

    float16 acc[ST][CT][KV];
#pragma unroll
    for (int s = 0; s < ST; s++)
#pragma unroll
        for (int c = 0; c < CT; c++)
#pragma unroll
            for (int v = 0; v < KV; v++) {
                const bool known = !fresh && s < taps && c0 + c >= c_first;
                acc[s][c][v] =
                    known ? vload16(v, out + ((s0 + s) * Cg + c0 + c) * KB) : (float16)(0.0f);
            }

    int n = row_first / P, p = row_first % P;
    for (int row = row_first; row < row_last; row++) {
        const int h = p * U - PT + r * D;
        if (h >= 0 && h < H) {
            __global const float *xr = x + (ptrdiff_t)((n * H + h) * W + col0) * C + channel0 + c0;
            const size_t dy_at = (size_t)row * Q * K + k0;
            const int left = (int)((size_t)N * P * Q * K - dy_at);
            const int safe = left >= (Q - 1) * K + KB ? to : from; /* dy's very end */
            weights_inside(acc, xr, dy + dy_at, from, safe, V * C, E * C, K);
            weights_edge(acc, xr, dy + dy_at, from, safe, Q, V * C, E * C, K, col0, V, E, W, taps,
                         left);
        }
        if (++p == P) {
            p = 0;
            n++;
        }
    }
#pragma unroll
    for (int s = 0; s < ST; s++)
#pragma unroll
        for (int c = 0; c < CT; c++)
#pragma unroll
            for (int v = 0; v < KV; v++)
                if (s < taps && c0 + c >= c_first)
                    vstore16(acc[s][c][v], v, out + ((s0 + s) * Cg + c0 + c) * KB);
}

/* Global size: (groups x blocks, chunks). A chunk goes over its rows band by band, and over all tiles in each band: a
   band of dy stays in the first-level cache. A vector of dy may reach into the next pixel; its sums are never read. */
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_direct_bwd_weights(__global const float *restrict x, __global const float *restrict dy,
                        __global float *restrict sums, int N, int arg_H, int arg_W, int arg_C,
                        int arg_P, int arg_Q, int arg_K, int arg_R, int arg_S, int arg_U, int arg_V,
                        int arg_PT, int arg_PL, int arg_D, int arg_E, int arg_G, int chunk_rows,
                        int band_rows) {
    const int P = DIM(P), K = DIM(K), R = DIM(R), S = DIM(S), G = DIM(G);
    const int Cg = DIM(C) / G, Kg = K / G, blocks = (Kg + KB - 1) / KB;
    const int block = (int)get_global_id(0), chunk = (int)get_global_id(1);
    const int group = block / blocks, k0 = group * Kg + block % blocks * KB;
    const int row_first = chunk * chunk_rows, row_last = min(row_first + chunk_rows, N * P);
    __global float *out = sums + ((size_t)chunk * G * blocks + block) * R * S * Cg * KB;

    for (int band = row_first; band < row_last; band += band_rows)
        for (int r = 0; r < R; r++)
            for (int s = 0; s < S; s += ST)
                for (int c = 0; c < Cg; c += CT)
                    weights_tile(x, dy, out + (size_t)r * S * Cg * KB, band == row_first, band,
                                 min(band + band_rows, row_last), N, DIM(H), DIM(W), DIM(C), P,
                                 DIM(Q), K, S, DIM(U), DIM(V), DIM(PT), DIM(D), DIM(E), Cg, r, s,
                                 s * DIM(E) - DIM(PL), c, group * Cg, k0);
}

/* dw[r,s,c,k] = its sums of chunk 0, 1, ..., added in this order. */
__kernel void conv_direct_reduce(__global const float *restrict sums, __global float *restrict dw,
                                 int count, int chunks, int rsc, int K, int Kg) {
    const int i = (int)get_global_id(0);
    if (i >= count) return;
    const int k = i % K, tap = i / K, blocks = (Kg + KB - 1) / KB;
    const int block = k / Kg * blocks + k % Kg / KB, lane = k % Kg % KB;
    const size_t chunk_floats = (size_t)(K / Kg) * blocks * rsc * KB;
    __global const float *sum = sums + ((size_t)block * rsc + tap) * KB + lane;
    float total = sum[0];
    for (int chunk = 1; chunk < chunks; chunk++) total += sum[chunk * chunk_floats];
    dw[i] = total;
}
