#include "core/context.h"

#include <inttypes.h>

/* CPUs map any buffer in place. Other devices that share memory with the host (integrated GPUs) do so only for
   memory that the driver allocated with the host in mind. */
static cl_mem_flags buffer_flags(const tess_device_info *device) {
    bool host_visible = device->unified_memory && !(device->type & CL_DEVICE_TYPE_CPU);
    return CL_MEM_READ_WRITE | (host_visible ? CL_MEM_ALLOC_HOST_PTR : 0);
}

tess_status context_buffer_create(tess_context *ctx, size_t bytes, cl_mem *out) {
    const tess_device_info *device = &ctx->device;
    if (bytes == 0)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "creating a buffer: its size is 0; ask for at least one byte");
    if (device->max_allocation && bytes > device->max_allocation)
        return context_fail(ctx, TESS_OUT_OF_DEVICE_MEMORY,
                            "creating a buffer of %zu bytes: %s allows at most %" PRIu64
                            " bytes each; use a smaller batch or network",
                            bytes, device->name, device->max_allocation);
    cl_int code = CL_SUCCESS;
    cl_mem mem = clCreateBuffer(ctx->cl, buffer_flags(device), bytes, NULL, &code);
    if (code != CL_SUCCESS) {
        tess_status status = context_fail_opencl(ctx, code, "clCreateBuffer");
        return error_prefix(&ctx->error, status,
                            "creating a buffer of %zu bytes with %" PRIu64 " in use", bytes,
                            ctx->counters.device_bytes);
    }
    ctx->counters.buffers_created++;
    ctx->counters.device_bytes += bytes;
    if (ctx->counters.device_bytes > ctx->counters.device_bytes_peak)
        ctx->counters.device_bytes_peak = ctx->counters.device_bytes;
    *out = mem;
    return TESS_OK;
}

/* OpenCL allows no sub-buffer of a sub-buffer: finds the buffer that parent lies in, and adds parent's place in it. */
static cl_int find_root(cl_mem *parent, size_t *offset) {
    cl_mem root = NULL;
    size_t start = 0;
    cl_int code =
        clGetMemObjectInfo(*parent, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof root, &root, NULL);
    if (code != CL_SUCCESS || !root) return code;
    code = clGetMemObjectInfo(*parent, CL_MEM_OFFSET, sizeof start, &start, NULL);
    if (code != CL_SUCCESS) return code;
    *parent = root;
    *offset += start;
    return CL_SUCCESS;
}

tess_status context_subbuffer_create(tess_context *ctx, cl_mem parent, size_t offset, size_t bytes,
                                     cl_mem *out) {
    size_t size = 0;
    cl_int code = clGetMemObjectInfo(parent, CL_MEM_SIZE, sizeof size, &size, NULL);
    if (code != CL_SUCCESS)
        return context_fail_opencl(ctx, code, "creating a sub-buffer: querying its parent");
    if (bytes == 0 || offset > size || bytes > size - offset)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "creating a sub-buffer: %zu bytes at %zu do not lie within the "
                            "parent's %zu; give a smaller shape or offset",
                            bytes, offset, size);
    size_t align = ctx->device.base_align;
    if (align && offset % align != 0)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "creating a sub-buffer: offset %zu is not a multiple of the device's "
                            "base_align, %zu; round it up",
                            offset, align);
    code = find_root(&parent, &offset);
    if (code != CL_SUCCESS)
        return context_fail_opencl(ctx, code, "creating a sub-buffer: querying its parent");
    cl_buffer_region region = {.origin = offset, .size = bytes};
    cl_mem mem = clCreateSubBuffer(parent, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (code != CL_SUCCESS) return context_fail_opencl(ctx, code, "clCreateSubBuffer");
    ctx->counters.buffers_created++;
    *out = mem;
    return TESS_OK;
}

void context_buffer_release(tess_context *ctx, cl_mem mem, size_t bytes) {
    if (!mem) return;
    clReleaseMemObject(mem);
    ctx->counters.device_bytes -= bytes;
}
