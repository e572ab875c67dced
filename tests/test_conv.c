/* Convolution: every registered algorithm, pass and a spread of configurations against a float64 reference; the
   planner's choice against oneDNN too. Problems are ragged: no multiple of any tile. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv_algo.h"
#include "support/check.h"
#include "support/onednn_conv.h"
#include "support/ref_conv.h"

/* Every kind of problem; the first TINY ones are what slow implementations run. */
enum { TINY = 16 };
static const char *const problems[] = {
    "n2c3h7w6k5r3s3pt1pb1pl1pr1",
    "n1c5h9w8k7r3s2u2v1pt0pb1pl1pr0",
    "n2c4h6w7k18r1s1",
    "n1c4h8w8k6r3s3pt1pb1pl1pr1g2",
    "n1c6h5w5k6r3s3pt1pb1pl1pr1g6",
    "n1c2h11w10k3r3s3pt2pb2pl2pr2d2e2",
    "n1c1h9w9k6r5s5pt2pb2pl2pr2",
    "n1c3h5w1k4r3s3pt1pb1pl1pr1",
    "n1c2h6w9k33r2s4u3v2pt2pb0pl3pr1",
    "n3c2h4w5k4r4s5",
    "n1c2h3w4k2r1s1u3v3",
    "n1c2h7w7k3r3s3u1v1pt2pb2pl2pr2",
    "n1c3h6w5k4r3s3pt1pb2pl2pr1m1",
    "n2c4h4w5k6r3s2u2v1pt3pb3pl4pr3d1e2g2m1",
    "n1c2h2w3k3r3s5v2pt1pb1pl2pr2m1",
    "n1c6h5w7k10r1s1u1v2g2",
    /* larger */
    "n2c17h14w15k33r3s3pt1pb1pl1pr1",
    "n3c16h13w13k64r3s3u2v2pt1pb1pl1pr1",
    "n2c64h10w10k48r1s1",
    "n1c3h31w29k40r7s7u2v2pt3pb3pl3pr3",
    "n1c40h14w14k40r3s3pt1pb1pl1pr1g40",
    "n1c20h14w14k20r5s5pt4pb4pl4pr4d2e2",
    "n2c12h17w19k20r7s1pt3pb3",
    "n4c6h14w14k16r5s5",
    "n1c8h20w20k16r3s3d3e2pt0pb3pl1pr2u2v3",
    "n9c3h3w3k130r3s3pt1pb1pl1pr1",
    "n3c70h9w14k70r3s3pt1pb1pl1pr1",
    "n2c150h9w11k70r1s1u2v2",
    "n1c3h31w43k48r11s11u4v4pt2pb2pl1pr2",
    "n2c1h13w21k20r5s5",
    "n2c4h9w18k16r3s3u1v2pt1pb1pl1pr1",
    "n3c3h9w30k24r7s7u2v2pt3pb3pl3pr3",
};

struct data {
    tess_conv_desc d;
    int p, q;
    size_t nx, nw, ny;
    float *x, *w, *dy, *bias, *residual;
};

static struct data make_data(const char *key) {
    struct data t = {0};
    tess_error error = {0};
    if (tess_conv_desc_parse(key, &error, &t.d)) fail_msg("%s", error.text);
    assert_int_equal(tess_conv_out_size(&t.d, &error, &t.p, &t.q), TESS_OK);
    t.nx = (size_t)t.d.n * (size_t)t.d.c * (size_t)t.d.h * (size_t)t.d.w;
    t.nw = (size_t)t.d.k * (size_t)(t.d.c / t.d.groups) * (size_t)t.d.r * (size_t)t.d.s;
    t.ny = (size_t)t.d.n * (size_t)t.d.k * (size_t)t.p * (size_t)t.q;
    float **const arrays[] = {&t.x, &t.w, &t.dy, &t.bias, &t.residual};
    const size_t counts[] = {t.nx, t.nw, t.ny, (size_t)t.d.k, t.ny};
    for (uint64_t i = 0; i < 5; i++) {
        *arrays[i] = check_alloc(counts[i] * sizeof(float));
        check_random(*arrays[i], counts[i], -1, 1, 100 + i);
    }
    return t;
}

static void free_data(struct data *t) {
    free(t->x), free(t->w), free(t->dy), free(t->bias), free(t->residual);
}

/* The result's elements, the sum's length, and the reference in float64. */
static double *reference(const struct data *t, const tess_conv_options *o, size_t *count,
                         size_t *length) {
    size_t filter = (size_t)(t->d.c / t->d.groups) * (size_t)t->d.r * (size_t)t->d.s;
    switch (o->pass) {
    case TESS_CONV_FWD:
        *count = t->ny, *length = filter;
        return ref_conv_fwd(&t->d, t->x, t->w, o->bias ? t->bias : NULL,
                            o->residual ? t->residual : NULL, o->act);
    case TESS_CONV_BWD_DATA:
        *count = t->nx;
        *length = (size_t)(t->d.k / t->d.groups) * (size_t)t->d.r * (size_t)t->d.s;
        return ref_conv_bwd_data(&t->d, t->dy, t->w);
    default:
        *count = t->nw, *length = (size_t)t->d.n * (size_t)t->p * (size_t)t->q;
        return ref_conv_bwd_weights(&t->d, t->x, t->dy);
    }
}

/* Runs one plan on poisoned outputs and workspace; the result, read in its own layout. */
static float *run_plan(tess_context *ctx, const struct data *t, tess_conv_plan *plan,
                       const tess_conv_options *o) {
    tess_layout act = t->d.layout;
    tess_layout wt = act == TESS_NHWC ? TESS_RSCK : TESS_NCHW;
    tess_tensor_desc dx = {TESS_F32, act, t->d.n, t->d.c, t->d.h, t->d.w};
    tess_tensor_desc dw = {TESS_F32, wt, t->d.k, t->d.c / t->d.groups, t->d.r, t->d.s};
    tess_tensor_desc dy = {TESS_F32, act, t->d.n, t->d.k, t->p, t->q};
    size_t workspace = tess_conv_plan_info(plan).workspace;
    tess_conv_args args = {
        .x = check_tensor(ctx, dx, o->pass == TESS_CONV_BWD_DATA ? NULL : t->x),
        .w = check_tensor(ctx, dw, o->pass == TESS_CONV_BWD_WEIGHTS ? NULL : t->w),
        .y = check_tensor(ctx, dy, o->pass == TESS_CONV_FWD ? NULL : t->dy),
        .bias = o->bias ? check_tensor(ctx, desc_vector(t->d.k), t->bias) : NULL,
        .residual = o->residual ? check_tensor(ctx, dy, t->residual) : NULL,
        .workspace =
            workspace ? check_tensor(ctx, desc_vector((int)((workspace + 3) / 4)), NULL) : NULL};
    assert_ok(ctx, tess_conv_plan_enqueue(plan, &args));
    float *got = check_read(o->pass == TESS_CONV_FWD        ? args.y
                            : o->pass == TESS_CONV_BWD_DATA ? args.x
                                                            : args.w);
    tess_tensor *const all[] = {args.x, args.w, args.y, args.bias, args.residual, args.workspace};
    for (size_t i = 0; i < 6; i++)
        tess_tensor_destroy(all[i]);
    return got;
}

/* What the algorithm states about its rounding errors. */
static double error_growth(tess_context *ctx, const struct data *t, const tess_conv_options *o,
                           const tess_conv_plan *plan) {
    struct conv_problem problem;
    struct conv_config config = {{0}};
    tess_conv_info info = tess_conv_plan_info(plan);
    const struct conv_algo *algo = conv_algo_find(info.algo);
    const char *part = strstr(info.config, "__");
    assert_ok(ctx, conv_problem_init(&t->d, o, &ctx->error, &problem));
    assert_ok(ctx, conv_config_parse(algo, o->pass, part ? part + 2 : "", &ctx->error, &config));
    return conv_algo_error_growth(algo, &problem, &config);
}

/* Plans, runs, compares, runs again: same bytes. */
static void check_plan(tess_context *ctx, const struct data *t, const tess_conv_options *o,
                       const double *want, size_t count, size_t length) {
    tess_conv_plan *plan = NULL;
    assert_ok(ctx, tess_conv_plan_create(ctx, &t->d, o, &plan));
    char label[TESS_CONV_KEY_SIZE + CONV_CONFIG_SIZE + 8], key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&t->d, key);
    snprintf(label, sizeof label, "%s %s", key, tess_conv_plan_info(plan).config);
    float *got = run_plan(ctx, t, plan, o);
    double tolerance = check_tolerance(length) * error_growth(ctx, t, o, plan);
    check_close(got, want, count, tolerance, sqrt((double)length), label);
    float *again = run_plan(ctx, t, plan, o);
    check_same_bytes(got, again, count * sizeof *got, label);
    free(got);
    free(again);
    tess_conv_plan_destroy(plan);
}

/* ---- every algorithm and a spread of its configurations */

struct sweep {
    tess_context *ctx;
    const struct data *data;
    tess_conv_options options;
    const struct conv_algo *algo;
    const double *want;
    size_t count, length;
    uint32_t one_in; /* configurations to check */
};

/* FNV-1a. Building costs half a second a program, so problems share theirs: which configurations are checked
   depends on the configuration alone. */
static uint32_t hash(const struct conv_algo *algo, const struct conv_config *config) {
    uint32_t h = 2166136261u;
    for (int i = 0; i < algo->param_count; i++)
        h = (h ^ (uint32_t)config->value[i]) * 16777619u;
    return h ^ h >> 15;
}

static int check_config(void *user, const struct conv_config *config) {
    struct sweep *sweep = user;
    if (hash(sweep->algo, config) % sweep->one_in) return 0;
    char printed[CONV_CONFIG_SIZE];
    conv_config_print(sweep->algo, sweep->options.pass, config, printed);
    const char *part = strstr(printed, "__");
    sweep->options.config = part ? part + 2 : NULL;
    check_plan(sweep->ctx, sweep->data, &sweep->options, sweep->want, sweep->count, sweep->length);
    return 0;
}

static int count_config(void *user, const struct conv_config *config) {
    (void)config;
    ++*(int *)user;
    return 0;
}

/* For backward-weights, whose spaces differ in size the most: about five of thousands of configurations, two of fewer; an
   algorithm that cannot do this layer is taken for one with thousands. The same for every problem, so that they share
   programs. */
static uint32_t one_in(tess_context *ctx, const struct conv_algo *algo) {
    const tess_conv_desc layer = {.n = 8,
                                  .c = 64,
                                  .h = 56,
                                  .w = 56,
                                  .k = 64,
                                  .r = 3,
                                  .s = 3,
                                  .pad_top = 1,
                                  .pad_bottom = 1,
                                  .pad_left = 1,
                                  .pad_right = 1};
    const tess_conv_options options = {.pass = TESS_CONV_BWD_WEIGHTS};
    struct conv_problem problem;
    int count = 0;
    assert_ok(ctx, conv_problem_init(&layer, &options, &ctx->error, &problem));
    if (conv_algo_applicable(algo, &problem, &ctx->device))
        conv_config_each(algo, &problem, &ctx->device, count_config, &count);
    return count > 1000 || count == 0 ? 1777 : 37;
}

/* TESSERA_TEST_ALGO=NAME: only this one, while someone works on it. */
static const char *only_algo(void) {
    return getenv("TESSERA_TEST_ALGO");
}

/* Where every work-group is large, simulators take minutes: such an algorithm has a test program of its own, which
   takes few configurations there. */
struct group_size {
    const struct conv_algo *algo;
    const struct conv_problem *problem;
    size_t least;
};
static int take_smaller(void *user, const struct conv_config *config) {
    struct group_size *size = user;
    struct conv_resources need = {0};
    size->algo->resources(size->problem, config, &need);
    if (need.work_items < size->least) size->least = need.work_items;
    return 0;
}
static bool too_slow(tess_context *ctx, const struct conv_algo *algo,
                     const struct conv_problem *problem) {
    struct group_size size = {algo, problem, SIZE_MAX};
    if (!check_tiny() || only_algo() || !algo->resources) return false;
    conv_config_each(algo, problem, &ctx->device, take_smaller, &size);
    return size.least >= 64;
}

static void sweep_algo(tess_context *ctx, const struct data *t, const struct conv_algo *algo,
                       const tess_conv_options *base) {
    tess_conv_options options = *base;
    options.algo = algo->name;
    struct conv_problem problem;
    assert_ok(ctx, conv_problem_init(&t->d, &options, &ctx->error, &problem));
    if (!conv_algo_applicable(algo, &problem, &ctx->device) || too_slow(ctx, algo, &problem))
        return;
    struct sweep sweep = {.ctx = ctx, .data = t, .options = options, .algo = algo};
    double *want = reference(t, &options, &sweep.count, &sweep.length);
    sweep.want = want;
    sweep.one_in = !algo->param_count                    ? 1
                   : base->pass == TESS_CONV_BWD_WEIGHTS ? one_in(ctx, algo)
                                                         : 97;
    /* Where compiling and running cost minutes. */
    if (check_tiny() && algo->param_count) sweep.one_in *= 3;
    conv_config_each(algo, &problem, &ctx->device, check_config, &sweep);
    sweep.options.config = NULL; /* and the planner's pick */
    check_plan(ctx, t, &sweep.options, want, sweep.count, sweep.length);
    free(want);
}

static int problem_count(void) {
    return check_tiny() ? TINY : (int)(sizeof problems / sizeof *problems);
}

static bool wanted(const struct conv_algo *algo) {
    const char *only = only_algo();
    return !only || strcmp(only, algo->name) == 0;
}

static void every_algorithm(tess_context *ctx, tess_conv_pass pass) {
    for (int i = 0; i < problem_count(); i++) {
        struct data t = make_data(problems[i]);
        tess_conv_options options = {.pass = pass};
        for (int a = 0; a < conv_algo_count; a++)
            if (wanted(conv_algos[a])) sweep_algo(ctx, &t, conv_algos[a], &options);
        free_data(&t);
    }
}

static void test_forward(void **state) {
    every_algorithm(*state, TESS_CONV_FWD);
}
static void test_backward_data(void **state) {
    every_algorithm(*state, TESS_CONV_BWD_DATA);
}
static void test_backward_weights(void **state) {
    every_algorithm(*state, TESS_CONV_BWD_WEIGHTS);
}

/* ---- epilogues, layouts, limits */

static bool can_do(tess_context *ctx, const tess_conv_desc *d, const tess_conv_options *o,
                   const struct conv_algo *algo) {
    struct conv_problem problem;
    assert_ok(ctx, conv_problem_init(d, o, &ctx->error, &problem));
    return wanted(algo) && conv_algo_applicable(algo, &problem, &ctx->device) &&
           !too_slow(ctx, algo, &problem);
}

static void test_epilogues(void **state) {
    static const char *const keys[] = {"n2c3h7w6k5r3s3pt1pb1pl1pr1", "n1c4h6w9k37r1s1"};
    for (int i = 0; i < 2; i++) {
        struct data t = make_data(keys[i]);
        for (int act = TESS_ACT_NONE; act <= TESS_ACT_HARD_SIGMOID; act++)
            for (int flags = 0; flags < 4; flags++) {
                tess_conv_options o = {
                    .bias = flags & 1,
                    .residual = flags & 2,
                    .act = {(tess_activation)act, act == TESS_ACT_ELU ? 0.7f : 0}};
                size_t count, length;
                double *want = reference(&t, &o, &count, &length);
                for (int a = 0; a < conv_algo_count; a++) {
                    if (!can_do(*state, &t.d, &o, conv_algos[a])) continue;
                    o.algo = conv_algos[a]->name;
                    check_plan(*state, &t, &o, want, count, length);
                }
                free(want);
            }
        free_data(&t);
    }
}

/* NaN and infinity in x spread to their own windows only, also at the padded edges and through the last tile. Algorithms that
   round more than the plain sum add and subtract neighbours: there they spread to the whole tile. */
static void test_nan_stays_in_its_windows(void **state) {
    struct data t = make_data("n1c3h6w15k5r3s3pt1pb1pl1pr1");
    size_t bad = ((size_t)2 * 15 + 14) * 3 + 1; /* h 2, w 14, c 1 */
    for (int kind = 0; kind < 2; kind++) {
        t.x[bad] = kind ? NAN : INFINITY;
        for (int a = 0; a < conv_algo_count; a++) {
            if (!can_do(*state, &t.d, &(tess_conv_options){0}, conv_algos[a])) continue;
            if (conv_algos[a]->error_growth) continue;
            tess_conv_options o = {.algo = conv_algos[a]->name, .act = {TESS_ACT_RELU, 0}};
            tess_conv_plan *plan = NULL;
            assert_ok(*state, tess_conv_plan_create(*state, &t.d, &o, &plan));
            float *got = run_plan(*state, &t, plan, &o);
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
    free_data(&t);
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
        struct data t = make_data(keys[i / 2]);
        tess_conv_options o = {
            .pass = TESS_CONV_BWD_WEIGHTS, .algo = "direct", .config = configs[i % 2]};
        size_t count, length;
        double *want = reference(&t, &o, &count, &length);
        check_plan(*state, &t, &o, want, count, length);
        free(want);
        free_data(&t);
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
    struct data t = make_data("n2c6h7w5k4r3s2u2v1pt1pb0pl1pr0g2");
    tess_tensor_desc dx = {TESS_F32, TESS_NHWC, t.d.n, t.d.c, t.d.h, t.d.w};
    tess_tensor_desc dw = {TESS_F32, TESS_RSCK, t.d.k, t.d.c / 2, t.d.r, t.d.s};
    tess_tensor_desc dy = {TESS_F32, TESS_NHWC, t.d.n, t.d.k, t.p, t.q};
    struct data nchw = t;
    nchw.d.layout = TESS_NCHW;
    nchw.x = nchw_of(&dx, TESS_NHWC, t.x);
    nchw.w = nchw_of(&dw, TESS_RSCK, t.w);
    nchw.dy = nchw_of(&dy, TESS_NHWC, t.dy);
    const tess_tensor_desc results[] = {dy, dx, dw};
    const tess_layout own[] = {TESS_NHWC, TESS_NHWC, TESS_RSCK};
    for (int pass = 0; pass < 3; pass++) {
        tess_conv_options o = {.pass = (tess_conv_pass)pass};
        size_t count, length;
        double *want = reference(&t, &o, &count, &length);
        tess_conv_plan *plan = NULL;
        assert_ok(*state, tess_conv_plan_create(*state, &nchw.d, &o, &plan));
        float *got = run_plan(*state, &nchw, plan, &o);
        float *back = check_alloc(count * sizeof *back);
        layout_copy(&results[pass], TESS_NCHW, got, own[pass], back);
        check_close(back, want, count, check_tolerance(length), sqrt((double)length), "nchw");
        free(want), free(got), free(back);
        tess_conv_plan_destroy(plan);
    }
    free(nchw.x), free(nchw.w), free(nchw.dy);
    free_data(&t);
}

static void test_workspace_limit(void **state) {
    struct data t = make_data(problems[0]);
    for (int pass = 0; pass < 3; pass++) {
        tess_conv_options o = {.pass = (tess_conv_pass)pass, .limit_workspace = true};
        size_t count, length;
        double *want = reference(&t, &o, &count, &length);
        check_plan(*state, &t, &o, want, count, length);
        tess_conv_plan *plan = NULL;
        assert_ok(*state, tess_conv_plan_create(*state, &t.d, &o, &plan));
        assert_int_equal(tess_conv_plan_info(plan).workspace, 0);
        assert_int_equal(tess_conv_plan_info(plan).packed, 0);
        tess_conv_plan_destroy(plan);
        free(want);
    }
    free_data(&t);
}

/* ---- second opinion, gradients */

static void test_against_onednn(void **state) {
    for (int i = 0; i < problem_count(); i++) {
        struct data t = make_data(problems[i]);
        /* oneDNN knows zeros only. */
        for (int pass = 0; pass < 3 && t.d.pad_mode == TESS_PAD_ZERO; pass++) {
            tess_conv_options o = {.pass = (tess_conv_pass)pass};
            size_t count, length;
            double *reference64 = reference(&t, &o, &count, &length);
            free(reference64);
            float *theirs = onednn_conv(&t.d, o.pass, t.x, t.w, t.dy);
            double *want = check_alloc(count * sizeof *want);
            for (size_t j = 0; j < count; j++)
                want[j] = (double)theirs[j];
            check_plan(*state, &t, &o, want, count, length);
            free(theirs), free(want);
        }
        free_data(&t);
    }
}

/* <conv(x, w), dy> is linear in x and in w: its derivative along a direction is the gradient's product with it, and so
   a difference quotient of the reference, at any step, must agree with the device's gradients. */
static void test_gradients_by_differences(void **state) {
    for (int i = 0; i < problem_count(); i++) {
        struct data t = make_data(problems[i]);
        for (int pass = TESS_CONV_BWD_DATA; pass <= TESS_CONV_BWD_WEIGHTS; pass++) {
            tess_conv_options o = {.pass = (tess_conv_pass)pass};
            tess_conv_plan *plan = NULL;
            assert_ok(*state, tess_conv_plan_create(*state, &t.d, &o, &plan));
            float *gradient = run_plan(*state, &t, plan, &o);
            tess_conv_plan_destroy(plan);
            float *vary = pass == TESS_CONV_BWD_DATA ? t.x : t.w;
            size_t count = pass == TESS_CONV_BWD_DATA ? t.nx : t.nw;
            for (size_t j = 0; j < count; j += 1 + count / 5) {
                double loss[2];
                float kept = vary[j];
                for (int side = 0; side < 2; side++) {
                    vary[j] = kept + (side ? 0.5f : -0.5f);
                    loss[side] = ref_conv_dot(&t.d, t.x, t.w, t.dy);
                }
                double step = (double)(kept + 0.5f) - (double)(kept - 0.5f);
                vary[j] = kept;
                double want = (loss[1] - loss[0]) / step;
                check_close(&gradient[j], &want, 1, 1e-4, 10, "difference quotient");
            }
            free(gradient);
        }
        free_data(&t);
    }
}

/* ---- keys and errors */

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
        cmocka_unit_test(test_last_tile_ends_with_its_row),
        cmocka_unit_test(test_direct_adds_bands),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward_data),
        cmocka_unit_test(test_backward_weights),
        cmocka_unit_test(test_epilogues),
        cmocka_unit_test(test_nan_stays_in_its_windows),
        cmocka_unit_test(test_packed_weights),
        cmocka_unit_test(test_nchw),
        cmocka_unit_test(test_workspace_limit),
        cmocka_unit_test(test_against_onednn),
        cmocka_unit_test(test_gradients_by_differences),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
