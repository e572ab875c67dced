/* A file a kind of layer: its building function, shape, parameters and words, and its instructions, forward and backward. The tables
   in layer.c, lower.c and backward.c name them. This header has what these files offer, and what they take from the others. */
#ifndef TESSERA_NET_LAYERS_H
#define TESSERA_NET_LAYERS_H

#include "net/net.h"

/* ---- what they take: backward.c */

/* Where the gradient of a layer's input is written. */
struct sink {
    int source; /* the layer it belongs to; -1: nobody wants it */
    int slot;   /* SLOT_NONE: nobody wants it */
    bool adds;  /* slot is a share that has to be added to what is there */
};

/* input: a layer. Between the two, slot is written. */
tess_status sink_begin(struct lowering *lo, int input, struct sink *sink);
tess_status sink_end(struct lowering *lo, const struct sink *sink);

/* The gradient of a layer's output is that of its input: adds it, or hands the slot over. The slot is not to be
   used for the layer's output any more. */
tess_status hand_over(struct lowering *lo, int input, int slot);

/* From the gradient after the activation to that before it, in place. */
tess_status through_activation(struct lowering *lo, int index);

/* The gradient of parameter 1, a bias a channel, where layer index has one. */
tess_status bias_gradient(struct lowering *lo, int index);

/* ---- layer_mse.c */

tess_status mse_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error);
void mse_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
/* Every end that gives its input as it is. */
tess_status output_forward(struct lowering *lo, int index);
tess_status mse_backward(struct lowering *lo, int index);

#endif
