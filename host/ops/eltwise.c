#include "ops/eltwise.h"

#include <stdio.h>
#include <stdlib.h>

#include "ops/expect.h"
#include "ops/launch.h"

static tess_status make_activations(tess_eltwise *op, struct program *program) {
    static const struct {
        const char *prefix, *pass;
    } forms[] = {{"", "fwd"}, {"", "bwd"}, {"add_", "fwd"}, {"bias_", "fwd"}};
    cl_kernel *const kernels[] = {op->activation_fwd, op->activation_bwd, op->add_fwd,
                                  op->bias_fwd};
    for (int kind = 0; kind < ACTIVATION_COUNT; kind++)
        for (int i = 0; i < 4; i++) {
            char name[48];
            snprintf(name, sizeof name, "%s%s_%s", forms[i].prefix,
                     activation_name((tess_activation)kind), forms[i].pass);
            tess_status status = program_kernel(op->ctx, program, name, &kernels[i][kind]);
            if (status) return status;
        }
    return TESS_OK;
}

static tess_status make_maps(tess_eltwise *op) {
    struct program *program;
    char options[32], config[32];
    snprintf(options, sizeof options, "-DVEC=%d", op->vector);
    snprintf(config, sizeof config, "eltwise__vec%d", op->vector);
    tess_status status = program_get(op->ctx, "eltwise.cl", options, config, &program);
    if (!status) status = make_activations(op, program);
    return status ? status : program_kernel(op->ctx, program, "copy_channels", &op->copy_channels);
}

static tess_status make_dropout(tess_eltwise *op) {
    struct program *program;
    tess_status status = program_get(op->ctx, "dropout.cl", "", "dropout", &program);
    return status ? status : program_kernel(op->ctx, program, "dropout_fwd", &op->dropout);
}

static tess_status make_layout(tess_eltwise *op) {
    struct program *program;
    char options[32], config[32];
    op->tile = op->ctx->device.max_work_group >= 256 ? 16 : 8;
    snprintf(options, sizeof options, "-DTILE=%d", op->tile);
    snprintf(config, sizeof config, "layout__tile%d", op->tile);
    tess_status status = program_get(op->ctx, "layout.cl", options, config, &program);
    if (!status) status = program_kernel(op->ctx, program, "layout_tiled", &op->layout_tiled);
    return status ? status : program_kernel(op->ctx, program, "layout_narrow", &op->layout_narrow);
}

static tess_status make_kernels(tess_eltwise *op, unsigned needs) {
    tess_status status = TESS_OK;
    if (needs & ELTWISE_MAPS) status = make_maps(op);
    if (!status && needs & ELTWISE_DROPOUT) status = make_dropout(op);
    if (!status && needs & ELTWISE_LAYOUT) status = make_layout(op);
    if (!status && needs & ELTWISE_SUMS) status = column_sum_create(op->ctx, &op->sum);
    return status;
}

tess_status tess_eltwise_create(tess_context *ctx, tess_eltwise **out) {
    return eltwise_create(ctx, ELTWISE_ALL, out);
}

tess_status eltwise_create(tess_context *ctx, unsigned needs, tess_eltwise **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "eltwise: out is NULL; give a pointer");
    tess_eltwise *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "eltwise: no memory; free some");
    op->ctx = ctx;
    op->vector = launch_vector(ctx);
    tess_status status = make_kernels(op, needs);
    if (status) {
        tess_eltwise_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void tess_eltwise_destroy(tess_eltwise *op) {
    if (!op) return;
    for (int kind = 0; kind < ACTIVATION_COUNT; kind++) {
        kernel_release(op->activation_fwd[kind]);
        kernel_release(op->activation_bwd[kind]);
        kernel_release(op->add_fwd[kind]);
        kernel_release(op->bias_fwd[kind]);
    }
    kernel_release(op->copy_channels);
    kernel_release(op->dropout);
    kernel_release(op->layout_tiled);
    kernel_release(op->layout_narrow);
    column_sum_destroy(&op->sum);
    free(op);
}

tess_status eltwise_expect(const tess_eltwise *op, const tess_tensor *tensor,
                           const tess_tensor *like, const char *what) {
    if (!like) return tensor_expect(op->ctx, tensor, TESS_F32, 0, what);
    tess_tensor_desc desc = like->desc;
    desc.dtype = TESS_F32;
    return expect_desc(op->ctx, tensor, &desc, what);
}

/* Enqueues a kernel with arguments (tensors[0 .. 2], count, alpha); the third tensor may be NULL: then it has two. */
static tess_status enqueue_flat(tess_eltwise *op, cl_kernel kernel, tess_act act,
                                const tess_tensor *const tensors[3], const char *what) {
    size_t count = tess_tensor_desc_elements(&tensors[0]->desc);
    size_t vector = (size_t)op->vector;
    struct kernel_range range = launch_range(op->ctx, (count + vector - 1) / vector, 64);
    struct kernel_arg args[5];
    unsigned used = 0;
    for (int i = 0; i < 3 && tensors[i]; i++)
        args[used++] = ARG_TENSOR(tensors[i]);
    args[used++] = ARG_INT((cl_int)count);
    args[used++] = ARG_FLOAT(activation_alpha(act));
    return kernel_enqueue(op->ctx, kernel, &range, args, used, what);
}

tess_status tess_activation_forward(tess_eltwise *op, tess_act act, const tess_tensor *x,
                                    tess_tensor *y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_activation(op->ctx, act, "activation");
    if (!status) status = eltwise_expect(op, x, NULL, "activation: x");
    if (!status) status = eltwise_expect(op, y, x, "activation: y");
    if (status) return status;
    return enqueue_flat(op, op->activation_fwd[act.kind], act,
                        (const tess_tensor *const[3]){x, y, NULL}, "activation forward");
}

tess_status tess_activation_backward(tess_eltwise *op, tess_act act, const tess_tensor *y,
                                     const tess_tensor *dy, tess_tensor *dx) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_activation(op->ctx, act, "activation gradient");
    if (!status) status = eltwise_expect(op, y, NULL, "activation gradient: y");
    if (!status) status = eltwise_expect(op, dy, y, "activation gradient: dy");
    if (!status) status = eltwise_expect(op, dx, y, "activation gradient: dx");
    if (status) return status;
    return enqueue_flat(op, op->activation_bwd[act.kind], act,
                        (const tess_tensor *const[3]){y, dy, dx}, "activation backward");
}

tess_status tess_add_forward(tess_eltwise *op, tess_act act, const tess_tensor *a,
                             const tess_tensor *b, tess_tensor *y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_activation(op->ctx, act, "add");
    if (!status) status = eltwise_expect(op, a, NULL, "add: a");
    if (!status) status = eltwise_expect(op, b, a, "add: b");
    if (!status) status = eltwise_expect(op, y, a, "add: y");
    if (status) return status;
    return enqueue_flat(op, op->add_fwd[act.kind], act, (const tess_tensor *const[3]){a, b, y},
                        "add forward");
}
