/* Parametric ReLU against float64 and finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

/* The first ones are tiny. */
static const tess_prelu_desc cases[] = {
    {.n = 1, .c = 1, .h = 1, .w = 1},
    {.n = 2, .c = 3, .h = 5, .w = 3},
    {.n = 1, .c = 16, .h = 4, .w = 3},
    {.n = 1, .c = 37, .h = 3, .w = 2},
    {.n = 3, .c = 20, .h = 2, .w = 2, .shared = true},
    {.n = 2, .c = 130, .h = 1, .w = 1},
    /* full sizes from here on */
    {.n = 8, .c = 64, .h = 28, .w = 28},
    {.n = 3, .c = 203, .h = 11, .w = 13},
    {.n = 2, .c = 48, .h = 31, .w = 29, .shared = true},
    {.n = 40, .c = 6, .h = 28, .w = 28},
};

static size_t case_count(void) {
    return check_tiny() ? 6 : sizeof cases / sizeof cases[0];
}

/* One case, its data and what the device made of them. */
struct trial {
    tess_prelu_desc desc;
    size_t count, slopes;
    float *x, *slope, *dy;
    float *y, *dx, *dslope; /* of the device */
    char label[80];
};

static void trial_begin(struct trial *t, const tess_prelu_desc *d) {
    *t = (struct trial){.desc = *d, .slopes = d->shared ? 1 : (size_t)d->c};
    t->count = (size_t)d->n * (size_t)d->c * (size_t)d->h * (size_t)d->w;
    snprintf(t->label, sizeof t->label, "n%d c%d h%d w%d shared %d", d->n, d->c, d->h, d->w,
             d->shared);
    t->x = check_alloc(t->count * sizeof *t->x);
    t->dy = check_alloc(t->count * sizeof *t->dy);
    t->slope = check_alloc(t->slopes * sizeof *t->slope);
    check_random(t->x, t->count, -2, 2, 1);
    check_random(t->dy, t->count, -1, 1, 2);
    check_random(t->slope, t->slopes, -0.5f, 1.5f, 3);
    for (size_t i = 0; i < t->count; i++)
        if (fabsf(t->x[i]) < 1e-4f)
            t->x[i] = 0.01f; /* differences need a distance from the corner */
}

static void trial_run(struct trial *t, tess_context *ctx) {
    const tess_prelu_desc *d = &t->desc;
    tess_tensor_desc image = desc_nhwc(d->n, d->c, d->h, d->w),
                     vector = desc_vector((int)t->slopes);
    tess_prelu *op = NULL;
    assert_ok(ctx, tess_prelu_create(ctx, d, &op));
    tess_tensor *x = check_tensor(ctx, image, t->x), *y = check_tensor(ctx, image, NULL);
    tess_tensor *dy = check_tensor(ctx, image, t->dy), *dx = check_tensor(ctx, image, NULL);
    tess_tensor *slope = check_tensor(ctx, vector, t->slope);
    tess_tensor *dslope = check_tensor(ctx, vector, NULL);
    int floats = (int)(tess_prelu_workspace(op) / 4);
    tess_tensor *workspace = check_tensor(ctx, desc_vector(floats), NULL);
    tess_prelu_grad_args backward = {
        .x = x, .slope = slope, .dy = dy, .dx = dx, .dslope = dslope, .workspace = workspace};
    assert_ok(ctx, tess_prelu_forward(op, x, slope, y));
    assert_ok(ctx, tess_prelu_backward(op, &backward));
    t->y = check_read(y);
    t->dx = check_read(dx);
    t->dslope = check_read(dslope);

    /* Without dx, then in place: the same bits. */
    backward.dx = NULL;
    assert_ok(ctx, tess_prelu_backward(op, &backward));
    float *again = check_read(dslope);
    check_same_bytes(again, t->dslope, t->slopes * sizeof *again, t->label);
    free(again);
    backward.dx = dy;
    assert_ok(ctx, tess_prelu_backward(op, &backward));
    check_same_bytes(again = check_read(dy), t->dx, t->count * sizeof *again, t->label);
    free(again);
    assert_ok(ctx, tess_prelu_forward(op, x, slope, x));
    check_same_bytes(again = check_read(x), t->y, t->count * sizeof *again, t->label);
    free(again);
    tess_tensor *all[] = {x, y, dy, dx, slope, dslope, workspace};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tess_tensor_destroy(all[i]);
    tess_prelu_destroy(op);
}

static void trial_end(struct trial *t) {
    void *all[] = {t->x, t->slope, t->dy, t->y, t->dx, t->dslope};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void compare(struct trial *t) {
    double *y = check_alloc(t->count * sizeof *y), *dx = check_alloc(t->count * sizeof *dx);
    double *dslope = check_alloc(t->slopes * sizeof *dslope);
    for (size_t s = 0; s < t->slopes; s++)
        dslope[s] = 0;
    for (size_t i = 0; i < t->count; i++) {
        double x = (double)t->x[i], dy = (double)t->dy[i];
        double slope = (double)t->slope[i % t->slopes];
        y[i] = x > 0 ? x : slope * x;
        dx[i] = x > 0 ? dy : slope * dy;
        if (!(x > 0)) dslope[i % t->slopes] += dy * x;
    }
    size_t rows = t->count / t->slopes;
    check_close(t->y, y, t->count, 1e-6, 0, t->label);
    check_close(t->dx, dx, t->count, 1e-6, 0, t->label);
    check_close(t->dslope, dslope, t->slopes, check_tolerance(rows), sqrt((double)rows), t->label);
    free(y);
    free(dx);
    free(dslope);
}

static void agrees_with_the_reference(void **state) {
    for (size_t i = 0; i < case_count(); i++) {
        struct trial t;
        trial_begin(&t, &cases[i]);
        trial_run(&t, *state);
        compare(&t);
        trial_end(&t);
    }
}

/* sum of y dy, with moved added to element i of x, or, beyond x, to a slope. */
static double loss(const struct trial *t, size_t i, double moved) {
    double sum = 0;
    for (size_t k = 0; k < t->count; k++) {
        double x = (double)t->x[k] + (k == i ? moved : 0);
        double slope =
            (double)t->slope[k % t->slopes] + (t->count + k % t->slopes == i ? moved : 0);
        sum += (x > 0 ? x : slope * x) * (double)t->dy[k];
    }
    return sum;
}

static void agrees_with_finite_differences(void **state) {
    const double step = 1e-5;
    for (size_t i = 0; i < 6; i++) {
        struct trial t;
        trial_begin(&t, &cases[i]);
        trial_run(&t, *state);
        for (size_t k = 0; k < t.count + t.slopes; k++) {
            double want = (loss(&t, k, step) - loss(&t, k, -step)) / (2 * step);
            const float *got = k < t.count ? &t.dx[k] : &t.dslope[k - t.count];
            check_close(got, &want, 1, 2e-6, 1, t.label);
        }
        trial_end(&t);
    }
}

static void special_values(void **state) {
    float x[] = {NAN, INFINITY, -INFINITY, 0, -0.0f}, slope[] = {0.5f};
    tess_prelu *op = NULL;
    tess_prelu_desc desc = {.n = 5, .c = 1, .h = 1, .w = 1};
    assert_ok(*state, tess_prelu_create(*state, &desc, &op));
    tess_tensor *tx = check_tensor(*state, desc_nhwc(5, 1, 1, 1), x);
    tess_tensor *ts = check_tensor(*state, desc_vector(1), slope);
    assert_ok(*state, tess_prelu_forward(op, tx, ts, tx));
    float *y = check_read(tx);
    assert_true(isnan(y[0]) && y[1] == INFINITY && y[2] == -INFINITY && y[3] == 0 && y[4] == 0);
    free(y);
    tess_tensor_destroy(tx);
    tess_tensor_destroy(ts);
    tess_prelu_destroy(op);
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    tess_prelu *op = NULL;
    tess_prelu_desc good = {.n = 1, .c = 3, .h = 2, .w = 2}, bad = good;
    bad.w = 0;
    assert_int_not_equal(tess_prelu_create(ctx, &bad, &op), TESS_OK);
    assert_int_not_equal(tess_prelu_create(NULL, &good, &op), TESS_OK);
    assert_int_not_equal(tess_prelu_create(ctx, NULL, &op), TESS_OK);
    assert_int_not_equal(tess_prelu_create(ctx, &good, NULL), TESS_OK);
    assert_null(op);
    assert_ok(ctx, tess_prelu_create(ctx, &good, &op));
    tess_tensor *x = check_tensor(ctx, desc_nhwc(1, 3, 2, 2), NULL);
    tess_tensor *v = check_tensor(ctx, desc_vector(3), NULL);
    tess_tensor *space = check_tensor(ctx, desc_vector((int)(tess_prelu_workspace(op) / 4)), NULL);
    assert_int_not_equal(tess_prelu_forward(op, x, x, x), TESS_OK);
    assert_int_not_equal(tess_prelu_forward(op, v, v, x), TESS_OK);
    assert_int_not_equal(tess_prelu_forward(op, x, v, NULL), TESS_OK);
    assert_int_not_equal(tess_prelu_forward(NULL, x, v, x), TESS_OK);
    tess_prelu_grad_args args = {.x = x, .slope = v, .dy = x, .dslope = v, .workspace = space};
    tess_prelu_grad_args wrong[] = {args, args, args, args, args, args};
    wrong[0].x = v;
    wrong[1].slope = NULL;
    wrong[2].dy = NULL;
    wrong[3].dx = v;
    wrong[4].dslope = x;
    wrong[5].workspace = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_not_equal(tess_prelu_backward(op, &wrong[i]), TESS_OK);
    assert_true(strlen(tess_context_last_error(ctx)) > 0);
    assert_int_not_equal(tess_prelu_backward(op, NULL), TESS_OK);
    assert_int_not_equal(tess_prelu_backward(NULL, &args), TESS_OK);
    assert_int_equal(tess_prelu_workspace(NULL), 0);
    tess_tensor_destroy(x);
    tess_tensor_destroy(v);
    tess_tensor_destroy(space);
    tess_prelu_destroy(op);
    tess_prelu_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(agrees_with_finite_differences),
        cmocka_unit_test(special_values),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
