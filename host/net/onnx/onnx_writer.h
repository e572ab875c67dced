/* Inside the ONNX writer: what the files with the layers' nodes share. */
#ifndef TESSERA_ONNX_WRITER_H
#define TESSERA_ONNX_WRITER_H

#include "net/layer.h"
#include "net/onnx/onnx_proto.h"
#include "net/onnx/onnx_write.h"

struct writer {
    struct onnx_proto proto;
    const struct tess_graph *graph;
    const struct safetensors *weights;
    const char *path;
    tess_error *error;
    bool losses;   /* those before the graph's end are written too */
    char **values; /* the name of each layer's output; NULL: the layer is left out */
    bool *flat;    /* it is N x C; else N x C x H x W */
};

/* The parameter "<layer>.<suffix>" as an initialiser; NULL with the writer's error, or after memory ran out. dims: the shape to
   give it, if not that of the file. */
tess_status writer_parameter(struct writer *w, const struct layer *layer,
                             const struct param_spec *spec, int rank, const int64_t *dims,
                             char **out);
/* All of a layer's, in the order of layer_params; those that it has not become NULL. */
tess_status writer_parameters(struct writer *w, const struct layer *layer, char *out[LAYER_PARAMS]);
/* The output of input i, made N x C, or N x C x H x W. */
char *writer_input(struct writer *w, int index, int i, bool flat);
/* kernel_shape, strides and pads. */
void writer_window(struct writer *w, Onnx__NodeProto *node, const int64_t *kernel,
                   const int64_t *strides, const int64_t *pads);

/* onnx_write_layers.c: the node of a layer of a kind that onnx_write.c does not have itself. */
tess_status writer_other_layer(struct writer *w, int index, char *output);

#endif
