/* A file a kind of layer: its building function, shape, parameters and words, and its instructions, forward and backward. The tables
   in layer.c, lower.c and backward.c name them. This header has what these files offer, and what they take from the others. */
#ifndef TESSERA_NET_LAYERS_H
#define TESSERA_NET_LAYERS_H

#include "net/net.h"
#include "ops/nd/nd.h"

/* ---- what they take: layers.c */

/* A layer's output as its memory has it: N H W C. */
struct nd_shape nhwc_shape(const tess_net *net, int layer);
/* NULL for NULL. */
cl_mem memory_or_null(const tess_tensor *tensor);

/* Slots of a layer's i-th parameter; the layer that is its i-th input. */
int param_value(const struct lowering *lo, int layer, int i);
int param_grad(const struct lowering *lo, int layer, int i);
int input_layer(const struct lowering *lo, int index, int i);

/* The only instruction of a layer with one input: from OP_X to OP_Y, and from OP_DY to OP_DX. */
typedef tess_status instruction_run(const tess_net *net, const struct instruction *in);
tess_status plain_forward(struct lowering *lo, int index, instruction_run *run,
                          size_t workspace_bytes);
tess_status plain_backward(struct lowering *lo, int index, instruction_run *run,
                           size_t workspace_bytes);

/* Of these kinds. */
void layer_ops_destroy(struct layer_ops *ops);

/* ---- instructions.c */

/* Training steps change values, loading and initialisation the parameter's view of it. Both versions only grow, so their sum
   changes when either does. */
uint64_t weights_version(const tess_net *net, const struct instruction *in);

/* ---- backward.c */

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

/* ---- the others, as their files are called */

tess_status conv_transpose_shape(const struct tess_graph *graph, struct layer *layer,
                                 tess_error *error);
int conv_transpose_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]);
double conv_transpose_flops(const struct layer *layer);
void conv_transpose_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
tess_status conv_transpose_forward(struct lowering *lo, int index);
tess_status conv_transpose_backward(struct lowering *lo, int index);

tess_status upsample_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error);
double upsample_flops(const struct layer *layer);
void upsample_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
tess_status upsample_forward(struct lowering *lo, int index);
tess_status upsample_backward(struct lowering *lo, int index);

tess_status pad_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error);
void pad_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
tess_status pad_forward(struct lowering *lo, int index);
tess_status pad_backward(struct lowering *lo, int index);

int prelu_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]);
void prelu_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
tess_status prelu_forward(struct lowering *lo, int index);
tess_status prelu_backward(struct lowering *lo, int index);

tess_status binary_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error);
void binary_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
tess_status binary_forward(struct lowering *lo, int index);
tess_status binary_backward(struct lowering *lo, int index);

tess_status reduce_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error);
void reduce_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
tess_status reduce_forward(struct lowering *lo, int index);
tess_status reduce_backward(struct lowering *lo, int index);

tess_status reshape_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error);
void reshape_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
tess_status reshape_forward(struct lowering *lo, int index);
tess_status reshape_backward(struct lowering *lo, int index);

tess_status transpose_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error);
void transpose_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]);
tess_status transpose_forward(struct lowering *lo, int index);
tess_status transpose_backward(struct lowering *lo, int index);

#endif
