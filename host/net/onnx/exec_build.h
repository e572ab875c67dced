/* What the operators' files share when a model becomes steps: values in layouts, buffers, steps. */
#ifndef TESSERA_ONNX_EXEC_BUILD_H
#define TESSERA_ONNX_EXEC_BUILD_H

#include "core/tensor.h"
#include "net/onnx/onnx_infer.h"
#include "net/onnx/onnx_params.h"
#include "net/onnx/onnx_run.h"
#include "ops/nd/nd.h"

enum exec_layout {
    EXEC_ROWS,    /* as in ONNX */
    EXEC_PIXELS,  /* NHWC of a value with N, C and any number of further dimensions */
    EXEC_FILTERS, /* RSCK of a convolution's weights K C R S */
    EXEC_LAYOUTS
};

#define EXEC_NONE (-1) /* instead of a buffer's index */

struct exec_value {
    int buffer[EXEC_LAYOUTS]; /* EXEC_NONE: not there in this layout */
};

struct exec_buffer {
    size_t bytes;    /* 0: no elements, and mem stays NULL */
    int first, last; /* steps that use it; first is -1 while none does */
    bool fixed;      /* for itself, and there from the start: inputs, constants */
    cl_mem mem;      /* owned */
};

struct exec_operand {
    int buffer;            /* or EXEC_NONE */
    tess_tensor_desc desc; /* for operators on tensors */
};

/* One call of an operator. */
struct exec_step {
    const struct onnx_node *node; /* whose errors it makes */
    void *op;                     /* owned */
    tess_status (*enqueue)(struct onnx_run *run, const struct exec_step *step);
    void (*destroy)(void *op);
    struct exec_operand *operands; /* owned */
    int operand_count;
    size_t workspace;   /* bytes */
    bool fixed_weights; /* operand 1 is a constant */
};

struct onnx_run {
    tess_context *ctx;
    const struct onnx_model *model;
    const struct onnx_folded *folded;
    struct exec_value *values; /* as model->values */
    struct exec_buffer *buffers;
    struct exec_step *steps;
    cl_mem *arenas;
    size_t *arena_bytes;
    cl_mem workspace;
    tess_eltwise *layouts; /* converts; NULL while nothing is converted */
    int buffer_count, buffer_room, step_count, step_room, arena_count;
    struct onnx_run_info info;
};

/* The work on one node. */
struct exec_build {
    struct onnx_run *run;
    struct onnx_infer in; /* in.error is the context's */
    const int *
        reader; /* of each value: the index of the one node that reads it; EXEC_NONE: none or several, or it is an output */
    bool *done; /* nodes that another one has taken over */
};

typedef tess_status exec_rule(struct exec_build *b);

struct exec_op {
    const char *name;
    exec_rule *create; /* adds the steps that make the node's outputs */
    bool any_type;     /* moves elements of any type of 1, 4 or 8 bytes; else float32 only */
};

exec_rule exec_conv, exec_conv_transpose, exec_pool, exec_global_pool; /* exec_window.c */
exec_rule exec_unary, exec_clip, exec_binary, exec_many;               /* exec_element.c */
exec_rule exec_batch_norm, exec_lrn, exec_softmax;                     /* exec_norm.c */
exec_rule exec_matmul, exec_gemm, exec_reduce;                         /* exec_math.c */
exec_rule exec_gather, exec_arg, exec_where, exec_compare;             /* exec_select.c */
exec_rule exec_same, exec_cast, exec_dropout;                          /* exec_same.c */
exec_rule exec_transpose, exec_slice, exec_expand, exec_tile, exec_concat, exec_split, exec_pad,
    exec_depth_to_space, exec_resize; /* exec_move.c, exec_resize.c */

/* ---------------------------------------------------------------- values */

/* The node at work, for onnx_params.h. */
struct onnx_at exec_at(const struct exec_build *b);

/* Index of the node's input or output i; ONNX_ABSENT if it is left out. */
int exec_input(const struct exec_build *b, int i);
int exec_output(const struct exec_build *b, int i);

/* The buffer that holds a value in layout; adds a conversion, or the upload of a constant, if it must. */
tess_status exec_need(struct exec_build *b, int value, enum exec_layout layout, int *buffer);
/* A new buffer for a value in layout. */
tess_status exec_make(struct exec_build *b, int value, enum exec_layout layout, int *buffer);
/* Whether the value is there as PIXELS, and only as that. */
bool exec_in_pixels(const struct exec_build *b, int value);
/* to is from, whose elements are the same in row-major order. */
tess_status exec_alias(struct exec_build *b, int from, int to);

/* N C H W of a value; further dimensions are in W. A value of less than four dimensions has ones. */
tess_tensor_desc exec_image(const struct onnx_known *known, enum exec_layout layout);
tess_tensor_desc exec_vector(int64_t count);
/* Dimensions in the order of layout (ROWS or PIXELS), after ones in front up to rank. */
struct nd_shape exec_shape(const struct onnx_known *known, enum exec_layout layout, int rank);
/* Which dimension of that shape is ONNX's dimension d. */
int exec_axis(enum exec_layout layout, int rank, int d);
/* How elements move; false: not on the device. */
bool exec_dtype(int dtype, enum nd_dtype *out);

/* ---------------------------------------------------------------- fusion */

/* What a convolution does beside itself. */
struct exec_chain {
    int y;                        /* the value that it makes in the end */
    const struct onnx_node *norm; /* a batch normalisation that its weights take in; NULL: none */
    int residual;                 /* a value that is added, there as PIXELS; ONNX_ABSENT: none */
    tess_act act;
};

/* Takes over what follows the node at work. all: not only an activation. */
tess_status exec_chain_of(struct exec_build *b, bool all, struct exec_chain *chain);
/* Buffers of the weights (FILTERS) and bias with chain->norm in them. */
tess_status exec_fold_norm(struct exec_build *b, const struct exec_chain *chain, int *weights,
                           int *bias);

/* ---------------------------------------------------------------- buffers and steps */

/* A buffer that no value has. */
tess_status exec_buffer_add(struct onnx_run *run, size_t bytes, int *buffer);
/* The same with fixed contents. */
tess_status exec_buffer_constant(struct onnx_run *run, const void *data, size_t bytes, int *buffer);

/* Adds a step with step->op, enqueue, destroy, workspace, for the node at work. op is
   the run's from here on, also if this fails. */
tess_status exec_add(struct exec_build *b, const struct exec_step *step,
                     const struct exec_operand *operands, int count);

/* When steps run. */
cl_mem exec_mem(const struct onnx_run *run, const struct exec_step *step, int operand);
struct tess_tensor exec_tensor(const struct onnx_run *run, const struct exec_step *step,
                               int operand);
struct tess_tensor exec_workspace(const struct onnx_run *run, const struct exec_step *step);

/* Memory for all buffers, when all steps are there. */
tess_status exec_place(struct onnx_run *run);
void exec_memory_release(struct onnx_run *run);

#endif
