/* Direct convolution, register-tiled and vectorised over the destination's channels: see conv_direct.cl. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/conv/conv_direct.h"
#include "ops/conv/conv_tile.h"

#define IN_ROWS (CONV_IN_FWD | CONV_IN_BWD_DATA)
static const struct conv_param params[PARAM_COUNT] = {
    [WT] = {"wt", IN_ROWS, 13, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 28}},
    [KV] = {"kv", CONV_IN_ALL, 4, {1, 2, 3, 4}},
    [NT] = {"nt", IN_ROWS, 3, {1, 2, 4}},
    [CT] = {"ct", CONV_IN_BWD_WEIGHTS, 11, {1, 2, 3, 4, 6, 8, 10, 12, 13, 14, 28}},
    [ST] = {"st", CONV_IN_BWD_WEIGHTS, 6, {1, 2, 3, 5, 7, 11}},
    [ORDER] = {"order", IN_ROWS, 2, {0, 1}},
    /* Source channels of a block that goes over all taps; 0: all. */
    [CB] = {"cb", IN_ROWS, 3, {0, 64, 128}},
    /* Chunks of the sum; output pixels of a band; KiB of panels of a work-item. */
    [CHUNKS] = {"chunks", CONV_IN_BWD_WEIGHTS, 8, {1, 2, 4, 8, 16, 32, 64, 128}},
    [BAND] = {"band", CONV_IN_BWD_WEIGHTS, 3, {128, 256, 512}},
    [PANELS] = {"panels", CONV_IN_BWD_WEIGHTS, 3, {32, 512, 1024}},
};

struct direct {
    tess_context *ctx;
    struct conv_problem problem;
    struct conv_config config;
    cl_kernel pack, main; /* forward and backward-data */
    cl_kernel reduce;     /* backward-weights: after main */
};

/* ---------------------------------------------------------------- sizes */

/* Forward and backward-data: rows of the destination. */
static bool is_rows(const struct conv_problem *p) {
    return p->pass != TESS_CONV_BWD_WEIGHTS;
}

/* Forward makes K from C, backward-data C from K. */
static int source_channels(const struct conv_problem *p) {
    return p->pass == TESS_CONV_BWD_DATA ? p->kg : p->cg;
}
static int dest_channels(const struct conv_problem *p) {
    return p->pass == TESS_CONV_BWD_DATA ? p->cg : p->kg;
}
static int dest_rows(const struct conv_problem *p) {
    return p->d.n * (p->pass == TESS_CONV_FWD ? p->p : p->d.h);
}
/* Pixels of a row that a tile can be cut from: a phase of the stride in backward-data. */
static int dest_row_pixels(const struct conv_problem *p) {
    if (p->pass == TESS_CONV_FWD) return p->q;
    return p->d.w < p->d.stride_w ? 1 : p->d.w / p->d.stride_w;
}

/* Blocks of destination channels, over all groups. */
static int blocks(const struct conv_problem *p, const struct conv_config *config) {
    return p->d.groups * ceil_div(dest_channels(p), LANES * config->value[KV]);
}

/* Floats of packed weights. */
static int64_t packed_floats(const struct conv_problem *p, const struct conv_config *config) {
    return (int64_t)blocks(p, config) * LANES * config->value[KV] * p->d.r * p->d.s *
           source_channels(p);
}
/* Pixels of a tile that a tap can move into the padding; two at the most have loops of their own. */
static int edge_pixels(const struct conv_problem *p) {
    const tess_conv_desc *d = &p->d;
    int left = d->pad_left, right = d->pad_right;
    if (p->pass == TESS_CONV_BWD_DATA) {
        left = (d->s - 1) * d->dilation_w - d->pad_left;
        right = d->w - 1 + d->pad_left - (p->q - 1) * d->stride_w;
    }
    int most = ceil_div(left > right ? left : right, d->stride_w);
    return most < 0 ? 0 : most > 2 ? 2 : most;
}

/* The distance of a tile's source pixels is compiled in where the work is worth a program of its own. */
static int compiled_step(const struct conv_problem *p) {
    const tess_conv_desc *d = &p->d;
    if (tess_conv_flops(d) < 2e6) return 0;
    return p->pass == TESS_CONV_FWD ? d->stride_w * d->c : d->k;
}

static size_t packed_bytes(const struct conv_problem *p, const struct conv_config *config) {
    if (p->pass == TESS_CONV_BWD_WEIGHTS) return 0;
    return (size_t)packed_floats(p, config) * sizeof(float);
}

/* The chunks' sums; those of a single chunk are the result. */
static size_t workspace(const struct conv_problem *p, const struct conv_config *config) {
    if (is_rows(p) || direct_chunks(p, config) == 1) return 0;
    return conv_problem_w(p) * sizeof(float) * (size_t)direct_chunks(p, config);
}

/* ---------------------------------------------------------------- where it applies */

static int stop_at_first(void *user, const struct conv_config *config) {
    (void)user, (void)config;
    return 1;
}

static bool applicable(const struct conv_problem *p, const tess_device_info *device) {
    if (p->d.layout != TESS_NHWC) return false;
    /* The panels of a wide filter may not fit the local memory, however small the band. */
    if (!is_rows(p)) return conv_config_each(&conv_direct, p, device, stop_at_first, NULL) != 0;
    /* Kernels index with int; the widest block pads the packed weights the most. */
    struct conv_config widest = {.value = {[WT] = 1, [KV] = 4}};
    return packed_floats(p, &widest) <= INT32_MAX;
}

static bool registers_fit(const tess_device_info *device, int accumulators, int vectors) {
    int needed = (accumulators + vectors) * register_parts(device);
    return needed <= tile_registers(device) || accumulators == 1;
}
/* Fewer accumulators than this do not cover the multiply-add's latency or share too few loads. */
static int useful_accumulators(const tess_device_info *device) {
    return ((vector_registers(device) - 1) / register_parts(device) - 1) / 4;
}

/* A block that is a whole vector too wide computes zeros. */
static bool block_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    int kv = config->value[KV];
    return kv == 1 || (kv - 1) * LANES < dest_channels(p);
}
static bool row_tile_fits(const struct conv_problem *p, const tess_device_info *device,
                          const struct conv_config *config) {
    const int *v = config->value;
    if (!is_rows(p)) return true;
    int pixels = dest_row_pixels(p);
    if (v[WT] == 5 && register_parts(device) == 1)
        return false; /* among few registers it fits rows of 14 and 28 */
    if (v[WT] > pixels || !registers_fit(device, v[WT] * v[KV], v[KV])) return false;
    return 2 * v[WT] > pixels || 3 * v[WT] * v[KV] >= useful_accumulators(device);
}
/* Whole rows of several images, where a row is narrower than a tile could be. */
static bool images_fit(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    const int *v = config->value;
    if (!is_rows(p) || v[NT] == 1) return true;
    return p->d.n % v[NT] == 0 && 2 * v[WT] > dest_row_pixels(p) &&
           registers_fit(device, v[NT] * v[WT] * v[KV], v[KV]);
}
static bool channel_block_fits(const struct conv_problem *p, const tess_device_info *device,
                               const struct conv_config *config) {
    (void)device;
    int block = config->value[CB];
    return !is_rows(p) || block == 0 || (block < source_channels(p) && p->d.r * p->d.s > 1);
}
static bool weight_tile_fits(const struct conv_problem *p, const tess_device_info *device,
                             const struct conv_config *config) {
    const int *v = config->value;
    if (is_rows(p)) return true;
    /* Several taps in a tile make up for few channels. */
    if (v[CT] > p->cg || p->d.s % v[ST] != 0) return false;
    if (v[ST] > 1 && (p->cg > 8 || p->d.dilation_w > 1)) return false;
    int accumulators = v[CT] * v[ST] * v[KV];
    int needed = (accumulators + v[KV]) * register_parts(device) + 1;
    return (needed <= vector_registers(device) || accumulators == 1) &&
           (2 * v[CT] > p->cg || accumulators >= useful_accumulators(device));
}

static const struct conv_constraint constraints[] = {
    {1u << KV, block_fits},
    {1u << WT | 1u << KV, row_tile_fits},
    {1u << WT | 1u << KV | 1u << NT, images_fit},
    {1u << CB, channel_block_fits},
    {1u << KV | 1u << CT | 1u << ST, weight_tile_fits},
    {1u << BAND, direct_band_fits},
    {1u << ST | 1u << CHUNKS | 1u << BAND, direct_chunks_fit},
    {1u << KV | 1u << CT | 1u << ST | 1u << BAND | 1u << PANELS, direct_panels_fit},
    {0, NULL},
};

static void resources(const struct conv_problem *p, const struct conv_config *config,
                      struct conv_resources *out) {
    const int *v = config->value;
    int accumulators = is_rows(p) ? v[NT] * v[WT] * v[KV] : v[CT] * v[ST] * v[KV];
    *out = (struct conv_resources){
        .local_bytes = is_rows(p) ? 0 : (size_t)direct_least_parts(p, config).bytes,
        .work_items = 1,
        .registers = (accumulators + v[KV] + 1) * LANES,
    };
}

/* ---------------------------------------------------------------- prediction */

/* Cycles of the innermost loop's body. Loads of weights slow it down the more, the less of the second-level cache a block of them,
   block_bytes, leaves; at least four cycles lie between two multiply-adds on the same accumulator. With narrower vectors than 512
   bits (parts > 1) the factors are older than the weights' being asked for ahead. */
static double body_cycles(const tess_device_info *device, int scalars, int vectors,
                          double block_bytes) {
    int parts = register_parts(device);
    double crowded = block_bytes < 150e3 ? 0 : block_bytes > 1e6 ? 850e3 : block_bytes - 150e3;
    double far = parts > 1 ? 0.15 + 2e-6 * crowded : 0.2 + 0.5e-6 * crowded;
    double cycles = tile_step_cycles(device, scalars, vectors, 0.15) + far * vectors * parts;
    return cycles < 4 ? 4 : cycles;
}

/* Innermost loops of a tile: one for each tap and block of channels, one for each row of taps where pixels follow each other. */
static double inner_loops(const struct conv_problem *p, const struct conv_config *config) {
    const tess_conv_desc *d = &p->d;
    int cb = config->value[CB];
    if (p->pass == TESS_CONV_BWD_DATA)
        return (double)d->r * d->s / ((double)d->stride_h * d->stride_w) *
               (cb ? ceil_div(p->kg, cb) : 1);
    if (d->groups == 1 && d->dilation_w == 1 && !cb) return d->r;
    return (double)d->r * d->s * (cb ? ceil_div(p->cg, cb) : 1);
}

/* Cycles for what a destination pixel reads that neither the row before nor the pixel before has read: its lines come from
   further away than the first-level cache. They are asked for ahead, except that one tap leaves little time to do so. */
static double new_lines(const struct conv_problem *p) {
    const tess_conv_desc *d = &p->d;
    double lines = source_channels(p) / (double)LANES;
    double cycles = d->r * d->s > 1 ? 4 : 10;
    if (p->pass == TESS_CONV_BWD_DATA) return cycles * lines / d->stride_h;
    int rows = d->r < d->stride_h ? d->r : d->stride_h;
    int columns = d->s < d->stride_w ? d->s : d->stride_w;
    if (d->s < d->stride_w) cycles *= 2;
    return cycles * lines * rows * columns;
}

static double predict_rows(const struct conv_problem *p, const tess_device_info *device,
                           const struct conv_config *config) {
    const int *v = config->value;
    int phases = p->pass == TESS_CONV_FWD ? 1 : p->d.stride_w;
    double taps = (double)p->d.r * p->d.s;
    if (p->pass == TESS_CONV_BWD_DATA) taps /= (double)p->d.stride_h * p->d.stride_w;
    double tiles = (double)phases * ceil_div(dest_row_pixels(p), v[WT]);
    double block_bytes = 4.0 * (double)packed_floats(p, config) / blocks(p, config);
    double body = body_cycles(device, v[NT] * v[WT], v[KV], block_bytes);
    double tile = taps * source_channels(p) * body + 20.0 * inner_loops(p, config) +
                  5.0 * v[NT] * v[WT] * v[KV] * register_parts(device) +
                  new_lines(p) * v[NT] * v[WT] + 20;
    double weight_bytes = 4.0 * (double)packed_floats(p, config);
    /* Weights that do not stay in the cache are better shared by rows that follow each other. */
    double reload = (weight_bytes > 1e6) == (v[ORDER] == 1) ? 1.0 : 1.05;
    return spread(tile * tiles, (double)dest_rows(p) / v[NT] * blocks(p, config), device) * reload;
}

static double predict(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    double cycles = p->pass == TESS_CONV_BWD_WEIGHTS ? direct_predict_weights(p, device, config)
                                                     : predict_rows(p, device, config);
    /* On a GPU one work-item a work-group leaves all lanes but one idle. */
    return device->type & CL_DEVICE_TYPE_CPU ? cycles : cycles * 64;
}

/* ---------------------------------------------------------------- plan */

static void destroy(void *state) {
    struct direct *direct = state;
    if (!direct) return;
    kernel_release(direct->pack);
    kernel_release(direct->main);
    kernel_release(direct->reduce);
    free(direct);
}

/* The dimensions in the order in which every main kernel takes them. */
enum { DIMS = 15 };
static void dimensions(const struct conv_problem *p, int dim[DIMS]) {
    const tess_conv_desc *d = &p->d;
    const int all[DIMS] = {d->h,       d->w,        d->c,          p->p,          p->q,
                           d->k,       d->r,        d->s,          d->stride_h,   d->stride_w,
                           d->pad_top, d->pad_left, d->dilation_h, d->dilation_w, d->groups};
    for (int i = 0; i < DIMS; i++)
        dim[i] = all[i];
}

static void print_options(const struct conv_problem *p, const struct conv_config *config,
                          char *text, size_t size) {
    const int *v = config->value;
    if (is_rows(p))
        snprintf(text, size, "-DPASS=%d -DWT=%d -DKV=%d -DNT=%d -DEDGE=%d -DSTEP=%d%s",
                 (int)p->pass, v[WT], v[KV], v[NT], edge_pixels(p), compiled_step(p),
                 p->sliced ? " -DSLICE=1" : "");
    else
        snprintf(text, size, "-DPASS=%d -DKV=%d -DCT=%d -DST=%d", (int)p->pass, v[KV], v[CT],
                 v[ST]);
}

static tess_status create(tess_context *ctx, const struct conv_problem *p,
                          const struct conv_config *config, const char *printed, void **state) {
    static const char *const packs[] = {"conv_direct_pack_fwd", "conv_direct_pack_bwd_data"};
    static const char *const mains[] = {"conv_direct_fwd", "conv_direct_bwd_data",
                                        "conv_direct_bwd_weights"};
    struct direct *direct = calloc(1, sizeof *direct);
    if (!direct) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", printed);
    direct->ctx = ctx;
    direct->problem = *p;
    direct->config = *config;
    char options[128];
    print_options(p, config, options, sizeof options);
    struct program *program;
    tess_status status = program_get(ctx, conv_direct.kernel_file, options, printed, &program);
    if (!status) status = program_kernel(ctx, program, mains[p->pass], &direct->main);
    if (!status && p->pass != TESS_CONV_BWD_WEIGHTS)
        status = program_kernel(ctx, program, packs[p->pass], &direct->pack);
    if (!status && p->pass == TESS_CONV_BWD_WEIGHTS)
        status = program_kernel(ctx, program, "conv_direct_reduce", &direct->reduce);
    if (status) {
        destroy(direct);
        return status;
    }
    *state = direct;
    return TESS_OK;
}

/* ---------------------------------------------------------------- execution */

static void append_dimensions(const struct conv_problem *p, struct kernel_arg *args) {
    int dim[DIMS];
    dimensions(p, dim);
    for (int i = 0; i < DIMS; i++)
        args[i] = ARG_INT(dim[i]);
}

static tess_status pack(void *state, const tess_tensor *w, tess_tensor *packed) {
    const struct direct *direct = state;
    const struct conv_problem *p = &direct->problem;
    size_t vectors = packed_bytes(p, &direct->config) / (LANES * sizeof(float));
    const struct kernel_arg list[] = {
        ARG_TENSOR(w),  ARG_TENSOR(packed), ARG_INT(p->d.groups), ARG_INT(p->d.r * p->d.s),
        ARG_INT(p->cg), ARG_INT(p->kg),     ARG_INT((int)vectors)};
    struct kernel_range range = flat_range(vectors);
    return kernel_enqueue(direct->ctx, direct->pack, &range, list, 7,
                          "convolution: packing weights");
}

static tess_status enqueue_rows(const struct direct *direct, const tess_conv_args *args,
                                const tess_tensor *packed) {
    const struct conv_problem *p = &direct->problem;
    bool forward = p->pass == TESS_CONV_FWD;
    int order = direct->config.value[ORDER], cb = direct->config.value[CB];
    struct kernel_arg list[5 + DIMS + 6];
    unsigned count = 0;
    list[count++] = ARG_TENSOR(forward ? args->x : args->y);
    list[count++] = ARG_TENSOR(packed);
    if (forward) {
        list[count++] = ARG_TENSOR(p->bias ? args->bias : NULL);
        list[count++] = ARG_TENSOR(p->residual ? args->residual : NULL);
    }
    list[count++] = ARG_TENSOR(forward ? args->y : args->x);
    append_dimensions(p, list + count);
    count += DIMS;
    list[count++] = ARG_INT(order);
    list[count++] = ARG_INT(cb ? cb : source_channels(p));
    if (forward) {
        list[count++] = ARG_INT((int)p->act.kind);
        list[count++] = ARG_FLOAT(p->act.alpha);
    }
    if (p->sliced) {
        list[count++] = ARG_INT(p->y_channels);
        list[count++] = ARG_INT(p->y_first);
    }
    size_t block_items = (size_t)blocks(p, &direct->config),
           row_items = (size_t)(dest_rows(p) / direct->config.value[NT]);
    struct kernel_range range = {2, {block_items, row_items}, {1, 1}};
    if (order) {
        range.global[0] = row_items;
        range.global[1] = block_items;
    }
    return kernel_enqueue(direct->ctx, direct->main, &range, list, count, "convolution");
}

static tess_status enqueue_weights(const struct direct *direct, const tess_conv_args *args) {
    const struct conv_problem *p = &direct->problem;
    const struct conv_config *config = &direct->config;
    struct direct_band band = direct_band_size(p, config);
    struct direct_parts parts = direct_device_parts(p, &direct->ctx->device, config);
    int count = direct_chunks(p, config);
    struct kernel_range range = {
        3, {(size_t)parts.c * (size_t)parts.k, (size_t)p->d.groups, (size_t)count}, {1, 1, 1}};
    struct kernel_arg list[4 + DIMS + 8] = {ARG_TENSOR(args->x), ARG_TENSOR(args->y),
                                            ARG_TENSOR(count == 1 ? args->w : args->workspace),
                                            ARG_INT(p->d.n)};
    append_dimensions(p, list + 4);
    const struct kernel_arg rest[8] = {ARG_INT(band.images),
                                       ARG_INT(band.rows),
                                       ARG_INT(band.columns),
                                       ARG_INT(parts.c),
                                       ARG_INT(parts.k),
                                       ARG_INT((int)direct_x_panel(p, config)),
                                       ARG_INT(range_spread_out(direct->ctx, &range)),
                                       ARG_LOCAL((size_t)parts.bytes)};
    memcpy(list + 4 + DIMS, rest, sizeof rest);
    tess_status status = kernel_enqueue(direct->ctx, direct->main, &range, list, 4 + DIMS + 8,
                                        "convolution: backward-weights");
    if (status || count == 1) return status;
    size_t elements = conv_problem_w(p);
    const struct kernel_arg reduce[] = {ARG_TENSOR(args->workspace), ARG_TENSOR(args->w),
                                        ARG_INT((int)elements), ARG_INT(count)};
    struct kernel_range flat = flat_range((elements + LANES - 1) / LANES);
    return kernel_enqueue(direct->ctx, direct->reduce, &flat, reduce, 4,
                          "convolution: adding partial weight gradients");
}

static tess_status enqueue(void *state, const tess_conv_args *args, const tess_tensor *packed) {
    const struct direct *direct = state;
    return direct->problem.pass == TESS_CONV_BWD_WEIGHTS ? enqueue_weights(direct, args)
                                                         : enqueue_rows(direct, args, packed);
}

const struct conv_algo conv_direct = {
    .name = "direct",
    .kernel_file = "conv_direct.cl",
    .slices = true,
    .param_count = PARAM_COUNT,
    .params = params,
    .constraints = constraints,
    .applicable = applicable,
    .resources = resources,
    .predict = predict,
    .packed = packed_bytes,
    .workspace = workspace,
    .create = create,
    .pack = pack,
    .enqueue = enqueue,
    .destroy = destroy,
};
