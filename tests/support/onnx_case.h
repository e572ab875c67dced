/* One case of ONNX's node test data: a folder with model.onnx and test_data_set_*. */
#ifndef TESSERA_TESTS_ONNX_CASE_H
#define TESSERA_TESTS_ONNX_CASE_H

#include "support/check.h"

enum case_outcome { CASE_PASSED, CASE_FAILED, CASE_OUT_OF_SCOPE };

struct case_result {
    enum case_outcome outcome;
    char why[300]; /* one line; "" if it passed */
};

/* Runs the model of folder as `tessera run` does, on each of its data sets, and compares with what is expected there: numbers may
   differ by CASE_ABSOLUTE + CASE_RELATIVE times what is expected, integers not at all. Never fails the test. */
#define CASE_RELATIVE 1e-3 /* as ONNX's own runner */
#define CASE_ABSOLUTE 1e-5 /* that has 1e-7, which sums of fp32 that cancel do not keep */
struct case_result onnx_case_run(tess_context *ctx, const char *folder);

/* Runs the case's model with one bit of its file changed, which seed chooses. It may give anything, but if it is refused there must be a
   reason in one line, else the test fails. True if it ran. */
bool onnx_case_damaged(tess_context *ctx, const char *folder, uint64_t seed);

#endif
