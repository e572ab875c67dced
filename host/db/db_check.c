/* The file's health, from outside: nothing is created, repaired or set aside. */
#include "db/db_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { STEPS = 100000 }; /* of SQLite's machine between two looks at the clock */

struct limit {
    struct timespec start;
    double seconds;
};

static int expired(void *user) {
    const struct limit *limit = user;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - limit->start.tv_sec) +
               1e-9 * (double)(now.tv_nsec - limit->start.tv_nsec) >
           limit->seconds;
}

/* The first number of the first row, or with text the first text. */
static int ask(sqlite3 *handle, const char *sql, int64_t *number, char text[256]) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(handle, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW && number) *number = sqlite3_column_int64(statement, 0);
    const unsigned char *found =
        code == SQLITE_ROW && text ? sqlite3_column_text(statement, 0) : NULL;
    if (found) snprintf(text, 256, "%s", (const char *)found);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static tess_status damaged(tess_error *error, const char *path, const char *why) {
    return error_set(
        error, TESS_BAD_FORMAT,
        "%s is damaged or no database (%s); the next command that uses it sets it aside "
        "and begins a new one; what is left in it: sqlite3 '%s' .recover",
        path, why, path);
}

static tess_status look(sqlite3 *handle, struct db_health *out, tess_error *error) {
    int64_t application = 0, version = 0, tables = 0;
    char answer[256] = "";
    int code = ask(handle, "PRAGMA application_id", &application, NULL);
    if (code == SQLITE_OK) code = ask(handle, "PRAGMA user_version", &version, NULL);
    if (code == SQLITE_OK) code = ask(handle, "SELECT count(*) FROM sqlite_schema", &tables, NULL);
    if (code == SQLITE_OK && tables && application != DB_APPLICATION_ID)
        return error_set(error, TESS_BAD_FORMAT,
                         "%s is another program's SQLite database; give another path (--db)",
                         out->path);
    if (code == SQLITE_OK && version > DB_SCHEMA_VERSION)
        return error_set(error, TESS_BAD_FORMAT,
                         "%s was written by a newer version of Tessera; use that, or give another "
                         "path (--db)",
                         out->path);
    if (code == SQLITE_OK) code = ask(handle, "PRAGMA integrity_check(1)", NULL, answer);
    if (code == SQLITE_INTERRUPT) code = ask(handle, "SELECT 'ok'", NULL, answer);
    if (code == SQLITE_OK && strcmp(answer, "ok") != 0) return damaged(error, out->path, answer);
    if (code == SQLITE_OK && tables)
        code = ask(handle, "SELECT count(*) FROM trial", &out->trials, NULL);
    if (code == SQLITE_INTERRUPT) code = SQLITE_OK;
    out->version = (int)version;
    if (code == SQLITE_OK) return TESS_OK;
    if (db_damaged(code & 0xff) || code == SQLITE_ERROR)
        return damaged(error, out->path, sqlite3_errmsg(handle));
    return error_set(error, TESS_IO,
                     "%s cannot be read: %s; check its and its folder's permissions", out->path,
                     sqlite3_errmsg(handle));
}

tess_status db_check(const char *path, double seconds, tess_error *error, struct db_health *out) {
    struct db_health health = {0};
    struct stat info;
    char *own = path ? strdup(path) : db_default_path(error);
    if (!own) return path ? error_set(error, TESS_OUT_OF_HOST_MEMORY, "no host memory") : TESS_IO;
    snprintf(health.path, sizeof health.path, "%s", own);
    free(own);
    health.exists = stat(health.path, &info) == 0;
    *out = health;
    if (!health.exists) return TESS_OK;
    if (!S_ISREG(info.st_mode))
        return error_set(error, TESS_IO, "%s is no file; give a file's path (--db)", health.path);
    out->bytes = info.st_size;
    struct limit limit = {.seconds = seconds};
    clock_gettime(CLOCK_MONOTONIC, &limit.start);
    sqlite3 *handle = NULL;
    tess_status status = TESS_OK;
    if (sqlite3_open_v2(health.path, &handle, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        status = error_set(error, TESS_IO, "%s cannot be opened: %s; check its permissions",
                           health.path, handle ? sqlite3_errmsg(handle) : "no host memory");
    if (!status) {
        sqlite3_progress_handler(handle, STEPS, expired, &limit);
        status = look(handle, out, error);
    }
    sqlite3_close(handle);
    return status;
}
