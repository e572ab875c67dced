#include "ops/slice_activation.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "ops/activation.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"

struct slice_activation {
    tess_context *ctx;
    tess_act act;
    int vector;
    cl_kernel backward;
};

tess_status slice_activation_create(tess_context *ctx, tess_act act,
                                    struct slice_activation **out) {
    struct slice_activation *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "slice gradient: no memory; free some");
    op->ctx = ctx;
    op->act = act;
    op->vector = launch_vector(ctx);
    char options[64], config[64];
    const char *name = activation_name(act.kind);
    struct program *program;
    snprintf(options, sizeof options, "-DVEC=%d -DACTIVATION_GRAD=act_grad_%s", op->vector, name);
    snprintf(config, sizeof config, "slice_activation_%s__vec%d", name, op->vector);
    tess_status status = program_get(ctx, "slice_activation.cl", options, config, &program);
    if (!status) status = program_kernel(ctx, program, "slice_activation_bwd", &op->backward);
    if (status) {
        slice_activation_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void slice_activation_destroy(struct slice_activation *op) {
    if (!op) return;
    kernel_release(op->backward);
    free(op);
}

static tess_status check(const struct slice_activation *op, const tess_tensor *whole, int first,
                         const tess_tensor *dx, const char *what) {
    tess_status status = tensor_expect(op->ctx, whole, TESS_F32, 0, what);
    if (status) return status;
    const tess_tensor_desc *w = &whole->desc, *d = &dx->desc;
    if (w->layout != TESS_NHWC || w->n != d->n || w->h != d->h || w->w != d->w || first < 0 ||
        first > w->c - d->c)
        return context_fail(op->ctx, TESS_INVALID_SHAPE,
                            "%s: %d channels from %d on are no part of it; give NHWC tensors of "
                            "one n, h and w",
                            what, d->c, first);
    if (whole->mem == dx->mem)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "%s: shares its memory with dx; use two tensors", what);
    return TESS_OK;
}

tess_status slice_activation_backward(struct slice_activation *op, const tess_tensor *y,
                                      int y_first, const tess_tensor *dy, int dy_first,
                                      tess_tensor *dx) {
    tess_status status = tensor_expect(op->ctx, dx, TESS_F32, 0, "slice gradient: dx");
    if (!status) status = check(op, y, y_first, dx, "slice gradient: y");
    if (!status) status = check(op, dy, dy_first, dx, "slice gradient: dy");
    if (status) return status;
    int rows = dx->desc.n * dx->desc.h * dx->desc.w, count = dx->desc.c;
    int segments = (count + op->vector - 1) / op->vector;
    struct kernel_range range = launch_range(op->ctx, (size_t)rows * (size_t)segments, 64);
    const struct kernel_arg args[] = {ARG_TENSOR(y),
                                      ARG_INT(y->desc.c),
                                      ARG_INT(y_first),
                                      ARG_TENSOR(dy),
                                      ARG_INT(dy->desc.c),
                                      ARG_INT(dy_first),
                                      ARG_TENSOR(dx),
                                      ARG_INT(rows),
                                      ARG_INT(count),
                                      ARG_INT(segments),
                                      ARG_ULONG(fastdiv(segments)),
                                      ARG_FLOAT(activation_alpha(op->act))};
    return kernel_enqueue(op->ctx, op->backward, &range, args, sizeof args / sizeof *args,
                          "slice gradient");
}
