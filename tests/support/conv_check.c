#include "support/conv_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/ref_conv.h"

enum { TINY = 16 };

const char *const conv_problems[] = {
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

int conv_problem_count(void) {
    return check_tiny() ? TINY : (int)(sizeof conv_problems / sizeof *conv_problems);
}

/* ---------------------------------------------------------------- one plan */

struct conv_data conv_data_make(const char *key) {
    struct conv_data t = {0};
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

void conv_data_free(struct conv_data *t) {
    free(t->x), free(t->w), free(t->dy), free(t->bias), free(t->residual);
}

void conv_result_size(const struct conv_data *t, tess_conv_pass pass, size_t *count,
                      size_t *length) {
    size_t taps = (size_t)t->d.r * (size_t)t->d.s, groups = (size_t)t->d.groups;
    switch (pass) {
    case TESS_CONV_FWD:
        *count = t->ny, *length = taps * (size_t)t->d.c / groups;
        break;
    case TESS_CONV_BWD_DATA:
        *count = t->nx, *length = taps * (size_t)t->d.k / groups;
        break;
    default:
        *count = t->nw, *length = (size_t)t->d.n * (size_t)t->p * (size_t)t->q;
    }
}

double *conv_reference(const struct conv_data *t, const tess_conv_options *o, size_t *count,
                       size_t *length) {
    conv_result_size(t, o->pass, count, length);
    switch (o->pass) {
    case TESS_CONV_FWD:
        return ref_conv_fwd(&t->d, t->x, t->w, o->bias ? t->bias : NULL,
                            o->residual ? t->residual : NULL, o->act);
    case TESS_CONV_BWD_DATA:
        return ref_conv_bwd_data(&t->d, t->dy, t->w);
    default:
        return ref_conv_bwd_weights(&t->d, t->x, t->dy);
    }
}

float *conv_run(tess_context *ctx, const struct conv_data *t, tess_conv_plan *plan,
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
static double error_growth(tess_context *ctx, const struct conv_data *t, const tess_conv_options *o,
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

void conv_check_plan(tess_context *ctx, const struct conv_data *t, const tess_conv_options *o,
                     const double *want, size_t count, size_t length) {
    tess_conv_plan *plan = NULL;
    assert_ok(ctx, tess_conv_plan_create(ctx, &t->d, o, &plan));
    char label[TESS_CONV_KEY_SIZE + CONV_CONFIG_SIZE + 8], key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&t->d, key);
    snprintf(label, sizeof label, "%s %s", key, tess_conv_plan_info(plan).config);
    float *got = conv_run(ctx, t, plan, o);
    double tolerance = check_tolerance(length) * error_growth(ctx, t, o, plan);
    check_close(got, want, count, tolerance, sqrt((double)length), label);
    float *again = conv_run(ctx, t, plan, o);
    check_same_bytes(got, again, count * sizeof *got, label);
    free(got);
    free(again);
    tess_conv_plan_destroy(plan);
}

/* ---------------------------------------------------------------- which algorithms */

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

static bool wanted(const struct conv_algo *algo) {
    const char *only = only_algo();
    return !only || strcmp(only, algo->name) == 0;
}

bool conv_can_do(tess_context *ctx, const tess_conv_desc *d, const tess_conv_options *o,
                 const struct conv_algo *algo) {
    struct conv_problem problem;
    assert_ok(ctx, conv_problem_init(d, o, &ctx->error, &problem));
    return wanted(algo) && conv_algo_applicable(algo, &problem, &ctx->device) &&
           !too_slow(ctx, algo, &problem);
}
