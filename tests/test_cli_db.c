/* `tessera db` and the option --db, run as a user would. */
#include "db/db.h"
#include "ops/conv/conv_algo.h"
#include "support/db_fixture.h"
#include "support/program.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY   "n8c64h56w56k64r3s3u1v1pt1pb1pl1pr1d1e1g1"
#define LIKED "conv_direct_fwd__wt7_kv1_nt1_order0_cb0"

static void test_usage(void **state) {
    const char *db = db_fixture_path(*state);
    assert_program(RUN("db", "--help"), 0, "usage: tessera db");
    assert_program(RUN("db"), 2, "argument is missing");
    assert_program(RUN("--db", db, "db", "lst"), 2, "did you mean 'list'");
    assert_program(RUN("--db", db, "db", "xyzzy"), 2, "no action");
    assert_program(RUN("--db", db, "db", "export"), 2, "no FILE");
    assert_program(RUN("--db", db, "db", "prune", "x"), 2, "takes no argument");
    assert_program(RUN("--db", db, "db", "merge", "x", "y"), 2, "one argument too many");
    assert_int_equal(folder_count(*state), 0);
}

static void fill(const char *folder) {
    struct db *db = db_fixture_open(folder, "a cpu", "1.2");
    for (int i = 0; i < 12; i++) {
        char config[64];
        snprintf(config, sizeof config, "config%d", i);
        db_fixture_add(db, &(struct db_fixture_trial){
                               .problem = KEY, .config = config, .seconds = 1e-3 * (i + 1)});
    }
    db_fixture_add(db, &(struct db_fixture_trial){
                           .problem = "n1c1h1w1k1r1s1", .config = "x", .status = DB_TIMED_OUT});
    db_close(db);
}

static void test_files(void **state) {
    const char *db = db_fixture_path(*state);
    char file[FOLDER_PATH_SIZE], other[FOLDER_PATH_SIZE], bad[FOLDER_PATH_SIZE];
    folder_path(*state, "file.jsonl", file);
    folder_path(*state, "other.db", other);
    folder_path(*state, "bad.jsonl", bad);
    fill(*state);
    assert_program(RUN("--db", db, "db", "list"), 0, KEY "  conv_fwd");
    assert_program(RUN("--db", db, "db", "list"), 0, "1 ms, config0, best of 12 trials");
    assert_program(RUN("--db", db, "db", "list"), 0, "no good one of 1 trials, e.g. x: timed out");
    assert_program(RUN("--db", db, "db", "list", "--json"), 0, "\"config\":\"config0\"");
    assert_program(RUN("--db", db, "db", "export", file), 0, "13 trials written");
    assert_program(RUN("--db", other, "db", "import", file), 0, "13 trials added");
    assert_program(RUN("--db", other, "db", "merge", file), 0, "0 trials added");
    assert_program(RUN("--db", other, "db", "prune"), 0, "4 trials dropped");
    assert_program(RUN("--db", other, "db", "list"), 0, "best of 8 trials");
    assert_program(RUN("--db", db, "db", "portfolio", "pocl-avx512"), 2, "no --out");
    assert_program(RUN("--db", db, "db", "portfolio", "pocl-avx512", "--out", bad), 0,
                   "1 configuration written");
    assert_program(RUN("--db", db, "db", "portfolio", "amd-gpu", "--out", bad), 1, "amd-gpu");
    bytes_write(bad, "{}\n", 3);
    assert_program(RUN("--db", other, "db", "merge", bad), 1, "line 1");
    assert_program(RUN("--db", other, "db", "merge", "/no/such"), 1, "/no/such");
    assert_program(RUN("--db", other, "db", "export", "/no/such"), 1, "/no/such");
    assert_program(RUN("--db", *state, "db", "list"), 1, "cannot be opened");
    assert_program(RUN("--db", *state, "plan", "lenet5"), 1, "cannot be opened");
}

/* A good trial of LIKED on the device that RUN uses. */
static void like(const char *folder, tess_context *ctx, const char *problem) {
    char hash[65];
    struct db *db = NULL;
    assert_ok(ctx, db_algo_hash(ctx, conv_algo_find("direct"), hash));
    assert_int_equal(db_open(db_fixture_path(folder), NULL, NULL, NULL, &db), TESS_OK);
    assert_int_equal(db_set_device(db, tess_context_device(ctx), NULL), TESS_OK);
    db_fixture_add(db, &(struct db_fixture_trial){
                           .problem = problem, .config = LIKED, .hash = hash, .seconds = 2e-3});
    db_close(db);
}

static void test_plan(void **state) {
    const char *db = db_fixture_path(*state);
    void *ctx = NULL;
    assert_int_equal(check_setup(&ctx), 0);
    assert_program(RUN("--db", db, "plan", "--problem", KEY, "--pass", "fwd"), 0, "chosen by");
    assert_int_equal(folder_count(*state), 0);
    like(*state, ctx, KEY);
    assert_program(RUN("--db", db, "plan", "--problem", KEY, "--pass", "fwd"), 0,
                   "chosen by: exact");
    assert_program(RUN("--db", db, "plan", "--problem", KEY, "--pass", "fwd"), 0,
                   "measured 2 ms here");
    assert_program(RUN("--db", db, "plan", "--problem", KEY, "--pass", "fwd", "--json"), 0,
                   "\"tier\":\"exact\"");
    setenv("TESSERA_DB", db, 1);
    assert_program(RUN("plan", "--problem", KEY, "--pass", "fwd"), 0, LIKED);
    unsetenv("TESSERA_DB");
    /* A file that is no database is set aside, and the plan is made. */
    bytes_write(db, "hello", 5);
    assert_program(RUN("--db", db, "plan", "--problem", KEY, "--pass", "fwd"), 0, "chosen by");
    char aside[FOLDER_PATH_SIZE];
    assert_int_equal(access(folder_path(*state, "tuning.db.corrupt-1", aside), F_OK), 0);
    assert_int_equal(check_teardown(&ctx), 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_usage),
        IN_FOLDER(test_files),
        IN_FOLDER(test_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
