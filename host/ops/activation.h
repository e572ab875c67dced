/* An activation's parameter, ready for a kernel. */
#ifndef TESSERA_OPS_ACTIVATION_H
#define TESSERA_OPS_ACTIVATION_H

#include "tessera.h"

/* act.alpha, or, where that is 0, the activation's default: 0.01 for leaky ReLU, 1 for ELU. */
static inline float activation_alpha(tess_act act) {
    if (act.alpha != 0.0f) return act.alpha;
    return act.kind == TESS_ACT_LEAKY_RELU ? 0.01f : 1.0f;
}

#endif
