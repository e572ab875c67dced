/* A model's values: who makes them, what is said about their types. */
#include "net/onnx/onnx_reading.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- types */

static tess_status read_dims(const struct onnx_reading *in, const char *what, const char *name,
                             const Onnx__TensorShapeProto *shape, struct onnx_type *type) {
    if (shape->n_dim > ONNX_MAX_RANK)
        return onnx_refuse(in, TESS_UNSUPPORTED, what, name,
                           "has more than 8 dimensions; reshape it");
    type->rank = (int)shape->n_dim;
    for (int i = 0; i < type->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        type->dims[i] = (struct onnx_dim){.size = -1};
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
            type->dims[i].size = dim->dim_value;
        else if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
                 *dim->dim_param)
            type->dims[i].symbol = dim->dim_param;
        else
            continue;
        if (!type->dims[i].symbol && type->dims[i].size < 0)
            return onnx_refuse(in, TESS_BAD_FORMAT, what, name,
                               "a dimension is negative; give it a size, or a name if it is free");
        if (type->dims[i].size > ONNX_MAX_ELEMENTS)
            return onnx_refuse(in, TESS_UNSUPPORTED, what, name,
                               "a dimension is beyond what a tensor may have here; use a smaller "
                               "model");
    }
    return TESS_OK;
}

static tess_status read_type(const struct onnx_reading *in, const char *what,
                             const Onnx__ValueInfoProto *info, struct onnx_type *type) {
    *type = (struct onnx_type){.rank = -1};
    if (!info->type || info->type->value_case == ONNX__TYPE_PROTO__VALUE__NOT_SET) return TESS_OK;
    if (info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return onnx_refuse(in, TESS_UNSUPPORTED, what, onnx_text(info->name),
                           "is a sequence, map, optional or sparse tensor; only dense tensors are "
                           "supported");
    const Onnx__TypeProto__Tensor *tensor = info->type->tensor_type;
    type->dtype = tensor->elem_type;
    return tensor->shape ? read_dims(in, what, onnx_text(info->name), tensor->shape, type)
                         : TESS_OK;
}

/* The dimensions that both state agree. */
static bool types_agree(const struct onnx_type *type, const struct onnx_tensor *tensor) {
    if (type->dtype && type->dtype != tensor->dtype) return false;
    if (type->rank >= 0 && type->rank != tensor->rank) return false;
    for (int i = 0; i < type->rank; i++)
        if (type->dims[i].size >= 0 && type->dims[i].size != tensor->dims[i]) return false;
    return true;
}

/* ---------------------------------------------------------------- names */

enum definition_kind { BY_INPUT, BY_TENSOR, BY_NODE };

/* A place where a name is given to a value. */
struct definition {
    const char *name;
    enum definition_kind kind;
    int owner; /* index of the input, initialiser or node */
};

static int compare_definitions(const void *left, const void *right) {
    const struct definition *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : (int)a->kind - (int)b->kind;
}

static size_t count_definitions(const Onnx__GraphProto *graph) {
    size_t count = graph->n_input + graph->n_initializer;
    for (size_t i = 0; i < graph->n_node; i++)
        count += graph->node[i]->n_output;
    return count;
}

/* Fills list; gives how many there are. Nodes' outputs without a name are left out. */
static int list_definitions(const Onnx__GraphProto *graph, struct definition *list) {
    int count = 0;
    for (size_t i = 0; i < graph->n_input; i++)
        list[count++] = (struct definition){onnx_text(graph->input[i]->name), BY_INPUT, (int)i};
    for (size_t i = 0; i < graph->n_initializer; i++)
        list[count++] =
            (struct definition){onnx_text(graph->initializer[i]->name), BY_TENSOR, (int)i};
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t j = 0; j < graph->node[i]->n_output; j++)
            if (*graph->node[i]->output[j])
                list[count++] = (struct definition){graph->node[i]->output[j], BY_NODE, (int)i};
    return count;
}

static void type_of_tensor(const struct onnx_tensor *tensor, struct onnx_type *type) {
    *type = (struct onnx_type){.dtype = tensor->dtype, .rank = tensor->rank};
    for (int i = 0; i < tensor->rank; i++)
        type->dims[i].size = tensor->dims[i];
}

/* Puts one more definition into its value. */
static tess_status define(const struct onnx_reading *in, const struct definition *from,
                          struct onnx_value *value) {
    const struct onnx_tensor *tensors = in->model->tensors;
    switch (from->kind) {
    case BY_INPUT:
        value->input = true;
        return read_type(in, "input", in->graph->input[from->owner], &value->type);
    case BY_TENSOR:
        value->tensor = from->owner;
        if (value->input && !types_agree(&value->type, &tensors[from->owner]))
            return onnx_refuse(in, TESS_BAD_FORMAT, "initialiser", from->name,
                               "has another type or shape than the input that it is the default "
                               "of; export the model again");
        type_of_tensor(&tensors[from->owner], &value->type);
        return TESS_OK;
    default:
        value->node = from->owner;
        return TESS_OK;
    }
}

/* One value for each name of a sorted list. Only an input and an initialiser may share a name. */
static tess_status make_values(struct onnx_reading *in, const struct definition *list, int count) {
    struct onnx_model *model = in->model;
    for (int i = 0; i < count; i++) {
        bool same = i > 0 && strcmp(list[i].name, list[i - 1].name) == 0;
        if (!*list[i].name)
            return error_set(in->source.error, TESS_BAD_FORMAT,
                             "%s: an input or initialiser has no name; export the model again",
                             model->path);
        if (same && (list[i].kind != BY_TENSOR || list[i - 1].kind != BY_INPUT))
            return onnx_refuse(in, TESS_BAD_FORMAT, "value", list[i].name,
                               "is defined twice; every value must have a name of its own");
        if (!same)
            model->values[model->value_count++] = (struct onnx_value){
                .name = list[i].name, .node = -1, .tensor = -1, .type.rank = -1};
        tess_status status = define(in, &list[i], &model->values[model->value_count - 1]);
        if (status) return status;
    }
    return TESS_OK;
}

/* ---------------------------------------------------------------- inputs and outputs */

#define MAX_INPUTS 1024 /* of those that the caller must give */

static tess_status list_inputs(const struct onnx_reading *in) {
    struct onnx_model *model = in->model;
    model->inputs = calloc(in->graph->n_input + 1, sizeof *model->inputs);
    if (!model->inputs) return onnx_no_memory(in);
    for (size_t i = 0; i < in->graph->n_input; i++) {
        int value = onnx_model_find(model, onnx_text(in->graph->input[i]->name));
        if (model->values[value].tensor >= 0) continue;
        if (model->input_count == MAX_INPUTS)
            return error_set(in->source.error, TESS_UNSUPPORTED,
                             "%s: has over %d inputs that are no weights; use a smaller model",
                             model->path, MAX_INPUTS);
        model->inputs[model->input_count++] = value;
    }
    return TESS_OK;
}

/* Uses what info says about a value whose type nothing else says. */
static tess_status add_type(const struct onnx_reading *in, const char *what,
                            const Onnx__ValueInfoProto *info, struct onnx_value *value) {
    struct onnx_type type;
    tess_status status = read_type(in, what, info, &type);
    if (status) return status;
    if (!value->type.dtype) value->type.dtype = type.dtype;
    if (value->type.rank < 0) {
        type.dtype = value->type.dtype;
        value->type = type;
    }
    return TESS_OK;
}

static tess_status list_outputs(const struct onnx_reading *in) {
    struct onnx_model *model = in->model;
    if (!in->graph->n_output)
        return error_set(in->source.error, TESS_BAD_FORMAT,
                         "%s: the graph has no output; export the model again", model->path);
    model->outputs = calloc(in->graph->n_output, sizeof *model->outputs);
    if (!model->outputs) return onnx_no_memory(in);
    for (size_t i = 0; i < in->graph->n_output; i++) {
        const Onnx__ValueInfoProto *info = in->graph->output[i];
        int value = onnx_model_find(model, onnx_text(info->name));
        if (value < 0)
            return onnx_refuse(in, TESS_BAD_FORMAT, "output", onnx_text(info->name),
                               "is made by no node; export the model again");
        tess_status status = add_type(in, "output", info, &model->values[value]);
        if (status) return status;
        model->outputs[model->output_count++] = value;
    }
    return TESS_OK;
}

/* value_info is only a help: what it says about values that do not exist is passed over. */
static tess_status read_infos(const struct onnx_reading *in) {
    for (size_t i = 0; i < in->graph->n_value_info; i++) {
        const Onnx__ValueInfoProto *info = in->graph->value_info[i];
        int value = onnx_model_find(in->model, onnx_text(info->name));
        if (value < 0) continue;
        tess_status status = add_type(in, "value", info, &in->model->values[value]);
        if (status) return status;
    }
    return TESS_OK;
}

tess_status onnx_read_values(struct onnx_reading *in) {
    size_t room = count_definitions(in->graph);
    struct definition *list = calloc(room + 1, sizeof *list);
    in->model->values = calloc(room + 1, sizeof *in->model->values);
    tess_status status = list && in->model->values ? TESS_OK : onnx_no_memory(in);
    if (!status) {
        int count = list_definitions(in->graph, list);
        qsort(list, (size_t)count, sizeof *list, compare_definitions);
        status = make_values(in, list, count);
    }
    free(list);
    if (!status) status = list_inputs(in);
    if (!status) status = list_outputs(in);
    return status ? status : read_infos(in);
}
