/* Cold operands: how many copies, and that timed runs take all of them in turn. */
#include "tuner/rotation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/context.h"
#include "support/check.h"

static void test_sets(void **state) {
    tess_device_info device = {.global_cache = 1 << 20, .global_memory = (uint64_t)1 << 30};
    (void)state;
    static const size_t sizes[] = {1000, 4096, 65536, 100000, 1 << 20, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int sets = rotation_sets(&device, sizes[i]);
        /* What lies between two uses of one set is more than the cache, unless copies were to be counted in hundreds. */
        assert_true(sets == 256 || (double)(sets - 1) * (double)sizes[i] > 1.2 * (1 << 20));
        assert_true((double)sets * (double)sizes[i] <= (double)device.global_memory / 8);
    }
    assert_int_equal(rotation_sets(&device, 100 << 20), 1); /* two would be more than an eighth */
    assert_int_equal(rotation_sets(&device, (size_t)1 << 40), 1);
    device.global_cache = 0;
    assert_true(rotation_sets(&device, 1 << 20) > 32);
    assert_true(rotation_sets(&device, 0) >= 1);
}

static void check_timed_runs(tess_context *ctx, tess_conv_pass pass) {
    tess_conv_desc d = {.n = 1, .c = 3, .h = 9, .w = 8, .k = 5, .r = 3, .s = 3};
    const tess_conv_options options = {.pass = pass};
    struct conv_problem problem;
    struct workbench *bench = NULL;
    struct instance *instance = NULL;
    char printed[CONV_CONFIG_SIZE];
    snprintf(printed, sizeof printed, "conv_generic_%s", conv_pass_name(pass));
    assert_ok(ctx, conv_problem_init(&d, &options, &ctx->error, &problem));
    assert_ok(ctx, workbench_create(ctx, &problem, 1e6, true, &bench));
    assert_ok(ctx, instance_create(bench, printed, &instance));
    int result = workbench_result(bench), copies = bench->copies[result].count;
    struct guarded *whole = &bench->operand[result];
    assert_true(copies >= 2);
    float *want = check_alloc(whole->elements * sizeof *want);
    assert_ok(ctx, instance_pack(instance));
    assert_ok(ctx, instance_run(instance));
    assert_ok(ctx,
              tess_tensor_read(whole->tensor, want, tess_tensor_get_desc(whole->tensor)->layout));
    for (int i = 0; i < copies; i++)
        assert_ok(ctx, instance_run_timed(instance));
    for (int i = 0; i < copies; i++) {
        bool intact = false;
        /* The first of the timed runs took the original: the last copy is still poison. */
        assert_ok(ctx, guarded_intact(&bench->copies[result].copies[i], want, &intact));
        assert_int_equal(intact, i + 1 < copies);
    }
    free(want);
    instance_destroy(instance);
    workbench_destroy(bench);
}

static void test_timed_runs(void **state) {
    tess_context *ctx = *state;
    ctx->device.global_cache = 4096; /* a few copies */
    for (int pass = 0; pass < 3; pass++)
        check_timed_runs(ctx, (tess_conv_pass)pass);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),
        cmocka_unit_test_setup_teardown(test_timed_runs, check_setup, check_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
