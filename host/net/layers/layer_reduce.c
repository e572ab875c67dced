/* Mean and sum over channels, height, width, or several of them. */
#include <stdio.h>

#include "net/layers/layers.h"

tess_node tess_graph_reduce(tess_graph *graph, tess_node in, const tess_reduce_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_REDUCE)) return TESS_NODE_NONE;
    struct layer reduce = {.kind = LAYER_REDUCE,
                           .as.reduce = {.mode = layer->mode,
                                         .over_c = layer->over_c,
                                         .over_h = layer->over_h,
                                         .over_w = layer->over_w}};
    return graph_add_layer(graph, reduce, layer->name, &in, 1);
}

tess_status reduce_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = &graph->layers[layer->inputs[0]];
    bool c = layer->as.reduce.over_c, h = layer->as.reduce.over_h, w = layer->as.reduce.over_w;
    if (layer->as.reduce.mode < TESS_REDUCE_MEAN || layer->as.reduce.mode > TESS_REDUCE_SUM)
        return error_set(error, TESS_INVALID_ARGUMENT, "no such reduction; correct it");
    if (!c && !h && !w)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "no dimension to reduce; set over_c, over_h or over_w");
    return shape_set(layer, c ? 1 : in->c, h ? 1 : in->h, w ? 1 : in->w, error);
}

void reduce_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    snprintf(detail, LAYER_DETAIL_SIZE, "%s over%s%s%s",
             layer->as.reduce.mode == TESS_REDUCE_MEAN ? "mean" : "sum",
             layer->as.reduce.over_c ? " channels" : "", layer->as.reduce.over_h ? " rows" : "",
             layer->as.reduce.over_w ? " columns" : "");
}

static tess_status run_forward(const tess_net *net, const struct instruction *in) {
    return nd_reduce_forward(net->ops[in->layer].reduce, in->t[OP_X]->mem, in->t[OP_Y]->mem,
                             memory_or_null(in->workspace));
}

static tess_status run_backward(const tess_net *net, const struct instruction *in) {
    return nd_reduce_backward(net->ops[in->layer].reduce, in->t[OP_DY]->mem, in->t[OP_DX]->mem);
}

tess_status reduce_forward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    const bool over[] = {layer->as.reduce.over_h, layer->as.reduce.over_w, layer->as.reduce.over_c};
    struct nd_reduce_desc desc = {.kind = layer->as.reduce.mode == TESS_REDUCE_MEAN ? ND_REDUCE_MEAN
                                                                                    : ND_REDUCE_SUM,
                                  .x = nhwc_shape(net, layer->inputs[0]),
                                  .gradients = net->options.training};
    for (int i = 0; i < 3; i++)
        if (over[i]) desc.axes[desc.axis_count++] = 1 + i;
    tess_status status = nd_reduce_create(net->ctx, &desc, &net->ops[index].reduce);
    if (status) return status;
    return plain_forward(lo, index, run_forward, nd_reduce_workspace(net->ops[index].reduce));
}

tess_status reduce_backward(struct lowering *lo, int index) {
    return plain_backward(lo, index, run_backward, 0);
}
