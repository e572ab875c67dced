/* Convolution of few input channels, forward and backward-weights: see conv_smallc.cl. */
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/conv/conv_algo.h"
#include "ops/conv/conv_tile.h"

enum { KV, BAND, WT, STREAM, RT, PARTS, CHUNK, PARAM_COUNT };
enum { LANES = 16 }; /* of a float16 */
/* Longer runs and higher filters would only make more programs that nobody needs. */
enum { MAX_CHANNELS = 4, MAX_RUN = 48, MAX_FILTER_ROWS = 16 };

static const struct conv_param params[PARAM_COUNT] = {
    [KV] = {"kv", CONV_IN_FWD | CONV_IN_BWD_WEIGHTS, 4, {1, 2, 3, 4}},
    [BAND] = {"band", CONV_IN_FWD | CONV_IN_BWD_WEIGHTS, 2, {1, 4}},
    [WT] = {"wt", CONV_IN_FWD, 12, {1, 2, 4, 5, 6, 7, 8, 10, 11, 13, 14, 28}},
    [STREAM] = {"stream", CONV_IN_FWD, 2, {0, 1}},
    [RT] = {"rt", CONV_IN_BWD_WEIGHTS, 4, {1, 2, 3, 5}},
    /* Into how many tiles a run is cut. */
    [PARTS] = {"parts", CONV_IN_BWD_WEIGHTS, 8, {1, 2, 3, 4, 6, 8, 12, MAX_RUN}},
    /* Output rows of a chunk. */
    [CHUNK] = {"chunk", CONV_IN_BWD_WEIGHTS, 4, {8, 32, 128, 512}},
};

struct smallc {
    tess_context *ctx;
    struct conv_problem problem;
    struct conv_config config;
    cl_kernel pack, main; /* forward */
    cl_kernel reduce;     /* backward-weights: after main */
};

/* ---------------------------------------------------------------- sizes */

static bool is_forward(const struct conv_problem *p) {
    return p->pass == TESS_CONV_FWD;
}

/* Floats of a padded row that one filter row reads for one pixel. */
static int run_floats(const struct conv_problem *p) {
    return p->d.s * p->d.c;
}
/* Floats of the run in a tile of backward-weights. */
static int run_part(const struct conv_problem *p, int parts) {
    return ceil_div(run_floats(p), parts);
}

static int blocks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(p->d.k, LANES * config->value[KV]);
}

/* Floats of packed weights, or of one chunk's sums. */
static int64_t packed_floats(const struct conv_problem *p, const struct conv_config *config) {
    return (int64_t)blocks(p, config) * LANES * config->value[KV] * p->d.r * run_floats(p);
}

/* Floats from a padded row to the next; rows start at multiples of a cache line. */
static int64_t pitch(const struct conv_problem *p) {
    int64_t width = ((int64_t)(p->q - 1) * p->d.stride_w + p->d.s) * p->d.c;
    return (width + LANES - 1) / LANES * LANES;
}
static int64_t local_bytes(const struct conv_problem *p, int band) {
    if (band > p->p) band = p->p;
    int64_t rows = (int64_t)(band - 1) * p->d.stride_h + p->d.r;
    return rows * pitch(p) * (int64_t)sizeof(float);
}

static int chunks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(p->d.n * p->p, config->value[CHUNK]);
}

static size_t packed_bytes(const struct conv_problem *p, const struct conv_config *config) {
    return is_forward(p) ? (size_t)packed_floats(p, config) * sizeof(float) : 0;
}
static size_t workspace(const struct conv_problem *p, const struct conv_config *config) {
    if (is_forward(p)) return 0;
    return (size_t)packed_floats(p, config) * sizeof(float) * (size_t)chunks(p, config);
}

/* ---------------------------------------------------------------- where it applies */

static bool applicable(const struct conv_problem *p, const tess_device_info *device) {
    const tess_conv_desc *d = &p->d;
    if (p->pass == TESS_CONV_BWD_DATA || d->layout != TESS_NHWC || d->groups != 1 ||
        d->dilation_h != 1 || d->dilation_w != 1)
        return false;
    if (d->c > MAX_CHANNELS || d->s > MAX_RUN / d->c || d->r > MAX_FILTER_ROWS) return false;
    /* Kernels index rows and weights with int. The widest block pads the most; one row at least has room. */
    struct conv_config widest = {.value = {[KV] = 4}};
    return packed_floats(p, &widest) <= INT32_MAX &&
           local_bytes(p, 1) <=
               (int64_t)(device->local_memory < INT32_MAX ? device->local_memory : INT32_MAX);
}

static bool registers_fit(const tess_device_info *device, int accumulators, int vectors) {
    int needed = (accumulators + vectors) * register_parts(device);
    return needed <= tile_registers(device) || accumulators == 1;
}
/* Fewer accumulators than this do not cover the multiply-add's latency or share too few loads. */
static int useful_accumulators(const tess_device_info *device) {
    return ((vector_registers(device) - 1) / register_parts(device) - 1) / 3;
}

/* A block that is a whole vector too wide computes zeros. */
static bool block_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    int kv = config->value[KV];
    return kv == 1 || (kv - 1) * LANES < p->d.k;
}
static bool band_fits(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    (void)device;
    int band = config->value[BAND];
    return band == 1 || band / 2 < p->p;
}
static bool tile_fits(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    const int *v = config->value;
    if (!is_forward(p)) return true;
    if (v[WT] > p->q || !registers_fit(device, v[WT] * v[KV], v[KV])) return false;
    return 2 * v[WT] > p->q || v[WT] * v[KV] >= useful_accumulators(device);
}
/* Stores past the cache write whole lines; only the shortest epilogue has them. */
static bool stream_fits(const struct conv_problem *p, const tess_device_info *device,
                        const struct conv_config *config) {
    return !config->value[STREAM] ||
           (p->d.k % LANES == 0 && !p->residual && p->act.kind <= TESS_ACT_RELU &&
            (device->type & CL_DEVICE_TYPE_CPU) != 0);
}
static bool weight_tile_fits(const struct conv_problem *p, const tess_device_info *device,
                             const struct conv_config *config) {
    const int *v = config->value;
    if (is_forward(p)) return true;
    if (v[RT] > p->d.r || (v[RT] > 1 && v[PARTS] > 1)) return false;
    int part = run_part(p, v[PARTS]), accumulators = v[RT] * part * v[KV];
    /* Not the same once more under another name. */
    for (int i = 1; i < params[PARTS].count; i++)
        if (params[PARTS].values[i] == v[PARTS] && run_part(p, params[PARTS].values[i - 1]) == part)
            return false;
    return registers_fit(device, accumulators, v[KV] + 1) &&
           (part == 1 || (v[PARTS] == 1 && 2 * v[RT] > p->d.r) ||
            accumulators >= useful_accumulators(device));
}
/* Each chunk costs memory for its sums and time to add them, but one chunk or a few for each compute unit suffice. */
static bool chunk_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    if (is_forward(p)) return true;
    int units = device->compute_units ? (int)device->compute_units : 1, count = chunks(p, config);
    struct conv_config smaller = *config;
    smaller.value[CHUNK] /= 4;
    if (config->value[CHUNK] > 8 && chunks(p, &smaller) <= 8 * units) return false;
    return count <= 64 * units || config->value[CHUNK] == 512;
}

static const struct conv_constraint constraints[] = {
    {1u << KV, block_fits},
    {1u << BAND, band_fits},
    {1u << KV | 1u << WT, tile_fits},
    {1u << STREAM, stream_fits},
    {1u << KV | 1u << RT | 1u << PARTS, weight_tile_fits},
    {1u << CHUNK, chunk_fits},
    {0, NULL},
};

static int accumulators(const struct conv_problem *p, const int *v) {
    return v[KV] * (is_forward(p) ? v[WT] : v[RT] * run_part(p, v[PARTS]));
}

static void resources(const struct conv_problem *p, const struct conv_config *config,
                      struct conv_resources *out) {
    const int *v = config->value;
    *out = (struct conv_resources){
        .local_bytes = (size_t)local_bytes(p, v[BAND]),
        .work_items = 1,
        .registers = (accumulators(p, v) + v[KV] + 1) * LANES,
    };
}

/* ---------------------------------------------------------------- prediction */

/* Cycles of the innermost loop's body, slower by far cycles a vector that is not in the first-level cache; at least four cycles lie
   between two multiply-adds on the same accumulator. */
static double body_cycles(const tess_device_info *device, int scalars, int vectors, double far) {
    double cycles =
        tile_step_cycles(device, scalars, vectors, 0.1) + far * vectors * register_parts(device);
    return cycles < 4 ? 4 : cycles;
}

/* Of copying the rows of one band, about 16 floats in two cycles. */
static double copy_cycles(const struct conv_problem *p, int band) {
    return (double)local_bytes(p, band) / 4 / 8;
}

/* Of writing y, beyond what the loops hide. What does not fit the second-level caches is read before it is written, unless it
   goes past them, whole pixels faster than parts; what fits is better left there. */
static double write_cycles(const struct conv_problem *p, const struct conv_config *config) {
    double bytes = 4.0 * (double)conv_problem_y(p);
    bool stream = config->value[STREAM];
    if (bytes < 4e6) return stream ? bytes / 8 : 0;
    return bytes / (!stream ? 6 : blocks(p, config) > 1 ? 20 : 40);
}

static double predict_forward(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config) {
    const int *v = config->value;
    int band = v[BAND] < p->p ? v[BAND] : p->p;
    double block_bytes = 4.0 * (double)packed_floats(p, config) / blocks(p, config);
    double body = body_cycles(device, v[WT], v[KV], block_bytes > 20e3 ? 0.3 : 0);
    double tile =
        p->d.r * (run_floats(p) * body + 8) + 2.0 * v[WT] * v[KV] * register_parts(device) + 20;
    double row = tile * ceil_div(p->q, v[WT]) * blocks(p, config);
    double item = copy_cycles(p, band) + band * row + 100;
    return spread(item, (double)p->d.n * ceil_div(p->p, band), device) +
           write_cycles(p, config) / (device->compute_units ? device->compute_units : 1);
}

static double predict_weights(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config) {
    const int *v = config->value;
    int part = run_part(p, v[PARTS]), rows = v[CHUNK], all = p->d.n * p->p;
    if (rows > all) rows = all;
    int band = v[BAND] < p->p ? v[BAND] : p->p;
    double tiles = (double)ceil_div(run_floats(p), part) * ceil_div(p->d.r, v[RT]);
    /* A pixel's start and end weigh more than in forward, and dy is in the second-level cache: short tiles lose. */
    double body = 0.83 * (body_cycles(device, v[RT] * part, v[KV], v[KV] > 2 ? 1.1 : 0.9) + 1);
    double tile = band * (p->q * body + 30) + 3.0 * accumulators(p, v) * register_parts(device);
    double bands = ceil_div(rows, band);
    double item = bands * (tile * tiles * blocks(p, config) + copy_cycles(p, band));
    double reduce = (double)chunks(p, config) * (double)packed_floats(p, config);
    return spread(item, chunks(p, config), device) +
           reduce / (device->compute_units ? device->compute_units : 1);
}

static double predict(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    double cycles =
        is_forward(p) ? predict_forward(p, device, config) : predict_weights(p, device, config);
    /* On a GPU one work-item a work-group leaves all lanes but one idle. */
    return device->type & CL_DEVICE_TYPE_CPU ? cycles : cycles * 64;
}

/* ---------------------------------------------------------------- plan */

static void destroy(void *state) {
    struct smallc *smallc = state;
    if (!smallc) return;
    kernel_release(smallc->pack);
    kernel_release(smallc->main);
    kernel_release(smallc->reduce);
    free(smallc);
}

static void print_options(const struct conv_problem *p, const struct conv_config *config,
                          char *text, size_t size) {
    const int *v = config->value;
    const tess_conv_desc *d = &p->d;
    size_t used = (size_t)snprintf(
        text, size, "-DPASS=%d -DC=%d -DR=%d -DS=%d -DU=%d -DV=%d -DKV=%d -DBAND=%d", (int)p->pass,
        d->c, d->r, d->s, d->stride_h, d->stride_w, v[KV], v[BAND]);
    if (is_forward(p))
        snprintf(text + used, size - used, " -DWT=%d -DSTREAM=%d -DTAIL=%d", v[WT], v[STREAM],
                 d->k % LANES);
    else
        snprintf(text + used, size - used, " -DRT=%d -DT=%d", v[RT], run_part(p, v[PARTS]));
}

static tess_status create(tess_context *ctx, const struct conv_problem *p,
                          const struct conv_config *config, const char *printed, void **state) {
    struct smallc *smallc = calloc(1, sizeof *smallc);
    if (!smallc) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", printed);
    smallc->ctx = ctx;
    smallc->problem = *p;
    smallc->config = *config;
    char options[256];
    print_options(p, config, options, sizeof options);
    struct program *program;
    tess_status status = program_get(ctx, conv_smallc.kernel_file, options, printed, &program);
    bool forward = is_forward(p);
    if (!status)
        status = program_kernel(
            ctx, program, forward ? "conv_smallc_fwd" : "conv_smallc_bwd_weights", &smallc->main);
    if (!status)
        status =
            program_kernel(ctx, program, forward ? "conv_smallc_pack_fwd" : "conv_smallc_reduce",
                           forward ? &smallc->pack : &smallc->reduce);
    if (status) {
        destroy(smallc);
        return status;
    }
    *state = smallc;
    return TESS_OK;
}

/* ---------------------------------------------------------------- execution */

static tess_status pack(void *state, const tess_tensor *w, tess_tensor *packed) {
    const struct smallc *smallc = state;
    const struct conv_problem *p = &smallc->problem;
    size_t vectors = (size_t)packed_floats(p, &smallc->config) / LANES;
    const struct kernel_arg list[] = {ARG_TENSOR(w), ARG_TENSOR(packed), ARG_INT(p->d.k),
                                      ARG_INT((int)vectors)};
    struct kernel_range range = flat_range(vectors);
    return kernel_enqueue(smallc->ctx, smallc->pack, &range, list, 4,
                          "convolution: packing weights");
}

static tess_status enqueue_forward(const struct smallc *smallc, const tess_conv_args *args,
                                   const tess_tensor *packed) {
    const struct conv_problem *p = &smallc->problem;
    int band = smallc->config.value[BAND];
    struct kernel_range range = {2, {(size_t)ceil_div(p->p, band), (size_t)p->d.n}, {1, 1}};
    const struct kernel_arg list[] = {ARG_TENSOR(args->x),
                                      ARG_TENSOR(packed),
                                      ARG_TENSOR(p->bias ? args->bias : NULL),
                                      ARG_TENSOR(p->residual ? args->residual : NULL),
                                      ARG_TENSOR(args->y),
                                      ARG_LOCAL((size_t)local_bytes(p, band)),
                                      ARG_INT((int)pitch(p)),
                                      ARG_INT(p->d.h),
                                      ARG_INT(p->d.w),
                                      ARG_INT(p->p),
                                      ARG_INT(p->q),
                                      ARG_INT(p->d.k),
                                      ARG_INT(p->d.pad_top),
                                      ARG_INT(p->d.pad_left),
                                      ARG_INT((int)p->act.kind),
                                      ARG_FLOAT(p->act.alpha),
                                      ARG_INT(range_spread_out(smallc->ctx, &range))};
    return kernel_enqueue(smallc->ctx, smallc->main, &range, list, sizeof list / sizeof *list,
                          "convolution");
}

static tess_status enqueue_weights(const struct smallc *smallc, const tess_conv_args *args) {
    const struct conv_problem *p = &smallc->problem;
    const struct conv_config *config = &smallc->config;
    int count = chunks(p, config);
    struct kernel_range range = {1, {(size_t)count}, {1}};
    const struct kernel_arg list[] = {ARG_TENSOR(args->x),
                                      ARG_TENSOR(args->y),
                                      ARG_TENSOR(args->workspace),
                                      ARG_LOCAL((size_t)local_bytes(p, config->value[BAND])),
                                      ARG_INT((int)pitch(p)),
                                      ARG_INT(p->d.n),
                                      ARG_INT(p->d.h),
                                      ARG_INT(p->d.w),
                                      ARG_INT(p->p),
                                      ARG_INT(p->q),
                                      ARG_INT(p->d.k),
                                      ARG_INT(p->d.pad_top),
                                      ARG_INT(p->d.pad_left),
                                      ARG_INT(config->value[CHUNK]),
                                      ARG_INT(range_spread_out(smallc->ctx, &range))};
    tess_status status =
        kernel_enqueue(smallc->ctx, smallc->main, &range, list, sizeof list / sizeof *list,
                       "convolution: backward-weights");
    if (status) return status;
    size_t elements = conv_problem_w(p);
    const struct kernel_arg reduce[] = {ARG_TENSOR(args->workspace), ARG_TENSOR(args->w),
                                        ARG_INT((int)elements), ARG_INT(count), ARG_INT(p->d.k)};
    struct kernel_range flat = flat_range(elements);
    return kernel_enqueue(smallc->ctx, smallc->reduce, &flat, reduce, 5,
                          "convolution: adding partial weight gradients");
}

static tess_status enqueue(void *state, const tess_conv_args *args, const tess_tensor *packed) {
    const struct smallc *smallc = state;
    return is_forward(&smallc->problem) ? enqueue_forward(smallc, args, packed)
                                        : enqueue_weights(smallc, args);
}

const struct conv_algo conv_smallc = {
    .name = "smallc",
    .kernel_file = "conv_smallc.cl",
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
