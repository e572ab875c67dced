/* Networks as ONNX models, for other tools. */
#ifndef TESSERA_ONNX_WRITE_H
#define TESSERA_ONNX_WRITE_H

#include "net/graph.h"
#include "net/safetensors.h"

#define ONNX_WRITE_OPSET 13
#define ONNX_WRITE_IR    7 /* format version of the ONNX that brought operator set 13 */

/* Writes path anew (core/atomic_file.h): the graph in inference form, with a free batch size "N", NCHW, probabilities at its end.
   Auxiliary classifiers and what only leads to them are left out. weights: what tess_net_save writes, "<layer>.weight" ...; others in it are
   passed over. A layer's output has the layer's name, its parameters are called as in the safetensors file. Same input, same bytes.
   TESS_BAD_FORMAT: a parameter is missing or of another shape; TESS_UNSUPPORTED: over 2 GB, protobuf's limit. */
tess_status onnx_write(const char *path, const struct tess_graph *graph,
                       const struct safetensors *weights, tess_error *error);

/* The same with the auxiliary classifiers and the squared errors before the graph's end, for tools that train on: what they compare is
   an output each, behind the graph's own, called as the layer. Their weights have no place in ONNX. */
tess_status onnx_write_training(const char *path, const struct tess_graph *graph,
                                const struct safetensors *weights, tess_error *error);

#endif
