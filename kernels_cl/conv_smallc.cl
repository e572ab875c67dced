/* conv_smallc: few input channels (C <= 4: first layers), no groups, no dilation, for devices with wide SIMD units and many
   registers (CPUs through PoCL).

   forward            y[n,p,q,k]  = act(sum_{r,s,c} x[n, p u - pt + r, q v - pl + s, c] w[r,s,c,k] + bias[k] + residual)
   backward-weights   dw[r,s,c,k] = sum_{n,p,q} x[n, p u - pt + r, q v - pl + s, c] dy[n,p,q,k]

   There is no backward-data: a first layer reads the data set, whose gradient nobody asks for, and with C lanes of 16 it
   would be another kernel altogether.

   Activations NHWC, weights RSCK. In a row of x, what the taps (s, c) of one filter row read is one run of S C floats; the next
   output pixel's run starts V C floats later. A work-item, which is a work-group, copies the rows of x that a band of
   output rows reads into local memory, with the zeros of the padding beside them. So no loop knows edges.

        a padded row      | 0 0 0 | c0 c1 c2 c0 c1 c2 ...                   | 0 0 0 |     pitch floats apart
        pixel q           <---- S C floats ---->
        pixel q + 1             <---- S C floats ---->                                    V C floats further

   Forward: WT output pixels x KV float16 of output channels in registers; R times over S C floats, one scalar a pixel
   times KV vectors of weights. Packed weights: [block][R][S C][16 KV], zero beyond the last channel. A block's
   weights stay in the first-level cache. The last tile of a row starts earlier where it would overhang.

   Backward-weights: RT filter rows x T floats of the run x KV float16 of output channels in registers, summed over the
   pixels of a band; a work-item goes over all tiles of dw in each band of its chunk of the (n, p) rows. Its sums,
   [chunk][block][R][S C][16 KV], are added in the chunks' order by conv_smallc_reduce. The last tile starts earlier, too.

   parameter  meaning                                             unit             legal
   PASS       forward or backward-weights                         -                0, 2
   C, R, S    input channels, filter size                         -                the problem's, C 1 .. 4
   U, V       strides                                             -                the problem's
   TAIL       output channels beyond whole vectors (PASS 0)       channels         the problem's K modulo 16
   KV         vectors of output channels                          16 channels      1 .. 4
   BAND       output rows whose source rows are copied at once    rows             1 ..
   WT         output pixels of a tile (PASS 0)                    pixels           1 .. 28
   STREAM     y goes past the caches, where PoCL and x86 can      -                0, 1
   RT         filter rows of a tile (PASS 2)                      rows             1 .. R
   T          floats of the run in a tile (PASS 2)                floats           1 .. S C                         */

#include "common.clh"
#include "idle_groups.clh"
#include "lanes.clh"
#include "register_tile.clh"
#include "activation.clh"

#ifndef PASS
#define PASS 0
#endif
#ifndef C
#define C 3
#endif
#ifndef R
#define R 7
#endif
#ifndef S
#define S 7
#endif
#ifndef U
#define U 2
#endif
#ifndef V
#define V 2
#endif
#ifndef KV
#define KV 2
#endif
#ifndef BAND
#define BAND 4
#endif
#ifndef TAIL
#define TAIL 0
#endif
#ifndef WT
#define WT 7
#endif
#ifndef STREAM
#define STREAM 0
#endif
#ifndef RT
#define RT 1
#endif
#ifndef T
#define T 1
#endif
#define SC (S * C)    /* floats of a run */
#define KB (16 * KV) /* channels of a block */
#if PASS != 0 && PASS != 2
#error "conv_smallc: PASS must be 0 or 2"
#endif
#if C < 1 || C > 4 || R < 1 || S < 1 || U < 1 || V < 1 || KV < 1 || KV > 4 || BAND < 1 || WT < 1 || WT > 28
#error "conv_smallc: dimension or tile out of range"
#endif
#if RT < 1 || RT > R || T < 1 || T > SC
#error "conv_smallc: RT and T must lie within the filter"
#endif

/* Stores of whole cache lines that are not read before; p is aligned to 64 bytes. */
#if STREAM && defined(POCL_DEVICE_ADDRESS_BITS) && defined(__x86_64__)
#define STREAM_STORE(v, p) __builtin_nontemporal_store(v, (__global float16 *)(p))
#define STREAM_END()       __asm__ volatile("sfence" : : : "memory")
#else
#define STREAM_STORE(v, p) vstore16(v, 0, p)
#define STREAM_END()
#endif

/* ---------------------------------------------------------------- padded rows */

static inline void clear_floats(__local float *to, int count) {
    for (; count >= 16; count -= 16, to += 16) vstore16((float16)(0.0f), 0, to);
    for (int i = 0; i < count; i++) to[i] = 0.0f;
}
static inline void copy_floats(__local float *to, __global const float *from, int count) {
    for (; count >= 16; count -= 16, to += 16, from += 16) vstore16(vload16(0, from), 0, to);
    for (int i = 0; i < count; i++) to[i] = from[i];
}

/* Rows h0, h0 + 1, ... of an image, width floats of each from column -PL on. */
static inline void copy_rows(__local float *rows, __global const float *image, int h0, int count,
                             int pitch, int width, int H, int W, int PL) {
    const int left = min(PL * C, width), inside = min(W * C, width - left);
    for (int h = h0; h < h0 + count; h++, rows += pitch) {
        if (h < 0 || h >= H) {
            clear_floats(rows, width);
            continue;
        }
        clear_floats(rows, left);
        copy_floats(rows + left, image + (size_t)h * W * C, inside);
        clear_floats(rows + left + inside, width - left - inside);
    }
}

#if PASS == 0
/* ---------------------------------------------------------------- forward */

/* One work-item a vector of 16 output channels. */
__kernel void conv_smallc_pack_fwd(__global const float *restrict w, __global float *restrict packed,
                                   int K, int vectors) {
    const int i = (int)get_global_id(0);
    if (i >= vectors) return;
    const int tap = i / KV % (R * SC), block = i / (KV * R * SC);
    const int k = block * KB + i % KV * 16;
    vstore16(load_lanes(K - k, w + (size_t)tap * K + k), i, packed);
}

/* acc += all taps; source: what tap 0 of the tile's first pixel reads. */
static inline void accumulate(float16 acc[WT][KV], __local const float *source, int pitch,
                              __global const float *weights) {
    for (int r = 0; r < R; r++, source += pitch) {
        __local const float *from = source, *end = source + SC;
        while (from != end) {
            float16 w[KV];
#pragma unroll
            for (int v = 0; v < KV; v++) w[v] = vload16(v, weights);
#pragma unroll
            for (int j = 0; j < WT; j++) {
                const float16 x = (float16)(from[j * V * C]);
#pragma unroll
                for (int v = 0; v < KV; v++) {
                    if (v == KV - 1 && LAST_FROM_MEMORY(WT)) {
                        OPAQUE(weights);
                        w[v] = vload16(v, weights);
                    }
                    acc[j][v] = FMA(x, w[v], acc[j][v]);
                }
            }
            weights += KB;
            from++;
            OPAQUE(from);
        }
    }
}

/* What happens to the sums, which begin with the bias. bias and residual may be 0. */
struct epilogue {
    __global const float *bias, *residual;
    int act;
    float alpha;
    bool stream;
};

static inline void start_tile(float16 acc[WT][KV], __global const float *bias, int K, int k0) {
#pragma unroll
    for (int v = 0; v < KV; v++) {
        const int k = k0 + 16 * v;
        const float16 b = bias ? load_lanes(K - k, bias + k) : (float16)(0.0f);
#pragma unroll
        for (int j = 0; j < WT; j++) acc[j][v] = b;
    }
}

/* Without residual and with no activation (low is minus infinity) or ReLU (0). A NaN stays. TAIL is known to the compiler: a short
   vector is stored without tests. */
#define CLAMPED(v, low) ((v) < (low) ? (float16)(low) : (v))
static inline void store_simple(float16 acc[WT][KV], __global float *out, int K, int lanes,
                                float low) {
#pragma unroll
    for (int v = 0; v < KV; v++) {
        if (lanes >= 16 * v + 16) {
#pragma unroll
            for (int j = 0; j < WT; j++)
                vstore16(CLAMPED(acc[j][v], low), v, out + (size_t)j * K);
        } else if (lanes > 16 * v) {
#pragma unroll
            for (int j = 0; j < WT; j++)
                store_lanes(CLAMPED(acc[j][v], low), TAIL, out + (size_t)j * K + 16 * v);
        }
    }
}
#if STREAM
static inline void stream_whole(float16 acc[WT][KV], __global float *out, int K, bool relu) {
    if (relu) {
#pragma unroll
        for (int j = 0; j < WT; j++)
#pragma unroll
            for (int v = 0; v < KV; v++) acc[j][v] = CLAMPED(acc[j][v], 0.0f);
    }
#pragma unroll
    for (int j = 0; j < WT; j++)
#pragma unroll
        for (int v = 0; v < KV; v++) STREAM_STORE(acc[j][v], out + (size_t)j * K + 16 * v);
}
#endif

/* act(acc + residual) of WT pixels, K floats apart, to y's elements from at on. */
static inline void finish_tile(float16 acc[WT][KV], __global float *y, size_t at, int K, int k0,
                               const struct epilogue e) {
    __global float *out = y + at;
    if (!e.residual && e.act <= ACT_RELU) {
        const float low = e.act == ACT_RELU ? 0.0f : -INFINITY;
#if STREAM
        if (e.stream && K - k0 >= KB) {
            stream_whole(acc, out, K, e.act == ACT_RELU);
            return;
        }
#endif
        store_simple(acc, out, K, K - k0, low);
        return;
    }
    /* Not unrolled, from a copy: the code stays short, and acc stays in registers until here. */
    float16 tile[WT * KV];
#pragma unroll
    for (int j = 0; j < WT; j++)
#pragma unroll
        for (int v = 0; v < KV; v++) tile[j * KV + v] = acc[j][v];
    for (int v = 0; v < KV; v++) {
        const int k = k0 + 16 * v;
        for (int j = 0; j < WT; j++) {
            const size_t offset = (size_t)j * K + 16 * v;
            float16 value = tile[j * KV + v];
            if (e.residual) value += load_lanes(K - k, e.residual + at + offset);
            store_lanes(activate16(value, e.act, e.alpha), K - k, out + offset);
        }
    }
}

/* Global size: (bands of an image x every, N). */
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_smallc_fwd(__global const float *restrict x, __global const float *restrict packed,
                __global const float *bias, __global const float *residual,
                __global float *restrict y, __local float *rows, int pitch, int H, int W, int P,
                int Q, int K, int PT, int PL, int act, float alpha, int every) {
    if (IDLE_GROUP(every)) return;
    const int n = (int)get_global_id(1), first = (int)get_global_id(0) / every * BAND;
    const int last = min(first + BAND, P);
    const bool aligned = (((size_t)y | (size_t)K * 4) & 63) == 0;
    const struct epilogue e = {bias, residual, act, alpha, aligned};
    copy_rows(rows, x + (size_t)n * H * W * C, first * U - PT, (last - first - 1) * U + R, pitch,
              ((Q - 1) * V + S) * C, H, W, PL);
    for (int p = first; p < last; p++)
        for (int k0 = 0; k0 < K; k0 += KB)
            for (int tile = 0; tile < Q; tile += WT) {
                const int q0 = min(tile, Q - WT);
                float16 acc[WT][KV];
                start_tile(acc, bias, K, k0);
                accumulate(acc, rows + (p - first) * U * pitch + q0 * V * C, pitch,
                           packed + (size_t)k0 * (R * SC));
                finish_tile(acc, y, ((size_t)(n * P + p) * Q + q0) * K + k0, K, k0, e);
            }
    STREAM_END();
}
#endif

#if PASS == 2
/* ---------------------------------------------------------------- backward-weights */

/* acc += x dy for one pixel; x: RT pointers to what the tile's taps read. */
static inline void weights_pixel(float16 acc[RT][T][KV], __local const float *x[RT],
                                 float16 g[KV]) {
#pragma unroll
    for (int r = 0; r < RT; r++)
#pragma unroll
        for (int t = 0; t < T; t++) {
            const float16 a = (float16)(x[r][t]);
#pragma unroll
            for (int v = 0; v < KV; v++) acc[r][t][v] = FMA(a, g[v], acc[r][t][v]);
        }
#pragma unroll
    for (int r = 0; r < RT; r++) {
        x[r] += V * C;
        OPAQUE(x[r]);
    }
}

/* What is asked for ahead: with each pixel the line at next, which then moves by step floats. */
struct ahead {
    __global const float *next;
    int step;
};

/* One output row. A vector of dy may reach into the next pixel, whose sums are never read. left: floats from dy on to the
   tensor's end, beyond which nothing is read. */
static inline void weights_row(float16 acc[RT][T][KV], __local const float *source, int pitch,
                               __global const float *dy, size_t left, int Q, int K,
                               struct ahead ahead) {
    __local const float *x[RT];
#pragma unroll
    for (int r = 0; r < RT; r++) x[r] = source + r * pitch;
    float16 g[KV];
    int whole = Q;
    while (whole > 0 && (size_t)(whole - 1) * K + KB > left) whole--;
    __global const float *end = dy + whole * K;
    for (; dy != end; dy += K) {
#pragma unroll
        for (int v = 0; v < KV; v++) g[v] = vload16(v, dy);
        weights_pixel(acc, x, g);
        fetch_line(ahead.next);
        ahead.next += ahead.step;
    }
    for (int q = whole; q < Q; q++, dy += K) {
        for (int v = 0; v < KV; v++)
            g[v] = load_lanes((int)(left - (size_t)q * K) - 16 * v, dy + 16 * v);
        weights_pixel(acc, x, g);
    }
}

/* A tile of dw, over the rows of one band: added to sums, or if fresh put there. sums: of the tile's first tap. Taps
   before (skip_r, skip_t) of the tile belong to the tile before. */
static inline void weights_tile(__global float *sums, bool fresh, int skip_r, int skip_t,
                                __local const float *source, int pitch, int rows,
                                __global const float *dy, size_t left, int Q, int K,
                                struct ahead ahead) {
    float16 acc[RT][T][KV];
#pragma unroll
    for (int i = 0; i < RT * T * KV; i++) acc[i / KV / T][i / KV % T][i % KV] = (float16)(0.0f);
    for (int row = 0; row < rows; row++) {
        weights_row(acc, source + row * U * pitch, pitch, dy + (size_t)row * Q * K,
                    left - (size_t)row * Q * K, Q, K, ahead);
        ahead.next += Q * ahead.step;
    }
#pragma unroll
    for (int i = 0; i < RT * T * KV; i++) {
        const int r = i / KV / T, t = i / KV % T, v = i % KV;
        if (r < skip_r || t < skip_t) continue;
        __global float *to = sums + (r * SC + t) * KB + v * 16;
        vstore16(fresh ? acc[r][t][v] : acc[r][t][v] + vload16(0, to), 0, to);
    }
}

/* Global size: chunks x every. */
__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv_smallc_bwd_weights(__global const float *restrict x, __global const float *restrict dy,
                        __global float *restrict sums, __local float *rows, int pitch, int N, int H,
                        int W, int P, int Q, int K, int PT, int PL, int chunk_rows, int every) {
    if (IDLE_GROUP(every)) return;
    const int chunk = (int)get_global_id(0) / every, blocks = (K + KB - 1) / KB;
    const int first = chunk * chunk_rows, last = min(first + chunk_rows, N * P);
    /* dy comes from far away and is used for few multiply-adds: the tiles of a band ask for the next band, which the next chunk
       may begin with, each for its share. */
    const int tiles = blocks * ((R + RT - 1) / RT) * ((SC + T - 1) / T);
    const int step = min((K + tiles - 1) / tiles, 16);
    int count;
    for (int band = first; band < last; band += count) {
        const int n = band / P, p = band % P;
        count = min(min(BAND, last - band), P - p);
        copy_rows(rows, x + (size_t)n * H * W * C, p * U - PT, (count - 1) * U + R, pitch,
                  ((Q - 1) * V + S) * C, H, W, PL);
        struct ahead ahead = {dy + (size_t)(band + count) * Q * K, band + count < N * P ? step : 0};
        for (int block = 0; block < blocks; block++) {
            const size_t at = (size_t)band * Q * K + block * KB;
            for (int r = 0; r < R; r += RT)
                for (int t = 0; t < SC; t += T) {
                    const int r0 = min(r, R - RT), t0 = min(t, SC - T);
                    weights_tile(sums + ((size_t)((chunk * blocks + block) * R + r0) * SC + t0) * KB,
                                 band == first, r - r0, t - t0, rows + r0 * pitch + t0, pitch, count,
                                 dy + at, (size_t)N * P * Q * K - at, Q, K, ahead);
                    ahead.next += (size_t)count * Q * ahead.step;
                }
        }
    }
}

/* dw[r,s,c,k] = its sums of chunk 0, 1, ..., added in this order. */
__kernel void conv_smallc_reduce(__global const float *restrict sums, __global float *restrict dw,
                                 int count, int chunks, int K) {
    const int i = (int)get_global_id(0);
    if (i >= count) return;
    const int k = i % K, tap = i / K, blocks = (K + KB - 1) / KB;
    const size_t chunk_floats = (size_t)blocks * (R * SC * KB);
    __global const float *sum = sums + ((size_t)(k / KB) * (R * SC) + tap) * KB + k % KB;
    float total = sum[0];
    for (int chunk = 1; chunk < chunks; chunk++) total += sum[chunk * chunk_floats];
    dw[i] = total;
}
#endif
