/* Activations: y = act(layer(x)) is one instruction, whether the layer has the activation itself or an activation layer is the only one
   to read it. Applies to convolutions, fully connected layers, additions and batch normalisation, forward; backward, batch
   normalisation takes the gradient through its activation itself. (Weighted pooling keeps its activation in an
   instruction of its own, but in place.) Saves reading and writing the layer's output once. */
#include "net/passes/passes.h"

void fuse_activation(struct lowering *lo, int index) {
    const tess_graph *graph = lo->net->graph;
    const struct layer *layer = &graph->layers[index];
    int next = -1;
    lo->layers[index].act_apart = layer->kind == LAYER_POOL;
    if (layer->kind != LAYER_ACTIVATION) return;
    tess_act act = layer_act(graph, layer->inputs[0], &next);
    if (next != index) return;
    struct lowered *source = &lo->layers[lo->layers[layer->inputs[0]].source];
    source->act = act;
    fold(lo, PASS_ACTIVATION, index, layer->inputs[0]);
}
