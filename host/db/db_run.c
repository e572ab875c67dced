/* Statements and transactions: busy files are waited for, damaged ones replaced. */
#include "db/db_internal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { PATIENCE_MS = 60000 };

void db_log(const struct db *db, tess_log_level level, const char *format, ...) {
    if (!db->log) return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    db->log(db->log_user, level, line);
}

bool db_damaged(int code) {
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* ---------------------------------------------------------------- statements */

sqlite3_stmt *db_bind(struct db *db, enum db_statement which, const char *types, ...) {
    static const char *const texts[] = {
#define STATEMENT(name, text) text,
#include "db/db_statements.def"
#undef STATEMENT
    };
    sqlite3_stmt **slot = &db->statement[which];
    if (!*slot && sqlite3_prepare_v3(db->handle, texts[which], -1, SQLITE_PREPARE_PERSISTENT, slot,
                                     NULL) != SQLITE_OK)
        return NULL;
    va_list args;
    va_start(args, types);
    int code = SQLITE_OK;
    for (int i = 1; *types && code == SQLITE_OK; i++, types++) {
        if (*types == 't') {
            code = sqlite3_bind_text(*slot, i, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else if (*types == 'i') {
            code = sqlite3_bind_int64(*slot, i, va_arg(args, int64_t));
        } else if (*types == 'd') {
            double value = va_arg(args, double);
            code = isfinite(value) ? sqlite3_bind_double(*slot, i, value)
                                   : sqlite3_bind_null(*slot, i);
        } else {
            const void *data = va_arg(args, const void *);
            code = sqlite3_bind_blob(*slot, i, data, va_arg(args, int), SQLITE_STATIC);
        }
    }
    va_end(args);
    return code == SQLITE_OK ? *slot : NULL;
}

int db_done(sqlite3_stmt *statement, int code) {
    if (!statement) return code;
    int last = sqlite3_reset(statement); /* the step's error again */
    if (last == SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) last = code;
    return last;
}

/* db_bind gave NULL. */
static int bind_error(const struct db *db) {
    int code = sqlite3_extended_errcode(db->handle);
    return code == SQLITE_OK ? SQLITE_NOMEM : code;
}

int db_step(struct db *db, sqlite3_stmt *statement) {
    return statement ? db_done(statement, sqlite3_step(statement)) : bind_error(db);
}

int db_number(struct db *db, sqlite3_stmt *statement, int64_t *out) {
    if (!statement) return bind_error(db);
    int code = sqlite3_step(statement);
    int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    code = db_done(statement, code);
    if (code == SQLITE_OK) *out = value;
    return code;
}

void db_finalize(struct db *db) {
    for (int i = 0; i < DB_STATEMENT_COUNT; i++) {
        sqlite3_finalize(db->statement[i]);
        db->statement[i] = NULL;
    }
}

static void reset_all(struct db *db) {
    for (int i = 0; i < DB_STATEMENT_COUNT; i++)
        sqlite3_reset(db->statement[i]);
}

/* ---------------------------------------------------------------- errors */

tess_status db_fail(const struct db *db, int code, const char *what, tess_error *error) {
    static const struct {
        int code;
        tess_status status;
        const char *why, *advice;
    } table[] = {
        {SQLITE_FULL, TESS_IO, "the disk is full", "make room, or choose another place (--db)"},
        {SQLITE_READONLY, TESS_IO, "it cannot be written",
         "check the permissions of the file and its folder, or choose another place (--db)"},
        {SQLITE_CANTOPEN, TESS_IO, "it cannot be opened",
         "check the path and the permissions, or choose another place (--db)"},
        {SQLITE_PERM, TESS_IO, "it may not be opened", "check the permissions"},
        {SQLITE_IOERR, TESS_IO, "the disk refuses", "check the disk and how full it is"},
        {SQLITE_BUSY, TESS_IO, "another process has held it for a minute", "end that process"},
        {SQLITE_NOMEM, TESS_OUT_OF_HOST_MEMORY, "no host memory", "free some"},
        {SQLITE_CORRUPT, TESS_BAD_FORMAT, "it is damaged", "remove it or restore a copy"},
        {SQLITE_NOTADB, TESS_BAD_FORMAT, "it is no database", "remove it or give another path"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == (code & 0xff))
            return error_set(error, table[i].status, "tuning database %s: %s: %s (%s); %s",
                             db->path, what, table[i].why, sqlite3_errstr(code), table[i].advice);
    return error_set(error, TESS_INTERNAL, "tuning database %s: %s: %s; report this", db->path,
                     what, db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
}

/* ---------------------------------------------------------------- running */

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void pause_ms(long ms) {
    struct timespec time = {0, ms * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        continue;
}

/* Another process set the file aside, or somebody removed it: rows written to it would be lost. */
static bool replaced(const struct db *db) {
    struct stat info;
    return stat(db->path, &info) != 0 || info.st_dev != db->disk || info.st_ino != db->inode;
}

static int transact(struct db *db, db_body body, void *args) {
    int code = db_step(db, db_bind(db, DB_BEGIN_WRITE, ""));
    if (code != SQLITE_OK) return code;
    code = body(db, args);
    if (code == SQLITE_OK) code = db_step(db, db_bind(db, DB_COMMIT, ""));
    if (code == SQLITE_OK) return SQLITE_OK;
    reset_all(db);
    db->env = 0; /* its row may not have come to stay */
    /* Some errors have rolled back already. */
    if (!sqlite3_get_autocommit(db->handle)) (void)db_step(db, db_bind(db, DB_ROLLBACK, ""));
    return code;
}

static tess_status run(struct db *db, bool write, db_body body, void *args, const char *what,
                       tess_error *error) {
    int64_t deadline = now_ms() + PATIENCE_MS;
    int code = SQLITE_OK;
    bool renewed = false;
    for (long pause = 1;; pause = pause < 64 ? 2 * pause : pause) {
        bool gone = db->handle && write && !db->read_only && replaced(db);
        if (!db->handle || gone || (db_damaged(code) && !renewed)) {
            renewed = db_damaged(code);
            tess_status status = db_reopen(db, renewed, error);
            if (status) return status;
        }
        if (write && db->read_only) return db_fail(db, SQLITE_READONLY, what, error);
        code = write ? transact(db, body, args) : body(db, args);
        if (code == SQLITE_OK) return TESS_OK;
        reset_all(db);
        bool busy = (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
        if (busy && now_ms() < deadline)
            pause_ms(pause);
        else if (!db_damaged(code) || renewed)
            return db_fail(db, code, what, error);
    }
}

tess_status db_write(struct db *db, db_body body, void *args, const char *what, tess_error *error) {
    return run(db, true, body, args, what, error);
}

tess_status db_read(struct db *db, db_body body, void *args, const char *what, tess_error *error) {
    return run(db, false, body, args, what, error);
}
