/* The runner's worker process: started over as often as needed, and asked. */
#include "tuner/runner_internal.h"

#include <stdio.h>

#include "bench/timing.h"
#include "tuner/worker.h"

enum { BUILDS_MAX = 64 }; /* programs stay in a worker's memory; after so many a new one begins */
static const double start_seconds = 60; /* deadline of opening the device, or a problem */

/* ---------------------------------------------------------------- asking */

double runner_run_deadline(const struct runner *runner) {
    /* Without an anchor nothing is known: a minute for every 10 GFLOP, which is slow. */
    double slow =
        runner->anchor[0] ? 100 * runner->reference : 6e-9 * tess_conv_flops(&runner->problem.d);
    return runner->options.run_seconds + slow;
}

/* Gives the answer's status; a death of the worker counts as one. *reply may be NULL then. */
enum db_status runner_ask(struct runner *runner, json_t *request, double seconds, json_t **reply,
                          char *cause, size_t size) {
    *reply = NULL;
    enum worker_answer answer = worker_ask(&runner->link, request, seconds, reply, cause, size);
    if (answer == WORKER_INTERRUPTED) runner->interrupted = true;
    if (answer == WORKER_HUNG) return DB_TIMED_OUT;
    if (answer != WORKER_ANSWERED) return DB_CRASHED;
    const json_t *status = json_object_get(*reply, "status");
    const char *text = json_string_value(json_object_get(*reply, "cause"));
    snprintf(cause, size, "%s", text ? text : "");
    enum db_status result =
        json_is_integer(status) ? (enum db_status)json_integer_value(status) : DB_CRASHED;
    /* What else is broken after these is not known. */
    if (result == DB_OUT_OF_MEMORY || result == DB_CRASHED) worker_kill(&runner->link);
    return result;
}

/* The same where only the status counts. */
enum db_status runner_ask_status(struct runner *runner, json_t *request, double seconds,
                                 char *cause, size_t size) {
    json_t *reply;
    enum db_status status = runner_ask(runner, request, seconds, &reply, cause, size);
    json_decref(reply);
    return status;
}

/* The same, and adds what it took to *spent. */
enum db_status runner_ask_timed(struct runner *runner, json_t *request, double seconds,
                                json_t **reply, char *cause, size_t size, double *spent) {
    double start = timing_now();
    enum db_status status = runner_ask(runner, request, seconds, reply, cause, size);
    *spent += timing_now() - start;
    return status;
}

double runner_real(const json_t *reply, const char *key) {
    return json_number_value(json_object_get(reply, key));
}

tess_status runner_stopped(tess_error *error) {
    return error_set(error, TESS_IO,
                     "tune: interrupted; what was measured is kept: the same command goes on");
}

/* ---------------------------------------------------------------- starting over */

static tess_status greet(struct runner *runner, tess_error *error) {
    char cause[512];
    json_t *reply;
    enum db_status status = runner_ask(runner, NULL, start_seconds, &reply, cause, sizeof cause);
    const char *device = json_string_value(json_object_get(reply, "device"));
    tess_status result = TESS_OK;
    if (runner->interrupted)
        result = runner_stopped(error);
    else if (status != DB_OK || !device || !worker_device_parse(device, &runner->device))
        result = error_set(error, TESS_NO_DEVICE, "tune: %s",
                           cause[0] ? cause : "the worker process is another version");
    else if (!runner->hashes)
        runner->hashes = json_incref(json_object_get(reply, "hashes"));
    json_decref(reply);
    return result;
}

enum db_status runner_send_open(struct runner *runner, json_t **reply, char *cause, size_t size) {
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&runner->problem.d, key);
    return runner_ask_timed(runner,
                            json_pack("{s:s, s:s, s:i, s:b, s:f, s:b}", "do", "open", "problem",
                                      key, "pass", (int)runner->problem.pass, "strict",
                                      runner->strict, "macs", runner->options.macs, "cold",
                                      runner->options.cold),
                            start_seconds + 60, reply, cause, size, &runner->prepared);
}

enum db_status runner_send_build(struct runner *runner, const char *printed, long trial,
                                 json_t **reply, char *cause, size_t size) {
    runner->builds++;
    return runner_ask(
        runner,
        json_pack("{s:s, s:s, s:I}", "do", "build", "config", printed, "trial", (json_int_t)trial),
        runner->options.build_seconds, reply, cause, size);
}

/* Builds the anchor in a worker that does not have it. */
enum db_status runner_restore_anchor(struct runner *runner, char *cause, size_t size) {
    json_t *reply;
    enum db_status status = runner_send_build(runner, runner->anchor, -1, &reply, cause, size);
    json_decref(reply);
    if (status == DB_OK)
        status = runner_ask_status(runner, json_pack("{s:s}", "do", "adopt"), start_seconds, cause,
                                   size);
    return status;
}

static enum db_status restore_problem(struct runner *runner, char *cause, size_t size) {
    json_t *reply;
    enum db_status status = runner_send_open(runner, &reply, cause, size);
    json_decref(reply);
    if (status == DB_OK && runner->anchor[0]) status = runner_restore_anchor(runner, cause, size);
    return status;
}

/* A worker that has the device, the problem and the anchor. */
tess_status runner_ensure_worker(struct runner *runner, tess_error *error) {
    char cause[512] = "";
    if (runner->builds >= BUILDS_MAX) worker_kill(&runner->link);
    for (int i = 0; i < 2 * RUNNER_RESTARTS_MAX; i++) {
        if (runner->interrupted) return runner_stopped(error);
        if (runner->link.pid) return TESS_OK;
        /* An anchor that does not come back is given up: the next candidate is timed alone. */
        if (i == RUNNER_RESTARTS_MAX) runner->anchor[0] = '\0';
        tess_status status = worker_start(&runner->options.worker, error, &runner->link);
        if (status) return status;
        runner->workers++;
        runner->builds = 0;
        status = greet(runner, error);
        if (status && (runner->workers == 1 || runner->interrupted)) return status;
        if (status || !runner->open) continue;
        if (restore_problem(runner, cause, sizeof cause) != DB_OK) worker_kill(&runner->link);
    }
    if (runner->link.pid) return TESS_OK;
    return error_set(
        error, TESS_INTERNAL,
        "tune: worker processes keep failing: %.400s; the device or its driver may need "
        "a restart",
        cause);
}
