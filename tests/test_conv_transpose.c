/* Transposed convolution: all passes against a scatter in float64 and against difference quotients of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv_algo.h"
#include "support/check.h"

static const tess_conv_transpose_desc problems[] = {
    {.n = 1, .c = 3, .h = 4, .w = 3, .k = 2, .r = 3, .s = 3},
    /* doubles height and width */
    {.n = 2,
     .c = 4,
     .h = 3,
     .w = 5,
     .k = 3,
     .r = 3,
     .s = 3,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_bottom = 1,
     .pad_left = 1,
     .pad_right = 1,
     .out_pad_h = 1,
     .out_pad_w = 1},
    /* dilated, ragged: unlike in both dimensions */
    {.n = 1,
     .c = 5,
     .h = 4,
     .w = 3,
     .k = 17,
     .r = 2,
     .s = 4,
     .stride_h = 3,
     .stride_w = 2,
     .pad_top = 2,
     .pad_right = 3,
     .out_pad_h = 2,
     .dilation_h = 3,
     .dilation_w = 2},
    /* in groups */
    {.n = 2,
     .c = 6,
     .h = 3,
     .w = 4,
     .k = 4,
     .r = 3,
     .s = 2,
     .stride_h = 2,
     .stride_w = 1,
     .pad_bottom = 1,
     .pad_left = 1,
     .groups = 2},
    /* a stride beyond the filter: bias alone fills the gaps */
    {.n = 1,
     .c = 2,
     .h = 2,
     .w = 3,
     .k = 3,
     .r = 1,
     .s = 2,
     .stride_h = 3,
     .stride_w = 4,
     .out_pad_w = 3},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

struct data {
    tess_conv_transpose_desc d; /* no zeros */
    int p, q;
    size_t nx, nw, ny;
    float *x, *w, *dy, *bias;
};

static int or_one(int value) {
    return value ? value : 1;
}

static struct data make_data(const tess_conv_transpose_desc *d) {
    struct data t = {.d = *d};
    tess_error error = {0};
    if (tess_conv_transpose_out_size(d, &error, &t.p, &t.q)) fail_msg("%s", error.text);
    t.d.stride_h = or_one(d->stride_h), t.d.stride_w = or_one(d->stride_w);
    t.d.dilation_h = or_one(d->dilation_h), t.d.dilation_w = or_one(d->dilation_w);
    t.d.groups = or_one(d->groups);
    t.nx = (size_t)(d->n * d->c * d->h * d->w);
    t.nw = (size_t)(d->c * (d->k / t.d.groups) * d->r * d->s);
    t.ny = (size_t)(d->n * d->k * t.p * t.q);
    float **const arrays[] = {&t.x, &t.w, &t.dy, &t.bias};
    const size_t counts[] = {t.nx, t.nw, t.ny, (size_t)d->k};
    for (uint64_t i = 0; i < 4; i++) {
        *arrays[i] = check_alloc(counts[i] * sizeof(float));
        check_random(*arrays[i], counts[i], -1, 1, 300 + i);
    }
    return t;
}

static void free_data(struct data *t) {
    free(t->x), free(t->w), free(t->dy), free(t->bias);
}

/* ---- reference: each input pixel scatters its multiple of the filter */

struct sums {
    double *y, *dx, *dw; /* those that are NULL are not wanted */
};

/* Pixel (n, h, col) and one tap, which reach output pixel (n, p, q). */
static void scatter_tap(const struct data *t, struct sums *to, int n, int h, int col, int r,
                        int s) {
    const tess_conv_transpose_desc *d = &t->d;
    int p = h * d->stride_h + r * d->dilation_h - d->pad_top;
    int q = col * d->stride_w + s * d->dilation_w - d->pad_left;
    if (p < 0 || p >= t->p || q < 0 || q >= t->q) return;
    int cg = d->c / d->groups, kg = d->k / d->groups;
    for (int c = 0; c < d->c; c++)
        for (int k = 0; k < kg; k++) {
            size_t x = (size_t)(((n * d->h + h) * d->w + col) * d->c + c);
            size_t w = (size_t)(((r * d->s + s) * kg + k) * d->c + c);
            size_t y = (size_t)(((n * t->p + p) * t->q + q) * d->k + c / cg * kg + k);
            if (to->y) to->y[y] += (double)t->x[x] * (double)t->w[w];
            if (to->dx) to->dx[x] += (double)t->dy[y] * (double)t->w[w];
            if (to->dw) to->dw[w] += (double)t->dy[y] * (double)t->x[x];
        }
}

static void scatter(const struct data *t, struct sums *to) {
    const tess_conv_transpose_desc *d = &t->d;
    for (int n = 0; n < d->n; n++)
        for (int h = 0; h < d->h; h++)
            for (int col = 0; col < d->w; col++)
                for (int r = 0; r < d->r; r++)
                    for (int s = 0; s < d->s; s++)
                        scatter_tap(t, to, n, h, col, r, s);
}

static size_t count_of(const struct data *t, tess_conv_pass pass) {
    return pass == TESS_CONV_FWD ? t->ny : pass == TESS_CONV_BWD_DATA ? t->nx : t->nw;
}

static double *reference(const struct data *t, const tess_conv_options *o) {
    size_t count = count_of(t, o->pass);
    double *out = check_alloc(count * sizeof *out);
    for (size_t i = 0; i < count; i++)
        out[i] = 0;
    struct sums to = {.y = o->pass == TESS_CONV_FWD ? out : NULL,
                      .dx = o->pass == TESS_CONV_BWD_DATA ? out : NULL,
                      .dw = o->pass == TESS_CONV_BWD_WEIGHTS ? out : NULL};
    scatter(t, &to);
    for (size_t i = 0; i < count; i++) {
        if (o->bias) out[i] += (double)t->bias[i % (size_t)t->d.k];
        if (o->act.kind == TESS_ACT_RELU && out[i] < 0) out[i] = 0;
        if (o->act.kind == TESS_ACT_TANH) out[i] = tanh(out[i]);
    }
    return out;
}

/* ---- device */

/* On poisoned outputs and workspace; the result in its own layout. */
static float *run(tess_context *ctx, const struct data *t, tess_conv_transpose *op,
                  const tess_conv_options *o) {
    bool nhwc = t->d.layout == TESS_NHWC;
    const tess_conv_transpose_desc *d = &t->d;
    int kg = d->k / d->groups;
    tess_tensor_desc dx = {TESS_F32, d->layout, d->n, d->c, d->h, d->w};
    tess_tensor_desc dw = {TESS_F32, nhwc ? TESS_RSCK : TESS_NCHW, d->c, kg, d->r, d->s};
    tess_tensor_desc dy = {TESS_F32, d->layout, d->n, d->k, t->p, t->q};
    size_t workspace = tess_conv_transpose_info(op).workspace;
    tess_conv_args args = {
        .x = check_tensor(ctx, dx, o->pass == TESS_CONV_BWD_DATA ? NULL : t->x),
        .w = check_tensor(ctx, dw, o->pass == TESS_CONV_BWD_WEIGHTS ? NULL : t->w),
        .y = check_tensor(ctx, dy, o->pass == TESS_CONV_FWD ? NULL : t->dy),
        .bias = o->bias ? check_tensor(ctx, desc_vector(d->k), t->bias) : NULL,
        .workspace =
            workspace ? check_tensor(ctx, desc_vector((int)((workspace + 3) / 4)), NULL) : NULL};
    assert_ok(ctx, tess_conv_transpose_enqueue(op, &args));
    float *got = check_read(o->pass == TESS_CONV_FWD        ? args.y
                            : o->pass == TESS_CONV_BWD_DATA ? args.x
                                                            : args.w);
    tess_tensor *const all[] = {args.x, args.w, args.y, args.bias, args.workspace};
    for (size_t i = 0; i < 5; i++)
        tess_tensor_destroy(all[i]);
    return got;
}

/* With only algorithms whose rounding is the plain sum's. */
static float *result(tess_context *ctx, const struct data *t, const tess_conv_options *o) {
    tess_conv_options strict = *o;
    strict.strict = true;
    tess_conv_transpose *op = NULL;
    assert_ok(ctx, tess_conv_transpose_create(ctx, &t->d, &strict, &op));
    float *got = run(ctx, t, op, o);
    tess_conv_transpose_destroy(op);
    return got;
}

static void check_result(tess_context *ctx, const struct data *t, const tess_conv_options *o,
                         const char *label) {
    size_t length = o->pass == TESS_CONV_BWD_WEIGHTS ? (size_t)(t->d.n * t->d.h * t->d.w)
                    : o->pass == TESS_CONV_FWD       ? (size_t)(t->d.c * t->d.r * t->d.s)
                                                     : (size_t)(t->d.k * t->d.r * t->d.s);
    double *want = reference(t, o);
    float *got = result(ctx, t, o);
    check_close(got, want, count_of(t, o->pass), check_tolerance(length), sqrt((double)length),
                label);
    free(want), free(got);
}

static void test_passes(void **state) {
    for (int i = 0; i < PROBLEMS; i++)
        for (int pass = 0; pass < 3; pass++) {
            struct data t = make_data(&problems[i]);
            check_result(*state, &t, &(tess_conv_options){.pass = (tess_conv_pass)pass},
                         conv_pass_name((tess_conv_pass)pass));
            free_data(&t);
        }
}

static void test_bias_and_activation(void **state) {
    static const tess_activation kinds[] = {TESS_ACT_NONE, TESS_ACT_RELU, TESS_ACT_TANH};
    for (int i = 0; i < PROBLEMS; i++) {
        struct data t = make_data(&problems[i]);
        for (int kind = 0; kind < 3; kind++)
            for (int bias = 0; bias < 2; bias++)
                check_result(*state, &t,
                             &(tess_conv_options){.bias = bias, .act = {kinds[kind], 0}},
                             "bias and activation");
        free_data(&t);
    }
}

/* <y, dy>, which is linear in x and in w. */
static double loss(const struct data *t) {
    double sum = 0, *y = reference(t, &(tess_conv_options){.pass = TESS_CONV_FWD});
    for (size_t i = 0; i < t->ny; i++)
        sum += y[i] * (double)t->dy[i];
    free(y);
    return sum;
}

static void test_gradients_by_differences(void **state) {
    for (int i = 0; i < PROBLEMS; i++) {
        struct data t = make_data(&problems[i]);
        for (int pass = TESS_CONV_BWD_DATA; pass <= TESS_CONV_BWD_WEIGHTS; pass++) {
            float *gradient =
                result(*state, &t, &(tess_conv_options){.pass = (tess_conv_pass)pass});
            float *vary = pass == TESS_CONV_BWD_DATA ? t.x : t.w;
            size_t count = count_of(&t, (tess_conv_pass)pass);
            for (size_t j = 0; j < count; j += 1 + count / 7) {
                float kept = vary[j];
                vary[j] = kept + 0.5f;
                double step = (double)vary[j], after = loss(&t);
                vary[j] = kept - 0.5f;
                step -= (double)vary[j];
                double want = (after - loss(&t)) / step;
                vary[j] = kept;
                check_close(&gradient[j], &want, 1, 1e-4, 10, "difference quotient");
            }
            free(gradient);
        }
        free_data(&t);
    }
}

/* The other layout gives the same numbers elsewhere. */
static void test_nchw(void **state) {
    struct data t = make_data(&problems[1]), nchw = t;
    const tess_tensor_desc dx = desc_nhwc(t.d.n, t.d.c, t.d.h, t.d.w);
    const tess_tensor_desc dy = desc_nhwc(t.d.n, t.d.k, t.p, t.q);
    const tess_tensor_desc dw = desc_rsck(t.d.r, t.d.s, t.d.k, t.d.c);
    nchw.d.layout = TESS_NCHW;
    nchw.x = check_alloc(t.nx * sizeof(float));
    nchw.w = check_alloc(t.nw * sizeof(float));
    layout_copy(&dx, TESS_NHWC, t.x, TESS_NCHW, nchw.x);
    layout_copy(&dw, TESS_RSCK, t.w, TESS_NCHW, nchw.w);
    const tess_conv_options o = {.act = {TESS_ACT_RELU, 0}};
    double *want = reference(&t, &o);
    float *got = result(*state, &nchw, &o), *back = check_alloc(t.ny * sizeof *back);
    layout_copy(&dy, TESS_NCHW, got, TESS_NHWC, back);
    check_close(back, want, t.ny, check_tolerance(36), 6, "nchw");
    free(want), free(got), free(back), free(nchw.x), free(nchw.w);
    free_data(&t);
}

/* ---- sizes and errors */

static void test_out_size(void **state) {
    (void)state;
    int p = 0, q = 0;
    assert_int_equal(tess_conv_transpose_out_size(&problems[1], NULL, &p, &q), TESS_OK);
    assert_int_equal(p, 6);
    assert_int_equal(q, 10);
    assert_int_equal(tess_conv_transpose_out_size(&problems[4], NULL, &p, &q), TESS_OK);
    assert_int_equal(p, 4);  /* (2 - 1) 3 + 1 */
    assert_int_equal(q, 13); /* (3 - 1) 4 + 2 + 3 */
    assert_int_equal(tess_conv_transpose_out_size(NULL, NULL, &p, &q), TESS_INVALID_ARGUMENT);
}

static void expect_refusal(tess_context *ctx, tess_conv_transpose_desc d,
                           const tess_conv_options *o, tess_status status, const char *part) {
    tess_conv_transpose *op = (tess_conv_transpose *)(void *)&d;
    assert_int_equal(tess_conv_transpose_create(ctx, &d, o, &op), status);
    assert_ptr_equal(op, &d); /* untouched */
    if (!strstr(tess_context_last_error(ctx), part))
        fail_msg("'%s' does not say '%s'", tess_context_last_error(ctx), part);
}

static void test_impossible(void **state) {
    const tess_conv_transpose_desc ok = problems[1];
    tess_conv_transpose_desc d = ok;
    d.out_pad_h = 2;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "less than the stride");
    d = ok, d.out_pad_w = -1;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "below 0");
    d = ok, d.n = 0;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "below 1");
    d = ok, d.groups = 3;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "multiples");
    d = ok, d.pad_top = 4, d.pad_bottom = 4;
    expect_refusal(*state, d, NULL, TESS_INVALID_SHAPE, "whole output");
    d = ok, d.h = 1 << 30, d.stride_h = 1 << 30;
    expect_refusal(*state, d, NULL, TESS_UNSUPPORTED, "2^31");
    d = ok, d.h = 1 << 28;
    expect_refusal(*state, d, NULL, TESS_UNSUPPORTED, "2^31");
    d = ok, d.dtype = TESS_I32;
    expect_refusal(*state, d, NULL, TESS_UNSUPPORTED, "fp32");
    d = ok, d.layout = TESS_NCHW;
    expect_refusal(*state, d, &(tess_conv_options){.bias = true}, TESS_UNSUPPORTED, "NHWC");
    expect_refusal(*state, ok, &(tess_conv_options){.residual = true}, TESS_UNSUPPORTED,
                   "residual");
    expect_refusal(*state, ok, &(tess_conv_options){.pass = TESS_CONV_BWD_DATA, .bias = true},
                   TESS_INVALID_ARGUMENT, "forward");
    expect_refusal(*state, ok, &(tess_conv_options){.pass = (tess_conv_pass)3},
                   TESS_INVALID_ARGUMENT, "pass");
    expect_refusal(*state, ok, &(tess_conv_options){.act = {(tess_activation)99, 0}},
                   TESS_INVALID_ARGUMENT, "activation");
    expect_refusal(*state, ok, &(tess_conv_options){.algo = "fft9"}, TESS_UNSUPPORTED, "fft9");
    tess_conv_transpose *op = NULL;
    assert_int_equal(tess_conv_transpose_create(NULL, &ok, NULL, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_conv_transpose_create(*state, NULL, NULL, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_conv_transpose_create(*state, &ok, NULL, NULL), TESS_INVALID_ARGUMENT);
}

/* Messages name the tensors as the caller does, not as the convolution underneath. */
static void test_bad_arguments(void **state) {
    tess_context *ctx = *state;
    struct data t = make_data(&problems[1]);
    tess_conv_transpose *op = NULL;
    assert_ok(ctx, tess_conv_transpose_create(ctx, &t.d, &(tess_conv_options){.bias = true}, &op));
    tess_tensor *x = check_tensor(ctx, desc_vector((int)t.nx), NULL);
    tess_tensor *w = check_tensor(ctx, desc_vector((int)t.nw), NULL);
    tess_tensor *y = check_tensor(ctx, desc_vector((int)t.ny), NULL);
    const struct {
        tess_conv_args args;
        const char *part;
    } bad[] = {{{.x = y, .w = w, .y = y}, "transposed convolution: x"},
               {{.x = x, .y = y}, "transposed convolution: w"},
               {{.x = x, .w = w, .y = x}, "transposed convolution: y"},
               {{.x = x, .w = w, .y = y}, "transposed convolution: bias"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(tess_conv_transpose_enqueue(op, &bad[i].args), TESS_OK);
        if (!strstr(tess_context_last_error(ctx), bad[i].part))
            fail_msg("'%s' does not say '%s'", tess_context_last_error(ctx), bad[i].part);
    }
    tess_conv_args unasked = {.x = x, .w = w, .y = y, .bias = y, .residual = y};
    assert_int_not_equal(tess_conv_transpose_enqueue(op, &unasked), TESS_OK);
    assert_int_equal(tess_conv_transpose_enqueue(op, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_conv_transpose_enqueue(NULL, NULL), TESS_INVALID_ARGUMENT);
    assert_string_equal(tess_conv_transpose_info(NULL).algo, "");
    tess_conv_transpose_destroy(NULL);
    tess_tensor_destroy(x), tess_tensor_destroy(w), tess_tensor_destroy(y);
    tess_conv_transpose_destroy(op);
    free_data(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_size),
        cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_bias_and_activation),
        cmocka_unit_test(test_gradients_by_differences),
        cmocka_unit_test(test_nchw),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
