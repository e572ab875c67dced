/* Fully connected layers of few rows, with the weights as they are: each is read, or written, once.

     fc_stream_fwd          partial[part,n,k] = sum over the part's c of x[n,c] w[c,k]
     fc_stream_finish       y[n,k] = sum over the parts of partial[part,n,k]
     fc_stream_bwd_data     dx[n,c] = sum over k of dy[n,k] w[c,k]
     fc_stream_panels       x and dy to panels, for
     fc_stream_bwd_weights  dw[c,k] = sum over n of x[n,c] dy[n,k]

   x, dx: N x C; y, dy: N x K; w, dw: C x K. With few rows N a layer is as slow as its weights are large, and packing them after
   every update would read and write them once more. What a work-item does:

        w, C x K            fwd: ROWS at a time, downwards,   bwd_data: ROWS rows,      bwd_weights: the same,
                            in COLUMNS columns                COLUMNS at a time         TILE x PANEL written
        | . . . . . . |     | . . # # . . |                   | # # # # # # |           | # # # # # # |
        | . . . . . . |     | . . # # . . |                   | # # # # # # |           | # # # # # # |
        | . . . . . . |     | . . v v . . |                   | . . . . . . |           | . . . . . . |

   so that ROWS x COLUMNS weights, and what they meet in dy or in partial, stay in the nearest cache for all n.
   A row of partial is width floats, K rounded up to a multiple of 16; what stands beyond K is never used.
   In bwd_weights TILE x PANEL sums stay in registers for all n. They read x and dy from panels, first those of dy, then those of x,

        panel 0, N x PANEL: dy[0, 0 .. PANEL-1], dy[1, 0 .. PANEL-1], ...     panel 1, ...     panel 0 of x, N x TILE, ...

   because rows that are a large power of two apart fall into few sets of a cache.

     VEC       see vector.clh
     ROWS      8: rows of w at a time
     COLUMNS   columns of w at a time; a multiple of VEC
     IMAGES    rows n at a time in bwd_data
     TILE      rows of dw at a time in bwd_weights
     PANEL     columns of dw at a time in bwd_weights; a multiple of VEC */
#include "common.clh"
#include "fastdiv.clh"
#include "lanes.clh"
#include "vector.clh"

#ifndef COLUMNS
#define COLUMNS 512
#endif
#ifndef IMAGES
#define IMAGES 8
#endif
#ifndef TILE
#define TILE 6
#endif
#ifndef PANEL
#define PANEL (4 * VEC)
#endif
#define ROWS 8
#if COLUMNS % VEC != 0 || PANEL % VEC != 0
#error COLUMNS and PANEL must be multiples of VEC
#endif

#if VEC == 16
#define STORE(v, p) store_global(v, 0, p)
#else
#define STORE(v, p) VSTORE(v, p)
#endif
/* Past the caches, to a multiple of its size. */
#ifdef HAS_HINTS
#define STREAM(v, p) __builtin_nontemporal_store((v), (global floatv *)(p))
#else
#define STREAM(v, p) STORE(v, p)
#endif

kernel void fc_stream_fwd(global const float *x, global const float *w, global float *partial, int n,
                          int c, int k, int width, int parts, int rows, ulong by_blocks, int blocks) {
    uint id = get_global_id(0);
    int part = divide(id, by_blocks), first_k = (id - part * blocks) * COLUMNS;
    if (part >= parts) return;
    int first = part * rows, last = min(first + rows, c);
    int vectors = (min(COLUMNS, width - first_k) + VEC - 1) / VEC;
    int whole = min(COLUMNS, k - first_k) / VEC; /* of them, inside a row of w */
    global float *sums = partial + part * n * width + first_k;
    for (int i = 0; i < n; i++)
        for (int v = 0; v < vectors; v++) STORE((floatv)(0.0f), sums + i * width + v * VEC);
    int row = first;
    for (; row + ROWS <= last; row += ROWS) {
        global const float *from = w + row * k + first_k;
        for (int i = 0; i < n; i++) {
            global const float *f = x + i * c + row;
            float f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3], f4 = f[4], f5 = f[5], f6 = f[6], f7 = f[7];
            for (int v = 0; v < whole; v++) {
                global float *to = sums + i * width + v * VEC;
                global const float *at = from + v * VEC;
                floatv even = VLOAD(to), odd = f1 * VLOAD(at + k);
                even = FMA((floatv)(f0), VLOAD(at), even);
                odd = FMA((floatv)(f3), VLOAD(at + 3 * k), odd);
                even = FMA((floatv)(f2), VLOAD(at + 2 * k), even);
                odd = FMA((floatv)(f5), VLOAD(at + 5 * k), odd);
                even = FMA((floatv)(f4), VLOAD(at + 4 * k), even);
                odd = FMA((floatv)(f7), VLOAD(at + 7 * k), odd);
                even = FMA((floatv)(f6), VLOAD(at + 6 * k), even);
                STORE(even + odd, to);
            }
        }
    }
    for (; row < last; row++)
        for (int i = 0; i < n; i++)
            for (int v = 0; v < whole; v++) {
                global float *to = sums + i * width + v * VEC;
                STORE(FMA((floatv)(x[i * c + row]), VLOAD(w + row * k + first_k + v * VEC), VLOAD(to)), to);
            }
    /* The last columns, which fill no vector. */
    int at = first_k + whole * VEC;
    if (whole == vectors || at >= k) return;
    for (row = first; row < last; row++) {
        floatv weights = load_until(w, row * k + at, row * k + k);
        for (int i = 0; i < n; i++) {
            global float *to = sums + i * width + whole * VEC;
            STORE(FMA((floatv)(x[i * c + row]), weights, VLOAD(to)), to);
        }
    }
}

kernel void fc_stream_finish(global const float *partial, global float *y, int n, int k, int width,
                             int parts, ulong by_vectors) {
    uint id = get_global_id(0);
    int i = divide(id, by_vectors);
    if (i >= n) return;
    int at = (id - i * (width / VEC)) * VEC;
    if (at >= k) return;
    floatv sum = VLOAD(partial + i * width + at);
    for (int part = 1; part < parts; part++) sum += VLOAD(partial + (part * n + i) * width + at);
    store_until(sum, y, i * k + at, i * k + k);
}

float add_lanes(floatv v) {
    float lane[VEC];
    VSTORE(v, lane);
    for (int step = VEC / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) lane[i] += lane[i + step];
    return lane[0];
}

/* Rows beyond the last one are those of the last one again, and not stored. */
kernel void fc_stream_bwd_data(global const float *dy, global const float *w, global float *dx, int n,
                               int c, int k) {
    int first = get_global_id(0) * ROWS;
    if (first >= c) return;
    global const float *from[ROWS];
    for (int r = 0; r < ROWS; r++) from[r] = w + min(first + r, c - 1) * k;
    for (int first_n = 0; first_n < n; first_n += IMAGES) {
        int images = min(IMAGES, n - first_n);
        floatv sums[IMAGES * ROWS];
        for (int i = 0; i < images * ROWS; i++) sums[i] = (floatv)(0.0f);
        for (int first_k = 0; first_k < k; first_k += COLUMNS) {
            int last_k = min(first_k + COLUMNS, k);
            for (int i = 0; i < images; i++) {
                floatv *sum = sums + i * ROWS;
                floatv a0 = sum[0], a1 = sum[1], a2 = sum[2], a3 = sum[3];
                floatv a4 = sum[4], a5 = sum[5], a6 = sum[6], a7 = sum[7];
                global const float *row = dy + (first_n + i) * k;
                int at = first_k;
                for (; at + VEC <= last_k; at += VEC) {
                    floatv d = VLOAD(row + at);
                    a0 = FMA(d, VLOAD(from[0] + at), a0);
                    a1 = FMA(d, VLOAD(from[1] + at), a1);
                    a2 = FMA(d, VLOAD(from[2] + at), a2);
                    a3 = FMA(d, VLOAD(from[3] + at), a3);
                    a4 = FMA(d, VLOAD(from[4] + at), a4);
                    a5 = FMA(d, VLOAD(from[5] + at), a5);
                    a6 = FMA(d, VLOAD(from[6] + at), a6);
                    a7 = FMA(d, VLOAD(from[7] + at), a7);
                }
                sum[0] = a0, sum[1] = a1, sum[2] = a2, sum[3] = a3;
                sum[4] = a4, sum[5] = a5, sum[6] = a6, sum[7] = a7;
                if (at == last_k) continue;
                floatv d = load_until(row, at, k);
                for (int r = 0; r < ROWS; r++) sum[r] = FMA(d, load_until(from[r], at, k), sum[r]);
            }
        }
        for (int i = 0; i < images; i++)
            for (int r = 0; r < min(ROWS, c - first); r++)
                dx[(first_n + i) * c + first + r] = add_lanes(sums[i * ROWS + r]);
    }
}

/* Rows of count floats to panels [panel][row][width], zeros where there is no column. */
void copy_to_panel(global const float *from, global float *to, int n, int count, int panel, int width) {
    int first = panel * width;
    to += panel * n * width;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < width; j++)
            to[i * width + j] = first + j < count ? from[i * count + first + j] : 0.0f;
}

/* One work-item a panel: those of dy first, then those of x. */
kernel void fc_stream_panels(global const float *x, global const float *dy, global float *panels, int n,
                             int c, int k) {
    int id = get_global_id(0), of_dy = (k + PANEL - 1) / PANEL, of_x = (c + TILE - 1) / TILE;
    if (id < of_dy) copy_to_panel(dy, panels, n, k, id, PANEL);
    else if (id < of_dy + of_x) copy_to_panel(x, panels + of_dy * n * PANEL, n, c, id - of_dy, TILE);
}

/* TILE rows of dw, in PANEL columns. */
void weights_tile(global const float *x, global const float *dy, global float *dw, int n, int k, int rows,
                  int columns, bool past_caches) {
    floatv sum[TILE][PANEL / VEC];
#pragma unroll
    for (int r = 0; r < TILE; r++)
#pragma unroll
        for (int v = 0; v < PANEL / VEC; v++) sum[r][v] = (floatv)(0.0f);
#pragma unroll 4
    for (int i = 0; i < n; i++, x += TILE, dy += PANEL) {
        floatv d[PANEL / VEC];
#pragma unroll
        for (int v = 0; v < PANEL / VEC; v++) d[v] = VLOAD(dy + v * VEC);
#pragma unroll
        for (int r = 0; r < TILE; r++)
#pragma unroll
            for (int v = 0; v < PANEL / VEC; v++) sum[r][v] = FMA((floatv)(x[r]), d[v], sum[r][v]);
    }
    if (rows == TILE && columns == PANEL && past_caches) {
#pragma unroll
        for (int r = 0; r < TILE; r++)
#pragma unroll
            for (int v = 0; v < PANEL / VEC; v++) STREAM(sum[r][v], dw + r * k + v * VEC);
        return;
    }
    /* Not unrolled, from a copy: sum stays in registers until here. */
    floatv part[TILE * (PANEL / VEC)];
#pragma unroll
    for (int r = 0; r < TILE; r++)
#pragma unroll
        for (int v = 0; v < PANEL / VEC; v++) part[r * (PANEL / VEC) + v] = sum[r][v];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v * VEC < columns; v++)
            store_until(part[r * (PANEL / VEC) + v], dw, r * k + v * VEC, r * k + columns);
}

/* A work-item makes rows rows of dw, a multiple of TILE. */
kernel void fc_stream_bwd_weights(global const float *panels, global float *dw, int n, int c, int k,
                                  int rows, int stream) {
    int first = get_global_id(0) * rows, last = min(first + rows, c);
    int of_dy = (k + PANEL - 1) / PANEL;
    global const float *x = panels + of_dy * n * PANEL;
    bool past_caches = stream && k % VEC == 0 && ((size_t)dw & (4 * VEC - 1)) == 0;
    for (int p = 0; p < of_dy; p++)
        for (int at = first; at < last; at += TILE)
            weights_tile(x + at * n, panels + p * n * PANEL, dw + at * k + p * PANEL, n, k,
                         min(TILE, last - at), min(PANEL, k - p * PANEL), past_caches);
}
