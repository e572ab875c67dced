/* Building ONNX messages: memory in one arena, and an error that sticks, so that a model can be put together without a check at
   every step. Everything a function gives is NULL after memory ran out, and everything takes that NULL. */
#ifndef TESSERA_ONNX_PROTO_H
#define TESSERA_ONNX_PROTO_H

#include "net/onnx/onnx_tensor.h"

struct proto_block;

struct onnx_proto {
    struct proto_block *blocks;
    bool no_memory;
    Onnx__GraphProto *graph;
    size_t node_room, tensor_room;
};

/* An empty graph with room for so many nodes and initialisers. */
void onnx_proto_start(struct onnx_proto *proto, size_t nodes, size_t tensors);
void onnx_proto_end(struct onnx_proto *proto);

/* Formatted text in the arena. */
char *onnx_proto_text(struct onnx_proto *proto, const char *format, ...) PRINTF_LIKE(2, 3);

/* The graph's one input, and one more output, which becomes its first: float32, N x dims[0] x ... */
void onnx_proto_input(struct onnx_proto *proto, char *name, int rank, const int *dims);
void onnx_proto_output(struct onnx_proto *proto, char *name, int rank, const int *dims);

/* Initialisers; floats are borrowed, ints copied. Gives name. */
char *onnx_proto_floats(struct onnx_proto *proto, char *name, int rank, const int64_t *dims,
                        const float *data);
char *onnx_proto_ints(struct onnx_proto *proto, char *name, size_t count, const int64_t *data);
/* A single number, and several, copied. */
char *onnx_proto_float(struct onnx_proto *proto, char *name, float value);
char *onnx_proto_vector(struct onnx_proto *proto, char *name, size_t count, const float *data);

/* A node with one output and at most 8 attributes. name and output: the same text. NULL inputs are not written. */
Onnx__NodeProto *onnx_proto_node(struct onnx_proto *proto, const char *op, char *output,
                                 char *const *inputs, size_t count);
void onnx_proto_attr_int(struct onnx_proto *proto, Onnx__NodeProto *node, const char *name,
                         int64_t i);
void onnx_proto_attr_float(struct onnx_proto *proto, Onnx__NodeProto *node, const char *name,
                           float f);
void onnx_proto_attr_ints(struct onnx_proto *proto, Onnx__NodeProto *node, const char *name,
                          size_t count, const int64_t *data);
void onnx_proto_attr_string(struct onnx_proto *proto, Onnx__NodeProto *node, const char *name,
                            const char *s);

/* The model around the graph, into a file, atomically. */
tess_status onnx_proto_save(struct onnx_proto *proto, int opset, int ir_version, const char *path,
                            tess_error *error);

#endif
