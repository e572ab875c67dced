/* Pooling against a float64 reference, oneDNN and finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/dnnl_pool.h"
#include "support/ref_pool.h"

/* Without modes; each case runs in all four. The first ones are tiny. */
static const tess_pool_desc cases[] = {
    {.n = 1, .c = 1, .h = 1, .w = 1, .r = 1, .s = 1},
    {.n = 2, .c = 3, .h = 5, .w = 4, .r = 2, .s = 2},
    {.n = 1, .c = 1, .h = 7, .w = 6, .r = 3, .s = 2, .stride_h = 2, .stride_w = 1},
    {.n = 1, .c = 16, .h = 4, .w = 4, .r = 2, .s = 2, .ceil_mode = true},
    {.n = 2,
     .c = 5,
     .h = 6,
     .w = 7,
     .r = 3,
     .s = 3,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_left = 2,
     .ceil_mode = true},
    {.n = 1,
     .c = 17,
     .h = 3,
     .w = 4,
     .r = 3,
     .s = 4,
     .stride_h = 1,
     .stride_w = 1,
     .pad_top = 2,
     .pad_bottom = 2,
     .pad_left = 3,
     .pad_right = 1},
    {.n = 3, .c = 20, .h = 3, .w = 5, .global = true},
    {.n = 1, .c = 4, .h = 9, .w = 3, .r = 2, .s = 1, .stride_h = 3, .stride_w = 2},
    {.n = 2,
     .c = 33,
     .h = 5,
     .w = 5,
     .r = 3,
     .s = 3,
     .stride_h = 3,
     .stride_w = 3,
     .pad_bottom = 1,
     .pad_right = 2,
     .ceil_mode = true},
    {.n = 2,
     .c = 6,
     .h = 7,
     .w = 5,
     .r = 3,
     .s = 2,
     .stride_h = 1,
     .stride_w = 2,
     .pad_top = 3,
     .pad_left = 2,
     .pad_right = 1,
     .dilation_h = 2,
     .dilation_w = 3,
     .ceil_mode = true},
    /* full sizes from here on */
    {.n = 7, .c = 6, .h = 28, .w = 28, .r = 2, .s = 2},
    {.n = 3,
     .c = 64,
     .h = 29,
     .w = 31,
     .r = 3,
     .s = 3,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_bottom = 1,
     .pad_left = 1,
     .pad_right = 1},
    {.n = 2, .c = 96, .h = 55, .w = 55, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2},
    {.n = 2, .c = 512, .h = 7, .w = 7, .global = true},
    {.n = 1,
     .c = 203,
     .h = 11,
     .w = 13,
     .r = 5,
     .s = 4,
     .stride_h = 1,
     .stride_w = 3,
     .pad_top = 4,
     .pad_bottom = 3,
     .pad_left = 0,
     .pad_right = 3,
     .ceil_mode = true},
    {.n = 5,
     .c = 3,
     .h = 32,
     .w = 32,
     .r = 3,
     .s = 3,
     .stride_h = 2,
     .stride_w = 2,
     .pad_bottom = 1,
     .pad_right = 1},
};

static size_t case_count(void) {
    return check_tiny() ? 10 : sizeof cases / sizeof cases[0];
}

/* One pooling, its data and what the device made of them. */
struct trial {
    tess_context *ctx;
    tess_pool_desc desc; /* complete */
    int p, q;
    size_t x_count, y_count, c;
    float *x, *scale, *bias, *dy;          /* inputs */
    double *x64, *scale64, *bias64, *dy64; /* the same */
    float *y, *dx, *dscale, *dbias;        /* of the device */
    int *positions;
    char label[160];
};

static double *widen(const float *data, size_t count) {
    double *wide = check_alloc(count * sizeof *wide);
    for (size_t i = 0; i < count; i++)
        wide[i] = (double)data[i];
    return wide;
}

static float *random_floats(size_t count, uint64_t seed) {
    float *data = check_alloc(count * sizeof *data);
    check_random(data, count, -1.0f, 1.0f, seed);
    return data;
}

static void trial_begin(struct trial *t, tess_context *ctx, tess_pool_desc desc) {
    static const char *const modes[] = {"max", "avg", "avg with pad", "weighted"};
    memset(t, 0, sizeof *t);
    t->ctx = ctx;
    if (desc.global) {
        desc.r = desc.h;
        desc.s = desc.w;
        desc.stride_h = desc.stride_w = 1;
    }
    if (!desc.stride_h) desc.stride_h = desc.r;
    if (!desc.stride_w) desc.stride_w = desc.s;
    if (!desc.dilation_h) desc.dilation_h = 1;
    if (!desc.dilation_w) desc.dilation_w = 1;
    t->desc = desc;
    assert_ok(ctx, tess_pool_out_size(&desc, NULL, &t->p, &t->q));
    t->c = (size_t)desc.c;
    t->x_count = (size_t)desc.n * (size_t)desc.h * (size_t)desc.w * t->c;
    t->y_count = (size_t)desc.n * (size_t)t->p * (size_t)t->q * t->c;
    t->x = random_floats(t->x_count, 1);
    t->dy = random_floats(t->y_count, 2);
    t->scale = random_floats(t->c, 3);
    t->bias = random_floats(t->c, 4);
    t->x64 = widen(t->x, t->x_count);
    t->dy64 = widen(t->dy, t->y_count);
    t->scale64 = widen(t->scale, t->c);
    t->bias64 = widen(t->bias, t->c);
    snprintf(t->label, sizeof t->label, "%s n%d c%d h%d w%d r%d s%d u%d v%d", modes[desc.mode],
             desc.n, desc.c, desc.h, desc.w, desc.r, desc.s, desc.stride_h, desc.stride_w);
}

static void trial_end(struct trial *t) {
    void *all[] = {t->x,    t->scale, t->bias, t->dy,     t->x64,   t->scale64,  t->bias64,
                   t->dy64, t->y,     t->dx,   t->dscale, t->dbias, t->positions};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* Forward and backward on the device, outputs poisoned. */
static void trial_run(struct trial *t) {
    const tess_pool_desc *d = &t->desc;
    tess_context *ctx = t->ctx;
    bool max = d->mode == TESS_POOL_MAX, weighted = d->mode == TESS_POOL_WEIGHTED;
    tess_tensor_desc x_desc = desc_nhwc(d->n, d->c, d->h, d->w);
    tess_tensor_desc y_desc = desc_nhwc(d->n, d->c, t->p, t->q), at_desc = y_desc;
    at_desc.dtype = TESS_I32;
    tess_pool *pool = NULL;
    assert_ok(ctx, tess_pool_create(ctx, d, &pool));
    tess_tensor *x = check_tensor(ctx, x_desc, t->x), *y = check_tensor(ctx, y_desc, NULL);
    tess_tensor *dy = check_tensor(ctx, y_desc, t->dy), *dx = check_tensor(ctx, x_desc, NULL);
    tess_tensor *at = check_tensor(ctx, at_desc, NULL);
    tess_tensor *scale = check_tensor(ctx, desc_vector(d->c), t->scale);
    tess_tensor *bias = check_tensor(ctx, desc_vector(d->c), t->bias);
    tess_tensor *dscale = check_tensor(ctx, desc_vector(d->c), NULL);
    tess_tensor *dbias = check_tensor(ctx, desc_vector(d->c), NULL);
    size_t bytes = tess_pool_workspace(pool);
    assert_true(weighted ? bytes > 0 : bytes == 0);
    tess_tensor *workspace = check_tensor(ctx, desc_vector((int)(bytes / 4) + 1), NULL);

    tess_pool_args forward = {.x = x, .y = y, .positions = max ? at : NULL};
    tess_pool_grad_args backward = {.dy = dy, .dx = dx, .positions = max ? at : NULL};
    if (weighted) {
        forward.scale = backward.scale = scale;
        forward.bias = bias;
        backward.x = x;
        backward.dscale = dscale;
        backward.dbias = dbias;
        backward.workspace = workspace;
    }
    assert_ok(ctx, tess_pool_forward(pool, &forward));
    assert_ok(ctx, tess_pool_backward(pool, &backward));
    t->y = check_read(y);
    t->dx = check_read(dx);
    t->dscale = check_read(dscale);
    t->dbias = check_read(dbias);
    t->positions = check_alloc(t->y_count * sizeof *t->positions);
    assert_ok(ctx, tess_tensor_read(at, t->positions, TESS_NHWC));

    tess_tensor *all[] = {x, y, dy, dx, at, scale, bias, dscale, dbias, workspace};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tess_tensor_destroy(all[i]);
    tess_pool_destroy(pool);
}

static void compare_with_reference(struct trial *t) {
    double *y = check_alloc(t->y_count * sizeof *y), *dx = check_alloc(t->x_count * sizeof *dx);
    double *dscale = check_alloc(t->c * sizeof *dscale), *dbias = check_alloc(t->c * sizeof *dbias);
    int *positions = check_alloc(t->y_count * sizeof *positions);
    bool max = t->desc.mode == TESS_POOL_MAX;
    ref_pool_forward(&t->desc, t->p, t->q, t->x64, t->scale64, t->bias64, y, positions);
    ref_pool_backward(&t->desc, t->p, t->q, t->x64, t->scale64, t->dy64, dx, dscale, dbias);
    double tolerance = check_tolerance((size_t)t->desc.r * (size_t)t->desc.s);
    check_close(t->y, y, t->y_count, max ? 0 : tolerance, 1, t->label);
    check_close(t->dx, dx, t->x_count, tolerance, 1, t->label);
    if (max) check_same_bytes(t->positions, positions, t->y_count * sizeof *positions, t->label);
    if (t->desc.mode == TESS_POOL_WEIGHTED) {
        size_t rows = t->y_count / t->c;
        check_close(t->dscale, dscale, t->c, check_tolerance(rows), sqrt((double)rows), t->label);
        check_close(t->dbias, dbias, t->c, check_tolerance(rows), sqrt((double)rows), t->label);
    }
    free(y);
    free(dx);
    free(dscale);
    free(dbias);
    free(positions);
}

static void for_all(void **state, bool (*wanted)(const tess_pool_desc *),
                    void (*check)(struct trial *)) {
    for (size_t i = 0; i < case_count(); i++)
        for (int mode = TESS_POOL_MAX; mode <= TESS_POOL_WEIGHTED; mode++) {
            tess_pool_desc desc = cases[i];
            desc.mode = (tess_pool_mode)mode;
            if (wanted && !wanted(&desc)) continue;
            struct trial trial;
            trial_begin(&trial, *state, desc);
            trial_run(&trial);
            check(&trial);
            trial_end(&trial);
        }
}

static void agrees_with_the_reference(void **state) {
    for_all(state, NULL, compare_with_reference);
}

static bool onednn_can(const tess_pool_desc *desc) {
    if (desc->dilation_h > 1 || desc->dilation_w > 1) return false;
    return desc->mode == TESS_POOL_MAX || desc->mode == TESS_POOL_AVG ||
           (desc->mode == TESS_POOL_AVG_WITH_PAD && !desc->ceil_mode);
}

static void compare_with_onednn(struct trial *t) {
    float *y = check_alloc(t->y_count * sizeof *y), *dx = check_alloc(t->x_count * sizeof *dx);
    dnnl_pool(&t->desc, t->p, t->q, t->x, y, t->dy, dx);
    double *y64 = widen(y, t->y_count), *dx64 = widen(dx, t->x_count);
    double tolerance = 2 * check_tolerance((size_t)t->desc.r * (size_t)t->desc.s);
    check_close(t->y, y64, t->y_count, tolerance, 1, t->label);
    check_close(t->dx, dx64, t->x_count, tolerance, 1, t->label);
    free(y);
    free(dx);
    free(y64);
    free(dx64);
}

static void agrees_with_onednn(void **state) {
    for_all(state, onednn_can, compare_with_onednn);
}

/* sum of y dy in float64. */
static double loss(struct trial *t, double *scratch) {
    double sum = 0;
    ref_pool_forward(&t->desc, t->p, t->q, t->x64, t->scale64, t->bias64, scratch, NULL);
    for (size_t i = 0; i < t->y_count; i++)
        sum += scratch[i] * t->dy64[i];
    return sum;
}

static double slope(struct trial *t, double *parameter, double *scratch) {
    const double step = 1e-6; /* smaller than the distance of two random floats */
    double old = *parameter;
    *parameter = old + step;
    double up = loss(t, scratch);
    *parameter = old - step;
    double down = loss(t, scratch);
    *parameter = old;
    return (up - down) / (2 * step);
}

static bool small(const tess_pool_desc *desc) {
    return desc->n * desc->c * desc->h * desc->w <= 2000;
}

static void compare_with_differences(struct trial *t) {
    double *scratch = check_alloc(t->y_count * sizeof *scratch);
    for (size_t i = 0; i < t->x_count; i += 1 + t->x_count / 50) {
        double want = slope(t, &t->x64[i], scratch);
        check_close(&t->dx[i], &want, 1, 1e-6, 1, t->label);
    }
    for (size_t c = 0; t->desc.mode == TESS_POOL_WEIGHTED && c < t->c; c += 3) {
        double want = slope(t, &t->scale64[c], scratch);
        check_close(&t->dscale[c], &want, 1, 1e-6, 1, t->label);
        want = slope(t, &t->bias64[c], scratch);
        check_close(&t->dbias[c], &want, 1, 1e-6, 1, t->label);
    }
    free(scratch);
}

static void agrees_with_finite_differences(void **state) {
    for_all(state, small, compare_with_differences);
}

static void compare_with_another_run(struct trial *t) {
    struct trial again;
    trial_begin(&again, t->ctx, t->desc);
    trial_run(&again);
    check_same_bytes(t->y, again.y, t->y_count * sizeof *t->y, t->label);
    check_same_bytes(t->dx, again.dx, t->x_count * sizeof *t->dx, t->label);
    check_same_bytes(t->dscale, again.dscale, t->c * sizeof *t->dscale, t->label);
    check_same_bytes(t->dbias, again.dbias, t->c * sizeof *t->dbias, t->label);
    trial_end(&again);
}

static void repeats_bit_for_bit(void **state) {
    for_all(state, NULL, compare_with_another_run);
}

/* Equal values, minus infinity everywhere, and NaN. */
static void maximum_of_special_values(void **state) {
    tess_pool_desc desc = {.mode = TESS_POOL_MAX,
                           .n = 2,
                           .c = 19,
                           .h = 8,
                           .w = 9,
                           .r = 3,
                           .s = 3,
                           .stride_h = 2,
                           .stride_w = 2,
                           .pad_top = 1,
                           .pad_left = 1};
    struct trial t;
    trial_begin(&t, *state, desc);
    static const float values[] = {0, 1, 1, -1, -INFINITY, NAN, INFINITY, 1};
    for (size_t i = 0; i < t.x_count; i++) {
        size_t pick = (size_t)(fabsf(t.x[i]) * 1e6f) % (i % 19 < 6 ? 5 : 8);
        t.x[i] = i % 19 == 0 ? -INFINITY : values[pick];
        t.x64[i] = (double)t.x[i];
    }
    trial_run(&t);
    double *y = check_alloc(t.y_count * sizeof *y);
    int *positions = check_alloc(t.y_count * sizeof *positions);
    ref_pool_forward(&t.desc, t.p, t.q, t.x64, NULL, NULL, y, positions);
    int nans = 0;
    for (size_t i = 0; i < t.y_count; i++) {
        nans += isnan(y[i]) != 0;
        assert_int_equal(isnan(t.y[i]) != 0, isnan(y[i]) != 0);
        if (!isnan(y[i])) assert_true((double)t.y[i] == y[i]);
        assert_int_equal(t.positions[i], positions[i]);
    }
    assert_true(nans > 0 && nans < (int)t.y_count);
    free(y);
    free(positions);
    trial_end(&t);
}

static void works_without_positions_and_dx(void **state) {
    tess_context *ctx = *state;
    tess_pool_desc desc = {.mode = TESS_POOL_MAX, .n = 1, .c = 6, .h = 4, .w = 4, .r = 2, .s = 2};
    tess_pool *pool = NULL;
    assert_ok(ctx, tess_pool_create(ctx, &desc, &pool));
    float data[96], *got;
    for (int i = 0; i < 96; i++)
        data[i] = (float)i;
    tess_tensor *x = check_tensor(ctx, desc_nhwc(1, 6, 4, 4), data);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(1, 6, 2, 2), NULL);
    assert_ok(ctx, tess_pool_forward(pool, &(tess_pool_args){.x = x, .y = y}));
    got = check_read(y);
    for (int i = 0; i < 24; i++)
        assert_true(got[i] == (float)(i / 12 * 48 + 24 + i % 12 / 6 * 12 + 6 + i % 6));
    assert_ok(ctx, tess_pool_backward(pool, &(tess_pool_grad_args){.dy = y}));
    free(got);
    tess_tensor_destroy(x);
    tess_tensor_destroy(y);
    tess_pool_destroy(pool);
}

static void output_sizes(void **state) {
    (void)state;
    static const struct {
        int h, r, u, before, after;
        bool ceil_mode;
        int p; /* 0: impossible */
    } table[] = {
        {28, 2, 2, 0, 0, false, 14},        {55, 3, 2, 0, 0, false, 27}, {6, 3, 2, 0, 0, false, 2},
        {6, 3, 2, 0, 0, true, 3},           {5, 2, 2, 0, 0, false, 2},   {5, 2, 2, 0, 0, true, 3},
        {4, 2, 2, 1, 1, true, 3},           {4, 2, 3, 0, 0, true, 2},    {3, 1, 3, 0, 0, true, 1},
        {4, 2, 4, 1, 1, true, 2},           {3, 2, 4, 1, 1, true, 1},    {3, 4, 1, 0, 0, false, 0},
        {3, 4, 1, 0, 0, true, 0},           {3, 4, 1, 1, 0, false, 1},   {8, 2, 2, 2, 0, false, 0},
        {8, 2, 2, 0, 2, false, 0},          {8, 0, 2, 0, 0, false, 0},   {8, 2, -1, 0, 0, false, 0},
        {8, 2, 1, -1, 0, false, 0},         {0, 1, 1, 0, 0, false, 0},   {8, 2, 0, 0, 0, false, 4},
        {2147483647, 2, 2, 1, 1, false, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        tess_pool_desc desc = {.mode = TESS_POOL_AVG,
                               .n = 1,
                               .c = 1,
                               .h = table[i].h,
                               .w = 1,
                               .r = table[i].r,
                               .s = 1,
                               .stride_h = table[i].u,
                               .pad_top = table[i].before,
                               .pad_bottom = table[i].after,
                               .ceil_mode = table[i].ceil_mode};
        int p = -7, q = -7;
        tess_error error = {0};
        tess_status status = tess_pool_out_size(&desc, &error, &p, &q);
        assert_int_equal(status, table[i].p ? TESS_OK : TESS_INVALID_SHAPE);
        assert_int_equal(p, table[i].p ? table[i].p : -7);
        assert_int_equal(q, table[i].p ? 1 : -7);
        assert_int_equal(error.text[0] != '\0', table[i].p == 0);
    }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    int p, q;
    tess_pool *pool = NULL;
    tess_pool_desc good = {.mode = TESS_POOL_MAX, .n = 1, .c = 2, .h = 4, .w = 4, .r = 2, .s = 2};
    tess_pool_desc bad = good;
    assert_int_equal(tess_pool_out_size(NULL, NULL, &p, &q), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_pool_create(NULL, &good, &pool), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_pool_create(ctx, NULL, &pool), TESS_INVALID_ARGUMENT);
    bad.mode = (tess_pool_mode)9;
    assert_int_equal(tess_pool_create(ctx, &bad, &pool), TESS_INVALID_ARGUMENT);
    bad = good;
    bad.global = true;
    bad.pad_left = 1;
    assert_int_equal(tess_pool_create(ctx, &bad, &pool), TESS_INVALID_SHAPE);
    bad = good;
    bad.n = 65536;
    bad.c = 65536;
    assert_int_equal(tess_pool_create(ctx, &bad, &pool), TESS_INVALID_SHAPE);
    assert_null(pool);

    good.mode = TESS_POOL_WEIGHTED;
    assert_ok(ctx, tess_pool_create(ctx, &good, &pool));
    tess_tensor *x = check_tensor(ctx, desc_nhwc(1, 2, 4, 4), NULL);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(1, 2, 2, 2), NULL);
    tess_tensor *v = check_tensor(ctx, desc_vector(2), NULL);
    tess_pool_args forward[] = {{.y = y, .scale = v, .bias = v},
                                {.x = x, .scale = v, .bias = v},
                                {.x = y, .y = y, .scale = v, .bias = v},
                                {.x = x, .y = x, .scale = v, .bias = v},
                                {.x = x, .y = y, .bias = v},
                                {.x = x, .y = y, .scale = x, .bias = v}};
    for (size_t i = 0; i < sizeof forward / sizeof forward[0]; i++) {
        assert_int_not_equal(tess_pool_forward(pool, &forward[i]), TESS_OK);
        assert_true(strlen(tess_context_last_error(ctx)) > 0);
    }
    tess_pool_grad_args backward = {.dy = y, .dx = x, .x = x, .scale = v, .dscale = v, .dbias = v};
    assert_int_equal(tess_pool_backward(pool, &backward), TESS_INVALID_ARGUMENT);
    backward.workspace = v;
    assert_int_equal(tess_pool_backward(pool, &backward), TESS_INVALID_SHAPE);
    assert_int_equal(tess_pool_backward(pool, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_pool_forward(pool, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_pool_forward(NULL, &forward[0]), TESS_INVALID_ARGUMENT);
    tess_pool_destroy(pool);

    good.mode = TESS_POOL_AVG; /* takes neither */
    assert_ok(ctx, tess_pool_create(ctx, &good, &pool));
    tess_pool_args unasked[] = {{.x = x, .y = y, .scale = v},
                                {.x = x, .y = y, .bias = v},
                                {.x = x, .y = y, .positions = y}};
    for (size_t i = 0; i < sizeof unasked / sizeof unasked[0]; i++)
        assert_int_equal(tess_pool_forward(pool, &unasked[i]), TESS_INVALID_ARGUMENT);
    backward = (tess_pool_grad_args){.dy = y, .dx = x, .dscale = v};
    assert_int_equal(tess_pool_backward(pool, &backward), TESS_INVALID_ARGUMENT);
    tess_tensor_destroy(x);
    tess_tensor_destroy(y);
    tess_tensor_destroy(v);
    tess_pool_destroy(pool);
    tess_pool_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(agrees_with_onednn),
        cmocka_unit_test(agrees_with_finite_differences),
        cmocka_unit_test(repeats_bit_for_bit),
        cmocka_unit_test(maximum_of_special_values),
        cmocka_unit_test(works_without_positions_and_dx),
        cmocka_unit_test(output_sizes),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
