/* The record of a search, for replays: gzip'd JSON Lines. The first line says what was tried where,

       {"trial_log":1,"device":..,"driver":..,"date":"2026-11-22","problem":KEY,"pass":"fwd","space":900,"trials":890}

   and each further line is one candidate, as it was printed, in the space's order:

       {"config":"conv_direct_fwd__wt14_kv2","predicted":8.1e6,"status":"ok","seconds":0.00213,"mad":1.2e-05}
       {"config":"conv_direct_fwd__wt1_kv4","predicted":5.5e7,"status":"crashed"}

   predicted: cycles, left out where there is no prediction. status: "ok", or why there are no seconds. */
#ifndef TESSERA_TUNER_TRIAL_LOG_H
#define TESSERA_TUNER_TRIAL_LOG_H

#include "tuner/space.h"

struct logged_trial {
    char config[CONV_CONFIG_SIZE];
    char status[24];  /* "" : not tried */
    double predicted; /* cycles; INFINITY: not known */
    double seconds,
        mad; /* median, and median absolute deviation; INFINITY and 0 unless status is "ok" */
};

struct trial_log {
    char device[256], driver[128];
    char date[16]; /* YYYY-MM-DD, UTC */
    char problem[TESS_CONV_KEY_SIZE];
    tess_conv_pass pass;
    int space; /* candidates that there were */
    int count;
    struct logged_trial *trials;
};

/* A log of today with one trial for each candidate, in the space's order, none tried. */
tess_status trial_log_create(const struct space *space, const tess_device_info *device,
                             tess_error *error, struct trial_log **out);
void trial_log_destroy(struct trial_log *log); /* NULL is allowed */

/* status: "ok", or the cause of a failure in a few words (cut at 23 bytes; NULL or "": "failed"), as db_status_name gives it;
   for a failure seconds and mad are ignored. An "ok" without positive seconds becomes a failure. Replaces what was there. */
void trial_log_set(struct trial_log *log, int candidate, const char *status, double seconds,
                   double mad);

/* Writes those trials that were tried, atomically: path holds the old or the new contents. The same log gives the same bytes. */
tess_status trial_log_write(const char *path, const struct trial_log *log, tess_error *error);

/* Whether logs can be written to the folder, found out by a file that is made there and removed: before hours of measuring, not
   after. TESS_IO with the folder's name and the cause. */
tess_status trial_log_try_folder(const char *folder, tess_error *error);

/* TESS_BAD_FORMAT for a file that is truncated, damaged or something else, with the line. At most 1,000,000 trials,
   in memory that grows with the lines that are really there. */
tess_status trial_log_read(const char *path, tess_error *error, struct trial_log **out);

#endif
