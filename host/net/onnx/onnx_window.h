/* Sliding windows as ONNX describes them, with automatic padding, defaults and output sizes worked out. */
#ifndef TESSERA_ONNX_WINDOW_H
#define TESSERA_ONNX_WINDOW_H

#include "net/onnx/onnx_fold.h"

#define ONNX_MAX_SPATIAL (ONNX_MAX_RANK - 2)

/* Of Conv, ConvTranspose, MaxPool, AveragePool; index 0 is the first spatial dimension (height). Sizes are at least 1, pads at least 0. */
struct onnx_window {
    int spatial; /* dimensions */
    int64_t kernel[ONNX_MAX_SPATIAL], stride[ONNX_MAX_SPATIAL], dilation[ONNX_MAX_SPATIAL];
    int64_t pad_begin[ONNX_MAX_SPATIAL], pad_end[ONNX_MAX_SPATIAL];
    int64_t output_padding[ONNX_MAX_SPATIAL]; /* ConvTranspose */
    int64_t
        out[ONNX_MAX_SPATIAL]; /* size; with ceil_mode the last window may reach beyond pad_end */
    int64_t group;
};

/* x: the node's input 0; weights: its input 1, or NULL for pooling. TESS_BAD_FORMAT, TESS_INVALID_SHAPE and TESS_UNSUPPORTED with the
   node's name. */
tess_status onnx_window_of(const struct onnx_model *model, const struct onnx_node *node,
                           const struct onnx_known *x, const struct onnx_known *weights,
                           tess_error *error, struct onnx_window *out);

#endif
