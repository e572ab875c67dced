/* Opening the database, and putting a new one in a damaged one's place. */
#define _XOPEN_SOURCE 700 /* realpath; NOLINT(bugprone-reserved-identifier) */
#include "db/db_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_MS = 20000, OPEN_TRIES = 100 };

const char *db_path(const struct db *db) {
    return db->path;
}

static void close_handle(struct db *db) {
    db_finalize(db);
    sqlite3_close(db->handle);
    db->handle = NULL;
    db->env = 0;
}

/* In WAL mode synchronous = NORMAL loses nothing when a process dies, and no consistency when the power fails. The cache (KiB, taken
   as it is needed) holds the index of 200,000 problems, so that a look-up reads no file. Not memory-mapped: a file that somebody cuts
   short would end the process with SIGBUS. */
static int open_with(struct db *db, const char *name, int flags, const char **foreign) {
    static const char settings[] = "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;"
                                   "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                                   "PRAGMA trusted_schema = OFF";
    int code = sqlite3_open_v2(name, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) code = sqlite3_extended_result_codes(db->handle, 1);
    if (code == SQLITE_OK) code = sqlite3_busy_timeout(db->handle, BUSY_MS);
    if (code == SQLITE_OK) code = sqlite3_exec(db->handle, settings, NULL, NULL, NULL);
    if (code == SQLITE_OK) code = db_schema_check(db, foreign);
    db->read_only = code == SQLITE_OK && sqlite3_db_readonly(db->handle, "main") != 0;
    return code;
}

/* In a folder that cannot be written, SQLite reads a WAL database only if told that nobody else writes it. */
static int open_handle(struct db *db, const char **foreign) {
    int code = open_with(db, db->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, foreign);
    bool refused = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY;
    if (!refused || access(db->path, R_OK) != 0) return code;
    close_handle(db);
    char *uri = db_immutable_uri(db->path);
    if (!uri) return SQLITE_NOMEM;
    code = open_with(db, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, foreign);
    free(uri);
    return code;
}

/* Takes the damaged file out of the way and says so. */
static tess_status set_aside(struct db *db, const char *why, tess_error *error) {
    char aside[4096];
    int failed = db_set_aside(db->path, aside, sizeof aside);
    if (failed)
        return error_set(error, TESS_BAD_FORMAT,
                         "tuning database %s: it is damaged or no database (%s), and cannot be set "
                         "aside: %s; remove it or give another path",
                         db->path, why, strerror(failed));
    db_log(db, TESS_LOG_WARN,
           "tuning database %s: damaged or no database (%s); it was set aside as %s, and a new one "
           "is begun; to save what is left in it: sqlite3 '%s' .recover",
           db->path, why, aside, aside);
    return TESS_OK;
}

static void pause_100ms(void) {
    struct timespec time = {0, 100000000};
    (void)nanosleep(&time, NULL);
}

static tess_status open_locked(struct db *db, bool damaged, tess_error *error) {
    struct stat info;
    tess_status status = TESS_OK;
    if (stat(db->path, &info) == 0 && !S_ISREG(info.st_mode))
        return error_set(error, TESS_IO,
                         "tuning database %s: it cannot be opened: it is no file; give a file's "
                         "path",
                         db->path);
    /* Another process may have set the damaged file aside already. */
    if (damaged && stat(db->path, &info) == 0 && info.st_dev == db->disk &&
        info.st_ino == db->inode)
        status = set_aside(db, "found while reading it", error);
    bool renewed = false;
    for (int i = 0; !status; i++) {
        const char *foreign = NULL;
        int code = open_handle(db, &foreign);
        if (code == SQLITE_OK && !foreign) break;
        close_handle(db);
        if (foreign)
            status = error_set(error, TESS_BAD_FORMAT, "tuning database %s: %s", db->path, foreign);
        else if ((code & 0xff) == SQLITE_BUSY && i < OPEN_TRIES)
            pause_100ms();
        else if (!db_damaged(code) || renewed)
            status = db_fail(db, code, "opening", error);
        else if (!db_was_database(db->path))
            status =
                error_set(error, TESS_BAD_FORMAT,
                          "tuning database %s: it is a file of another kind (%s); give another "
                          "path (--db, TESSERA_DB), or remove it",
                          db->path, sqlite3_errstr(code));
        else {
            renewed = true;
            status = set_aside(db, sqlite3_errstr(code), error);
        }
    }
    if (!status && stat(db->path, &info) == 0) {
        db->disk = info.st_dev;
        db->inode = info.st_ino;
    }
    return status;
}

tess_status db_reopen(struct db *db, bool damaged, tess_error *error) {
    close_handle(db);
    int lock = db_lock_folder(db->path);
    tess_status status = open_locked(db, damaged, error);
    db_unlock_folder(lock);
    db->generation++;
    return status;
}

/* The path as it will be known: SQLite keeps the log beside the file that a symbolic link means. */
static char *resolve(const char *path, tess_error *error) {
    char *own = path ? strdup(path) : db_default_path(error);
    if (!own && path) error_set(error, TESS_OUT_OF_HOST_MEMORY, "tuning database: no host memory");
    char *real = own ? realpath(own, NULL) : NULL;
    if (!real) return own;
    free(own);
    return real;
}

bool db_exists(const char *path) {
    char *own = path ? strdup(path) : db_default_path(NULL);
    struct stat info;
    bool exists = own && stat(own, &info) == 0;
    free(own);
    return exists;
}

tess_status db_open(const char *path, tess_log_callback log, void *log_user, tess_error *error,
                    struct db **out) {
    if (!out || (path && !*path))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "tuning database: the path is empty; give one");
    struct db *db = calloc(1, sizeof *db);
    if (!db) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "tuning database: no host memory");
    db->log = log;
    db->log_user = log_user;
    tess_error local = {0};
    db->path = resolve(path, &local);
    tess_status status = db->path ? TESS_OK : local.status;
    int failed = db->path ? db_make_folders(db->path) : 0;
    if (failed)
        status = error_set(&local, TESS_IO,
                           "tuning database %s: its folder cannot be made: %s; choose another "
                           "place (--db)",
                           db->path, strerror(failed));
    if (!status) status = db_reopen(db, false, &local);
    if (status) {
        db_close(db);
        return error_set(error, status, "%s", local.text);
    }
    *out = db;
    return TESS_OK;
}

void db_close(struct db *db) {
    if (!db) return;
    close_handle(db);
    free(db->path);
    free(db);
}
