#include <stdlib.h>

#include "ops/nd/nd_reduce_core.h"

struct nd_reduce {
    tess_context *ctx;
    enum nd_reduce_kind kind;
    struct nd_shape x, y;
    float scale;
    bool empty; /* y has no elements */
    struct nd_reduce_core core;
    struct nd_walk_launch spread; /* of dy over x, for backward */
    cl_kernel backward;
};

static const struct {
    const char *name;
    enum nd_combine combine;
    enum nd_map map;
    enum nd_finish finish;
} kinds[ND_REDUCE_KINDS] = {
    [ND_REDUCE_SUM] = {"ReduceSum", ND_COMBINE_SUM, ND_MAP_NONE, ND_FINISH_SCALE},
    [ND_REDUCE_MEAN] = {"ReduceMean", ND_COMBINE_SUM, ND_MAP_NONE, ND_FINISH_SCALE},
    [ND_REDUCE_MAX] = {"ReduceMax", ND_COMBINE_MAX, ND_MAP_NONE, ND_FINISH_SCALE},
    [ND_REDUCE_MIN] = {"ReduceMin", ND_COMBINE_MIN, ND_MAP_NONE, ND_FINISH_SCALE},
    [ND_REDUCE_PROD] = {"ReduceProd", ND_COMBINE_PROD, ND_MAP_NONE, ND_FINISH_SCALE},
    [ND_REDUCE_L1] = {"ReduceL1", ND_COMBINE_SUM, ND_MAP_ABS, ND_FINISH_SCALE},
    [ND_REDUCE_L2] = {"ReduceL2", ND_COMBINE_SUM, ND_MAP_SQUARE, ND_FINISH_SQRT},
    [ND_REDUCE_SUM_SQUARE] = {"ReduceSumSquare", ND_COMBINE_SUM, ND_MAP_SQUARE, ND_FINISH_SCALE},
    [ND_REDUCE_LOG_SUM] = {"ReduceLogSum", ND_COMBINE_SUM, ND_MAP_NONE, ND_FINISH_LOG},
};

const char *nd_reduce_name(enum nd_reduce_kind kind) {
    return (unsigned)kind < ND_REDUCE_KINDS ? kinds[kind].name : "Reduce";
}

static tess_status check_desc(tess_context *ctx, const struct nd_reduce_desc *desc,
                              bool reduced[ND_MAX_RANK]) {
    if ((unsigned)desc->kind >= ND_REDUCE_KINDS)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "Reduce: there is no kind %d; use one of enum nd_reduce_kind",
                            (int)desc->kind);
    const char *what = kinds[desc->kind].name;
    tess_status status = nd_shape_check(ctx, &desc->x, what);
    if (status) return status;
    if (desc->axis_count < 0 || desc->axis_count > desc->x.rank)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: %d axes of a tensor with %d dimensions; give each at most once",
                            what, desc->axis_count, desc->x.rank);
    for (int d = 0; d < ND_MAX_RANK; d++)
        reduced[d] = desc->axis_count == 0;
    for (int i = 0; i < desc->axis_count; i++) {
        int axis = 0;
        status = nd_axis(ctx, desc->axes[i], desc->x.rank, what, &axis);
        if (status) return status;
        if (reduced[axis])
            return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: axis %d twice; give it once", what,
                                axis);
        reduced[axis] = true;
    }
    if (desc->gradients && desc->kind > ND_REDUCE_MEAN)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "%s: has no gradient here; use ReduceSum or ReduceMean", what);
    return TESS_OK;
}

static tess_status make_backward(struct nd_reduce *op, const struct nd_shape *kept) {
    const char *what = kinds[op->kind].name;
    struct program *program = NULL;
    struct nd_space space = nd_space_of(&op->x);
    nd_space_add(&space, kept);
    tess_status status = nd_walk_create(op->ctx, &space, launch_vector(op->ctx), what, &op->spread);
    if (!status) status = nd_reduce_program(op->ctx, ND_COMBINE_SUM, &program);
    if (!status) status = program_kernel(op->ctx, program, "nd_reduce_bwd", &op->backward);
    return status;
}

static tess_status make_op(struct nd_reduce *op, const struct nd_reduce_desc *desc,
                           const bool reduced[ND_MAX_RANK]) {
    struct nd_reduce_core_desc core = {.rank = desc->x.rank,
                                       .combine = kinds[desc->kind].combine,
                                       .map = kinds[desc->kind].map,
                                       .finish = kinds[desc->kind].finish,
                                       .what = kinds[desc->kind].name};
    struct nd_shape kept = desc->x;
    int64_t terms = 1;
    for (int d = 0; d < desc->x.rank; d++) {
        core.dims[d] = desc->x.dims[d];
        core.reduced[d] = reduced[d];
        if (reduced[d]) terms *= desc->x.dims[d];
        if (reduced[d]) kept.dims[d] = 1;
        if (!reduced[d] || !desc->drop_dims) op->y.dims[op->y.rank++] = kept.dims[d];
    }
    op->scale = desc->kind == ND_REDUCE_MEAN ? 1.0f / (float)terms : 1.0f;
    op->empty = nd_elements(&op->y) == 0;
    tess_status status = TESS_OK;
    if (!op->empty) status = nd_reduce_core_create(op->ctx, &core, &op->core);
    if (!status && desc->gradients) status = make_backward(op, &kept);
    return status;
}

tess_status nd_reduce_create(tess_context *ctx, const struct nd_reduce_desc *desc,
                             struct nd_reduce **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "Reduce: desc or out is NULL; give both");
    bool reduced[ND_MAX_RANK];
    tess_status status = check_desc(ctx, desc, reduced);
    if (status) return status;
    struct nd_reduce *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "Reduce: no memory; free some");
    op->ctx = op->core.ctx = op->spread.ctx = ctx;
    op->kind = desc->kind;
    op->x = desc->x;
    status = make_op(op, desc, reduced);
    if (status) {
        nd_reduce_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void nd_reduce_destroy(struct nd_reduce *op) {
    if (!op) return;
    nd_reduce_core_destroy(&op->core);
    nd_walk_destroy(&op->spread);
    kernel_release(op->backward);
    free(op);
}

const struct nd_shape *nd_reduce_shape(const struct nd_reduce *op) {
    return &op->y;
}

size_t nd_reduce_workspace(const struct nd_reduce *op) {
    return op ? op->core.partials * sizeof(cl_float) : 0;
}

static size_t bytes_of(const struct nd_shape *shape) {
    return (size_t)nd_elements(shape) * sizeof(cl_float);
}

tess_status nd_reduce_forward(struct nd_reduce *op, cl_mem x, cl_mem y, cl_mem workspace) {
    if (!op) return TESS_INVALID_ARGUMENT;
    const char *what = kinds[op->kind].name;
    tess_status status = nd_expect(op->ctx, x, bytes_of(&op->x), what, "x");
    if (!status) status = nd_expect(op->ctx, y, bytes_of(&op->y), what, "y");
    if (!status)
        status = nd_expect(op->ctx, workspace, nd_reduce_workspace(op), what, "the workspace");
    if (status || op->empty) return status;
    return nd_reduce_core_enqueue(
        &op->core,
        &(struct nd_reduce_core_args){.x = x, .y = y, .workspace = workspace, .scale = op->scale},
        what);
}

tess_status nd_reduce_backward(struct nd_reduce *op, cl_mem dy, cl_mem dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    const char *what = kinds[op->kind].name;
    if (!op->backward)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "%s: was made without gradients; ask for them in its desc", what);
    tess_status status = nd_expect(op->ctx, dy, bytes_of(&op->y), what, "dy");
    if (!status) status = nd_expect(op->ctx, dx, bytes_of(&op->x), what, "dx");
    if (status || !op->spread.memory) return status;
    const struct kernel_arg args[] = {ARG_MEM(op->spread.memory), ARG_FLOAT(op->scale), ARG_MEM(dy),
                                      ARG_MEM(dx)};
    return kernel_enqueue(op->ctx, op->backward, &op->spread.range, args, 4, what);
}
