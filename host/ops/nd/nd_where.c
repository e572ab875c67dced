#include <stdlib.h>

#include "ops/nd/nd_select.h"

struct nd_where {
    tess_context *ctx;
    const char *what;
    bool compares;
    enum nd_compare_kind kind;
    struct nd_shape y;
    size_t bytes[4]; /* of the condition, a, b, y */
    struct nd_walk_launch walk;
    cl_kernel kernel;
};

static const char *const names[ND_COMPARE_KINDS] = {
    [ND_EQUAL] = "Equal",
    [ND_LESS] = "Less",
    [ND_GREATER] = "Greater",
    [ND_LESS_OR_EQUAL] = "LessOrEqual",
    [ND_GREATER_OR_EQUAL] = "GreaterOrEqual",
};

static size_t bytes_of(const struct nd_shape *shape, enum nd_dtype dtype) {
    return (size_t)nd_elements(shape) * nd_dtype_bytes(dtype);
}

/* Walks operands, which broadcast to op->y. */
static tess_status make_walk(struct nd_where *op, const struct nd_shape *const *operands,
                             int count) {
    struct nd_space space = nd_space_of(&op->y);
    for (int i = 0; i < count; i++)
        nd_space_add(&space, operands[i]);
    return nd_walk_create(op->ctx, &space, launch_vector(op->ctx), op->what, &op->walk);
}

tess_status nd_where_create(tess_context *ctx, enum nd_dtype dtype,
                            const struct nd_shape *condition, const struct nd_shape *a,
                            const struct nd_shape *b, struct nd_where **out) {
    static const char what[] = "Where";
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out) return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: out is NULL; give it", what);
    struct nd_shape of_a_b, y;
    tess_status status = nd_dtype_check(ctx, dtype, false, what);
    if (!status) status = nd_shape_check(ctx, condition, what);
    if (!status) status = nd_shape_check(ctx, a, what);
    if (!status) status = nd_shape_check(ctx, b, what);
    if (!status) status = nd_broadcast(ctx, a, b, what, &of_a_b);
    if (!status) status = nd_broadcast(ctx, condition, &of_a_b, what, &y);
    if (status) return status;
    struct nd_where *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    *op = (struct nd_where){.ctx = ctx,
                            .what = what,
                            .y = y,
                            .bytes = {bytes_of(condition, ND_BOOL), bytes_of(a, dtype),
                                      bytes_of(b, dtype), bytes_of(&y, dtype)},
                            .walk = {.ctx = ctx}};
    status = make_walk(op, (const struct nd_shape *const[]){condition, a, b}, 3);
    if (!status) status = nd_select_kernel(ctx, dtype, ND_I64, "nd_where", &op->kernel);
    if (status)
        nd_where_destroy(op);
    else
        *out = op;
    return status;
}

tess_status nd_compare_create(tess_context *ctx, enum nd_compare_kind kind,
                              const struct nd_shape *a, const struct nd_shape *b,
                              struct nd_where **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out || (unsigned)kind >= ND_COMPARE_KINDS)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "Compare: out is NULL or the kind unknown; use one of enum "
                            "nd_compare_kind");
    struct nd_shape y;
    tess_status status = nd_shape_check(ctx, a, names[kind]);
    if (!status) status = nd_shape_check(ctx, b, names[kind]);
    if (!status) status = nd_broadcast(ctx, a, b, names[kind], &y);
    if (status) return status;
    struct nd_where *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", names[kind]);
    *op = (struct nd_where){
        .ctx = ctx,
        .what = names[kind],
        .compares = true,
        .kind = kind,
        .y = y,
        .bytes = {0, bytes_of(a, ND_F32), bytes_of(b, ND_F32), bytes_of(&y, ND_BOOL)},
        .walk = {.ctx = ctx}};
    status = make_walk(op, (const struct nd_shape *const[]){a, b}, 2);
    if (!status) status = nd_select_kernel(ctx, ND_F32, ND_I64, "nd_compare", &op->kernel);
    if (status)
        nd_where_destroy(op);
    else
        *out = op;
    return status;
}

void nd_where_destroy(struct nd_where *op) {
    if (!op) return;
    nd_walk_destroy(&op->walk);
    kernel_release(op->kernel);
    free(op);
}

const struct nd_shape *nd_where_shape(const struct nd_where *op) {
    return &op->y;
}

tess_status nd_where_forward(struct nd_where *op, cl_mem condition, cl_mem a, cl_mem b, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = nd_expect(op->ctx, condition, op->bytes[0], op->what, "the condition");
    if (!status) status = nd_expect(op->ctx, a, op->bytes[1], op->what, "a");
    if (!status) status = nd_expect(op->ctx, b, op->bytes[2], op->what, "b");
    if (!status) status = nd_expect(op->ctx, y, op->bytes[3], op->what, "y");
    if (status || !op->walk.memory) return status;
    const struct kernel_arg args[] = {ARG_MEM(op->walk.memory),
                                      op->compares ? ARG_INT((cl_int)op->kind) : ARG_MEM(condition),
                                      ARG_MEM(a), ARG_MEM(b), ARG_MEM(y)};
    return kernel_enqueue(op->ctx, op->kernel, &op->walk.range, args, 5, op->what);
}
