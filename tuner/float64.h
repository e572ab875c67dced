/* Convolution's elements one by one in float64, from the definition: what results are verified against. */
#ifndef TESSERA_TUNER_FLOAT64_H
#define TESSERA_TUNER_FLOAT64_H

#include "ops/conv/conv_problem.h"

/* NHWC and RSCK; the one that the pass makes is not read. */
struct float64_operands {
    const struct conv_problem *problem;
    const float *x, *w, *y;
};

size_t float64_elements(const struct conv_problem *problem); /* of the result */
double float64_length(const struct conv_problem *problem);   /* most terms that an element has */

/* index: flat, in the result's own layout. */
double float64_at(const struct float64_operands *operands, size_t index);

/* How far a result in fp32 may be from value if operands lie in [-1, 1): a random walk of roundings, with room for the largest of
   many elements, as in the tests of the operators. growth: see conv_algo_error_growth. */
double float64_bound(const struct conv_problem *problem, double value, double growth);

#endif
