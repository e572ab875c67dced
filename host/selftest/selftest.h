/* Self-tests for `tessera doctor`: each operator's kernels on tiny shapes against references in float64 that share nothing with them.
   They ask whether a device and its driver compute what they should; whether the kernels are right is the business of tests/. */
#ifndef TESSERA_SELFTEST_H
#define TESSERA_SELFTEST_H

#include "core/context.h"

enum { SELFTEST_NAME_SIZE = 64 };

enum selftest_verdict {
    SELFTEST_PASSED,
    SELFTEST_WRONG,   /* it ran, and the results are wrong */
    SELFTEST_FAILED,  /* it did not build or run */
    SELFTEST_LEFT_OUT /* not for this device: its limits do not allow it */
};

struct selftest_result {
    enum selftest_verdict verdict;
    char text[1024]; /* what is wrong, one line; "" where nothing is */
};

/* Self-tests are numbered from 0; the order is that of use: convolutions first. */
int selftest_count(void);
void selftest_name(int index, char name[SELFTEST_NAME_SIZE]); /* "conv direct fwd" */
/* -1: there is none. */
int selftest_find(const char *name);

/* Compiles, runs and compares. folder: NULL, or an existing one that receives, as soon as they are known, inputs (input_NAME.npy), what
   should come out (expected_NAME.npy), what came out (actual_NAME.npy, float32), and of each program its expanded source, options and
   build log (program_N.cl, .options, .log): if the driver takes the process with it, what led there is left. */
void selftest_run(tess_context *ctx, int index, const char *folder, struct selftest_result *out);

#endif
