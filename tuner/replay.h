/* Search strategies on recorded exhaustive searches: nothing is timed, so that they are compared in a second, on any machine.

   The space of a replay comes from the log alone (names of algorithms, parameters and values are read from the printed
   configurations, predictions are those of the recording), so that old logs stay usable when algorithms change. */
#ifndef TESSERA_TUNER_REPLAY_H
#define TESSERA_TUNER_REPLAY_H

#include "tuner/search.h"
#include "tuner/trial_log.h"

/* A way to search. Members as the functions of search.h. */
struct replay_strategy {
    const char *name;
    tess_status (*create)(const struct space *space, const struct search_options *options,
                          tess_error *error, void **state);
    int (*next)(void *state, double spent);
    void (*tell)(void *state, int candidate, double seconds);
    void (*destroy)(void *state);
};
extern const struct replay_strategy replay_search; /* search.h */
extern const struct replay_strategy replay_random; /* any order: what a strategy has to beat */

/* A recorded search. */
struct replay {
    struct space *space;
    double *seconds;           /* by candidate; INFINITY: failed */
    double best, noise;        /* the least; the median of mad / seconds */
    int good;                  /* candidates that did not fail */
    struct replay_algo *algos; /* owned: what the space borrows */
};

/* TESS_BAD_FORMAT for a log whose configurations cannot be told apart or in which nothing worked. log is not kept. */
tess_status replay_create(const struct trial_log *log, tess_error *error, struct replay **out);
void replay_destroy(struct replay *replay); /* NULL is allowed */

/* Evaluations within which a strategy must find a good candidate: max(2 % of the candidates that worked, 64). */
int replay_evaluations(const struct replay *replay);

enum { REPLAY_CURVE = 12 };

/* Shares of the optimum: its time / the time of what was found, over the seeds. */
struct replay_report {
    int evaluations;
    double median, worst, mean;
    double curve
        [REPLAY_CURVE]; /* median after 1, 2, 4, .. evaluations; the last where they go on no more repeat */
};

/* Runs strategy with the seeds 0 .. seeds - 1, each with the candidate of the best prediction as first. evaluations:
   0 for replay_evaluations. */
tess_status replay_run(const struct replay *replay, const struct replay_strategy *strategy,
                       int seeds, int evaluations, tess_error *error, struct replay_report *out);

#endif
