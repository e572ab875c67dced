/* Backward-weights of conv_gemm1x1: how it is cut into chunks, bands and parts of the channels, and how long it takes. */
#include "ops/conv/conv_gemm1x1.h"

static int chunk_pixels(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(pixels(p), config->value[CHUNKS]);
}
static int band_pixels(const struct conv_problem *p, const struct conv_config *config) {
    int chunk = chunk_pixels(p, config);
    return ceil_div(chunk, ceil_div(chunk, config->value[BAND]));
}
static int chunks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(pixels(p), chunk_pixels(p, config));
}
/* Channels of a panel of x. */
static int x_block(const struct conv_config *config) {
    return config->value[CT] % 3 == 0 ? 3 * LANES : LANES;
}
/* The channels are spread evenly over as few parts as the limit allows, in whole panels. */
static int part_size(int channels, int limit, int panel) {
    int parts = ceil_div(channels, limit);
    return ceil_div(ceil_div(channels, parts), panel) * panel;
}
static int c_part(const struct conv_problem *p, const struct conv_config *config) {
    return part_size(p->cg, config->value[CPART], x_block(config));
}
static int k_part(const struct conv_problem *p, const struct conv_config *config) {
    return part_size(p->kg, config->value[KPART], config->value[KV] * LANES);
}

/* The panels of a band, each a vector longer; no panels take some space, too: a kernel's local memory is not empty. */
size_t gemm1x1_local_bytes(const struct conv_problem *p, const struct conv_config *config) {
    if (is_rows(p)) return 0;
    int band = band_pixels(p, config), c = c_part(p, config), k = k_part(p, config);
    int copied = config->value[COPY], block = config->value[KV] * LANES, floats = LANES;
    if (copied > 0) floats += band * k + k / block * LANES;
    if (copied == 2) floats += band * c + c / x_block(config) * LANES;
    return sizeof(float) * (size_t)floats;
}

/* The chunks' sums. One chunk writes to dw. */
size_t gemm1x1_workspace(const struct conv_problem *p, const struct conv_config *config) {
    if (is_rows(p) || chunks(p, config) == 1) return 0;
    return conv_problem_w(p) * sizeof(float) * (size_t)chunks(p, config);
}

/* Whether sums are written once, and are too many to stay in a cache. */
static bool past_caches(const struct conv_problem *p, const struct conv_config *config) {
    return chunks(p, config) == 1 && pixels(p) <= config->value[BAND] &&
           conv_problem_w(p) > (size_t)1 << 20;
}

/* Sums and one set of vectors fit the registers (or there is no smaller tile) and use most of them; one vector, which
   needs more loads, is for few channels or few registers. */
static bool tile_fits(const struct conv_problem *p, const tess_device_info *device, int sums,
                      int vectors) {
    int needed = (sums + vectors) * register_parts(device), all = tile_registers(device);
    if (needed > all && sums > 1) return false;
    bool few = dest_channels(p) <= LANES || needed > sums + vectors;
    return vectors == 1 ? few && 3 * needed > all : 2 * needed > all;
}
bool gemm1x1_weight_tile_fits(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config) {
    const int *v = config->value;
    return is_rows(p) || tile_fits(p, device, v[CT] * v[KV], v[KV]);
}
/* What few tiles read need not be copied. Reading in place does not stop at an end. */
bool gemm1x1_copy_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    const int *v = config->value, block = v[KV] * LANES;
    if (is_rows(p) || v[COPY] == 2) return true;
    if (p->d.stride_h > 1 || p->d.stride_w > 1 || p->cg % v[CT] != 0) return false;
    return v[COPY] == 1 ? p->kg <= 2 * block : (p->kg == block && p->d.groups == 1);
}
/* Each chunk costs memory for its sums and time to add them. */
bool gemm1x1_chunks_fit(const struct conv_problem *p, const tess_device_info *device,
                        const struct conv_config *config) {
    int count = config->value[CHUNKS];
    int64_t units = device->compute_units ? device->compute_units : 1;
    if (is_rows(p) || count == 1) return true;
    return count <= pixels(p) / 64 && count <= 8 * units &&
           conv_problem_w(p) * (size_t)count <= (size_t)1 << 24;
}
/* Limits that do not limit anything would give one plan several names. */
bool gemm1x1_band_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    int band = config->value[BAND];
    return is_rows(p) || band == conv_gemm1x1.params[BAND].values[0] ||
           band / 2 < chunk_pixels(p, config);
}
bool gemm1x1_c_part_fits(const struct conv_problem *p, const tess_device_info *device,
                         const struct conv_config *config) {
    (void)device;
    int part = config->value[CPART];
    return is_rows(p) || part == conv_gemm1x1.params[CPART].values[0] || part / 2 < p->cg;
}
bool gemm1x1_k_part_fits(const struct conv_problem *p, const tess_device_info *device,
                         const struct conv_config *config) {
    (void)device;
    int part = config->value[KPART];
    return is_rows(p) || part == conv_gemm1x1.params[KPART].values[0] || part / 2 < p->kg;
}

/* Cycles that a line of x costs a tile: it comes from the second-level cache for every tile, or for every panel. Rows that are
   a large power of two apart fall into few sets of that cache, too. */
static double line_cycles(const struct conv_problem *p, const struct conv_config *config) {
    if (config->value[COPY] < 2) return p->d.c > 256 ? 1.5 : 0.8;
    return x_block(config) > LANES ? 1 : 0.5;
}

/* Cycles of the innermost loop's body: two fused multiply-adds a cycle, which loads slow down a little; at least four cycles
   lie between two multiply-adds on the same sum. */
static double body_cycles(const struct conv_problem *p, const tess_device_info *device,
                          const struct conv_config *config) {
    int scalars = config->value[CT], vectors = config->value[KV] * register_parts(device);
    double cycles = 0.5 * scalars * vectors + 0.2 * scalars + 0.08 * vectors;
    return (cycles < 4 ? 4 : cycles) + line_cycles(p, config);
}

double gemm1x1_predict_weights(const struct conv_problem *p, const tess_device_info *device,
                               const struct conv_config *config) {
    const int *v = config->value;
    int parts = register_parts(device), c_size = c_part(p, config), k_size = k_part(p, config);
    int size = chunk_pixels(p, config), band = band_pixels(p, config);
    double tiles =
        (double)ceil_div(c_size < p->cg ? c_size : p->cg, v[CT]) * ceil_div(k_size, LANES * v[KV]);
    int copied = (v[COPY] == 2 ? c_size : 0) + (v[COPY] > 0 ? k_size : 0);
    /* What is not copied is asked for ahead. */
    double copy = (3.0 * copied + 2.0 * (c_size + k_size)) / LANES * size;
    bool streams = past_caches(p, config);
    double tile = size * body_cycles(p, device, config) +
                  ceil_div(size, band) * ((streams ? 2.0 : 4.0) * v[CT] * v[KV] * parts + 40);
    /* Two panels that do not fit the first-level cache; all panels and the sums that do not fit the second. */
    if (4.0 * band * (x_block(config) + LANES * v[KV]) > 42e3) tile *= 1.08;
    double sum_bytes = streams ? 0 : 4.0 * c_size * k_size;
    if ((double)gemm1x1_local_bytes(p, config) + sum_bytes > 2e6) tile *= 1.05;
    double items =
        (double)chunks(p, config) * p->d.groups * ceil_div(p->cg, c_size) * ceil_div(p->kg, k_size);
    /* Sums are written once and read once, at about 8 bytes a cycle. */
    double reduce =
        chunks(p, config) > 1 ? (double)chunks(p, config) * (double)conv_problem_w(p) : 0;
    double units = device->compute_units ? device->compute_units : 1;
    /* Work-items are not equally fast; the last ones wait for the slowest. */
    double wait = 1 + 0.04 * units / items;
    return spread((tiles * tile + copy) * wait, items, device) + reduce / units;
}

tess_status gemm1x1_enqueue_weights(const struct gemm *gemm, const tess_conv_args *args) {
    const struct conv_problem *p = &gemm->problem;
    const struct conv_config *config = &gemm->config;
    int count = chunks(p, config), c_size = c_part(p, config), k_size = k_part(p, config);
    size_t parts =
        (size_t)p->d.groups * (size_t)ceil_div(p->cg, c_size) * (size_t)ceil_div(p->kg, k_size);
    struct kernel_range range = {2, {(size_t)count, parts}, {1, 1}};
    struct kernel_arg list[3 + DIMS + 7] = {ARG_TENSOR(args->x), ARG_TENSOR(args->y),
                                            ARG_TENSOR(count > 1 ? args->workspace : args->w)};
    gemm1x1_append_dimensions(p, list + 3);
    struct kernel_arg *rest = list + 3 + DIMS;
    rest[0] = ARG_INT(chunk_pixels(p, config));
    rest[1] = ARG_INT(band_pixels(p, config));
    rest[2] = ARG_INT(c_size);
    rest[3] = ARG_INT(k_size);
    rest[4] = ARG_INT(past_caches(p, config));
    rest[5] = ARG_INT(range_spread_out(gemm->ctx, &range));
    rest[6] = ARG_LOCAL(gemm1x1_local_bytes(p, config));
    tess_status status = kernel_enqueue(gemm->ctx, gemm->main, &range, list, 3 + DIMS + 7,
                                        "convolution: backward-weights");
    if (status || count == 1) return status;
    size_t elements = conv_problem_w(p);
    const struct kernel_arg reduce[] = {ARG_TENSOR(args->workspace), ARG_TENSOR(args->w),
                                        ARG_INT((int)elements), ARG_INT(count)};
    struct kernel_range flat = flat_range((elements + LANES - 1) / LANES);
    return kernel_enqueue(gemm->ctx, gemm->reduce, &flat, reduce, 4,
                          "convolution: adding partial weight gradients");
}
