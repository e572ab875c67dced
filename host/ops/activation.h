/* How many activations there are, and an activation's parameter, ready for a kernel. */
#ifndef TESSERA_OPS_ACTIVATION_H
#define TESSERA_OPS_ACTIVATION_H

#include "tessera.h"

#define ACTIVATION_COUNT (TESS_ACT_HARD_SIGMOID + 1)

/* What kernels call it: "leaky_relu". kind is valid. */
const char *activation_name(tess_activation kind);

/* act.alpha, or, where that is 0, the activation's default: 0.01 for leaky ReLU, 1 for ELU, 6 for clipped ReLU. */
static inline float activation_alpha(tess_act act) {
    if (act.alpha != 0.0f) return act.alpha;
    if (act.kind == TESS_ACT_LEAKY_RELU) return 0.01f;
    return act.kind == TESS_ACT_CLIPPED_RELU ? 6.0f : 1.0f;
}

#endif
