/* The parent's end of a worker process: starts it, asks it, and ends it when it does not answer. */
#ifndef TESSERA_TUNER_WORKER_LINK_H
#define TESSERA_TUNER_WORKER_LINK_H

#include <sys/types.h>

#include "tessera.h"
#include "tuner/message.h"

struct worker_options {
    const char *program;    /* tessera-tune; NULL: this very program */
    const char *device;     /* SPEC, or NULL */
    const char *db;         /* the database that it may read advice from, or NULL: none */
    const char *kernel_dir; /* NULL: as in tess_context_options */
    int share;              /* of so many that share the memory; 0: it has it alone */
    bool verbose;           /* keep its standard error */
};

/* A process and its pipes; pid 0: there is none. */
struct worker_link {
    pid_t pid;
    int to; /* its standard input */
    struct message_reader from;
};

enum worker_answer {
    WORKER_ANSWERED,
    WORKER_CRASHED,    /* it died; cause says how */
    WORKER_HUNG,       /* it did not answer in time and was killed */
    WORKER_INTERRUPTED /* this process got SIGINT or SIGTERM; the worker was killed */
};

/* Starts the process; its greeting is the first message. */
tess_status worker_start(const struct worker_options *options, tess_error *error,
                         struct worker_link *out);

/* Sends request (its reference is taken over; NULL: only waits) and waits. Any answer but WORKER_ANSWERED leaves no process. cause (of
   size bytes) receives one line. *reply is a new reference. */
enum worker_answer worker_ask(struct worker_link *link, json_t *request, double seconds,
                              json_t **reply, char *cause, size_t size);

/* Kills it, if there is one. Nothing of it needs saving. */
void worker_kill(struct worker_link *link);

#endif
