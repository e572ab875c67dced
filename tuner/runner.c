#include "tuner/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"
#include "tuner/measure.h"
#include "tuner/workbench.h"
#include "tuner/worker.h"

enum {
    RESTARTS_MAX = 3, /* in a row, without a trial in between */
    BUILDS_MAX = 64   /* programs stay in a worker's memory; after so many a new one begins */
};
static const double start_seconds = 60; /* deadline of opening the device, or a problem */

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
    char incumbent[CONV_CONFIG_SIZE]; /* "": none */
    double reference;                 /* seconds of the incumbent */
    double since;                     /* the moment up to which time is accounted for in trials */
    double prepared; /* of the time since: verification, which the next trial takes over */
};

/* ---------------------------------------------------------------- asking */

static double run_deadline(const struct runner *runner) {
    /* Without an incumbent nothing is known: a minute for every 10 GFLOP, which is slow. */
    double slow =
        runner->incumbent[0] ? 100 * runner->reference : 6e-9 * tess_conv_flops(&runner->problem.d);
    return runner->options.run_seconds + slow;
}

/* Gives the answer's status; a death of the worker counts as one. *reply may be NULL then. */
static enum db_status ask(struct runner *runner, json_t *request, double seconds, json_t **reply,
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
static enum db_status ask_status(struct runner *runner, json_t *request, double seconds,
                                 char *cause, size_t size) {
    json_t *reply;
    enum db_status status = ask(runner, request, seconds, &reply, cause, size);
    json_decref(reply);
    return status;
}

/* The same, and adds what it took to *spent. */
static enum db_status ask_timed(struct runner *runner, json_t *request, double seconds,
                                json_t **reply, char *cause, size_t size, double *spent) {
    double start = timing_now();
    enum db_status status = ask(runner, request, seconds, reply, cause, size);
    *spent += timing_now() - start;
    return status;
}

static double real_of(const json_t *reply, const char *key) {
    return json_number_value(json_object_get(reply, key));
}

static tess_status interrupted(tess_error *error) {
    return error_set(error, TESS_IO,
                     "tune: interrupted; what was measured is kept: the same command goes on");
}

/* ---------------------------------------------------------------- starting over */

static tess_status greet(struct runner *runner, tess_error *error) {
    char cause[512];
    json_t *reply;
    enum db_status status = ask(runner, NULL, start_seconds, &reply, cause, sizeof cause);
    const char *device = json_string_value(json_object_get(reply, "device"));
    tess_status result = TESS_OK;
    if (runner->interrupted)
        result = interrupted(error);
    else if (status != DB_OK || !device || !worker_device_parse(device, &runner->device))
        result = error_set(error, TESS_NO_DEVICE, "tune: %s",
                           cause[0] ? cause : "the worker process is another version");
    else if (!runner->hashes)
        runner->hashes = json_incref(json_object_get(reply, "hashes"));
    json_decref(reply);
    return result;
}

static enum db_status send_open(struct runner *runner, json_t **reply, char *cause, size_t size) {
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&runner->problem.d, key);
    return ask_timed(runner,
                     json_pack("{s:s, s:s, s:i, s:b, s:f}", "do", "open", "problem", key, "pass",
                               (int)runner->problem.pass, "strict", runner->strict, "macs",
                               runner->options.macs),
                     start_seconds + 60, reply, cause, size, &runner->prepared);
}

static enum db_status send_build(struct runner *runner, const char *printed, long trial,
                                 json_t **reply, char *cause, size_t size) {
    runner->builds++;
    return ask(
        runner,
        json_pack("{s:s, s:s, s:I}", "do", "build", "config", printed, "trial", (json_int_t)trial),
        runner->options.build_seconds, reply, cause, size);
}

/* Builds the incumbent in a worker that does not have it. */
static enum db_status restore_incumbent(struct runner *runner, char *cause, size_t size) {
    json_t *reply;
    enum db_status status = send_build(runner, runner->incumbent, -1, &reply, cause, size);
    json_decref(reply);
    if (status == DB_OK)
        status = ask_status(runner, json_pack("{s:s}", "do", "adopt"), start_seconds, cause, size);
    return status;
}

static enum db_status restore_problem(struct runner *runner, char *cause, size_t size) {
    json_t *reply;
    enum db_status status = send_open(runner, &reply, cause, size);
    json_decref(reply);
    if (status == DB_OK && runner->incumbent[0]) status = restore_incumbent(runner, cause, size);
    return status;
}

/* A worker that has the device, the problem and the incumbent. */
static tess_status ensure_worker(struct runner *runner, tess_error *error) {
    char cause[512] = "";
    if (runner->builds >= BUILDS_MAX) worker_kill(&runner->link);
    for (int i = 0; i < 2 * RESTARTS_MAX; i++) {
        if (runner->interrupted) return interrupted(error);
        if (runner->link.pid) return TESS_OK;
        /* An incumbent that does not come back is given up: the next candidate is timed alone. */
        if (i == RESTARTS_MAX) runner->incumbent[0] = '\0';
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

/* ---------------------------------------------------------------- life */

tess_status runner_create(const struct runner_options *options, struct db *db, tess_error *error,
                          struct runner **out) {
    struct runner *runner = calloc(1, sizeof *runner);
    if (!runner) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "tune: out of memory");
    runner->options = *options;
    runner->db = db;
    struct runner_options *o = &runner->options;
    if (!(o->build_seconds > 0)) o->build_seconds = 60;
    if (!(o->run_seconds > 0)) o->run_seconds = 10;
    if (!(o->sample_seconds > 0)) o->sample_seconds = 0.004;
    if (!o->samples) o->samples = RACE_SAMPLES_MAX;
    if (!(o->macs > 0)) o->macs = 2e7;
    tess_status status = ensure_worker(runner, error);
    if (!status) status = db_set_device(db, &runner->device, error);
    runner->since = timing_now();
    if (status) {
        runner_destroy(runner);
        return status;
    }
    *out = runner;
    return TESS_OK;
}

void runner_destroy(struct runner *runner) {
    if (!runner) return;
    worker_kill(&runner->link);
    json_decref(runner->hashes);
    free(runner);
}

const tess_device_info *runner_device(const struct runner *runner) {
    return &runner->device;
}
const char *runner_hash(void *runner, const char *algo) {
    return json_string_value(json_object_get(((struct runner *)runner)->hashes, algo));
}
int runner_workers(const struct runner *runner) {
    return runner->workers;
}
long runner_trials(const struct runner *runner) {
    return runner->trials;
}
bool runner_interrupted(const struct runner *runner) {
    return runner->interrupted;
}

/* ---------------------------------------------------------------- problems */

static void read_guesses(const json_t *reply, struct runner_guesses *out) {
    *out = (struct runner_guesses){.warm_count = 0};
    const char *first = json_string_value(json_object_get(reply, "default"));
    snprintf(out->first, sizeof out->first, "%s", first ? first : "");
    const json_t *warm = json_object_get(reply, "warm"), *value;
    size_t i;
    json_array_foreach(warm, i, value) {
        if (out->warm_count == RUNNER_WARM_MAX || !json_is_string(value)) continue;
        snprintf(out->warm[out->warm_count++], CONV_CONFIG_SIZE, "%s", json_string_value(value));
    }
}

tess_status runner_open(struct runner *runner, const struct conv_problem *problem, bool strict,
                        tess_error *error, struct runner_guesses *out) {
    char cause[512] = "";
    runner->open = false;
    runner->incumbent[0] = '\0';
    for (int i = 0; i < RESTARTS_MAX; i++) {
        tess_status status = ensure_worker(runner, error);
        if (status) return status;
        runner->problem = *problem;
        runner->strict = strict;
        json_t *reply;
        if (send_open(runner, &reply, cause, sizeof cause) == DB_OK) {
            read_guesses(reply, out);
            json_decref(reply);
            runner->open = true;
            return TESS_OK;
        }
        json_decref(reply);
        if (runner->interrupted) return interrupted(error);
        if (runner->link.pid) break; /* the worker lives, and says why not */
    }
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&problem->d, key);
    return error_set(error, TESS_UNSUPPORTED, "tune: %s, %s: %.400s", key,
                     conv_pass_name(problem->pass), cause);
}

/* ---------------------------------------------------------------- trials */

/* Texts that a db_subject borrows. */
struct names {
    const struct conv_algo *algo;
    char operation[32], key[TESS_CONV_KEY_SIZE];
};

static tess_status make_subject(struct runner *runner, const char *printed, tess_error *error,
                                struct names *names, struct db_subject *out) {
    struct conv_config config;
    tess_status status = config_read(printed, runner->problem.pass, error, &names->algo, &config);
    if (status) return status;
    snprintf(names->operation, sizeof names->operation, "conv_%s",
             conv_pass_name(runner->problem.pass));
    tess_conv_desc_key(&runner->problem.d, names->key);
    *out = (struct db_subject){.operation = names->operation,
                               .problem = names->key,
                               .dtype = "f32",
                               .algo = names->algo->name,
                               .config = printed,
                               .kernel_hash = runner_hash(runner, names->algo->name),
                               .strict = !names->algo->error_growth};
    return TESS_OK;
}

tess_status runner_quarantined(struct runner *runner, const char *printed, tess_error *error,
                               bool *out) {
    struct names names;
    struct db_subject subject;
    int failures = 0;
    tess_status status = make_subject(runner, printed, error, &names, &subject);
    if (!status) status = db_failures(runner->db, &subject, error, &failures);
    if (!status) *out = failures >= 2;
    return status;
}

static json_t *race_request(const struct runner *runner, bool whole) {
    return json_pack("{s:s, s:I, s:f, s:f, s:i, s:b}", "do", "race", "trial",
                     (json_int_t)runner->trials, "reference", runner->reference, "sample_seconds",
                     runner->options.sample_seconds, "samples",
                     whole ? RACE_SAMPLES_MAX : runner->options.samples, "whole", whole);
}

static int read_samples(const json_t *reply, double samples[RACE_SAMPLES_MAX]) {
    const json_t *list = json_object_get(reply, "samples"), *value;
    size_t i;
    int count = 0;
    json_array_foreach(list, i, value) {
        if (count < RACE_SAMPLES_MAX) samples[count++] = json_number_value(value);
    }
    return count;
}

struct measured {
    double samples[RACE_SAMPLES_MAX];
    int sample_count;
};

/* Build, verify, time. The worker keeps the candidate. */
static void attempt(struct runner *runner, const char *printed, bool whole, struct trial *trial,
                    struct measured *measured) {
    json_t *reply;
    size_t size = sizeof trial->cause;
    double start = timing_now();
    trial->status = send_build(runner, printed, runner->trials, &reply, trial->cause, size);
    trial->build_seconds = timing_now() - start;
    trial->bytes = (size_t)real_of(reply, "bytes");
    json_decref(reply);
    if (trial->status != DB_OK) return;
    json_t *request = json_pack("{s:s, s:I}", "do", "verify", "trial", (json_int_t)runner->trials);
    trial->status = ask_timed(runner, request, run_deadline(runner), &reply, trial->cause, size,
                              &trial->verify_seconds);
    trial->max_err = real_of(reply, "max_err");
    json_decref(reply);
    if (trial->status != DB_OK) return;
    trial->status = ask_timed(runner, race_request(runner, whole),
                              run_deadline(runner) + 500 * runner->options.sample_seconds, &reply,
                              trial->cause, size, &trial->run_seconds);
    trial->seconds = real_of(reply, "seconds");
    trial->mad = real_of(reply, "mad");
    measured->sample_count = read_samples(reply, measured->samples);
    json_decref(reply);
}

/* Makes the candidate the incumbent if it is faster, or there is none. */
static void adopt_if_better(struct runner *runner, const char *printed, struct trial *trial) {
    char cause[64];
    if (trial->status != DB_OK || (runner->incumbent[0] && trial->seconds >= runner->reference))
        return;
    snprintf(runner->incumbent, sizeof runner->incumbent, "%s", printed);
    runner->reference = trial->seconds;
    trial->best = true;
    ask_status(runner, json_pack("{s:s}", "do", "adopt"), start_seconds, cause, sizeof cause);
}

/* Shares out the time since the last trial. */
static void account(struct runner *runner, struct trial *trial) {
    double now = timing_now();
    trial->verify_seconds += runner->prepared;
    double known = trial->build_seconds + trial->verify_seconds + trial->run_seconds;
    trial->search_seconds = fmax(now - runner->since - known, 0);
    runner->since = now;
    runner->prepared = 0;
}

static tess_status record(struct runner *runner, int64_t id, struct trial *trial,
                          const struct measured *measured, tess_error *error) {
    account(runner, trial);
    struct db_result result = {.status = trial->status,
                               .samples = measured->samples,
                               .sample_count = measured->sample_count,
                               .seconds = trial->seconds,
                               .mad = trial->mad,
                               .max_err = trial->max_err,
                               .bytes = trial->bytes,
                               .build_seconds = trial->build_seconds,
                               .verify_seconds = trial->verify_seconds,
                               .run_seconds = trial->run_seconds,
                               .search_seconds = trial->search_seconds,
                               .cause = trial->cause[0] ? trial->cause : NULL};
    /* Not the configuration's fault. */
    if (runner->interrupted) result.status = DB_REFUSED;
    return db_trial_end(runner->db, id, &result, error);
}

tess_status runner_try(struct runner *runner, const char *printed, tess_error *error,
                       struct trial *out) {
    struct names names;
    struct db_subject subject;
    struct trial trial = {.status = DB_RUNNING};
    struct measured measured = {.sample_count = 0};
    tess_status status = ensure_worker(runner, error);
    if (!status) status = make_subject(runner, printed, error, &names, &subject);
    if (!status) status = db_trial_begin(runner->db, &subject, error, &trial.id);
    if (status) return status;
    runner->trials++;
    attempt(runner, printed, false, &trial, &measured);
    status = record(runner, trial.id, &trial, &measured, error);
    if (status) return status;
    if (runner->interrupted) return interrupted(error);
    adopt_if_better(runner, printed, &trial);
    *out = trial;
    return TESS_OK;
}

tess_status runner_set_incumbent(struct runner *runner, const char *printed, double seconds,
                                 tess_error *error, bool *good) {
    char cause[256];
    tess_status status = ensure_worker(runner, error);
    if (status) return status;
    char before[CONV_CONFIG_SIZE];
    memcpy(before, runner->incumbent, sizeof before);
    snprintf(runner->incumbent, sizeof runner->incumbent, "%s", printed);
    *good = restore_incumbent(runner, cause, sizeof cause) == DB_OK;
    if (runner->interrupted) return interrupted(error);
    if (*good)
        runner->reference = seconds;
    else
        memcpy(runner->incumbent, before, sizeof before);
    return TESS_OK;
}

/* Ratios this near to 1 are a tie. */
static const double tie = 0.005;

tess_status runner_compare(struct runner *runner, const char *printed, size_t bytes,
                           size_t incumbent_bytes, tess_error *error, struct trial *out) {
    struct names names;
    struct db_subject subject;
    struct trial trial = {.status = DB_RUNNING};
    struct measured measured = {.sample_count = 0};
    tess_status status = ensure_worker(runner, error);
    if (!status) status = make_subject(runner, printed, error, &names, &subject);
    if (!status) status = db_trial_begin(runner->db, &subject, error, &trial.id);
    if (status) return status;
    runner->trials++;
    attempt(runner, printed, true, &trial, &measured);
    /* Between equals the smaller one wins, also in the database, where the faster one comes first. */
    double ratio = runner->reference > 0 ? trial.seconds / runner->reference : 1;
    if (trial.status == DB_OK && bytes < incumbent_bytes && ratio > 1 - tie && ratio < 1 + tie)
        trial.seconds = fmin(trial.seconds, runner->reference * (1 - 1e-6));
    status = record(runner, trial.id, &trial, &measured, error);
    if (status) return status;
    if (runner->interrupted) return interrupted(error);
    adopt_if_better(runner, printed, &trial);
    *out = trial;
    return TESS_OK;
}

tess_status runner_verify_winner(struct runner *runner, const char *printed, double macs,
                                 int64_t id, tess_error *error, struct trial *out) {
    struct names names;
    struct db_subject subject;
    struct trial trial = {.status = DB_RUNNING};
    struct measured none = {.sample_count = 0};
    json_t *reply;
    tess_status status = ensure_worker(runner, error);
    if (!status) status = make_subject(runner, printed, error, &names, &subject);
    if (status) return status;
    runner->builds += 3;
    trial.status = ask_timed(
        runner, json_pack("{s:s, s:s, s:f}", "do", "winner", "config", printed, "macs", macs),
        3 * runner->options.build_seconds + 5 * run_deadline(runner) + 1e-7 * macs, &reply,
        trial.cause, sizeof trial.cause, &runner->prepared);
    trial.max_err = real_of(reply, "max_err");
    json_decref(reply);
    if (runner->interrupted) return interrupted(error);
    *out = trial;
    if (trial.status == DB_OK) return TESS_OK;
    runner->incumbent[0] = '\0';
    if (!id) status = db_trial_begin(runner->db, &subject, error, &id);
    return status ? status : record(runner, id, &trial, &none, error);
}

tess_status runner_request(struct runner *runner, const struct db_subject *subject, json_t *request,
                           double seconds, tess_error *error, struct trial *out) {
    struct trial trial = {.status = DB_RUNNING};
    struct measured measured = {.sample_count = 0};
    json_t *reply = NULL;
    tess_status status = ensure_worker(runner, error);
    if (!status) status = db_trial_begin(runner->db, subject, error, &trial.id);
    if (status) {
        json_decref(request);
        return status;
    }
    runner->trials++;
    runner->builds++;
    trial.status = ask(runner, request, seconds, &reply, trial.cause, sizeof trial.cause);
    trial.seconds = real_of(reply, "seconds");
    trial.mad = real_of(reply, "mad");
    trial.max_err = real_of(reply, "max_err");
    trial.build_seconds = real_of(reply, "build_seconds");
    trial.verify_seconds = real_of(reply, "verify_seconds");
    trial.run_seconds = real_of(reply, "run_seconds");
    json_decref(reply);
    status = record(runner, trial.id, &trial, &measured, error);
    if (status) return status;
    if (runner->interrupted) return interrupted(error);
    *out = trial;
    return TESS_OK;
}

tess_status runner_peak(struct runner *runner, tess_error *error, double *out) {
    char cause[256];
    json_t *reply;
    tess_status status = ensure_worker(runner, error);
    if (status) return status;
    enum db_status answer =
        ask(runner, json_pack("{s:s}", "do", "peak"), start_seconds, &reply, cause, sizeof cause);
    *out = answer == DB_OK ? real_of(reply, "peak") : 0;
    json_decref(reply);
    return runner->interrupted ? interrupted(error) : TESS_OK;
}
