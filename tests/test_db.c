/* The tuning database: opening, trials, look-up, damaged and unwritable files. */
#include "db/db_internal.h"
#include "support/db_fixture.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "n8c64h56w56k64r3s3u1v1pt1pb1pl1pr1d1e1g1"

static int best(struct db *db, struct db_row *rows, int max) {
    return db_best(db, "conv_fwd", KEY, db_fixture_hash, NULL, rows, max);
}

static void test_best(void **state) {
    struct db *db = db_fixture_open(*state, "cpu", "1");
    struct db_row rows[8];
    assert_int_equal(best(db, rows, 8), 0);
    db_fixture_add(db, &(struct db_fixture_trial){.problem = KEY, .config = "b", .seconds = 2});
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = KEY, .config = "a", .seconds = 1, .bytes = 77});
    /* Measured again, the last time counts, not the least: slower, then faster. */
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = KEY, .config = "a", .seconds = 3, .bytes = 77});
    assert_int_equal(best(db, rows, 8), 2);
    assert_string_equal(rows[0].config, "b");
    assert_true(rows[1].seconds == 3);
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = KEY, .config = "a", .seconds = 1, .bytes = 77});
    db_fixture_add(db,
                   &(struct db_fixture_trial){.problem = KEY, .config = "c", .status = DB_CRASHED});
    db_fixture_add(db, &(struct db_fixture_trial){
                           .problem = KEY, .config = "old", .seconds = 0.1, .hash = "older"});
    db_fixture_add(
        db, &(struct db_fixture_trial){
                .operation = "conv_bwd_data", .problem = KEY, .config = "other", .seconds = 0.1});
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = "n1c1h1w1k1r1s1", .config = "d", .seconds = 1});
    assert_int_equal(best(db, rows, 8), 2);
    assert_string_equal(rows[0].config, "a");
    assert_string_equal(rows[0].algo, "direct");
    assert_true(rows[0].seconds == 1 && rows[0].mad == 0.01 && rows[0].max_err == 0.25);
    assert_int_equal(rows[0].bytes, 77);
    assert_true(rows[0].strict && rows[0].this_device && rows[0].current);
    assert_string_equal(rows[1].config, "b");
    assert_int_equal(best(db, rows, 1), 1);
    /* Wrong now is wrong before, for this configuration and problem alone. */
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = KEY, .config = "e", .status = DB_WRONG_RESULT});
    assert_int_equal(best(db, rows, 8), 2);
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = KEY, .config = "a", .status = DB_WRONG_RESULT});
    assert_int_equal(best(db, rows, 8), 1);
    assert_string_equal(rows[0].config, "b");
    db_fixture_add(db, &(struct db_fixture_trial){.problem = KEY, .config = "a2", .seconds = 1});
    db_close(db);
    /* Another driver, another device: nothing here; the first again: all. */
    db = db_fixture_open(*state, "cpu", "2");
    assert_int_equal(best(db, rows, 8), 0);
    db_close(db);
    db = db_fixture_open(*state, "gpu", "1");
    assert_int_equal(best(db, rows, 8), 0);
    db_close(db);
    db = db_fixture_open(*state, "cpu", "1");
    assert_int_equal(best(db, rows, 8), 2);
    db_close(db);
}

static void test_failures(void **state) {
    struct db *db = db_fixture_open(*state, "cpu", "1");
    struct db_subject subject = {.operation = "conv_fwd",
                                 .problem = KEY,
                                 .dtype = "f32",
                                 .algo = "direct",
                                 .config = "a",
                                 .kernel_hash = "hash-direct"};
    int count = -1;
    assert_int_equal(db_failures(db, &subject, NULL, &count), TESS_OK);
    assert_int_equal(count, 0);
    static const enum db_status each[] = {DB_CRASHED,      DB_BUILD_FAILED, DB_TIMED_OUT,
                                          DB_WRONG_RESULT, DB_OK,           DB_OUT_OF_MEMORY,
                                          DB_REFUSED};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        db_fixture_add(db, &(struct db_fixture_trial){
                               .problem = KEY, .config = "a", .seconds = 1, .status = each[i]});
    assert_int_equal(db_failures(db, &subject, NULL, &count), TESS_OK);
    assert_int_equal(count, 2);
    /* One that is running does not count while its process lives; this one's process dies. */
    pid_t child = fork();
    if (child == 0) {
        struct db *own = db_fixture_open(*state, "cpu", "1");
        int64_t id;
        _exit(db_trial_begin(own, &subject, NULL, &id) ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    int64_t id = 0;
    assert_int_equal(db_trial_begin(db, &subject, NULL, &id), TESS_OK);
    assert_int_equal(db_failures(db, &subject, NULL, &count), TESS_OK);
    assert_int_equal(count, 3);
    subject.kernel_hash = "mended";
    assert_int_equal(db_failures(db, &subject, NULL, &count), TESS_OK);
    assert_int_equal(count, 0);
    db_close(db);
}

static void test_bad_arguments(void **state) {
    struct db *db = NULL;
    tess_error error = {0};
    assert_int_equal(db_open("", NULL, NULL, &error, &db), TESS_INVALID_ARGUMENT);
    assert_null(db);
    assert_int_equal(db_open(db_fixture_path(*state), NULL, NULL, &error, &db), TESS_OK);
    struct db_subject subject = {"conv_fwd", KEY, "f32", "direct", "a", "h", true};
    int64_t id;
    assert_int_equal(db_trial_begin(db, &subject, &error, &id), TESS_INVALID_ARGUMENT);
    tess_device_info device = db_fixture_device("cpu", "1");
    assert_int_equal(db_set_device(db, &device, &error), TESS_OK);
    assert_int_equal(db_trial_begin(db, &subject, &error, &id), TESS_OK);
    struct db_result result = {.status = DB_OK, .seconds = NAN};
    assert_int_equal(db_trial_end(db, id, &result, &error), TESS_INVALID_ARGUMENT);
    result.seconds = 1;
    assert_int_equal(db_trial_end(db, id + 1, &result, &error), TESS_NOT_FOUND);
    result.max_err = NAN;
    assert_int_equal(db_trial_end(db, id, &result, &error), TESS_OK);
    for (int i = 0; i < 8; i++)
        assert_true(strlen(db_status_name((enum db_status)i)) > 1);
    db_close(db);
    db_close(NULL);
}

static void execute(const char *path, const char *sql) {
    sqlite3 *handle = NULL;
    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
}

static void test_other_files(void **state) {
    const char *path = db_fixture_path(*state);
    db_close(db_fixture_open(*state, "cpu", "1"));
    execute(path, "PRAGMA user_version = 2");
    tess_error error = {0};
    struct db *db = NULL;
    assert_int_equal(db_open(path, NULL, NULL, &error, &db), TESS_BAD_FORMAT);
    assert_non_null(strstr(error.text, "newer version"));
    unlink(path);
    execute(path, "CREATE TABLE bookmarks (url TEXT)");
    assert_int_equal(db_open(path, NULL, NULL, &error, &db), TESS_BAD_FORMAT);
    assert_non_null(strstr(error.text, "another program"));
    assert_int_equal(folder_count(*state), 1);
    /* A folder, a path through a file. */
    char deep[FOLDER_PATH_SIZE];
    assert_int_equal(db_open(*state, NULL, NULL, &error, &db), TESS_IO);
    assert_int_equal(db_open(folder_path(path, "x/tuning.db", deep), NULL, NULL, &error, &db),
                     TESS_IO);
    /* Folders are made; a name with characters that mean something in a URI. */
    folder_path(*state, "a/b%41?c#/tuning.db", deep);
    assert_int_equal(db_open(deep, NULL, NULL, &error, &db), TESS_OK);
    assert_int_equal(access(deep, F_OK), 0);
    db_close(db);
}

static void test_default_path(void **state) {
    char *before = getenv("XDG_DATA_HOME") ? strdup(getenv("XDG_DATA_HOME")) : NULL;
    setenv("XDG_DATA_HOME", *state, 1);
    unsetenv("TESSERA_DB");
    struct db *db = NULL;
    tess_error error = {0};
    assert_int_equal(db_open(NULL, NULL, NULL, &error, &db), TESS_OK);
    char path[FOLDER_PATH_SIZE];
    assert_string_equal(db_path(db), folder_path(*state, "tessera/tuning.db", path));
    db_close(db);
    if (before)
        setenv("XDG_DATA_HOME", before, 1);
    else
        unsetenv("XDG_DATA_HOME");
    free(before);
}

/* ---------------------------------------------------------------- damage */

/* Enough trials that the file has many pages; all of it in the file itself, none in the log. */
static void make_large(const char *folder, int rows) {
    struct db *db = db_fixture_open(folder, "cpu", "1");
    char config[64];
    for (int i = 0; i < rows; i++) {
        snprintf(config, sizeof config, "config_with_a_name_of_some_length_%d", i);
        db_fixture_add(db, &(struct db_fixture_trial){
                               .problem = KEY, .config = config, .seconds = 1 + 0.001 * i});
    }
    db_close(db);
}

/* The file was set aside with its bytes as they were, a message was logged, and a new database works. */
static void check_set_aside(const char *folder, struct db *db, const char *log) {
    assert_non_null(strstr(log, "set aside as"));
    assert_non_null(strstr(log, ".corrupt-1"));
    char aside[FOLDER_PATH_SIZE];
    assert_int_equal(access(folder_path(folder, "tuning.db.corrupt-1", aside), F_OK), 0);
    tess_device_info device = db_fixture_device("cpu", "1");
    assert_int_equal(db_set_device(db, &device, NULL), TESS_OK);
    struct db_row rows[2];
    db_fixture_add(db, &(struct db_fixture_trial){.problem = KEY, .config = "new", .seconds = 1});
    assert_int_equal(best(db, rows, 2), 1);
    assert_string_equal(rows[0].config, "new");
}

static void open_damaged(const char *folder) {
    char log[DB_FIXTURE_LOG_SIZE] = "";
    tess_error error = {0};
    struct db *db = NULL;
    if (db_open(db_fixture_path(folder), db_fixture_log, log, &error, &db))
        fail_msg("%s", error.text);
    check_set_aside(folder, db, log);
    db_close(db);
    /* Sound from now on. */
    log[0] = '\0';
    assert_int_equal(db_open(db_fixture_path(folder), db_fixture_log, log, &error, &db), TESS_OK);
    assert_string_equal(log, "");
    db_close(db);
}

static void test_text_file(void **state) {
    static const char text[] = "a letter to my aunt\n";
    bytes_write(db_fixture_path(*state), text, sizeof text - 1);
    open_damaged(*state);
    size_t size;
    char aside[FOLDER_PATH_SIZE];
    unsigned char *kept = bytes_read(folder_path(*state, "tuning.db.corrupt-1", aside), &size);
    assert_int_equal(size, sizeof text - 1);
    assert_memory_equal(kept, text, size);
    free(kept);
    /* The next one gets the next number. */
    bytes_write(db_fixture_path(*state), text, sizeof text - 1);
    struct db *db = NULL;
    assert_int_equal(db_open(db_fixture_path(*state), NULL, NULL, NULL, &db), TESS_OK);
    db_close(db);
    assert_int_equal(access(folder_path(*state, "tuning.db.corrupt-2", aside), F_OK), 0);
}

/* A slip in the path costs nobody a file. */
static void test_file_of_another_kind(void **state) {
    static const char text[] = "{\"problem\": 1}\n";
    char path[FOLDER_PATH_SIZE], aside[FOLDER_PATH_SIZE];
    tess_error error = {0};
    struct db *db = NULL;
    bytes_write(folder_path(*state, "results.json", path), text, sizeof text - 1);
    assert_int_equal(db_open(path, NULL, NULL, &error, &db), TESS_BAD_FORMAT);
    assert_non_null(strstr(error.text, "another kind"));
    size_t size;
    unsigned char *kept = bytes_read(path, &size);
    assert_int_equal(size, sizeof text - 1);
    assert_memory_equal(kept, text, size);
    free(kept);
    assert_int_not_equal(access(folder_path(*state, "results.json.corrupt-1", aside), F_OK), 0);
    /* A database of another name is one all the same. */
    unsigned char page[4096] = "SQLite format 3";
    bytes_write(path, page, sizeof page);
    assert_int_equal(db_open(path, NULL, NULL, &error, &db), TESS_OK);
    db_close(db);
    assert_int_equal(access(aside, F_OK), 0);
}

static void test_random_file(void **state) {
    enum { SIZE = 100000 };
    unsigned char *noise = check_alloc(SIZE);
    for (uint32_t i = 0, x = 1; i < SIZE; i++)
        noise[i] = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
    bytes_write(db_fixture_path(*state), noise, SIZE);
    open_damaged(*state);
    free(noise);
}

static void test_truncated(void **state) {
    make_large(*state, 300);
    struct stat info;
    assert_int_equal(stat(db_fixture_path(*state), &info), 0);
    assert_int_equal(truncate(db_fixture_path(*state), info.st_size / 2), 0);
    open_damaged(*state);
}

/* Overwrites pages first .. last - 1 of the database with a pattern. */
static void overwrite(const char *path, long first, long last) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, first * 4096, SEEK_SET), 0);
    for (long i = 0; i < (last - first) * 4096; i++)
        fputc(0x5a, file);
    assert_int_equal(fclose(file), 0);
}

static void test_overwritten(void **state) {
    make_large(*state, 300);
    overwrite(db_fixture_path(*state), 1, 20);
    open_damaged(*state);
}

/* Damaged after it was opened: reading finds it. */
static void test_found_later(void **state) {
    make_large(*state, 4000); /* above the size that is checked whole, and so lies in the cache */
    char log[DB_FIXTURE_LOG_SIZE] = "";
    struct db *db = NULL;
    assert_int_equal(db_open(db_fixture_path(*state), db_fixture_log, log, NULL, &db), TESS_OK);
    tess_device_info device = db_fixture_device("cpu", "1");
    assert_int_equal(db_set_device(db, &device, NULL), TESS_OK);
    struct db_subject subject = {"conv_fwd", KEY, "f32", "direct", "a", "hash-direct", true};
    int64_t id = 0;
    assert_int_equal(db_trial_begin(db, &subject, NULL, &id), TESS_OK);
    db_close(db);
    assert_int_equal(db_open(db_fixture_path(*state), db_fixture_log, log, NULL, &db), TESS_OK);
    assert_int_equal(db_set_device(db, &device, NULL), TESS_OK);
    struct stat info;
    assert_int_equal(stat(db_fixture_path(*state), &info), 0);
    overwrite(db_fixture_path(*state), 1, info.st_size / 4096);
    assert_string_equal(log, "");
    struct db_row row;
    assert_int_equal(best(db, &row, 1), 0);
    check_set_aside(*state, db, log);
    db_close(db);
}

/* The trial that was running when its file went is lost, with a warning and without an error. */
static void test_lost_trial(void **state) {
    char log[DB_FIXTURE_LOG_SIZE] = "";
    struct db *db = NULL;
    assert_int_equal(db_open(db_fixture_path(*state), db_fixture_log, log, NULL, &db), TESS_OK);
    tess_device_info device = db_fixture_device("cpu", "1");
    assert_int_equal(db_set_device(db, &device, NULL), TESS_OK);
    struct db_subject subject = {"conv_fwd", KEY, "f32", "direct", "a", "hash-direct", true};
    int64_t id = 0, other = 0;
    assert_int_equal(db_trial_begin(db, &subject, NULL, &id), TESS_OK);
    assert_int_equal(unlink(db_fixture_path(*state)), 0);
    assert_int_equal(db_trial_begin(db, &subject, NULL, &other), TESS_OK);
    assert_true(id != other);
    struct db_result result = {.status = DB_OK, .seconds = 1};
    assert_int_equal(db_trial_end(db, id, &result, NULL), TESS_OK);
    assert_non_null(strstr(log, "lost"));
    struct db_row row;
    assert_int_equal(best(db, &row, 1), 0);
    assert_int_equal(db_trial_end(db, other, &result, NULL), TESS_OK);
    assert_int_equal(best(db, &row, 1), 1);
    db_close(db);
}

/* ---------------------------------------------------------------- places that cannot be written */

/* Runs body in a child, as nobody if we are root, whom permissions do not bind. */
static void as_nobody(void (*body)(const char *folder), const char *folder) {
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
        body(folder);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define CHILD(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void read_only_body(const char *folder) {
    struct db *db = NULL;
    tess_error error = {0};
    CHILD(db_open(db_fixture_path(folder), NULL, NULL, &error, &db) == TESS_OK);
    tess_device_info device = db_fixture_device("cpu", "1");
    CHILD(db_set_device(db, &device, &error) == TESS_OK);
    struct db_row rows[4];
    CHILD(best(db, rows, 4) == 4);
    struct db_subject subject = {"conv_fwd", KEY, "f32", "direct", "a", "hash-direct", true};
    int64_t id;
    CHILD(db_trial_begin(db, &subject, &error, &id) == TESS_IO);
    CHILD(strstr(error.text, "cannot be written"));
    CHILD(best(db, rows, 4) == 4);
    db_close(db);
    char other[FOLDER_PATH_SIZE];
    CHILD(db_open(folder_path(folder, "other.db", other), NULL, NULL, &error, &db) == TESS_IO);
    CHILD(strstr(error.text, "other.db"));
    CHILD(db_open(folder_path(folder, "x/other.db", other), NULL, NULL, &error, &db) == TESS_IO);
}

static void test_read_only(void **state) {
    make_large(*state, 10);
    assert_int_equal(chmod(db_fixture_path(*state), 0444), 0);
    assert_int_equal(chmod(*state, 0555), 0);
    as_nobody(read_only_body, *state);
    /* The folder alone. */
    assert_int_equal(chmod(db_fixture_path(*state), 0666), 0);
    as_nobody(read_only_body, *state);
    assert_int_equal(chmod(*state, 0755), 0);
}

/* A disk that is full, for which a limit on the size of files stands in. */
static void full_body(const char *folder) {
    struct rlimit limit = {400000, 400000};
    signal(SIGXFSZ, SIG_IGN);
    struct db *db = db_fixture_open(folder, "cpu", "1");
    struct db_row rows[4];
    CHILD(best(db, rows, 4) == 4);
    CHILD(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    char config[64];
    tess_error error = {0};
    tess_status status = TESS_OK;
    for (int i = 0; i < 1000 && !status; i++) {
        snprintf(config, sizeof config, "full_%d", i);
        struct db_subject subject = {"conv_fwd", KEY, "f32", "direct", config, "hash-direct", true};
        int64_t id;
        status = db_trial_begin(db, &subject, &error, &id);
    }
    CHILD(status == TESS_IO);
    CHILD(strstr(error.text, "recording a trial"));
    CHILD(best(db, rows, 4) == 4);
    db_close(db);
}

static void test_full_disk(void **state) {
    make_large(*state, 10);
    assert_int_equal(chmod(*state, 0777), 0);
    assert_int_equal(chmod(db_fixture_path(*state), 0666), 0);
    as_nobody(full_body, *state);
    struct db *db = db_fixture_open(*state, "cpu", "1");
    struct db_row rows[20];
    assert_int_equal(best(db, rows, 20), 10);
    db_close(db);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_best),          IN_FOLDER(test_failures),
        IN_FOLDER(test_bad_arguments), IN_FOLDER(test_other_files),
        IN_FOLDER(test_default_path),  IN_FOLDER(test_text_file),
        IN_FOLDER(test_random_file),   IN_FOLDER(test_truncated),
        IN_FOLDER(test_overwritten),   IN_FOLDER(test_found_later),
        IN_FOLDER(test_lost_trial),    IN_FOLDER(test_read_only),
        IN_FOLDER(test_full_disk),     IN_FOLDER(test_file_of_another_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
