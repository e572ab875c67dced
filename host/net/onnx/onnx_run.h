/* Runs an ONNX model on a device.

   A folded model, all of whose shapes are known, becomes a list of steps: each an operator of ops/ with buffers that share memory by
   lifetime. Values are row-major as in ONNX. Convolution and its kin want NHWC, and the weights of convolutions RSCK: a value is
   converted when a reader needs it in an order that it does not have yet, once, and operators that can work in either order take what is
   there. An activation that alone reads a convolution is computed with it. */
#ifndef TESSERA_ONNX_RUN_H
#define TESSERA_ONNX_RUN_H

#include "net/onnx/onnx_fold.h"

struct onnx_run;

/* Compiles, allocates, converts the weights. model and folded must outlive *out. Errors, in ctx's last error, name the node.
   TESS_UNSUPPORTED: operators or types that do not run here, all of them in one message, before anything is allocated; else as
   the operators' own. */
tess_status onnx_run_create(tess_context *ctx, const struct onnx_model *model,
                            const struct onnx_folded *folded, struct onnx_run **out);
void onnx_run_destroy(struct onnx_run *run); /* NULL is allowed */

/* Gives model->inputs[index] its contents, of the type and shape that folded says; nothing happens for an input that was bound by value.
   Blocking. */
tess_status onnx_run_write(struct onnx_run *run, int index, const struct onnx_tensor *tensor);
/* Enqueues all steps. */
tess_status onnx_run_forward(struct onnx_run *run);
/* model->outputs[index], after forward; onnx_tensor_clear ends it, its name is the model's. Blocking. */
tess_status onnx_run_read(struct onnx_run *run, int index, struct onnx_tensor *out);

struct onnx_run_info {
    int steps, conversions; /* conversions of layout are steps */
    size_t constants, shared,
        alone; /* device bytes: weights; other values, and what those would take without sharing */
    size_t workspace;
};
struct onnx_run_info onnx_run_info(const struct onnx_run *run);

/* A model's input and what it holds. */
struct onnx_given {
    const char *name;
    const struct onnx_tensor *tensor;
};

/* The whole way: checks that given are the model's inputs, folds for their shapes, creates, runs once, and reads outputs, one for each of
   model->outputs, all of which onnx_tensor_clear ends. Inputs that are no float32 take part in folding, and so may decide about
   shapes. On failure outputs need not be cleared; the message, in ctx's last error, names the input or the node. */
tess_status onnx_run_once(tess_context *ctx, const struct onnx_model *model,
                          const struct onnx_given *given, int given_count,
                          struct onnx_tensor *outputs);

/* For onnx_check_operators: runs on a device, or may fold away. */
onnx_supports onnx_run_supports;

#endif
