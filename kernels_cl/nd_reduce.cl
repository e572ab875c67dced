/* Reductions over any set of dimensions:  y[kept] = finish(combine over the reduced dimensions of map(x[kept, reduced]))

     nd_reduce_rows      the innermost dimension is reduced: a work-item reads runs of neighbours
     nd_reduce_columns   it is kept: a work-item has up to ACROSS * VEC neighbouring results
     nd_reduce_bwd       dx = scale * dy, broadcast back: the gradient of a sum or mean

   The host (ops/nd/nd_reduce_core.c) collapses dimensions into kept and reduced ones. The reduced ones are `rows` runs of `run` elements,
   run_stride apart, and where the results are few they are cut into segments, each with partial results of its own:

     segment 0, 0 | segment 0, 1 | ...       row_segments x run_segments       partial[segment][output]
     segment 1, 0 | segment 1, 1 | ...

   which a second launch of nd_reduce_columns combines. The cuts depend on the shape and the kind of device alone, so results repeat.

   Max and Min give NaN where an element is NaN.

     VEC       see vector.clh
     ACROSS    vectors side by side of one work-item in nd_reduce_columns   4 on CPUs, so that whole cache lines are used; 1 on GPUs
     COMBINE   0 sum, 1 max, 2 min, 3 product */
#include "common.clh"
#define ND_OPERANDS 1
#include "nd_walk.clh"

#ifndef ACROSS
#define ACROSS 4
#endif
#ifndef COMBINE
#define COMBINE 0
#endif
#if COMBINE < 0 || COMBINE > 3
#error COMBINE must be 0, 1, 2 or 3
#endif

#if COMBINE == 0
#define IDENTITY      0.0f
#define combine(a, b) ((a) + (b))
#elif COMBINE == 1
#define IDENTITY      (-INFINITY)
#define combine(a, b) ((((a) >= (b)) | ((a) != (a))) ? (a) : (b))
#elif COMBINE == 2
#define IDENTITY      INFINITY
#define combine(a, b) ((((a) <= (b)) | ((a) != (a))) ? (a) : (b))
#else
#define IDENTITY      1.0f
#define combine(a, b) ((a) * (b))
#endif

/* enum nd_map and enum nd_finish of ops/nd/nd_reduce_core.h */
#define map(v, kind) ((kind) == 0 ? (v) : (kind) == 1 ? fabs(v) : (v) * (v))

/* The lanes of a vector, combined in a fixed order. */
float fold(floatv v) {
#if VEC == 1
    return v;
#else
#if VEC == 16
    const float8 of8 = combine(v.lo, v.hi);
    const float4 of4 = combine(of8.lo, of8.hi);
#elif VEC == 8
    const float4 of4 = combine(v.lo, v.hi);
#else
    const float4 of4 = v;
#endif
    const float2 of2 = combine(of4.lo, of4.hi);
    return combine(of2.lo, of2.hi);
#endif
}

float finish(float v, int kind, float scale) {
    return kind == 0 ? v * scale : kind == 1 ? sqrt(v) : log(v);
}

/* The same struct as in ops/nd/nd_reduce_core.h. */
struct nd_reduction {
    ulong by_kept[8], by_row[8], by_segments, by_run_segments, by_columns, by_groups; /* divisors */
    int kept[8], kept_stride[8]; /* outer kept dimensions, slowest first, and x's strides */
    int row[8], row_stride[8];   /* reduced dimensions but the innermost */
    int kept_rank, row_rank;
    int inner;                   /* columns: kept elements side by side; rows: 1 */
    int groups;                  /* columns: work-items across inner */
    int columns;                 /* outer kept elements times groups */
    int rows, run, run_stride;
    int outputs, items;
    int segments, run_segments;
    int rows_each;               /* of a segment */
    int run_start, run_length, run_step; /* segment s has run_start * s, + run_step ..., within run_length */
};

struct part {
    int segment, first_row, last_row, first, last;
};

struct part part_of(constant struct nd_reduction *r, int segment) {
    struct part part;
    int row_segment = divide(segment, r->by_run_segments);
    part.segment = segment;
    part.first_row = row_segment * r->rows_each;
    part.last_row = min(part.first_row + r->rows_each, r->rows);
    part.first = (segment - row_segment * r->run_segments) * r->run_start;
    part.last = part.first + min(r->run_length, r->run - part.first);
    return part;
}

int offset_of(uint index, int rank, constant ulong *by, constant int *dims, constant int *stride) {
    int offset = 0;
    for (int d = rank - 1; d >= 0; d--) {
        uint outer = divide(index, by[d]);
        offset += (int)(index - outer * dims[d]) * stride[d];
        index = outer;
    }
    return offset;
}

int row_offset(constant struct nd_reduction *r, int row) {
    return offset_of(row, r->row_rank, r->by_row, r->row, r->row_stride);
}

kernel void nd_reduce_rows(constant struct nd_reduction *r, int map_kind, int finish_kind,
                           float scale, global const float *x, int x_start, global float *y,
                           int y_start) {
    uint id = get_global_id(0);
    if (id >= r->items) return;
    const int output = divide(id, r->by_segments);
    const struct part part = part_of(r, id - output * r->segments);
    x += x_start + offset_of(output, r->kept_rank, r->by_kept, r->kept, r->kept_stride);
    const int step = r->run_step, last = part.last;
    floatv sum = IDENTITY;
    float rest = IDENTITY;
    for (int row = part.first_row; row < part.last_row; row++) {
        global const float *px = x + row_offset(r, row);
        int i = part.first;
        for (; i <= last - VEC; i += step) {
            const floatv v = ND_LOAD(px + i);
            sum = combine(sum, map(v, map_kind));
        }
        for (; i < last; i++) rest = combine(rest, map(px[i], map_kind));
    }
    if (last - part.first >= VEC) {
        const float whole = fold(sum);
        rest = combine(whole, rest);
    }
    y[y_start + part.segment * r->outputs + output] = finish(rest, finish_kind, scale);
}

/* One vector of results, x at its first. */
void reduce_vector(constant struct nd_reduction *r, const struct part *part, int map_kind,
                   int finish_kind, float scale, global const float *x, global float *y) {
    const int step = r->run_stride;
    floatv sum = IDENTITY;
    for (int row = part->first_row; row < part->last_row; row++) {
        global const float *px = x + row_offset(r, row);
        for (int i = part->first; i < part->last; i++) {
            const floatv v = ND_LOAD(px + i * step);
            sum = combine(sum, map(v, map_kind));
        }
    }
    float lane[VEC];
    VSTORE(sum, lane);
    for (int i = 0; i < VEC; i++) y[i] = finish(lane[i], finish_kind, scale);
}

void reduce_scalar(constant struct nd_reduction *r, const struct part *part, int map_kind,
                   int finish_kind, float scale, global const float *x, global float *y) {
    const int step = r->run_stride;
    float sum = IDENTITY;
    for (int row = part->first_row; row < part->last_row; row++) {
        global const float *px = x + row_offset(r, row);
        for (int i = part->first; i < part->last; i++)
            sum = combine(sum, map(px[i * step], map_kind));
    }
    *y = finish(sum, finish_kind, scale);
}

#if ACROSS > 1
/* ACROSS vectors of results. */
void reduce_across(constant struct nd_reduction *r, const struct part *part, int map_kind,
                   int finish_kind, float scale, global const float *x, global float *y) {
    const int step = r->run_stride;
    floatv sum[ACROSS];
    for (int j = 0; j < ACROSS; j++) sum[j] = IDENTITY;
    for (int row = part->first_row; row < part->last_row; row++) {
        global const float *px = x + row_offset(r, row);
        for (int i = part->first; i < part->last; i++)
#pragma unroll
            for (int j = 0; j < ACROSS; j++) {
                const floatv v = ND_LOAD(px + i * step + j * VEC);
                sum[j] = combine(sum[j], map(v, map_kind));
            }
    }
    for (int j = 0; j < ACROSS; j++) {
        float lane[VEC];
        VSTORE(sum[j], lane);
        for (int i = 0; i < VEC; i++) y[j * VEC + i] = finish(lane[i], finish_kind, scale);
    }
}
#endif

kernel void nd_reduce_columns(constant struct nd_reduction *r, int map_kind, int finish_kind,
                              float scale, global const float *x, int x_start, global float *y,
                              int y_start) {
    uint id = get_global_id(0);
    if (id >= r->items) return;
    const uint segment = divide(id, r->by_columns), column = id - segment * r->columns;
    const uint outer = divide(column, r->by_groups);
    const struct part part = part_of(r, segment);
    int k = (column - outer * r->groups) * (ACROSS * VEC);
    const int end = min(k + ACROSS * VEC, r->inner);
    x += x_start + offset_of(outer, r->kept_rank, r->by_kept, r->kept, r->kept_stride);
    y += y_start + part.segment * r->outputs + (int)outer * r->inner;
#if ACROSS > 1
    if (end - k == ACROSS * VEC) {
        reduce_across(r, &part, map_kind, finish_kind, scale, x + k, y + k);
        return;
    }
#endif
    for (; k <= end - VEC; k += VEC)
        reduce_vector(r, &part, map_kind, finish_kind, scale, x + k, y + k);
    for (; k < end; k++)
        reduce_scalar(r, &part, map_kind, finish_kind, scale, x + k, y + k);
}

kernel void nd_reduce_bwd(constant struct nd_walk *w, float scale, global const float *dy,
                          global float *dx) {
    const int step = w->step[0];
    struct nd_place p = nd_start(w);
    while (p.first < p.last) {
        const int n = nd_run(w, &p);
        global const float *pdy = dy + nd_at(w, &p, 0);
        global float *pdx = dx + p.first;
        int i = 0;
        for (; i <= n - VEC; i += VEC)
            ND_STORE((step ? ND_LOAD(pdy + i) : (floatv)(*pdy)) * scale, pdx + i);
        for (; i < n; i++) pdx[i] = pdy[i * step] * scale;
        nd_next(w, &p, n);
    }
}
