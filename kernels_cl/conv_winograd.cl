/* conv_winograd: 3x3 and 5x5 convolution with stride 1 by Winograd's minimal filtering, F(m x m, t x t); fast on devices with wide
   SIMD units and many registers (CPUs through PoCL).

   per tile of m x m outputs (p, q), an e x e window d of the source (e = m + t - 1), and each pair of channels:

        y = A^T ( sum_c (G g G^T) . (B^T d B) ) A              . : element by element, so e e products for m m outputs

   forward         y[n,p,q,k]  = act(sum_{r,s,c} x[n, p - pt + r, q - pl + s, c] w[r,s,c,k] + bias[k] + residual)
   backward-data   the same kernels: source dy, destination dx, weights w[t-1-r,t-1-s,k,c], padding t - 1 - pt, t - 1 - pl

   Activations NHWC, weights RSCK. Here C and K are the channels of source and destination. A work-group is 16 lanes: one
   work-item of float16, or 16 of float. The three steps, and what they pass on:

        source windows    --B^T d B-->   V [pos][tile][C] *        pos: the e e elements of a transformed window
        V, packed         --products-->  M [pos][tile][K]          e e GEMMs, WT tiles x KV accumulators a lane
        M                 --A^T M A-->   destination

   * in sets of WT tiles, [tile / WT][c / 16][tile % WT][c % 16]: the distance from a tile to the next is a constant, so that the
   products' scalars take no arithmetic, and what a set reads lies side by side.

   Packed weights: U = G g G^T, [group][block of 16 KV K][pos][C][16 KV], zero beyond the last K.
   FUSED: a work-group does all three steps for a block of tiles, V (all C) and M (one block of K) in local memory, which on a
   CPU is the core's cache. Otherwise each step is a kernel over a chunk of tiles, V and M in the workspace. Rows of V and M
   beyond the last tile, up to a multiple of WT, are read and written but reach no output.

   Matrices: A. Lavin, S. Gray, Fast algorithms for convolutional neural networks, 2015, section 4. F(2x2, 5x5) has the points of
   F(4x4, 3x3), 0, +-1, +-2, infinity, thus its B, and powers of the same points in G and A. F(6x6, 3x3) was tried (and +-1/2): its
   transforms overflow the registers, and it was never faster than F(4x4, 3x3) by more than the noise.

   parameter  meaning                                    unit           legal
   TAPS       t, rows and columns of the filter          taps           3 5
   TILE       m                                          outputs        2 4, with 5 taps 2
   WT         tiles in registers                         tiles          1 .. 28
   KV         destination channels of a lane             16 channels    1 .. 4
   VEC        width of a work-item                       channels       1 16
   FUSED      1 one kernel, 0 three                      -              0 1
   SLICE      y is a part of a wider tensor: slice.clh   -              0 1      */

#ifndef VEC
#define VEC 16
#endif
#include "common.clh"
#include "idle_groups.clh"
#include "vector.clh"
#include "activation.clh"
#include "slice.clh"

#ifndef TAPS
#define TAPS 3
#endif
#ifndef TILE
#define TILE (TAPS == 3 ? 4 : 2)
#endif
#ifndef WT
#define WT 7
#endif
#ifndef KV
#define KV 1
#endif
#ifndef FUSED
#define FUSED 1
#endif
#if (TILE != 2 && TILE != 4) || (TAPS != 3 && TAPS != 5) || TILE + TAPS > 7 || WT < 1 || WT > 28 || KV < 1 || KV > 4 ||                    \
    (VEC != 1 && VEC != 16)
#error "conv_winograd: parameter out of range"
#endif

#define EDGE (TILE + TAPS - 1) /* 4 or 6, which decides B */
#define POSITIONS (EDGE * EDGE)
#define KB (16 * KV) /* destination channels of a block */
#define ITEMS (16 / VEC)

#if VEC == 16
#define ACTIVATE activate16
#define SYNCHRONIZE()
#else
#define ACTIVATE activate1
#define SYNCHRONIZE() barrier(CLK_LOCAL_MEM_FENCE)
#endif

#if FUSED
#define SPACE __local
#else
#define SPACE __global
#endif

/* A hint that the line at p is needed soon; nothing where there is no such instruction. OpenCL's own prefetch() does nothing on PoCL. */
#if defined(__x86_64__) || defined(__aarch64__)
#define PREFETCH(p, write) __builtin_prefetch((const void *)(size_t)(p), write, 2)
#else
#define PREFETCH(p, write)
#endif

/* ---------------------------------------------------------------- transforms in one dimension */

#define AXPY(a, x, y) FMA((floatv)(a), (x), (y))

/* out = B^T d. */
static inline void transform_source(const floatv d[EDGE], floatv out[EDGE]) {
#if EDGE == 4
    out[0] = d[0] - d[2];
    out[1] = d[1] + d[2];
    out[2] = d[2] - d[1];
    out[3] = d[1] - d[3];
#else
    const floatv a = AXPY(-4.0f, d[2], d[4]), b = AXPY(-4.0f, d[1], d[3]);
    const floatv e = d[4] - d[2], f = d[3] - d[1];
    out[0] = AXPY(4.0f, d[0], AXPY(-5.0f, d[2], d[4]));
    out[1] = a + b;
    out[2] = a - b;
    out[3] = AXPY(2.0f, f, e);
    out[4] = AXPY(-2.0f, f, e);
    out[5] = AXPY(4.0f, d[1], AXPY(-5.0f, d[3], d[5]));
#endif
}

/* out = G g. */
static inline void transform_weights(const floatv g[TAPS], floatv out[EDGE]) {
#if EDGE == 4
    const floatv even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
    out[1] = even + odd;
    out[2] = even - odd;
    out[0] = g[0];
#else
    floatv even = g[0] + g[2], odd = g[1];
    floatv even2 = AXPY(4.0f, g[2], g[0]), odd2 = 2.0f * g[1];
#if TAPS == 5
    even += g[4], odd += g[3];
    even2 = AXPY(16.0f, g[4], even2), odd2 = AXPY(8.0f, g[3], odd2);
#endif
    out[0] = 0.25f * g[0];
    out[1] = (even + odd) / -6.0f;
    out[2] = (even - odd) / -6.0f;
    out[3] = (even2 + odd2) / 24.0f;
    out[4] = (even2 - odd2) / 24.0f;
#endif
    out[EDGE - 1] = g[TAPS - 1];
}

/* out = A^T m. */
static inline void transform_products(const floatv m[EDGE], floatv out[TILE]) {
    const floatv s1 = m[1] + m[2], t1 = m[1] - m[2];
#if EDGE == 4
    out[0] = m[0] + s1;
    out[1] = t1 - m[3];
#else
    const floatv s2 = m[3] + m[4], t2 = m[3] - m[4];
    out[0] = m[0] + s1 + s2;
    out[1] = AXPY(2.0f, t2, t1);
#if TILE == 4
    out[2] = AXPY(4.0f, s2, s1);
    out[3] = AXPY(8.0f, t2, t1);
#endif
    out[TILE - 1] += m[5];
#endif
}

/* ---------------------------------------------------------------- packing */

/* The transformed weights g[r][s] of VEC destination channels to their place, positions step floats apart. */
static inline void pack_vector(floatv g[TAPS][TAPS], __global float *to, size_t step) {
    floatv columns[TAPS][EDGE];
    for (int s = 0; s < TAPS; s++) {
        floatv column[TAPS];
        for (int r = 0; r < TAPS; r++) column[r] = g[r][s];
        transform_weights(column, columns[s]);
    }
    for (int i = 0; i < EDGE; i++) {
        floatv row[TAPS], out[EDGE];
        for (int s = 0; s < TAPS; s++) row[s] = columns[s][i];
        transform_weights(row, out);
        for (int j = 0; j < EDGE; j++) VSTORE(out[j], to + (i * EDGE + j) * step);
    }
}

/* One work-item VEC destination channels: (group, block, source channel, place in the block). */
__kernel void conv_winograd_pack_fwd(__global const float *restrict w, __global float *restrict packed,
                                     int groups, int cg, int kg, int items) {
    const int i = (int)get_global_id(0), width = KB / VEC, blocks = (kg + KB - 1) / KB;
    if (i >= items) return;
    const int at = i % width * VEC, c = i / width % cg, block = i / (width * cg) % blocks;
    const int group = i / (width * cg * blocks), k = block * KB + at;
    floatv g[TAPS][TAPS];
    for (int tap = 0; tap < TAPS * TAPS; tap++)
        g[tap / TAPS][tap % TAPS] =
            k < kg ? load_until(w + ((size_t)tap * cg + c) * (groups * kg) + group * kg, k, kg)
                   : (floatv)(0.0f);
    pack_vector(g, packed + ((size_t)(group * blocks + block) * POSITIONS * cg + c) * KB + at,
                (size_t)cg * KB);
}

/* Source channels k, destination channels c, taps rotated by half a turn. */
__kernel void conv_winograd_pack_bwd_data(__global const float *restrict w,
                                          __global float *restrict packed, int groups, int cg,
                                          int kg, int items) {
    const int i = (int)get_global_id(0), width = KB / VEC, blocks = (cg + KB - 1) / KB;
    if (i >= items) return;
    const int at = i % width * VEC, k = i / width % kg, block = i / (width * kg) % blocks;
    const int group = i / (width * kg * blocks), c = block * KB + at;
    floatv g[TAPS][TAPS];
    for (int tap = 0; tap < TAPS * TAPS; tap++) {
        float value[VEC];
        for (int j = 0; j < VEC; j++)
            value[j] = c + j < cg ? w[((size_t)(TAPS * TAPS - 1 - tap) * cg + c + j) *
                                          (groups * kg) +
                                      group * kg + k]
                                  : 0.0f;
        g[tap / TAPS][tap % TAPS] = VLOAD(value);
    }
    pack_vector(g, packed + ((size_t)(group * blocks + block) * POSITIONS * kg + k) * KB + at,
                (size_t)kg * KB);
}

/* ---------------------------------------------------------------- the three steps */

/* Where tile tile begins in a position of V, with v_row floats a tile (a set has WT v_row of them); its next 16 channels are V_PANEL floats further. */
#define V_PANEL (16 * WT)
static inline int tile_at(int tile, int v_row) {
    return tile / WT * WT * v_row + tile % WT * 16;
}

/* B^T d B of the window at (h0, w0) of an image [H][W][C] for channels of its channels, to the tile v, positions step floats apart.
   room: floats from image to the tensor's end. Vectors may reach into the next pixel: those lanes of V are never read. */
static inline void transform_window(__global const float *image, int room, int h0, int w0, int H,
                                    int W, int C, int channels, SPACE float *v, size_t step) {
    const int first = (h0 * W + w0) * C, last = first + ((EDGE - 1) * (W + 1)) * C;
    const bool inside = h0 >= 0 && w0 >= 0 && h0 + EDGE <= H && w0 + EDGE <= W &&
                        last + (channels + 15) / 16 * 16 <= room;
    for (int c = (int)get_local_id(0) * VEC; c < channels; c += 16) {
        floatv columns[EDGE][EDGE];
        if (!inside)
            for (int i = 0; i < EDGE; i++)
                for (int j = 0; j < EDGE; j++) {
                    const bool exists = h0 + i >= 0 && h0 + i < H && w0 + j >= 0 && w0 + j < W;
                    columns[i][j] = exists ? load_until(image, first + (i * W + j) * C + c, room)
                                           : (floatv)(0.0f);
                }
        for (int j = 0; j < EDGE; j++) {
            floatv d[EDGE], out[EDGE];
#pragma unroll
            for (int i = 0; i < EDGE; i++)
                d[i] = inside ? VLOAD(image + first + (i * W + j) * C + c) : columns[i][j];
            transform_source(d, out);
#pragma unroll
            for (int i = 0; i < EDGE; i++) columns[i][j] = out[i];
        }
        for (int i = 0; i < EDGE; i++) {
            floatv out[EDGE];
            transform_source(columns[i], out);
#pragma unroll
            for (int j = 0; j < EDGE; j++)
                VSTORE(out[j], v + (i * EDGE + j) * step + c / 16 * V_PANEL + c % 16);
        }
    }
}

/* m[WT][KB] = v[WT][channels] u[channels][KB], v a set of V, rows of m m_step floats apart. The weights from next on are asked for
   meanwhile, share floats a channel: they come from beyond the second-level cache where there are many of them. */
static inline void multiply(SPACE const float *v, __global const float *u, SPACE float *m,
                            int m_step, int channels, __global const float *next, int share) {
    floatv acc[WT][KV];
#pragma unroll
    for (int j = 0; j < WT; j++)
#pragma unroll
        for (int k = 0; k < KV; k++) acc[j][k] = (floatv)(0.0f);
    u += get_local_id(0) * VEC;
    m += get_local_id(0) * VEC;
    for (; channels > 0; channels -= 16, v += V_PANEL)
        for (int c = 0; c < min(channels, 16); c++, u += KB) {
            floatv w[KV];
#pragma unroll
            for (int k = 0; k < KV; k++) w[k] = VLOAD(u + 16 * k);
#pragma unroll
            for (int j = 0; j < WT; j++) {
                const floatv a = (floatv)(v[j * 16 + c]);
#pragma unroll
                for (int k = 0; k < KV; k++) acc[j][k] = FMA(a, w[k], acc[j][k]);
            }
            PREFETCH(next, 0);
            PREFETCH(next + 16, 0);
            next += share;
        }
#pragma unroll
    for (int j = 0; j < WT; j++)
#pragma unroll
        for (int k = 0; k < KV; k++) VSTORE(acc[j][k], m + j * m_step + 16 * k);
}

/* Floats a channel, so that count tiles ask for a block of weights together: multiply asks for two lines a channel. */
static inline int ahead_share(int count) {
    return min((KB * WT + count - 1) / count, 32);
}

/* out = act(A^T m A + bias + residual) for one vector of lanes channels: rows x cols pixels of TILE x TILE exist, K floats apart,
   rows row floats apart. bias and residual may be 0. */
static inline void finish_vector(SPACE const float *m, size_t step, __global float *out, int row,
                                 int K, int rows, int cols, int lanes, __global const float *bias,
                                 __global const float *residual, int act, float alpha) {
    floatv columns[TILE][EDGE];
    for (int j = 0; j < EDGE; j++) {
        floatv d[EDGE], t[TILE];
#pragma unroll
        for (int i = 0; i < EDGE; i++) d[i] = VLOAD(m + (i * EDGE + j) * step);
        transform_products(d, t);
#pragma unroll
        for (int i = 0; i < TILE; i++) columns[i][j] = t[i];
    }
    const floatv b = bias ? load_until(bias, 0, lanes) : (floatv)(0.0f);
    for (int i = 0; i < rows; i++) {
        floatv t[TILE];
        transform_products(columns[i], t);
        for (int j = 0; j < cols; j++) {
            const size_t at = (size_t)i * row + (size_t)j * K;
            floatv value = t[j] + b;
            if (residual) value += load_until(residual + at, 0, lanes);
            store_until(ACTIVATE(value, act, alpha), out + at, 0, lanes);
        }
    }
}

/* Tile number tile, over all images, of images of P x Q outputs: image n, first output (p, q). */
static inline void find_tile(int tile, int P, int Q, int *n, int *p, int *q) {
    const int across = (Q + TILE - 1) / TILE, down = (P + TILE - 1) / TILE;
    *q = tile % across * TILE;
    *p = tile / across % down * TILE;
    *n = tile / (across * down);
}

#define DIMENSIONS int N, int H, int W, int C, int P, int Q, int K, int PT, int PL, int G

/* V of one tile. */
static inline void transform_tile(__global const float *source, int tile, int group, DIMENSIONS,
                                  SPACE float *v, size_t step) {
    int n, p, q;
    find_tile(tile, P, Q, &n, &p, &q);
    const int channel = group * (C / G), image = n * H * W * C + channel;
    transform_window(source + image, N * H * W * C - image, p - PT, q - PL, H, W, C, C / G, v,
                     step);
}

/* Outputs of one tile for channels k0 .. k0 + count - 1 of a group of width, dest_step floats from pixel to pixel. */
static inline void finish_tile(SPACE const float *m, size_t step, int tile, int group, int k0,
                               int count, int P, int Q, int width, int dest_step,
                               __global const float *bias, __global const float *residual,
                               __global float *dest, int act, float alpha) {
    int n, p, q;
    find_tile(tile, P, Q, &n, &p, &q);
    const int first = group * width + k0;
    const size_t at = ((size_t)(n * P + p) * Q + q) * dest_step + first;
    for (int k = (int)get_local_id(0) * VEC; k < count; k += 16)
        finish_vector(m + k, step, dest + at + k, Q * dest_step, dest_step, min(TILE, P - p),
                      min(TILE, Q - q), count - k, bias ? bias + first + k : 0, residual ? residual + at + k : 0, act,
                      alpha);
}

/* Brings the lines that finish_tile will write nearer: a store that misses the caches stalls those behind it. */
static inline void prefetch_outputs(int tile, int first, int count, int P, int Q, int K,
                                    __global const float *dest) {
    int n, p, q;
    find_tile(tile, P, Q, &n, &p, &q);
    const int cols = min(TILE, Q - q);
    for (int i = 0; i < min(TILE, P - p); i++) {
        __global const float *row = dest + ((size_t)(n * P + p + i) * Q + q) * K + first;
        for (int j = 0; j < cols; j++)
            for (int k = 0; k < count; k += 16) PREFETCH(row + j * K + k, 1);
    }
}

/* ---------------------------------------------------------------- entry points */

#if FUSED

/* Work-groups: (blocks of block_tiles tiles x every, groups). v_row: floats of a tile in a position of v. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1))) __kernel void
conv_winograd_fused(__global const float *restrict source, __global const float *restrict packed,
                    __global const float *bias, __global const float *residual,
                    __global float *restrict dest, DIMENSIONS, int tiles, int block_tiles, int v_row,
                    int act, float alpha, int every, __local float *v,
                    __local float *m SLICE_ARGS) {
    if (IDLE_GROUP(every)) return;
    const int first = (int)get_group_id(0) / every * block_tiles, group = (int)get_group_id(1);
    const int count = min(block_tiles, tiles - first), Cg = C / G, Kg = K / G;
    const int blocks = (Kg + KB - 1) / KB;
    /* One line more than the tiles take, so that positions do not fall into the same sets of a cache. */
    const int v_step = block_tiles * v_row + 16, m_step = block_tiles * KB + 16;
    const int share = ahead_share(count);

    for (int t = 0; t < count; t++)
        transform_tile(source, first + t, group, N, H, W, C, P, Q, K, PT, PL, G,
                       v + tile_at(t, v_row), v_step);
    for (int block = 0; block < blocks; block++) {
        __global const float *u = packed + (size_t)(group * blocks + block) * POSITIONS * Cg * KB;
        SYNCHRONIZE();
        for (int pos = 0; pos < POSITIONS; pos++) {
            for (int t = pos; t < count; t += POSITIONS)
                prefetch_outputs(first + t, group * Kg + block * KB, min(KB, Kg - block * KB), P, Q,
                                 SLICE_STEP(K), dest + SLICE_FIRST);
            /* Positions follow each other, and so do blocks; the next work-group begins anew. */
            __global const float *next = block + 1 < blocks || pos + 1 < POSITIONS
                                             ? u + (size_t)(pos + 1) * Cg * KB
                                             : packed;
            for (int t = 0; t < count; t += WT)
                multiply(v + pos * v_step + t * v_row, u + (size_t)pos * Cg * KB,
                         m + pos * m_step + t * KB, KB, Cg, next + t / WT * Cg * share, share);
        }
        SYNCHRONIZE();
        for (int t = 0; t < count; t++)
            finish_tile(m + t * KB, m_step, first + t, group, block * KB,
                        min(KB, Kg - block * KB), P, Q, Kg, SLICE_STEP(K), bias, residual,
                        dest + SLICE_FIRST, act, alpha);
    }
}

#else

/* Tiles first .. of a chunk of rows tiles. Work-groups: (tiles, groups). v: [group][pos] of rows v_row floats, in sets of WT tiles. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1))) __kernel void
conv_winograd_transform(__global const float *restrict source, __global float *restrict v,
                        DIMENSIONS, int first, int rows, int v_row) {
    const int t = (int)get_group_id(0), group = (int)get_group_id(1);
    const size_t step = (size_t)rows * v_row;
    transform_tile(source, first + t, group, N, H, W, C, P, Q, K, PT, PL, G,
                   v + group * POSITIONS * step + tile_at(t, v_row), step);
}

/* Work-groups: (blocks of K, blocks of block_tiles tiles, groups x positions). work: V, then from m_at on M,
   [group][pos][rows][m_row]. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1))) __kernel void
conv_winograd_multiply(__global float *work, __global const float *restrict packed, ulong m_at,
                       int Cg, int tiles, int block_tiles, int rows, int v_row, int m_row) {
    const int block = (int)get_group_id(0), blocks = (int)get_num_groups(0);
    const int first = (int)get_group_id(1) * block_tiles;
    const int layer = (int)get_group_id(2), group = layer / POSITIONS, pos = layer % POSITIONS;
    __global const float *u =
        packed + ((size_t)(group * blocks + block) * POSITIONS + pos) * Cg * KB;
    /* The next work-group has the next block, or the first one of the next position. */
    __global const float *next = block + 1 < blocks ? u + (size_t)POSITIONS * Cg * KB
                                                    : u + (size_t)(1 - block * POSITIONS) * Cg * KB;
    const int last = min(first + block_tiles, tiles), share = ahead_share(last - first);
    for (int t = first; t < last; t += WT, next += Cg * share)
        multiply(work + ((size_t)layer * rows + t) * v_row, u,
                 work + m_at + ((size_t)layer * rows + t) * m_row + block * KB, m_row, Cg, next,
                 share);
}

/* Work-groups: (tiles, groups). */
__attribute__((reqd_work_group_size(ITEMS, 1, 1))) __kernel void
conv_winograd_finish(__global const float *restrict work, __global const float *bias,
                     __global const float *residual, __global float *restrict dest, DIMENSIONS,
                     ulong m_at, int first, int rows, int m_row, int act, float alpha SLICE_ARGS) {
    const int t = (int)get_group_id(0), group = (int)get_group_id(1);
    const size_t step = (size_t)rows * m_row;
    finish_tile(work + m_at + group * POSITIONS * step + (size_t)t * m_row, step, first + t, group,
                0, K / G, P, Q, K / G, SLICE_STEP(K), bias, residual, dest + SLICE_FIRST, act,
                alpha);
}

#endif
