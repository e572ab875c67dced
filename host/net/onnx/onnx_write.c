#include "net/onnx/onnx_write.h"

#include "net/onnx/onnx_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYER_NODES   5 /* at most; likewise the next */
#define LAYER_TENSORS 6

static bool is_pool(const struct layer *layer, tess_pool_mode mode) {
    return layer->kind == LAYER_POOL && layer->as.pool.mode == mode;
}

/* ---------------------------------------------------------------- parameters */

tess_status writer_parameter(struct writer *w, const struct layer *layer,
                             const struct param_spec *spec, int rank, const int64_t *dims,
                             char **out) {
    const tess_tensor_desc *d = &spec->desc;
    const int64_t own[4] = {d->n, d->c, d->h, d->w},
                  matrix[2] = {d->n, (int64_t)d->c * d->h * d->w}, vector[1] = {d->c};
    const int64_t *shape = spec->rank == 4 ? own : spec->rank == 2 ? matrix : vector;
    char *name = onnx_proto_text(&w->proto, "%s.%s", layer->name, spec->suffix);
    const struct safetensor *tensor = name ? safetensors_find(w->weights, name) : NULL;
    if (!name) return TESS_OK; /* told at the end */
    if (!tensor || tensor->rank != spec->rank ||
        memcmp(tensor->shape, shape, (size_t)spec->rank * sizeof *shape) != 0)
        return error_set(
            w->error, TESS_BAD_FORMAT, "%s: parameter %s %s; use weights of network %s", w->path,
            name, tensor ? "has another shape than the network's" : "is missing", w->graph->name);
    *out = onnx_proto_floats(&w->proto, name, dims ? rank : spec->rank, dims ? dims : shape,
                             tensor->data);
    return TESS_OK;
}

tess_status writer_parameters(struct writer *w, const struct layer *layer,
                              char *out[LAYER_PARAMS]) {
    struct param_spec specs[LAYER_PARAMS];
    int count = layer_params(layer, specs);
    tess_status status = TESS_OK;
    for (int i = 0; i < LAYER_PARAMS; i++)
        out[i] = NULL;
    for (int i = 0; i < count && !status; i++)
        status = writer_parameter(w, layer, &specs[i], 0, NULL, &out[i]);
    return status;
}

/* ---------------------------------------------------------------- nodes */

static Onnx__NodeProto *node1(struct writer *w, const char *op, char *output, char *input) {
    return onnx_proto_node(&w->proto, op, output, (char *const[]){input}, 1);
}

char *writer_input(struct writer *w, int index, int i, bool flat) {
    const struct layer *layer = &w->graph->layers[index];
    int from = layer->inputs[i];
    char *value = w->values[from];
    if (w->flat[from] == flat) return value;
    char *name = onnx_proto_text(&w->proto, "%s/input%d", layer->name, i);
    if (flat) {
        onnx_proto_attr_int(&w->proto, node1(w, "Flatten", name, value), "axis", 1);
    } else {
        char *axes =
            onnx_proto_ints(&w->proto, onnx_proto_text(&w->proto, "%s/axes%d", layer->name, i), 2,
                            (const int64_t[]){2, 3});
        onnx_proto_node(&w->proto, "Unsqueeze", name, (char *const[]){value, axes}, 2);
    }
    return name;
}

/* Where a layer's own node puts its output: an activation may still follow. */
static char *before_act(struct writer *w, const struct layer *layer) {
    bool follows = layer->act.kind != TESS_ACT_NONE && layer->kind != LAYER_ACTIVATION;
    return onnx_proto_text(&w->proto, follows ? "%s/linear" : "%s", layer->name);
}

static tess_status write_act(struct writer *w, const struct layer *layer, char *from) {
    static const char *const ops[] = {
        [TESS_ACT_NONE] = "Identity",
        [TESS_ACT_RELU] = "Relu",
        [TESS_ACT_LEAKY_RELU] = "LeakyRelu",
        [TESS_ACT_ELU] = "Elu",
        [TESS_ACT_SIGMOID] = "Sigmoid",
        [TESS_ACT_TANH] = "Tanh",
        [TESS_ACT_CLIPPED_RELU] = "Clip",
        [TESS_ACT_SELU] = "Selu",
        [TESS_ACT_HARD_SIGMOID] = "HardSigmoid",
    };
    static const float standard[] = {
        [TESS_ACT_LEAKY_RELU] = 0.01f, [TESS_ACT_ELU] = 1.0f, [TESS_ACT_CLIPPED_RELU] = 6.0f};
    struct onnx_proto *proto = &w->proto;
    tess_activation kind = layer->act.kind;
    if ((size_t)kind >= sizeof ops / sizeof *ops)
        return error_set(w->error, TESS_UNSUPPORTED,
                         "%s: the activation of layer %s has no form in operator set %d; use "
                         "another",
                         w->path, layer->name, ONNX_WRITE_OPSET);
    bool has_alpha =
        kind == TESS_ACT_LEAKY_RELU || kind == TESS_ACT_ELU || kind == TESS_ACT_CLIPPED_RELU;
    float alpha = has_alpha && layer->act.alpha == 0 ? standard[kind] : layer->act.alpha;
    char *least = NULL, *most = NULL;
    if (kind == TESS_ACT_CLIPPED_RELU) {
        least = onnx_proto_float(proto, onnx_proto_text(proto, "%s/min", layer->name), 0.0f);
        most = onnx_proto_float(proto, onnx_proto_text(proto, "%s/max", layer->name), alpha);
    }
    Onnx__NodeProto *node =
        onnx_proto_node(proto, ops[kind], onnx_proto_text(proto, "%s", layer->name),
                        (char *const[]){from, least, most}, 3);
    if (kind == TESS_ACT_HARD_SIGMOID) {
        onnx_proto_attr_float(proto, node, "alpha", 1.0f / 6);
        onnx_proto_attr_float(proto, node, "beta", 0.5f);
    } else if (has_alpha && kind != TESS_ACT_CLIPPED_RELU) {
        onnx_proto_attr_float(proto, node, "alpha", alpha);
    }
    return TESS_OK;
}

void writer_window(struct writer *w, Onnx__NodeProto *node, const int64_t *kernel,
                   const int64_t *strides, const int64_t *pads) {
    onnx_proto_attr_ints(&w->proto, node, "kernel_shape", 2, kernel);
    onnx_proto_attr_ints(&w->proto, node, "strides", 2, strides);
    onnx_proto_attr_ints(&w->proto, node, "pads", 4, pads);
}

/* Mirror padding is an operator of its own. Gives its output. */
static char *write_mirror(struct writer *w, const struct layer *layer, char *x) {
    const tess_conv_desc *d = &layer->as.conv;
    const int64_t pads[8] = {0, 0, d->pad_top, d->pad_left, 0, 0, d->pad_bottom, d->pad_right};
    char *name = onnx_proto_text(&w->proto, "%s/padded", layer->name);
    char *list =
        onnx_proto_ints(&w->proto, onnx_proto_text(&w->proto, "%s/pads", layer->name), 8, pads);
    onnx_proto_attr_string(&w->proto,
                           onnx_proto_node(&w->proto, "Pad", name, (char *const[]){x, list}, 2),
                           "mode", "reflect");
    return name;
}

static tess_status write_conv(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    const tess_conv_desc *d = &layer->as.conv;
    char *params[LAYER_PARAMS], *x = writer_input(w, index, 0, false);
    tess_status status = writer_parameters(w, layer, params);
    if (status) return status;
    bool mirror = d->pad_mode == TESS_PAD_MIRROR;
    if (mirror) x = write_mirror(w, layer, x);
    Onnx__NodeProto *node =
        onnx_proto_node(&w->proto, "Conv", output, (char *const[]){x, params[0], params[1]}, 3);
    const int64_t none[4] = {0}, pads[4] = {d->pad_top, d->pad_left, d->pad_bottom, d->pad_right};
    writer_window(w, node, (const int64_t[]){d->r, d->s},
                  (const int64_t[]){d->stride_h, d->stride_w}, mirror ? none : pads);
    onnx_proto_attr_ints(&w->proto, node, "dilations", 2,
                         (const int64_t[]){d->dilation_h, d->dilation_w});
    onnx_proto_attr_int(&w->proto, node, "group", d->groups);
    return TESS_OK;
}

static void write_window_pool(struct writer *w, const struct layer *layer, char *x, char *output) {
    const tess_pool_desc *d = &layer->as.pool;
    bool max = d->mode == TESS_POOL_MAX;
    if (d->global) {
        node1(w, max ? "GlobalMaxPool" : "GlobalAveragePool", output, x);
        return;
    }
    Onnx__NodeProto *node = node1(w, max ? "MaxPool" : "AveragePool", output, x);
    writer_window(
        w, node, (const int64_t[]){d->r, d->s},
        (const int64_t[]){d->stride_h ? d->stride_h : d->r, d->stride_w ? d->stride_w : d->s},
        (const int64_t[]){d->pad_top, d->pad_left, d->pad_bottom, d->pad_right});
    onnx_proto_attr_int(&w->proto, node, "ceil_mode", d->ceil_mode);
    if (!max)
        onnx_proto_attr_int(&w->proto, node, "count_include_pad",
                            d->mode == TESS_POOL_AVG_WITH_PAD);
}

/* Weighted pooling is average pooling, times a scale and plus a bias a channel. */
static tess_status write_pool(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    char *x = writer_input(w, index, 0, false);
    if (!is_pool(layer, TESS_POOL_WEIGHTED)) {
        write_window_pool(w, layer, x, output);
        return TESS_OK;
    }
    struct param_spec specs[LAYER_PARAMS];
    const int64_t dims[3] = {layer->c, 1, 1};
    char *params[2] = {NULL, NULL};
    layer_params(layer, specs);
    for (int i = 0; i < 2; i++) {
        tess_status status = writer_parameter(w, layer, &specs[i], 3, dims, &params[i]);
        if (status) return status;
    }
    char *average = onnx_proto_text(&w->proto, "%s/average", layer->name);
    char *scaled = onnx_proto_text(&w->proto, "%s/scaled", layer->name);
    write_window_pool(w, layer, x, average);
    onnx_proto_node(&w->proto, "Mul", scaled, (char *const[]){average, params[0]}, 2);
    onnx_proto_node(&w->proto, "Add", output, (char *const[]){scaled, params[1]}, 2);
    return TESS_OK;
}

static tess_status write_fc(struct writer *w, int index, char *output) {
    char *params[LAYER_PARAMS], *x = writer_input(w, index, 0, true);
    tess_status status = writer_parameters(w, &w->graph->layers[index], params);
    if (status) return status;
    Onnx__NodeProto *node =
        onnx_proto_node(&w->proto, "Gemm", output, (char *const[]){x, params[0], params[1]}, 3);
    onnx_proto_attr_int(&w->proto, node, "transB", 1);
    return TESS_OK;
}

static tess_status write_batch_norm(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    char *p[LAYER_PARAMS], *x = w->values[layer->inputs[0]];
    tess_status status = writer_parameters(w, layer, p);
    if (status) return status;
    Onnx__NodeProto *node = onnx_proto_node(&w->proto, "BatchNormalization", output,
                                            (char *const[]){x, p[0], p[1], p[2], p[3]}, 5);
    onnx_proto_attr_float(&w->proto, node, "epsilon", layer->as.norm.eps);
    /* ONNX weighs the old value, we the new one. */
    onnx_proto_attr_float(&w->proto, node, "momentum", 1.0f - layer->as.norm.momentum);
    return TESS_OK;
}

static void write_lrn(struct writer *w, int index, char *output) {
    const tess_lrn_desc *lrn = &w->graph->layers[index].as.lrn;
    Onnx__NodeProto *node = node1(w, "LRN", output, w->values[w->graph->layers[index].inputs[0]]);
    onnx_proto_attr_int(&w->proto, node, "size", lrn->size);
    onnx_proto_attr_float(&w->proto, node, "alpha", lrn->alpha);
    onnx_proto_attr_float(&w->proto, node, "beta", lrn->beta);
    onnx_proto_attr_float(&w->proto, node, "bias", lrn->k);
}

/* Add, Concat. */
static void write_joint(struct writer *w, int index, const char *op, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    bool flat = w->flat[index];
    char **inputs = calloc((size_t)layer->input_count, sizeof *inputs);
    if (!inputs) {
        w->proto.no_memory = true;
        return;
    }
    for (int i = 0; i < layer->input_count; i++)
        inputs[i] = writer_input(w, index, i, flat);
    Onnx__NodeProto *node =
        onnx_proto_node(&w->proto, op, output, inputs, (size_t)layer->input_count);
    if (layer->kind == LAYER_CONCAT) onnx_proto_attr_int(&w->proto, node, "axis", 1);
    free(inputs);
}

/* Dropout does nothing in inference; its rate is kept for those who train on. */
static void write_dropout(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    char *rate = onnx_proto_float(&w->proto, onnx_proto_text(&w->proto, "%s/rate", layer->name),
                                  layer->as.rate);
    onnx_proto_node(&w->proto, "Dropout", output,
                    (char *const[]){w->values[layer->inputs[0]], rate}, 2);
}

static tess_status write_layer(struct writer *w, int index) {
    const struct layer *layer = &w->graph->layers[index];
    char *output = before_act(w, layer);
    tess_status status = TESS_OK;
    switch (layer->kind) {
    case LAYER_INPUT:
        onnx_proto_input(&w->proto, output, 3, (const int[]){layer->c, layer->h, layer->w});
        return TESS_OK;
    case LAYER_CONV:
        status = write_conv(w, index, output);
        break;
    case LAYER_POOL:
        status = write_pool(w, index, output);
        break;
    case LAYER_FC:
        status = write_fc(w, index, output);
        break;
    case LAYER_BATCH_NORM:
        status = write_batch_norm(w, index, output);
        break;
    case LAYER_LRN:
        write_lrn(w, index, output);
        break;
    case LAYER_ADD:
        write_joint(w, index, "Add", output);
        break;
    case LAYER_CONCAT:
        write_joint(w, index, "Concat", output);
        break;
    case LAYER_DROPOUT:
        write_dropout(w, index, output);
        break;
    case LAYER_ACTIVATION:
        return write_act(w, layer, w->values[layer->inputs[0]]);
    case LAYER_AUXILIARY:
    case LAYER_SOFTMAX:
        onnx_proto_attr_int(&w->proto, node1(w, "Softmax", output, writer_input(w, index, 0, true)),
                            "axis", 1);
        onnx_proto_output(&w->proto, output, 1, &layer->c);
        return TESS_OK;
    case LAYER_MSE:
    case LAYER_OUTPUT:
        node1(w, "Identity", output, w->values[layer->inputs[0]]);
        onnx_proto_output(&w->proto, output, w->flat[index] ? 1 : 3,
                          (const int[]){layer->c, layer->h, layer->w});
        return TESS_OK;
    default:
        status = writer_other_layer(w, index, output);
        break;
    }
    return status || layer->act.kind == TESS_ACT_NONE ? status : write_act(w, layer, output);
}

/* ---------------------------------------------------------------- the whole */

/* Its output is N x C x H x W whatever its inputs are. */
static bool is_spatial(const struct layer *layer) {
    switch (layer->kind) {
    case LAYER_INPUT:
    case LAYER_CONV:
    case LAYER_POOL:
    case LAYER_CONV_TRANSPOSE:
    case LAYER_UPSAMPLE:
    case LAYER_PAD:
    case LAYER_REDUCE:
    case LAYER_RESHAPE:
    case LAYER_TRANSPOSE:
        return true;
    default:
        return layer->h > 1 || layer->w > 1;
    }
}

static bool is_loss(const struct layer *layer) {
    return layer->kind == LAYER_AUXILIARY || layer->kind == LAYER_MSE;
}

/* Which layers the outputs depend on, and which outputs are N x C. */
static void plan_layers(const struct writer *w, bool *live) {
    const struct tess_graph *graph = w->graph;
    for (int i = graph->count - 1; i >= 0; i--) {
        live[i] = live[i] || i == graph->count - 1 || (w->losses && is_loss(&graph->layers[i]));
        for (int j = 0; live[i] && j < graph->layers[i].input_count; j++)
            live[graph->layers[i].inputs[j]] = true;
    }
    for (int i = 0; i < graph->count; i++) {
        const struct layer *layer = &graph->layers[i];
        bool spatial = is_spatial(layer);
        w->flat[i] = layer->kind == LAYER_FC || layer->kind == LAYER_SOFTMAX ||
                     layer->kind == LAYER_AUXILIARY;
        for (int j = 0; !spatial && j < layer->input_count; j++)
            w->flat[i] = w->flat[i] || w->flat[layer->inputs[j]];
    }
}

static tess_status write_layers(struct writer *w, const bool *live) {
    const struct tess_graph *graph = w->graph;
    if (w->proto.graph) w->proto.graph->name = onnx_proto_text(&w->proto, "%s", graph->name);
    for (int i = 0; i < graph->count; i++) {
        if (!live[i]) continue;
        w->values[i] = graph->layers[i].name;
        tess_status status = write_layer(w, i);
        if (status) return status;
    }
    return onnx_proto_save(&w->proto, ONNX_WRITE_OPSET, ONNX_WRITE_IR, w->path, w->error);
}

/* Room for what the layers need at most, their inputs' changes of form included. */
static void start(struct writer *w) {
    size_t nodes = 0, tensors = 0;
    for (int i = 0; i < w->graph->count; i++) {
        nodes += LAYER_NODES + (size_t)w->graph->layers[i].input_count;
        tensors += LAYER_TENSORS + (size_t)w->graph->layers[i].input_count;
    }
    onnx_proto_start(&w->proto, nodes, tensors);
}

static tess_status write_form(const char *path, const struct tess_graph *graph,
                              const struct safetensors *weights, bool losses, tess_error *error) {
    if (!path || !graph || !weights)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "ONNX: no path, graph or weights; give all of them");
    tess_status status = tess_graph_check(graph, error);
    if (status) return status;
    size_t count = (size_t)graph->count;
    struct writer w = {.graph = graph, .weights = weights, .path = path, .error = error};
    w.losses = losses;
    bool *live = calloc(count, sizeof *live);
    w.values = calloc(count, sizeof *w.values);
    w.flat = calloc(count, sizeof *w.flat);
    if (live && w.values && w.flat) {
        plan_layers(&w, live);
        start(&w);
        status = write_layers(&w, live);
        onnx_proto_end(&w.proto);
    } else {
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY,
                           "%s: no memory to write it; free some memory", path);
    }
    free(live);
    free(w.values);
    free(w.flat);
    return status;
}

tess_status onnx_write(const char *path, const struct tess_graph *graph,
                       const struct safetensors *weights, tess_error *error) {
    return write_form(path, graph, weights, false, error);
}

tess_status onnx_write_training(const char *path, const struct tess_graph *graph,
                                const struct safetensors *weights, tess_error *error) {
    return write_form(path, graph, weights, true, error);
}
