/* Measured limits of a device, as work to time. */
#ifndef TESSERA_BENCH_ROOF_H
#define TESSERA_BENCH_ROOF_H

#include "bench/timing.h"

/* Fused multiply-adds in registers. */
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

/* A copy of global memory, larger than the caches that the device tells of and at most a quarter of its memory. */
struct copy_roof {
    tess_context *ctx;
    cl_kernel kernel;
    tess_tensor *from, *to;
    int vectors;  /* of 16 floats */
    double bytes; /* read and written in one run */
};

tess_status copy_roof_create(tess_context *ctx, struct copy_roof *roof);
tess_status copy_roof_run(void *user);
void copy_roof_destroy(struct copy_roof *roof);

#endif
