/* Thousands of damaged models, the same on every run: each is read or refused with a reason, and nothing crashes (run under
   AddressSanitizer, this also says that nothing leaks or is read out of bounds). fuzz/fuzz_onnx.c goes further. */
#include "support/onnx_seeds.h"

#include <stdlib.h>
#include <string.h>

#define MUTATIONS 20000 /* of each seed */

/* splitmix64 */
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t limit) {
    return (size_t)(next(state) % limit);
}

/* Changes bytes, which has room for twice its size; gives the new size. */
static size_t mutate(uint8_t *bytes, size_t size, uint64_t *state) {
    static const uint8_t telling[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x08};
    size_t at = below(state, size), other = below(state, size);
    size_t length = 1 + below(state, size - at < 32 ? size - at : 32);
    switch (next(state) % 6) {
    case 0: /* cut */
        return at;
    case 1: /* a bit */
        bytes[at] ^= (uint8_t)(1u << below(state, 8));
        return size;
    case 2: /* a byte that means something */
        bytes[at] = telling[below(state, sizeof telling)];
        return size;
    case 3: /* some bytes from elsewhere */
        if (length > size - other) length = size - other;
        memmove(bytes + at, bytes + other, length);
        return size;
    case 4: /* some bytes twice */
        memmove(bytes + at + length, bytes + at, size - at);
        return size + length;
    default: /* some bytes gone */
        memmove(bytes + at, bytes + at + length, size - at - length);
        return size - length;
    }
}

static void test_seeds(void **state) {
    (void)state;
    struct onnx_build build;
    int count = 0;
    for (; onnx_seed(count, &build); count++) {
        size_t size;
        const uint8_t *bytes = onnx_build_pack(&build, &size);
        bool last = build.graph->n_value_info > 0;
        assert_int_equal(onnx_exercise(bytes, size), !last);
        onnx_build_end(&build);
    }
    assert_true(count >= 5);
}

static void test_mutations(void **state) {
    (void)state;
    struct onnx_build build;
    int good = 0, all = 0;
    for (int seed = 0; onnx_seed(seed, &build); seed++) {
        size_t size;
        const uint8_t *bytes = onnx_build_pack(&build, &size);
        for (int i = 0; i < MUTATIONS; i++) {
            uint64_t random = (uint64_t)seed << 32 | (uint64_t)i;
            size_t now = size;
            uint8_t *copy = check_alloc(2 * size + 64), *exact;
            memcpy(copy, bytes, size);
            for (int j = 0; j <= i % 4 && now > 1 && now < size + 32; j++)
                now = mutate(copy, now, &random);
            exact = check_alloc(now ? now : 1); /* so that a read beyond the end is seen */
            memcpy(exact, copy, now);
            good += onnx_exercise(exact, now);
            all++;
            free(exact);
            free(copy);
        }
        onnx_build_end(&build);
    }
    print_message("%d damaged models, of which %d are still good\n", all, good);
    assert_in_range(good, 1, all / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
