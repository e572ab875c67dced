/* The look-up of a problem that was measured here. */
#include "db/db_internal.h"

#include <string.h>

struct best {
    const char *operation, *problem;
    db_kernel_hash hash;
    void *user;
    struct db_row *out;
    int max, count;
};

/* A third of snprintf's time, where every microsecond counts. */
static void copy(char *to, size_t size, const char *from) {
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}
#define COPY(to, from) copy(to, sizeof(to), from)

/* Columns of DB_BEST -> a row. */
static void read_row(const struct db *db, const struct best *best, sqlite3_stmt *from,
                     struct db_row *out) {
    *out = (struct db_row){
        .status = DB_OK,
        .this_device = true,
        .current = true,
        .strict = sqlite3_column_int(from, 3) != 0,
        .seconds = sqlite3_column_double(from, 4),
        .mad = sqlite3_column_double(from, 5),
        .max_err = sqlite3_column_double(from, 6),
        .bytes = (size_t)sqlite3_column_int64(from, 7),
    };
    COPY(out->operation, best->operation);
    COPY(out->problem, best->problem);
    COPY(out->algo, (const char *)sqlite3_column_text(from, 0));
    COPY(out->config, (const char *)sqlite3_column_text(from, 2));
    COPY(out->device, db->identity.name);
    COPY(out->driver, db->identity.driver);
}

/* Whether the row's kernel is the one that the program has now, and its configuration is not in the list yet. */
static bool wanted(const struct best *best, sqlite3_stmt *from) {
    const char *algo = (const char *)sqlite3_column_text(from, 0);
    const char *hash = (const char *)sqlite3_column_text(from, 1);
    const char *config = (const char *)sqlite3_column_text(from, 2);
    const char *current = algo ? best->hash(best->user, algo) : NULL;
    if (!current || !hash || !config || strcmp(current, hash) != 0) return false;
    for (int i = 0; i < best->count; i++)
        if (strcmp(best->out[i].config, config) == 0) return false;
    return true;
}

static int best_body(struct db *db, void *user) {
    struct best *best = user;
    best->count = 0;
    int code = db_find_env(db);
    if (code != SQLITE_OK || !db->env) return code;
    int64_t lookup = db_lookup(db->env, best->operation, best->problem, "f32");
    sqlite3_stmt *rows = db_bind(db, DB_BEST, "i", lookup);
    if (!rows) return db_step(db, NULL);
    code = SQLITE_DONE;
    while (best->count < best->max && (code = sqlite3_step(rows)) == SQLITE_ROW)
        if (wanted(best, rows)) {
            read_row(db, best, rows, &best->out[best->count]);
            best->count++;
        }
    return db_done(rows, code);
}

int db_best(struct db *db, const char *operation, const char *problem, db_kernel_hash hash,
            void *user, struct db_row *out, int max) {
    if (!db || !operation || !problem || !hash || !out) return 0;
    struct best best = {operation, problem, hash, user, out, max, 0};
    tess_error error;
    if (db_read(db, best_body, &best, "looking up", &error)) {
        db_log(db, TESS_LOG_WARN, "%s", error.text);
        return 0;
    }
    return best.count;
}
