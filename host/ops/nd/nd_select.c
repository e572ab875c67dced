#include "ops/nd/nd_select.h"

#include <stdio.h>

tess_status nd_select_kernel(tess_context *ctx, enum nd_dtype dtype, enum nd_dtype index,
                             const char *entry, cl_kernel *out) {
    struct program *program = NULL;
    char options[64], config[64];
    int vector = launch_vector(ctx), bytes = (int)nd_dtype_bytes(dtype);
    int index_bytes = (int)nd_dtype_bytes(index);
    snprintf(options, sizeof options, "-DVEC=%d -DBYTES=%d -DINDEX=%d", vector, bytes, index_bytes);
    snprintf(config, sizeof config, "%s__vec%d_bytes%d_index%d", entry, vector, bytes, index_bytes);
    tess_status status = program_get(ctx, "nd_select.cl", options, config, &program);
    if (status) return status;
    return program_kernel(ctx, program, entry, out);
}

struct nd_extents nd_extents_of(const struct nd_shape *x, int axis) {
    struct nd_extents e = {1, 1, 1};
    for (int d = 0; d < x->rank; d++) {
        cl_int *into = d < axis ? &e.outer : d == axis ? &e.size : &e.inner;
        *into *= (cl_int)x->dims[d];
    }
    return e;
}
