/* Who multiplies the matrices of a fully connected layer's passes: CLBlast, our convolution engine on images of one
   pixel, or kernels of their own that stream the weights. fc.c checks arguments and chooses; a backend only prepares and enqueues. */
#ifndef TESSERA_OPS_FC_BACKEND_H
#define TESSERA_OPS_FC_BACKEND_H

#include "core/context.h"

enum fc_pass { FC_FORWARD, FC_BACKWARD_DATA, FC_BACKWARD_WEIGHTS, FC_PASSES };

extern const char *const fc_pass_names[FC_PASSES]; /* "forward", ... */

/* What a pass works on. forward: x, w, bias -> y; backward-data: y holds dy, w -> x; backward-weights: x, y -> w. */
struct fc_operands {
    const tess_tensor *x, *w, *y, *bias;
    const tess_tensor *workspace;
    uint64_t weights_version; /* see tess_conv_args */
};

struct fc_backend {
    const char *name; /* "clblast", "conv", "stream" */
    bool epilogue;    /* whether run does bias and activation */
    /* Compiles everything that run needs; blocking. *state belongs to the caller until destroy. */
    tess_status (*create)(tess_context *ctx, const tess_fc_desc *desc, enum fc_pass pass,
                          void **state);
    size_t (*workspace)(const void *state);   /* bytes */
    const char *(*config)(const void *state); /* for people and the tuning database */
    tess_status (*run)(void *state, const struct fc_operands *operands); /* enqueues */
    void (*destroy)(void *state);                                        /* takes NULL */
};

extern const struct fc_backend fc_clblast, fc_conv, fc_stream;

#endif
