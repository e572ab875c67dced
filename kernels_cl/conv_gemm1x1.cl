/* conv_gemm1x1: 1x1 convolution without padding as a matrix product, for devices with wide SIMD units and many registers
   (CPUs through PoCL).

   forward            y[i,k]  = act(sum_c x[at(i),c] w[c,k] + bias[k] + residual[i,k])
   backward-data      dx[at(i),c] = sum_k dy[i,k] w[c,k]; the pixels that no i reaches are zero
   backward-weights   dw[c,k] = sum_i x[at(i),c] dy[i,k]

   i counts the output pixels n, p, q; at(i) is the input pixel n, p u, q v. Activations NHWC, weights [C/g][K]. One
   work-item is a work-group: it owns vector registers, not lanes.

   Forward and backward-data are one loop nest, "source" to "destination". A work-item multiplies tiles of MR pixels,
   which it reads where they lie, by blocks of KV vectors of packed weights:

        rows of the source           packed weights, one row a source channel
        +---+---+---+---+            +----------------+----------------+
        | 0 | 1 |...|MR |  channel c |  16 channels   |  16 channels   |   KV vectors
        +---+---+---+---+            +----------------+----------------+
          scalar, broadcast    x       vector loads                        += acc[MR][KV]

   Packed weights: [group][block][source channel][16 KV], zero beyond the last channel. A group of tiles does block after
   block, so that a block of weights comes from afar once for all of them. Where there are more than cb source channels
   (an argument), the destination holds the sums in between. While a tile computes, the rows, weights and results of
   what follows are asked for, a few lines every 16 channels: asked for at once, they would hold up the loads that
   the sums wait for.

   Backward-weights: a work-item sums over a chunk of the pixels, for some of the C/g and K/g. Band after band
   of pixels it copies x to panels of 16 channels (48 where CT divides only these) and dy to panels of 16 KV, pixel after
   pixel, and keeps CT x KV sums in registers. Each chunk has sums of its own, laid out as dw, which
   conv_gemm1x1_reduce adds in order.

   parameter  meaning                                             unit             legal
   PASS       forward, backward-data or backward-weights          -                0, 1, 2
   MR         pixels of a tile (PASS 0, 1)                        pixels           1 .. 16
   KV         vectors of destination channels                     16 channels      1 .. 4
   CT         input channels of a tile (PASS 2)                   channels         1, 2, 3, 4, 6, 8, 12, 16
   COPY       2: x and dy to panels; 1: dy, x is read where it
              lies, without stride and in whole tiles; 0: none,
              K = 16 KV too (PASS 2)                              -                0, 1, 2
   SLICE      y is a part of a wider tensor: slice.clh (PASS 0)   -                0, 1              */

#include "common.clh"
#include "idle_groups.clh"
#include "lanes.clh"
#include "activation.clh"
#include "slice.clh"

#ifndef PASS
#define PASS 0
#endif
#ifndef MR
#define MR 6
#endif
#ifndef KV
#define KV 1
#endif
#ifndef CT
#define CT 1
#endif
#ifndef COPY
#define COPY 2
#endif
#if COPY < 0 || COPY > 2
#error "conv_gemm1x1: COPY out of range"
#endif
#if MR < 1 || MR > 16 || KV < 1 || KV > 4 || CT < 1 || CT > 16
#error "conv_gemm1x1: tile out of range"
#endif
#if PASS < 0 || PASS > 2
#error "conv_gemm1x1: PASS out of range"
#endif

#define KB  (16 * KV) /* channels of a block */

/* Output pixel i as n, p, q, and the input pixel it belongs to; without a stride only the latter. */
struct place {
    int n, p, q, at;
};

static inline struct place place_of(int i, int P, int Q, int H, int W, int U, int V) {
    struct place place = {0, 0, 0, i};
    if (U == 1 && V == 1) return place;
    place.q = i % Q;
    place.p = i / Q % P;
    place.n = i / Q / P;
    place.at = (place.n * H + place.p * U) * W + place.q * V;
    return place;
}

static inline struct place next_place(struct place place, int P, int Q, int H, int W, int U,
                                      int V) {
    place.at += V;
    if ((U == 1 && V == 1) || ++place.q < Q) return place;
    place.q = 0;
    if (++place.p == P) {
        place.p = 0;
        place.n++;
    }
    place.at = (place.n * H + place.p * U) * W;
    return place;
}

#if PASS != 2
/* ---------------------------------------------------------------- packing */

/* One work-item a vector of 16 destination channels. fwd: source channels c, destination k; bwd_data: the reverse. */
#if PASS == 0
__kernel void conv_gemm1x1_pack_fwd(__global const float *restrict w,
                                    __global float *restrict packed, int groups, int cg, int kg,
                                    int vectors) {
    const int i = (int)get_global_id(0);
    if (i >= vectors) return;
    const int blocks = (kg + KB - 1) / KB;
    const int c = i / KV % cg;
    const int block = i / (KV * cg) % blocks;
    const int group = i / (KV * cg * blocks);
    const int k = block * KB + i % KV * 16;
    vstore16(load_lanes(kg - k, w + (size_t)c * (groups * kg) + group * kg + k), i, packed);
}

#else

__kernel void conv_gemm1x1_pack_bwd_data(__global const float *restrict w,
                                         __global float *restrict packed, int groups, int cg,
                                         int kg, int vectors) {
    const int i = (int)get_global_id(0);
    if (i >= vectors) return;
    const int blocks = (cg + KB - 1) / KB;
    const int k = i / KV % kg;
    const int block = i / (KV * kg) % blocks;
    const int group = i / (KV * kg * blocks);
    float value[16];
    for (int j = 0; j < 16; j++) {
        const int c = block * KB + i % KV * 16 + j;
        value[j] = c < cg ? w[(size_t)c * (groups * kg) + group * kg + k] : 0.0f;
    }
    vstore16(vload16(0, value), i, packed);
}
#endif

/* ---------------------------------------------------------------- forward and backward-data */

/* Pixel i lies at n, p U, q V of a plane of H x W. */
struct grid {
    int P, Q, H, W, U, V;
};

/* Where the pixels of a tile lie, from place on; those that do not exist lie where the last one does. Moves place on. */
static inline void tile_pixels(int at[MR], struct place *place, int count, struct grid g) {
    for (int j = 0; j < MR; j++) {
        at[j] = place->at;
        if (j + 1 < count) *place = next_place(*place, g.P, g.Q, g.H, g.W, g.U, g.V);
    }
    *place = next_place(*place, g.P, g.Q, g.H, g.W, g.U, g.V);
}

/* What to ask for while a tile computes, spread evenly over its source channels. */
struct ahead {
    __global const float *rows; /* row_count rows of the tiles to come, row_step floats apart */
    size_t row_step;
    int row_count;
    __global const float *weights; /* of the next block, weight_lines every 16 channels */
    int weight_lines;
    __global float *out; /* where the results will go, out_rows pixels every 16 channels, unless 0 */
    __global const float *residual; /* likewise what is added to them */
    size_t out_step;
    int out_rows;
};

static inline void fetch_ahead(struct ahead a, int c) {
    for (int j = 0; j < a.row_count; j++) fetch_line(a.rows + j * a.row_step + c);
    for (int i = 0; i < a.weight_lines; i++)
        fetch_line(a.weights + (c / 16 * a.weight_lines + i) * 16);
    const int first = c / 16 * a.out_rows;
    for (int j = first; j < min(first + a.out_rows, MR); j++)
#pragma unroll
        for (int v = 0; v < KV; v++) {
            if (a.out) fetch_to_write(a.out + j * a.out_step + 16 * v);
            if (a.residual) fetch_line(a.residual + j * a.out_step + 16 * v);
        }
}

static inline void multiply_add(float16 acc[MR][KV], __global const float *const row[MR], int c,
                                __global const float *weights) {
    float16 w[KV];
#pragma unroll
    for (int v = 0; v < KV; v++) w[v] = vload16(v, weights);
#pragma unroll
    for (int j = 0; j < MR; j++) {
        const float16 x = (float16)(row[j][c]);
#pragma unroll
        for (int v = 0; v < KV; v++) acc[j][v] = FMA(x, w[v], acc[j][v]);
    }
}

static inline void multiply(float16 acc[MR][KV], __global const float *const row[MR],
                            __global const float *weights, int channels, struct ahead ahead) {
    int c = 0;
    for (; c + 16 <= channels; c += 16) {
        fetch_ahead(ahead, c);
#pragma unroll 2
        for (int i = 0; i < 16; i++)
            multiply_add(acc, row, c + i, weights + (size_t)(c + i) * KB);
    }
    for (; c < channels; c++) multiply_add(acc, row, c, weights + (size_t)c * KB);
}

/* What follows the sum; bias and residual may be 0. */
struct epilogue {
    __global const float *bias, *residual;
    int act;
    float alpha;
    bool more;   /* add what earlier channels left in the destination */
    bool stream; /* past the caches: only for whole vectors of 64 bytes */
};

/* A whole tile, without activation or with ReLU: step floats from pixel to pixel. */
static inline void finish_whole(float16 acc[MR][KV], __global float *dest, const int at[MR],
                                int step, struct epilogue e) {
    __global float *out[MR];
#pragma unroll
    for (int j = 0; j < MR; j++) out[j] = dest + (size_t)at[j] * step;
    if (e.more)
#pragma unroll
        for (int j = 0; j < MR; j++)
#pragma unroll
            for (int v = 0; v < KV; v++) acc[j][v] += vload16(v, out[j]);
    if (e.bias)
#pragma unroll
        for (int v = 0; v < KV; v++)
#pragma unroll
            for (int j = 0; j < MR; j++) acc[j][v] += vload16(v, e.bias);
    if (e.residual)
#pragma unroll
        for (int j = 0; j < MR; j++)
#pragma unroll
            for (int v = 0; v < KV; v++)
                acc[j][v] += vload16(v, e.residual + (size_t)at[j] * step);
    if (e.act == ACT_RELU)
#pragma unroll
        for (int j = 0; j < MR; j++)
#pragma unroll
            for (int v = 0; v < KV; v++) /* a NaN stays one */
                acc[j][v] = (float16)(0.0f) > acc[j][v] ? (float16)(0.0f) : acc[j][v];
    if (e.stream)
#pragma unroll
        for (int j = 0; j < MR; j++)
#pragma unroll
            for (int v = 0; v < KV; v++) stream_global(acc[j][v], v, out[j]);
    else
#pragma unroll
        for (int j = 0; j < MR; j++)
#pragma unroll
            for (int v = 0; v < KV; v++) store_global(acc[j][v], v, out[j]);
}

/* The first count pixels of a tile, lanes channels of each. Not unrolled, from a copy: the code stays short, and acc stays in
   registers until here. */
static inline void finish_part(float16 acc[MR][KV], int count, int lanes, __global float *dest,
                               const int at[MR], int step, struct epilogue e) {
    float16 tile[MR * KV];
    int pixel[MR];
#pragma unroll
    for (int j = 0; j < MR; j++) {
        pixel[j] = at[j];
#pragma unroll
        for (int v = 0; v < KV; v++) tile[j * KV + v] = acc[j][v];
    }
    for (int j = 0; j < count; j++) {
        __global float *out = dest + (size_t)pixel[j] * step;
        for (int v = 0; v < KV; v++) {
            const int left = lanes - 16 * v;
            float16 value = tile[j * KV + v];
            if (e.more) value += load_lanes(left, out + 16 * v);
            if (e.bias) value += load_lanes(left, e.bias + 16 * v);
            if (e.residual)
                value += load_lanes(left, e.residual + (size_t)pixel[j] * step + 16 * v);
            store_lanes(activate16(value, e.act, e.alpha), left, out + 16 * v);
        }
    }
}

/* One tile: rows of channels source channels times one block. */
static inline void tile(__global const float *source, const int source_at[MR], int source_step,
                        __global const float *weights, int channels, int count, int lanes,
                        __global float *dest, const int dest_at[MR], int dest_step,
                        struct epilogue e, struct ahead ahead) {
    const bool whole = count >= MR && lanes >= KB;
    __global const float *row[MR];
    float16 acc[MR][KV];
#pragma unroll
    for (int j = 0; j < MR; j++) {
        row[j] = source + (size_t)source_at[j] * source_step;
#pragma unroll
        for (int v = 0; v < KV; v++) acc[j][v] = (float16)(0.0f);
    }
    ahead.out = e.more || !e.stream ? dest + (size_t)dest_at[0] * dest_step : 0;
    ahead.residual = e.residual ? e.residual + (size_t)dest_at[0] * dest_step : 0;
    if (!whole || (!ahead.out && !e.residual)) ahead.out_rows = 0;
    multiply(acc, row, weights, channels, ahead);
    if (whole && e.act <= ACT_RELU)
        finish_whole(acc, dest, dest_at, dest_step, e);
    else
        finish_part(acc, count, lanes, dest, dest_at, dest_step, e);
}

/* The operands of a product: S source and D destination channels of a group, step floats from pixel to pixel. One of both
   grids is dense. */
struct operands {
    __global const float *source, *weights;
    __global float *dest;
    int S, D, source_step, dest_step;
    struct grid from, to;
};

/* Channels c .. of count pixels from first on, times the blocks. Meanwhile it asks for the channels next_c .. of the
   pixels from next on. */
static inline void group_product(struct operands o, int first, int count, int c, int channels,
                                 int block_from, int block_to, int next, int next_c,
                                 struct epilogue e) {
    const bool last = c + channels >= o.S;
    const int blocks = block_to - block_from, tiles = (count + MR - 1) / MR;
    const int chunks = max(channels / 16, 1);
    struct ahead ahead = {.row_step = (size_t)o.from.V * o.source_step,
                          .weight_lines = (16 * KV + tiles - 1) / tiles,
                          .out_step = (size_t)o.to.V * o.dest_step,
                          .out_rows = (MR + chunks - 1) / chunks};
    for (int block = block_from; block < block_to; block++) {
        const int d = block * KB;
        struct epilogue part = {last && e.bias ? e.bias + d : 0,
                                last && e.residual ? e.residual + d : 0,
                                last ? e.act : ACT_NONE, e.alpha, c > 0, last && e.stream};
        __global const float *weights = o.weights + ((size_t)block * o.S + c) * KB;
        __global const float *later = /* the weights that come after these */
            o.weights +
            ((size_t)(block + 1 < block_to ? block + 1 : block_from) * o.S +
             (block + 1 < block_to ? c : next_c)) * KB;
        struct place from =
            place_of(first, o.from.P, o.from.Q, o.from.H, o.from.W, o.from.U, o.from.V);
        struct place to = place_of(first, o.to.P, o.to.Q, o.to.H, o.to.W, o.to.U, o.to.V);
        for (int t = 0; t < tiles; t++) {
            int source_at[MR], dest_at[MR];
            const int left = min(MR, count - t * MR);
            tile_pixels(source_at, &from, left, o.from);
            tile_pixels(dest_at, &to, left, o.to);
            const int share = (block - block_from) * tiles + t;
            const int row = share * MR / blocks;
            ahead.row_count = (share + 1) * MR / blocks - row;
            ahead.rows = o.source + next_c +
                         (size_t)place_of(next + row, o.from.P, o.from.Q, o.from.H, o.from.W,
                                          o.from.U, o.from.V).at * o.source_step;
            ahead.weights = later + (size_t)t * chunks * ahead.weight_lines * 16;
            tile(o.source + c, source_at, o.source_step, weights, channels, left, o.D - d,
                 o.dest + d, dest_at, o.dest_step, part, ahead);
        }
    }
}

/* The loop nest: groups of tiles, up to cb source channels at a time. */
static inline void product(struct operands o, int first, int count, int group, int cb,
                           int block_from, int block_to, struct epilogue e) {
    for (int i = 0; i < count; i += group)
        for (int c = 0; c < o.S; c += cb) {
            const bool last = c + cb >= o.S;
            group_product(o, first + i, min(group, count - i), c, min(cb, o.S - c), block_from,
                          block_to, last ? first + i + group : first + i, last ? 0 : c + cb, e);
        }
}

/* Global size: (spans of pixels x every, groups x parts). tiles: of a group. */
#if PASS == 0
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_gemm1x1_fwd(__global const float *restrict x, __global const float *restrict packed,
                 __global const float *bias, __global const float *residual,
                 __global float *restrict y, int pixels, int H, int W, int C, int P, int Q, int K,
                 int U, int V, int G, int span, int tiles, int cb, int parts, int stream, int act,
                 float alpha, int every SLICE_ARGS) {
    if (IDLE_GROUP(every)) return;
    const int Cg = C / G, Kg = K / G, blocks = (Kg + KB - 1) / KB;
    const int group = (int)get_global_id(1) / parts, part = (int)get_global_id(1) % parts;
    const int first = (int)get_global_id(0) / every * span;
    const struct operands o = {x + group * Cg, packed + (size_t)group * blocks * Cg * KB,
                               y + SLICE_FIRST + group * Kg, Cg, Kg, C, SLICE_STEP(K),
                               {P, Q, H, W, U, V},
                               {P, Q, P, Q, 1, 1}};
    struct epilogue e = {bias ? bias + group * Kg : 0, residual ? residual + group * Kg : 0, act,
                         alpha, false,
                         stream && Kg % 16 == 0 && ((size_t)y & 63) == 0 && SLICE_BY(16)};
    product(o, first, min(span, pixels - first), tiles * MR, cb, blocks * part / parts,
            blocks * (part + 1) / parts, e);
}

#else

/* Zeros for the channels from .. to - 1 of the pixels that lie between those of the destination. */
static inline void fill_between(__global float *dest, int step, int first, int count, int from,
                                int to, struct grid g, bool stream) {
    struct place place = place_of(first, g.P, g.Q, g.H, g.W, g.U, g.V);
    for (int i = 0; i < count; i++) {
        for (int u = 0; u < min(g.U, g.H - place.p * g.U); u++)
            for (int v = u == 0 ? 1 : 0; v < min(g.V, g.W - place.q * g.V); v++) {
                __global float *out = dest + (size_t)(place.at + u * g.W + v) * step;
                for (int c = from; c < to; c += 16)
                    if (stream)
                        stream_global((float16)(0.0f), 0, out + c);
                    else
                        store_lanes((float16)(0.0f), to - c, out + c);
            }
        place = next_place(place, g.P, g.Q, g.H, g.W, g.U, g.V);
    }
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_gemm1x1_bwd_data(__global const float *restrict dy, __global const float *restrict packed,
                      __global float *restrict dx, int pixels, int H, int W, int C, int P, int Q,
                      int K, int U, int V, int G, int span, int tiles, int cb, int parts,
                      int stream, int every) {
    if (IDLE_GROUP(every)) return;
    const int Cg = C / G, Kg = K / G, blocks = (Cg + KB - 1) / KB;
    const int group = (int)get_global_id(1) / parts, part = (int)get_global_id(1) % parts;
    const int first = (int)get_global_id(0) / every * span, count = min(span, pixels - first);
    const int from = blocks * part / parts, to = blocks * (part + 1) / parts;
    const struct operands o = {dy + group * Kg, packed + (size_t)group * blocks * Kg * KB,
                               dx + group * Cg, Kg, Cg, K, C, {P, Q, P, Q, 1, 1},
                               {P, Q, H, W, U, V}};
    struct epilogue e = {0, 0, ACT_NONE, 0.0f, false,
                         stream && Cg % 16 == 0 && ((size_t)dx & 63) == 0};
    product(o, first, count, tiles * MR, cb, from, to, e);
    if (U > 1 || V > 1)
        fill_between(o.dest, C, first, count, from * KB, min(to * KB, Cg), o.to, e.stream);
}
#endif
#endif

#if PASS == 2
#include "conv_gemm1x1_weights.clh"
#endif
