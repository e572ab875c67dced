/* Other shapes of the same elements: reshape keeps their order in N C H W, as other frameworks do; transpose exchanges dimensions. */
#include <stdio.h>

#include "net/layers/layers.h"

static const char letters[] = "CHW";

tess_node tess_graph_reshape(tess_graph *graph, tess_node in, const char *name, int c, int h,
                             int w) {
    if (!graph_ready(graph, graph, LAYER_RESHAPE)) return TESS_NODE_NONE;
    return graph_add_layer(graph, (struct layer){.kind = LAYER_RESHAPE, .c = c, .h = h, .w = w},
                           name, &in, 1);
}

tess_node tess_graph_transpose(tess_graph *graph, tess_node in, const char *name,
                               const int order[3]) {
    if (!graph_ready(graph, order, LAYER_TRANSPOSE)) return TESS_NODE_NONE;
    struct layer transpose = {.kind = LAYER_TRANSPOSE, .as.order = {order[0], order[1], order[2]}};
    return graph_add_layer(graph, transpose, name, &in, 1);
}

tess_status reshape_shape(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = &graph->layers[layer->inputs[0]];
    int sizes[] = {layer->c, layer->h, layer->w}, open = -1;
    int64_t elements = (int64_t)in->c * in->h * in->w, known = 1;
    for (int i = 0; i < 3; i++) {
        if (sizes[i] == -1 && open < 0)
            open = i;
        else if (sizes[i] < 1 || known > elements)
            return error_set(error, TESS_INVALID_SHAPE,
                             "to %dx%dx%d; dimensions are at least 1, one of them may be -1",
                             layer->c, layer->h, layer->w);
        else
            known *= sizes[i];
    }
    if (open >= 0 && known <= elements) sizes[open] = (int)(elements / known);
    if (known * (open >= 0 ? sizes[open] : 1) != elements)
        return error_set(error, TESS_INVALID_SHAPE,
                         "%s is %dx%dx%d, and %dx%dx%d has another number of elements; correct it",
                         in->name, in->c, in->h, in->w, layer->c, layer->h, layer->w);
    return shape_set(layer, sizes[0], sizes[1], sizes[2], error);
}

tess_status transpose_shape(const struct tess_graph *graph, struct layer *layer,
                            tess_error *error) {
    const struct layer *in = &graph->layers[layer->inputs[0]];
    const int sizes[] = {in->c, in->h, in->w}, *order = layer->as.order;
    int seen = 0;
    for (int i = 0; i < 3; i++)
        if (order[i] >= 0 && order[i] < 3) seen |= 1 << order[i];
    if (seen != 7)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "order %d %d %d; it must have each of 0, 1 and 2 once", order[0], order[1],
                         order[2]);
    return shape_set(layer, sizes[order[0]], sizes[order[1]], sizes[order[2]], error);
}

void reshape_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    snprintf(detail, LAYER_DETAIL_SIZE, "to %dx%dx%d", layer->c, layer->h, layer->w);
}

void transpose_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    const int *order = layer->as.order;
    snprintf(detail, LAYER_DETAIL_SIZE, "CHW to %c%c%c", letters[order[0]], letters[order[1]],
             letters[order[2]]);
}

/* ---------------------------------------------------------------- instructions */

static tess_status run_first(const tess_net *net, const struct instruction *in) {
    return nd_move_forward(net->ops[in->layer].move[0], in->t[OP_X]->mem, in->t[OP_Y]->mem);
}

static tess_status run_second(const tess_net *net, const struct instruction *in) {
    return nd_move_forward(net->ops[in->layer].move[1], in->t[OP_X]->mem, in->t[OP_Y]->mem);
}

static tess_status back(struct nd_move *move, const struct instruction *in) {
    return nd_move_backward(move, in->t[OP_DY]->mem, in->t[OP_DX]->mem,
                            memory_or_null(in->workspace));
}

static tess_status run_first_backward(const tess_net *net, const struct instruction *in) {
    return back(net->ops[in->layer].move[0], in);
}

static tess_status run_second_backward(const tess_net *net, const struct instruction *in) {
    return back(net->ops[in->layer].move[1], in);
}

tess_status transpose_forward(struct lowering *lo, int index) {
    static const int place[] = {3, 1, 2}; /* of C, H, W in N H W C */
    tess_net *net = lo->net;
    const int *order = net->graph->layers[index].as.order;
    struct nd_shape x = nhwc_shape(net, input_layer(lo, index, 0));
    const int perm[] = {0, place[order[1]], place[order[2]], place[order[0]]};
    tess_status status = nd_transpose_create(net->ctx, ND_F32, &x, perm, net->options.training,
                                             &net->ops[index].move[0]);
    return status ? status : plain_forward(lo, index, run_first, 0);
}

tess_status transpose_backward(struct lowering *lo, int index) {
    return plain_backward(lo, index, run_first_backward,
                          nd_move_workspace(lo->net->ops[index].move[0]));
}

/* Whether N H W C and N C H W are the same order in memory. */
static bool one_order(const struct layer *layer) {
    return layer->c == 1 || (layer->h == 1 && layer->w == 1);
}

/* From N H W C to N C H W in move[0], which the output's dimensions divide anew, and back in move[1]; either is left out where it
   would change nothing, but one is there. */
static tess_status moves_create(tess_net *net, int index) {
    static const int to_nchw[] = {0, 3, 1, 2}, to_nhwc[] = {0, 2, 3, 1}, same[] = {0, 1, 2, 3};
    const struct layer *layer = &net->graph->layers[index];
    const struct layer *in = &net->graph->layers[layer->inputs[0]];
    struct nd_move **move = net->ops[index].move;
    struct nd_shape x = nhwc_shape(net, layer->inputs[0]);
    struct nd_shape y = {.rank = 4, .dims = {net->options.batch, layer->c, layer->h, layer->w}};
    bool first = !one_order(in), second = !one_order(layer), gradients = net->options.training;
    tess_status status = TESS_OK;
    if (first || !second)
        status =
            nd_transpose_create(net->ctx, ND_F32, &x, first ? to_nchw : same, gradients, &move[0]);
    if (!status && second)
        status = nd_transpose_create(net->ctx, ND_F32, &y, to_nhwc, gradients, &move[1]);
    return status;
}

/* What lies between the two moves, forward or backward: the output's elements in N C H W. */
static tess_status between(tess_net *net, int index, int *slot) {
    tess_tensor_desc desc = layer_desc(net, index);
    desc.layout = TESS_NCHW;
    return slot_add(net, &desc, index, slot);
}

tess_status reshape_forward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    tess_status status = moves_create(net, index);
    if (status) return status;
    if (!net->ops[index].move[1]) return plain_forward(lo, index, run_first, 0);
    if (!net->ops[index].move[0]) return plain_forward(lo, index, run_second, 0);
    struct instruction in = {.run = run_first, .layer = index, .phases = PHASE_BOTH};
    in.slots[OP_X] = lo->layers[input_layer(lo, index, 0)].value;
    status = between(net, index, &in.slots[OP_Y]);
    if (!status) status = emit(net, &in);
    if (status) return status;
    in.run = run_second;
    in.slots[OP_X] = in.slots[OP_Y];
    in.slots[OP_Y] = lo->layers[index].value;
    return emit(net, &in);
}

tess_status reshape_backward(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    struct nd_move **move = net->ops[index].move;
    struct sink dx;
    if (!move[1]) return plain_backward(lo, index, run_first_backward, nd_move_workspace(move[0]));
    if (!move[0]) return plain_backward(lo, index, run_second_backward, nd_move_workspace(move[1]));
    tess_status status = sink_begin(lo, input_layer(lo, index, 0), &dx);
    if (status || dx.slot == SLOT_NONE) return status;
    struct instruction in = {.run = run_second_backward,
                             .layer = index,
                             .phases = PHASE_TRAIN,
                             .workspace_bytes = nd_move_workspace(move[1]),
                             .slots[OP_DY] = lo->layers[index].grad};
    status = between(net, index, &in.slots[OP_DX]);
    if (!status) status = emit(net, &in);
    if (status) return status;
    in.run = run_first_backward;
    in.workspace_bytes = nd_move_workspace(move[0]);
    in.slots[OP_DY] = in.slots[OP_DX];
    in.slots[OP_DX] = dx.slot;
    status = emit(net, &in);
    return status ? status : sink_end(lo, &dx);
}
