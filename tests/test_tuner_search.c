/* Search strategies on made-up landscapes. No device, nothing is timed. */
#include "support/check.h"
#include "support/landscape.h"

#include <math.h>
#include <stdlib.h>

#include "tuner/search.h"

static struct search *start(const struct landscape *l, const struct search_options *options) {
    struct search *search = NULL;
    tess_error error = {0};
    if (search_create(l->space, options, &error, &search)) fail_msg("%s", error.text);
    return search;
}

/* Runs to the end and returns the number of evaluations; order (may be NULL) receives the candidates. Fails the
   test if one is asked for twice. */
static int run(const struct landscape *l, struct search *search, int *order) {
    bool *seen = check_alloc((size_t)l->space->count);
    for (int i = 0; i < l->space->count; i++)
        seen[i] = false;
    int count = 0, next;
    while ((next = search_next(search, 0)) >= 0) {
        assert_in_range(next, 0, l->space->count - 1);
        if (seen[next]) fail_msg("candidate %d is asked for twice", next);
        seen[next] = true;
        if (order) order[count] = next;
        count++;
        search_tell(search, next, l->seconds[next]);
    }
    assert_int_equal(search_evaluated(search), count);
    free(seen);
    return count;
}

static const struct landscape_options usual = {
    .seed = 1, .algos = 3, .size = 700, .wrong = 1.6, .rough = 0.02, .failures = 0.04};

static void ends_when_evaluations_are_used_up(void **state) {
    (void)state;
    struct landscape *l = landscape_create(&usual);
    for (int evaluations = 1; evaluations < 40; evaluations += 7) {
        struct search *search =
            start(l, &(struct search_options){.first = -1, .evaluations = evaluations});
        assert_int_equal(run(l, search, NULL), evaluations);
        assert_int_equal(search_next(search, 0), -1);
        search_destroy(search);
    }
    landscape_destroy(l);
}

static void ends_when_time_or_space_is_used_up(void **state) {
    (void)state;
    struct landscape_options small = usual;
    small.size = 120;
    struct landscape *l = landscape_create(&small);
    struct search *search = start(l, &(struct search_options){.first = -1});
    assert_int_equal(run(l, search, NULL), l->space->count);
    assert_true(l->seconds[search_best(search)] == l->best);
    search_destroy(search);

    search = start(l, &(struct search_options){.first = -1});
    assert_int_equal(search_best(search), -1);
    for (int i = 0; i < 20; i++)
        assert_true(search_next(search, i / 20.0) >= 0);
    assert_int_equal(search_next(search, 1), -1);
    search_destroy(search);
    landscape_destroy(l);
}

static void same_seed_same_order(void **state) {
    (void)state;
    struct landscape *l = landscape_create(&usual);
    int order[3][60];
    for (int i = 0; i < 3; i++) {
        struct search *search = start(
            l, &(struct search_options){.first = -1, .evaluations = 60, .seed = i == 2 ? 9 : 4});
        run(l, search, order[i]);
        search_destroy(search);
    }
    assert_memory_equal(order[0], order[1], sizeof order[0]);
    assert_memory_not_equal(order[0], order[2], sizeof order[0]);
    landscape_destroy(l);
}

static void exhaustive_visits_all_and_spreads(void **state) {
    (void)state;
    for (int size = 1; size < 900; size += 149) {
        struct landscape_options options = usual;
        options.size = size;
        struct landscape *l = landscape_create(&options);
        int count = l->space->count, *order = check_alloc((size_t)count * sizeof *order);
        struct search *search =
            start(l, &(struct search_options){.first = count / 2, .exhaustive = true, .seed = 3});
        assert_int_equal(run(l, search, order), count);
        assert_int_equal(order[0], count / 2);
        assert_true(l->seconds[search_best(search)] == l->best);
        /* After a tenth no gap in the list is longer than five times the mean. */
        bool *seen = calloc((size_t)count, sizeof *seen);
        assert_non_null(seen);
        for (int i = 0; i < count / 10; i++)
            seen[order[i]] = true;
        for (int i = 0, gap = 0; i < count && count >= 100; i++) {
            gap = seen[i] ? 0 : gap + 1;
            assert_true(gap <= 50);
        }
        free(seen);
        free(order);
        search_destroy(search);
        landscape_destroy(l);
    }
}

static void warm_starts_come_first(void **state) {
    (void)state;
    struct landscape *l = landscape_create(&usual);
    int last = l->space->count - 1, warm[] = {last, 7, 7, -5, 100000, 9};
    int order[8];
    struct search *search = start(
        l, &(struct search_options){.first = 3, .warm = warm, .warm_count = 6, .evaluations = 8});
    run(l, search, order);
    search_destroy(search);
    assert_int_equal(order[0], 3);
    int found = 0;
    for (int i = 1; i < 8; i++)
        found += order[i] == last || order[i] == 7 || order[i] == 9;
    assert_int_equal(found, 3);
    landscape_destroy(l);
}

/* Algorithm of a candidate. */
static int algo_of(const struct landscape *l, int candidate) {
    return (int)(l->space->list[candidate].algo - l->algo);
}

static void every_algorithm_gets_a_fair_number(void **state) {
    (void)state;
    struct landscape *l = landscape_create(&usual);
    /* The last algorithm is the best by far, which its prediction does not show. */
    for (int i = 0; i < l->space->count; i++)
        if (algo_of(l, i) == 2) {
            l->seconds[i] /= 20;
            l->space->list[i].predicted *= 5;
        }
    for (uint64_t seed = 0; seed < 10; seed++) {
        int order[64], count[3] = {0}, late[3] = {0}, race = 15;
        struct search *search =
            start(l, &(struct search_options){.first = -1, .evaluations = 64, .seed = seed});
        run(l, search, order);
        assert_true(search_cold(search) >= 0.3 * (64 - race));
        assert_true(search_cold(search) <= 0.4 * (64 - race));
        search_destroy(search);
        for (int i = 0; i < 64; i++) {
            count[algo_of(l, order[i])]++;
            late[algo_of(l, order[i])] += i >= race;
        }
        for (int i = 0; i < 3; i++)
            assert_true(count[i] >= 5);
        /* The model may keep the others for a while. */
        if (late[0] + late[1] > 5)
            fail_msg("%d, %d evaluations of what has lost", late[0], late[1]);
    }
    landscape_destroy(l);
}

/* With too few evaluations for a race the predictions decide which algorithms are tried. */
static void a_short_search_follows_predictions(void **state) {
    (void)state;
    struct landscape *l = landscape_create(&usual);
    for (int i = 0; i < l->space->count; i++)
        if (algo_of(l, i) != 1) l->space->list[i].predicted *= 1000;
    int order[5];
    struct search *search = start(l, &(struct search_options){.first = -1, .evaluations = 5});
    run(l, search, order);
    search_destroy(search);
    for (int i = 0; i < 3; i++)
        assert_int_equal(algo_of(l, order[i]), 1);
    landscape_destroy(l);
}

static void better_estimates_replace(void **state) {
    (void)state;
    struct landscape *l = landscape_create(&usual);
    struct search *search = start(l, &(struct search_options){.first = -1, .evaluations = 10});
    int a = search_next(search, 0);
    search_tell(search, a, 1.0);
    int b = search_next(search, 0);
    search_tell(search, b, 2.0);
    assert_int_equal(search_best(search), a);
    search_tell(search, a, 3.0);
    assert_int_equal(search_best(search), b);
    search_tell(search, b, INFINITY);
    assert_int_equal(search_best(search), a);
    search_tell(search, a, (double)NAN);
    assert_int_equal(search_best(search), -1);
    search_tell(search, a, 0);
    search_tell(search, a, -1);
    assert_int_equal(search_best(search), -1);
    search_tell(search, b, 2.0);
    assert_int_equal(search_best(search), b);
    assert_int_equal(search_evaluated(search), 2);
    /* What was told without being asked for counts, and is not asked for. */
    int told = 0;
    for (int i = 0; i < l->space->count && told < 4; i++)
        if (i != a && i != b) {
            search_tell(search, i, 1.0);
            told++;
        }
    assert_int_equal(search_evaluated(search), 6);
    for (int i = 0; i < 4; i++) {
        int next = search_next(search, 0);
        assert_true(next > 3);
        search_tell(search, next, 5.0);
    }
    assert_int_equal(search_next(search, 0), -1);
    search_destroy(search);
    landscape_destroy(l);
}

static void failures_do_not_stop_it(void **state) {
    (void)state;
    struct landscape_options broken = usual;
    broken.failures = 1;
    broken.size = 150;
    struct landscape *l = landscape_create(&broken);
    struct search *search = start(l, &(struct search_options){.first = -1});
    assert_int_equal(run(l, search, NULL), l->space->count);
    assert_int_equal(search_best(search), -1);
    search_destroy(search);
    landscape_destroy(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_when_evaluations_are_used_up),
        cmocka_unit_test(ends_when_time_or_space_is_used_up),
        cmocka_unit_test(same_seed_same_order),
        cmocka_unit_test(exhaustive_visits_all_and_spreads),
        cmocka_unit_test(warm_starts_come_first),
        cmocka_unit_test(every_algorithm_gets_a_fair_number),
        cmocka_unit_test(a_short_search_follows_predictions),
        cmocka_unit_test(better_estimates_replace),
        cmocka_unit_test(failures_do_not_stop_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
