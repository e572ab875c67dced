#include "net/onnx/graph_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_error.h"
#include "net/onnx/onnx_infer.h"

#define SHOWN 64 /* size of a name in a message */
/* Instead of an open batch size: no size that graphs have by accident, and not 1, which Squeeze would take away. */
#define OPEN_BATCH 2
#define MAX_LAYERS (1 << 16)

/* Sorted by name. */
static const struct row {
    const char *op;
    import_convert *convert;
} rows[] = {
    {"Add", import_add},
    {"AveragePool", import_pool},
    {"BatchNormalization", import_batch_norm},
    {"Cast", import_same},
    {"Clip", import_activation},
    {"Concat", import_concat},
    {"Conv", import_conv},
    {"ConvTranspose", import_conv_transpose},
    {"Div", import_scale},
    {"Dropout", import_dropout},
    {"Elu", import_activation},
    {"Flatten", import_same},
    {"Gemm", import_gemm},
    {"GlobalAveragePool", import_global_pool},
    {"GlobalMaxPool", import_global_pool},
    {"HardSigmoid", import_activation},
    {"HardSwish", import_hard_swish},
    {"Identity", import_same},
    {"LRN", import_lrn},
    {"LeakyRelu", import_activation},
    {"LogSoftmax", import_softmax},
    {"MatMul", import_matmul},
    {"Max", import_binary},
    {"MaxPool", import_pool},
    {"Min", import_binary},
    {"Mul", import_scale},
    {"PRelu", import_prelu},
    {"Pad", import_pad},
    {"ReduceMean", import_reduce_mean},
    {"ReduceSum", import_reduce},
    {"Relu", import_activation},
    {"Reshape", import_same},
    {"Resize", import_resize},
    {"Selu", import_activation},
    {"Sigmoid", import_activation},
    {"Softmax", import_softmax},
    {"Squeeze", import_same},
    {"Sub", import_add},
    {"Sum", import_sum},
    {"Tanh", import_activation},
    {"Transpose", import_transpose},
    {"Unsqueeze", import_same},
    {"Upsample", import_resize},
};

static int compare_row(const void *key, const void *element) {
    return strcmp(key, ((const struct row *)element)->op);
}

static const struct row *find_row(const struct onnx_node *node) {
    if (*node->domain) return NULL;
    return bsearch(node->op, rows, sizeof rows / sizeof *rows, sizeof *rows, compare_row);
}

/* Has a layer, or may fold away. */
static bool supports(const struct onnx_model *model, const struct onnx_node *node) {
    (void)model;
    const struct onnx_op *op = onnx_op_find(node);
    bool folds = op && (op->fold || op->infer == infer_constant_node || op->infer == infer_shape ||
                        op->infer == infer_size || op->infer == infer_range ||
                        op->infer == infer_constant_of_shape);
    return folds || find_row(node) != NULL;
}

/* ---------------------------------------------------------------- obstacles */

/* All that stands in the way, as far as there is room. */
static tess_status tell_obstacles(struct import *im, char **list) {
    char text[700] = "";
    size_t used = 0;
    bool all = true;
    for (const char *line = im->obstacles; *line;) {
        size_t length = strcspn(line, "\n");
        if (used + length + 3 > sizeof text) {
            all = false;
            break;
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", used ? ", " : "",
                                 (int)length, line);
        line += length + (line[length] != '\0');
    }
    error_set(
        im->error, TESS_UNSUPPORTED,
        "%s: %d node%s cannot be trained: %s%s; replace %s and export the model again, or use "
        "'tessera run', which only runs models",
        im->model->path, im->obstacle_count, im->obstacle_count == 1 ? "" : "s", text,
        all ? "" : " ...", im->obstacle_count == 1 ? "it" : "them");
    if (list) {
        *list = im->obstacles;
        im->obstacles = NULL;
    }
    return TESS_UNSUPPORTED;
}

/* ---------------------------------------------------------------- the classifier */

/* What may stand between the classifier and the model's output. */
static bool is_tail(const struct import *im, const struct onnx_node *node) {
    static const char *const ops[] = {
        "Add",       "AveragePool",       "Cast",     "Clip",      "Dropout",    "Elu",
        "Flatten",   "GlobalAveragePool", "Identity", "LeakyRelu", "LogSoftmax", "ReduceMean",
        "Relu",      "Reshape",           "Softmax",  "Squeeze",   "Sub",        "Tanh",
        "Unsqueeze",
    };
    int data = 0;
    for (int i = 0; i < node->input_count; i++)
        data += node->inputs[i] >= 0 && !im->folded->values[node->inputs[i]].constant;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (data == 1 && strcmp(node->op, ops[i]) == 0) return true;
    return false;
}

static bool is_classifier(const struct import *im, const struct onnx_node *node) {
    if (!strcmp(node->op, "Gemm") || !strcmp(node->op, "MatMul")) return true;
    if (strcmp(node->op, "Conv") != 0) return false;
    const struct onnx_known *w = &im->folded->values[node->inputs[1]];
    const struct onnx_known *y = &im->folded->values[node->outputs[0]];
    bool point = w->rank == 4 && w->dims[2] == 1 && w->dims[3] == 1;
    return point || (y->rank == 4 && y->dims[2] == 1 && y->dims[3] == 1);
}

static tess_status find_classifier(struct import *im) {
    int value = im->model->outputs[0];
    const struct onnx_node *node = NULL;
    while (true) {
        int maker = im->model->values[value].node;
        bool made = maker >= 0 && !im->folded->values[value].constant;
        node = made ? &im->model->nodes[maker] : NULL;
        if (!node || is_classifier(im, node) || !is_tail(im, node)) break;
        for (int i = 0; i < node->input_count; i++)
            if (node->inputs[i] >= 0 && !im->folded->values[node->inputs[i]].constant)
                value = node->inputs[i];
    }
    if (node && is_classifier(im, node)) {
        im->classifier = node;
        return TESS_OK;
    }
    if (!node)
        return error_set(im->error, TESS_UNSUPPORTED,
                         "%s: its output follows no layer with weights, which --classes could "
                         "replace; leave --classes away",
                         im->model->path);
    return onnx_node_fail(im->model, node, im->error, TESS_UNSUPPORTED,
                          "stands where --classes expects a fully connected layer or a 1x1 "
                          "convolution to replace; leave --classes away");
}

/* ---------------------------------------------------------------- the walk */

static void count_readers(struct import *im) {
    for (int i = 0; i < im->folded->node_count; i++) {
        const struct onnx_node *node = &im->model->nodes[im->folded->nodes[i]];
        for (int j = 0; j < node->input_count; j++) {
            if (node->inputs[j] < 0) continue;
            im->readers[node->inputs[j]]++;
            im->values[node->inputs[j]].reader = node;
        }
    }
    for (int i = 0; i < im->model->output_count; i++)
        im->readers[im->model->outputs[i]]++;
}

static tess_status convert_node(struct import *im) {
    const struct row *row = find_row(im->node);
    const struct onnx_known *y = &im->folded->values[im->node->outputs[0]];
    if (!row) return import_obstacle(im, "there is no layer for this operator");
    if (y->rank != 4 && y->rank != 2)
        return import_obstacle(im,
                               "its output has %d dimensions; layers have images, N C H W, or "
                               "vectors, N C",
                               y->rank);
    if (y->dtype != ONNX_FLOAT) return import_obstacle(im, "is not of float32 numbers");
    return row->convert(im);
}

/* The classes, from the output's value. */
static tess_status finish(struct import *im) {
    int output = im->model->outputs[0];
    const struct import_value *value = &im->values[output];
    char shown[SHOWN];
    printable(im->model->values[output].name, shown, sizeof shown);
    if (!value->set)
        return error_set(im->error, TESS_UNSUPPORTED,
                         "%s: output '%s' does not depend on the input; export the model again",
                         im->model->path, shown);
    if (value->h != 1 || value->w != 1)
        return error_set(im->error, TESS_UNSUPPORTED,
                         "%s: output '%s' is %dx%dx%d, but classes are Cx1x1; end the model with a "
                         "fully connected layer or global pooling",
                         im->model->path, shown, value->c, value->h, value->w);
    tess_graph_softmax(im->graph, value->layer);
    tess_status status = tess_graph_check(im->graph, im->error);
    return status ? error_prefix(im->error, status, "%s", im->model->path) : TESS_OK;
}

static tess_status walk(struct import *im, char **list) {
    const struct onnx_model *model = im->model;
    int input = model->inputs[0];
    const struct onnx_known *x = &im->folded->values[input];
    bool image = x->rank == 4;
    im->values[input] = (struct import_value){.set = true,
                                              .c = (int)x->dims[1],
                                              .h = image ? (int)x->dims[2] : 1,
                                              .w = image ? (int)x->dims[3] : 1};
    const struct import_value *in = &im->values[input];
    count_readers(im);
    tess_status status = im->classes ? find_classifier(im) : TESS_OK;
    if (status) return status;
    if (tess_graph_input(im->graph, in->c, in->h, in->w) == TESS_NODE_NONE)
        status = tess_graph_check(im->graph, im->error);
    for (int i = 0; i < im->folded->node_count && !status; i++) {
        im->node = &model->nodes[im->folded->nodes[i]];
        status = im->node->outputs[0] >= 0 ? convert_node(im)
                                           : import_obstacle(im, "leaves its first output out");
    }
    if (!status && im->no_memory)
        return error_set(im->error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to import it; free some memory", model->path);
    if (!status && im->obstacle_count) return tell_obstacles(im, list);
    return status ? status : finish(im);
}

/* ---------------------------------------------------------------- the whole */

/* One image in, one vector out. */
static tess_status check_ports(const struct onnx_model *model, tess_error *error) {
    if (model->input_count != 1)
        return error_set(error, TESS_UNSUPPORTED,
                         "%s: has %d inputs that the caller must give, and a network has one; "
                         "export it with one",
                         model->path, model->input_count);
    if (model->output_count != 1)
        return error_set(error, TESS_UNSUPPORTED,
                         "%s: has %d outputs, and a classifier has one; export it with the classes "
                         "alone",
                         model->path, model->output_count);
    const struct onnx_type *type = &model->values[model->inputs[0]].type;
    bool shaped = type->rank == 4 || type->rank == 2 || type->rank < 0;
    if (shaped && (type->dtype == ONNX_FLOAT || type->dtype == ONNX_UNDEFINED)) return TESS_OK;
    return error_set(error, TESS_UNSUPPORTED,
                     "%s: its input is %s of %d dimensions; networks take float32 images, N C H W, "
                     "or vectors, N C",
                     model->path, onnx_dtype_name(type->dtype), type->rank);
}

static tess_status bind_input(const struct onnx_model *model, const tess_zoo_options *options,
                              tess_error *error, struct onnx_bind *bind) {
    const struct onnx_value *input = &model->values[model->inputs[0]];
    const int open[4] = {OPEN_BATCH, options->c, options->h, options->w};
    *bind = (struct onnx_bind){.name = input->name, .rank = input->type.rank};
    if (bind->rank < 0) bind->rank = 4;
    for (int d = 0; d < bind->rank; d++) {
        bind->dims[d] = input->type.rank < 0 ? -1 : input->type.dims[d].size;
        if (bind->dims[d] < 0) bind->dims[d] = open[d];
        if (bind->dims[d] > 0) continue;
        return error_set(error, TESS_INVALID_SHAPE,
                         "%s: leaves the size of its input open; give it with --input CxHxW",
                         model->path);
    }
    return TESS_OK;
}

static int64_t weight_bytes(const struct onnx_model *model) {
    int64_t bytes = 0;
    for (int i = 0; i < model->tensor_count; i++)
        bytes += model->tensors[i].count * (int64_t)sizeof(float);
    return bytes;
}

static tess_status make_graph(struct import *im, char **list, tess_graph **out) {
    size_t values = (size_t)im->model->value_count + 1;
    char shown[SHOWN];
    tess_status status;
    im->values = calloc(values, sizeof *im->values);
    im->readers = calloc(values, sizeof *im->readers);
    if (!im->values || !im->readers)
        status = error_set(im->error, TESS_OUT_OF_HOST_MEMORY,
                           "%s: no memory to import it; free some memory", im->model->path);
    else if (im->folded->node_count >= MAX_LAYERS)
        status = error_set(im->error, TESS_UNSUPPORTED,
                           "%s: %d nodes; a network has fewer than 2^16 layers", im->model->path,
                           im->folded->node_count);
    else
        status = tess_graph_create(printable(im->model->path, shown, sizeof shown), im->error,
                                   &im->graph);
    if (!status) status = walk(im, list);
    if (!status) {
        *out = im->graph;
        im->graph = NULL;
    }
    tess_graph_destroy(im->graph);
    free(im->values);
    free(im->readers);
    free(im->obstacles);
    return status;
}

tess_status onnx_to_graph(const struct onnx_model *model, const tess_zoo_options *options,
                          tess_error *error, char **list, tess_graph **out) {
    struct onnx_folded *folded = NULL;
    struct onnx_bind bind;
    tess_status status = check_ports(model, error);
    if (!status) status = onnx_check_operators(model, supports, error, list);
    if (!status) status = bind_input(model, options, error, &bind);
    if (!status)
        status = onnx_fold(model, &(struct onnx_fold_options){.inputs = &bind, .input_count = 1},
                           error, &folded);
    if (status) return status;
    struct import im = {.model = model,
                        .folded = folded,
                        .error = error,
                        .classes = options->classes,
                        .init = options->init,
                        .classifier_layer = -1,
                        .bytes_left = (64 << 20) + 4 * weight_bytes(model)};
    status = make_graph(&im, list, out);
    onnx_folded_destroy(folded);
    return status;
}

tess_status tess_graph_from_onnx(const char *path, const tess_zoo_options *options,
                                 tess_error *error, char **list, tess_graph **out) {
    tess_error unseen;
    struct onnx_model *model = NULL;
    const tess_zoo_options none = {0};
    if (!error) error = &unseen;
    if (!options) options = &none;
    if (!path || !out)
        return error_set(error, TESS_INVALID_ARGUMENT, "ONNX: no path or out; pass both");
    if (options->width > 0)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "%s: a model has its own widths; leave the width away", path);
    if (options->classes < 0)
        return error_set(error, TESS_INVALID_ARGUMENT, "%s: %d classes; there must be at least 1",
                         path, options->classes);
    tess_status status = onnx_model_read(path, error, &model);
    if (!status) status = onnx_to_graph(model, options, error, list, out);
    onnx_model_destroy(model);
    return status;
}

tess_status tess_model_build(const char *model, const tess_zoo_options *options, tess_error *error,
                             tess_graph **out) {
    size_t length = model ? strlen(model) : 0;
    bool file = length > 5 && strcmp(model + length - 5, ".onnx") == 0;
    return file ? tess_graph_from_onnx(model, options, error, NULL, out)
                : tess_zoo_build(model, options, error, out);
}
