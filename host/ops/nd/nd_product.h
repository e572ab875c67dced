/* Inside the N-dimensional operators: products of batches of matrices (kernels_cl/nd_matmul.cl). */
#ifndef TESSERA_OPS_ND_ND_PRODUCT_H
#define TESSERA_OPS_ND_ND_PRODUCT_H

#include "ops/nd/nd_walk.h"

struct nd_product_desc {
    int64_t m, n, k;
    bool trans_a, trans_b;                   /* a is k x m, b is n x k */
    struct nd_shape batch, a_batch, b_batch; /* of y and of the operands, which broadcast to it */
    int64_t c_row, c_column;                 /* strides of c; 0: broadcast */
    const char *what;
};

struct nd_product {
    tess_context *ctx;
    cl_mem memory; /* struct nd_matmul_geometry, owned; NULL: y has no elements */
    cl_kernel kernel;
    struct kernel_range range;
};

/* On failure nothing is left to destroy. */
tess_status nd_product_create(tess_context *ctx, const struct nd_product_desc *desc,
                              struct nd_product *out);
void nd_product_destroy(struct nd_product *product);

/* y = alpha a b + beta c; c may be NULL. */
tess_status nd_product_enqueue(const struct nd_product *product, cl_mem a, cl_mem b, cl_mem c,
                               cl_mem y, float alpha, float beta, const char *what);

#endif
