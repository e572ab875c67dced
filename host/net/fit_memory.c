#include "net/fit_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/choose_algorithms.h"
#include "net/recompute.h"
#include "ops/conv/conv_algo.h"

/* Memory moves about so many bytes in a clock cycle. */
#define BYTES_A_CYCLE 4.0

enum { PASSES = 3, ROUNDS = 8 };

struct fit {
    tess_net *net;
    struct memory_limits limits;
    size_t held, room; /* what is there already or certain, and what may be added */
    int *site_of;      /* [layer][pass]: index into the next, or -1 */
    struct conv_candidate (*candidates)[CONV_CANDIDATES];
    struct algorithm_option (*options)[CONV_CANDIDATES];
    struct algorithm_site *sites; /* the last one stands for all that is no convolution */
    int count;                    /* of sites */
    int *picks;
    struct algorithm_option rest; /* nothing */
    size_t *alive;
};

/* The instructions and slots as they were. */
struct snapshot {
    struct instruction *instructions;
    struct slot *slots;
    int instruction_count, slot_count;
};

static tess_status no_memory(tess_net *net) {
    return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                        "memory limit: no host memory; free some and try again");
}

static tess_status snapshot_take(tess_net *net, struct snapshot *out) {
    size_t instructions = (size_t)net->instruction_count * sizeof *out->instructions;
    size_t slots = (size_t)net->slot_count * sizeof *out->slots;
    out->instructions = malloc(instructions + 1);
    out->slots = malloc(slots + 1);
    if (!out->instructions || !out->slots) return no_memory(net);
    memcpy(out->instructions, net->instructions, instructions);
    memcpy(out->slots, net->slots, slots);
    out->instruction_count = net->instruction_count;
    out->slot_count = net->slot_count;
    return TESS_OK;
}

/* There is room: lists only grow. */
static void snapshot_restore(const struct snapshot *snapshot, tess_net *net) {
    net->instruction_count = snapshot->instruction_count;
    net->slot_count = snapshot->slot_count;
    memcpy(net->instructions, snapshot->instructions,
           (size_t)net->instruction_count * sizeof *net->instructions);
    memcpy(net->slots, snapshot->slots, (size_t)net->slot_count * sizeof *net->slots);
}

/* ---------------------------------------------------------------- sites */

static double hz(const tess_net *net) {
    unsigned mhz = tess_context_device(net->ctx)->clock_mhz;
    return mhz ? 1e6 * mhz : 1e9;
}

/* Those that can write a part of a concatenation; the planner's own can. */
static int keep_slicing(struct conv_candidate *list, int count) {
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (list[i].choice.algo->slices) list[kept++] = list[i];
    return kept;
}

static tess_status site_make(struct fit *fit, int layer, int pass) {
    tess_net *net = fit->net;
    const struct conv_request *request = &net->ops[layer].requests[pass];
    int site = fit->count, count = 0;
    struct conv_problem problem;
    tess_conv_desc desc = net->graph->layers[layer].as.conv;
    desc.n = net->options.batch;
    tess_status status = conv_problem_init(&desc, &request->options, &net->ctx->error, &problem);
    if (!status)
        status =
            conv_candidates(net->ctx, &problem, &request->options, fit->candidates[site], &count);
    if (status)
        return error_prefix(&net->ctx->error, status, "layer %s", net->graph->layers[layer].name);
    if (request->y_channels) count = keep_slicing(fit->candidates[site], count);
    /* Inference keeps the weights as they are where they are not packed: see staged_weights.h. */
    size_t plain = net->options.training ? 0 : net_weight_bytes(net, layer);
    for (int k = 0; k < count; k++) {
        const struct conv_candidate *candidate = &fit->candidates[site][k];
        size_t align = fit->limits.align;
        fit->options[site][k] = (struct algorithm_option){
            .seconds = candidate->seconds,
            .workspace = (candidate->workspace + align - 1) / align * align,
            .held = candidate->packed ? candidate->packed : plain};
    }
    fit->sites[site] = (struct algorithm_site){.options = fit->options[site], .count = count};
    fit->site_of[layer * PASSES + pass] = fit->count++;
    return TESS_OK;
}

static tess_status fit_begin(struct fit *fit) {
    tess_net *net = fit->net;
    size_t sites = 1, keys = (size_t)net->graph->count * PASSES;
    for (int i = 0; i < net->graph->count; i++)
        for (int pass = 0; pass < PASSES; pass++)
            sites += net->ops[i].requests[pass].wanted;
    fit->site_of = malloc(keys * sizeof *fit->site_of);
    fit->candidates = calloc(sites, sizeof *fit->candidates);
    fit->options = calloc(sites, sizeof *fit->options);
    fit->sites = calloc(sites, sizeof *fit->sites);
    fit->picks = calloc(sites, sizeof *fit->picks);
    /* Recomputation at most doubles the list. */
    fit->alive = calloc(2 * (size_t)net->instruction_count + 1, sizeof *fit->alive);
    if (!fit->site_of || !fit->candidates || !fit->options || !fit->sites || !fit->picks ||
        !fit->alive)
        return no_memory(net);
    for (size_t i = 0; i < keys; i++) {
        fit->site_of[i] = -1;
        int layer = (int)(i / PASSES), pass = (int)(i % PASSES);
        if (!net->ops[layer].requests[pass].wanted) continue;
        tess_status status = site_make(fit, layer, pass);
        if (status) return status;
    }
    fit->sites[fit->count++] = (struct algorithm_site){.options = &fit->rest, .count = 1};
    return TESS_OK;
}

static void fit_end(struct fit *fit) {
    free(fit->site_of);
    free(fit->candidates);
    free(fit->options);
    free(fit->sites);
    free(fit->picks);
    free(fit->alive);
}

static int site_at(const struct fit *fit, const struct instruction *in) {
    tess_conv_pass pass;
    return conv_pass_of(in, &pass) ? fit->site_of[in->layer * PASSES + (int)pass] : -1;
}

/* What lives beside each site's workspace. */
static void refresh_alive(struct fit *fit) {
    struct algorithm_site *rest = &fit->sites[fit->count - 1];
    net_alive(fit->net, fit->limits.align, fit->alive);
    rest->alive = 0;
    for (int i = 0; i < fit->net->instruction_count; i++) {
        const struct instruction *in = &fit->net->instructions[i];
        int site = site_at(fit, in);
        size_t own = fit->alive[i] + (site < 0 ? in->workspace_bytes : 0);
        if (site >= 0)
            fit->sites[site].alive = own;
        else if (own > rest->alive)
            rest->alive = own;
    }
}

/* ---------------------------------------------------------------- fitting */

static void set_workspaces(struct fit *fit) {
    for (int i = 0; i < fit->net->instruction_count; i++) {
        struct instruction *in = &fit->net->instructions[i];
        int site = site_at(fit, in);
        if (site >= 0) in->workspace_bytes = fit->candidates[site][fit->picks[site]].workspace;
    }
}

/* Packed weights, and in inference those that are not packed. */
static size_t weights(const struct fit *fit) {
    size_t bytes = 0;
    for (int i = 0; i < fit->count - 1; i++)
        bytes += fit->options[i][fit->picks[i]].held;
    return bytes;
}

/* Arenas as they would be, and weights. */
static tess_status total(struct fit *fit, size_t *bytes) {
    size_t arenas = 0;
    tess_status status = net_memory_total(fit->net, &fit->limits, &arenas);
    *bytes = arenas + weights(fit);
    return status;
}

/* Arenas have gaps: what they are too large by, the choice gets less. */
static tess_status choose(struct fit *fit, bool *fits) {
    size_t target = fit->room, bytes = 0;
    refresh_alive(fit);
    for (int round = 0; round < ROUNDS; round++) {
        tess_status status = choose_algorithms(fit->sites, fit->count, target,
                                               &fit->net->ctx->error, fit->picks, fits);
        if (status || !*fits) return status;
        set_workspaces(fit);
        status = total(fit, &bytes);
        if (status) return status;
        *fits = bytes <= fit->room;
        if (*fits || bytes - fit->room > target) return TESS_OK;
        target -= bytes - fit->room;
    }
    return TESS_OK;
}

static double seconds(const struct fit *fit) {
    return choice_seconds(fit->sites, fit->count, fit->picks);
}

/* Recomputation towards goal with the workspaces as they are set, and then the choice; the plan's gaps make the goal smaller. */
static tess_status recompute_and_choose(struct fit *fit, double *bytes, bool *fits) {
    size_t goal = fit->room;
    for (int round = 0; round < ROUNDS && !*fits; round++) {
        tess_status status = net_recompute(fit->net, fit->limits.align, goal, bytes);
        if (!status) status = choose(fit, fits);
        if (status) return status;
        goal -= goal / 32;
    }
    return TESS_OK;
}

/* As fast as the planner wants it, or with other algorithms, or with recomputation. */
static tess_status fit_limit(struct fit *fit, bool may_recompute, bool *fits) {
    tess_net *net = fit->net;
    struct snapshot before = {0};
    double plain = 0, fastest = seconds(fit), moved = 0;
    bool plain_fits = false;
    tess_status status = choose(fit, &plain_fits);
    *fits = plain_fits;
    if (status || !may_recompute) return status;
    plain = seconds(fit);
    if (plain_fits && plain <= fastest * 1.001) return TESS_OK;
    status = snapshot_take(net, &before);
    if (!status) {
        memset(fit->picks, 0, (size_t)fit->count * sizeof *fit->picks);
        set_workspaces(fit);
        *fits = false;
        status = recompute_and_choose(fit, &moved, fits);
    }
    bool worse = !*fits || seconds(fit) + moved / BYTES_A_CYCLE / hz(net) >= plain;
    if (!status && plain_fits && worse) {
        snapshot_restore(&before, net);
        status = choose(fit, fits);
    } else if (!status && !*fits) {
        /* Everything that helps, with the smallest workspaces. */
        status = choose(fit, fits);
        if (!status && !*fits) {
            set_workspaces(fit);
            status = recompute_and_choose(fit, &moved, fits);
        }
    }
    free(before.instructions);
    free(before.slots);
    return status;
}

/* ---------------------------------------------------------------- failure */

/* What would help. */
static void advise(const struct fit *fit, size_t arenas, char *text, size_t size) {
    const tess_net *net = fit->net;
    /* Packed weights and the arenas' gaps do not shrink with the batch: a little less than the share says. */
    size_t fixed = net->memory.parameters + weights(fit), limit = net->options.memory_limit;
    size_t each = (arenas + fit->held - net->memory.parameters) / (size_t)net->options.batch + 1;
    size_t batch = limit > fixed ? (limit - fixed) / each * 15 / 16 : 0;
    if (batch >= (size_t)net->options.batch) batch = (size_t)net->options.batch - 1;
    if (batch > 0)
        snprintf(text, size, "a batch of about %zu would fit", batch);
    else
        snprintf(text, size, "give more, or make the network or its input smaller");
}

/* The least that the instructions, as they are now, can do with. */
static tess_status take_smallest(struct fit *fit, size_t *bytes) {
    bool fits;
    refresh_alive(fit);
    tess_status status =
        choose_algorithms(fit->sites, fit->count, 0, &fit->net->ctx->error, fit->picks, &fits);
    if (status) return status;
    set_workspaces(fit);
    return total(fit, bytes);
}

static tess_status fail_limit(struct fit *fit, bool may_recompute, size_t bytes) {
    const double mib = 1048576;
    tess_net *net = fit->net;
    char advice[80];
    advise(fit, bytes - weights(fit), advice, sizeof advice);
    size_t others = fit->held - net->memory.parameters;
    return context_fail(
        net->ctx, TESS_OUT_OF_DEVICE_MEMORY,
        "memory limit: at least %.1f MiB are needed and %.1f allowed: parameters%s %.1f, "
        "activations%s and workspaces %.1f, input, output and operators %.1f; %s%s",
        (double)(fit->held + bytes) / mib, (double)net->options.memory_limit / mib,
        net->options.training ? " with gradients and velocities" : "",
        (double)(net->memory.parameters + weights(fit)) / mib,
        net->options.training ? ", gradients" : "", (double)(bytes - weights(fit)) / mib,
        (double)others / mib, advice,
        net->options.training && !may_recompute ? ", and recomputation saves memory" : "");
}

/* ---------------------------------------------------------------- all of it */

static tess_status create_chosen(struct fit *fit) {
    size_t keys = (size_t)fit->net->graph->count * PASSES;
    const struct conv_choice **choices = calloc(keys, sizeof *choices);
    if (!choices) return no_memory(fit->net);
    for (size_t i = 0; i < keys; i++) {
        int site = fit->site_of[i];
        if (site >= 0) choices[i] = &fit->candidates[site][fit->picks[site]].choice;
    }
    tess_status status = convs_create(fit->net, choices);
    free((void *)choices);
    return status;
}

static tess_status fit_within(tess_net *net, const struct net_debug *debug, size_t held) {
    struct fit fit = {.net = net, .limits = net_memory_limits(net, debug), .held = held};
    bool may_recompute = net->options.training && net->options.recompute != TESS_RECOMPUTE_NEVER;
    bool fits = false;
    double moved = 0;
    fit.room = net->options.memory_limit > held ? net->options.memory_limit - held : 0;
    tess_status status = fit_begin(&fit);
    if (!status) set_workspaces(&fit);
    if (!status && may_recompute && net->options.recompute == TESS_RECOMPUTE_ALWAYS)
        status = net_recompute(net, fit.limits.align, 0, &moved);
    if (!status) status = fit_limit(&fit, may_recompute, &fits);
    size_t least = 0;
    if (!status && !fits) status = take_smallest(&fit, &least);
    if (!status && least > fit.room) status = fail_limit(&fit, may_recompute, least);
    if (!status) status = create_chosen(&fit);
    fit_end(&fit);
    return status;
}

tess_status net_fit(tess_net *net, const struct net_debug *debug, size_t held) {
    if (net->options.memory_limit) return fit_within(net, debug, held);
    struct memory_limits limits = net_memory_limits(net, debug);
    double moved = 0;
    tess_status status = convs_create(net, NULL);
    if (status || !net->options.training || net->options.recompute != TESS_RECOMPUTE_ALWAYS)
        return status;
    return net_recompute(net, limits.align, 0, &moved);
}
