/* The space of candidates against a count made by asking conv_config_valid about every combination. No device. */
#include "support/check.h"
#include "support/tuner_device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tuner/space.h"

static const char *const keys[] = {"n2c64h28w28k64r3s3pt1pb1pl1pr1",
                                   "n2c3h32w32k24r7s7u2v2pt3pb3pl3pr3", "n1c48h9w11k32r1s1",
                                   "n1c16h8w8k16r3s3g16"};
enum { KEYS = sizeof keys / sizeof *keys };

/* options NULL: everything that is valid. */
static struct space *make(const struct conv_problem *problem, const struct space_options *options) {
    static const struct space_options everything = {.hopeless = INFINITY};
    if (!options) options = &everything;
    tess_device_info device = tuner_cpu();
    tess_error error = {0};
    struct space *space = NULL;
    if (space_create(problem, &device, options, &error, &space)) fail_msg("%s", error.text);
    return space;
}

/* Tables that have more combinations are not counted through. */
enum { COMBINATIONS_MAX = 200000 };

static double combinations(const struct conv_algo *algo, tess_conv_pass pass) {
    double product = 1;
    for (int i = 0; i < algo->param_count; i++)
        if (algo->params[i].passes >> pass & 1u) product *= algo->params[i].count;
    return product;
}

/* Valid combinations of algo, by counting through all of them. */
static int count_valid(const struct conv_algo *algo, const struct conv_problem *problem,
                       const tess_device_info *device) {
    int digit[CONV_PARAMS_MAX] = {0}, valid = 0;
    for (;;) {
        struct conv_config config = {{0}};
        for (int i = 0; i < algo->param_count; i++)
            config.value[i] = algo->params[i].values[digit[i]];
        valid += conv_config_valid(algo, problem, device, &config);
        int i = 0;
        for (; i < algo->param_count; i++) {
            int used = (algo->params[i].passes >> problem->pass & 1u) != 0;
            if (++digit[i] < (used ? algo->params[i].count : 1)) break;
            digit[i] = 0;
        }
        if (i == algo->param_count) return valid;
    }
}

static int count_of(const struct space *space, const struct conv_algo *algo) {
    int count = 0;
    for (int i = 0; i < space->count; i++)
        count += space->list[i].algo == algo;
    return count;
}

static void holds_every_valid_candidate(void **state) {
    (void)state;
    tess_device_info device = tuner_cpu();
    for (int k = 0; k < KEYS; k++)
        for (int pass = 0; pass < 3; pass++) {
            struct conv_problem problem = tuner_problem(keys[k], (tess_conv_pass)pass);
            struct space *space = make(&problem, NULL);
            int want = 0, algos = 0;
            for (int i = 0; i < conv_algo_count; i++) {
                if (!conv_algo_applicable(conv_algos[i], &problem, &device)) continue;
                bool countable = combinations(conv_algos[i], problem.pass) <= COMBINATIONS_MAX;
                int valid = countable ? count_valid(conv_algos[i], &problem, &device)
                                      : count_of(space, conv_algos[i]);
                if (valid == 0) continue;
                assert_ptr_equal(space->algo[algos], conv_algos[i]);
                assert_int_equal(space->algo_first[algos], want);
                algos++;
                want += valid;
            }
            assert_int_equal(space->count, want);
            assert_int_equal(space->algo_count, algos);
            for (int i = 0; i < space->count; i++) {
                const struct candidate *c = &space->list[i];
                assert_true(c->predicted > 0);
                assert_int_equal(c->bytes, conv_algo_bytes(c->algo, &problem, &c->config));
            }
            space_destroy(space);
        }
}

static void finds_each_candidate(void **state) {
    (void)state;
    for (int pass = 0; pass < 3; pass++) {
        struct conv_problem problem = tuner_problem(keys[0], (tess_conv_pass)pass);
        struct space *space = make(&problem, NULL);
        for (int i = 0; i < space->count; i++) {
            char text[CONV_CONFIG_SIZE];
            const struct candidate *c = &space->list[i];
            conv_config_print(c->algo, problem.pass, &c->config, text);
            assert_int_equal(space_find(space, c->algo, &c->config), i);
            assert_int_equal(space_find_printed(space, text), i);
        }
        struct conv_config none = space->list[0].config;
        none.value[0] = 999;
        assert_int_equal(space_find(space, space->list[0].algo, &none), -1);
        space_destroy(space);
    }
    struct conv_problem problem = tuner_problem(keys[0], TESS_CONV_FWD);
    struct space *space = make(&problem, NULL);
    const char *const foreign[] = {"",
                                   "conv_",
                                   "direct",
                                   "conv_direct_bwd_data__wt1_kv1",
                                   "conv_direct_fwdx",
                                   "conv_direct_fwd_wt1",
                                   "conv_direct_fwd__wt9999",
                                   "conv_nothing_fwd__wt1"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_int_equal(space_find_printed(space, foreign[i]), -1);
    space_destroy(space);
}

static int differences(const struct candidate *a, const struct candidate *b) {
    int count = 0;
    for (int i = 0; i < a->algo->param_count; i++)
        count += a->config.value[i] != b->config.value[i];
    return a->algo == b->algo ? count : 99;
}

static void neighbours_differ_in_one_parameter(void **state) {
    (void)state;
    struct conv_problem problem = tuner_problem(keys[0], TESS_CONV_BWD_WEIGHTS);
    struct space *space = make(&problem, NULL);
    int out[CONV_PARAMS_MAX * CONV_VALUES_MAX];
    for (int i = 0; i < space->count; i += 1 + space->count / 40) {
        int count = space_neighbours(space, i, out, (int)(sizeof out / sizeof *out)), want = 0;
        for (int j = 0; j < space->count; j++)
            want += differences(&space->list[i], &space->list[j]) == 1;
        assert_int_equal(count, want);
        for (int j = 0; j < count; j++) {
            assert_int_equal(differences(&space->list[i], &space->list[out[j]]), 1);
            for (int k = 0; k < j; k++)
                assert_int_not_equal(out[j], out[k]);
        }
        int few[2] = {-1, -1};
        assert_int_equal(space_neighbours(space, i, few, 1), want ? 1 : 0);
        assert_int_equal(few[1], -1);
        if (want) assert_int_equal(few[0], out[0]);
    }
    space_destroy(space);
}

static void limits_leave_candidates_out(void **state) {
    (void)state;
    struct conv_problem problem = tuner_problem(keys[0], TESS_CONV_FWD);
    struct space *all = make(&problem, NULL);
    struct space_options limited = {.limit_bytes = true, .byte_limit = 0, .hopeless = INFINITY};
    struct space *space = make(&problem, &limited);
    int want = 0;
    for (int i = 0; i < all->count; i++)
        want += all->list[i].bytes == 0;
    assert_int_equal(space->count, want);
    assert_true(want > 0 && want < all->count);
    space_destroy(space);

    struct space_options strict = {.strict = true, .hopeless = INFINITY};
    space = make(&problem, &strict);
    want = 0;
    for (int i = 0; i < all->count; i++)
        want += !all->list[i].algo->error_growth;
    assert_int_equal(space->count, want);
    for (int i = 0; i < space->count; i++)
        assert_null(space->list[i].algo->error_growth);
    space_destroy(space);
    space_destroy(all);
}

/* Exactly those within the ratio of the best within the other limits, in the same order. */
static void check_hopeless(const struct conv_problem *problem, struct space_options options) {
    struct space *space = make(problem, &options);
    double ratio = options.hopeless == 0 ? 30 : options.hopeless, best = INFINITY;
    options.hopeless = INFINITY;
    struct space *all = make(problem, &options);
    for (int i = 0; i < all->count; i++)
        best = fmin(best, all->list[i].predicted);
    int at = 0;
    for (int i = 0; i < all->count; i++) {
        const struct candidate *c = &all->list[i];
        bool kept = c->predicted <= ratio * best;
        assert_int_equal(space_find(space, c->algo, &c->config), kept ? at++ : -1);
    }
    assert_int_equal(space->count, at);
    assert_true(at > 0);
    space_destroy(all);
    space_destroy(space);
}

static void hopeless_candidates_are_left_out(void **state) {
    (void)state;
    for (int k = 0; k < KEYS; k++)
        for (int pass = 0; pass < 3; pass++) {
            struct conv_problem problem = tuner_problem(keys[k], (tess_conv_pass)pass);
            check_hopeless(&problem, (struct space_options){.hopeless = 0});
            check_hopeless(&problem, (struct space_options){.hopeless = 1});
            check_hopeless(&problem, (struct space_options){.hopeless = 2.5});
            check_hopeless(&problem, (struct space_options){.limit_bytes = true});
            check_hopeless(&problem, (struct space_options){.strict = true, .hopeless = 5});
        }
    /* What is for GPUs costs a CPU no time, and the other way round. */
    struct conv_problem problem = tuner_problem(keys[0], TESS_CONV_FWD);
    struct space *space = make(&problem, &(struct space_options){.strict = false});
    assert_int_equal(count_of(space, conv_algo_find("igemm")), 0);
    assert_true(count_of(space, conv_algo_find("direct")) > 0);
    space_destroy(space);
    tess_device_info gpu = tuner_gpu();
    tess_error error = {0};
    assert_int_equal(space_create(&problem, &gpu, NULL, &error, &space), TESS_OK);
    assert_true(count_of(space, conv_algo_find("igemm")) > 0);
    space_destroy(space);
    const double bad[] = {-1, 0.5, NAN, -INFINITY};
    for (int i = 0; i < 4; i++) {
        const struct space_options options = {.hopeless = bad[i]};
        struct space *untouched = NULL;
        assert_int_equal(space_create(&problem, &gpu, &options, &error, &untouched),
                         TESS_INVALID_ARGUMENT);
        assert_null(untouched);
        assert_non_null(strstr(error.text, "at least 1"));
    }
}

static void lists_are_checked(void **state) {
    (void)state;
    struct conv_problem problem = tuner_problem(keys[0], TESS_CONV_FWD);
    struct space *all = make(&problem, NULL), *space = NULL;
    tess_error error = {0};
    assert_int_equal(space_from_list(&problem, all->list, all->count, &error, &space), TESS_OK);
    assert_int_equal(space->count, all->count);
    assert_int_equal(space->algo_count, all->algo_count);
    space_destroy(space);
    struct candidate twice[2] = {all->list[0], all->list[0]};
    assert_int_equal(space_from_list(&problem, twice, 2, &error, &space), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "twice"));
    assert_int_equal(space_from_list(&problem, all->list, 0, &error, &space),
                     TESS_INVALID_ARGUMENT);
    space_destroy(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_every_valid_candidate),
        cmocka_unit_test(finds_each_candidate),
        cmocka_unit_test(neighbours_differ_in_one_parameter),
        cmocka_unit_test(limits_leave_candidates_out),
        cmocka_unit_test(hopeless_candidates_are_left_out),
        cmocka_unit_test(lists_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
