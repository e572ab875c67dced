#include "net/recompute.h"

#include <stdlib.h>
#include <string.h>

typedef tess_status (*run_function)(const tess_net *net, const struct instruction *in);

static tess_status run_batch_norm_again(const tess_net *net, const struct instruction *in) {
    (void)net;
    return tess_batch_norm_forward_saved(
        in->as.norm, &(tess_batch_norm_args){.x = in->t[OP_X],
                                             .scale = in->t[OP_W],
                                             .bias = in->t[OP_BIAS],
                                             .residual = in->t[OP_AUX],
                                             .y = in->t[OP_Y],
                                             .saved_mean = in->t[OP_SAVED_MEAN],
                                             .saved_invstd = in->t[OP_SAVED_INVSTD],
                                             .workspace = in->workspace});
}

static bool is_one_of(run_function run, const run_function *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (list[i] == run) return true;
    return false;
}

/* What costs no more than reading its inputs and writing its output. */
static bool is_cheap(const struct instruction *in) {
    static const run_function cheap[] = {run_batch_norm, run_activation, run_concat,
                                         run_lrn,        run_add,        run_dropout};
    return is_one_of(in->run, cheap, sizeof cheap / sizeof *cheap);
}

/* Whether an instruction writes operand k. Of those that are not known, y is taken to be written. */
static bool writes(const struct instruction *in, int k) {
    static const run_function read_y[] = {run_activation_backward, run_batch_norm_backward,
                                          run_slice_activation};
    switch (k) {
    case OP_Y:
        return !is_one_of(in->run, read_y, sizeof read_y / sizeof *read_y);
    case OP_AUX:
        return in->run == run_pool_forward;
    case OP_SAVED_MEAN:
    case OP_SAVED_INVSTD:
        return in->run == run_batch_norm;
    case OP_X:
    case OP_W:
    case OP_BIAS:
    case OP_DY:
        return false;
    default:
        return true;
    }
}

static size_t rounded(size_t bytes, size_t align) {
    return (bytes + align - 1) / align * align;
}

static size_t slot_bytes(const tess_net *net, int slot, size_t align) {
    return rounded(tess_tensor_desc_bytes(&net->slots[slot].desc), align);
}

void net_alive(const tess_net *net, size_t align, size_t *alive) {
    memset(alive, 0, (size_t)net->instruction_count * sizeof *alive);
    for (int s = 1; s < net->slot_count; s++) {
        const struct slot *slot = &net->slots[s];
        if (slot->fixed || slot->first < 0) continue;
        size_t bytes = slot_bytes(net, s, align);
        for (int i = slot->first; i <= slot->last; i++)
            alive[i] += bytes;
    }
}

/* ---------------------------------------------------------------- candidates */

struct use {
    int forward,
        backward; /* its last instruction in the forward part, its first in the backward part; -1: none */
    int producers;
    bool fixed; /* cannot be made again */
};

struct recompute {
    tess_net *net;
    size_t align;
    int start;        /* the first instruction of the backward part */
    struct use *uses; /* by slot */
    size_t *alive;    /* by instruction */
    int peak;
};

static int backward_start(const tess_net *net) {
    int i = 0;
    while (i < net->instruction_count && !net->instructions[i].slots[OP_DX] &&
           !net->instructions[i].slots[OP_DY])
        i++;
    return i;
}

static void find_uses(struct recompute *r) {
    for (int s = 0; s < r->net->slot_count; s++)
        r->uses[s] = (struct use){.forward = -1, .backward = -1, .fixed = r->net->slots[s].fixed};
    for (int i = 0; i < r->net->instruction_count; i++) {
        const struct instruction *in = &r->net->instructions[i];
        for (int k = 0; k < OPERANDS; k++) {
            struct use *use = &r->uses[in->slots[k]];
            if (i < r->start)
                use->forward = i;
            else if (use->backward < 0)
                use->backward = i;
            if (!writes(in, k)) continue;
            bool produces = k == OP_Y && i < r->start && is_cheap(in);
            use->producers += produces;
            use->fixed = use->fixed || !produces;
        }
    }
}

static size_t total_at(const struct recompute *r, int i) {
    return r->alive[i] + rounded(r->net->instructions[i].workspace_bytes, r->align);
}

static bool is_producer(const struct recompute *r, int i, int slot) {
    return i < r->start && r->net->instructions[i].slots[OP_Y] == slot;
}

static bool written_between(const tess_net *net, int slot, int after, int before) {
    for (int i = after + 1; i < before; i++)
        for (int k = 0; k < OPERANDS; k++)
            if (net->instructions[i].slots[k] == slot && writes(&net->instructions[i], k))
                return true;
    return false;
}

static bool is_running(int k) {
    return k == OP_RUNNING_MEAN || k == OP_RUNNING_VAR;
}

/* Adds to *extended the bytes at the peak of what instruction i reads and would live longer for; false: its inputs are not what
   they were, or would make a peak as high as this one. */
static bool inputs_serve(const struct recompute *r, int i, int slot, size_t *extended) {
    const tess_net *net = r->net;
    const struct instruction *in = &net->instructions[i];
    int again = r->uses[slot].backward;
    for (int k = 0; k < OPERANDS; k++) {
        int input = in->slots[k];
        if (input == SLOT_NONE || input == slot || is_running(k)) continue;
        if (written_between(net, input, i, again)) return false;
        const struct slot *s = &net->slots[input];
        if (s->fixed || s->last >= again) continue;
        size_t bytes = slot_bytes(net, input, r->align);
        if (s->last < r->peak && r->peak <= again) *extended += bytes;
        for (int j = s->last + 1; j <= again; j++)
            if (j != r->peak && total_at(r, j) + bytes >= total_at(r, r->peak)) return false;
    }
    return true;
}

/* Bytes that making slot again frees at the peak; *moved: what its instructions read and write. 0: it does not help. */
static size_t gain(const struct recompute *r, int slot, double *moved) {
    const struct use *use = &r->uses[slot];
    size_t extended = 0, own = slot_bytes(r->net, slot, r->align);
    *moved = 0;
    if (use->fixed || !use->producers || use->backward < 0) return 0;
    if (use->forward >= r->peak || use->backward <= r->peak) return 0;
    for (int i = 0; i < r->start; i++) {
        const struct instruction *in = &r->net->instructions[i];
        if (!is_producer(r, i, slot)) continue;
        if (!inputs_serve(r, i, slot, &extended)) return 0;
        size_t here = rounded(in->workspace_bytes, r->align);
        if (r->alive[use->backward] + here >= total_at(r, r->peak)) return 0;
        for (int k = 0; k < OPERANDS; k++)
            if (in->slots[k] && !is_running(k))
                *moved += (double)slot_bytes(r->net, in->slots[k], r->align);
    }
    return own > extended ? own - extended : 0;
}

static int best_slot(const struct recompute *r, double *moved) {
    int best = SLOT_NONE;
    double best_price = 0;
    for (int s = 1; s < r->net->slot_count; s++) {
        double bytes;
        size_t freed = gain(r, s, &bytes);
        if (!freed) continue;
        double price = bytes / (double)freed;
        if (best != SLOT_NONE && price > best_price) continue;
        best = s;
        best_price = price;
        *moved = bytes;
    }
    return best;
}

/* ---------------------------------------------------------------- rewriting */

static void find_lifetimes(tess_net *net) {
    for (int s = 0; s < net->slot_count; s++)
        net->slots[s].first = -1;
    for (int i = 0; i < net->instruction_count; i++) {
        for (int k = 0; k < OPERANDS; k++) {
            struct slot *slot = &net->slots[net->instructions[i].slots[k]];
            if (slot->first < 0) slot->first = i;
            slot->last = i;
        }
    }
}

static struct instruction copy_of(const struct instruction *in, int from, int to) {
    struct instruction copy = *in;
    copy.phases = PHASE_TRAIN;
    copy.slots[OP_RUNNING_MEAN] = copy.slots[OP_RUNNING_VAR] = SLOT_NONE;
    if (copy.run == run_batch_norm) copy.run = run_batch_norm_again;
    for (int k = 0; k < OPERANDS; k++)
        if (copy.slots[k] == from) copy.slots[k] = to;
    return copy;
}

static tess_status make_again(struct recompute *r, int slot) {
    tess_net *net = r->net;
    const struct use use = r->uses[slot];
    int added = 0, again = SLOT_NONE, count = net->instruction_count;
    tess_tensor_desc desc = net->slots[slot].desc;
    tess_status status = slot_add(net, &desc, net->slots[slot].layer, &again);
    if (status) return status;
    struct instruction *list = malloc((size_t)(count + use.producers) * sizeof *list);
    if (!list)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "recomputation: no host memory; free some and try again");
    memcpy(list, net->instructions, (size_t)use.backward * sizeof *list);
    for (int i = 0; i < r->start; i++)
        if (is_producer(r, i, slot))
            list[use.backward + added++] = copy_of(&net->instructions[i], slot, again);
    for (int i = use.backward; i < count; i++) {
        struct instruction *in = &list[i + added];
        *in = net->instructions[i];
        for (int k = 0; k < OPERANDS; k++)
            if (in->slots[k] == slot) in->slots[k] = again;
    }
    free(net->instructions);
    net->instructions = list;
    net->instruction_count = net->instruction_capacity = count + added;
    find_lifetimes(net);
    return TESS_OK;
}

/* One output, where the most lives. *done: that is at most target, or nothing helps. */
static tess_status step(struct recompute *r, size_t target, double *bytes, bool *done) {
    double moved = 0;
    net_alive(r->net, r->align, r->alive);
    r->peak = 0;
    for (int i = 1; i < r->net->instruction_count; i++)
        if (total_at(r, i) > total_at(r, r->peak)) r->peak = i;
    *done = r->net->instruction_count == 0 || total_at(r, r->peak) <= target;
    if (*done) return TESS_OK;
    find_uses(r);
    int slot = best_slot(r, &moved);
    *done = slot == SLOT_NONE;
    if (*done) return TESS_OK;
    *bytes += moved;
    return make_again(r, slot);
}

tess_status net_recompute(tess_net *net, size_t align, size_t target, double *bytes) {
    struct recompute r = {.net = net, .align = align, .start = backward_start(net)};
    /* Each slot is made again once at most, by at most all instructions of the forward part. */
    size_t slots = 2 * (size_t)net->slot_count + 1;
    size_t instructions = (size_t)net->instruction_count + (size_t)r.start + 1;
    tess_status status = TESS_OK;
    bool done = false;
    r.uses = malloc(slots * sizeof *r.uses);
    r.alive = malloc(instructions * sizeof *r.alive);
    if (!r.uses || !r.alive)
        status = context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                              "recomputation: no host memory; free some and try again");
    while (!status && !done)
        status = step(&r, target, bytes, &done);
    free(r.uses);
    free(r.alive);
    return status;
}
