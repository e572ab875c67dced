/* Copies between strided operands: transpose, slice, split, concat, expand, tile; and padding. Elements of any type of BYTES bytes.

     nd_copy              y[walk] = x[walk]   operand 0: x, operand 1: y (nd_walk.clh)
     nd_fill              y[i] = value
     nd_pad               y[c] = x[c - before] inside x; outside a constant, x's edge, or x mirrored at its edge
     nd_transpose_block   y[.., j, .., i] = x[.., i, .., j] for 4 bytes, 16 x 16 in registers (CPUs)
     nd_transpose_tile    the same through local memory (GPUs)

   A transpose: i is y's innermost dimension, j is x's, and reads and writes are both of neighbours. The other dimensions are outer.

     x, 16 rows i of 16 j       four times: zip rows k and k + 8       y, 16 rows j of 16 i
     | a0 a1 ... |  ---->       turns register and lane numbers,       | a0 b0 ... |
     | b0 b1 ... |              8 bits together, by one bit            | a1 b1 ... |

     BYTES   bytes of an element                                 1, 4, 8
     VEC     elements that are moved at once                     see vector.clh
     ACROSS, ALONG   blocks of a work-item in nd_transpose_block, along i and j   at least 1
     TILE    edge of the square of nd_transpose_tile, and of its work-group   8, 16 */
#include "common.clh"
#define ND_OPERANDS 2
#include "nd_walk.clh"

#ifndef BYTES
#define BYTES 4
#endif
#ifndef ACROSS
#define ACROSS 4
#endif
#ifndef ALONG
#define ALONG 4
#endif
#ifndef TILE
#define TILE 16
#endif
#if TILE != 8 && TILE != 16
#error TILE must be 8 or 16
#endif

#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)
#if BYTES == 1
#define WORD uchar
#elif BYTES == 4
#define WORD uint
#elif BYTES == 8
#define WORD ulong
#else
#error BYTES must be 1, 4 or 8
#endif
typedef WORD word;
#if VEC == 1
typedef WORD wordv;
#else
typedef CONCAT(WORD, VEC) wordv;
#endif

#if defined(__clang__) && VEC > 1
typedef wordv word_unaligned __attribute__((aligned(BYTES)));
#define LOAD_WORDS(p)     (*(global const word_unaligned *)(p))
#define STORE_WORDS(v, p) (*(global word_unaligned *)(p) = (v))
#else
#define LOAD_WORDS(p)     VLOAD(p)
#define STORE_WORDS(v, p) VSTORE(v, p)
#endif

/* x and y do not overlap: the last vector may copy again what the one before it did. */
void copy_run(global const word *x, global word *y, int n) {
    int i = 0;
    for (; i <= n - VEC; i += VEC) STORE_WORDS(LOAD_WORDS(x + i), y + i);
    if (n >= VEC && i < n) STORE_WORDS(LOAD_WORDS(x + n - VEC), y + n - VEC);
    if (n < VEC)
        for (; i < n; i++) y[i] = x[i];
}

void fill_run(word value, global word *y, int n) {
    int i = 0;
    for (; i <= n - VEC; i += VEC) STORE_WORDS((wordv)(value), y + i);
    for (; i < n; i++) y[i] = value;
}

kernel void nd_copy(constant struct nd_walk *w, global const word *x, global word *y) {
    const int x_step = w->step[0], y_step = w->step[1];
    struct nd_place p = nd_start(w);
    while (p.first < p.last) {
        const int n = nd_run(w, &p);
        global const word *px = x + nd_at(w, &p, 0);
        global word *py = y + nd_at(w, &p, 1);
        if (y_step == 1 && x_step == 1)
            copy_run(px, py, n);
        else if (y_step == 1 && x_step == 0)
            fill_run(*px, py, n);
        else
            for (int i = 0; i < n; i++) py[i * y_step] = px[i * x_step];
        nd_next(w, &p, n);
    }
}

kernel void nd_fill(word value, global word *y, int count, int chunk) {
    const uint first = get_global_id(0) * chunk;
    if (first < count) fill_run(value, y + first, min(chunk, count - (int)first));
}

/* The same struct as in ops/nd/nd_pad.c. Dimension 8 is the walk's inner one. The walk is of y, without operands. */
struct nd_padding {
    int mode;                        /* 0 constant, 1 edge, 2 reflect */
    int before[9], size[9], stride[9]; /* of x along the dimension */
};

/* x's coordinate for y's c: itself inside x, else by the mode. */
int pad_source(constant struct nd_padding *pad, int d, int c) {
    const int size = pad->size[d];
    int at = c - pad->before[d];
    if (at >= 0 && at < size) return at;
    if (pad->mode < 2) return at < 0 ? 0 : size - 1;
    const int period = 2 * (size - 1);
    if (period == 0) return 0;
    at %= period;
    if (at < 0) at += period;
    return at < size ? at : period - at;
}

kernel void nd_pad(constant struct nd_walk *w, constant struct nd_padding *pad, word value,
                   global const word *x, global word *y) {
    struct nd_place p = nd_start(w);
    while (p.first < p.last) {
        const int n = nd_run(w, &p), low = pad->before[8], high = low + pad->size[8];
        int row = 0, inside = 1;
        for (int d = 0; d < w->rank; d++) {
            const int at = p.at[d] - pad->before[d];
            inside &= (at >= 0) & (at < pad->size[d]);
            row += pad_source(pad, d, p.at[d]) * pad->stride[d];
        }
        /* The run is p.i ... a: before x, a ... b: x, b ... end: behind. */
        const int end = p.i + n;
        int a = clamp(low, p.i, end), b = clamp(high, a, end);
        global word *py = y + p.first - p.i;
        if (pad->mode == 0) {
            if (!inside) a = b = end;
            fill_run(value, py + p.i, a - p.i);
            fill_run(value, py + b, end - b);
        } else {
            for (int i = p.i; i < a; i++) py[i] = x[row + pad_source(pad, 8, i)];
            for (int i = b; i < end; i++) py[i] = x[row + pad_source(pad, 8, i)];
        }
        copy_run(x + row + a - low, py + a, b - a);
        nd_next(w, &p, n);
    }
}

/* The same struct as in ops/nd/nd_copy.c. */
struct nd_transpose {
    ulong by_columns, by_rows, by_dim[8]; /* divisors: blocks along i, strips along j, outer dimensions */
    int dims[8], x_stride[8], y_stride[8];
    int rank;
    int i_count, j_count;
    int x_row, y_row; /* distance of neighbours along i in x, along j in y */
    int columns, rows, items;
    int x_start, y_start;
};

/* Where block number id begins. */
struct block {
    int i, j, x, y;
};

struct block block_number(constant struct nd_transpose *t, uint id, int i_edge, int j_edge) {
    struct block block;
    uint rest = divide(id, t->by_rows);
    block.j = (id - rest * t->rows) * j_edge;
    uint outer = divide(rest, t->by_columns);
    block.i = (rest - outer * t->columns) * i_edge;
    block.x = t->x_start + block.i * t->x_row + block.j;
    block.y = t->y_start + block.j * t->y_row + block.i;
    for (int d = t->rank - 1; d >= 0; d--) {
        uint next = divide(outer, t->by_dim[d]);
        int at = outer - next * t->dims[d];
        block.x += at * t->x_stride[d];
        block.y += at * t->y_stride[d];
        outer = next;
    }
    return block;
}

#if BYTES == 4
#ifdef __clang__
typedef uint16 uint16_unaligned __attribute__((aligned(4)));
#define LOAD16(p)     (*(global const uint16_unaligned *)(p))
#define STORE16(v, p) (*(global uint16_unaligned *)(p) = (v))
#else
#define LOAD16(p)     vload16(0, p)
#define STORE16(v, p) vstore16(v, 0, p)
#endif

uint16 zip_low(uint16 a, uint16 b) {
    return (uint16)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6,
                    b.s6, a.s7, b.s7);
}

uint16 zip_high(uint16 a, uint16 b) {
    return (uint16)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se,
                    b.se, a.sf, b.sf);
}

/* x at [i, j], y at [j, i]. */
void transpose_16(global const uint *x, int x_row, global uint *y, int y_row) {
    uint16 a[16], b[16];
#pragma unroll
    for (int k = 0; k < 16; k++) a[k] = LOAD16(x + k * x_row);
#pragma unroll
    for (int turn = 0; turn < 2; turn++) {
#pragma unroll
        for (int k = 0; k < 8; k++) {
            b[2 * k] = zip_low(a[k], a[k + 8]);
            b[2 * k + 1] = zip_high(a[k], a[k + 8]);
        }
#pragma unroll
        for (int k = 0; k < 8; k++) {
            a[2 * k] = zip_low(b[k], b[k + 8]);
            a[2 * k + 1] = zip_high(b[k], b[k + 8]);
        }
    }
#pragma unroll
    for (int k = 0; k < 16; k++) STORE16(a[k], y + k * y_row);
}

/* The same with fewer rows or columns. */
void transpose_part(global const uint *x, int x_row, global uint *y, int y_row, int rows,
                    int columns) {
    for (int j = 0; j < columns; j++)
        for (int i = 0; i < rows; i++) y[j * y_row + i] = x[i * x_row + j];
}

kernel void nd_transpose_block(constant struct nd_transpose *t, global const uint *x,
                               global uint *y) {
    const uint id = get_global_id(0);
    if (id >= t->items) return;
    const struct block block = block_number(t, id, 16 * ACROSS, 16 * ALONG);
    const int x_row = t->x_row, y_row = t->y_row;
    const int across = min(16 * ACROSS, t->i_count - block.i);
    const int along = min(16 * ALONG, t->j_count - block.j);
    x += block.x;
    y += block.y;
    for (int j = 0; j < along; j += 16)
        for (int i = 0; i < across; i += 16) {
            global const uint *px = x + i * x_row + j;
            global uint *py = y + j * y_row + i;
            if (across - i >= 16 && along - j >= 16)
                transpose_16(px, x_row, py, y_row);
            else
                transpose_part(px, x_row, py, y_row, min(16, across - i), min(16, along - j));
        }
}
#endif

kernel void nd_transpose_tile(constant struct nd_transpose *t, global const word *x,
                              global word *y) {
    local word tile[TILE][TILE + 1];
    const int u = get_local_id(0), v = get_local_id(1);
    const struct block block = block_number(t, get_group_id(0), TILE, TILE);
    if (block.i + v < t->i_count && block.j + u < t->j_count)
        tile[v][u] = x[block.x + v * t->x_row + u];
    barrier(CLK_LOCAL_MEM_FENCE);
    if (block.i + u < t->i_count && block.j + v < t->j_count)
        y[block.y + v * t->y_row + u] = tile[u][v];
}
