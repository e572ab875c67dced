/* What the converters of single nodes share: obstacles, values, names, parameters. */
#include "net/onnx/graph_import.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_error.h"

#define SHOWN 64 /* size of a name in a message */

/* ---------------------------------------------------------------- obstacles */

static const char *node_name(const struct import *im, const struct onnx_node *node) {
    if (*node->name) return node->name;
    return node->outputs[0] >= 0 ? im->model->values[node->outputs[0]].name : "";
}

static void add_line(struct import *im, const char *line) {
    size_t more = strlen(line) + 1;
    char *text = realloc(im->obstacles, im->obstacle_bytes + more + 1);
    if (!text) {
        im->no_memory = true;
        return;
    }
    im->obstacles = text;
    snprintf(text + im->obstacle_bytes, more + 1, "%s%s", im->obstacle_bytes ? "\n" : "", line);
    im->obstacle_bytes += strlen(text + im->obstacle_bytes);
    im->obstacle_count++;
}

tess_status import_obstacle(struct import *im, const char *format, ...) {
    char line[512], shown[SHOWN], op[SHOWN];
    int used = snprintf(line, sizeof line,
                        "node '%s' (%s): ", printable(node_name(im, im->node), shown, sizeof shown),
                        printable(im->node->op, op, sizeof op));
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    add_line(im, line);
    if (im->node->output_count > 0 && im->node->outputs[0] >= 0) import_set(im, 0);
    return TESS_OK;
}

/* ---------------------------------------------------------------- what converters ask and say */

static const struct onnx_known *known_input(const struct import *im, int i) {
    bool there = i < im->node->input_count && im->node->inputs[i] >= 0;
    return there ? &im->folded->values[im->node->inputs[i]] : NULL;
}

bool import_is_constant(const struct import *im, int i) {
    const struct onnx_known *known = known_input(im, i);
    return known && known->constant;
}

const float *import_floats(const struct import *im, int i) {
    const struct onnx_known *known = known_input(im, i);
    return known && known->constant && known->dtype == ONNX_FLOAT ? known->constant->data : NULL;
}

const struct import_value *import_data(struct import *im, int i) {
    const struct onnx_known *known = known_input(im, i);
    const char *why = NULL;
    if (!known || known->constant)
        why = "takes a constant where a layer takes images";
    else if (!im->values[im->node->inputs[i]].set)
        why = "reads what no layer makes";
    else if (im->values[im->node->inputs[i]].probabilities)
        why = "follows a softmax, after which only changes of shape may come";
    else if (im->values[im->node->inputs[i]].padded && strcmp(im->node->op, "Conv") != 0)
        why = "follows zero padding, which only a convolution may";
    if (!why) return &im->values[im->node->inputs[i]];
    import_obstacle(im, "%s", why);
    return NULL;
}

bool import_adds(const struct import *im) {
    return im->obstacle_count == 0;
}

void import_set(struct import *im, int layer) {
    int output = im->node->outputs[0];
    const struct onnx_known *known = &im->folded->values[output];
    bool image = known->rank == 4;
    im->values[output] = (struct import_value){
        .set = true,
        .reader = im->values[output].reader,
        .layer = import_adds(im) ? layer : 0,
        .c = known->rank > 1 ? (int)known->dims[1] : 1,
        .h = image ? (int)known->dims[2] : 1,
        .w = image ? (int)known->dims[3] : 1,
        .sole = im->readers[output] == 1,
    };
}

void import_set_like(struct import *im, int layer, struct import_value x) {
    import_set(im, layer);
    struct import_value *y = &im->values[im->node->outputs[0]];
    y->c = x.c;
    y->h = x.h;
    y->w = x.w;
}

void import_alias(struct import *im, const struct import_value *value) {
    int output = im->node->outputs[0];
    const struct onnx_node *reader = im->values[output].reader;
    im->values[output] = *value;
    im->values[output].reader = reader;
    im->values[output].sole = value->sole && im->readers[output] == 1;
}

tess_status import_added(struct import *im, tess_node layer, const struct import_value *like) {
    if (layer == TESS_NODE_NONE)
        return onnx_node_fail(im->model, im->node, im->error, im->graph->error.status, "%s",
                              im->graph->error.text);
    if (im->node == im->classifier) im->classifier_layer = layer;
    if (like)
        import_set_like(im, layer, *like);
    else
        import_set(im, layer);
    const struct layer *made = &im->graph->layers[layer];
    const struct import_value *y = &im->values[im->node->outputs[0]];
    bool same = made->h == y->h && made->w == y->w;
    if (same && (made->c == y->c || im->classifier_layer >= 0)) return TESS_OK;
    return import_obstacle(im, "gives %dx%dx%d, its layer %dx%dx%d", y->c, y->h, y->w, made->c,
                           made->h, made->w);
}

/* ---------------------------------------------------------------- names */

static bool name_taken(const tess_graph *graph, const char *name) {
    for (int i = 0; i < graph->count; i++)
        if (strcmp(graph->layers[i].name, name) == 0) return true;
    return false;
}

/* The text without the ending, if it has it and more. */
static bool without_ending(const char *text, const char *ending, size_t *length) {
    size_t whole = strlen(text), end = strlen(ending);
    if (whole <= end || strcmp(text + whole - end, ending) != 0) return false;
    *length = whole - end;
    return true;
}

/* PyTorch calls nodes "/layer1/conv1/Conv", and weights "layer1.conv1.weight". */
static const char *telling_part(const struct import *im, int weight, size_t *length) {
    char ending[SHOWN];
    const char *text = "";
    if (weight >= 0) text = im->model->values[im->node->inputs[weight]].name;
    if (without_ending(text, ".weight", length) || without_ending(text, ".scale", length))
        return text;
    text = node_name(im, im->node);
    if (*text == '/') text++;
    snprintf(ending, sizeof ending, "/%s", im->node->op);
    if (!without_ending(text, ending, length)) *length = strlen(text);
    return text;
}

const char *import_name(const struct import *im, int weight, char name[LAYER_NAME_SIZE]) {
    size_t length, room = LAYER_NAME_SIZE - 8; /* for a number */
    const char *text = telling_part(im, weight, &length);
    if (length > room) {
        text += length - room;
        length = room;
    }
    if (length == 0 || strncmp(text, "optimizer.", 10) == 0) return NULL;
    for (size_t i = 0; i < length; i++) {
        bool plain = isgraph((unsigned char)text[i]) && text[i] != '"' && text[i] != '\\';
        name[i] = plain ? text[i] : '_';
    }
    name[length] = '\0';
    if (name_taken(im->graph, name))
        snprintf(name + length, LAYER_NAME_SIZE - length, "_%d", im->graph->count);
    return name_taken(im->graph, name) ? NULL : name;
}

/* ---------------------------------------------------------------- parameters */

tess_status import_parameter(struct import *im, int layer, int k, const float *data, int64_t count,
                             float scale, int64_t rows_count) {
    int64_t bytes = count * (int64_t)sizeof(float);
    float *copy = bytes <= im->bytes_left ? malloc((size_t)bytes + 1) : NULL;
    if (bytes > im->bytes_left)
        return onnx_node_fail(im->model, im->node, im->error, TESS_UNSUPPORTED,
                              "shares its weights with too many others; export the model again");
    if (!copy)
        return onnx_node_fail(im->model, im->node, im->error, TESS_OUT_OF_HOST_MEMORY,
                              "no memory for its weights; free some");
    im->bytes_left -= bytes;
    int64_t columns = rows_count > 0 ? count / rows_count : 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t from = rows_count > 0 ? i % rows_count * columns + i / rows_count : i;
        copy[i] = scale * data[from];
    }
    free(im->graph->layers[layer].values[k]);
    im->graph->layers[layer].values[k] = copy;
    return TESS_OK;
}

void import_describe(struct import *im, int layer) {
    struct layer *l = &im->graph->layers[layer];
    l->detail[0] = '\0';
    if (layer_kinds[l->kind].describe) layer_kinds[l->kind].describe(l, l->detail);
}
