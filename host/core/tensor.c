#include "core/tensor.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ELEMENTS INT_MAX /* so that kernels may index with an int */

static bool known_layout(tess_layout layout) {
    return (unsigned)layout <= TESS_RSCK;
}

/* 0 for a desc that cannot be. */
static size_t count_elements(const tess_tensor_desc *desc) {
    const int dims[] = {desc->n, desc->c, desc->h, desc->w};
    size_t count = 1;
    for (int i = 0; i < 4; i++) {
        if (dims[i] < 1 || (size_t)dims[i] > MAX_ELEMENTS / count) return 0;
        count *= (size_t)dims[i];
    }
    return count;
}

size_t tess_tensor_desc_elements(const tess_tensor_desc *desc) {
    return desc ? count_elements(desc) : 0;
}

/* Both dtypes take four bytes. */
size_t tess_tensor_desc_bytes(const tess_tensor_desc *desc) {
    return desc ? count_elements(desc) * sizeof(cl_float) : 0;
}

tess_status tensor_desc_check(tess_context *ctx, const tess_tensor_desc *desc, const char *what) {
    if (!desc)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: the desc is NULL; give one", what);
    if ((unsigned)desc->dtype > TESS_I32)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: there is no dtype %d; use TESS_F32 or TESS_I32", what,
                            (int)desc->dtype);
    if (!known_layout(desc->layout))
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: there is no layout %d; use TESS_NHWC, TESS_NCHW or TESS_RSCK",
                            what, (int)desc->layout);
    if (count_elements(desc) == 0)
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "%s: impossible shape n %d, c %d, h %d, w %d; each must be at least 1 "
                            "and their product at most %d",
                            what, desc->n, desc->c, desc->h, desc->w, MAX_ELEMENTS);
    return TESS_OK;
}

tess_status tensor_expect(tess_context *ctx, const tess_tensor *tensor, tess_dtype dtype,
                          size_t elements, const char *what) {
    if (!tensor)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: the tensor is NULL; give one", what);
    if (tensor->ctx != ctx)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: the tensor belongs to another context; make it from this one",
                            what);
    if (tensor->desc.dtype != dtype)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: the dtype must be %s", what,
                            dtype == TESS_F32 ? "TESS_F32" : "TESS_I32");
    size_t have = count_elements(&tensor->desc);
    if (elements && have != elements)
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "%s: the tensor has %zu elements (n %d, c %d, h %d, w %d), and %zu are "
                            "needed",
                            what, have, tensor->desc.n, tensor->desc.c, tensor->desc.h,
                            tensor->desc.w, elements);
    return TESS_OK;
}

/* NULL: out of memory. */
static tess_tensor *tensor_new(tess_context *ctx, const tess_tensor_desc *desc) {
    tess_tensor *tensor = calloc(1, sizeof *tensor);
    if (!tensor) {
        context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "creating a tensor: out of memory");
        return NULL;
    }
    tensor->ctx = ctx;
    tensor->desc = *desc;
    return tensor;
}

tess_status tess_tensor_create(tess_context *ctx, const tess_tensor_desc *desc, tess_tensor **out) {
    if (!ctx || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "creating a tensor: an argument is NULL");
    tess_status status = tensor_desc_check(ctx, desc, "creating a tensor");
    if (status) return status;
    tess_tensor *tensor = tensor_new(ctx, desc);
    if (!tensor) return TESS_OUT_OF_HOST_MEMORY;
    size_t bytes = tess_tensor_desc_bytes(desc);
    status = context_buffer_create(ctx, bytes, &tensor->mem);
    if (status) {
        free(tensor);
        return status;
    }
    tensor->bytes = bytes;
    *out = tensor;
    return TESS_OK;
}

/* desc is checked; memory is a buffer of this context. */
static tess_status tensor_in(tess_context *ctx, const tess_tensor_desc *desc, cl_mem memory,
                             size_t offset, const char *what, tess_tensor **out) {
    tess_tensor *tensor = tensor_new(ctx, desc);
    if (!tensor) return TESS_OUT_OF_HOST_MEMORY;
    tess_status status =
        context_subbuffer_create(ctx, memory, offset, tess_tensor_desc_bytes(desc), &tensor->mem);
    if (status) {
        free(tensor);
        return error_prefix(&ctx->error, status, "%s", what);
    }
    *out = tensor;
    return TESS_OK;
}

/* Whether memory can carry a tensor of this context. */
static tess_status check_memory(tess_context *ctx, cl_mem memory) {
    cl_mem_object_type type = 0;
    cl_context owner = NULL;
    cl_int code = clGetMemObjectInfo(memory, CL_MEM_TYPE, sizeof type, &type, NULL);
    if (code == CL_SUCCESS)
        code = clGetMemObjectInfo(memory, CL_MEM_CONTEXT, sizeof owner, &owner, NULL);
    if (code != CL_SUCCESS)
        return context_fail_opencl(ctx, code, "wrapping memory: querying the memory object");
    if (type != CL_MEM_OBJECT_BUFFER)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "wrapping memory: the memory object is an image; give a buffer");
    if (owner != ctx->cl)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "wrapping memory: the buffer belongs to another cl_context; create it "
                            "from this one's");
    return TESS_OK;
}

tess_status tess_tensor_wrap(tess_context *ctx, const tess_tensor_desc *desc, cl_mem memory,
                             size_t offset, tess_tensor **out) {
    if (!ctx || !memory || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "wrapping memory: an argument is NULL");
    tess_status status = tensor_desc_check(ctx, desc, "wrapping memory");
    if (!status) status = check_memory(ctx, memory);
    if (status) return status;
    return tensor_in(ctx, desc, memory, offset, "wrapping memory", out);
}

tess_status tess_tensor_view(tess_tensor *parent, const tess_tensor_desc *desc, size_t offset,
                             tess_tensor **out) {
    tess_context *ctx = parent ? parent->ctx : NULL;
    if (!ctx || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "viewing a tensor: an argument is NULL");
    tess_status status = tensor_desc_check(ctx, desc, "viewing a tensor");
    if (status) return status;
    return tensor_in(ctx, desc, parent->mem, offset, "viewing a tensor", out);
}

void tess_tensor_destroy(tess_tensor *tensor) {
    if (!tensor) return;
    context_buffer_release(tensor->ctx, tensor->mem, tensor->bytes);
    free(tensor);
}

const tess_tensor_desc *tess_tensor_get_desc(const tess_tensor *tensor) {
    return tensor ? &tensor->desc : NULL;
}

cl_mem tess_tensor_memory(const tess_tensor *tensor) {
    return tensor ? tensor->mem : NULL;
}
