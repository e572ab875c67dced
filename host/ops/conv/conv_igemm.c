/* Implicit GEMM through local memory, for GPUs: see conv_igemm.cl. */
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/conv/conv_algo.h"
#include "ops/conv/conv_tile.h"
#include "ops/fastdiv.h"

enum { MWG, NWG, KWG, MWI, NWI, VEC, DB, SPLIT, PARAM_COUNT };

static const struct conv_param params[PARAM_COUNT] = {
    [MWG] = {"mwg", CONV_IN_ALL, 3, {32, 64, 128}},
    [NWG] = {"nwg", CONV_IN_ALL, 3, {32, 64, 128}},
    [KWG] = {"kwg", CONV_IN_ALL, 2, {8, 16}},
    [MWI] = {"mwi", CONV_IN_ALL, 2, {4, 8}},
    [NWI] = {"nwi", CONV_IN_ALL, 2, {4, 8}},
    [VEC] = {"vec", CONV_IN_ALL, 3, {1, 2, 4}},
    [DB] = {"db", CONV_IN_ALL, 2, {0, 1}},
    [SPLIT] = {"split", CONV_IN_ALL, 4, {1, 4, 16, 64}},
};

struct igemm {
    tess_context *ctx;
    struct conv_problem problem;
    struct conv_config config;
    cl_kernel main, reduce; /* reduce: only with a split */
};

/* ---------------------------------------------------------------- sizes */

/* The product of one group: m x n, summed over k. */
struct product {
    int m, n, k;
};
static struct product product_of(const struct conv_problem *p) {
    int taps = p->d.r * p->d.s;
    switch (p->pass) {
    case TESS_CONV_FWD:
        return (struct product){p->d.n * p->p * p->q, p->kg, taps * p->cg};
    case TESS_CONV_BWD_DATA:
        return (struct product){p->d.n * p->d.h * p->d.w, p->cg, taps * p->kg};
    default:
        return (struct product){taps * p->cg, p->kg, p->d.n * p->p * p->q};
    }
}

/* Steps of k of one split, whole tiles. */
static int part_of(const struct conv_problem *p, const struct conv_config *config) {
    const int *v = config->value;
    return ceil_div(ceil_div(product_of(p).k, v[KWG]), v[SPLIT]) * v[KWG];
}
static int work_items(const struct conv_config *config) {
    const int *v = config->value;
    return v[MWG] / v[MWI] * (v[NWG] / v[NWI]);
}
static double work_groups(const struct conv_problem *p, const struct conv_config *config) {
    const int *v = config->value;
    struct product g = product_of(p);
    return (double)ceil_div(g.m, v[MWG]) * ceil_div(g.n, v[NWG]) * p->d.groups * v[SPLIT];
}

/* The splits' sums. */
static size_t workspace(const struct conv_problem *p, const struct conv_config *config) {
    struct product g = product_of(p);
    if (config->value[SPLIT] == 1) return 0;
    return (size_t)g.m * (size_t)g.n * (size_t)p->d.groups * (size_t)config->value[SPLIT] *
           sizeof(float);
}

/* ---------------------------------------------------------------- where it applies */

/* Kernels count m, n and k, rounded up to tiles, with int; the smallest tile must be valid. */
static bool applicable(const struct conv_problem *p, const tess_device_info *device) {
    const int most = 1 << 30;
    struct product g = product_of(p);
    return p->d.layout == TESS_NHWC && device->max_work_group >= 64 &&
           device->local_memory >= 4096 && g.m < most && g.n < most && g.k < most;
}

/* 8 x 8 blocks for the larger tiles, 4 x 4 for the smaller ones: 64 to 256 work-items. */
static bool block_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)p, (void)device;
    const int *v = config->value;
    if (v[MWI] != v[NWI]) return false;
    return v[MWI] == 8 ? v[MWG] >= 64 && v[NWG] >= 64 : v[MWG] <= 64 && v[NWG] <= 64;
}
/* No vector reaches into the next tap or group, and each work-item loads as many. */
static bool vectors_fit(const struct conv_problem *p, const tess_device_info *device,
                        const struct conv_config *config) {
    (void)device;
    const int *v = config->value;
    if (p->kg % v[VEC] || (p->pass != TESS_CONV_BWD_DATA && p->cg % v[VEC])) return false;
    int each = work_items(config) * v[VEC];
    return v[MWG] * v[KWG] % each == 0 && v[NWG] * v[KWG] % each == 0;
}
/* A split only costs where the next smaller one gives every compute unit four work-groups; each part has at least two
   tiles. */
static bool split_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    const int *v = config->value;
    if (v[SPLIT] == 1) return true;
    return work_groups(p, config) <= 16.0 * device->compute_units &&
           ceil_div(product_of(p).k, v[KWG]) >= 2 * v[SPLIT];
}

static const struct conv_constraint constraints[] = {
    {1u << MWG | 1u << NWG | 1u << MWI | 1u << NWI, block_fits},
    {1u << MWG | 1u << NWG | 1u << KWG | 1u << MWI | 1u << NWI | 1u << VEC, vectors_fit},
    {1u << MWG | 1u << NWG | 1u << KWG | 1u << SPLIT, split_fits},
    {0, NULL},
};

/* Floats of a row of both tiles in local memory, padding included. */
static int row_floats(const struct conv_problem *p, const struct conv_config *config) {
    int padding = p->pass == TESS_CONV_FWD ? 4 : p->pass == TESS_CONV_BWD_DATA ? 8 : 0;
    return config->value[MWG] + config->value[NWG] + padding;
}

static void resources(const struct conv_problem *p, const struct conv_config *config,
                      struct conv_resources *out) {
    const int *v = config->value;
    int items = work_items(config);
    int sums = v[MWI] * v[NWI], fragments = v[MWI] + v[NWI];
    int ahead = (v[MWG] + v[NWG]) * v[KWG] / items; /* the next tile's floats */
    int keys = 3 * v[MWG] * v[KWG] / v[VEC] / items;
    *out = (struct conv_resources){
        .local_bytes = (size_t)((1 + v[DB]) * v[KWG] * row_floats(p, config)) * sizeof(float),
        .work_items = (size_t)items,
        .registers = sums + fragments + ahead + keys + 30, /* and indices */
    };
}

/* ---------------------------------------------------------------- prediction */

/* Cycles of a work-group that has its compute unit (64 lanes) to itself: by reasoning, measured on no GPU so far. */
static double group_cycles(const struct conv_problem *p, const struct conv_config *config) {
    const int *v = config->value;
    double tiles = (double)part_of(p, config) / v[KWG];
    double sums = (double)v[MWG] * v[NWG];
    /* Local memory has half the floats a cycle that the lanes multiply; half of what they read is their neighbours' too. */
    double products = v[KWG] * sums / 64 * (1 + 1.0 * (v[MWI] + v[NWI]) / (v[MWI] * v[NWI]));
    double loads = (double)(v[MWG] + v[NWG]) * v[KWG] / v[VEC];
    double indices = loads * 24 / 64;
    double memory = (double)(v[MWG] + v[NWG]) * v[KWG] * 4 / 16;
    double wait = v[DB] ? 20 : 40;
    double busy = products + indices + wait;
    return tiles * (busy > memory ? busy : memory) + sums / 8 + 300;
}

static double predict(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    struct product g = product_of(p);
    double units = device->compute_units ? device->compute_units : 1;
    /* Through PoCL local memory and barriers cost more than they save. */
    if (device->type & CL_DEVICE_TYPE_CPU) {
        double own = (double)g.m * g.n * g.k * p->d.groups, plain = tess_conv_flops(&p->d) / 2;
        return (own > plain ? own : plain) * 100 / units;
    }
    struct conv_resources need;
    resources(p, config, &need);
    /* Work-groups that share a compute unit: as many as fit its local memory and its 65536 registers. */
    int64_t resident = (int64_t)(device->local_memory / need.local_bytes);
    int64_t by_registers = 65536 / (need.registers * (int64_t)need.work_items);
    int64_t rounds = (int64_t)((work_groups(p, config) + units - 1) / units);
    if (by_registers < resident) resident = by_registers;
    if (rounds < resident) resident = rounds;
    if (resident < 1) resident = 1;
    /* Eight waves of 64 hide what a wave waits for; fewer do so in part. */
    double waves = (double)resident * (double)need.work_items / 64;
    double exposed = waves < 8 ? 1 + 0.1 * (8 - waves) : 1;
    double cycles = (double)rounds * group_cycles(p, config) * exposed;
    if (config->value[SPLIT] > 1) cycles += 2000 + (double)workspace(p, config) / (8 * units);
    return cycles;
}

/* ---------------------------------------------------------------- plan */

static void destroy(void *state) {
    struct igemm *igemm = state;
    if (!igemm) return;
    kernel_release(igemm->main);
    kernel_release(igemm->reduce);
    free(igemm);
}

static tess_status create(tess_context *ctx, const struct conv_problem *p,
                          const struct conv_config *config, const char *printed, void **state) {
    static const char *const mains[] = {"conv_igemm_fwd", "conv_igemm_bwd_data",
                                        "conv_igemm_bwd_weights"};
    struct igemm *igemm = calloc(1, sizeof *igemm);
    if (!igemm) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", printed);
    igemm->ctx = ctx;
    igemm->problem = *p;
    igemm->config = *config;
    const int *v = config->value;
    char options[256];
    snprintf(options, sizeof options,
             "-DPASS=%d -DMWG=%d -DNWG=%d -DKWG=%d -DMWI=%d -DNWI=%d -DVEC=%d -DDB=%d -DSPLIT=%d%s",
             (int)p->pass, v[MWG], v[NWG], v[KWG], v[MWI], v[NWI], v[VEC], v[DB], v[SPLIT],
             p->sliced ? " -DSLICE=1" : "");
    struct program *program;
    tess_status status = program_get(ctx, conv_igemm.kernel_file, options, printed, &program);
    if (!status) status = program_kernel(ctx, program, mains[p->pass], &igemm->main);
    if (!status && v[SPLIT] > 1)
        status = program_kernel(ctx, program, "conv_igemm_reduce", &igemm->reduce);
    if (status) {
        destroy(igemm);
        return status;
    }
    *state = igemm;
    return TESS_OK;
}

/* ---------------------------------------------------------------- execution */

enum { GEOMETRY_ARGS = 16 + 6 };
static void append_geometry(const struct conv_problem *p, struct kernel_arg *args) {
    const tess_conv_desc *d = &p->d;
    bool data = p->pass == TESS_CONV_BWD_DATA; /* A is read from dy, pixels are dx's */
    int h = data ? p->p : d->h, w = data ? p->q : d->w, c = data ? d->k : d->c;
    int rows = data ? d->h : p->p, cols = data ? d->w : p->q, channels = data ? p->kg : p->cg;
    const int all[16] = {h,
                         w,
                         c,
                         h * w * c,
                         d->s,
                         d->stride_h,
                         d->stride_w,
                         d->dilation_h,
                         d->dilation_w,
                         d->pad_top,
                         d->pad_left,
                         rows,
                         cols,
                         channels,
                         d->k,
                         p->cg};
    const int divisors[6] = {rows, cols, channels, d->s, d->stride_h, d->stride_w};
    for (int i = 0; i < 16; i++)
        args[i] = ARG_INT(all[i]);
    for (int i = 0; i < 6; i++)
        args[16 + i] = ARG_ULONG(fastdiv(divisors[i]));
}

static tess_status enqueue_reduce(const struct igemm *igemm, const tess_conv_args *args,
                                  const tess_tensor *out, int ldc) {
    const struct conv_problem *p = &igemm->problem;
    int count = product_of(p).m * ldc;
    const struct kernel_arg list[] = {ARG_TENSOR(args->workspace),
                                      ARG_TENSOR(p->bias ? args->bias : NULL),
                                      ARG_TENSOR(p->residual ? args->residual : NULL),
                                      ARG_TENSOR(out),
                                      ARG_INT(count),
                                      ARG_INT(ldc),
                                      ARG_ULONG(fastdiv(ldc)),
                                      ARG_INT((int)p->act.kind),
                                      ARG_FLOAT(p->act.alpha),
                                      ARG_INT(p->y_channels),
                                      ARG_INT(p->y_first)};
    struct kernel_range range = {1, {((size_t)count + 63) / 64 * 64}, {64}};
    return kernel_enqueue(igemm->ctx, igemm->reduce, &range, list, p->sliced ? 11 : 9,
                          "convolution: adding the parts of a split sum");
}

static tess_status enqueue(void *state, const tess_conv_args *args, const tess_tensor *packed) {
    (void)packed;
    const struct igemm *igemm = state;
    const struct conv_problem *p = &igemm->problem;
    const int *v = igemm->config.value;
    struct product g = product_of(p);
    bool forward = p->pass == TESS_CONV_FWD, data = p->pass == TESS_CONV_BWD_DATA;
    const tess_tensor *out = forward ? args->y : data ? args->x : args->w;
    int ldc = g.n * p->d.groups;
    struct kernel_arg list[5 + GEOMETRY_ARGS + 10] = {
        ARG_TENSOR(data ? args->y : args->x),
        ARG_TENSOR(p->pass == TESS_CONV_BWD_WEIGHTS ? args->y : args->w),
        ARG_TENSOR(p->bias ? args->bias : NULL), ARG_TENSOR(p->residual ? args->residual : NULL),
        ARG_TENSOR(v[SPLIT] > 1 ? args->workspace : out)};
    append_geometry(p, list + 5);
    const struct kernel_arg rest[10] = {ARG_INT(g.m),
                                        ARG_INT(g.n),
                                        ARG_INT(g.k),
                                        ARG_INT(p->kg),
                                        ARG_INT(ldc),
                                        ARG_INT(part_of(p, &igemm->config)),
                                        ARG_INT((int)p->act.kind),
                                        ARG_FLOAT(p->act.alpha),
                                        ARG_INT(p->y_channels),
                                        ARG_INT(p->y_first)};
    unsigned tail = p->sliced ? 10 : 8;
    for (unsigned i = 0; i < tail; i++)
        list[5 + GEOMETRY_ARGS + i] = rest[i];
    /* Tiles of n that follow each other share those of A; devices allow the most work-groups in the first dimension. */
    size_t items = (size_t)work_items(&igemm->config);
    size_t tiles = (size_t)ceil_div(g.m, v[MWG]) * (size_t)ceil_div(g.n, v[NWG]);
    struct kernel_range range = {
        2, {tiles * items, (size_t)p->d.groups * (size_t)v[SPLIT]}, {items, 1}};
    tess_status status = kernel_enqueue(igemm->ctx, igemm->main, &range, list,
                                        5 + GEOMETRY_ARGS + tail, "convolution");
    if (status || v[SPLIT] == 1) return status;
    return enqueue_reduce(igemm, args, out, ldc);
}

const struct conv_algo conv_igemm = {
    .name = "igemm",
    .kernel_file = "conv_igemm.cl",
    .slices = true,
    .param_count = PARAM_COUNT,
    .params = params,
    .constraints = constraints,
    .applicable = applicable,
    .resources = resources,
    .predict = predict,
    .workspace = workspace,
    .create = create,
    .enqueue = enqueue,
    .destroy = destroy,
};
