/* Dropout: a network that is made for inference has none, nor have frozen layers. Saves copying the layer's input. */
#include "net/passes/passes.h"

void skip_dropout(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    bool inference = !lo->net->options.training || index < lo->net->frozen;
    if (layer->kind == LAYER_DROPOUT && inference) fold(lo, PASS_DROPOUT, index, layer->inputs[0]);
}
