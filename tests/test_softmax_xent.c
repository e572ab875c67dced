/* Softmax and cross-entropy against float64 references that never subtract a maximum. */
#include "support/check.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    int n, c;
};

/* Ended by n = 0. */
static const struct shape *shapes(void) {
    static const struct shape full[] = {{1, 1},    {1, 2},    {64, 10},   {3, 7},    {17, 33},
                                        {8, 1000}, {5, 65},   {2, 99999}, {2003, 3}, {33, 129},
                                        {100, 16}, {1, 4097}, {0, 0}};
    static const struct shape tiny[] = {{1, 1},   {3, 7},  {5, 10}, {3, 37},
                                        {2, 300}, {70, 2}, {0, 0}};
    return check_tiny() ? tiny : full;
}

/* log sum_c exp(x[c]), folding log(exp(a) + exp(b)) = max + log1p(exp(-|a - b|)) over the row. */
static double log_sum_exp(const double *x, int c) {
    double sum = x[0];
    for (int i = 1; i < c; i++) {
        double high = x[i] > sum ? x[i] : sum, low = x[i] > sum ? sum : x[i];
        sum = isinf(low) ? high : high + log1p(exp(low - high));
    }
    return sum;
}

static double *widen(const float *data, size_t count) {
    double *wide = check_alloc(count * sizeof *wide);
    for (size_t i = 0; i < count; i++)
        wide[i] = (double)data[i];
    return wide;
}

static double *reference_softmax(const float *x, int n, int c) {
    double *y = widen(x, (size_t)n * (size_t)c);
    for (int row = 0; row < n; row++) {
        double *r = y + (size_t)row * (size_t)c;
        double total = log_sum_exp(r, c);
        for (int i = 0; i < c; i++)
            r[i] = exp(r[i] - total);
    }
    return y;
}

static bool labelled(int label, int c) {
    return label >= 0 && label < c;
}

static double reference_loss(const double *x, const int *labels, int n, int c) {
    double loss = 0;
    for (int row = 0; row < n; row++) {
        const double *r = x + (size_t)row * (size_t)c;
        if (labelled(labels[row], c)) loss += log_sum_exp(r, c) - r[labels[row]];
    }
    return loss;
}

static int reference_correct(const float *x, const int *labels, int n, int c) {
    int correct = 0;
    for (int row = 0; row < n; row++) {
        const float *r = x + (size_t)row * (size_t)c;
        int best = c - 1;
        for (int i = c - 1; i >= 0; i--)
            if (r[i] >= r[best]) best = i;
        correct += best == labels[row];
    }
    return correct;
}

static tess_tensor_desc desc_rows(struct shape s) {
    return desc_nhwc(s.n, s.c, 1, 1);
}

static tess_tensor_desc desc_labels(int n) {
    return (tess_tensor_desc){
        .dtype = TESS_I32, .layout = TESS_NHWC, .n = n, .c = 1, .h = 1, .w = 1};
}

static size_t elements(struct shape s) {
    return (size_t)s.n * (size_t)s.c;
}

static float *random_rows(struct shape s, float size, uint64_t seed) {
    float *x = check_alloc(elements(s) * sizeof *x);
    check_random(x, elements(s), -size, size, seed);
    return x;
}

/* Labels of every class and, every fifth, none. */
static int *some_labels(struct shape s) {
    static const int none[] = {-1, INT_MAX, INT_MIN};
    int *labels = check_alloc((size_t)s.n * sizeof *labels);
    for (int i = 0; i < s.n; i++)
        labels[i] = i % 5 == 4 ? (i % 2 ? s.c : none[i % 3]) : (int)((i * 2654435761LL) % s.c);
    return labels;
}

struct xent_output {
    float loss, correct;
    float *dlogits; /* free() */
};

/* Runs with all outputs poisoned; in_place: dlogits are the logits. */
static struct xent_output run_xent(tess_context *ctx, struct shape s, const float *x,
                                   const int *labels, float scale, bool in_place) {
    tess_softmax *op = NULL;
    assert_ok(ctx, tess_softmax_create(ctx, s.n, s.c, &op));
    tess_tensor *logits = check_tensor(ctx, desc_rows(s), x);
    tess_tensor *marks = check_tensor(ctx, desc_labels(s.n), labels);
    tess_tensor *result = check_tensor(ctx, desc_vector(2), NULL);
    tess_tensor *workspace = check_tensor(ctx, desc_vector(2 * s.n + 1), NULL);
    tess_tensor *dlogits = in_place ? logits : check_tensor(ctx, desc_rows(s), NULL);
    assert_ok(ctx, tess_xent(op, &(tess_xent_args){.logits = logits,
                                                   .labels = marks,
                                                   .scale = scale,
                                                   .result = result,
                                                   .dlogits = dlogits,
                                                   .workspace = workspace}));
    float *sums = check_read(result);
    struct xent_output out = {sums[0], sums[1], check_read(dlogits)};
    free(sums);
    if (!in_place) tess_tensor_destroy(dlogits);
    tess_tensor_destroy(logits);
    tess_tensor_destroy(marks);
    tess_tensor_destroy(result);
    tess_tensor_destroy(workspace);
    tess_softmax_destroy(op);
    return out;
}

/* y = softmax(x), y poisoned or x itself. */
static float *run_softmax(tess_context *ctx, struct shape s, const float *x, bool in_place) {
    tess_softmax *op = NULL;
    assert_ok(ctx, tess_softmax_create(ctx, s.n, s.c, &op));
    tess_tensor *tx = check_tensor(ctx, desc_rows(s), x);
    tess_tensor *ty = in_place ? tx : check_tensor(ctx, desc_rows(s), NULL);
    assert_ok(ctx, tess_softmax_forward(op, tx, ty));
    float *y = check_read(ty);
    if (!in_place) tess_tensor_destroy(ty);
    tess_tensor_destroy(tx);
    tess_softmax_destroy(op);
    return y;
}

/* ---- softmax */

static void check_softmax(tess_context *ctx, struct shape s, const float *x, const char *label) {
    double *want = reference_softmax(x, s.n, s.c);
    float *got = run_softmax(ctx, s, x, false), *in_place = run_softmax(ctx, s, x, true);
    check_close(got, want, elements(s), check_tolerance((size_t)s.c), 1.0 / s.c, label);
    check_same_bytes(got, in_place, elements(s) * sizeof *got, label);
    free(want);
    free(got);
    free(in_place);
}

static void test_softmax_forward(void **state) {
    for (const struct shape *s = shapes(); s->n; s++) {
        char label[64];
        snprintf(label, sizeof label, "softmax forward %dx%d", s->n, s->c);
        float *x = random_rows(*s, 6, 1);
        check_softmax(*state, *s, x, label);
        free(x);
    }
}

/* Differences of 20,000 must not overflow, and the largest must get all the weight. */
static void test_softmax_large_logits(void **state) {
    const struct shape s = {4, 6};
    const float x[] = {1e4f,  1e4f,  1e4f,  1e4f,     1e4f,   1e4f,   -1e4f, -1e4f,
                       -1e4f, -1e4f, -1e4f, -1e4f,    1e4f,   -1e4f,  0,     9999,
                       1,     -1,    -1e4f, -9999.5f, -1e30f, -3e38f, -9998, -9999.25f};
    check_softmax(*state, s, x, "softmax of large logits");
    const float extreme[] = {3.4e38f, -3.4e38f, 0, 3.4e38f, 0, 0};
    const double want[] = {0.5, 0, 0, 0.5, 0, 0};
    float *got = run_softmax(*state, (struct shape){1, 6}, extreme, false);
    check_close(got, want, 6, 1e-6, 0, "softmax of the largest floats");
    free(got);
}

static void test_softmax_nan(void **state) {
    const struct shape s = {3, 5};
    const float x[] = {1, 2, 3, 4, 5, 1, 2, NAN, 4, 5, 5, 4, 3, 2, 1};
    float *y = run_softmax(*state, s, x, false);
    for (int i = 0; i < 15; i++)
        assert_int_equal(isnan(y[i]) != 0, i / 5 == 1);
    free(y);
}

/* sum_c dy softmax(x) of one row, in float64. */
static double weighted_softmax(const double *x, const float *dy, int c) {
    double sum = 0, total = log_sum_exp(x, c);
    for (int i = 0; i < c; i++)
        sum += (double)dy[i] * exp(x[i] - total);
    return sum;
}

/* dx by central differences of weighted_softmax. */
static double *softmax_differences(const float *x, const float *dy, struct shape s) {
    const double h = 1e-5;
    double *wide = widen(x, elements(s)), *dx = check_alloc(elements(s) * sizeof *dx);
    for (size_t i = 0; i < elements(s); i++) {
        size_t base = i / (size_t)s.c * (size_t)s.c;
        double keep = wide[i];
        wide[i] = keep + h;
        double high = weighted_softmax(wide + base, dy + base, s.c);
        wide[i] = keep - h;
        double low = weighted_softmax(wide + base, dy + base, s.c);
        wide[i] = keep;
        dx[i] = (high - low) / (2 * h);
    }
    free(wide);
    return dx;
}

/* alias: 0 dx apart, 1 dx is dy, 2 dx is y. */
static float *run_softmax_backward(tess_context *ctx, struct shape s, const float *y,
                                   const float *dy, int alias) {
    tess_softmax *op = NULL;
    assert_ok(ctx, tess_softmax_create(ctx, s.n, s.c, &op));
    tess_tensor *ty = check_tensor(ctx, desc_rows(s), y),
                *tdy = check_tensor(ctx, desc_rows(s), dy);
    tess_tensor *apart = check_tensor(ctx, desc_rows(s), NULL);
    tess_tensor *tdx = alias == 0 ? apart : alias == 1 ? tdy : ty;
    assert_ok(ctx, tess_softmax_backward(op, ty, tdy, tdx));
    float *dx = check_read(tdx);
    tess_tensor_destroy(ty);
    tess_tensor_destroy(tdy);
    tess_tensor_destroy(apart);
    tess_softmax_destroy(op);
    return dx;
}

static void test_softmax_backward(void **state) {
    for (const struct shape *s = shapes(); s->n; s++) {
        if (s->c > 1000) continue; /* differences cost N C^2 */
        char label[64];
        snprintf(label, sizeof label, "softmax backward %dx%d", s->n, s->c);
        float *x = random_rows(*s, 3, 2), *dy = random_rows(*s, 1, 3);
        double *wide_y = reference_softmax(x, s->n, s->c);
        float *y = check_alloc(elements(*s) * sizeof *y);
        for (size_t i = 0; i < elements(*s); i++)
            y[i] = (float)wide_y[i];
        double *want = softmax_differences(x, dy, *s);
        float *got = run_softmax_backward(*state, *s, y, dy, 0);
        check_close(got, want, elements(*s), check_tolerance((size_t)s->c), 4.0 / s->c, label);
        for (int alias = 0; alias < 3; alias++) {
            float *again = run_softmax_backward(*state, *s, y, dy, alias);
            check_same_bytes(got, again, elements(*s) * sizeof *got, label);
            free(again);
        }
        free(x);
        free(dy);
        free(wide_y);
        free(y);
        free(want);
        free(got);
    }
}

/* ---- cross-entropy */

static void test_xent(void **state) {
    for (const struct shape *s = shapes(); s->n; s++) {
        char label[64];
        snprintf(label, sizeof label, "cross-entropy %dx%d", s->n, s->c);
        float *x = random_rows(*s, 6, 4);
        int *labels = some_labels(*s);
        const float scale = 1.0f / 7;
        double *wide = widen(x, elements(*s)), *want = reference_softmax(x, s->n, s->c);
        for (size_t i = 0; i < elements(*s); i++) {
            int c = (int)(i % (size_t)s->c), mark = labels[i / (size_t)s->c];
            want[i] = labelled(mark, s->c) ? (want[i] - (c == mark)) * (double)scale : 0;
        }
        double loss = reference_loss(wide, labels, s->n, s->c);
        struct xent_output got = run_xent(*state, *s, x, labels, scale, false);
        struct xent_output again = run_xent(*state, *s, x, labels, scale, true);
        check_close(&got.loss, &loss, 1, check_tolerance((size_t)(s->c + s->n)), s->n, label);
        assert_int_equal((int)got.correct, reference_correct(x, labels, s->n, s->c));
        check_close(got.dlogits, want, elements(*s), check_tolerance((size_t)s->c),
                    (double)scale / s->c, label);
        check_same_bytes(got.dlogits, again.dlogits, elements(*s) * sizeof *x, label);
        assert_true(got.loss == again.loss && got.correct == again.correct);
        free(x);
        free(labels);
        free(wide);
        free(want);
        free(got.dlogits);
        free(again.dlogits);
    }
}

/* The gradient is the derivative of the reference loss. */
static void test_xent_differences(void **state) {
    const struct shape s = {7, 9};
    const double h = 1e-5;
    float *x = random_rows(s, 4, 5);
    int *labels = some_labels(s);
    double *wide = widen(x, elements(s)), *want = check_alloc(elements(s) * sizeof *want);
    for (size_t i = 0; i < elements(s); i++) {
        double keep = wide[i];
        wide[i] = keep + h;
        double high = reference_loss(wide, labels, s.n, s.c);
        wide[i] = keep - h;
        double low = reference_loss(wide, labels, s.n, s.c);
        wide[i] = keep;
        want[i] = (high - low) / (2 * h);
    }
    struct xent_output got = run_xent(*state, s, x, labels, 1, false);
    check_close(got.dlogits, want, elements(s), 2e-6, 1, "cross-entropy differences");
    free(x);
    free(labels);
    free(wide);
    free(want);
    free(got.dlogits);
}

static void test_xent_large_logits(void **state) {
    const struct shape s = {3, 4};
    const float x[] = {1e4f, -1e4f, 0, 9999, -1e4f, -1e4f, -1e4f, -1e4f, 3e38f, -3e38f, 0, 1};
    const int labels[] = {1, 2, 0};
    double want = (20000 + log1p(exp(-1))) + log(4) + 0;
    struct xent_output got = run_xent(*state, s, x, labels, 1, false);
    check_close(&got.loss, &want, 1, 1e-6, 0, "cross-entropy of large logits");
    for (int i = 0; i < 12; i++)
        assert_true(isfinite(got.dlogits[i]));
    assert_true(got.correct == 1); /* row 2; row 1 ties, and the first is not the label */
    free(got.dlogits);
}

/* Equal logits: the first is the answer. */
static void test_xent_ties(void **state) {
    const struct shape s = {5, 70};
    float x[5 * 70];
    for (int i = 0; i < 5 * 70; i++)
        x[i] = 0.25f;
    x[2 * 70 + 40] = x[2 * 70 + 69] = 1; /* ties of different lanes */
    x[3 * 70 + 3] = x[3 * 70 + 67] = 1;
    x[4 * 70 + 66] = x[4 * 70 + 3] = 1;
    const struct {
        int labels[5], correct;
    } cases[] = {{{0, 0, 40, 3, 3}, 5}, {{69, 1, 69, 67, 66}, 0}, {{0, 69, 40, 67, 3}, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xent_output got = run_xent(*state, s, x, cases[i].labels, 1, false);
        assert_int_equal((int)got.correct, cases[i].correct);
        free(got.dlogits);
    }
}

/* A NaN logit gives a NaN loss and no correct answer; in a padding row it gives nothing at all. */
static void test_xent_nan(void **state) {
    const struct shape s = {3, 3};
    const float x[] = {1, 2, 3, 5, NAN, 4, 3, 2, 1};
    for (int where = 0; where < 3; where++) {
        const int labels[] = {2, where, 0};
        struct xent_output got = run_xent(*state, s, x, labels, 1, false);
        assert_true(isnan(got.loss));
        assert_true(got.correct == 2);
        for (int i = 0; i < 9; i++)
            assert_int_equal(isnan(got.dlogits[i]) != 0, i / 3 == 1);
        free(got.dlogits);
    }
    const int padded[] = {2, -1, 0};
    struct xent_output got = run_xent(*state, s, x, padded, 1, false);
    assert_true(isfinite(got.loss) && got.correct == 2);
    for (int i = 3; i < 6; i++)
        assert_true(got.dlogits[i] == 0);
    free(got.dlogits);
}

static void test_xent_only_padding(void **state) {
    const struct shape s = {3, 4};
    float *x = random_rows(s, 1, 6);
    const int labels[] = {-1, 4, INT_MIN};
    struct xent_output got = run_xent(*state, s, x, labels, 1, false);
    assert_true(got.loss == 0 && got.correct == 0);
    for (size_t i = 0; i < elements(s); i++)
        assert_true(got.dlogits[i] == 0);
    free(x);
    free(got.dlogits);
}

/* Without dlogits the result is the same. */
static void test_xent_no_gradient(void **state) {
    tess_context *ctx = *state;
    const struct shape s = {6, 10};
    float *x = random_rows(s, 3, 7);
    int *labels = some_labels(s);
    struct xent_output want = run_xent(ctx, s, x, labels, 1, false);
    tess_softmax *op = NULL;
    assert_ok(ctx, tess_softmax_create(ctx, s.n, s.c, &op));
    tess_tensor *logits = check_tensor(ctx, desc_rows(s), x);
    tess_tensor *marks = check_tensor(ctx, desc_labels(s.n), labels);
    tess_tensor *result = check_tensor(ctx, desc_vector(2), NULL);
    tess_tensor *workspace = check_tensor(ctx, desc_vector(2 * s.n), NULL);
    tess_counters before = tess_context_counters(ctx);
    assert_ok(ctx, tess_xent(op, &(tess_xent_args){.logits = logits,
                                                   .labels = marks,
                                                   .result = result,
                                                   .workspace = workspace}));
    tess_counters after = tess_context_counters(ctx);
    assert_int_equal(after.buffers_created, before.buffers_created);
    assert_int_equal(after.programs_compiled, before.programs_compiled);
    assert_int_equal(after.kernels_created, before.kernels_created);
    float *sums = check_read(result), *kept = check_read(logits);
    assert_true(sums[0] == want.loss && sums[1] == want.correct);
    check_same_bytes(kept, x, elements(s) * sizeof *x, "logits");
    tess_tensor_destroy(logits);
    tess_tensor_destroy(marks);
    tess_tensor_destroy(result);
    tess_tensor_destroy(workspace);
    tess_softmax_destroy(op);
    free(sums);
    free(kept);
    free(x);
    free(labels);
    free(want.dlogits);
}

static void test_create_errors(void **state) {
    tess_softmax *op = NULL;
    assert_int_equal(tess_softmax_create(NULL, 1, 1, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_softmax_create(*state, 1, 1, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_softmax_create(*state, 0, 1, &op), TESS_INVALID_SHAPE);
    assert_int_equal(tess_softmax_create(*state, 1, -1, &op), TESS_INVALID_SHAPE);
    assert_int_equal(tess_softmax_create(*state, 65536, 65536, &op), TESS_INVALID_SHAPE);
    assert_null(op);
    tess_softmax_destroy(NULL);
}

static void test_argument_errors(void **state) {
    tess_context *ctx = *state;
    const struct shape s = {4, 3};
    tess_softmax *op = NULL;
    assert_ok(ctx, tess_softmax_create(ctx, s.n, s.c, &op));
    tess_tensor *x = check_tensor(ctx, desc_rows(s), NULL);
    tess_tensor *turned = check_tensor(ctx, desc_nhwc(3, 4, 1, 1), NULL);
    tess_tensor *labels = check_tensor(ctx, desc_labels(4), NULL);
    tess_tensor *result = check_tensor(ctx, desc_vector(2), NULL);
    tess_tensor *workspace = check_tensor(ctx, desc_vector(8), NULL);
    assert_int_not_equal(tess_softmax_forward(NULL, x, x), TESS_OK);
    assert_int_not_equal(tess_softmax_forward(op, NULL, x), TESS_OK);
    assert_int_not_equal(tess_softmax_forward(op, x, NULL), TESS_OK);
    assert_int_equal(tess_softmax_forward(op, turned, x), TESS_INVALID_SHAPE);
    assert_int_not_equal(tess_softmax_backward(op, x, NULL, x), TESS_OK);
    assert_int_not_equal(tess_softmax_backward(op, x, workspace, x), TESS_OK);
    assert_int_not_equal(tess_softmax_backward(NULL, x, x, x), TESS_OK);
    assert_int_not_equal(tess_xent(NULL, NULL), TESS_OK);
    assert_int_not_equal(tess_xent(op, NULL), TESS_OK);
    const tess_xent_args good = {
        .logits = x, .labels = labels, .result = result, .workspace = workspace};
    assert_ok(ctx, tess_xent(op, &good));
    tess_xent_args bad[8] = {good, good, good, good, good, good, good, good};
    bad[0].logits = NULL;
    bad[1].labels = NULL;
    bad[2].labels = result; /* floats */
    bad[3].result = NULL;
    bad[4].result = workspace; /* eight floats */
    bad[5].workspace = NULL;
    bad[6].workspace = result; /* too small */
    bad[7].dlogits = turned;
    for (int i = 0; i < 8; i++) {
        assert_int_not_equal(tess_xent(op, &bad[i]), TESS_OK);
        assert_non_null(strchr(tess_context_last_error(ctx), ':'));
    }
    tess_tensor_destroy(x);
    tess_tensor_destroy(turned);
    tess_tensor_destroy(labels);
    tess_tensor_destroy(result);
    tess_tensor_destroy(workspace);
    tess_softmax_destroy(op);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax_forward),
        cmocka_unit_test(test_softmax_large_logits),
        cmocka_unit_test(test_softmax_nan),
        cmocka_unit_test(test_softmax_backward),
        cmocka_unit_test(test_xent),
        cmocka_unit_test(test_xent_differences),
        cmocka_unit_test(test_xent_large_logits),
        cmocka_unit_test(test_xent_ties),
        cmocka_unit_test(test_xent_nan),
        cmocka_unit_test(test_xent_only_padding),
        cmocka_unit_test(test_xent_no_gradient),
        cmocka_unit_test(test_create_errors),
        cmocka_unit_test(test_argument_errors),
    };
    return cmocka_run_group_tests_name("softmax_xent", tests, check_setup, check_teardown);
}
