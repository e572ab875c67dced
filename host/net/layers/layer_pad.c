/* Padding, of height, width and channels. */
#include <stdio.h>
#include <string.h>

#include "net/layers/layers.h"

tess_node tess_graph_pad(tess_graph *graph, tess_node in, const tess_pad_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_PAD)) return TESS_NODE_NONE;
    struct layer pad = {.kind = LAYER_PAD,
                        .as.pad = {.mode = layer->mode,
                                   .value = layer->mode == TESS_PAD_CONSTANT ? layer->value : 0,
                                   .top = layer->pad_top,
                                   .bottom = layer->pad_bottom,
                                   .left = layer->pad_left,
                                   .right = layer->pad_right,
                                   .channels_before = layer->channels_before,
                                   .channels_after = layer->channels_after}};
    return graph_add_layer(graph, pad, layer->name, &in, 1);
}

/* One dimension: what it becomes. */
static tess_status extent(const struct layer *layer, const char *what, int size, int before,
                          int after, int *out, tess_error *error) {
    const int most = 1 << 20;
    tess_pad_mode mode = layer->as.pad.mode;
    bool constant = mode == TESS_PAD_ZERO || mode == TESS_PAD_CONSTANT;
    int smallest = before < after ? before : after, largest = before < after ? after : before;
    if (smallest < -most || largest > most)
        return error_set(error, TESS_INVALID_SHAPE,
                         "%d and %d %s of padding; both must be between -2^20 and 2^20", before,
                         after, what);
    if (!constant && smallest < 0)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "%d and %d %s of padding; only zeros and constants can be negative, which "
                         "cuts off",
                         before, after, what);
    if (mode == TESS_PAD_MIRROR && largest >= size)
        return error_set(error, TESS_INVALID_SHAPE,
                         "%d and %d %s of mirrored padding for %d; it must be less than there are",
                         before, after, what, size);
    *out = size + before > 2147483647 - most ? 2147483647 : size + before + after;
    return TESS_OK;
}

tess_status pad_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = &graph->layers[layer->inputs[0]];
    int c = 0, h = 0, w = 0;
    if (layer->as.pad.mode < TESS_PAD_ZERO || layer->as.pad.mode > TESS_PAD_EDGE)
        return error_set(error, TESS_INVALID_ARGUMENT, "no such padding mode; correct it");
    tess_status status =
        extent(layer, "rows", in->h, layer->as.pad.top, layer->as.pad.bottom, &h, error);
    if (!status)
        status =
            extent(layer, "columns", in->w, layer->as.pad.left, layer->as.pad.right, &w, error);
    if (!status)
        status = extent(layer, "channels", in->c, layer->as.pad.channels_before,
                        layer->as.pad.channels_after, &c, error);
    return status ? status : shape_set(layer, c, h, w, error);
}

void pad_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    static const char *const names[] = {"zeros", "mirrored", "constant", "edges"};
    snprintf(detail, LAYER_DETAIL_SIZE, "%s %d %d %d %d", names[layer->as.pad.mode],
             layer->as.pad.top, layer->as.pad.bottom, layer->as.pad.left, layer->as.pad.right);
    if (layer->as.pad.channels_before || layer->as.pad.channels_after) {
        size_t used = strlen(detail);
        snprintf(detail + used, LAYER_DETAIL_SIZE - used, ", channels %d %d",
                 layer->as.pad.channels_before, layer->as.pad.channels_after);
    }
}

static tess_status run_forward(const tess_net *net, const struct instruction *in) {
    return nd_pad_forward(net->ops[in->layer].pad, in->t[OP_X]->mem, in->t[OP_Y]->mem);
}

static tess_status run_backward(const tess_net *net, const struct instruction *in) {
    return nd_pad_backward(net->ops[in->layer].pad, in->t[OP_DY]->mem, in->t[OP_DX]->mem);
}

tess_status pad_forward(struct lowering *lo, int index) {
    static const enum nd_pad_mode modes[] = {ND_PAD_CONSTANT, ND_PAD_REFLECT, ND_PAD_CONSTANT,
                                             ND_PAD_EDGE};
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct nd_pad_desc desc = {
        .mode = modes[layer->as.pad.mode],
        .dtype = ND_F32,
        .x = nhwc_shape(net, layer->inputs[0]),
        .before = {0, layer->as.pad.top, layer->as.pad.left, layer->as.pad.channels_before},
        .after = {0, layer->as.pad.bottom, layer->as.pad.right, layer->as.pad.channels_after},
        .value = layer->as.pad.value,
        .gradients = net->options.training};
    tess_status status = nd_pad_create(net->ctx, &desc, &net->ops[index].pad);
    return status ? status : plain_forward(lo, index, run_forward, 0);
}

tess_status pad_backward(struct lowering *lo, int index) {
    return plain_backward(lo, index, run_backward, 0);
}
