/* Unary element-wise operators:

     nd_unary_fwd   y[i] = op(x[i])
     nd_unary_bwd   dx[i] = dy[i] op'(.), from s[i], which is x[i] or y[i], as the operator wants (nd_unary_needs_y on the host)

   op: enum nd_unary_kind of ops/nd/nd.h. A work-item has `chunk` neighbours of the flat array:

     | 0 ... VEC-1 | VEC ... 2 VEC-1 | ... | the last ones, one by one | chunk ...

   y may be x, and dx may be dy: an element is read before it is written, by the same work-item. A NaN stays a NaN.
   Sigmoid and Softplus take exp of numbers <= 0 only, so nothing overflows.

     VEC   see vector.clh
     OP    an operator fixed at compile time: those that need a library function have a program each; the others share one */
#include "common.clh"
#define ND_OPERANDS 1
#include "nd_walk.clh"

#define ND_RELU         0
#define ND_LEAKY_RELU   1
#define ND_CLIP         2
#define ND_HARD_SIGMOID 3
#define ND_HARD_SWISH   4
#define ND_SQRT         5
#define ND_NEG          6
#define ND_ABS          7
#define ND_RECIPROCAL   8
#define ND_SOFTSIGN     9
#define ND_IDENTITY     10
#define ND_FLOOR        11
#define ND_CEIL         12
#define ND_ELU          13
#define ND_SELU         14
#define ND_SIGMOID      15
#define ND_TANH         16
#define ND_EXP          17
#define ND_LOG          18
#define ND_SOFTPLUS     19
#define ND_ERF          20

/* FORWARD(FLOATN, x) and BACKWARD(FLOATN, s): expressions in alpha and beta. */
#ifndef OP
#define OP -1
#elif OP == ND_ELU
#define FORWARD(FLOATN, x)  (x > 0.0f ? x : alpha * expm1(x))
#define BACKWARD(FLOATN, x) (x > 0.0f ? (FLOATN)(1.0f) : alpha * exp(x))
#elif OP == ND_SELU
#define FORWARD(FLOATN, x)  (beta * (x > 0.0f ? x : alpha * expm1(x)))
#define BACKWARD(FLOATN, x) (beta * (x > 0.0f ? (FLOATN)(1.0f) : alpha * exp(x)))
#elif OP == ND_SIGMOID
#define FORWARD(FLOATN, x)  ((x < 0.0f ? exp(-fabs(x)) : (FLOATN)(1.0f)) / (1.0f + exp(-fabs(x))))
#define BACKWARD(FLOATN, y) (y * (1.0f - y))
#elif OP == ND_TANH
#define FORWARD(FLOATN, x)  tanh(x)
#define BACKWARD(FLOATN, y) (1.0f - y * y)
#elif OP == ND_EXP
#define FORWARD(FLOATN, x)  exp(x)
#define BACKWARD(FLOATN, y) y
#elif OP == ND_LOG
#define FORWARD(FLOATN, x)  log(x)
#define BACKWARD(FLOATN, x) (1.0f / x)
#elif OP == ND_SOFTPLUS
#define FORWARD(FLOATN, x)  ((x > 0.0f ? x : (FLOATN)(0.0f)) + log1p(exp(-fabs(x))))
#define BACKWARD(FLOATN, x) ((x < 0.0f ? exp(-fabs(x)) : (FLOATN)(1.0f)) / (1.0f + exp(-fabs(x))))
#elif OP == ND_ERF
#define FORWARD(FLOATN, x)  erf(x)
#define BACKWARD(FLOATN, x) (1.12837917f * exp(-x * x)) /* 2 / sqrt(pi) */
#else
#error OP must be 13 to 20, or not given
#endif

#if OP >= 0
#define DEFINE(N, FLOATN)                                                                          \
    FLOATN forward##N(int op, FLOATN x, float alpha, float beta) { return FORWARD(FLOATN, x); }    \
    FLOATN slope##N(int op, FLOATN x, float alpha, float beta) { return BACKWARD(FLOATN, x); }
#else
#define DEFINE(N, FLOATN)                                                                          \
    FLOATN limit##N(FLOATN x, float low, float high) {                                             \
        x = x < low ? (FLOATN)(low) : x;                                                           \
        return x > high ? (FLOATN)(high) : x;                                                      \
    }                                                                                              \
    FLOATN forward##N(int op, FLOATN x, float alpha, float beta) {                                 \
        switch (op) {                                                                              \
        case ND_RELU: return x <= 0.0f ? (FLOATN)(0.0f) : x;                                       \
        case ND_LEAKY_RELU: return x < 0.0f ? alpha * x : x;                                       \
        case ND_CLIP: return limit##N(x, alpha, beta);                                             \
        case ND_HARD_SIGMOID: return limit##N(alpha * x + beta, 0.0f, 1.0f);                       \
        case ND_HARD_SWISH: return x * limit##N(x / 6.0f + 0.5f, 0.0f, 1.0f);                      \
        case ND_SQRT: return sqrt(x);                                                              \
        case ND_NEG: return -x;                                                                    \
        case ND_ABS: return fabs(x);                                                               \
        case ND_RECIPROCAL: return 1.0f / x;                                                       \
        case ND_SOFTSIGN: return x / (1.0f + fabs(x));                                             \
        case ND_FLOOR: return floor(x);                                                            \
        case ND_CEIL: return ceil(x);                                                              \
        default: return x;                                                                         \
        }                                                                                          \
    }                                                                                              \
    FLOATN slope##N(int op, FLOATN s, float alpha, float beta) {                                   \
        const FLOATN zero = 0.0f, one = 1.0f;                                                      \
        FLOATN t;                                                                                  \
        switch (op) {                                                                              \
        case ND_RELU: return s > 0.0f ? one : zero;                                                \
        case ND_LEAKY_RELU: return s > 0.0f ? one : (FLOATN)(alpha);                               \
        case ND_CLIP: return ((s >= alpha) & (s <= beta)) ? one : zero;                            \
        case ND_HARD_SIGMOID:                                                                      \
            t = alpha * s + beta;                                                                  \
            return ((t > 0.0f) & (t < 1.0f)) ? (FLOATN)(alpha) : zero;                             \
        case ND_HARD_SWISH:                                                                        \
            return s <= -3.0f ? zero : s >= 3.0f ? one : s / 3.0f + 0.5f;                          \
        case ND_SQRT: return 0.5f / s;                                                             \
        case ND_NEG: return -one;                                                                  \
        case ND_ABS: return s > 0.0f ? one : s < 0.0f ? -one : zero;                               \
        case ND_RECIPROCAL: return -s * s;                                                         \
        case ND_SOFTSIGN:                                                                          \
            t = 1.0f + fabs(s);                                                                    \
            return one / (t * t);                                                                  \
        default: return one;                                                                       \
        }                                                                                          \
    }
#endif

DEFINE(1, float)
#if VEC == 1
#define forwardv forward1
#define slopev   slope1
#else
DEFINE(v, floatv)
#endif

kernel void nd_unary_fwd(int op, global const float *x, global float *y, int count, int chunk,
                         float alpha, float beta) {
    const uint first = get_global_id(0) * chunk;
    if (first >= count) return;
    const int last = first + min(chunk, count - (int)first);
    int i = first;
    for (; i <= last - VEC; i += VEC)
        ND_STORE(forwardv(op, ND_LOAD(x + i), alpha, beta), y + i);
    for (; i < last; i++) y[i] = forward1(op, x[i], alpha, beta);
}

kernel void nd_unary_bwd(int op, global const float *s, global const float *dy, global float *dx,
                         int count, int chunk, float alpha, float beta) {
    const uint first = get_global_id(0) * chunk;
    if (first >= count) return;
    const int last = first + min(chunk, count - (int)first);
    int i = first;
    for (; i <= last - VEC; i += VEC)
        ND_STORE(ND_LOAD(dy + i) * slopev(op, ND_LOAD(s + i), alpha, beta), dx + i);
    for (; i < last; i++) dx[i] = dy[i] * slope1(op, s[i], alpha, beta);
}
