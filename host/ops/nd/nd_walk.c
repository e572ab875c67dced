#include "ops/nd/nd_walk.h"

struct nd_space nd_space_of(const struct nd_shape *shape) {
    struct nd_space space = {.rank = shape->rank};
    for (int d = 0; d < shape->rank; d++)
        space.dims[d] = shape->dims[d];
    return space;
}

void nd_strides(const struct nd_shape *shape, int64_t strides[ND_MAX_RANK]) {
    int64_t stride = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= shape->dims[d];
    }
}

void nd_space_add(struct nd_space *space, const struct nd_shape *operand) {
    int64_t strides[ND_MAX_RANK];
    nd_strides(operand, strides);
    int k = space->operands++, missing = space->rank - operand->rank;
    for (int d = 0; d < operand->rank; d++)
        if (operand->dims[d] != 1) space->stride[k][missing + d] = strides[d];
}

/* Whether dimension d of every operand continues dimension at. */
static bool continues(const struct nd_space *space, int at, int d) {
    for (int k = 0; k < space->operands; k++)
        if (space->stride[k][at] != space->stride[k][d] * space->dims[d]) return false;
    return true;
}

void nd_collapse(struct nd_space *space) {
    int rank = 0;
    for (int d = 0; d < space->rank; d++) {
        if (space->dims[d] == 1) continue;
        bool merge = rank > 0 && continues(space, rank - 1, d);
        if (!merge) rank++;
        space->dims[rank - 1] = merge ? space->dims[rank - 1] * space->dims[d] : space->dims[d];
        for (int k = 0; k < space->operands; k++)
            space->stride[k][rank - 1] = space->stride[k][d];
    }
    if (rank == 0) {
        rank = 1;
        space->dims[0] = 1;
        for (int k = 0; k < space->operands; k++)
            space->stride[k][0] = 1;
    }
    space->rank = rank;
}

tess_status nd_upload(tess_context *ctx, const void *data, size_t bytes, const char *what,
                      cl_mem *out) {
    cl_mem memory = NULL;
    tess_status status = context_buffer_create(ctx, bytes, &memory);
    if (status) return status;
    cl_int code = clEnqueueWriteBuffer(ctx->queue, memory, CL_TRUE, 0, bytes, data, 0, NULL, NULL);
    if (code != CL_SUCCESS) {
        context_buffer_release(ctx, memory, bytes);
        return context_fail_opencl(ctx, code, what);
    }
    *out = memory;
    return TESS_OK;
}

int nd_chunk(const tess_context *ctx, int64_t count, int vector) {
    if (!nd_on_cpu(ctx)) return vector;
    int64_t chunk = count / (4 * (int64_t)ctx->device.compute_units + 1);
    chunk = chunk > 4096 ? 4096 : chunk < 256 ? 256 : chunk;
    return (int)((chunk + 15) / 16 * 16);
}

struct kernel_range nd_chunk_range(const tess_context *ctx, int64_t count, int chunk) {
    size_t items = (size_t)(count + chunk - 1) / (size_t)chunk;
    return launch_range(ctx, items, nd_on_cpu(ctx) ? 1 : 64);
}

static int64_t count_of(const struct nd_space *space) {
    int64_t count = 1;
    for (int d = 0; d < space->rank; d++)
        count *= space->dims[d];
    return count;
}

tess_status nd_walk_create_as_is(tess_context *ctx, const struct nd_space *space, int vector,
                                 const char *what, struct nd_walk_launch *out) {
    int64_t count = count_of(space);
    *out = (struct nd_walk_launch){.ctx = ctx};
    if (count == 0) return TESS_OK;
    int last = space->rank - 1;
    if (last > ND_OUTER)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "%s: %d dimensions that do not merge; at most %d fit", what,
                            space->rank, ND_OUTER + 1);
    struct nd_walk walk = {.rank = last,
                           .inner = (cl_int)space->dims[last],
                           .by_inner = fastdiv((int)space->dims[last]),
                           .count = (cl_int)count,
                           .chunk = nd_chunk(ctx, count, vector)};
    for (int d = 0; d < last; d++) {
        walk.dims[d] = (cl_int)space->dims[d];
        walk.by_dim[d] = fastdiv((int)space->dims[d]);
    }
    for (int k = 0; k < space->operands; k++) {
        walk.start[k] = (cl_int)space->start[k];
        walk.step[k] = (cl_int)space->stride[k][last];
        for (int d = 0; d < last; d++)
            walk.stride[k][d] = (cl_int)space->stride[k][d];
    }
    out->range = nd_chunk_range(ctx, count, walk.chunk);
    return nd_upload(ctx, &walk, sizeof walk, what, &out->memory);
}

tess_status nd_walk_create(tess_context *ctx, const struct nd_space *space, int vector,
                           const char *what, struct nd_walk_launch *out) {
    struct nd_space flat = *space;
    if (count_of(&flat) > 0) nd_collapse(&flat);
    return nd_walk_create_as_is(ctx, &flat, vector, what, out);
}

void nd_walk_destroy(struct nd_walk_launch *launch) {
    context_buffer_release(launch->ctx, launch->memory, sizeof(struct nd_walk));
}
