/* One pass of a fully connected layer by one backend, as a piece of work to time. */
#ifndef TESSERA_BENCH_FC_WORK_H
#define TESSERA_BENCH_FC_WORK_H

#include "tessera.h"

struct fc_work {
    tess_context *ctx;
    tess_fc *fc;
    tess_conv_pass pass;
    tess_tensor *x, *w, *y, *workspace;
};

/* "n64c4096k4096". */
tess_status fc_problem_parse(const char *text, tess_error *error, tess_fc_desc *out);

/* desc.backend says who. Operands are uniform in [-0.5, 0.5), the same for every backend; the result starts as NaN. *work is to be
   closed, also after a failure. */
tess_status fc_work_open(tess_context *ctx, const tess_fc_desc *desc, tess_conv_pass pass,
                         struct fc_work *work);
void fc_work_close(struct fc_work *work);
tess_status fc_work_run(void *user); /* user: a struct timed's run */

/* Largest absolute error of count elements of the result in device memory against float64. */
tess_status fc_work_error(struct fc_work *work, int count, double *max_err);

double fc_flops(const tess_fc_desc *desc); /* 2 n c k */

#endif
