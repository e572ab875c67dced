/* Statistics of reports: intervals, the rank-sum test, Holm's correction, and what a comparison says of recorded noise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/compare.h"
#include "bench/report/report_read.h"
#include "bench/report/stats.h"
#include "support/check.h"
#include "support/recorded_noise.h"

static void test_summary(void **state) {
    (void)state;
    double values[15];
    struct stats_summary s;
    for (int i = 0; i < 15; i++)
        values[i] = (i * 7) % 15 + 1; /* 1 .. 15 */
    stats_summarise(values, 15, 10, &s);
    assert_int_equal(s.count, 15);
    assert_float_equal(s.median, 80, 1e-9);
    assert_float_equal(s.best, 10, 1e-9);
    assert_float_equal(s.mad, 40, 1e-9);
    /* The 4th and the 12th of 15: 1 - 2 P(B <= 3), B binomial: 0.9648. */
    assert_float_equal(s.ci[0], 40, 1e-9);
    assert_float_equal(s.ci[1], 120, 1e-9);
    assert_float_equal(s.ci_level, 0.96484375, 1e-6);
    stats_summarise(values, 2, 1, &s);
    assert_float_equal(s.ci_level, 0.5, 1e-9);
    stats_summarise(values, 0, 1, &s);
    assert_true(isnan(s.median) && s.count == 0);
}

static void test_rank_sum(void **state) {
    (void)state;
    static const double low[] = {1, 2, 3, 4, 5}, high[] = {6, 7, 8, 9, 10};
    struct stats_shift s;
    stats_compare(low, 5, high, 5, &s);
    assert_float_equal(s.p, 2.0 / 252, 1e-9); /* the extreme one of 252 orders, on either side */
    assert_float_equal(s.p_least, s.p, 1e-12);
    assert_float_equal(s.shift, 5, 1e-9);
    assert_true(s.ci[0] >= 1 && s.ci[1] <= 9 && s.ci[0] < 5 && s.ci[1] > 5);
    stats_compare(high, 5, low, 5, &s);
    assert_float_equal(s.p, 2.0 / 252, 1e-9);
    assert_float_equal(s.shift, -5, 1e-9);
    /* U = 10 of 25; all 252 orders counted. */
    static const double a[] = {1, 4, 6, 9, 10}, b[] = {2, 3, 5, 7, 8};
    stats_compare(a, 5, b, 5, &s);
    assert_float_equal(s.p, 0.6904761905, 1e-9);
    stats_compare(low, 5, low, 5, &s);
    assert_true(s.p > 0.9);
    stats_compare(low, 5, high, 0, &s);
    assert_true(s.p == 1 && isnan(s.shift));
}

static void test_holm(void **state) {
    (void)state;
    double p[] = {0.01, 0.04, 0.03, 0.005};
    assert_true(stats_holm(p, 4));
    assert_float_equal(p[3], 0.02, 1e-12);
    assert_float_equal(p[0], 0.03, 1e-12);
    assert_float_equal(p[2], 0.06, 1e-12);
    assert_float_equal(p[1], 0.06, 1e-12);
}

/* ---------------------------------------------------------------- recorded noise */

enum { ROUNDS = 24, SAMPLES = 4, PROBLEMS = 4, LENGTH = RECORDED_RUNS * SAMPLES };

static uint32_t next(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static json_t *list_of(const float *values, double factor) {
    json_t *list = json_array();
    for (int i = 0; i < SAMPLES; i++)
        json_array_append_new(list, json_real((double)values[i] * factor));
    return list;
}

/* A source as bench conv --gate makes it: ROUNDS recorded rounds a problem, from start on, of which planted takes factor times as long. */
static json_t *make_source(const char *label, int start, int planted, double factor) {
    json_t *device = json_pack("{s:s, s:s}", "name", "recorded", "type", "CPU");
    json_t *source = report_source(label, device), *layers = json_object_get(source, "layers");
    for (int p = 0; p < PROBLEMS; p++)
        for (int r = 0; r < ROUNDS; r++) {
            int at = (start + r) % RECORDED_RUNS;
            double slow = p == planted ? factor : 1;
            char key[32];
            snprintf(key, sizeof key, "n%dc1h1w1k1r1s1", p + 1);
            json_t *row = json_pack("{s:s, s:s, s:s, s:f, s:i}", "problem", key, "pass", "fwd",
                                    "config", "recorded", "ms", 1.0, "samples_per_round", SAMPLES);
            json_object_set_new(row, "samples_ms", list_of(recorded_wall[p][at], slow));
            json_object_set_new(row, "cpu_samples_ms", list_of(recorded_cpu[p][at], slow));
            json_object_set_new(row, "yardstick_samples_ms",
                                list_of(recorded_stick_wall[p][at], 1));
            json_object_set_new(row, "yardstick_cpu_samples_ms",
                                list_of(recorded_stick_cpu[p][at], 1));
            json_array_append_new(layers, row);
        }
    json_decref(device);
    return source;
}

/* Rows that a comparison calls slower by more than 5 %; *planted: whether that one is among them. */
static int flagged(int start_old, int start_new, int planted, double factor, bool *found) {
    json_t *old = make_source("old", start_old, -1, 1);
    json_t *new = make_source("new", start_new, planted, factor);
    json_t *comparison = compare_sources(old, new), *row;
    size_t i;
    int count = 0;
    assert_non_null(comparison);
    assert_int_equal(json_array_size(json_object_get(comparison, "rows")), PROBLEMS);
    *found = false;
    json_array_foreach(json_object_get(comparison, "rows"), i, row) {
        bool slower = strcmp(report_string(row, "verdict"), "slower") == 0 &&
                      report_number(row, "change") > 0.05;
        count += slower;
        *found = *found || (slower && (int)i == planted);
    }
    json_decref(comparison);
    json_decref(old);
    json_decref(new);
    return count;
}

/* The demand, on rounds recorded on a shared machine while others used it: old and new are stretches that do not overlap. */
static void test_recorded_noise(void **state) {
    (void)state;
    uint32_t random = 7;
    bool found;
    for (int i = 0; i < 20; i++) {
        int start = (int)(next(&random) % RECORDED_RUNS);
        assert_int_equal(flagged(start, start + ROUNDS, -1, 1, &found), 0);
    }
    for (int i = 0; i < 10; i++) {
        int start = (int)(next(&random) % RECORDED_RUNS), planted = i % PROBLEMS;
        assert_int_equal(flagged(start, start + ROUNDS, planted, 1.1, &found), 1);
        assert_true(found);
    }
}

/* Few rounds cannot show anything, and say so. */
static void test_few_rounds(void **state) {
    (void)state;
    json_t *sources[2];
    for (int i = 0; i < 2; i++) {
        json_t *layers, *kept = json_array(), *row;
        size_t k;
        sources[i] = make_source(i ? "new" : "old", 0, 0, i ? 2 : 1);
        layers = json_object_get(sources[i], "layers");
        json_array_foreach(layers, k, row) if (k % ROUNDS < 2) json_array_append(kept, row);
        json_object_set_new(sources[i], "layers", kept);
    }
    json_t *comparison = compare_sources(sources[0], sources[1]);
    json_t *row = json_array_get(json_object_get(comparison, "rows"), 0);
    assert_string_equal(report_string(row, "verdict"), "too few rounds");
    json_decref(comparison);
    json_decref(sources[0]);
    json_decref(sources[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary),    cmocka_unit_test(test_rank_sum),
        cmocka_unit_test(test_holm),       cmocka_unit_test(test_recorded_noise),
        cmocka_unit_test(test_few_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
