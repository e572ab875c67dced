/* Which algorithm and configuration: the caller's own; else what was measured here, on like problems or devices, as far as the
   prediction bears it out; else the best prediction; else the one that is always valid. */
#include <float.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/kernel_bundle.h"
#include "ops/conv/conv_advice.h"

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

/* The algorithm that the caller named, NULL if none; refused if it cannot serve. */
static tess_status named_algo(tess_context *ctx, const struct conv_problem *problem,
                              const tess_conv_options *options, const struct conv_algo **out) {
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
    } else if (options && options->config) {
        return refuse(ctx, problem, "(none)", "a configuration was given without an algorithm");
    }
    *out = only;
    return TESS_OK;
}

/* ---------------------------------------------------------------- advice */

/* A configuration predicted to take more than so many times the analytic best's cycles is not believed. */
#define GUARD 2.0

enum { MAX_ADVICE = 16 };

/* "conv_direct_fwd__wt14_kv2" -> algorithm and configuration; false: not one of this program's for this pass. */
static bool parse_printed(const struct conv_problem *problem, const char *text,
                          struct conv_choice *out) {
    for (int i = 0; i < conv_algo_count; i++) {
        char prefix[CONV_CONFIG_SIZE];
        int length = snprintf(prefix, sizeof prefix, "conv_%s_%s", conv_algos[i]->name,
                              conv_pass_name(problem->pass));
        if (strncmp(text, prefix, (size_t)length) != 0) continue;
        const char *rest = text + length;
        if (*rest && strncmp(rest, "__", 2) != 0) continue;
        out->algo = conv_algos[i];
        return conv_config_parse(conv_algos[i], problem->pass, *rest ? rest + 2 : rest, NULL,
                                 &out->config) == TESS_OK;
    }
    return false;
}

/* Whether the advice can be followed for this problem, on this device, within the caller's limits. */
static bool usable(const struct search *search, const struct conv_advice *advice,
                   struct conv_choice *out) {
    return parse_printed(search->problem, advice->config, out) &&
           conv_algo_applicable(out->algo, search->problem, search->device) &&
           conv_config_valid(out->algo, search->problem, search->device, &out->config) &&
           !(search->strict && out->algo->error_growth) &&
           !(search->limited &&
             conv_algo_bytes(out->algo, search->problem, &out->config) > search->limit);
}

/* A bundle of kernels holds the plans that its programs belong to: only they can be built. */
static int ask_bundle(tess_context *ctx, const struct conv_problem *problem,
                      struct conv_advice *out) {
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&problem->d, key);
    const char *config = kernel_bundle_plan(ctx->bundle, conv_pass_name(problem->pass), key);
    if (!config) return 0;
    *out = (struct conv_advice){.nearness = CONV_EXACT};
    snprintf(out->config, sizeof out->config, "%s", config);
    snprintf(out->origin, sizeof out->origin, "%s", kernel_bundle_path(ctx->bundle));
    return 1;
}

static int ask(tess_context *ctx, const struct search *search, struct conv_advice *out, int max) {
    /* Keys do not tell the layout: measurements are of NHWC. */
    if (search->problem->d.layout != TESS_NHWC) return 0;
    if (ctx->bundle) return ask_bundle(ctx, search->problem, out);
    if (!ctx->advisor) return 0;
    return ctx->advisor->advise(ctx->advisor->user, search->problem, search->strict,
                                search->limited ? search->limit : SIZE_MAX, out, max);
}

static void take_exact(const struct conv_advice *advice, struct conv_choice *choice) {
    choice->tier = "exact";
    if (!(advice->seconds > 0)) {
        snprintf(choice->why, sizeof choice->why, "its program is in %s", advice->origin);
        return;
    }
    choice->seconds = advice->seconds;
    int used = snprintf(choice->why, sizeof choice->why, "measured %.3g ms here (%s)",
                        1e3 * advice->seconds, advice->origin);
    if (advice->trials > 0 && used > 0 && (size_t)used < sizeof choice->why)
        snprintf(choice->why + used, sizeof choice->why - (size_t)used, ", best of %d trials",
                 advice->trials);
}

/* What was measured on this very problem here needs no prediction: the space is not even enumerated. */
static bool choose_exact(tess_context *ctx, const struct search *search, struct conv_choice *out) {
    struct conv_advice advice;
    struct conv_choice choice = {0};
    if (ask(ctx, search, &advice, 1) != 1 || advice.nearness != CONV_EXACT ||
        !usable(search, &advice, &choice))
        return false;
    take_exact(&advice, &choice);
    *out = choice;
    return true;
}

/* Where a time is not known, somebody reasoned. */
static const char *milliseconds(double seconds, char text[32]) {
    snprintf(text, 32, seconds > 0 ? "measured %.3g ms there" : "reasoned", 1e3 * seconds);
    return text;
}

static void take_guess(const struct conv_advice *advice, double ratio, struct conv_choice *choice) {
    static const char *const tiers[] = {[CONV_EXACT] = "exact",
                                        [CONV_NEAR] = "near",
                                        [CONV_OTHER] = "other device",
                                        [CONV_PORTFOLIO] = "portfolio"};
    char time[32];
    choice->tier = tiers[advice->nearness];
    snprintf(choice->why, sizeof choice->why,
             "as %.70s: %s (%s); predicted %.2g times the analytic best", advice->problem,
             milliseconds(advice->seconds, time), advice->origin, ratio);
}

/* The first piece of advice that is usable and believable. Says in analytic->why what was not believed, if the analytic best,
   which it holds, remains. */
static bool choose_advised(tess_context *ctx, const struct search *search,
                           struct conv_choice *analytic, struct conv_choice *out) {
    struct conv_advice list[MAX_ADVICE];
    int count = ask(ctx, search, list, MAX_ADVICE);
    bool told = false;
    for (int i = 0; i < count; i++) {
        struct conv_choice choice = {0};
        if (!usable(search, &list[i], &choice)) continue;
        double ratio = choice.algo->predict(search->problem, search->device, &choice.config) /
                       search->best_cycles;
        if (list[i].nearness == CONV_EXACT) {
            take_exact(&list[i], &choice);
        } else if (ratio <= GUARD) {
            take_guess(&list[i], ratio, &choice);
        } else {
            size_t used = strlen(analytic->why);
            if (!told)
                snprintf(analytic->why + used, sizeof analytic->why - used,
                         "; %.60s of %s was rejected: predicted %.2g times slower", list[i].config,
                         list[i].nearness == CONV_PORTFOLIO ? "the portfolio" : "a neighbour",
                         ratio);
            told = true;
            continue;
        }
        *out = choice;
        return true;
    }
    return false;
}

/* ---------------------------------------------------------------- choice */

tess_status conv_choose(tess_context *ctx, const struct conv_problem *problem,
                        const tess_conv_options *options, struct conv_choice *out) {
    const struct conv_algo *only = NULL;
    tess_status status = named_algo(ctx, problem, options, &only);
    if (status) return status;
    if (only && options->config) return choose_config(ctx, problem, options, only, out);
    struct conv_choice choice = {0};
    struct search search = {.problem = problem,
                            .device = &ctx->device,
                            .limited = options && options->limit_workspace,
                            .strict = options && options->strict,
                            .limit = options ? options->workspace_limit : 0,
                            .best_cycles = DBL_MAX,
                            .best = &choice};
    if (!only && choose_exact(ctx, &search, out)) return TESS_OK;
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
    if (!only && choose_advised(ctx, &search, &choice, out)) return TESS_OK;
    *out = choice;
    return TESS_OK;
}
