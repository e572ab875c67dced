/* Elements chosen by other elements:

     nd_gather_fwd   y[o, q, i] = x[o, index[q], i]; index counts from the end if negative; 0 if it is outside
     nd_gather_bwd   dx[o, a, i] = sum of dy[o, q, i] over the q with index[q] = a, in the order of q (floats)
     nd_arg          y[o, i] = the a with the largest or smallest x[o, a, i]: the first or the last of them; a NaN wins
     nd_where        y = condition ? a : b, broadcast (nd_walk.clh: operand 0 the condition, 1 a, 2 b)
     nd_compare      y = a op b as a byte of 0 or 1, broadcast; op: enum nd_compare_kind of ops/nd/nd.h

     | i i i i i |  a = 0       x and dx have `size` such rows for each o, y and dy one for each q; a work-item of
     | i i i i i |  a = 1       nd_gather_fwd has `chunk` neighbours of y, of nd_gather_bwd VEC neighbours of dx

     BYTES   bytes of an element   1, 4, 8
     INDEX   bytes of an index     4, 8
     VEC     see vector.clh */
#include "common.clh"
#define ND_OPERANDS 3
#include "nd_walk.clh"

#ifndef BYTES
#define BYTES 4
#endif
#ifndef INDEX
#define INDEX 8
#endif
#if BYTES == 1
typedef uchar word;
#elif BYTES == 4
typedef uint word;
#elif BYTES == 8
typedef ulong word;
#else
#error BYTES must be 1, 4 or 8
#endif
#if INDEX == 4
typedef int index_type;
#elif INDEX == 8
typedef long index_type;
#else
#error INDEX must be 4 or 8
#endif

/* Between 0 and size - 1, or -1. */
int place_of(index_type index, int size) {
    const index_type from_start = index < 0 ? index + size : index;
    return from_start >= 0 && from_start < size ? (int)from_start : -1;
}

kernel void nd_gather_fwd(global const word *x, global const index_type *index, global word *y,
                          int count, int chunk, int size, int picks, int inner, ulong by_picks,
                          ulong by_inner) {
    const uint begin = get_global_id(0) * chunk;
    if (begin >= count) return;
    const int last = begin + min(chunk, count - (int)begin);
    for (int first = begin; first < last;) {
        const int row = divide(first, by_inner), i = first - row * inner;
        const int outer = divide(row, by_picks), n = min(inner - i, last - first);
        const int at = place_of(index[row - outer * picks], size);
        global const word *px = x + (outer * size + max(at, 0)) * inner + i;
        for (int j = 0; j < n; j++) y[first + j] = at < 0 ? 0 : px[j];
        first += n;
    }
}

kernel void nd_gather_bwd(global const float *dy, global const index_type *index,
                          global float *dx, int items, int columns, int size, int picks, int inner,
                          ulong by_columns, ulong by_size) {
    const uint id = get_global_id(0);
    if (id >= items) return;
    const int row = divide(id, by_columns), outer = divide(row, by_size);
    const int at = row - outer * size, i = (id - row * columns) * VEC, n = min(VEC, inner - i);
    dy += outer * picks * inner + i;
    dx += row * inner + i;
    floatv sum = 0.0f;
    float part[VEC];
    for (int j = 0; j < VEC; j++) part[j] = 0.0f;
    for (int q = 0; q < picks; q++) {
        if (place_of(index[q], size) != at) continue;
        if (n == VEC)
            sum += ND_LOAD(dy + q * inner);
        else
            for (int j = 0; j < n; j++) part[j] += dy[q * inner + j];
    }
    if (n == VEC)
        ND_STORE(sum, dx);
    else
        for (int j = 0; j < n; j++) dx[j] = part[j];
}

/* sign: 1 for the largest, -1 for the smallest. */
kernel void nd_arg(global const float *x, global long *y, int count, int size, int inner,
                   ulong by_inner, float sign, int last) {
    const uint id = get_global_id(0);
    if (id >= count) return;
    const int outer = divide(id, by_inner);
    x += outer * size * inner + (id - outer * inner);
    float best = sign * x[0];
    int at = 0;
    for (int a = 1; a < size; a++) {
        const float v = sign * x[a * inner];
        const int better = v > best || (v != v && best == best);
        const int equal = v == best || (v != v && best != best);
        if (better || (last && equal)) {
            best = v;
            at = a;
        }
    }
    y[id] = at;
}

kernel void nd_where(constant struct nd_walk *w, global const uchar *condition,
                     global const word *a, global const word *b, global word *y) {
    const int c_step = w->step[0], a_step = w->step[1], b_step = w->step[2];
    struct nd_place p = nd_start(w);
    while (p.first < p.last) {
        const int n = nd_run(w, &p);
        global const uchar *pc = condition + nd_at(w, &p, 0);
        global const word *pa = a + nd_at(w, &p, 1), *pb = b + nd_at(w, &p, 2);
        global word *py = y + p.first;
        for (int i = 0; i < n; i++) py[i] = pc[i * c_step] ? pa[i * a_step] : pb[i * b_step];
        nd_next(w, &p, n);
    }
}

kernel void nd_compare(constant struct nd_walk *w, int op, global const float *a,
                       global const float *b, global uchar *y) {
    const int a_step = w->step[0], b_step = w->step[1];
    struct nd_place p = nd_start(w);
    while (p.first < p.last) {
        const int n = nd_run(w, &p);
        global const float *pa = a + nd_at(w, &p, 0), *pb = b + nd_at(w, &p, 1);
        global uchar *py = y + p.first;
        for (int i = 0; i < n; i++) {
            const float u = pa[i * a_step], v = pb[i * b_step];
            py[i] = op == 0 ? u == v : op == 1 ? u < v : op == 2 ? u > v : op == 3 ? u <= v : u >= v;
        }
        nd_next(w, &p, n);
    }
}
