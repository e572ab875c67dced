/* Resize against float64, and its gradient. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

/* The first ones are tiny. */
static const struct resizing {
    struct nd_shape x;
    int64_t sizes[ND_MAX_RANK];
    float scales[ND_MAX_RANK];
} resizings[] = {
    {{0}, {0}, {0}},
    {{1, {4}}, {8}, {0}},
    {{1, {5}}, {3}, {0}},
    {{1, {3}}, {1}, {0}},
    {{1, {3}}, {0}, {1.2f}},
    {{4, {1, 2, 3, 4}}, {0}, {1, 1, 2, 2.5f}},
    {{4, {2, 3, 5, 19}}, {2, 7, 11, 19}, {0}},
    {{4, {1, 5, 4, 17}}, {0}, {1, 0.6f, 0.5f, 1}},
    {{4, {1, 2, 3, 18}}, {0}, {1, 5, 6, 1}}, /* more taps of dx than are held at once */
    {{3, {2, 3, 2}}, {3, 2, 5}, {0}},
    {{2, {0, 3}}, {0, 6}, {0}},
    /* full sizes from here on */
    {{4, {2, 13, 17, 64}}, {0}, {1, 2, 2, 1}},
    {{4, {2, 20, 17, 31}}, {0}, {1, 1, 2, 2}},
    {{4, {1, 3, 64, 48}}, {1, 3, 37, 101}, {0}},
};

static const struct form {
    enum nd_resize_mode mode;
    enum nd_coordinates coordinates;
    enum nd_rounding rounding;
} forms[] = {
    {ND_LINEAR, ND_HALF_PIXEL, 0},
    {ND_LINEAR, ND_ASYMMETRIC, 0},
    {ND_LINEAR, ND_ALIGN_CORNERS, 0},
    {ND_LINEAR, ND_PYTORCH_HALF_PIXEL, 0},
    {ND_NEAREST, ND_HALF_PIXEL, ND_ROUND_PREFER_FLOOR},
    {ND_NEAREST, ND_ASYMMETRIC, ND_FLOOR_DOWN},
    {ND_NEAREST, ND_ALIGN_CORNERS, ND_ROUND_PREFER_CEIL},
    {ND_NEAREST, ND_HALF_PIXEL, ND_CEIL_UP},
};

static double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

/* The weight of x's coordinate i in y's c, by the distance to where c lies. */
static double weight(const struct form *form, double scale, int64_t x, int64_t y, int64_t c,
                     int64_t i) {
    double at = ((double)c + 0.5) / scale - 0.5, nearest;
    if (form->coordinates == ND_ASYMMETRIC) at = (double)c / scale;
    if (form->coordinates == ND_ALIGN_CORNERS)
        at = y == 1 ? 0 : (double)(c * (x - 1)) / (scale * (double)x - 1);
    if (form->coordinates == ND_PYTORCH_HALF_PIXEL && y == 1) at = 0;
    if (form->mode == ND_LINEAR)
        return fmax(0, 1 - fabs(clamp(at, 0, (double)(x - 1)) - (double)i));
    double below = floor(at), part = at - below;
    bool up = form->rounding == ND_CEIL_UP              ? part > 0
              : form->rounding == ND_ROUND_PREFER_FLOOR ? part > 0.5
              : form->rounding == ND_ROUND_PREFER_CEIL  ? part >= 0.5
                                                        : false;
    nearest = clamp(up ? below + 1 : below, 0, (double)(x - 1));
    return nearest == (double)i;
}

/* A dense matrix of weights for each dimension. */
struct maps {
    const struct nd_shape *x, *y;
    double *of[ND_MAX_RANK]; /* Y x X */
};

/* Adds what y's element at c takes from dimension d on: into y, and into dx. */
static void add(const struct maps *maps, const int64_t *c, int d, size_t x_element, double product,
                const float *x, double dy, double *y, double *dx) {
    if (d == maps->x->rank) {
        *y += product * (double)x[x_element];
        dx[x_element] += product * dy;
        return;
    }
    int64_t size = maps->x->dims[d];
    for (int64_t i = 0; i < size; i++) {
        double w = maps->of[d][c[d] * size + i];
        if (w != 0)
            add(maps, c, d + 1, x_element * (size_t)size + (size_t)i, product * w, x, dy, y, dx);
    }
}

static void reference(const struct resizing *r, const struct form *form, const struct nd_shape *y,
                      const float *x, const float *dy, double *want, double *want_dx) {
    struct maps maps = {.x = &r->x, .y = y};
    for (int d = 0; d < y->rank; d++) {
        int64_t from = r->x.dims[d], to = y->dims[d];
        double scale = r->scales[d] != 0 ? (double)r->scales[d] : (double)to / (double)from;
        maps.of[d] = check_alloc((size_t)(from * to) * sizeof(double));
        for (int64_t c = 0; c < to; c++)
            for (int64_t i = 0; i < from; i++)
                maps.of[d][c * from + i] = weight(form, scale, from, to, c, i);
    }
    size_t count = (size_t)nd_elements(y);
    for (size_t e = 0; e < count; e++) {
        int64_t c[ND_MAX_RANK];
        nd_coordinates(y, e, c);
        want[e] = 0;
        add(&maps, c, 0, 0, 1, x, (double)dy[e], &want[e], want_dx);
    }
    for (int d = 0; d < y->rank; d++)
        free(maps.of[d]);
}

static void check_resize(tess_context *ctx, const struct resizing *r, const struct form *form,
                         const char *label) {
    struct nd_resize_desc desc = {.mode = form->mode,
                                  .coordinates = form->coordinates,
                                  .rounding = form->rounding,
                                  .x = r->x,
                                  .gradients = true};
    struct nd_resize *op = NULL;
    memcpy(desc.sizes, r->sizes, sizeof r->sizes);
    memcpy(desc.scales, r->scales, sizeof r->scales);
    assert_ok(ctx, nd_resize_create(ctx, &desc, &op));
    const struct nd_shape *shape = nd_resize_shape(op);
    for (int d = 0; d < shape->rank; d++)
        assert_int_equal(shape->dims[d], r->sizes[d] || r->x.dims[d] == 0
                                             ? r->sizes[d]
                                             : (int64_t)((float)r->x.dims[d] * r->scales[d]));
    size_t x_count = (size_t)nd_elements(&r->x), y_count = (size_t)nd_elements(shape);
    float *x = nd_random(x_count, -1, 1, 1), *dy = nd_random(y_count, -1, 1, 2);
    double *want = check_alloc(y_count * sizeof *want);
    double *want_dx = calloc(x_count + 1, sizeof *want_dx);
    assert_non_null(want_dx);
    reference(r, form, shape, x, dy, want, want_dx);
    cl_mem mx = nd_buffer(ctx, x_count * 4, x), my = nd_buffer(ctx, y_count * 4, NULL);
    cl_mem mdy = nd_buffer(ctx, y_count * 4, dy), mdx = nd_buffer(ctx, x_count * 4, NULL);
    assert_ok(ctx, nd_resize_forward(op, mx, my));
    assert_ok(ctx, nd_resize_backward(op, mdy, mdx));
    float *y = nd_read(ctx, my, y_count), *dx = nd_read(ctx, mdx, x_count);
    check_close(y, want, y_count, form->mode == ND_NEAREST ? 0 : 1e-6, 1, label);
    check_close(dx, want_dx, x_count, 2e-6, 4, label);
    cl_mem all[] = {mx, my, mdy, mdx};
    for (size_t i = 0; i < 4; i++)
        clReleaseMemObject(all[i]);
    void *memory[] = {x, dy, want, want_dx, y, dx};
    for (size_t i = 0; i < 6; i++)
        free(memory[i]);
    nd_resize_destroy(op);
}

static void agrees_with_the_reference(void **state) {
    size_t count = check_tiny() ? 11 : sizeof resizings / sizeof resizings[0];
    for (size_t i = 0; i < count; i++)
        for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
            char label[128], text[96];
            snprintf(label, sizeof label, "Resize %zu of %s, form %zu", i,
                     nd_print(&resizings[i].x, text), f);
            check_resize(*state, &resizings[i], &forms[f], label);
        }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_resize *op = NULL;
    struct nd_resize_desc good = {.x = ND_SHAPE(2, 3), .scales = {1, 2}}, bad;
    assert_int_equal(nd_resize_create(NULL, &good, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_resize_create(ctx, NULL, &op), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.mode = (enum nd_resize_mode)2;
    assert_int_equal(nd_resize_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.scales[0] = -1;
    assert_int_equal(nd_resize_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad.scales[0] = NAN;
    assert_int_equal(nd_resize_create(ctx, &bad, &op), TESS_INVALID_ARGUMENT);
    bad.scales[0] = 0.25f;
    assert_int_equal(nd_resize_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    bad.scales[0] = 1e9f;
    assert_int_equal(nd_resize_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    bad = good;
    bad.sizes[0] = -4;
    assert_int_equal(nd_resize_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    assert_null(op);
    assert_ok(ctx, nd_resize_create(ctx, &good, &op));
    cl_mem x = nd_buffer(ctx, 24, NULL), y = nd_buffer(ctx, 48, NULL);
    assert_int_equal(nd_resize_forward(op, x, x), TESS_INVALID_SHAPE);
    assert_int_equal(nd_resize_forward(op, NULL, y), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_resize_backward(op, y, x), TESS_INVALID_ARGUMENT);
    clReleaseMemObject(x);
    clReleaseMemObject(y);
    nd_resize_destroy(op);
    nd_resize_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
