/* Backward-weights of conv_gemm1x1: how it is cut into chunks, bands and parts of the channels, and how long it takes. */
#include "ops/conv/conv_gemm1x1.h"

static int at_most(int a, int b) {
    return a < b ? a : b;
}

static int chunk_pixels(const struct conv_problem *p, const struct conv_config *config) {
    return at_most(config->value[CHUNK], pixels(p));
}
static int band_pixels(const struct conv_problem *p, const struct conv_config *config) {
    int chunk = chunk_pixels(p, config);
    return ceil_div(chunk, ceil_div(chunk, config->value[BAND]));
}
static int chunks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(pixels(p), chunk_pixels(p, config));
}
/* The channels are spread evenly over as few parts as the limit allows, in whole tiles. */
static int part_size(int channels, int limit, int tile) {
    int parts = ceil_div(channels, limit);
    return ceil_div(ceil_div(channels, parts), tile) * tile;
}
static int c_part(const struct conv_problem *p, const struct conv_config *config) {
    return part_size(p->cg, config->value[CPART], config->value[CT]);
}
static int k_part(const struct conv_problem *p, const struct conv_config *config) {
    return part_size(p->kg, config->value[KPART], config->value[KV] * LANES);
}

/* The panels of a band. */
size_t gemm1x1_local_bytes(const struct conv_problem *p, const struct conv_config *config) {
    const int *v = config->value;
    if (is_rows(p)) return 0;
    int band = band_pixels(p, config), x_channels = c_part(p, config);
    int dy_channels = k_part(p, config);
    int x_panel = (ceil_div(band * v[CT], LANES) + 1) * LANES;
    int floats = x_channels / v[CT] * x_panel + dy_channels * band;
    return (size_t)floats * sizeof(float);
}

/* The chunks' sums. One chunk writes to dw. */
size_t gemm1x1_workspace(const struct conv_problem *p, const struct conv_config *config) {
    if (is_rows(p) || chunks(p, config) == 1) return 0;
    return conv_problem_w(p) * sizeof(float) * (size_t)chunks(p, config);
}

/* Sums and one set of vectors fit the registers (or there is no smaller tile) and use most of them; one vector, which
   needs more loads, is for few channels or few registers. */
static bool tile_fits(const struct conv_problem *p, const tess_device_info *device, int sums,
                      int vectors) {
    int needed = (sums + vectors) * register_parts(device), all = vector_registers(device);
    if (needed > all && sums > 1) return false;
    bool few = dest_channels(p) <= LANES || needed > sums + vectors;
    return vectors == 1 ? few && 3 * needed > all : 4 * needed > 3 * all;
}
bool gemm1x1_weight_tile_fits(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config) {
    const int *v = config->value;
    return is_rows(p) || tile_fits(p, device, v[CT] * v[KV], v[KV]);
}
bool gemm1x1_chunk_fits(const struct conv_problem *p, const tess_device_info *device,
                        const struct conv_config *config) {
    (void)device;
    int chunk = config->value[CHUNK];
    return is_rows(p) || chunk == conv_gemm1x1.params[CHUNK].values[0] || chunk / 4 < pixels(p);
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

/* Cycles of the innermost loop's body: two fused multiply-adds a cycle, which loads slow down a little; at least four cycles
   lie between two multiply-adds on the same sum. */
static double body_cycles(const tess_device_info *device, int scalars, int vectors) {
    int parts = register_parts(device);
    double cycles = 0.5 * scalars * vectors * parts + 0.25 * scalars + 0.125 * vectors * parts;
    return cycles < 4 ? 4 : cycles;
}

double gemm1x1_predict_weights(const struct conv_problem *p, const tess_device_info *device,
                               const struct conv_config *config) {
    const int *v = config->value;
    int parts = register_parts(device), c_size = c_part(p, config), k_size = k_part(p, config);
    double bands = ceil_div(chunk_pixels(p, config), band_pixels(p, config));
    double tiles = (double)(c_size / v[CT]) * (k_size / (LANES * v[KV]));
    /* Narrow panels are slow to write. */
    double copy = (1.2 * c_size + 0.6 * k_size) * chunk_pixels(p, config);
    double tile = chunk_pixels(p, config) * (body_cycles(device, v[CT], v[KV]) + 1) +
                  bands * (5.0 * v[CT] * v[KV] * parts + 40);
    /* Two panels that do not fit the first-level cache; all panels and the sums that do not fit the second. */
    if (4.0 * band_pixels(p, config) * (v[CT] + LANES * v[KV]) > 40e3) tile *= 1.08;
    if ((double)gemm1x1_local_bytes(p, config) + 4.0 * c_size * k_size > 2e6) tile *= 1.05;
    double items =
        (double)chunks(p, config) * p->d.groups * ceil_div(p->cg, c_size) * ceil_div(p->kg, k_size);
    /* Sums are written once and read once, at about 8 bytes a cycle. */
    double reduce =
        chunks(p, config) > 1 ? (double)chunks(p, config) * (double)conv_problem_w(p) : 0;
    return spread(tiles * tile + copy, items, device) +
           reduce / (device->compute_units ? device->compute_units : 1);
}

tess_status gemm1x1_enqueue_weights(const struct gemm *gemm, const tess_conv_args *args) {
    const struct conv_problem *p = &gemm->problem;
    const struct conv_config *config = &gemm->config;
    int count = chunks(p, config), c_size = c_part(p, config), k_size = k_part(p, config);
    struct kernel_arg list[3 + DIMS + 5] = {ARG_TENSOR(args->x), ARG_TENSOR(args->y),
                                            ARG_TENSOR(count > 1 ? args->workspace : args->w)};
    gemm1x1_append_dimensions(p, list + 3);
    struct kernel_arg *rest = list + 3 + DIMS;
    rest[0] = ARG_INT(chunk_pixels(p, config));
    rest[1] = ARG_INT(band_pixels(p, config));
    rest[2] = ARG_INT(c_size);
    rest[3] = ARG_INT(k_size);
    rest[4] = ARG_LOCAL(gemm1x1_local_bytes(p, config));
    size_t parts =
        (size_t)p->d.groups * (size_t)ceil_div(p->cg, c_size) * (size_t)ceil_div(p->kg, k_size);
    struct kernel_range range = {2, {(size_t)count, parts}, {1, 1}};
    tess_status status = kernel_enqueue(gemm->ctx, gemm->main, &range, list, 3 + DIMS + 5,
                                        "convolution: backward-weights");
    if (status || count == 1) return status;
    size_t elements = conv_problem_w(p);
    const struct kernel_arg reduce[] = {ARG_TENSOR(args->workspace), ARG_TENSOR(args->w),
                                        ARG_INT((int)elements), ARG_INT(count)};
    struct kernel_range flat = flat_range((elements + LANES - 1) / LANES);
    return kernel_enqueue(gemm->ctx, gemm->reduce, &flat, reduce, 4,
                          "convolution: adding partial weight gradients");
}
