/* Squared error against float64 and finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

/* n rows of c values, of which rows count. The first ones are tiny. */
static const struct shape {
    int n, c, rows;
} shapes[] = {
    {1, 1, 0},   {3, 5, 2},    {1, 16, 1},   {7, 37, 0},
    {2, 300, 1}, {64, 10, 61}, {5, 1030, 3}, {100, 4099, 97},
};

static size_t shape_count(void) {
    return check_tiny() ? 6 : sizeof shapes / sizeof shapes[0];
}

static float *random_floats(size_t count, uint64_t seed) {
    float *data = check_alloc(count * sizeof *data);
    check_random(data, count, -2, 2, seed);
    return data;
}

/* Runs the operator; *sum and the returned dx are the device's. in_place: dx in x's memory. */
static float *run(tess_context *ctx, struct shape s, float scale, const float *x,
                  const float *target, bool in_place, float *sum) {
    tess_tensor_desc matrix = desc_nhwc(s.n, s.c, 1, 1);
    tess_mse *op = NULL;
    assert_ok(ctx, tess_mse_create(ctx, s.n, s.c, &op));
    tess_tensor *tx = check_tensor(ctx, matrix, x), *tt = check_tensor(ctx, matrix, target);
    tess_tensor *dx = check_tensor(ctx, matrix, NULL);
    tess_tensor *result = check_tensor(ctx, desc_vector(1), NULL);
    int floats = (int)(tess_mse_workspace(op) / 4);
    tess_tensor *workspace = check_tensor(ctx, desc_vector(floats), NULL);
    tess_mse_args args = {.x = tx,
                          .target = tt,
                          .rows = s.rows,
                          .scale = scale,
                          .result = result,
                          .dx = in_place ? tx : dx,
                          .workspace = workspace};
    assert_ok(ctx, tess_mse_enqueue(op, &args));
    float *got = check_read(result), *gradient = check_read(args.dx);
    *sum = got[0];
    free(got);
    tess_tensor *all[] = {tx, tt, dx, result, workspace};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tess_tensor_destroy(all[i]);
    tess_mse_destroy(op);
    return gradient;
}

static double loss(const double *x, const float *target, size_t counted) {
    double sum = 0;
    for (size_t i = 0; i < counted; i++)
        sum += (x[i] - (double)target[i]) * (x[i] - (double)target[i]);
    return sum;
}

static void check_shape(tess_context *ctx, struct shape s) {
    char label[60];
    snprintf(label, sizeof label, "n%d c%d rows %d", s.n, s.c, s.rows);
    size_t count = (size_t)s.n * (size_t)s.c;
    size_t counted = (size_t)(s.rows ? s.rows : s.n) * (size_t)s.c;
    float *x = random_floats(count, 1), *target = random_floats(count, 2), sum, sum_again;
    double *wide = check_alloc(count * sizeof *wide), *want = check_alloc(count * sizeof *want);
    for (size_t i = 0; i < count; i++) {
        wide[i] = (double)x[i];
        want[i] = i < counted ? 2 * 0.25 * (wide[i] - (double)target[i]) : 0;
    }
    float *dx = run(ctx, s, 0.25f, x, target, false, &sum);
    check_close(dx, want, count, 1e-6, 0, label);
    double total = loss(wide, target, counted);
    check_close(&sum, &total, 1, check_tolerance(counted), 0, label);
    float *again = run(ctx, s, 0.25f, x, target, true, &sum_again);
    check_same_bytes(&sum_again, &sum, sizeof sum, label);
    check_same_bytes(again, dx, count * sizeof *dx, label);

    const double step = 1e-4; /* exact for a parabola, but for rounding */
    for (size_t i = 0; i < count; i += 1 + count / 20) {
        double old = wide[i];
        wide[i] = old + step;
        double up = loss(wide, target, counted);
        wide[i] = old - step;
        double slope = 0.25 * (up - loss(wide, target, counted)) / (2 * step);
        wide[i] = old;
        check_close(&dx[i], &slope, 1, 2e-6, 1, label);
    }
    free(again);
    free(dx);
    free(x);
    free(target);
    free(wide);
    free(want);
}

static void agrees_with_the_reference(void **state) {
    for (size_t i = 0; i < shape_count(); i++)
        check_shape(*state, shapes[i]);
}

/* Padding rows may hold anything. */
static void padding_is_ignored(void **state) {
    float x[] = {1, 2, 3, NAN, NAN, INFINITY}, target[] = {0, 0, 0, 1, NAN, 2}, sum;
    float *dx = run(*state, (struct shape){2, 3, 1}, 1, x, target, false, &sum);
    assert_true(sum == 14.0f);
    for (int i = 0; i < 6; i++)
        assert_true(dx[i] == (i < 3 ? 2 * x[i] : 0));
    free(dx);
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    tess_mse *op = NULL;
    tess_status refused[] = {
        tess_mse_create(NULL, 1, 1, &op),        tess_mse_create(ctx, 1, 1, NULL),
        tess_mse_create(ctx, 0, 1, &op),         tess_mse_create(ctx, 1, -1, &op),
        tess_mse_create(ctx, 65536, 65536, &op),
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_not_equal(refused[i], TESS_OK);
    assert_null(op);
    assert_ok(ctx, tess_mse_create(ctx, 2, 3, &op));
    tess_tensor *x = check_tensor(ctx, desc_nhwc(2, 3, 1, 1), NULL);
    tess_tensor *v = check_tensor(ctx, desc_vector(1), NULL);
    tess_tensor *space = check_tensor(ctx, desc_vector((int)(tess_mse_workspace(op) / 4)), NULL);
    tess_mse_args good = {.x = x, .target = x, .scale = 1, .result = v, .workspace = space};
    assert_ok(ctx, tess_mse_enqueue(op, &good));
    tess_mse_args bad[] = {good, good, good, good, good, good, good, good};
    bad[0].x = NULL;
    bad[1].target = v;
    bad[2].result = x;
    bad[3].dx = v;
    bad[4].rows = 3;
    bad[5].rows = -1;
    bad[6].scale = NAN;
    bad[7].workspace = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_not_equal(tess_mse_enqueue(op, &bad[i]), TESS_OK);
        assert_true(strlen(tess_context_last_error(ctx)) > 0);
    }
    assert_int_not_equal(tess_mse_enqueue(op, NULL), TESS_OK);
    assert_int_not_equal(tess_mse_enqueue(NULL, &good), TESS_OK);
    assert_int_equal(tess_mse_workspace(NULL), 0);
    tess_tensor_destroy(x);
    tess_tensor_destroy(v);
    tess_tensor_destroy(space);
    tess_mse_destroy(op);
    tess_mse_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(padding_is_ignored),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
