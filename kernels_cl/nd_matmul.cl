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
     MT2, NT2   register tile of nd_matmul_nt
     DEPTH      rows of b that nd_matmul_nn copies to local memory at once, where its work-item has several tiles, one below the
                other: rows of b are often a power of two bytes apart, and share few sets of the cache. For CPUs, and work-groups of
                one work-item; 0: no copy, and one tile a work-item

   The last column of tiles begins earlier, so that it is whole, and stores its own columns only. */
#include "common.clh"
#define ND_OPERANDS 1
#include "nd_walk.clh"

#ifndef MT
#define MT 6
#endif
#ifndef NT
#define NT 2
#endif
#ifndef DEPTH
#define DEPTH 0
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
    int row_tiles;                          /* of a work-item in nd_matmul_nn, one below the other */
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

/* sum[i][j] += a's row i, from[i] on, times vector j of b's rows. */
#define DEFINE_MULTIPLY(name, SPACE, LOAD)                                                         \
    void name(floatv sum[MT][NT], global const float *a, const int *from, int a_k,                 \
              SPACE const float *b, int b_k, int depth) {                                          \
        for (int k = 0; k < depth; k++) {                                                          \
            floatv row[NT];                                                                        \
            _Pragma("unroll") for (int j = 0; j < NT; j++) row[j] = LOAD(b + k * b_k + j * VEC);   \
            _Pragma("unroll") for (int i = 0; i < MT; i++) {                                       \
                const floatv scalar = a[from[i] + k * a_k];                                        \
                _Pragma("unroll") for (int j = 0; j < NT; j++)                                     \
                    sum[i][j] = FMA(scalar, row[j], sum[i][j]);                                    \
            }                                                                                      \
        }                                                                                          \
    }
DEFINE_MULTIPLY(multiply, global, ND_LOAD)

/* A tile's results so far, or zeros; its columns from t->n on are its own, those before another work-item's. */
void begin_tile(constant struct nd_matmul *g, const struct tile *t, int first, int m, int go_on,
                global const float *y, floatv sum[MT][NT]) {
    const int rows = min(MT, g->m - m), whole = first == t->n;
#pragma unroll
    for (int i = 0; i < MT; i++)
#pragma unroll
        for (int j = 0; j < NT; j++) {
            const int n = first + j * VEC;
            sum[i][j] = 0.0f;
            if (!go_on || i >= rows) continue;
            global const float *py = y + (m + i) * g->n + n;
            float lane[VEC];
            for (int l = 0; l < VEC && !whole; l++) lane[l] = n + l >= t->n ? py[l] : 0.0f;
            sum[i][j] = whole ? ND_LOAD(py) : VLOAD(lane);
        }
}

void end_tile(constant struct nd_matmul *g, const struct tile *t, int first, int m, int done,
              float alpha, float beta, global const float *c, global float *y,
              floatv sum[MT][NT]) {
    const int rows = min(MT, g->m - m), whole = first == t->n, plus_c = c && done;
#pragma unroll
    for (int i = 0; i < MT; i++)
#pragma unroll
        for (int j = 0; j < NT; j++) {
            if (i >= rows) continue;
            const int n = first + j * VEC;
            const floatv v = done ? sum[i][j] * alpha : sum[i][j];
            global const float *pc = c + (m + i) * g->c_row + n * g->c_column;
            global float *py = y + (m + i) * g->n + n;
            if (whole && !plus_c)
                ND_STORE(v, py);
            else if (whole && g->c_column)
                ND_STORE(FMA((floatv)(beta), ND_LOAD(pc), v), py);
            else {
                float lane[VEC];
                VSTORE(v, lane);
                for (int l = max(0, t->n - n); l < VEC; l++)
                    py[l] = plus_c ? FMA(beta, pc[l * g->c_column], lane[l]) : lane[l];
            }
        }
}

/* Rows behind the last one read the last one, and are not stored. */
void find_rows(constant struct nd_matmul *g, int m, int from[MT]) {
#pragma unroll
    for (int i = 0; i < MT; i++) from[i] = min(m + i, g->m - 1) * g->a_row;
}

#if DEPTH > 0
#define PANEL_LOAD(p) VLOAD(p)
DEFINE_MULTIPLY(multiply_panel, local, PANEL_LOAD)

kernel void nd_matmul_nn(constant struct nd_matmul *g, global const float *a,
                         global const float *b, global const float *c, global float *y,
                         float alpha, float beta) {
    local float panel[DEPTH * NT * VEC];
    const uint id = get_global_id(0);
    if (id >= g->items) return;
    const struct tile t = tile_number(g, id, MT * g->row_tiles, NT * VEC);
    const int first = min(t.n, g->n - NT * VEC);
    const int end = min(t.m + MT * g->row_tiles, g->m), packs = end - t.m > MT;
    a += t.a;
    b += t.b + first;
    y += t.y;
    int k = 0;
    do {
        const int depth = min(DEPTH, g->k - k), done = k + depth >= g->k;
        for (int i = 0; packs && i < depth; i++)
            for (int j = 0; j < NT; j++)
                VSTORE(ND_LOAD(b + (k + i) * g->b_k + j * VEC), panel + (i * NT + j) * VEC);
        for (int m = t.m; m < end; m += MT) {
            int from[MT];
            floatv sum[MT][NT];
            find_rows(g, m, from);
            begin_tile(g, &t, first, m, k > 0, y, sum);
            if (packs)
                multiply_panel(sum, a + k * g->a_k, from, g->a_k, panel, NT * VEC, depth);
            else
                multiply(sum, a + k * g->a_k, from, g->a_k, b + k * g->b_k, g->b_k, depth);
            end_tile(g, &t, first, m, done, alpha, beta, c, y, sum);
        }
        k += depth;
    } while (k < g->k);
}
#else
kernel void nd_matmul_nn(constant struct nd_matmul *g, global const float *a,
                         global const float *b, global const float *c, global float *y,
                         float alpha, float beta) {
    const uint id = get_global_id(0);
    if (id >= g->items) return;
    const struct tile t = tile_number(g, id, MT, NT * VEC);
    const int first = min(t.n, g->n - NT * VEC);
    int from[MT];
    floatv sum[MT][NT];
    find_rows(g, t.m, from);
    begin_tile(g, &t, first, t.m, 0, y, sum);
    multiply(sum, a + t.a, from, g->a_k, b + t.b + first, g->b_k, g->k);
    end_tile(g, &t, first, t.m, 1, alpha, beta, c, y + t.y, sum);
}
#endif

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
