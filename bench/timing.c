#include "bench/timing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/context.h"

double timing_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---------------------------------------------------------------- statistics */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double timing_median(double *values, int count) {
    if (count < 1) return NAN;
    qsort(values, (size_t)count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

double timing_mad(double *values, int count, double centre) {
    for (int i = 0; i < count; i++)
        values[i] = fabs(values[i] - centre);
    return timing_median(values, count);
}

double timing_ratio(const double *a, const double *b, int count, double *mad) {
    double *ratio = count > 0 ? malloc((size_t)count * sizeof *ratio) : NULL;
    double median = NAN, spread = NAN;
    if (ratio) {
        for (int i = 0; i < count; i++)
            ratio[i] = a[i] / b[i];
        median = timing_median(ratio, count);
        spread = timing_mad(ratio, count, median);
        free(ratio);
    }
    if (mad) *mad = spread;
    return median;
}

/* ---------------------------------------------------------------- the device's clock */

static bool queue_profiles(const tess_context *ctx) {
    cl_command_queue_properties properties = 0;
    cl_int code = clGetCommandQueueInfo(ctx->queue, CL_QUEUE_PROPERTIES, sizeof properties,
                                        &properties, NULL);
    return code == CL_SUCCESS && (properties & CL_QUEUE_PROFILING_ENABLE);
}

/* Ends when everything before it has ended, on the device's clock. */
static void mark(const tess_context *ctx, cl_event *event) {
    if (clEnqueueMarkerWithWaitList(ctx->queue, 0, NULL, event) != CL_SUCCESS) *event = NULL;
}

/* Seconds from one marker to another; 0 where the device does not tell. */
static double between(cl_event first, cl_event last) {
    cl_ulong start = 0, end = 0;
    bool known = first && last &&
                 clGetEventProfilingInfo(first, CL_PROFILING_COMMAND_END, sizeof start, &start,
                                         NULL) == CL_SUCCESS &&
                 clGetEventProfilingInfo(last, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) ==
                     CL_SUCCESS;
    return known && end > start ? 1e-9 * (double)(end - start) : 0;
}

/* ---------------------------------------------------------------- samples */

struct sampler {
    tess_context *ctx;
    double (*clock)(void);
    bool profiles, warm, lead_in;
};

/* Of all of a sample's runs. cpu: this process's processor time. clock: the device's over the host's; 0 where it does not tell. */
struct sample {
    double seconds, clock, cpu;
};

static double processor_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The final wait included, but not where a run leads in, whose end and the last run's are the device's to tell. Where it cannot, all runs
   count as equally long. */
static tess_status sample(const struct sampler *sampler, const struct timed *work, int runs,
                          bool lead_in, struct sample *out) {
    enum { BEGIN, LED_IN, END, MARKS };
    cl_event marks[MARKS] = {NULL};
    tess_status status = TESS_OK;
    if (sampler->profiles) mark(sampler->ctx, &marks[BEGIN]);
    double cpu_start = processor_now(), start = sampler->clock();
    if (lead_in) status = work->run(work->user);
    if (lead_in) mark(sampler->ctx, &marks[LED_IN]);
    for (int i = 0; i < runs && !status; i++)
        status = work->run(work->user);
    if (sampler->profiles) mark(sampler->ctx, &marks[END]);
    if (!status) status = tess_context_finish(sampler->ctx);
    double seconds = sampler->clock() - start, share = lead_in ? runs / (runs + 1.0) : 1;
    double counted = between(marks[LED_IN], marks[END]);
    out->seconds = counted > 0 ? counted : share * seconds;
    out->clock = seconds > 0 ? between(marks[BEGIN], marks[END]) / seconds : 0;
    out->cpu = share * (processor_now() - cpu_start);
    for (int i = 0; i < MARKS; i++)
        if (marks[i]) clReleaseEvent(marks[i]);
    return status;
}

/* Two runs to warm up, then doubles the runs until a sample is long enough. */
static tess_status calibrate(const struct sampler *sampler, struct timed *work, double wanted) {
    struct sample taken;
    tess_status status = sample(sampler, work, 2, false, &taken);
    for (work->runs_per_sample = 1; !status; work->runs_per_sample *= 2) {
        status = sample(sampler, work, work->runs_per_sample, sampler->lead_in, &taken);
        if (taken.seconds >= wanted || work->runs_per_sample >= 1 << 20) break;
    }
    return status;
}

/* before: what ran before. */
static tess_status settle(const struct sampler *sampler, const struct timed *before,
                          const struct timed *work) {
    double shortest = sampler->lead_in ? 0 : 0.001;
    double seconds = before->pause_seconds > 0 ? before->pause_seconds : shortest;
    const struct timespec pause = {.tv_nsec = (long)(seconds * 1e9)};
    if (seconds > 0) nanosleep(&pause, NULL);
    if (sampler->lead_in || (work->runs_per_sample == 1 && !sampler->warm)) return TESS_OK;
    struct sample ignored;
    return sample(sampler, work, 1, false, &ignored);
}

static void summarise(struct timed *work, double *seconds, double *clock, int count) {
    if (work->samples) memcpy(work->samples, seconds, (size_t)count * sizeof *seconds);
    work->median = timing_median(seconds, count);
    work->best = seconds[0];
    work->mad = timing_mad(seconds, count, work->median);
    work->clock = timing_median(clock, count);
}

/* Sample number at of one piece. */
static tess_status take(const struct sampler *sampler, struct timed *work, int at, double *seconds,
                        double *clock) {
    struct sample taken;
    tess_status status = sample(sampler, work, work->runs_per_sample, sampler->lead_in, &taken);
    if (status) return status;
    seconds[at] = taken.seconds / work->runs_per_sample;
    clock[at] = taken.clock;
    if (work->cpu) work->cpu[at] = taken.cpu / work->runs_per_sample;
    return TESS_OK;
}

tess_status timing_interleaved(tess_context *ctx, struct timed *work, int count,
                               const struct timing_options *options) {
    static const struct timing_options defaults = {0};
    if (!options) options = &defaults;
    int samples = options->samples ? options->samples : 15;
    double wanted = options->sample_seconds > 0 ? options->sample_seconds : 0.01;
    bool profiles = queue_profiles(ctx);
    struct sampler sampler = {ctx, options->clock ? options->clock : timing_now, profiles,
                              options->warm || options->lead_in, options->lead_in && profiles};
    double *seconds = calloc((size_t)(2 * samples * count), sizeof *seconds);
    if (!seconds)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "timing: no memory for samples");
    double *clock = seconds + samples * count;
    tess_status status = TESS_OK;
    for (int i = 0; i < count && !status; i++)
        if (work[i].runs_per_sample < 1) status = calibrate(&sampler, &work[i], wanted);
    for (int s = 0; s < samples && !status; s++)
        for (int i = 0; i < count && !status; i++) {
            if (count > 1) status = settle(&sampler, &work[(i + count - 1) % count], &work[i]);
            if (!status)
                status = take(&sampler, &work[i], s, seconds + i * samples, clock + i * samples);
        }
    for (int i = 0; i < count && !status; i++)
        summarise(&work[i], seconds + i * samples, clock + i * samples, samples);
    free(seconds);
    return status;
}
