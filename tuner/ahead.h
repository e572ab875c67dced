/* Verification ahead of a search: what the planner takes untuned is verified whole by several worker processes at once, before anything is
   timed. Where it wins it is not verified again, and its programs are in the driver's cache or ours. A short search spends most of its time
   in compilers, which mostly use one processor each. */
#ifndef TESSERA_TUNER_AHEAD_H
#define TESSERA_TUNER_AHEAD_H

#include "ops/conv/conv_algo.h"
#include "tuner/worker_link.h"

struct ahead_job {
    const struct conv_problem *problem; /* borrowed */
    char config[CONV_CONFIG_SIZE]; /* out: what is taken untuned, if it is right; "": not known */
};

struct ahead_options {
    struct worker_options worker;
    int workers; /* most at a time; they share the memory */
    bool strict;
    double macs;    /* see verify_winner */
    double seconds; /* deadline of a job */
    void (*watch)(void *user, int done, int right,
                  int count); /* after each job; right: of those done */
    void *user;
};

/* Runs all jobs. One that is wrong, crashes its worker or takes too long costs only its time: nothing is recorded, the search meets the
   configuration as any other, and should it win, it is verified then. The worker processes are gone afterwards. SIGINT and SIGTERM must be blocked: a pending one ends it, false. */
bool verify_ahead(const struct ahead_options *options, struct ahead_job *jobs, int count);

/* As many workers as are of use here; below 2: verification ahead saves nothing. */
int ahead_workers(void);

#endif
