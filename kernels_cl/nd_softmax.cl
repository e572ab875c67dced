/* Softmax and log-softmax along one dimension of outer x size x inner elements, and their gradients. With m, s the maximum and the sum
   of exp(x - m) along it:

     nd_softmax_fwd   y = exp(x - m) / s             LOG: y = x - m - log(s)
     nd_softmax_bwd   dx = y (dy - sum(y dy))        LOG: dx = dy - exp(y) sum(dy)

   Subtracting the maximum makes every exponent <= 0 and s >= 1. A NaN makes s, and with it everything along the dimension, NaN.

     INNER 1   size neighbours, one after the other      a work-item has one of them, as vectors along it
     INNER 0   size elements, inner apart                a work-item has VEC neighbours, or the last few of a row one by one

     | s s s s s ... |                   | v v v v | v v v v | ...      v: a work-item
     | s s s s s ... |                   | v v v v | v v v v | ...
       INNER 1                             INNER 0: down the columns

   y may be x, and dx may be dy or y: an element is read before it is written, by the same work-item.

     VEC     see vector.clh
     LOG     1: log-softmax
     INNER   1: the dimension is the innermost; 0: it is not */
#include "common.clh"
#define ND_OPERANDS 1
#include "nd_walk.clh"

#ifndef LOG
#define LOG 0
#endif
#ifndef INNER
#define INNER 1
#endif

/* What is written for x, given m and 1 / s or log(s). */
#if LOG
#define SHARE(s)              log(s)
#define RESULT(x, m, share)   ((x) - (m) - (share))
#define TERM(y, dy)           (dy)
#define GRADIENT(y, dy, sum)  ((dy) - exp(y) * (sum))
#else
#define SHARE(s)              (1.0f / (s))
#define RESULT(x, m, share)   (exp((x) - (m)) * (share))
#define TERM(y, dy)           ((y) * (dy))
#define GRADIENT(y, dy, sum)  ((y) * ((dy) - (sum)))
#endif

#if INNER
/* The lanes of a vector, added or compared in a fixed order. */
float sum_lanes(floatv v) {
    float lane[VEC], sum = 0.0f;
    VSTORE(v, lane);
    for (int i = 0; i < VEC; i++) sum += lane[i];
    return sum;
}

float largest_lane(floatv v) {
    float lane[VEC], largest = -INFINITY;
    VSTORE(v, lane);
    for (int i = 0; i < VEC; i++) largest = fmax(largest, lane[i]);
    return largest;
}

kernel void nd_softmax_fwd(global const float *x, global float *y, int outer, int size, int inner,
                           int columns, ulong by_columns) {
    const int row = get_global_id(0);
    if (row >= outer) return;
    x += row * size;
    y += row * size;
    floatv most = -INFINITY, sums = 0.0f;
    int i = 0;
    for (; i <= size - VEC; i += VEC) most = fmax(most, ND_LOAD(x + i));
    float m = largest_lane(most);
    for (; i < size; i++) m = fmax(m, x[i]);
    float s = 0.0f;
    for (i = 0; i <= size - VEC; i += VEC) sums += exp(ND_LOAD(x + i) - m);
    for (; i < size; i++) s += exp(x[i] - m);
    const float share = SHARE(s + sum_lanes(sums));
    for (i = 0; i <= size - VEC; i += VEC) ND_STORE(RESULT(ND_LOAD(x + i), m, share), y + i);
    for (; i < size; i++) y[i] = RESULT(x[i], m, share);
}

kernel void nd_softmax_bwd(global const float *y, global const float *dy, global float *dx,
                           int outer, int size, int inner, int columns, ulong by_columns) {
    const int row = get_global_id(0);
    if (row >= outer) return;
    y += row * size;
    dy += row * size;
    dx += row * size;
    floatv sums = 0.0f;
    float sum = 0.0f;
    int i = 0;
    for (; i <= size - VEC; i += VEC) sums += TERM(ND_LOAD(y + i), ND_LOAD(dy + i));
    for (; i < size; i++) sum += TERM(y[i], dy[i]);
    sum += sum_lanes(sums);
    for (i = 0; i <= size - VEC; i += VEC)
        ND_STORE(GRADIENT(ND_LOAD(y + i), ND_LOAD(dy + i), sum), dx + i);
    for (; i < size; i++) dx[i] = GRADIENT(y[i], dy[i], sum);
}
#else
#define DEFINE(N, FLOATN, LOAD, STORE)                                                             \
    void forward##N(global const float *x, global float *y, int size, int inner) {                 \
        FLOATN m = -INFINITY, s = 0.0f;                                                            \
        for (int i = 0; i < size; i++) m = fmax(m, LOAD(x + i * inner));                           \
        for (int i = 0; i < size; i++) s += exp(LOAD(x + i * inner) - m);                          \
        const FLOATN share = SHARE(s);                                                             \
        for (int i = 0; i < size; i++)                                                             \
            STORE(RESULT(LOAD(x + i * inner), m, share), y + i * inner);                           \
    }                                                                                              \
    void backward##N(global const float *y, global const float *dy, global float *dx, int size,    \
                     int inner) {                                                                  \
        FLOATN sum = 0.0f;                                                                         \
        for (int i = 0; i < size; i++) sum += TERM(LOAD(y + i * inner), LOAD(dy + i * inner));     \
        for (int i = 0; i < size; i++)                                                             \
            STORE(GRADIENT(LOAD(y + i * inner), LOAD(dy + i * inner), sum), dx + i * inner);       \
    }

#define LOAD1(p)     (*(p))
#define STORE1(v, p) (*(p) = (v))
DEFINE(1, float, LOAD1, STORE1)
#if VEC > 1
DEFINE(v, floatv, ND_LOAD, ND_STORE)
#else
#define forwardv  forward1
#define backwardv backward1
#endif

kernel void nd_softmax_fwd(global const float *x, global float *y, int outer, int size, int inner,
                           int columns, ulong by_columns) {
    const uint id = get_global_id(0), row = divide(id, by_columns);
    if (row >= outer) return;
    int c = (id - row * columns) * VEC;
    const int end = min(c + VEC, inner), base = row * size * inner;
    if (end - c == VEC)
        forwardv(x + base + c, y + base + c, size, inner);
    else
        for (; c < end; c++) forward1(x + base + c, y + base + c, size, inner);
}

kernel void nd_softmax_bwd(global const float *y, global const float *dy, global float *dx,
                           int outer, int size, int inner, int columns, ulong by_columns) {
    const uint id = get_global_id(0), row = divide(id, by_columns);
    if (row >= outer) return;
    int c = (id - row * columns) * VEC;
    const int end = min(c + VEC, inner), base = row * size * inner;
    if (end - c == VEC)
        backwardv(y + base + c, dy + base + c, dx + base + c, size, inner);
    else
        for (; c < end; c++) backward1(y + base + c, dy + base + c, dx + base + c, size, inner);
}
#endif
