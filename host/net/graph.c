#include "net/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/layer.h"
#include "ops/activation.h"

tess_status tess_graph_create(const char *name, tess_error *error, tess_graph **out) {
    if (!name || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "graph: name and out must be given; pass both");
    size_t size = strlen(name) + 1;
    tess_graph *graph = calloc(1, sizeof *graph);
    char *copy = malloc(size);
    if (!graph || !copy) {
        free(copy);
        free(graph);
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "graph %s: no host memory; free some and try again", name);
    }
    memcpy(copy, name, size);
    graph->name = copy;
    *out = graph;
    return TESS_OK;
}

void tess_graph_destroy(tess_graph *graph) {
    if (!graph) return;
    for (int i = 0; i < graph->count; i++) {
        free(graph->layers[i].inputs);
        for (int k = 0; k < LAYER_PARAMS; k++)
            free(graph->layers[i].values[k]);
    }
    free(graph->layers);
    free(graph->name);
    free(graph);
}

/* ---------------------------------------------------------------- adding a layer */

static bool name_taken(const tess_graph *graph, const char *name) {
    for (int i = 0; i < graph->count; i++)
        if (strcmp(graph->layers[i].name, name) == 0) return true;
    return false;
}

/* The kind, and the first number from 1 on that makes it unique. */
static void default_name(const tess_graph *graph, enum layer_kind kind, char *name) {
    const struct layer_kind_info *info = &layer_kinds[kind];
    int number = 1;
    for (int i = 0; i < graph->count; i++)
        number += graph->layers[i].kind == kind;
    snprintf(name, LAYER_NAME_SIZE, "%s", info->name);
    if (!info->numbered && !name_taken(graph, name)) return;
    do
        snprintf(name, LAYER_NAME_SIZE, "%s%d", info->name, number++);
    while (name_taken(graph, name));
}

/* Names stand in files' headers and in error messages, and velocities are called "optimizer.velocity...". */
static tess_status set_name(tess_graph *graph, struct layer *layer, const char *name) {
    if (!name) {
        default_name(graph, layer->kind, layer->name);
        return TESS_OK;
    }
    size_t length = strlen(name);
    bool plain = length > 0 && length < LAYER_NAME_SIZE;
    for (size_t i = 0; i < length; i++)
        plain = plain && name[i] > ' ' && name[i] <= '~' && name[i] != '"' && name[i] != '\\';
    if (!plain || strncmp(name, "optimizer.", 10) == 0)
        return error_set(
            &graph->error, TESS_INVALID_ARGUMENT,
            "%s: a layer's name is 1 to %d printable ASCII characters, no space, quote "
            "or backslash, and does not begin with \"optimizer.\"; rename it",
            layer_kinds[layer->kind].name, LAYER_NAME_SIZE - 1);
    if (name_taken(graph, name))
        return error_set(&graph->error, TESS_INVALID_ARGUMENT,
                         "layer %s: the name is taken; give each layer its own", name);
    memcpy(layer->name, name, length + 1);
    return TESS_OK;
}

static tess_status set_inputs(tess_graph *graph, struct layer *layer, const tess_node *in,
                              int count) {
    for (int i = 0; i < count; i++) {
        if (in[i] < 0 || in[i] >= graph->count)
            return error_set(&graph->error, TESS_INVALID_ARGUMENT,
                             "layer %s: input %d is no node of this graph; pass what a building "
                             "function gave",
                             layer->name, i);
        const struct layer *input = &graph->layers[in[i]];
        if (layer_is_leaf(input))
            return error_set(&graph->error, TESS_INVALID_ARGUMENT,
                             "layer %s: follows %s, which nothing can follow; build on the layer "
                             "before it",
                             layer->name, input->name);
    }
    if (count == 0) return TESS_OK;
    layer->inputs = malloc((size_t)count * sizeof *layer->inputs);
    if (!layer->inputs)
        return error_set(&graph->error, TESS_OUT_OF_HOST_MEMORY,
                         "layer %s: no host memory; free some and try again", layer->name);
    memcpy(layer->inputs, in, (size_t)count * sizeof *in);
    layer->input_count = count;
    return TESS_OK;
}

static tess_status grow(tess_graph *graph) {
    if (graph->count < graph->capacity) return TESS_OK;
    int capacity = graph->capacity ? 2 * graph->capacity : 16;
    struct layer *layers = realloc(graph->layers, (size_t)capacity * sizeof *layers);
    if (!layers)
        return error_set(&graph->error, TESS_OUT_OF_HOST_MEMORY,
                         "graph %s: no host memory; free some and try again", graph->name);
    graph->layers = layers;
    graph->capacity = capacity;
    return TESS_OK;
}

/* What every kind has. */
static tess_status check_settings(tess_graph *graph, const struct layer *layer) {
    if ((unsigned)layer->act.kind >= ACTIVATION_COUNT || !(layer->act.alpha >= 0))
        return error_set(&graph->error, TESS_INVALID_ARGUMENT,
                         "layer %s: no such activation, or a negative alpha; correct it",
                         layer->name);
    if (layer->init < TESS_INIT_DEFAULT || layer->init > TESS_INIT_GAUSSIAN || !(layer->gain >= 0))
        return error_set(&graph->error, TESS_INVALID_ARGUMENT,
                         "layer %s: no such init, or a negative gain; correct it", layer->name);
    if (!isfinite(layer->init_bias))
        return error_set(&graph->error, TESS_INVALID_ARGUMENT,
                         "layer %s: initial biases of %g; give a finite number", layer->name,
                         (double)layer->init_bias);
    return TESS_OK;
}

tess_node graph_add_layer(tess_graph *graph, struct layer layer, const char *name,
                          const tess_node *in, int count) {
    const struct layer_kind_info *kind = &layer_kinds[layer.kind];
    if (set_name(graph, &layer, name) || set_inputs(graph, &layer, in, count))
        return TESS_NODE_NONE;
    if (grow(graph)) goto fail;
    if (check_settings(graph, &layer)) goto fail;
    tess_status status = kind->shape(graph, &layer, &graph->error);
    if (status) {
        error_prefix(&graph->error, status, "layer %s", layer.name);
        goto fail;
    }
    if (kind->describe) kind->describe(&layer, layer.detail);
    for (int i = 0; i < count; i++) {
        graph->layers[in[i]].consumers++;
        graph->layers[in[i]].last_consumer = graph->count;
    }
    graph->layers[graph->count] = layer;
    return graph->count++;
fail:
    free(layer.inputs);
    return TESS_NODE_NONE;
}

bool graph_ready(tess_graph *graph, const void *settings, enum layer_kind kind) {
    if (!graph || graph->error.status) return false;
    if (!settings)
        error_set(&graph->error, TESS_INVALID_ARGUMENT, "%s: no description; pass one",
                  layer_kinds[kind].name);
    return settings != NULL;
}

static int or_default(int value, int standard) {
    return value == 0 ? standard : value;
}

/* ---------------------------------------------------------------- building functions */

tess_node tess_graph_input(tess_graph *graph, int c, int h, int w) {
    if (!graph_ready(graph, graph, LAYER_INPUT)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_INPUT, .c = c, .h = h, .w = w}, NULL,
                           NULL, 0);
}

bool graph_pads_fit(tess_graph *graph, const char *name, const int pads[5]) {
    for (int i = 0; i < 5; i++) {
        if (pads[i] >= 0 && pads[i] <= 1 << 20) continue;
        error_set(&graph->error, TESS_INVALID_SHAPE,
                  "layer %s: padding %d; it must be at least 0 and at most 2^20", name, pads[i]);
        return false;
    }
    return true;
}

tess_node tess_graph_conv(tess_graph *graph, tess_node in, const tess_conv_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_CONV)) return TESS_NODE_NONE;
    const int pads[] = {layer->pad, layer->pad_top, layer->pad_bottom, layer->pad_left,
                        layer->pad_right};
    if (!graph_pads_fit(graph, layer->name ? layer->name : "conv", pads)) return TESS_NODE_NONE;
    int u = or_default(layer->stride_h, 1), d = or_default(layer->dilation_h, 1);
    struct layer conv = {.kind = LAYER_CONV,
                         .act = layer->act,
                         .bias = !layer->no_bias,
                         .init = layer->init,
                         .gain = layer->init_gain,
                         .init_bias = layer->init_bias,
                         .as.conv = {.dtype = TESS_F32,
                                     .layout = TESS_NHWC,
                                     .k = layer->filters,
                                     .r = layer->kernel_h,
                                     .s = or_default(layer->kernel_w, layer->kernel_h),
                                     .stride_h = u,
                                     .stride_w = or_default(layer->stride_w, u),
                                     .pad_top = layer->pad + layer->pad_top,
                                     .pad_bottom = layer->pad + layer->pad_bottom,
                                     .pad_left = layer->pad + layer->pad_left,
                                     .pad_right = layer->pad + layer->pad_right,
                                     .dilation_h = d,
                                     .dilation_w = or_default(layer->dilation_w, d),
                                     .groups = or_default(layer->groups, 1)}};
    return graph_add_layer(graph, conv, layer->name, &in, 1);
}

tess_node tess_graph_pool(tess_graph *graph, tess_node in, const tess_pool_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_POOL)) return TESS_NODE_NONE;
    const int pads[] = {layer->pad, layer->pad_top, layer->pad_bottom, layer->pad_left,
                        layer->pad_right};
    if (!graph_pads_fit(graph, layer->name ? layer->name : "pool", pads)) return TESS_NODE_NONE;
    int r = layer->window_h, s = or_default(layer->window_w, r);
    int u = or_default(layer->stride_h, r);
    struct layer pool = {
        .kind = LAYER_POOL,
        .act = layer->act,
        .as.pool = {.mode = layer->mode,
                    .r = r,
                    .s = s,
                    .stride_h = u,
                    .stride_w = or_default(layer->stride_w, layer->stride_h ? u : s),
                    .pad_top = layer->pad + layer->pad_top,
                    .pad_bottom = layer->pad + layer->pad_bottom,
                    .pad_left = layer->pad + layer->pad_left,
                    .pad_right = layer->pad + layer->pad_right,
                    .ceil_mode = layer->ceil_mode,
                    .global = layer->global}};
    return graph_add_layer(graph, pool, layer->name, &in, 1);
}

tess_node tess_graph_fc(tess_graph *graph, tess_node in, const tess_fc_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_FC)) return TESS_NODE_NONE;
    struct layer fc = {.kind = LAYER_FC,
                       .act = layer->act,
                       .bias = !layer->no_bias,
                       .init = layer->init,
                       .init_bias = layer->init_bias,
                       .as.fc.outputs = layer->outputs};
    return graph_add_layer(graph, fc, layer->name, &in, 1);
}

tess_node tess_graph_batch_norm(tess_graph *graph, tess_node in,
                                const tess_batch_norm_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_BATCH_NORM)) return TESS_NODE_NONE;
    struct layer norm = {.kind = LAYER_BATCH_NORM,
                         .act = layer->act,
                         .as.norm = {.eps = layer->eps != 0 ? layer->eps : 1e-5f,
                                     .momentum = layer->momentum != 0 ? layer->momentum : 0.1f}};
    return graph_add_layer(graph, norm, layer->name, &in, 1);
}

tess_node tess_graph_lrn(tess_graph *graph, tess_node in, const tess_lrn_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_LRN)) return TESS_NODE_NONE;
    struct layer lrn = {.kind = LAYER_LRN,
                        .as.lrn = {.size = or_default(layer->size, 5),
                                   .alpha = layer->alpha != 0 ? layer->alpha : 1e-4f,
                                   .beta = layer->beta != 0 ? layer->beta : 0.75f,
                                   .k = layer->k != 0 ? layer->k : 1}};
    return graph_add_layer(graph, lrn, layer->name, &in, 1);
}

tess_node tess_graph_activation(tess_graph *graph, tess_node in, const char *name, tess_act act) {
    if (!graph_ready(graph, graph, LAYER_ACTIVATION)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_ACTIVATION, .act = act}, name, &in,
                           1);
}

tess_node tess_graph_add(tess_graph *graph, tess_node a, tess_node b, const char *name,
                         tess_act act) {
    if (!graph_ready(graph, graph, LAYER_ADD)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_ADD, .act = act}, name,
                           (const tess_node[]){a, b}, 2);
}

tess_node tess_graph_concat(tess_graph *graph, const tess_node *parts, int count,
                            const char *name) {
    if (!graph_ready(graph, parts, LAYER_CONCAT)) return TESS_NODE_NONE;
    if (count < 1) {
        error_set(&graph->error, TESS_INVALID_ARGUMENT, "layer %s: no parts; pass at least one",
                  name ? name : "concat");
        return TESS_NODE_NONE;
    }
    return graph_add_layer(graph, (struct layer){.kind = LAYER_CONCAT}, name, parts, count);
}

tess_node tess_graph_dropout(tess_graph *graph, tess_node in, const char *name, float rate) {
    if (!graph_ready(graph, graph, LAYER_DROPOUT)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_DROPOUT, .as.rate = rate}, name, &in,
                           1);
}

tess_node tess_graph_auxiliary(tess_graph *graph, tess_node in, const char *name, float weight) {
    if (!graph_ready(graph, graph, LAYER_AUXILIARY)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_AUXILIARY, .as.weight = weight},
                           name, &in, 1);
}

tess_node tess_graph_softmax(tess_graph *graph, tess_node in) {
    if (!graph_ready(graph, graph, LAYER_SOFTMAX)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_SOFTMAX, .as.weight = 1}, NULL, &in,
                           1);
}

/* ---------------------------------------------------------------- questions */

int graph_classes(const struct tess_graph *graph) {
    int classes = 0;
    for (int i = 0; i < graph->count; i++) {
        const struct layer *layer = &graph->layers[i];
        if (layer->kind == LAYER_SOFTMAX) return layer->c;
        if (layer->kind == LAYER_AUXILIARY && classes == 0) classes = layer->c;
    }
    return classes;
}

tess_status tess_graph_check(const tess_graph *graph, tess_error *error) {
    if (!graph) return error_set(error, TESS_INVALID_ARGUMENT, "graph: NULL; pass a graph");
    if (graph->error.status) {
        if (error) *error = graph->error;
        return graph->error.status;
    }
    int last = graph->count - 1;
    if (last < 0)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "graph %s: has no input; begin with tess_graph_input", graph->name);
    if (!layer_kinds[graph->layers[last].kind].end)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "graph %s: has no end; end it with tess_graph_softmax, tess_graph_mse or "
                         "tess_graph_output",
                         graph->name);
    int classes = graph_classes(graph);
    for (int i = 0; i < last; i++) {
        const struct layer *layer = &graph->layers[i];
        if (layer->kind == LAYER_AUXILIARY && layer->c != classes)
            return error_set(error, TESS_INVALID_SHAPE,
                             "layer %s: has %d classes, another classifier %d; give both the same",
                             layer->name, layer->c, classes);
        if (layer->kind == LAYER_SOFTMAX || layer->kind == LAYER_OUTPUT)
            return error_set(error, TESS_INVALID_ARGUMENT,
                             "layer %s: ends the graph, but layers come after it; build it last",
                             layer->name);
        if (layer->consumers == 0 && !layer_is_leaf(layer))
            return error_set(error, TESS_INVALID_ARGUMENT,
                             "layer %s: nothing reads its output; use it or leave it out",
                             layer->name);
    }
    return TESS_OK;
}

const char *tess_graph_name(const tess_graph *graph) {
    return graph ? graph->name : "";
}

int tess_graph_layer_count(const tess_graph *graph) {
    return graph ? graph->count : 0;
}

tess_layer_info tess_graph_layer_info(const tess_graph *graph, int index) {
    tess_layer_info info = {0};
    if (!graph || index < 0 || index >= graph->count) return info;
    const struct layer *layer = &graph->layers[index];
    const struct layer_kind_info *kind = &layer_kinds[layer->kind];
    struct param_spec specs[LAYER_PARAMS];
    int count = layer_params(layer, specs);
    info =
        (tess_layer_info){.name = layer->name,
                          .kind = kind->name,
                          .c = layer->c,
                          .h = layer->h,
                          .w = layer->w,
                          .neurons = (uint64_t)layer->c * (uint64_t)layer->h * (uint64_t)layer->w,
                          .flops = kind->flops ? kind->flops(layer) : 0};
    memcpy(info.detail, layer->detail, sizeof info.detail);
    for (int i = 0; i < count; i++) {
        if (specs[i].state) continue;
        uint64_t size = tess_tensor_desc_elements(&specs[i].desc);
        info.parameters += size;
        if (specs[i].start == START_WEIGHTS) info.weights += size;
    }
    return info;
}
