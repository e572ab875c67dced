/* A model's nodes and their attributes. */
#include "net/onnx/onnx_reading.h"

#include "core/file_error.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN 64 /* size of a name in a message */

/* ---------------------------------------------------------------- attributes */

static tess_status read_tensor(struct onnx_reading *in, const struct onnx_node *node,
                               Onnx__TensorProto *message, struct onnx_attribute *out) {
    if (!message)
        return onnx_node_fail(in->model, node, in->source.error, TESS_BAD_FORMAT,
                              "a tensor attribute is empty; export the model again");
    out->as.t = calloc(1, sizeof *out->as.t);
    if (!out->as.t) return onnx_no_memory(in);
    /* External data are for the weights of the graph only. */
    const char *folder = in->source.folder;
    in->source.folder = NULL;
    tess_status status = onnx_tensor_from(&in->source, message, out->as.t);
    in->source.folder = folder;
    return status;
}

static tess_status read_strings(const struct onnx_reading *in, const Onnx__AttributeProto *message,
                                struct onnx_attribute *out) {
    out->as.strings = calloc(message->n_strings + 1, sizeof *out->as.strings);
    if (!out->as.strings) return onnx_no_memory(in);
    out->count = message->n_strings;
    for (size_t i = 0; i < message->n_strings; i++) {
        ProtobufCBinaryData s = message->strings[i];
        out->as.strings[i] = (struct onnx_string){(const char *)s.data, s.len};
    }
    return TESS_OK;
}

/* out's kind says what it owns, also after a failure. A number that is not there is 0: proto3 writers leave it out. */
static tess_status read_attribute(struct onnx_reading *in, const struct onnx_node *node,
                                  const Onnx__AttributeProto *message, struct onnx_attribute *out) {
    *out = (struct onnx_attribute){
        .name = onnx_text(message->name), .kind = ONNX_ATTR_OTHER, .count = 1};
    switch (message->type) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        out->kind = ONNX_ATTR_FLOAT;
        out->as.f = message->f;
        return TESS_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        out->kind = ONNX_ATTR_INT;
        out->as.i = message->i;
        return TESS_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        out->kind = ONNX_ATTR_STRING;
        out->as.s = (struct onnx_string){(const char *)message->s.data, message->s.len};
        return TESS_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        out->kind = ONNX_ATTR_FLOATS;
        out->as.floats = message->floats;
        out->count = message->n_floats;
        return TESS_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        out->kind = ONNX_ATTR_INTS;
        out->as.ints = message->ints;
        out->count = message->n_ints;
        return TESS_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        out->kind = ONNX_ATTR_TENSOR;
        return read_tensor(in, node, message->t, out);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
        out->kind = ONNX_ATTR_STRINGS;
        return read_strings(in, message, out);
    default:
        return TESS_OK;
    }
}

static tess_status check_attribute(const struct onnx_reading *in, const struct onnx_node *node,
                                   const Onnx__AttributeProto *message) {
    char shown[SHOWN];
    const char *why = NULL, *name = onnx_text(message->name);
    if (!*name) why = "has no name";
    if (onnx_attribute_find(node, name)) why = "is given twice";
    if (message->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) why = "has no type";
    if (message->ref_attr_name && *message->ref_attr_name)
        why = "refers to a function's attribute, but this is no function";
    if (!why) return TESS_OK;
    return onnx_node_fail(in->model, node, in->source.error, TESS_BAD_FORMAT,
                          "attribute '%s' %s; export the model again",
                          printable(name, shown, sizeof shown), why);
}

tess_status onnx_read_attributes(struct onnx_reading *in, const Onnx__NodeProto *message,
                                 struct onnx_node *node) {
    if (message->n_attribute > 1000)
        return onnx_node_fail(in->model, node, in->source.error, TESS_BAD_FORMAT,
                              "has over 1000 attributes; export the model again");
    node->attributes = calloc(message->n_attribute + 1, sizeof *node->attributes);
    if (!node->attributes) return onnx_no_memory(in);
    for (size_t i = 0; i < message->n_attribute; i++) {
        tess_status status = check_attribute(in, node, message->attribute[i]);
        if (!status)
            status = read_attribute(in, node, message->attribute[i],
                                    &node->attributes[node->attribute_count++]);
        if (status) return status;
    }
    return TESS_OK;
}

/* ---------------------------------------------------------------- nodes */

/* Indices of the values with these names; trailing names that are empty are dropped. *count is set first, so that
   messages can use a list that is being filled. */
static tess_status read_names(const struct onnx_reading *in, char *const *names, size_t count,
                              int **list, int *out) {
    while (count && !*names[count - 1])
        count--;
    *list = calloc(count + 1, sizeof **list);
    if (!*list) return onnx_no_memory(in);
    for (size_t i = 0; i < count; i++)
        (*list)[i] = *names[i] ? onnx_model_find(in->model, names[i]) : ONNX_ABSENT;
    *out = (int)count;
    return TESS_OK;
}

/* Each input exists, and is made before node `index`. */
static tess_status check_inputs(const struct onnx_reading *in, const Onnx__NodeProto *message,
                                int index) {
    const struct onnx_model *model = in->model;
    const struct onnx_node *node = &model->nodes[index];
    for (int i = 0; i < node->input_count; i++) {
        char name[SHOWN];
        printable(message->input[i], name, sizeof name);
        if (!*message->input[i]) continue;
        if (node->inputs[i] < 0)
            return onnx_node_fail(model, node, in->source.error, TESS_BAD_FORMAT,
                                  "reads '%s', which is no input, initialiser or node's output; "
                                  "export the model with all its weights",
                                  name);
        int maker = model->values[node->inputs[i]].node;
        if (maker == index)
            return onnx_node_fail(model, node, in->source.error, TESS_BAD_FORMAT,
                                  "reads '%s', its own output: the graph is cyclic; export the "
                                  "model again",
                                  name);
        if (maker > index)
            return onnx_node_fail(model, node, in->source.error, TESS_BAD_FORMAT,
                                  "reads '%s', which is made by a later node: the graph is cyclic "
                                  "or not sorted; sort its nodes",
                                  name);
    }
    return TESS_OK;
}

static tess_status read_node(struct onnx_reading *in, const Onnx__NodeProto *message, int index) {
    struct onnx_node *node = &in->model->nodes[index];
    node->name = onnx_text(message->name);
    node->op = onnx_text(message->op_type);
    node->domain = onnx_text(message->domain);
    if (strcmp(node->domain, "ai.onnx") == 0) node->domain = "";
    tess_status status =
        read_names(in, message->input, message->n_input, &node->inputs, &node->input_count);
    if (!status)
        status =
            read_names(in, message->output, message->n_output, &node->outputs, &node->output_count);
    if (status) return status;
    if (!*node->op)
        return onnx_node_fail(in->model, node, in->source.error, TESS_BAD_FORMAT,
                              "has no operator; export the model again");
    if (!node->output_count)
        return onnx_node_fail(in->model, node, in->source.error, TESS_BAD_FORMAT,
                              "has no output; export the model again");
    status = check_inputs(in, message, index);
    return status ? status : onnx_read_attributes(in, message, node);
}

tess_status onnx_read_nodes(struct onnx_reading *in) {
    struct onnx_model *model = in->model;
    model->nodes = calloc(in->graph->n_node + 1, sizeof *model->nodes);
    if (!model->nodes) return onnx_no_memory(in);
    for (size_t i = 0; i < in->graph->n_node; i++) {
        model->node_count++;
        tess_status status = read_node(in, in->graph->node[i], (int)i);
        if (status) return status;
    }
    return TESS_OK;
}
