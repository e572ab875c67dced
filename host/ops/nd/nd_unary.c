#include <stdio.h>
#include <stdlib.h>

#include "ops/nd/nd_walk.h"

struct nd_unary {
    tess_context *ctx;
    struct nd_unary_desc desc;
    cl_int count, chunk;
    struct kernel_range range;
    cl_kernel forward, backward;
};

static const struct {
    const char *name;
    bool needs_y, no_gradient;
} kinds[ND_UNARY_KINDS] = {
    [ND_RELU] = {.name = "Relu", .needs_y = true},
    [ND_LEAKY_RELU] = {.name = "LeakyRelu"},
    [ND_CLIP] = {.name = "Clip"},
    [ND_HARD_SIGMOID] = {.name = "HardSigmoid"},
    [ND_HARD_SWISH] = {.name = "HardSwish"},
    [ND_SQRT] = {.name = "Sqrt", .needs_y = true},
    [ND_NEG] = {.name = "Neg"},
    [ND_ABS] = {.name = "Abs"},
    [ND_RECIPROCAL] = {.name = "Reciprocal", .needs_y = true},
    [ND_SOFTSIGN] = {.name = "Softsign"},
    [ND_IDENTITY] = {.name = "Identity"},
    [ND_FLOOR] = {.name = "Floor", .no_gradient = true},
    [ND_CEIL] = {.name = "Ceil", .no_gradient = true},
    [ND_ELU] = {.name = "Elu"},
    [ND_SELU] = {.name = "Selu"},
    [ND_SIGMOID] = {.name = "Sigmoid", .needs_y = true},
    [ND_TANH] = {.name = "Tanh", .needs_y = true},
    [ND_EXP] = {.name = "Exp", .needs_y = true},
    [ND_LOG] = {.name = "Log"},
    [ND_SOFTPLUS] = {.name = "Softplus"},
    [ND_ERF] = {.name = "Erf"},
};

const char *nd_unary_name(enum nd_unary_kind kind) {
    return (unsigned)kind < ND_UNARY_KINDS ? kinds[kind].name : "Unary";
}

bool nd_unary_needs_y(enum nd_unary_kind kind) {
    return (unsigned)kind < ND_UNARY_KINDS && kinds[kind].needs_y;
}

static tess_status make_kernels(struct nd_unary *op) {
    tess_context *ctx = op->ctx;
    struct program *program = NULL;
    char options[32], config[48];
    int vector = launch_vector(ctx), kind = (int)op->desc.kind;
    if (kind >= ND_ELU) {
        snprintf(options, sizeof options, "-DVEC=%d -DOP=%d", vector, kind);
        snprintf(config, sizeof config, "nd_unary__vec%d_op%d", vector, kind);
    } else {
        snprintf(options, sizeof options, "-DVEC=%d", vector);
        snprintf(config, sizeof config, "nd_unary__vec%d", vector);
    }
    tess_status status = program_get(ctx, "nd_unary.cl", options, config, &program);
    if (!status) status = program_kernel(ctx, program, "nd_unary_fwd", &op->forward);
    if (!status && op->desc.gradients)
        status = program_kernel(ctx, program, "nd_unary_bwd", &op->backward);
    return status;
}

tess_status nd_unary_create(tess_context *ctx, const struct nd_unary_desc *desc,
                            struct nd_unary **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out || (unsigned)desc->kind >= ND_UNARY_KINDS)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "Unary: desc or out is NULL, or the kind unknown; give both, and one "
                            "of enum nd_unary_kind");
    const char *what = kinds[desc->kind].name;
    tess_status status = nd_shape_check(ctx, &desc->x, what);
    if (status) return status;
    if (desc->gradients && kinds[desc->kind].no_gradient)
        return context_fail(ctx, TESS_UNSUPPORTED, "%s: has no gradient; create it without", what);
    struct nd_unary *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    op->ctx = ctx;
    op->desc = *desc;
    op->count = (cl_int)nd_elements(&desc->x);
    op->chunk = nd_chunk(ctx, op->count, launch_vector(ctx));
    op->range = nd_chunk_range(ctx, op->count, op->chunk);
    status = make_kernels(op);
    if (status) {
        nd_unary_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void nd_unary_destroy(struct nd_unary *op) {
    if (!op) return;
    kernel_release(op->forward);
    kernel_release(op->backward);
    free(op);
}

tess_status nd_unary_forward(struct nd_unary *op, cl_mem x, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    const char *what = kinds[op->desc.kind].name;
    size_t bytes = (size_t)op->count * sizeof(cl_float);
    tess_status status = nd_expect(op->ctx, x, bytes, what, "x");
    if (!status) status = nd_expect(op->ctx, y, bytes, what, "y");
    if (status || op->count == 0) return status;
    const struct kernel_arg args[] = {ARG_INT((cl_int)op->desc.kind),
                                      ARG_MEM(x),
                                      ARG_MEM(y),
                                      ARG_INT(op->count),
                                      ARG_INT(op->chunk),
                                      ARG_FLOAT(op->desc.alpha),
                                      ARG_FLOAT(op->desc.beta)};
    return kernel_enqueue(op->ctx, op->forward, &op->range, args, 7, what);
}

tess_status nd_unary_backward(struct nd_unary *op, cl_mem s, cl_mem dy, cl_mem dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    const char *what = kinds[op->desc.kind].name;
    if (!op->backward)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "%s: was made without gradients; ask for them in its desc", what);
    size_t bytes = (size_t)op->count * sizeof(cl_float);
    tess_status status =
        nd_expect(op->ctx, s, bytes, what, kinds[op->desc.kind].needs_y ? "y" : "x");
    if (!status) status = nd_expect(op->ctx, dy, bytes, what, "dy");
    if (!status) status = nd_expect(op->ctx, dx, bytes, what, "dx");
    if (status || op->count == 0) return status;
    const struct kernel_arg args[] = {ARG_INT((cl_int)op->desc.kind),
                                      ARG_MEM(s),
                                      ARG_MEM(dy),
                                      ARG_MEM(dx),
                                      ARG_INT(op->count),
                                      ARG_INT(op->chunk),
                                      ARG_FLOAT(op->desc.alpha),
                                      ARG_FLOAT(op->desc.beta)};
    return kernel_enqueue(op->ctx, op->backward, &op->range, args, 8, what);
}
