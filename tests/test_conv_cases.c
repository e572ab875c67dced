/* Convolution: epilogues, layouts, limits, and cases that a sweep does not meet, against a float64 reference. */
#include <math.h>
#include <stdlib.h>

#include "support/check.h"
#include "support/conv_check.h"

/* Where running costs minutes, each combination with each layer, and each algorithm with other activations there. */
static void test_epilogues(void **state) {
    static const char *const keys[] = {"n2c3h7w6k5r3s3pt1pb1pl1pr1", "n1c4h6w9k37r1s1",
                                       "n1c4h6w9k64r1s1"}; /* whole tiles */
    for (int i = 0; i < 3; i++) {
        struct conv_data t = conv_data_make(keys[i]);
        for (int act = TESS_ACT_NONE; act <= TESS_ACT_HARD_SIGMOID; act++)
            for (int flags = 0; flags < 4; flags++) {
                tess_conv_options o = {
                    .bias = flags & 1,
                    .residual = flags & 2,
                    .act = {(tess_activation)act, act == TESS_ACT_ELU ? 0.7f : 0}};
                size_t count, length;
                double *want = conv_reference(&t, &o, &count, &length);
                for (int a = 0; a < conv_algo_count; a++) {
                    if (check_tiny() && (act + flags + i + a) % 9 != 0) continue;
                    if (!conv_can_do(*state, &t.d, &o, conv_algos[a])) continue;
                    o.algo = conv_algos[a]->name;
                    conv_check_plan(*state, &t, &o, want, count, length);
                }
                free(want);
            }
        conv_data_free(&t);
    }
}

/* Results that go past the caches, and a last block that is too narrow to: a way out of the kernel of its own for whole blocks. */
static void test_streamed_epilogues(void **state) {
    static const char config[] = "kv2_band4_wt5_stream1";
    tess_context *ctx = *state;
    struct conv_data t = conv_data_make("n1c3h6w9k48r3s3pt1pb1pl1pr1");
    for (int act = TESS_ACT_NONE; act <= TESS_ACT_RELU; act++)
        for (int bias = 0; bias < 2; bias++) {
            const tess_conv_options o = {
                .bias = bias, .act = {(tess_activation)act, 0}, .algo = "smallc", .config = config};
            struct conv_problem problem;
            struct conv_config parsed = {{0}};
            assert_ok(ctx, conv_problem_init(&t.d, &o, &ctx->error, &problem));
            const struct conv_algo *smallc = conv_algo_find("smallc");
            assert_ok(ctx, conv_config_parse(smallc, TESS_CONV_FWD, config, &ctx->error, &parsed));
            if (!conv_config_valid(smallc, &problem, &ctx->device, &parsed)) {
                print_message("not for this device: skipped\n");
                conv_data_free(&t);
                skip();
            }
            size_t count, length;
            double *want = conv_reference(&t, &o, &count, &length);
            conv_check_plan(ctx, &t, &o, want, count, length);
            free(want);
        }
    conv_data_free(&t);
}

/* NaN and infinity in x spread to their own windows only, also at the padded edges and through the last tile. Algorithms that
   round more than the plain sum add and subtract neighbours: there they spread to the whole tile. */
static void test_nan_stays_in_its_windows(void **state) {
    struct conv_data t = conv_data_make("n1c3h6w15k5r3s3pt1pb1pl1pr1");
    size_t bad = ((size_t)2 * 15 + 14) * 3 + 1; /* h 2, w 14, c 1 */
    for (int kind = 0; kind < 2; kind++) {
        t.x[bad] = kind ? NAN : INFINITY;
        for (int a = 0; a < conv_algo_count; a++) {
            if (!conv_can_do(*state, &t.d, &(tess_conv_options){0}, conv_algos[a])) continue;
            if (conv_algos[a]->error_growth) continue;
            tess_conv_options o = {.algo = conv_algos[a]->name, .act = {TESS_ACT_RELU, 0}};
            tess_conv_plan *plan = NULL;
            assert_ok(*state, tess_conv_plan_create(*state, &t.d, &o, &plan));
            float *got = conv_run(*state, &t, plan, &o);
            for (int p = 0; p < 6; p++)
                for (int q = 0; q < 15; q++) {
                    bool inside = p >= 1 && p <= 3 && q >= 13;
                    float y = got[(p * 15 + q) * 5];
                    if (kind && inside) assert_true(isnan(y));
                    if (!inside) assert_true(isfinite(y));
                }
            free(got);
            tess_conv_plan_destroy(plan);
        }
    }
    conv_data_free(&t);
}

/* A row that is no multiple of the tile: the last tile must end with the row, and nothing behind the tensor may change. */
static void test_last_tile_ends_with_its_row(void **state) {
    tess_context *ctx = *state;
    const tess_conv_desc d = {.n = 1, .c = 4, .h = 2, .w = 9, .k = 4, .r = 1, .s = 1};
    enum { COUNT = 2 * 9 * 4, GUARD = 256 };
    struct conv_problem problem;
    assert_ok(ctx, conv_problem_init(&d, NULL, &ctx->error, &problem));
    const struct conv_algo *direct = conv_algo_find("direct");
    struct conv_config config = {{0}};
    assert_ok(ctx, conv_config_parse(direct, TESS_CONV_FWD, "wt7_kv1", &ctx->error, &config));
    if (!conv_config_valid(direct, &problem, &ctx->device, &config)) {
        print_message("this device has too few vector registers for a tile of 7: skipped\n");
        skip();
    }
    tess_tensor *w = check_tensor(ctx, desc_rsck(1, 1, 4, 4), NULL);
    tess_tensor *in = check_tensor(ctx, desc_nhwc(1, 4, 2, 9), NULL);
    for (int pass = TESS_CONV_FWD; pass <= TESS_CONV_BWD_DATA; pass++) {
        float before[COUNT + GUARD], after[COUNT + GUARD];
        check_random(before, COUNT + GUARD, -1, 1, 5);
        tess_tensor *whole = check_tensor(ctx, desc_vector(COUNT + GUARD), before), *out = NULL;
        tess_tensor_desc desc = desc_nhwc(1, 4, 2, 9);
        assert_ok(ctx, tess_tensor_view(whole, &desc, 0, &out));
        tess_conv_options o = {.pass = (tess_conv_pass)pass, .algo = "direct", .config = "wt7_kv1"};
        tess_conv_plan *plan = NULL;
        assert_ok(ctx, tess_conv_plan_create(ctx, &d, &o, &plan));
        bool forward = pass == TESS_CONV_FWD;
        const tess_conv_args args = {.x = forward ? in : out, .w = w, .y = forward ? out : in};
        assert_ok(ctx, tess_conv_plan_enqueue(plan, &args));
        assert_ok(ctx, tess_tensor_read(whole, after, TESS_NHWC));
        check_same_bytes(before + COUNT, after + COUNT, GUARD * sizeof *after, "behind the row");
        tess_conv_plan_destroy(plan);
        tess_tensor_destroy(out), tess_tensor_destroy(whole);
    }
    tess_tensor_destroy(in), tess_tensor_destroy(w);
}

/* Bands of rows, of columns and of images, several to a chunk: each adds to the sums of those before. */
static void test_direct_adds_bands(void **state) {
    static const char *const keys[] = {"n2c1h16w17k5r3s3pt1pb1pl1pr1", "n1c1h7w139k5r2s3u2v2pl1",
                                       "n41c1h5w5k5r3s3pt1pb1pl1pr1"};
    static const char *const configs[] = {"kv1_ct1_st1_chunks1_band128_panels32",
                                          "kv1_ct1_st1_chunks2_band128_panels32"};
    for (int i = 0; i < 6; i++) {
        struct conv_data t = conv_data_make(keys[i / 2]);
        tess_conv_options o = {
            .pass = TESS_CONV_BWD_WEIGHTS, .algo = "direct", .config = configs[i % 2]};
        size_t count, length;
        double *want = conv_reference(&t, &o, &count, &length);
        conv_check_plan(*state, &t, &o, want, count, length);
        free(want);
        conv_data_free(&t);
    }
}

/* Packed weights are made anew for a new version, and only then. */
static void test_packed_weights(void **state) {
    tess_context *ctx = *state;
    const tess_conv_desc d = {.n = 1, .c = 1, .h = 1, .w = 1, .k = 1, .r = 1, .s = 1};
    tess_conv_plan *plan = NULL;
    assert_ok(ctx, tess_conv_plan_create(ctx, &d, &(tess_conv_options){.algo = "direct"}, &plan));
    assert_true(tess_conv_plan_info(plan).packed > 0);
    const float one = 1;
    tess_tensor *x = check_tensor(ctx, desc_vector(1), &one);
    tess_tensor *w[2] = {check_tensor(ctx, desc_rsck(1, 1, 1, 1), NULL),
                         check_tensor(ctx, desc_rsck(1, 1, 1, 1), NULL)};
    static const struct {
        int w;
        float value;
        uint64_t version;
        float want;
    } calls[] = {{0, 1, 1, 1}, {0, 2, 2, 2}, {0, 3, 2, 2}, {0, 3, 3, 3}, {1, 4, 3, 4},
                 {1, 5, 3, 4}, {1, 6, 0, 6}, {1, 7, 0, 7}, {1, 8, 3, 8}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        tess_tensor *y = check_tensor(ctx, desc_vector(1), NULL);
        assert_ok(ctx, tess_tensor_write(w[calls[i].w], &calls[i].value, TESS_RSCK));
        assert_ok(ctx, tess_conv_plan_enqueue(
                           plan, &(tess_conv_args){.x = x,
                                                   .w = w[calls[i].w],
                                                   .y = y,
                                                   .weights_version = calls[i].version}));
        float *got = check_read(y);
        assert_true(got[0] == calls[i].want);
        free(got);
        tess_tensor_destroy(y);
    }
    tess_tensor_destroy(x), tess_tensor_destroy(w[0]), tess_tensor_destroy(w[1]);
    tess_conv_plan_destroy(plan);
}

static float *nchw_of(const tess_tensor_desc *desc, tess_layout from, const float *data) {
    float *out = check_alloc(tess_tensor_desc_bytes(desc));
    layout_copy(desc, from, data, TESS_NCHW, out);
    return out;
}

static void test_nchw(void **state) {
    struct conv_data t = conv_data_make("n2c6h7w5k4r3s2u2v1pt1pb0pl1pr0g2");
    tess_tensor_desc dx = {TESS_F32, TESS_NHWC, t.d.n, t.d.c, t.d.h, t.d.w};
    tess_tensor_desc dw = {TESS_F32, TESS_RSCK, t.d.k, t.d.c / 2, t.d.r, t.d.s};
    tess_tensor_desc dy = {TESS_F32, TESS_NHWC, t.d.n, t.d.k, t.p, t.q};
    struct conv_data nchw = t;
    nchw.d.layout = TESS_NCHW;
    nchw.x = nchw_of(&dx, TESS_NHWC, t.x);
    nchw.w = nchw_of(&dw, TESS_RSCK, t.w);
    nchw.dy = nchw_of(&dy, TESS_NHWC, t.dy);
    const tess_tensor_desc results[] = {dy, dx, dw};
    const tess_layout own[] = {TESS_NHWC, TESS_NHWC, TESS_RSCK};
    for (int pass = 0; pass < 3; pass++) {
        tess_conv_options o = {.pass = (tess_conv_pass)pass};
        size_t count, length;
        double *want = conv_reference(&t, &o, &count, &length);
        tess_conv_plan *plan = NULL;
        assert_ok(*state, tess_conv_plan_create(*state, &nchw.d, &o, &plan));
        float *got = conv_run(*state, &nchw, plan, &o);
        float *back = check_alloc(count * sizeof *back);
        layout_copy(&results[pass], TESS_NCHW, got, own[pass], back);
        check_close(back, want, count, check_tolerance(length), sqrt((double)length), "nchw");
        free(want), free(got), free(back);
        tess_conv_plan_destroy(plan);
    }
    free(nchw.x), free(nchw.w), free(nchw.dy);
    conv_data_free(&t);
}

static void test_workspace_limit(void **state) {
    struct conv_data t = conv_data_make(conv_problems[0]);
    for (int pass = 0; pass < 3; pass++) {
        tess_conv_options o = {.pass = (tess_conv_pass)pass, .limit_workspace = true};
        size_t count, length;
        double *want = conv_reference(&t, &o, &count, &length);
        conv_check_plan(*state, &t, &o, want, count, length);
        tess_conv_plan *plan = NULL;
        assert_ok(*state, tess_conv_plan_create(*state, &t.d, &o, &plan));
        assert_int_equal(tess_conv_plan_info(plan).workspace, 0);
        assert_int_equal(tess_conv_plan_info(plan).packed, 0);
        tess_conv_plan_destroy(plan);
        free(want);
    }
    conv_data_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_tile_ends_with_its_row),
        cmocka_unit_test(test_direct_adds_bands),
        cmocka_unit_test(test_epilogues),
        cmocka_unit_test(test_streamed_epilogues),
        cmocka_unit_test(test_nan_stays_in_its_windows),
        cmocka_unit_test(test_packed_weights),
        cmocka_unit_test(test_nchw),
        cmocka_unit_test(test_workspace_limit),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
