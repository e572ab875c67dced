/* Small ONNX models, built for tests with protobuf-c's structures. Everything belongs to the builder. */
#ifndef TESSERA_TESTS_ONNX_BUILD_H
#define TESSERA_TESTS_ONNX_BUILD_H

#include "support/check.h"

#include "onnx.pb-c.h"

struct onnx_build {
    Onnx__ModelProto *model; /* change what the functions below do not offer by hand */
    Onnx__GraphProto *graph;
    void **blocks;
    int block_count;
};

/* An empty graph for this operator set. */
void onnx_build_start(struct onnx_build *build, int opset);
void onnx_build_end(struct onnx_build *build);

/* Zeroed memory that goes away with the builder. */
void *onnx_build_alloc(struct onnx_build *build, size_t bytes);
char *onnx_build_text(struct onnx_build *build, const char *text);

/* Dimensions: "2,3,N", where what is no number is a symbol, and "?" a dimension of which nothing is said; "": a single value.
   NULL: no shape. */
Onnx__ValueInfoProto *onnx_build_info(struct onnx_build *build, const char *name, int dtype,
                                      const char *dims);
void onnx_build_input(struct onnx_build *build, const char *name, int dtype, const char *dims);
void onnx_build_output(struct onnx_build *build, const char *name, int dtype, const char *dims);

/* A tensor with typed data of dtype 1 (float) or 7 (int64), else without data. data NULL: 1, 2, 3 ... */
Onnx__TensorProto *onnx_build_tensor(struct onnx_build *build, const char *name, int dtype,
                                     const char *dims, const void *data);
/* The same as an initialiser. */
Onnx__TensorProto *onnx_build_weight(struct onnx_build *build, const char *name, int dtype,
                                     const char *dims, const void *data);
/* int64 initialiser of one dimension. */
void onnx_build_ints(struct onnx_build *build, const char *name, const char *values);

/* inputs and outputs: names with commas between them; "a,,c" leaves one out. The node is called "<op>_<index>". */
Onnx__NodeProto *onnx_build_node(struct onnx_build *build, const char *op, const char *inputs,
                                 const char *outputs);
/* Attributes of the last node. */
Onnx__AttributeProto *onnx_build_attr_int(struct onnx_build *build, const char *name, int64_t i);
void onnx_build_attr_float(struct onnx_build *build, const char *name, float f);
void onnx_build_attr_ints(struct onnx_build *build, const char *name, const char *values);
void onnx_build_attr_string(struct onnx_build *build, const char *name, const char *s);
void onnx_build_attr_tensor(struct onnx_build *build, const char *name, Onnx__TensorProto *t);

/* The model's bytes; they belong to the builder. */
uint8_t *onnx_build_pack(struct onnx_build *build, size_t *size);
void onnx_build_save(struct onnx_build *build, const char *path);

#endif
