/* An ONNX model as it stands in its file, checked: what every other part of the importer starts from.

   onnx_model_read guarantees: one graph; each value is made once, by an input, an initialiser or a node that comes before those
   that read it; every output and every input of a node exists; sizes are not negative and tensors hold what their shapes say; ranks
   are at most ONNX_MAX_RANK; attributes have the types that they say. It does not know operators: which there are, and what
   they take, is onnx_fold's and the lowering's business. */
#ifndef TESSERA_ONNX_MODEL_H
#define TESSERA_ONNX_MODEL_H

#include "net/onnx/onnx_tensor.h"

#define ONNX_OLDEST_OPSET 7
/* ONNX_NEWEST_OPSET: of the ONNX that this was built with; set by the build. */

#define ONNX_ABSENT                                                                                \
    (-1) /* instead of a value's index: an optional input or output that is left out */

struct onnx_dim {
    int64_t size;       /* -1: not fixed */
    const char *symbol; /* "N", "batch" ...; NULL: fixed, or without a name */
};

/* What a file says about a value's type; inference finds what it leaves out. */
struct onnx_type {
    int dtype; /* enum onnx_dtype; ONNX_UNDEFINED: not said */
    int rank;  /* -1: not said */
    struct onnx_dim dims[ONNX_MAX_RANK];
};

struct onnx_value {
    const char *name;
    int node;   /* the one that makes it; -1: an input or an initialiser */
    int tensor; /* its initialiser; -1: none */
    bool input; /* the graph's caller may give it; with an initialiser that is its default */
    struct onnx_type type;
};

enum onnx_attribute_kind {
    ONNX_ATTR_FLOAT,
    ONNX_ATTR_INT,
    ONNX_ATTR_STRING,
    ONNX_ATTR_TENSOR,
    ONNX_ATTR_FLOATS,
    ONNX_ATTR_INTS,
    ONNX_ATTR_STRINGS,
    ONNX_ATTR_OTHER, /* subgraphs, sparse tensors, types: there, but not read */
};

struct onnx_string {
    const char *data; /* not ended by a zero */
    size_t size;
};

struct onnx_attribute {
    const char *name;
    enum onnx_attribute_kind kind;
    size_t count; /* of floats, ints, strings; else 1 */
    union {
        float f;
        int64_t i;
        struct onnx_string s;
        struct onnx_tensor *t; /* owned */
        const float *floats;
        const int64_t *ints;
        struct onnx_string *strings; /* owned */
    } as;
};

struct onnx_node {
    const char *name;   /* may be "" */
    const char *op;     /* "Conv" */
    const char *domain; /* "" is ONNX's own, also where the file says "ai.onnx" */
    int *inputs;        /* indices of values, or ONNX_ABSENT */
    int *outputs;
    int input_count, output_count; /* trailing absent ones are not counted */
    struct onnx_attribute *attributes;
    int attribute_count;
};

/* All arrays are owned, names and most data lie in message. Indices are stable. */
struct onnx_model {
    char *path;
    int64_t ir_version;
    int opset;                 /* of ONNX's own domain; ONNX_OLDEST_OPSET to ONNX_NEWEST_OPSET */
    struct onnx_value *values; /* sorted by name */
    struct onnx_node *nodes;   /* each after those whose values it reads */
    struct onnx_tensor *tensors;
    int *inputs;  /* values without an initialiser that the caller must give, in the file's order */
    int *outputs; /* values */
    int value_count, node_count, tensor_count, input_count, output_count;
    ProtobufCMessage *message;
};

/* Reads and checks all of path, external data too, which must lie in its folder or below. TESS_IO: not readable;
   TESS_BAD_FORMAT: damaged or contradictory; TESS_UNSUPPORTED: beyond us (opset, element types, ranks, sizes over 2 GB);
   TESS_OUT_OF_HOST_MEMORY. Memory is at most ONNX_MAX_STRUCTURE more than about twice the file plus four times its external data. */
tess_status onnx_model_read(const char *path, tess_error *error, struct onnx_model **out);

/* The same from memory; name stands for the file in messages. External data are refused. */
tess_status onnx_model_parse(const void *data, size_t size, const char *name, tess_error *error,
                             struct onnx_model **out);

void onnx_model_destroy(struct onnx_model *model); /* NULL is allowed */

/* A value's index, or -1. */
int onnx_model_find(const struct onnx_model *model, const char *name);

/* Fills error with "path: node 'name' (Op): <format>" and returns status. A node without a name is called by its first output. */
tess_status onnx_node_fail(const struct onnx_model *model, const struct onnx_node *node,
                           tess_error *error, tess_status status, const char *format, ...)
    PRINTF_LIKE(5, 6);

/* As in core/status.h. */
#ifdef __clang_analyzer__
#define onnx_node_fail(model, node, error, status, ...)                                            \
    (onnx_node_fail(model, node, error, status, __VA_ARGS__), (status))
#endif

/* ---------------------------------------------------------------- attributes */

/* NULL if there is none of that name. */
const struct onnx_attribute *onnx_attribute_find(const struct onnx_node *node, const char *name);

/* Each leaves *value (the caller's default) if the attribute is absent, and fails with TESS_BAD_FORMAT and the node's
   name if it is of another type. */
tess_status onnx_get_int(const struct onnx_model *model, const struct onnx_node *node,
                         const char *name, tess_error *error, int64_t *value);
tess_status onnx_get_float(const struct onnx_model *model, const struct onnx_node *node,
                           const char *name, tess_error *error, float *value);
/* At most room numbers; *count stays -1 (set here) if it is absent. */
tess_status onnx_get_ints(const struct onnx_model *model, const struct onnx_node *node,
                          const char *name, tess_error *error, int room, int64_t *values,
                          int *count);
/* Into out, ended by a zero; too long or with a zero inside is an error. */
tess_status onnx_get_string(const struct onnx_model *model, const struct onnx_node *node,
                            const char *name, tess_error *error, size_t size, char *out);

#endif
