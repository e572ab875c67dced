/* Inside the N-dimensional operators: strided copies (kernels_cl/nd_copy.cl). */
#ifndef TESSERA_OPS_ND_ND_COPY_H
#define TESSERA_OPS_ND_ND_COPY_H

#include "ops/nd/nd_walk.h"

struct nd_copy {
    tess_context *ctx;
    cl_mem memory; /* of the kernel's struct, owned; NULL: nothing to copy */
    size_t bytes;  /* of memory */
    cl_kernel kernel;
    struct kernel_range range;
};

/* space has two operands: 0 is read, 1 is written. Chooses a transpose where both have neighbours, but along different dimensions.
   On failure nothing is left to destroy. */
tess_status nd_copy_create(tess_context *ctx, const struct nd_space *space, enum nd_dtype dtype,
                           const char *what, struct nd_copy *out);
void nd_copy_destroy(struct nd_copy *copy);
tess_status nd_copy_enqueue(const struct nd_copy *copy, cl_mem x, cl_mem y, const char *what);

/* The program nd_copy.cl for elements of dtype. */
tess_status nd_copy_program(tess_context *ctx, enum nd_dtype dtype, struct program **out);

/* TESS_INVALID_ARGUMENT unless dtype is one of the enum, and ND_F32 with gradients. */
tess_status nd_dtype_check(tess_context *ctx, enum nd_dtype dtype, bool gradients,
                           const char *what);

#endif
