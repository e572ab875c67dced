/* How long opening and a look-up take with 200,000 problems in the database. */
#include "db/db_internal.h"
#include "support/db_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROBLEMS = 200000, LOOKUPS = 20000, BATCH = 200 };
#define GENERATED "n%dc%dh56w%dk64r3s3u1v1pt1pb1pl1pr1d1e1g1"

static void generated_key(int i, char key[TESS_CONV_KEY_SIZE]) {
    snprintf(key, TESS_CONV_KEY_SIZE, GENERATED, 1 + i % 7, 1 + i % 1009, 3 + i / 1009);
}

/* Two trials a problem, in one transaction. */
static int fill(struct db *db, void *user) {
    (void)user;
    static const char trials[] =
        "INSERT INTO trial (lookup, env, problem, kernel, config, begun, status, strict, seconds,"
        " mad, max_err, bytes, build_seconds, samples, pid)"
        " SELECT ?1, ?2, ?3, ?4, 'conv_direct_fwd__wt14_kv2_order0_fix' || i, ?3, 1, 1,"
        " 1e-3 * (1 + i), 1e-6, 0.1, 4096, 0.5, zeroblob(64), 0"
        " FROM (SELECT 0 AS i UNION SELECT 1)";
    sqlite3_stmt *insert = NULL;
    int64_t env = 0, kernel = 0;
    int code = sqlite3_prepare_v2(db->handle, trials, -1, &insert, NULL);
    if (code == SQLITE_OK) code = db_env_row(db, &db->identity, &env);
    if (code == SQLITE_OK) code = db_kernel_row(db, "direct", "hash-direct", &kernel);
    for (int i = 0; i < PROBLEMS && code == SQLITE_OK; i++) {
        char key[TESS_CONV_KEY_SIZE];
        int64_t problem = 0;
        generated_key(i, key);
        code = db_problem_row(db, "conv_fwd", key, "f32", &problem);
        sqlite3_bind_int64(insert, 1, db_lookup(env, "conv_fwd", key, "f32"));
        sqlite3_bind_int64(insert, 2, env);
        sqlite3_bind_int64(insert, 3, problem);
        sqlite3_bind_int64(insert, 4, kernel);
        if (code == SQLITE_OK) code = sqlite3_step(insert);
        code = code == SQLITE_DONE ? sqlite3_reset(insert) : code;
    }
    sqlite3_finalize(insert);
    return code;
}

static double clock_us(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return 1e6 * (double)time.tv_sec + 1e-3 * (double)time.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double p99(const double *times, int count) {
    double *sorted = check_alloc((size_t)count * sizeof *sorted);
    memcpy(sorted, times, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_size);
    double result = sorted[count * 99 / 100];
    free(sorted);
    return result;
}

/* Microseconds of each look-up, of problems far from each other. */
static void time_lookups(struct db *db, double *times) {
    for (int i = 0; i < LOOKUPS; i++) {
        char key[TESS_CONV_KEY_SIZE];
        struct db_row row;
        generated_key((int)((int64_t)i * 77977 % PROBLEMS), key);
        double start = clock_us(CLOCK_THREAD_CPUTIME_ID);
        int found = db_best(db, "conv_fwd", key, db_fixture_hash, NULL, &row, 1);
        times[i] = clock_us(CLOCK_THREAD_CPUTIME_ID) - start;
        assert_int_equal(found, 1);
        assert_true(row.seconds == 1e-3);
    }
}

/* Milliseconds of a search of near problems, all of which are in one class; the best of five. */
static double time_near(struct db *db) {
    static struct db_row near[16];
    const struct db_question question = {
        "conv_fwd", "n8c60h50w50k70r3s3u1v1pt1pb1pl1pr1d1e1g1", db_fixture_hash, NULL, false,
        SIZE_MAX};
    double least = INFINITY;
    for (int i = 0; i < 5; i++) {
        double start = clock_us(CLOCK_THREAD_CPUTIME_ID);
        assert_true(db_near(db, &question, near, 16) > 0);
        least = fmin(least, 1e-3 * (clock_us(CLOCK_THREAD_CPUTIME_ID) - start));
    }
    return least;
}

/* The thread's own time, and the best of some batches: what other programs do to the caches is not ours. */
static void test_speed(void **state) {
    struct db *db = db_fixture_open(*state, "cpu", "1");
    assert_int_equal(db_write(db, fill, NULL, "filling", NULL), TESS_OK);
    db_close(db);
    double start = clock_us(CLOCK_MONOTONIC);
    db = db_fixture_open(*state, "cpu", "1");
    double opened = clock_us(CLOCK_MONOTONIC) - start;
    double *times = check_alloc(LOOKUPS * sizeof *times);
    time_lookups(db, times);
    double least = INFINITY;
    for (int i = 0; i < LOOKUPS; i += BATCH)
        least = fmin(least, p99(times + i, BATCH));
    print_message("%d problems: opened in %.1f ms; look-up p99 %.1f us, %.1f us in the best batch "
                  "of %d\n",
                  PROBLEMS, 1e-3 * opened, p99(times, LOOKUPS), least, BATCH);
    double near_ms = time_near(db);
    print_message("near problems found in %.1f ms\n", near_ms);
    assert_true(least <= 20);
    assert_true(near_ms <= 20);
    free(times);
    db_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_speed, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
