/* Inside the N-dimensional operators: kernels_cl/nd_select.cl. */
#ifndef TESSERA_OPS_ND_ND_SELECT_H
#define TESSERA_OPS_ND_ND_SELECT_H

#include "ops/nd/nd_copy.h"

/* A kernel of nd_select.cl, for elements of dtype and indices of index. */
tess_status nd_select_kernel(tess_context *ctx, enum nd_dtype dtype, enum nd_dtype index,
                             const char *entry, cl_kernel *out);

/* x as outer x size x inner, around axis. */
struct nd_extents {
    cl_int outer, size, inner;
};
struct nd_extents nd_extents_of(const struct nd_shape *x, int axis);

#endif
