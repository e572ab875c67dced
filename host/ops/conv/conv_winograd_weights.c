/* Backward-weights of 3x3 filters by Winograd's filter-gradient form: see conv_winograd_weights.cl. */
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/conv/conv_algo.h"
#include "ops/conv/conv_tile.h"

enum { M, CB, KB, CT, KV, TB, SPLIT, PARAM_COUNT };
enum { LANES = 16 }; /* of a float16 */

static const struct conv_param params[PARAM_COUNT] = {
    [M] = {"m", CONV_IN_BWD_WEIGHTS, 2, {4, 2}},
    [CB] = {"cb", CONV_IN_BWD_WEIGHTS, 4, {16, 32, 64, 128}},
    [KB] = {"kb", CONV_IN_BWD_WEIGHTS, 4, {16, 32, 64, 128}},
    [CT] = {"ct", CONV_IN_BWD_WEIGHTS, 2, {4, 8}},
    [KV] = {"kv", CONV_IN_BWD_WEIGHTS, 3, {1, 2, 4}},
    [TB] = {"tb", CONV_IN_BWD_WEIGHTS, 4, {4, 16, 32, 64}},
    [SPLIT] = {"split", CONV_IN_BWD_WEIGHTS, 7, {1, 2, 4, 8, 16, 32, 64}},
};

struct winograd {
    tess_context *ctx;
    struct conv_problem problem;
    struct conv_config config;
    cl_kernel main;
    cl_kernel reduce; /* NULL: there is one part, which is dw */
};

/* ---------------------------------------------------------------- sizes */

static int tiles(const struct conv_problem *p, const struct conv_config *config) {
    int m = config->value[M];
    return p->d.n * ceil_div(p->p, m) * ceil_div(p->q, m);
}
static int positions(const struct conv_config *config) {
    return (config->value[M] + 2) * (config->value[M] + 2);
}
/* Work-groups of one part of the tiles. */
static int64_t blocks(const struct conv_problem *p, const struct conv_config *config) {
    return (int64_t)p->d.groups * ceil_div(p->cg, config->value[CB]) *
           ceil_div(p->kg, config->value[KB]);
}

/* Transformed x and dy, their products' sums, a patch: as the kernel has them. */
static size_t local_bytes(const struct conv_config *config) {
    const int *v = config->value;
    int floats = v[TB] * (v[CB] + v[KB]) + v[CB] * v[KB] + 4 * LANES;
    return (size_t)positions(config) * (size_t)floats * sizeof(float);
}

/* Each part's dw; one part writes dw itself. */
static size_t workspace(const struct conv_problem *p, const struct conv_config *config) {
    int parts = config->value[SPLIT];
    return parts == 1 ? 0 : conv_problem_w(p) * sizeof(float) * (size_t)parts;
}

/* ---------------------------------------------------------------- where it applies */

static const struct conv_config smallest = {
    .value = {[M] = 2, [CB] = 16, [KB] = 16, [CT] = 4, [KV] = 1, [TB] = 4, [SPLIT] = 1}};

static bool applicable(const struct conv_problem *p, const tess_device_info *device) {
    const tess_conv_desc *d = &p->d;
    return p->pass == TESS_CONV_BWD_WEIGHTS && d->layout == TESS_NHWC && d->r == 3 && d->s == 3 &&
           d->stride_h == 1 && d->stride_w == 1 && d->dilation_h == 1 && d->dilation_w == 1 &&
           local_bytes(&smallest) <= device->local_memory;
}

/* Local memory as large as a second-level cache; elsewhere only the smallest blocks fit. */
static bool roomy(const tess_device_info *device) {
    return device->local_memory >= 512u << 10;
}

/* No block that is more than half empty; none smaller than 32 unless it must. */
static bool block_fits(int block, int channels, const tess_device_info *device) {
    if (block == 16) return channels <= 16 || !roomy(device);
    return block / 2 < channels;
}
static bool c_block_fits(const struct conv_problem *p, const tess_device_info *device,
                         const struct conv_config *config) {
    return block_fits(config->value[CB], p->cg, device);
}
static bool k_block_fits(const struct conv_problem *p, const tess_device_info *device,
                         const struct conv_config *config) {
    return block_fits(config->value[KB], p->kg, device);
}
/* The transforms of the larger side would be repeated for each of many blocks of the smaller. */
static bool blocks_alike(const struct conv_problem *p, const tess_device_info *device,
                         const struct conv_config *config) {
    (void)p, (void)device;
    int c = config->value[CB], k = config->value[KB];
    return c <= 4 * k && k <= 4 * c;
}

static bool registers_fit(const tess_device_info *device, int ct, int kv) {
    int available = device->native_float_vector >= 16 ? 32 : 16;
    return (ct * kv + kv) * register_parts(device) <= available || (ct == 4 && kv == 1);
}
/* The register tile is as large as the registers and the block allow. */
static bool tile_fits(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    (void)p;
    int ct = config->value[CT], kv = config->value[KV], most = config->value[KB] / LANES;
    if (kv > most || !registers_fit(device, ct, kv)) return false;
    bool taller = ct == 4 && registers_fit(device, 2 * ct, kv);
    bool wider = kv < 4 && 2 * kv <= most && registers_fit(device, ct, 2 * kv);
    return !taller && !wider;
}
static bool batch_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    int batch = config->value[TB], m = config->value[M];
    if (!roomy(device)) return batch <= 16;
    /* M = 2 rounds less but is slower: one batch size will do. */
    return m == 2 ? batch == 16 : batch == 16 || (batch > 16 && batch / 2 < tiles(p, config));
}
/* Enough work-groups to fill the device a few times; more only cost memory and the time to add their sums. */
static bool parts_are_few(const struct conv_problem *p, const tess_device_info *device,
                          const struct conv_config *config) {
    int parts = config->value[SPLIT];
    if (parts == 1) return true;
    return parts <= ceil_div(tiles(p, config), config->value[TB]) &&
           blocks(p, config) * parts <= 4 * (int64_t)device->compute_units &&
           workspace(p, config) / sizeof(float) <= INT32_MAX;
}

static const struct conv_constraint constraints[] = {
    {1u << CB, c_block_fits},
    {1u << KB, k_block_fits},
    {1u << CB | 1u << KB, blocks_alike},
    {1u << KB | 1u << CT | 1u << KV, tile_fits},
    {1u << M | 1u << TB, batch_fits},
    {1u << M | 1u << CB | 1u << KB | 1u << TB | 1u << SPLIT, parts_are_few},
    {0, NULL},
};

static void resources(const struct conv_problem *p, const struct conv_config *config,
                      struct conv_resources *out) {
    (void)p;
    const int *v = config->value;
    *out = (struct conv_resources){.local_bytes = local_bytes(config),
                                   .work_items = 1,
                                   .registers = (v[CT] * v[KV] + v[KV] + 1) * LANES};
}

/* Largest error beside the plain sum's, over 1,000 random problems: 42 and 8.1 times, on average 7.8 and 1.4 times. (The
   extremes are images of a few pixels, whose plain sum is nearly exact.) */
static double error_growth(const struct conv_problem *p, const struct conv_config *config) {
    (void)p;
    return config->value[M] == 4 ? 64 : 16;
}

/* ---------------------------------------------------------------- prediction */

/* The share of tiles whose patch lies inside the image. */
static double inside(const struct conv_problem *p, const struct conv_config *config) {
    int rows = ceil_div(p->p, config->value[M]), columns = ceil_div(p->q, config->value[M]);
    if (rows < 3 || columns < 3) return 0;
    return (double)(rows - 2) * (columns - 2) / ((double)rows * columns);
}

static double predict(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    const int *v = config->value;
    double units = device->compute_units ? device->compute_units : 1;
    double vector =
        positions(config) * register_parts(device); /* one of 16 channels, all positions */
    double products = (double)v[CB] * v[KB] / LANES * vector;
    /* Two fused multiply-adds a cycle, which loads slow down by a quarter cycle each. */
    double multiply = 0.5 + 0.25 * (v[CT] + v[KV]) / (v[CT] * v[KV]);
    /* Measured: tiles in the image, and at its edge. */
    double transform = 6 + 4 * (1 - inside(p, config));
    double tile = products * multiply + (v[CB] + v[KB]) / (double)LANES * transform * vector;
    int batches = ceil_div(tiles(p, config), v[TB]), part_batches = ceil_div(batches, v[SPLIT]);
    double part_tiles =
        batches < v[SPLIT] ? v[TB] : (double)tiles(p, config) / batches * part_batches;
    /* Sums are read and written once a batch; in the end they are transformed, having been zeroed in the beginning. */
    double group = part_tiles * tile + part_batches * products + 6 * products;
    /* The second-level cache is shared with x, dy and what else runs: a quarter slower when full. */
    double crowded = ((double)local_bytes(config) - 9e5) / 1.2e6;
    if (crowded > 0) group *= 1 + 0.25 * crowded;
    double groups = (double)blocks(p, config) * v[SPLIT];
    double rounds = (double)(int64_t)((groups + units - 1) / units);
    double reduce = v[SPLIT] == 1 ? 0 : (double)conv_problem_w(p) * v[SPLIT] / units;
    double cycles = group * rounds + reduce;
    /* On a GPU one work-item a work-group leaves all lanes but one idle. */
    return device->type & CL_DEVICE_TYPE_CPU ? cycles : cycles * 64;
}

/* ---------------------------------------------------------------- plan */

static void destroy(void *state) {
    struct winograd *winograd = state;
    if (!winograd) return;
    kernel_release(winograd->main);
    kernel_release(winograd->reduce);
    free(winograd);
}

static tess_status create(tess_context *ctx, const struct conv_problem *p,
                          const struct conv_config *config, const char *printed, void **state) {
    struct winograd *winograd = calloc(1, sizeof *winograd);
    if (!winograd) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", printed);
    winograd->ctx = ctx;
    winograd->problem = *p;
    winograd->config = *config;
    const int *v = config->value;
    char options[128];
    snprintf(options, sizeof options, "-DM=%d -DCB=%d -DKB=%d -DCT=%d -DKV=%d -DTB=%d", v[M], v[CB],
             v[KB], v[CT], v[KV], v[TB]);
    struct program *program;
    tess_status status =
        program_get(ctx, conv_winograd_weights.kernel_file, options, printed, &program);
    if (!status)
        status = program_kernel(ctx, program, "conv_winograd_weights_bwd_weights", &winograd->main);
    if (!status && v[SPLIT] > 1)
        status = program_kernel(ctx, program, "conv_winograd_weights_reduce", &winograd->reduce);
    if (status) {
        destroy(winograd);
        return status;
    }
    *state = winograd;
    return TESS_OK;
}

static tess_status enqueue(void *state, const tess_conv_args *args, const tess_tensor *packed) {
    (void)packed;
    const struct winograd *winograd = state;
    const struct conv_problem *p = &winograd->problem;
    const tess_conv_desc *d = &p->d;
    int parts = winograd->config.value[SPLIT];
    struct kernel_range range = {2, {(size_t)blocks(p, &winograd->config), (size_t)parts}, {1, 1}};
    const struct kernel_arg list[] = {ARG_TENSOR(args->x),
                                      ARG_TENSOR(args->y),
                                      ARG_TENSOR(parts == 1 ? args->w : args->workspace),
                                      ARG_INT(d->n),
                                      ARG_INT(d->h),
                                      ARG_INT(d->w),
                                      ARG_INT(d->c),
                                      ARG_INT(p->p),
                                      ARG_INT(p->q),
                                      ARG_INT(d->k),
                                      ARG_INT(d->pad_top),
                                      ARG_INT(d->pad_left),
                                      ARG_INT(d->groups),
                                      ARG_INT(range_spread_out(winograd->ctx, &range)),
                                      ARG_LOCAL(local_bytes(&winograd->config))};
    tess_status status = kernel_enqueue(winograd->ctx, winograd->main, &range, list, 15,
                                        "convolution: backward-weights");
    if (status || parts == 1) return status;
    size_t count = conv_problem_w(p);
    const struct kernel_arg reduce[] = {ARG_TENSOR(args->workspace), ARG_TENSOR(args->w),
                                        ARG_INT((int)count), ARG_INT(parts)};
    struct kernel_range flat = {1, {((count + 15) / 16 + 63) / 64 * 64}, {64}};
    return kernel_enqueue(winograd->ctx, winograd->reduce, &flat, reduce, 4,
                          "convolution: adding partial weight gradients");
}

const struct conv_algo conv_winograd_weights = {
    .name = "winograd_weights",
    .kernel_file = "conv_winograd_weights.cl",
    .param_count = PARAM_COUNT,
    .params = params,
    .constraints = constraints,
    .applicable = applicable,
    .resources = resources,
    .error_growth = error_growth,
    .predict = predict,
    .workspace = workspace,
    .create = create,
    .enqueue = enqueue,
    .destroy = destroy,
};
