/* SGD against the rule in float64. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The header's rule, element by element, in float64. */
static void reference_step(const tess_sgd_desc *d, double *param, const float *grad,
                           double *velocity, size_t count) {
    double lr = (double)d->lr, momentum = (double)d->momentum, decay = (double)d->weight_decay;
    for (size_t i = 0; i < count; i++) {
        double g = (double)grad[i] + decay * param[i];
        velocity[i] = momentum * velocity[i] + g;
        param[i] -= lr * (d->nesterov ? g + momentum * velocity[i] : velocity[i]);
    }
}

/* Many steps from random values with new random gradients each step; the final parameters. free() them. */
static float *run_steps(tess_context *ctx, const tess_sgd_desc *d, size_t count, int steps,
                        double *param, double *velocity) {
    tess_sgd *sgd = NULL;
    assert_ok(ctx, tess_sgd_create(ctx, &sgd));
    float *data = check_alloc(count * sizeof *data);
    check_random(data, count, -1, 1, 1);
    tess_tensor *p = check_tensor(ctx, desc_vector((int)count), data);
    tess_tensor *g = check_tensor(ctx, desc_vector((int)count), NULL);
    tess_tensor *v = check_tensor(ctx, desc_vector((int)count), NULL);
    assert_ok(ctx, tess_tensor_fill(v, 0));
    for (size_t i = 0; i < count; i++) {
        param[i] = (double)data[i];
        velocity[i] = 0;
    }
    for (int step = 0; step < steps; step++) {
        check_random(data, count, -1, 1, 2 + (uint64_t)step);
        assert_ok(ctx, tess_tensor_write(g, data, TESS_NHWC));
        assert_ok(ctx, tess_sgd_step(sgd, d, p, g, v));
        reference_step(d, param, data, velocity, count);
    }
    free(data);
    float *got = check_read(p), *got_velocity = check_read(v);
    check_close(got_velocity, velocity, count, check_tolerance((size_t)steps), 4, "velocity");
    free(got_velocity);
    tess_tensor_destroy(p);
    tess_tensor_destroy(g);
    tess_tensor_destroy(v);
    tess_sgd_destroy(sgd);
    return got;
}

static void check_steps(tess_context *ctx, const tess_sgd_desc *d, size_t count, int steps) {
    double *param = check_alloc(count * sizeof *param),
           *velocity = check_alloc(count * sizeof *param);
    float *got = run_steps(ctx, d, count, steps, param, velocity);
    float *again = run_steps(ctx, d, count, steps, param, velocity);
    char label[96];
    snprintf(label, sizeof label, "SGD %zu elements, momentum %g, decay %g, nesterov %d", count,
             (double)d->momentum, (double)d->weight_decay, d->nesterov);
    check_close(got, param, count, check_tolerance((size_t)steps), 1, label);
    check_same_bytes(got, again, count * sizeof *got, label);
    free(param);
    free(velocity);
    free(got);
    free(again);
}

static void test_rules(void **state) {
    size_t count = check_tiny() ? 7 : 1003;
    int steps = check_tiny() ? 5 : 100;
    for (int i = 0; i < 8; i++) {
        tess_sgd_desc d = {.lr = 0.05f,
                           .momentum = i & 1 ? 0.9f : 0,
                           .weight_decay = i & 2 ? 0.01f : 0,
                           .nesterov = (i & 4) != 0};
        check_steps(*state, &d, count, steps);
    }
}

static void test_sizes(void **state) {
    const tess_sgd_desc d = {.lr = 0.1f, .momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = true};
    const size_t counts[] = {1, 2, 3, 4, 5, 8, 63, 1025, 200003};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!check_tiny() || counts[i] < 100) check_steps(*state, &d, counts[i], 3);
}

/* With a constant gradient g, v_t = g (1 - m^t) / (1 - m), and param has moved by lr times their sum. */
static void test_constant_gradient(void **state) {
    tess_context *ctx = *state;
    enum { STEPS = 10 };
    const tess_sgd_desc d = {.lr = 0.125f, .momentum = 0.5f};
    const float zeros[3] = {0}, gradient[3] = {1, -2, 0.5f};
    tess_sgd *sgd = NULL;
    assert_ok(ctx, tess_sgd_create(ctx, &sgd));
    tess_tensor *p = check_tensor(ctx, desc_vector(3), zeros);
    tess_tensor *g = check_tensor(ctx, desc_vector(3), gradient);
    tess_tensor *v = check_tensor(ctx, desc_vector(3), zeros);
    tess_counters before = tess_context_counters(ctx);
    for (int i = 0; i < STEPS; i++)
        assert_ok(ctx, tess_sgd_step(sgd, &d, p, g, v));
    tess_counters after = tess_context_counters(ctx);
    assert_int_equal(after.kernels_enqueued, before.kernels_enqueued + STEPS);
    assert_int_equal(after.buffers_created, before.buffers_created);
    assert_int_equal(after.programs_compiled, before.programs_compiled);
    double want[3];
    for (int i = 0; i < 3; i++) /* sum over t of 2 (1 - 2^-t) = 2 STEPS - 2 (1 - 2^-STEPS) */
        want[i] = -0.125 * (double)gradient[i] * (2 * STEPS - 2 * (1 - 0x1p-10));
    float *got = check_read(p);
    check_close(got, want, 3, 1e-6, 0, "constant gradient");
    free(got);
    tess_tensor_destroy(p);
    tess_tensor_destroy(g);
    tess_tensor_destroy(v);
    tess_sgd_destroy(sgd);
}

/* A parameter that is part of a larger buffer: its neighbours stay as they are. */
static void test_neighbours(void **state) {
    tess_context *ctx = *state;
    size_t align = tess_context_device(ctx)->base_align;
    if (align < 32) align = 32;
    const int skip = (int)(align / sizeof(float)), total = 3 * skip;
    tess_sgd *sgd = NULL;
    assert_ok(ctx, tess_sgd_create(ctx, &sgd));
    float *ones = check_alloc((size_t)total * sizeof *ones);
    for (int i = 0; i < total; i++)
        ones[i] = 1;
    tess_tensor *whole[2] = {check_tensor(ctx, desc_vector(total), ones),
                             check_tensor(ctx, desc_vector(total), ones)};
    tess_tensor *part[2] = {NULL, NULL}, *g = check_tensor(ctx, desc_vector(5), ones);
    tess_tensor_desc five = desc_vector(5);
    for (int i = 0; i < 2; i++)
        assert_ok(ctx, tess_tensor_view(whole[i], &five, align, &part[i]));
    const tess_sgd_desc d = {.lr = 0.5f, .momentum = 1};
    assert_ok(ctx, tess_sgd_step(sgd, &d, part[0], g, part[1]));
    for (int t = 0; t < 2; t++) {
        float *got = check_read(whole[t]);
        for (int i = 0; i < total; i++) {
            float inside = t == 0 ? 0.0f : 2.0f; /* v = 1 + 1, param = 1 - 0.5 * 2 */
            assert_true(got[i] == (i >= skip && i < skip + 5 ? inside : 1.0f));
        }
        free(got);
        tess_tensor_destroy(part[t]);
        tess_tensor_destroy(whole[t]);
    }
    tess_tensor_destroy(g);
    tess_sgd_destroy(sgd);
    free(ones);
}

static void test_errors(void **state) {
    tess_context *ctx = *state;
    tess_sgd *sgd = NULL;
    assert_int_equal(tess_sgd_create(NULL, &sgd), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_sgd_create(ctx, NULL), TESS_INVALID_ARGUMENT);
    assert_null(sgd);
    assert_ok(ctx, tess_sgd_create(ctx, &sgd));
    tess_tensor *p = check_tensor(ctx, desc_vector(5), NULL);
    tess_tensor *g = check_tensor(ctx, desc_vector(5), NULL);
    tess_tensor *v = check_tensor(ctx, desc_vector(5), NULL);
    tess_tensor *six = check_tensor(ctx, desc_vector(6), NULL);
    tess_tensor_desc integers = desc_vector(5);
    integers.dtype = TESS_I32;
    tess_tensor *whole = check_tensor(ctx, integers, NULL);
    const tess_sgd_desc d = {.lr = 0.1f};
    assert_int_not_equal(tess_sgd_step(NULL, &d, p, g, v), TESS_OK);
    assert_int_not_equal(tess_sgd_step(sgd, NULL, p, g, v), TESS_OK);
    assert_int_not_equal(tess_sgd_step(sgd, &d, NULL, g, v), TESS_OK);
    assert_int_not_equal(tess_sgd_step(sgd, &d, p, NULL, v), TESS_OK);
    assert_int_not_equal(tess_sgd_step(sgd, &d, p, g, NULL), TESS_OK);
    assert_int_not_equal(tess_sgd_step(sgd, &d, p, six, v), TESS_OK);
    assert_int_not_equal(tess_sgd_step(sgd, &d, six, g, v), TESS_OK);
    assert_int_not_equal(tess_sgd_step(sgd, &d, p, whole, v), TESS_OK);
    assert_int_equal(tess_sgd_step(sgd, &d, p, g, p), TESS_INVALID_ARGUMENT);
    const tess_sgd_desc bad[] = {{.lr = NAN},
                                 {.lr = -1},
                                 {.lr = INFINITY},
                                 {.lr = 1, .momentum = -0.5f},
                                 {.lr = 1, .momentum = NAN},
                                 {.lr = 1, .weight_decay = NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tess_sgd_step(sgd, &bad[i], p, g, v), TESS_INVALID_ARGUMENT);
        assert_non_null(strstr(tess_context_last_error(ctx), "SGD: "));
    }
    tess_tensor_destroy(p);
    tess_tensor_destroy(g);
    tess_tensor_destroy(v);
    tess_tensor_destroy(six);
    tess_tensor_destroy(whole);
    tess_sgd_destroy(sgd);
    tess_sgd_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_constant_gradient),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests_name("optim", tests, check_setup, check_teardown);
}
