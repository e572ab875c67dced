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
struct memory_limits net_memory_limits(const tess_net *net, const struct net_debug *debug) {
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

/* What the plan places: slots in their order, then workspaces, each alive during its instruction alone. */
struct items {
    struct memory_item *list; /* owned */
    int slots, count;
};

static tess_status items_make(const tess_net *net, struct items *out) {
    struct items items = {.list =
                              calloc((size_t)net->slot_count + (size_t)net->instruction_count + 1,
                                     sizeof *items.list)};
    if (!items.list)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "no host memory; free some and try again");
    for (int i = 0; i < net->slot_count; i++)
        if (is_planned(&net->slots[i]))
            items.list[items.slots++] =
                (struct memory_item){.bytes = tess_tensor_desc_bytes(&net->slots[i].desc),
                                     .first = net->slots[i].first,
                                     .last = net->slots[i].last};
    items.count = items.slots;
    for (int i = 0; i < net->instruction_count; i++)
        if (net->instructions[i].workspace_bytes)
            items.list[items.count++] = (struct memory_item){
                .bytes = net->instructions[i].workspace_bytes, .first = i, .last = i};
    *out = items;
    return TESS_OK;
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

static tess_status views_create(tess_net *net, const struct memory_item *item) {
    tess_status status = TESS_OK;
    for (int i = 0; i < net->slot_count && !status; i++) {
        struct slot *slot = &net->slots[i];
        if (!is_planned(slot)) continue;
        slot->arena = item->arena;
        slot->offset = item->offset;
        status =
            tess_tensor_view(net->arenas[slot->arena], &slot->desc, slot->offset, &slot->tensor);
        item++;
    }
    for (int i = 0; i < net->instruction_count && !status; i++) {
        struct instruction *in = &net->instructions[i];
        if (!in->workspace_bytes) continue;
        tess_tensor_desc desc = vector_desc(in->workspace_bytes);
        status = tess_tensor_view(net->arenas[item->arena], &desc, item->offset, &in->workspace);
        item++;
    }
    return status;
}

/* The layer that an item belongs to, and what it is. */
static tess_status blame(tess_net *net, const struct items *items, int item, tess_status status) {
    bool is_slot = item < items->slots;
    int layer = 0;
    for (int i = 0, next = 0; is_slot && i < net->slot_count; i++)
        if (is_planned(&net->slots[i]) && next++ == item) layer = net->slots[i].layer;
    if (!is_slot) layer = net->instructions[items->list[item].first].layer;
    return error_prefix(&net->ctx->error, status, "layer %s%s", net->graph->layers[layer].name,
                        is_slot ? "" : ", workspace");
}

/* total: of all arenas that hold the first count items, without making them. */
static tess_status plan_total(tess_net *net, const struct items *items, int count,
                              const struct memory_limits *limits, struct memory_plan *plan) {
    int culprit = 0;
    tess_status status =
        memory_plan_make(items->list, count, limits, &net->ctx->error, &culprit, plan);
    return status == TESS_OUT_OF_DEVICE_MEMORY ? blame(net, items, culprit, status) : status;
}

static tess_status arenas_total(tess_net *net, const struct memory_limits *limits, bool bare,
                                size_t *bytes) {
    struct items items = {0};
    struct memory_plan plan = {0};
    tess_status status = items_make(net, &items);
    if (!status) status = plan_total(net, &items, bare ? items.slots : items.count, limits, &plan);
    *bytes = plan.total;
    memory_plan_end(&plan);
    free(items.list);
    return status;
}

tess_status net_memory_total(tess_net *net, const struct memory_limits *limits, size_t *bytes) {
    return arenas_total(net, limits, false, bytes);
}

tess_status net_memory_bare(tess_net *net, const struct memory_limits *limits, size_t *bytes) {
    return arenas_total(net, limits, true, bytes);
}

/* What workspaces cost is what they add to the arenas of the rest. */
static tess_status place(tess_net *net, const struct memory_limits *limits) {
    struct items items = {0};
    struct memory_plan plan = {0};
    tess_status status = items_make(net, &items);
    if (!status) status = plan_total(net, &items, items.slots, limits, &plan);
    size_t bare = plan.total;
    net->memory.activations_unshared += plan.unshared;
    memory_plan_end(&plan);
    if (!status) status = plan_total(net, &items, items.count, limits, &plan);
    if (bare > plan.total) bare = plan.total;
    net->memory.activations += bare;
    net->memory.workspace = plan.total - bare;
    if (!status) status = arenas_create(net, &plan);
    if (!status) status = views_create(net, items.list);
    memory_plan_end(&plan);
    free(items.list);
    return status;
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
    struct memory_limits limits = net_memory_limits(net, debug);
    size_t fixed = fixed_bytes(net, limits.align);
    net->memory.activations = net->memory.activations_unshared = fixed;
    net->memory.activations_kept += fixed;
    tess_status status = place(net, &limits);
    if (!status) net_memory_bind(net);
    return status;
}

void net_memory_bind(tess_net *net) {
    for (int i = 0; i < net->instruction_count; i++) {
        struct instruction *in = &net->instructions[i];
        for (int k = 0; k < OPERANDS; k++)
            in->t[k] = net->slots[in->slots[k]].tensor;
    }
}

void net_memory_destroy(tess_net *net) {
    for (int i = 0; i < net->slot_count; i++)
        if (!net->slots[i].fixed) tess_tensor_destroy(net->slots[i].tensor);
    for (int i = 0; i < net->instruction_count; i++)
        tess_tensor_destroy(net->instructions[i].workspace);
    for (int i = 0; i < net->arena_count; i++)
        tess_tensor_destroy(net->arenas[i]);
    free(net->arenas);
    free(net->slots);
}
