/* The tensor's inside. */
#ifndef TESSERA_CORE_TENSOR_H
#define TESSERA_CORE_TENSOR_H

#include "core/context.h"

struct tess_tensor {
    tess_context *ctx;
    tess_tensor_desc desc;
    cl_mem mem;   /* the data starts at its first byte: views and offset wraps are sub-buffers */
    size_t bytes; /* of a buffer that this tensor allocated; 0 for views and wraps */
    uint64_t
        version; /* counts writes, mappings for writing, fills and SGD steps through this tensor */
};

/* Checks dtype, layout and dimensions; what names the tensor in the message. */
tess_status tensor_desc_check(tess_context *ctx, const tess_tensor_desc *desc, const char *what);

/* For operators: tensor exists, is of dtype, and has exactly elements elements (0: any number). what: "pool: dy". */
tess_status tensor_expect(tess_context *ctx, const tess_tensor *tensor, tess_dtype dtype,
                          size_t elements, const char *what);

/* Whether both layouts put every element of desc at the same place (as NHWC and NCHW do when C is 1). */
bool layout_same(const tess_tensor_desc *desc, tess_layout a, tess_layout b);

/* Copies host memory between two layouts. Both NULL-free, not overlapping, desc gives the dimensions. */
void layout_copy(const tess_tensor_desc *desc, tess_layout from, const void *src, tess_layout to,
                 void *dst);

#endif
