/* Several ways to do a problem, for whoever has to fit many problems into one memory. */
#include <stdio.h>

#include "ops/conv/conv_algo.h"

/* Packing reads the weights and writes them, which fetches them first; 8 bytes a cycle. */
#define PACK_CYCLES_A_BYTE (3 / 8.0)

struct collection {
    tess_context *ctx;
    const struct conv_problem *problem;
    const struct conv_algo *algo; /* whose configurations are being visited */
    bool repack, strict, limited;
    size_t limit;
    double hz;
    struct conv_candidate *list;
    int count; /* list[0] is the planner's */
};

static double seconds_of(const struct collection *c, const struct conv_candidate *candidate) {
    const struct conv_choice *choice = &candidate->choice;
    double cycles = choice->algo->predict(c->problem, &c->ctx->device, &choice->config);
    if (c->repack)
        cycles += PACK_CYCLES_A_BYTE *
                  (double)conv_algo_packed(choice->algo, c->problem, &choice->config);
    return cycles / c->hz;
}

static struct conv_candidate candidate_of(const struct collection *c,
                                          const struct conv_choice *choice) {
    size_t packed = conv_algo_packed(choice->algo, c->problem, &choice->config);
    size_t workspace = conv_algo_workspace(choice->algo, c->problem, &choice->config);
    struct conv_candidate candidate = {.choice = *choice, .workspace = workspace, .packed = packed};
    if (c->repack && packed) {
        candidate.workspace = workspace ? conv_rest_offset(c->ctx, packed) + workspace : packed;
        candidate.packed = 0;
    }
    candidate.seconds = seconds_of(c, &candidate);
    return candidate;
}

static bool dominates(const struct conv_candidate *a, const struct conv_candidate *b) {
    return a->seconds <= b->seconds && a->workspace <= b->workspace && a->packed <= b->packed;
}

/* Keeps those that no other dominates. A full list takes no more. */
static void add(struct collection *c, const struct conv_candidate *candidate) {
    int kept = 1;
    for (int i = 1; i < c->count; i++)
        if (dominates(&c->list[i], candidate)) return;
    for (int i = 1; i < c->count; i++)
        if (!dominates(candidate, &c->list[i])) c->list[kept++] = c->list[i];
    c->count = kept;
    if (c->count < CONV_CANDIDATES - 1) c->list[c->count++] = *candidate;
}

static int collect(void *user, const struct conv_config *config) {
    struct collection *c = user;
    struct conv_choice choice = {.algo = c->algo, .config = *config, .tier = "analytic"};
    if (c->strict && c->algo->error_growth) return 0;
    if (c->limited && conv_algo_bytes(c->algo, c->problem, config) > c->limit) return 0;
    struct conv_candidate candidate = candidate_of(c, &choice);
    add(c, &candidate);
    return 0;
}

/* The way that needs nothing, in the place that add leaves free. */
static tess_status add_least(struct collection *c, const tess_conv_options *options) {
    tess_conv_options least = *options;
    struct conv_choice choice;
    for (int i = 0; i < c->count; i++)
        if (c->list[i].workspace + c->list[i].packed == 0) return TESS_OK;
    least.limit_workspace = true;
    least.workspace_limit = 0;
    tess_status status = conv_choose(c->ctx, c->problem, &least, &choice);
    if (!status) c->list[c->count++] = candidate_of(c, &choice);
    return status;
}

/* The planner's word counts for more than a prediction. */
static void scale(struct collection *c) {
    struct conv_candidate *first = &c->list[0];
    double measured = first->choice.seconds;
    double factor = measured > 0 && first->seconds > 0 ? measured / first->seconds : 1;
    for (int i = 0; i < c->count; i++)
        c->list[i].seconds *= factor;
    for (int i = 1; i < c->count; i++) {
        struct conv_choice *choice = &c->list[i].choice;
        if (c->list[i].seconds < first->seconds) c->list[i].seconds = first->seconds;
        snprintf(choice->why, sizeof choice->why,
                 "for the network's memory limit: %zu bytes instead of %zu; predicted %.2f times "
                 "the time",
                 c->list[i].workspace + c->list[i].packed, first->workspace + first->packed,
                 c->list[i].seconds / first->seconds);
    }
}

tess_status conv_candidates(tess_context *ctx, const struct conv_problem *problem,
                            const tess_conv_options *options,
                            struct conv_candidate out[CONV_CANDIDATES], int *count) {
    struct collection c = {.ctx = ctx,
                           .problem = problem,
                           .repack = options->repack,
                           .strict = options->strict,
                           .limited = options->limit_workspace,
                           .limit = options->workspace_limit,
                           .hz = ctx->device.clock_mhz ? 1e6 * ctx->device.clock_mhz : 1e9,
                           .list = out,
                           .count = 1};
    struct conv_choice choice;
    tess_status status = conv_choose(ctx, problem, options, &choice);
    if (status) return status;
    out[0] = candidate_of(&c, &choice);
    bool several = !options->algo && !ctx->bundle; /* which has the programs of that one alone */
    for (int i = 0; i < conv_algo_count && several; i++) {
        c.algo = conv_algos[i];
        if (conv_algo_applicable(c.algo, problem, &ctx->device))
            conv_config_each(c.algo, problem, &ctx->device, collect, &c);
    }
    if (several) status = add_least(&c, options);
    if (status) return status;
    scale(&c);
    *count = c.count;
    return TESS_OK;
}
