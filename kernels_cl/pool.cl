/* Pooling over windows of R x S, forward and backward. d x e is the dilation.

     pool_max_fwd           y[n,p,q,c] = max of x[n, p u - pt + r d, q v - pl + s e, c] over r, s inside x,
                            positions[n,p,q,c] = h W + w of the first such maximum; a NaN counts as the maximum
     pool_avg_fwd           y = scale[c] * sum of x / divisor + bias[c]; scale, bias may be null
     pool_max_bwd           dx[n,h,w,c] = sum of dy[n,p,q,c] over the windows whose position is (h, w)
     pool_avg_bwd           dx[n,h,w,c] = scale[c] * sum of dy[n,p,q,c] / divisor over the windows around (h, w)
     pool_weighted_product  product = dy * sum of x / divisor, whose column sums are dscale

   The divisor is the number of the window's elements inside x, with count_pad inside x and its padding.
   Backward gathers: each element of dx is written once, by adding its windows in the order of p, q.

   Layout of x, dx (N H W C) and y, dy, positions (N P Q C), and what one work-item does:

        one row of pixels            | pixel 0     | pixel 1     | pixel 2     |
        channels                     | c c c c c c | c c c c c c | c c c c c c |
        a run: pixels x channels     |<-- along * across, VEC elements at a time -->|

   Either VEC divides C, and a run has any number of pixels and a multiple of VEC channels. Or it does not, and a
   run has all channels: the lanes of a vector beyond the last channel then fall on the next pixel, which the same
   work-item overwrites next, or, at the run's end, are not stored. So small C, such as 6, is as vectorised as large C.

   Where no stride is smaller than its window (CELLS), an element of x is in one window at most. Then backward goes through y, and
   writes the cells around its windows: the pixels from one window's first to the next one's.

     VEC     see vector.clh
     WHOLE   1: VEC divides C; 0: it need not
     CELLS   1: backward by cells; 0: it gathers
     DILATED 1: windows have holes: d or e is above 1; not with CELLS. 0: d and e are 1 */
#include "common.clh"
#include "fastdiv.clh"
#include "lanes.clh"
#include "vector.clh"

#ifndef WHOLE
#define WHOLE 0
#endif
#ifndef CELLS
#define CELLS 0
#endif

#ifndef DILATED
#define DILATED 0
#endif
#if DILATED && CELLS
#error "pool.cl: windows with holes are gathered; DILATED 1 needs CELLS 0"
#endif

#if DILATED
#define STEP_H(g) ((g)->dilation_h)
#define STEP_W(g) ((g)->dilation_w)
#else
#define STEP_H(g) 1
#define STEP_W(g) 1
#endif
/* The rows and columns from a window's first to its last, holes included. */
#define EXTENT_H(g) (((g)->r - 1) * STEP_H(g) + 1)
#define EXTENT_W(g) (((g)->s - 1) * STEP_W(g) + 1)

/* Loads and stores that stop at an end, where a vector may reach beyond it. */
#if WHOLE
#define LOAD(x, at, end)     VLOAD((x) + (at))
#define LOAD_INT(x, at, end) VLOAD((x) + (at))
#define STORE_INT(v, y, at, end) VSTORE(v, (y) + (at))
#if VEC == 16
#define STORE(v, y, at, end) store_global(v, 0, (y) + (at))
#else
#define STORE(v, y, at, end) VSTORE(v, (y) + (at))
#endif
#else
#define LOAD(x, at, end)         load_until(x, at, end)
#define LOAD_INT(x, at, end)     load_int_until(x, at, end)
#define STORE(v, y, at, end)     store_until(v, y, at, end)
#define STORE_INT(v, y, at, end) store_int_until(v, y, at, end)
#endif

/* How a tensor of rows x pixels x C is cut into runs. */
struct pool_runs {
    int items;               /* runs in all */
    int along, across;       /* pixels and channels of a run */
    int segments_across;     /* runs side by side along the channels */
    int segments_along;      /* and along a row */
    int rows;                /* rows of an image */
    ulong by_segments_across, by_segments_along, by_rows; /* divisors */
};

struct pool_shape {
    struct pool_runs out, in; /* of y, and of x */
    ulong by_stride_h, by_stride_w;
    int n, c, h, w, p, q;
    int r, s, stride_h, stride_w;
    int pad_top, pad_bottom, pad_left, pad_right;
    int dilation_h, dilation_w;
    int count_pad;
    int unused;
};

/* One run: image n, one row, pixels [first, last), channels [c_first, c_last). */
struct run {
    int n, row, first, last, c_first, c_last;
};

struct run run_number(uint id, constant struct pool_runs *runs, int width, int channels) {
    struct run run;
    uint along = divide(id, runs->by_segments_across);
    uint row = divide(along, runs->by_segments_along);
    run.n = divide(row, runs->by_rows);
    run.row = row - run.n * runs->rows;
    run.first = (along - row * runs->segments_along) * runs->along;
    run.last = min(run.first + runs->along, width);
    run.c_first = (id - along * runs->segments_across) * runs->across;
    run.c_last = min(run.c_first + runs->across, channels);
    return run;
}

/* What a window or a set of windows spans in one dimension: [first, last). */
struct span {
    int first, last;
};

/* The part of window p that lies inside 0 .. size - 1: every step-th from first on. */
struct span window_span(int p, int stride, int pad, int extent, int size, int step) {
    struct span span;
    int start = p * stride - pad;
    span.first = start >= 0 ? start : start + (step - 1 - start) / step * step;
    span.last = min(start + extent, size);
    return span;
}

struct span window_rows(constant struct pool_shape *g, int p) {
    return window_span(p, g->stride_h, g->pad_top, EXTENT_H(g), g->h, STEP_H(g));
}

struct span window_columns(constant struct pool_shape *g, int q) {
    return window_span(q, g->stride_w, g->pad_left, EXTENT_W(g), g->w, STEP_W(g));
}

/* The windows whose extent contains element h; h may be in one of their holes. */
struct span windows_around(int h, ulong by_stride, int pad, int extent, int count) {
    struct span span;
    int at = h + pad;
    span.first = at < extent ? 0 : divide(at - extent, by_stride) + 1;
    span.last = min((int)divide(at, by_stride) + 1, count);
    return span;
}

float divisor_1d(struct span span, int start, int extent, int padded, int step, int count_pad) {
    int length = count_pad ? min(start + extent, padded) - start : span.last - span.first;
    return (float)((length + step - 1) / step);
}

float divisor_h(constant struct pool_shape *g, int p) {
    return divisor_1d(window_rows(g, p), p * g->stride_h - g->pad_top, EXTENT_H(g), g->h + g->pad_bottom,
                      STEP_H(g), g->count_pad);
}

float divisor_w(constant struct pool_shape *g, int q) {
    return divisor_1d(window_columns(g, q), q * g->stride_w - g->pad_left, EXTENT_W(g), g->w + g->pad_right,
                      STEP_W(g), g->count_pad);
}

/* Sum of x over rows and columns, VEC channels from base (image and channel) on. */
floatv window_sum(constant struct pool_shape *g, global const float *x, int base, struct span rows,
                  struct span columns) {
    int total = g->n * g->h * g->w * g->c;
    floatv sum = (floatv)(0.0f);
    for (int h = rows.first; h < rows.last; h += STEP_H(g))
        for (int w = columns.first; w < columns.last; w += STEP_W(g))
            sum += LOAD(x, base + (h * g->w + w) * g->c, total);
    return sum;
}

/* The maximum of x over rows and columns, from base on; at: its position, if with_positions. */
static inline floatv window_max(constant struct pool_shape *g, global const float *x, int base,
                         struct span rows, struct span columns, bool with_positions, intv *at) {
    int total = g->n * g->h * g->w * g->c;
    int first = rows.first * g->w + columns.first;
    floatv best = LOAD(x, base + first * g->c, total);
    if (with_positions) *at = (intv)(first);
    for (int h = rows.first; h < rows.last; h += STEP_H(g))
        for (int w = columns.first; w < columns.last; w += STEP_W(g)) {
            int k = h * g->w + w;
            floatv value = LOAD(x, base + k * g->c, total);
            /* True for a larger value and for the first NaN. */
            intv take = best == best && !(value <= best);
            best = take ? value : best;
            if (with_positions) *at = take ? (intv)(k) : *at;
        }
    return best;
}

kernel void pool_max_fwd(constant struct pool_shape *g, global const float *x, global float *y,
                         global int *positions) {
    uint id = get_global_id(0);
    if (id >= g->out.items) return;
    struct run run = run_number(id, &g->out, g->q, g->c);
    int row = (run.n * g->p + run.row) * g->q;
    int end = (row + run.last) * g->c;
    struct span rows = window_rows(g, run.row);
    for (int q = run.first; q < run.last; q++) {
        struct span columns = window_columns(g, q);
        for (int c = run.c_first; c < run.c_last; c += VEC) {
            int base = run.n * g->h * g->w * g->c + c, to = (row + q) * g->c + c;
            intv at;
            if (!positions) {
                STORE(window_max(g, x, base, rows, columns, false, &at), y, to, end);
                continue;
            }
            STORE(window_max(g, x, base, rows, columns, true, &at), y, to, end);
            STORE_INT(at, positions, to, end);
        }
    }
}

kernel void pool_avg_fwd(constant struct pool_shape *g, global const float *x,
                         global const float *scale, global const float *bias, global float *y) {
    uint id = get_global_id(0);
    if (id >= g->out.items) return;
    struct run run = run_number(id, &g->out, g->q, g->c);
    int row = (run.n * g->p + run.row) * g->q;
    int end = (row + run.last) * g->c;
    struct span rows = window_rows(g, run.row);
    for (int q = run.first; q < run.last; q++) {
        struct span columns = window_columns(g, q);
        float divisor = divisor_h(g, run.row) * divisor_w(g, q);
        for (int c = run.c_first; c < run.c_last; c += VEC) {
            int base = run.n * g->h * g->w * g->c + c;
            floatv mean = window_sum(g, x, base, rows, columns) / divisor;
            if (scale) mean = LOAD(scale, c, g->c) * mean + LOAD(bias, c, g->c);
            STORE(mean, y, (row + q) * g->c + c, end);
        }
    }
}

kernel void pool_weighted_product(constant struct pool_shape *g, global const float *x,
                                  global const float *dy, global float *product) {
    uint id = get_global_id(0);
    if (id >= g->out.items) return;
    struct run run = run_number(id, &g->out, g->q, g->c);
    int total = g->n * g->p * g->q * g->c;
    int row = (run.n * g->p + run.row) * g->q;
    int end = (row + run.last) * g->c;
    struct span rows = window_rows(g, run.row);
    for (int q = run.first; q < run.last; q++) {
        struct span columns = window_columns(g, q);
        float divisor = divisor_h(g, run.row) * divisor_w(g, q);
        for (int c = run.c_first; c < run.c_last; c += VEC) {
            int base = run.n * g->h * g->w * g->c + c;
            int at = (row + q) * g->c + c;
            floatv mean = window_sum(g, x, base, rows, columns) / divisor;
            STORE(LOAD(dy, at, total) * mean, product, at, end);
        }
    }
}

#if CELLS
/* The pixels from window p's first, or from 0, to the next window's first, or to size. */
struct span cell(int p, int stride, int pad, int count, int size) {
    struct span span;
    span.first = p == 0 ? 0 : p * stride - pad;
    span.last = p == count - 1 ? size : (p + 1) * stride - pad;
    return span;
}

/* A work-item writes the cells of a run of y, row after row. */
kernel void pool_max_bwd(constant struct pool_shape *g, global const float *dy,
                         global const int *positions, global float *dx) {
    uint id = get_global_id(0);
    if (id >= g->out.items) return;
    struct run run = run_number(id, &g->out, g->q, g->c);
    int total = g->n * g->p * g->q * g->c, row = (run.n * g->p + run.row) * g->q;
    struct span rows = cell(run.row, g->stride_h, g->pad_top, g->p, g->h);
    int stop = cell(run.last - 1, g->stride_w, g->pad_left, g->q, g->w).last;
    for (int h = rows.first; h < rows.last; h++) {
        int to = (run.n * g->h + h) * g->w, end = (to + stop) * g->c;
        for (int q = run.first; q < run.last; q++) {
            struct span columns = cell(q, g->stride_w, g->pad_left, g->q, g->w);
            for (int w = columns.first; w < columns.last; w++)
                for (int c = run.c_first; c < run.c_last; c += VEC) {
                    int from = (row + q) * g->c + c;
                    intv mine = LOAD_INT(positions, from, total) == h * g->w + w;
                    floatv value = mine ? LOAD(dy, from, total) : (floatv)(0.0f);
                    STORE(value, dx, (to + w) * g->c + c, end);
                }
        }
    }
}

kernel void pool_avg_bwd(constant struct pool_shape *g, global const float *dy,
                         global const float *scale, global float *dx) {
    uint id = get_global_id(0);
    if (id >= g->out.items) return;
    struct run run = run_number(id, &g->out, g->q, g->c);
    int total = g->n * g->p * g->q * g->c, row = (run.n * g->p + run.row) * g->q;
    struct span rows = cell(run.row, g->stride_h, g->pad_top, g->p, g->h);
    struct span inside_h = window_rows(g, run.row);
    int stop = cell(run.last - 1, g->stride_w, g->pad_left, g->q, g->w).last;
    for (int h = rows.first; h < rows.last; h++) {
        int to = (run.n * g->h + h) * g->w, end = (to + stop) * g->c;
        for (int q = run.first; q < run.last; q++) {
            struct span columns = cell(q, g->stride_w, g->pad_left, g->q, g->w);
            struct span inside_w = window_columns(g, q);
            float divisor = divisor_h(g, run.row) * divisor_w(g, q);
            for (int w = columns.first; w < columns.last; w++) {
                bool inside = h >= inside_h.first && h < inside_h.last && w >= inside_w.first && w < inside_w.last;
                float share = inside ? 1.0f / divisor : 0.0f;
                for (int c = run.c_first; c < run.c_last; c += VEC) {
                    floatv value = LOAD(dy, (row + q) * g->c + c, total) * share;
                    if (scale) value *= LOAD(scale, c, g->c);
                    STORE(value, dx, (to + w) * g->c + c, end);
                }
            }
        }
    }
}
#else
/* Whether element h is between two of a window that begins at start, not after h. */
bool in_hole(int h, int start, int step) {
    return (h - start) % step != 0;
}

kernel void pool_max_bwd(constant struct pool_shape *g, global const float *dy,
                         global const int *positions, global float *dx) {
    uint id = get_global_id(0);
    if (id >= g->in.items) return;
    struct run run = run_number(id, &g->in, g->w, g->c);
    int total = g->n * g->p * g->q * g->c;
    int row = (run.n * g->h + run.row) * g->w;
    int end = (row + run.last) * g->c;
    struct span rows = windows_around(run.row, g->by_stride_h, g->pad_top, EXTENT_H(g), g->p);
    for (int w = run.first; w < run.last; w++) {
        struct span columns = windows_around(w, g->by_stride_w, g->pad_left, EXTENT_W(g), g->q);
        for (int c = run.c_first; c < run.c_last; c += VEC) {
            floatv sum = (floatv)(0.0f);
            for (int p = rows.first; p < rows.last; p++)
                for (int q = columns.first; q < columns.last; q++) {
                    int at = ((run.n * g->p + p) * g->q + q) * g->c + c;
                    intv mine = LOAD_INT(positions, at, total) == run.row * g->w + w;
                    sum += mine ? LOAD(dy, at, total) : (floatv)(0.0f);
                }
            STORE(sum, dx, (row + w) * g->c + c, end);
        }
    }
}

kernel void pool_avg_bwd(constant struct pool_shape *g, global const float *dy,
                         global const float *scale, global float *dx) {
    uint id = get_global_id(0);
    if (id >= g->in.items) return;
    struct run run = run_number(id, &g->in, g->w, g->c);
    int total = g->n * g->p * g->q * g->c;
    int row = (run.n * g->h + run.row) * g->w;
    int end = (row + run.last) * g->c;
    struct span rows = windows_around(run.row, g->by_stride_h, g->pad_top, EXTENT_H(g), g->p);
    for (int w = run.first; w < run.last; w++) {
        struct span columns = windows_around(w, g->by_stride_w, g->pad_left, EXTENT_W(g), g->q);
        for (int c = run.c_first; c < run.c_last; c += VEC) {
            floatv sum = (floatv)(0.0f);
            for (int p = rows.first; p < rows.last; p++)
                for (int q = columns.first; q < columns.last; q++) {
                    int at = ((run.n * g->p + p) * g->q + q) * g->c + c;
#if DILATED
                    if (in_hole(run.row, p * g->stride_h - g->pad_top, g->dilation_h)) continue;
                    if (in_hole(w, q * g->stride_w - g->pad_left, g->dilation_w)) continue;
#endif
                    float share = 1.0f / (divisor_h(g, p) * divisor_w(g, q));
                    sum += LOAD(dy, at, total) * share;
                }
            if (scale) sum *= LOAD(scale, c, g->c);
            STORE(sum, dx, (row + w) * g->c + c, end);
        }
    }
}
#endif
