/* Stochastic gradient descent: kernels_cl/optim.cl. */
#include "core/tensor.h"
#include "ops/launch.h"

#include <math.h>
#include <stdlib.h>

struct tess_sgd {
    tess_context *ctx;
    cl_kernel step;
};

tess_status tess_sgd_create(tess_context *ctx, tess_sgd **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "SGD: out is NULL; pass where to put the optimiser");
    tess_sgd *sgd = calloc(1, sizeof *sgd);
    if (!sgd)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "SGD: no memory for the optimiser; free some memory");
    sgd->ctx = ctx;
    struct program *program = NULL;
    tess_status status = program_get(ctx, "optim.cl", "", "sgd_step", &program);
    if (!status) status = program_kernel(ctx, program, "sgd_step", &sgd->step);
    if (status) goto fail;
    *out = sgd;
    return TESS_OK;
fail:
    tess_sgd_destroy(sgd);
    return status;
}

void tess_sgd_destroy(tess_sgd *sgd) {
    if (!sgd) return;
    kernel_release(sgd->step);
    free(sgd);
}

/* NaN fails. */
static bool finite_not_negative(float value) {
    return value >= 0.0f && isfinite(value);
}

static tess_status expect_step(tess_sgd *sgd, const tess_sgd_desc *desc, const tess_tensor *param,
                               const tess_tensor *grad, const tess_tensor *velocity) {
    if (!desc)
        return context_fail(sgd->ctx, TESS_INVALID_ARGUMENT,
                            "SGD: desc is NULL; pass a tess_sgd_desc");
    if (!finite_not_negative(desc->lr) || !finite_not_negative(desc->momentum) ||
        !finite_not_negative(desc->weight_decay))
        return context_fail(
            sgd->ctx, TESS_INVALID_ARGUMENT,
            "SGD: lr %g, momentum %g, weight_decay %g; each must be a finite number "
            "that is not negative",
            (double)desc->lr, (double)desc->momentum, (double)desc->weight_decay);
    tess_status status = tensor_expect(sgd->ctx, param, TESS_F32, 0, "SGD: param");
    if (status) return status;
    size_t count = tess_tensor_desc_elements(&param->desc);
    status = tensor_expect(sgd->ctx, grad, TESS_F32, count, "SGD: grad");
    if (!status) status = tensor_expect(sgd->ctx, velocity, TESS_F32, count, "SGD: velocity");
    if (status) return status;
    if (param == grad || param == velocity || grad == velocity)
        return context_fail(sgd->ctx, TESS_INVALID_ARGUMENT,
                            "SGD: one tensor is given twice; param, grad and velocity must differ");
    return TESS_OK;
}

tess_status tess_sgd_step(tess_sgd *sgd, const tess_sgd_desc *desc, tess_tensor *param,
                          const tess_tensor *grad, tess_tensor *velocity) {
    if (!sgd) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_step(sgd, desc, param, grad, velocity);
    if (status) return status;
    size_t count = tess_tensor_desc_elements(&param->desc);
    param->version++;
    struct kernel_arg args[] = {ARG_UINT((cl_uint)count),  ARG_FLOAT(desc->lr),
                                ARG_FLOAT(desc->momentum), ARG_FLOAT(desc->weight_decay),
                                ARG_INT(desc->nesterov),   ARG_TENSOR(param),
                                ARG_TENSOR(grad),          ARG_TENSOR(velocity)};
    struct kernel_range range = launch_range(sgd->ctx, count / 4 + 1, 64);
    return kernel_enqueue(sgd->ctx, sgd->step, &range, args, sizeof args / sizeof *args,
                          "SGD step");
}
