/* Padding: which element goes where, and back for gradients. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

/* The first ones are tiny. Negative padding is for ND_PAD_CONSTANT only. */
static const struct padding {
    struct nd_shape x;
    int64_t before[ND_MAX_RANK], after[ND_MAX_RANK];
} paddings[] = {
    {{0}, {0}, {0}},
    {{1, {5}}, {2}, {1}},
    {{1, {5}}, {0}, {0}},
    {{2, {3, 19}}, {0, 2}, {1, 0}},
    {{4, {2, 3, 4, 5}}, {0, 0, 1, 2}, {0, 0, 3, 1}},
    {{4, {2, 4, 5, 3}}, {0, 1, 2, 0}, {0, 2, 1, 0}},
    {{4, {1, 4, 3, 17}}, {0, 1, 0, 0}, {0, 0, 2, 0}},
    {{5, {2, 2, 3, 2, 3}}, {1, 0, 1, 1, 2}, {0, 1, 0, 1, 1}},
    {{1, {1}}, {3}, {2}},
    {{1, {3}}, {7}, {9}}, /* reflected more than once */
    {{2, {4, 21}}, {-1, 2}, {1, -3}},
    {{2, {4, 5}}, {-4, 0}, {2, 0}},
    {{2, {4, 5}}, {-2, 0}, {-2, 0}},
    {{2, {0, 3}}, {1, 0}, {1, 1}},
    /* full sizes from here on */
    {{4, {3, 29, 31, 20}}, {0, 1, 1, 0}, {0, 1, 1, 0}},
    {{4, {2, 7, 53, 49}}, {0, 0, 3, 3}, {0, 0, 3, 3}},
};

static bool fits(const struct padding *p, int mode) {
    for (int d = 0; mode != ND_PAD_CONSTANT && d < p->x.rank; d++)
        if (p->before[d] < 0 || p->after[d] < 0 || p->x.dims[d] == 0) return false;
    return true;
}

/* x's coordinate for y's c, -1: none. Walks step by step, unlike the kernel. */
static int64_t source_of(int mode, int64_t c, int64_t before, int64_t size) {
    int64_t at = c - before;
    if (at >= 0 && at < size) return at;
    if (mode == ND_PAD_CONSTANT) return -1;
    if (mode == ND_PAD_EDGE) return at < 0 ? 0 : size - 1;
    if (size == 1) return 0;
    while (at < 0 || at >= size)
        at = at < 0 ? -at : 2 * (size - 1) - at;
    return at;
}

static void check_pad(tess_context *ctx, const struct padding *p, int mode, const char *label) {
    struct nd_pad_desc desc = {
        .mode = (enum nd_pad_mode)mode, .x = p->x, .value = 0.5f, .gradients = true};
    memcpy(desc.before, p->before, sizeof p->before);
    memcpy(desc.after, p->after, sizeof p->after);
    struct nd_pad *op = NULL;
    assert_ok(ctx, nd_pad_create(ctx, &desc, &op));
    const struct nd_shape *shape = nd_pad_shape(op);
    size_t x_count = (size_t)nd_elements(&p->x), y_count = (size_t)nd_elements(shape);
    float *x = nd_random(x_count, -1, 1, 1), *dy = nd_random(y_count, -1, 1, 2);
    double *want = check_alloc(y_count * sizeof *want);
    double *want_dx = calloc(x_count + 1, sizeof *want_dx);
    assert_non_null(want_dx);
    for (size_t i = 0; i < y_count; i++) {
        int64_t at[ND_MAX_RANK];
        bool inside = true;
        nd_coordinates(shape, i, at);
        for (int d = 0; d < shape->rank; d++) {
            at[d] = source_of(mode, at[d], p->before[d], p->x.dims[d]);
            inside = inside && at[d] >= 0;
        }
        want[i] = inside ? (double)x[nd_element(&p->x, at)] : 0.5;
        if (inside) want_dx[nd_element(&p->x, at)] += (double)dy[i];
    }
    cl_mem mx = nd_buffer(ctx, x_count * 4, x), my = nd_buffer(ctx, y_count * 4, NULL);
    cl_mem mdy = nd_buffer(ctx, y_count * 4, dy), mdx = nd_buffer(ctx, x_count * 4, NULL);
    assert_ok(ctx, nd_pad_forward(op, mx, my));
    assert_ok(ctx, nd_pad_backward(op, mdy, mdx));
    float *y = nd_read(ctx, my, y_count), *dx = nd_read(ctx, mdx, x_count);
    check_close(y, want, y_count, 0, 0, label);
    check_close(dx, want_dx, x_count, mode == ND_PAD_CONSTANT ? 0 : check_tolerance(100), 1, label);
    cl_mem all[] = {mx, my, mdy, mdx};
    for (size_t i = 0; i < 4; i++)
        clReleaseMemObject(all[i]);
    void *memory[] = {x, dy, want, want_dx, y, dx};
    for (size_t i = 0; i < 6; i++)
        free(memory[i]);
    nd_pad_destroy(op);
}

static void agrees_with_the_reference(void **state) {
    static const char *const modes[] = {"constant", "edge", "reflect"};
    size_t count = check_tiny() ? 14 : sizeof paddings / sizeof paddings[0];
    for (size_t i = 0; i < count; i++)
        for (int mode = 0; mode < 3; mode++) {
            char label[128], text[96];
            if (!fits(&paddings[i], mode)) continue;
            snprintf(label, sizeof label, "Pad %s, number %zu, %s", modes[mode], i,
                     nd_print(&paddings[i].x, text));
            check_pad(*state, &paddings[i], mode, label);
        }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_pad *op = NULL;
    struct nd_pad_desc good = {.x = ND_SHAPE(2, 3), .before = {1}}, bad;
    assert_int_equal(nd_pad_create(NULL, &good, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_pad_create(ctx, NULL, &op), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.mode = (enum nd_pad_mode)3;
    assert_int_equal(nd_pad_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.dtype = ND_I64;
    assert_int_equal(nd_pad_create(ctx, &bad, &op), TESS_UNSUPPORTED);
    bad = good;
    bad.before[0] = -3;
    assert_int_equal(nd_pad_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    bad.before[0] = INT64_MIN;
    assert_int_equal(nd_pad_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    bad.before[0] = INT32_MAX;
    assert_int_equal(nd_pad_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    bad.before[0] = -1;
    bad.mode = ND_PAD_EDGE;
    assert_int_equal(nd_pad_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    assert_null(op);
    assert_ok(ctx, nd_pad_create(ctx, &good, &op));
    cl_mem x = nd_buffer(ctx, 24, NULL), y = nd_buffer(ctx, 36, NULL);
    assert_int_equal(nd_pad_forward(op, x, x), TESS_INVALID_SHAPE);
    assert_int_equal(nd_pad_forward(op, NULL, y), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_pad_backward(op, y, x), TESS_INVALID_ARGUMENT);
    clReleaseMemObject(x);
    clReleaseMemObject(y);
    nd_pad_destroy(op);
    nd_pad_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
