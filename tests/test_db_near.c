/* The search of near problems, beside a search of all of them. */
#include "db/db.h"
#include "db/nearness.h"
#include "support/db_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "n8c64h56w56k64r3s3u1v1pt1pb1pl1pr1d1e1g1"
enum { PROBLEMS = 400, ASKED = 24 };

static int near(struct db *db, const char *key, struct db_row *rows, int max) {
    const struct db_question question = {"conv_fwd", key, db_fixture_hash, NULL, false, SIZE_MAX};
    return db_near(db, &question, rows, max);
}

static double distance(const char *a, const char *b) {
    tess_conv_desc of_a, of_b;
    assert_int_equal(tess_conv_desc_parse(a, NULL, &of_a), TESS_OK);
    assert_int_equal(tess_conv_desc_parse(b, NULL, &of_b), TESS_OK);
    return nearness_distance(&of_a, &of_b);
}

/* Sizes all over, many of them in opposite directions: the sum of the logarithms says little about the distance. */
static void scattered_key(int i, char key[TESS_CONV_KEY_SIZE]) {
    const int size = 8 + i * 7 % 50;
    snprintf(key, TESS_CONV_KEY_SIZE, "n%dc%dh%dw%dk%dr3s3u1v1pt1pb1pl1pr1d1e1g1", 1 + i % 9,
             1 + i * 37 % 211, size, size, 1 + i * 53 % 307);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_nearest_first(void **state) {
    struct db *db = db_fixture_open(*state, "cpu", "1");
    static double all[PROBLEMS];
    static struct db_row rows[ASKED];
    for (int i = 0; i < PROBLEMS; i++) {
        char key[TESS_CONV_KEY_SIZE], config[32];
        scattered_key(i, key);
        snprintf(config, sizeof config, "config%d", i);
        db_fixture_add(db,
                       &(struct db_fixture_trial){.problem = key, .config = config, .seconds = 1});
        all[i] = distance(KEY, key);
    }
    /* Of another class; of a problem that is none of a convolution; another operation. */
    db_fixture_add(db, &(struct db_fixture_trial){
                           .problem = "n8c64h56w56k64r5s5", .config = "other", .seconds = 1});
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = "n8c64k64", .config = "other", .seconds = 1});
    db_fixture_add(
        db, &(struct db_fixture_trial){
                .operation = "conv_bwd_data", .problem = KEY, .config = "other", .seconds = 1});
    qsort(all, PROBLEMS, sizeof *all, ascending);
    assert_int_equal(near(db, KEY, rows, ASKED), ASKED);
    for (int i = 0; i < ASKED; i++) {
        assert_true(fabs(distance(KEY, rows[i].problem) - all[i]) <= 1e-9);
        assert_true(rows[i].this_device && rows[i].current);
    }
    /* A problem at either end of all sizes: one side is empty. */
    assert_int_equal(near(db, "n1c1h3w3k1r3s3u1v1pt1pb1pl1pr1d1e1g1", rows, ASKED), ASKED);
    assert_int_equal(near(db, "n64c4096h64w64k4096r3s3u1v1pt1pb1pl1pr1d1e1g1", rows, ASKED), ASKED);
    assert_int_equal(near(db, "n8c64h56w56k64r7s7", rows, ASKED), 0);
    db_close(db);
}

/* What is current and of this device comes first, and of the very problem only what is not. */
static void test_places(void **state) {
    static const char far_key[] = "n8c256h56w56k256r3s3u1v1pt1pb1pl1pr1d1e1g1";
    static struct db_row rows[8];
    struct db *db = db_fixture_open(*state, "cpu", "1");
    db_fixture_add(db, &(struct db_fixture_trial){.problem = KEY, .config = "exact", .seconds = 1});
    db_fixture_add(db, &(struct db_fixture_trial){
                           .problem = KEY, .config = "older", .seconds = 1, .hash = "older"});
    db_fixture_add(db,
                   &(struct db_fixture_trial){.problem = far_key, .config = "far", .seconds = 1});
    db_close(db);
    db = db_fixture_open(*state, "cpu", "2");
    assert_int_equal(near(db, KEY, rows, 8), 3); /* no row of this driver: hints alone */
    assert_false(rows[0].current || rows[1].current || rows[2].current);
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = far_key, .config = "driver 2", .seconds = 1});
    db_close(db);
    db = db_fixture_open(*state, "cpu", "1");
    assert_int_equal(near(db, KEY, rows, 8), 3);
    assert_string_equal(rows[0].config, "far");
    assert_true(rows[0].current);
    assert_string_equal(rows[1].config, "older");
    assert_true(rows[1].this_device && !rows[1].current);
    assert_string_equal(rows[2].config, "driver 2");
    assert_string_equal(rows[2].driver, "2");
    assert_int_equal(near(db, KEY, rows, 1), 1);
    db_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nearest_first, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_places, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
