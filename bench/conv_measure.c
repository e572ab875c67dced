#include "bench/conv_measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/conv_work.h"
#include "bench/report/stats.h"
#include "bench/sample_check.h"
#include "bench/yardstick.h"
#include "core/context.h"
#include "db/db.h"
#include "ops/conv/conv_advice.h"
#include "ops/conv/conv_algo.h"

enum { CHECKED_ELEMENTS = 64 };

/* Seconds until a peer's threads sleep. Those of GCC's OpenMP spin through 300,000 pause instructions after each loop, here 20 ms,
   in which what comes next would have half a core less. */
static const double PEER_PAUSE = 0.04;

/* A sample is several runs of what takes 5 ms: each sample begins with waking the device's threads, which took 0.1 to 2 ms of a 2-core virtual
   machine on a busy host and is no part of a layer between others in a network. A peer's threads still spin. */
static const double SAMPLE_SECONDS = 0.04;

/* Everything of one round. */
struct instance {
    struct conv_work work, untuned;
    struct yardstick yardstick;
    struct peer_conv *peer;
    bool has_untuned;
};

static void close_instance(const struct conv_measure *measure, struct instance *instance) {
    if (measure->peer) measure->peer->destroy(instance->peer);
    yardstick_destroy(&instance->yardstick);
    conv_work_close(&instance->untuned);
    conv_work_close(&instance->work);
}

/* The same problem as planned with the shipped portfolio alone. */
static tess_status open_untuned(tess_context *ctx, const tess_conv_desc *desc,
                                const tess_conv_options *options, struct conv_work *work) {
    struct db_aside aside;
    tess_status status = db_step_aside(ctx, &aside);
    if (status) return status;
    status = conv_work_open(ctx, desc, options, work);
    db_step_back(ctx, &aside);
    return status;
}

static tess_status open_instance(const struct conv_measure *measure,
                                 const struct problem_entry *entry, tess_conv_pass pass,
                                 struct instance *out) {
    tess_context *ctx = measure->ctx;
    tess_conv_options options = {
        .pass = pass, .algo = measure->algo, .config = measure->config, .strict = measure->strict};
    *out = (struct instance){0};
    tess_status status = conv_work_open(ctx, &entry->desc, &options, &out->work);
    if (!status) status = yardstick_create(ctx, &out->work.problem, &out->yardstick);
    if (!status && measure->untuned) {
        options.algo = options.config = NULL;
        out->has_untuned = true;
        status = open_untuned(ctx, &entry->desc, &options, &out->untuned);
    }
    if (!status && measure->peer)
        status = measure->peer->create(
            &out->work.problem, (int)tess_context_device(ctx)->compute_units, out->work.host[0],
            out->work.host[1], out->work.host[2], &ctx->error, &out->peer);
    return status;
}

/* Largest error of some elements of the first run's result, in float64. */
static tess_status measure_error(struct conv_work *work, double *max_err) {
    float *result = NULL;
    tess_status status = conv_work_run(work);
    if (!status) status = conv_work_read(work, &result);
    if (!status)
        *max_err = sample_check(&work->problem, work->host[0], work->host[1], work->host[2], result,
                                CHECKED_ELEMENTS);
    free(result);
    /* Half the terms' size each, as many roundings as terms at the worst. */
    if (!status && !(*max_err <= 1e-2))
        status = context_fail(work->ctx, TESS_INTERNAL,
                              "bench: %s: the result is wrong (error %g); report it",
                              tess_conv_plan_info(work->plan).config, *max_err);
    return status;
}

/* ---------------------------------------------------------------- rows */

static tess_status begin_row(const struct conv_measure *measure, const struct problem_entry *entry,
                             const struct instance *instance, struct conv_row *row) {
    tess_context *ctx = measure->ctx;
    const struct conv_problem *p = &instance->work.problem;
    tess_conv_info info = tess_conv_plan_info(instance->work.plan);
    row->count = entry->count;
    row->pass = p->pass;
    row->max_err = NAN;
    tess_conv_desc_key(&p->d, row->key);
    snprintf(row->algo, sizeof row->algo, "%s", info.algo);
    snprintf(row->config, sizeof row->config, "%s", info.config);
    snprintf(row->tier, sizeof row->tier, "%s", info.tier);
    if (instance->has_untuned)
        snprintf(row->untuned_config, sizeof row->untuned_config, "%s",
                 tess_conv_plan_info(instance->untuned.plan).config);
    row->workspace = info.workspace;
    row->packed = info.packed;
    row->peer = measure->peer ? measure->peer->name : NULL;
    if (measure->peer)
        snprintf(row->peer_about, sizeof row->peer_about, "%s",
                 measure->peer->about(instance->peer));
    row->capacity = measure->rounds * measure->samples;
    row->per_round = measure->samples;
    row->rounds = measure->rounds;
    for (int i = 0; i < CONV_SERIES; i++) {
        row->series[i] = malloc((size_t)row->capacity * sizeof(double));
        row->cpu[i] = malloc((size_t)row->capacity * sizeof(double));
        if (!row->series[i] || !row->cpu[i])
            return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "bench: no memory for samples");
    }
    for (int i = 0; i < conv_algo_count; i++)
        if (strcmp(conv_algos[i]->name, row->algo) == 0)
            return db_algo_hash(ctx, conv_algos[i], row->kernel_hash);
    return TESS_OK;
}

/* Bytes of x, w and y, each read or written once. */
static double least_bytes(const struct conv_problem *p) {
    return 4.0 * (double)(conv_problem_x(p) + conv_problem_w(p) + conv_problem_y(p));
}

static void summarise_series(const struct conv_row *row, enum conv_series which,
                             struct stats_summary *out) {
    stats_summarise(row->series[which], row->count_samples, 1e3, out);
}

static void end_row(const struct conv_measure *measure, const struct conv_problem *p,
                    struct conv_row *row) {
    summarise_series(row, CONV_OURS, &row->time);
    row->ms = row->time.median;
    row->ms_mad = row->time.mad;
    row->flops = tess_conv_flops(&p->d);
    row->bytes = least_bytes(p);
    row->gflops = row->flops / row->ms / 1e6;
    struct stats_summary roof;
    summarise_series(row, CONV_ROOF, &roof);
    row->peak_gflops = measure->fma.flops / roof.median / 1e6;
    row->gbytes = row->bytes / row->ms / 1e6;
    row->peak_gbytes = measure->peak_gbytes;
    if (*row->untuned_config) summarise_series(row, CONV_UNTUNED, &row->untuned);
    if (!row->peer) return;
    summarise_series(row, CONV_PEER, &row->peer_time);
    row->peer_ms = row->peer_time.median;
    row->peer_ms_mad = row->peer_time.mad;
    row->ratio = timing_ratio(row->series[CONV_PEER], row->series[CONV_OURS], row->count_samples,
                              &row->ratio_mad);
}

/* What is timed, side by side; work[i] fills the row's series which[i] behind what is there. runs: as many a sample as in the first round. */
static tess_status time_round(struct conv_measure *measure, struct instance *instance,
                              struct conv_row *row) {
    struct timed work[CONV_SERIES] = {{0}};
    enum conv_series which[CONV_SERIES];
    int works = 0;
    which[works] = CONV_OURS;
    work[works++] = (struct timed){.run = conv_work_run, .user = &instance->work};
    which[works] = CONV_ROOF;
    work[works++] = (struct timed){.run = fma_roof_run, .user = &measure->fma};
    which[works] = CONV_YARDSTICK;
    work[works++] = (struct timed){.run = yardstick_run, .user = &instance->yardstick};
    if (instance->has_untuned) {
        which[works] = CONV_UNTUNED;
        work[works++] = (struct timed){.run = conv_work_run, .user = &instance->untuned};
    }
    if (measure->peer) {
        which[works] = CONV_PEER;
        work[works++] = (struct timed){
            .run = measure->peer->run, .user = instance->peer, .pause_seconds = PEER_PAUSE};
    }
    for (int i = 0; i < works; i++) {
        work[i].samples = row->series[which[i]] + row->count_samples;
        work[i].cpu = row->cpu[which[i]] + row->count_samples;
        work[i].runs_per_sample = row->runs[which[i]];
    }
    tess_status status = timing_interleaved(
        measure->ctx, work, works,
        &(struct timing_options){
            .samples = measure->samples, .sample_seconds = SAMPLE_SECONDS, .warm = true});
    for (int i = 0; i < works; i++)
        row->runs[which[i]] = work[i].runs_per_sample;
    if (!status) row->count_samples += measure->samples;
    return status;
}

/* Once each, for later rounds: packing, first touch. */
static tess_status warm_up(struct conv_measure *measure, struct instance *instance) {
    tess_status status = conv_work_run(&instance->work);
    if (!status) status = yardstick_run(&instance->yardstick);
    if (!status && instance->has_untuned) status = conv_work_run(&instance->untuned);
    if (!status && measure->peer) status = measure->peer->run(instance->peer);
    return status ? status : tess_context_finish(measure->ctx);
}

tess_status conv_measure_round(struct conv_measure *measure, const struct problem_entry *entry,
                               tess_conv_pass pass, int round, struct conv_row *row) {
    struct instance instance;
    tess_status status = open_instance(measure, entry, pass, &instance);
    if (!status && round == 0) status = begin_row(measure, entry, &instance, row);
    if (!status)
        status =
            round == 0 ? measure_error(&instance.work, &row->max_err) : warm_up(measure, &instance);
    if (!status) status = time_round(measure, &instance, row);
    if (!status && round == measure->rounds - 1) end_row(measure, &instance.work.problem, row);
    close_instance(measure, &instance);
    return status;
}

/* ---------------------------------------------------------------- roofs */

static tess_status measure_bandwidth(tess_context *ctx, double *gbytes) {
    struct copy_roof copy;
    tess_status status = copy_roof_create(ctx, &copy);
    if (status) return status;
    struct timed work = {.run = copy_roof_run, .user = &copy};
    status = timing_interleaved(ctx, &work, 1, &(struct timing_options){.samples = 5});
    if (!status) *gbytes = copy.bytes / work.median / 1e9;
    copy_roof_destroy(&copy);
    return status;
}

tess_status conv_measure_open(tess_context *ctx, struct conv_measure *measure) {
    measure->ctx = ctx;
    tess_status status = measure_bandwidth(ctx, &measure->peak_gbytes);
    return status ? status : fma_roof_create(ctx, &measure->fma);
}

void conv_measure_close(struct conv_measure *measure) {
    if (measure->fma.ctx) fma_roof_destroy(&measure->fma);
}
