/* The memory plan on random lifetimes: nothing that lives together overlaps, and little is wasted. No device. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "net/memory_plan.h"

enum { ALIGN = 64 };

static size_t rounded(size_t bytes) {
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static void expect_sound(const struct memory_item *items, int count, const struct memory_plan *plan,
                         const struct memory_limits *limits) {
    size_t total = 0;
    for (int i = 0; i < plan->arena_count; i++) {
        assert_true(plan->arena_bytes[i] <= limits->arena);
        total += plan->arena_bytes[i];
    }
    assert_int_equal(total, plan->total);
    for (int i = 0; i < count; i++) {
        const struct memory_item *a = &items[i];
        assert_in_range(a->arena, 0, plan->arena_count - 1);
        assert_int_equal(a->offset % ALIGN, 0);
        assert_true(a->offset + a->bytes <= plan->arena_bytes[a->arena]);
        for (int k = 0; k < i; k++) {
            const struct memory_item *b = &items[k];
            bool together = !limits->share || (a->first <= b->last && b->first <= a->last);
            bool apart = a->arena != b->arena || a->offset + a->bytes <= b->offset ||
                         b->offset + b->bytes <= a->offset;
            if (together && !apart) fail_msg("items %d and %d of %d overlap", k, i, count);
        }
    }
}

/* What is alive in the fullest step: no plan can do with less. */
static size_t peak(const struct memory_item *items, int count, int steps) {
    size_t most = 0;
    for (int step = 0; step < steps; step++) {
        size_t alive = 0;
        for (int i = 0; i < count; i++)
            if (items[i].first <= step && step <= items[i].last) alive += rounded(items[i].bytes);
        if (alive > most) most = alive;
    }
    return most;
}

static void random_lifetimes(void **state) {
    (void)state;
    float random[3 * 60];
    struct memory_item items[60];
    for (int round = 0; round < 200; round++) {
        int count = 1 + round % 60, steps = 1 + round % 37;
        check_random(random, (size_t)count * 3, 0, 1, (uint64_t)round);
        for (int i = 0; i < count; i++) {
            int first = (int)(random[3 * i] * (float)steps), length = (int)(random[3 * i + 1] * 8);
            items[i] = (struct memory_item){.bytes = 1 + (size_t)(random[3 * i + 2] * 5000),
                                            .first = first,
                                            .last = first + length};
        }
        struct memory_plan plan;
        struct memory_limits limits = {ALIGN, round % 3 == 0 ? 5120 : 1 << 20, round % 5 != 0};
        int culprit = -1;
        assert_int_equal(memory_plan_make(items, count, &limits, NULL, &culprit, &plan), TESS_OK);
        expect_sound(items, count, &plan, &limits);
        assert_true(plan.total <= plan.unshared);
        if (!limits.share) assert_int_equal(plan.total, plan.unshared);
        if (limits.share && limits.arena > 5120) {
            assert_int_equal(plan.arena_count, 1);
            assert_true((double)plan.total <= 1.5 * (double)peak(items, count, steps + 8));
        }
        memory_plan_end(&plan);
    }
}

/* A chain needs its two largest neighbours. */
static void a_chain_is_planned_best(void **state) {
    (void)state;
    struct memory_item items[] = {{.bytes = 640, .first = 0, .last = 1},
                                  {.bytes = 1280, .first = 1, .last = 2},
                                  {.bytes = 320, .first = 2, .last = 3},
                                  {.bytes = 960, .first = 3, .last = 4}};
    struct memory_plan plan;
    int culprit;
    assert_int_equal(memory_plan_make(items, 4, &(struct memory_limits){ALIGN, 1 << 20, true}, NULL,
                                      &culprit, &plan),
                     TESS_OK);
    assert_int_equal(plan.total, 1920);
    assert_int_equal(plan.unshared, 3200);
    memory_plan_end(&plan);
}

static void too_large_for_an_arena(void **state) {
    (void)state;
    struct memory_item items[] = {{.bytes = 64}, {.bytes = 129}};
    struct memory_plan plan = {0};
    tess_error error = {0};
    int culprit = -1;
    assert_int_equal(memory_plan_make(items, 2, &(struct memory_limits){ALIGN, 128, true}, &error,
                                      &culprit, &plan),
                     TESS_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(culprit, 1);
    assert_non_null(strstr(error.text, "129"));
    assert_int_equal(memory_plan_make(NULL, 0, &(struct memory_limits){ALIGN, 128, true}, &error,
                                      &culprit, &plan),
                     TESS_OK);
    assert_int_equal(plan.arena_count, 0);
    memory_plan_end(&plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lifetimes),
        cmocka_unit_test(a_chain_is_planned_best),
        cmocka_unit_test(too_large_for_an_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
