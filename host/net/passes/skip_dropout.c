/* Dropout: a network that is made for inference has none. Saves copying the layer's input. */
#include "net/passes/passes.h"

void skip_dropout(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    if (layer->kind == LAYER_DROPOUT && !lo->net->options.training)
        fold(lo, PASS_DROPOUT, index, layer->inputs[0]);
}
