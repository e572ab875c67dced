/* A whole tuning run: layers, their share of the budget, rounds, and what is told about it. */
#ifndef TESSERA_TUNER_TUNE_SESSION_H
#define TESSERA_TUNER_TUNE_SESSION_H

#include "bench/problem_list.h"
#include "tuner/tune_fc.h"
#include "tuner/tune_layer.h"

/* The device's clock and the host's may differ by so much: a sample's last wait, and the drivers' own business, are in the latter alone. */
#define TUNE_CLOCK_TOLERANCE 0.1

/* How thorough a run is. */
struct tune_mode {
    const char *name, *about;
    double seconds_per_layer; /* of the budget where none is given; 0: as long as it takes */
    double share;             /* of the space, at most; but at least so many candidates */
    int at_least;
    int samples, finalists; /* of a trial; measured again at the end */
    double winner_macs;
    int round_count;
    double rounds[3]; /* shares of the budget */
    bool ahead;       /* what is taken untuned is verified before the search: verify_ahead */
};

/* NULL: no mode of this name. */
const struct tune_mode *tune_mode_find(const char *name);
extern const struct tune_mode tune_modes[];
extern const int tune_mode_count;

struct tune_options {
    const char *device, *db; /* NULL: the defaults */
    const char *json;        /* path, "-" for standard output, NULL: none */
    const struct tune_mode *mode;
    bool passes[3], strict, cold, verbose; /* cold: see runner_options */
    double budget;                         /* seconds; 0: the mode's */
    uint64_t seed;
    const char *record;           /* folder for a trial log of each problem and pass; NULL: none */
    struct tune_fc_options fc;    /* fully connected layers, after the convolutions */
    struct problem_list problems; /* belongs to the caller */
    double build_seconds, run_seconds; /* deadlines; 0: see runner_options */
};

/* What the parts of a session share. */
struct tune_session {
    const struct tune_options *options;
    struct db *db;
    struct runner *runner;
    struct tune_layer *layers;
    int layer_count;
    double started, budget; /* budget 0: none */
    double finish_seconds;  /* what finishing a layer has taken on average */
    int finished;           /* layers */
    double peak;            /* FLOP/s; 0: not known */
    long trials, failures;
    /* Trials whose device has a clock of its own, and those of them where it tells the same as the host's. */
    long clocked, clock_agrees;
};

/* Runs it, prints progress to standard error and the table to standard output. SIGINT and SIGTERM must be blocked; they end it between two
   steps, with a failure that says so. */
tess_status tune_session_run(const struct tune_options *options, tess_error *error);

/* Seconds that are left by the plan, which counts down honestly: the budget's rest and what finishing takes. */
double tune_session_left(const struct tune_session *session);

#endif
