/* What nodes ask for, whichever operator set says it: attributes that became inputs, defaults that changed, axes that count from the end.
   For those who lower a folded model; onnx_window.h does the same for convolution and pooling.

   All take a node of folded->nodes, whose inputs' shapes are known. Numbers that stand in an input must be constants there
   (onnx_value_inputs says which inputs of the model that concerns), else TESS_UNSUPPORTED with the node's name. */
#ifndef TESSERA_ONNX_PARAMS_H
#define TESSERA_ONNX_PARAMS_H

#include "net/onnx/onnx_fold.h"

struct onnx_at {
    const struct onnx_model *model;
    const struct onnx_folded *folded;
    const struct onnx_node *node;
    tess_error *error;
};

/* Input i, or output i; NULL: left out. */
const struct onnx_known *onnx_input(const struct onnx_at *at, int i);
const struct onnx_known *onnx_output(const struct onnx_at *at, int i);

/* Slice: y[i] = x[start + i * step] in each dimension of x; size: of y. */
struct onnx_slice {
    int64_t start[ONNX_MAX_RANK], step[ONNX_MAX_RANK], size[ONNX_MAX_RANK];
};
tess_status onnx_slice_of(const struct onnx_at *at, struct onnx_slice *out);

/* Transpose: y's dimension d is x's dimension perm[d]. */
tess_status onnx_perm_of(const struct onnx_at *at, int *perm);

/* Pad, in each dimension of x; negative: cut off. value: of mode "constant". */
struct onnx_pad {
    char mode[16]; /* "constant", "reflect", "edge", "wrap" */
    int64_t before[ONNX_MAX_RANK], after[ONNX_MAX_RANK];
    double value;
};
tess_status onnx_pad_of(const struct onnx_at *at, struct onnx_pad *out);

/* Reduce...: reduced[d] for each dimension of x; none at all: y is x, whatever the operator. */
struct onnx_reduce {
    bool reduced[ONNX_MAX_RANK];
    bool keep; /* as dimensions of size 1 */
};
tess_status onnx_reduce_of(const struct onnx_at *at, struct onnx_reduce *out);

/* Concat, Split, Gather, ArgMax: 0 <= *axis < rank. */
tess_status onnx_axis_of(const struct onnx_at *at, int *axis);

/* Softmax, LogSoftmax: over the dimensions from first to last, together. Before operator set 13 that is all from axis on. */
tess_status onnx_softmax_of(const struct onnx_at *at, int *first, int *last);

/* Clip: limits; what is left out is -infinity or infinity. */
tess_status onnx_clip_of(const struct onnx_at *at, double *least, double *most);

/* Gemm: y = alpha a' b' + beta c. */
struct onnx_gemm {
    float alpha, beta;
    bool trans_a, trans_b;
};
tess_status onnx_gemm_of(const struct onnx_at *at, struct onnx_gemm *out);

/* BatchNormalization. momentum: the weight of the old running value. training: y from the batch's own statistics. */
struct onnx_batch_norm {
    float epsilon, momentum;
    bool training;
};
tess_status onnx_batch_norm_of(const struct onnx_at *at, struct onnx_batch_norm *out);

/* LRN: x / (bias + alpha / size * sum of squares)^beta. */
struct onnx_lrn {
    int size;
    float alpha, beta, bias;
};
tess_status onnx_lrn_of(const struct onnx_at *at, struct onnx_lrn *out);

/* Dropout's rate, and whether it is on in inference, too (training_mode). */
tess_status onnx_dropout_of(const struct onnx_at *at, double *rate, bool *training);

/* Resize and Upsample. */
struct onnx_resize {
    char mode[16];        /* "nearest", "linear", "cubic" */
    char coordinates[32]; /* coordinate_transformation_mode; "asymmetric" before operator set 11 */
    char nearest[24];     /* nearest_mode; "floor" before operator set 11 */
    double scales[ONNX_MAX_RANK]; /* as given, or y's size over x's */
};
tess_status onnx_resize_of(const struct onnx_at *at, struct onnx_resize *out);

/* An activation that layers can have as their own (Relu, LeakyRelu, Elu, Selu, Sigmoid, Tanh, Clip from 0, HardSigmoid with slope 1/6). *act
   is TESS_ACT_NONE if the node is none of these, or has other parameters than they. */
tess_status onnx_act_of(const struct onnx_at *at, tess_act *act);

#endif
