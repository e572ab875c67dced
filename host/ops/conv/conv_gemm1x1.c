/* 1x1 convolution without padding as a matrix product, register-tiled: see conv_gemm1x1.cl. */
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "ops/conv/conv_gemm1x1.h"

#define IN_ROWS    (CONV_IN_FWD | CONV_IN_BWD_DATA)
#define IN_WEIGHTS CONV_IN_BWD_WEIGHTS
static const struct conv_param params[PARAM_COUNT] = {
    [MR] = {"mr", IN_ROWS, 4, {1, 3, 6, 9}},
    [KV] = {"kv", CONV_IN_ALL, 4, {1, 2, 3, 4}},
    /* Source channels of one sum in registers. */
    [CB] = {"cb", IN_ROWS, 3, {128, 512, 2048}},
    /* Tiles of pixels that share a block of weights, and parts that share the destination's channels. */
    [TILES] = {"tiles", IN_ROWS, 3, {4, 16, 32}},
    [PARTS] = {"parts", IN_ROWS, 3, {1, 2, 8}},
    /* Whether results bypass the caches. */
    [STREAM] = {"stream", IN_ROWS, 2, {0, 1}},
    [CT] = {"ct", IN_WEIGHTS, 6, {1, 3, 4, 6, 8, 12}},
    /* Operands that are copied to panels: both, dy, none. */
    [COPY] = {"copy", IN_WEIGHTS, 3, {2, 1, 0}},
    /* Chunks of the pixels, pixels of a band; at most this many channels of a part. */
    [CHUNKS] = {"chunks", IN_WEIGHTS, 4, {1, 2, 4, 8}},
    [BAND] = {"band", IN_WEIGHTS, 3, {64, 128, 256}},
    [CPART] = {"cpart", IN_WEIGHTS, 3, {128, 256, 512}},
    [KPART] = {"kpart", IN_WEIGHTS, 3, {256, 512, 1024}},
};

static int at_most(int a, int b) {
    return a < b ? a : b;
}

/* ---------------------------------------------------------------- sizes */

/* Forward makes K from C, backward-data C from K. */
static int source_channels(const struct conv_problem *p) {
    return p->pass == TESS_CONV_BWD_DATA ? p->kg : p->cg;
}
/* Blocks of destination channels of a group. */
static int blocks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(dest_channels(p), LANES * config->value[KV]);
}

static int64_t packed_floats(const struct conv_problem *p, const struct conv_config *config) {
    return (int64_t)p->d.groups * blocks(p, config) * LANES * config->value[KV] *
           source_channels(p);
}
static size_t packed_bytes(const struct conv_problem *p, const struct conv_config *config) {
    return is_rows(p) ? (size_t)packed_floats(p, config) * sizeof(float) : 0;
}

/* How the pixels are shared out: tiles of a group, pixels of a work-item (whole groups). */
struct share {
    int tiles, span;
};

/* Groups of equal size, a multiple of the compute units where there are few of them; about 32 work-items a unit otherwise. */
static struct share share_pixels(const struct conv_problem *p, const tess_device_info *device,
                                 const struct conv_config *config) {
    int mr = config->value[MR], units = device->compute_units ? (int)device->compute_units : 1;
    int sets = config->value[PARTS] * p->d.groups, all = ceil_div(pixels(p), mr);
    int groups = ceil_div(all, config->value[TILES]);
    if (sets % units != 0) groups = ceil_div(groups, units) * units;
    int tiles = ceil_div(all, groups), items = ceil_div(32 * units, sets);
    return (struct share){tiles, mr * tiles * (groups > items ? groups / items : 1)};
}

/* ---------------------------------------------------------------- where it applies */

static bool applicable(const struct conv_problem *p, const tess_device_info *device) {
    const tess_conv_desc *d = &p->d;
    (void)device;
    if (d->layout != TESS_NHWC || d->r != 1 || d->s != 1) return false;
    if (d->pad_top || d->pad_bottom || d->pad_left || d->pad_right) return false;
    /* Kernels index with int; the widest block pads the packed weights the most. */
    struct conv_config widest = {.value = {[MR] = 1, [KV] = 4}};
    return packed_floats(p, &widest) <= INT32_MAX;
}

static int padded(int channels, int vectors) {
    return ceil_div(channels, LANES * vectors) * LANES * vectors;
}
/* What lies beyond the last channel is computed too: few zeros, compared with the best width. */
static bool block_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    int kv = config->value[KV], channels = dest_channels(p), best = padded(channels, 2);
    for (int i = 3; i <= 4; i++)
        best = at_most(best, padded(channels, i));
    return kv == 1 || ((kv - 1) * LANES < channels && 10 * padded(channels, kv) <= 11 * best);
}
static bool in_registers(const tess_device_info *device, int rows, int vectors) {
    return (rows + 1) * vectors * register_parts(device) <= tile_registers(device);
}
/* The largest tile that fits the registers; one vector, which needs more loads, is for few channels or few registers. */
static bool row_tile_fits(const struct conv_problem *p, const tess_device_info *device,
                          const struct conv_config *config) {
    int mr = config->value[MR], kv = config->value[KV], larger = 0;
    if (!is_rows(p)) return true;
    if (kv == 1 && dest_channels(p) > LANES && register_parts(device) == 1) return false;
    if ((mr > 1 || kv > 1) && !in_registers(device, mr, kv)) return false;
    for (int i = 0; i < params[MR].count; i++)
        larger += params[MR].values[i] > mr && in_registers(device, params[MR].values[i], kv);
    return larger == 0;
}

/* Limits that do not limit anything would give one plan several names. */
static bool cb_fits(const struct conv_problem *p, const tess_device_info *device,
                    const struct conv_config *config) {
    (void)device;
    const struct conv_param *cb = &params[CB];
    for (int i = 1; is_rows(p) && i < cb->count; i++)
        if (cb->values[i] == config->value[CB]) return cb->values[i - 1] < source_channels(p);
    return true;
}
/* Parts only where pixels alone do not keep all compute units busy. */
static bool parts_fit(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    const int *v = config->value;
    if (!is_rows(p) || v[PARTS] == 1) return true;
    return v[PARTS] <= blocks(p, config) &&
           ceil_div(pixels(p), v[MR] * v[TILES]) <= 32 * (int)device->compute_units;
}

static const struct conv_constraint constraints[] = {
    {1u << KV, block_fits},
    {1u << MR | 1u << KV, row_tile_fits},
    {1u << KV | 1u << CT, gemm1x1_weight_tile_fits},
    {1u << KV | 1u << CT | 1u << COPY, gemm1x1_copy_fits},
    {1u << CB, cb_fits},
    {1u << MR | 1u << KV | 1u << TILES | 1u << PARTS, parts_fit},
    {1u << CHUNKS, gemm1x1_chunks_fit},
    {1u << CHUNKS | 1u << BAND, gemm1x1_band_fits},
    {1u << CPART, gemm1x1_c_part_fits},
    {1u << KPART, gemm1x1_k_part_fits},
    {0, NULL},
};

static void resources(const struct conv_problem *p, const struct conv_config *config,
                      struct conv_resources *out) {
    const int *v = config->value;
    int sums = (is_rows(p) ? v[MR] : v[CT]) * v[KV];
    *out = (struct conv_resources){.local_bytes = gemm1x1_local_bytes(p, config),
                                   .work_items = 1,
                                   .registers = (sums + v[KV] + 1) * LANES};
}

/* ---------------------------------------------------------------- prediction */

/* Cycles of the innermost loop's body: two fused multiply-adds a cycle, which loads slow down a little; at least four cycles
   lie between two multiply-adds on the same sum. */
static double body_cycles(const tess_device_info *device, int scalars, int vectors) {
    int parts = register_parts(device);
    double cycles = 0.5 * scalars * vectors * parts + 0.3 * scalars + 0.125 * vectors * parts;
    return cycles < 4 ? 4 : cycles;
}

static double predict_rows(const struct conv_problem *p, const tess_device_info *device,
                           const struct conv_config *config) {
    const int *v = config->value;
    struct share share = share_pixels(p, device, config);
    int parts = register_parts(device), source = source_channels(p);
    int part_blocks = ceil_div(blocks(p, config), v[PARTS]);
    int rows = at_most(share.span, pixels(p));
    /* A block of weights that does not stay in the first-level cache slows the loop down. */
    double body = body_cycles(device, v[MR], v[KV]);
    if (4 * at_most(source, v[CB]) * LANES * v[KV] > 32 * 1024) body *= 1.12;
    /* Sums come from the destination and go there once for every further pass over its channels. The last time, they pass by
       the caches, which pays where they would not stay there beside everything else. */
    double dest_bytes =
        4.0 * (double)(p->pass == TESS_CONV_FWD ? conv_problem_y(p) : conv_problem_x(p));
    bool stays = dest_bytes < (double)device->global_cache / 6;
    double last = stays == (v[STREAM] == 0) ? 3 : 7;
    double sums = v[MR] * v[KV] * parts * (15.0 * (ceil_div(source, v[CB]) - 1) + last);
    /* Weights that do not stay in the second-level cache come from further away for each group. */
    double block_bytes = 4.0 * source * LANES * v[KV];
    double reload = block_bytes * part_blocks > 1e6 ? block_bytes / 40 / share.tiles : 0;
    /* Rows do for all blocks of a part together. */
    double fetch = 4.0 * source * v[MR] / 40 / part_blocks;
    double tile = source * body + sums + reload + fetch + 60 + 300.0 / share.tiles;
    /* Rows that do not stay there do so for each block. */
    if (part_blocks > 1 && 4.0 * share.tiles * v[MR] * at_most(source, v[CB]) > 6e5) tile *= 1.08;
    return spread(tile * ceil_div(rows, v[MR]) * part_blocks + 200,
                  (double)ceil_div(pixels(p), share.span) * v[PARTS] * p->d.groups, device);
}

static double predict(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    double cycles =
        is_rows(p) ? predict_rows(p, device, config) : gemm1x1_predict_weights(p, device, config);
    /* On a GPU one work-item a work-group leaves all lanes but one idle. */
    return device->type & CL_DEVICE_TYPE_CPU ? cycles : cycles * 64;
}

/* ---------------------------------------------------------------- plan */

static void destroy(void *state) {
    struct gemm *gemm = state;
    if (!gemm) return;
    kernel_release(gemm->pack);
    kernel_release(gemm->main);
    kernel_release(gemm->reduce);
    free(gemm);
}

static tess_status create(tess_context *ctx, const struct conv_problem *p,
                          const struct conv_config *config, const char *printed, void **state) {
    static const char *const packs[] = {"conv_gemm1x1_pack_fwd", "conv_gemm1x1_pack_bwd_data"};
    static const char *const mains[] = {"conv_gemm1x1_fwd", "conv_gemm1x1_bwd_data",
                                        "conv_gemm1x1_bwd_weights"};
    struct gemm *gemm = calloc(1, sizeof *gemm);
    if (!gemm) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", printed);
    gemm->ctx = ctx;
    gemm->problem = *p;
    gemm->config = *config;
    const int *v = config->value;
    char options[80];
    int length = snprintf(options, sizeof options, "-DPASS=%d -DKV=%d", (int)p->pass, v[KV]);
    char *tile = options + length;
    size_t left = sizeof options - (size_t)length;
    if (is_rows(p))
        snprintf(tile, left, " -DMR=%d%s", v[MR], p->sliced ? " -DSLICE=1" : "");
    else
        snprintf(tile, left, " -DCT=%d -DCOPY=%d", v[CT], v[COPY]);
    struct program *program;
    tess_status status = program_get(ctx, conv_gemm1x1.kernel_file, options, printed, &program);
    if (!status) status = program_kernel(ctx, program, mains[p->pass], &gemm->main);
    if (!status && is_rows(p)) status = program_kernel(ctx, program, packs[p->pass], &gemm->pack);
    if (!status && !is_rows(p))
        status = program_kernel(ctx, program, "conv_gemm1x1_reduce", &gemm->reduce);
    if (status) {
        destroy(gemm);
        return status;
    }
    *state = gemm;
    return TESS_OK;
}

/* ---------------------------------------------------------------- execution */

static tess_status pack(void *state, const tess_tensor *w, tess_tensor *packed) {
    const struct gemm *gemm = state;
    const struct conv_problem *p = &gemm->problem;
    size_t vectors = packed_bytes(p, &gemm->config) / (LANES * sizeof(float));
    const struct kernel_arg list[] = {ARG_TENSOR(w),  ARG_TENSOR(packed), ARG_INT(p->d.groups),
                                      ARG_INT(p->cg), ARG_INT(p->kg),     ARG_INT((int)vectors)};
    struct kernel_range range = flat_range(vectors);
    return kernel_enqueue(gemm->ctx, gemm->pack, &range, list, 6, "convolution: packing weights");
}

static tess_status enqueue_rows(const struct gemm *gemm, const tess_conv_args *args,
                                const tess_tensor *packed) {
    const struct conv_problem *p = &gemm->problem;
    const int *v = gemm->config.value;
    bool forward = p->pass == TESS_CONV_FWD;
    struct kernel_arg list[5 + DIMS + 10];
    unsigned count = 0;
    list[count++] = ARG_TENSOR(forward ? args->x : args->y);
    list[count++] = ARG_TENSOR(packed);
    if (forward) {
        list[count++] = ARG_TENSOR(p->bias ? args->bias : NULL);
        list[count++] = ARG_TENSOR(p->residual ? args->residual : NULL);
    }
    list[count++] = ARG_TENSOR(forward ? args->y : args->x);
    gemm1x1_append_dimensions(p, list + count);
    count += DIMS;
    struct share share = share_pixels(p, &gemm->ctx->device, &gemm->config);
    struct kernel_range range = {
        2,
        {(size_t)ceil_div(pixels(p), share.span), (size_t)p->d.groups * (size_t)v[PARTS]},
        {1, 1}};
    list[count++] = ARG_INT(share.span);
    list[count++] = ARG_INT(share.tiles);
    list[count++] = ARG_INT(v[CB]);
    list[count++] = ARG_INT(v[PARTS]);
    list[count++] = ARG_INT(v[STREAM]);
    if (forward) {
        list[count++] = ARG_INT((int)p->act.kind);
        list[count++] = ARG_FLOAT(p->act.alpha);
    }
    list[count++] = ARG_INT(range_spread_out(gemm->ctx, &range));
    if (p->sliced) {
        list[count++] = ARG_INT(p->y_channels);
        list[count++] = ARG_INT(p->y_first);
    }
    return kernel_enqueue(gemm->ctx, gemm->main, &range, list, count, "convolution");
}

static tess_status enqueue(void *state, const tess_conv_args *args, const tess_tensor *packed) {
    const struct gemm *gemm = state;
    return is_rows(&gemm->problem) ? enqueue_rows(gemm, args, packed)
                                   : gemm1x1_enqueue_weights(gemm, args);
}

const struct conv_algo conv_gemm1x1 = {
    .name = "gemm1x1",
    .kernel_file = "conv_gemm1x1.cl",
    .slices = true,
    .param_count = PARAM_COUNT,
    .params = params,
    .constraints = constraints,
    .applicable = applicable,
    .resources = resources,
    .predict = predict,
    .packed = packed_bytes,
    .workspace = gemm1x1_workspace,
    .create = create,
    .pack = pack,
    .enqueue = enqueue,
    .destroy = destroy,
};
