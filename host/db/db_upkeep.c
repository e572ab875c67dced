/* Listing and pruning. */
#include "db/db_internal.h"

#include <string.h>

struct list {
    db_visitor visit;
    void *user;
};

static void read_row(sqlite3_stmt *from, struct db_row *out) {
    *out = (struct db_row){
        .status = (enum db_status)sqlite3_column_int(from, 6),
        .strict = sqlite3_column_int(from, 7) != 0,
        .seconds = sqlite3_column_double(from, 8),
        .mad = sqlite3_column_double(from, 9),
        .max_err = sqlite3_column_double(from, 10),
        .bytes = (size_t)sqlite3_column_int64(from, 11),
    };
    DB_COPY(out->device, (const char *)sqlite3_column_text(from, 0));
    DB_COPY(out->driver, (const char *)sqlite3_column_text(from, 1));
    DB_COPY(out->operation, (const char *)sqlite3_column_text(from, 2));
    DB_COPY(out->problem, (const char *)sqlite3_column_text(from, 3));
    DB_COPY(out->algo, (const char *)sqlite3_column_text(from, 4));
    DB_COPY(out->config, (const char *)sqlite3_column_text(from, 5));
}

static int list_body(struct db *db, void *user) {
    const struct list *list = user;
    sqlite3_stmt *rows = db_bind(db, DB_LIST, "");
    if (!rows) return db_step(db, NULL);
    int code = SQLITE_DONE, stop = 0;
    while (!stop && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct db_row row;
        read_row(rows, &row);
        stop = list->visit(list->user, &row, (long)sqlite3_column_int64(rows, 12));
    }
    return db_done(rows, code);
}

tess_status db_list(struct db *db, db_visitor visit, void *user, tess_error *error) {
    struct list list = {visit, user};
    return db_read(db, list_body, &list, "listing", error);
}

static int prune_body(struct db *db, void *user) {
    static const enum db_statement rest[] = {DB_DROP_PROBLEMS, DB_DROP_KERNELS};
    long *rows = user;
    *rows = 0;
    int code = db_find_env(db);
    if (code == SQLITE_OK) code = db_step(db, db_bind(db, DB_PRUNE_OLD, "i", db->env));
    if (code == SQLITE_OK) *rows += sqlite3_changes(db->handle);
    if (code == SQLITE_OK) code = db_step(db, db_bind(db, DB_PRUNE_SLOW, ""));
    if (code == SQLITE_OK) *rows += sqlite3_changes(db->handle);
    for (size_t i = 0; i < 2 && code == SQLITE_OK; i++)
        code = db_step(db, db_bind(db, rest[i], ""));
    return code;
}

tess_status db_prune(struct db *db, tess_error *error, long *rows) {
    long dropped = 0;
    tess_status status = db_write(db, prune_body, &dropped, "pruning", error);
    if (status) return status;
    /* Gives the room back if nobody else is using the file now. */
    (void)sqlite3_exec(db->handle, "VACUUM", NULL, NULL, NULL);
    if (rows) *rows = dropped;
    return TESS_OK;
}
