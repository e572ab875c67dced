/* What the files that make an onnx_model share. */
#ifndef TESSERA_ONNX_READING_H
#define TESSERA_ONNX_READING_H

#include "net/onnx/onnx_model.h"

struct onnx_reading {
    struct onnx_model *model;
    const Onnx__GraphProto *graph;
    struct onnx_source source; /* path, folder, error */
};

/* TESS_OUT_OF_HOST_MEMORY. */
tess_status onnx_no_memory(const struct onnx_reading *in);
/* "path: <what> 'name': <why>". */
tess_status onnx_refuse(const struct onnx_reading *in, tess_status status, const char *what,
                        const char *name, const char *why);

/* As in core/status.h: clang-tidy must know that these never return TESS_OK. */
#ifdef __clang_analyzer__
#define onnx_no_memory(in)           (onnx_no_memory(in), TESS_OUT_OF_HOST_MEMORY)
#define onnx_refuse(in, status, ...) (onnx_refuse(in, status, __VA_ARGS__), (status))
#endif

/* model->tensors from the graph's initialisers. */
tess_status onnx_read_tensors(struct onnx_reading *in);
/* model->values, inputs and outputs; nodes' outputs are values, too. After the tensors. */
tess_status onnx_read_values(struct onnx_reading *in);
/* model->nodes, with attributes. After the values. */
tess_status onnx_read_nodes(struct onnx_reading *in);
/* One node's attributes. */
tess_status onnx_read_attributes(struct onnx_reading *in, const Onnx__NodeProto *message,
                                 struct onnx_node *node);

#endif
