/* The inside of tess_eltwise, shared by the files that implement its operators. */
#ifndef TESSERA_OPS_ELTWISE_H
#define TESSERA_OPS_ELTWISE_H

#include "core/program.h"
#include "core/tensor.h"
#include "ops/activation.h"
#include "ops/column_sum.h"

struct tess_eltwise {
    tess_context *ctx;
    int vector; /* elements of a work-item */
    cl_kernel activation_fwd[ACTIVATION_COUNT], activation_bwd[ACTIVATION_COUNT];
    cl_kernel add_fwd[ACTIVATION_COUNT], bias_fwd[ACTIVATION_COUNT];
    cl_kernel copy_channels;
    cl_kernel dropout;
    cl_kernel layout_tiled, layout_narrow;
    int tile; /* of layout_tiled */
    struct column_sum sum;
};

/* Groups of kernels, a program or two each. */
enum eltwise_needs {
    ELTWISE_MAPS = 1, /* activations, additions, bias, copied channels */
    ELTWISE_DROPOUT = 2,
    ELTWISE_LAYOUT = 4,
    ELTWISE_SUMS = 8, /* the bias's gradient */
    ELTWISE_ALL = 15
};

/* tess_eltwise_create with only the kernels that are needed; a call of another operator fails. needs: of the above, or'ed. */
tess_status eltwise_create(tess_context *ctx, unsigned needs, tess_eltwise **out);

/* tensor is TESS_F32 and, with like given, of its layout and shape. what: "add: b". */
tess_status eltwise_expect(const tess_eltwise *op, const tess_tensor *tensor,
                           const tess_tensor *like, const char *what);

#endif
