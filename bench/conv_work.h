/* One convolution, planned and with operands in place, as a piece of work to time. */
#ifndef TESSERA_BENCH_CONV_WORK_H
#define TESSERA_BENCH_CONV_WORK_H

#include "ops/conv/conv_problem.h"

struct conv_work {
    tess_context *ctx;
    struct conv_problem problem;
    tess_conv_plan *plan;
    tess_conv_args args;
    float *host[3]; /* x NHWC, w RSCK, y NHWC as uploaded; the one that the pass makes is NaN */
};

/* Plans, fills the operands with uniform numbers in [-0.5, 0.5), the result with NaN. *work is to be closed, also after a failure. The
   weights keep one version: they are packed in the first run only. */
tess_status conv_work_open(tess_context *ctx, const tess_conv_desc *desc,
                           const tess_conv_options *options, struct conv_work *work);
void conv_work_close(struct conv_work *work);

tess_status conv_work_run(void *user); /* user: a struct timed's run */

/* The result as it is in device memory now; free() it. */
tess_status conv_work_read(struct conv_work *work, float **out);

/* Elements of the pass's result. */
size_t conv_work_elements(const struct conv_work *work);

#endif
