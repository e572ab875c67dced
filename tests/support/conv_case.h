/* Single convolution plans with given configurations against the float64 reference. */
#ifndef TESSERA_TESTS_CONV_CASE_H
#define TESSERA_TESTS_CONV_CASE_H

#include "tessera.h"

struct conv_case {
    const char *key, *config; /* config: the part after "__" */
    tess_conv_pass pass;
    bool epilogue; /* bias and residual, then act */
    tess_act act;
};

/* Runs one plan of algo twice: the result must be right, the same both times, and nothing behind it may change. false: the
   configuration is not valid for the problem on this device, and nothing was run. */
bool conv_case_check(tess_context *ctx, const char *algo, const struct conv_case *c);

#endif
