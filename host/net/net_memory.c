#include <stdlib.h>

#include "net/net.h"

static size_t round_up(size_t bytes, size_t align) {
    return (bytes + align - 1) / align * align;
}

static tess_tensor_desc vector_desc(size_t bytes) {
    return (tess_tensor_desc){.dtype = TESS_F32,
                              .layout = TESS_NHWC,
                              .n = 1,
                              .c = (int)((bytes + sizeof(float) - 1) / sizeof(float)),
                              .h = 1,
                              .w = 1};
}

/* A tensor counts its elements in an int. */
static struct memory_limits limits_of(const tess_net *net, const struct net_debug *debug) {
    const tess_device_info *device = tess_context_device(net->ctx);
    struct memory_limits limits = {.align = device->base_align ? device->base_align : 128,
                                   .arena = (size_t)device->max_allocation,
                                   .share = !(debug && debug->no_sharing)};
    if (limits.arena > (size_t)4 << 30) limits.arena = (size_t)4 << 30;
    if (debug && debug->arena_limit && debug->arena_limit < limits.arena)
        limits.arena = debug->arena_limit;
    return limits;
}

/* Slots that an instruction touches and that have no memory yet. */
static bool is_planned(const struct slot *slot) {
    return !slot->fixed && slot->first >= 0;
}

static tess_status arenas_create(tess_net *net, const struct memory_plan *plan) {
    if (plan->arena_count == 0) return TESS_OK;
    net->arenas = calloc((size_t)plan->arena_count, sizeof(tess_tensor *));
    if (!net->arenas)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "no host memory; free some and try again");
    for (int i = 0; i < plan->arena_count; i++, net->arena_count++) {
        tess_tensor_desc desc = vector_desc(plan->arena_bytes[i]);
        tess_status status = tess_tensor_create(net->ctx, &desc, &net->arenas[i]);
        if (status) return status;
    }
    return TESS_OK;
}

static tess_status slots_create(tess_net *net, const struct memory_item *items) {
    for (int i = 0, item = 0; i < net->slot_count; i++) {
        struct slot *slot = &net->slots[i];
        if (!is_planned(slot)) continue;
        slot->arena = items[item].arena;
        slot->offset = items[item].offset;
        item++;
        tess_status status =
            tess_tensor_view(net->arenas[slot->arena], &slot->desc, slot->offset, &slot->tensor);
        if (status) return status;
    }
    return TESS_OK;
}

/* The name of the layer that the item-th planned slot belongs to. */
static const char *item_layer(const tess_net *net, int item) {
    for (int i = 0; i < net->slot_count; i++)
        if (is_planned(&net->slots[i]) && item-- == 0)
            return net->graph->layers[net->slots[i].layer].name;
    return "";
}

static tess_status place_slots(tess_net *net, const struct memory_limits *limits) {
    struct memory_plan plan = {0};
    struct memory_item *items = calloc((size_t)net->slot_count, sizeof *items);
    int count = 0, culprit = 0;
    if (!items)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "no host memory; free some and try again");
    for (int i = 0; i < net->slot_count; i++)
        if (is_planned(&net->slots[i]))
            items[count++] =
                (struct memory_item){.bytes = tess_tensor_desc_bytes(&net->slots[i].desc),
                                     .first = net->slots[i].first,
                                     .last = net->slots[i].last};
    tess_status status = memory_plan_make(items, count, limits, &net->ctx->error, &culprit, &plan);
    if (status == TESS_OUT_OF_DEVICE_MEMORY)
        error_prefix(&net->ctx->error, status, "layer %s", item_layer(net, culprit));
    if (!status) status = arenas_create(net, &plan);
    if (!status) status = slots_create(net, items);
    net->memory.activations += plan.total;
    net->memory.activations_unshared += plan.unshared;
    memory_plan_end(&plan);
    free(items);
    return status;
}

/* One for all instructions: they run one after the other. */
static tess_status workspace_create(tess_net *net, const struct memory_limits *limits) {
    size_t bytes = 0;
    int layer = 0;
    for (int i = 0; i < net->instruction_count; i++) {
        if (net->instructions[i].workspace_bytes <= bytes) continue;
        bytes = net->instructions[i].workspace_bytes;
        layer = net->instructions[i].layer;
    }
    if (bytes == 0) return TESS_OK;
    if (bytes > limits->arena)
        return context_fail(net->ctx, TESS_OUT_OF_DEVICE_MEMORY,
                            "layer %s: a workspace of %zu bytes, but the device gives at most %zu "
                            "at once; limit the workspace",
                            net->graph->layers[layer].name, bytes, limits->arena);
    tess_tensor_desc desc = vector_desc(bytes);
    tess_status status = tess_tensor_create(net->ctx, &desc, &net->workspace);
    if (status) return error_prefix(&net->ctx->error, status, "workspace");
    net->memory.workspace = bytes;
    return TESS_OK;
}

static size_t rounded_bytes(const tess_tensor *tensor, size_t align) {
    return tensor ? round_up(tess_tensor_desc_bytes(tess_tensor_get_desc(tensor)), align) : 0;
}

/* What lies outside the plan. */
static size_t fixed_bytes(const tess_net *net, size_t align) {
    const tess_tensor *const ports[] = {net->input, net->labels, net->output};
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
        bytes += rounded_bytes(ports[i], align);
    for (int i = 0; i < net->graph->count; i++)
        bytes +=
            rounded_bytes(net->ops[i].result, align) + rounded_bytes(net->ops[i].targets, align);
    return bytes;
}

tess_status net_memory_create(tess_net *net, const struct net_debug *debug) {
    struct memory_limits limits = limits_of(net, debug);
    net->memory.activations = fixed_bytes(net, limits.align);
    net->memory.activations_unshared = net->memory.activations;
    tess_status status = place_slots(net, &limits);
    if (!status) status = workspace_create(net, &limits);
    if (status) return status;
    for (int i = 0; i < net->instruction_count; i++) {
        struct instruction *in = &net->instructions[i];
        for (int k = 0; k < OPERANDS; k++)
            in->t[k] = net->slots[in->slots[k]].tensor;
        in->workspace = in->workspace_bytes ? net->workspace : NULL;
    }
    return TESS_OK;
}

void net_memory_destroy(tess_net *net) {
    for (int i = 0; i < net->slot_count; i++)
        if (!net->slots[i].fixed) tess_tensor_destroy(net->slots[i].tensor);
    for (int i = 0; i < net->arena_count; i++)
        tess_tensor_destroy(net->arenas[i]);
    tess_tensor_destroy(net->workspace);
    free(net->arenas);
    free(net->slots);
}
