/* Measured limits of a device. */
#ifndef TESSERA_BENCH_ROOF_H
#define TESSERA_BENCH_ROOF_H

#include "bench/timing.h"

/* The fused multiply-add loop as work to time. */
struct fma_roof {
    tess_context *ctx;
    cl_kernel kernel;
    tess_tensor *out;
    int items, steps;
    double flops; /* of one run */
};

tess_status fma_roof_create(tess_context *ctx, struct fma_roof *roof);
tess_status fma_roof_run(void *user); /* a struct timed's run; user: the roof */
void fma_roof_destroy(struct fma_roof *roof);

#endif
