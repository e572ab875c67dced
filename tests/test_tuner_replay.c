/* The search on recorded exhaustive searches (tuner/recorded) and on made-up ones: it has to reach 95 % of the optimum in the median of
   20 seeds, 90 % with every seed, within max(2 % of the candidates, 64) evaluations, and to beat random search. Nothing is timed. */
#include "support/check.h"
#include "support/folder.h"
#include "support/landscape.h"
#include "support/tuner_device.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuner/replay.h"

enum { SEEDS = 20, LANDSCAPES = 10 };

static struct replay *replay_of(const struct trial_log *log) {
    struct replay *replay = NULL;
    tess_error error = {0};
    if (replay_create(log, &error, &replay)) fail_msg("%s", error.text);
    return replay;
}

/* A landscape by way of a log. */
static struct replay *made_up(const struct landscape_options *options) {
    struct landscape *l = landscape_create(options);
    tess_device_info device = tuner_cpu();
    struct trial_log *log = NULL;
    assert_int_equal(trial_log_create(l->space, &device, NULL, &log), TESS_OK);
    for (int i = 0; i < l->space->count; i++)
        trial_log_set(log, i, isinf(l->seconds[i]) ? "crashed" : "ok", l->seconds[i],
                      0.01 * l->seconds[i]);
    struct replay *replay = replay_of(log);
    trial_log_destroy(log);
    landscape_destroy(l);
    return replay;
}

static void a_replay_holds_what_the_log_holds(void **state) {
    (void)state;
    struct landscape_options options = {
        .seed = 5, .algos = 4, .size = 500, .wrong = 2, .rough = 0.02, .failures = 0.1};
    struct landscape *l = landscape_create(&options);
    struct replay *replay = made_up(&options);
    assert_int_equal(replay->space->count, l->space->count);
    assert_int_equal(replay->space->algo_count, l->space->algo_count);
    assert_true(replay->best == l->best);
    assert_true(fabs(replay->noise - 0.01) < 1e-6);
    int good = 0;
    for (int i = 0; i < l->space->count; i++) {
        const struct candidate *got = &replay->space->list[i], *want = &l->space->list[i];
        assert_string_equal(got->algo->name, want->algo->name);
        assert_memory_equal(got->config.value, want->config.value,
                            sizeof(int) * (size_t)want->algo->param_count);
        assert_true(got->predicted == want->predicted);
        assert_true(replay->seconds[i] == l->seconds[i]);
        good += l->seconds[i] < INFINITY;
    }
    assert_int_equal(replay->good, good);
    assert_int_equal(replay_evaluations(replay), 64);
    replay_destroy(replay);
    landscape_destroy(l);
}

static void foreign_configurations_are_refused(void **state) {
    (void)state;
    static const char *const foreign[][2] = {
        {"direct", "pass"},
        {"conv_direct_bwd_data__wt1", "pass"},
        {"conv__fwd__wt1", "pass"},
        {"conv_direct_fwd__", "other parameters"},
        {"conv_direct_fwd__wt", "written like"},
        {"conv_direct_fwd__wt1_", "written like"},
        {"conv_direct_fwd__kv1", "other parameters"},
        {"conv_direct_fwd__wt1_kv2", "other parameters"},
        {"conv_direct_fwd__wt99999999999", "written like"},
        {"conv_direct_fwd__wt3", "twice"},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        struct logged_trial trials[2] = {{.status = "ok", .predicted = 1, .seconds = 1, .mad = 0}};
        trials[1] = trials[0];
        snprintf(trials[0].config, sizeof trials[0].config, "conv_direct_fwd__wt3");
        snprintf(trials[1].config, sizeof trials[1].config, "%s", foreign[i][0]);
        struct trial_log log = {
            .problem = "n1c4h4w4k4r1s1", .space = 2, .count = 2, .trials = trials};
        struct replay *replay = NULL;
        tess_error error = {0};
        if (replay_create(&log, &error, &replay) == TESS_OK) fail_msg("%s", foreign[i][0]);
        assert_null(replay);
        if (!strstr(error.text, foreign[i][1]))
            fail_msg("'%s' does not say '%s'", error.text, foreign[i][1]);
    }
}

/* A log may have its algorithms in any order; a space has one after the other. */
static void algorithms_may_be_mixed(void **state) {
    (void)state;
    struct logged_trial trials[5] = {{.config = "conv_a_fwd__x1", .status = "ok", .seconds = 1},
                                     {.config = "conv_b_fwd", .status = "ok", .seconds = 2},
                                     {.config = "conv_a_fwd__x4", .status = "crashed"},
                                     {.config = "conv_c3_fwd__y2_z1", .status = "ok", .seconds = 4},
                                     {.config = "conv_a_fwd__x2", .status = "ok", .seconds = 0.5}};
    trials[2].seconds = INFINITY;
    struct trial_log log = {.problem = "n1c4h4w4k4r1s1", .space = 5, .count = 5, .trials = trials};
    struct replay *replay = replay_of(&log);
    static const double want[] = {1, INFINITY, 0.5, 2, 4};
    assert_int_equal(replay->space->algo_count, 3);
    for (int i = 0; i < 5; i++)
        assert_true(replay->seconds[i] == want[i]);
    assert_int_equal(space_find_printed(replay->space, "conv_a_fwd__x2"), 2);
    assert_int_equal(space_find_printed(replay->space, "conv_c3_fwd__y2_z1"), 4);
    assert_int_equal(replay->good, 4);
    replay_destroy(replay);
}

/* Shares of the optimum: the table's line, and what the search has to reach. */
static void show(const char *name, const struct replay *replay, const struct replay_report *report,
                 const char *strategy) {
    printf("%-44s %-6s %5d candidates %3d evaluations noise %.1f %%: median %.3f worst %.3f mean "
           "%.3f; after 1, 2, 4 ..:",
           name, strategy, replay->space->count, report->evaluations, 100 * replay->noise,
           report->median, report->worst, report->mean);
    for (int i = 0; i < REPLAY_CURVE && (i == 0 || 1 << (i - 1) < report->evaluations); i++)
        printf(" %.2f", report->curve[i]);
    printf("\n");
}

struct comparison {
    double search, random; /* sums of the means */
    int count;
};

/* Both strategies in turn; out: what the search reached. */
static void compare(const char *name, const struct replay *replay, struct comparison *sum,
                    struct replay_report *out) {
    struct replay_report random;
    tess_error error = {0};
    if (replay_run(replay, &replay_search, SEEDS, 0, &error, out)) fail_msg("%s", error.text);
    if (replay_run(replay, &replay_random, SEEDS, 0, &error, &random)) fail_msg("%s", error.text);
    show(name, replay, out, "search");
    show(name, replay, &random, "random");
    sum->search += out->mean;
    sum->random += random.mean;
    sum->count++;
}

static void expect_better(const struct comparison *sum) {
    if (!(sum->search > sum->random))
        fail_msg("random search is better: %.4f against %.4f on average", sum->random / sum->count,
                 sum->search / sum->count);
}

static void the_search_is_good_on_made_up_spaces(void **state) {
    (void)state;
    static const int sizes[] = {100, 300, 800, 1500, 3000};
    struct comparison sum = {0};
    int steady = 0;
    for (int i = 0; i < LANDSCAPES; i++) {
        struct landscape_options options = {.seed = 100 + (uint64_t)i,
                                            .algos = 1 + i % LANDSCAPE_ALGOS_MAX,
                                            .size = sizes[i / 2],
                                            .wrong = 2,
                                            .rough = 0.02,
                                            .failures = 0.03};
        struct replay *replay = made_up(&options);
        char name[32];
        snprintf(name, sizeof name, "made up %d, %d algorithms", i, options.algos);
        struct replay_report report;
        compare(name, replay, &sum, &report);
        if (!(report.median >= 0.95)) fail_msg("%s: median %.3f", name, report.median);
        steady += report.worst >= 0.90;
        replay_destroy(replay);
    }
    expect_better(&sum);
    /* The optimum of a made-up space may stand alone, where only luck finds it. */
    if (steady < LANDSCAPES - 1) fail_msg("only %d landscapes with worst >= 0.90", steady);
}

static void the_same_seeds_give_the_same_report(void **state) {
    (void)state;
    struct landscape_options options = {
        .seed = 9, .algos = 3, .size = 400, .wrong = 2, .rough = 0.02, .failures = 0.03};
    struct replay *replay = made_up(&options);
    struct replay_report report[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(replay_run(replay, &replay_search, 5, 40, NULL, &report[i]), TESS_OK);
    assert_memory_equal(&report[0], &report[1], sizeof report[0]);
    assert_int_equal(report[0].evaluations, 40);
    assert_true(report[0].worst <= report[0].median && report[0].median <= 1);
    for (int i = 1; i < REPLAY_CURVE; i++)
        assert_true(report[0].curve[i] >= report[0].curve[i - 1]);
    assert_true(report[0].curve[REPLAY_CURVE - 1] == report[0].median);
    assert_int_equal(replay_run(replay, &replay_search, 0, 40, NULL, &report[0]),
                     TESS_INVALID_ARGUMENT);
    /* All of the space, and more than there is: the optimum. */
    assert_int_equal(
        replay_run(replay, &replay_search, 1, replay->space->count + 50, NULL, &report[0]),
        TESS_OK);
    assert_true(report[0].worst == 1);
    replay_destroy(replay);
}

static void replay_file(const char *folder, const char *name, struct comparison *sum) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    struct trial_log *log = NULL;
    tess_error error = {0};
    if (trial_log_read(path, &error, &log)) fail_msg("%s", error.text);
    struct replay *replay = replay_of(log);
    struct replay_report report;
    compare(name, replay, sum, &report);
    if (!(report.median >= 0.95)) fail_msg("%s: median %.3f", name, report.median);
    if (!(report.worst >= 0.90)) fail_msg("%s: worst %.3f", name, report.worst);
    replay_destroy(replay);
    trial_log_destroy(log);
}

static int is_log(const struct dirent *entry) {
    size_t length = strlen(entry->d_name), tail = strlen(".jsonl.gz");
    return length > tail && strcmp(entry->d_name + length - tail, ".jsonl.gz") == 0;
}

/* The logs of TESSERA_TEST_RECORDED, else of the source tree. */
static void the_search_is_good_on_recorded_spaces(void **state) {
    (void)state;
    const char *named = getenv("TESSERA_TEST_RECORDED");
    const char *folder = named ? named : TESSERA_RECORDED;
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_log, alphasort);
    if (count < 6) fail_msg("%s: %d recorded searches, not 6 or more", folder, count);
    struct comparison sum = {0};
    for (int i = 0; i < count; i++) {
        replay_file(folder, entries[i]->d_name, &sum);
        free(entries[i]);
    }
    free(entries);
    expect_better(&sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_holds_what_the_log_holds),
        cmocka_unit_test(algorithms_may_be_mixed),
        cmocka_unit_test(foreign_configurations_are_refused),
        cmocka_unit_test(the_same_seeds_give_the_same_report),
        cmocka_unit_test(the_search_is_good_on_made_up_spaces),
        cmocka_unit_test(the_search_is_good_on_recorded_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
