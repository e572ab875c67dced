/* Whether a plan's run is right, by a check that shares no code with the tuner's: every element against ref_conv.h, the memory
   around every operand. */
#ifndef TESSERA_TESTS_FAULT_CASE_H
#define TESSERA_TESTS_FAULT_CASE_H

#include "support/check.h"

/* A problem, random operands, and its three results in float64. */
struct fault_case {
    tess_conv_desc d;
    float *operand[3]; /* x, w, dy */
    tess_tensor_desc desc[3];
    double *want[3]; /* y, dx, dw */
};

/* Fails the test for a bad key. End it with fault_case_free. */
struct fault_case fault_case_make(const char *key);
void fault_case_free(struct fault_case *t);

/* One run with margins of filling and old contents of old; false if anything about it is wrong. */
bool fault_run_is_right(tess_context *ctx, const struct fault_case *t, tess_conv_plan *plan,
                        tess_conv_pass pass, float filling, float old);

#endif
