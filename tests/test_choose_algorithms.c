/* Algorithms for a whole network under a memory limit, against all combinations. No device. */
#include "support/check.h"

#include <float.h>
#include <stdlib.h>

#include "net/choose_algorithms.h"

enum { SITES = 5, OPTIONS = 4 };

struct instance {
    struct algorithm_option options[SITES][OPTIONS];
    struct algorithm_site sites[SITES];
    int count;
};

/* Slow and small to fast and large, with exceptions. */
static void make(struct instance *instance, int round, bool holds) {
    float random[SITES * OPTIONS * 3 + SITES];
    check_random(random, sizeof random / sizeof *random, 0, 1, (uint64_t)round);
    instance->count = 1 + round % SITES;
    for (int i = 0; i < instance->count; i++) {
        for (int k = 0; k < OPTIONS; k++) {
            const float *r = random + 3 * (i * OPTIONS + k);
            instance->options[i][k] =
                (struct algorithm_option){.seconds = (double)r[0] + 1 + OPTIONS - k,
                                          .workspace = (size_t)((float)(k * 30) * r[1]),
                                          .held = holds ? (size_t)((float)(k * 20) * r[2]) : 0};
        }
        instance->sites[i] = (struct algorithm_site){.options = instance->options[i],
                                                     .count = 1 + (round + i) % OPTIONS,
                                                     .alive = (size_t)(random[i] * 100)};
    }
}

/* The least time of all combinations that fit; DBL_MAX: none does. */
static double brute_force(const struct instance *instance, size_t limit) {
    int picks[SITES] = {0};
    double best = DBL_MAX;
    for (;;) {
        double seconds = choice_seconds(instance->sites, instance->count, picks);
        if (choice_bytes(instance->sites, instance->count, picks) <= limit && seconds < best)
            best = seconds;
        int i = 0;
        while (i < instance->count && ++picks[i] == instance->sites[i].count)
            picks[i++] = 0;
        if (i == instance->count) return best;
    }
}

static void expect(const struct instance *instance, size_t limit, double slack, double *excess) {
    int picks[SITES];
    bool fits = false;
    assert_int_equal(choose_algorithms(instance->sites, instance->count, limit, NULL, picks, &fits),
                     TESS_OK);
    double best = brute_force(instance, limit);
    assert_true(fits == (best < DBL_MAX));
    if (!fits) return;
    double seconds = choice_seconds(instance->sites, instance->count, picks);
    assert_true(choice_bytes(instance->sites, instance->count, picks) <= limit);
    assert_true(seconds >= best - 1e-9);
    assert_true(seconds <= best * slack + 1e-9);
    *excess += seconds / best - 1;
}

/* Nothing held: the best there is. */
static void workspaces_alone(void **state) {
    (void)state;
    struct instance instance;
    double excess = 0;
    for (int round = 0; round < 300; round++) {
        make(&instance, round, false);
        expect(&instance, (size_t)(round * 7 % 220), 1, &excess);
    }
}

/* With packed weights: fits where anything does, and little slower than the best. */
static void workspaces_and_weights(void **state) {
    (void)state;
    struct instance instance;
    double excess = 0;
    enum { ROUNDS = 600 };
    for (int round = 0; round < ROUNDS; round++) {
        make(&instance, round, true);
        expect(&instance, (size_t)(round * 7 % 420), 1.2, &excess);
    }
    assert_true(excess / ROUNDS < 0.01);
}

/* Where all fits, the fastest; of equals the first. */
static void no_limit(void **state) {
    (void)state;
    static const struct algorithm_option options[] = {{2, 0, 0}, {1, 50, 50}, {1, 10, 0}};
    const struct algorithm_site sites[] = {{options, 3, 0}, {options, 1, 10}};
    int picks[2];
    bool fits = false;
    assert_int_equal(choose_algorithms(sites, 2, SIZE_MAX, NULL, picks, &fits), TESS_OK);
    assert_true(fits);
    assert_int_equal(picks[0], 1);
    assert_int_equal(picks[1], 0);
    assert_int_equal(choose_algorithms(NULL, 0, 0, NULL, picks, &fits), TESS_OK);
    assert_true(fits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workspaces_alone),
        cmocka_unit_test(workspaces_and_weights),
        cmocka_unit_test(no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
