/* Random numbers: Philox against the published known answers, and the distributions drawn from it. */
#include <math.h>
#include <stdlib.h>

#include "ops/random.h"
#include "support/check.h"

/* The lines "philox4x32 10" of tests/kat_vectors in the Random123 distribution: counter, key, answer. */
static const uint32_t known[3][3][4] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void philox_gives_the_known_answers(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        philox4x32(known[i][0], known[i][1], out);
        assert_memory_equal(out, known[i][2], sizeof out);
    }
}

static void a_stream_is_its_blocks_word_by_word(void **state) {
    (void)state;
    struct random_stream random = {.seed = 0x123456789abcdef0u, .stream = 0xfedcba9876543210u};
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t counter[4] = {block, 0, 0x76543210u, 0xfedcba98u}, want[4];
        philox4x32(counter, (const uint32_t[2]){0x9abcdef0u, 0x12345678u}, want);
        for (int i = 0; i < 4; i++)
            assert_int_equal(random_word(&random), want[i]);
    }
    random.drawn = (uint64_t)7 << 34; /* block number beyond 32 bits */
    uint32_t counter[4] = {0, 7, 0x76543210u, 0xfedcba98u}, want[4];
    philox4x32(counter, (const uint32_t[2]){0x9abcdef0u, 0x12345678u}, want);
    assert_int_equal(random_word(&random), want[0]);
}

/* Mean and variance within 5 standard errors. */
static void uniform_has_its_moments(void **state) {
    (void)state;
    struct random_stream random = {.seed = 1};
    int count = 200000;
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++) {
        double u = (double)random_uniform(&random);
        assert_true(u >= 0 && u < 1);
        assert_true(u * 0x1p24 == floor(u * 0x1p24));
        sum += u;
        squares += (u - 0.5) * (u - 0.5);
    }
    assert_true(fabs(sum / count - 0.5) < 5 * sqrt(1.0 / 12 / count));
    assert_true(fabs(squares / count - 1.0 / 12) < 5 * sqrt(1.0 / 180 / count));
}

static void normal_has_its_moments(void **state) {
    (void)state;
    struct random_stream random = {.seed = 2, .stream = 3};
    int count = 200000;
    double moment[5] = {0};
    for (int i = 0; i < count; i++) {
        double z = random_normal(&random), power = 1;
        assert_true(isfinite(z));
        for (int m = 0; m < 5; m++, power *= z)
            moment[m] += power / count;
    }
    double error = 5 / sqrt(count);
    assert_true(fabs(moment[1]) < error);
    assert_true(fabs(moment[2] - 1) < error * sqrt(2));
    assert_true(fabs(moment[3]) < error * sqrt(15));
    assert_true(fabs(moment[4] - 3) < error * sqrt(96));
}

/* Box-Muller with the C library's logarithm and cosine, whose errors are as small. */
static void normal_is_box_muller(void **state) {
    (void)state;
    struct random_stream random = {.seed = 5, .stream = 6}, words = random;
    for (int i = 0; i < 100000; i++) {
        double radius = ((double)random_word(&words) + 1) * 0x1p-32;
        double angle = 6.283185307179586 * ((double)random_word(&words) * 0x1p-32);
        double want = sqrt(-2 * log(radius)) * cos(angle);
        assert_true(fabs(random_normal(&random) - want) <= 1e-14);
    }
}

/* From any place of the sequence, and with any count. */
static void many_normals_are_the_single_ones(void **state) {
    (void)state;
    enum { MOST = 300 };
    static const size_t counts[] = {0, 1, 63, 64, 65, 128, MOST};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (uint64_t drawn = 0; drawn < 5; drawn++) {
            float many[MOST + 1] = {0};
            uint64_t start = (UINT64_C(7) << 34) - 40 + drawn; /* counters pass 2^32 */
            struct random_stream a = {.seed = 8, .stream = UINT64_C(1) << 63, .drawn = start};
            struct random_stream b = a;
            many[counts[c]] = 77;
            random_normals(&a, 0.3, many, counts[c]);
            assert_true(a.drawn == b.drawn + 2 * counts[c] && many[counts[c]] == 77);
            for (size_t i = 0; i < counts[c]; i++)
                assert_true(many[i] == (float)(0.3 * random_normal(&b)));
        }
}

/* As many as two threads share. */
static void very_many_normals_are_the_single_ones(void **state) {
    (void)state;
    enum { COUNT = 150001 };
    struct random_stream a = {.seed = 9, .stream = 1}, b = a;
    float *many = check_alloc(COUNT * sizeof *many);
    random_normals(&a, 1.5, many, COUNT);
    assert_true(a.drawn == b.drawn + 2 * COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_true(many[i] == (float)(1.5 * random_normal(&b)));
    free(many);
}

static void below_is_even_and_in_range(void **state) {
    (void)state;
    struct random_stream random = {.seed = 4};
    enum { BOUND = 7, COUNT = 70000 };
    int seen[BOUND] = {0};
    for (int i = 0; i < COUNT; i++) {
        uint32_t value = random_below(&random, BOUND);
        assert_true(value < BOUND);
        seen[value]++;
    }
    for (int i = 0; i < BOUND; i++)
        assert_true(abs(seen[i] - COUNT / BOUND) < 5 * sqrt(COUNT / BOUND));
    /* A bound just above half of the range: the plain product would be far from even. */
    int low = 0;
    for (int i = 0; i < COUNT; i++) {
        uint32_t value = random_below(&random, 0xC0000000u);
        assert_true(value < 0xC0000000u);
        low += value < 0x60000000u;
    }
    assert_true(abs(low - COUNT / 2) < 5 * sqrt(COUNT / 4));
    assert_int_equal(random_below(&random, 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers),
        cmocka_unit_test(a_stream_is_its_blocks_word_by_word),
        cmocka_unit_test(uniform_has_its_moments),
        cmocka_unit_test(normal_has_its_moments),
        cmocka_unit_test(normal_is_box_muller),
        cmocka_unit_test(many_normals_are_the_single_ones),
        cmocka_unit_test(very_many_normals_are_the_single_ones),
        cmocka_unit_test(below_is_even_and_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
