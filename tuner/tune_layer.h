/* One problem and pass of a session: its space, its search, and what came of it so far. */
#ifndef TESSERA_TUNER_TUNE_LAYER_H
#define TESSERA_TUNER_TUNE_LAYER_H

#include "tuner/runner.h"
#include "tuner/search.h"

struct tune_layer {
    struct conv_problem problem;
    char key[TESS_CONV_KEY_SIZE];
    int count; /* how often it occurs */

    struct space *space; /* owned; NULL: made when the layer is opened for the first time */
    struct search *search;
    double *seconds;        /* by candidate; 0: not measured, INFINITY: failed */
    double *mad;            /* by candidate, where seconds is a time */
    enum db_status *status; /* by candidate, where it was tried */
    int64_t *row;           /* by candidate: its good trial's; 0: none of this session */

    char first[CONV_CONFIG_SIZE]; /* what the planner takes untuned; its time; 0: not known */
    double first_seconds;
    char ahead[CONV_CONFIG_SIZE]; /* what was verified whole already; "": nothing */
    int first_strict;             /* candidate that it takes untuned for strict math; -1: none */
    int best;                     /* candidate; -1: none */
    double best_seconds;
    char anchor[CONV_CONFIG_SIZE]; /* what the seconds are ratios to; "": none yet */
    double anchor_seconds;

    int evaluations, failures; /* trials of this session */
    int resumed;               /* measurements that were there already */
    double spent;              /* seconds of the session's time */
    double gain;    /* of the last turn: best before / best after - 1; 1 before the first */
    bool exhausted; /* the search has no more to try */
    bool verified;  /* the winner, whole */
};

struct layer_settings {
    bool strict, exhaustive;
    uint64_t seed;
    double share; /* of the space that a search tries, but at least at_least candidates */
    int at_least;
    int finalists;      /* most that are measured again because they are nearly the best */
    double winner_macs; /* see verify_winner */
};

/* For every trial, when it is over. */
typedef void layer_watch(void *user, const struct tune_layer *layer, const char *config,
                         const struct trial *trial);

struct layer_turn {
    struct runner *runner;
    struct db *db;
    const struct layer_settings *settings;
    layer_watch *watch;
    void *watch_user;
};

/* Opens the layer in the worker and brings back what the database has. */
tess_status layer_open(struct tune_layer *layer, const struct layer_turn *turn, tess_error *error);

/* Tries candidates for seconds, at least one; total: the time that it will have had in the whole session. */
tess_status layer_search(struct tune_layer *layer, const struct layer_turn *turn, double seconds,
                         double total, tess_error *error);

/* Measures what is taken untuned, if the search did not. Then the fastest again, with more samples, until the fastest of all is one that was,
   and some that are within 2 % of it; then verifies the winner whole; a wrong one makes room for the next. If it is not strict, the strict ones
   are measured again too; the untuned choice of strict math is measured if any strict one was: who demands strict math gets the best of
   them. The layer is open. */
tess_status layer_finish(struct tune_layer *layer, const struct layer_turn *turn,
                         tess_error *error);

void layer_close(struct tune_layer *layer); /* frees what the layer owns */

void layer_config(const struct tune_layer *layer, int candidate, char printed[CONV_CONFIG_SIZE]);

#endif
