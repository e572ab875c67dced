/* Binary element-wise operators with broadcasting:

     nd_binary_fwd   y = op(a, b)
     nd_binary_bwd   g = dy * d op(a, b) / da   (side 0)  or  / db   (side 1), of y's size; the host adds it up over the
                     dimensions that were broadcast

   op: enum nd_binary_kind of ops/nd/nd.h. y and g are dense; a and b are walked (nd_walk.clh), with step 1 or 0:

     a   | a0 a1 a2 ... |        b, step 0   | b0 b0 b0 ... |        y   | y0 y1 y2 ... |

   Max and Min give NaN where an operand is NaN, and share the gradient where operands are equal.
   y may be a or b where that has y's shape: an element is read before it is written, by the same work-item.

     VEC   see vector.clh
     OP    an operator fixed at compile time: Pow has a program of its own, because it is long; the others share one */
#include "common.clh"
#define ND_OPERANDS 2
#include "nd_walk.clh"

#define ND_ADD   0
#define ND_SUB   1
#define ND_MUL   2
#define ND_DIV   3
#define ND_MAX   4
#define ND_MIN   5
#define ND_PRELU 6
#define ND_POW   7

#ifdef OP
#if OP != ND_POW
#error OP must be 7, for Pow, or not given
#endif
#define APPLY(N, FLOATN)                                                                           \
    FLOATN apply##N(int op, FLOATN a, FLOATN b) { return pow(a, b); }                              \
    FLOATN slope##N(int op, int side, FLOATN a, FLOATN b) {                                        \
        if (side == 0) return b * pow(a, b - 1.0f);                                                \
        return a == 0.0f && b >= 0.0f ? (FLOATN)(0.0f) : pow(a, b) * log(a);                       \
    }
#else
#define APPLY(N, FLOATN)                                                                           \
    FLOATN apply##N(int op, FLOATN a, FLOATN b) {                                                  \
        switch (op) {                                                                              \
        case ND_ADD: return a + b;                                                                 \
        case ND_SUB: return a - b;                                                                 \
        case ND_MUL: return a * b;                                                                 \
        case ND_DIV: return a / b;                                                                 \
        case ND_MAX: return ((a >= b) | (a != a)) ? a : b;                                         \
        case ND_MIN: return ((a <= b) | (a != a)) ? a : b;                                         \
        default: return a < 0.0f ? a * b : a;                                                      \
        }                                                                                          \
    }                                                                                              \
    FLOATN slope##N(int op, int side, FLOATN a, FLOATN b) {                                        \
        const FLOATN zero = 0.0f, one = 1.0f;                                                      \
        FLOATN first, second;                                                                      \
        switch (op) {                                                                              \
        case ND_ADD: return one;                                                                   \
        case ND_SUB: return side == 0 ? one : -one;                                                \
        case ND_MUL: return side == 0 ? b : a;                                                     \
        case ND_DIV: return side == 0 ? one / b : -a / (b * b);                                    \
        case ND_MAX: first = side == 0 ? a : b; second = side == 0 ? b : a; break;                 \
        case ND_MIN: first = side == 0 ? b : a; second = side == 0 ? a : b; break;                 \
        default: return side == 0 ? (a > 0.0f ? one : b) : (a > 0.0f ? zero : a);                  \
        }                                                                                          \
        return first > second ? one : first == second ? (FLOATN)(0.5f) : zero;                     \
    }
#endif

APPLY(1, float)
#if VEC == 1
#define applyv apply1
#define slopev slope1
#else
APPLY(v, floatv)
#endif

kernel void nd_binary_fwd(constant struct nd_walk *w, int op, global const float *a,
                          global const float *b, global float *y) {
    const int a_step = w->step[0], b_step = w->step[1];
    struct nd_place p = nd_start(w);
    while (p.first < p.last) {
        const int n = nd_run(w, &p);
        global const float *pa = a + nd_at(w, &p, 0), *pb = b + nd_at(w, &p, 1);
        global float *py = y + p.first;
        int i = 0;
        for (; i <= n - VEC; i += VEC) {
            const floatv va = a_step ? ND_LOAD(pa + i) : (floatv)(*pa);
            const floatv vb = b_step ? ND_LOAD(pb + i) : (floatv)(*pb);
            ND_STORE(applyv(op, va, vb), py + i);
        }
        for (; i < n; i++) py[i] = apply1(op, pa[i * a_step], pb[i * b_step]);
        nd_next(w, &p, n);
    }
}

kernel void nd_binary_bwd(constant struct nd_walk *w, int op, int side, global const float *a,
                          global const float *b, global const float *dy, global float *g) {
    const int a_step = w->step[0], b_step = w->step[1];
    struct nd_place p = nd_start(w);
    while (p.first < p.last) {
        const int n = nd_run(w, &p);
        global const float *pa = a + nd_at(w, &p, 0), *pb = b + nd_at(w, &p, 1);
        global const float *pdy = dy + p.first;
        global float *pg = g + p.first;
        int i = 0;
        for (; i <= n - VEC; i += VEC) {
            const floatv va = a_step ? ND_LOAD(pa + i) : (floatv)(*pa);
            const floatv vb = b_step ? ND_LOAD(pb + i) : (floatv)(*pb);
            ND_STORE(ND_LOAD(pdy + i) * slopev(op, side, va, vb), pg + i);
        }
        for (; i < n; i++) pg[i] = pdy[i] * slope1(op, side, pa[i * a_step], pb[i * b_step]);
        nd_next(w, &p, n);
    }
}
