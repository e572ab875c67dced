/* Squared error, and the end of a graph that gives its input as it is. */
#include <stdio.h>

#include "net/layers/layers.h"

tess_node tess_graph_mse(tess_graph *graph, tess_node in, const char *name, float weight) {
    if (!graph_ready(graph, graph, LAYER_MSE)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_MSE, .as.weight = weight}, name, &in,
                           1);
}

tess_node tess_graph_output(tess_graph *graph, tess_node in) {
    if (!graph_ready(graph, graph, LAYER_OUTPUT)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_OUTPUT}, NULL, &in, 1);
}

tess_status mse_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    tess_status status = loss_weight_check(layer, error);
    return status ? status : shape_same(graph, layer, error);
}

void mse_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    snprintf(detail, LAYER_DETAIL_SIZE, "squared error, weight %g", (double)layer->as.weight);
}

/* Not for a squared error that is not the end: the instruction of its loss is in the backward part. */
tess_status output_forward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct lowered *low = &lo->layers[index];
    if (index != net->graph->count - 1) return TESS_OK;
    tess_status status = slot_add_fixed(net, net->output, &low->value);
    if (status) return status;
    return emit(net,
                &(struct instruction){
                    .run = run_activation,
                    .layer = index,
                    .phases = PHASE_INFER,
                    .slots = {[OP_X] = lo->layers[layer->inputs[0]].value, [OP_Y] = low->value}});
}

/* The mean over the valid rows and their elements. */
static tess_status run_mse(const tess_net *net, const struct instruction *in) {
    const struct layer *layer = &net->graph->layers[in->layer];
    float elements = (float)layer->c * (float)(layer->h * layer->w);
    return tess_mse_enqueue(net->ops[in->layer].mse,
                            &(tess_mse_args){.x = in->t[OP_X],
                                             .target = in->t[OP_AUX],
                                             .rows = net->valid,
                                             .scale = net->loss_scale * layer->as.weight / elements,
                                             .result = in->t[OP_Y],
                                             .dx = in->t[OP_DX],
                                             .workspace = in->workspace});
}

tess_status mse_backward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    struct layer_ops *ops = &net->ops[index];
    int input = net->graph->layers[index].inputs[0], targets = 0, result = 0;
    struct sink dx;
    tess_status status = slot_add_fixed(net, ops->targets, &targets);
    if (!status) status = slot_add_fixed(net, ops->result, &result);
    if (!status) status = sink_begin(lo, input, &dx);
    if (status) return status;
    status = emit(net, &(struct instruction){.run = run_mse,
                                             .layer = index,
                                             .phases = PHASE_TRAIN,
                                             .workspace_bytes = tess_mse_workspace(ops->mse),
                                             .slots = {[OP_X] = lo->layers[input].value,
                                                       [OP_AUX] = targets,
                                                       [OP_Y] = result,
                                                       [OP_DX] = dx.slot}});
    return status ? status : sink_end(lo, &dx);
}
