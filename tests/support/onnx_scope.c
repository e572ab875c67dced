#include "support/onnx_scope.h"

#include "net/onnx/onnx_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sorted. What convolutional networks are made of, and the shape arithmetic around them. */
static const char *const operators[] = {
    "Abs",           "Add",           "ArgMax",
    "ArgMin",        "AveragePool",   "BatchNormalization",
    "Cast",          "Ceil",          "Clip",
    "Concat",        "Constant",      "ConstantOfShape",
    "Conv",          "ConvTranspose", "DepthToSpace",
    "Div",           "Dropout",       "Elu",
    "Equal",         "Erf",           "Exp",
    "Expand",        "Flatten",       "Floor",
    "Gather",        "Gemm",          "GlobalAveragePool",
    "GlobalMaxPool", "Greater",       "GreaterOrEqual",
    "HardSigmoid",   "HardSwish",     "Identity",
    "LRN",           "LeakyRelu",     "Less",
    "LessOrEqual",   "Log",           "LogSoftmax",
    "MatMul",        "Max",           "MaxPool",
    "Mean",          "Min",           "Mul",
    "Neg",           "PRelu",         "Pad",
    "Pow",           "Range",         "Reciprocal",
    "ReduceL1",      "ReduceL2",      "ReduceLogSum",
    "ReduceMax",     "ReduceMean",    "ReduceMin",
    "ReduceProd",    "ReduceSum",     "ReduceSumSquare",
    "Relu",          "Reshape",       "Resize",
    "Selu",          "Shape",         "Sigmoid",
    "Size",          "Slice",         "Softmax",
    "Softplus",      "Softsign",      "Split",
    "Sqrt",          "Squeeze",       "Sub",
    "Sum",           "Tanh",          "Tile",
    "Transpose",     "Unsqueeze",     "Upsample",
    "Where",
};

static int compare_name(const void *key, const void *element) {
    return strcmp(key, *(const char *const *)element);
}

bool onnx_scope_operators(const Onnx__ModelProto *model, char *why, size_t size) {
    for (size_t i = 0; i < model->graph->n_node; i++) {
        const Onnx__NodeProto *node = model->graph->node[i];
        const char *domain = onnx_text(node->domain), *op = onnx_text(node->op_type);
        bool known = (!*domain || strcmp(domain, "ai.onnx") == 0) &&
                     bsearch(op, operators, sizeof operators / sizeof *operators, sizeof *operators,
                             compare_name);
        if (known) continue;
        snprintf(why, size, "operator %s%s%s", domain, *domain ? "." : "", op);
        return false;
    }
    return true;
}

/* ---------------------------------------------------------------- kinds */

static bool good_type(const Onnx__ValueInfoProto *info, char *why, size_t size) {
    if (!info->type || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        snprintf(why, size, "values that are no tensors");
        return false;
    }
    int type = info->type->tensor_type->elem_type;
    if (type == ONNX_FLOAT || type == ONNX_INT64 || type == ONNX_BOOL) return true;
    snprintf(why, size, "elements of type %s", onnx_dtype_name(type));
    return false;
}

static const Onnx__AttributeProto *find(const Onnx__NodeProto *node, const char *name) {
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(onnx_text(node->attribute[i]->name), name) == 0) return node->attribute[i];
    return NULL;
}

static bool good_kind(const Onnx__NodeProto *node, char *why, size_t size) {
    const Onnx__AttributeProto *training = find(node, "training_mode"), *mode = find(node, "mode");
    bool trains = training && training->i;
    if (strcmp(node->op_type, "Dropout") == 0 && node->n_input > 2 && *node->input[2])
        trains = true;
    bool cubic = strcmp(node->op_type, "Resize") == 0 && mode && mode->s.len == 5 &&
                 memcmp(mode->s.data, "cubic", 5) == 0;
    if (trains) snprintf(why, size, "training mode of %s", node->op_type);
    if (cubic) snprintf(why, size, "cubic interpolation");
    return !trains && !cubic;
}

bool onnx_scope_kinds(const Onnx__ModelProto *model, char *why, size_t size) {
    const Onnx__GraphProto *graph = model->graph;
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (!*onnx_text(model->opset_import[i]->domain) &&
            model->opset_import[i]->version < ONNX_OLDEST_OPSET) {
            snprintf(why, size, "operator set %d", (int)model->opset_import[i]->version);
            return false;
        }
    for (size_t i = 0; i < graph->n_input; i++)
        if (!good_type(graph->input[i], why, size)) return false;
    for (size_t i = 0; i < graph->n_output; i++)
        if (!good_type(graph->output[i], why, size)) return false;
    for (size_t i = 0; i < graph->n_node; i++)
        if (!good_kind(graph->node[i], why, size)) return false;
    return true;
}
