#include <math.h>

#include "ops/eltwise.h"
#include "ops/launch.h"

tess_status tess_dropout(tess_eltwise *op, float rate, uint64_t seed, uint64_t stream,
                         const tess_tensor *x, tess_tensor *y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!(rate >= 0.0f && rate < 1.0f))
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "dropout: the rate is %g; use one in 0 <= rate < 1", (double)rate);
    tess_status status = eltwise_expect(op, x, NULL, "dropout: x");
    if (!status) status = eltwise_expect(op, y, x, "dropout: y");
    if (status) return status;
    size_t count = tess_tensor_desc_elements(&x->desc);
    double keep = 1.0 - (double)rate;
    /* At least 256 words of 2^32 are kept, as the float next to 1 is 1 - 2^-24. */
    uint32_t last = (uint32_t)(llrint(keep * 0x1p32) - 1);
    struct kernel_range range = launch_range(op->ctx, (count + 15) / 16, 64);
    const struct kernel_arg args[] = {ARG_TENSOR(x),
                                      ARG_TENSOR(y),
                                      ARG_INT((cl_int)count),
                                      ARG_UINT(last),
                                      ARG_FLOAT((cl_float)(1.0 / keep)),
                                      ARG_ULONG(seed),
                                      ARG_ULONG(stream)};
    return kernel_enqueue(op->ctx, op->dropout, &range, args, 7, "dropout");
}
