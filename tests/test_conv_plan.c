/* A plan where the driver refuses what the planner chose. */
#include "support/check.h"
#include "support/program_fixture.h"

#include <string.h>

#include "core/embedded.h"

/* The library's kernels; those of all convolution algorithms but the generic one do not compile. */
static void write_kernels(const char *folder) {
    for (const struct embedded_source *e = embedded_sources; e->name; e++) {
        const char *end = strrchr(e->name, '.');
        bool broken = strncmp(e->name, "conv_", 5) == 0 && end && strcmp(end, ".cl") == 0 &&
                      strcmp(e->name, "conv_generic.cl") != 0;
        folder_write_text(folder, e->name, broken ? "#error no such luck\n" : e->text);
    }
}

static int setup(void **state) {
    static struct fixture fixture;
    fixture_create(&fixture);
    write_kernels(fixture.kernels);
    fixture_open(&fixture);
    *state = &fixture;
    return 0;
}
static int teardown(void **state) {
    fixture_destroy(*state);
    return 0;
}

static const tess_conv_desc desc = {.n = 2, .c = 16, .h = 9, .w = 9, .k = 16, .r = 3, .s = 3};

static void test_generic_where_nothing_builds(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    for (int pass = 0; pass < 3; pass++) {
        const tess_conv_options options = {.pass = (tess_conv_pass)pass};
        tess_conv_plan *plan = NULL;
        assert_ok(ctx, tess_conv_plan_create(ctx, &desc, &options, &plan));
        tess_conv_info info = tess_conv_plan_info(plan);
        assert_string_equal(info.algo, "generic");
        assert_string_equal(info.tier, "generic");
        assert_non_null(strstr(info.why, "cannot be built"));
        assert_int_equal(info.workspace + info.packed, 0);
        tess_conv_plan_destroy(plan);
    }
    assert_true(fixture_logged(fixture, "no such luck"));
}

static void test_named_algorithms_fail(void **state) {
    struct fixture *fixture = *state;
    const tess_conv_options options = {.algo = "direct"};
    tess_conv_plan *plan = NULL;
    assert_int_equal(tess_conv_plan_create(fixture->ctx, &desc, &options, &plan),
                     TESS_BUILD_FAILED);
    assert_null(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_generic_where_nothing_builds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_named_algorithms_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
