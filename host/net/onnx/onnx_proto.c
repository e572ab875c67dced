#include "net/onnx/onnx_proto.h"

#include "core/atomic_file.h"
#include "net/onnx/onnx_wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ATTRIBUTES 8
#define BUFFER_SIZE    65536

/* ---------------------------------------------------------------- the arena */

struct proto_block {
    struct proto_block *next;
    max_align_t contents[];
};

static void *allocate(struct onnx_proto *proto, size_t bytes) {
    struct proto_block *block =
        proto->no_memory ? NULL : calloc(1, sizeof *block + (bytes ? bytes : 1));
    if (!block) {
        proto->no_memory = true;
        return NULL;
    }
    block->next = proto->blocks;
    proto->blocks = block;
    return block->contents;
}

/* A message of this kind with its defaults. */
static void *message(struct onnx_proto *proto, const ProtobufCMessageDescriptor *type) {
    ProtobufCMessage *out = allocate(proto, type->sizeof_message);
    if (out) protobuf_c_message_init(type, out);
    return out;
}

void onnx_proto_end(struct onnx_proto *proto) {
    for (struct proto_block *block = proto->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *proto = (struct onnx_proto){0};
}

char *onnx_proto_text(struct onnx_proto *proto, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = allocate(proto, strlen(text) + 1);
    if (copy) memcpy(copy, text, strlen(text) + 1);
    return copy;
}

/* ---------------------------------------------------------------- the graph */

void onnx_proto_start(struct onnx_proto *proto, size_t nodes, size_t tensors) {
    *proto = (struct onnx_proto){.node_room = nodes, .tensor_room = tensors};
    proto->graph = message(proto, &onnx__graph_proto__descriptor);
    Onnx__NodeProto **node_list = allocate(proto, nodes * sizeof(void *));
    Onnx__TensorProto **tensor_list = allocate(proto, tensors * sizeof(void *));
    if (proto->no_memory) return;
    proto->graph->node = node_list;
    proto->graph->initializer = tensor_list;
}

static Onnx__ValueInfoProto **value_info(struct onnx_proto *proto, char *name, int rank,
                                         const int *dims) {
    Onnx__ValueInfoProto **list = allocate(proto, sizeof *list);
    Onnx__ValueInfoProto *info = message(proto, &onnx__value_info_proto__descriptor);
    Onnx__TypeProto *type = message(proto, &onnx__type_proto__descriptor);
    Onnx__TypeProto__Tensor *tensor = message(proto, &onnx__type_proto__tensor__descriptor);
    Onnx__TensorShapeProto *shape = message(proto, &onnx__tensor_shape_proto__descriptor);
    Onnx__TensorShapeProto__Dimension **dim = allocate(proto, (size_t)(rank + 1) * sizeof *dim);
    for (int i = 0; i <= rank && !proto->no_memory; i++) {
        dim[i] = message(proto, &onnx__tensor_shape_proto__dimension__descriptor);
        if (!dim[i]) return NULL;
        if (i == 0) {
            dim[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim[i]->dim_param = onnx_proto_text(proto, "N");
        } else {
            dim[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim[i]->dim_value = dims[i - 1];
        }
    }
    if (proto->no_memory) return NULL;
    info->name = name;
    info->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->elem_type = ONNX_FLOAT;
    tensor->has_elem_type = true;
    tensor->shape = shape;
    shape->dim = dim;
    shape->n_dim = (size_t)rank + 1;
    list[0] = info;
    return list;
}

void onnx_proto_input(struct onnx_proto *proto, char *name, int rank, const int *dims) {
    Onnx__ValueInfoProto **list = value_info(proto, name, rank, dims);
    if (!list) return;
    proto->graph->input = list;
    proto->graph->n_input = 1;
}

void onnx_proto_output(struct onnx_proto *proto, char *name, int rank, const int *dims) {
    Onnx__ValueInfoProto **info = value_info(proto, name, rank, dims);
    if (!info) return;
    size_t count = proto->graph->n_output;
    Onnx__ValueInfoProto **list = allocate(proto, (count + 1) * sizeof *list);
    if (!list) return;
    list[0] = info[0];
    if (count) memcpy(list + 1, proto->graph->output, count * sizeof *list);
    proto->graph->output = list;
    proto->graph->n_output = count + 1;
}

/* ---------------------------------------------------------------- initialisers */

static int64_t *copy_ints(struct onnx_proto *proto, size_t count, const int64_t *data) {
    int64_t *copy = allocate(proto, count * sizeof *copy);
    if (copy && count) memcpy(copy, data, count * sizeof *copy);
    return copy;
}

static Onnx__TensorProto *add_tensor(struct onnx_proto *proto, char *name, int dtype, int rank,
                                     const int64_t *dims) {
    Onnx__TensorProto *tensor = message(proto, &onnx__tensor_proto__descriptor);
    int64_t *copy = copy_ints(proto, (size_t)rank, dims);
    if (proto->no_memory || proto->graph->n_initializer == proto->tensor_room) {
        proto->no_memory = true;
        return NULL;
    }
    tensor->name = name;
    tensor->data_type = dtype;
    tensor->has_data_type = true;
    tensor->dims = copy;
    tensor->n_dims = (size_t)rank;
    proto->graph->initializer[proto->graph->n_initializer++] = tensor;
    return tensor;
}

char *onnx_proto_floats(struct onnx_proto *proto, char *name, int rank, const int64_t *dims,
                        const float *data) {
    Onnx__TensorProto *tensor = add_tensor(proto, name, ONNX_FLOAT, rank, dims);
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    if (!tensor) return NULL;
    tensor->float_data = (float *)data; /* packing only reads it */
    tensor->n_float_data = count;
    return name;
}

char *onnx_proto_ints(struct onnx_proto *proto, char *name, size_t count, const int64_t *data) {
    int64_t dim = (int64_t)count;
    Onnx__TensorProto *tensor = add_tensor(proto, name, ONNX_INT64, 1, &dim);
    int64_t *copy = copy_ints(proto, count, data);
    if (!tensor || !copy) return NULL;
    tensor->int64_data = copy;
    tensor->n_int64_data = count;
    return name;
}

char *onnx_proto_float(struct onnx_proto *proto, char *name, float value) {
    float *copy = allocate(proto, sizeof *copy);
    if (!copy) return NULL;
    *copy = value;
    return onnx_proto_floats(proto, name, 0, NULL, copy);
}

char *onnx_proto_vector(struct onnx_proto *proto, char *name, size_t count, const float *data) {
    int64_t dim = (int64_t)count;
    float *copy = allocate(proto, count * sizeof *copy);
    if (!copy) return NULL;
    memcpy(copy, data, count * sizeof *copy);
    return onnx_proto_floats(proto, name, 1, &dim, copy);
}

/* ---------------------------------------------------------------- nodes */

Onnx__NodeProto *onnx_proto_node(struct onnx_proto *proto, const char *op, char *output,
                                 char *const *inputs, size_t count) {
    Onnx__NodeProto *node = message(proto, &onnx__node_proto__descriptor);
    char **input = allocate(proto, count * sizeof *input);
    char **outputs = allocate(proto, sizeof *outputs);
    Onnx__AttributeProto **attributes = allocate(proto, MAX_ATTRIBUTES * sizeof *attributes);
    char *type = onnx_proto_text(proto, "%s", op);
    if (proto->no_memory || proto->graph->n_node == proto->node_room) {
        proto->no_memory = true;
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (inputs[i]) input[node->n_input++] = inputs[i];
    outputs[0] = output;
    node->name = output;
    node->op_type = type;
    node->input = input;
    node->output = outputs;
    node->n_output = 1;
    node->attribute = attributes;
    proto->graph->node[proto->graph->n_node++] = node;
    return node;
}

static Onnx__AttributeProto *add_attribute(struct onnx_proto *proto, Onnx__NodeProto *node,
                                           const char *name,
                                           Onnx__AttributeProto__AttributeType type) {
    Onnx__AttributeProto *out = message(proto, &onnx__attribute_proto__descriptor);
    char *text = onnx_proto_text(proto, "%s", name);
    if (proto->no_memory || !node || node->n_attribute == MAX_ATTRIBUTES) {
        proto->no_memory = true;
        return NULL;
    }
    out->name = text;
    out->type = type;
    out->has_type = true;
    node->attribute[node->n_attribute++] = out;
    return out;
}

void onnx_proto_attr_int(struct onnx_proto *proto, Onnx__NodeProto *node, const char *name,
                         int64_t i) {
    Onnx__AttributeProto *out =
        add_attribute(proto, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (!out) return;
    out->i = i;
    out->has_i = true;
}

void onnx_proto_attr_float(struct onnx_proto *proto, Onnx__NodeProto *node, const char *name,
                           float f) {
    Onnx__AttributeProto *out =
        add_attribute(proto, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (!out) return;
    out->f = f;
    out->has_f = true;
}

void onnx_proto_attr_ints(struct onnx_proto *proto, Onnx__NodeProto *node, const char *name,
                          size_t count, const int64_t *data) {
    Onnx__AttributeProto *out =
        add_attribute(proto, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *copy = copy_ints(proto, count, data);
    if (!out || !copy) return;
    out->ints = copy;
    out->n_ints = count;
}

void onnx_proto_attr_string(struct onnx_proto *proto, Onnx__NodeProto *node, const char *name,
                            const char *s) {
    Onnx__AttributeProto *out =
        add_attribute(proto, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    char *copy = onnx_proto_text(proto, "%s", s);
    if (!out || !copy) return;
    out->s.data = (uint8_t *)copy;
    out->s.len = strlen(copy);
    out->has_s = true;
}

/* ---------------------------------------------------------------- the file */

/* protobuf-c gives a message in many small pieces. */
struct sink {
    ProtobufCBuffer base; /* first: protobuf-c knows only this */
    struct atomic_file file;
    tess_error *error;
    tess_status status; /* of the first failure */
    size_t used;
    uint8_t bytes[BUFFER_SIZE];
};

static void flush(struct sink *sink) {
    if (!sink->status)
        sink->status = atomic_file_write(&sink->file, sink->bytes, sink->used, sink->error);
    sink->used = 0;
}

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data) {
    struct sink *sink = (struct sink *)buffer;
    if (sink->used + size > BUFFER_SIZE) flush(sink);
    if (size > BUFFER_SIZE) {
        if (!sink->status) sink->status = atomic_file_write(&sink->file, data, size, sink->error);
        return;
    }
    memcpy(sink->bytes + sink->used, data, size);
    sink->used += size;
}

static tess_status write_message(const ProtobufCMessage *model, const char *path,
                                 tess_error *error) {
    if (protobuf_c_message_get_packed_size(model) > ONNX_MAX_FILE)
        return error_set(error, TESS_UNSUPPORTED,
                         "%s: would be larger than the 2 GB that a protobuf file may have; export "
                         "a smaller network",
                         path);
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to write it; free some memory", path);
    sink->base.append = append;
    sink->error = error;
    tess_status status = atomic_file_open(path, error, &sink->file);
    if (!status) {
        protobuf_c_message_pack_to_buffer(model, &sink->base);
        flush(sink);
        status = sink->status;
        if (status)
            atomic_file_abort(&sink->file);
        else
            status = atomic_file_commit(&sink->file, error);
    }
    free(sink);
    return status;
}

tess_status onnx_proto_save(struct onnx_proto *proto, int opset, int ir_version, const char *path,
                            tess_error *error) {
    Onnx__ModelProto *model = message(proto, &onnx__model_proto__descriptor);
    Onnx__OperatorSetIdProto *set = message(proto, &onnx__operator_set_id_proto__descriptor);
    char *domain = onnx_proto_text(proto, "%s", ""), *producer = onnx_proto_text(proto, "tessera");
    char *version = onnx_proto_text(proto, "%d.%d.%d", TESS_VERSION_MAJOR, TESS_VERSION_MINOR,
                                    TESS_VERSION_PATCH);
    if (proto->no_memory)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to write it; free some memory", path);
    set->domain = domain;
    set->version = opset;
    set->has_version = true;
    model->ir_version = ir_version;
    model->has_ir_version = true;
    model->producer_name = producer;
    model->producer_version = version;
    model->opset_import = &set;
    model->n_opset_import = 1;
    model->graph = proto->graph;
    return write_message(&model->base, path, error);
}
