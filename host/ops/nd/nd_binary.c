#include <stdio.h>
#include <stdlib.h>

#include "ops/nd/nd_reduce_core.h"

struct nd_binary {
    tess_context *ctx;
    enum nd_binary_kind kind;
    struct nd_shape operand[2], y;
    struct nd_walk_launch walk;
    cl_kernel forward, backward;
    bool gradients;
    bool broadcast[2]; /* the operand has fewer elements than y, which sum[] adds up */
    struct nd_reduce_core sum[2];
};

static const char *const names[ND_BINARY_KINDS] = {
    [ND_ADD] = "Add", [ND_SUB] = "Sub", [ND_MUL] = "Mul",     [ND_DIV] = "Div",
    [ND_MAX] = "Max", [ND_MIN] = "Min", [ND_PRELU] = "PRelu", [ND_POW] = "Pow"};

const char *nd_binary_name(enum nd_binary_kind kind) {
    return (unsigned)kind < ND_BINARY_KINDS ? names[kind] : "Binary";
}

static size_t elements(const struct nd_shape *shape) {
    return (size_t)nd_elements(shape);
}

/* The gradient of operand side is dy itself, or -dy. */
static bool is_linear(const struct nd_binary *op) {
    return op->kind == ND_ADD || op->kind == ND_SUB;
}

static tess_status make_kernels(struct nd_binary *op) {
    tess_context *ctx = op->ctx;
    struct program *program = NULL;
    char options[32], config[48];
    int vector = launch_vector(ctx);
    if (op->kind == ND_POW) {
        snprintf(options, sizeof options, "-DVEC=%d -DOP=%d", vector, ND_POW);
        snprintf(config, sizeof config, "nd_binary__vec%d_op%d", vector, ND_POW);
    } else {
        snprintf(options, sizeof options, "-DVEC=%d", vector);
        snprintf(config, sizeof config, "nd_binary__vec%d", vector);
    }
    tess_status status = program_get(ctx, "nd_binary.cl", options, config, &program);
    if (!status) status = program_kernel(ctx, program, "nd_binary_fwd", &op->forward);
    if (!status && op->gradients)
        status = program_kernel(ctx, program, "nd_binary_bwd", &op->backward);
    return status;
}

/* The sum over the dimensions of y that operand side does not have. */
static tess_status make_sum(struct nd_binary *op, int side) {
    const struct nd_shape *operand = &op->operand[side];
    struct nd_reduce_core_desc desc = {.rank = op->y.rank, .what = names[op->kind]};
    int missing = op->y.rank - operand->rank;
    for (int d = 0; d < op->y.rank; d++) {
        desc.dims[d] = op->y.dims[d];
        desc.reduced[d] = d < missing || operand->dims[d - missing] != op->y.dims[d];
    }
    return nd_reduce_core_create(op->ctx, &desc, &op->sum[side]);
}

static tess_status make_op(struct nd_binary *op) {
    const char *what = names[op->kind];
    struct nd_space space = nd_space_of(&op->y);
    nd_space_add(&space, &op->operand[0]);
    nd_space_add(&space, &op->operand[1]);
    tess_status status = nd_walk_create(op->ctx, &space, launch_vector(op->ctx), what, &op->walk);
    if (!status) status = make_kernels(op);
    for (int side = 0; side < 2; side++) {
        op->broadcast[side] = elements(&op->operand[side]) != elements(&op->y);
        if (!status && op->gradients && op->broadcast[side] && elements(&op->operand[side]) > 0)
            status = make_sum(op, side);
    }
    return status;
}

tess_status nd_binary_create(tess_context *ctx, enum nd_binary_kind kind, const struct nd_shape *a,
                             const struct nd_shape *b, bool gradients, struct nd_binary **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out || (unsigned)kind >= ND_BINARY_KINDS)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "Binary: kind is %d or out is NULL; use one of enum nd_binary_kind",
                            (int)kind);
    tess_status status = nd_shape_check(ctx, a, names[kind]);
    if (!status) status = nd_shape_check(ctx, b, names[kind]);
    struct nd_shape y;
    if (!status) status = nd_broadcast(ctx, a, b, names[kind], &y);
    if (status) return status;
    if (kind == ND_PRELU && !nd_shape_equal(a, &y))
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "PRelu: the slope has more elements than x; give one that broadcasts "
                            "to x's shape");
    struct nd_binary *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", names[kind]);
    *op = (struct nd_binary){.ctx = ctx,
                             .kind = kind,
                             .operand = {*a, *b},
                             .y = y,
                             .gradients = gradients,
                             .walk = {.ctx = ctx},
                             .sum = {{.ctx = ctx}, {.ctx = ctx}}};
    status = make_op(op);
    if (status) {
        nd_binary_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void nd_binary_destroy(struct nd_binary *op) {
    if (!op) return;
    nd_walk_destroy(&op->walk);
    kernel_release(op->forward);
    kernel_release(op->backward);
    nd_reduce_core_destroy(&op->sum[0]);
    nd_reduce_core_destroy(&op->sum[1]);
    free(op);
}

const struct nd_shape *nd_binary_shape(const struct nd_binary *op) {
    return &op->y;
}

tess_status nd_binary_forward(struct nd_binary *op, cl_mem a, cl_mem b, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    const char *what = names[op->kind];
    tess_status status = nd_expect(op->ctx, a, elements(&op->operand[0]) * 4, what, "a");
    if (!status) status = nd_expect(op->ctx, b, elements(&op->operand[1]) * 4, what, "b");
    if (!status) status = nd_expect(op->ctx, y, elements(&op->y) * 4, what, "y");
    if (status || !op->walk.memory) return status;
    const struct kernel_arg args[] = {ARG_MEM(op->walk.memory), ARG_INT((cl_int)op->kind),
                                      ARG_MEM(a), ARG_MEM(b), ARG_MEM(y)};
    return kernel_enqueue(op->ctx, op->forward, &op->walk.range, args, 5, what);
}

/* Floats of y's size in the workspace: dy times the operator's slope, before it is added up. */
static size_t term_floats(const struct nd_binary *op) {
    if (is_linear(op) || !(op->broadcast[0] || op->broadcast[1])) return 0;
    return elements(&op->y);
}

size_t nd_binary_workspace(const struct nd_binary *op) {
    if (!op || !op->gradients) return 0;
    size_t partials =
        op->sum[0].partials > op->sum[1].partials ? op->sum[0].partials : op->sum[1].partials;
    return (term_floats(op) + partials) * sizeof(cl_float);
}

/* g = dy times the slope at side. */
static tess_status enqueue_term(struct nd_binary *op, const struct nd_binary_grad_args *args,
                                int side, cl_mem g) {
    const struct kernel_arg list[] = {ARG_MEM(op->walk.memory),
                                      ARG_INT((cl_int)op->kind),
                                      ARG_INT(side),
                                      ARG_MEM(is_linear(op) ? args->dy : args->a),
                                      ARG_MEM(is_linear(op) ? args->dy : args->b),
                                      ARG_MEM(args->dy),
                                      ARG_MEM(g)};
    return kernel_enqueue(op->ctx, op->backward, &op->walk.range, list, 7, names[op->kind]);
}

static tess_status enqueue_side(struct nd_binary *op, const struct nd_binary_grad_args *args,
                                int side) {
    cl_mem g = side == 0 ? args->da : args->db;
    if (!g || elements(&op->operand[side]) == 0) return TESS_OK;
    if (!op->broadcast[side]) return enqueue_term(op, args, side, g);
    struct nd_reduce_core_args sum = {.x = args->dy,
                                      .y = g,
                                      .workspace = args->workspace,
                                      .workspace_start = term_floats(op),
                                      .scale = op->kind == ND_SUB && side == 1 ? -1.0f : 1.0f};
    if (!is_linear(op)) {
        sum.x = args->workspace;
        if (op->walk.memory) {
            tess_status status = enqueue_term(op, args, side, args->workspace);
            if (status) return status;
        }
    }
    return nd_reduce_core_enqueue(&op->sum[side], &sum, names[op->kind]);
}

tess_status nd_binary_backward(struct nd_binary *op, const struct nd_binary_grad_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_context *ctx = op->ctx;
    const char *what = names[op->kind];
    if (!args || !op->gradients)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: args is NULL, or it was made without gradients", what);
    bool linear = is_linear(op);
    size_t a = elements(&op->operand[0]) * 4, b = elements(&op->operand[1]) * 4;
    tess_status status = nd_expect(ctx, args->dy, elements(&op->y) * 4, what, "dy");
    if (!status) status = nd_expect(ctx, args->a, linear ? 0 : a, what, "a");
    if (!status) status = nd_expect(ctx, args->b, linear ? 0 : b, what, "b");
    if (!status) status = nd_expect(ctx, args->da, args->da ? a : 0, what, "da");
    if (!status) status = nd_expect(ctx, args->db, args->db ? b : 0, what, "db");
    if (!status)
        status = nd_expect(ctx, args->workspace, nd_binary_workspace(op), what, "the workspace");
    if (!status) status = enqueue_side(op, args, 0);
    if (!status) status = enqueue_side(op, args, 1);
    return status;
}
