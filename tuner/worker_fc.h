/* The worker's part in tuning fully connected layers: one backend, verified and timed beside the other.

   do fc, problem, pass, repack, backend, reference, parameters {kernel: text}    status, max_err, seconds, mad,
                                                                                 build_seconds, verify_seconds, run_seconds

   problem: "n64c4096k4096"; repack: weights change before each call, see tess_fc_desc; backend: "conv", "clblast" or "stream"; parameters: CLBlast's, to be put in force first; reference: seconds of "conv", or 0: with it,
   seconds is reference times the ratio of both backends' times, taken in turn, so that drift divides out; max_err: relative to the bound, above 1 is wrong. */
#ifndef TESSERA_TUNER_WORKER_FC_H
#define TESSERA_TUNER_WORKER_FC_H

#include <jansson.h>

#include "ops/clblast_params.h"

enum { WORKER_FC_KERNELS = 16 };

/* What is in force in this process, by index of clblast_kernels; "": CLBlast's own. */
struct worker_fc {
    char text[WORKER_FC_KERNELS][CLBLAST_TEXT_SIZE];
};

struct worker_fc_result {
    bool right;
    double max_err, seconds, mad;
    double build_seconds, verify_seconds, run_seconds; /* that the request took */
};

tess_status worker_fc_run(struct worker_fc *state, tess_context *ctx, const json_t *request,
                          struct worker_fc_result *out);

#endif
