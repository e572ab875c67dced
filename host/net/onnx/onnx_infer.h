/* What the operators' rules share: one node at work, its inputs, its outputs. */
#ifndef TESSERA_ONNX_INFER_H
#define TESSERA_ONNX_INFER_H

#include "net/onnx/onnx_fold.h"

struct onnx_infer {
    const struct onnx_model *model;
    const struct onnx_node *node;
    struct onnx_folded *folded;
    tess_error *error;
};

/* Sets dtype and shape of the node's outputs from its inputs, all of which are known. */
typedef tess_status onnx_rule(const struct onnx_infer *in);

struct onnx_op {
    const char *name;
    int min_inputs, max_inputs; /* the first min_inputs must be there */
    int max_outputs;
    onnx_rule *infer;
    onnx_rule *
        fold; /* gives output 0 its contents; called when all inputs are constants. NULL: never folded */
};

/* NULL: not known. */
const struct onnx_op *onnx_op_find(const struct onnx_node *node);

/* Bit i: input i decides about shapes or fixed parameters. */
unsigned onnx_op_deciding(const struct onnx_node *node);

/* "path: node 'name' (Op): ..." */
#define infer_fail(in, status, ...)                                                                \
    onnx_node_fail((in)->model, (in)->node, (in)->error, (status), __VA_ARGS__)

/* NULL: left out. */
const struct onnx_known *infer_in(const struct onnx_infer *in, int i);
struct onnx_known *infer_out(const struct onnx_infer *in, int i);
int64_t infer_opset(const struct onnx_infer *in);

/* Output i's type; nothing if it is left out. Checks sizes. */
tess_status infer_set(const struct onnx_infer *in, int i, int dtype, int rank, const int64_t *dims);
/* The same type as input 0. */
tess_status infer_same(const struct onnx_infer *in);

/* At most ONNX_MAX_RANK numbers of input i, which must be a constant of integers; *count is -1 if it is left out. */
tess_status infer_ints(const struct onnx_infer *in, int i, int64_t *values, int *count);
/* From the attribute if it is there, else from input i. */
tess_status infer_ints_either(const struct onnx_infer *in, const char *attribute, int i,
                              int64_t *values, int *count);
/* 0 <= *axis < rank, from a number that may count from the end. */
tess_status infer_axis(const struct onnx_infer *in, int64_t given, int rank, int *axis);
/* The attribute "axis", or standard if it is absent. */
tess_status infer_axis_attribute(const struct onnx_infer *in, int64_t standard, int rank,
                                 int *axis);
/* marked[axis] for each of count axes; each may come once. */
tess_status infer_mark_axes(const struct onnx_infer *in, const int64_t *axes, int count, int rank,
                            bool *marked);

/* Makes dims (of rank *rank) the broadcast of itself with other's shape. */
tess_status infer_broadcast(const struct onnx_infer *in, const struct onnx_known *other, int *rank,
                            int64_t *dims);

/* ---------------------------------------------------------------- contents */

/* Memory for output 0, whose type is set, and which thereby is a constant. */
tess_status infer_constant(const struct onnx_infer *in, void **data);
/* Output 0 is a constant over the same elements. */
tess_status infer_view(const struct onnx_infer *in, const void *data);

bool onnx_is_integer(int dtype); /* bool too */
bool onnx_is_real(int dtype);    /* float32, float64 */
/* Element i as a number; 0 for types that are neither. */
int64_t onnx_integer_at(const struct onnx_tensor *tensor, int64_t i);
double onnx_real_at(const struct onnx_tensor *tensor, int64_t i);
/* Converted as Cast does; what does not fit becomes the nearest that does. */
void onnx_put_integer(int dtype, void *data, int64_t i, int64_t value);
void onnx_put_real(int dtype, void *data, int64_t i, double value);

/* Steps through an output in row-major order with an input's offset: strides[d] elements of the input for one of the output. */
struct onnx_walk {
    int rank;
    const int64_t *dims;
    int64_t strides[ONNX_MAX_RANK], index[ONNX_MAX_RANK], offset;
};
/* Over dims, which broadcasts input. */
void onnx_walk_start(struct onnx_walk *walk, int rank, const int64_t *dims,
                     const struct onnx_known *input);
void onnx_walk_next(struct onnx_walk *walk);
/* Row-major strides of a shape. */
void onnx_strides(int rank, const int64_t *dims, int64_t *strides);

/* ---------------------------------------------------------------- rules, by file */

onnx_rule infer_unary, infer_arithmetic, infer_compare, infer_where, infer_cast, infer_dropout,
    infer_norm, infer_matmul, infer_gemm, infer_reduce, infer_argmax; /* infer_math.c */
onnx_rule infer_conv, infer_conv_transpose, infer_pool, infer_global_pool, infer_upsample,
    infer_resize, infer_pad, infer_depth_to_space; /* infer_window.c */
onnx_rule infer_reshape, infer_flatten, infer_squeeze, infer_unsqueeze, infer_transpose,
    infer_concat, infer_split, infer_slice, infer_gather, infer_expand,
    infer_tile; /* infer_move.c */
onnx_rule infer_constant_node, infer_constant_of_shape, infer_shape, infer_size,
    infer_range; /* infer_source.c */
onnx_rule fold_same, fold_transpose, fold_concat, fold_slice, fold_gather,
    fold_expand; /* fold_move.c */
onnx_rule fold_arithmetic, fold_compare, fold_where, fold_cast, fold_unary,
    fold_reduce; /* fold_math.c */

/* Padding of each dimension of Pad's input. */
tess_status infer_pads(const struct onnx_infer *in, int64_t *before, int64_t *after);
/* Which dimensions a reduction reduces, and whether they stay as 1. */
tess_status infer_reduced(const struct onnx_infer *in, bool *reduced, bool *keep);

/* Starts and steps of Slice for each dimension; out: resulting sizes. */
tess_status infer_slice_plan(const struct onnx_infer *in, int64_t *start, int64_t *step,
                             int64_t *out);

#endif
