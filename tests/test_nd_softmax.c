/* Softmax and log-softmax along any axis against float64, their gradients against finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

/* The first ones are tiny. */
static const struct nd_softmax_desc descs[] = {
    {.x = {1, {1}}},
    {.x = {1, {37}}, .axis = -1},
    {.x = {2, {3, 16}}, .axis = 1},
    {.x = {2, {3, 16}}, .axis = 0},
    {.x = {3, {2, 5, 37}}, .axis = 1},
    {.x = {3, {2, 5, 3}}, .axis = -2},
    {.x = {4, {2, 3, 2, 5}}, .axis = 1, .flat = true},
    {.x = {2, {3, 4}}, .axis = 2, .flat = true},
    {.x = {2, {3, 4}}, .axis = 0, .flat = true},
    {.x = {2, {0, 4}}, .axis = 1},
    /* full sizes from here on */
    {.x = {2, {203, 1000}}, .axis = 1},
    {.x = {4, {3, 21, 31, 33}}, .axis = 1},
    {.x = {2, {1001, 3}}, .axis = 1},
};

static size_t desc_count(void) {
    return check_tiny() ? 10 : sizeof descs / sizeof descs[0];
}

struct extents {
    size_t outer, size, inner, count;
};

static struct extents extents_of(const struct nd_softmax_desc *desc) {
    struct extents e = {1, 1, 1, (size_t)nd_elements(&desc->x)};
    int axis = desc->axis < 0 ? desc->axis + desc->x.rank : desc->axis;
    for (int d = 0; d < desc->x.rank; d++) {
        size_t *into = d < axis ? &e.outer : d == axis || desc->flat ? &e.size : &e.inner;
        *into *= (size_t)desc->x.dims[d];
    }
    return e;
}

static void softmax64(const struct extents *e, bool log_of, const double *x, double *y) {
    for (size_t o = 0; o < e->outer; o++)
        for (size_t i = 0; i < e->inner; i++) {
            const double *from = x + o * e->size * e->inner + i;
            double *to = y + o * e->size * e->inner + i;
            double most = -INFINITY, sum = 0;
            for (size_t s = 0; s < e->size; s++)
                most = from[s * e->inner] > most ? from[s * e->inner] : most;
            for (size_t s = 0; s < e->size; s++)
                sum += exp(from[s * e->inner] - most);
            for (size_t s = 0; s < e->size; s++) {
                double z = from[s * e->inner] - most - log(sum);
                to[s * e->inner] = log_of ? z : exp(z);
            }
        }
}

struct trial {
    tess_context *ctx;
    struct nd_softmax_desc desc;
    struct extents e;
    struct nd_softmax *op;
    float *x, *dy;
    double *x64, *y64;
    cl_mem x_mem, y_mem, dy_mem;
    char label[128];
};

static void trial_begin(struct trial *t, tess_context *ctx, size_t index, bool log_of) {
    memset(t, 0, sizeof *t);
    t->ctx = ctx;
    t->desc = descs[index];
    t->desc.log = log_of;
    t->e = extents_of(&t->desc);
    char text[96];
    snprintf(t->label, sizeof t->label, "%s %s, axis %d", log_of ? "LogSoftmax" : "Softmax",
             nd_print(&t->desc.x, text), t->desc.axis);
    assert_ok(ctx, nd_softmax_create(ctx, &t->desc, &t->op));
    t->x = nd_random(t->e.count, -4, 4, 1);
    t->dy = nd_random(t->e.count, -1, 1, 2);
    t->x64 = check_alloc(t->e.count * sizeof *t->x64);
    t->y64 = check_alloc(t->e.count * sizeof *t->y64);
    for (size_t i = 0; i < t->e.count; i++)
        t->x64[i] = (double)t->x[i];
    t->x_mem = nd_buffer(ctx, t->e.count * 4, t->x);
    t->y_mem = nd_buffer(ctx, t->e.count * 4, NULL);
    t->dy_mem = nd_buffer(ctx, t->e.count * 4, t->dy);
    assert_ok(ctx, nd_softmax_forward(t->op, t->x_mem, t->y_mem));
}

static void trial_end(struct trial *t) {
    void *memory[] = {t->x, t->dy, t->x64, t->y64};
    for (size_t i = 0; i < 4; i++)
        free(memory[i]);
    clReleaseMemObject(t->x_mem);
    clReleaseMemObject(t->y_mem);
    clReleaseMemObject(t->dy_mem);
    nd_softmax_destroy(t->op);
}

static void agrees_with_the_reference(void **state) {
    for (size_t i = 0; i < desc_count(); i++)
        for (int log_of = 0; log_of < 2; log_of++) {
            struct trial t;
            trial_begin(&t, *state, i, log_of);
            softmax64(&t.e, log_of, t.x64, t.y64);
            float *y = nd_read(t.ctx, t.y_mem, t.e.count);
            check_close(y, t.y64, t.e.count, 2 * check_tolerance(t.e.size), log_of, t.label);
            assert_ok(t.ctx, nd_softmax_forward(t.op, t.x_mem, t.x_mem));
            float *again = nd_read(t.ctx, t.x_mem, t.e.count);
            check_same_bytes(y, again, t.e.count * 4, t.label);
            free(y);
            free(again);
            trial_end(&t);
        }
}

/* sum of y dy, at x with element i moved by step: only its own slice changes. */
static double loss(struct trial *t, size_t i, double step) {
    double sum = 0;
    struct extents one = {1, t->e.size, 1, t->e.size};
    size_t inner = t->e.inner, block = t->e.size * inner, base = i / block * block + i % inner;
    double *x = check_alloc(2 * t->e.size * sizeof *x), *y = x + t->e.size;
    for (size_t s = 0; s < t->e.size; s++)
        x[s] = t->x64[base + s * inner] + (base + s * inner == i ? step : 0);
    softmax64(&one, t->desc.log, x, y);
    for (size_t s = 0; s < t->e.size; s++)
        sum += y[s] * (double)t->dy[base + s * inner];
    free(x);
    return sum;
}

static void gradients_agree_with_finite_differences(void **state) {
    for (size_t d = 0; d < desc_count(); d++)
        for (int log_of = 0; log_of < 2; log_of++) {
            struct trial t;
            trial_begin(&t, *state, d, log_of);
            cl_mem dx_mem = nd_buffer(t.ctx, t.e.count * 4, NULL);
            assert_ok(t.ctx, nd_softmax_backward(t.op, t.y_mem, t.dy_mem, dx_mem));
            float *dx = nd_read(t.ctx, dx_mem, t.e.count);
            for (size_t i = 0; i < t.e.count; i += 1 + t.e.count / 200) {
                double want = (loss(&t, i, 1e-5) - loss(&t, i, -1e-5)) / 2e-5;
                check_close(&dx[i], &want, 1, 1e-6, 1, t.label);
            }
            for (size_t i = 0; i < t.e.count; i++)
                assert_true(isfinite(dx[i]) != 0);
            assert_ok(t.ctx, nd_softmax_backward(t.op, t.y_mem, t.dy_mem, t.dy_mem));
            float *again = nd_read(t.ctx, t.dy_mem, t.e.count);
            check_same_bytes(dx, again, t.e.count * 4, t.label);
            free(dx);
            free(again);
            clReleaseMemObject(dx_mem);
            trial_end(&t);
        }
}

static void large_and_special_values(void **state) {
    for (int axis = 0; axis < 2; axis++) {
        struct nd_softmax_desc desc = {.x = ND_SHAPE(18, 18), .axis = axis};
        struct nd_softmax *op = NULL;
        float x[18 * 18];
        for (int i = 0; i < 18; i++)
            for (int j = 0; j < 18; j++)
                x[i * 18 + j] = i == j ? 1e30f : -1e30f;
        x[3 * 18 + 5] = NAN;
        assert_ok(*state, nd_softmax_create(*state, &desc, &op));
        cl_mem mem = nd_buffer(*state, sizeof x, x);
        assert_ok(*state, nd_softmax_forward(op, mem, mem));
        float *y = nd_read(*state, mem, 18 * 18);
        for (int i = 0; i < 18; i++)
            for (int j = 0; j < 18; j++) {
                bool with_nan = axis == 0 ? j == 5 : i == 3;
                assert_true(with_nan ? isnan(y[i * 18 + j]) : y[i * 18 + j] == (float)(i == j));
            }
        free(y);
        clReleaseMemObject(mem);
        nd_softmax_destroy(op);
    }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_softmax *op = NULL;
    struct nd_softmax_desc good = {.x = ND_SHAPE(2, 3), .axis = 1}, bad = good;
    assert_int_equal(nd_softmax_create(NULL, &good, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_softmax_create(ctx, NULL, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_softmax_create(ctx, &good, NULL), TESS_INVALID_ARGUMENT);
    bad.axis = 2;
    assert_int_equal(nd_softmax_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad.x = (struct nd_shape){0};
    bad.axis = 0;
    assert_int_equal(nd_softmax_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    assert_null(op);
    assert_ok(ctx, nd_softmax_create(ctx, &good, &op));
    cl_mem x = nd_buffer(ctx, 24, NULL), small = nd_buffer(ctx, 20, NULL);
    assert_int_equal(nd_softmax_forward(op, x, small), TESS_INVALID_SHAPE);
    assert_int_equal(nd_softmax_forward(NULL, x, x), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_softmax_backward(op, x, NULL, x), TESS_INVALID_ARGUMENT);
    clReleaseMemObject(x);
    clReleaseMemObject(small);
    nd_softmax_destroy(op);
    nd_softmax_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(gradients_agree_with_finite_differences),
        cmocka_unit_test(large_and_special_values),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
