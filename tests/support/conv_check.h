/* Convolution plans on random operands against a float64 reference: what the test_conv programs share. */
#ifndef TESSERA_TESTS_CONV_CHECK_H
#define TESSERA_TESTS_CONV_CHECK_H

#include "ops/conv/conv_algo.h"
#include "tessera.h"

/* Every kind of problem, ragged: no multiple of any tile. conv_problem_count of them are run: slow implementations
   (check_tiny) get the small ones, which come first. */
extern const char *const conv_problems[];
int conv_problem_count(void);

/* A problem and its operands: x NHWC, w RSCK, dy and residual NHWC, bias K; numbers in [-1, 1). */
struct conv_data {
    tess_conv_desc d;
    int p, q;
    size_t nx, nw, ny;
    float *x, *w, *dy, *bias, *residual;
};

/* Fails the test for a bad key. End it with conv_data_free. */
struct conv_data conv_data_make(const char *key);
void conv_data_free(struct conv_data *t);

/* The elements of a pass's result, and how many products each of them sums. */
void conv_result_size(const struct conv_data *t, tess_conv_pass pass, size_t *count,
                      size_t *length);

/* The result in float64, to be freed; count and length as above. */
double *conv_reference(const struct conv_data *t, const tess_conv_options *o, size_t *count,
                       size_t *length);

/* Runs a plan on poisoned outputs and workspace; the result in its own layout, to be freed. */
float *conv_run(tess_context *ctx, const struct conv_data *t, tess_conv_plan *plan,
                const tess_conv_options *o);

/* Plans, runs, compares with want as the algorithm's error bound allows, runs again: same bytes. */
void conv_check_plan(tess_context *ctx, const struct conv_data *t, const tess_conv_options *o,
                     const double *want, size_t count, size_t length);

/* Whether the algorithm is to be tested on this problem: it can do it, TESSERA_TEST_ALGO=NAME (while someone works on one) does not
   name another one, and it is not too slow for a simulator. */
bool conv_can_do(tess_context *ctx, const tess_conv_desc *d, const tess_conv_options *o,
                 const struct conv_algo *algo);

#endif
