/* Maps that are sparse along each dimension, such as resizing and the gradient of padding with x's edge:

     nd_taps   y[c0, c1, ...] = sum over taps of c0, of c1, ...  weight0 weight1 ... x[index0, index1, ...]

   A dimension is plain (y's coordinate is x's) or has a table: coordinate c has the taps start[c] ... start[c + 1] - 1, each an index
   into x and a weight. Neighbouring plain dimensions are merged on the host (ops/nd/nd_taps.c).

     start  | 0 | 2 | 3 | ...          index   | 0 1 | 1 | ...
              c0  c1  c2               weight  | a b | c | ...

   A work-item has `chunk` neighbours of y. For each row of them it lists the taps of the outer dimensions, BATCH at a time, then
   adds them up along the row: as vectors if the inner dimension is plain.

     VEC     see vector.clh
     BATCH   taps of the outer dimensions that are held at once   at least 1 */
#include "common.clh"
#define ND_OPERANDS 1
#include "nd_walk.clh"

#ifndef BATCH
#define BATCH 16
#endif

/* The same struct as in ops/nd/nd_taps.c. */
struct nd_taps {
    ulong by_inner, by_dim[8];
    int dims[8], stride[8]; /* outer dimensions of y, slowest first, and x's strides */
    int table[8];           /* where a dimension's part of start begins; -1: plain */
    int rank, inner, inner_table, count, chunk, unused;
};

/* The taps of the outer dimensions at one row. */
struct row {
    int base;                /* of the plain dimensions */
    int first[8], end[8], at[8];
    int done;
};

struct row row_of(constant struct nd_taps *w, uint number, global const int *start) {
    struct row row;
    row.base = row.done = 0;
    for (int d = w->rank - 1; d >= 0; d--) {
        uint outer = divide(number, w->by_dim[d]);
        int c = number - outer * w->dims[d];
        number = outer;
        if (w->table[d] < 0) {
            row.base += c * w->stride[d];
            continue;
        }
        row.first[d] = row.at[d] = start[w->table[d] + c];
        row.end[d] = start[w->table[d] + c + 1];
        row.done |= row.first[d] >= row.end[d];
    }
    return row;
}

void next_taps(constant struct nd_taps *w, struct row *row) {
    for (int d = w->rank - 1; d >= 0; d--) {
        if (w->table[d] < 0) continue;
        if (++row->at[d] < row->end[d]) return;
        row->at[d] = row->first[d];
    }
    row->done = 1;
}

/* y[i] for i < n: sum over the taps of x[offset + i]. */
void add_plain(const int *offset, const float *scale, int taps, int add, global const float *x,
               global float *y, int n) {
    int i = 0;
    for (; i <= n - VEC; i += VEC) {
        floatv sum = add ? ND_LOAD(y + i) : (floatv)(0.0f);
        for (int k = 0; k < taps; k++) sum = FMA((floatv)(scale[k]), ND_LOAD(x + offset[k] + i), sum);
        ND_STORE(sum, y + i);
    }
    for (; i < n; i++) {
        float sum = add ? y[i] : 0.0f;
        for (int k = 0; k < taps; k++) sum = FMA(scale[k], x[offset[k] + i], sum);
        y[i] = sum;
    }
}

/* The same with taps along the row too; start begins at the first of the n coordinates. */
void add_tapped(const int *offset, const float *scale, int taps, int add, global const int *start,
                global const int *index, global const float *weight, global const float *x,
                global float *y, int n) {
    for (int i = 0; i < n; i++) {
        const int first = start[i], end = start[i + 1];
        float sum = add ? y[i] : 0.0f;
        for (int k = 0; k < taps; k++) {
            global const float *px = x + offset[k];
            float part = 0.0f;
            for (int j = first; j < end; j++) part = FMA(weight[j], px[index[j]], part);
            sum = FMA(scale[k], part, sum);
        }
        y[i] = sum;
    }
}

kernel void nd_taps(constant struct nd_taps *w, global const int *start, global const int *index,
                    global const float *weight, global const float *x, global float *y) {
    const uint begin = get_global_id(0) * w->chunk;
    if (begin >= w->count) return;
    const int last = begin + min(w->chunk, w->count - (int)begin);
    int offset[BATCH];
    float scale[BATCH];
    for (int first = begin; first < last;) {
        const int number = divide(first, w->by_inner), i = first - number * w->inner;
        const int n = min(w->inner - i, last - first);
        struct row row = row_of(w, number, start);
        int add = 0;
        do {
            int taps = 0;
            for (; taps < BATCH && !row.done; taps++) {
                offset[taps] = row.base;
                scale[taps] = 1.0f;
                for (int d = 0; d < w->rank; d++)
                    if (w->table[d] >= 0) {
                        offset[taps] += index[row.at[d]] * w->stride[d];
                        scale[taps] *= weight[row.at[d]];
                    }
                next_taps(w, &row);
            }
            if (w->inner_table < 0)
                add_plain(offset, scale, taps, add, x + i, y + first, n);
            else
                add_tapped(offset, scale, taps, add, start + w->inner_table + i, index, weight, x,
                           y + first, n);
            add = 1;
        } while (!row.done);
        first += n;
    }
}
