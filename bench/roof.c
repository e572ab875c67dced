#include "bench/roof.h"

#include <stdio.h>

#include "core/program.h"
#include "core/tensor.h"

enum { CHAINS = 12 };

static int lanes_of(const tess_device_info *device) {
    unsigned native = device->native_float_vector;
    return native >= 16 ? 16 : native >= 8 ? 8 : native >= 4 ? 4 : 1;
}

tess_status fma_roof_create(tess_context *ctx, struct fma_roof *roof) {
    const tess_device_info *device = tess_context_device(ctx);
    int lanes = lanes_of(device);
    bool cpu = device->type & CL_DEVICE_TYPE_CPU;
    *roof = (struct fma_roof){.ctx = ctx, .steps = cpu ? 100000 : 2000};
    /* CPUs: one work-item a core; others: enough to fill 2,048 lanes a compute unit. */
    roof->items = (int)device->compute_units * (cpu ? 1 : 2048);
    roof->flops = 2.0 * CHAINS * lanes * roof->steps * roof->items;
    char options[64];
    snprintf(options, sizeof options, "-DLANES=%d -DCHAINS=%d", lanes, CHAINS);
    struct program *program;
    tess_status status = program_get(ctx, "roof_fma.cl", options, "roof_fma", &program);
    if (!status) status = program_kernel(ctx, program, "roof_fma", &roof->kernel);
    tess_tensor_desc desc = {TESS_F32, TESS_NHWC, 1, lanes * roof->items, 1, 1};
    if (!status) status = tess_tensor_create(ctx, &desc, &roof->out);
    if (status) fma_roof_destroy(roof);
    return status;
}

tess_status fma_roof_run(void *user) {
    struct fma_roof *roof = user;
    const struct kernel_arg args[] = {ARG_TENSOR(roof->out), ARG_FLOAT(0.5f), ARG_FLOAT(1.0f),
                                      ARG_INT(roof->steps)};
    bool cpu = tess_context_device(roof->ctx)->type & CL_DEVICE_TYPE_CPU;
    struct kernel_range range = {1, {(size_t)roof->items}, {cpu ? 1 : 64}};
    return kernel_enqueue(roof->ctx, roof->kernel, &range, args, 4, "multiply-add roof");
}

void fma_roof_destroy(struct fma_roof *roof) {
    kernel_release(roof->kernel);
    tess_tensor_destroy(roof->out);
    *roof = (struct fma_roof){0};
}
