/* Which layers merge into one instruction: activations into what makes their input, additions into the convolution or batch
   normalisation before them, and, in inference, dropout and batch normalisation (fold_batch_norm.c) away. */
#include "net/net.h"

void fold(struct lowering *lo, int index, int into) {
    lo->layers[index].folded = true;
    lo->layers[index].source = lo->layers[into].source;
}

/* An addition folds into what makes the summand that is computed last, if nobody else reads that: in inference a convolution, whose
   parts training needs apart, and in both a batch normalisation. The other summand must be there by then. */
static void fold_addition(struct lowering *lo, int index) {
    const tess_graph *graph = lo->net->graph;
    const struct layer *add = &graph->layers[index];
    int later = add->inputs[0] > add->inputs[1] ? add->inputs[0] : add->inputs[1];
    int other = add->inputs[0] + add->inputs[1] - later;
    const struct layer *last = &graph->layers[later];
    int source = lo->layers[later].source;
    enum layer_kind kind = graph->layers[source].kind;
    bool can = kind == LAYER_BATCH_NORM || (kind == LAYER_CONV && !lo->net->options.training);
    if (!can || later == other || last->consumers != 1 || last->act.kind != TESS_ACT_NONE) return;
    if (last->kind != LAYER_CONV && last->kind != LAYER_BATCH_NORM) return;
    if (lo->layers[other].source >= source) return;
    lo->layers[source].residual = lo->layers[other].source;
    lo->layers[source].act = lo->layers[index].act;
    fold(lo, index, later);
}

/* From the end backwards: what inference needs. */
static void mark_inferred(struct lowering *lo) {
    const tess_graph *graph = lo->net->graph;
    lo->layers[graph->count - 1].inferred = true;
    for (int i = graph->count - 1; i >= 0; i--)
        for (int k = 0; k < graph->layers[i].input_count; k++)
            if (lo->layers[i].inferred) lo->layers[graph->layers[i].inputs[k]].inferred = true;
}

void fold_layers(struct lowering *lo) {
    const tess_graph *graph = lo->net->graph;
    bool training = lo->net->options.training;
    mark_inferred(lo);
    for (int i = 0; i < graph->count; i++) {
        const struct layer *layer = &graph->layers[i];
        struct lowered *low = &lo->layers[i];
        if (!low->folded) {
            int activation = -1;
            low->source = i;
            low->residual = low->norm = -1;
            low->act = layer_act(graph, i, &activation);
            if (layer->kind == LAYER_BATCH_NORM && !training && !lo->net->keep_batch_norm)
                fold_batch_norm(lo, i);
            if (layer->kind == LAYER_ADD) fold_addition(lo, i);
            if (activation >= 0) fold(lo, activation, i);
            if (layer->kind == LAYER_DROPOUT && !training) fold(lo, i, layer->inputs[0]);
        }
        struct param_spec specs[LAYER_PARAMS];
        low->trains = layer_params(layer, specs) > 0;
        for (int k = 0; k < layer->input_count; k++)
            low->trains = low->trains || lo->layers[layer->inputs[k]].trains;
    }
}
