/* Fully connected layers: CLBlast's parameters, and which backend is faster for each pass of each layer. */
#ifndef TESSERA_TUNER_TUNE_FC_H
#define TESSERA_TUNER_TUNE_FC_H

#include "tuner/runner.h"

enum { TUNE_FC_MAX = 64 };

struct tune_fc_options {
    char problems[TUNE_FC_MAX][32]; /* "n64c4096k4096" */
    int count;
    bool passes[3];
    double
        clblast_seconds; /* for CLBlast's parameters, measured on the first problem; 0: they stay as they are */
    uint64_t seed;
};

/* Measures through runner, records in its database (operations "fc_fwd", "fc_bwd_data", "fc_bwd_weights" with the backend as configuration;
   "clblast" with a kernel's name as problem), prints lines to standard output. */
tess_status tune_fc_run(struct runner *runner, const struct tune_fc_options *options,
                        tess_error *error);

#endif
