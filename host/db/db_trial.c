/* Trials: begun before anything risky happens, ended with what came of it. */
#include "db/db_internal.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* An id given out tells in which file its row is: low bits the row, high bits the generation. */
enum { ROW_BITS = 48 };

const char *db_status_name(enum db_status status) {
    static const char *const names[] = {"running", "ok",        "build failed",  "wrong result",
                                        "crashed", "timed out", "out of memory", "refused"};
    size_t index = (size_t)status;
    return index < sizeof names / sizeof *names ? names[index] : "unknown";
}

static bool complete(const struct db *db, const struct db_subject *s) {
    return db && db->has_device && s && s->operation && s->problem && s->dtype && s->algo &&
           s->config && s->kernel_hash;
}

static tess_status incomplete(tess_error *error, const char *what) {
    return error_set(error, TESS_INVALID_ARGUMENT,
                     "tuning database: %s: no device was set, or an argument is missing; give all",
                     what);
}

static int64_t now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* ---------------------------------------------------------------- begin */

struct begin {
    const struct db_subject *subject;
    int64_t begun, row;
};

static int begin_body(struct db *db, void *user) {
    struct begin *begin = user;
    const struct db_subject *s = begin->subject;
    int64_t problem = 0, kernel = 0;
    int code = db_env_row(db, &db->identity, &db->env);
    if (code == SQLITE_OK) code = db_problem_row(db, s->operation, s->problem, s->dtype, &problem);
    if (code == SQLITE_OK) code = db_kernel_row(db, s->algo, s->kernel_hash, &kernel);
    int64_t lookup = db_lookup(db->env, s->operation, s->problem, s->dtype);
    /* Another process may have begun the same in the same microsecond. */
    for (int tries = 0; code == SQLITE_OK && tries < 1000; tries++) {
        code = db_step(db, db_bind(db, DB_TRIAL_BEGIN, "iiiitiii", lookup, db->env, problem, kernel,
                                   s->config, begin->begun + tries, (int64_t)s->strict,
                                   (int64_t)getpid()));
        if (code == SQLITE_OK && sqlite3_changes(db->handle) == 1) break;
    }
    begin->row = sqlite3_last_insert_rowid(db->handle);
    return code;
}

tess_status db_trial_begin(struct db *db, const struct db_subject *subject, tess_error *error,
                           int64_t *id) {
    if (!complete(db, subject) || !id) return incomplete(error, "beginning a trial");
    struct begin begin = {subject, now_us(), 0};
    tess_status status = db_write(db, begin_body, &begin, "recording a trial", error);
    if (!status) *id = begin.row | (int64_t)db->generation << ROW_BITS;
    return status;
}

/* ---------------------------------------------------------------- end */

struct end {
    int64_t id;
    const struct db_result *result;
    bool lost; /* its row went away with a damaged file */
    bool found;
};

/* NaN is NULL in a database, and infinity is nothing in JSON: an error beyond all measure is the largest number. */
static double finite_error(double max_err) {
    return isfinite(max_err) ? max_err : DBL_MAX;
}

static int end_body(struct db *db, void *user) {
    struct end *end = user;
    const struct db_result *r = end->result;
    end->lost = end->id >> ROW_BITS != db->generation;
    if (end->lost) return SQLITE_OK;
    int64_t row = end->id & (((int64_t)1 << ROW_BITS) - 1);
    double seconds = r->seconds > 0 ? r->seconds : NAN;
    int bytes = (int)((size_t)r->sample_count * sizeof(double));
    bool known = r->verify_seconds > 0 || r->run_seconds > 0 || r->search_seconds > 0;
    int code = db_step(db, db_bind(db, DB_TRIAL_END, "iidddidbtddd", row, (int64_t)r->status,
                                   seconds, r->mad, finite_error(r->max_err), (int64_t)r->bytes,
                                   r->build_seconds, r->sample_count ? r->samples : NULL, bytes,
                                   r->cause, known ? r->verify_seconds : NAN,
                                   known ? r->run_seconds : NAN, known ? r->search_seconds : NAN));
    end->found = code == SQLITE_OK && sqlite3_changes(db->handle) == 1;
    if (code == SQLITE_OK && r->status == DB_WRONG_RESULT)
        code = db_step(db, db_bind(db, DB_TRIAL_REVOKE, "i", row));
    if (code == SQLITE_OK && r->status == DB_OK)
        code = db_step(db, db_bind(db, DB_TRIAL_REVISE, "idd", row, seconds, r->mad));
    return code;
}

tess_status db_trial_end(struct db *db, int64_t id, const struct db_result *result,
                         tess_error *error) {
    if (!db || !result || result->sample_count < 0 || result->sample_count > 1 << 20 ||
        (result->sample_count && !result->samples))
        return incomplete(error, "ending a trial");
    if (result->status == DB_OK && !(result->seconds > 0 && isfinite(result->seconds)))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "tuning database: a good trial needs a time above zero; give its median");
    struct end end = {.id = id, .result = result};
    tess_status status = db_write(db, end_body, &end, "recording a trial's end", error);
    if (status) return status;
    if (end.lost)
        db_log(db, TESS_LOG_WARN,
               "tuning database %s: a trial was lost with the file that was set aside", db->path);
    else if (!end.found)
        return error_set(error, TESS_NOT_FOUND,
                         "tuning database %s: there is no trial %lld; it was removed meanwhile",
                         db->path, (long long)id);
    return TESS_OK;
}

/* ---------------------------------------------------------------- failures */

struct failures {
    const struct db_subject *subject;
    int count;
};

/* A trial without an end counts unless its process is alive and may still end it. */
static bool counts(int status, pid_t pid) {
    if (status != DB_RUNNING || pid <= 0) return true;
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static int failures_body(struct db *db, void *user) {
    struct failures *failures = user;
    const struct db_subject *s = failures->subject;
    failures->count = 0;
    int code = db_find_env(db);
    if (code != SQLITE_OK) return code;
    sqlite3_stmt *rows = db_bind(db, DB_FAILURES, "itttttt", db->env, s->operation, s->problem,
                                 s->dtype, s->algo, s->kernel_hash, s->config);
    if (!rows) return db_step(db, NULL);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW)
        failures->count +=
            counts(sqlite3_column_int(rows, 0), (pid_t)sqlite3_column_int64(rows, 1));
    return db_done(rows, code);
}

tess_status db_failures(struct db *db, const struct db_subject *subject, tess_error *error,
                        int *out) {
    if (!complete(db, subject) || !out) return incomplete(error, "counting failures");
    struct failures failures = {subject, 0};
    tess_status status = db_read(db, failures_body, &failures, "counting failures", error);
    if (!status) *out = failures.count;
    return status;
}
