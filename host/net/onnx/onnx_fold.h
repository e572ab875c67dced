/* From a model to what a backend needs: every shape known, shape arithmetic gone, dead nodes gone.

   With the inputs' shapes given, each operator's output shapes follow. What depends on constants and shapes only (Shape, Gather,
   Concat, Reshape of weights ...) is computed here, on the host, once; the nodes that are left do the work on data. */
#ifndef TESSERA_ONNX_FOLD_H
#define TESSERA_ONNX_FOLD_H

#include "net/onnx/onnx_model.h"

/* What is known of a value before anything runs. */
struct onnx_known {
    int dtype;
    int rank; /* -1: nothing is known; only values that no output depends on stay so */
    int64_t dims[ONNX_MAX_RANK];
    int64_t count;                      /* elements */
    const struct onnx_tensor *constant; /* its contents; NULL: known only when the model runs */
};

/* An input's shape, or its contents. */
struct onnx_bind {
    const char *name;
    const struct onnx_tensor *
        value; /* the input becomes this constant, which must outlive the result; NULL: see below */
    int rank;
    int64_t dims[ONNX_MAX_RANK];
};

struct onnx_fold_options {
    const struct onnx_bind
        *inputs; /* for those whose shape the file leaves open, and to replace defaults */
    int input_count;
    int64_t batch; /* > 0: for dimension 0 of every input where it is open */
};

struct onnx_folded {
    struct onnx_known *values; /* as model->values */
    int *nodes;                /* indices of those to run, in an order in which they can */
    int node_count;
    struct onnx_tensor *constants; /* what was computed; values point here */
    int constant_count, constant_capacity;
    int64_t constant_bytes, constant_limit;
};

/* Infers, folds, and drops what no output needs. Fails with one error that names the node: TESS_UNSUPPORTED for operators that are
   not known (all of them in one message, as onnx_check_operators), shapes that depend on data, sizes beyond
   ONNX_MAX_ELEMENTS, folded constants that take more than 64 MiB plus four times the model's weights; TESS_INVALID_SHAPE for
   given shapes that do not fit the model; TESS_BAD_FORMAT for operators used wrongly. The model must outlive *out, whose constants
   may lie in it. */
tess_status onnx_fold(const struct onnx_model *model, const struct onnx_fold_options *options,
                      tess_error *error, struct onnx_folded **out);
void onnx_folded_destroy(struct onnx_folded *folded); /* NULL is allowed */

/* needed[i]: shapes or fixed parameters follow from the contents of model->inputs[i] (Reshape's shape, Pad's pads, Clip's limits ...), so
   that it should be bound by value. */
tess_status onnx_value_inputs(const struct onnx_model *model, tess_error *error, bool *needed);

/* ---------------------------------------------------------------- operators */

typedef bool onnx_supports(const struct onnx_model *model, const struct onnx_node *node);

/* Whether onnx_fold knows the operator. A backend's own test should allow these only where it can run them, or where they
   fold away. */
onnx_supports onnx_fold_supports;

/* TESS_UNSUPPORTED unless every node that an output depends on passes. The error names operators and nodes, as many as fit, and
   how many there are; *list (which may be NULL), if not NULL, receives all: one line "Op: node, node, node" an operator, to
   free(). It stays untouched if all is well. */
tess_status onnx_check_operators(const struct onnx_model *model, onnx_supports *supports,
                                 tess_error *error, char **list);

/* live[i]: an output depends on node i. folded NULL: constants count as made by their nodes. */
void onnx_live_nodes(const struct onnx_model *model, const struct onnx_folded *folded, bool *live);

#endif
