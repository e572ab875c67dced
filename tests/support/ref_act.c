#include "support/ref_act.h"

#include <math.h>

/* What alpha 0 means. */
static double default_alpha(tess_activation kind) {
    if (kind == TESS_ACT_LEAKY_RELU) return (double)0.01f;
    return kind == TESS_ACT_CLIPPED_RELU ? 6 : 1;
}

double ref_act(tess_act act, double x) {
    double alpha = act.alpha != 0 ? (double)act.alpha : default_alpha(act.kind);
    switch (act.kind) {
    case TESS_ACT_RELU:
        return x < 0 ? 0 : x;
    case TESS_ACT_LEAKY_RELU:
        return x < 0 ? alpha * x : x;
    case TESS_ACT_ELU:
        return x < 0 ? alpha * expm1(x) : x;
    case TESS_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case TESS_ACT_TANH:
        return tanh(x);
    case TESS_ACT_CLIPPED_RELU:
        return x < 0 ? 0 : x > alpha ? alpha : x;
    case TESS_ACT_SELU:
        return 1.0507009873554804934 * (x < 0 ? 1.6732632423543772848 * expm1(x) : x);
    case TESS_ACT_HARD_SIGMOID:
        return x < -3 ? 0 : x > 3 ? 1 : x / 6 + 0.5;
    default:
        return x;
    }
}

double ref_act_slope(tess_act act, double x) {
    const double step = 1e-7;
    return (ref_act(act, x + step) - ref_act(act, x - step)) / (2 * step);
}
