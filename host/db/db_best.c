/* The look-up of a problem that was measured here. */
#include "db/db_internal.h"

#include <string.h>

void db_copy(char *to, size_t size, const char *from) {
    size_t length = from ? strnlen(from, size - 1) : 0;
    if (length) memcpy(to, from, length);
    to[length] = '\0';
}

static const char *text(sqlite3_stmt *from, int column) {
    const char *value = (const char *)sqlite3_column_text(from, column);
    return value ? value : "";
}

void db_read_best(const struct db_question *question, const char *problem, sqlite3_stmt *from,
                  struct db_row *out) {
    DB_COPY(out->operation, question->operation);
    DB_COPY(out->problem, problem);
    DB_COPY(out->algo, text(from, 0));
    DB_COPY(out->config, text(from, 2));
    out->device[0] = out->driver[0] = '\0';
    out->status = DB_OK;
    out->this_device = out->current = true;
    out->strict = sqlite3_column_int(from, 3) != 0;
    out->seconds = sqlite3_column_double(from, 4);
    out->mad = sqlite3_column_double(from, 5);
    out->max_err = sqlite3_column_double(from, 6);
    out->bytes = (size_t)sqlite3_column_int64(from, 7);
}

bool db_is_current(const struct db_question *question, sqlite3_stmt *from) {
    const char *hash = question->hash(question->user, text(from, 0));
    return hash && (!*hash || strcmp(hash, text(from, 1)) == 0);
}

bool db_is_allowed(const struct db_question *question, sqlite3_stmt *from) {
    if (question->strict && !sqlite3_column_int(from, 3)) return false;
    return (size_t)sqlite3_column_int64(from, 7) <= question->limit;
}

bool db_has_config(const struct db_row *rows, int count, const char *config) {
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].config, config) == 0) return true;
    return false;
}

struct best {
    const struct db_question *question;
    struct db_row *out;
    int max, count;
};

static int best_body(struct db *db, void *user) {
    struct best *best = user;
    const struct db_question *question = best->question;
    best->count = 0;
    int code = db_find_env(db);
    if (code != SQLITE_OK || !db->env) return code;
    int64_t lookup = db_lookup(db->env, question->operation, question->problem, "f32");
    sqlite3_stmt *rows = db_bind(db, DB_BEST, "i", lookup);
    if (!rows) return db_step(db, NULL);
    code = SQLITE_DONE;
    while (best->count < best->max && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (!db_is_current(question, rows) || !db_is_allowed(question, rows) ||
            db_has_config(best->out, best->count, text(rows, 2)))
            continue;
        struct db_row *row = &best->out[best->count++];
        db_read_best(question, question->problem, rows, row);
        DB_COPY(row->device, db->identity.name);
        DB_COPY(row->driver, db->identity.driver);
    }
    return db_done(rows, code);
}

int db_answers(struct db *db, const struct db_question *question, struct db_row *out, int max) {
    if (!db || !question || !question->operation || !question->problem || !question->hash || !out)
        return 0;
    struct best best = {question, out, max, 0};
    tess_error error;
    if (db_read(db, best_body, &best, "looking up", &error)) {
        db_log(db, TESS_LOG_WARN, "%s", error.text);
        return 0;
    }
    return best.count;
}

int db_best(struct db *db, const char *operation, const char *problem, db_kernel_hash hash,
            void *user, struct db_row *out, int max) {
    const struct db_question question = {operation, problem, hash, user, false, SIZE_MAX};
    return db_answers(db, &question, out, max);
}

struct trial_count {
    const char *operation, *problem;
    int64_t count;
};

static int count_body(struct db *db, void *user) {
    struct trial_count *count = user;
    count->count = 0;
    int code = db_find_env(db);
    if (code != SQLITE_OK || !db->env) return code;
    return db_number(
        db, db_bind(db, DB_TRIAL_COUNT, "ittt", db->env, count->operation, count->problem, "f32"),
        &count->count);
}

int db_trial_count(struct db *db, const char *operation, const char *problem) {
    struct trial_count count = {operation, problem, 0};
    if (!db || db_read(db, count_body, &count, "counting trials", NULL)) return 0;
    return (int)count.count;
}
