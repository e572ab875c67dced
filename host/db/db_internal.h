/* The inside of struct db: what the files of host/db share. */
#ifndef TESSERA_DB_DB_INTERNAL_H
#define TESSERA_DB_DB_INTERNAL_H

#include "db/db.h"

#include <sqlite3.h>
#include <sys/types.h>

enum db_statement {
#define STATEMENT(name, text) DB_##name,
#include "db/db_statements.def"
#undef STATEMENT
    DB_STATEMENT_COUNT
};

/* What a row of device and one of env say. */
struct db_identity {
    char fingerprint[512];
    const char *device_class; /* device_class(): a constant */
    const char *type;         /* "CPU", "GPU", "accelerator": a constant */
    char vendor[128], name[256];
    int64_t compute_units, clock_mhz, global_memory, local_memory, max_work_group,
        native_float_vector;
    char platform[128], driver[128], opencl[128], opencl_c[128], compiler[256];
};

struct db {
    sqlite3 *handle; /* NULL: a damaged file could not be replaced; every call fails */
    char *path;
    tess_log_callback log;
    void *log_user;
    bool read_only;
    bool
        has_times; /* trial has verify_seconds, run_seconds, search_seconds: not in an old file that cannot be written */
    dev_t disk;    /* of the open file: another process may have set it aside and begun a new one */
    ino_t inode;
    int generation;                              /* how often another file took this one's place */
    sqlite3_stmt *statement[DB_STATEMENT_COUNT]; /* NULL: not prepared yet */
    bool has_device;
    struct db_identity identity;
    int64_t
        env; /* row of the device and driver, which no one deletes; 0: not looked up or not there */
};

void db_log(const struct db *db, tess_log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- running: db_run.c. Bodies return SQLite's codes. */

/* Work on the database. On SQLITE_BUSY it is run again from the start, and on a damaged file too, with the new one; so it may
   write to args only what it would write again. */
typedef int (*db_body)(struct db *db, void *args);

/* Runs body, in a transaction if it is to write. what: for messages, as in "recording a trial". */
tess_status db_write(struct db *db, db_body body, void *args, const char *what, tess_error *error);
tess_status db_read(struct db *db, db_body body, void *args, const char *what, tess_error *error);

/* The status and message of an SQLite code. */
tess_status db_fail(const struct db *db, int code, const char *what, tess_error *error);

/* Prepares (once) and binds: a letter of types for each argument: t text (const char *, NULL is NULL), i int64_t, d double (not finite:
   NULL), b blob (const void *, int bytes). NULL out of memory or where the statement does not fit the file; db_code tells. */
sqlite3_stmt *db_bind(struct db *db, enum db_statement which, const char *types, ...);
/* Ends the use of a statement; NULL is allowed. Gives code, or the error of the last step if code is SQLITE_DONE or SQLITE_ROW. */
int db_done(sqlite3_stmt *statement, int code);
/* Runs a statement that gives no rows. */
int db_step(struct db *db, sqlite3_stmt *statement);
/* The number in the first column of the first row; 0 if there is no row. Ends the statement. */
int db_number(struct db *db, sqlite3_stmt *statement, int64_t *out);
void db_finalize(struct db *db); /* all statements */

bool db_damaged(int code); /* SQLITE_CORRUPT, SQLITE_NOTADB */

/* ---- rows that are read: db_best.c */

/* Columns of DB_BEST -> a row of this operation and problem; device and driver are left empty. */
void db_read_best(const struct db_question *question, const char *problem, sqlite3_stmt *from,
                  struct db_row *out);
/* Whether the row that from is at is of the current kernel, and whether it fulfils the question's limits. */
bool db_is_current(const struct db_question *question, sqlite3_stmt *from);
bool db_is_allowed(const struct db_question *question, sqlite3_stmt *from);
bool db_has_config(const struct db_row *rows, int count, const char *config);

/* A third of snprintf's time, where every microsecond counts. Cuts what is too long. */
void db_copy(char *to, size_t size, const char *from);
#define DB_COPY(to, from) db_copy(to, sizeof(to), from)

/* ---- the file: db_open.c, db_schema.c, db_file.c */

enum { DB_SCHEMA_VERSION = 1, DB_APPLICATION_ID = 0x54455353 /* "TESS" */ };

/* Opens db->path, for the first time or again; a damaged file is set aside. damaged: the file that was open is, whatever a short
   look says. */
tess_status db_reopen(struct db *db, bool damaged, tess_error *error);

/* Makes the schema in an empty file, checks it in any other. Gives an SQLite code; *foreign says why the file is none of
   ours although it is sound: another application's, or a newer version's. */
int db_schema_check(struct db *db, const char **foreign);

/* $TESSERA_DB, or "$XDG_DATA_HOME/tessera/tuning.db", to be freed; NULL, and *error: no such place or no memory. */
char *db_default_path(tess_error *error);
/* Whether there is a file to open; path as in db_open. */
bool db_exists(const char *path);
/* mkdir -p for the file's folder; gives 0 or errno. */
int db_make_folders(const char *path);
/* An flock on the file's folder, so that one process at a time opens, creates or sets aside; -1: none (ignored). */
int db_lock_folder(const char *path);
void db_unlock_folder(int lock);
/* Whether the file was a database once, by its first bytes, or can be nothing else, by the name tuning.db. Any other file may be a slip
   of whoever named it: it stays where it is. */
bool db_was_database(const char *path);
/* Renames path to "<path>.corrupt-N" with its -wal; aside receives the name. Gives 0 or errno. */
int db_set_aside(const char *path, char *aside, size_t size);
/* "file:<path>?immutable=1" with the path escaped, to be freed. */
char *db_immutable_uri(const char *path);

/* ---- rows that are shared: db_rows.c. Found, or added (in a transaction). */

int db_env_row(struct db *db, const struct db_identity *identity, int64_t *env);
int db_kernel_row(struct db *db, const char *algo, const char *hash, int64_t *kernel);
int db_problem_row(struct db *db, const char *operation, const char *key, const char *dtype,
                   int64_t *problem);
/* What trials of one env and problem have in common: 63 bits that depend on all of these. */
int64_t db_lookup(int64_t env, const char *operation, const char *key, const char *dtype);
/* Finds the env of db_set_device without adding it: db->env, 0 if it is not there. */
int db_find_env(struct db *db);

#endif
