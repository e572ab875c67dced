/* Convolutions that write their output to some channels of a wider tensor: those get what the generic kernel gives in a tensor of its own,
   within rounding, and the others keep what they held. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv_algo.h"

/* Positions and wider tensors that are no multiples of vectors. The filters are where gemm1x1 could store past the caches, but for
   that. */
static const struct slice_case {
    const char *algo, *key;
    int channels, first;
} cases[] = {
    {"generic", "n2c3h5w4k5r3s3pt1pb1pl1pr1", 11, 4},
    {"direct", "n2c5h6w9k19r3s3pt1pb1pl1pr1", 37, 11},
    {"gemm1x1", "n2c7h5w5k32r1s1", 41, 3},
    {"winograd", "n1c9h7w6k21r3s3pt1pb1pl1pr1", 29, 5},
    {"igemm", "n2c6h5w4k10r3s3", 17, 6},
};

static tess_conv_plan *make_plan(tess_context *ctx, const tess_conv_desc *desc,
                                 const tess_conv_options *options, const struct conv_slice *slice,
                                 tess_tensor **workspace) {
    tess_conv_plan *plan = NULL;
    assert_ok(ctx, conv_plan_create(ctx, desc, options, slice, NULL, &plan));
    size_t bytes = tess_conv_plan_info(plan).workspace;
    *workspace = bytes ? check_tensor(ctx, desc_vector((int)(bytes / 4 + 1)), NULL) : NULL;
    return plan;
}

static float *convolve(tess_context *ctx, const tess_conv_desc *desc,
                       const tess_conv_options *options, const struct conv_slice *slice,
                       const tess_conv_args *inputs, tess_tensor_desc y_desc) {
    tess_conv_args args = *inputs;
    tess_conv_plan *plan = make_plan(ctx, desc, options, slice, &args.workspace);
    args.y = check_tensor(ctx, y_desc, NULL);
    assert_ok(ctx, tess_conv_plan_enqueue(plan, &args));
    float *y = check_read(args.y);
    tess_tensor_destroy(args.y);
    tess_tensor_destroy(args.workspace);
    tess_conv_plan_destroy(plan);
    return y;
}

static tess_tensor *noise(tess_context *ctx, tess_tensor_desc desc, uint64_t seed) {
    size_t count = tess_tensor_desc_elements(&desc);
    float *data = check_alloc(count * sizeof *data);
    check_random(data, count, -1, 1, seed);
    tess_tensor *tensor = check_tensor(ctx, desc, data);
    free(data);
    return tensor;
}

static void compare(const struct slice_case *c, const tess_conv_desc *d, int pixels,
                    const float *wide, const float *narrow) {
    double *want = check_alloc((size_t)d->k * sizeof *want);
    for (int i = 0; i < pixels; i++) {
        const float *row = wide + (size_t)i * (size_t)c->channels;
        for (int k = 0; k < c->channels; k++)
            if ((k < c->first || k >= c->first + d->k) && row[k] == row[k])
                fail_msg("%s %s: pixel %d, channel %d was written", c->algo, c->key, i, k);
        for (int k = 0; k < d->k; k++)
            want[k] = (double)narrow[(size_t)i * (size_t)d->k + (size_t)k];
        check_close(row + c->first, want, (size_t)d->k, 2e-5, 4, c->key);
    }
    free(want);
}

/* The planner's configuration, but with stores past the caches; NULL: it has no such thing. */
static const char *streaming(tess_context *ctx, const tess_conv_desc *desc,
                             const tess_conv_options *options, char text[CONV_CONFIG_SIZE]) {
    struct conv_problem problem;
    struct conv_choice choice;
    assert_ok(ctx, conv_problem_init(desc, options, &ctx->error, &problem));
    assert_ok(ctx, conv_choose(ctx, &problem, options, &choice));
    conv_config_print(choice.algo, problem.pass, &choice.config, text);
    char *stream = strstr(text, "stream0");
    if (!stream) return NULL;
    stream[6] = '1';
    return strstr(text, "__") + 2;
}

static void check_case(tess_context *ctx, const struct slice_case *c, tess_act act) {
    tess_conv_desc d;
    tess_error error = {0};
    char config[CONV_CONFIG_SIZE];
    int p, q;
    assert_int_equal(tess_conv_desc_parse(c->key, &error, &d), TESS_OK);
    assert_int_equal(tess_conv_out_size(&d, &error, &p, &q), TESS_OK);
    tess_conv_args args = {.x = noise(ctx, desc_nhwc(d.n, d.c, d.h, d.w), 1),
                           .w = noise(ctx, desc_rsck(d.r, d.s, d.c, d.k), 2),
                           .bias = noise(ctx, desc_vector(d.k), 3)};
    tess_conv_options options = {.bias = true, .act = act, .algo = "generic"};
    float *narrow = convolve(ctx, &d, &options, NULL, &args, desc_nhwc(d.n, d.k, p, q));
    options.algo = c->algo;
    options.config = streaming(ctx, &d, &options, config);
    const struct conv_slice slice = {c->channels, c->first};
    float *wide = convolve(ctx, &d, &options, &slice, &args, desc_nhwc(d.n, c->channels, p, q));
    compare(c, &d, d.n * p * q, wide, narrow);
    free(narrow);
    free(wide);
    tess_tensor_destroy(args.x);
    tess_tensor_destroy(args.w);
    tess_tensor_destroy(args.bias);
}

static void slices(void **state) {
    tess_context *ctx = *state;
    const char *only = getenv("TESSERA_TEST_ALGO");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (only && strcmp(only, cases[i].algo) != 0) continue;
        check_case(ctx, &cases[i], (tess_act){.kind = TESS_ACT_RELU});
        if (!check_tiny()) check_case(ctx, &cases[i], (tess_act){.kind = TESS_ACT_NONE});
    }
}

/* Every algorithm that says that it can is tested above; one that cannot is not chosen. */
static void algorithms(void **state) {
    tess_context *ctx = *state;
    tess_conv_desc d;
    tess_conv_plan *plan = NULL;
    for (int i = 0; i < conv_algo_count; i++) {
        bool tested = false;
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
            tested = tested || strcmp(cases[k].algo, conv_algos[i]->name) == 0;
        assert_int_equal(tested, conv_algos[i]->slices);
    }
    assert_int_equal(tess_conv_desc_parse("n1c3h9w9k8r3s3", NULL, &d), TESS_OK);
    tess_conv_options options = {.algo = "smallc"};
    assert_int_equal(conv_plan_create(ctx, &d, &options, &(struct conv_slice){9, 1}, NULL, &plan),
                     TESS_UNSUPPORTED);
    assert_null(plan);
}

static void nonsense_is_refused(void **state) {
    tess_context *ctx = *state;
    tess_conv_desc d, nchw;
    tess_conv_plan *plan = NULL;
    assert_int_equal(tess_conv_desc_parse("n1c3h9w9k8r3s3", NULL, &d), TESS_OK);
    nchw = d;
    nchw.layout = TESS_NCHW;
    const struct {
        const tess_conv_desc *desc;
        struct conv_slice slice;
        tess_conv_options options;
        tess_status status;
    } wrong[] = {
        {&d, {7, 0}, {0}, TESS_INVALID_SHAPE},
        {&d, {9, 2}, {0}, TESS_INVALID_SHAPE},
        {&d, {9, -1}, {0}, TESS_INVALID_SHAPE},
        {&d, {-9, 0}, {0}, TESS_INVALID_SHAPE},
        {&d, {2147483647, 0}, {0}, TESS_UNSUPPORTED},
        {&d, {9, 0}, {.residual = true}, TESS_INVALID_ARGUMENT},
        {&d, {9, 0}, {.pass = TESS_CONV_BWD_DATA}, TESS_INVALID_ARGUMENT},
        {&nchw, {9, 0}, {0}, TESS_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(
            conv_plan_create(ctx, wrong[i].desc, &wrong[i].options, &wrong[i].slice, NULL, &plan),
            wrong[i].status);
        assert_null(plan);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(algorithms),
        cmocka_unit_test(slices),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
