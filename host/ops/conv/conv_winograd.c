/* 3x3 and 5x5 convolution with stride 1 by Winograd's minimal filtering: see conv_winograd.cl. */
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/conv/conv_algo.h"
#include "ops/conv/conv_tile.h"

enum { TILE, KV, WT, CHUNK, TB, PARAM_COUNT };
enum { LANES = 16 }; /* of a work-group */

#define IN_ROWS (CONV_IN_FWD | CONV_IN_BWD_DATA)
static const struct conv_param params[PARAM_COUNT] = {
    [TILE] = {"tile", IN_ROWS, 2, {2, 4}},
    [KV] = {"kv", IN_ROWS, 4, {1, 2, 3, 4}},
    [WT] = {"wt", IN_ROWS, 7, {4, 6, 7, 8, 9, 11, 14}},
    /* Tiles between two launches; 0: one fused kernel. */
    [CHUNK] = {"chunk", IN_ROWS, 5, {0, 128, 512, 2048, 8192}},
    /* Tiles of a block, in units of wt. */
    [TB] = {"tb", IN_ROWS, 7, {1, 2, 3, 4, 6, 8, 12}},
};
enum { SMALLEST_WT = 4, SMALLEST_CHUNK = 128, CHUNK_TB = 4 };

struct winograd {
    tess_context *ctx;
    struct conv_problem problem;
    struct conv_config config;
    size_t items; /* work-items of a group */
    cl_kernel pack;
    cl_kernel fused;                       /* or: */
    cl_kernel transform, multiply, finish; /* in this order */
};

/* ---------------------------------------------------------------- sizes */

/* The problem as the kernels see it: backward-data is forward with other weights and padding. */
struct shape {
    int n, h, w, c, p, q, k, pad_top, pad_left, groups; /* source h w c, destination p q k */
    int cg, kg;
};

static struct shape shape_of(const struct conv_problem *p) {
    const tess_conv_desc *d = &p->d;
    if (p->pass == TESS_CONV_FWD)
        return (struct shape){d->n, d->h,       d->w,        d->c,      p->p,  p->q,
                              d->k, d->pad_top, d->pad_left, d->groups, p->cg, p->kg};
    return (struct shape){d->n,
                          p->p,
                          p->q,
                          d->k,
                          d->h,
                          d->w,
                          d->c,
                          d->r - 1 - d->pad_top,
                          d->s - 1 - d->pad_left,
                          d->groups,
                          p->kg,
                          p->cg};
}

static int positions(const struct conv_problem *p, const struct conv_config *config) {
    int edge = config->value[TILE] + p->d.r - 1;
    return edge * edge;
}

static int64_t tiles(const struct conv_problem *p, int tile) {
    struct shape s = shape_of(p);
    return (int64_t)p->d.n * ceil_div(s.p, tile) * ceil_div(s.q, tile);
}

static int block_width(const struct conv_config *config) {
    return LANES * config->value[KV];
}
/* Blocks of destination channels of a group. */
static int blocks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(shape_of(p).kg, block_width(config));
}
static int block_tiles(const struct conv_config *config) {
    return config->value[WT] * config->value[TB];
}

/* Floats of a tile in a position of V, and between two rows of M, of width floats: an odd number of cache lines, so that rows of M that
   are read side by side, and positions, do not all share the sets of a cache. */
static int row_floats(int width) {
    return (ceil_div(width, LANES) | 1) * LANES;
}
static int v_row(const struct conv_problem *p) {
    return row_floats(shape_of(p).cg);
}
static int m_row(const struct conv_problem *p, const struct conv_config *config) {
    return row_floats(blocks(p, config) * block_width(config));
}

/* The fused kernel's V and M. */
static size_t local_v_bytes(const struct conv_problem *p, const struct conv_config *config) {
    return ((size_t)block_tiles(config) * (size_t)v_row(p) + LANES) * (size_t)positions(p, config) *
           sizeof(float);
}
static size_t local_m_bytes(const struct conv_problem *p, const struct conv_config *config) {
    return ((size_t)block_tiles(config) * (size_t)block_width(config) + LANES) *
           (size_t)positions(p, config) * sizeof(float);
}

/* Rows of V and M of a chunk. */
static int chunk_rows(const struct conv_problem *p, const struct conv_config *config) {
    int64_t all = tiles(p, config->value[TILE]);
    int chunk = config->value[CHUNK], wt = config->value[WT];
    return ceil_div(all < chunk ? (int)all : chunk, wt) * wt;
}
static size_t chunk_floats(const struct conv_problem *p, const struct conv_config *config,
                           int row) {
    return (size_t)p->d.groups * (size_t)positions(p, config) * (size_t)chunk_rows(p, config) *
           (size_t)row;
}

static int64_t packed_floats(const struct conv_problem *p, const struct conv_config *config) {
    return (int64_t)p->d.groups * blocks(p, config) * block_width(config) * positions(p, config) *
           shape_of(p).cg;
}
static size_t packed_bytes(const struct conv_problem *p, const struct conv_config *config) {
    return (size_t)packed_floats(p, config) * sizeof(float);
}

/* V and M of a chunk. */
static size_t workspace(const struct conv_problem *p, const struct conv_config *config) {
    if (!config->value[CHUNK]) return 0;
    return chunk_floats(p, config, v_row(p) + m_row(p, config)) * sizeof(float);
}

/* ---------------------------------------------------------------- where it applies */

static bool applicable(const struct conv_problem *p, const tess_device_info *device) {
    (void)device;
    const tess_conv_desc *d = &p->d;
    if (p->pass == TESS_CONV_BWD_WEIGHTS || d->layout != TESS_NHWC) return false;
    if ((d->r != 3 && d->r != 5) || d->s != d->r || d->stride_h != 1 || d->stride_w != 1)
        return false;
    if (d->dilation_h != 1 || d->dilation_w != 1) return false;
    /* Kernels index with int, tensors have int sizes: the widest tile and block need the most. */
    const struct conv_config most = {.value = {[TILE] = 7 - d->r, [KV] = 4, [WT] = 14, [TB] = 1}};
    struct conv_config least = most;
    least.value[CHUNK] = SMALLEST_CHUNK;
    return packed_floats(p, &most) <= INT32_MAX && workspace(p, &least) / 4 <= INT32_MAX &&
           tiles(p, 2) <= INT32_MAX / 2;
}

/* Floats of a work-item: all lanes where the device works on vectors. */
static int item_width(const tess_device_info *device) {
    bool vectors = device->type & CL_DEVICE_TYPE_CPU && device->native_float_vector >= 4;
    return vectors ? LANES : 1;
}
/* Registers of one work-item's vector. */
static int vector_parts(const tess_device_info *device) {
    int width = (int)device->native_float_vector;
    return item_width(device) == 1 || width >= LANES ? 1 : LANES / width;
}
static int registers_needed(const tess_device_info *device, const struct conv_config *config) {
    int kv = config->value[KV], wt = config->value[WT];
    return (wt * kv + kv) * vector_parts(device) + 1;
}
static int registers_there(const tess_device_info *device) {
    return item_width(device) == 1 ? vector_registers(device) + 1 : tile_registers(device) + 1;
}

/* Windows of 4 x 4 and 6 x 6. */
static bool tile_fits(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    (void)device;
    return config->value[TILE] + p->d.r <= 7;
}

/* A block that is a whole vector too wide computes zeros. */
static bool block_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    int kv = config->value[KV];
    return kv == 1 || (kv - 1) * LANES < shape_of(p).kg;
}

/* Accumulators fill at least three quarters of the registers. */
static bool registers_fit(const struct conv_problem *p, const tess_device_info *device,
                          const struct conv_config *config) {
    if (config->value[WT] == SMALLEST_WT && config->value[KV] == 1) return true;
    int needed = registers_needed(device, config);
    bool narrow = shape_of(p).kg <= LANES; /* no wider blocks there */
    return needed <= registers_there(device) &&
           (narrow || 4 * needed > 3 * vector_registers(device));
}

static bool chunk_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    int chunk = config->value[CHUNK];
    if (chunk == 0 || chunk == SMALLEST_CHUNK) return true;
    size_t limit = (size_t)256 << 20;
    return tiles(p, config->value[TILE]) > chunk / 4 && workspace(p, config) <= limit;
}
static bool tiles_fit(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    (void)device;
    const int *v = config->value;
    if (v[CHUNK]) return v[TB] == CHUNK_TB;
    return v[TB] == 1 || (v[TB] - 1) * v[WT] < tiles(p, v[TILE]);
}

static const struct conv_constraint constraints[] = {
    {1u << TILE, tile_fits},
    {1u << KV, block_fits},
    {1u << KV | 1u << WT, registers_fit},
    {1u << TILE | 1u << KV | 1u << WT | 1u << CHUNK, chunk_fits},
    {1u << TILE | 1u << WT | 1u << CHUNK | 1u << TB, tiles_fit},
    {0, NULL},
};

static void resources(const struct conv_problem *p, const struct conv_config *config,
                      struct conv_resources *out) {
    const int *v = config->value;
    *out = (struct conv_resources){
        .local_bytes = v[CHUNK] ? 0 : local_v_bytes(p, config) + local_m_bytes(p, config),
        .work_items = LANES,
        /* Of float; devices that take float16 are no GPUs. */
        .registers = v[WT] * v[KV] + v[KV] + 1,
    };
}

/* Measured against float64 over 440 random problems of 1 to 512 channels, values uniform, uniform with negative sources cut off, or
   +-1: F(2x2) at most 2.6 and F(4x4) at most 52 times direct's largest error on the same problem (at one channel; 0.7 and 11 from 64
   channels on), 1.9 and 40 times its worst share of sqrt(length) (|y| + sqrt(length)). Rounded up by half. F(2x2, 5x5): half as much as F(4x4, 3x3), in a float32 model of both. */
static double error_growth(const struct conv_problem *p, const struct conv_config *config) {
    if (p->d.r == 5) return 40;
    return config->value[TILE] == 2 ? 4 : 80;
}

/* ---------------------------------------------------------------- prediction */

/* Cycles of the innermost loop's body: two multiply-adds a cycle, what loads take of that, and the way of the weights. */
static double body_cycles(const tess_device_info *device, const struct conv_config *config) {
    int parts = vector_parts(device), wt = config->value[WT], kv = config->value[KV];
    double cycles = 0.5 * wt * kv * parts + 0.25 * (wt + kv * parts) + kv * parts;
    if (cycles < 4) cycles = 4;
    return registers_needed(device, config) > vector_registers(device) ? cycles * 1.2 : cycles;
}

/* Bytes a cycle of one compute unit from the cache that all share, and cycles of a launch. Measured on PoCL, like the factors
   below. */
static const double SHARED_RATE = 4, LAUNCH = 30e3;

/* The products: whole tiles in registers, and the packed weights' way past the second-level cache, once for every pass over them. */
static double products_cycles(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config, double all) {
    const int *v = config->value;
    double together = v[CHUNK] ? v[CHUNK] : block_tiles(config);
    double passes = (double)(int64_t)(all / together), rest = all - passes * together;
    double sets = passes * (double)(int64_t)((together + v[WT] - 1) / v[WT]) +
                  (double)(int64_t)((rest + v[WT] - 1) / v[WT]);
    double bodies = sets * positions(p, config) * shape_of(p).cg * blocks(p, config) * p->d.groups;
    double weights = (double)packed_bytes(p, config);
    /* Up to 1 MB stay in the second-level cache, up to 3 MB in part. */
    double rate = weights < 3e6 ? 4 * SHARED_RATE : SHARED_RATE;
    double stream = weights < 1e6 ? 0 : (passes + (rest > 0)) * weights / rate;
    return bodies * body_cycles(device, config) + stream;
}

/* What V and M cost: a fused kernel shares its second-level cache with them, three kernels send them through the shared one. */
static double passing_cycles(const struct conv_problem *p, const struct conv_config *config,
                             double all) {
    int chunk = config->value[CHUNK];
    if (!chunk) return 0;
    double floats = all * positions(p, config) * p->d.groups * (v_row(p) + m_row(p, config));
    double far = (double)workspace(p, config) > 24e6 ? 1.3 : 1; /* than the shared cache */
    return far * 2 * floats * (double)sizeof(float) / SHARED_RATE;
}

static double predict(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    struct shape s = shape_of(p);
    const int *v = config->value;
    double all = (double)tiles(p, v[TILE]), parts = vector_parts(device);
    double vectors = ceil_div(s.cg, LANES) + (double)blocks(p, config) * v[KV];
    double cycles = all * p->d.groups * positions(p, config) * 12 * parts * vectors;
    cycles += products_cycles(p, device, config, all) + passing_cycles(p, config, all);
    double units = device->compute_units ? device->compute_units : 1, used = units;
    double launches = 1;
    if (v[CHUNK]) {
        launches = 3 * (double)(int64_t)((all + v[CHUNK] - 1) / v[CHUNK]);
    } else {
        cycles *= 1 + 0.2 * (double)(local_v_bytes(p, config) + local_m_bytes(p, config)) / 1e6;
        /* Blocks of tiles in whole rounds. */
        double items = p->d.groups * (double)(int64_t)((all - 1) / block_tiles(config) + 1);
        used = items / (double)(int64_t)((items + units - 1) / units);
    }
    cycles = cycles / used + launches * LAUNCH;
    /* On a GPU 16 work-items a work-group leave many lanes idle. */
    return device->type & CL_DEVICE_TYPE_CPU ? cycles : cycles * 64;
}

/* ---------------------------------------------------------------- plan */

static void destroy(void *state) {
    struct winograd *winograd = state;
    if (!winograd) return;
    kernel_release(winograd->pack);
    kernel_release(winograd->fused);
    kernel_release(winograd->transform);
    kernel_release(winograd->multiply);
    kernel_release(winograd->finish);
    free(winograd);
}

static tess_status create_kernels(struct winograd *winograd, struct program *program) {
    bool forward = winograd->problem.pass == TESS_CONV_FWD;
    bool fused = winograd->config.value[CHUNK] == 0;
    const struct {
        const char *name;
        cl_kernel *kernel;
        bool needed;
    } list[] = {
        {forward ? "conv_winograd_pack_fwd" : "conv_winograd_pack_bwd_data", &winograd->pack, true},
        {"conv_winograd_fused", &winograd->fused, fused},
        {"conv_winograd_transform", &winograd->transform, !fused},
        {"conv_winograd_multiply", &winograd->multiply, !fused},
        {"conv_winograd_finish", &winograd->finish, !fused},
    };
    tess_status status = TESS_OK;
    for (size_t i = 0; i < sizeof list / sizeof *list && !status; i++)
        if (list[i].needed)
            status = program_kernel(winograd->ctx, program, list[i].name, list[i].kernel);
    return status;
}

static tess_status create(tess_context *ctx, const struct conv_problem *p,
                          const struct conv_config *config, const char *printed, void **state) {
    struct winograd *winograd = calloc(1, sizeof *winograd);
    if (!winograd) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", printed);
    winograd->ctx = ctx;
    winograd->problem = *p;
    winograd->config = *config;
    winograd->items = (size_t)(LANES / item_width(&ctx->device));
    const int *v = config->value;
    char options[100];
    snprintf(options, sizeof options, "-DTAPS=%d -DTILE=%d -DWT=%d -DKV=%d -DFUSED=%d -DVEC=%d%s",
             p->d.r, v[TILE], v[WT], v[KV], v[CHUNK] == 0, item_width(&ctx->device),
             p->sliced ? " -DSLICE=1" : "");
    struct program *program;
    tess_status status = program_get(ctx, conv_winograd.kernel_file, options, printed, &program);
    if (!status) status = create_kernels(winograd, program);
    if (status) {
        destroy(winograd);
        return status;
    }
    *state = winograd;
    return TESS_OK;
}

/* ---------------------------------------------------------------- execution */

static tess_status pack(void *state, const tess_tensor *w, tess_tensor *packed) {
    const struct winograd *winograd = state;
    const struct conv_problem *p = &winograd->problem;
    size_t width = LANES / winograd->items;
    size_t items = (size_t)packed_floats(p, &winograd->config) /
                   (width * (size_t)positions(p, &winograd->config));
    const struct kernel_arg list[] = {ARG_TENSOR(w),  ARG_TENSOR(packed), ARG_INT(p->d.groups),
                                      ARG_INT(p->cg), ARG_INT(p->kg),     ARG_INT((int)items)};
    struct kernel_range range = {1, {(items + 63) / 64 * 64}, {64}};
    return kernel_enqueue(winograd->ctx, winograd->pack, &range, list, 6,
                          "convolution: packing weights");
}

/* What one call works on. */
struct operands {
    const tess_tensor *source, *bias, *residual, *dest;
};

static struct operands operands_of(const struct conv_problem *p, const tess_conv_args *args) {
    if (p->pass == TESS_CONV_BWD_DATA) return (struct operands){.source = args->y, .dest = args->x};
    return (struct operands){.source = args->x,
                             .bias = p->bias ? args->bias : NULL,
                             .residual = p->residual ? args->residual : NULL,
                             .dest = args->y};
}

/* The kernels' DIMENSIONS. */
enum { DIMS = 10 };
static unsigned append_dimensions(const struct conv_problem *p, struct kernel_arg *list,
                                  unsigned count) {
    struct shape s = shape_of(p);
    const int all[DIMS] = {s.n, s.h, s.w, s.c, s.p, s.q, s.k, s.pad_top, s.pad_left, s.groups};
    for (int i = 0; i < DIMS; i++)
        list[count++] = ARG_INT(all[i]);
    return count;
}

static unsigned append_slice(const struct conv_problem *p, struct kernel_arg *list,
                             unsigned count) {
    if (!p->sliced) return count;
    list[count++] = ARG_INT(p->y_channels);
    list[count++] = ARG_INT(p->y_first);
    return count;
}

static tess_status enqueue_fused(const struct winograd *winograd, const struct operands *o,
                                 const tess_tensor *packed) {
    const struct conv_problem *p = &winograd->problem;
    const struct conv_config *config = &winograd->config;
    int all = (int)tiles(p, config->value[TILE]);
    struct kernel_range range = {
        2,
        {winograd->items * (size_t)ceil_div(all, block_tiles(config)), (size_t)p->d.groups},
        {winograd->items, 1}};
    struct kernel_arg list[5 + DIMS + 10] = {ARG_TENSOR(o->source), ARG_TENSOR(packed),
                                             ARG_TENSOR(o->bias), ARG_TENSOR(o->residual),
                                             ARG_TENSOR(o->dest)};
    unsigned count = append_dimensions(p, list, 5);
    list[count++] = ARG_INT(all);
    list[count++] = ARG_INT(block_tiles(config));
    list[count++] = ARG_INT(v_row(p));
    list[count++] = ARG_INT((int)p->act.kind);
    list[count++] = ARG_FLOAT(p->act.alpha);
    list[count++] = ARG_INT(range_spread_out(winograd->ctx, &range));
    list[count++] = ARG_LOCAL(local_v_bytes(p, config));
    list[count++] = ARG_LOCAL(local_m_bytes(p, config));
    count = append_slice(p, list, count);
    return kernel_enqueue(winograd->ctx, winograd->fused, &range, list, count, "convolution");
}

/* A chunk of tiles: its first one and how many there are. V and M lie in work. */
struct chunk {
    int first, count;
    const tess_tensor *work;
    size_t m_at; /* floats before M */
};

static tess_status enqueue_transform(const struct winograd *winograd, const struct operands *o,
                                     const struct chunk *chunk) {
    const struct conv_problem *p = &winograd->problem;
    struct kernel_arg list[2 + DIMS + 3] = {ARG_TENSOR(o->source), ARG_TENSOR(chunk->work)};
    unsigned count = append_dimensions(p, list, 2);
    list[count++] = ARG_INT(chunk->first);
    list[count++] = ARG_INT(chunk_rows(p, &winograd->config));
    list[count++] = ARG_INT(v_row(p));
    struct kernel_range range = {
        2, {winograd->items * (size_t)chunk->count, (size_t)p->d.groups}, {winograd->items, 1}};
    return kernel_enqueue(winograd->ctx, winograd->transform, &range, list, count,
                          "convolution: transforming the source");
}

static tess_status enqueue_multiply(const struct winograd *winograd, const tess_tensor *packed,
                                    const struct chunk *chunk) {
    const struct conv_problem *p = &winograd->problem;
    const struct conv_config *config = &winograd->config;
    const struct kernel_arg list[] = {
        ARG_TENSOR(chunk->work),        ARG_TENSOR(packed),    ARG_ULONG(chunk->m_at),
        ARG_INT(shape_of(p).cg),        ARG_INT(chunk->count), ARG_INT(block_tiles(config)),
        ARG_INT(chunk_rows(p, config)), ARG_INT(v_row(p)),     ARG_INT(m_row(p, config))};
    struct kernel_range range = {3,
                                 {winograd->items * (size_t)blocks(p, config),
                                  (size_t)ceil_div(chunk->count, block_tiles(config)),
                                  (size_t)p->d.groups * (size_t)positions(p, config)},
                                 {winograd->items, 1, 1}};
    return kernel_enqueue(winograd->ctx, winograd->multiply, &range, list,
                          sizeof list / sizeof *list, "convolution: products");
}

static tess_status enqueue_finish(const struct winograd *winograd, const struct operands *o,
                                  const struct chunk *chunk) {
    const struct conv_problem *p = &winograd->problem;
    struct kernel_arg list[4 + DIMS + 8] = {ARG_TENSOR(chunk->work), ARG_TENSOR(o->bias),
                                            ARG_TENSOR(o->residual), ARG_TENSOR(o->dest)};
    unsigned count = append_dimensions(p, list, 4);
    list[count++] = ARG_ULONG(chunk->m_at);
    list[count++] = ARG_INT(chunk->first);
    list[count++] = ARG_INT(chunk_rows(p, &winograd->config));
    list[count++] = ARG_INT(m_row(p, &winograd->config));
    list[count++] = ARG_INT((int)p->act.kind);
    list[count++] = ARG_FLOAT(p->act.alpha);
    count = append_slice(p, list, count);
    struct kernel_range range = {
        2, {winograd->items * (size_t)chunk->count, (size_t)p->d.groups}, {winograd->items, 1}};
    return kernel_enqueue(winograd->ctx, winograd->finish, &range, list, count,
                          "convolution: transforming the products");
}

static tess_status enqueue(void *state, const tess_conv_args *args, const tess_tensor *packed) {
    const struct winograd *winograd = state;
    const struct conv_problem *p = &winograd->problem;
    const struct conv_config *config = &winograd->config;
    struct operands operands = operands_of(p, args);
    if (!config->value[CHUNK]) return enqueue_fused(winograd, &operands, packed);
    int all = (int)tiles(p, config->value[TILE]), step = config->value[CHUNK];
    struct chunk chunk = {.work = args->workspace, .m_at = chunk_floats(p, config, v_row(p))};
    tess_status status = TESS_OK;
    for (; chunk.first < all && !status; chunk.first += step) {
        chunk.count = all - chunk.first < step ? all - chunk.first : step;
        status = enqueue_transform(winograd, &operands, &chunk);
        if (!status) status = enqueue_multiply(winograd, packed, &chunk);
        if (!status) status = enqueue_finish(winograd, &operands, &chunk);
    }
    return status;
}

const struct conv_algo conv_winograd = {
    .name = "winograd",
    .kernel_file = "conv_winograd.cl",
    .slices = true,
    .param_count = PARAM_COUNT,
    .params = params,
    .constraints = constraints,
    .applicable = applicable,
    .resources = resources,
    .error_growth = error_growth,
    .predict = predict,
    .packed = packed_bytes,
    .workspace = workspace,
    .create = create,
    .pack = pack,
    .enqueue = enqueue,
    .destroy = destroy,
};
