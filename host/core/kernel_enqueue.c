#include "core/program.h"

#include <stdio.h>

static void kernel_name(cl_kernel kernel, char *out, size_t size) {
    if (clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, size, out, NULL) != CL_SUCCESS)
        snprintf(out, size, "with a long name");
}

static tess_status fail_argument(tess_context *ctx, cl_kernel kernel, cl_int code, unsigned index,
                                 const char *what) {
    char name[128];
    kernel_name(kernel, name, sizeof name);
    tess_status status = context_fail_opencl(ctx, code, "clSetKernelArg");
    return error_prefix(&ctx->error, status, "%s: kernel %s, argument %u", what, name, index);
}

static tess_status fail_launch(tess_context *ctx, cl_kernel kernel,
                               const struct kernel_range *range, cl_int code, const char *what) {
    char name[128];
    kernel_name(kernel, name, sizeof name);
    tess_status status = context_fail_opencl(ctx, code, "clEnqueueNDRangeKernel");
    return error_prefix(&ctx->error, status,
                        "%s: kernel %s, launch of %zu x %zu x %zu in groups of %zu x %zu x %zu",
                        what, name, range->global[0], range->global[1], range->global[2],
                        range->local[0], range->local[1], range->local[2]);
}

tess_status kernel_enqueue(tess_context *ctx, cl_kernel kernel, const struct kernel_range *range,
                           const struct kernel_arg *args, unsigned count, const char *what) {
    if (ctx && ctx->kernel_observer && range && (args || !count)) {
        ctx->kernel_observer(ctx->kernel_observer_user, kernel, range, args, count);
        return TESS_OK;
    }
    if (!ctx || !kernel || !range || (!args && count) || !what)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "kernel_enqueue: an argument is NULL");
    for (unsigned i = 0; i < count; i++) {
        const void *value = args[i].local ? NULL : &args[i].value;
        cl_int code = clSetKernelArg(kernel, i, args[i].size, value);
        if (code != CL_SUCCESS) return fail_argument(ctx, kernel, code, i, what);
    }
    bool chosen = range->local[0] || range->local[1] || range->local[2];
    cl_int code = clEnqueueNDRangeKernel(ctx->queue, kernel, range->dims, NULL, range->global,
                                         chosen ? range->local : NULL, 0, NULL, NULL);
    if (code != CL_SUCCESS) return fail_launch(ctx, kernel, range, code, what);
    ctx->counters.kernels_enqueued++;
    return TESS_OK;
}

void kernel_observe(tess_context *ctx, kernel_observer *observer, void *user) {
    ctx->kernel_observer = observer;
    ctx->kernel_observer_user = user;
}
