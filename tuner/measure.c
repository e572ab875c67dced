#include "tuner/measure.h"

#include <math.h>
#include <string.h>

#include "bench/timing.h"

/* A candidate this much slower than the best after so many samples is not looked at again. */
static const struct {
    int samples;
    double hopeless;
} stages[] = {{1, 2}, {4, 1.2}, {8, 1.08}, {16, 1.05}, {32, 1.025}, {64, 0}};
static const double abort_ratio = 3;
/* A look at a run shorter than so many samples says more about what else the machine does. */
static const double look_samples = 3;
/* What takes long spreads less: from here on it gets fewer samples, but the first stages' at least. */
static const double enough_seconds = 3;
static const int least_samples = 4;
/* Before anything is timed alone: a machine that was idle, or compiled, is slow at first. */
static const double alone_warm_up = 0.1;

struct pair {
    double candidate[RACE_SAMPLES_MAX], anchor[RACE_SAMPLES_MAX];
    int count;
    int candidate_runs, anchor_runs; /* a sample; 0: not found out yet */
    double clock;                    /* of the last samples: see race_result */
};

static tess_status sample_pair(struct instance *candidate, struct instance *anchor, int count,
                               double sample_seconds, struct pair *pair) {
    struct timed work[2] = {{.run = instance_run_timed,
                             .user = candidate,
                             .samples = pair->candidate + pair->count,
                             .runs_per_sample = pair->candidate_runs},
                            {.run = instance_run_timed,
                             .user = anchor,
                             .samples = pair->anchor + pair->count,
                             .runs_per_sample = pair->anchor_runs}};
    struct timing_options options = {
        .samples = count, .sample_seconds = sample_seconds, .lead_in = true};
    tess_status status = timing_interleaved(candidate->bench->ctx, work, anchor ? 2 : 1, &options);
    if (!status) pair->count += count;
    pair->clock = work[0].clock;
    pair->candidate_runs = work[0].runs_per_sample;
    pair->anchor_runs = work[1].runs_per_sample;
    return status;
}

static tess_status look_once(struct instance *instance, double *seconds) {
    double start = timing_now();
    tess_status status = instance_run_timed(instance);
    if (!status) status = tess_context_finish(instance->bench->ctx);
    *seconds = timing_now() - start;
    return status;
}

/* Looks at single runs of a candidate that seems hopeless, twice, as the first may pay for the rest of its build, and at the anchor in the
   same moment. *ratio, to the anchor, is 0 for all others. */
static tess_status look(struct instance *candidate, struct instance *anchor,
                        const struct race_options *options, double *ratio) {
    double least = INFINITY, enough = look_samples * options->sample_seconds;
    for (int i = 0; i < 2; i++) {
        double mine = 0, other = 0;
        tess_status status = look_once(candidate, &mine);
        if (status) return status;
        if (mine <= abort_ratio * options->best || mine <= enough) {
            *ratio = 0;
            return TESS_OK;
        }
        status = look_once(anchor, &other);
        if (status) return status;
        least = fmin(least, mine / other);
    }
    *ratio = least;
    return TESS_OK;
}

static tess_status warm_up(struct instance *instance) {
    double start = timing_now(), seconds;
    tess_status status = TESS_OK;
    while (!status && timing_now() - start < alone_warm_up)
        status = look_once(instance, &seconds);
    return status;
}

static void summarise_alone(const struct pair *pair, struct race_result *out) {
    double copy[RACE_SAMPLES_MAX];
    memcpy(copy, pair->candidate, sizeof copy);
    out->seconds = timing_median(copy, pair->count);
    out->mad = timing_mad(copy, pair->count, out->seconds);
    out->ratio = 1;
}

/* A database may hold times of an older version, whose scale drifted to times that are no times. */
static const double drift_most = 4;

static void summarise_pair(const struct pair *pair, double reference, struct race_result *out) {
    double mad, fastest = INFINITY;
    for (int i = 0; i < pair->count; i++)
        fastest = fmin(fastest, pair->candidate[i]);
    out->ratio = timing_ratio(pair->candidate, pair->anchor, pair->count, &mad);
    out->seconds = fmax(out->ratio * reference, fastest / drift_most);
    out->mad = mad * reference;
}

/* How many of most, at the pace of the taken ones. */
static int samples_in_time(int most, int taken, double seconds) {
    double in_time = taken > 0 && seconds > 0 ? enough_seconds * taken / seconds : most;
    if (in_time > most) return most;
    return in_time > least_samples ? (int)in_time : least_samples < most ? least_samples : most;
}

tess_status race(struct instance *candidate, struct instance *anchor,
                 const struct race_options *options, struct race_result *out) {
    struct race_result result = {0};
    struct pair pair = {.count = 0};
    tess_status status = instance_pack(candidate);
    if (!status && anchor) status = instance_pack(anchor);
    if (!status && anchor && options->best > 0) {
        double ratio = 0;
        status = look(candidate, anchor, options, &ratio);
        if (!status && ratio * options->reference >= abort_ratio * options->best) {
            *out = (struct race_result){.seconds = ratio * options->reference,
                                        .ratio = ratio,
                                        .samples = {ratio * options->reference},
                                        .sample_count = 1,
                                        .aborted = true};
            return TESS_OK;
        }
    }
    if (!status && !anchor) status = warm_up(candidate);
    double start = timing_now();
    for (size_t i = 0; i < sizeof stages / sizeof *stages && !status; i++) {
        int most = samples_in_time(options->samples, pair.count, timing_now() - start);
        int wanted = stages[i].samples < most ? stages[i].samples : most;
        if (wanted <= pair.count) break;
        status =
            sample_pair(candidate, anchor, wanted - pair.count, options->sample_seconds, &pair);
        if (status || !anchor) continue;
        summarise_pair(&pair, options->reference, &result);
        if (options->best > 0 && result.seconds > stages[i].hopeless * options->best) break;
    }
    if (status) return status;
    if (!anchor) summarise_alone(&pair, &result);
    memcpy(result.samples, pair.candidate, sizeof result.samples);
    result.sample_count = pair.count;
    result.clock = pair.clock;
    *out = result;
    return TESS_OK;
}
