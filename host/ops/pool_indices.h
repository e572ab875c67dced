/* Positions of max pooling, as tess_pool_forward records them, made ONNX's indices: kernels_cl/pool_indices.cl. */
#ifndef TESSERA_OPS_POOL_INDICES_H
#define TESSERA_OPS_POOL_INDICES_H

#include "core/tensor.h"

struct pool_indices;

struct pool_indices_desc {
    int n, c, p, q;  /* of the pooling's output */
    int h, w;        /* of its input */
    bool by_columns; /* within an image: ONNX's storage_order 1 */
};

tess_status pool_indices_create(tess_context *ctx, const struct pool_indices_desc *desc,
                                struct pool_indices **out);
void pool_indices_destroy(struct pool_indices *op);

/* positions: TESS_I32, N P Q C. y: n * c * p * q 64-bit integers, N C P Q. Enqueues. */
tess_status pool_indices_enqueue(struct pool_indices *op, const tess_tensor *positions, cl_mem y);

#endif
