#include "ops/nd/nd_copy.h"

#include <stdio.h>

/* What a work-item of nd_transpose_block does, in blocks of 16 x 16, and the edge of a tile in nd_transpose_tile. */
enum { BLOCK = 16, ACROSS = 4, ALONG = 4, TILE = 16 };

/* As in kernels_cl/nd_copy.cl. */
struct nd_transpose {
    cl_ulong by_columns, by_rows, by_dim[ND_OUTER];
    cl_int dims[ND_OUTER], x_stride[ND_OUTER], y_stride[ND_OUTER];
    cl_int rank;
    cl_int i_count, j_count;
    cl_int x_row, y_row;
    cl_int columns, rows, items;
    cl_int x_start, y_start;
};

size_t nd_dtype_bytes(enum nd_dtype dtype) {
    return dtype == ND_I64 ? 8 : dtype == ND_BOOL ? 1 : 4;
}

tess_status nd_dtype_check(tess_context *ctx, enum nd_dtype dtype, bool gradients,
                           const char *what) {
    if ((unsigned)dtype >= ND_DTYPES)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: there is no dtype %d; use one of enum nd_dtype", what, (int)dtype);
    if (gradients && dtype != ND_F32)
        return context_fail(ctx, TESS_UNSUPPORTED, "%s: only floats have gradients; use ND_F32",
                            what);
    return TESS_OK;
}

static bool can_tile(const tess_device_info *device) {
    return device->max_work_group >= TILE * TILE && device->max_work_item[0] >= TILE &&
           device->max_work_item[1] >= TILE;
}

tess_status nd_copy_program(tess_context *ctx, enum nd_dtype dtype, struct program **out) {
    char options[80], config[64];
    int vector = launch_vector(ctx), bytes = (int)nd_dtype_bytes(dtype);
    snprintf(options, sizeof options, "-DVEC=%d -DBYTES=%d -DACROSS=%d -DALONG=%d -DTILE=%d",
             vector, bytes, ACROSS, ALONG, TILE);
    snprintf(config, sizeof config, "nd_copy__vec%d_bytes%d", vector, bytes);
    return program_get(ctx, "nd_copy.cl", options, config, out);
}

/* x's innermost dimension in a collapsed space, where it is not y's; else -1. */
static int other_innermost(const struct nd_space *space) {
    int last = space->rank - 1;
    if (space->stride[0][last] == 1 || space->stride[1][last] != 1) return -1;
    for (int d = 0; d < last; d++)
        if (space->stride[0][d] == 1) return d;
    return -1;
}

static struct nd_transpose transpose_of(const struct nd_space *space, int j, int i_edge,
                                        int j_edge) {
    int last = space->rank - 1;
    struct nd_transpose t = {.i_count = (cl_int)space->dims[last],
                             .j_count = (cl_int)space->dims[j],
                             .x_row = (cl_int)space->stride[0][last],
                             .y_row = (cl_int)space->stride[1][j],
                             .x_start = (cl_int)space->start[0],
                             .y_start = (cl_int)space->start[1]};
    t.columns = (t.i_count + i_edge - 1) / i_edge;
    t.rows = (t.j_count + j_edge - 1) / j_edge;
    t.by_columns = fastdiv(t.columns);
    t.by_rows = fastdiv(t.rows);
    t.items = t.columns * t.rows;
    for (int d = 0; d < last; d++) {
        if (d == j) continue;
        t.dims[t.rank] = (cl_int)space->dims[d];
        t.by_dim[t.rank] = fastdiv((int)space->dims[d]);
        t.x_stride[t.rank] = (cl_int)space->stride[0][d];
        t.y_stride[t.rank++] = (cl_int)space->stride[1][d];
        t.items *= (cl_int)space->dims[d];
    }
    return t;
}

static tess_status make_transpose(struct nd_copy *copy, const struct nd_space *space, int j,
                                  struct program *program, const char *what) {
    tess_context *ctx = copy->ctx;
    bool block = nd_on_cpu(ctx);
    struct nd_transpose t =
        transpose_of(space, j, block ? BLOCK * ACROSS : TILE, block ? BLOCK * ALONG : TILE);
    tess_status status = program_kernel(
        ctx, program, block ? "nd_transpose_block" : "nd_transpose_tile", &copy->kernel);
    if (status) return status;
    copy->range = launch_range(ctx, (size_t)t.items, 1);
    if (!block)
        copy->range = (struct kernel_range){
            .dims = 2, .global = {(size_t)t.items * TILE, TILE}, .local = {TILE, TILE}};
    copy->bytes = sizeof t;
    return nd_upload(ctx, &t, sizeof t, what, &copy->memory);
}

tess_status nd_copy_create(tess_context *ctx, const struct nd_space *space, enum nd_dtype dtype,
                           const char *what, struct nd_copy *out) {
    struct nd_copy copy = {.ctx = ctx};
    struct nd_space flat = *space;
    for (int d = 0; d < flat.rank; d++)
        if (flat.dims[d] == 0) {
            *out = copy;
            return TESS_OK;
        }
    nd_collapse(&flat);
    struct program *program = NULL;
    tess_status status = nd_copy_program(ctx, dtype, &program);
    if (status) return status;
    int j = other_innermost(&flat);
    bool fits = nd_on_cpu(ctx) ? nd_dtype_bytes(dtype) == 4 : can_tile(&ctx->device);
    if (j >= 0 && fits && flat.rank <= ND_OUTER + 2) {
        status = make_transpose(&copy, &flat, j, program, what);
    } else {
        struct nd_walk_launch walk;
        status = nd_walk_create(ctx, &flat, launch_vector(ctx), what, &walk);
        if (status) return status;
        copy.memory = walk.memory;
        copy.bytes = sizeof(struct nd_walk);
        copy.range = walk.range;
        status = program_kernel(ctx, program, "nd_copy", &copy.kernel);
    }
    if (status) {
        nd_copy_destroy(&copy);
        return status;
    }
    *out = copy;
    return TESS_OK;
}

void nd_copy_destroy(struct nd_copy *copy) {
    kernel_release(copy->kernel);
    context_buffer_release(copy->ctx, copy->memory, copy->bytes);
}

tess_status nd_copy_enqueue(const struct nd_copy *copy, cl_mem x, cl_mem y, const char *what) {
    if (!copy->memory) return TESS_OK;
    const struct kernel_arg args[] = {ARG_MEM(copy->memory), ARG_MEM(x), ARG_MEM(y)};
    return kernel_enqueue(copy->ctx, copy->kernel, &copy->range, args, 3, what);
}
