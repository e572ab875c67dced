/* Depthwise convolution, C/g = 1: vectors of channels, no sum over them. See conv_depthwise.cl. */
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/conv/conv_algo.h"
#include "ops/conv/conv_tile.h"

enum { VEC, KV, WT, RT, ST, QT, CHUNK, BAND, WG, FIX, PARAM_COUNT };
enum { CHUNK_LAST = 3 }; /* index of its largest value */

#define IN_ROWS (CONV_IN_FWD | CONV_IN_BWD_DATA)
static const struct conv_param params[PARAM_COUNT] = {
    [VEC] = {"vec", CONV_IN_ALL, 4, {16, 8, 4, 1}},
    [KV] = {"kv", CONV_IN_ALL, 3, {1, 2, 4}},
    [WT] = {"wt", IN_ROWS, 6, {1, 2, 4, 7, 10, 14}},
    [RT] = {"rt", CONV_IN_BWD_WEIGHTS, 4, {1, 2, 3, 5}},
    [ST] = {"st", CONV_IN_BWD_WEIGHTS, 5, {1, 2, 3, 5, 7}},
    [QT] = {"qt", CONV_IN_BWD_WEIGHTS, 3, {1, 2, 4}},
    /* Output pixels of a chunk and of a band, rounded up to whole rows. */
    [CHUNK] = {"chunk", CONV_IN_BWD_WEIGHTS, 4, {64, 256, 1024, 4096}},
    [BAND] = {"band", CONV_IN_BWD_WEIGHTS, 3, {16, 64, 256}},
    [WG] = {"wg", CONV_IN_ALL, 3, {1, 64, 128}},
    /* Filter size, strides and dilations compiled in. */
    [FIX] = {"fix", CONV_IN_ALL, 2, {0, 1}},
};

struct depthwise {
    tess_context *ctx;
    struct conv_problem problem;
    struct conv_config config;
    bool split;             /* one tile a work-item */
    cl_kernel main, reduce; /* reduce: backward-weights */
};

static bool is_cpu(const tess_device_info *device) {
    return device->type & CL_DEVICE_TYPE_CPU;
}

/* ---------------------------------------------------------------- sizes */

/* Channels that lanes stand for. */
static int channels(const struct conv_problem *p) {
    return p->pass == TESS_CONV_BWD_DATA ? p->d.c : p->d.k;
}
static int blocks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(channels(p), config->value[VEC] * config->value[KV]);
}
static int dest_rows(const struct conv_problem *p) {
    return p->d.n * (p->pass == TESS_CONV_FWD ? p->p : p->d.h);
}
/* Phases of a row in backward-data, and tiles of the longest one. */
static int phases(const struct conv_problem *p) {
    if (p->pass != TESS_CONV_BWD_DATA) return 1;
    return p->d.w < p->d.stride_w ? p->d.w : p->d.stride_w;
}
static int phase_pixels(const struct conv_problem *p) {
    return p->pass == TESS_CONV_FWD ? p->q : ceil_div(p->d.w, p->d.stride_w);
}
static int row_tiles(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(phase_pixels(p), config->value[WT]);
}
static int tap_tiles(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(p->d.r, config->value[RT]) * ceil_div(p->d.s, config->value[ST]);
}
static int chunk_rows(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(config->value[CHUNK], p->q);
}
static int band_rows(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(config->value[BAND], p->q);
}
static int chunks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(p->d.n * p->p, chunk_rows(p, config));
}

/* The chunks' sums. */
static size_t workspace(const struct conv_problem *p, const struct conv_config *config) {
    if (p->pass != TESS_CONV_BWD_WEIGHTS) return 0;
    return conv_problem_w(p) * sizeof(float) * (size_t)chunks(p, config);
}

/* Work-items of the main kernel, without those that fill up the last work-group. */
static int64_t work_items(const struct conv_problem *p, const struct conv_config *config,
                          bool split) {
    int64_t items = blocks(p, config);
    if (p->pass == TESS_CONV_BWD_WEIGHTS)
        return (int64_t)chunks(p, config) * (split ? items * tap_tiles(p, config) : 1);
    return items * dest_rows(p) * (split ? phases(p) * row_tiles(p, config) : 1);
}

/* ---------------------------------------------------------------- where it applies */

static bool applicable(const struct conv_problem *p, const tess_device_info *device) {
    (void)device;
    if (p->d.layout != TESS_NHWC || p->cg != 1) return false;
    /* Kernels index work-items and sums with int: the smallest tiles make the most of them, the largest chunk
       must be valid. */
    struct conv_config smallest = {
        .value = {[VEC] = 1, [KV] = 1, [WT] = 1, [RT] = 1, [ST] = 1, [CHUNK] = 64}};
    struct conv_config largest = {.value = {[CHUNK] = params[CHUNK].values[CHUNK_LAST]}};
    return work_items(p, &smallest, true) <= INT32_MAX &&
           workspace(p, &largest) / sizeof(float) <= INT32_MAX;
}

static bool is_rows(const struct conv_problem *p) {
    return p->pass != TESS_CONV_BWD_WEIGHTS;
}
static int vector_parts(const tess_device_info *device, int lanes) {
    int width = device->native_float_vector ? (int)device->native_float_vector : 4;
    return ceil_div(lanes, width);
}

/* A vector that is twice as wide as what there is, or one too many, computes zeros. */
static bool vector_fits(const struct conv_problem *p, const tess_device_info *device,
                        const struct conv_config *config) {
    (void)device;
    int vec = config->value[VEC], kv = config->value[KV];
    return (vec == 1 || vec / 2 < channels(p)) && (kv == 1 || vec * (kv - 1) < channels(p));
}
static bool tile_fits(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    const int *v = config->value;
    if (!is_rows(p)) return true;
    int held = vector_parts(device, v[VEC]) * (v[WT] * v[KV] + 1);
    return v[WT] * v[KV] == 1 || ((v[WT] == 1 || v[WT] <= phase_pixels(p)) && held <= 32);
}
static bool taps_fit(const struct conv_problem *p, const tess_device_info *device,
                     const struct conv_config *config) {
    const int *v = config->value;
    if (is_rows(p)) return true;
    int sums = v[KV] * v[RT] * v[ST] * v[QT];
    return v[RT] <= p->d.r && v[ST] <= p->d.s &&
           (sums == 1 || vector_parts(device, v[VEC]) * (sums + 2) <= 32);
}
/* Each chunk costs memory for its sums and time to add them; kernels index the sums with int. */
static bool chunks_fit(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    if (is_rows(p)) return true;
    int count = chunks(p, config);
    bool largest = config->value[CHUNK] == params[CHUNK].values[CHUNK_LAST];
    return largest || (count <= 4096 && (int64_t)conv_problem_w(p) * count <= INT32_MAX);
}
/* Lanes of a GPU keep their sums in registers for the whole chunk. */
static bool band_fits(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    int band = config->value[BAND], chunk = config->value[CHUNK];
    if (is_rows(p)) return true;
    return is_cpu(device) ? band <= chunk : band == params[BAND].values[0];
}
/* Work-items of a CPU have vectors, those of a GPU are lanes. */
static bool group_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)p;
    return (config->value[WG] == 1) == is_cpu(device) || device->max_work_group < 64;
}

static const struct conv_constraint constraints[] = {
    {1u << VEC | 1u << KV, vector_fits},
    {1u << VEC | 1u << KV | 1u << WT, tile_fits},
    {1u << VEC | 1u << KV | 1u << RT | 1u << ST | 1u << QT, taps_fit},
    {1u << CHUNK, chunks_fit},
    {1u << CHUNK | 1u << BAND, band_fits},
    {1u << WG, group_fits},
    {0, NULL},
};

static void resources(const struct conv_problem *p, const struct conv_config *config,
                      struct conv_resources *out) {
    const int *v = config->value;
    int accumulators = v[KV] * (is_rows(p) ? v[WT] : v[RT] * v[ST] * v[QT]);
    *out = (struct conv_resources){
        .work_items = (size_t)v[WG],
        .registers = (accumulators + 2) * v[VEC] + 20,
    };
}

/* ---------------------------------------------------------------- prediction */

/* A vector multiply-add whose factor comes from memory: one cycle a part; lanes gathered one by one where filters
   share a channel, or where the last vector is not whole. */
static double product_cycles(const struct conv_problem *p, const tess_device_info *device,
                             const struct conv_config *config) {
    int vec = config->value[VEC];
    double cycles = vector_parts(device, vec);
    if (p->kg > 1) return 3.0 * vec;
    return channels(p) % vec ? cycles * 1.5 : cycles;
}

static double predict_rows(const struct conv_problem *p, const tess_device_info *device,
                           const struct conv_config *config) {
    const int *v = config->value;
    double product = product_cycles(p, device, config);
    double taps = (double)p->d.r * p->d.s;
    if (p->pass == TESS_CONV_BWD_DATA)
        taps *= (double)p->kg / ((double)p->d.stride_h * p->d.stride_w);
    double per_tap = v[FIX] ? 2 : 6;
    double tile = taps * (v[WT] * product + per_tap) + 2.0 * v[WT] * product + 10;
    double tiles = row_tiles(p, config);
    /* Tiles at the ends of a row test their pixels for some taps, one that is not full for all. */
    if (p->d.s > 1) tiles += 0.5 * (tiles < 2 ? tiles : 2);
    if (phase_pixels(p) % v[WT]) tiles += 1.5;
    return (tile * tiles * phases(p) + 30) * dest_rows(p) * blocks(p, config) * v[KV];
}

static double predict_weights(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config) {
    const int *v = config->value;
    double product = product_cycles(p, device, config);
    /* Two loads a cycle; at least four cycles lie between two multiply-adds on the same sum. */
    double pixel = 0.5 * (v[ST] + 1) * product;
    if (pixel * v[QT] < 4) pixel = 4.0 / v[QT];
    double row = p->q * pixel + v[QT] * pixel + 3 * v[ST] + (v[FIX] ? 10 : 14);
    /* Memory is read in runs of KV vectors: short ones cost more; other tiles of taps read the band again. A band's
       sums are read and written. */
    double runs = (6.0 / v[KV] + 0.5 * tap_tiles(p, config)) * p->q;
    double band = 4.0 * v[RT] * v[ST] * tap_tiles(p, config) / band_rows(p, config);
    if ((double)band_rows(p, config) * p->q * (p->d.c + p->d.k) * 4 > 64e3) runs *= 2;
    double cycles = (row * v[RT] * tap_tiles(p, config) + runs + band) * p->d.n * p->p;
    return cycles * blocks(p, config) * v[KV] + (double)workspace(p, config) / 4;
}

static double predict(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    double cycles =
        is_rows(p) ? predict_rows(p, device, config) : predict_weights(p, device, config);
    double units = device->compute_units ? device->compute_units : 1;
    double items = (double)work_items(p, config, !is_cpu(device));
    /* A GPU has about 64 lanes a unit, and needs several work-items a lane to hide that they wait for memory. */
    double wanted = is_cpu(device) ? units : units * 64 * 4;
    double busy = items < wanted ? items / wanted : 1;
    return cycles / busy / (is_cpu(device) ? units : units * 64);
}

/* ---------------------------------------------------------------- plan */

static void destroy(void *state) {
    struct depthwise *depthwise = state;
    if (!depthwise) return;
    kernel_release(depthwise->main);
    kernel_release(depthwise->reduce);
    free(depthwise);
}

static void print_options(const struct conv_problem *p, const struct conv_config *config,
                          char *text, size_t size) {
    const int *v = config->value;
    const tess_conv_desc *d = &p->d;
    size_t used = (size_t)snprintf(
        text, size,
        "-DPASS=%d -DVEC=%d -DKV=%d -DWT=%d -DRT=%d -DST=%d -DQT=%d -DWG=%d -DMULTI=%d -DRAGGED=%d",
        (int)p->pass, v[VEC], v[KV], v[WT], v[RT], v[ST], v[QT], v[WG], p->kg > 1,
        channels(p) % v[VEC] != 0);
    if (v[FIX])
        snprintf(text + used, size - used,
                 " -DFIX_R=%d -DFIX_S=%d -DFIX_U=%d -DFIX_V=%d -DFIX_D=%d -DFIX_E=%d", d->r, d->s,
                 d->stride_h, d->stride_w, d->dilation_h, d->dilation_w);
}

static tess_status create(tess_context *ctx, const struct conv_problem *p,
                          const struct conv_config *config, const char *printed, void **state) {
    static const char *const mains[] = {"conv_depthwise_fwd", "conv_depthwise_bwd_data",
                                        "conv_depthwise_bwd_weights"};
    struct depthwise *depthwise = calloc(1, sizeof *depthwise);
    if (!depthwise) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", printed);
    depthwise->ctx = ctx;
    depthwise->problem = *p;
    depthwise->config = *config;
    depthwise->split = !is_cpu(&ctx->device);
    char options[256];
    print_options(p, config, options, sizeof options);
    struct program *program;
    tess_status status = program_get(ctx, conv_depthwise.kernel_file, options, printed, &program);
    if (!status) status = program_kernel(ctx, program, mains[p->pass], &depthwise->main);
    if (!status && p->pass == TESS_CONV_BWD_WEIGHTS)
        status = program_kernel(ctx, program, "conv_depthwise_reduce", &depthwise->reduce);
    if (status) {
        destroy(depthwise);
        return status;
    }
    *state = depthwise;
    return TESS_OK;
}

/* ---------------------------------------------------------------- execution */

enum { GEOMETRY_ARGS = 15 };
static void append_geometry(const struct conv_problem *p, struct kernel_arg *args) {
    const tess_conv_desc *d = &p->d;
    const int all[GEOMETRY_ARGS] = {d->h, d->w,        d->c,        p->p,          p->q,
                                    d->k, d->pad_top,  d->pad_left, p->kg,         d->r,
                                    d->s, d->stride_h, d->stride_w, d->dilation_h, d->dilation_w};
    for (int i = 0; i < GEOMETRY_ARGS; i++)
        args[i] = ARG_INT(all[i]);
}

/* Work-items rounded up to whole work-groups. */
static struct kernel_range group_range(int64_t items, int group) {
    size_t local = (size_t)group;
    return (struct kernel_range){1, {((size_t)items + local - 1) / local * local}, {local}};
}

static tess_status enqueue_rows(const struct depthwise *depthwise, const tess_conv_args *args) {
    const struct conv_problem *p = &depthwise->problem;
    const struct conv_config *config = &depthwise->config;
    bool forward = p->pass == TESS_CONV_FWD;
    struct kernel_arg list[5 + GEOMETRY_ARGS + 6];
    unsigned count = 0;
    list[count++] = ARG_TENSOR(forward ? args->x : args->y);
    list[count++] = ARG_TENSOR(args->w);
    if (forward) {
        list[count++] = ARG_TENSOR(p->bias ? args->bias : NULL);
        list[count++] = ARG_TENSOR(p->residual ? args->residual : NULL);
    }
    list[count++] = ARG_TENSOR(forward ? args->y : args->x);
    append_geometry(p, list + count);
    count += GEOMETRY_ARGS;
    int64_t items = work_items(p, config, depthwise->split);
    list[count++] = ARG_INT((int)items);
    list[count++] = ARG_INT(blocks(p, config));
    list[count++] = ARG_INT(row_tiles(p, config));
    list[count++] = ARG_INT(depthwise->split);
    if (forward) {
        list[count++] = ARG_INT((int)p->act.kind);
        list[count++] = ARG_FLOAT(p->act.alpha);
    }
    struct kernel_range range = group_range(items, config->value[WG]);
    return kernel_enqueue(depthwise->ctx, depthwise->main, &range, list, count, "convolution");
}

static tess_status enqueue_weights(const struct depthwise *depthwise, const tess_conv_args *args) {
    const struct conv_problem *p = &depthwise->problem;
    const struct conv_config *config = &depthwise->config;
    int64_t items = work_items(p, config, depthwise->split);
    struct kernel_arg list[3 + GEOMETRY_ARGS + 6] = {ARG_TENSOR(args->x), ARG_TENSOR(args->y),
                                                     ARG_TENSOR(args->workspace)};
    unsigned count = 3;
    append_geometry(p, list + count);
    count += GEOMETRY_ARGS;
    list[count++] = ARG_INT((int)items);
    list[count++] = ARG_INT(blocks(p, config));
    list[count++] = ARG_INT(p->d.n * p->p);
    list[count++] = ARG_INT(chunk_rows(p, config));
    list[count++] = ARG_INT(depthwise->split ? chunk_rows(p, config) : band_rows(p, config));
    list[count++] = ARG_INT(depthwise->split);
    struct kernel_range range = group_range(items, config->value[WG]);
    tess_status status = kernel_enqueue(depthwise->ctx, depthwise->main, &range, list, count,
                                        "convolution: backward-weights");
    if (status) return status;
    size_t elements = conv_problem_w(p);
    const struct kernel_arg reduce[] = {ARG_TENSOR(args->workspace), ARG_TENSOR(args->w),
                                        ARG_INT((int)elements), ARG_INT(chunks(p, config))};
    struct kernel_range flat = group_range((int64_t)elements, 64);
    return kernel_enqueue(depthwise->ctx, depthwise->reduce, &flat, reduce, 4,
                          "convolution: adding partial weight gradients");
}

static tess_status enqueue(void *state, const tess_conv_args *args, const tess_tensor *packed) {
    const struct depthwise *depthwise = state;
    (void)packed;
    return is_rows(&depthwise->problem) ? enqueue_rows(depthwise, args)
                                        : enqueue_weights(depthwise, args);
}

const struct conv_algo conv_depthwise = {
    .name = "depthwise",
    .kernel_file = "conv_depthwise.cl",
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
