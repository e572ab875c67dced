/* What a session leaves behind for people and programs: the table, and JSON Lines.

   A line a trial:  event "trial", problem, pass, algo, config, status ("ok", "build failed", ...), ms, ms_mad, max_err (relative to what rounding
                    explains), bytes (workspace and packed weights), build_s, verify_s, run_s, search_s (see struct trial), cause (of a failure, else "")
   A line a layer:  event "layer", problem, pass, count, default_config, default_ms, algo, config, ms, gain (default_ms / ms), gflops, of_peak, bytes,
                    evaluations, failures, resumed (measurements that were there before), verified, ahead (what was verified before the search)
   A line a backend of a fully connected layer:  event "fc", problem, operation (see db.h), backend, status, ms, ms_mad, max_err, build_s, cause
   Numbers that are not known are null. */
#ifndef TESSERA_TUNER_TUNE_REPORT_H
#define TESSERA_TUNER_TUNE_REPORT_H

#include <stdio.h>

#include "tuner/tune_session.h"

struct tune_report {
    FILE *json; /* NULL: none */
};

/* path: as tune_options.json. */
tess_status tune_report_open(struct tune_report *report, const char *path, tess_error *error);
void tune_report_trial(struct tune_report *report, const struct tune_layer *layer,
                       const char *config, const struct trial *trial);
void tune_report_layer(struct tune_report *report, const struct tune_session *session,
                       const struct tune_layer *layer);
void tune_report_fc(struct tune_report *report, const char *problem, const char *operation,
                    const char *backend, const struct trial *trial);
/* To standard output, unless JSON goes there. */
void tune_report_table(const struct tune_report *report, const struct tune_session *session);
tess_status tune_report_close(struct tune_report *report, tess_error *error);

#endif
