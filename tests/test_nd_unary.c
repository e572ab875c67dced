/* Unary operators against float64, their gradients against finite differences. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

static const struct form {
    enum nd_unary_kind kind;
    float alpha, beta, low, high; /* of x */
} forms[] = {
    {ND_RELU, 0, 0, -3, 3},
    {ND_LEAKY_RELU, 0.1f, 0, -3, 3},
    {ND_CLIP, -0.5f, 1.25f, -3, 3},
    {ND_HARD_SIGMOID, 0.2f, 0.5f, -6, 6},
    {ND_HARD_SWISH, 0, 0, -6, 6},
    {ND_SQRT, 0, 0, 0.1f, 5},
    {ND_NEG, 0, 0, -3, 3},
    {ND_ABS, 0, 0, -3, 3},
    {ND_RECIPROCAL, 0, 0, 0.2f, 4},
    {ND_SOFTSIGN, 0, 0, -3, 3},
    {ND_IDENTITY, 0, 0, -3, 3},
    {ND_FLOOR, 0, 0, -3, 3},
    {ND_CEIL, 0, 0, -3, 3},
    {ND_ELU, 0.75f, 0, -3, 3},
    {ND_SELU, 1.67326319f, 1.05070102f, -3, 3},
    {ND_SIGMOID, 0, 0, -6, 6},
    {ND_TANH, 0, 0, -3, 3},
    {ND_EXP, 0, 0, -3, 3},
    {ND_LOG, 0, 0, 0.1f, 5},
    {ND_SOFTPLUS, 0, 0, -6, 6},
    {ND_ERF, 0, 0, -3, 3},
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

static double limit(double x, double low, double high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

static double simple64(const struct form *form, double x) {
    double alpha = (double)form->alpha, beta = (double)form->beta;
    switch (form->kind) {
    case ND_RELU:
        return x < 0 ? 0 : x;
    case ND_LEAKY_RELU:
        return x < 0 ? alpha * x : x;
    case ND_CLIP:
        return limit(x, alpha, beta);
    case ND_HARD_SIGMOID:
        return limit(alpha * x + beta, 0, 1);
    case ND_HARD_SWISH:
        return x * limit(x / 6 + 0.5, 0, 1);
    case ND_NEG:
        return -x;
    case ND_RECIPROCAL:
        return 1 / x;
    case ND_SOFTSIGN:
        return x / (1 + fabs(x));
    default:
        return x;
    }
}

static double apply64(const struct form *form, double x) {
    double alpha = (double)form->alpha;
    switch (form->kind) {
    case ND_SQRT:
        return sqrt(x);
    case ND_ABS:
        return fabs(x);
    case ND_FLOOR:
        return floor(x);
    case ND_CEIL:
        return ceil(x);
    case ND_ELU:
        return x > 0 ? x : alpha * expm1(x);
    case ND_SELU:
        return (double)form->beta * (x > 0 ? x : alpha * expm1(x));
    case ND_SIGMOID:
        return 1 / (1 + exp(-x));
    case ND_TANH:
        return tanh(x);
    case ND_EXP:
        return exp(x);
    case ND_LOG:
        return log(x);
    case ND_SOFTPLUS:
        return x > 30 ? x : log1p(exp(x));
    case ND_ERF:
        return erf(x);
    default:
        return simple64(form, x);
    }
}

/* OpenCL's functions are good to 5 units in the last place, erf to 16. */
static double tolerance(const struct form *form) {
    return (form->kind == ND_ERF ? 34 : 14) * 0x1p-24;
}

static struct nd_unary *make(tess_context *ctx, const struct form *form, struct nd_shape shape) {
    struct nd_unary *op = NULL;
    bool gradients = form->kind != ND_FLOOR && form->kind != ND_CEIL;
    struct nd_unary_desc desc = {.kind = form->kind,
                                 .x = shape,
                                 .alpha = form->alpha,
                                 .beta = form->beta,
                                 .gradients = gradients};
    assert_ok(ctx, nd_unary_create(ctx, &desc, &op));
    return op;
}

static size_t counts(size_t i) {
    static const size_t all[] = {1, 15, 37, 0, 1003, 100003};
    return all[i];
}

static size_t count_of_counts(void) {
    return check_tiny() ? 4 : 6;
}

static void check_forward(tess_context *ctx, const struct form *form, size_t count) {
    struct nd_unary *op = make(ctx, form, ND_SHAPE(1, (int64_t)count));
    float *x = nd_random(count, form->low, form->high, 11);
    double *want = check_alloc(count * sizeof *want);
    for (size_t i = 0; i < count; i++)
        want[i] = apply64(form, (double)x[i]);
    cl_mem mx = nd_buffer(ctx, count * 4, x), my = nd_buffer(ctx, count * 4, NULL);
    assert_ok(ctx, nd_unary_forward(op, mx, my));
    float *y = nd_read(ctx, my, count);
    check_close(y, want, count, tolerance(form), 0.05, nd_unary_name(form->kind));
    assert_ok(ctx, nd_unary_forward(op, mx, mx));
    float *again = nd_read(ctx, mx, count);
    check_same_bytes(y, again, count * 4, nd_unary_name(form->kind));
    clReleaseMemObject(mx);
    clReleaseMemObject(my);
    free(x);
    free(y);
    free(again);
    free(want);
    nd_unary_destroy(op);
}

static void agrees_with_the_reference(void **state) {
    for (size_t f = 0; f < FORM_COUNT; f++)
        for (size_t i = 0; i < count_of_counts(); i++)
            check_forward(*state, &forms[f], counts(i));
}

static void check_gradient(tess_context *ctx, const struct form *form, size_t count) {
    struct nd_unary *op = make(ctx, form, ND_SHAPE((int64_t)count));
    float *x = nd_random(count, form->low, form->high, 12), *dy = nd_random(count, -1, 1, 13);
    double *want = check_alloc(count * sizeof *want);
    const double step = 1e-7;
    for (size_t i = 0; i < count; i++) {
        double up = apply64(form, (double)x[i] + step), down = apply64(form, (double)x[i] - step);
        want[i] = (double)dy[i] * (up - down) / (2 * step);
    }
    cl_mem mx = nd_buffer(ctx, count * 4, x), my = nd_buffer(ctx, count * 4, NULL);
    cl_mem mdy = nd_buffer(ctx, count * 4, dy), mdx = nd_buffer(ctx, count * 4, NULL);
    assert_ok(ctx, nd_unary_forward(op, mx, my));
    cl_mem source = nd_unary_needs_y(form->kind) ? my : mx;
    assert_ok(ctx, nd_unary_backward(op, source, mdy, mdx));
    float *dx = nd_read(ctx, mdx, count);
    check_close(dx, want, count, 2e-6, 1, nd_unary_name(form->kind));
    assert_ok(ctx, nd_unary_backward(op, source, mdy, mdy));
    float *again = nd_read(ctx, mdy, count);
    check_same_bytes(dx, again, count * 4, nd_unary_name(form->kind));
    cl_mem all[] = {mx, my, mdy, mdx};
    for (size_t i = 0; i < 4; i++)
        clReleaseMemObject(all[i]);
    free(x);
    free(dy);
    free(dx);
    free(again);
    free(want);
    nd_unary_destroy(op);
}

static void gradients_agree_with_finite_differences(void **state) {
    for (size_t f = 0; f < FORM_COUNT; f++)
        for (size_t i = 0; i < count_of_counts(); i++)
            if (forms[f].kind != ND_FLOOR && forms[f].kind != ND_CEIL)
                check_gradient(*state, &forms[f], counts(i));
}

static void special_values(void **state) {
    static const float x[] = {NAN,     INFINITY, -INFINITY, 0.0f,     -0.0f,    88.0f, -88.0f,
                              1000.0f, -1000,    1e-8f,     -1e-8f,   20.0f,    -20,   3e37f,
                              -3e37f,  1.0f,     NAN,       INFINITY, -INFINITY};
    enum { COUNT = sizeof x / sizeof x[0] };
    for (size_t f = 0; f < FORM_COUNT; f++) {
        struct nd_unary *op = make(*state, &forms[f], ND_SHAPE(COUNT));
        cl_mem mem = nd_buffer(*state, sizeof x, x);
        assert_ok(*state, nd_unary_forward(op, mem, mem));
        float *y = nd_read(*state, mem, COUNT);
        for (int i = 0; i < COUNT; i++) {
            double want = apply64(&forms[f], (double)x[i]);
            if (isnan(want)) {
                assert_true(isnan(y[i]));
            } else if (isinf((float)want)) {
                assert_true(y[i] == (float)want);
            } else { /* subnormal results may be flushed to 0 */
                check_close(&y[i], &want, 1, tolerance(&forms[f]), 1e-30,
                            nd_unary_name(forms[f].kind));
            }
        }
        free(y);
        clReleaseMemObject(mem);
        nd_unary_destroy(op);
    }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_unary *op = NULL;
    struct nd_unary_desc good = {.kind = ND_RELU, .x = ND_SHAPE(2, 3)}, bad;
    assert_int_equal(nd_unary_create(NULL, &good, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_unary_create(ctx, NULL, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_unary_create(ctx, &good, NULL), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.kind = ND_UNARY_KINDS;
    assert_int_equal(nd_unary_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.x.rank = -1;
    assert_int_equal(nd_unary_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    bad = good;
    bad.kind = ND_FLOOR;
    bad.gradients = true;
    assert_int_equal(nd_unary_create(ctx, &bad, &op), TESS_UNSUPPORTED);
    assert_null(op);
    assert_ok(ctx, nd_unary_create(ctx, &good, &op));
    cl_mem x = nd_buffer(ctx, 24, NULL), small = nd_buffer(ctx, 20, NULL);
    assert_int_equal(nd_unary_forward(op, x, small), TESS_INVALID_SHAPE);
    assert_int_equal(nd_unary_forward(op, NULL, x), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_unary_forward(NULL, x, x), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_unary_backward(op, x, x, x), TESS_INVALID_ARGUMENT);
    assert_true(strlen(tess_context_last_error(ctx)) > 0);
    clReleaseMemObject(x);
    clReleaseMemObject(small);
    nd_unary_destroy(op);
    nd_unary_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(gradients_agree_with_finite_differences),
        cmocka_unit_test(special_values),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
