#include "tuner/runner_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"
#include "tuner/measure.h"
#include "tuner/workbench.h"

static const double start_seconds = 60; /* deadline of what takes no time */

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
    if (!o->samples) o->samples = 16;
    if (!o->final_samples) o->final_samples = RACE_SAMPLES_MAX;
    if (!(o->macs > 0)) o->macs = 2e7;
    tess_status status = runner_ensure_worker(runner, error);
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
    twins_clear(&runner->twins);
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
void runner_add_verification(struct runner *runner, double seconds) {
    runner->prepared += seconds;
}
bool runner_interrupted(const struct runner *runner) {
    return runner->interrupted;
}

/* ---------------------------------------------------------------- problems */

static void read_guesses(const json_t *reply, struct runner_guesses *out) {
    *out = (struct runner_guesses){.warm_count = 0};
    const char *first = json_string_value(json_object_get(reply, "default"));
    const char *strict = json_string_value(json_object_get(reply, "strict_default"));
    snprintf(out->first, sizeof out->first, "%s", first ? first : "");
    snprintf(out->first_strict, sizeof out->first_strict, "%s", strict ? strict : "");
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
    runner->anchor[0] = '\0';
    twins_clear(&runner->twins);
    for (int i = 0; i < RUNNER_RESTARTS_MAX; i++) {
        tess_status status = runner_ensure_worker(runner, error);
        if (status) return status;
        runner->problem = *problem;
        runner->strict = strict;
        json_t *reply;
        if (runner_send_open(runner, &reply, cause, sizeof cause) == DB_OK) {
            read_guesses(reply, out);
            json_decref(reply);
            runner->open = true;
            return TESS_OK;
        }
        json_decref(reply);
        if (runner->interrupted) return runner_stopped(error);
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

/* What a trial is asked to do beyond the configuration. */
struct wish {
    double best; /* seconds to beat, 0: none */
    int samples; /* at most */
};

static json_t *race_request(const struct runner *runner, const struct wish *wish) {
    return json_pack("{s:s, s:I, s:f, s:f, s:f, s:i}", "do", "race", "trial",
                     (json_int_t)runner->trials, "reference", runner->reference, "best", wish->best,
                     "sample_seconds", runner->options.sample_seconds, "samples", wish->samples);
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
static void attempt(struct runner *runner, const char *printed, const struct wish *wish,
                    struct trial *trial, struct measured *measured) {
    json_t *reply;
    size_t size = sizeof trial->cause;
    double start = timing_now();
    trial->status = runner_send_build(runner, printed, runner->trials, &reply, trial->cause, size);
    trial->build_seconds = timing_now() - start;
    trial->bytes = (size_t)runner_real(reply, "bytes");
    const char *told = json_string_value(json_object_get(reply, "identity"));
    char identity[IDENTITY_SIZE];
    snprintf(identity, sizeof identity, "%s", told ? told : "");
    json_decref(reply);
    if (trial->status != DB_OK ||
        twins_find(&runner->twins, identity, printed, wish->samples, trial))
        return;
    json_t *request = json_pack("{s:s, s:I}", "do", "verify", "trial", (json_int_t)runner->trials);
    trial->status = runner_ask_timed(runner, request, runner_run_deadline(runner), &reply,
                                     trial->cause, size, &trial->verify_seconds);
    trial->max_err = runner_real(reply, "max_err");
    json_decref(reply);
    if (trial->status != DB_OK) return;
    trial->status =
        runner_ask_timed(runner, race_request(runner, wish),
                         runner_run_deadline(runner) + 500 * runner->options.sample_seconds, &reply,
                         trial->cause, size, &trial->run_seconds);
    trial->seconds = runner_real(reply, "seconds");
    trial->mad = runner_real(reply, "mad");
    trial->clock = runner_real(reply, "clock");
    measured->sample_count = read_samples(reply, measured->samples);
    json_decref(reply);
    if (trial->status == DB_OK) twins_add(&runner->twins, identity, printed, wish->samples, trial);
}

/* An anchor this many times slower than a candidate makes trials long, and is left for it. */
static const double anchor_slow = 1.5;

/* Makes the candidate the anchor where there is none, or the old one is too slow. */
static void adopt_if_due(struct runner *runner, const char *printed, const struct trial *trial) {
    char cause[64];
    if (trial->status != DB_OK || trial->twin ||
        (runner->anchor[0] && trial->seconds * anchor_slow >= runner->reference))
        return;
    snprintf(runner->anchor, sizeof runner->anchor, "%s", printed);
    runner->reference = trial->seconds;
    runner_ask_status(runner, json_pack("{s:s}", "do", "adopt"), start_seconds, cause,
                      sizeof cause);
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

/* Ratios this near to 1 are a tie. */
static const double tie = 0.005;

/* Between equals the smaller one wins, also in the database, where the faster one comes first. */
static void break_tie(struct trial *trial, const struct runner_rival *rival) {
    double ratio = rival->seconds > 0 ? trial->seconds / rival->seconds : 0;
    if (trial->status != DB_OK || !(ratio > 1 - tie && ratio < 1 + tie)) return;
    if (trial->bytes < rival->bytes)
        trial->seconds = fmin(trial->seconds, rival->seconds * (1 - 1e-6));
    if (trial->bytes > rival->bytes)
        trial->seconds = fmax(trial->seconds, rival->seconds * (1 + 1e-6));
}

static tess_status try(struct runner *runner, const char *printed, const struct wish *wish,
                       const struct runner_rival *rival, tess_error *error, struct trial *out) {
    struct names names;
    struct db_subject subject;
    struct trial trial = {.status = DB_RUNNING};
    struct measured measured = {.sample_count = 0};
    tess_status status = runner_ensure_worker(runner, error);
    if (!status) status = make_subject(runner, printed, error, &names, &subject);
    if (!status) status = db_trial_begin(runner->db, &subject, error, &trial.id);
    if (status) return status;
    runner->trials++;
    attempt(runner, printed, wish, &trial, &measured);
    runner->trials -= trial.twin;
    if (rival) break_tie(&trial, rival);
    status = record(runner, trial.id, &trial, &measured, error);
    if (status) return status;
    if (runner->interrupted) return runner_stopped(error);
    adopt_if_due(runner, printed, &trial);
    *out = trial;
    return TESS_OK;
}

tess_status runner_try(struct runner *runner, const char *printed, double best, tess_error *error,
                       struct trial *out) {
    const struct wish wish = {best, runner->options.samples};
    return try(runner, printed, &wish, NULL, error, out);
}

tess_status runner_final(struct runner *runner, const char *printed,
                         const struct runner_rival *rival, tess_error *error, struct trial *out) {
    const struct wish wish = {rival->seconds, runner->options.final_samples};
    return try(runner, printed, &wish, rival, error, out);
}

const char *runner_anchor(const struct runner *runner, double *seconds) {
    *seconds = runner->reference;
    return runner->anchor;
}

tess_status runner_set_anchor(struct runner *runner, const char *printed, double seconds,
                              tess_error *error, bool *good) {
    char cause[256];
    tess_status status = runner_ensure_worker(runner, error);
    if (status) return status;
    char before[CONV_CONFIG_SIZE];
    memcpy(before, runner->anchor, sizeof before);
    snprintf(runner->anchor, sizeof runner->anchor, "%s", printed);
    *good = runner_restore_anchor(runner, cause, sizeof cause) == DB_OK;
    if (runner->interrupted) return runner_stopped(error);
    if (*good)
        runner->reference = seconds;
    else
        memcpy(runner->anchor, before, sizeof before);
    return TESS_OK;
}

tess_status runner_verify_winner(struct runner *runner, const char *printed, double macs,
                                 int64_t id, tess_error *error, struct trial *out) {
    struct names names;
    struct db_subject subject;
    struct trial trial = {.status = DB_RUNNING};
    struct measured none = {.sample_count = 0};
    json_t *reply;
    tess_status status = runner_ensure_worker(runner, error);
    if (!status) status = make_subject(runner, printed, error, &names, &subject);
    if (status) return status;
    runner->builds += 6; /* three problems, both orders */
    trial.status = runner_ask_timed(
        runner, json_pack("{s:s, s:s, s:f}", "do", "winner", "config", printed, "macs", macs),
        6 * runner->options.build_seconds + 5 * runner_run_deadline(runner) + 1e-7 * macs, &reply,
        trial.cause, sizeof trial.cause, &runner->prepared);
    trial.max_err = runner_real(reply, "max_err");
    json_decref(reply);
    if (runner->interrupted) return runner_stopped(error);
    *out = trial;
    if (trial.status == DB_OK) return TESS_OK;
    if (strcmp(printed, runner->anchor) == 0) runner->anchor[0] = '\0';
    if (!id) status = db_trial_begin(runner->db, &subject, error, &id);
    return status ? status : record(runner, id, &trial, &none, error);
}

tess_status runner_request(struct runner *runner, const struct db_subject *subject, json_t *request,
                           double seconds, tess_error *error, struct trial *out) {
    struct trial trial = {.status = DB_RUNNING};
    struct measured measured = {.sample_count = 0};
    json_t *reply = NULL;
    tess_status status = runner_ensure_worker(runner, error);
    if (!status) status = db_trial_begin(runner->db, subject, error, &trial.id);
    if (status) {
        json_decref(request);
        return status;
    }
    runner->trials++;
    runner->builds++;
    trial.status = runner_ask(runner, request, seconds, &reply, trial.cause, sizeof trial.cause);
    trial.seconds = runner_real(reply, "seconds");
    trial.mad = runner_real(reply, "mad");
    trial.max_err = runner_real(reply, "max_err");
    trial.build_seconds = runner_real(reply, "build_seconds");
    trial.verify_seconds = runner_real(reply, "verify_seconds");
    trial.run_seconds = runner_real(reply, "run_seconds");
    json_decref(reply);
    status = record(runner, trial.id, &trial, &measured, error);
    if (status) return status;
    if (runner->interrupted) return runner_stopped(error);
    *out = trial;
    return TESS_OK;
}

tess_status runner_peak(struct runner *runner, tess_error *error, double *out) {
    char cause[256];
    json_t *reply;
    tess_status status = runner_ensure_worker(runner, error);
    if (status) return status;
    enum db_status answer = runner_ask(runner, json_pack("{s:s}", "do", "peak"), start_seconds,
                                       &reply, cause, sizeof cause);
    *out = answer == DB_OK ? runner_real(reply, "peak") : 0;
    json_decref(reply);
    return runner->interrupted ? runner_stopped(error) : TESS_OK;
}
