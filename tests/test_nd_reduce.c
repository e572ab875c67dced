/* Reductions over any axes against float64, and the gradients of sum and mean. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

/* The first ones are tiny. */
static const struct reduction {
    struct nd_shape x;
    int axis_count, axes[ND_MAX_RANK];
} reductions[] = {
    {{0}, 0, {0}},
    {{1, {1}}, 0, {0}},
    {{1, {37}}, 0, {0}},
    {{2, {3, 21}}, 1, {1}},
    {{2, {3, 21}}, 1, {-2}},
    {{2, {9, 3}}, 1, {0}},
    {{4, {2, 3, 4, 5}}, 2, {2, -1}},
    {{4, {2, 3, 4, 5}}, 2, {0, 2}},
    {{4, {2, 17, 3, 2}}, 3, {0, 2, 3}},
    {{5, {2, 3, 2, 19, 3}}, 2, {1, 3}},
    {{3, {2, 1, 4}}, 1, {1}},
    {{8, {2, 3, 2, 1, 2, 3, 2, 2}}, 4, {0, 2, 4, 6}},
    {{8, {2, 3, 2, 1, 2, 3, 2, 2}}, 4, {1, 3, 5, 7}},
    {{2, {0, 3}}, 1, {0}},
    {{2, {0, 3}}, 1, {1}},
    /* full sizes from here on */
    {{1, {100003}}, 0, {0}},
    {{4, {4, 29, 31, 67}}, 3, {0, 1, 2}},
    {{4, {3, 70, 23, 19}}, 3, {0, 2, 3}},
    {{4, {4, 33, 65, 3}}, 3, {0, 1, 2}},
    {{4, {5, 203, 7, 7}}, 2, {2, 3}},
    {{2, {20011, 3}}, 1, {1}},
    {{3, {11, 4099, 13}}, 1, {1}},
    {{2, {3, 70001}}, 1, {1}},
};

static size_t reduction_count(void) {
    return check_tiny() ? 15 : sizeof reductions / sizeof reductions[0];
}

static double combine64(enum nd_reduce_kind kind, double sum, double x) {
    switch (kind) {
    case ND_REDUCE_MAX:
        return x > sum ? x : sum;
    case ND_REDUCE_MIN:
        return x < sum ? x : sum;
    case ND_REDUCE_PROD:
        return sum * x;
    case ND_REDUCE_L1:
        return sum + fabs(x);
    case ND_REDUCE_L2:
    case ND_REDUCE_SUM_SQUARE:
        return sum + x * x;
    default:
        return sum + x;
    }
}

struct trial {
    tess_context *ctx;
    struct nd_reduce_desc desc;
    struct nd_shape kept; /* y with the reduced dimensions as 1 */
    struct nd_reduce *op;
    size_t x_count, y_count, terms;
    float *x;
    cl_mem x_mem;
    char label[128];
};

static void trial_begin(struct trial *t, tess_context *ctx, const struct reduction *r,
                        enum nd_reduce_kind kind, bool drop) {
    memset(t, 0, sizeof *t);
    t->ctx = ctx;
    t->desc = (struct nd_reduce_desc){.kind = kind,
                                      .x = r->x,
                                      .axis_count = r->axis_count,
                                      .drop_dims = drop,
                                      .gradients = kind <= ND_REDUCE_MEAN};
    memcpy(t->desc.axes, r->axes, sizeof r->axes);
    t->kept = r->x;
    for (int d = 0; d < r->x.rank; d++) {
        bool reduced = r->axis_count == 0;
        for (int i = 0; i < r->axis_count; i++)
            reduced = reduced || (r->axes[i] + r->x.rank) % r->x.rank == d;
        if (reduced) t->kept.dims[d] = 1;
    }
    char text[96];
    snprintf(t->label, sizeof t->label, "%s %s, %d axes", nd_reduce_name(kind),
             nd_print(&r->x, text), r->axis_count);
    assert_ok(ctx, nd_reduce_create(ctx, &t->desc, &t->op));
    t->x_count = (size_t)nd_elements(&r->x);
    t->y_count = (size_t)nd_elements(&t->kept);
    assert_int_equal((size_t)nd_elements(nd_reduce_shape(t->op)), t->y_count);
    if (!drop) assert_true(nd_shape_equal(nd_reduce_shape(t->op), &t->kept));
    t->terms = t->y_count ? t->x_count / t->y_count : 0;
    bool positive = kind == ND_REDUCE_LOG_SUM || kind == ND_REDUCE_PROD;
    t->x = nd_random(t->x_count, positive ? 0.5f : -1.0f, positive ? 1.5f : 1.0f, 3);
    for (size_t i = 0; kind == ND_REDUCE_PROD && i < t->x_count; i++)
        t->x[i] = powf(t->x[i], 1 / sqrtf((float)t->terms));
    t->x_mem = nd_buffer(ctx, t->x_count * 4, t->x);
}

static void trial_end(struct trial *t) {
    free(t->x);
    clReleaseMemObject(t->x_mem);
    nd_reduce_destroy(t->op);
}

static double *reference(const struct trial *t) {
    enum nd_reduce_kind kind = t->desc.kind;
    double *want = check_alloc(t->y_count * sizeof *want);
    double none = kind == ND_REDUCE_MAX    ? -INFINITY
                  : kind == ND_REDUCE_MIN  ? INFINITY
                  : kind == ND_REDUCE_PROD ? 1
                                           : 0;
    for (size_t i = 0; i < t->y_count; i++)
        want[i] = none;
    for (size_t i = 0; i < t->x_count; i++) {
        size_t at = nd_broadcast_element(&t->kept, &t->desc.x, i);
        want[at] = combine64(kind, want[at], (double)t->x[i]);
    }
    for (size_t i = 0; i < t->y_count; i++) {
        if (kind == ND_REDUCE_MEAN) want[i] /= (double)t->terms;
        if (kind == ND_REDUCE_L2) want[i] = sqrt(want[i]);
        if (kind == ND_REDUCE_LOG_SUM) want[i] = log(want[i]);
    }
    return want;
}

static float *forward(struct trial *t) {
    size_t bytes = nd_reduce_workspace(t->op);
    cl_mem y = nd_buffer(t->ctx, t->y_count * 4, NULL), workspace = nd_buffer(t->ctx, bytes, NULL);
    assert_ok(t->ctx, nd_reduce_forward(t->op, t->x_mem, y, bytes ? workspace : NULL));
    float *got = nd_read(t->ctx, y, t->y_count);
    clReleaseMemObject(y);
    clReleaseMemObject(workspace);
    return got;
}

static void check_forward(struct trial *t) {
    enum nd_reduce_kind kind = t->desc.kind;
    float *got = forward(t), *again = forward(t);
    double *want = reference(t), terms = (double)t->terms;
    double scale = kind == ND_REDUCE_MEAN ? 1 / sqrt(terms + 1) : sqrt(terms);
    bool exact = kind == ND_REDUCE_MAX || kind == ND_REDUCE_MIN;
    for (size_t i = 0; i < t->y_count; i++)
        if (isnan(want[i]) || isinf(want[i])) { /* of no elements */
            assert_true(isnan(want[i]) ? isnan(got[i]) : (double)got[i] == want[i]);
            got[i] = again[i] = 0;
            want[i] = 0;
        }
    check_close(got, want, t->y_count, exact ? 0 : 2 * check_tolerance(t->terms), scale, t->label);
    check_same_bytes(got, again, t->y_count * 4, t->label);
    free(got);
    free(again);
    free(want);
}

static void agrees_with_the_reference(void **state) {
    for (size_t i = 0; i < reduction_count(); i++)
        for (int kind = 0; kind < ND_REDUCE_KINDS; kind++) {
            struct trial trial;
            trial_begin(&trial, *state, &reductions[i], (enum nd_reduce_kind)kind, i % 2 == 0);
            check_forward(&trial);
            trial_end(&trial);
        }
}

static void gradients_spread_dy(void **state) {
    for (size_t i = 0; i < reduction_count(); i++)
        for (int kind = 0; kind <= ND_REDUCE_MEAN; kind++) {
            struct trial t;
            trial_begin(&t, *state, &reductions[i], (enum nd_reduce_kind)kind, i % 2 == 1);
            float *dy = nd_random(t.y_count, -1, 1, 4);
            cl_mem dy_mem = nd_buffer(t.ctx, t.y_count * 4, dy);
            cl_mem dx_mem = nd_buffer(t.ctx, t.x_count * 4, NULL);
            assert_ok(t.ctx, nd_reduce_backward(t.op, dy_mem, dx_mem));
            float *dx = nd_read(t.ctx, dx_mem, t.x_count);
            double *want = check_alloc(t.x_count * sizeof *want);
            for (size_t e = 0; e < t.x_count; e++)
                want[e] = (double)dy[nd_broadcast_element(&t.kept, &t.desc.x, e)] /
                          (kind == ND_REDUCE_MEAN ? (double)t.terms : 1);
            check_close(dx, want, t.x_count, 4 * 0x1p-24, 0, t.label);
            free(dy);
            free(dx);
            free(want);
            clReleaseMemObject(dy_mem);
            clReleaseMemObject(dx_mem);
            trial_end(&t);
        }
}

static void a_nan_stays(void **state) {
    for (int kind = ND_REDUCE_SUM; kind <= ND_REDUCE_PROD; kind++)
        for (int place = 0; place < 40; place += 13) {
            static const struct reduction row = {{2, {2, 40}}, 1, {1}};
            struct trial t;
            trial_begin(&t, *state, &row, (enum nd_reduce_kind)kind, false);
            t.x[40 + place] = NAN;
            clReleaseMemObject(t.x_mem);
            t.x_mem = nd_buffer(t.ctx, t.x_count * 4, t.x);
            float *y = forward(&t);
            assert_true(!isnan(y[0]) && isnan(y[1]));
            free(y);
            trial_end(&t);
        }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_reduce *op = NULL;
    struct nd_reduce_desc good = {.x = ND_SHAPE(2, 3), .axis_count = 1, .axes = {1}}, bad;
    assert_int_equal(nd_reduce_create(NULL, &good, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_reduce_create(ctx, NULL, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_reduce_create(ctx, &good, NULL), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.kind = ND_REDUCE_KINDS;
    assert_int_equal(nd_reduce_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.axes[0] = 2;
    assert_int_equal(nd_reduce_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.axis_count = 2;
    bad.axes[1] = -1;
    assert_int_equal(nd_reduce_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad.axis_count = 3;
    assert_int_equal(nd_reduce_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.kind = ND_REDUCE_MAX;
    bad.gradients = true;
    assert_int_equal(nd_reduce_create(ctx, &bad, &op), TESS_UNSUPPORTED);
    bad = good;
    bad.x.dims[0] = -2;
    assert_int_equal(nd_reduce_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    assert_null(op);
    assert_ok(ctx, nd_reduce_create(ctx, &good, &op));
    cl_mem x = nd_buffer(ctx, 24, NULL), y = nd_buffer(ctx, 8, NULL);
    assert_int_equal(nd_reduce_forward(op, y, y, NULL), TESS_INVALID_SHAPE);
    assert_int_equal(nd_reduce_forward(op, x, NULL, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_reduce_forward(NULL, x, y, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_reduce_backward(op, y, x), TESS_INVALID_ARGUMENT);
    clReleaseMemObject(x);
    clReleaseMemObject(y);
    nd_reduce_destroy(op);
    nd_reduce_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(gradients_spread_dy),
        cmocka_unit_test(a_nan_stays),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
