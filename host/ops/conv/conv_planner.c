/* Which algorithm and configuration: the caller's own, else the best prediction, else the one that is always valid. */
#include <float.h>
#include <stdio.h>

#include "ops/conv/conv_algo.h"

/* What conv_config_each's visitor carries: the best so far. */
struct search {
    const struct conv_algo *algo;
    const struct conv_problem *problem;
    const tess_device_info *device;
    bool limited, strict;
    size_t limit;
    int tried;
    double best_cycles;
    struct conv_choice *best;
};

static int consider(void *user, const struct conv_config *config) {
    struct search *search = user;
    if (search->limited && conv_algo_bytes(search->algo, search->problem, config) > search->limit)
        return 0;
    if (search->strict && search->algo->error_growth) return 0;
    search->tried++;
    double cycles = search->algo->predict(search->problem, search->device, config);
    if (cycles < search->best_cycles) {
        search->best_cycles = cycles;
        search->best->algo = search->algo;
        search->best->config = *config;
    }
    return 0;
}

static void consider_algo(struct search *search, const struct conv_algo *algo) {
    if (!conv_algo_applicable(algo, search->problem, search->device)) return;
    search->algo = algo;
    conv_config_each(algo, search->problem, search->device, consider, search);
}

static tess_status refuse(tess_context *ctx, const struct conv_problem *problem, const char *algo,
                          const char *why) {
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&problem->d, key);
    return context_fail(ctx, TESS_UNSUPPORTED, "convolution %s, %s: algorithm %s: %s", key,
                        conv_pass_name(problem->pass), algo, why);
}

/* The caller named algorithm and configuration: take it, or say why not. */
static tess_status choose_config(tess_context *ctx, const struct conv_problem *problem,
                                 const tess_conv_options *options, const struct conv_algo *algo,
                                 struct conv_choice *out) {
    struct conv_config config;
    tess_status status =
        conv_config_parse(algo, problem->pass, options->config, &ctx->error, &config);
    if (status) return status;
    if (!conv_config_valid(algo, problem, &ctx->device, &config))
        return refuse(ctx, problem, algo->name,
                      "this configuration does not fit the problem or the device; choose smaller "
                      "tiles or leave it to the planner");
    if (options->limit_workspace &&
        conv_algo_bytes(algo, problem, &config) > options->workspace_limit)
        return refuse(ctx, problem, algo->name,
                      "this configuration needs more workspace than the limit allows");
    out->algo = algo;
    out->config = config;
    out->tier = "caller";
    snprintf(out->why, sizeof out->why, "the caller asked for this configuration");
    return TESS_OK;
}

tess_status conv_choose(tess_context *ctx, const struct conv_problem *problem,
                        const tess_conv_options *options, struct conv_choice *out) {
    const struct conv_algo *only = NULL;
    if (options && options->algo) {
        only = conv_algo_find(options->algo);
        if (!only)
            return refuse(ctx, problem, options->algo,
                          "there is none of this name; leave it out or see conv_algos.def");
        if (!conv_algo_applicable(only, problem, &ctx->device))
            return refuse(ctx, problem, only->name, "it cannot do this problem on this device");
        if (options->strict && only->error_growth)
            return refuse(ctx, problem, only->name,
                          "it rounds more than the plain sum, which strict math forbids");
        if (options->config) return choose_config(ctx, problem, options, only, out);
    } else if (options && options->config) {
        return refuse(ctx, problem, "(none)", "a configuration was given without an algorithm");
    }
    struct conv_choice choice = {0};
    struct search search = {.problem = problem,
                            .device = &ctx->device,
                            .limited = options && options->limit_workspace,
                            .strict = options && options->strict,
                            .limit = options ? options->workspace_limit : 0,
                            .best_cycles = DBL_MAX,
                            .best = &choice};
    for (int i = 0; i < conv_algo_count; i++)
        if (!only || only == conv_algos[i]) consider_algo(&search, conv_algos[i]);
    if (!choice.algo)
        return refuse(ctx, problem, only ? only->name : "(any)",
                      "no configuration fits the workspace limit; raise it or choose another one");
    choice.tier = only ? "caller" : choice.algo->param_count ? "analytic" : "generic";
    snprintf(choice.why, sizeof choice.why,
             "%s%.3g million cycles predicted, least of %d configurations%s",
             only ? "the caller asked for this algorithm: " : "", search.best_cycles / 1e6,
             search.tried, search.limited ? " within the workspace limit" : "");
    *out = choice;
    return TESS_OK;
}
