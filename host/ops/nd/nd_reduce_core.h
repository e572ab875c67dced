/* Inside the N-dimensional operators: reductions, for ReduceX and for the gradients of broadcasts. */
#ifndef TESSERA_OPS_ND_ND_REDUCE_CORE_H
#define TESSERA_OPS_ND_ND_REDUCE_CORE_H

#include "ops/nd/nd_walk.h"

enum nd_combine { ND_COMBINE_SUM, ND_COMBINE_MAX, ND_COMBINE_MIN, ND_COMBINE_PROD };
enum nd_map { ND_MAP_NONE, ND_MAP_ABS, ND_MAP_SQUARE };
enum nd_finish { ND_FINISH_SCALE, ND_FINISH_SQRT, ND_FINISH_LOG };

struct nd_reduction_launch {
    cl_mem memory; /* struct nd_reduction, owned */
    cl_kernel kernel;
    struct kernel_range range;
};

struct nd_reduce_core {
    tess_context *ctx;
    struct nd_reduction_launch first,
        second; /* second: of the partial results; memory NULL if there are none */
    enum nd_map map;
    enum nd_finish finish;
    size_t partials; /* floats of workspace */
};

struct nd_reduce_core_desc {
    int rank;
    int64_t dims[ND_SPACE_RANK]; /* of x, dense */
    bool reduced[ND_SPACE_RANK];
    enum nd_combine combine;
    enum nd_map map;
    enum nd_finish finish;
    const char *what;
};

/* x may have no elements, y may not: results are then the combination's identity. On failure nothing is left to destroy. */
tess_status nd_reduce_core_create(tess_context *ctx, const struct nd_reduce_core_desc *desc,
                                  struct nd_reduce_core *out);
void nd_reduce_core_destroy(struct nd_reduce_core *core);

struct nd_reduce_core_args {
    cl_mem x, y, workspace;
    size_t x_start,
        workspace_start; /* in floats; x may lie in the workspace before workspace_start */
    float scale;         /* with ND_FINISH_SCALE */
};

tess_status nd_reduce_core_enqueue(const struct nd_reduce_core *core,
                                   const struct nd_reduce_core_args *args, const char *what);

/* The program nd_reduce.cl with this combination. */
tess_status nd_reduce_program(tess_context *ctx, enum nd_combine combine, struct program **out);

#endif
