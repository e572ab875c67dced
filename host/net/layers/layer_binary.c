/* Two inputs, element by element, with broadcasting: what scales channels by a gate (Hu et al. 2018, squeeze and excitation). */
#include <stdio.h>

#include "net/layers/layers.h"

static const struct {
    const char *name;
    enum nd_binary_kind kind;
} operations[] = {
    [TESS_BINARY_MUL] = {"product", ND_MUL},    [TESS_BINARY_ADD] = {"sum", ND_ADD},
    [TESS_BINARY_SUB] = {"difference", ND_SUB}, [TESS_BINARY_DIV] = {"quotient", ND_DIV},
    [TESS_BINARY_MAX] = {"maximum", ND_MAX},    [TESS_BINARY_MIN] = {"minimum", ND_MIN}};

tess_node tess_graph_binary(tess_graph *graph, tess_binary kind, tess_node a, tess_node b,
                            const char *name) {
    if (!graph_ready(graph, graph, LAYER_BINARY)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_BINARY, .as.binary = kind}, name,
                           (const tess_node[]){a, b}, 2);
}

tess_status binary_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *a = &graph->layers[layer->inputs[0]], *b = &graph->layers[layer->inputs[1]];
    const int left[] = {a->c, a->h, a->w}, right[] = {b->c, b->h, b->w};
    int sizes[3];
    if ((unsigned)layer->as.binary >= sizeof operations / sizeof operations[0])
        return error_set(error, TESS_INVALID_ARGUMENT, "no such operation; correct it");
    for (int i = 0; i < 3; i++) {
        if (left[i] != right[i] && left[i] != 1 && right[i] != 1)
            return error_set(
                error, TESS_INVALID_SHAPE,
                "%s is %dx%dx%d and %s is %dx%dx%d; each dimension must be the same in "
                "both, or 1 in one",
                a->name, a->c, a->h, a->w, b->name, b->c, b->h, b->w);
        sizes[i] = left[i] == 1 ? right[i] : left[i];
    }
    return shape_set(layer, sizes[0], sizes[1], sizes[2], error);
}

void binary_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    snprintf(detail, LAYER_DETAIL_SIZE, "%s", operations[layer->as.binary].name);
}

static tess_status run_forward(const tess_net *net, const struct instruction *in) {
    return nd_binary_forward(net->ops[in->layer].binary, in->t[OP_X]->mem, in->t[OP_AUX]->mem,
                             in->t[OP_Y]->mem);
}

static tess_status run_backward(const tess_net *net, const struct instruction *in) {
    return nd_binary_backward(net->ops[in->layer].binary,
                              &(struct nd_binary_grad_args){
                                  .a = memory_or_null(in->t[OP_X]),
                                  .b = memory_or_null(in->t[OP_AUX]),
                                  .dy = in->t[OP_DY]->mem,
                                  .da = memory_or_null(in->t[OP_DX]),
                                  .db = memory_or_null(in->t[OP_DAUX]),
                                  .workspace = memory_or_null(in->workspace),
                              });
}

tess_status binary_forward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct nd_shape a = nhwc_shape(net, layer->inputs[0]), b = nhwc_shape(net, layer->inputs[1]);
    tess_status status = nd_binary_create(net->ctx, operations[layer->as.binary].kind, &a, &b,
                                          net->options.training, &net->ops[index].binary);
    if (status) return status;
    return emit(net, &(struct instruction){.run = run_forward,
                                           .layer = index,
                                           .phases = PHASE_BOTH,
                                           .slots = {[OP_X] = lo->layers[layer->inputs[0]].value,
                                                     [OP_AUX] = lo->layers[layer->inputs[1]].value,
                                                     [OP_Y] = lo->layers[index].value}});
}

/* Sums and differences need no operands: their memory is free earlier. */
tess_status binary_backward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    bool reads = layer->as.binary != TESS_BINARY_ADD && layer->as.binary != TESS_BINARY_SUB;
    int a = layer->inputs[0], b = layer->inputs[1];
    struct sink da, db;
    tess_status status = sink_begin(lo, a, &da);
    if (!status) status = sink_begin(lo, b, &db);
    if (status) return status;
    status = emit(
        net, &(struct instruction){.run = run_backward,
                                   .layer = index,
                                   .phases = PHASE_TRAIN,
                                   .workspace_bytes = nd_binary_workspace(net->ops[index].binary),
                                   .slots = {[OP_X] = reads ? lo->layers[a].value : SLOT_NONE,
                                             [OP_AUX] = reads ? lo->layers[b].value : SLOT_NONE,
                                             [OP_DY] = lo->layers[index].grad,
                                             [OP_DX] = da.slot,
                                             [OP_DAUX] = db.slot}});
    if (!status) status = sink_end(lo, &da);
    return status ? status : sink_end(lo, &db);
}
