#include "bench/roof_set.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/report/stats.h"
#include "bench/roof.h"
#include "core/context.h"
#include "core/program.h"
#include "core/tensor.h"

enum { SAMPLES_MAX = 1000, LOCAL_FLOATS = 4096, LOCAL_READS = 8, LOCAL_STEPS = 4000 };
enum { COPY_RUN = 64 }; /* as in roof.c */

/* All of it on one device. */
struct set {
    tess_context *ctx;
    bool cpu;
    struct fma_roof fma;
    struct copy_roof copy;
    cl_kernel triad, local;
    tess_tensor *more, *out;
    int vector;    /* floats a vector of local memory */
    size_t groups; /* of the local-memory kernel */
    float *host;   /* bytes of them */
    size_t bytes;
};

static size_t lanes_of(const struct set *set) {
    return set->cpu ? 1 : 64;
}

static tess_status run_fma(void *user) {
    return fma_roof_run(&((struct set *)user)->fma);
}

static tess_status run_copy(void *user) {
    return copy_roof_run(&((struct set *)user)->copy);
}

static tess_status run_triad(void *user) {
    struct set *set = user;
    const struct kernel_arg args[] = {ARG_TENSOR(set->copy.from), ARG_TENSOR(set->more),
                                      ARG_TENSOR(set->copy.to), ARG_FLOAT(0.5f)};
    size_t items = (size_t)(set->cpu ? set->copy.vectors / COPY_RUN : set->copy.vectors);
    struct kernel_range range = {1, {items}, {lanes_of(set)}};
    return kernel_enqueue(set->ctx, set->triad, &range, args, 4, "triad roof");
}

static tess_status run_local(void *user) {
    struct set *set = user;
    const struct kernel_arg args[] = {ARG_TENSOR(set->out), ARG_LOCAL(4 * LOCAL_FLOATS),
                                      ARG_INT(LOCAL_STEPS)};
    struct kernel_range range = {1, {set->groups * lanes_of(set)}, {lanes_of(set)}};
    return kernel_enqueue(set->ctx, set->local, &range, args, 3, "local memory roof");
}

/* The smallest launch: one work-group that reads its tile once. */
static tess_status run_queued(void *user) {
    struct set *set = user;
    const struct kernel_arg args[] = {ARG_TENSOR(set->fma.out), ARG_FLOAT(0.5f), ARG_FLOAT(1.0f),
                                      ARG_INT(0)};
    struct kernel_range range = {1, {lanes_of(set)}, {lanes_of(set)}};
    return kernel_enqueue(set->ctx, set->fma.kernel, &range, args, 4, "launch");
}

static tess_status run_launch(void *user) {
    tess_status status = run_queued(user);
    return status ? status : tess_context_finish(((struct set *)user)->ctx);
}

static tess_status transfer(struct set *set, bool write) {
    cl_mem mem = set->copy.from->mem;
    cl_int code = write ? clEnqueueWriteBuffer(set->ctx->queue, mem, CL_TRUE, 0, set->bytes,
                                               set->host, 0, NULL, NULL)
                        : clEnqueueReadBuffer(set->ctx->queue, mem, CL_TRUE, 0, set->bytes,
                                              set->host, 0, NULL, NULL);
    if (code == CL_SUCCESS) return TESS_OK;
    return context_fail(set->ctx, TESS_OPENCL, "roof: a transfer of %zu bytes failed (code %d)",
                        set->bytes, code);
}

static tess_status run_write(void *user) {
    return transfer(user, true);
}

static tess_status run_read(void *user) {
    return transfer(user, false);
}

/* ---------------------------------------------------------------- set-up */

static tess_status create_local(struct set *set) {
    const tess_device_info *device = tess_context_device(set->ctx);
    char options[16];
    struct program *program;
    unsigned native = device->native_float_vector;
    set->vector = native >= 16 ? 16 : native >= 8 ? 8 : 4;
    set->groups = (size_t)device->compute_units * (set->cpu ? 1 : 16);
    snprintf(options, sizeof options, "-DV=%d", set->vector);
    tess_tensor_desc desc = {TESS_F32,    TESS_NHWC, 1, (int)(set->groups * lanes_of(set)),
                             set->vector, 1};
    tess_status status = program_get(set->ctx, "roof_local.cl", options, "roof_local", &program);
    if (!status) status = program_kernel(set->ctx, program, "roof_local", &set->local);
    return status ? status : tess_tensor_create(set->ctx, &desc, &set->out);
}

static tess_status create_triad(struct set *set) {
    struct program *program;
    tess_tensor_desc desc = *tess_tensor_get_desc(set->copy.from);
    tess_status status = program_get(set->ctx, "roof_copy.cl", set->cpu ? "-DRUN=64" : "-DRUN=1",
                                     "roof_triad", &program);
    if (!status) status = program_kernel(set->ctx, program, "roof_triad", &set->triad);
    if (!status) status = tess_tensor_create(set->ctx, &desc, &set->more);
    return status ? status : tess_tensor_fill(set->more, 1);
}

static void destroy(struct set *set) {
    if (set->fma.ctx) fma_roof_destroy(&set->fma);
    if (set->copy.ctx) copy_roof_destroy(&set->copy);
    kernel_release(set->triad);
    kernel_release(set->local);
    tess_tensor_destroy(set->more);
    tess_tensor_destroy(set->out);
    free(set->host);
}

static tess_status create(tess_context *ctx, struct set *set) {
    *set = (struct set){.ctx = ctx, .cpu = tess_context_device(ctx)->type & CL_DEVICE_TYPE_CPU};
    tess_status status = fma_roof_create(ctx, &set->fma);
    if (!status) status = copy_roof_create(ctx, &set->copy);
    if (!status) status = create_triad(set);
    if (!status) status = create_local(set);
    if (status) return status;
    set->bytes = (size_t)(set->copy.bytes / 2);
    if (set->bytes > 64u << 20) set->bytes = 64u << 20;
    set->host = calloc(set->bytes, 1);
    if (!set->host)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "roof: no host memory for transfers");
    return TESS_OK;
}

/* ---------------------------------------------------------------- results */

static const struct roof {
    const char *name, *label, *unit;
    tess_status (*run)(void *user);
} roofs[] = {
    {"fma", "multiply-adds in registers", "GFLOP/s", run_fma},
    {"copy", "global memory, copy (read and written)", "GB/s", run_copy},
    {"triad", "global memory, triad (two read, one written)", "GB/s", run_triad},
    {"local", "local memory, read", "GB/s", run_local},
    {"launch", "kernel launch and wait", "us", run_launch},
    {"launch_queued", "kernel launch, queued", "us", run_queued},
    {"write", "transfer to the device", "GB/s", run_write},
    {"read", "transfer from the device", "GB/s", run_read},
};
enum { ROOFS = sizeof roofs / sizeof *roofs };

/* What one run does, in units of 1e9: operations or bytes; 0: the time itself counts. */
static double amount_of(const struct set *set, int roof) {
    const double amounts[ROOFS] = {set->fma.flops,
                                   set->copy.bytes,
                                   1.5 * set->copy.bytes,
                                   (double)set->groups * (double)lanes_of(set) * LOCAL_STEPS *
                                       LOCAL_READS * 4 * set->vector,
                                   0,
                                   0,
                                   (double)set->bytes,
                                   (double)set->bytes};
    return amounts[roof] * 1e-9;
}

static json_t *result(const struct set *set, int at, double *seconds, int count) {
    double amount = amount_of(set, at);
    struct stats_summary s;
    for (int i = 0; i < count; i++)
        seconds[i] = amount > 0 ? amount / seconds[i] : seconds[i] * 1e6;
    stats_summarise(seconds, count, 1, &s);
    double best = seconds[0];
    for (int i = 1; i < count; i++)
        best = amount > 0 ? fmax(best, seconds[i]) : fmin(best, seconds[i]);
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:[f, f], s:f, s:f, s:i}", "roof", roofs[at].name,
                     "label", roofs[at].label, "unit", roofs[at].unit, "value", s.median, "mad",
                     s.mad, "ci", s.ci[0], s.ci[1], "ci_level", s.ci_level, "best", best, "samples",
                     count);
}

static tess_status measure(struct set *set, int samples, json_t *list) {
    struct timed work[ROOFS] = {{0}};
    double *seconds = malloc((size_t)samples * ROOFS * sizeof *seconds);
    if (!seconds)
        return context_fail(set->ctx, TESS_OUT_OF_HOST_MEMORY, "roof: no memory for samples");
    for (int i = 0; i < ROOFS; i++) {
        work[i].run = roofs[i].run;
        work[i].user = set;
        work[i].samples = seconds + i * samples;
    }
    tess_status status =
        timing_interleaved(set->ctx, work, ROOFS, &(struct timing_options){.samples = samples});
    for (int i = 0; i < ROOFS && !status; i++)
        if (json_array_append_new(list, result(set, i, seconds + i * samples, samples)))
            status = context_fail(set->ctx, TESS_OUT_OF_HOST_MEMORY, "roof: no host memory");
    free(seconds);
    return status;
}

tess_status roof_set_measure(tess_context *ctx, int samples, json_t **out) {
    struct set set;
    json_t *list = json_array();
    if (samples < 1) samples = 1;
    if (samples > SAMPLES_MAX) samples = SAMPLES_MAX;
    tess_status status = list ? create(ctx, &set)
                              : context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "roof: no host memory");
    if (!list) return status;
    if (!status) status = measure(&set, samples, list);
    destroy(&set);
    if (status)
        json_decref(list);
    else
        *out = list;
    return status;
}
