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

/* A marker before and one behind the runs: their times on the device's clock enclose them. */
static void mark(const tess_context *ctx, cl_event *event) {
    if (clEnqueueMarkerWithWaitList(ctx->queue, 0, NULL, event) != CL_SUCCESS) *event = NULL;
}

/* Seconds between two markers; 0 where the device does not tell. Releases both. */
static double between(cl_event first, cl_event last) {
    cl_ulong start = 0, end = 0;
    bool known = first && last &&
                 clGetEventProfilingInfo(first, CL_PROFILING_COMMAND_END, sizeof start, &start,
                                         NULL) == CL_SUCCESS &&
                 clGetEventProfilingInfo(last, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) ==
                     CL_SUCCESS;
    if (first) clReleaseEvent(first);
    if (last) clReleaseEvent(last);
    return known && end > start ? 1e-9 * (double)(end - start) : 0;
}

/* ---------------------------------------------------------------- samples */

struct sampler {
    tess_context *ctx;
    double (*clock)(void);
    bool profiles, warm;
};

static double processor_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds that runs runs take, the final wait included; device: the same by the device's clock, or 0; cpu: this process's
   processor time. */
static tess_status sample(const struct sampler *sampler, const struct timed *work, int runs,
                          double *seconds, double *device, double *cpu) {
    cl_event first = NULL, last = NULL;
    tess_status status = TESS_OK;
    if (sampler->profiles) mark(sampler->ctx, &first);
    double cpu_start = processor_now(), start = sampler->clock();
    for (int i = 0; i < runs && !status; i++)
        status = work->run(work->user);
    if (sampler->profiles) mark(sampler->ctx, &last);
    if (!status) status = tess_context_finish(sampler->ctx);
    *seconds = sampler->clock() - start;
    *cpu = processor_now() - cpu_start;
    *device = between(first, last);
    return status;
}

/* Two runs to warm up, then doubles the runs until a sample is long enough. */
static tess_status calibrate(const struct sampler *sampler, struct timed *work, double wanted) {
    double seconds = 0, device = 0, cpu;
    tess_status status = sample(sampler, work, 2, &seconds, &device, &cpu);
    for (work->runs_per_sample = 1; !status; work->runs_per_sample *= 2) {
        status = sample(sampler, work, work->runs_per_sample, &seconds, &device, &cpu);
        if (seconds >= wanted || work->runs_per_sample >= 1 << 20) break;
    }
    return status;
}

/* before: what ran before. */
static tess_status settle(const struct sampler *sampler, const struct timed *before,
                          const struct timed *work) {
    double seconds_left = before->pause_seconds > 0 ? before->pause_seconds : 0.001;
    const struct timespec pause = {.tv_nsec = (long)(seconds_left * 1e9)};
    nanosleep(&pause, NULL);
    if (work->runs_per_sample == 1 && !sampler->warm) return TESS_OK;
    double seconds, device, cpu;
    return sample(sampler, work, 1, &seconds, &device, &cpu);
}

static void summarise(struct timed *work, double *seconds, double *device, int count) {
    if (work->samples) memcpy(work->samples, seconds, (size_t)count * sizeof *seconds);
    work->median = timing_median(seconds, count);
    work->best = seconds[0];
    work->mad = timing_mad(seconds, count, work->median);
    work->device = timing_median(device, count);
}

tess_status timing_interleaved(tess_context *ctx, struct timed *work, int count,
                               const struct timing_options *options) {
    static const struct timing_options defaults = {0};
    if (!options) options = &defaults;
    int samples = options->samples ? options->samples : 15;
    double wanted = options->sample_seconds > 0 ? options->sample_seconds : 0.01;
    struct sampler sampler = {ctx, options->clock ? options->clock : timing_now,
                              queue_profiles(ctx), options->warm};
    double *seconds = calloc((size_t)(2 * samples * count), sizeof *seconds);
    if (!seconds)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "timing: no memory for samples");
    double *device = seconds + samples * count;
    tess_status status = TESS_OK;
    for (int i = 0; i < count && !status; i++)
        if (work[i].runs_per_sample < 1) status = calibrate(&sampler, &work[i], wanted);
    for (int s = 0; s < samples && !status; s++)
        for (int i = 0; i < count && !status; i++) {
            int at = i * samples + s, runs = work[i].runs_per_sample;
            if (count > 1) status = settle(&sampler, &work[(i + count - 1) % count], &work[i]);
            double cpu = 0;
            if (!status) status = sample(&sampler, &work[i], runs, &seconds[at], &device[at], &cpu);
            seconds[at] /= runs;
            device[at] /= runs;
            if (work[i].cpu) work[i].cpu[s] = cpu / runs;
        }
    for (int i = 0; i < count && !status; i++)
        summarise(&work[i], seconds + i * samples, device + i * samples, samples);
    free(seconds);
    return status;
}
