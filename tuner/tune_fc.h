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

struct tune_report;

/* Measures through runner, records in its database (operations "fc_fwd", "fc_bwd_data", "fc_bwd_weights", the first two also with "_repack"
   behind them, see db.h, with the backend as configuration; "clblast" with a kernel's name as problem), prints lines to standard output
   unless the report's JSON goes there. */
tess_status tune_fc_run(struct runner *runner, const struct tune_fc_options *options,
                        struct tune_report *report, tess_error *error);

#endif
