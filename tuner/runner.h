/* Trials: one configuration of one problem, built, verified and timed in a worker process, and recorded. Whatever happens to the worker
   costs one trial: it is recorded with its cause, and a new worker goes on. */
#ifndef TESSERA_TUNER_RUNNER_H
#define TESSERA_TUNER_RUNNER_H

#include "db/db.h"
#include "ops/conv/conv_algo.h"
#include "tuner/worker_link.h"

struct runner_options {
    struct worker_options worker;
    double build_seconds; /* deadline of a build; 0: 60 */
    double
        run_seconds; /* deadline of verifying or timing, to which time for slow problems is added; 0: 10 */
    double sample_seconds; /* see race_options; 0: 0.004 */
    int samples;           /* most samples of a trial; 0: 16 */
    int final_samples;     /* of a finalist's; 0: 64 */
    double macs;           /* of the float64 answers of a problem; 0: 2e7 */
    bool cold;             /* see workbench_create */
};

struct trial {
    enum db_status status;
    double seconds, mad; /* of a run, on the scale of the problem's anchor */
    double clock;        /* see race_result */
    double max_err;      /* relative to what rounding explains */
    /* Of the session's time, as the parent sees it: search is what the others leave since the last trial, for choosing this one,
       starting workers and the database; what a problem's opening and a winner's verification took counts as verification of the next trial. */
    double build_seconds, verify_seconds, run_seconds, search_seconds;
    size_t bytes;
    int64_t id;      /* of its row */
    bool twin;       /* not timed: the time is that of identical work, which cause names */
    char cause[256]; /* of a failure; a twin's */
};

struct runner;

/* db is borrowed. Starts the first worker, which opens the device, and tells the database about it. */
tess_status runner_create(const struct runner_options *options, struct db *db, tess_error *error,
                          struct runner **out);
void runner_destroy(struct runner *runner); /* NULL is allowed */

const tess_device_info *runner_device(const struct runner *runner); /* handles are NULL */
const char *runner_hash(void *runner, const char *algo); /* the kernel's; a db_kernel_hash */
/* Workers started so far; trials made so far. */
int runner_workers(const struct runner *runner);
long runner_trials(const struct runner *runner);

/* Whether SIGINT or SIGTERM came: every call then fails, and nothing is left to do but to end. Both must be blocked. */
bool runner_interrupted(const struct runner *runner);
tess_status runner_stopped(tess_error *error); /* the status and text of that */

/* So many of the seconds since the last trial were verification elsewhere; the next trial takes them over. */
void runner_add_verification(struct runner *runner, double seconds);

enum { RUNNER_WARM_MAX = 8 };
struct runner_guesses {
    char first[CONV_CONFIG_SIZE];        /* what the planner takes where nothing was tuned */
    char first_strict[CONV_CONFIG_SIZE]; /* and what, if the caller demands strict math */
    char warm[RUNNER_WARM_MAX][CONV_CONFIG_SIZE];
    int warm_count;
};

/* Makes problem the one that the following calls are about; there is no anchor then. */
tess_status runner_open(struct runner *runner, const struct conv_problem *problem, bool strict,
                        tess_error *error, struct runner_guesses *out);

/* A trial against the anchor; the first is timed alone and becomes it, and so does one that is much faster. best: seconds to beat, 0: none; a
   candidate that cannot is left early. A status other than TESS_OK means that the session cannot go on; a failure of
   the configuration is in the trial. */
tess_status runner_try(struct runner *runner, const char *printed, double best, tess_error *error,
                       struct trial *out);

/* The best of the finalists so far. */
struct runner_rival {
    double seconds; /* 0: there is none */
    size_t bytes;
};

/* The same with more samples, for those who look best after many trials: the least of many noisy times is too good, and is measured again.
   Within half a percent of the rival, the smaller one counts as the faster. */
tess_status runner_final(struct runner *runner, const char *printed,
                         const struct runner_rival *rival, tess_error *error, struct trial *out);

/* The anchor, "" if there is none, and its seconds. */
const char *runner_anchor(const struct runner *runner, double *seconds);

/* Makes a configuration the anchor that was measured before, in seconds. *good is false if it does not run any more. */
tess_status runner_set_anchor(struct runner *runner, const char *printed, double seconds,
                              tess_error *error, bool *good);

/* Whether it crashed or hung twice. */
tess_status runner_quarantined(struct runner *runner, const char *printed, tess_error *error,
                               bool *out);

/* See verify_winner. A wrong winner is recorded as wrong; id: the row that said it was right, 0: not known. */
tess_status runner_verify_winner(struct runner *runner, const char *printed, double macs,
                                 int64_t id, tess_error *error, struct trial *out);

/* Any request of a worker that has nothing to do with the problem that is open, recorded as a trial of subject. request's reference is taken
   over; seconds: deadline. */
tess_status runner_request(struct runner *runner, const struct db_subject *subject, json_t *request,
                           double seconds, tess_error *error, struct trial *out);

/* The device's multiply-add peak in FLOP/s; 0 if it cannot be measured. */
tess_status runner_peak(struct runner *runner, tess_error *error, double *out);

#endif
