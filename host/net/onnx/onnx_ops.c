/* The operators that are known, and the list of those that are not. */
#include "net/onnx/onnx_infer.h"

#include "core/file_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANY      INT32_MAX
#define SHOWN    64  /* size of a name in a message */
#define TEXT_MAX 800 /* of the list in an error */

/* Sorted by name. */
static const struct onnx_op ops[] = {
    {"Abs", 1, 1, 1, infer_unary, fold_unary},
    {"Add", 2, 2, 1, infer_arithmetic, fold_arithmetic},
    {"ArgMax", 1, 1, 1, infer_argmax, NULL},
    {"ArgMin", 1, 1, 1, infer_argmax, NULL},
    {"AveragePool", 1, 1, 1, infer_pool, NULL},
    {"BatchNormalization", 5, 5, 5, infer_norm, NULL},
    {"Cast", 1, 1, 1, infer_cast, fold_cast},
    {"Ceil", 1, 1, 1, infer_unary, fold_unary},
    {"Celu", 1, 1, 1, infer_unary, NULL},
    {"Clip", 1, 3, 1, infer_unary, NULL},
    {"Concat", 1, ANY, 1, infer_concat, fold_concat},
    {"Constant", 0, 0, 1, infer_constant_node, NULL},
    {"ConstantOfShape", 1, 1, 1, infer_constant_of_shape, NULL},
    {"Conv", 2, 3, 1, infer_conv, NULL},
    {"ConvTranspose", 2, 3, 1, infer_conv_transpose, NULL},
    {"DepthToSpace", 1, 1, 1, infer_depth_to_space, NULL},
    {"Div", 2, 2, 1, infer_arithmetic, fold_arithmetic},
    {"Dropout", 1, 3, 2, infer_dropout, NULL},
    {"Elu", 1, 1, 1, infer_unary, NULL},
    {"Equal", 2, 2, 1, infer_compare, fold_compare},
    {"Erf", 1, 1, 1, infer_unary, NULL},
    {"Exp", 1, 1, 1, infer_unary, NULL},
    {"Expand", 2, 2, 1, infer_expand, fold_expand},
    {"Flatten", 1, 1, 1, infer_flatten, fold_same},
    {"Floor", 1, 1, 1, infer_unary, fold_unary},
    {"Gather", 2, 2, 1, infer_gather, fold_gather},
    {"Gemm", 2, 3, 1, infer_gemm, NULL},
    {"GlobalAveragePool", 1, 1, 1, infer_global_pool, NULL},
    {"GlobalMaxPool", 1, 1, 1, infer_global_pool, NULL},
    {"Greater", 2, 2, 1, infer_compare, fold_compare},
    {"GreaterOrEqual", 2, 2, 1, infer_compare, NULL},
    {"HardSigmoid", 1, 1, 1, infer_unary, NULL},
    {"HardSwish", 1, 1, 1, infer_unary, NULL},
    {"Identity", 1, 1, 1, infer_unary, fold_same},
    {"InstanceNormalization", 3, 3, 1, infer_unary, NULL},
    {"LRN", 1, 1, 1, infer_unary, NULL},
    {"LeakyRelu", 1, 1, 1, infer_unary, NULL},
    {"Less", 2, 2, 1, infer_compare, fold_compare},
    {"LessOrEqual", 2, 2, 1, infer_compare, NULL},
    {"Log", 1, 1, 1, infer_unary, NULL},
    {"LogSoftmax", 1, 1, 1, infer_unary, NULL},
    {"MatMul", 2, 2, 1, infer_matmul, NULL},
    {"Max", 1, ANY, 1, infer_arithmetic, fold_arithmetic},
    {"MaxPool", 1, 1, 2, infer_pool, NULL},
    {"Mean", 1, ANY, 1, infer_arithmetic, NULL},
    {"Min", 1, ANY, 1, infer_arithmetic, fold_arithmetic},
    {"Mish", 1, 1, 1, infer_unary, NULL},
    {"Mul", 2, 2, 1, infer_arithmetic, fold_arithmetic},
    {"Neg", 1, 1, 1, infer_unary, fold_unary},
    {"PRelu", 2, 2, 1, infer_unary, NULL},
    {"Pad", 1, 4, 1, infer_pad, NULL},
    {"Pow", 2, 2, 1, infer_arithmetic, NULL},
    {"Range", 3, 3, 1, infer_range, NULL},
    {"Reciprocal", 1, 1, 1, infer_unary, NULL},
    {"ReduceL1", 1, 2, 1, infer_reduce, NULL},
    {"ReduceL2", 1, 2, 1, infer_reduce, NULL},
    {"ReduceLogSum", 1, 2, 1, infer_reduce, NULL},
    {"ReduceMax", 1, 2, 1, infer_reduce, NULL},
    {"ReduceMean", 1, 2, 1, infer_reduce, NULL},
    {"ReduceMin", 1, 2, 1, infer_reduce, NULL},
    {"ReduceProd", 1, 2, 1, infer_reduce, fold_reduce},
    {"ReduceSum", 1, 2, 1, infer_reduce, fold_reduce},
    {"ReduceSumSquare", 1, 2, 1, infer_reduce, NULL},
    {"Relu", 1, 1, 1, infer_unary, NULL},
    {"Reshape", 2, 2, 1, infer_reshape, fold_same},
    {"Resize", 1, 4, 1, infer_resize, NULL},
    {"Selu", 1, 1, 1, infer_unary, NULL},
    {"Shape", 1, 1, 1, infer_shape, NULL},
    {"Sigmoid", 1, 1, 1, infer_unary, NULL},
    {"Size", 1, 1, 1, infer_size, NULL},
    {"Slice", 1, 5, 1, infer_slice, fold_slice},
    {"Softmax", 1, 1, 1, infer_unary, NULL},
    {"Softplus", 1, 1, 1, infer_unary, NULL},
    {"Softsign", 1, 1, 1, infer_unary, NULL},
    {"Split", 1, 2, ANY, infer_split, NULL},
    {"Sqrt", 1, 1, 1, infer_unary, fold_unary},
    {"Squeeze", 1, 2, 1, infer_squeeze, fold_same},
    {"Sub", 2, 2, 1, infer_arithmetic, fold_arithmetic},
    {"Sum", 1, ANY, 1, infer_arithmetic, NULL},
    {"Tanh", 1, 1, 1, infer_unary, NULL},
    {"ThresholdedRelu", 1, 1, 1, infer_unary, NULL},
    {"Tile", 2, 2, 1, infer_tile, NULL},
    {"Transpose", 1, 1, 1, infer_transpose, fold_transpose},
    {"Unsqueeze", 1, 2, 1, infer_unsqueeze, fold_same},
    {"Upsample", 1, 2, 1, infer_upsample, NULL},
    {"Where", 3, 3, 1, infer_where, fold_where},
};

static int compare_op(const void *key, const void *element) {
    return strcmp(key, ((const struct onnx_op *)element)->name);
}

const struct onnx_op *onnx_op_find(const struct onnx_node *node) {
    if (*node->domain) return NULL;
    return bsearch(node->op, ops, sizeof ops / sizeof *ops, sizeof *ops, compare_op);
}

struct deciding {
    const char *name;
    unsigned inputs; /* bits */
};

/* Sorted by name. */
static const struct deciding deciding[] = {
    {"Clip", 0x6},         {"ConstantOfShape", 0x1}, {"Dropout", 0x6},         {"Expand", 0x2},
    {"Pad", 0xE},          {"Range", 0x7},           {"ReduceL1", 0x2},        {"ReduceL2", 0x2},
    {"ReduceLogSum", 0x2}, {"ReduceMax", 0x2},       {"ReduceMean", 0x2},      {"ReduceMin", 0x2},
    {"ReduceProd", 0x2},   {"ReduceSum", 0x2},       {"ReduceSumSquare", 0x2}, {"Reshape", 0x2},
    {"Resize", 0xE},       {"Slice", 0x1E},          {"Split", 0x2},           {"Squeeze", 0x2},
    {"Tile", 0x2},         {"Unsqueeze", 0x2},       {"Upsample", 0x2},
};

static int compare_deciding(const void *key, const void *element) {
    return strcmp(key, ((const struct deciding *)element)->name);
}

unsigned onnx_op_deciding(const struct onnx_node *node) {
    if (*node->domain) return 0;
    const struct deciding *found = bsearch(node->op, deciding, sizeof deciding / sizeof *deciding,
                                           sizeof *deciding, compare_deciding);
    return found ? found->inputs : 0;
}

bool onnx_fold_supports(const struct onnx_model *model, const struct onnx_node *node) {
    (void)model;
    return onnx_op_find(node) != NULL;
}

void onnx_live_nodes(const struct onnx_model *model, const struct onnx_folded *folded, bool *live) {
    for (int i = 0; i < model->node_count; i++)
        live[i] = false;
    for (int i = 0; i < model->output_count; i++) {
        int value = model->outputs[i], node = model->values[value].node;
        if (node >= 0 && !(folded && folded->values[value].constant)) live[node] = true;
    }
    for (int i = model->node_count - 1; i >= 0; i--) {
        const struct onnx_node *node = &model->nodes[i];
        for (int j = 0; live[i] && j < node->input_count; j++) {
            int value = node->inputs[j], maker = value < 0 ? -1 : model->values[value].node;
            if (maker >= 0 && !(folded && folded->values[value].constant)) live[maker] = true;
        }
    }
}

/* ---------------------------------------------------------------- what is missing */

struct missing {
    const struct onnx_node *node;
    const char *name;
    int index;
};

static int compare_missing(const void *left, const void *right) {
    const struct missing *a = left, *b = right;
    int order = strcmp(a->node->domain, b->node->domain);
    if (!order) order = strcmp(a->node->op, b->node->op);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

static bool same_op(const struct missing *a, const struct missing *b) {
    return strcmp(a->node->domain, b->node->domain) == 0 && strcmp(a->node->op, b->node->op) == 0;
}

/* The nodes of list (count of them, sorted) that do not pass; NULL: no memory. */
static struct missing *find_missing(const struct onnx_model *model, onnx_supports *supports,
                                    int *count) {
    struct missing *list = calloc((size_t)model->node_count + 1, sizeof *list);
    bool *live = calloc((size_t)model->node_count + 1, sizeof *live);
    *count = 0;
    if (list && live) {
        onnx_live_nodes(model, NULL, live);
        for (int i = 0; i < model->node_count; i++) {
            const struct onnx_node *node = &model->nodes[i];
            if (!live[i] || supports(model, node)) continue;
            const char *name = node->name;
            for (int j = 0; !*name && j < node->output_count; j++)
                if (node->outputs[j] >= 0) name = model->values[node->outputs[j]].name;
            list[(*count)++] = (struct missing){node, name, i};
        }
        qsort(list, (size_t)*count, sizeof *list, compare_missing);
    }
    if (!live) {
        free(list);
        list = NULL;
    }
    free(live);
    return list;
}

/* Appends text if there is room for it and for some more; true if so. */
static bool add_text(char *to, size_t size, size_t *used, const char *before, const char *text) {
    char shown[SHOWN];
    printable(text, shown, sizeof shown);
    size_t more = strlen(before) + strlen(shown);
    if (*used + more + 1 > size) return false;
    snprintf(to + *used, size - *used, "%s%s", before, shown);
    *used += more;
    return true;
}

/* "Op (node, node), Op (node)", as far as size goes; true if all is there. */
static bool write_short(const struct missing *list, int count, char *to, size_t size) {
    size_t used = 0;
    bool room = true;
    *to = '\0';
    for (int i = 0; i < count && room; i++) {
        bool first = i == 0 || !same_op(&list[i - 1], &list[i]);
        bool last = i + 1 == count || !same_op(&list[i], &list[i + 1]);
        if (first && *list[i].node->domain)
            room = add_text(to, size, &used, i ? ", " : "", list[i].node->domain) &&
                   add_text(to, size, &used, ".", list[i].node->op);
        else if (first)
            room = add_text(to, size, &used, i ? ", " : "", list[i].node->op);
        room = room && add_text(to, size, &used, first ? " (" : ", ", list[i].name);
        if (room && last) room = add_text(to, size, &used, ")", "");
    }
    return room;
}

/* All of it, a line an operator; NULL: no memory. */
static char *write_long(const struct missing *list, int count) {
    size_t room = 1, used = 0;
    for (int i = 0; i < count; i++)
        room += 3 * SHOWN + 8;
    char *text = malloc(room);
    for (int i = 0; text && i < count; i++) {
        bool first = i == 0 || !same_op(&list[i - 1], &list[i]);
        if (first && *list[i].node->domain)
            (void)(add_text(text, room, &used, i ? "\n" : "", list[i].node->domain) &&
                   add_text(text, room, &used, ".", list[i].node->op));
        else if (first)
            (void)add_text(text, room, &used, i ? "\n" : "", list[i].node->op);
        (void)add_text(text, room, &used, first ? ": " : ", ", list[i].name);
    }
    return text;
}

tess_status onnx_check_operators(const struct onnx_model *model, onnx_supports *supports,
                                 tess_error *error, char **list) {
    int count = 0;
    struct missing *missing = find_missing(model, supports, &count);
    if (!missing)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to look at its operators; free some memory", model->path);
    tess_status status = TESS_OK;
    if (count) {
        char text[TEXT_MAX];
        bool all = write_short(missing, count, text, sizeof text);
        status = error_set(error, TESS_UNSUPPORTED,
                           "%s: %d node%s of operators that are not supported: %s%s; replace them "
                           "or export the model without them",
                           model->path, count, count == 1 ? "" : "s", text, all ? "" : " ...");
        if (list) *list = write_long(missing, count);
    }
    free(missing);
    return status;
}
