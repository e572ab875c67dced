/* Export, import and merge: JSON Lines. */
#include "db/db_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/file_error.h"

/* ---------------------------------------------------------------- export */

struct export {
    const char *path;
    tess_error *error;
    tess_status status; /* of the file, not of the database */
    long rows;
};

static tess_status write_line(struct atomic_file *file, sqlite3_stmt *from, tess_error *error) {
    json_t *line = db_line_print(from);
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(line);
    if (!text) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "exporting: no host memory");
    tess_status status = atomic_file_write(file, text, strlen(text), error);
    if (!status) status = atomic_file_write(file, "\n", 1, error);
    free(text);
    return status;
}

static int export_body(struct db *db, void *user) {
    struct export *export = user;
    struct atomic_file file;
    export->rows = 0;
    export->status = atomic_file_open(export->path, export->error, &file);
    if (export->status) return SQLITE_OK;
    sqlite3_stmt *rows = db_bind(db, db->has_times ? DB_EXPORT : DB_EXPORT_OLD, "");
    int code = rows ? SQLITE_DONE : db_step(db, NULL);
    while (rows && !export->status && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        export->status = write_line(&file, rows, export->error);
        export->rows++;
    }
    code = db_done(rows, code);
    if (code == SQLITE_OK && !export->status)
        export->status = atomic_file_commit(&file, export->error);
    atomic_file_abort(&file);
    return code;
}

tess_status db_export(struct db *db, const char *path, tess_error *error, long *rows) {
    struct export export = {.path = path, .error = error};
    tess_status status = db_read(db, export_body, &export, "exporting", error);
    if (!status) status = export.status;
    if (!status && rows) *rows = export.rows;
    return status;
}

/* ---------------------------------------------------------------- import */

struct import {
    const char *path;
    FILE *file;
    bool replace;
    tess_error *error;
    tess_status status;
    long rows;
};

static int put(struct db *db, const struct db_line *line) {
    const struct db_result *r = &line->result;
    int64_t env = 0, problem = 0, kernel = 0;
    int code = db_env_row(db, &line->identity, &env);
    if (code == SQLITE_OK)
        code = db_problem_row(db, line->operation, line->problem, line->dtype, &problem);
    if (code == SQLITE_OK) code = db_kernel_row(db, line->algo, line->hash, &kernel);
    if (code != SQLITE_OK) return code;
    int64_t lookup = db_lookup(env, line->operation, line->problem, line->dtype);
    sqlite3_stmt *statement =
        db_bind(db, DB_TRIAL_PUT, "iiiitiiidddidbtddd", lookup, env, problem, kernel, line->config,
                line->begun, (int64_t)r->status, (int64_t)line->strict, r->seconds, r->mad,
                r->max_err, (int64_t)r->bytes, r->build_seconds, r->samples,
                (int)((size_t)r->sample_count * sizeof(double)), r->cause, r->verify_seconds,
                r->run_seconds, r->search_seconds);
    /* What a trial does not have yet is NULL, as TRIAL_BEGIN leaves it. */
    if (statement && r->status == DB_RUNNING) sqlite3_bind_null(statement, 12);
    return db_step(db, statement);
}

/* Reads the file from its start: checks each line, and with db puts it in. Gives SQLite's code. */
static int read_lines(struct import *import, struct db *db) {
    char *text = NULL;
    size_t capacity = 0;
    ssize_t length;
    int code = SQLITE_OK;
    rewind(import->file);
    import->rows = 0;
    for (long number = 1; code == SQLITE_OK && !import->status; number++) {
        errno = 0;
        length = getline(&text, &capacity, import->file);
        if (length < 0) break;
        if (strspn(text, " \t\r\n") == (size_t)length) continue;
        struct db_line line;
        import->status = db_line_parse(text, (size_t)length, import->error, &line);
        if (import->status) {
            error_prefix(import->error, import->status, "%s: line %ld", import->path, number);
            break;
        }
        if (db) {
            code = put(db, &line);
            import->rows += sqlite3_changes(db->handle);
        }
        db_line_free(&line);
    }
    if (!import->status && ferror(import->file))
        import->status = error_file(import->error, errno, import->path, "read");
    free(text);
    return code;
}

static int import_body(struct db *db, void *user) {
    struct import *import = user;
    int code = SQLITE_OK;
    if (import->replace) code = db_step(db, db_bind(db, DB_DROP_TRIALS, ""));
    if (code == SQLITE_OK) code = read_lines(import, db);
    if (code == SQLITE_OK && import->replace) code = db_step(db, db_bind(db, DB_DROP_PROBLEMS, ""));
    if (code == SQLITE_OK && import->replace) code = db_step(db, db_bind(db, DB_DROP_KERNELS, ""));
    /* Another process changed the file after it was checked: nothing of it is kept. */
    return code == SQLITE_OK && import->status ? SQLITE_ABORT : code;
}

tess_status db_import(struct db *db, const char *path, bool replace, tess_error *error,
                      long *rows) {
    tess_error local = {0};
    struct import import = {
        .path = path, .replace = replace, .error = &local, .file = fopen(path, "r")};
    if (!import.file) return error_file(error, errno, path, "opened");
    /* Checked before the database is locked, so that a bad file costs the others nothing. */
    (void)read_lines(&import, NULL);
    tess_status status = import.status;
    if (!status) {
        status = db_write(db, import_body, &import, "importing", &local);
        if (import.status) status = import.status;
    }
    fclose(import.file);
    if (status) return error_set(error, status, "%s", local.text);
    if (rows) *rows = import.rows;
    return TESS_OK;
}
