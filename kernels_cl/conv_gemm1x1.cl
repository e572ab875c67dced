/* conv_gemm1x1: 1x1 convolution without padding as a matrix product, for devices with wide SIMD units and many registers
   (CPUs through PoCL).

   forward            y[i,k]  = act(sum_c x[at(i),c] w[c,k] + bias[k] + residual[i,k])
   backward-data      dx[at(i),c] = sum_k dy[i,k] w[c,k]; the pixels that no i reaches are zero
   backward-weights   dw[c,k] = sum_i x[at(i),c] dy[i,k]

   i counts the output pixels n, p, q; at(i) is the input pixel n, p u, q v. Activations NHWC, weights [C/g][K]. One
   work-item is a work-group: it owns vector registers, not lanes.

   Forward and backward-data are one loop nest, "source" to "destination". A work-item copies the CB source channels
   of its pixels to local memory, where rows are a fixed distance apart (no address arithmetic, no cache set that all
   rows share), and multiplies tiles of MR pixels by blocks of KV vectors of packed weights:

        rows in local memory         packed weights, one row a source channel
        +---+---+---+---+            +----------------+----------------+
        | 0 | 1 |...|MR |  channel c |  16 channels   |  16 channels   |   KV vectors
        +---+---+---+---+            +----------------+----------------+
          scalar, broadcast    x       vector loads                        += acc[MR][KV]

   Packed weights: [group][block][source channel][16 KV], zero beyond the last channel. Where there are more than CB
   source channels, the destination holds the sums in between.

   Backward-weights: a work-item sums over a chunk of the pixels, for some of the C/g and K/g. Band after band
   of pixels it copies x to panels of CT channels and dy to panels of 16 KV, both without gaps, and keeps CT x KV
   sums in registers. Each chunk has sums of its own, laid out as dw, which conv_gemm1x1_reduce adds in order.

   parameter  meaning                                             unit             legal
   MR         pixels of a tile                                    pixels           1 .. 28
   KV         vectors of destination channels                     16 channels      1 .. 4
   CB         source channels copied at a time                    channels         multiple of 16
   CT         input channels of a weight tile (bwd_weights)       channels         1 .. 16                           */

#include "common.clh"
#include "activation.clh"

#ifndef MR
#define MR 7
#endif
#ifndef KV
#define KV 1
#endif
#ifndef CB
#define CB 64
#endif
#ifndef CT
#define CT 1
#endif
#if MR < 1 || MR > 28 || KV < 1 || KV > 4 || CT < 1 || CT > 16 || CB < 16 || CB % 16 != 0
#error "conv_gemm1x1: tile out of range"
#endif

#define KB  (16 * KV) /* channels of a block */
#define ROW (CB + 16) /* floats from one local row to the next: not a power of two */

/* v to p[16 i], p[16 i + 1], ... One store: PoCL makes three of vstore16, and the two extractions that they need. */
#ifdef __clang__
typedef float16 __attribute__((aligned(4))) unaligned16;
#define DEFINE_STORE16(name, SPACE)                                                                \
    static inline void name(float16 v, int i, SPACE float *p) {                                    \
        *(SPACE unaligned16 *)(p + 16 * i) = v;                                                    \
    }
#else
#define DEFINE_STORE16(name, SPACE)                                                                \
    static inline void name(float16 v, int i, SPACE float *p) {                                    \
        vstore16(v, i, p);                                                                         \
    }
#endif
DEFINE_STORE16(store_global, __global)
DEFINE_STORE16(store_local, __local)

/* A store past the caches, to a multiple of 64 bytes, and hints that a line will be read or written soon: where the compiler makes code
   for a CPU itself. SPIR-V has no such hint, and Oclgrind does not know it. */
#if defined(__clang__) && (defined(__x86_64__) || defined(__aarch64__))
#define HAS_HINTS
#endif
#ifdef HAS_HINTS
#define stream_global(v, i, p) __builtin_nontemporal_store(v, (__global float16 *)((p) + 16 * (i)))
#define fetch_line(p)          __builtin_prefetch(p, 0, 2) /* to the second-level cache */
#define fetch_to_write(p)      __builtin_prefetch(p, 1, 3)
#else
#define stream_global(v, i, p) store_global(v, i, p)
#define fetch_line(p)          (void)(p)
#define fetch_to_write(p)      (void)(p)
#endif

/* The first count lanes of v to p; count may be 0 or less. */
static inline void store_lanes(float16 v, int count, __global float *p) {
    if (count >= 16) store_global(v, 0, p);
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

/* ---------------------------------------------------------------- packing */

/* One work-item a vector of 16 destination channels. fwd: source channels c, destination k; bwd_data: the reverse. */
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

/* ---------------------------------------------------------------- forward and backward-data */

static inline void copy_row(__local float *to, __global const float *from, int count) {
    int i = 0;
    for (; i + 16 <= count; i += 16) store_local(vload16(0, from + i), 0, to + i);
    for (; i < count; i++) to[i] = from[i];
}

static inline void multiply_add(float16 acc[MR][KV], __local const float *rows,
                                __global const float *weights) {
    float16 w[KV];
#pragma unroll
    for (int v = 0; v < KV; v++) w[v] = vload16(v, weights);
#pragma unroll
    for (int j = 0; j < MR; j++) {
        const float16 x = (float16)(rows[j * ROW]);
#pragma unroll
        for (int v = 0; v < KV; v++) acc[j][v] = FMA(x, w[v], acc[j][v]);
    }
}

/* While it computes, it asks for the same channels of the rows that will be copied next: step floats apart; next may be 0. */
static inline void multiply(float16 acc[MR][KV], __local const float *rows,
                            __global const float *weights, int channels,
                            __global const float *next, size_t step) {
    int c = 0;
    for (; c + 16 <= channels; c += 16) {
        if (next)
#pragma unroll
            for (int j = 0; j < MR; j++) fetch_line(next + j * step + c);
#pragma unroll 4
        for (int i = 0; i < 16; i++) multiply_add(acc, rows + c + i, weights + (size_t)(c + i) * KB);
    }
    for (; c < channels; c++) multiply_add(acc, rows + c, weights + (size_t)c * KB);
}

/* What follows the sum; bias and residual may be 0. */
struct epilogue {
    __global const float *bias, *residual;
    int act;
    float alpha;
    bool more;   /* add what earlier channels left in the destination */
    bool stream; /* past the caches: only for whole vectors of 64 bytes */
};

/* A whole tile without residual, none or ReLU: step floats from pixel to pixel. */
static inline void finish_whole(float16 acc[MR][KV], __global float *out, int step,
                                struct epilogue e) {
    const float16 floor = (float16)(e.act == ACT_RELU ? 0.0f : -INFINITY);
#pragma unroll
    for (int v = 0; v < KV; v++) {
        const float16 b = e.bias ? vload16(v, e.bias) : (float16)(0.0f);
#pragma unroll
        for (int j = 0; j < MR; j++) {
            float16 value = acc[j][v] + b;
            if (e.more) value += vload16(v, out + (size_t)j * step);
            value = floor > value ? floor : value; /* a NaN stays one */
            if (e.stream)
                stream_global(value, v, out + (size_t)j * step);
            else
                store_global(value, v, out + (size_t)j * step);
        }
    }
}

/* The first count pixels of a tile, lanes channels of each. Not unrolled, from a copy: the code stays short, and acc stays in
   registers until here. */
static inline void finish_part(float16 acc[MR][KV], int count, int lanes, __global float *dest,
                               int step, struct place place, int P, int Q, int H, int W, int U,
                               int V, struct epilogue e) {
    float16 tile[MR * KV];
#pragma unroll
    for (int j = 0; j < MR; j++)
#pragma unroll
        for (int v = 0; v < KV; v++) tile[j * KV + v] = acc[j][v];
    for (int j = 0; j < count; j++) {
        __global float *out = dest + (size_t)place.at * step;
        for (int v = 0; v < KV; v++) {
            const int left = lanes - 16 * v;
            float16 value = tile[j * KV + v];
            if (e.more) value += load_lanes(left, out + 16 * v);
            if (e.bias) value += load_lanes(left, e.bias + 16 * v);
            if (e.residual)
                value += load_lanes(left, e.residual + (size_t)place.at * step + 16 * v);
            store_lanes(activate16(value, e.act, e.alpha), left, out + 16 * v);
        }
        place = next_place(place, P, Q, H, W, U, V);
    }
}

/* One tile: rows of channels source channels times one block. */
static inline void tile(__local const float *rows, __global const float *weights, int channels,
                        int count, int lanes, __global float *dest, int step, struct place place,
                        int P, int Q, int H, int W, int U, int V, struct epilogue e,
                        __global const float *next, size_t next_step) {
    const bool whole = count == MR && lanes >= KB && U == 1 && V == 1;
    __global float *out = dest + (size_t)place.at * step;
    float16 acc[MR][KV];
#pragma unroll
    for (int j = 0; j < MR; j++)
#pragma unroll
        for (int v = 0; v < KV; v++) acc[j][v] = (float16)(0.0f);
    if (whole && (e.more || !e.stream))
        for (int j = 0; j < MR; j++)
            for (int v = 0; v < KV; v++) fetch_to_write(out + (size_t)j * step + 16 * v);
    multiply(acc, rows, weights, channels, next, next_step);
    if (whole && !e.residual && e.act <= ACT_RELU)
        finish_whole(acc, out, step, e);
    else
        finish_part(acc, count, lanes, dest, step, place, P, Q, H, W, U, V, e);
}

/* Asks for the share that tile i has of lines lines, where i counts pixels up to count. */
static inline void fetch_share(__global const float *from, int lines, int i, int count) {
    if (!from) return;
    const int share = lines * MR / count + 1, first = i / MR * share;
    for (int line = first; line < min(lines, first + share); line++) fetch_line(from + 16 * line);
}

/* The loop nest. Sizes: S source and D destination channels of a group. Source pixels are i / su rows and i / sv columns apart,
   destination pixels likewise: one of both is dense (grid P x Q, stride 1). */
static inline void product(__global const float *source, __global const float *weights,
                           __global float *dest, int first, int count, int block_from,
                           int block_to, int S, int D, int source_step, int dest_step, int P,
                           int Q, int SH, int SW, int SU, int SV, int DH, int DW, int DU, int DV,
                           struct epilogue e, __local float *rows) {
    for (int c = 0; c < S; c += CB) {
        const int channels = min(CB, S - c);
        const bool last = c + CB >= S;
        struct place from = place_of(first, P, Q, SH, SW, SU, SV);
        for (int i = 0; i < count; i++) {
            copy_row(rows + i * ROW, source + (size_t)from.at * source_step + c, channels);
            from = next_place(from, P, Q, SH, SW, SU, SV);
        }
        for (int i = count; i % MR != 0; i++) /* rows of the last tile that do not exist */
            for (int j = 0; j < channels; j++) rows[i * ROW + j] = 0.0f;

        for (int block = block_from; block < block_to; block++) {
            const int d = block * KB;
            struct epilogue part = {last && e.bias ? e.bias + d : 0,
                                    last && e.residual ? e.residual + d : 0,
                                    last ? e.act : ACT_NONE, e.alpha, c > 0,
                                    last && e.stream};
            __global const float *later = /* the weights that come after these */
                block + 1 < block_to ? weights + ((size_t)(block + 1) * S + c) * KB
                : last               ? 0
                                     : weights + ((size_t)block_from * S + c + CB) * KB;
            for (int i = 0; i < count; i += MR) {
                const struct place ahead =
                    place_of(last ? first + count + i : first + i, P, Q, SH, SW, SU, SV);
                __global const float *next =
                    block > block_from ? 0
                                       : source + (size_t)ahead.at * source_step +
                                             (last ? 0 : c + CB);
                fetch_share(later, channels * KV, i, count);
                tile(rows + i * ROW, weights + ((size_t)block * S + c) * KB, channels,
                     min(MR, count - i), D - d, dest + d, dest_step,
                     place_of(first + i, P, Q, DH, DW, DU, DV), P, Q, DH, DW, DU, DV, part,
                      next, (size_t)SV * source_step);
            }
        }
    }
}

/* Global size: (groups of tiles, groups x parts). */
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_gemm1x1_fwd(__global const float *restrict x, __global const float *restrict packed,
                 __global const float *bias, __global const float *residual,
                 __global float *restrict y, int pixels, int H, int W, int C, int P, int Q, int K,
                 int U, int V, int G, int tiles, int parts, int stream, int act, float alpha, __local float *rows) {
    const int Cg = C / G, Kg = K / G, blocks = (Kg + KB - 1) / KB;
    const int group = (int)get_global_id(1) / parts, part = (int)get_global_id(1) % parts;
    const int first = (int)get_global_id(0) * tiles * MR;
    struct epilogue e = {bias ? bias + group * Kg : 0, residual ? residual + group * Kg : 0, act,
                         alpha, false, stream && Kg % 16 == 0 && ((size_t)y & 63) == 0};
    product(x + group * Cg, packed + (size_t)group * blocks * Cg * KB, y + group * Kg, first,
            min(tiles * MR, pixels - first), blocks * part / parts, blocks * (part + 1) / parts,
            Cg, Kg, C, K, P, Q, H, W, U, V, P, Q, 1, 1, e, rows);
}

/* Zeros for the channels from .. to - 1 of the pixels that lie between those of the destination. */
static inline void fill_between(__global float *dest, int step, int first, int count, int from,
                                int to, int P, int Q, int H, int W, int U, int V) {
    struct place place = place_of(first, P, Q, H, W, U, V);
    for (int i = 0; i < count; i++) {
        for (int u = 0; u < min(U, H - place.p * U); u++)
            for (int v = u == 0 ? 1 : 0; v < min(V, W - place.q * V); v++) {
                __global float *out = dest + (size_t)(place.at + u * W + v) * step;
                for (int c = from; c < to; c += 16)
                    store_lanes((float16)(0.0f), to - c, out + c);
            }
        place = next_place(place, P, Q, H, W, U, V);
    }
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_gemm1x1_bwd_data(__global const float *restrict dy, __global const float *restrict packed,
                      __global float *restrict dx, int pixels, int H, int W, int C, int P, int Q,
                      int K, int U, int V, int G, int tiles, int parts, int stream, __local float *rows) {
    const int Cg = C / G, Kg = K / G, blocks = (Cg + KB - 1) / KB;
    const int group = (int)get_global_id(1) / parts, part = (int)get_global_id(1) % parts;
    const int first = (int)get_global_id(0) * tiles * MR;
    const int count = min(tiles * MR, pixels - first);
    const int from = blocks * part / parts, to = blocks * (part + 1) / parts;
    struct epilogue e = {0, 0, ACT_NONE, 0.0f, false,
                         stream && Cg % 16 == 0 && ((size_t)dx & 63) == 0};
    product(dy + group * Kg, packed + (size_t)group * blocks * Kg * KB, dx + group * Cg, first,
            count, from, to, Kg, Cg, K, C, P, Q, P, Q, 1, 1, H, W, U, V, e, rows);
    if (U > 1 || V > 1)
        fill_between(dx + group * Cg, C, first, count, from * KB, min(to * KB, Cg), P, Q, H, W, U,
                     V);
}

/* ---------------------------------------------------------------- backward-weights */

/* Some channels of count pixels, from pixel first on, to panels [panel][pixel][width], panel floats apart. A vector reaches into
   the next pixel of its panel, which is written after it, and reads what follows the channels, whose sums are not kept;
   left: floats from from to the tensor's end. */
static inline void copy_panels(__local float *to, int panel, const int width,
                               __global const float *from, int left, int step, int first,
                               int count, int channels, int P, int Q, int H, int W, int U, int V) {
    struct place place = place_of(first, P, Q, H, W, U, V);
    for (int i = 0; i < count; i++) {
        int at = place.at * step;
        for (int c = 0; c < channels; c += width, at += width)
            for (int v = 0; v < width; v += 16)
                store_local(load_lanes(left - at - v, from + at + v), 0,
                            to + c / width * panel + i * width + v);
        place = next_place(place, P, Q, H, W, U, V);
    }
}

/* sums[c][k] (+)= the panels' products; rows and lanes of the tile exist. */
static inline void weights_tile(__local const float *x, __local const float *dy, int count,
                                __global float *sums, int K, int rows, int lanes, bool more) {
    const bool whole = rows >= CT && lanes >= KB;
    float16 acc[CT][KV];
#pragma unroll
    for (int c = 0; c < CT; c++)
#pragma unroll
        for (int v = 0; v < KV; v++) acc[c][v] = (float16)(0.0f);
    if (whole)
        for (int c = 0; c < CT; c++)
            for (int v = 0; v < KV; v++) fetch_to_write(sums + (size_t)c * K + 16 * v);
    for (int i = 0; i < count; i++) {
        float16 g[KV];
#pragma unroll
        for (int v = 0; v < KV; v++) g[v] = vload16(v, dy + i * KB);
#pragma unroll
        for (int c = 0; c < CT; c++) {
            const float16 a = (float16)(x[i * CT + c]);
#pragma unroll
            for (int v = 0; v < KV; v++) acc[c][v] = FMA(a, g[v], acc[c][v]);
        }
    }
    if (whole) {
#pragma unroll
        for (int c = 0; c < CT; c++)
#pragma unroll
            for (int v = 0; v < KV; v++) {
                if (more) acc[c][v] += vload16(v, sums + (size_t)c * K);
                store_global(acc[c][v], v, sums + (size_t)c * K);
            }
        return;
    }
    float16 part[CT * KV];
#pragma unroll
    for (int c = 0; c < CT; c++)
#pragma unroll
        for (int v = 0; v < KV; v++) part[c * KV + v] = acc[c][v];
    for (int c = 0; c < min(CT, rows); c++)
        for (int v = 0; v < KV; v++) {
            __global float *sum = sums + (size_t)c * K + 16 * v;
            if (more) part[c * KV + v] += load_lanes(lanes - 16 * v, sum);
            store_lanes(part[c * KV + v], lanes - 16 * v, sum);
        }
}

/* Global size: (chunks, groups x c_parts x k_parts). c_part, k_part: channels of a part, multiples of CT and 16 KV; panels:
   local memory for the panels of band pixels of both, those of x longer by a vector and in whole ones. */
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_gemm1x1_bwd_weights(__global const float *restrict x, __global const float *restrict dy,
                         __global float *restrict sums, int pixels, int H, int W, int C, int P,
                         int Q, int K, int U, int V, int G, int chunk, int band, int c_part,
                         int k_part, __local float *panels) {
    const int Cg = C / G, Kg = K / G;
    const int c_parts = (Cg + c_part - 1) / c_part, k_parts = (Kg + k_part - 1) / k_part;
    const int part = (int)get_global_id(1), group = part / k_parts / c_parts;
    const int c_first = part / k_parts % c_parts * c_part, k_first = part % k_parts * k_part;
    const int c_count = min(c_part, Cg - c_first), k_count = min(k_part, Kg - k_first);
    const int x_at = group * Cg + c_first, dy_at = group * Kg + k_first;
    const int x_panel = (band * CT + 31) / 16 * 16, dy_panel = band * KB;
    const int from = (int)get_global_id(0) * chunk, to = min(from + chunk, pixels);
    __local float *dy_panels = panels + c_part / CT * x_panel;
    __global float *out = sums + ((size_t)get_global_id(0) * Cg + c_first) * K + dy_at;

    for (int first = from; first < to; first += band) {
        const int count = min(band, to - first);
        copy_panels(panels, x_panel, CT, x + x_at, pixels / (P * Q) * H * W * C - x_at, C, first,
                    count, c_count, P, Q, H, W, U, V);
        copy_panels(dy_panels, dy_panel, KB, dy + dy_at, pixels * K - dy_at, K, first, count,
                    k_count, P, Q, P, Q, 1, 1);
        for (int k = 0; k < k_count; k += KB)
            for (int c = 0; c < c_count; c += CT)
                weights_tile(panels + c / CT * x_panel, dy_panels + k / KB * dy_panel, count,
                             out + (size_t)c * K + k, K, c_count - c, k_count - k, first > from);
    }
}

/* dw = the sums of chunk 0, 1, ..., added in this order. One work-item a vector of 16. */
__kernel void conv_gemm1x1_reduce(__global const float *restrict sums, __global float *restrict dw,
                                  int count, int chunks) {
    const int i = (int)get_global_id(0) * 16;
    if (i >= count) return;
    float16 total = load_lanes(count - i, sums + i);
    for (int chunk = 1; chunk < chunks; chunk++)
        total += load_lanes(count - i, sums + (size_t)chunk * count + i);
    store_lanes(total, count - i, dw + i);
}
