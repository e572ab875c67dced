/* Ten processes write and read one database at once, and some are killed in the middle of it. */
#include "support/db_fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 10, READERS = 3, ROWS = 200, KILLS = 20 };

#define KEY "n8c64h56w56k64r3s3u1v1pt1pb1pl1pr1d1e1g1"

static int64_t query(const char *path, const char *sql) {
    sqlite3 *handle = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    if (sqlite3_column_type(statement, 0) == SQLITE_TEXT)
        value = strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    sqlite3_finalize(statement);
    sqlite3_close(handle);
    return value;
}

/* Writes trials 0 .. rows - 1 of its own and, every other one, of a problem that all share. Any error ends the process with 1. */
static void write_rows(const char *path, int writer, int rows) {
    tess_error error = {0};
    struct db *db = NULL;
    tess_device_info device = db_fixture_device("cpu", "1");
    if (db_open(path, NULL, NULL, &error, &db) || db_set_device(db, &device, &error)) goto fail;
    for (int i = 0; i < rows; i++) {
        char key[TESS_CONV_KEY_SIZE], config[64];
        snprintf(key, sizeof key, i % 2 ? KEY : "n%dc3h8w8k4r3s3", writer + 1);
        snprintf(config, sizeof config, "conv_direct_fwd__w%d_i%d", writer, i);
        struct db_subject subject = {"conv_fwd", key, "f32", "direct", config, "hash-direct", true};
        double seconds = 1e-3 * (i + 1);
        struct db_result result = {
            .status = DB_OK, .seconds = seconds, .samples = &seconds, .sample_count = 1};
        int64_t id = 0;
        if (db_trial_begin(db, &subject, &error, &id) || db_trial_end(db, id, &result, &error))
            goto fail;
    }
    db_close(db);
    _exit(0);
fail:
    fprintf(stderr, "writer %d: %s\n", writer, error.text);
    _exit(1);
}

static void keep_line(void *user, tess_log_level level, const char *line) {
    (void)level;
    fprintf(stderr, "reader: %s\n", line);
    *(int *)user = 1;
}

/* Looks up until it is told to stop; what it finds is in order, and never shrinks. Anything in the log ends it with 1. */
static volatile sig_atomic_t stop;
static void on_stop(int signal_number) {
    (void)signal_number;
    stop = 1;
}
static void read_rows(const char *path) {
    static struct db_row rows[WRITERS * ROWS];
    int failed = 0, last = 0;
    struct db *db = NULL;
    tess_device_info device = db_fixture_device("cpu", "1");
    if (db_open(path, keep_line, &failed, NULL, &db) || db_set_device(db, &device, NULL)) _exit(1);
    while (!stop && !failed) {
        int count = db_best(db, "conv_fwd", KEY, db_fixture_hash, NULL, rows, 64);
        failed |= count < last;
        for (int i = 1; i < count; i++)
            failed |= rows[i].seconds < rows[i - 1].seconds;
        last = count;
    }
    db_close(db);
    _exit(failed);
}

static void pause_ms(int ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

static void test_ten(void **state) {
    const char *path = db_fixture_path(*state);
    pid_t writers[WRITERS], readers[READERS];
    signal(SIGTERM, on_stop); /* before the fork: a reader may be told before it is ready */
    for (int i = 0; i < READERS; i++)
        if ((readers[i] = fork()) == 0) read_rows(path);
    for (int i = 0; i < WRITERS; i++)
        if ((writers[i] = fork()) == 0) write_rows(path, i, ROWS);
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(writers[i], &status, 0), writers[i]);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < READERS; i++) {
        int status = -1;
        assert_int_equal(kill(readers[i], SIGTERM), 0);
        assert_int_equal(waitpid(readers[i], &status, 0), readers[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(query(path, "SELECT count(*) FROM trial WHERE status = 1"), WRITERS * ROWS);
    assert_int_equal(query(path, "SELECT count(*) FROM problem"), WRITERS + 1);
    assert_int_equal(query(path, "SELECT count(*) FROM env"), 1);
    assert_true(query(path, "PRAGMA integrity_check"));
}

/* A writer dies at any moment, others go on: rows whose calls had returned are there, and the file is sound. */
static void test_kill(void **state) {
    const char *path = db_fixture_path(*state);
    for (int round = 0; round < KILLS; round++) {
        pid_t victim = fork();
        if (victim == 0) write_rows(path, round, 1 << 20);
        pid_t other = fork();
        if (other == 0) write_rows(path, 100 + round, 20);
        pause_ms(20 + 7 * round);
        int status = -1;
        assert_int_equal(kill(victim, SIGKILL), 0);
        assert_int_equal(waitpid(victim, &status, 0), victim);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(waitpid(other, &status, 0), other);
        assert_int_equal(status, 0);
        assert_true(query(path, "PRAGMA integrity_check"));
    }
    /* One trial in progress for each, at most. */
    assert_true(query(path, "SELECT count(*) FROM trial WHERE status = 0") <= KILLS);
    assert_int_equal(query(path, "SELECT count(*) FROM trial WHERE config LIKE '%w1__\\_%' ESCAPE "
                                 "'\\' AND status = 1"),
                     KILLS * 20);
    assert_int_equal(query(path, "SELECT count(*) FROM kernel"), 1);
    char aside[FOLDER_PATH_SIZE];
    assert_int_not_equal(access(folder_path(*state, "tuning.db.corrupt-1", aside), F_OK), 0);
}

/* All find the same damaged file: one sets it aside, and no row that was written to the new one is lost. */
static void test_damaged_at_once(void **state) {
    static const char text[] = "this was a database once, and then it was not";
    const char *path = db_fixture_path(*state);
    for (int round = 0; round < 5; round++) {
        char name[64], aside[FOLDER_PATH_SIZE];
        unlink(path);
        bytes_write(path, text, sizeof text);
        pid_t writers[WRITERS];
        for (int i = 0; i < WRITERS; i++)
            if ((writers[i] = fork()) == 0) write_rows(path, i, 10);
        for (int i = 0; i < WRITERS; i++) {
            int status = -1;
            assert_int_equal(waitpid(writers[i], &status, 0), writers[i]);
            assert_int_equal(status, 0);
        }
        assert_int_equal(query(path, "SELECT count(*) FROM trial WHERE status = 1"), WRITERS * 10);
        snprintf(name, sizeof name, "tuning.db.corrupt-%d", round + 1);
        assert_int_equal(access(folder_path(*state, name, aside), F_OK), 0);
        snprintf(name, sizeof name, "tuning.db.corrupt-%d", round + 2);
        assert_int_not_equal(access(folder_path(*state, name, aside), F_OK), 0);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_ten),
        IN_FOLDER(test_kill),
        IN_FOLDER(test_damaged_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
