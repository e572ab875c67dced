/* Products of batches of matrices:  y[b] = alpha op(a[b]) op(b[b]) + beta c, broadcast over the batch and, for c, over rows and columns.

   a is M x K or, transposed, K x M; b is K x N or N x K; y is M x N, all row-major.

     nd_matmul_nn    b's rows are read as vectors: each work-item has MT rows and NT * VEC columns of y; N >= NT * VEC
     nd_matmul_nt    b is transposed and a is not: dot products along K, MT2 x NT2 of them
     nd_matmul_any   one element of y each; for what is left: both transposed

        nn    | b b b b ... |  k        nt    | b . k . . |  NT2 rows n
         a .  | y y y y ... |               a | y         |
         a .  | y y y y ... |           . k . |           |
       MT rows, NT vectors            MT2 rows

     VEC        see vector.clh
     MT, NT     register tile of nd_matmul_nn, rows and vectors
     MT2, NT2   register tile of nd_matmul_nt */
#include "common.clh"
#define ND_OPERANDS 1
#include "nd_walk.clh"

#ifndef MT
#define MT 6
#endif
#ifndef NT
#define NT 2
#endif
#ifndef MT2
#define MT2 4
#endif
#ifndef NT2
#define NT2 4
#endif

/* The same struct as in ops/nd/nd_matmul.c. */
struct nd_matmul {
    ulong by_columns, by_rows, by_batch[8]; /* divisors: tiles along N, along M, batch dimensions */
    int batch[8], a_batch[8], b_batch[8];   /* batch dimensions, slowest first, and the operands' strides */
    int rank;
    int m, n, k;
    int a_row, a_k, b_k, b_row;             /* distances: a along m and k, b along k and n */
    int c_row, c_column;                    /* of c along m and n; 0: broadcast */
    int columns, rows, items;
    int unused;
};

/* A work-item's tile: first row and column, and where the matrices of its batch begin. */
struct tile {
    int m, n, a, b, y;
};

struct tile tile_number(constant struct nd_matmul *g, uint id, int tile_m, int tile_n) {
    struct tile t;
    /* Rows first: their work-items share b's columns, which stay in a cache. */
    uint rest = divide(id, g->by_rows);
    t.m = (id - rest * g->rows) * tile_m;
    uint batch = divide(rest, g->by_columns);
    t.n = (rest - batch * g->columns) * tile_n;
    t.y = batch * g->m * g->n;
    t.a = t.b = 0;
    for (int d = g->rank - 1; d >= 0; d--) {
        uint outer = divide(batch, g->by_batch[d]);
        int at = batch - outer * g->batch[d];
        t.a += at * g->a_batch[d];
        t.b += at * g->b_batch[d];
        batch = outer;
    }
    return t;
}

/* The end of the formula, for one element. */
float finish(constant struct nd_matmul *g, float sum, float alpha, float beta,
             global const float *c, int m, int n) {
    sum *= alpha;
    return c ? FMA(beta, c[m * g->c_row + n * g->c_column], sum) : sum;
}

kernel void nd_matmul_nn(constant struct nd_matmul *g, global const float *a,
                         global const float *b, global const float *c, global float *y,
                         float alpha, float beta) {
    const uint id = get_global_id(0);
    if (id >= g->items) return;
    const struct tile t = tile_number(g, id, MT, NT * VEC);
    /* The last tile begins earlier, so that it is whole, and stores its own columns only. */
    const int first = min(t.n, g->n - NT * VEC);
    a += t.a;
    b += t.b + first;
    y += t.y;
    /* Rows behind the last one read the last one, and are not stored. */
    const int rows = min(MT, g->m - t.m), depth = g->k, a_k = g->a_k, b_k = g->b_k;
    int from[MT];
    floatv sum[MT][NT];
#pragma unroll
    for (int i = 0; i < MT; i++) {
        from[i] = (t.m + min(i, rows - 1)) * g->a_row;
#pragma unroll
        for (int j = 0; j < NT; j++) sum[i][j] = 0.0f;
    }
    for (int k = 0; k < depth; k++) {
        floatv row[NT];
#pragma unroll
        for (int j = 0; j < NT; j++) row[j] = ND_LOAD(b + k * b_k + j * VEC);
#pragma unroll
        for (int i = 0; i < MT; i++) {
            const floatv scalar = a[from[i] + k * a_k];
#pragma unroll
            for (int j = 0; j < NT; j++) sum[i][j] = FMA(scalar, row[j], sum[i][j]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NT; j++) {
            float lane[VEC];
            VSTORE(sum[i][j], lane);
            for (int l = 0; l < VEC; l++) {
                const int m = t.m + i, n = first + j * VEC + l;
                if (n >= t.n) y[m * g->n + n] = finish(g, lane[l], alpha, beta, c, m, n);
            }
        }
}

kernel void nd_matmul_nt(constant struct nd_matmul *g, global const float *a,
                         global const float *b, global const float *c, global float *y,
                         float alpha, float beta) {
    const uint id = get_global_id(0);
    if (id >= g->items) return;
    const struct tile t = tile_number(g, id, MT2, NT2);
    a += t.a;
    b += t.b;
    y += t.y;
    const int rows = min(MT2, g->m - t.m), columns = min(NT2, g->n - t.n), depth = g->k;
    int of_a[MT2], of_b[NT2];
    floatv sum[MT2][NT2];
#pragma unroll
    for (int i = 0; i < MT2; i++) of_a[i] = (t.m + min(i, rows - 1)) * g->a_row;
#pragma unroll
    for (int j = 0; j < NT2; j++) of_b[j] = (t.n + min(j, columns - 1)) * g->b_row;
#pragma unroll
    for (int i = 0; i < MT2; i++)
#pragma unroll
        for (int j = 0; j < NT2; j++) sum[i][j] = 0.0f;
    int k = 0;
    for (; k <= depth - VEC; k += VEC) {
        floatv row[NT2];
#pragma unroll
        for (int j = 0; j < NT2; j++) row[j] = ND_LOAD(b + of_b[j] + k);
#pragma unroll
        for (int i = 0; i < MT2; i++) {
            const floatv v = ND_LOAD(a + of_a[i] + k);
#pragma unroll
            for (int j = 0; j < NT2; j++) sum[i][j] = FMA(v, row[j], sum[i][j]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            float lane[VEC], total = 0.0f;
            VSTORE(sum[i][j], lane);
            for (int l = 0; l < VEC; l++) total += lane[l];
            for (int l = k; l < depth; l++) total = FMA(a[of_a[i] + l], b[of_b[j] + l], total);
            const int m = t.m + i, n = t.n + j;
            y[m * g->n + n] = finish(g, total, alpha, beta, c, m, n);
        }
}

kernel void nd_matmul_any(constant struct nd_matmul *g, global const float *a,
                          global const float *b, global const float *c, global float *y,
                          float alpha, float beta) {
    const uint id = get_global_id(0);
    if (id >= g->items) return;
    const struct tile t = tile_number(g, id, 1, 1);
    a += t.a + t.m * g->a_row;
    b += t.b + t.n * g->b_row;
    float sum = 0.0f;
    for (int k = 0; k < g->k; k++) sum = FMA(a[k * g->a_k], b[k * g->b_k], sum);
    y[t.y + t.m * g->n + t.n] = finish(g, sum, alpha, beta, c, t.m, t.n);
}
