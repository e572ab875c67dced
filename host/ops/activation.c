#include "ops/activation.h"

const char *activation_name(tess_activation kind) {
    static const char *const names[ACTIVATION_COUNT] = {"none",         "relu",    "leaky_relu",
                                                        "elu",          "sigmoid", "tanh",
                                                        "clipped_relu", "selu",    "hard_sigmoid"};
    return names[kind];
}
