/* Winograd convolution beyond what test_conv sweeps: each tile size and filter fused and in chunks, several blocks and chunks of tiles, paddings
   that differ on all sides, channels and images that fill no vector and no tile. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/conv/conv_algo.h"
#include "support/check.h"
#include "support/ref_conv.h"

static const char *const configs[] = {
    "tile2_kv1_wt4_chunk128_tb4", "tile2_kv1_wt4_chunk0_tb1",    "tile4_kv1_wt4_chunk128_tb4",
    "tile4_kv1_wt4_chunk0_tb1",   "tile4_kv1_wt4_chunk0_tb2",    "tile4_kv2_wt7_chunk128_tb4",
    "tile4_kv2_wt14_chunk0_tb1",  "tile2_kv2_wt14_chunk128_tb4",
};

struct data {
    tess_conv_desc d;
    struct conv_problem problem;
    size_t nx, nw, ny;
    float *x, *w, *dy;
};

static struct data make_data(tess_context *ctx, const char *key, const tess_conv_options *o) {
    struct data t = {0};
    assert_ok(ctx, tess_conv_desc_parse(key, &ctx->error, &t.d));
    assert_ok(ctx, conv_problem_init(&t.d, o, &ctx->error, &t.problem));
    t.nx = conv_problem_x(&t.problem), t.nw = conv_problem_w(&t.problem);
    t.ny = conv_problem_y(&t.problem);
    float **const arrays[] = {&t.x, &t.w, &t.dy};
    const size_t counts[] = {t.nx, t.nw, t.ny};
    for (uint64_t i = 0; i < 3; i++) {
        *arrays[i] = check_alloc(counts[i] * sizeof(float));
        check_random(*arrays[i], counts[i], -1, 1, 20 + i);
    }
    return t;
}

/* The result of one plan; inputs end where their buffers end, the output starts as NaN. */
static float *run(tess_context *ctx, const struct data *t, const tess_conv_options *o) {
    bool forward = o->pass == TESS_CONV_FWD;
    tess_conv_plan *plan = NULL;
    assert_ok(ctx, tess_conv_plan_create(ctx, &t->d, o, &plan));
    size_t workspace = tess_conv_plan_info(plan).workspace;
    tess_tensor *x = check_tensor(ctx, desc_vector((int)t->nx), forward ? t->x : NULL);
    tess_tensor *w = check_tensor(ctx, desc_vector((int)t->nw), t->w);
    tess_tensor *y = check_tensor(ctx, desc_vector((int)t->ny), forward ? NULL : t->dy);
    tess_tensor *scratch =
        workspace ? check_tensor(ctx, desc_vector((int)(workspace / 4)), NULL) : NULL;
    const tess_conv_args args = {.x = x, .w = w, .y = y, .workspace = scratch};
    assert_ok(ctx, tess_conv_plan_enqueue(plan, &args));
    float *got = check_read(forward ? y : x);
    tess_conv_plan_destroy(plan);
    tess_tensor_destroy(x), tess_tensor_destroy(w), tess_tensor_destroy(y);
    tess_tensor_destroy(scratch);
    return got;
}

static int check_problem(tess_context *ctx, const char *key, tess_conv_pass pass) {
    const struct conv_algo *winograd = conv_algo_find("winograd");
    tess_conv_options o = {.pass = pass, .algo = "winograd"};
    struct data t = make_data(ctx, key, &o);
    bool forward = pass == TESS_CONV_FWD;
    size_t count = forward ? t.ny : t.nx;
    size_t length = (size_t)(t.d.r * t.d.s) * (size_t)(forward ? t.problem.cg : t.problem.kg);
    const tess_act none = {TESS_ACT_NONE, 0};
    double *want = forward ? ref_conv_fwd(&t.d, t.x, t.w, NULL, NULL, none)
                           : ref_conv_bwd_data(&t.d, t.dy, t.w);
    int checked = 0;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        struct conv_config config;
        assert_ok(ctx, conv_config_parse(winograd, pass, configs[i], &ctx->error, &config));
        if (!conv_config_valid(winograd, &t.problem, &ctx->device, &config)) continue;
        o.config = configs[i];
        char label[200];
        snprintf(label, sizeof label, "%s %s %s", key, conv_pass_name(pass), configs[i]);
        float *got = run(ctx, &t, &o);
        double growth = conv_algo_error_growth(winograd, &t.problem, &config);
        check_close(got, want, count, check_tolerance(length) * growth, sqrt((double)length),
                    label);
        free(got);
        checked++;
    }
    free(want), free(t.x), free(t.w), free(t.dy);
    return checked;
}

/* An image that no tile divides; groups; more than one panel of 16 channels in several sets of tiles. Then where shapes need not be
   tiny: 168 and 162 tiles of 2 x 2, more than a chunk has, the second with panels and groups. */
static const char *const keys[] = {
    "n1c3h1w3k18r3s3pt1pb2pl2pr1",  "n2c6h6w5k4r3s3pt0pb1pl4pr0g2",
    "n2c5h11w6k14r5s5pt2pb1pl4pr0", "n1c4h5w5k6r5s5pt0pb2pl2pr2g2",
    "n1c19h5w3k18r3s3pt1pb1pl1pr1", "n1c19h9w11k20r3s3pt1pb0pl1pr1",
    "n2c1h13w25k2r3s3pt2pb0pl0pr1", "n2c36h18w17k34r3s3pt1pb1pl1pr0g2",
};
enum { TINY_KEYS = 5 };

static void check_problems(tess_context *ctx, tess_conv_pass pass) {
    size_t count = check_tiny() ? TINY_KEYS : sizeof keys / sizeof *keys;
    for (size_t i = 0; i < count; i++)
        assert_true(check_problem(ctx, keys[i], pass) >= 2);
}
static void test_forward(void **state) {
    check_problems(*state, TESS_CONV_FWD);
}
static void test_backward_data(void **state) {
    check_problems(*state, TESS_CONV_BWD_DATA);
}

/* Strict math must not get it, and asking for both is an error. */
static void test_strict(void **state) {
    const tess_conv_desc d = {.n = 8, .c = 64, .h = 56, .w = 56, .k = 64, .r = 3, .s = 3};
    const tess_conv_options o = {.algo = "winograd", .strict = true};
    tess_conv_plan *plan = NULL;
    assert_int_equal(tess_conv_plan_create(*state, &d, &o, &plan), TESS_UNSUPPORTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward_data),
        cmocka_unit_test(test_strict),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
