#include "core/tensor.h"

/* Host <-> tensor. Where the layouts agree the driver copies; where they do not, the conversion writes straight into
   (or reads straight from) the mapped tensor: on devices that share memory with the host the only copy there is, on
   others the mapping is the staging buffer that a transfer needs anyway. */

static tess_status map_tensor(const tess_tensor *tensor, cl_map_flags flags, void **out) {
    cl_int code = CL_SUCCESS;
    void *mapped = clEnqueueMapBuffer(tensor->ctx->queue, tensor->mem, CL_TRUE, flags, 0,
                                      tess_tensor_desc_bytes(&tensor->desc), 0, NULL, NULL, &code);
    if (code != CL_SUCCESS) return context_fail_opencl(tensor->ctx, code, "mapping a tensor");
    *out = mapped;
    return TESS_OK;
}

static tess_status unmap_tensor(const tess_tensor *tensor, void *mapped) {
    cl_int code = clEnqueueUnmapMemObject(tensor->ctx->queue, tensor->mem, mapped, 0, NULL, NULL);
    return code == CL_SUCCESS ? TESS_OK
                              : context_fail_opencl(tensor->ctx, code, "unmapping a tensor");
}

static tess_status check_transfer(const tess_tensor *tensor, const void *host, tess_layout layout,
                                  const char *what) {
    if (!tensor) return TESS_INVALID_ARGUMENT;
    if (!host)
        return context_fail(tensor->ctx, TESS_INVALID_ARGUMENT,
                            "%s: the host pointer is NULL; give one", what);
    if ((unsigned)layout > TESS_RSCK)
        return context_fail(tensor->ctx, TESS_INVALID_ARGUMENT,
                            "%s: there is no layout %d; use TESS_NHWC, TESS_NCHW or TESS_RSCK",
                            what, (int)layout);
    return TESS_OK;
}

tess_status tess_tensor_write(tess_tensor *tensor, const void *src, tess_layout host_layout) {
    tess_status status = check_transfer(tensor, src, host_layout, "writing a tensor");
    if (status) return status;
    const tess_tensor_desc *desc = &tensor->desc;
    tensor->version++;
    if (layout_same(desc, host_layout, desc->layout)) {
        cl_int code = clEnqueueWriteBuffer(tensor->ctx->queue, tensor->mem, CL_TRUE, 0,
                                           tess_tensor_desc_bytes(desc), src, 0, NULL, NULL);
        return code == CL_SUCCESS ? TESS_OK
                                  : context_fail_opencl(tensor->ctx, code, "writing a tensor");
    }
    void *mapped = NULL;
    status = map_tensor(tensor, CL_MAP_WRITE_INVALIDATE_REGION, &mapped);
    if (status) return status;
    layout_copy(desc, host_layout, src, desc->layout, mapped);
    return unmap_tensor(tensor, mapped);
}

tess_status tess_tensor_read(const tess_tensor *tensor, void *dst, tess_layout host_layout) {
    tess_status status = check_transfer(tensor, dst, host_layout, "reading a tensor");
    if (status) return status;
    const tess_tensor_desc *desc = &tensor->desc;
    if (layout_same(desc, desc->layout, host_layout)) {
        cl_int code = clEnqueueReadBuffer(tensor->ctx->queue, tensor->mem, CL_TRUE, 0,
                                          tess_tensor_desc_bytes(desc), dst, 0, NULL, NULL);
        return code == CL_SUCCESS ? TESS_OK
                                  : context_fail_opencl(tensor->ctx, code, "reading a tensor");
    }
    void *mapped = NULL;
    status = map_tensor(tensor, CL_MAP_READ, &mapped);
    if (status) return status;
    layout_copy(desc, desc->layout, mapped, host_layout, dst);
    return unmap_tensor(tensor, mapped);
}

tess_status tess_tensor_map(tess_tensor *tensor, bool for_write, void **out) {
    if (!tensor) return TESS_INVALID_ARGUMENT;
    if (!out)
        return context_fail(tensor->ctx, TESS_INVALID_ARGUMENT,
                            "mapping a tensor: the output is NULL");
    if (for_write) tensor->version++;
    return map_tensor(tensor, for_write ? CL_MAP_WRITE_INVALIDATE_REGION : CL_MAP_READ, out);
}

tess_status tess_tensor_unmap(tess_tensor *tensor, void *mapped) {
    if (!tensor) return TESS_INVALID_ARGUMENT;
    if (!mapped)
        return context_fail(tensor->ctx, TESS_INVALID_ARGUMENT,
                            "unmapping a tensor: the pointer is NULL; give the one that "
                            "tess_tensor_map gave");
    return unmap_tensor(tensor, mapped);
}

tess_status tess_tensor_fill(tess_tensor *tensor, float value) {
    if (!tensor) return TESS_INVALID_ARGUMENT;
    union {
        cl_float f;
        cl_int i;
    } pattern = {.f = value};
    if (tensor->desc.dtype == TESS_I32) {
        if (!(value >= -0x1p31f && value < 0x1p31f))
            return context_fail(tensor->ctx, TESS_INVALID_ARGUMENT,
                                "filling a tensor: %g does not fit TESS_I32", (double)value);
        pattern.i = (cl_int)value;
    }
    tensor->version++;
    cl_int code = clEnqueueFillBuffer(tensor->ctx->queue, tensor->mem, &pattern, sizeof pattern, 0,
                                      tess_tensor_desc_bytes(&tensor->desc), 0, NULL, NULL);
    return code == CL_SUCCESS ? TESS_OK
                              : context_fail_opencl(tensor->ctx, code, "filling a tensor");
}
