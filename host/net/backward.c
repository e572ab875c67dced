/* From the graph to a list of instructions: loss and gradients. Layers are taken in reverse order, so that all shares of a
   layer's output gradient have been added up before the layer itself comes. */
#include "net/layers/layers.h"
#include "ops/slice_activation.h"

tess_status sink_begin(struct lowering *lo, int input, struct sink *sink) {
    int source = lo->layers[input].source;
    struct lowered *low = &lo->layers[source];
    *sink = (struct sink){.source = -1, .slot = SLOT_NONE};
    if (!low->trains) return TESS_OK;
    tess_tensor_desc desc = layer_desc(lo->net, source);
    tess_status status = slot_add(lo->net, &desc, source, &sink->slot);
    if (status) return status;
    sink->source = source;
    sink->adds = low->grad != SLOT_NONE;
    if (!sink->adds) low->grad = sink->slot;
    return TESS_OK;
}

/* gradient of source += slot, where slot has been written. */
static tess_status accumulate(struct lowering *lo, int source, int slot) {
    int sum = lo->layers[source].grad;
    return emit(lo->net,
                &(struct instruction){.run = run_add,
                                      .layer = source,
                                      .phases = PHASE_TRAIN,
                                      .slots = {[OP_X] = sum, [OP_AUX] = slot, [OP_Y] = sum}});
}

tess_status sink_end(struct lowering *lo, const struct sink *sink) {
    return sink->adds ? accumulate(lo, sink->source, sink->slot) : TESS_OK;
}

tess_status hand_over(struct lowering *lo, int input, int slot) {
    int source = lo->layers[input].source;
    struct lowered *low = &lo->layers[source];
    if (!low->trains) return TESS_OK;
    if (low->grad != SLOT_NONE) return accumulate(lo, source, slot);
    low->grad = slot;
    return TESS_OK;
}

static tess_status hand_copy(struct lowering *lo, int input, int slot) {
    int source = lo->layers[input].source;
    if (lo->layers[source].grad != SLOT_NONE) return accumulate(lo, source, slot);
    struct sink sink;
    tess_status status = sink_begin(lo, input, &sink);
    if (status) return status;
    return emit(lo->net, &(struct instruction){.run = run_activation,
                                               .layer = source,
                                               .phases = PHASE_TRAIN,
                                               .slots = {[OP_X] = slot, [OP_Y] = sink.slot}});
}

tess_status through_activation(struct lowering *lo, int index) {
    const struct lowered *low = &lo->layers[index];
    if (low->act.kind == TESS_ACT_NONE || low->act_done) return TESS_OK;
    return emit(lo->net,
                &(struct instruction){
                    .run = run_activation_backward,
                    .layer = index,
                    .phases = PHASE_TRAIN,
                    .as.act = low->act,
                    .slots = {[OP_Y] = low->value, [OP_DY] = low->grad, [OP_DX] = low->grad}});
}

static const struct param *param_of(const struct lowering *lo, int layer, int i) {
    return &lo->net->params[lo->net->first_param[layer] + i];
}

tess_status bias_gradient(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    if (!net->graph->layers[index].bias) return TESS_OK;
    tess_tensor_desc desc = layer_desc(net, index);
    return emit(
        net,
        &(struct instruction){
            .run = run_bias_backward,
            .layer = index,
            .phases = PHASE_TRAIN,
            .workspace_bytes = tess_bias_workspace(&desc),
            .slots = {
                [OP_DY] = lo->layers[index].grad, [OP_DBIAS] = param_of(lo, index, 1)->grad_slot}});
}

/* ---------------------------------------------------------------- one function a kind */

static tess_status conv_emit(struct lowering *lo, int index, tess_conv_pass pass, int dx) {
    tess_net *net = lo->net;
    struct instruction in = {
        .layer = index, .phases = PHASE_TRAIN, .slots[OP_DY] = lo->layers[index].grad};
    conv_request(net, index, &(tess_conv_options){.pass = pass});
    if (pass == TESS_CONV_BWD_DATA) {
        in.run = run_conv_backward_data;
        in.slots[OP_W] = param_of(lo, index, 0)->value_slot;
        in.slots[OP_DX] = dx;
    } else {
        in.run = run_conv_backward_weights;
        in.slots[OP_X] = lo->layers[net->graph->layers[index].inputs[0]].value;
        in.slots[OP_DW] = param_of(lo, index, 0)->grad_slot;
    }
    return emit(net, &in);
}

static tess_status backward_conv(struct lowering *lo, int index) {
    struct sink dx;
    tess_status status = through_activation(lo, index);
    if (!status) status = bias_gradient(lo, index);
    if (!status) status = conv_emit(lo, index, TESS_CONV_BWD_WEIGHTS, SLOT_NONE);
    if (!status) status = sink_begin(lo, lo->net->graph->layers[index].inputs[0], &dx);
    if (status || dx.slot == SLOT_NONE) return status;
    status = conv_emit(lo, index, TESS_CONV_BWD_DATA, dx.slot);
    return status ? status : sink_end(lo, &dx);
}

static tess_status backward_fc(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    int input = net->graph->layers[index].inputs[0];
    struct sink dx;
    struct instruction in = {.run = run_fc_backward_weights,
                             .layer = index,
                             .phases = PHASE_TRAIN,
                             .as.fc = net->ops[index].fc,
                             .workspace_bytes = tess_fc_workspace(net->ops[index].fc),
                             .slots = {[OP_X] = lo->layers[input].value,
                                       [OP_DY] = lo->layers[index].grad,
                                       [OP_DW] = param_of(lo, index, 0)->grad_slot}};
    tess_status status = through_activation(lo, index);
    if (!status) status = bias_gradient(lo, index);
    if (!status) status = emit(net, &in);
    if (!status) status = sink_begin(lo, input, &dx);
    if (status || dx.slot == SLOT_NONE) return status;
    in.run = run_fc_backward_data;
    in.slots[OP_X] = in.slots[OP_DW] = SLOT_NONE;
    in.slots[OP_W] = param_of(lo, index, 0)->value_slot;
    in.slots[OP_DX] = dx.slot;
    status = emit(net, &in);
    return status ? status : sink_end(lo, &dx);
}

static tess_status backward_pool(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct sink dx;
    struct instruction in = {
        .run = run_pool_backward,
        .layer = index,
        .phases = PHASE_TRAIN,
        .as.pool = net->ops[index].pool,
        .workspace_bytes = tess_pool_workspace(net->ops[index].pool),
        .slots = {[OP_DY] = lo->layers[index].grad, [OP_AUX] = lo->layers[index].positions}};
    if (layer->as.pool.mode == TESS_POOL_WEIGHTED) {
        in.slots[OP_X] = lo->layers[layer->inputs[0]].value;
        in.slots[OP_W] = param_of(lo, index, 0)->value_slot;
        in.slots[OP_DW] = param_of(lo, index, 0)->grad_slot;
        in.slots[OP_DBIAS] = param_of(lo, index, 1)->grad_slot;
    }
    tess_status status = through_activation(lo, index);
    if (!status) status = sink_begin(lo, layer->inputs[0], &dx);
    if (status) return status;
    in.slots[OP_DX] = dx.slot;
    status = emit(net, &in);
    return status ? status : sink_end(lo, &dx);
}

static tess_status backward_lrn(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    int input = net->graph->layers[index].inputs[0];
    struct sink dx;
    tess_status status = sink_begin(lo, input, &dx);
    if (status) return status;
    status = emit(net, &(struct instruction){.run = run_lrn_backward,
                                             .layer = index,
                                             .phases = PHASE_TRAIN,
                                             .as.lrn = net->ops[index].lrn,
                                             .slots = {[OP_X] = lo->layers[input].value,
                                                       [OP_DY] = lo->layers[index].grad,
                                                       [OP_DX] = dx.slot}});
    return status ? status : sink_end(lo, &dx);
}

static tess_status backward_activation(struct lowering *lo, int index) {
    tess_status status = through_activation(lo, index);
    if (status) return status;
    return hand_over(lo, lo->net->graph->layers[index].inputs[0], lo->layers[index].grad);
}

/* Both summands take the same gradient. The slot itself goes, last, to one that has none yet. */
static tess_status backward_add(struct lowering *lo, int index) {
    const int *inputs = lo->net->graph->layers[index].inputs;
    int grad = lo->layers[index].grad;
    const struct lowered *first = &lo->layers[lo->layers[inputs[0]].source];
    int heir = first->trains && first->grad == SLOT_NONE ? 0 : 1;
    tess_status status = through_activation(lo, index);
    if (!status && lo->layers[lo->layers[inputs[1 - heir]].source].trains)
        status = hand_copy(lo, inputs[1 - heir], grad);
    return status ? status : hand_over(lo, inputs[heir], grad);
}

/* A part's gradient is copied out of that of the whole. If the part has an activation and no other reader, it goes through that on the
   way. */
static tess_status backward_part(struct lowering *lo, int index, int source, int channel, int dx) {
    tess_net *net = lo->net;
    struct lowered *low = &lo->layers[source];
    struct instruction in = {.run = run_slice,
                             .layer = index,
                             .phases = PHASE_TRAIN,
                             .slots = {[OP_DY] = lo->layers[index].grad, [OP_DX] = dx}};
    if (low->whole == index && low->act.kind != TESS_ACT_NONE) {
        tess_status status = slice_activation_create(net->ctx, low->act, &net->ops[source].slice);
        if (status) return status;
        in.run = run_slice_activation;
        in.slots[OP_Y] = low->value;
        in.as.slice.op = net->ops[source].slice;
        in.as.slice.y_first = low->in_whole ? channel : 0;
        in.as.slice.dy_first = channel;
        low->act_done = true;
    } else {
        in.as.first_channel = channel;
    }
    return emit(net, &in);
}

static tess_status backward_concat(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    int channel = 0;
    for (int i = 0; i < layer->input_count; i++) {
        struct sink dx;
        tess_status status = sink_begin(lo, layer->inputs[i], &dx);
        if (!status && dx.slot != SLOT_NONE) {
            status = backward_part(lo, index, dx.source, channel, dx.slot);
            if (!status) status = sink_end(lo, &dx);
        }
        if (status) return status;
        channel += lo->net->graph->layers[layer->inputs[i]].c;
    }
    return TESS_OK;
}

static tess_status backward_dropout(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    int grad = lo->layers[index].grad;
    tess_status status =
        emit(lo->net, &(struct instruction){.run = run_dropout,
                                            .layer = index,
                                            .phases = PHASE_TRAIN,
                                            .as.rate = layer->as.rate,
                                            .slots = {[OP_X] = grad, [OP_Y] = grad}});
    return status ? status : hand_over(lo, layer->inputs[0], grad);
}

/* The gradient stays in its slot where it can: as that of the input, or with a residual as that of the residual, whose activation it has
   then gone through. */
static tess_status backward_batch_norm(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct lowered *low = &lo->layers[index];
    int input = net->graph->layers[index].inputs[0];
    bool trains = lo->layers[lo->layers[input].source].trains;
    bool in_place = trains && low->residual < 0;
    struct sink dx = {.source = -1, .slot = low->grad};
    tess_tensor_desc desc = layer_desc(net, index);
    tess_status status = low->act_apart ? through_activation(lo, index) : TESS_OK;
    if (!status && !in_place)
        status = trains ? sink_begin(lo, input, &dx) : slot_add(net, &desc, index, &dx.slot);
    if (status) return status;
    bool reads_y = tess_batch_norm_backward_reads_y(net->ops[index].norm);
    bool split = low->residual >= 0 && fused_act(low).kind != TESS_ACT_NONE;
    status = emit(net, &(struct instruction){
                           .run = run_batch_norm_backward,
                           .layer = index,
                           .phases = PHASE_TRAIN,
                           .as.norm = net->ops[index].norm,
                           .workspace_bytes = tess_batch_norm_workspace(net->ops[index].norm),
                           .slots = {[OP_X] = lo->layers[input].value,
                                     [OP_Y] = reads_y ? low->value : SLOT_NONE,
                                     [OP_DY] = low->grad,
                                     [OP_W] = param_of(lo, index, 0)->value_slot,
                                     [OP_BIAS] = param_of(lo, index, 1)->value_slot,
                                     [OP_SAVED_MEAN] = low->saved_mean,
                                     [OP_SAVED_INVSTD] = low->saved_invstd,
                                     [OP_DX] = dx.slot,
                                     [OP_DAUX] = split ? low->grad : SLOT_NONE,
                                     [OP_DW] = param_of(lo, index, 0)->grad_slot,
                                     [OP_DBIAS] = param_of(lo, index, 1)->grad_slot}});
    if (!status) status = sink_end(lo, &dx);
    if (status) return status;
    if (in_place) return hand_over(lo, input, low->grad);
    return low->residual < 0 ? TESS_OK : hand_over(lo, low->residual, low->grad);
}

/* Both kinds of classifiers. */
static tess_status backward_loss(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    int input = net->graph->layers[index].inputs[0], labels = 0, slot = 0;
    struct sink dx;
    tess_status status = slot_add_fixed(net, net->labels, &labels);
    if (!status) status = slot_add_fixed(net, net->ops[index].result, &slot);
    if (!status) status = sink_begin(lo, input, &dx);
    if (status) return status;
    status = emit(net, &(struct instruction){.run = run_loss,
                                             .layer = index,
                                             .phases = PHASE_TRAIN,
                                             .as.weight = net->graph->layers[index].as.weight,
                                             .workspace_bytes =
                                                 2 * (size_t)net->options.batch * sizeof(float),
                                             .slots = {[OP_X] = lo->layers[input].value,
                                                       [OP_AUX] = labels,
                                                       [OP_Y] = slot,
                                                       [OP_DX] = dx.slot}});
    return status ? status : sink_end(lo, &dx);
}

static tess_status (*const backward_rows[LAYER_KINDS])(struct lowering *lo, int index) = {
    [LAYER_CONV] = backward_conv,
    [LAYER_POOL] = backward_pool,
    [LAYER_FC] = backward_fc,
    [LAYER_BATCH_NORM] = backward_batch_norm,
    [LAYER_LRN] = backward_lrn,
    [LAYER_ACTIVATION] = backward_activation,
    [LAYER_ADD] = backward_add,
    [LAYER_CONCAT] = backward_concat,
    [LAYER_DROPOUT] = backward_dropout,
    [LAYER_AUXILIARY] = backward_loss,
    [LAYER_SOFTMAX] = backward_loss,
    [LAYER_MSE] = mse_backward,
    [LAYER_CONV_TRANSPOSE] = conv_transpose_backward,
    [LAYER_UPSAMPLE] = upsample_backward,
    [LAYER_PAD] = pad_backward,
    [LAYER_PRELU] = prelu_backward,
    [LAYER_BINARY] = binary_backward,
    [LAYER_REDUCE] = reduce_backward,
    [LAYER_RESHAPE] = reshape_backward,
    [LAYER_TRANSPOSE] = transpose_backward,
};

/* Losses always; of the others those with a parameter before their output and a loss behind it. */
tess_status lower_backward(struct lowering *lo) {
    const tess_graph *graph = lo->net->graph;
    for (int i = graph->count - 1; i >= 0; i--) {
        const struct lowered *low = &lo->layers[i];
        enum layer_kind kind = graph->layers[i].kind;
        bool wanted = layer_kinds[kind].loss || (low->trains && low->grad != SLOT_NONE);
        if (low->folded || !wanted || !backward_rows[kind]) continue;
        tess_status status = backward_rows[kind](lo, i);
        if (status)
            return error_prefix(&lo->net->ctx->error, status, "layer %s, backward",
                                graph->layers[i].name);
    }
    return TESS_OK;
}
