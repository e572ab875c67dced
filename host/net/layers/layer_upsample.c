/* Upsampling, by repeating pixels or between them. */
#include <stdio.h>

#include "net/layers/layers.h"

tess_node tess_graph_upsample(tess_graph *graph, tess_node in, const tess_upsample_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_UPSAMPLE)) return TESS_NODE_NONE;
    int factor = layer->factor_h ? layer->factor_h : 2;
    struct layer upsample = {
        .kind = LAYER_UPSAMPLE,
        .h = layer->h,
        .w = layer->w,
        .as.upsample = {.mode = layer->mode,
                        .align_corners = layer->align_corners,
                        .factor_h = factor,
                        .factor_w = layer->factor_w ? layer->factor_w : factor}};
    return graph_add_layer(graph, upsample, layer->name, &in, 1);
}

static int scaled(int size, int factor) {
    return size <= 2147483647 / factor ? size * factor : 2147483647;
}

tess_status upsample_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = &graph->layers[layer->inputs[0]];
    if (layer->as.upsample.mode < TESS_UPSAMPLE_NEAREST ||
        layer->as.upsample.mode > TESS_UPSAMPLE_BILINEAR)
        return error_set(error, TESS_INVALID_ARGUMENT, "no such upsampling mode; correct it");
    if (layer->as.upsample.align_corners && layer->as.upsample.mode == TESS_UPSAMPLE_NEAREST)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "aligned corners of the nearest pixel; use TESS_UPSAMPLE_BILINEAR");
    if ((layer->h == 0) != (layer->w == 0))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "a height of %d with a width of %d; give both, or 0 for both", layer->h,
                         layer->w);
    if (layer->as.upsample.factor_h < 1 || layer->as.upsample.factor_w < 1)
        return error_set(error, TESS_INVALID_ARGUMENT, "a factor of %dx%d; give at least 1",
                         layer->as.upsample.factor_h, layer->as.upsample.factor_w);
    int h = layer->h ? layer->h : scaled(in->h, layer->as.upsample.factor_h);
    int w = layer->w ? layer->w : scaled(in->w, layer->as.upsample.factor_w);
    return shape_set(layer, in->c, h, w, error);
}

double upsample_flops(const struct layer *layer) {
    double taps = layer->as.upsample.mode == TESS_UPSAMPLE_BILINEAR ? 8 : 0;
    return taps * layer->c * layer->h * layer->w;
}

void upsample_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    snprintf(detail, LAYER_DETAIL_SIZE, "%s to %dx%d%s",
             layer->as.upsample.mode == TESS_UPSAMPLE_BILINEAR ? "bilinear" : "nearest", layer->h,
             layer->w, layer->as.upsample.align_corners ? ", aligned corners" : "");
}

static tess_status run_forward(const tess_net *net, const struct instruction *in) {
    return nd_resize_forward(net->ops[in->layer].resize, in->t[OP_X]->mem, in->t[OP_Y]->mem);
}

static tess_status run_backward(const tess_net *net, const struct instruction *in) {
    return nd_resize_backward(net->ops[in->layer].resize, in->t[OP_DY]->mem, in->t[OP_DX]->mem);
}

tess_status upsample_forward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct nd_shape y = nhwc_shape(net, index);
    bool nearest = layer->as.upsample.mode == TESS_UPSAMPLE_NEAREST;
    struct nd_resize_desc desc = {.mode = nearest ? ND_NEAREST : ND_LINEAR,
                                  .coordinates = nearest ? ND_ASYMMETRIC
                                                 : layer->as.upsample.align_corners
                                                     ? ND_ALIGN_CORNERS
                                                     : ND_HALF_PIXEL,
                                  .rounding = ND_FLOOR_DOWN,
                                  .x = nhwc_shape(net, layer->inputs[0]),
                                  .gradients = net->options.training};
    for (int d = 0; d < y.rank; d++)
        desc.sizes[d] = y.dims[d];
    tess_status status = nd_resize_create(net->ctx, &desc, &net->ops[index].resize);
    return status ? status : plain_forward(lo, index, run_forward, 0);
}

tess_status upsample_backward(struct lowering *lo, int index) {
    return plain_backward(lo, index, run_backward, 0);
}
