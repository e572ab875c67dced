/* conv_direct: direct convolution for devices with wide SIMD units and many registers (CPUs through PoCL).

   forward            y[n,p,q,k]  = act(sum_{r,s,c} x[n, p u - pt + r d, q v - pl + s e, c] w[r,s,c,k] + bias[k] + residual)
   backward-data      dx[n,h,w,c] = sum_{r,s,k} dy[n, (h + pt - r d) / u, (w + pl - s e) / v, k] w[r,s,c,k], exact quotients only
   backward-weights   dw[r,s,c,k] = sum_{n,p,q} x[n, p u - pt + r d, q v - pl + s e, c] dy[n,p,q,k]

   Activations NHWC, weights RSCK. One work-item is a work-group: it owns vector registers, not lanes.

   Forward and backward-data are one loop nest: a work-item makes one row of the destination for one block of
   KV float16 of its channels, WT pixels at a time, all of them in registers. On narrow images the tile is the same pixels of NT
   images, so that enough multiply-adds share a load of weights.

        source row, pixels j         packed weights, one row a source channel
        +---+---+---+---+            +----------------+----------------+
        | 0 | 1 |...|WT |  channel c |  16 channels   |  16 channels   |   KV vectors
        +---+---+---+---+            +----------------+----------------+
          scalar, broadcast    x       vector loads                        += acc[NT WT][KV]

   In backward-data the pixels of a tile are v apart, so that all of them meet the same taps s.
   Packed weights: [group][block][R][S][source channel][16 KV], zero beyond the last channel. The last tile of a row starts
   earlier where it would overhang. A tap that reaches into the padding with up to EDGE pixels of the tile, on one side, has
   a loop of its own for the others: padding costs no arithmetic. Beyond that, pixel after pixel.
   While a tile is computed, the next row's pixels are asked for, so that they come from the second-level cache.

   Backward-weights: a work-item sums over a chunk of the pixels for some of the C/g and K/g. Band after band (columns of rows
   of images) it copies x and dy to panels without gaps in local memory, where no set of the cache is what all pixels share
   and all taps and blocks find them again:

        x panel    [row h][column w mod v][w div v][image][CT]    ST > 1: [row h][column w][CT], zero in the padding
        dy panel   [row p][column q][image][16 KV]

   ST x CT x KV sums are in registers: ST taps of a row x CT input channels x KV float16 of output channels. Each chunk has sums
   of its own, laid out as dw, which conv_direct_reduce adds in order.

   parameter  meaning                                             unit             legal
   PASS       forward, backward-data or backward-weights          -                0, 1, 2
   WT         destination pixels of a tile (PASS 0, 1)            pixels           1 .. 28
   NT         images of a tile, divides N (PASS 0, 1)             images           1 .. 4
   KV         vectors of destination channels                     16 channels      1 .. 4
   EDGE       pixels of a tile that may lie in the padding        pixels           0 .. 2
   STEP       from pixel to pixel of the source (PASS 0, 1)       floats           as the problem's; 0: run-time argument
   CT         input channels of a tile (PASS 2)                   channels         1 .. 28
   ST         taps of a row in a tile (PASS 2), divides S         taps             1 .. 11, 1 if e > 1
   SLICE      y is a part of a wider tensor: slice.clh (PASS 0)   -                0, 1             */

#include "common.clh"
#include "idle_groups.clh"
#include "lanes.clh"
#include "register_tile.clh"
#include "activation.clh"
#include "slice.clh"

#ifndef PASS
#define PASS 0
#endif
#ifndef WT
#define WT 7
#endif
#ifndef NT
#define NT 1
#endif
#ifndef KV
#define KV 1
#endif
#ifndef EDGE
#define EDGE 0
#endif
#ifndef STEP
#define STEP 0
#endif
#ifndef CT
#define CT 1
#endif
#ifndef ST
#define ST 1
#endif
#if WT < 1 || WT > 28 || NT < 1 || NT > 4 || KV < 1 || KV > 4 || CT < 1 || CT > 28 || ST < 1 || ST > 11
#error "conv_direct: tile out of range"
#endif
#if PASS < 0 || PASS > 2 || EDGE < 0 || EDGE > 2 || STEP < 0
#error "conv_direct: PASS, EDGE or STEP out of range"
#endif

#define KB (16 * KV) /* channels of a block */

/* Rows of packed weights from the one in use to the one asked for: they stream from the second-level cache, whose answer takes
   longer than a row's multiply-adds. Rows follow each other to the end of a block, or of its part in a loop over a part of the
   channels; the first rows after that are waited for. */
#define WEIGHTS_AHEAD 8

#if PASS != 2
/* ---------------------------------------------------------------- packing */

/* One work-item a vector of 16 destination channels. fwd: source channels c, destination k; bwd_data: the reverse. */
#if PASS == 0
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

#else

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
#endif

/* ---------------------------------------------------------------- forward and backward-data */

/* What a later row of the destination will read is asked for while this one is computed: in each turn of the inner loop the line
   at next, which then moves by step floats. It comes from memory to the second-level cache, in time for that later row. */
struct ahead {
    __global const float *next;
    int step;
};

/* So many floats a turn make a tile's pixels, stride apart, in taps turns for each of their channels; no line is left out. */
static inline int ahead_step(int stride, int taps) {
    return min((WT * stride + taps - 1) / taps, 16);
}

/* acc += source pixels (step floats apart, images image floats apart) x weights, over channels source channels, for the
   pixels FIRST .. LAST - 1 of the tile. No restrict: Oclgrind does not know what clang makes of it when it inlines. */
#define DEFINE_ACCUMULATE(name, FIRST, LAST)                                                       \
    static inline void name(float16 acc[NT * WT][KV], __global const float *source, int step,      \
                            int image, __global const float *weights, int channels,                \
                            struct ahead ahead) {                                                  \
        __global const float *from[NT], *end = source + channels;                                  \
        _Pragma("unroll") for (int i = 0; i < NT; i++) from[i] = source + i * image;               \
        while (from[0] != end) {                                                                   \
            float16 w[KV];                                                                         \
            _Pragma("unroll") for (int v = 0; v < KV; v++) w[v] = vload16(v, weights);             \
            _Pragma("unroll") for (int j = 0; j < NT * WT; j++) {                                  \
                if (j % WT < (FIRST) || j % WT >= (LAST)) continue;                                \
                const float16 x = (float16)(from[j / WT][j % WT * step]);                          \
                _Pragma("unroll") for (int v = 0; v < KV; v++) {                                   \
                    if (v == KV - 1 && LAST_FROM_MEMORY(NT * WT)) {                                \
                        OPAQUE(weights);                                                           \
                        w[v] = vload16(v, weights);                                                \
                    }                                                                              \
                    acc[j][v] = FMA(x, w[v], acc[j][v]);                                           \
                }                                                                                  \
            }                                                                                      \
            _Pragma("unroll") for (int v = 0; v < KV; v++)                                         \
                fetch_near(weights + WEIGHTS_AHEAD * KB + 16 * v);                                 \
            weights += KB;                                                                         \
            fetch_line(ahead.next);                                                                \
            ahead.next += ahead.step;                                                              \
            _Pragma("unroll") for (int i = 0; i < NT; i++) {                                       \
                from[i]++;                                                                         \
                OPAQUE(from[i]);                                                                   \
            }                                                                                      \
        }                                                                                          \
    }
DEFINE_ACCUMULATE(accumulate_all, 0, WT)
#if EDGE >= 1 && WT > 1
DEFINE_ACCUMULATE(accumulate_after_1, 1, WT)
DEFINE_ACCUMULATE(accumulate_before_1, 0, WT - 1)
#endif
#if EDGE >= 2 && WT > 2
DEFINE_ACCUMULATE(accumulate_after_2, 2, WT)
DEFINE_ACCUMULATE(accumulate_before_2, 0, WT - 2)
#endif

/* The pixels first .. last - 1, whatever they are. */
static inline void accumulate_some(float16 acc[NT * WT][KV], __global const float *source, int step,
                                   int image, __global const float *weights, int channels,
                                   int first, int last) {
#pragma unroll
    for (int j = 0; j < NT * WT; j++)
        if (j % WT >= first && j % WT < last)
            for (int c = 0; c < channels; c++) {
                const float16 x = (float16)(source[j / WT * image + j % WT * step + c]);
#pragma unroll
                for (int v = 0; v < KV; v++)
                    acc[j][v] = FMA(x, vload16(v, weights + (size_t)c * KB), acc[j][v]);
            }
}

/* Some channels of what a tile reads: rows of width pixels, pixel floats apart, in NT images, image floats apart. */
struct source {
    int width, pixel, image, channels;
};

/* One tap: pixel j of the tile reads column col + j col_step of the row. */
static inline void accumulate_tap(float16 acc[NT * WT][KV], __global const float *row,
                                  const struct source src, int channels, int col, int col_step,
                                  __global const float *weights, const struct ahead ahead) {
    const int step = STEP ? STEP : col_step * src.pixel;
    const int end = col + (WT - 1) * col_step - src.width;
    const int before = col < 0 ? (col_step - 1 - col) / col_step : 0;
    const int after = end >= 0 ? end / col_step + 1 : 0;
    __global const float *from = row + col * src.pixel;
    if (before == 0 && after == 0)
        accumulate_all(acc, from, step, src.image, weights, channels, ahead);
#if EDGE >= 1 && WT > 1
    else if (before == 1 && after == 0)
        accumulate_after_1(acc, from, step, src.image, weights, channels, ahead);
    else if (before == 0 && after == 1)
        accumulate_before_1(acc, from, step, src.image, weights, channels, ahead);
#endif
#if EDGE >= 2 && WT > 2
    else if (before == 2 && after == 0)
        accumulate_after_2(acc, from, step, src.image, weights, channels, ahead);
    else if (before == 0 && after == 2)
        accumulate_before_2(acc, from, step, src.image, weights, channels, ahead);
#endif
    else
        accumulate_some(acc, from, step, src.image, weights, channels, before, WT - after);
}

/* All taps s of one source row for one tile: tap s reads the pixels (col0 + s col_tap) / col_div, + col_step, + 2 col_step, ...
   (backward-data: only exact quotients exist). Taps are tap floats of weights apart. */
static inline void accumulate_row(float16 acc[NT * WT][KV], __global const float *row,
                                  const struct source src, int col_step, int col0, int col_tap,
                                  int col_div, __global const float *weights, int taps, int tap,
                                  struct ahead ahead) {
    /* Taps whose pixels and weights follow each other, all of them inside: one long loop. */
    const bool inside = col0 >= 0 && col0 + (WT - 1) * col_step + taps <= src.width;
    const bool run = col_tap == 1 && col_div == 1 && src.pixel == src.channels && inside;
    const int channels = run ? src.channels * taps : src.channels;
    for (int s = 0; s < (run ? 1 : taps); s++) {
        const int at = col0 + s * col_tap;
        if (at % col_div != 0) continue;
        accumulate_tap(acc, row, src, channels, at / col_div, col_step, weights + (size_t)s * tap,
                       ahead);
        ahead.next += channels * ahead.step;
    }
}

static inline void clear_tile(float16 acc[NT * WT][KV]) {
#pragma unroll
    for (int j = 0; j < NT * WT; j++)
#pragma unroll
        for (int v = 0; v < KV; v++) acc[j][v] = (float16)(0.0f);
}

/* Asks for the lines that finish_tile will write. */
static inline void fetch_tile(__global const float *out, int step, int image, int lanes) {
    for (int j = 0; j < NT * WT; j++)
        for (int v = 0; v < KV; v++)
            if (16 * v < lanes)
                fetch_to_write(out + (size_t)(j / WT) * image + (size_t)(j % WT) * step + 16 * v);
}

/* out = act(acc + bias + residual) for WT pixels, step floats apart, of NT images; lanes channels exist. bias and residual may be 0.
   Beyond whole blocks without activation not unrolled, from a copy: the code stays short, and acc stays in registers until here. */
static inline void finish_tile(float16 acc[NT * WT][KV], __global float *out, int step, int image,
                               int lanes, __global const float *bias,
                               __global const float *residual, int act, float alpha) {
    if (lanes >= KB && !residual && act == ACT_NONE) {
#pragma unroll
        for (int v = 0; v < KV; v++) {
            const float16 b = bias ? vload16(v, bias) : (float16)(0.0f);
#pragma unroll
            for (int j = 0; j < NT * WT; j++)
                store_global(acc[j][v] + b, v,
                         out + (size_t)(j / WT) * image + (size_t)(j % WT) * step);
        }
        return;
    }
    float16 tile[NT * WT * KV];
#pragma unroll
    for (int j = 0; j < NT * WT; j++)
#pragma unroll
        for (int v = 0; v < KV; v++) tile[j * KV + v] = acc[j][v];
    for (int v = 0; v < KV; v++) {
        const int count = lanes - 16 * v;
        const float16 b = bias ? load_lanes(count, bias + 16 * v) : (float16)(0.0f);
        for (int j = 0; j < NT * WT; j++) {
            const size_t at = (size_t)(j / WT) * image + (size_t)(j % WT) * step + 16 * v;
            float16 value = tile[j * KV + v] + b;
            if (residual) value += load_lanes(count, residual + at);
            store_lanes(activate16(value, act, alpha), count, out + at);
        }
    }
}

#if PASS == 0
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_direct_fwd(__global const float *restrict x, __global const float *restrict packed,
                __global const float *bias, __global const float *residual,
                __global float *restrict y, int H, int W, int C, int P, int Q, int K, int R, int S,
                int U, int V, int PT, int PL, int D, int E, int G, int order, int cb, int act,
                float alpha SLICE_ARGS) {
    const int Cg = C / G, Kg = K / G, blocks = (Kg + KB - 1) / KB;
    const int block = (int)get_global_id(order), row = (int)get_global_id(1 - order);
    const int group = block / blocks, k0 = block % blocks * KB;
    const int n = row / P * NT, p = row % P;
    __global const float *weights = packed + (size_t)block * R * S * Cg * KB;
    __global const float *images = x + (size_t)n * H * W * C + group * Cg;
    /* Blocks that follow the first one on the same row find its pixels there. */
    const int step = G == 1 && (order == 1 || block == 0) ? ahead_step(V, S) : 0;

    for (int tile = 0; tile < Q; tile += WT) {
        const int q0 = min(tile, Q - WT);
        float16 acc[NT * WT][KV];
        const size_t at =
            ((size_t)(n * P + p) * Q + q0) * SLICE_STEP(K) + SLICE_FIRST + group * Kg + k0;
        clear_tile(acc);
        fetch_tile(y + at, SLICE_STEP(K), P * Q * SLICE_STEP(K), Kg - k0);
        for (int c = 0; c < Cg; c += cb) {
            const struct source src = {W, C, H * W * C, min(cb, Cg - c)};
            for (int r = 0; r < R; r++) {
                const int h = p * U - PT + r * D;
                if (h < 0 || h >= H) continue;
                /* Of the next row's taps, only the last U rows are new. */
                const struct ahead ahead = {
                    images + ((size_t)(h + U) * W + max(q0 * V - PL, 0)) * C + c * S * step,
                    r >= R - U ? step : 0};
                accumulate_row(acc, images + (size_t)h * W * C + c, src, V, q0 * V - PL, E, 1,
                               weights + ((size_t)r * S * Cg + c) * KB, S, Cg * KB, ahead);
            }
        }
        finish_tile(acc, y + at, SLICE_STEP(K), P * Q * SLICE_STEP(K), Kg - k0, bias ? bias + group * Kg + k0 : 0,
                    residual ? residual + at : 0, act, alpha);
    }
}
#else
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_direct_bwd_data(__global const float *restrict dy, __global const float *restrict packed,
                     __global float *restrict dx, int H, int W, int C, int P, int Q, int K, int R,
                     int S, int U, int V, int PT, int PL, int D, int E, int G, int order, int cb) {
    const int Cg = C / G, Kg = K / G, blocks = (Cg + KB - 1) / KB;
    const int block = (int)get_global_id(order), row = (int)get_global_id(1 - order);
    const int group = block / blocks, c0 = block % blocks * KB;
    const int n = row / H * NT, h = row % H;
    __global const float *weights = packed + (size_t)block * R * S * Kg * KB;
    __global const float *images = dy + (size_t)n * P * Q * K + group * Kg;
    const int step = G == 1 && (order == 1 || block == 0) ? ahead_step(V, S) : 0;

    for (int phase = 0; phase < min(V, W); phase++) {
        const int count = (W - phase + V - 1) / V; /* pixels phase, phase + V, ... */
        for (int tile = 0; tile < count; tile += WT) {
            const int first = min(tile, count - WT);
            float16 acc[NT * WT][KV];
            __global float *out = dx + ((size_t)(n * H + h) * W + phase + first * V) * C +
                                  group * Cg + c0;
            clear_tile(acc);
            fetch_tile(out, V * C, H * W * C, Cg - c0);
            for (int k = 0; k < Kg; k += cb) {
                const struct source src = {Q, K, P * Q * K, min(cb, Kg - k)};
                for (int r = 0; r < R; r++) {
                    const int t = h + PT - r * D, col = phase + first * V + PL;
                    if (t < 0 || t % U != 0 || t / U >= P) continue;
                    /* The phases share the pixels of the next row: each asks for some of them. */
                    const struct ahead ahead = {
                        images + ((size_t)(t / U + 1) * Q + first) * K + (phase * S / V * K + k) * step,
                        r < U ? step : 0};
                    accumulate_row(acc, images + (size_t)(t / U) * Q * K + k, src, 1, col, -E, V,
                                   weights + ((size_t)r * S * Kg + k) * KB, S, Kg * KB, ahead);
                }
            }
            finish_tile(acc, out, V * C, H * W * C, Cg - c0, 0, 0, ACT_NONE, 0.0f);
        }
    }
}
#endif
#endif

#if PASS == 2
#include "conv_direct_weights.clh"
#endif
