/* conv_winograd_weights: backward-weights of 3x3 filters, stride and dilation 1, by Winograd's filter-gradient form F(3x3, MxM).

   dw[r,s,c,k] = sum_{n,p,q} x[n, p - pt + r, q - pl + s, c] dy[n,p,q,k]

   dy is cut into tiles of M x M pixels; each meets a patch of (M + 2) x (M + 2) pixels of x. With one-dimensional transforms
   B (patch), G (tile) and A (result), of Cook and Toom's method with the points 0, 1, -1, (2, -2,) infinity,

        dw = A^T [ sum_tiles (B^T x B) .* (G dy G^T) ] A

   so the sum is, at each of the (M + 2)^2 positions, a product of matrices [C x tiles] [tiles x K], and A comes once, at the end.
   (Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, arXiv 1509.09308, have the forward form.)
   Multiply-adds: 1 / 4 of the plain sum's (M = 4), 1 / 2.25 (M = 2).

   Activations NHWC, weights RSCK. One work-item is a work-group: it owns vector registers, not lanes. It makes all 9 taps of CB x KB
   channels, summed over its part of the tiles, TB tiles at a time, all of it in local memory (on a CPU: the second-level cache):

        patches  V[position][tile][CB]      tiles  D[position][tile][KB]      sums  A[position][CB][KB]

        V, one position                D, one position
        +---+---+---+---+              +----------------+----------------+
        | 0 | 1 |...|CT |  tile t      |  16 channels   |  16 channels   |   KV vectors
        +---+---+---+---+              +----------------+----------------+
          scalar, broadcast      x       vector loads                        += acc[CT][KV], then stored or added to A

   Parts of the tiles (SPLIT of the host): each has a dw of its own in the workspace, [part][R][S][C/g][K], which
   conv_winograd_weights_reduce adds in order.

   parameter  meaning                              unit             legal
   M          edge of a tile of dy                 pixels           2, 4
   CB         input channels of a block            channels         multiples of 16 and CT
   KB         output channels of a block           channels         multiples of 16 KV
   CT         input channels of a register tile    channels         1 .. 16
   KV         vectors of a register tile           16 channels      1 .. 4
   TB         tiles transformed at a time          tiles            1 ..                                               */

#include "common.clh"
#include "idle_groups.clh"
#include "lanes.clh"

#ifndef M
#define M 4
#endif
#ifndef CB
#define CB 16
#endif
#ifndef KB
#define KB 16
#endif
#ifndef CT
#define CT 4
#endif
#ifndef KV
#define KV 1
#endif
#ifndef TB
#define TB 4
#endif
#if (M != 2 && M != 4) || CT < 1 || CT > 16 || KV < 1 || KV > 4 || TB < 1
#error "conv_winograd_weights: tile out of range"
#endif
#if CB % 16 != 0 || CB % CT != 0 || KB % (16 * KV) != 0
#error "conv_winograd_weights: blocks must be multiples of 16 and of the register tile"
#endif

#define PATCH (M + 2)
#define POSITIONS (PATCH * PATCH)
/* Vectors of a block's channels. */
#define CV (CB / 16)
#define KBV (KB / 16)
/* Vectors from one position to the next: one more than needed, so that positions do not share the sets of a cache. */
#define V_STEP (TB * CV + 1)
#define D_STEP (TB * KBV + 1)
#define A_STEP (CB * KBV + 1)

/* ---------------------------------------------------------------- one-dimensional transforms */

#define MUL(a, v) ((float16)(a) * (v))
#define MAD(a, v, w) FMA((float16)(a), (v), (w))

/* v = B^T d */
static inline void apply_b(const float16 d[PATCH], float16 v[PATCH]) {
#if M == 4
    const float16 a = MAD(-4.0f, d[2], d[4]), b = MAD(-4.0f, d[1], d[3]);
    const float16 e = d[4] - d[2], f = d[3] - d[1];
    v[0] = MAD(4.0f, d[0], MAD(-5.0f, d[2], d[4]));
    v[1] = a + b;
    v[2] = a - b;
    v[3] = MAD(2.0f, f, e);
    v[4] = MAD(-2.0f, f, e);
    v[5] = MAD(4.0f, d[1], MAD(-5.0f, d[3], d[5]));
#else
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
#endif
}

/* v = G d */
static inline void apply_g(const float16 d[M], float16 v[PATCH]) {
#if M == 4
    const float16 a = MUL(-1.0f / 6, d[0] + d[2]), b = MUL(-1.0f / 6, d[1] + d[3]);
    const float16 e = MUL(1.0f / 24, MAD(4.0f, d[2], d[0]));
    const float16 f = MUL(1.0f / 12, MAD(4.0f, d[3], d[1]));
    v[0] = MUL(0.25f, d[0]);
    v[1] = a + b;
    v[2] = a - b;
    v[3] = e + f;
    v[4] = e - f;
    v[5] = d[3];
#else
    v[0] = d[0];
    v[1] = MUL(0.5f, d[0] + d[1]);
    v[2] = MUL(0.5f, d[0] - d[1]);
    v[3] = d[1];
#endif
}

/* v = A^T d */
static inline void apply_a(const float16 d[PATCH], float16 v[3]) {
    const float16 sum = d[1] + d[2], difference = d[1] - d[2];
#if M == 4
    const float16 sum2 = d[3] + d[4];
    v[0] = d[0] + sum + sum2;
    v[1] = MAD(2.0f, d[3] - d[4], difference);
    v[2] = MAD(4.0f, sum2, sum) + d[5];
#else
    v[0] = d[0] + sum;
    v[1] = difference;
    v[2] = sum + d[3];
#endif
}

/* ---------------------------------------------------------------- patches and tiles of 16 channels */

/* EDGE x EDGE pixels, each read by LOAD(i, j) from source, transformed by apply to the positions of out. */
#define DEFINE_TRANSFORM(name, SOURCE, LOAD, EDGE, apply, STEP)                                    \
    static inline void name(SOURCE, __local float16 *out) {                                        \
        float16 rows[PATCH][EDGE];                                                                 \
        _Pragma("unroll") for (int j = 0; j < EDGE; j++) {                                         \
            float16 d[EDGE], v[PATCH];                                                             \
            _Pragma("unroll") for (int i = 0; i < EDGE; i++) d[i] = LOAD(i, j);                    \
            apply(d, v);                                                                           \
            _Pragma("unroll") for (int i = 0; i < PATCH; i++) rows[i][j] = v[i];                   \
        }                                                                                          \
        _Pragma("unroll") for (int i = 0; i < PATCH; i++) {                                        \
            float16 v[PATCH];                                                                      \
            apply(rows[i], v);                                                                     \
            _Pragma("unroll") for (int j = 0; j < PATCH; j++) out[(i * PATCH + j) * STEP] = v[j];  \
        }                                                                                          \
    }

/* All pixels in the image: pixel is the first, row and col floats apart. */
#define INSIDE __global const float *pixel, int row, int col
#define LOAD_INSIDE(i, j) vload16(0, pixel + (i) * row + (j) * col)
DEFINE_TRANSFORM(transform_patch, INSIDE, LOAD_INSIDE, PATCH, apply_b, V_STEP)
DEFINE_TRANSFORM(transform_tile, INSIDE, LOAD_INSIDE, M, apply_g, D_STEP)

/* Some beyond its edge: in row i the offset of row i, or of the nearest that exists with mask 0 instead of -1; columns likewise. */
#define EDGE_OF                                                                                    \
    __global const float *image, const int row[PATCH], const int col[PATCH],                       \
        const int row_mask[PATCH], const int col_mask[PATCH]
#define LOAD_EDGE(i, j)                                                                            \
    as_float16(as_int16(vload16(0, image + row[i] + col[j])) & (int16)(row_mask[i] & col_mask[j]))
DEFINE_TRANSFORM(transform_patch_edge, EDGE_OF, LOAD_EDGE, PATCH, apply_b, V_STEP)
DEFINE_TRANSFORM(transform_tile_edge, EDGE_OF, LOAD_EDGE, M, apply_g, D_STEP)

/* Fewer than 16 channels: from a copy of edge x edge vectors. */
#define COPY __local const float16 *copy
#define LOAD_PATCH_COPY(i, j) copy[(i) * PATCH + (j)]
#define LOAD_TILE_COPY(i, j) copy[(i) * M + (j)]
DEFINE_TRANSFORM(transform_patch_copy, COPY, LOAD_PATCH_COPY, PATCH, apply_b, V_STEP)
DEFINE_TRANSFORM(transform_tile_copy, COPY, LOAD_TILE_COPY, M, apply_g, D_STEP)

static inline void copy_pixels(__local float16 *copy, int edge, __global const float *image,
                               const int row[PATCH], const int col[PATCH],
                               const int row_mask[PATCH], const int col_mask[PATCH], int lanes) {
    for (int i = 0; i < edge; i++)
        for (int j = 0; j < edge; j++)
            copy[i * edge + j] = row_mask[i] & col_mask[j]
                                     ? load_lanes(lanes, image + row[i] + col[j])
                                     : (float16)(0.0f);
}

/* Offsets and masks of edge rows or columns, from first on, step floats apart. */
static inline void find_edge(int offset[PATCH], int mask[PATCH], int edge, int first, int size,
                             int step) {
#pragma unroll
    for (int i = 0; i < edge; i++) {
        offset[i] = clamp(first + i, 0, size - 1) * step;
        mask[i] = first + i >= 0 && first + i < size ? -1 : 0;
    }
}

/* CB channels of the patch at (h, w), lanes of which exist. */
static inline void put_patch(__local float16 *v, __local float16 *copy, __global const float *image,
                             int h, int w, int H, int W, int C, int lanes) {
    const bool inside = h >= 0 && h + PATCH <= H && w >= 0 && w + PATCH <= W;
    int row[PATCH], col[PATCH], row_mask[PATCH], col_mask[PATCH];
    find_edge(row, row_mask, PATCH, h, H, W * C);
    find_edge(col, col_mask, PATCH, w, W, C);
    for (int c = 0; c < CB; c += 16) {
        if (lanes - c < 16) {
            copy_pixels(copy, PATCH, image + c, row, col, row_mask, col_mask, lanes - c);
            transform_patch_copy(copy, v + c / 16);
        } else if (inside) {
            transform_patch(image + row[0] + col[0] + c, W * C, C, v + c / 16);
        } else {
            transform_patch_edge(image + c, row, col, row_mask, col_mask, v + c / 16);
        }
    }
}

/* KB channels of the tile at (p, q), lanes of which exist. */
static inline void put_tile(__local float16 *d, __local float16 *copy, __global const float *image,
                            int p, int q, int P, int Q, int K, int lanes) {
    const bool inside = p + M <= P && q + M <= Q;
    int row[PATCH], col[PATCH], row_mask[PATCH], col_mask[PATCH];
    find_edge(row, row_mask, M, p, P, Q * K);
    find_edge(col, col_mask, M, q, Q, K);
    for (int k = 0; k < KB; k += 16) {
        if (lanes - k < 16) {
            copy_pixels(copy, M, image + k, row, col, row_mask, col_mask, lanes - k);
            transform_tile_copy(copy, d + k / 16);
        } else if (inside) {
            transform_tile(image + row[0] + col[0] + k, Q * K, K, d + k / 16);
        } else {
            transform_tile_edge(image + k, row, col, row_mask, col_mask, d + k / 16);
        }
    }
}

/* ---------------------------------------------------------------- products */

/* a[c][k] = or, with more, += the sum over tiles of v[tile][c] d[tile][k], one position. */
static inline void multiply(__local const float *v, __local const float16 *d, __local float16 *a,
                            int tiles, bool more) {
    for (int k = 0; k < KBV; k += KV)
        for (int c = 0; c < CB; c += CT) {
            float16 acc[CT][KV];
#pragma unroll
            for (int i = 0; i < CT; i++)
#pragma unroll
                for (int j = 0; j < KV; j++) acc[i][j] = (float16)(0.0f);
            __local const float *scalar = v + c;
            __local const float16 *vector = d + k;
            for (int t = 0; t < tiles; t++) {
                float16 g[KV];
#pragma unroll
                for (int j = 0; j < KV; j++) g[j] = vector[j];
#pragma unroll
                for (int i = 0; i < CT; i++) {
                    const float16 b = (float16)(scalar[i]);
#pragma unroll
                    for (int j = 0; j < KV; j++) acc[i][j] = FMA(b, g[j], acc[i][j]);
                }
                scalar += CB;
                vector += KBV;
            }
            if (more)
#pragma unroll
                for (int i = 0; i < CT; i++)
#pragma unroll
                    for (int j = 0; j < KV; j++) acc[i][j] += a[(c + i) * KBV + k + j];
#pragma unroll
            for (int i = 0; i < CT; i++)
#pragma unroll
                for (int j = 0; j < KV; j++) a[(c + i) * KBV + k + j] = acc[i][j];
        }
}

/* dw of 16 output channels, lanes of which exist, for one input channel; tap floats from one tap to the next. */
static inline void finish(__local const float16 *a, __global float *dw, size_t tap, int lanes) {
    float16 rows[3][PATCH];
#pragma unroll
    for (int j = 0; j < PATCH; j++) {
        float16 d[PATCH], v[3];
#pragma unroll
        for (int i = 0; i < PATCH; i++) d[i] = a[(i * PATCH + j) * A_STEP];
        apply_a(d, v);
#pragma unroll
        for (int i = 0; i < 3; i++) rows[i][j] = v[i];
    }
#pragma unroll
    for (int i = 0; i < 3; i++) {
        float16 v[3];
        apply_a(rows[i], v);
#pragma unroll
        for (int j = 0; j < 3; j++) store_lanes(v[j], lanes, dw + (i * 3 + j) * tap);
    }
}

/* ---------------------------------------------------------------- entry points */

/* Global size: (groups x blocks of C/g x blocks of K/g x every, parts). memory: POSITIONS (V_STEP + D_STEP + A_STEP + 1) vectors. */
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_winograd_weights_bwd_weights(__global const float *restrict x, __global const float *restrict dy,
                                  __global float *restrict out, int N, int H, int W, int C, int P,
                                  int Q, int K, int PT, int PL, int G, int every,
                                  __local float16 *memory) {
    if (IDLE_GROUP(every)) return;
    const int Cg = C / G, Kg = K / G, c_blocks = (Cg + CB - 1) / CB, k_blocks = (Kg + KB - 1) / KB;
    const int block = (int)get_global_id(0) / every;
    const int part = (int)get_global_id(1), parts = (int)get_global_size(1);
    const int k0 = block % k_blocks * KB, c0 = block / k_blocks % c_blocks * CB;
    const int group = block / (k_blocks * c_blocks);
    __local float16 *v = memory, *d = v + POSITIONS * V_STEP, *a = d + POSITIONS * D_STEP;
    __local float16 *copy = a + POSITIONS * A_STEP;
    x += group * Cg + c0;
    dy += group * Kg + k0;

    const int tiles_p = (P + M - 1) / M, tiles_q = (Q + M - 1) / M, tiles = N * tiles_p * tiles_q;
    const int batches = (tiles + TB - 1) / TB;
    const int first = batches / parts * part + min(part, batches % parts);
    const int last = first + batches / parts + (part < batches % parts);

    if (first == last) /* more parts than batches */
        for (int i = 0; i < POSITIONS * A_STEP; i++) a[i] = (float16)(0.0f);
    for (int batch = first; batch < last; batch++) {
        const int count = min(TB, tiles - batch * TB);
        for (int t = 0; t < count; t++) {
            const int tile = batch * TB + t, n = tile / (tiles_p * tiles_q);
            const int p = tile / tiles_q % tiles_p * M, q = tile % tiles_q * M;
            put_patch(v + t * CV, copy, x + (size_t)n * H * W * C, p - PT, q - PL, H, W, C,
                      Cg - c0);
            put_tile(d + t * KBV, copy, dy + (size_t)n * P * Q * K, p, q, P, Q, K, Kg - k0);
        }
        for (int position = 0; position < POSITIONS; position++)
            multiply((__local const float *)(v + position * V_STEP), d + position * D_STEP,
                     a + position * A_STEP, count, batch > first);
    }

    out += ((size_t)part * 9 * Cg + c0) * K + group * Kg + k0;
    for (int c = 0; c < min(CB, Cg - c0); c++)
        for (int k = 0; k < min(KB, Kg - k0); k += 16)
            finish(a + c * KBV + k / 16, out + (size_t)c * K + k, (size_t)Cg * K, Kg - k0 - k);
}

/* dw = sums of part 0, 1, ..., added in this order; 16 elements a work-item. */
__kernel void conv_winograd_weights_reduce(__global const float *restrict sums,
                                           __global float *restrict dw, int count, int parts) {
    const int i = (int)get_global_id(0) * 16;
    if (i >= count) return;
    const int lanes = count - i;
    float16 total = load_lanes(lanes, sums + i);
    for (int part = 1; part < parts; part++)
        total += load_lanes(lanes, sums + (size_t)part * count + i);
    store_lanes(total, lanes, dw + i);
}
