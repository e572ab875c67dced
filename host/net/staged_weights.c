#include "net/staged_weights.h"

#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv_algo.h"

static tess_status no_memory(const tess_net *net) {
    return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                        "weights: no host memory; free some and try again");
}

/* ---------------------------------------------------------------- which */

bool staged_unread(const tess_net *net, int layer) {
    for (int i = 0; i < net->instruction_count; i++)
        if (net->instructions[i].layer == layer) return false;
    return !net->options.training;
}

static const struct tess_conv_plan *plan_of(const tess_net *net, int layer) {
    return net->ops[layer].conv[TESS_CONV_FWD];
}

static bool packs(const tess_net *net, int layer) {
    return plan_of(net, layer) && tess_conv_plan_info(plan_of(net, layer)).packed > 0;
}

tess_status staged_mark(tess_net *net) {
    tess_status status = TESS_OK;
    bool none = net->options.training || net->keep_weights;
    for (int i = 0; i < net->param_count && !none; i++) {
        struct param *param = &net->params[i];
        bool weight = i == net->first_param[param->layer];
        bool other_form = packs(net, param->layer) || net->ops[param->layer].folded;
        param->staged = (weight && other_form) || staged_unread(net, param->layer);
        net->packs_due = net->packs_due || param->staged;
        if (param->staged) net->memory.staged += tess_tensor_desc_bytes(&param->spec.desc);
    }
    for (int i = 0; i < net->graph->count && !status; i++)
        if (net->ops[i].folded && (none || !packs(net, i)))
            status = folded_norm_keep(net, net->ops[i].folded);
    return status;
}

/* ---------------------------------------------------------------- packing */

/* The largest arena; NULL: there is none. */
static tess_tensor *largest_arena(const tess_net *net) {
    tess_tensor *largest = NULL;
    for (int i = 0; i < net->arena_count; i++)
        if (!largest || net->arenas[i]->bytes > largest->bytes) largest = net->arenas[i];
    return largest;
}

/* A tensor until the packing is over: in an arena from *used on, if there is room. */
static tess_status borrow(const tess_net *net, const tess_tensor_desc *desc, size_t *used,
                          tess_tensor **out) {
    tess_tensor *arena = largest_arena(net);
    size_t bytes = conv_rest_offset(net->ctx, tess_tensor_desc_bytes(desc));
    if (!arena || *used + bytes > arena->bytes) return tess_tensor_create(net->ctx, desc, out);
    tess_status status = tess_tensor_view(arena, desc, *used, out);
    *used += bytes;
    return status;
}

tess_status staged_pack(tess_net *net, int index, const float *values) {
    const struct param *param = &net->params[index];
    const tess_tensor_desc *desc = &param->spec.desc;
    struct folded_norm *folded = net->ops[param->layer].folded;
    bool packed = packs(net, param->layer);
    tess_tensor *plain = NULL, *ready = NULL;
    size_t used = 0;
    if (staged_unread(net, param->layer)) return TESS_OK;
    tess_status status = borrow(net, desc, &used, &plain);
    if (!status) status = tess_tensor_write(plain, values, TESS_NCHW);
    if (!status && folded && packed) status = borrow(net, desc, &used, &ready);
    if (!status && folded) status = folded_norm_run(net, folded, plain, ready);
    if (!status && packed)
        status = conv_plan_pack(net->ops[param->layer].conv[TESS_CONV_FWD], ready ? ready : plain);
    tess_tensor_destroy(plain);
    tess_tensor_destroy(ready);
    return status;
}

tess_status staged_pack_due(tess_net *net) {
    tess_status status = TESS_OK;
    for (int i = 0; i < net->param_count && net->packs_due && !status; i++) {
        if (!net->params[i].staged) continue;
        float *values = malloc(tess_tensor_desc_bytes(&net->params[i].spec.desc));
        status = values ? param_read(net, i, values) : no_memory(net);
        if (!status) status = staged_pack(net, i, values);
        free(values);
    }
    net->packs_due = status != TESS_OK;
    return status;
}

/* ---------------------------------------------------------------- values */

tess_status param_read(tess_net *net, int index, float *values) {
    const struct param *param = &net->params[index];
    const struct param_source *source = &param->source;
    size_t bytes = tess_tensor_desc_bytes(&param->spec.desc);
    if (!param->staged) return tess_tensor_read(param->value, values, TESS_NCHW);
    const float *from = source->own;
    if (!from && source->started) from = net_param_start(net, index, source->seed, values);
    if (!from)
        memset(values, 0, bytes);
    else if (from != values)
        memcpy(values, from, bytes);
    return TESS_OK;
}

tess_status param_write(tess_net *net, int index, const float *values) {
    struct param *param = &net->params[index];
    size_t bytes = tess_tensor_desc_bytes(&param->spec.desc);
    if (!param->staged) return tess_tensor_write(param->value, values, TESS_NCHW);
    if (!param->source.own) param->source.own = malloc(bytes);
    if (!param->source.own) return no_memory(net);
    memcpy(param->source.own, values, bytes);
    return staged_pack(net, index, values);
}

/* ---------------------------------------------------------------- the end of staging */

/* Memory and contents. */
static tess_status bring_back(tess_net *net, int index) {
    struct param *param = &net->params[index];
    size_t bytes = tess_tensor_desc_bytes(&param->spec.desc);
    float *values = malloc(bytes);
    tess_tensor *value = NULL;
    tess_status status = values ? param_read(net, index, values) : no_memory(net);
    if (!status) status = tess_tensor_create(net->ctx, &param->spec.desc, &value);
    if (!status) status = tess_tensor_write(value, values, TESS_NCHW);
    free(values);
    if (status) {
        tess_tensor_destroy(value);
        return status;
    }
    param->value = value;
    if (net->ops[param->layer].folded)
        status = folded_norm_follow(net, net->ops[param->layer].folded);
    if (status) {
        tess_tensor_destroy(value);
        param->value = NULL;
        return status;
    }
    free(param->source.own);
    param->source = (struct param_source){0};
    param->staged = false;
    net->slots[param->value_slot].tensor = value;
    net->memory.parameters += bytes;
    net->memory.staged -= bytes;
    return TESS_OK;
}

/* The convolution whose weights a layer's parameters go into: itself, or the one before a folded normalisation. */
static int home(const tess_net *net, int layer) {
    const struct layer *l = &net->graph->layers[layer];
    bool normalises = l->kind == LAYER_BATCH_NORM && net->ops[l->inputs[0]].folded;
    return normalises ? l->inputs[0] : layer;
}

tess_status staged_keep(tess_net *net, int index) {
    int first = net->first_param[home(net, net->params[index].layer)];
    tess_status status = TESS_OK;
    if (net->params[index].staged) status = bring_back(net, index);
    if (!status && net->params[first].staged) status = bring_back(net, first);
    if (!status) net_memory_bind(net);
    return status;
}
