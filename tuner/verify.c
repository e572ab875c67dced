#include "tuner/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/context.h"
#include "core/tensor.h"
#include "tuner/float64.h"

static void reject(struct verdict *verdict, const char *format, const char *what) {
    if (verdict->right) snprintf(verdict->cause, sizeof verdict->cause, format, what);
    verdict->right = false;
}

/* ---------------------------------------------------------------- one run */

static tess_status poison(struct instance *instance) {
    struct workbench *bench = instance->bench;
    struct guarded *const all[] = {&bench->operand[workbench_result(bench)], &instance->packed,
                                   &instance->workspace};
    tess_status status = TESS_OK;
    for (int i = 0; i < 3 && !status; i++)
        if (all[i]->tensor) status = guarded_write(all[i], NULL);
    return status;
}

static tess_status check_bands(struct instance *instance, struct verdict *verdict) {
    struct workbench *bench = instance->bench;
    static const char *const names[] = {"x", "w", "y", "the packed weights", "the workspace"};
    struct guarded *const all[] = {&bench->operand[0], &bench->operand[1], &bench->operand[2],
                                   &instance->packed, &instance->workspace};
    for (int i = 0; i < 5; i++) {
        if (!all[i]->tensor) continue;
        bool intact = false;
        tess_status status = guarded_intact(all[i], i < 3 ? bench->host[i] : NULL, &intact);
        if (status) return status;
        if (!intact)
            reject(verdict,
                   i < 3 && bench->host[i] ? "writes into %s or next to it"
                                           : "writes before the start or past the end of %s",
                   names[i]);
    }
    return TESS_OK;
}

/* Poison, pack, run; result receives what came out. */
static tess_status run_once(struct instance *instance, float *result, struct verdict *verdict) {
    struct workbench *bench = instance->bench;
    tess_status status = poison(instance);
    if (!status) status = instance_pack(instance);
    if (!status) status = instance_run(instance);
    if (!status) status = tess_context_finish(bench->ctx);
    if (!status) status = check_bands(instance, verdict);
    tess_tensor *made = bench->operand[workbench_result(bench)].tensor;
    return status ? status : tess_tensor_read(made, result, made->desc.layout);
}

/* ---------------------------------------------------------------- the result */

static void check_finite(const float *result, size_t count, struct verdict *verdict) {
    size_t bad = 0, first = 0;
    for (size_t i = count; i-- > 0;)
        if (!isfinite(result[i])) bad++, first = i;
    if (!bad) return;
    char text[100];
    snprintf(text, sizeof text, "%zu of %zu, the first at %zu", bad, count, first);
    reject(verdict, "elements of the result were not stored, or read what is not theirs: %s", text);
    verdict->max_err = INFINITY;
}

static void check_samples(const struct instance *instance, const float *result,
                          struct verdict *verdict) {
    const struct workbench *bench = instance->bench;
    double growth = conv_algo_error_growth(instance->algo, &bench->problem, &instance->config);
    for (size_t i = 0; i < bench->sample_count; i++) {
        double want = bench->answer[i];
        double err = fabs((double)result[bench->sample[i]] - want) /
                     float64_bound(&bench->problem, want, growth);
        if (!(err <= verdict->max_err)) verdict->max_err = err;
        if (err <= 1) continue;
        char text[100];
        snprintf(text, sizeof text, "element %zu is %.9g where float64 says %.9g", bench->sample[i],
                 (double)result[bench->sample[i]], want);
        reject(verdict, "%s", text);
    }
}

/* Two runs; first receives the result. */
static tess_status verify_runs(struct instance *instance, float *first, struct verdict *verdict) {
    struct workbench *bench = instance->bench;
    size_t count = bench->operand[workbench_result(bench)].elements;
    float *second = malloc(count * sizeof *second);
    if (!second)
        return context_fail(bench->ctx, TESS_OUT_OF_HOST_MEMORY, "tune: no memory for results");
    tess_status status = run_once(instance, first, verdict);
    if (!status) status = run_once(instance, second, verdict);
    if (!status) {
        check_finite(first, count, verdict);
        check_samples(instance, first, verdict);
        if (memcmp(first, second, count * sizeof *first) != 0)
            reject(verdict, "%s",
                   "two runs differ: a race, or a result that depends on what was there");
    }
    free(second);
    return status;
}

tess_status verify_instance(struct instance *instance, struct verdict *out) {
    struct workbench *bench = instance->bench;
    struct verdict verdict = {.right = true};
    float *first = malloc(bench->operand[workbench_result(bench)].elements * sizeof *first);
    if (!first)
        return context_fail(bench->ctx, TESS_OUT_OF_HOST_MEMORY, "tune: no memory for results");
    tess_status status = verify_runs(instance, first, &verdict);
    if (!status) *out = verdict;
    free(first);
    return status;
}

/* ---------------------------------------------------------------- both orders */

/* Not bit for bit: it is another program, whose multiply-adds the compiler may have fused otherwise. */
static void check_order(const struct instance *instance, const float *first, const float *reversed,
                        struct verdict *verdict) {
    const struct workbench *bench = instance->bench;
    size_t count = bench->operand[workbench_result(bench)].elements;
    double growth = conv_algo_error_growth(instance->algo, &bench->problem, &instance->config);
    for (size_t i = 0; i < count; i++) {
        double bound = float64_bound(&bench->problem, (double)first[i], growth);
        if (fabs((double)reversed[i] - (double)first[i]) <= bound) continue;
        char text[100];
        snprintf(text, sizeof text, "element %zu is %.9g, and %.9g", i, (double)first[i],
                 (double)reversed[i]);
        reject(verdict,
               "%s with ids counted from the end: work-groups or work-items are not independent",
               text);
        return;
    }
}

static tess_status verify_reversed(struct workbench *bench, const char *printed, const float *first,
                                   struct verdict *verdict) {
    size_t count = bench->operand[workbench_result(bench)].elements;
    struct instance *instance = NULL;
    float *reversed = malloc(count * sizeof *reversed);
    if (!reversed)
        return context_fail(bench->ctx, TESS_OUT_OF_HOST_MEMORY, "tune: no memory for results");
    bench->ctx->reversed_ids = true;
    tess_status status = instance_create(bench, printed, &instance);
    bench->ctx->reversed_ids = false;
    if (!status) status = run_once(instance, reversed, verdict);
    if (!status) {
        check_order(instance, first, reversed, verdict);
        check_finite(reversed, count, verdict);
        check_samples(instance, reversed, verdict);
    }
    instance_destroy(instance);
    free(reversed);
    return status;
}

static tess_status verify_orders(struct workbench *bench, const char *printed, bool both,
                                 struct verdict *out) {
    struct verdict verdict = {.right = true};
    struct instance *instance = NULL;
    float *first = malloc(bench->operand[workbench_result(bench)].elements * sizeof *first);
    if (!first)
        return context_fail(bench->ctx, TESS_OUT_OF_HOST_MEMORY, "tune: no memory for results");
    tess_status status = instance_create(bench, printed, &instance);
    if (!status) status = verify_runs(instance, first, &verdict);
    instance_destroy(instance);
    if (!status && verdict.right && both) status = verify_reversed(bench, printed, first, &verdict);
    if (!status) *out = verdict;
    free(first);
    return status;
}

tess_status verify_both_orders(struct workbench *bench, const char *printed, struct verdict *out) {
    return verify_orders(bench, printed, true, out);
}

/* ---------------------------------------------------------------- winners */

/* With so many multiply-adds for each answer there is time for more builds: both orders of each problem, other numbers of channels. */
static const double thorough_macs = 1e8;

/* Verifies printed on another problem; *fits tells whether it can do it at all. */
static tess_status verify_on(struct workbench *bench, const tess_conv_desc *desc,
                             const char *printed, double macs, bool both, bool *fits,
                             struct verdict *out) {
    tess_context *ctx = bench->ctx;
    tess_conv_options options = {.pass = bench->problem.pass};
    struct conv_problem problem;
    const struct conv_algo *algo;
    struct conv_config config;
    tess_error ignored;
    *fits = false;
    if (conv_problem_init(desc, &options, &ignored, &problem)) return TESS_OK;
    tess_status status = config_read(printed, problem.pass, &ctx->error, &algo, &config);
    if (status) return status;
    if (!conv_algo_applicable(algo, &problem, &ctx->device) ||
        !conv_config_valid(algo, &problem, &ctx->device, &config))
        return TESS_OK;
    struct workbench *other = NULL;
    status = workbench_create(ctx, &problem, macs, false, &other);
    if (!status) status = verify_orders(other, printed, both, out);
    if (!status) *fits = true;
    workbench_destroy(other);
    if (!status && !out->right) {
        char key[TESS_CONV_KEY_SIZE], cause[sizeof out->cause];
        tess_conv_desc_key(desc, key);
        snprintf(cause, sizeof cause, "%s", out->cause);
        snprintf(out->cause, sizeof out->cause, "on %.80s: %.110s", key, cause);
    }
    return status;
}

/* What is added to h, w, and, in units of groups, to the channels that are summed over or, for backward-weights, the input's (from), and to
   the others (to): the first two that the configuration fits are taken. */
static const struct {
    int h, w, from, to;
} ragged[] = {{1, -1, 1, 1}, {-1, 1, -1, 3}, {2, 3, 0, 0},
              {1, 2, 0, 1},  {3, 1, 0, 0},   {5, 0, 0, 0}};

/* same_from: those channels stay, of which kernels may have compiled in how many there are. */
static tess_conv_desc ragged_variant(const struct conv_problem *p, size_t i, bool same_from) {
    const tess_conv_desc *d = &p->d;
    tess_conv_desc v = *d;
    bool swapped = p->pass == TESS_CONV_BWD_DATA;
    int from = same_from ? 0 : ragged[i].from, to = ragged[i].to;
    /* Small where that changes nothing for the edges. */
    int rows = 4 * d->r * (d->dilation_h ? d->dilation_h : 1) * (d->stride_h ? d->stride_h : 1) + 8;
    int groups = d->groups ? d->groups : 1;
    if (v.n > 2) v.n = 2;
    if (v.h > rows) v.h = rows;
    v.h += ragged[i].h;
    v.w += ragged[i].w;
    v.c += (swapped ? to : from) * groups;
    v.k += (swapped ? from : to) * groups;
    return v;
}

tess_status verify_winner(struct workbench *bench, const char *printed, double macs,
                          struct verdict *out) {
    const tess_conv_desc *d = &bench->problem.d;
    struct verdict worst = {.right = true};
    tess_conv_desc problems[2 + sizeof ragged / sizeof *ragged];
    size_t count = 0;
    bool thorough = macs >= thorough_macs;
    problems[count++] = *d;
    if (tess_conv_flops(d) / 2 > macs && d->n > 1) {
        problems[count] = *d;
        problems[count++].n = 1;
    }
    size_t first_ragged = count;
    for (size_t i = 0; i < sizeof ragged / sizeof *ragged; i++)
        problems[count++] = ragged_variant(&bench->problem, i, !thorough);
    int variants = 0;
    for (size_t i = 0; i < count && variants < 2 && worst.right; i++) {
        struct verdict verdict;
        bool fits;
        tess_status status =
            verify_on(bench, &problems[i], printed, macs, thorough, &fits, &verdict);
        if (status) return status;
        if (!fits) continue;
        variants += i >= first_ragged;
        if (!(verdict.max_err <= worst.max_err)) worst.max_err = verdict.max_err;
        if (!verdict.right) {
            worst.right = false;
            memcpy(worst.cause, verdict.cause, sizeof worst.cause);
        }
    }
    *out = worst;
    return TESS_OK;
}
