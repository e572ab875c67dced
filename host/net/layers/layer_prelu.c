/* Parametric ReLU (He et al. 2015). */
#include <stdio.h>

#include "net/layers/layers.h"

tess_node tess_graph_prelu(tess_graph *graph, tess_node in, const tess_prelu_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_PRELU)) return TESS_NODE_NONE;
    struct layer prelu = {
        .kind = LAYER_PRELU,
        .as.prelu = {.shared = layer->shared, .slope = layer->slope != 0 ? layer->slope : 0.25f}};
    return graph_add_layer(graph, prelu, layer->name, &in, 1);
}

int prelu_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]) {
    specs[0] = vector_spec("weight", layer->as.prelu.shared ? 1 : layer->c, layer->as.prelu.slope);
    return 1;
}

void prelu_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    snprintf(detail, LAYER_DETAIL_SIZE, "%s",
             layer->as.prelu.shared ? "one slope" : "a slope a channel");
}

static tess_status run_forward(const tess_net *net, const struct instruction *in) {
    return tess_prelu_forward(net->ops[in->layer].prelu, in->t[OP_X], in->t[OP_W], in->t[OP_Y]);
}

static tess_status run_backward(const tess_net *net, const struct instruction *in) {
    return tess_prelu_backward(net->ops[in->layer].prelu,
                               &(tess_prelu_grad_args){.x = in->t[OP_X],
                                                       .slope = in->t[OP_W],
                                                       .dy = in->t[OP_DY],
                                                       .dx = in->t[OP_DX],
                                                       .dslope = in->t[OP_DW],
                                                       .workspace = in->workspace});
}

tess_status prelu_forward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    tess_prelu_desc desc = {net->options.batch, layer->c, layer->h, layer->w,
                            layer->as.prelu.shared};
    tess_status status = tess_prelu_create(net->ctx, &desc, &net->ops[index].prelu);
    if (status) return status;
    return emit(net, &(struct instruction){.run = run_forward,
                                           .layer = index,
                                           .phases = PHASE_BOTH,
                                           .slots = {[OP_X] = lo->layers[layer->inputs[0]].value,
                                                     [OP_W] = param_value(lo, index, 0),
                                                     [OP_Y] = lo->layers[index].value}});
}

/* The gradient becomes the input's in place. */
tess_status prelu_backward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    int input = input_layer(lo, index, 0), grad = lo->layers[index].grad;
    bool trains = lo->layers[lo->layers[input].source].trains;
    tess_status status = emit(
        net, &(struct instruction){.run = run_backward,
                                   .layer = index,
                                   .phases = PHASE_TRAIN,
                                   .workspace_bytes = tess_prelu_workspace(net->ops[index].prelu),
                                   .slots = {[OP_X] = lo->layers[input].value,
                                             [OP_W] = param_value(lo, index, 0),
                                             [OP_DW] = param_grad(lo, index, 0),
                                             [OP_DY] = grad,
                                             [OP_DX] = trains ? grad : SLOT_NONE}});
    return status ? status : hand_over(lo, input, grad);
}
