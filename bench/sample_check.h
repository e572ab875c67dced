/* Is a benchmarked result right? A float64 recomputation of a few of its elements. */
#ifndef TESSERA_BENCH_SAMPLE_CHECK_H
#define TESSERA_BENCH_SAMPLE_CHECK_H

#include "ops/conv/conv_problem.h"

/* Largest absolute error of count elements of result, spread over all of it by a fixed pattern. x, w, y: the operands, NHWC and
   RSCK; of these, the one that the pass makes is not read. NaN where any sampled element is NaN. */
double sample_check(const struct conv_problem *problem, const float *x, const float *w,
                    const float *y, const float *result, int count);

#endif
