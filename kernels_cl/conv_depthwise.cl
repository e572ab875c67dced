/* conv_depthwise: groups of one input channel, C = g, K = C M with M filters a channel (nearly always one).

   forward            y[n,p,q,k]  = act(sum_{r,s} x[n, p u - pt + r d, q v - pl + s e, k / M] w[r,s,k] + bias[k] + residual)
   backward-data      dx[n,h,w,c] = sum_{r,s,m} dy[n, (h + pt - r d) / u, (w + pl - s e) / v, c M + m] w[r,s,c M + m], exact quotients only
   backward-weights   dw[r,s,k]   = sum_{n,p,q} x[n, p u - pt + r d, q v - pl + s e, k / M] dy[n,p,q,k]

   Activations NHWC, weights R S K. There is no sum over channels, so a lane is a channel and everything is vectors:

        source row, pixels j         taps of a row
        +-----+-----+---+-----+      +-----+-----+-----+
        | VEC | VEC |...| VEC |      | VEC | VEC | VEC |      acc[j] += source[pixel of j at s] tap[s]
        +-----+-----+---+-----+      +-----+-----+-----+

   Forward and backward-data: a work-item makes KV vectors of channels of a row of the destination, WT pixels at a time
   in registers, or only one such tile where the device wants more work-items (split). In backward-data the pixels of a
   tile are v apart (a phase), so that all of them meet the same taps s. A tap that reaches into the padding, and
   the last tile of a row, test pixel by pixel.

   Backward-weights: a work-item sums over a chunk of the (n, p) rows, band after band of a few rows, and in each all
   channels, so that memory is read in order: RT x ST taps of KV vectors at a time in registers, with sums of their own
   for QT neighbouring pixels, so that no multiply-add waits for the one before it. Or only one such tile, for the whole
   chunk (split). The chunks' sums, [chunk][R][S][K], are added in order by conv_depthwise_reduce.

   The global size is flat: channel vectors innermost, then tiles, then rows or chunks.

   parameter  meaning                                                unit       legal
   PASS       what is compiled: 0 forward, 1 backward-data,
              2 backward-weights                                     -          0 .. 2
   VEC        channels of a work-item: lanes of a vector             channels   1, 4, 8, 16
   KV         vectors of a tile: channels that are next to each other
              in memory are read together                            VEC        1 .. 8
   WT         destination pixels of a tile                           pixels     1 .. 28
   RT         filter rows of a tile of taps (bwd_weights)            taps       1 .. 8
   ST         taps of a row that share a load of dy (bwd_weights)    taps       1 .. 8
   QT         pixels with sums of their own (bwd_weights)            pixels     1 .. 8
   WG         work-group                                             items      1 ..
   MULTI      filters a channel: 0 one, 1 any number                 -          0, 1
   RAGGED     channels are no multiple of VEC                        -          0, 1
   FIX_*      filter size, strides, dilations compiled in (all)      -          as the problem's                  */

#include "common.clh"
#include "activation.clh"
#include "vector.clh"
#include "lanes.clh"

#ifndef PASS
#define PASS 0
#endif
#ifndef KV
#define KV 1
#endif
#ifndef WT
#define WT 7
#endif
#ifndef RT
#define RT 1
#endif
#ifndef ST
#define ST 1
#endif
#ifndef QT
#define QT 1
#endif
#ifndef WG
#define WG 1
#endif
#ifndef MULTI
#define MULTI 1
#endif
#ifndef RAGGED
#define RAGGED 1
#endif
#if KV < 1 || KV > 8 || WT < 1 || WT > 28 || RT < 1 || RT > 8 || ST < 1 || ST > 8 || QT < 1 || QT > 8 || WG < 1
#error "conv_depthwise: tile out of range"
#endif

#if VEC != 1 && VEC != 16
DEFINE_ACTIVATIONS(VEC, floatv)
#endif
#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)
#define ACTIVATE      CONCAT(activate, VEC)

#ifdef FIX_R
#define DIM(name) FIX_##name
#else
#define DIM(name) arg_##name
#endif

/* All kernels take their dimensions in this order. M: filters a channel. */
#define GEOMETRY_ARGS                                                                              \
    int H, int W, int C, int P, int Q, int K, int PT, int PL, int M, int arg_R, int arg_S,         \
        int arg_U, int arg_V, int arg_D, int arg_E

/* VEC channels of which lanes exist; nothing is read or written beyond them. */
static inline floatv load_channels(__global const float *p, int lanes) {
#if RAGGED
    return load_until(p, 0, lanes);
#else
    return VLOAD(p);
#endif
}
static inline void store_channels(floatv v, __global float *p, int lanes) {
#if RAGGED
    store_until(v, p, 0, lanes);
#else
    VSTORE(v, p);
#endif
}

/* Channels (k + lane) / M of a pixel: what filters k, k + 1, ... read. m: none, for the same parameters as load_filter's. */
static inline floatv load_shared(__global const float *pixel, int k, int M, int m, int lanes) {
#if MULTI
    float part[VEC];
    for (int i = 0; i < VEC; i++) part[i] = i < lanes ? pixel[(k + i) / M] : 0.0f;
    return VLOAD(part);
#else
    return load_channels(pixel + k, lanes);
#endif
}

/* Channels (c + lane) M + m: filter m of channels c, c + 1, ... */
static inline floatv load_filter(__global const float *pixel, int c, int M, int m, int lanes) {
#if MULTI
    float part[VEC];
    for (int i = 0; i < VEC; i++) part[i] = i < lanes ? pixel[(c + i) * M + m] : 0.0f;
    return VLOAD(part);
#else
    return load_channels(pixel + c, lanes);
#endif
}

/* ---------------------------------------------------------------- forward and backward-data */

/* acc[j] += source pixel (col + j step) x tap, for the count pixels of the tile, zero outside the row. Forward loads as
   load_shared does, backward-data as load_filter. */
#define DEFINE_ACCUMULATE(name, LOAD)                                                              \
    static inline void name(floatv acc[WT], __global const float *row, int width, int pixel,       \
                            int col, int step, int count, floatv tap, int channel, int M, int m,   \
                            int lanes) {                                                           \
        if (count == WT && col >= 0 && col + (WT - 1) * step < width) {                            \
            _Pragma("unroll") for (int j = 0; j < WT; j++) acc[j] =                                \
                FMA(LOAD(row + (col + j * step) * pixel, channel, M, m, lanes), tap, acc[j]);      \
            return;                                                                                \
        }                                                                                          \
        _Pragma("unroll") for (int j = 0; j < WT; j++) {                                           \
            const int at = col + j * step;                                                         \
            if (j < count && at >= 0 && at < width)                                                \
                acc[j] = FMA(LOAD(row + at * pixel, channel, M, m, lanes), tap, acc[j]);           \
        }                                                                                          \
    }
DEFINE_ACCUMULATE(accumulate_fwd, load_shared)
DEFINE_ACCUMULATE(accumulate_bwd_data, load_filter)

/* Asks for the lines of a tile's pixels, pixel floats apart: to read them with a later row, or to write them soon. Sums of few
   taps leave no time to wait for memory, and between the pixels of a tile lie other channels, so that nothing fetches
   them ahead. */
static inline void fetch_tile(__global const float *from, int pixel, int count) {
    for (int j = 0; j < count; j++)
        for (int v = 0; v < KV * VEC; v += 16) fetch_line(from + j * pixel + v);
}
static inline void fetch_tile_to_write(__global const float *to, int pixel, int count) {
    for (int j = 0; j < count; j++)
        for (int v = 0; v < KV * VEC; v += 16) fetch_to_write(to + j * pixel + v);
}

/* What a flat index of forward and backward-data means. Tiles of one phase follow each other. */
struct task {
    int channel, row, phase_first, phase_last, tile_first, tile_last;
};

static inline struct task find_task(int index, int blocks, int phases, int tiles, int split) {
    struct task task = {index % blocks * (KV * VEC), index / blocks, 0, phases, 0, tiles};
    if (split) {
        const int slot = task.row % (phases * tiles);
        task.row /= phases * tiles;
        task.phase_first = slot / tiles;
        task.phase_last = task.phase_first + 1;
        task.tile_first = slot % tiles;
        task.tile_last = task.tile_first + 1;
    }
    return task;
}

#if PASS == 0
/* items: work-items with work; blocks: KV vectors of channels each; tiles: of a row. */
__attribute__((reqd_work_group_size(WG, 1, 1))) __kernel void
conv_depthwise_fwd(__global const float *restrict x, __global const float *restrict w,
                   __global const float *bias, __global const float *residual,
                   __global float *restrict y, GEOMETRY_ARGS, int items, int blocks, int tiles,
                   int split, int act, float alpha) {
    const int index = (int)get_global_id(0);
    if (index >= items) return;
    const int R = DIM(R), S = DIM(S), V = DIM(V);
    const struct task task = find_task(index, blocks, 1, tiles, split);
    const int k0 = task.channel, n = task.row / P, p = task.row % P;
    __global const float *image = x + n * H * W * C;

    for (int tile = task.tile_first; tile < task.tile_last; tile++) {
        const int q0 = tile * WT, count = min(WT, Q - q0);
        floatv acc[KV][WT];
#pragma unroll
        for (int v = 0; v < KV; v++)
#pragma unroll
            for (int j = 0; j < WT; j++) acc[v][j] = (floatv)(0.0f);
        const int next = p * DIM(U) - PT + (R - 1) * DIM(D) + 1; /* the next row's taps: as far as there */
        for (int h = max(next, 0); h < min(next + DIM(U), H); h++)
            fetch_tile(image + (h * W + q0 * V) * C + k0 / M, C, min(count * V, W - q0 * V));
        fetch_tile_to_write(y + (task.row * Q + q0) * K + k0, K, count);
        for (int r = 0; r < R; r++) {
            const int h = p * DIM(U) - PT + r * DIM(D);
            if (h < 0 || h >= H) continue;
            for (int s = 0; s < S; s++)
#pragma unroll
                for (int v = 0; v < KV; v++) {
                    const int k = k0 + v * VEC, lanes = K - k;
                    if (KV == 1 || lanes > 0)
                        accumulate_fwd(acc[v], image + h * W * C, W, C, q0 * V - PL + s * DIM(E), V,
                                       count, load_channels(w + (r * S + s) * K + k, lanes), k, M,
                                       0, lanes);
                }
        }
        /* Not unrolled, from a copy: the code stays short, and acc stays in registers until here. */
        floatv done[KV * WT];
#pragma unroll
        for (int v = 0; v < KV; v++)
#pragma unroll
            for (int j = 0; j < WT; j++) done[v * WT + j] = acc[v][j];
        for (int v = 0; v < KV; v++) {
            const int k = k0 + v * VEC, lanes = K - k, at = (task.row * Q + q0) * K + k;
            if (KV > 1 && lanes <= 0) break;
            const floatv b = bias ? load_channels(bias + k, lanes) : (floatv)(0.0f);
            for (int j = 0; j < count; j++) {
                floatv value = done[v * WT + j] + b;
                if (residual) value += load_channels(residual + at + j * K, lanes);
                store_channels(ACTIVATE(value, act, alpha), y + at + j * K, lanes);
            }
        }
    }
}
#elif PASS == 1
__attribute__((reqd_work_group_size(WG, 1, 1))) __kernel void
conv_depthwise_bwd_data(__global const float *restrict dy, __global const float *restrict w,
                        __global float *restrict dx, GEOMETRY_ARGS, int items, int blocks,
                        int tiles, int split) {
    const int index = (int)get_global_id(0);
    if (index >= items) return;
    const int R = DIM(R), S = DIM(S), U = DIM(U), V = DIM(V);
    const struct task task = find_task(index, blocks, min(V, W), tiles, split);
    const int c0 = task.channel, n = task.row / H, h = task.row % H;
    __global const float *image = dy + n * P * Q * K;

    for (int phase = task.phase_first; phase < task.phase_last; phase++) {
        const int pixels = (W - phase + V - 1) / V; /* phase, phase + V, ... */
        for (int tile = task.tile_first; tile < task.tile_last && tile * WT < pixels; tile++) {
            const int first = phase + tile * WT * V, count = min(WT, pixels - tile * WT);
            floatv acc[KV][WT];
#pragma unroll
            for (int v = 0; v < KV; v++)
#pragma unroll
                for (int j = 0; j < WT; j++) acc[v][j] = (floatv)(0.0f);
            __global float *out = dx + (task.row * W + first) * C + c0;
            const int next = min((h + PT) / U + 1, P - 1);
            fetch_tile(image + (next * Q + min(first / V, Q - 1)) * K + c0 * M, K, min(count, Q));
            fetch_tile_to_write(out, V * C, count);
            for (int r = 0; r < R; r++) {
                const int t = h + PT - r * DIM(D);
                if (t < 0 || t % U != 0 || t / U >= P) continue;
                for (int s = 0; s < S; s++) {
                    const int at = first + PL - s * DIM(E);
                    if (at % V != 0) continue;
                    for (int m = 0; m < (MULTI ? M : 1); m++)
#pragma unroll
                        for (int v = 0; v < KV; v++) {
                            const int c = c0 + v * VEC, lanes = C - c;
                            if (KV == 1 || lanes > 0)
                                accumulate_bwd_data(
                                    acc[v], image + t / U * Q * K, Q, K, at / V, 1, count,
                                    load_filter(w + (r * S + s) * K, c, M, m, lanes), c, M, m,
                                    lanes);
                        }
                }
            }
#pragma unroll
            for (int v = 0; v < KV; v++)
#pragma unroll
                for (int j = 0; j < WT; j++)
                    if (j < count && (KV == 1 || c0 + v * VEC < C))
                        store_channels(acc[v][j], out + j * V * C + v * VEC, C - c0 - v * VEC);
        }
    }
}
#else
/* ---------------------------------------------------------------- backward-weights */

/* acc += one row of dy times the row of x that ST taps of one filter row read. source: at the column col0 that the first of
   them reads for q = 0. [from, to): pixels for which all ST taps lie inside, a multiple of QT. */
static inline void sum_row(floatv acc[KV][QT][ST], __global const float *source,
                           __global const float *gradient, int from, int to, int Q, int W, int C,
                           int K, int V, int E, int M, int col0, int taps, int k0) {
    for (int q = from; q < to; q += QT)
#pragma unroll
        for (int j = 0; j < QT; j++)
#pragma unroll
            for (int v = 0; v < KV; v++) {
                const int k = k0 + v * VEC, lanes = K - k;
                if (KV > 1 && lanes <= 0) continue;
                const floatv g = load_channels(gradient + (q + j) * K + k, lanes);
#pragma unroll
                for (int s = 0; s < ST; s++)
                    acc[v][j][s] =
                        FMA(load_shared(source + ((q + j) * V + s * E) * C, k, M, 0, lanes), g,
                            acc[v][j][s]);
            }
    for (int q = from > 0 ? 0 : to; q < Q; q = q + 1 == from ? to : q + 1)
#pragma unroll
        for (int v = 0; v < KV; v++) {
            const int k = k0 + v * VEC, lanes = K - k;
            if (KV > 1 && lanes <= 0) continue;
            const floatv g = load_channels(gradient + q * K + k, lanes);
#pragma unroll
            for (int s = 0; s < ST; s++) {
                const int col = col0 + q * V + s * E;
                if (s < taps && col >= 0 && col < W)
                    acc[v][0][s] = FMA(load_shared(source + (q * V + s * E) * C, k, M, 0, lanes), g,
                                       acc[v][0][s]);
            }
        }
}

/* Adds to out, [R][S][K], the first time (fresh) to nothing, one tile of RT x ST taps for KV vectors of channels, summed over
   rows [first, last) of (n, p). */
static inline void sum_tile(__global const float *x, __global const float *dy, __global float *out,
                            bool fresh, int first, int last, int H, int W, int C, int P, int Q,
                            int K, int R, int S, int U, int V, int D, int E, int PT, int PL, int M,
                            int r0, int s0, int k0) {
    const int taps = min(ST, S - s0), col0 = s0 * E - PL;
    /* Pixels for which every tap lies inside: 0 <= col0 + q V and col0 + (ST - 1) E + q V < W. */
    const int rest = W - 1 - col0 - (ST - 1) * E;
    const int from = min(Q, col0 < 0 ? (-col0 + V - 1) / V : 0);
    const int inside = taps < ST || rest < 0 ? from : max(from, min(Q, rest / V + 1));
    const int to = from + (inside - from) / QT * QT;
    out += (r0 * S + s0) * K + k0;

    floatv acc[RT][KV][QT][ST];
#pragma unroll
    for (int i = 0; i < RT * KV * ST; i++) {
        const int r = i / (KV * ST), v = i / ST % KV, s = i % ST, lanes = K - k0 - v * VEC;
        const bool known = !fresh && r0 + r < R && s < taps && lanes > 0;
#pragma unroll
        for (int j = 1; j < QT; j++) acc[r][v][j][s] = (floatv)(0.0f);
        acc[r][v][0][s] =
            known ? load_channels(out + (r * S + s) * K + v * VEC, lanes) : (floatv)(0.0f);
    }

    for (int row = first; row < last; row++) {
        const int n = row / P, h0 = row % P * U - PT + r0 * D;
#pragma unroll
        for (int r = 0; r < RT; r++) {
            const int h = h0 + r * D;
            if (r0 + r < R && h >= 0 && h < H)
                sum_row(acc[r], x + ((n * H + h) * W + col0) * C, dy + row * Q * K, from, to, Q, W, C,
                        K, V, E, M, col0, taps, k0);
        }
    }

#pragma unroll
    for (int i = 0; i < RT * KV * ST; i++) {
        const int r = i / (KV * ST), v = i / ST % KV, s = i % ST, lanes = K - k0 - v * VEC;
        floatv total = acc[r][v][0][s];
#pragma unroll
        for (int j = 1; j < QT; j++) total += acc[r][v][j][s];
        if (r0 + r < R && s < taps && lanes > 0)
            store_channels(total, out + (r * S + s) * K + v * VEC, lanes);
    }
}

/* A work-item does a chunk of rows, band after band, and in each all channels and taps, so that memory is read in order;
   split: one block of channels and one tile of taps only. */
__attribute__((reqd_work_group_size(WG, 1, 1))) __kernel void
conv_depthwise_bwd_weights(__global const float *restrict x, __global const float *restrict dy,
                           __global float *restrict sums, GEOMETRY_ARGS, int items, int blocks,
                           int rows, int chunk_rows, int band_rows, int split) {
    const int index = (int)get_global_id(0);
    if (index >= items) return;
    const int R = DIM(R), S = DIM(S);
    const int row_tiles = (S + ST - 1) / ST, tiles = (R + RT - 1) / RT * row_tiles;
    const int chunk = split ? index / blocks / tiles : index;
    const int block_first = split ? index % blocks : 0;
    const int block_last = split ? block_first + 1 : blocks;
    const int tile_first = split ? index / blocks % tiles : 0;
    const int tile_last = split ? tile_first + 1 : tiles;
    const int first = chunk * chunk_rows, last = min(first + chunk_rows, rows);
    for (int band = first; band < last; band += band_rows)
        for (int block = block_first; block < block_last; block++)
            for (int tile = tile_first; tile < tile_last; tile++)
                sum_tile(x, dy, sums + chunk * R * S * K, band == first, band,
                         min(band + band_rows, last), H, W, C, P, Q, K, R, S, DIM(U), DIM(V),
                         DIM(D), DIM(E), PT, PL, M, tile / row_tiles * RT, tile % row_tiles * ST,
                         block * (KV * VEC));
}

/* dw[i] = its sums of chunk 0, 1, ..., added in this order. */
__kernel void conv_depthwise_reduce(__global const float *restrict sums,
                                    __global float *restrict dw, int count, int chunks) {
    const int i = (int)get_global_id(0);
    if (i >= count) return;
    float total = sums[i];
    for (int chunk = 1; chunk < chunks; chunk++) total += sums[chunk * count + i];
    dw[i] = total;
}
#endif
