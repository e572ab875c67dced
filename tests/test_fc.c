/* Fully connected layers against float64 sums and oneDNN's SGEMM. */
#include "support/check.h"

#include <clblast_c.h>
#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    int n, c, k;
};

/* Ended by n = 0. n = 1: GEMV, with ragged sizes and multiples of its tiles; the last but one is large enough for
   CLBlast's tiled kernel, which pads its operands in the workspace. */
static const struct shape *shapes(void) {
    static const struct shape full[] = {
        {1, 1, 1},    {1, 5, 3},   {1, 400, 120}, {1, 256, 512},     {1, 1001, 1},
        {1, 1, 513},  {2, 1, 9},   {3, 7, 1},     {64, 400, 120},    {64, 120, 84},
        {64, 84, 10}, {7, 33, 65}, {64, 64, 64},  {137, 1031, 1027}, {0, 0, 0}};
    static const struct shape tiny[] = {{1, 5, 3}, {1, 32, 64}, {3, 7, 5}, {2, 1, 9}, {0, 0, 0}};
    return check_tiny() ? tiny : full;
}

/* ---- references */

/* out[i, j] = sum_t a[i, t] b[t, j] for any strides. */
struct matrix {
    const float *data;
    size_t row, column; /* strides */
};

static double *multiply(struct matrix a, struct matrix b, int rows, int inner, int columns) {
    size_t m = (size_t)rows, k = (size_t)inner, n = (size_t)columns;
    double *out = check_alloc(m * n * sizeof *out);
    for (size_t i = 0; i < m * n; i++)
        out[i] = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t t = 0; t < k; t++) {
            double value = (double)a.data[i * a.row + t * a.column];
            const float *line = b.data + t * b.row;
            for (size_t j = 0; j < n; j++)
                out[i * n + j] += value * (double)line[j * b.column];
        }
    return out;
}

enum pass { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, PASSES };
static const char *const pass_names[PASSES] = {"forward", "backward-data", "backward-weights"};

struct data {
    float *x, *w, *dy;
};

static size_t product(int a, int b) {
    return (size_t)a * (size_t)b;
}

static struct data make_data(struct shape s) {
    struct data d = {check_alloc(product(s.n, s.c) * sizeof(float)),
                     check_alloc(product(s.c, s.k) * sizeof(float)),
                     check_alloc(product(s.n, s.k) * sizeof(float))};
    check_random(d.x, product(s.n, s.c), -1, 1, 1);
    check_random(d.w, product(s.c, s.k), -1, 1, 2);
    check_random(d.dy, product(s.n, s.k), -1, 1, 3);
    return d;
}

static void free_data(struct data *d) {
    free(d->x);
    free(d->w);
    free(d->dy);
}

static double *reference(struct shape s, const struct data *d, enum pass pass) {
    size_t c = (size_t)s.c, k = (size_t)s.k;
    switch (pass) {
    case FORWARD:
        return multiply((struct matrix){d->x, c, 1}, (struct matrix){d->w, k, 1}, s.n, s.c, s.k);
    case BACKWARD_DATA:
        return multiply((struct matrix){d->dy, k, 1}, (struct matrix){d->w, 1, k}, s.n, s.k, s.c);
    default:
        return multiply((struct matrix){d->x, 1, c}, (struct matrix){d->dy, k, 1}, s.c, s.n, s.k);
    }
}

/* ---- running */

struct output {
    float *data; /* free() */
    size_t count;
    size_t terms; /* added for an element */
};

static tess_tensor *make_workspace(tess_context *ctx, const tess_fc *fc) {
    size_t bytes = tess_fc_workspace(fc);
    return bytes ? check_tensor(ctx, desc_vector((int)((bytes + 3) / 4)), NULL) : NULL;
}

/* One pass with output and workspace poisoned; nothing may be allocated or compiled by it. */
static struct output run_pass(tess_context *ctx, tess_fc *fc, struct shape s, const struct data *d,
                              enum pass pass) {
    tess_tensor_desc x = desc_nhwc(s.n, s.c, 1, 1), w = desc_rsck(1, 1, s.c, s.k),
                     y = desc_nhwc(s.n, s.k, 1, 1);
    tess_tensor *tx = check_tensor(ctx, x, pass == BACKWARD_DATA ? NULL : d->x);
    tess_tensor *tw = check_tensor(ctx, w, pass == BACKWARD_WEIGHTS ? NULL : d->w);
    tess_tensor *ty = check_tensor(ctx, y, pass == FORWARD ? NULL : d->dy);
    tess_tensor *workspace = make_workspace(ctx, fc);
    tess_counters before = tess_context_counters(ctx);
    struct output out = {0};
    if (pass == FORWARD) {
        assert_ok(ctx, tess_fc_forward(fc, tx, tw, NULL, ty, workspace, 0));
        out = (struct output){check_read(ty), product(s.n, s.k), (size_t)s.c};
    } else if (pass == BACKWARD_DATA) {
        assert_ok(ctx, tess_fc_backward_data(fc, ty, tw, tx, workspace, 0));
        out = (struct output){check_read(tx), product(s.n, s.c), (size_t)s.k};
    } else {
        assert_ok(ctx, tess_fc_backward_weights(fc, tx, ty, tw, workspace));
        out = (struct output){check_read(tw), product(s.c, s.k), (size_t)s.n};
    }
    tess_counters after = tess_context_counters(ctx);
    assert_int_equal(after.buffers_created, before.buffers_created);
    assert_int_equal(after.programs_compiled, before.programs_compiled);
    tess_tensor_destroy(tx);
    tess_tensor_destroy(tw);
    tess_tensor_destroy(ty);
    tess_tensor_destroy(workspace);
    return out;
}

static const char *const backends[] = {"clblast", "conv", "stream"};
enum { BACKENDS = 3 };

static tess_fc *make_fc(tess_context *ctx, struct shape s, const char *backend) {
    tess_fc *fc = NULL;
    const tess_fc_desc desc = {.n = s.n, .c = s.c, .k = s.k, .backend = backend};
    assert_ok(ctx, tess_fc_create(ctx, &desc, &fc));
    for (int pass = 0; pass < PASSES; pass++) {
        tess_fc_info info = tess_fc_pass_info(fc, (tess_conv_pass)pass);
        assert_string_equal(info.backend, backend);
        assert_string_equal(info.tier, "caller");
        assert_true(strlen(info.config) > 0);
    }
    return fc;
}

/* ---- tests */

static void check_passes(tess_context *ctx, const char *backend) {
    for (const struct shape *s = shapes(); s->n; s++) {
        struct data d = make_data(*s);
        tess_fc *fc = make_fc(ctx, *s, backend);
        for (int pass = 0; pass < PASSES; pass++) {
            char label[96];
            snprintf(label, sizeof label, "fc %s %s n%d c%d k%d", backend, pass_names[pass], s->n,
                     s->c, s->k);
            double *want = reference(*s, &d, (enum pass)pass);
            struct output got = run_pass(ctx, fc, *s, &d, (enum pass)pass);
            struct output again = run_pass(ctx, fc, *s, &d, (enum pass)pass);
            check_close(got.data, want, got.count, check_tolerance(got.terms),
                        sqrt((double)got.terms), label);
            check_same_bytes(got.data, again.data, got.count * sizeof(float), label);
            free(want);
            free(got.data);
            free(again.data);
        }
        tess_fc_destroy(fc);
        free_data(&d);
    }
}

static void test_passes(void **state) {
    for (int i = 0; i < BACKENDS; i++)
        check_passes(*state, backends[i]);
}

/* Gradients that are too many for a cache and come in whole lines, the last rows in part of a tile. */
static void test_past_caches(void **state) {
    const struct shape s = {3, 1027, 1024};
    if (check_tiny()) return;
    struct data d = make_data(s);
    tess_fc *fc = make_fc(*state, s, "stream");
    double *want = reference(s, &d, BACKWARD_WEIGHTS);
    struct output got = run_pass(*state, fc, s, &d, BACKWARD_WEIGHTS);
    struct output again = run_pass(*state, fc, s, &d, BACKWARD_WEIGHTS);
    check_close(got.data, want, got.count, check_tolerance(got.terms), sqrt((double)got.terms),
                "fc past the caches");
    check_same_bytes(got.data, again.data, got.count * sizeof(float), "fc past the caches");
    free(want);
    free(got.data);
    free(again.data);
    tess_fc_destroy(fc);
    free_data(&d);
}

/* An independent implementation, to guard the reference itself. */
static void test_against_onednn(void **state) {
    const struct shape s = check_tiny() ? (struct shape){5, 6, 7} : (struct shape){31, 77, 45};
    struct data d = make_data(s);
    tess_fc *fc = make_fc(*state, s, "conv");
    for (int pass = 0; pass < PASSES; pass++) {
        struct output got = run_pass(*state, fc, s, &d, (enum pass)pass);
        float *other = check_alloc(got.count * sizeof *other);
        dnnl_status_t status =
            pass == FORWARD
                ? dnnl_sgemm('N', 'N', s.n, s.k, s.c, 1, d.x, s.c, d.w, s.k, 0, other, s.k)
            : pass == BACKWARD_DATA
                ? dnnl_sgemm('N', 'T', s.n, s.c, s.k, 1, d.dy, s.k, d.w, s.k, 0, other, s.c)
                : dnnl_sgemm('T', 'N', s.c, s.k, s.n, 1, d.x, s.c, d.dy, s.k, 0, other, s.k);
        assert_int_equal(status, dnnl_success);
        double *want = check_alloc(got.count * sizeof *want);
        for (size_t i = 0; i < got.count; i++)
            want[i] = (double)other[i];
        check_close(got.data, want, got.count, 2 * check_tolerance(got.terms),
                    sqrt((double)got.terms), pass_names[pass]);
        free(got.data);
        free(other);
        free(want);
    }
    tess_fc_destroy(fc);
    free_data(&d);
}

/* The gradients are derivatives of L = sum dy y, taken by central differences of the float64 reference. */
static void check_differences(tess_context *ctx, struct shape s, enum pass pass,
                              const char *backend) {
    const float h = 0x1p-6f; /* y is linear in x and in w: exact but for rounding */
    struct data d = make_data(s);
    float *values = pass == BACKWARD_DATA ? d.x : d.w;
    size_t count = pass == BACKWARD_DATA ? product(s.n, s.c) : product(s.c, s.k);
    double *want = check_alloc(count * sizeof *want);
    for (size_t i = 0; i < count; i++) {
        float keep = values[i], high = keep + h, low = keep - h;
        want[i] = 0;
        values[i] = high;
        double *plus = reference(s, &d, FORWARD);
        values[i] = low;
        double *minus = reference(s, &d, FORWARD);
        values[i] = keep;
        for (size_t j = 0; j < product(s.n, s.k); j++)
            want[i] += (double)d.dy[j] * (plus[j] - minus[j]) / ((double)high - (double)low);
        free(plus);
        free(minus);
    }
    tess_fc *fc = make_fc(ctx, s, backend);
    struct output got = run_pass(ctx, fc, s, &d, pass);
    check_close(got.data, want, count, 1e-6, 1, pass_names[pass]);
    free(got.data);
    free(want);
    tess_fc_destroy(fc);
    free_data(&d);
}

static void test_differences(void **state) {
    const struct shape cases[] = {{3, 7, 5}, {1, 9, 4}};
    for (int i = 0; i < 2 * BACKENDS; i++) {
        check_differences(*state, cases[i / BACKENDS], BACKWARD_DATA, backends[i % BACKENDS]);
        check_differences(*state, cases[i / BACKENDS], BACKWARD_WEIGHTS, backends[i % BACKENDS]);
    }
}

static double activate(tess_act act, double v) {
    if (act.kind == TESS_ACT_RELU) return v > 0 ? v : 0;
    return act.kind == TESS_ACT_TANH ? tanh(v) : v;
}

/* Bias and activation, each alone and together; x is a 2 x 2 image of channels, as after a convolution. */
static void test_epilogue(void **state) {
    tess_context *ctx = *state;
    const struct shape cases[] = {{3, 20, 7}, {1, 8, 5}};
    const tess_activation kinds[] = {TESS_ACT_NONE, TESS_ACT_RELU, TESS_ACT_TANH};
    for (int i = 0; i < 12 * BACKENDS; i++) {
        struct shape s = cases[i / 6 % 2];
        tess_fc_desc desc = {.n = s.n,
                             .c = s.c,
                             .k = s.k,
                             .bias = i % 2,
                             .act = {kinds[i % 6 / 2], 0},
                             .backend = backends[i / 12]};
        struct data d = make_data(s);
        float bias[7];
        check_random(bias, 7, -1, 1, 4);
        double *want = reference(s, &d, FORWARD);
        for (size_t j = 0; j < product(s.n, s.k); j++)
            want[j] = activate(desc.act, want[j] + (desc.bias ? (double)bias[j % (size_t)s.k] : 0));
        tess_fc *fc = NULL;
        assert_ok(ctx, tess_fc_create(ctx, &desc, &fc));
        tess_tensor *x = check_tensor(ctx, desc_nhwc(s.n, s.c / 4, 2, 2), d.x);
        tess_tensor *w = check_tensor(ctx, desc_rsck(2, 2, s.c / 4, s.k), d.w);
        tess_tensor *b = desc.bias ? check_tensor(ctx, desc_vector(s.k), bias) : NULL;
        tess_tensor *y = check_tensor(ctx, desc_nhwc(s.n, s.k, 1, 1), NULL);
        tess_tensor *workspace = make_workspace(ctx, fc);
        assert_ok(ctx, tess_fc_forward(fc, x, w, b, y, workspace, 0));
        float *got = check_read(y);
        check_close(got, want, product(s.n, s.k), check_tolerance((size_t)s.c), 4, "fc epilogue");
        free(got);
        free(want);
        free_data(&d);
        tess_tensor_destroy(x);
        tess_tensor_destroy(w);
        tess_tensor_destroy(b);
        tess_tensor_destroy(y);
        tess_tensor_destroy(workspace);
        tess_fc_destroy(fc);
    }
}

static void test_create_errors(void **state) {
    tess_context *ctx = *state;
    tess_fc *fc = NULL;
    const tess_fc_desc good = {.n = 2, .c = 3, .k = 4};
    assert_int_equal(tess_fc_create(NULL, &good, &fc), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_fc_create(ctx, NULL, &fc), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_fc_create(ctx, &good, NULL), TESS_INVALID_ARGUMENT);
    const tess_fc_desc bad[] = {{.n = 0, .c = 3, .k = 4},
                                {.n = 2, .c = -3, .k = 4},
                                {.n = 2, .c = 3, .k = 0},
                                {.n = 1, .c = 65536, .k = 65536}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tess_fc_create(ctx, &bad[i], &fc), TESS_INVALID_SHAPE);
    const tess_fc_desc unknown = {.n = 2, .c = 3, .k = 4, .act = {(tess_activation)77, 0}};
    assert_int_equal(tess_fc_create(ctx, &unknown, &fc), TESS_INVALID_ARGUMENT);
    const tess_fc_desc nobody = {.n = 2, .c = 3, .k = 4, .backend = "cublas"};
    assert_int_equal(tess_fc_create(ctx, &nobody, &fc), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(tess_context_last_error(ctx), "cublas"));
    assert_null(fc);
    tess_fc_destroy(NULL);
    assert_int_equal(tess_fc_workspace(NULL), 0);
}

static void test_argument_errors(void **state) {
    tess_context *ctx = *state;
    tess_fc *fc = NULL, *biased = NULL;
    assert_ok(ctx, tess_fc_create(ctx, &(tess_fc_desc){.n = 3, .c = 7, .k = 5}, &fc));
    assert_ok(ctx,
              tess_fc_create(ctx, &(tess_fc_desc){.n = 3, .c = 7, .k = 5, .bias = true}, &biased));
    tess_tensor *x = check_tensor(ctx, desc_nhwc(3, 7, 1, 1), NULL);
    tess_tensor *w = check_tensor(ctx, desc_rsck(1, 1, 7, 5), NULL);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(3, 5, 1, 1), NULL);
    tess_tensor *turned = check_tensor(ctx, desc_nhwc(7, 3, 1, 1), NULL);
    tess_tensor *swapped = check_tensor(ctx, desc_rsck(1, 1, 5, 7), NULL);
    tess_tensor *bias = check_tensor(ctx, desc_vector(5), NULL);
    tess_tensor *six = check_tensor(ctx, desc_vector(6), NULL);
    tess_tensor *scratch = make_workspace(ctx, fc);
    const struct {
        tess_fc *fc;
        tess_tensor *x, *w, *bias, *y;
    } bad[] = {{NULL, x, w, NULL, y},   {fc, NULL, w, NULL, y},   {fc, x, NULL, NULL, y},
               {fc, x, w, NULL, NULL},  {fc, turned, w, NULL, y}, {fc, x, swapped, NULL, y},
               {fc, x, w, NULL, x},     {fc, w, w, NULL, y},      {fc, x, w, bias, y},
               {biased, x, w, NULL, y}, {biased, x, w, six, y}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(
            tess_fc_forward(bad[i].fc, bad[i].x, bad[i].w, bad[i].bias, bad[i].y, scratch, 0),
            TESS_OK);
    assert_int_not_equal(tess_fc_backward_data(NULL, y, w, x, scratch, 0), TESS_OK);
    assert_int_not_equal(tess_fc_backward_data(fc, x, w, y, scratch, 0), TESS_OK);
    assert_int_not_equal(tess_fc_backward_data(fc, y, w, NULL, scratch, 0), TESS_OK);
    assert_int_not_equal(tess_fc_backward_weights(NULL, x, y, w, scratch), TESS_OK);
    assert_int_not_equal(tess_fc_backward_weights(fc, x, y, swapped, scratch), TESS_OK);
    assert_int_not_equal(tess_fc_backward_weights(fc, x, NULL, w, scratch), TESS_OK);
    assert_non_null(strstr(tess_context_last_error(ctx), "fully connected: dy"));
    tess_tensor *all[] = {x, w, y, turned, swapped, bias, six, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tess_tensor_destroy(all[i]);
    tess_fc_destroy(fc);
    tess_fc_destroy(biased);
}

/* A layer that needs a workspace says so when it gets none or too little. */
static void test_workspace_errors(void **state) {
    tess_context *ctx = *state;
    if (check_tiny()) return; /* tiny layers need none */
    const struct shape s = {137, 1031, 1027};
    tess_fc *fc = make_fc(ctx, s, "clblast");
    if (tess_fc_workspace(fc) > 0) {
        tess_tensor *x = check_tensor(ctx, desc_nhwc(s.n, s.c, 1, 1), NULL);
        tess_tensor *w = check_tensor(ctx, desc_rsck(1, 1, s.c, s.k), NULL);
        tess_tensor *y = check_tensor(ctx, desc_nhwc(s.n, s.k, 1, 1), NULL);
        tess_tensor *small = check_tensor(ctx, desc_vector(3), NULL);
        tess_tensor *bad[] = {NULL, small};
        for (int i = 0; i < 2; i++) {
            assert_int_not_equal(tess_fc_forward(fc, x, w, NULL, y, bad[i], 0), TESS_OK);
            assert_int_not_equal(tess_fc_backward_data(fc, y, w, x, bad[i], 0), TESS_OK);
            assert_int_not_equal(tess_fc_backward_weights(fc, x, y, w, bad[i]), TESS_OK);
        }
        tess_tensor_destroy(x);
        tess_tensor_destroy(w);
        tess_tensor_destroy(y);
        tess_tensor_destroy(small);
    }
    tess_fc_destroy(fc);
}

/* Forward only: the other passes refuse. */
static void test_forward_only(void **state) {
    tess_context *ctx = *state;
    tess_fc *fc = NULL;
    const tess_fc_desc desc = {.n = 2, .c = 3, .k = 4, .forward_only = true};
    assert_ok(ctx, tess_fc_create(ctx, &desc, &fc));
    tess_tensor *x = check_tensor(ctx, desc_nhwc(2, 3, 1, 1), NULL);
    tess_tensor *w = check_tensor(ctx, desc_rsck(1, 1, 3, 4), NULL);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(2, 4, 1, 1), NULL);
    tess_tensor *workspace = make_workspace(ctx, fc);
    assert_ok(ctx, tess_fc_forward(fc, x, w, NULL, y, workspace, 0));
    assert_int_equal(tess_fc_backward_data(fc, y, w, x, workspace, 0), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_fc_backward_weights(fc, x, y, w, workspace), TESS_INVALID_ARGUMENT);
    assert_string_equal(tess_fc_pass_info(fc, TESS_CONV_BWD_DATA).backend, "");
    tess_tensor *all[] = {x, w, y, workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tess_tensor_destroy(all[i]);
    tess_fc_destroy(fc);
}

/* CLBlast keeps programs until the process ends. Under Oclgrind 21.10 releasing them that late corrupts the heap
   (a CLBlast program without Tessera shows the same), so they go while the simulator is still whole. */
static int teardown(void **state) {
    int failed = check_teardown(state);
    return CLBlastClearCache() == CLBlastSuccess ? failed : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),          cmocka_unit_test(test_past_caches),
        cmocka_unit_test(test_against_onednn),  cmocka_unit_test(test_differences),
        cmocka_unit_test(test_epilogue),        cmocka_unit_test(test_create_errors),
        cmocka_unit_test(test_argument_errors), cmocka_unit_test(test_workspace_errors),
        cmocka_unit_test(test_forward_only),
    };
    return cmocka_run_group_tests_name("fc", tests, check_setup, teardown);
}
