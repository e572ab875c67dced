/* Dropout: the device's mask against the host's Philox, bit for bit. */
#include <math.h>
#include <stdlib.h>

#include "ops/random.h"
#include "support/check.h"
#include "support/eltwise_fixture.h"

/* The definition, one element at a time. */
static float dropped(float x, size_t i, double rate, uint64_t seed, uint64_t stream) {
    uint32_t counter[4] = {(uint32_t)(i / 4), 0, (uint32_t)stream, (uint32_t)(stream >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, word[4];
    philox4x32(counter, key, word);
    bool keep = (double)word[i % 4] < nearbyint((1 - rate) * 4294967296.0);
    return keep ? x * (float)(1 / (1 - rate)) : 0.0f;
}

/* Kept elements, after every one has been compared. */
static int check_mask(struct eltwise_fixture *f, int count, float rate, uint64_t seed,
                      uint64_t stream) {
    float *x = check_alloc((size_t)count * sizeof *x);
    check_random(x, (size_t)count, 0.5f, 2, 1);
    tess_tensor *tx = check_tensor(f->ctx, desc_vector(count), x);
    tess_tensor *y = check_tensor(f->ctx, desc_vector(count), NULL);
    assert_ok(f->ctx, tess_dropout(f->op, rate, seed, stream, tx, y));
    assert_ok(f->ctx, tess_dropout(f->op, rate, seed, stream, tx, tx));
    float *got = check_read(y), *in_place = check_read(tx);
    int kept = 0;
    for (size_t i = 0; i < (size_t)count; i++) {
        if (got[i] != dropped(x[i], i, (double)rate, seed, stream))
            fail_msg("count %d rate %g seed %llu stream %llu: element %zu is %g", count,
                     (double)rate, (unsigned long long)seed, (unsigned long long)stream, i,
                     (double)got[i]);
        kept += got[i] != 0;
    }
    check_same_bytes(got, in_place, (size_t)count * sizeof *got, "in place");
    free(got);
    free(in_place);
    free(x);
    tess_tensor_destroy(tx);
    tess_tensor_destroy(y);
    return kept;
}

static void the_mask_is_the_hosts(void **state) {
    static const float rates[] = {0, 0.5f, 0.1f, 0.9f, 0.99999994f, 1e-40f};
    static const int counts[] = {1, 2, 3, 4, 5, 63, 64, 65, 258, 1021};
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
            check_mask(*state, counts[c], rates[r], 0xdeadbeefcafebabeu + r, 0xabcdef0123456789u);
    check_mask(*state, 100, 0.5f, 0, 0);
    check_mask(*state, 100, 0.5f, UINT64_MAX, UINT64_MAX);
}

static void keeps_the_right_share(void **state) {
    int count = check_tiny() ? 2000 : 300001;
    int kept = check_mask(*state, count, 0.3f, 5, 6);
    assert_true(fabs(kept - 0.7 * count) < 5 * sqrt(0.3 * 0.7 * count));
    assert_int_equal(check_mask(*state, 1000, 0, 5, 6), 1000);
}

static void seeds_and_streams_differ(void **state) {
    struct eltwise_fixture *f = *state;
    static const uint64_t pairs[][2] = {
        {1, 1}, {2, 1}, {1, 2}, {1, (uint64_t)1 << 32 | 1}, {(uint64_t)1 << 32 | 1, 1}};
    enum { PAIRS = sizeof pairs / sizeof pairs[0], COUNT = 256 };
    float ones[COUNT], *got[PAIRS] = {0};
    for (int i = 0; i < COUNT; i++)
        ones[i] = 1;
    for (int p = 0; p < PAIRS; p++) {
        tess_tensor *x = check_tensor(f->ctx, desc_vector(COUNT), ones);
        assert_ok(f->ctx, tess_dropout(f->op, 0.5f, pairs[p][0], pairs[p][1], x, x));
        got[p] = check_read(x);
        tess_tensor_destroy(x);
    }
    for (int p = 0; p < PAIRS; p++)
        for (int o = 0; o < p; o++) {
            int same = 0;
            for (int i = 0; i < COUNT; i++)
                same += got[p][i] == got[o][i];
            assert_true(abs(same - COUNT / 2) < 5 * sqrt(COUNT / 4));
        }
    for (int p = 0; p < PAIRS; p++)
        free(got[p]);
}

static void bad_arguments_are_refused(void **state) {
    struct eltwise_fixture *f = *state;
    tess_tensor *x = check_tensor(f->ctx, desc_vector(5), NULL);
    tess_tensor *y = check_tensor(f->ctx, desc_vector(6), NULL);
    static const float rates[] = {1, -0.1f, NAN, INFINITY, 2};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        assert_int_equal(tess_dropout(f->op, rates[i], 1, 1, x, x), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_dropout(f->op, 0.5f, 1, 1, x, y), TESS_INVALID_SHAPE);
    assert_int_equal(tess_dropout(f->op, 0.5f, 1, 1, NULL, y), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_dropout(f->op, 0.5f, 1, 1, x, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_dropout(NULL, 0.5f, 1, 1, x, x), TESS_INVALID_ARGUMENT);
    tess_tensor_destroy(x);
    tess_tensor_destroy(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mask_is_the_hosts),
        cmocka_unit_test(keeps_the_right_share),
        cmocka_unit_test(seeds_and_streams_differ),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, eltwise_setup, eltwise_teardown);
}
