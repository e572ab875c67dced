/* What the runner's parts share: its worker process, and asking it. */
#ifndef TESSERA_TUNER_RUNNER_INTERNAL_H
#define TESSERA_TUNER_RUNNER_INTERNAL_H

#include "tuner/runner.h"
#include "tuner/twins.h"

enum { RUNNER_RESTARTS_MAX = 3 }; /* in a row, without a trial in between */

struct runner {
    struct runner_options options;
    struct db *db;
    struct worker_link link;
    tess_device_info device;
    json_t *hashes;
    bool interrupted;
    int workers, builds; /* builds: of this worker */
    long trials;
    bool open;
    struct conv_problem problem;
    bool strict;
    struct twins twins;            /* of the problem that is open */
    char anchor[CONV_CONFIG_SIZE]; /* what all others are timed against; "": none */
    double reference;              /* seconds of the anchor */
    double since;                  /* the moment up to which time is accounted for in trials */
    double prepared; /* of the time since: verification, which the next trial takes over */
};

double runner_run_deadline(const struct runner *runner);

/* Gives the answer's status; a death of the worker counts as one. request's reference is taken over; *reply is the caller's, and may
   be NULL. cause (of size bytes) receives one line. */
enum db_status runner_ask(struct runner *runner, json_t *request, double seconds, json_t **reply,
                          char *cause, size_t size);
/* The same where only the status counts. */
enum db_status runner_ask_status(struct runner *runner, json_t *request, double seconds,
                                 char *cause, size_t size);
/* The same, and adds what it took to *spent. */
enum db_status runner_ask_timed(struct runner *runner, json_t *request, double seconds,
                                json_t **reply, char *cause, size_t size, double *spent);

double runner_real(const json_t *reply, const char *key);

enum db_status runner_send_open(struct runner *runner, json_t **reply, char *cause, size_t size);
enum db_status runner_send_build(struct runner *runner, const char *printed, long trial,
                                 json_t **reply, char *cause, size_t size);

/* Builds the anchor in a worker that does not have it. */
enum db_status runner_restore_anchor(struct runner *runner, char *cause, size_t size);

/* A worker that has the device, the problem and the anchor. */
tess_status runner_ensure_worker(struct runner *runner, tess_error *error);

#endif
