/* Activations, residual add, bias, concat and slice against float64. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/eltwise_fixture.h"
#include "support/ref_act.h"

static const tess_act acts[] = {
    {TESS_ACT_NONE, 0},         {TESS_ACT_RELU, 0},
    {TESS_ACT_LEAKY_RELU, 0},   {TESS_ACT_LEAKY_RELU, 0.25f},
    {TESS_ACT_ELU, 0},          {TESS_ACT_ELU, 0.75f},
    {TESS_ACT_SIGMOID, 0},      {TESS_ACT_TANH, 0},
    {TESS_ACT_CLIPPED_RELU, 0}, {TESS_ACT_CLIPPED_RELU, 1.5f},
    {TESS_ACT_SELU, 0},         {TESS_ACT_HARD_SIGMOID, 0},
};
#define ACT_COUNT (sizeof acts / sizeof acts[0])

/* OpenCL's exp, expm1 and tanh are good to 5 units in the last place, division to 2.5. */
#define ACT_TOLERANCE (12 * 0x1p-24)

static const tess_tensor_desc shapes[] = {
    {TESS_F32, TESS_NHWC, 1, 1, 1, 1},    {TESS_F32, TESS_NHWC, 1, 15, 1, 1},
    {TESS_F32, TESS_NHWC, 2, 8, 1, 1},    {TESS_F32, TESS_NHWC, 1, 17, 1, 1},
    {TESS_F32, TESS_NHWC, 3, 6, 5, 7},    {TESS_F32, TESS_NCHW, 2, 3, 4, 5},
    {TESS_F32, TESS_NHWC, 7, 13, 29, 31},
};

static size_t shape_count(void) {
    return check_tiny() ? 6 : sizeof shapes / sizeof shapes[0];
}

static float *random_floats(size_t count, float range, uint64_t seed) {
    float *data = check_alloc(count * sizeof *data);
    check_random(data, count, -range, range, seed);
    return data;
}

/* act(a), act(a + b) for the same shape; outputs in fresh, poisoned memory and in place. */
static void check_forward(struct eltwise_fixture *f, tess_tensor_desc desc, tess_act act) {
    size_t count = tess_tensor_desc_elements(&desc);
    float *a = random_floats(count, 6, 1), *b = random_floats(count, 6, 2), *got;
    double *want = check_alloc(count * sizeof *want), *want_sum = check_alloc(count * sizeof *want);
    for (size_t i = 0; i < count; i++) {
        want[i] = ref_act(act, (double)a[i]);
        want_sum[i] = ref_act(act, (double)(a[i] + b[i]));
    }
    tess_tensor *ta = check_tensor(f->ctx, desc, a), *tb = check_tensor(f->ctx, desc, b);
    tess_tensor *y = check_tensor(f->ctx, desc, NULL);
    assert_ok(f->ctx, tess_activation_forward(f->op, act, ta, y));
    check_close(got = check_read(y), want, count, ACT_TOLERANCE, 0, "activation");
    free(got);
    assert_ok(f->ctx, tess_add_forward(f->op, act, ta, tb, y));
    check_close(got = check_read(y), want_sum, count, ACT_TOLERANCE, 0, "add");
    free(got);
    assert_ok(f->ctx, tess_add_forward(f->op, act, ta, tb, tb));
    check_close(got = check_read(tb), want_sum, count, ACT_TOLERANCE, 0, "add in place");
    free(got);
    assert_ok(f->ctx, tess_activation_forward(f->op, act, ta, ta));
    check_close(got = check_read(ta), want, count, ACT_TOLERANCE, 0, "activation in place");
    free(got);
    tess_tensor_destroy(ta);
    tess_tensor_destroy(tb);
    tess_tensor_destroy(y);
    free(a);
    free(b);
    free(want);
    free(want_sum);
}

static void activations_and_add(void **state) {
    for (size_t s = 0; s < shape_count(); s++)
        for (size_t i = 0; i < ACT_COUNT; i++)
            check_forward(*state, shapes[s], acts[i]);
}

/* dx = dy act'(x) with act' by central differences. */
static void check_gradient(struct eltwise_fixture *f, tess_tensor_desc desc, tess_act act) {
    size_t count = tess_tensor_desc_elements(&desc);
    float *x = random_floats(count, 7, 3), *dy = random_floats(count, 1, 4), *got;
    double *want = check_alloc(count * sizeof *want);
    for (size_t i = 0; i < count; i++) /* no x is that close to a corner */
        want[i] = (double)dy[i] * ref_act_slope(act, (double)x[i]);
    tess_tensor *y = check_tensor(f->ctx, desc, x), *tdy = check_tensor(f->ctx, desc, dy);
    tess_tensor *dx = check_tensor(f->ctx, desc, NULL);
    assert_ok(f->ctx, tess_activation_forward(f->op, act, y, y));
    assert_ok(f->ctx, tess_activation_backward(f->op, act, y, tdy, dx));
    check_close(got = check_read(dx), want, count, 1e-6, 1, "gradient");
    assert_ok(f->ctx, tess_activation_backward(f->op, act, y, tdy, tdy));
    float *in_place = check_read(tdy);
    check_same_bytes(got, in_place, count * sizeof *got, "gradient in place");
    free(in_place);
    free(got);
    tess_tensor_destroy(y);
    tess_tensor_destroy(tdy);
    tess_tensor_destroy(dx);
    free(x);
    free(dy);
    free(want);
}

static void gradients(void **state) {
    for (size_t s = 0; s < shape_count(); s++)
        for (size_t i = 0; i < ACT_COUNT; i++)
            check_gradient(*state, shapes[s], acts[i]);
}

static void special_values(void **state) {
    struct eltwise_fixture *f = *state;
    static const float x[] = {NAN,     INFINITY, -INFINITY, 0.0f,  -0.0f,  88.0f,
                              -88.0f,  1000.0f,  -1000.0f,  1e-8f, -1e-8f, 1e-30f,
                              -1e-30f, 20.0f,    -20.0f,    3e38f, -3e38f};
    enum { COUNT = sizeof x / sizeof x[0] };
    for (size_t i = 0; i < ACT_COUNT; i++) {
        tess_tensor *t = check_tensor(f->ctx, desc_vector(COUNT), x);
        assert_ok(f->ctx, tess_activation_forward(f->op, acts[i], t, t));
        float *got = check_read(t);
        for (int j = 0; j < COUNT; j++) {
            double want = ref_act(acts[i], (double)x[j]);
            if (isnan(want) || isinf(want))
                assert_true(isnan(want) ? isnan(got[j]) : (double)got[j] == want);
            else /* subnormal results may be flushed to 0 */
                check_close(&got[j], &want, 1, ACT_TOLERANCE, 1e-30, "special value");
        }
        free(got);
        tess_tensor_destroy(t);
    }
}

struct matrix {
    int n, c, h, w;
};
static const struct matrix matrices[] = {
    {1, 1, 1, 1},    {3, 1, 5, 7},     {2, 5, 3, 3},    {1, 16, 4, 4},
    {3, 17, 2, 5},   {40, 6, 4, 4},    {1, 37, 1, 1},   {64, 6, 28, 28},
    {8, 2048, 7, 7}, {5, 203, 11, 13}, {1, 4099, 3, 5}, {9, 20, 31, 33},
};

static size_t matrix_count(void) {
    return check_tiny() ? 7 : sizeof matrices / sizeof matrices[0];
}

static void bias_forward(void **state) {
    struct eltwise_fixture *f = *state;
    for (size_t m = 0; m < matrix_count(); m++) {
        const struct matrix *s = &matrices[m];
        tess_tensor_desc desc = desc_nhwc(s->n, s->c, s->h, s->w);
        size_t count = tess_tensor_desc_elements(&desc), c = (size_t)s->c;
        float *x = random_floats(count, 2, 5), *b = random_floats(c, 2, 6), *got;
        tess_tensor *tb = check_tensor(f->ctx, desc_vector(s->c), b);
        double *want = check_alloc(count * sizeof *want);
        for (size_t i = 0; i < ACT_COUNT; i++) {
            for (size_t e = 0; e < count; e++)
                want[e] = ref_act(acts[i], (double)(x[e] + b[e % c]));
            tess_tensor *tx = check_tensor(f->ctx, desc, x), *y = check_tensor(f->ctx, desc, NULL);
            assert_ok(f->ctx, tess_bias_forward(f->op, acts[i], tx, tb, y));
            check_close(got = check_read(y), want, count, ACT_TOLERANCE, 0, "bias");
            free(got);
            assert_ok(f->ctx, tess_bias_forward(f->op, acts[i], tx, tb, tx));
            check_close(got = check_read(tx), want, count, ACT_TOLERANCE, 0, "bias in place");
            free(got);
            tess_tensor_destroy(tx);
            tess_tensor_destroy(y);
            if (count > 100000 && i == 1) break; /* the kernels differ in the activation only */
        }
        tess_tensor_destroy(tb);
        free(want);
        free(x);
        free(b);
    }
}

static void bias_backward(void **state) {
    struct eltwise_fixture *f = *state;
    for (size_t m = 0; m < matrix_count(); m++) {
        const struct matrix *s = &matrices[m];
        tess_tensor_desc desc = desc_nhwc(s->n, s->c, s->h, s->w);
        size_t count = tess_tensor_desc_elements(&desc), c = (size_t)s->c, rows = count / c;
        float *dy = random_floats(count, 1, 7), *first = NULL;
        double *want = calloc(c, sizeof *want);
        for (size_t e = 0; e < count; e++)
            want[e % c] += (double)dy[e];
        tess_tensor *tdy = check_tensor(f->ctx, desc, dy);
        for (int run = 0; run < 2; run++) {
            size_t bytes = tess_bias_workspace(&desc);
            assert_true(bytes > 0 && bytes % 4 == 0);
            tess_tensor *workspace = check_tensor(f->ctx, desc_vector((int)(bytes / 4)), NULL);
            tess_tensor *dbias = check_tensor(f->ctx, desc_vector(s->c), NULL);
            assert_ok(f->ctx, tess_bias_backward(f->op, tdy, dbias, workspace));
            float *got = check_read(dbias);
            check_close(got, want, c, check_tolerance(rows), sqrt((double)rows), "dbias");
            if (first) check_same_bytes(got, first, c * sizeof *got, "dbias");
            free(first);
            first = got;
            tess_tensor_destroy(workspace);
            tess_tensor_destroy(dbias);
        }
        free(first);
        tess_tensor_destroy(tdy);
        free(want);
        free(dy);
    }
}

/* Three parts into a whole, compared element by element, and back out. */
static void check_concat(struct eltwise_fixture *f, const int channels[3], int n, int h, int w) {
    int total = channels[0] + channels[1] + channels[2], first = 0;
    size_t rows = (size_t)n * (size_t)h * (size_t)w;
    tess_tensor *whole = check_tensor(f->ctx, desc_nhwc(n, total, h, w), NULL);
    float *parts[3];
    for (int i = 0; i < 3; i++) {
        tess_tensor_desc desc = desc_nhwc(n, channels[i], h, w);
        parts[i] = random_floats(rows * (size_t)channels[i], 1, (uint64_t)i + 8);
        tess_tensor *part = check_tensor(f->ctx, desc, parts[i]);
        assert_ok(f->ctx, tess_concat(f->op, part, first, whole));
        tess_tensor_destroy(part);
        first += channels[i];
    }
    float *got = check_read(whole);
    for (size_t row = 0, at = 0; row < rows; row++)
        for (int i = 0; i < 3; i++)
            for (int c = 0; c < channels[i]; c++, at++)
                assert_true(got[at] == parts[i][row * (size_t)channels[i] + (size_t)c]);
    first = 0;
    for (int i = 0; i < 3; i++) {
        tess_tensor *part = check_tensor(f->ctx, desc_nhwc(n, channels[i], h, w), NULL);
        assert_ok(f->ctx, tess_slice(f->op, whole, first, part));
        float *back = check_read(part);
        assert_memory_equal(back, parts[i], rows * (size_t)channels[i] * sizeof(float));
        free(back);
        tess_tensor_destroy(part);
        first += channels[i];
        free(parts[i]);
    }
    free(got);
    tess_tensor_destroy(whole);
}

static void concat_and_slice(void **state) {
    check_concat(*state, (const int[3]){1, 1, 1}, 1, 1, 1);
    check_concat(*state, (const int[3]){3, 16, 5}, 2, 3, 2);
    check_concat(*state, (const int[3]){17, 1, 32}, 1, 2, 3);
    if (!check_tiny()) check_concat(*state, (const int[3]){64, 97, 128}, 3, 13, 15);
}

static void bad_arguments_are_refused(void **state) {
    struct eltwise_fixture *f = *state;
    tess_context *ctx = f->ctx;
    tess_eltwise *op = f->op;
    tess_act relu = {TESS_ACT_RELU, 0};
    tess_tensor_desc i32 = desc_nhwc(2, 3, 4, 5), nchw = i32;
    i32.dtype = TESS_I32;
    nchw.layout = TESS_NCHW;
    tess_tensor *x = check_tensor(ctx, desc_nhwc(2, 3, 4, 5), NULL);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(2, 3, 4, 5), NULL);
    tess_tensor *other = check_tensor(ctx, desc_nhwc(2, 3, 5, 4), NULL);
    tess_tensor *labels = check_tensor(ctx, i32, NULL), *planar = check_tensor(ctx, nchw, NULL);
    tess_tensor *v = check_tensor(ctx, desc_vector(3), NULL);
    tess_status refused[] = {
        tess_eltwise_create(NULL, &op),
        tess_eltwise_create(ctx, NULL),
        tess_activation_forward(NULL, relu, x, y),
        tess_activation_forward(op, relu, NULL, y),
        tess_activation_forward(op, relu, x, NULL),
        tess_activation_forward(op, relu, x, other),
        tess_activation_forward(op, relu, x, planar),
        tess_activation_forward(op, relu, x, labels),
        tess_activation_forward(op, relu, labels, labels),
        tess_activation_forward(op, (tess_act){(tess_activation)17, 0}, x, y),
        tess_activation_forward(op, (tess_act){(tess_activation)-1, 0}, x, y),
        tess_activation_forward(op, (tess_act){TESS_ACT_ELU, -1}, x, y),
        tess_activation_forward(op, (tess_act){TESS_ACT_ELU, NAN}, x, y),
        tess_activation_backward(op, relu, x, NULL, y),
        tess_activation_backward(op, relu, x, y, other),
        tess_add_forward(op, relu, x, other, y),
        tess_add_forward(op, relu, x, y, NULL),
        tess_bias_forward(op, relu, x, other, y),
        tess_bias_forward(op, relu, planar, v, planar),
        tess_bias_backward(op, x, v, NULL),
        tess_bias_backward(op, x, v, v),
        tess_bias_backward(op, x, other, y),
        tess_bias_backward(op, planar, v, y),
        tess_concat(op, x, 1, y),
        tess_concat(op, x, -1, y),
        tess_concat(op, x, 2147483647, y),
        tess_concat(op, other, 0, y),
        tess_concat(op, x, 0, x),
        tess_concat(op, planar, 0, y),
        tess_slice(op, NULL, 0, y),
        tess_slice(op, x, 1, y),
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (refused[i] == TESS_OK) fail_msg("bad call number %zu was accepted", i);
    assert_int_equal(tess_bias_workspace(NULL), 0);
    assert_true(strlen(tess_context_last_error(ctx)) > 0);
    tess_tensor *all[] = {x, y, other, labels, planar, v};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tess_tensor_destroy(all[i]);
    tess_eltwise_destroy(NULL);
}

/* What the library promises of functions that only enqueue. */
static void nothing_is_created_when_enqueuing(void **state) {
    struct eltwise_fixture *f = *state;
    tess_tensor *x = check_tensor(f->ctx, desc_vector(100), NULL);
    tess_counters before = tess_context_counters(f->ctx);
    for (size_t i = 0; i < ACT_COUNT; i++)
        assert_ok(f->ctx, tess_activation_forward(f->op, acts[i], x, x));
    tess_counters after = tess_context_counters(f->ctx);
    assert_int_equal(after.kernels_created, before.kernels_created);
    assert_int_equal(after.buffers_created, before.buffers_created);
    assert_int_equal(after.programs_compiled, before.programs_compiled);
    assert_int_equal(after.kernels_enqueued, before.kernels_enqueued + ACT_COUNT);
    tess_tensor_destroy(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_and_add),
        cmocka_unit_test(gradients),
        cmocka_unit_test(special_values),
        cmocka_unit_test(bias_forward),
        cmocka_unit_test(bias_backward),
        cmocka_unit_test(concat_and_slice),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(nothing_is_created_when_enqueuing),
    };
    return cmocka_run_group_tests(tests, eltwise_setup, eltwise_teardown);
}
