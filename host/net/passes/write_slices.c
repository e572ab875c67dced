/* Concatenation without a copy. What makes a part writes its channels of the whole, and the copy of that part is left out:

        pixel of the whole   | part 0 | part 1 | part 2 |      written by the convolutions that make the parts

   Forward: convolutions without residual whose output nobody else reads, with the algorithm that they have anyway, if that
   can (conv_algo.slices); other parts are copied. Backward: the gradient goes through a part's activation on its way out of that
   of the whole, in one instruction. Saves reading and writing each part once forward, and the gradient of each once backward. */
#include "net/passes/passes.h"

/* The layer whose instruction makes a part, if the concatenation alone reads what it makes; else -1. */
static int maker(const struct lowering *lo, int part) {
    const tess_graph *graph = lo->net->graph;
    int source = lo->layers[part].source, layer = part;
    if (graph->layers[source].kind != LAYER_CONV) return -1;
    while (layer != source && graph->layers[layer].consumers == 1)
        layer = graph->layers[layer].inputs[0];
    bool alone = layer == source && graph->layers[source].consumers == 1;
    return alone && lo->layers[source].residual < 0 && !lo->layers[source].act_apart ? source : -1;
}

void write_slices(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    if (layer->kind != LAYER_CONCAT) return;
    int channel = 0;
    for (int i = 0; i < layer->input_count; i++) {
        int source = maker(lo, layer->inputs[i]);
        if (source >= 0) {
            lo->layers[source].whole = index;
            lo->layers[source].first_channel = channel;
        }
        channel += lo->net->graph->layers[layer->inputs[i]].c;
    }
}
