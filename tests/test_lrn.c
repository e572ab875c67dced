/* Local response normalisation against a float64 reference and finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

/* The first ones are tiny. */
static const tess_lrn_desc cases[] = {
    {.n = 1, .c = 1, .h = 1, .w = 1},
    {.n = 2, .c = 3, .h = 2, .w = 1, .alpha = 2, .k = 0.5f},
    {.n = 1, .c = 17, .h = 3, .w = 2, .size = 4, .alpha = 3, .beta = 0.5f},
    {.n = 1, .c = 16, .h = 1, .w = 3, .size = 1, .alpha = 1, .beta = 1.3f, .k = 2},
    {.n = 2, .c = 37, .h = 2, .w = 2, .size = 7, .alpha = 4},
    {.n = 1, .c = 20, .h = 2, .w = 2, .size = 41, .alpha = 5, .beta = 0.6f, .k = 3},
    /* full sizes from here on */
    {.n = 2, .c = 96, .h = 27, .w = 29, .alpha = 5e-4f, .k = 2},
    {.n = 1, .c = 130, .h = 9, .w = 7, .size = 63, .alpha = 9},
    {.n = 3, .c = 256, .h = 13, .w = 13, .size = 5, .alpha = 2, .k = 2},
    {.n = 1, .c = 300, .h = 5, .w = 5, .size = 3, .alpha = 1, .beta = 2},
};

static size_t case_count(void) {
    return check_tiny() ? 6 : sizeof cases / sizeof cases[0];
}

/* One case with its defaults, its data and what the device made of them. */
struct trial {
    tess_lrn_desc desc, full;
    size_t count, c;
    double *x, *dy; /* floats */
    float *y, *dx;  /* of the device */
    char label[120];
};

static double *random_doubles(size_t count, uint64_t seed) {
    float *data = check_alloc(count * sizeof *data);
    double *wide = check_alloc(count * sizeof *wide);
    check_random(data, count, -2, 2, seed);
    for (size_t i = 0; i < count; i++)
        wide[i] = (double)data[i];
    free(data);
    return wide;
}

/* k + alpha / size * sum of squares around element i. */
static double base_of(const struct trial *t, size_t i) {
    int c = (int)(i % t->c), size = t->full.size;
    double sum = 0;
    for (int j = c - (size - 1) / 2; j <= c + size / 2; j++)
        if (j >= 0 && j < (int)t->c) {
            double x = t->x[i - (size_t)c + (size_t)j];
            sum += x * x;
        }
    return (double)t->full.k + (double)t->full.alpha / size * sum;
}

static void forward64(const struct trial *t, double *y) {
    for (size_t i = 0; i < t->count; i++)
        y[i] = t->x[i] * pow(base_of(t, i), -(double)t->full.beta);
}

/* By the chain rule over each window; the kernel gathers instead. */
static void backward64(const struct trial *t, double *dx) {
    double beta = (double)t->full.beta, alpha = (double)t->full.alpha / t->full.size;
    int size = t->full.size;
    for (size_t i = 0; i < t->count; i++)
        dx[i] = 0;
    for (size_t i = 0; i < t->count; i++) {
        int c = (int)(i % t->c);
        double base = base_of(t, i);
        dx[i] += t->dy[i] * pow(base, -beta);
        for (int j = c - (size - 1) / 2; j <= c + size / 2; j++)
            if (j >= 0 && j < (int)t->c) {
                size_t at = i - (size_t)c + (size_t)j;
                dx[at] -= t->dy[i] * t->x[i] * beta * pow(base, -beta - 1) * 2 * alpha * t->x[at];
            }
    }
}

static tess_tensor *tensor_of(tess_context *ctx, tess_tensor_desc desc, const double *data) {
    size_t count = tess_tensor_desc_elements(&desc);
    float *narrow = check_alloc(count * sizeof *narrow);
    for (size_t i = 0; i < count; i++)
        narrow[i] = (float)data[i];
    tess_tensor *tensor = check_tensor(ctx, desc, narrow);
    free(narrow);
    return tensor;
}

static void trial_begin(struct trial *t, tess_context *ctx, const tess_lrn_desc *d) {
    *t = (struct trial){.desc = *d, .full = *d, .c = (size_t)d->c};
    if (d->size == 0) t->full.size = 5;
    if (d->alpha == 0) t->full.alpha = 1e-4f;
    if (d->beta == 0) t->full.beta = 0.75f;
    if (d->k == 0) t->full.k = 1;
    t->count = (size_t)d->n * t->c * (size_t)d->h * (size_t)d->w;
    snprintf(t->label, sizeof t->label, "n%d c%d h%d w%d size %d beta %g", d->n, d->c, d->h, d->w,
             d->size, (double)d->beta);
    t->x = random_doubles(t->count, 1);
    t->dy = random_doubles(t->count, 2);
    tess_tensor_desc image = desc_nhwc(d->n, d->c, d->h, d->w);
    tess_tensor *x = tensor_of(ctx, image, t->x), *y = check_tensor(ctx, image, NULL);
    tess_tensor *dy = tensor_of(ctx, image, t->dy), *dx = check_tensor(ctx, image, NULL);
    tess_lrn *op = NULL;
    assert_ok(ctx, tess_lrn_create(ctx, d, &op));
    assert_ok(ctx, tess_lrn_forward(op, x, y));
    assert_ok(ctx, tess_lrn_backward(op, x, dy, dx));
    t->y = check_read(y);
    t->dx = check_read(dx);
    tess_tensor *all[] = {x, y, dy, dx};
    for (size_t i = 0; i < 4; i++)
        tess_tensor_destroy(all[i]);
    tess_lrn_destroy(op);
}

static void trial_end(struct trial *t) {
    free(t->x);
    free(t->dy);
    free(t->y);
    free(t->dx);
}

static void agrees_with_the_reference(void **state) {
    for (size_t i = 0; i < case_count(); i++) {
        struct trial t, again;
        trial_begin(&t, *state, &cases[i]);
        double *want = check_alloc(t.count * sizeof *want);
        double tolerance = 1e-6 + check_tolerance((size_t)t.full.size);
        forward64(&t, want);
        check_close(t.y, want, t.count, tolerance, 0, t.label);
        backward64(&t, want);
        check_close(t.dx, want, t.count, tolerance, 2, t.label);
        trial_begin(&again, *state, &cases[i]);
        check_same_bytes(t.y, again.y, t.count * sizeof *t.y, t.label);
        check_same_bytes(t.dx, again.dx, t.count * sizeof *t.dx, t.label);
        free(want);
        trial_end(&t);
        trial_end(&again);
    }
}

static double loss(const struct trial *t, double *scratch) {
    double sum = 0;
    forward64(t, scratch);
    for (size_t i = 0; i < t->count; i++)
        sum += scratch[i] * t->dy[i];
    return sum;
}

static void agrees_with_finite_differences(void **state) {
    const double step = 1e-6;
    for (size_t i = 0; i < 6; i++) {
        struct trial t;
        trial_begin(&t, *state, &cases[i]);
        double *scratch = check_alloc(t.count * sizeof *scratch);
        for (size_t k = 0; k < t.count; k += 1 + t.count / 50) {
            double old = t.x[k];
            t.x[k] = old + step;
            double up = loss(&t, scratch);
            t.x[k] = old - step;
            double want = (up - loss(&t, scratch)) / (2 * step);
            t.x[k] = old;
            check_close(&t.dx[k], &want, 1, 2e-6, 2, t.label);
        }
        free(scratch);
        trial_end(&t);
    }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    tess_lrn *op = NULL;
    tess_lrn_desc good = {.n = 1, .c = 3, .h = 2, .w = 2},
                  bad[] = {good, good, good, good, good, good};
    bad[0].c = 0;
    bad[1].size = TESS_LRN_MAX_SIZE + 1;
    bad[2].size = -1;
    bad[3].alpha = -1;
    bad[4].beta = NAN;
    bad[5].k = INFINITY;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_not_equal(tess_lrn_create(ctx, &bad[i], &op), TESS_OK);
    assert_int_equal(tess_lrn_create(NULL, &good, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_lrn_create(ctx, NULL, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_lrn_create(ctx, &good, NULL), TESS_INVALID_ARGUMENT);
    assert_null(op);
    assert_ok(ctx, tess_lrn_create(ctx, &good, &op));
    tess_tensor *x = check_tensor(ctx, desc_nhwc(1, 3, 2, 2), NULL);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(1, 3, 2, 2), NULL);
    tess_tensor *other = check_tensor(ctx, desc_nhwc(1, 2, 3, 2), NULL);
    tess_status refused[] = {
        tess_lrn_forward(NULL, x, y),      tess_lrn_forward(op, x, x),
        tess_lrn_forward(op, NULL, y),     tess_lrn_forward(op, x, other),
        tess_lrn_backward(NULL, x, y, y),  tess_lrn_backward(op, x, y, y),
        tess_lrn_backward(op, x, y, x),    tess_lrn_backward(op, x, other, y),
        tess_lrn_backward(op, x, x, NULL), tess_lrn_backward(op, other, x, y),
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (refused[i] == TESS_OK) fail_msg("bad call number %zu was accepted", i);
    assert_true(strlen(tess_context_last_error(ctx)) > 0);
    tess_tensor_destroy(x);
    tess_tensor_destroy(y);
    tess_tensor_destroy(other);
    tess_lrn_destroy(op);
    tess_lrn_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(agrees_with_finite_differences),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
