/* conv_igemm: convolution as a matrix product whose left matrix is never stored (implicit GEMM), for GPUs.

   For every group, out[m, n] = sum_k A[m, k] B[k, n]:

     pass              m          n   k          A[m, k]                                    B[k, n]     out
     forward           n p q      k   r s c      x[n, p u - pt + r d, q v - pl + s e, c]    w[r,s,c,k]  y, then epilogue
     backward-data     n h w      c   r s k      dy[n, (h + pt - r d) / u, (w + pl - s e) / v, k]
                                                 (exact quotients only)                     w[r,s,c,k]  dx
     backward-weights  r s c      k   n p q      x[n, p u - pt + r d, q v - pl + s e, c]    dy[n,p,q,k] dw

   Activations NHWC, weights RSCK. One of m and k is a pixel, the other a tap with a channel; element and zero padding of
   A follow from the two (struct key, fetch). Divisions are multiplications (fastdiv.clh).

   A work-group makes MWG x NWG of out; tiles of KWG steps of k go through local memory; a work-item holds MWI x NWI sums:

                      NWG                 As, Bs: KWG rows of MWG and of NWG floats, so that a work-item reads
              +--------+--------+         its MWI and NWI values as short vectors. Where vectors of the source
          KWG |   Bs   |        |         run along k, rows are 4 longer: a store's lanes meet other banks.
              +--------+--------+
     KWG                                  global -> registers (the next tile, while this one is computed)
                                                 -> local -> MWI x NWI sums
   +-----+    +---+----+--------+
   | As  |    |MWI x   |        |         SPLIT work-groups share one tile of out: each adds a part of k, their
   |     |MWG |    NWI |        |         sums [split][m][groups x n] are added in order by conv_igemm_reduce, which
   +-----+    +--------+--------+         does the epilogue then.

   parameter  meaning                                                    unit        legal
   PASS       0 forward, 1 backward-data, 2 backward-weights             -           0 .. 2
   MWG NWG    tile of a work-group                                       elements    multiples of MWI, NWI
   KWG        steps of k that are staged together                        elements    1 ..
   MWI NWI    block of a work-item                                       elements    1 .. 16
   VEC        floats that a load from global memory takes                floats      1, 2, 4; divides the channels of a group
   DB         double buffering: 1 one barrier a tile, twice the memory   -           0, 1
   SPLIT      parts of k                                                 -           1 ..
   SLICE      y is a part of a wider tensor: slice.clh (PASS 0)          -           0, 1
   MWG KWG / VEC and NWG KWG / VEC are multiples of the work-items, MWG NWG / (MWI NWI).                        */

#include "common.clh"
#include "activation.clh"
#include "fastdiv.clh"
#include "slice.clh"

#ifndef PASS
#define PASS 0
#endif
#ifndef MWG
#define MWG 32
#endif
#ifndef NWG
#define NWG 32
#endif
#ifndef KWG
#define KWG 8
#endif
#ifndef MWI
#define MWI 4
#endif
#ifndef NWI
#define NWI 4
#endif
#ifndef VEC
#define VEC 1
#endif
#ifndef DB
#define DB 0
#endif
#ifndef SPLIT
#define SPLIT 1
#endif

#define LM    (MWG / MWI)
#define LN    (NWG / NWI)
#define ITEMS (LM * LN)
/* Vectors that a work-item moves from global to local memory for one tile of A, of B. */
#define A_LOADS (MWG * KWG / VEC / ITEMS)
#define B_LOADS (NWG * KWG / VEC / ITEMS)

#if MWG % MWI || NWG % NWI || (MWG * KWG) % (VEC * ITEMS) || (NWG * KWG) % (VEC * ITEMS) ||         \
    KWG % VEC || MWG % VEC || NWG % VEC || PASS < 0 || PASS > 2 || DB < 0 || DB > 1 || SPLIT < 1
#error "conv_igemm: tiles do not divide each other"
#endif

#if VEC == 1
typedef float floatv;
#define VLOAD(p) (*(p))
#elif VEC == 2
typedef float2 floatv;
#define VLOAD(p) vload2(0, (p))
#elif VEC == 4
typedef float4 floatv;
#define VLOAD(p) vload4(0, (p))
#else
#error "conv_igemm: VEC must be 1, 2 or 4"
#endif

/* Sums i of a work-item lie in runs of as many elements as local memory gives at once, so that the lanes of a run of
   work-items read neighbouring banks. */
#define RUN(count)            ((count) % 4 == 0 ? 4 : (count) % 2 == 0 ? 2 : 1)
#define PLACE(i, count, lane, lanes)                                                               \
    ((i) / RUN(count) * (RUN(count) * (lanes)) + (lane) * RUN(count) + (i) % RUN(count))

/* Where a pixel or a tap leads: rows, columns and floats to be added up. at < 0: there is none. */
struct key {
    int h, w, at;
};

/* All kernels take the geometry in this order. H W C: of the tensor that A is read from, and floats of an image;
   rows, cols: of the pixels in m or k; channels: of a group, in A. */
#define GEOMETRY_ARGS                                                                              \
    int H, int W, int C, int image, int S, int U, int V, int D, int E, int PT, int PL, int rows,   \
        int cols, int channels, int K, int Cg, ulong by_rows, ulong by_cols, ulong by_channels,    \
        ulong by_S, ulong by_U, ulong by_V
#define GEOMETRY                                                                                   \
    H, W, C, image, S, U, V, D, E, PT, PL, rows, cols, channels, K, Cg, by_rows, by_cols,          \
        by_channels, by_S, by_U, by_V

static inline struct key pixel_key(int i, int end, GEOMETRY_ARGS) {
    const int row = (int)divide((uint)i, by_cols), n = (int)divide((uint)row, by_rows);
    const int h = row - n * rows, w = i - row * cols;
#if PASS == 1
    const struct key key = {h, w, i < end ? n * image : -1};
#else
    const struct key key = {h * U, w * V, i < end ? n * image : -1};
#endif
    return key;
}

static inline struct key tap_key(int i, int end, GEOMETRY_ARGS) {
    /* Not beyond the last tap: times a large dilation it would not fit an int. */
    const int at = min(i, end - 1);
    const int tap = (int)divide((uint)at, by_channels), r = (int)divide((uint)tap, by_S);
    const struct key key = {r * D - PT, (tap - r * S) * E - PL, i < end ? at - tap * channels : -1};
    return key;
}

/* VEC elements of A from source, at the group's first channel. */
static inline floatv fetch(__global const float *source, struct key pixel, struct key tap,
                           GEOMETRY_ARGS) {
#if PASS == 1
    const int h = pixel.h - tap.h, w = pixel.w - tap.w;
    bool inside = pixel.at >= 0 && tap.at >= 0 && h >= 0 && w >= 0;
    const int row = (int)divide((uint)max(h, 0), by_U), col = (int)divide((uint)max(w, 0), by_V);
    inside = inside && row * U == h && col * V == w && row < H && col < W;
#else
    const int row = pixel.h + tap.h, col = pixel.w + tap.w;
    const bool inside =
        pixel.at >= 0 && tap.at >= 0 && row >= 0 && row < H && col >= 0 && col < W;
#endif
    return inside ? VLOAD(source + pixel.at + tap.at + (row * W + col) * C) : (floatv)(0.0f);
}

/* Vectors of B lie along n, of backward-data's along k. */
static inline floatv fetch_b(__global const float *b, int k, int k_end, int n, int n_end,
                             GEOMETRY_ARGS) {
    if (k >= k_end || n >= n_end) return (floatv)(0.0f);
#if PASS == 1
    const int tap = (int)divide((uint)k, by_channels);
    return VLOAD(b + (tap * Cg + n) * K + k - tap * channels);
#else
    return VLOAD(b + k * K + n);
#endif
}

/* A vector to local memory: element i to row + i (ALONG_K) or column + i. */
static inline void put(__local float *tile, int width, int row, int column, bool along_k, floatv v) {
    float part[VEC];
#if VEC == 1
    part[0] = v;
#elif VEC == 2
    vstore2(v, 0, part);
#else
    vstore4(v, 0, part);
#endif
#pragma unroll
    for (int i = 0; i < VEC; i++)
        tile[(row + (along_k ? i : 0)) * width + column + (along_k ? 0 : i)] = part[i];
}

#define A_ALONG_K (PASS != 2)
#define B_ALONG_K (PASS == 1)
/* The row of k and the column of the l-th vector of work-item t in a tile with columns columns. */
#define VECTOR(l, t)                ((t) + (l)*ITEMS)
#define ROW(l, t, columns, along)   ((along) ? VECTOR(l, t) % (KWG / VEC) * VEC : VECTOR(l, t) / ((columns) / VEC))
#define COLUMN(l, t, columns, along) ((along) ? VECTOR(l, t) / (KWG / VEC) : VECTOR(l, t) % ((columns) / VEC) * VEC)

#if PASS == 0
#define ENTRY conv_igemm_fwd
#elif PASS == 1
#define ENTRY conv_igemm_bwd_data
#else
#define ENTRY conv_igemm_bwd_weights
#endif

#define AW (MWG + (A_ALONG_K ? 4 : 0))
#define BW (NWG + (B_ALONG_K ? 4 : 0))

/* This work-item's vectors of the tiles that begin at step k0; zeros from step last on. fixed: keys of its rows of A. */
static inline void fetch_tiles(floatv next_a[A_LOADS], floatv next_b[B_LOADS],
                               __global const float *a, __global const float *b,
                               const struct key fixed[A_LOADS], int k0, int last, int n0, int n_end,
                               int t, GEOMETRY_ARGS) {
#pragma unroll
    for (int l = 0; l < A_LOADS; l++) {
        const int k = k0 + ROW(l, t, MWG, A_ALONG_K);
#if PASS == 2
        next_a[l] = fetch(a, pixel_key(k, last, GEOMETRY), fixed[l], GEOMETRY);
#else
        next_a[l] = fetch(a, fixed[l], tap_key(k, last, GEOMETRY), GEOMETRY);
#endif
    }
#pragma unroll
    for (int l = 0; l < B_LOADS; l++)
        next_b[l] = fetch_b(b, k0 + ROW(l, t, NWG, B_ALONG_K), last,
                            n0 + COLUMN(l, t, NWG, B_ALONG_K), n_end, GEOMETRY);
}

static inline void put_tiles(__local float *at, __local float *bt, const floatv next_a[A_LOADS],
                             const floatv next_b[B_LOADS], int t) {
#pragma unroll
    for (int l = 0; l < A_LOADS; l++)
        put(at, AW, ROW(l, t, MWG, A_ALONG_K), COLUMN(l, t, MWG, A_ALONG_K), A_ALONG_K, next_a[l]);
#pragma unroll
    for (int l = 0; l < B_LOADS; l++)
        put(bt, BW, ROW(l, t, NWG, B_ALONG_K), COLUMN(l, t, NWG, B_ALONG_K), B_ALONG_K, next_b[l]);
}

static inline void multiply_tiles(float acc[MWI][NWI], __local const float *at,
                                  __local const float *bt, int x, int y) {
    for (int k = 0; k < KWG; k++) {
        float av[MWI], bv[NWI];
#pragma unroll
        for (int i = 0; i < MWI; i++) av[i] = at[k * AW + PLACE(i, MWI, y, LM)];
#pragma unroll
        for (int j = 0; j < NWI; j++) bv[j] = bt[k * BW + PLACE(j, NWI, x, LN)];
#pragma unroll
        for (int i = 0; i < MWI; i++)
#pragma unroll
            for (int j = 0; j < NWI; j++) acc[i][j] = FMA(av[i], bv[j], acc[i][j]);
    }
}

/* Global size: (tiles of m x tiles of n, n first, groups x SPLIT) work-groups of ITEMS. out: the result, or with SPLIT > 1
   the sums. b_group: floats of B to the next group; ldc: floats of a row of out; part: steps of k of one split, a
   multiple of KWG. The last splits may have none; their sums are zero. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1))) __kernel void
ENTRY(__global const float *restrict a, __global const float *restrict b,
      __global const float *bias, __global const float *residual, __global float *restrict out,
      GEOMETRY_ARGS, int m_end, int n_end, int k_end, int b_group, int ldc, int part, int act,
      float alpha SLICE_ARGS) {
    __local float As[(1 + DB) * KWG * AW] __attribute__((aligned(16)));
    __local float Bs[(1 + DB) * KWG * BW] __attribute__((aligned(16)));
    const int t = (int)get_local_id(0), x = t % LN, y = t / LN;
    const int tile = (int)get_group_id(0), n_tiles = (n_end - 1) / NWG + 1;
    const int m0 = tile / n_tiles * MWG, n0 = tile % n_tiles * NWG;
    const int group = (int)get_group_id(1) / SPLIT, split = (int)get_group_id(1) % SPLIT;
    const int first = split * part, last = min(first + part, k_end);
    a += group * channels;
    b += group * b_group;

    struct key fixed[A_LOADS];
#pragma unroll
    for (int l = 0; l < A_LOADS; l++) {
        const int m = m0 + COLUMN(l, t, MWG, A_ALONG_K);
        fixed[l] = PASS == 2 ? tap_key(m, m_end, GEOMETRY) : pixel_key(m, m_end, GEOMETRY);
    }
    float acc[MWI][NWI];
#pragma unroll
    for (int i = 0; i < MWI; i++)
#pragma unroll
        for (int j = 0; j < NWI; j++) acc[i][j] = 0.0f;

    floatv next_a[A_LOADS], next_b[B_LOADS];
    int buffer = 0;
    fetch_tiles(next_a, next_b, a, b, fixed, first, last, n0, n_end, t, GEOMETRY);
    for (int k0 = first; k0 < last; k0 += KWG) {
        __local float *at = As + buffer * KWG * AW, *bt = Bs + buffer * KWG * BW;
        /* All have read the tile before this one. With two buffers the barrier below says so of the one before that. */
        if (!DB) barrier(CLK_LOCAL_MEM_FENCE);
        put_tiles(at, bt, next_a, next_b, t);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k0 + KWG < last)
            fetch_tiles(next_a, next_b, a, b, fixed, k0 + KWG, last, n0, n_end, t, GEOMETRY);
        multiply_tiles(acc, at, bt, x, y);
        if (DB) buffer = 1 - buffer;
    }

#if SPLIT > 1
    out += (size_t)split * m_end * ldc;
    const int row = ldc;
#else
    const int row = SLICE_STEP(ldc);
    out += SLICE_FIRST;
#endif
#pragma unroll
    for (int i = 0; i < MWI; i++)
#pragma unroll
        for (int j = 0; j < NWI; j++) {
            const int m = m0 + PLACE(i, MWI, y, LM), n = n0 + PLACE(j, NWI, x, LN);
            if (m >= m_end || n >= n_end) continue;
            const int at = m * row + group * n_end + n;
            float value = acc[i][j];
#if PASS == 0 && SPLIT == 1
            if (bias) value += bias[group * n_end + n];
            if (residual) value += residual[at];
            value = activate1(value, act, alpha);
#endif
            out[at] = value;
        }
}

#if SPLIT > 1
/* out[i] = act(its sums of split 0, 1, ..., added in this order, + bias + residual). */
__kernel void conv_igemm_reduce(__global const float *restrict sums, __global const float *bias,
                                __global const float *residual, __global float *restrict out,
                                int count, int ldc, ulong by_ldc, int act, float alpha SLICE_ARGS) {
    const int i = (int)get_global_id(0);
    if (i >= count) return;
    float total = sums[i];
    for (int split = 1; split < SPLIT; split++) total += sums[(size_t)split * count + i];
    if (bias) total += bias[i - (int)divide((uint)i, by_ldc) * ldc];
    if (residual) total += residual[i];
#if SLICE
    out += (int)divide((uint)i, by_ldc) * (slice_step - ldc) + slice_first;
#endif
    out[i] = PASS == 0 ? activate1(total, act, alpha) : total;
}
#endif
