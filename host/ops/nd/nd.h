/* Operators on N-dimensional tensors, as ONNX models need them beside the convolutional ones. Each is named as ONNX or NumPy names it.

   Data lie in cl_mem buffers, dense and row-major, from the buffer's first byte on (sub-buffers are fine). A tensor without elements may be
   NULL. Elements are 32-bit floats unless a dtype is given. No tensor may have more than 2^31 - 1 elements.

   create validates, compiles and uploads what the kernels need; forward and backward only set arguments and enqueue on the context's queue,
   without blocking. Every buffer is checked to be large enough. Errors: TESS_INVALID_ARGUMENT (NULL, unknown kind), TESS_INVALID_SHAPE,
   TESS_UNSUPPORTED (more dimensions than fit), TESS_OUT_OF_HOST_MEMORY, TESS_OUT_OF_DEVICE_MEMORY, TESS_OPENCL; outputs of create are
   untouched then. Outputs may not overlap inputs unless it says so. Results repeat bit for bit on a device. destroy takes NULL. */
#ifndef TESSERA_OPS_ND_ND_H
#define TESSERA_OPS_ND_ND_H

#include "core/context.h"

enum { ND_MAX_RANK = 8 };

/* Dimensions may be 0. Rank 0: one element. */
struct nd_shape {
    int rank;
    int64_t dims[ND_MAX_RANK];
};

/* Of a shape that nd_shape_check accepts. */
int64_t nd_elements(const struct nd_shape *shape);
bool nd_shape_equal(const struct nd_shape *a, const struct nd_shape *b);

/* 0 <= rank <= 8, no negative dimension, fewer than 2^31 elements. what: "Add: a". */
tess_status nd_shape_check(tess_context *ctx, const struct nd_shape *shape, const char *what);

/* NumPy's rule: aligned at the last dimension, each pair equal or one of them 1. */
tess_status nd_broadcast(tess_context *ctx, const struct nd_shape *a, const struct nd_shape *b,
                         const char *what, struct nd_shape *out);

/* ---- binary, element by element, with broadcasting */

/* The same numbers as in kernels_cl/nd_binary.cl. PRelu: a is x, b the slope. */
enum nd_binary_kind {
    ND_ADD,
    ND_SUB,
    ND_MUL,
    ND_DIV,
    ND_MAX,
    ND_MIN,
    ND_PRELU,
    ND_POW,
    ND_BINARY_KINDS
};

const char *nd_binary_name(enum nd_binary_kind kind); /* "Add", as in ONNX */

struct nd_binary;

/* gradients: backward will be called. */
tess_status nd_binary_create(tess_context *ctx, enum nd_binary_kind kind, const struct nd_shape *a,
                             const struct nd_shape *b, bool gradients, struct nd_binary **out);
void nd_binary_destroy(struct nd_binary *op);
const struct nd_shape *nd_binary_shape(const struct nd_binary *op); /* of y; borrowed */

/* y = kind(a, b). y may be a or b where that has y's shape. */
tess_status nd_binary_forward(struct nd_binary *op, cl_mem a, cl_mem b, cl_mem y);

struct nd_binary_grad_args {
    cl_mem a, b, dy; /* a and b: not read for Add and Sub, and may be NULL then */
    cl_mem da,
        db; /* results; NULL: not wanted. Each may be dy where it has y's shape and the other is NULL */
    cl_mem workspace; /* nd_binary_workspace bytes; NULL if that is 0 */
};

/* Max and Min: equal operands share the gradient. PRelu: at x = 0, dx = slope dy and dslope = 0. */
size_t nd_binary_workspace(const struct nd_binary *op);
tess_status nd_binary_backward(struct nd_binary *op, const struct nd_binary_grad_args *args);

/* ---- unary, element by element */

/* The same numbers as in kernels_cl/nd_unary.cl. alpha and beta are what the comment says; others do not use them. */
enum nd_unary_kind {
    ND_RELU,
    ND_LEAKY_RELU,   /* alpha: the slope below 0 */
    ND_CLIP,         /* alpha: the lower limit, beta: the upper one; the upper one wins */
    ND_HARD_SIGMOID, /* max(0, min(1, alpha x + beta)) */
    ND_HARD_SWISH,
    ND_SQRT,
    ND_NEG,
    ND_ABS,
    ND_RECIPROCAL,
    ND_SOFTSIGN,
    ND_IDENTITY,
    ND_FLOOR,
    ND_CEIL,
    ND_ELU,  /* alpha */
    ND_SELU, /* alpha, beta: ONNX's gamma */
    ND_SIGMOID,
    ND_TANH,
    ND_EXP,
    ND_LOG,
    ND_SOFTPLUS,
    ND_ERF,
    ND_UNARY_KINDS
};

const char *nd_unary_name(enum nd_unary_kind kind); /* "LeakyRelu" */

/* Whether backward reads the output y rather than the input x. */
bool nd_unary_needs_y(enum nd_unary_kind kind);

struct nd_unary_desc {
    enum nd_unary_kind kind;
    struct nd_shape x;
    float alpha, beta; /* as given: 0 is 0, not a default */
    bool gradients;    /* backward will be called: not Floor and Ceil */
};

struct nd_unary;

tess_status nd_unary_create(tess_context *ctx, const struct nd_unary_desc *desc,
                            struct nd_unary **out);
void nd_unary_destroy(struct nd_unary *op);
/* y may be x. */
tess_status nd_unary_forward(struct nd_unary *op, cl_mem x, cl_mem y);
/* s: y if nd_unary_needs_y, else x. dx may be dy or s. */
tess_status nd_unary_backward(struct nd_unary *op, cl_mem s, cl_mem dy, cl_mem dx);

/* ---- reductions */

enum nd_reduce_kind {
    ND_REDUCE_SUM,
    ND_REDUCE_MEAN,
    ND_REDUCE_MAX,
    ND_REDUCE_MIN,
    ND_REDUCE_PROD,
    ND_REDUCE_L1,
    ND_REDUCE_L2,
    ND_REDUCE_SUM_SQUARE,
    ND_REDUCE_LOG_SUM,
    ND_REDUCE_KINDS
};

const char *nd_reduce_name(enum nd_reduce_kind kind); /* "ReduceSum" */

struct nd_reduce_desc {
    enum nd_reduce_kind kind;
    struct nd_shape x;
    int axis_count;        /* 0: every dimension, as ONNX has it by default */
    int axes[ND_MAX_RANK]; /* from -rank to rank - 1; none twice */
    bool drop_dims;        /* ONNX: keepdims = 0 */
    bool gradients;        /* backward will be called: ReduceSum and ReduceMean only */
};

struct nd_reduce;

tess_status nd_reduce_create(tess_context *ctx, const struct nd_reduce_desc *desc,
                             struct nd_reduce **out);
void nd_reduce_destroy(struct nd_reduce *op);
const struct nd_shape *nd_reduce_shape(const struct nd_reduce *op); /* of y; borrowed */
size_t nd_reduce_workspace(const struct nd_reduce *op);             /* bytes, for forward */
/* workspace may be NULL if nd_reduce_workspace is 0. */
tess_status nd_reduce_forward(struct nd_reduce *op, cl_mem x, cl_mem y, cl_mem workspace);
tess_status nd_reduce_backward(struct nd_reduce *op, cl_mem dy, cl_mem dx);

/* ---- moving elements, of any type */

enum nd_dtype { ND_F32, ND_I32, ND_I64, ND_BOOL /* a byte each */, ND_DTYPES };

size_t nd_dtype_bytes(enum nd_dtype dtype);

/* Transpose, Slice, Expand and Tile: one operator, several ways to make it. gradients: nd_move_backward will be called; ND_F32 only. */
struct nd_move;

/* y's dimension d is x's dimension perm[d]; perm NULL: in reverse order. */
tess_status nd_transpose_create(tess_context *ctx, enum nd_dtype dtype, const struct nd_shape *x,
                                const int *perm, bool gradients, struct nd_move **out);

/* ONNX's Slice: along axes[i] from starts[i] to ends[i] (exclusive) in steps[i]; negative numbers count from the end, numbers beyond an end
   mean the end. */
struct nd_slice_desc {
    enum nd_dtype dtype;
    struct nd_shape x;
    int axis_count;
    int axes[ND_MAX_RANK];
    int64_t starts[ND_MAX_RANK], ends[ND_MAX_RANK], steps[ND_MAX_RANK]; /* steps: not 0 */
    bool gradients;
};
tess_status nd_slice_create(tess_context *ctx, const struct nd_slice_desc *desc,
                            struct nd_move **out);

/* x broadcast to the shape that x and shape broadcast to. */
tess_status nd_expand_create(tess_context *ctx, enum nd_dtype dtype, const struct nd_shape *x,
                             const struct nd_shape *shape, bool gradients, struct nd_move **out);

/* x repeated repeats[d] times along dimension d. */
tess_status nd_tile_create(tess_context *ctx, enum nd_dtype dtype, const struct nd_shape *x,
                           const int64_t *repeats, bool gradients, struct nd_move **out);

void nd_move_destroy(struct nd_move *op);
const struct nd_shape *nd_move_shape(const struct nd_move *op); /* of y; borrowed */
tess_status nd_move_forward(struct nd_move *op, cl_mem x, cl_mem y);
size_t nd_move_workspace(const struct nd_move *op); /* bytes, for backward */
tess_status nd_move_backward(struct nd_move *op, cl_mem dy, cl_mem dx, cl_mem workspace);

/* Concat and Split: parts whose shapes differ along axis only. Either is the other's gradient. */
struct nd_concat;

tess_status nd_concat_create(tess_context *ctx, enum nd_dtype dtype, int axis,
                             const struct nd_shape *parts, int count, struct nd_concat **out);
void nd_concat_destroy(struct nd_concat *op);
const struct nd_shape *nd_concat_shape(const struct nd_concat *op); /* of the whole; borrowed */
/* parts: count buffers. nd_concat_split leaves out parts that are NULL. */
tess_status nd_concat_join(struct nd_concat *op, const cl_mem *parts, cl_mem whole);
tess_status nd_concat_split(struct nd_concat *op, cl_mem whole, const cl_mem *parts);

enum nd_pad_mode { ND_PAD_CONSTANT, ND_PAD_EDGE, ND_PAD_REFLECT };

struct nd_pad_desc {
    enum nd_pad_mode mode;
    enum nd_dtype dtype; /* of 4 bytes, or with gradients ND_F32 */
    struct nd_shape x;
    int64_t before[ND_MAX_RANK],
        after[ND_MAX_RANK]; /* negative: cut off, with ND_PAD_CONSTANT only */
    float value;            /* ND_PAD_CONSTANT of ND_F32; others are padded with 0 */
    bool gradients;
};

struct nd_pad;

tess_status nd_pad_create(tess_context *ctx, const struct nd_pad_desc *desc, struct nd_pad **out);
void nd_pad_destroy(struct nd_pad *op);
const struct nd_shape *nd_pad_shape(const struct nd_pad *op); /* of y; borrowed */
tess_status nd_pad_forward(struct nd_pad *op, cl_mem x, cl_mem y);
tess_status nd_pad_backward(struct nd_pad *op, cl_mem dy, cl_mem dx);

/* ---- Softmax and LogSoftmax along one axis */

struct nd_softmax_desc {
    struct nd_shape x;
    int axis;  /* from -rank to rank - 1 */
    bool flat; /* as before opset 13: along all dimensions from axis on; axis may be rank */
    bool log;  /* LogSoftmax */
};

struct nd_softmax;

tess_status nd_softmax_create(tess_context *ctx, const struct nd_softmax_desc *desc,
                              struct nd_softmax **out);
void nd_softmax_destroy(struct nd_softmax *op);
tess_status nd_softmax_forward(struct nd_softmax *op, cl_mem x, cl_mem y); /* y may be x */
/* dx may be dy or y. */
tess_status nd_softmax_backward(struct nd_softmax *op, cl_mem y, cl_mem dy, cl_mem dx);

/* ---- MatMul and Gemm: one operator, two ways to make it */

struct nd_matmul;

/* NumPy's matmul: the last two dimensions are matrices, the others a batch that broadcasts; one dimension is a row (a) or a column (b), and
   vanishes from y. */
tess_status nd_matmul_create(tess_context *ctx, const struct nd_shape *a, const struct nd_shape *b,
                             bool gradients, struct nd_matmul **out);

/* ONNX's Gemm: y = alpha op(a) op(b) + beta c, for matrices; c broadcasts to y's shape. */
struct nd_gemm_desc {
    struct nd_shape a, b, c;
    bool trans_a, trans_b;
    bool has_c;
    float alpha, beta; /* as given: 0 is 0, not a default */
    bool gradients;
};
tess_status nd_gemm_create(tess_context *ctx, const struct nd_gemm_desc *desc,
                           struct nd_matmul **out);

void nd_matmul_destroy(struct nd_matmul *op);
const struct nd_shape *nd_matmul_shape(const struct nd_matmul *op); /* of y; borrowed */
/* c: NULL without one. */
tess_status nd_matmul_forward(struct nd_matmul *op, cl_mem a, cl_mem b, cl_mem c, cl_mem y);

struct nd_matmul_grad_args {
    cl_mem a, b, dy;   /* a is read for db, b for da */
    cl_mem da, db, dc; /* results; NULL: not wanted */
    cl_mem workspace;  /* nd_matmul_workspace bytes; NULL if that is 0 */
};
size_t nd_matmul_workspace(const struct nd_matmul *op);
tess_status nd_matmul_backward(struct nd_matmul *op, const struct nd_matmul_grad_args *args);

/* ---- Resize (Upsample): nearest and linear, of any dimensions, hence of NCHW and NHWC */

enum nd_resize_mode { ND_NEAREST, ND_LINEAR /* bilinear for two resized dimensions */ };

/* Where y's coordinate c lies in x, with sizes X and Y of the dimension and the scale s = Y / X, or as given. */
enum nd_coordinates {
    ND_HALF_PIXEL, /* (c + 0.5) / s - 0.5 */
    ND_ASYMMETRIC, /* c / s */
    ND_ALIGN_CORNERS, /* c (X - 1) / (X s - 1), where X s is not rounded to Y, as in ONNX's reference; 0 where Y is 1 */
    ND_PYTORCH_HALF_PIXEL /* as half pixel; 0 where Y is 1 */
};

/* How ND_NEAREST rounds. */
enum nd_rounding { ND_ROUND_PREFER_FLOOR, ND_ROUND_PREFER_CEIL, ND_FLOOR_DOWN, ND_CEIL_UP };

struct nd_resize_desc {
    enum nd_resize_mode mode;
    enum nd_coordinates coordinates;
    enum nd_rounding rounding;
    struct nd_shape x;
    int64_t sizes
        [ND_MAX_RANK]; /* of y; all 0: floor(x scales). A dimension that is not 0 must not become 0 */
    float scales[ND_MAX_RANK]; /* 0: sizes / x */
    bool gradients;
};

struct nd_resize;

tess_status nd_resize_create(tess_context *ctx, const struct nd_resize_desc *desc,
                             struct nd_resize **out);
void nd_resize_destroy(struct nd_resize *op);
const struct nd_shape *nd_resize_shape(const struct nd_resize *op); /* of y; borrowed */
tess_status nd_resize_forward(struct nd_resize *op, cl_mem x, cl_mem y);
tess_status nd_resize_backward(struct nd_resize *op, cl_mem dy, cl_mem dx);

/* ---- Gather: y = x along axis at indices; y's shape is x's with the indices' shape in the axis' place */

struct nd_gather_desc {
    enum nd_dtype dtype; /* of x */
    enum nd_dtype
        index; /* ND_I64 or ND_I32. Negative indices count from the end; one outside gives 0 */
    struct nd_shape x, indices;
    int axis;
    bool
        gradients; /* ND_F32 only. Every element of dx looks at every index: not for large tables */
};

struct nd_gather;

tess_status nd_gather_create(tess_context *ctx, const struct nd_gather_desc *desc,
                             struct nd_gather **out);
void nd_gather_destroy(struct nd_gather *op);
const struct nd_shape *nd_gather_shape(const struct nd_gather *op); /* of y; borrowed */
tess_status nd_gather_forward(struct nd_gather *op, cl_mem x, cl_mem indices, cl_mem y);
tess_status nd_gather_backward(struct nd_gather *op, cl_mem dy, cl_mem indices, cl_mem dx);

/* ---- ArgMax and ArgMin of floats; y is of ND_I64. A NaN counts as the largest, or smallest */

struct nd_arg_desc {
    struct nd_shape x;
    int axis;                       /* of at least one element */
    bool smallest, last, drop_dims; /* ArgMin; ONNX's select_last_index; keepdims = 0 */
};

struct nd_arg;

tess_status nd_arg_create(tess_context *ctx, const struct nd_arg_desc *desc, struct nd_arg **out);
void nd_arg_destroy(struct nd_arg *op);
const struct nd_shape *nd_arg_shape(const struct nd_arg *op); /* of y; borrowed */
tess_status nd_arg_forward(struct nd_arg *op, cl_mem x, cl_mem y);

/* ---- Where, and comparisons of floats, with broadcasting */

/* The same numbers as in kernels_cl/nd_select.cl. */
enum nd_compare_kind {
    ND_EQUAL,
    ND_LESS,
    ND_GREATER,
    ND_LESS_OR_EQUAL,
    ND_GREATER_OR_EQUAL,
    ND_COMPARE_KINDS
};

struct nd_where;

/* y = condition ? a : b, of dtype; the condition is of ND_BOOL. */
tess_status nd_where_create(tess_context *ctx, enum nd_dtype dtype,
                            const struct nd_shape *condition, const struct nd_shape *a,
                            const struct nd_shape *b, struct nd_where **out);
/* y = a kind b, of ND_BOOL. */
tess_status nd_compare_create(tess_context *ctx, enum nd_compare_kind kind,
                              const struct nd_shape *a, const struct nd_shape *b,
                              struct nd_where **out);
void nd_where_destroy(struct nd_where *op);
const struct nd_shape *nd_where_shape(const struct nd_where *op); /* of y; borrowed */
/* condition: NULL for a comparison. */
tess_status nd_where_forward(struct nd_where *op, cl_mem condition, cl_mem a, cl_mem b, cl_mem y);

#endif
