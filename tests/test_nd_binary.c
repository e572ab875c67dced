/* Binary operators with broadcasting against float64, their gradients against finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

/* The first ones are tiny. */
static const struct {
    struct nd_shape a, b;
} pairs[] = {
    {{0}, {0}},
    {{1, {1}}, {0}},
    {{1, {37}}, {1, {37}}},
    {{3, {2, 3, 5}}, {3, {2, 3, 5}}},
    {{0}, {2, {3, 17}}},
    {{2, {5, 19}}, {1, {19}}},
    {{2, {6, 3}}, {1, {3}}},
    {{3, {2, 4, 9}}, {2, {4, 1}}},
    {{4, {2, 3, 4, 5}}, {4, {1, 3, 1, 5}}},
    {{2, {7, 1}}, {2, {1, 21}}},
    {{5, {2, 1, 3, 1, 4}}, {5, {1, 5, 1, 2, 1}}},
    {{2, {0, 3}}, {1, {3}}},
    {{8, {2, 1, 2, 1, 3, 1, 2, 1}}, {8, {1, 2, 1, 3, 1, 2, 1, 2}}},
    {{3, {3, 0, 2}}, {3, {3, 1, 2}}},
    /* full sizes from here on */
    {{4, {3, 40, 17, 29}}, {3, {40, 1, 1}}},
    {{4, {2, 31, 33, 48}}, {1, {48}}},
    {{2, {30011, 3}}, {1, {3}}},
    {{1, {100003}}, {1, {1}}},
    {{3, {7, 203, 101}}, {3, {7, 1, 101}}},
};

static size_t pair_count(void) {
    return check_tiny() ? 14 : sizeof pairs / sizeof pairs[0];
}

static double apply64(enum nd_binary_kind kind, double a, double b) {
    switch (kind) {
    case ND_ADD:
        return a + b;
    case ND_SUB:
        return a - b;
    case ND_MUL:
        return a * b;
    case ND_DIV:
        return a / b;
    case ND_MAX:
        return a > b || isnan(a) ? a : b;
    case ND_MIN:
        return a < b || isnan(a) ? a : b;
    case ND_PRELU:
        return a < 0 ? a * b : a;
    default:
        return pow(a, b);
    }
}

/* OpenCL's pow is good to 16 units in the last place, division to 2.5. */
static double tolerance(enum nd_binary_kind kind) {
    return (kind == ND_POW ? 34 : 6) * 0x1p-24;
}

struct trial {
    tess_context *ctx;
    enum nd_binary_kind kind;
    struct nd_shape shape[2], y;
    struct nd_binary *op;
    size_t count[2], y_count;
    float *in[2], *dy;
    cl_mem in_mem[2], dy_mem, y_mem;
    char label[256];
};

static bool is_possible(enum nd_binary_kind kind, size_t pair) {
    return kind != ND_PRELU || (pair != 4 && pair != 9 && pair != 10 && pair != 12);
}

static void trial_begin(struct trial *t, tess_context *ctx, enum nd_binary_kind kind, size_t pair) {
    memset(t, 0, sizeof *t);
    t->ctx = ctx;
    t->kind = kind;
    t->shape[0] = pairs[pair].a;
    t->shape[1] = pairs[pair].b;
    char a[96], b[96];
    snprintf(t->label, sizeof t->label, "%s %s, %s", nd_binary_name(kind),
             nd_print(&t->shape[0], a), nd_print(&t->shape[1], b));
    assert_ok(ctx, nd_binary_create(ctx, kind, &t->shape[0], &t->shape[1], true, &t->op));
    t->y = *nd_binary_shape(t->op);
    t->y_count = (size_t)nd_elements(&t->y);
    for (int side = 0; side < 2; side++) {
        t->count[side] = (size_t)nd_elements(&t->shape[side]);
        float low = kind == ND_POW ? 0.25f : side == 1 && kind == ND_DIV ? 0.5f : -2.0f;
        t->in[side] = nd_random(t->count[side], low, 2.0f, 5 + (uint64_t)side);
        t->in_mem[side] = nd_buffer(ctx, t->count[side] * 4, t->in[side]);
    }
    t->dy = nd_random(t->y_count, -1, 1, 7);
    t->dy_mem = nd_buffer(ctx, t->y_count * 4, t->dy);
    t->y_mem = nd_buffer(ctx, t->y_count * 4, NULL);
}

static void trial_end(struct trial *t) {
    cl_mem memory[] = {t->in_mem[0], t->in_mem[1], t->dy_mem, t->y_mem};
    for (size_t i = 0; i < 4; i++)
        clReleaseMemObject(memory[i]);
    free(t->in[0]);
    free(t->in[1]);
    free(t->dy);
    nd_binary_destroy(t->op);
}

static void check_forward(struct trial *t) {
    assert_ok(t->ctx, nd_binary_forward(t->op, t->in_mem[0], t->in_mem[1], t->y_mem));
    float *y = nd_read(t->ctx, t->y_mem, t->y_count);
    double *want = check_alloc(t->y_count * sizeof *want);
    for (size_t i = 0; i < t->y_count; i++) {
        size_t a = nd_broadcast_element(&t->shape[0], &t->y, i);
        size_t b = nd_broadcast_element(&t->shape[1], &t->y, i);
        want[i] = apply64(t->kind, (double)t->in[0][a], (double)t->in[1][b]);
    }
    check_close(y, want, t->y_count, tolerance(t->kind), 0, t->label);
    for (int side = 0; side < 2; side++) { /* in place */
        if (t->count[side] != t->y_count) continue;
        cl_mem copy = nd_buffer(t->ctx, t->y_count * 4, t->in[side]);
        assert_ok(t->ctx, nd_binary_forward(t->op, side == 0 ? copy : t->in_mem[0],
                                            side == 1 ? copy : t->in_mem[1], copy));
        float *again = nd_read(t->ctx, copy, t->y_count);
        check_same_bytes(y, again, t->y_count * 4, t->label);
        free(again);
        clReleaseMemObject(copy);
    }
    free(y);
    free(want);
}

/* d apply / d operand by central differences; exact enough in float64 away from corners. */
static double slope64(enum nd_binary_kind kind, int side, double a, double b) {
    const double step = 1e-7;
    double up = side == 0 ? apply64(kind, a + step, b) : apply64(kind, a, b + step);
    double down = side == 0 ? apply64(kind, a - step, b) : apply64(kind, a, b - step);
    return (up - down) / (2 * step);
}

static void check_gradient(struct trial *t) {
    size_t bytes = nd_binary_workspace(t->op);
    float *first[2] = {NULL, NULL};
    for (int run = 0; run < 2; run++) {
        cl_mem grad[2], workspace = nd_buffer(t->ctx, bytes, NULL);
        for (int side = 0; side < 2; side++)
            grad[side] = nd_buffer(t->ctx, t->count[side] * 4, NULL);
        struct nd_binary_grad_args args = {.a = t->in_mem[0],
                                           .b = t->in_mem[1],
                                           .dy = t->dy_mem,
                                           .da = grad[0],
                                           .db = grad[1],
                                           .workspace = bytes ? workspace : NULL};
        assert_ok(t->ctx, nd_binary_backward(t->op, &args));
        for (int side = 0; side < 2; side++) {
            float *got = nd_read(t->ctx, grad[side], t->count[side]);
            if (first[side]) check_same_bytes(first[side], got, t->count[side] * 4, t->label);
            free(first[side]);
            first[side] = got;
            clReleaseMemObject(grad[side]);
        }
        clReleaseMemObject(workspace);
    }
    for (int side = 0; side < 2; side++) {
        double *want = calloc(t->count[side] + 1, sizeof *want);
        assert_non_null(want);
        for (size_t i = 0; i < t->y_count; i++) {
            size_t a = nd_broadcast_element(&t->shape[0], &t->y, i);
            size_t b = nd_broadcast_element(&t->shape[1], &t->y, i);
            want[side == 0 ? a : b] +=
                (double)t->dy[i] * slope64(t->kind, side, (double)t->in[0][a], (double)t->in[1][b]);
        }
        size_t terms = t->count[side] ? t->y_count / t->count[side] : 0;
        check_close(first[side], want, t->count[side], 1e-6 + 4 * check_tolerance(terms),
                    2 * sqrt((double)terms), t->label);
        free(want);
        free(first[side]);
    }
}

static void for_all(void **state, void (*check)(struct trial *)) {
    for (size_t pair = 0; pair < pair_count(); pair++)
        for (int kind = 0; kind < ND_BINARY_KINDS; kind++) {
            if (!is_possible((enum nd_binary_kind)kind, pair)) continue;
            struct trial trial;
            trial_begin(&trial, *state, (enum nd_binary_kind)kind, pair);
            check(&trial);
            trial_end(&trial);
        }
}

static void agrees_with_the_reference(void **state) {
    for_all(state, check_forward);
}

static void gradients_agree_with_finite_differences(void **state) {
    for_all(state, check_gradient);
}

static void run(tess_context *ctx, enum nd_binary_kind kind, int count, const float *a,
                const float *b, float *y, float *da, float *db) {
    struct nd_shape shape = ND_SHAPE(count);
    struct nd_binary *op = NULL;
    assert_ok(ctx, nd_binary_create(ctx, kind, &shape, &shape, true, &op));
    size_t bytes = (size_t)count * 4;
    float ones[32];
    for (int i = 0; i < 32; i++)
        ones[i] = 1;
    cl_mem ma = nd_buffer(ctx, bytes, a), mb = nd_buffer(ctx, bytes, b);
    cl_mem my = nd_buffer(ctx, bytes, NULL), mdy = nd_buffer(ctx, bytes, ones);
    cl_mem mda = nd_buffer(ctx, bytes, NULL), mdb = nd_buffer(ctx, bytes, NULL);
    assert_ok(ctx, nd_binary_forward(op, ma, mb, my));
    assert_ok(ctx, nd_binary_backward(op, &(struct nd_binary_grad_args){
                                              .a = ma, .b = mb, .dy = mdy, .da = mda, .db = mdb}));
    nd_read_bytes(ctx, my, bytes, y);
    nd_read_bytes(ctx, mda, bytes, da);
    nd_read_bytes(ctx, mdb, bytes, db);
    cl_mem all[] = {ma, mb, my, mdy, mda, mdb};
    for (size_t i = 0; i < 6; i++)
        clReleaseMemObject(all[i]);
    nd_binary_destroy(op);
}

/* 18 elements, so that vectors and single elements both meet them. */
static void special_values(void **state) {
    enum { COUNT = 18 };
    float a[COUNT], b[COUNT], y[COUNT], da[COUNT], db[COUNT];
    for (int i = 0; i < COUNT; i++) {
        a[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? 1.0f : -INFINITY;
        b[i] = i % 2 == 0 ? NAN : i % 4 == 1 ? 1.0f : -INFINITY;
    }
    for (int kind = ND_MAX; kind <= ND_MIN; kind++) {
        run(*state, (enum nd_binary_kind)kind, COUNT, a, b, y, da, db);
        for (int i = 0; i < COUNT; i++) {
            if (isnan(a[i]) || isnan(b[i])) {
                assert_true(isnan(y[i]));
                continue;
            }
            assert_true((double)y[i] ==
                        apply64((enum nd_binary_kind)kind, (double)a[i], (double)b[i]));
            bool equal = a[i] == b[i], first = (a[i] > b[i]) == (kind == ND_MAX);
            assert_true(da[i] == (equal ? 0.5f : first ? 1.0f : 0.0f));
            assert_true(db[i] == (equal ? 0.5f : first ? 0.0f : 1.0f));
        }
    }
    for (int i = 0; i < COUNT; i++) {
        a[i] = 0;
        b[i] = 0.25f;
    }
    run(*state, ND_PRELU, COUNT, a, b, y, da, db);
    for (int i = 0; i < COUNT; i++)
        assert_true(y[i] == 0 && da[i] == 0.25f && db[i] == 0);
    for (int i = 0; i < COUNT; i++)
        b[i] = 2;
    run(*state, ND_POW, COUNT, a, b, y, da, db);
    for (int i = 0; i < COUNT; i++)
        assert_true(y[i] == 0 && da[i] == 0 && db[i] == 0);
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_shape good = ND_SHAPE(2, 3), other = ND_SHAPE(3, 2), row = ND_SHAPE(3);
    struct nd_shape deep = {.rank = 9}, negative = ND_SHAPE(-1), huge = ND_SHAPE(65536, 65536);
    struct nd_shape tall = ND_SHAPE(100000, 1), wide = ND_SHAPE(100000);
    struct nd_binary *op = NULL;
    enum nd_binary_kind unknown = (enum nd_binary_kind)99;
    tess_status refused[] = {
        nd_binary_create(NULL, ND_ADD, &good, &row, false, &op),
        nd_binary_create(ctx, ND_ADD, NULL, &row, false, &op),
        nd_binary_create(ctx, ND_ADD, &good, NULL, false, &op),
        nd_binary_create(ctx, ND_ADD, &good, &row, false, NULL),
        nd_binary_create(ctx, unknown, &good, &row, false, &op),
        nd_binary_create(ctx, ND_ADD, &good, &other, false, &op),
        nd_binary_create(ctx, ND_ADD, &deep, &row, false, &op),
        nd_binary_create(ctx, ND_ADD, &negative, &row, false, &op),
        nd_binary_create(ctx, ND_ADD, &huge, &row, false, &op),
        nd_binary_create(ctx, ND_ADD, &tall, &wide, false, &op),
        nd_binary_create(ctx, ND_PRELU, &row, &good, false, &op),
        nd_binary_forward(NULL, NULL, NULL, NULL),
        nd_binary_backward(NULL, NULL),
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_not_equal(refused[i], TESS_OK);
    assert_null(op);
    assert_ok(ctx, nd_binary_create(ctx, ND_MUL, &good, &row, true, &op));
    cl_mem a = nd_buffer(ctx, 24, NULL), b = nd_buffer(ctx, 12, NULL);
    assert_int_equal(nd_binary_forward(op, NULL, b, a), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_binary_forward(op, a, b, b), TESS_INVALID_SHAPE);
    assert_true(strlen(tess_context_last_error(ctx)) > 0);
    assert_int_equal(nd_binary_backward(op, NULL), TESS_INVALID_ARGUMENT);
    struct nd_binary_grad_args args = {.a = a, .b = b, .dy = a, .da = a, .db = b};
    assert_int_equal(nd_binary_backward(op, &args), TESS_INVALID_ARGUMENT);
    args.workspace = b;
    assert_int_equal(nd_binary_backward(op, &args), TESS_INVALID_SHAPE);
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    nd_binary_destroy(op);
    nd_binary_destroy(NULL);
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
