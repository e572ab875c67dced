/* The yardstick of a convolution: work of its kind and size that no version of the library changes (kernels_cl/yardstick.cl). Timed in turn
   with the convolution, it says how fast the machine was at that moment: what caches and memory that others use cost hits both. */
#ifndef TESSERA_BENCH_YARDSTICK_H
#define TESSERA_BENCH_YARDSTICK_H

#include "ops/conv/conv_problem.h"

struct yardstick {
    tess_context *ctx;
    cl_kernel kernel;
    tess_tensor *x, *w, *y;
    int blocks, kblocks, channels, taps, s, width, step;
};

tess_status yardstick_create(tess_context *ctx, const struct conv_problem *problem,
                             struct yardstick *out);
tess_status yardstick_run(void *user);           /* a struct timed's run; user: the yardstick */
void yardstick_destroy(struct yardstick *stick); /* all zero is allowed */

#endif
