#include "bench/timing.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "core/context.h"

double timing_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double timing_median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

/* Seconds that runs runs take, the final wait included. */
static tess_status sample(tess_context *ctx, const struct timed *work, int runs, double *seconds) {
    double start = timing_now();
    for (int i = 0; i < runs; i++) {
        tess_status status = work->run(work->user);
        if (status) return status;
    }
    tess_status status = tess_context_finish(ctx);
    *seconds = timing_now() - start;
    return status;
}

/* Two runs to warm up, then doubles the runs until a sample is long enough. */
static tess_status calibrate(tess_context *ctx, struct timed *work, double wanted) {
    double seconds = 0;
    tess_status status = sample(ctx, work, 2, &seconds);
    for (work->runs_per_sample = 1; !status; work->runs_per_sample *= 2) {
        status = sample(ctx, work, work->runs_per_sample, &seconds);
        if (seconds >= wanted || work->runs_per_sample >= 1 << 20) break;
    }
    return status;
}

static void summarise(struct timed *work, double *samples, int count) {
    work->median = timing_median(samples, count);
    work->best = samples[0];
    for (int i = 0; i < count; i++)
        samples[i] = fabs(samples[i] - work->median);
    work->mad = timing_median(samples, count);
}

tess_status timing_interleaved(tess_context *ctx, struct timed *work, int count,
                               const struct timing_options *options) {
    int samples = options && options->samples ? options->samples : 15;
    double wanted = options && options->sample_seconds > 0 ? options->sample_seconds : 0.01;
    double *seconds = calloc((size_t)(samples * count), sizeof *seconds);
    if (!seconds)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "timing: no memory for samples");
    tess_status status = TESS_OK;
    for (int i = 0; i < count && !status; i++)
        status = calibrate(ctx, &work[i], wanted);
    for (int s = 0; s < samples && !status; s++)
        for (int i = 0; i < count && !status; i++) {
            double total = 0;
            status = sample(ctx, &work[i], work[i].runs_per_sample, &total);
            seconds[i * samples + s] = total / work[i].runs_per_sample;
        }
    for (int i = 0; i < count && !status; i++)
        summarise(&work[i], seconds + i * samples, samples);
    free(seconds);
    return status;
}
