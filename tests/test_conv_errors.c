/* Convolution: problem keys, sizes, and what is refused. */
#include <string.h>

#include "ops/conv/conv_algo.h"
#include "support/check.h"

static void test_keys(void **state) {
    (void)state;
    tess_error error = {0};
    tess_conv_desc d;
    char key[TESS_CONV_KEY_SIZE];
    assert_int_equal(tess_conv_desc_parse("n8c64h56w56k64r3s3pt1pb1pl1pr1", &error, &d), TESS_OK);
    tess_conv_desc_key(&d, key);
    assert_string_equal(key, "n8c64h56w56k64r3s3u1v1pt1pb1pl1pr1d1e1g1");
    tess_conv_desc again;
    assert_int_equal(tess_conv_desc_parse(key, &error, &again), TESS_OK);
    assert_memory_equal(&d, &again, sizeof d);
    assert_int_equal(tess_conv_desc_parse("n1c2h7w6k3r3s3pt1pl2m1", &error, &d), TESS_OK);
    assert_int_equal(d.pad_mode, TESS_PAD_MIRROR);
    tess_conv_desc_key(&d, key);
    assert_string_equal(key, "n1c2h7w6k3r3s3u1v1pt1pb0pl2pr0d1e1g1m1");
    assert_int_equal(tess_conv_desc_parse(key, &error, &again), TESS_OK);
    assert_memory_equal(&d, &again, sizeof d);
    assert_int_equal(tess_conv_desc_parse("n1c2h7w6k3r3s3m2", &error, &d), TESS_INVALID_SHAPE);
    assert_non_null(strstr(error.text, "padding mode"));
    assert_int_equal(tess_conv_desc_parse("n1c2h7w6k3r3s3m0", &error, &d), TESS_OK);
    tess_conv_desc_key(&d, key);
    assert_string_equal(key, "n1c2h7w6k3r3s3u1v1pt0pb0pl0pr0d1e1g1");
    static const char *const bad[] = {"",
                                      "n8",
                                      "n8c64h56w56k64r3",
                                      "n8c64h56w56k64r3s3x1",
                                      "n0c1h1w1k1r1s1",
                                      "n1n1c1h1w1k1r1s1",
                                      "n1c1h1w1k1r1s99999999999",
                                      "n1c1h1w1k1r1s-1",
                                      "n1c1h1w1k1r1s1pt",
                                      "n1c1h1w1k1r1s1 ",
                                      "N1c1h1w1k1r1s1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        error.text[0] = '\0';
        assert_int_equal(tess_conv_desc_parse(bad[i], &error, &d), TESS_INVALID_ARGUMENT);
        assert_true(strlen(error.text) > 0);
    }
}

static void expect_refusal(tess_context *ctx, tess_conv_desc d, const tess_conv_options *o,
                           tess_status status, const char *part) {
    tess_conv_plan *plan = (tess_conv_plan *)(void *)&d;
    assert_int_equal(tess_conv_plan_create(ctx, &d, o, &plan), status);
    assert_ptr_equal(plan, &d); /* untouched */
    if (!strstr(tess_context_last_error(ctx), part))
        fail_msg("'%s' does not say '%s'", tess_context_last_error(ctx), part);
}

static void test_impossible_problems(void **state) {
    const tess_conv_desc ok = {.n = 1, .c = 4, .h = 5, .w = 5, .k = 4, .r = 3, .s = 3};
    tess_conv_desc d = ok;
    d.r = 6;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "n1c4h5w5k4r6s3u1v1");
    d = ok, d.groups = 3;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "multiples of g");
    d = ok, d.pad_left = -1;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "padding below 0");
    d = ok, d.n = 0;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "below 1");
    d = ok, d.n = 1 << 30, d.h = 1 << 20;
    expect_refusal(*state, d, NULL, TESS_UNSUPPORTED, "2^31");
    d = ok, d.dilation_h = 1 << 30;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "d1073741824");
    d = ok, d.pad_mode = 2;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "unknown padding mode");
    int *const paddings[] = {&d.pad_top, &d.pad_bottom, &d.pad_left, &d.pad_right};
    for (int i = 0; i < 4; i++) {
        d = ok, d.pad_mode = TESS_PAD_MIRROR, *paddings[i] = 5;
        expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "mirror padding must be less");
    }
    d = ok, d.pad_mode = TESS_PAD_MIRROR;
    expect_refusal(*state, d, &(tess_conv_options){.algo = "direct"}, TESS_UNSUPPORTED, "cannot");
    d = ok, d.dtype = TESS_I32;
    expect_refusal(*state, d, NULL, TESS_UNSUPPORTED, "fp32");
    expect_refusal(*state, ok, &(tess_conv_options){.algo = "fft9"}, TESS_UNSUPPORTED, "fft9");
    expect_refusal(*state, ok, &(tess_conv_options){.algo = "direct", .config = "wt14"},
                   TESS_UNSUPPORTED, "does not fit");
    expect_refusal(*state, ok, &(tess_conv_options){.algo = "direct", .config = "wt9"},
                   TESS_INVALID_ARGUMENT, "wt kv");
    expect_refusal(*state, ok, &(tess_conv_options){.algo = "direct", .limit_workspace = true},
                   TESS_UNSUPPORTED, "workspace limit");
    expect_refusal(*state, ok, &(tess_conv_options){.pass = TESS_CONV_BWD_DATA, .bias = true},
                   TESS_INVALID_ARGUMENT, "forward");
}

static void test_bad_arguments(void **state) {
    tess_context *ctx = *state;
    const tess_conv_desc d = {.n = 1, .c = 4, .h = 5, .w = 5, .k = 4, .r = 3, .s = 3};
    tess_conv_plan *plan = NULL;
    assert_ok(ctx, tess_conv_plan_create(ctx, &d, &(tess_conv_options){.bias = true}, &plan));
    tess_tensor *x = check_tensor(ctx, desc_nhwc(1, 4, 5, 5), NULL);
    tess_tensor *w = check_tensor(ctx, desc_rsck(3, 3, 4, 4), NULL);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(1, 4, 3, 3), NULL);
    tess_tensor *bias = check_tensor(ctx, desc_vector(4), NULL);
    assert_int_not_equal(tess_conv_plan_enqueue(plan, NULL), TESS_OK);
    assert_int_not_equal(tess_conv_plan_enqueue(plan, &(tess_conv_args){.x = x, .w = w, .y = y}),
                         TESS_OK); /* no bias */
    assert_int_not_equal(
        tess_conv_plan_enqueue(plan, &(tess_conv_args){.x = y, .w = w, .y = y, .bias = bias}),
        TESS_OK); /* x has the wrong size */
    if (tess_conv_plan_info(plan).workspace)
        assert_int_not_equal(
            tess_conv_plan_enqueue(plan, &(tess_conv_args){.x = x, .w = w, .y = y, .bias = bias}),
            TESS_OK); /* no workspace */
    tess_tensor_destroy(x), tess_tensor_destroy(w), tess_tensor_destroy(y);
    tess_tensor_destroy(bias);
    tess_conv_plan_destroy(plan);
    assert_int_equal(tess_conv_plan_create(NULL, &d, NULL, &plan), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_conv_plan_create(ctx, NULL, NULL, &plan), TESS_INVALID_ARGUMENT);
}

/* They would be ignored, and the result would be another than the caller thinks. */
static void test_unasked_arguments(void **state) {
    tess_context *ctx = *state;
    const tess_conv_desc d = {.n = 1, .c = 4, .h = 5, .w = 5, .k = 4, .r = 3, .s = 3};
    tess_tensor *x = check_tensor(ctx, desc_nhwc(1, 4, 5, 5), NULL);
    tess_tensor *w = check_tensor(ctx, desc_rsck(3, 3, 4, 4), NULL);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(1, 4, 3, 3), NULL);
    tess_tensor *bias = check_tensor(ctx, desc_vector(4), NULL);
    const struct {
        tess_conv_pass pass;
        tess_conv_args args;
        const char *what;
    } cases[] = {
        {TESS_CONV_FWD, {.x = x, .w = w, .y = y, .bias = bias}, "bias: given"},
        {TESS_CONV_FWD, {.x = x, .w = w, .y = y, .residual = y}, "residual: given"},
        {TESS_CONV_BWD_DATA, {.x = x, .w = w, .y = y, .bias = bias}, "bias: given"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tess_conv_plan *plan = NULL;
        const tess_conv_options options = {.pass = cases[i].pass, .algo = "generic"};
        assert_ok(ctx, tess_conv_plan_create(ctx, &d, &options, &plan));
        assert_int_equal(tess_conv_plan_enqueue(plan, &cases[i].args), TESS_INVALID_ARGUMENT);
        assert_non_null(strstr(tess_context_last_error(ctx), cases[i].what));
        tess_conv_plan_destroy(plan);
    }
    tess_tensor_destroy(x), tess_tensor_destroy(w), tess_tensor_destroy(y);
    tess_tensor_destroy(bias);
}

/* Lecture numbers: AlexNet's first layer. */
static void test_output_size(void **state) {
    (void)state;
    tess_conv_desc d = {.n = 1,
                        .c = 3,
                        .h = 227,
                        .w = 227,
                        .k = 96,
                        .r = 11,
                        .s = 11,
                        .stride_h = 4,
                        .stride_w = 4};
    int p, q;
    assert_int_equal(tess_conv_out_size(&d, NULL, &p, &q), TESS_OK);
    assert_int_equal(p, 55);
    assert_int_equal(q, 55);
    assert_true(tess_conv_flops(&d) == 2.0 * 55 * 55 * 96 * 363);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_output_size),
        cmocka_unit_test(test_impossible_problems),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_unasked_arguments),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
