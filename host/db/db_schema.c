/* The schema, its version, and what is checked when a file is opened. */
#include "db/db_internal.h"

#include <string.h>

/* A whole check takes about a millisecond for so many pages of 4 KiB. */
enum { SMALL_PAGES = 256 };

static const char schema[] =
    "CREATE TABLE device ("
    " id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, class TEXT NOT NULL,"
    " type TEXT NOT NULL, vendor TEXT NOT NULL, name TEXT NOT NULL, compute_units INTEGER,"
    " clock_mhz INTEGER, global_memory INTEGER, local_memory INTEGER, max_work_group INTEGER,"
    " native_float_vector INTEGER);"
    "CREATE TABLE env ("
    " id INTEGER PRIMARY KEY, device INTEGER NOT NULL REFERENCES device,"
    " platform TEXT NOT NULL, driver TEXT NOT NULL, opencl TEXT NOT NULL, opencl_c TEXT NOT NULL,"
    " compiler TEXT NOT NULL, UNIQUE (device, platform, driver, opencl, opencl_c, compiler));"
    "CREATE TABLE kernel ("
    " id INTEGER PRIMARY KEY, algo TEXT NOT NULL, hash TEXT NOT NULL, UNIQUE (algo, hash));"
    /* class and size: for the search of near problems (nearness.h); NULL where the key is no convolution's. */
    "CREATE TABLE problem ("
    " id INTEGER PRIMARY KEY, operation TEXT NOT NULL, key TEXT NOT NULL, dtype TEXT NOT NULL,"
    " class TEXT, size REAL, UNIQUE (key, operation, dtype));"
    "CREATE INDEX problem_class ON problem (operation, dtype, class, size, key);"
    /* lookup: db_lookup of env and problem, so that one descent of one index finds a problem's best; status as in enum db_status;
       begun in microseconds since 1970; samples: doubles; pid: of a running trial. */
    "CREATE TABLE trial ("
    " id INTEGER PRIMARY KEY, lookup INTEGER NOT NULL, env INTEGER NOT NULL REFERENCES env,"
    " problem INTEGER NOT NULL REFERENCES problem, kernel INTEGER NOT NULL REFERENCES kernel,"
    " config TEXT NOT NULL, begun INTEGER NOT NULL, status INTEGER NOT NULL,"
    " strict INTEGER NOT NULL, seconds REAL, mad REAL, max_err REAL, bytes INTEGER,"
    " build_seconds REAL, samples BLOB, cause TEXT, pid INTEGER NOT NULL,"
    " verify_seconds REAL, run_seconds REAL, search_seconds REAL,"
    " UNIQUE (env, problem, kernel, config, begun));"
    "CREATE INDEX trial_best ON trial"
    " (lookup, seconds, kernel, config, strict, mad, max_err, bytes) WHERE status = 1;"
    "CREATE VIEW best AS"
    " SELECT device.name AS device, env.driver, problem.operation, problem.key AS problem,"
    "  problem.dtype, kernel.algo, trial.config, min(trial.seconds) AS seconds"
    " FROM trial JOIN env ON env.id = trial.env JOIN device ON device.id = env.device"
    "  JOIN problem ON problem.id = trial.problem JOIN kernel ON kernel.id = trial.kernel"
    " WHERE trial.status = 1 GROUP BY trial.problem, trial.env;"
    "PRAGMA application_id = 1413829459;" /* DB_APPLICATION_ID */
    "PRAGMA user_version = 1;";           /* DB_SCHEMA_VERSION */

static int pragma_number(struct db *db, const char *sql, int64_t *out) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Under the folder's lock; but where that cannot be had, another process may make the same schema now. */
static int make_schema(struct db *db) {
    int code = sqlite3_exec(db->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    int64_t version = 0;
    if (code == SQLITE_OK) code = pragma_number(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK && !version) code = sqlite3_exec(db->handle, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK) return sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
    (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static int find_times(struct db *db) {
    int64_t found = 0;
    int code = pragma_number(
        db, "SELECT count(*) FROM pragma_table_info('trial') WHERE name = 'search_seconds'",
        &found);
    db->has_times = found > 0;
    return code;
}

/* Files of older versions lack columns, which older versions go on ignoring. A file that cannot be written stays as it is. */
static int add_times(struct db *db) {
    static const char add[] = "ALTER TABLE trial ADD COLUMN verify_seconds REAL;"
                              "ALTER TABLE trial ADD COLUMN run_seconds REAL;"
                              "ALTER TABLE trial ADD COLUMN search_seconds REAL;"
                              "COMMIT";
    int code = find_times(db);
    if (code != SQLITE_OK || db->has_times || sqlite3_db_readonly(db->handle, "main")) return code;
    code = sqlite3_exec(db->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK) code = find_times(db); /* another process may have been faster */
    if (code == SQLITE_OK && !db->has_times) code = sqlite3_exec(db->handle, add, NULL, NULL, NULL);
    if (!sqlite3_get_autocommit(db->handle))
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    if (db_damaged(code) || (code & 0xff) == SQLITE_BUSY) return code;
    return find_times(db);
}

/* Cheap signs of damage: SQLite has compared the file's length with its header by now; a small file is checked
   whole, of a large one both ends of each table and index. What is hidden deeper shows when it is read. */
static int check_sound(struct db *db) {
    /* min and max in one SELECT would read the whole table. */
#define ENDS(column, table)                                                                        \
    "SELECT min(" column ") FROM " table "; SELECT max(" column ") FROM " table ";"
    static const char ends[] = ENDS("id", "device") ENDS("id", "env") ENDS("id", "kernel")
        ENDS("id", "problem") ENDS("id", "trial") ENDS("key", "problem")
            ENDS("env", "trial INDEXED BY sqlite_autoindex_trial_1")
                ENDS("lookup", "trial INDEXED BY trial_best WHERE status = 1");
#undef ENDS
    int64_t pages = 0;
    int code = pragma_number(db, "PRAGMA page_count", &pages);
    if (code != SQLITE_OK) return code;
    if (pages > SMALL_PAGES) return sqlite3_exec(db->handle, ends, NULL, NULL, NULL);
    sqlite3_stmt *statement = NULL;
    code = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *answer = (const char *)sqlite3_column_text(statement, 0);
        code = answer && strcmp(answer, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int db_schema_check(struct db *db, const char **foreign) {
    int64_t application = 0, version = 0, tables = 0;
    int code = pragma_number(db, "PRAGMA application_id", &application);
    if (code == SQLITE_OK) code = pragma_number(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK) code = pragma_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code != SQLITE_OK) return code;
    bool empty = !application && !version && !tables;
    if (!empty && application != DB_APPLICATION_ID) {
        *foreign = "it is another program's SQLite database; give another path";
        return SQLITE_OK;
    }
    if (version > DB_SCHEMA_VERSION) {
        *foreign = "a newer version of Tessera wrote it; use that, or give another path";
        return SQLITE_OK;
    }
    if (!empty) {
        code = check_sound(db);
        return code == SQLITE_OK ? add_times(db) : code;
    }
    code = sqlite3_exec(db->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if (code == SQLITE_OK) code = make_schema(db);
    return code == SQLITE_OK ? add_times(db) : code;
}
