/* From the graph to a list of instructions: the forward part. */
#include <stdlib.h>

#include "net/layers/layers.h"
#include "net/passes/passes.h"

tess_tensor_desc layer_desc(const tess_net *net, int layer) {
    const struct layer *l = &net->graph->layers[layer];
    return (tess_tensor_desc){.dtype = TESS_F32,
                              .layout = TESS_NHWC,
                              .n = net->options.batch,
                              .c = l->c,
                              .h = l->h,
                              .w = l->w};
}

/* Room for one more element in an array of count elements. */
static tess_status grow(tess_net *net, void **array, size_t size, int count, int *capacity) {
    if (count < *capacity) return TESS_OK;
    int wanted = *capacity ? 2 * *capacity : 64;
    void *larger = realloc(*array, (size_t)wanted * size);
    if (!larger)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "network: no host memory; free some and try again");
    *array = larger;
    *capacity = wanted;
    return TESS_OK;
}

static tess_status slot_append(tess_net *net, const struct slot *slot, int *out) {
    tess_status status =
        grow(net, (void **)&net->slots, sizeof *net->slots, net->slot_count, &net->slot_capacity);
    if (status) return status;
    *out = net->slot_count;
    net->slots[net->slot_count++] = *slot;
    return TESS_OK;
}

tess_status slot_add(tess_net *net, const tess_tensor_desc *desc, int layer, int *out) {
    tess_status status = tensor_desc_check(net->ctx, desc, "a buffer");
    if (status) return status;
    return slot_append(net, &(struct slot){.desc = *desc, .layer = layer, .first = -1}, out);
}

tess_status slot_add_fixed(tess_net *net, tess_tensor *tensor, int *out) {
    struct slot slot = {
        .desc = *tess_tensor_get_desc(tensor), .first = -1, .fixed = true, .tensor = tensor};
    return slot_append(net, &slot, out);
}

tess_status slot_add_later(tess_net *net, const tess_tensor_desc *desc, int *out) {
    return slot_append(net, &(struct slot){.desc = *desc, .first = -1, .fixed = true}, out);
}

tess_status emit(tess_net *net, const struct instruction *instruction) {
    tess_status status = grow(net, (void **)&net->instructions, sizeof *net->instructions,
                              net->instruction_count, &net->instruction_capacity);
    if (status) return status;
    int now = net->instruction_count++;
    net->instructions[now] = *instruction;
    for (int i = 0; i < OPERANDS; i++) {
        struct slot *slot = &net->slots[instruction->slots[i]];
        if (slot->first < 0) slot->first = now;
        slot->last = now;
    }
    return TESS_OK;
}

tess_act fused_act(const struct lowered *low) {
    return low->act_apart ? (tess_act){.kind = TESS_ACT_NONE} : low->act;
}

/* ---------------------------------------------------------------- one function a kind */

static int value_of(const struct lowering *lo, const struct layer *layer, int input) {
    return lo->layers[layer->inputs[input]].value;
}

/* The slot of a layer's i-th parameter. */
static int param_slot(const struct lowering *lo, int layer, int i) {
    return lo->net->params[lo->net->first_param[layer] + i].value_slot;
}

static tess_status forward_input(struct lowering *lo, int index) {
    return slot_add_fixed(lo->net, lo->net->input, &lo->layers[index].value);
}

/* Requests a plan that writes a tensor of its own, or the layer's part of a concatenation. */
static void request_forward(struct lowering *lo, int index) {
    const tess_net *net = lo->net;
    const struct lowered *low = &lo->layers[index];
    tess_conv_options options = {.pass = TESS_CONV_FWD,
                                 .bias = net->graph->layers[index].bias || low->norm >= 0,
                                 .residual = low->residual >= 0,
                                 .act = fused_act(low)};
    conv_request(lo->net, index, &options);
    if (!low->in_whole) return;
    struct conv_request *request = &net->ops[index].requests[TESS_CONV_FWD];
    request->y_channels = net->graph->layers[low->whole].c;
    request->y_first = low->first_channel;
}

static tess_status forward_conv(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct lowered *low = &lo->layers[index];
    tess_status status = TESS_OK;
    int weight = param_slot(lo, index, 0);
    int bias = layer->bias ? param_slot(lo, index, 1) : SLOT_NONE;
    request_forward(lo, index);
    if (low->norm >= 0) status = lower_folded_norm(lo, index, &weight, &bias);
    if (status) return status;
    return emit(net, &(struct instruction){
                         .run = run_conv_forward,
                         .layer = index,
                         .phases = PHASE_BOTH,
                         .slots = {[OP_X] = value_of(lo, layer, 0),
                                   [OP_W] = weight,
                                   [OP_BIAS] = bias,
                                   [OP_AUX] = low->residual >= 0 ? lo->layers[low->residual].value
                                                                 : SLOT_NONE,
                                   [OP_Y] = low->value}});
}

/* Training keeps the batch's statistics for the gradient. */
static tess_status saved_statistics(struct lowering *lo, int index) {
    tess_tensor_desc desc = {.dtype = TESS_F32,
                             .layout = TESS_NHWC,
                             .n = 1,
                             .c = lo->net->graph->layers[index].c,
                             .h = 1,
                             .w = 1};
    tess_status status = slot_add(lo->net, &desc, index, &lo->layers[index].saved_mean);
    return status ? status : slot_add(lo->net, &desc, index, &lo->layers[index].saved_invstd);
}

static tess_status forward_batch_norm(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct lowered *low = &lo->layers[index];
    tess_batch_norm_desc desc = {.n = net->options.batch,
                                 .c = layer->c,
                                 .h = layer->h,
                                 .w = layer->w,
                                 .eps = layer->as.norm.eps,
                                 .momentum = layer->as.norm.momentum,
                                 .residual = low->residual >= 0,
                                 .act = fused_act(low)};
    bool frozen = index < net->frozen;
    tess_status status = tess_batch_norm_create(net->ctx, &desc, &net->ops[index].norm);
    if (!status && net->options.training && !frozen) status = saved_statistics(lo, index);
    if (status) return status;
    return emit(net, &(struct instruction){
                         .run = frozen ? run_batch_norm_inference : run_batch_norm,
                         .layer = index,
                         .phases = PHASE_BOTH,
                         .as.norm = net->ops[index].norm,
                         .workspace_bytes = tess_batch_norm_workspace(net->ops[index].norm),
                         .slots = {[OP_X] = value_of(lo, layer, 0),
                                   [OP_W] = param_slot(lo, index, 0),
                                   [OP_BIAS] = param_slot(lo, index, 1),
                                   [OP_RUNNING_MEAN] = param_slot(lo, index, 2),
                                   [OP_RUNNING_VAR] = param_slot(lo, index, 3),
                                   [OP_SAVED_MEAN] = low->saved_mean,
                                   [OP_SAVED_INVSTD] = low->saved_invstd,
                                   [OP_AUX] = low->residual >= 0 ? lo->layers[low->residual].value
                                                                 : SLOT_NONE,
                                   [OP_Y] = low->value}});
}

static tess_status forward_lrn(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    tess_lrn_desc desc = layer->as.lrn;
    desc.n = net->options.batch;
    tess_status status = tess_lrn_create(net->ctx, &desc, &net->ops[index].lrn);
    if (status) return status;
    return emit(net,
                &(struct instruction){
                    .run = run_lrn,
                    .layer = index,
                    .phases = PHASE_BOTH,
                    .as.lrn = net->ops[index].lrn,
                    .slots = {[OP_X] = value_of(lo, layer, 0), [OP_Y] = lo->layers[index].value}});
}

static tess_status forward_activation(struct lowering *lo, int index) {
    return emit(lo->net, &(struct instruction){
                             .run = run_activation,
                             .layer = index,
                             .phases = PHASE_BOTH,
                             .as.act = lo->layers[index].act,
                             .slots = {[OP_X] = value_of(lo, &lo->net->graph->layers[index], 0),
                                       [OP_Y] = lo->layers[index].value}});
}

/* Max pooling records positions where the gradient will ask for them. */
static tess_status forward_pool(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct lowered *low = &lo->layers[index];
    bool weighted = layer->as.pool.mode == TESS_POOL_WEIGHTED;
    tess_pool_desc desc = layer->as.pool;
    desc.n = net->options.batch;
    tess_status status = tess_pool_create(net->ctx, &desc, &net->ops[index].pool);
    if (status) return status;
    if (desc.mode == TESS_POOL_MAX && net->options.training && low->trains) {
        tess_tensor_desc positions = layer_desc(net, index);
        positions.dtype = TESS_I32;
        status = slot_add(net, &positions, index, &low->positions);
        if (status) return status;
    }
    return emit(net, &(struct instruction){
                         .run = run_pool_forward,
                         .layer = index,
                         .phases = PHASE_BOTH,
                         .as.pool = net->ops[index].pool,
                         .slots = {[OP_X] = value_of(lo, layer, 0),
                                   [OP_AUX] = low->positions,
                                   [OP_W] = weighted ? param_slot(lo, index, 0) : SLOT_NONE,
                                   [OP_BIAS] = weighted ? param_slot(lo, index, 1) : SLOT_NONE,
                                   [OP_Y] = low->value}});
}

static tess_status forward_fc(struct lowering *lo, int index) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    struct lowered *low = &lo->layers[index];
    tess_fc_desc desc = {.n = net->options.batch,
                         .forward_only = !net->options.training || index < net->frozen,
                         .repack = net_repacks(net, index),
                         .c = layer->as.fc.inputs,
                         .k = layer->as.fc.outputs,
                         .bias = layer->bias,
                         .act = fused_act(low)};
    tess_status status = tess_fc_create(net->ctx, &desc, &net->ops[index].fc);
    if (status) return status;
    return emit(net, &(struct instruction){
                         .run = run_fc_forward,
                         .layer = index,
                         .phases = PHASE_BOTH,
                         .as.fc = net->ops[index].fc,
                         .workspace_bytes = tess_fc_workspace(net->ops[index].fc),
                         .slots = {[OP_X] = value_of(lo, layer, 0),
                                   [OP_W] = param_slot(lo, index, 0),
                                   [OP_BIAS] = layer->bias ? param_slot(lo, index, 1) : SLOT_NONE,
                                   [OP_Y] = low->value}});
}

static tess_status forward_add(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    return emit(lo->net, &(struct instruction){.run = run_add,
                                               .layer = index,
                                               .phases = PHASE_BOTH,
                                               .as.act = fused_act(&lo->layers[index]),
                                               .slots = {[OP_X] = value_of(lo, layer, 0),
                                                         [OP_AUX] = value_of(lo, layer, 1),
                                                         [OP_Y] = lo->layers[index].value}});
}

/* Parts that have not been written in their places are copied there. */
static tess_status forward_concat(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    int whole = lo->layers[index].value, channel = 0;
    for (int i = 0; i < layer->input_count; i++) {
        int part = value_of(lo, layer, i);
        tess_status status =
            part == whole
                ? TESS_OK
                : emit(lo->net, &(struct instruction){.run = run_concat,
                                                      .layer = index,
                                                      .phases = PHASE_BOTH,
                                                      .as.first_channel = channel,
                                                      .slots = {[OP_X] = part, [OP_Y] = whole}});
        if (status) return status;
        channel += lo->net->graph->layers[layer->inputs[i]].c;
    }
    return TESS_OK;
}

static tess_status forward_dropout(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    return emit(lo->net,
                &(struct instruction){
                    .run = run_dropout,
                    .layer = index,
                    .phases = PHASE_BOTH,
                    .as.rate = layer->as.rate,
                    .slots = {[OP_X] = value_of(lo, layer, 0), [OP_Y] = lo->layers[index].value}});
}

/* Its loss has an instruction of its own, in backward.c. */
static tess_status forward_auxiliary(struct lowering *lo, int index) {
    (void)lo;
    (void)index;
    return TESS_OK;
}

static tess_status forward_softmax(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    struct lowered *low = &lo->layers[index];
    tess_status status = slot_add_fixed(lo->net, lo->net->output, &low->value);
    if (status) return status;
    return emit(lo->net, &(struct instruction){
                             .run = run_softmax,
                             .layer = index,
                             .phases = PHASE_INFER,
                             .slots = {[OP_X] = value_of(lo, layer, 0), [OP_Y] = low->value}});
}

/* In place. */
static tess_status activation_apart(struct lowering *lo, int index) {
    const struct lowered *low = &lo->layers[index];
    if (!low->act_apart || low->act.kind == TESS_ACT_NONE) return TESS_OK;
    return emit(lo->net,
                &(struct instruction){.run = run_activation,
                                      .layer = index,
                                      .phases = PHASE_BOTH,
                                      .as.act = low->act,
                                      .slots = {[OP_X] = low->value, [OP_Y] = low->value}});
}

/* value: whether the output is a slot that the memory plan places. */
static const struct forward_row {
    tess_status (*lower)(struct lowering *lo, int index);
    bool value;
} forward_rows[LAYER_KINDS] = {
    [LAYER_INPUT] = {forward_input, false},
    [LAYER_CONV] = {forward_conv, true},
    [LAYER_POOL] = {forward_pool, true},
    [LAYER_FC] = {forward_fc, true},
    [LAYER_BATCH_NORM] = {forward_batch_norm, true},
    [LAYER_LRN] = {forward_lrn, true},
    [LAYER_ACTIVATION] = {forward_activation, true},
    [LAYER_ADD] = {forward_add, true},
    [LAYER_CONCAT] = {forward_concat, true},
    [LAYER_DROPOUT] = {forward_dropout, true},
    [LAYER_AUXILIARY] = {forward_auxiliary, false},
    [LAYER_SOFTMAX] = {forward_softmax, false},
    [LAYER_MSE] = {output_forward, false},
    [LAYER_OUTPUT] = {output_forward, false},
    [LAYER_CONV_TRANSPOSE] = {conv_transpose_forward, true},
    [LAYER_UPSAMPLE] = {upsample_forward, true},
    [LAYER_PAD] = {pad_forward, true},
    [LAYER_PRELU] = {prelu_forward, true},
    [LAYER_BINARY] = {binary_forward, true},
    [LAYER_REDUCE] = {reduce_forward, true},
    [LAYER_RESHAPE] = {reshape_forward, true},
    [LAYER_TRANSPOSE] = {transpose_forward, true},
};

/* Whether a convolution that may write its part of a concatenation can, with the algorithm that it would have anyway. */
static bool writes_to_whole(struct lowering *lo, int index) {
    if (lo->layers[index].whole < 0) return false;
    request_forward(lo, index);
    return conv_can_slice(lo->net, index);
}

/* The slot of a layer's output: its own, or that of the concatenation of which it is a part, which the first part makes. */
static tess_status value_slot(struct lowering *lo, int index) {
    struct lowered *low = &lo->layers[index];
    int owner = index;
    if (writes_to_whole(lo, index)) {
        low->in_whole = true;
        owner = low->whole;
        pass_note(lo->net, PASS_CONCAT, index, owner);
    }
    int *value = &lo->layers[owner].value;
    tess_tensor_desc desc = layer_desc(lo->net, owner);
    tess_status status = *value ? TESS_OK : slot_add(lo->net, &desc, owner, value);
    low->value = *value;
    return status;
}

static tess_status lower_forward(struct lowering *lo, int index) {
    struct lowered *low = &lo->layers[index];
    const struct forward_row *row = &forward_rows[lo->net->graph->layers[index].kind];
    if (low->folded) {
        low->value = lo->layers[low->source].value;
        return TESS_OK;
    }
    if (!low->inferred && !lo->net->options.training) return TESS_OK;
    if (row->value) {
        tess_status status = value_slot(lo, index);
        if (status) return status;
    }
    int first = lo->net->instruction_count;
    tess_status status = row->lower(lo, index);
    if (!status && lo->net->graph->layers[index].kind != LAYER_ACTIVATION)
        status = activation_apart(lo, index);
    for (int i = first; i < lo->net->instruction_count && !low->inferred; i++)
        lo->net->instructions[i].phases = PHASE_TRAIN;
    return status;
}

/* Slot 0, which is no buffer, and those of the parameters. */
static tess_status lower_params(tess_net *net) {
    int none = 0;
    tess_status status = slot_append(net, &(struct slot){.fixed = true}, &none);
    for (int i = 0; i < net->param_count && !status; i++) {
        struct param *param = &net->params[i];
        status = slot_add_later(net, &param->spec.desc, &param->value_slot);
        if (!status && net_trains(net, param))
            status = slot_add_later(net, &param->spec.desc, &param->grad_slot);
    }
    return status;
}

tess_status net_lower(tess_net *net) {
    int count = net->graph->count;
    struct lowering lo = {.net = net, .layers = calloc((size_t)count, sizeof *lo.layers)};
    if (!lo.layers)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "network: no host memory; free some and try again");
    tess_status status = lower_params(net);
    passes_merge(&lo);
    for (int i = 0; i < count && !status; i++) {
        status = lower_forward(&lo, i);
        if (status) error_prefix(&net->ctx->error, status, "layer %s", net->graph->layers[i].name);
    }
    if (!status && net->options.training) status = lower_backward(&lo);
    if (!status) status = passes_rewrite(net);
    free(lo.layers);
    return status;
}
