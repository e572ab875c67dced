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

/* ---------------------------------------------------------------- memory */

enum { COPY_RUN = 64 }; /* vectors of 16 floats that a work-item of a CPU copies */

tess_status copy_roof_create(tess_context *ctx, struct copy_roof *roof) {
    const tess_device_info *device = tess_context_device(ctx);
    uint64_t bytes = 2 * device->global_cache, most = device->global_memory / 8;
    if (most > device->max_allocation) most = device->max_allocation;
    if (bytes < (64u << 20)) bytes = 64u << 20;
    if (bytes > (512u << 20)) bytes = 512u << 20;
    if (bytes > most) bytes = most;
    *roof = (struct copy_roof){.ctx = ctx, .vectors = (int)(bytes / 64 / COPY_RUN) * COPY_RUN};
    roof->bytes = 2.0 * 64 * roof->vectors;
    tess_tensor_desc desc = {TESS_F32, TESS_NHWC, roof->vectors, 16, 1, 1};
    bool cpu = device->type & CL_DEVICE_TYPE_CPU;
    struct program *program;
    tess_status status =
        program_get(ctx, "roof_copy.cl", cpu ? "-DRUN=64" : "-DRUN=1", "roof_copy", &program);
    if (!status) status = program_kernel(ctx, program, "roof_copy", &roof->kernel);
    if (!status) status = tess_tensor_create(ctx, &desc, &roof->from);
    if (!status) status = tess_tensor_create(ctx, &desc, &roof->to);
    if (!status) status = tess_tensor_fill(roof->from, 1);
    if (status) copy_roof_destroy(roof);
    return status;
}

tess_status copy_roof_run(void *user) {
    struct copy_roof *roof = user;
    bool cpu = tess_context_device(roof->ctx)->type & CL_DEVICE_TYPE_CPU;
    const struct kernel_arg args[] = {ARG_TENSOR(roof->from), ARG_TENSOR(roof->to)};
    struct kernel_range range = {
        1, {(size_t)(cpu ? roof->vectors / COPY_RUN : roof->vectors)}, {cpu ? 1 : 64}};
    return kernel_enqueue(roof->ctx, roof->kernel, &range, args, 2, "memory roof");
}

void copy_roof_destroy(struct copy_roof *roof) {
    kernel_release(roof->kernel);
    tess_tensor_destroy(roof->from);
    tess_tensor_destroy(roof->to);
    *roof = (struct copy_roof){0};
}
