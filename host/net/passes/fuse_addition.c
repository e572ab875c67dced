/* Additions: y = act(layer(x) + residual) is one instruction. An addition folds into what makes the summand that is computed last, if
   nobody else reads that: in inference a convolution, whose parts training needs apart, and in both a batch normalisation.
   The other summand must be there by then. Saves writing the sum's first summand and reading it. */
#include "net/passes/passes.h"

void fuse_addition(struct lowering *lo, int index) {
    const tess_graph *graph = lo->net->graph;
    const struct layer *add = &graph->layers[index];
    if (add->kind != LAYER_ADD) return;
    int later = add->inputs[0] > add->inputs[1] ? add->inputs[0] : add->inputs[1];
    int other = add->inputs[0] + add->inputs[1] - later;
    const struct layer *last = &graph->layers[later];
    struct lowered *source = &lo->layers[lo->layers[later].source];
    enum layer_kind kind = graph->layers[lo->layers[later].source].kind;
    bool can = kind == LAYER_BATCH_NORM || (kind == LAYER_CONV && !lo->net->options.training);
    if (!can || later == other || last->consumers != 1 || last->act.kind != TESS_ACT_NONE) return;
    if (last->kind != LAYER_CONV && last->kind != LAYER_BATCH_NORM) return;
    if (lo->layers[other].source >= lo->layers[later].source) return;
    source->residual = lo->layers[other].source;
    source->act = lo->layers[index].act;
    source->act_apart = lo->layers[index].act_apart;
    fold(lo, PASS_ADDITION, index, later);
}
