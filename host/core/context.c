#include "core/context.h"

#include "core/cache_dir.h"
#include "core/device.h"
#include "core/kernel_bundle.h"
#include "core/pocl_cache.h"
#include "core/program.h"
#include "core/program_cache.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tess_status(context_fail)(tess_context *ctx, tess_status status, const char *format, ...) {
    if (!ctx) return status;
    char text[sizeof ctx->error.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    context_log(ctx, TESS_LOG_DEBUG, "%s", text);
    return error_set(&ctx->error, status, "%s", text);
}

tess_status(context_fail_opencl)(tess_context *ctx, cl_int code, const char *what) {
    if (!ctx) return error_opencl(NULL, code, what);
    tess_status status = error_opencl(&ctx->error, code, what);
    context_log(ctx, TESS_LOG_DEBUG, "%s", ctx->error.text);
    return status;
}

void context_log(const tess_context *ctx, tess_log_level level, const char *format, ...) {
    if (!ctx || !ctx->log || level > ctx->log_level) return;
    char line[sizeof ctx->error.text];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ctx->log(ctx->log_user, level, line);
}

/* Everything of a context that does not depend on where its OpenCL objects come from. NULL: out of memory. */
static tess_context *context_new(const tess_context_options *options, tess_error *error) {
    tess_context *ctx = calloc(1, sizeof *ctx);
    if (!ctx) goto no_memory;
    ctx->log = options->log;
    ctx->log_user = options->log_user;
    ctx->log_level = options->log_level;
    const char *kernel_dir = options->kernel_dir;
    if (!kernel_dir) kernel_dir = getenv("TESSERA_KERNEL_DIR");
    if (kernel_dir && *kernel_dir) {
        ctx->kernel_dir = strdup(kernel_dir);
        if (!ctx->kernel_dir) goto no_memory;
    }
    cache_dir_open(ctx, options->cache_dir);
    return ctx;
no_memory:
    free(ctx);
    error_set(error, TESS_OUT_OF_HOST_MEMORY, "creating a context: out of memory");
    return NULL;
}

static tess_status open_bundle(tess_context *ctx, const tess_context_options *options,
                               tess_error *error) {
    if (!options->kernels) return TESS_OK;
    ctx->own_kernels_only = true;
    return kernel_bundle_open(options->kernels, &ctx->device, error, &ctx->bundle);
}

static void log_device(const tess_context *ctx) {
    context_log(ctx, TESS_LOG_INFO, "device: %s, %s, driver %s, cache %s", ctx->device.name,
                ctx->device.opencl_version, ctx->device.driver_version,
                ctx->cache_dir ? ctx->cache_dir : "off");
    char why[sizeof ctx->error.text];
    if (strcmp(ctx->device.platform_name, POCL_PLATFORM) == 0 && pocl_cache_look(why, sizeof why))
        context_log(ctx, TESS_LOG_WARN, "%s", why);
}

tess_status tess_context_create(const tess_context_options *options, tess_error *error,
                                tess_context **out) {
    static const tess_context_options defaults = {0};
    if (!out) return error_set(error, TESS_INVALID_ARGUMENT, "tess_context_create: out is NULL");
    if (!options) options = &defaults;
    tess_device_info device;
    tess_status status = tess_device_find(options->device, error, &device);
    if (status) return status;
    status = device_check(&device, !options->kernels, error);
    if (status) return status;
    tess_context *ctx = context_new(options, error);
    if (!ctx) return TESS_OUT_OF_HOST_MEMORY;
    ctx->device = device;
    const char *what = "clCreateContext";
    cl_int code = CL_SUCCESS;
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                          (cl_context_properties)device.platform, 0};
    ctx->cl = clCreateContext(properties, 1, &device.device, NULL, NULL, &code);
    if (code != CL_SUCCESS) goto fail;
    what = "clCreateCommandQueue";
    ctx->queue = clCreateCommandQueue(ctx->cl, device.device,
                                      options->profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    if (code != CL_SUCCESS) goto fail;
    status = open_bundle(ctx, options, error);
    if (status) goto destroy;
    log_device(ctx);
    *out = ctx;
    return TESS_OK;
fail:
    status = error_opencl(error, code, what);
    error_prefix(error, status, "device %s", device.name);
destroy:
    tess_context_destroy(ctx);
    return status;
}

static tess_status check_context_device(cl_context context, cl_device_id device,
                                        tess_error *error) {
    size_t size = 0;
    cl_int code = clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &size);
    if (code != CL_SUCCESS)
        return error_opencl(error, code, "adopting a context: querying its devices");
    cl_device_id *devices = malloc(size ? size : 1);
    if (!devices)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "adopting a context: out of memory");
    code = clGetContextInfo(context, CL_CONTEXT_DEVICES, size, devices, NULL);
    bool found = false;
    for (size_t i = 0; code == CL_SUCCESS && i < size / sizeof *devices; i++)
        found = found || devices[i] == device;
    free(devices);
    if (code != CL_SUCCESS)
        return error_opencl(error, code, "adopting a context: querying its devices");
    if (!found)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "adopting a context: the device is not one of its devices; give the one "
                         "that it was created for");
    return TESS_OK;
}

/* CL_QUEUE_ON_DEVICE of OpenCL 2.0: a queue that only kernels can use. */
#define QUEUE_ON_DEVICE (1u << 2)

static tess_status check_queue(cl_context context, cl_device_id device, cl_command_queue queue,
                               tess_error *error) {
    cl_context queue_context = NULL;
    cl_device_id queue_device = NULL;
    cl_command_queue_properties properties = 0;
    cl_int code =
        clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof queue_context, &queue_context, NULL);
    if (code == CL_SUCCESS)
        code =
            clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof queue_device, &queue_device, NULL);
    if (code == CL_SUCCESS)
        code =
            clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (code != CL_SUCCESS)
        return error_opencl(error, code, "adopting a context: querying the queue");
    if (queue_context != context || queue_device != device)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "adopting a context: the queue belongs to another context or device; "
                         "create it from these two");
    if (properties & (CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | QUEUE_ON_DEVICE))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "adopting a context: the queue is out-of-order or on the device; create "
                         "an in-order host queue");
    return TESS_OK;
}

/* Platform and device index as tess_device_list counts; a sub-device is in no list and keeps 0:0. */
static void find_indices(tess_device_info *device) {
    tess_device_info *list = NULL;
    size_t count = 0;
    if (tess_device_list(NULL, &list, &count)) return;
    for (size_t i = 0; i < count; i++) {
        if (list[i].device != device->device) continue;
        device->platform_index = list[i].platform_index;
        device->device_index = list[i].device_index;
    }
    tess_device_list_free(list);
}

tess_status tess_context_adopt(cl_context context, cl_device_id device, cl_command_queue queue,
                               const tess_context_options *options, tess_error *error,
                               tess_context **out) {
    static const tess_context_options defaults = {0};
    if (!context || !device || !queue || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "adopting a context: context, device, queue or out is NULL");
    tess_status status = check_context_device(context, device, error);
    if (status) return status;
    status = check_queue(context, device, queue, error);
    if (status) return status;
    tess_device_info info;
    device_query(device, &info);
    find_indices(&info);
    status = device_check(&info, !options || !options->kernels, error);
    if (status) return status;
    tess_context *ctx = context_new(options ? options : &defaults, error);
    if (!ctx) return TESS_OUT_OF_HOST_MEMORY;
    ctx->device = info;
    cl_int code = clRetainContext(context);
    if (code != CL_SUCCESS) goto fail;
    ctx->cl = context;
    code = clRetainCommandQueue(queue);
    if (code != CL_SUCCESS) goto fail;
    ctx->queue = queue;
    status = open_bundle(ctx, options ? options : &defaults, error);
    if (status) {
        tess_context_destroy(ctx);
        return status;
    }
    log_device(ctx);
    *out = ctx;
    return TESS_OK;
fail:
    tess_context_destroy(ctx);
    return error_opencl(error, code, "adopting a context: retaining its objects");
}

void tess_context_destroy(tess_context *ctx) {
    if (!ctx) return;
    if (ctx->advisor) ctx->advisor_destroy(ctx->advisor);
    if (ctx->counters.device_bytes)
        context_log(ctx, TESS_LOG_WARN,
                    "context destroyed: %" PRIu64 " bytes of its buffers are still alive; destroy "
                    "what was made from it first",
                    ctx->counters.device_bytes);
    programs_destroy(ctx);
    kernel_bundle_close(ctx->bundle);
    if (ctx->queue) clReleaseCommandQueue(ctx->queue);
    if (ctx->cl) clReleaseContext(ctx->cl);
    free(ctx->cache_dir);
    free(ctx->kernel_dir);
    free(ctx);
}

cl_context tess_context_cl(const tess_context *ctx) {
    return ctx ? ctx->cl : NULL;
}

cl_command_queue tess_context_queue(const tess_context *ctx) {
    return ctx ? ctx->queue : NULL;
}

const tess_device_info *tess_context_device(const tess_context *ctx) {
    return ctx ? &ctx->device : NULL;
}

const char *tess_context_last_error(const tess_context *ctx) {
    return ctx ? ctx->error.text : "";
}

tess_status tess_context_finish(tess_context *ctx) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    cl_int code = clFinish(ctx->queue);
    return code == CL_SUCCESS ? TESS_OK : context_fail_opencl(ctx, code, "clFinish");
}

tess_counters tess_context_counters(const tess_context *ctx) {
    return ctx ? ctx->counters : (tess_counters){0};
}
