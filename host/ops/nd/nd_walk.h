/* Inside the N-dimensional operators: spaces of strided operands, collapsed and given to kernels (kernels_cl/nd_walk.clh). */
#ifndef TESSERA_OPS_ND_ND_WALK_H
#define TESSERA_OPS_ND_ND_WALK_H

#include "core/program.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"
#include "ops/nd/nd.h"

/* Tile splits each dimension in two, hence twice the rank. */
enum { ND_SPACE_RANK = 2 * ND_MAX_RANK, ND_OPERANDS = 3, ND_OUTER = 8 };

/* What is iterated over, slowest dimension first, and where each operand has its elements. */
struct nd_space {
    int rank;
    int64_t dims[ND_SPACE_RANK];
    int operands;
    int64_t stride[ND_OPERANDS][ND_SPACE_RANK]; /* in elements; 0: broadcast */
    int64_t start[ND_OPERANDS];
};

/* A space of shape without operands. */
struct nd_space nd_space_of(const struct nd_shape *shape);

/* Row-major strides of shape. */
void nd_strides(const struct nd_shape *shape, int64_t strides[ND_MAX_RANK]);

/* Adds a dense operand, broadcast to space (of rank <= 8) as NumPy does. */
void nd_space_add(struct nd_space *space, const struct nd_shape *operand);

/* Dimensions of size 1 vanish, neighbours that are contiguous in every operand merge. At least one dimension is left. Not for empty spaces. */
void nd_collapse(struct nd_space *space);

/* As in kernels_cl/nd_walk.clh. */
struct nd_walk {
    cl_ulong by_inner, by_dim[ND_OUTER];
    cl_int dims[ND_OUTER];
    cl_int stride[ND_OPERANDS][ND_OUTER];
    cl_int start[ND_OPERANDS], step[ND_OPERANDS];
    cl_int rank, inner, count, chunk;
};

/* A walk on the device and how to launch it. */
struct nd_walk_launch {
    tess_context *ctx;
    cl_mem
        memory; /* the struct nd_walk, owned; NULL for a space without elements, which is not launched */
    struct kernel_range range;
};

/* Elements of a work-item of a flat kernel. A CPU wants long runs, but some for each of its cores; a GPU wants neighbours to read
   neighbours. */
int nd_chunk(const tess_context *ctx, int64_t count, int vector);

/* One work-item for each chunk elements of count. */
struct kernel_range nd_chunk_range(const tess_context *ctx, int64_t count, int chunk);

/* Collapses and uploads. vector: of the program. what: "Add". On failure nothing is left to destroy. */
tess_status nd_walk_create(tess_context *ctx, const struct nd_space *space, int vector,
                           const char *what, struct nd_walk_launch *out);
/* The same without collapsing: rank is 1 to ND_OUTER + 1. */
tess_status nd_walk_create_as_is(tess_context *ctx, const struct nd_space *space, int vector,
                                 const char *what, struct nd_walk_launch *out);
void nd_walk_destroy(struct nd_walk_launch *launch);

/* A buffer with bytes of data, written before it returns. */
tess_status nd_upload(tess_context *ctx, const void *data, size_t bytes, const char *what,
                      cl_mem *out);

/* mem has at least bytes bytes; with bytes 0 it may be NULL. what: "Add", name: "dy". */
tess_status nd_expect(tess_context *ctx, cl_mem mem, size_t bytes, const char *what,
                      const char *name);

static inline bool nd_on_cpu(const tess_context *ctx) {
    return ctx->device.type == CL_DEVICE_TYPE_CPU;
}

/* axis, which may count from the end, as 0 .. rank - 1. */
tess_status nd_axis(tess_context *ctx, int axis, int rank, const char *what, int *out);

#endif
