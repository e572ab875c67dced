#include "support/onnx_build.h"

#include "support/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *onnx_build_alloc(struct onnx_build *build, size_t bytes) {
    size_t room = (size_t)(build->block_count + 1) * sizeof *build->blocks;
    void **blocks = realloc(build->blocks, room);
    void *block = calloc(1, bytes ? bytes : 1);
    assert_non_null(blocks);
    assert_non_null(block);
    build->blocks = blocks;
    return build->blocks[build->block_count++] = block;
}

char *onnx_build_text(struct onnx_build *build, const char *text) {
    char *copy = onnx_build_alloc(build, strlen(text) + 1);
    memcpy(copy, text, strlen(text));
    return copy;
}

/* A message of this kind with its defaults. */
static void *message(struct onnx_build *build, const ProtobufCMessageDescriptor *type) {
    ProtobufCMessage *out = onnx_build_alloc(build, type->sizeof_message);
    protobuf_c_message_init(type, out);
    return out;
}

/* Appends to a repeated field of messages or strings. */
static void append(struct onnx_build *build, void *list, size_t *count, void *item) {
    void **old = *(void ***)list;
    void **fresh = onnx_build_alloc(build, (*count + 1) * sizeof *fresh);
    if (*count) memcpy(fresh, old, *count * sizeof *fresh);
    fresh[(*count)++] = item;
    *(void ***)list = fresh;
}

void onnx_build_start(struct onnx_build *build, int opset) {
    *build = (struct onnx_build){0};
    build->model = message(build, &onnx__model_proto__descriptor);
    build->graph = message(build, &onnx__graph_proto__descriptor);
    build->model->ir_version = 8;
    build->model->has_ir_version = true;
    build->model->graph = build->graph;
    build->graph->name = onnx_build_text(build, "test");
    Onnx__OperatorSetIdProto *set = message(build, &onnx__operator_set_id_proto__descriptor);
    set->domain = onnx_build_text(build, "");
    set->version = opset;
    set->has_version = true;
    append(build, &build->model->opset_import, &build->model->n_opset_import, set);
}

void onnx_build_end(struct onnx_build *build) {
    for (int i = 0; i < build->block_count; i++)
        free(build->blocks[i]);
    free(build->blocks);
    *build = (struct onnx_build){0};
}

/* The next of a list with commas; NULL after the last. */
static char *next_word(struct onnx_build *build, const char **list) {
    if (!*list) return NULL;
    const char *comma = strchr(*list, ',');
    char *word = onnx_build_text(build, *list);
    if (comma) word[comma - *list] = '\0';
    *list = comma ? comma + 1 : NULL;
    return word;
}

Onnx__ValueInfoProto *onnx_build_info(struct onnx_build *build, const char *name, int dtype,
                                      const char *dims) {
    Onnx__ValueInfoProto *info = message(build, &onnx__value_info_proto__descriptor);
    Onnx__TypeProto *type = message(build, &onnx__type_proto__descriptor);
    Onnx__TypeProto__Tensor *tensor = message(build, &onnx__type_proto__tensor__descriptor);
    info->name = onnx_build_text(build, name);
    info->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->elem_type = dtype;
    tensor->has_elem_type = true;
    if (!dims) return info;
    tensor->shape = message(build, &onnx__tensor_shape_proto__descriptor);
    char *word;
    while (dims && *dims && (word = next_word(build, &dims))) {
        Onnx__TensorShapeProto__Dimension *dim =
            message(build, &onnx__tensor_shape_proto__dimension__descriptor);
        char *end;
        long long size = strtoll(word, &end, 10);
        if (!*end) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = size;
        } else if (strcmp(word, "?") != 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = word;
        }
        append(build, &tensor->shape->dim, &tensor->shape->n_dim, dim);
    }
    return info;
}

void onnx_build_input(struct onnx_build *build, const char *name, int dtype, const char *dims) {
    append(build, &build->graph->input, &build->graph->n_input,
           onnx_build_info(build, name, dtype, dims));
}

void onnx_build_output(struct onnx_build *build, const char *name, int dtype, const char *dims) {
    append(build, &build->graph->output, &build->graph->n_output,
           onnx_build_info(build, name, dtype, dims));
}

/* The numbers of a list, to use as int64s. */
static int64_t *numbers(struct onnx_build *build, const char *list, size_t *count) {
    int64_t *out = onnx_build_alloc(build, (strlen(list) + 1) * sizeof *out);
    const char *word;
    *count = 0;
    while (list && *list && (word = next_word(build, &list)))
        out[(*count)++] = strtoll(word, NULL, 10);
    return out;
}

/* 1, 2, 3 ... unless data says otherwise. */
static void fill(struct onnx_build *build, Onnx__TensorProto *tensor, size_t count,
                 const void *data) {
    if (tensor->data_type == 1) {
        const float *from = data;
        tensor->n_float_data = count;
        tensor->float_data = onnx_build_alloc(build, count * sizeof *tensor->float_data);
        for (size_t i = 0; i < count; i++)
            tensor->float_data[i] = from ? from[i] : (float)(i + 1);
    } else if (tensor->data_type == 7) {
        const int64_t *from = data;
        tensor->n_int64_data = count;
        tensor->int64_data = onnx_build_alloc(build, count * sizeof *tensor->int64_data);
        for (size_t i = 0; i < count; i++)
            tensor->int64_data[i] = from ? from[i] : (int64_t)i + 1;
    }
}

Onnx__TensorProto *onnx_build_tensor(struct onnx_build *build, const char *name, int dtype,
                                     const char *dims, const void *data) {
    Onnx__TensorProto *tensor = message(build, &onnx__tensor_proto__descriptor);
    size_t count = 1;
    tensor->name = onnx_build_text(build, name);
    tensor->data_type = dtype;
    tensor->has_data_type = true;
    tensor->dims = numbers(build, dims, &tensor->n_dims);
    for (size_t i = 0; i < tensor->n_dims; i++)
        count *= (size_t)(tensor->dims[i] > 0 ? tensor->dims[i] : 0);
    if (count <= 1000000) fill(build, tensor, count, data);
    return tensor;
}

Onnx__TensorProto *onnx_build_weight(struct onnx_build *build, const char *name, int dtype,
                                     const char *dims, const void *data) {
    Onnx__TensorProto *tensor = onnx_build_tensor(build, name, dtype, dims, data);
    append(build, &build->graph->initializer, &build->graph->n_initializer, tensor);
    return tensor;
}

void onnx_build_ints(struct onnx_build *build, const char *name, const char *values) {
    size_t count;
    const int64_t *data = numbers(build, values, &count);
    char dims[24];
    snprintf(dims, sizeof dims, "%zu", count);
    onnx_build_weight(build, name, 7, dims, data);
}

Onnx__NodeProto *onnx_build_node(struct onnx_build *build, const char *op, const char *inputs,
                                 const char *outputs) {
    Onnx__NodeProto *node = message(build, &onnx__node_proto__descriptor);
    char name[64], *word;
    snprintf(name, sizeof name, "%s_%zu", op, build->graph->n_node);
    node->name = onnx_build_text(build, name);
    node->op_type = onnx_build_text(build, op);
    while (inputs && *inputs && (word = next_word(build, &inputs)))
        append(build, &node->input, &node->n_input, word);
    while (outputs && (word = next_word(build, &outputs)))
        append(build, &node->output, &node->n_output, word);
    append(build, &build->graph->node, &build->graph->n_node, node);
    return node;
}

static Onnx__AttributeProto *attribute(struct onnx_build *build, const char *name,
                                       Onnx__AttributeProto__AttributeType type) {
    Onnx__NodeProto *node = build->graph->node[build->graph->n_node - 1];
    Onnx__AttributeProto *out = message(build, &onnx__attribute_proto__descriptor);
    out->name = onnx_build_text(build, name);
    out->type = type;
    out->has_type = true;
    append(build, &node->attribute, &node->n_attribute, out);
    return out;
}

Onnx__AttributeProto *onnx_build_attr_int(struct onnx_build *build, const char *name, int64_t i) {
    Onnx__AttributeProto *out = attribute(build, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    out->i = i;
    out->has_i = true;
    return out;
}

void onnx_build_attr_float(struct onnx_build *build, const char *name, float f) {
    Onnx__AttributeProto *out =
        attribute(build, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    out->f = f;
    out->has_f = true;
}

void onnx_build_attr_ints(struct onnx_build *build, const char *name, const char *values) {
    Onnx__AttributeProto *out = attribute(build, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    out->ints = numbers(build, values, &out->n_ints);
}

void onnx_build_attr_string(struct onnx_build *build, const char *name, const char *s) {
    Onnx__AttributeProto *out =
        attribute(build, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    out->s.data = (uint8_t *)onnx_build_text(build, s);
    out->s.len = strlen(s);
    out->has_s = true;
}

void onnx_build_attr_tensor(struct onnx_build *build, const char *name, Onnx__TensorProto *t) {
    attribute(build, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR)->t = t;
}

uint8_t *onnx_build_pack(struct onnx_build *build, size_t *size) {
    *size = onnx__model_proto__get_packed_size(build->model);
    uint8_t *bytes = onnx_build_alloc(build, *size);
    assert_int_equal(onnx__model_proto__pack(build->model, bytes), *size);
    return bytes;
}

void onnx_build_save(struct onnx_build *build, const char *path) {
    size_t size;
    const uint8_t *bytes = onnx_build_pack(build, &size);
    bytes_write(path, bytes, size);
}
