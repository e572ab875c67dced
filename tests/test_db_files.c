/* Export, import, merge, list and prune. */
#include "db/db_internal.h"
#include "support/db_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "n8c64h56w56k64r3s3u1v1pt1pb1pl1pr1d1e1g1"

static struct db *open_named(const char *folder, const char *name) {
    char path[FOLDER_PATH_SIZE];
    struct db *db = NULL;
    tess_device_info device = db_fixture_device("cpu", "1");
    assert_int_equal(db_open(folder_path(folder, name, path), NULL, NULL, NULL, &db), TESS_OK);
    assert_int_equal(db_set_device(db, &device, NULL), TESS_OK);
    return db;
}

static const struct db_subject subject = {"conv_fwd", KEY,           "f32", "direct",
                                          "a",        "hash-direct", true};

/* Trials of every kind: two devices, failures with a cause that is not UTF-8, one that never ended, no samples. */
static void fill(struct db *db) {
    int64_t id = 0;
    assert_int_equal(db_trial_begin(db, &subject, NULL, &id), TESS_OK);
    assert_int_equal(db_trial_begin(db, &subject, NULL, &id), TESS_OK);
    double none = 0;
    struct db_result failure = {
        .status = DB_BUILD_FAILED, .cause = "caf\xe9 \"quoted\"\n\ttab", .samples = &none};
    assert_int_equal(db_trial_end(db, id, &failure, NULL), TESS_OK);
    for (int i = 0; i < 30; i++) {
        char config[32];
        snprintf(config, sizeof config, "c%d", i);
        db_fixture_add(db, &(struct db_fixture_trial){.problem = i % 2 ? KEY : "n1c2h3w4k5r1s1",
                                                      .config = config,
                                                      .seconds = (i + 1) / 3.0e3,
                                                      .not_strict = i % 3 == 0,
                                                      .bytes = (size_t)i << 30});
    }
    tess_device_info gpu = db_fixture_device("gpu \xff", "2");
    gpu.type = CL_DEVICE_TYPE_GPU;
    assert_int_equal(db_set_device(db, &gpu, NULL), TESS_OK);
    db_fixture_add(
        db, &(struct db_fixture_trial){
                .operation = "clblast", .problem = "Xgemm", .config = "KWG=16", .seconds = 1});
}

static long export_to(struct db *db, const char *path) {
    long rows = -1;
    tess_error error = {0};
    if (db_export(db, path, &error, &rows)) fail_msg("%s", error.text);
    return rows;
}

static void check_same_files(const char *a, const char *b) {
    size_t size_a, size_b;
    unsigned char *bytes_a = bytes_read(a, &size_a), *bytes_b = bytes_read(b, &size_b);
    assert_int_equal(size_a, size_b);
    assert_memory_equal(bytes_a, bytes_b, size_a);
    free(bytes_a);
    free(bytes_b);
}

static void test_round_trip(void **state) {
    char one[FOLDER_PATH_SIZE], two[FOLDER_PATH_SIZE];
    folder_path(*state, "one.jsonl", one);
    folder_path(*state, "two.jsonl", two);
    struct db *db = open_named(*state, "a.db"), *other = open_named(*state, "b.db");
    fill(db);
    assert_int_equal(export_to(db, one), 33);
    long rows = -1;
    tess_error error = {0};
    /* import drops what was there. */
    db_fixture_add(other, &(struct db_fixture_trial){
                              .problem = "n1c1h1w1k1r1s1", .config = "x", .seconds = 1});
    assert_int_equal(db_import(other, one, true, &error, &rows), TESS_OK);
    assert_int_equal(rows, 33);
    assert_int_equal(export_to(other, two), 33);
    check_same_files(one, two);
    /* merge adds nothing that is there. */
    assert_int_equal(db_import(other, one, false, &error, &rows), TESS_OK);
    assert_int_equal(rows, 0);
    assert_int_equal(export_to(other, two), 33);
    check_same_files(one, two);
    struct db_row list[40];
    assert_int_equal(db_best(other, "conv_fwd", KEY, db_fixture_hash, NULL, list, 40), 15);
    assert_string_equal(list[0].config, "c1");
    assert_true(list[0].seconds == 2 / 3.0e3);
    db_close(db);
    db_close(other);
}

static void test_merge(void **state) {
    char one[FOLDER_PATH_SIZE];
    folder_path(*state, "one.jsonl", one);
    struct db *db = open_named(*state, "a.db"), *other = open_named(*state, "b.db");
    int64_t id = 0;
    long rows = -1;
    assert_int_equal(db_trial_begin(db, &subject, NULL, &id), TESS_OK);
    export_to(db, one);
    db_fixture_add(other, &(struct db_fixture_trial){.problem = KEY, .config = "x", .seconds = 2});
    assert_int_equal(db_import(other, one, false, NULL, &rows), TESS_OK);
    assert_int_equal(rows, 1);
    /* The trial has ended since: the merge completes the row, and an older file does not undo it. */
    struct db_result good = {.status = DB_OK, .seconds = 1};
    char two[FOLDER_PATH_SIZE];
    assert_int_equal(db_trial_end(db, id, &good, NULL), TESS_OK);
    export_to(db, folder_path(*state, "two.jsonl", two));
    assert_int_equal(db_import(other, two, false, NULL, &rows), TESS_OK);
    assert_int_equal(rows, 1);
    assert_int_equal(db_import(other, one, false, NULL, &rows), TESS_OK);
    assert_int_equal(rows, 0);
    struct db_row list[4];
    assert_int_equal(db_best(other, "conv_fwd", KEY, db_fixture_hash, NULL, list, 4), 2);
    assert_string_equal(list[0].config, "a");
    assert_int_equal(db_trial_count(other, "conv_fwd", KEY), 2);
    db_close(db);
    db_close(other);
}

/* A good trial that says where its time went: 2, 3 and 4 s. */
static void add_timed(struct db *db, const char *config) {
    int64_t id;
    struct db_subject own = subject;
    const struct db_result result = {.status = DB_OK,
                                     .seconds = 1,
                                     .build_seconds = 1,
                                     .verify_seconds = 2,
                                     .run_seconds = 3,
                                     .search_seconds = 4};
    own.config = config;
    assert_int_equal(db_trial_begin(db, &own, NULL, &id), TESS_OK);
    assert_int_equal(db_trial_end(db, id, &result, NULL), TESS_OK);
}

/* Times of an export's lines, in its order; one that is missing is 0. */
static void check_times(const char *folder, const char *name, const double run[], int count) {
    char *text = folder_read(folder, name, NULL), *rest = NULL;
    int lines = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *at = strstr(line, "\"run_seconds\":");
        assert_true(lines < count);
        assert_true((at ? strtod(at + strlen("\"run_seconds\":"), NULL) : 0) == run[lines++]);
        assert_true(!at ||
                    (strstr(line, "\"verify_seconds\":2") && strstr(line, "\"search_seconds\":4")));
    }
    assert_int_equal(lines, count);
    free(text);
}

/* A file of a version that did not ask where time goes is opened, keeps its trials and takes new ones; one that cannot be written is
   read. Export and import keep the times. */
static void test_times(void **state) {
    char one[FOLDER_PATH_SIZE], two[FOLDER_PATH_SIZE], other_folder[FOLDER_PATH_SIZE];
    long rows;
    struct db *db = db_fixture_open(*state, "cpu", "1");
    db_fixture_add(db, &(struct db_fixture_trial){.problem = KEY, .config = "old", .seconds = 1});
    db->has_times = false; /* as where the columns cannot be added */
    export_to(db, folder_path(*state, "one.jsonl", one));
    check_times(*state, "one.jsonl", (const double[]){0}, 1);
    db_close(db);
    sqlite3 *handle = NULL;
    assert_int_equal(sqlite3_open(db_fixture_path(*state), &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle,
                                  "ALTER TABLE trial DROP COLUMN verify_seconds;"
                                  "ALTER TABLE trial DROP COLUMN run_seconds;"
                                  "ALTER TABLE trial DROP COLUMN search_seconds",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(handle);

    db = db_fixture_open(*state, "cpu", "1");
    add_timed(db, "new");
    assert_int_equal(export_to(db, one), 2);
    check_times(*state, "one.jsonl", (const double[]){0, 3}, 2);
    folder_create(other_folder);
    struct db *other = db_fixture_open(other_folder, "cpu", "1");
    assert_int_equal(db_import(other, one, false, NULL, &rows), TESS_OK);
    export_to(other, folder_path(*state, "two.jsonl", two));
    check_times(*state, "two.jsonl", (const double[]){0, 3}, 2);
    db_close(other);
    db_close(db);
    folder_remove(other_folder);
}

/* text: what the export's file becomes by the change. Nothing of it may get in. */
static void check_refused(const char *folder, const char *text, size_t size, const char *why) {
    char bad[FOLDER_PATH_SIZE];
    tess_error error = {0};
    long rows = -1;
    struct db *db = open_named(folder, "b.db");
    bytes_write(folder_path(folder, "bad.jsonl", bad), text, size);
    for (int replace = 0; replace < 2; replace++) {
        assert_int_equal(db_import(db, bad, replace, &error, &rows), TESS_BAD_FORMAT);
        if (!strstr(error.text, why) || !strstr(error.text, "line 33"))
            fail_msg("'%s' does not say '%s' and 'line 33'", error.text, why);
        assert_int_equal(rows, -1);
        struct db_row row;
        assert_int_equal(db_best(db, "conv_fwd", KEY, db_fixture_hash, NULL, &row, 1), 1);
        assert_string_equal(row.config, "kept");
        assert_int_equal(db_trial_count(db, "conv_fwd", KEY), 1);
    }
    db_close(db);
}

/* The last line with old replaced by new. */
static void check_change(const char *folder, const char *old, const char *new, const char *why) {
    char one[FOLDER_PATH_SIZE];
    size_t size;
    unsigned char *bytes = bytes_read(folder_path(folder, "one.jsonl", one), &size);
    char *text = check_alloc(size + 200), *last = text;
    memcpy(text, bytes, size);
    text[size] = '\0';
    for (char *at = text; (at = strchr(at, '\n')) && at[1];)
        last = ++at;
    char *found = strstr(last, old);
    assert_non_null(found);
    memmove(found + strlen(new), found + strlen(old), strlen(found + strlen(old)) + 1);
    memcpy(found, new, strlen(new));
    check_refused(folder, text, strlen(text), why);
    free(bytes);
    free(text);
}

static void test_bad_files(void **state) {
    char one[FOLDER_PATH_SIZE], none[FOLDER_PATH_SIZE];
    struct db *db = open_named(*state, "a.db"), *other = open_named(*state, "b.db");
    fill(db);
    export_to(db, folder_path(*state, "one.jsonl", one));
    db_fixture_add(other,
                   &(struct db_fixture_trial){.problem = KEY, .config = "kept", .seconds = 9});
    db_close(other);
    check_change(*state, "\"status\":\"ok\"", "\"status\":\"fine\"", "status");
    check_change(*state, "\"config\":", "\"conf\":", "config is missing");
    check_change(*state, "\"seconds\":1.0", "\"seconds\":-1.0", "no time");
    check_change(*state, "\"bytes\":0", "\"bytes\":-7", "bytes");
    check_change(*state, "\"samples\":[1.0", "\"samples\":[\"1\"", "samples");
    check_change(*state, "\"device\":{", "\"device\":[{", "no JSON");
    check_change(*state, "}\n", "", "no JSON");
    tess_error error = {0};
    long rows;
    assert_int_equal(db_import(db, folder_path(*state, "none", none), false, &error, &rows),
                     TESS_IO);
    assert_non_null(strstr(error.text, "none"));
    assert_int_equal(db_export(db, folder_path(*state, "no/where", none), &error, &rows), TESS_IO);
    db_close(db);
}

static int count_visit(void *user, const struct db_row *row, long trials) {
    long *sums = user;
    sums[0]++;
    sums[1] += trials;
    if (strcmp(row->operation, "conv_fwd") == 0 && strcmp(row->problem, KEY) == 0) {
        assert_int_equal(row->status, DB_OK);
        assert_string_equal(row->config, "c1");
        assert_string_equal(row->device, "cpu");
    }
    return 0;
}

static void test_list(void **state) {
    struct db *db = open_named(*state, "a.db");
    long sums[2] = {0, 0};
    fill(db);
    assert_int_equal(db_list(db, count_visit, sums, NULL), TESS_OK);
    assert_int_equal(sums[0], 3);
    assert_int_equal(sums[1], 33);
    db_close(db);
}

static void test_prune(void **state) {
    struct db *db = open_named(*state, "a.db");
    fill(db);
    tess_device_info device = db_fixture_device("cpu", "1");
    assert_int_equal(db_set_device(db, &device, NULL), TESS_OK);
    db_fixture_add(db,
                   &(struct db_fixture_trial){.problem = KEY, .config = "q", .status = DB_CRASHED});
    db_fixture_add(db, &(struct db_fixture_trial){
                           .problem = KEY, .config = "w", .seconds = 1e-9, .not_strict = true});
    for (int i = 0; i < 4; i++)
        db_fixture_add(db,
                       &(struct db_fixture_trial){
                           .problem = KEY, .config = &"xxxx"[i], .seconds = 1, .not_strict = true});
    long rows = -1;
    assert_int_equal(db_prune(db, NULL, &rows), TESS_OK);
    /* Of ten good strict ones of two problems each eight stay, of ten that are not strict eight, and all five of the other problem's; the failed
       build goes; the crash and the unfinished stay. */
    assert_int_equal(rows, 2 + 2 + 2 + 1);
    struct db_row list[20];
    assert_int_equal(db_best(db, "conv_fwd", KEY, db_fixture_hash, NULL, list, 20), 8 + 8);
    assert_string_equal(list[0].config, "w");
    assert_string_equal(list[1].config, "c1");
    assert_int_equal(db_trial_count(db, "conv_fwd", KEY), 8 + 8 + 2);
    /* A new driver: the old one's trials go, but the other device's stay. A new kernel likewise. */
    device = db_fixture_device("cpu", "1.1");
    assert_int_equal(db_set_device(db, &device, NULL), TESS_OK);
    db_fixture_add(db, &(struct db_fixture_trial){.problem = KEY, .config = "n", .seconds = 1});
    db_fixture_add(db, &(struct db_fixture_trial){
                           .problem = KEY, .config = "n", .seconds = 1, .hash = "newer"});
    assert_int_equal(db_prune(db, NULL, &rows), TESS_OK);
    assert_int_equal(db_trial_count(db, "conv_fwd", KEY), 1);
    assert_int_equal(db_best(db, "conv_fwd", KEY, db_fixture_hash, NULL, list, 20), 0);
    db_close(db);
    db = open_named(*state, "a.db");
    assert_int_equal(db_trial_count(db, "conv_fwd", KEY), 0);
    db_close(db);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_round_trip),
        IN_FOLDER(test_merge),
        IN_FOLDER(test_bad_files),
        IN_FOLDER(test_list),
        IN_FOLDER(test_prune),
        cmocka_unit_test_setup_teardown(test_times, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
