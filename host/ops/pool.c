#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "ops/column_sum.h"
#include "ops/expect.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"
#include "ops/pool_size.h"

/* The same structs as in pool.cl. */
struct pool_runs {
    cl_int items, along, across, segments_across, segments_along, rows;
    cl_ulong by_segments_across, by_segments_along, by_rows;
};

struct pool_shape {
    struct pool_runs out, in;
    cl_ulong by_stride_h, by_stride_w;
    cl_int n, c, h, w, p, q;
    cl_int r, s, stride_h, stride_w;
    cl_int pad_top, pad_bottom, pad_left, pad_right;
    cl_int dilation_h, dilation_w;
    cl_int count_pad, unused;
};

struct tess_pool {
    tess_context *ctx;
    tess_pool_desc desc; /* with strides and window filled in */
    tess_tensor_desc x, y;
    struct pool_shape shape;
    bool cells; /* no two windows overlap: backward goes through y */
    cl_mem shape_memory;
    cl_kernel forward, backward;
    cl_kernel product; /* weighted only, as is sum */
    struct column_sum sum;
    size_t local; /* work-items of a group */
};

/* The vector that covers the channels in the fewest steps; among equals the narrowest. */
static int choose_vector(const tess_context *ctx, int channels) {
    if (ctx->device.type != CL_DEVICE_TYPE_CPU) return channels % 4 == 0 ? 4 : 1;
    int best = 4;
    for (int vector = 4; vector <= launch_vector(ctx); vector *= 2)
        if ((channels + vector - 1) / vector < (channels + best - 1) / best) best = vector;
    return channels == 1 ? 1 : best;
}

/* Cuts n x rows x pixels x channels; see pool.cl for what runs are. Finding a run costs a CPU as much as a few pixels,
   so there it has about 64 vectors, whole pixels if they are not long; a GPU hides that, and wants many runs. */
static struct pool_runs cut_runs(int n, int rows, int pixels, int channels, int vector, bool cpu) {
    bool whole = channels % vector == 0;
    int across = !whole                   ? channels
                 : !cpu                   ? vector
                 : channels < 16 * vector ? channels
                                          : 16 * vector;
    int along = !whole ? pixels : !cpu ? 1 : 64 * vector / across;
    struct pool_runs runs = {
        .rows = rows, .along = along < pixels ? along : pixels, .across = across};
    runs.segments_across = (channels + runs.across - 1) / runs.across;
    runs.segments_along = (pixels + runs.along - 1) / runs.along;
    runs.items = n * rows * runs.segments_along * runs.segments_across;
    runs.by_segments_across = fastdiv(runs.segments_across);
    runs.by_segments_along = fastdiv(runs.segments_along);
    runs.by_rows = fastdiv(runs.rows);
    return runs;
}

static struct pool_shape shape_of(const tess_pool_desc *desc, int p, int q, int vector, bool cpu) {
    return (struct pool_shape){
        .out = cut_runs(desc->n, p, q, desc->c, vector, cpu),
        .in = cut_runs(desc->n, desc->h, desc->w, desc->c, vector, cpu),
        .by_stride_h = fastdiv(desc->stride_h),
        .by_stride_w = fastdiv(desc->stride_w),
        .n = desc->n,
        .c = desc->c,
        .h = desc->h,
        .w = desc->w,
        .p = p,
        .q = q,
        .r = desc->r,
        .s = desc->s,
        .stride_h = desc->stride_h,
        .stride_w = desc->stride_w,
        .pad_top = desc->pad_top,
        .pad_bottom = desc->pad_bottom,
        .pad_left = desc->pad_left,
        .pad_right = desc->pad_right,
        .dilation_h = desc->dilation_h,
        .dilation_w = desc->dilation_w,
        .count_pad = desc->mode == TESS_POOL_AVG_WITH_PAD,
    };
}

static tess_status make_kernels(tess_pool *pool, int vector) {
    tess_context *ctx = pool->ctx;
    bool max = pool->desc.mode == TESS_POOL_MAX;
    struct program *program;
    char options[64], config[64];
    bool whole = pool->desc.c % vector == 0;
    bool dilated = pool->desc.dilation_h > 1 || pool->desc.dilation_w > 1;
    snprintf(options, sizeof options, "-DVEC=%d -DWHOLE=%d -DCELLS=%d%s", vector, whole,
             pool->cells, dilated ? " -DDILATED=1" : "");
    snprintf(config, sizeof config, "pool__vec%d_whole%d_cells%d%s", vector, whole, pool->cells,
             dilated ? "_dilated1" : "");
    tess_status status = program_get(ctx, "pool.cl", options, config, &program);
    if (!status)
        status =
            program_kernel(ctx, program, max ? "pool_max_fwd" : "pool_avg_fwd", &pool->forward);
    if (!status)
        status =
            program_kernel(ctx, program, max ? "pool_max_bwd" : "pool_avg_bwd", &pool->backward);
    if (status || pool->desc.mode != TESS_POOL_WEIGHTED) return status;
    status = program_kernel(ctx, program, "pool_weighted_product", &pool->product);
    if (status) return status;
    return column_sum_create(ctx, &pool->sum);
}

static tess_status upload_shape(tess_pool *pool) {
    tess_context *ctx = pool->ctx;
    tess_status status = context_buffer_create(ctx, sizeof pool->shape, &pool->shape_memory);
    if (status) return status;
    cl_int code = clEnqueueWriteBuffer(ctx->queue, pool->shape_memory, CL_TRUE, 0,
                                       sizeof pool->shape, &pool->shape, 0, NULL, NULL);
    if (code != CL_SUCCESS) return context_fail_opencl(ctx, code, "pool: writing the shape");
    return TESS_OK;
}

tess_status tess_pool_create(tess_context *ctx, const tess_pool_desc *desc, tess_pool **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "pool: desc or out is NULL; give both");
    tess_pool_desc full;
    int p, q;
    tess_status status = pool_size(desc, &ctx->error, &full, &p, &q);
    if (status) return status;
    tess_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "pool: no memory; free some");
    pool->ctx = ctx;
    pool->desc = full;
    pool->x = (tess_tensor_desc){TESS_F32, TESS_NHWC, full.n, full.c, full.h, full.w};
    pool->y = (tess_tensor_desc){TESS_F32, TESS_NHWC, full.n, full.c, p, q};
    int vector = choose_vector(ctx, full.c);
    bool cpu = ctx->device.type == CL_DEVICE_TYPE_CPU;
    pool->shape = shape_of(&full, p, q, vector, cpu);
    bool dilated = full.dilation_h > 1 || full.dilation_w > 1;
    pool->cells =
        !dilated && (full.stride_h >= full.r || p == 1) && (full.stride_w >= full.s || q == 1);
    pool->local = cpu ? 8 : 64; /* a CPU's runs are long, and should spread over its cores */
    status = make_kernels(pool, vector);
    if (status) goto fail;
    status = upload_shape(pool);
    if (status) goto fail;
    *out = pool;
    return TESS_OK;
fail:
    tess_pool_destroy(pool);
    return status;
}

void tess_pool_destroy(tess_pool *pool) {
    if (!pool) return;
    kernel_release(pool->forward);
    kernel_release(pool->backward);
    kernel_release(pool->product);
    column_sum_destroy(&pool->sum);
    context_buffer_release(pool->ctx, pool->shape_memory, sizeof pool->shape);
    free(pool);
}

static int output_rows(const tess_pool *pool) {
    return pool->y.n * pool->y.h * pool->y.w;
}

/* Weighted: dy * mean(x), of y's size, and behind it the scratch memory of the column sums. */
size_t tess_pool_workspace(const tess_pool *pool) {
    if (!pool || pool->desc.mode != TESS_POOL_WEIGHTED) return 0;
    return tess_tensor_desc_bytes(&pool->y) + column_sum_workspace(output_rows(pool), pool->y.c);
}

/* C values with weighted pooling, nothing else. */
static tess_status expect_parameter(const tess_pool *pool, const tess_tensor *tensor,
                                    const char *what) {
    if (pool->desc.mode != TESS_POOL_WEIGHTED) return expect_absent(pool->ctx, tensor, what);
    return tensor_expect(pool->ctx, tensor, TESS_F32, (size_t)pool->x.c, what);
}

tess_status tess_pool_forward(tess_pool *pool, const tess_pool_args *args) {
    if (!pool) return TESS_INVALID_ARGUMENT;
    tess_context *ctx = pool->ctx;
    if (!args) return context_fail(ctx, TESS_INVALID_ARGUMENT, "pool: args is NULL; give them");
    bool weighted = pool->desc.mode == TESS_POOL_WEIGHTED;
    tess_tensor_desc at = pool->y;
    at.dtype = TESS_I32;
    tess_status status = expect_desc(ctx, args->x, &pool->x, "pool: x");
    if (!status) status = expect_desc(ctx, args->y, &pool->y, "pool: y");
    if (!status && pool->desc.mode != TESS_POOL_MAX)
        status = expect_absent(ctx, args->positions, "pool: positions");
    else if (!status && args->positions)
        status = expect_desc(ctx, args->positions, &at, "pool: positions");
    if (!status) status = expect_parameter(pool, args->scale, "pool: scale");
    if (!status) status = expect_parameter(pool, args->bias, "pool: bias");
    if (status) return status;

    struct kernel_range range = launch_range(ctx, (size_t)pool->shape.out.items, pool->local);
    if (pool->desc.mode == TESS_POOL_MAX) {
        const struct kernel_arg max[] = {ARG_MEM(pool->shape_memory), ARG_TENSOR(args->x),
                                         ARG_TENSOR(args->y), ARG_TENSOR(args->positions)};
        return kernel_enqueue(ctx, pool->forward, &range, max, 4, "pool forward");
    }
    const struct kernel_arg avg[] = {ARG_MEM(pool->shape_memory), ARG_TENSOR(args->x),
                                     ARG_TENSOR(weighted ? args->scale : NULL),
                                     ARG_TENSOR(weighted ? args->bias : NULL), ARG_TENSOR(args->y)};
    return kernel_enqueue(ctx, pool->forward, &range, avg, 5, "pool forward");
}

static tess_status backward_check(tess_pool *pool, const tess_pool_grad_args *args) {
    tess_context *ctx = pool->ctx;
    tess_status status = expect_desc(ctx, args->dy, &pool->y, "pool: dy");
    if (!status && args->dx) status = expect_desc(ctx, args->dx, &pool->x, "pool: dx");
    if (!status && pool->desc.mode == TESS_POOL_MAX && args->dx) {
        tess_tensor_desc at = pool->y;
        at.dtype = TESS_I32;
        status = expect_desc(ctx, args->positions, &at, "pool: positions");
    }
    if (!status) status = expect_parameter(pool, args->scale, "pool: scale");
    if (!status) status = expect_parameter(pool, args->dscale, "pool: dscale");
    if (!status) status = expect_parameter(pool, args->dbias, "pool: dbias");
    if (status || pool->desc.mode != TESS_POOL_WEIGHTED) return status;
    status = expect_desc(ctx, args->x, &pool->x, "pool: x");
    if (status) return status;
    return expect_workspace(ctx, args->workspace, tess_pool_workspace(pool), "pool");
}

static tess_status enqueue_dx(tess_pool *pool, const tess_pool_grad_args *args) {
    int items = pool->cells ? pool->shape.out.items : pool->shape.in.items;
    struct kernel_range range = launch_range(pool->ctx, (size_t)items, pool->local);
    const struct kernel_arg grad[] = {ARG_MEM(pool->shape_memory), ARG_TENSOR(args->dy),
                                      pool->desc.mode == TESS_POOL_MAX ? ARG_TENSOR(args->positions)
                                      : pool->desc.mode == TESS_POOL_WEIGHTED
                                          ? ARG_TENSOR(args->scale)
                                          : ARG_MEM(NULL),
                                      ARG_TENSOR(args->dx)};
    return kernel_enqueue(pool->ctx, pool->backward, &range, grad, 4, "pool backward");
}

/* dscale: column sums of dy * mean(x); dbias: of dy. */
static tess_status enqueue_parameters(tess_pool *pool, const tess_pool_grad_args *args) {
    struct kernel_range range = launch_range(pool->ctx, (size_t)pool->shape.out.items, pool->local);
    cl_mem workspace = args->workspace->mem;
    const struct kernel_arg product[] = {ARG_MEM(pool->shape_memory), ARG_TENSOR(args->x),
                                         ARG_TENSOR(args->dy), ARG_MEM(workspace)};
    tess_status status =
        kernel_enqueue(pool->ctx, pool->product, &range, product, 4, "pool backward, dscale");
    if (status) return status;
    struct column_sum_args sum = {.x = workspace,
                                  .rows = output_rows(pool),
                                  .channels = pool->y.c,
                                  .out = args->dscale->mem,
                                  .workspace = workspace,
                                  .start = tess_tensor_desc_elements(&pool->y)};
    status = column_sum_enqueue(&pool->sum, &sum, "pool backward, dscale");
    if (status) return status;
    sum.x = args->dy->mem;
    sum.out = args->dbias->mem;
    return column_sum_enqueue(&pool->sum, &sum, "pool backward, dbias");
}

tess_status tess_pool_backward(tess_pool *pool, const tess_pool_grad_args *args) {
    if (!pool) return TESS_INVALID_ARGUMENT;
    if (!args)
        return context_fail(pool->ctx, TESS_INVALID_ARGUMENT, "pool: args is NULL; give them");
    tess_status status = backward_check(pool, args);
    if (!status && args->dx) status = enqueue_dx(pool, args);
    if (status || pool->desc.mode != TESS_POOL_WEIGHTED) return status;
    return enqueue_parameters(pool, args);
}
