#include "support/conv_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv_algo.h"
#include "support/check.h"
#include "support/ref_conv.h"

enum { GUARD = 256 }; /* floats behind the result */

struct operands {
    struct conv_problem problem;
    size_t count[3]; /* of x, w, y */
    float *data[3], *bias, *residual;
};

static struct operands make_operands(tess_context *ctx, const struct conv_case *c,
                                     const tess_conv_options *options) {
    struct operands t = {0};
    tess_conv_desc d;
    assert_ok(ctx, tess_conv_desc_parse(c->key, &ctx->error, &d));
    assert_ok(ctx, conv_problem_init(&d, options, &ctx->error, &t.problem));
    t.count[0] = conv_problem_x(&t.problem);
    t.count[1] = conv_problem_w(&t.problem);
    t.count[2] = conv_problem_y(&t.problem);
    float **const arrays[] = {&t.data[0], &t.data[1], &t.data[2], &t.bias, &t.residual};
    const size_t counts[] = {t.count[0], t.count[1], t.count[2], (size_t)d.k, t.count[2]};
    for (uint64_t i = 0; i < 5; i++) {
        *arrays[i] = check_alloc(counts[i] * sizeof(float));
        check_random(*arrays[i], counts[i], -1, 1, 60 + i);
    }
    return t;
}

/* Which of x, w, y the pass makes. */
static int made_by(tess_conv_pass pass) {
    return pass == TESS_CONV_FWD ? 2 : pass == TESS_CONV_BWD_DATA ? 0 : 1;
}

static double *reference(const struct operands *t, const struct conv_case *c) {
    const tess_conv_desc *d = &t->problem.d;
    switch (c->pass) {
    case TESS_CONV_FWD:
        return ref_conv_fwd(d, t->data[0], t->data[1], c->epilogue ? t->bias : NULL,
                            c->epilogue ? t->residual : NULL, c->act);
    case TESS_CONV_BWD_DATA:
        return ref_conv_bwd_data(d, t->data[2], t->data[1]);
    default:
        return ref_conv_bwd_weights(d, t->data[0], t->data[2]);
    }
}

static size_t sum_length(const struct conv_problem *p) {
    size_t taps = (size_t)p->d.r * (size_t)p->d.s;
    if (p->pass == TESS_CONV_FWD) return taps * (size_t)p->cg;
    if (p->pass == TESS_CONV_BWD_DATA) return taps * (size_t)p->kg;
    return (size_t)p->d.n * (size_t)p->p * (size_t)p->q;
}

/* Fails the test unless the guard is still the NaN that check_tensor poisons with. */
static void check_guard(const float *guard, const char *label) {
    for (int i = 0; i < GUARD; i++) {
        uint32_t bits;
        memcpy(&bits, &guard[i], sizeof bits);
        if (bits != 0x7FC00000u) fail_msg("%s: float %d behind the result was written", label, i);
    }
}

/* The result, on poisoned output and workspace. */
static float *run(tess_context *ctx, const struct operands *t, const struct conv_case *c,
                  tess_conv_plan *plan, const char *label) {
    int made = made_by(c->pass);
    tess_tensor *tensors[3];
    const tess_tensor_desc out = desc_vector((int)t->count[made]);
    tess_tensor *whole = check_tensor(ctx, desc_vector((int)t->count[made] + GUARD), NULL);
    for (int i = 0; i < 3; i++) {
        if (i == made)
            assert_ok(ctx, tess_tensor_view(whole, &out, 0, &tensors[i]));
        else
            tensors[i] = check_tensor(ctx, desc_vector((int)t->count[i]), t->data[i]);
    }
    size_t bytes = tess_conv_plan_info(plan).workspace;
    tess_conv_args args = {
        .x = tensors[0],
        .w = tensors[1],
        .y = tensors[2],
        .bias = c->epilogue ? check_tensor(ctx, desc_vector(t->problem.d.k), t->bias) : NULL,
        .residual =
            c->epilogue ? check_tensor(ctx, desc_vector((int)t->count[2]), t->residual) : NULL,
        .workspace = bytes ? check_tensor(ctx, desc_vector((int)((bytes + 3) / 4)), NULL) : NULL};
    assert_ok(ctx, tess_conv_plan_enqueue(plan, &args));
    float *got = check_read(whole);
    check_guard(got + t->count[made], label);
    tess_tensor *const all[] = {tensors[0], tensors[1],    tensors[2],    whole,
                                args.bias,  args.residual, args.workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tess_tensor_destroy(all[i]);
    return got;
}

static void check_valid_case(tess_context *ctx, const struct operands *t, const struct conv_case *c,
                             const tess_conv_options *options, double growth) {
    char label[TESS_CONV_KEY_SIZE + CONV_CONFIG_SIZE + 32];
    snprintf(label, sizeof label, "%s %s %s__%s", c->key, conv_pass_name(c->pass), options->algo,
             c->config);
    tess_conv_plan *plan = NULL;
    assert_ok(ctx, tess_conv_plan_create(ctx, &t->problem.d, options, &plan));
    size_t count = t->count[made_by(c->pass)], length = sum_length(&t->problem);
    double *want = reference(t, c);
    float *got = run(ctx, t, c, plan, label), *again = run(ctx, t, c, plan, label);
    check_close(got, want, count, check_tolerance(length) * growth, sqrt((double)length), label);
    check_same_bytes(got, again, count * sizeof *got, label);
    free(want), free(got), free(again);
    tess_conv_plan_destroy(plan);
}

bool conv_case_check(tess_context *ctx, const char *name, const struct conv_case *c) {
    const struct conv_algo *algo = conv_algo_find(name);
    const tess_conv_options options = {.pass = c->pass,
                                       .bias = c->epilogue,
                                       .residual = c->epilogue,
                                       .act = c->act,
                                       .algo = name,
                                       .config = c->config};
    struct conv_config config;
    struct operands t = make_operands(ctx, c, &options);
    assert_ok(ctx, conv_config_parse(algo, c->pass, c->config, &ctx->error, &config));
    bool valid = conv_algo_applicable(algo, &t.problem, &ctx->device) &&
                 conv_config_valid(algo, &t.problem, &ctx->device, &config);
    if (valid)
        check_valid_case(ctx, &t, c, &options, conv_algo_error_growth(algo, &t.problem, &config));
    for (int i = 0; i < 3; i++)
        free(t.data[i]);
    free(t.bias), free(t.residual);
    return valid;
}
