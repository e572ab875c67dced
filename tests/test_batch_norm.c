/* Batch normalisation against a float64 reference and finite differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/ref_act.h"
#include "support/ref_batch_norm.h"

/* The first ones are tiny. Channels that divide 64 or not, whole wide rows, a tail, both. */
static const struct shape {
    int n, c, h, w;
} shapes[] = {
    {2, 1, 1, 1},     {1, 3, 2, 2},     {2, 16, 3, 2},   {3, 5, 4, 3},      {1, 64, 2, 3},
    {5, 33, 1, 1},    {1, 1, 9, 9},     {2, 130, 2, 1},  {40, 6, 5, 5},     {3, 48, 29, 31},
    {8, 256, 28, 28}, {2, 203, 11, 13}, {5, 2048, 3, 5}, {2, 64, 120, 111},
};

static const struct variant {
    tess_act act;
    bool residual, plain; /* plain: no scale, no bias */
} variants[] = {
    {{TESS_ACT_NONE, 0}, false, false},         {{TESS_ACT_RELU, 0}, false, false},
    {{TESS_ACT_TANH, 0}, true, false},          {{TESS_ACT_RELU, 0}, true, false},
    {{TESS_ACT_NONE, 0}, true, true},           {{TESS_ACT_LEAKY_RELU, 0.2f}, false, true},
    {{TESS_ACT_CLIPPED_RELU, 0}, false, false}, {{TESS_ACT_SELU, 0}, false, false},
};

/* One shape and variant, its data and what the device made of them. */
struct trial {
    tess_context *ctx;
    tess_batch_norm_desc desc;
    bool plain;
    size_t count, c;
    struct ref_batch_norm ref;                     /* borrows the inputs */
    double *x, *residual, *scale, *bias, *dy;      /* inputs, all of them floats */
    double *running_mean, *running_var;            /* before training */
    float *y, *mean, *invstd, *new_mean, *new_var; /* of the device */
    float *dx, *dresidual, *dscale, *dbias;
    float *inferred; /* y of inference, by running_mean and running_var */
    char label[120];
};

/* Random floats in [low, high) as float64. */
static double *random_doubles(size_t count, float low, float high, uint64_t seed) {
    float *data = check_alloc(count * sizeof *data);
    double *wide = check_alloc(count * sizeof *wide);
    check_random(data, count, low, high, seed);
    for (size_t i = 0; i < count; i++)
        wide[i] = (double)data[i];
    free(data);
    return wide;
}

static tess_tensor *tensor_of(tess_context *ctx, tess_tensor_desc desc, const double *data) {
    size_t count = tess_tensor_desc_elements(&desc);
    float *narrow = check_alloc(count * sizeof *narrow);
    for (size_t i = 0; i < count; i++)
        narrow[i] = (float)data[i];
    tess_tensor *tensor = check_tensor(ctx, desc, narrow);
    free(narrow);
    return tensor;
}

/* No gradient where the activation has a corner: there fp32 may fall on its other side. */
static void clear_corners(struct trial *t) {
    static const double corners[] = {0, 6};
    double *mean = check_alloc(t->c * sizeof *mean), *var = check_alloc(t->c * sizeof *var);
    double *z = check_alloc(t->count * sizeof *z), *y = check_alloc(t->count * sizeof *y);
    ref_batch_norm_statistics(&t->ref, mean, var);
    ref_batch_norm_forward(&t->ref, mean, var, z, y);
    for (size_t i = 0; i < t->count; i++)
        for (int k = 0; k < 2; k++)
            if (fabs(z[i] - corners[k]) < 1e-4) t->dy[i] = 0;
    free(mean);
    free(var);
    free(z);
    free(y);
}

static void trial_begin(struct trial *t, tess_context *ctx, struct shape s, struct variant v) {
    memset(t, 0, sizeof *t);
    t->ctx = ctx;
    t->desc = (tess_batch_norm_desc){.n = s.n,
                                     .c = s.c,
                                     .h = s.h,
                                     .w = s.w,
                                     .eps = 1e-3f,
                                     .momentum = 0.25f,
                                     .residual = v.residual,
                                     .act = v.act};
    t->plain = v.plain;
    t->c = (size_t)s.c;
    t->count = (size_t)s.n * t->c * (size_t)s.h * (size_t)s.w;
    t->x = random_doubles(t->count, -1, 3, 1);
    t->residual = random_doubles(t->count, -1, 1, 2);
    t->scale = random_doubles(t->c, -2, 2, 3);
    t->bias = random_doubles(t->c, -1, 1, 4);
    t->dy = random_doubles(t->count, -1, 1, 5);
    t->running_mean = random_doubles(t->c, -1, 1, 6);
    t->running_var = random_doubles(t->c, 0.1f, 2, 7);
    t->ref = (struct ref_batch_norm){.rows = t->count / t->c,
                                     .c = t->c,
                                     .eps = (double)t->desc.eps,
                                     .act = v.act,
                                     .x = t->x,
                                     .scale = v.plain ? NULL : t->scale,
                                     .bias = v.plain ? NULL : t->bias,
                                     .residual = v.residual ? t->residual : NULL};
    clear_corners(t);
    snprintf(t->label, sizeof t->label, "n%d c%d h%d w%d act %d residual %d plain %d", s.n, s.c,
             s.h, s.w, (int)v.act.kind, v.residual, v.plain);
}

static void trial_end(struct trial *t) {
    void *all[] = {t->x,    t->residual,     t->scale,       t->bias,   t->dy,       t->y,
                   t->mean, t->running_mean, t->running_var, t->invstd, t->new_mean, t->new_var,
                   t->dx,   t->dresidual,    t->dscale,      t->dbias,  t->inferred};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* Training, backward and inference on the device, outputs poisoned. */
static void trial_run(struct trial *t) {
    tess_context *ctx = t->ctx;
    const tess_batch_norm_desc *d = &t->desc;
    tess_tensor_desc image = desc_nhwc(d->n, d->c, d->h, d->w), vector = desc_vector(d->c);
    tess_batch_norm *op = NULL;
    assert_ok(ctx, tess_batch_norm_create(ctx, d, &op));
    tess_tensor *x = tensor_of(ctx, image, t->x), *y = check_tensor(ctx, image, NULL);
    tess_tensor *residual = tensor_of(ctx, image, t->residual);
    tess_tensor *dy = tensor_of(ctx, image, t->dy), *dx = check_tensor(ctx, image, NULL);
    tess_tensor *dresidual = check_tensor(ctx, image, NULL);
    tess_tensor *inferred = check_tensor(ctx, image, NULL);
    tess_tensor *scale = tensor_of(ctx, vector, t->scale), *bias = tensor_of(ctx, vector, t->bias);
    tess_tensor *running_mean = tensor_of(ctx, vector, t->running_mean);
    tess_tensor *running_var = tensor_of(ctx, vector, t->running_var);
    tess_tensor *mean = check_tensor(ctx, vector, NULL), *invstd = check_tensor(ctx, vector, NULL);
    tess_tensor *dscale = check_tensor(ctx, vector, NULL), *dbias = check_tensor(ctx, vector, NULL);
    size_t bytes = tess_batch_norm_workspace(op);
    tess_tensor *workspace = check_tensor(ctx, desc_vector((int)(bytes / 4)), NULL);

    tess_batch_norm_args forward = {.x = x,
                                    .scale = t->plain ? NULL : scale,
                                    .bias = t->plain ? NULL : bias,
                                    .residual = d->residual ? residual : NULL,
                                    .y = inferred,
                                    .running_mean = running_mean,
                                    .running_var = running_var,
                                    .workspace = workspace};
    assert_ok(ctx, tess_batch_norm_forward_inference(op, &forward));
    t->inferred = check_read(inferred);
    forward.y = y;
    forward.saved_mean = mean;
    forward.saved_invstd = invstd;
    assert_ok(ctx, tess_batch_norm_forward_training(op, &forward));
    bool reads_y = tess_batch_norm_backward_reads_y(op);
    tess_batch_norm_grad_args backward = {.x = x,
                                          .y = reads_y ? y : NULL,
                                          .dy = dy,
                                          .scale = forward.scale,
                                          .bias = forward.bias,
                                          .saved_mean = mean,
                                          .saved_invstd = invstd,
                                          .dx = dx,
                                          .dresidual = dresidual,
                                          .dscale = dscale,
                                          .dbias = dbias,
                                          .workspace = workspace};
    assert_ok(ctx, tess_batch_norm_backward(op, &backward));
    t->y = check_read(y);
    t->mean = check_read(mean);
    t->invstd = check_read(invstd);
    t->new_mean = check_read(running_mean);
    t->new_var = check_read(running_var);
    t->dx = check_read(dx);
    t->dresidual = check_read(dresidual);
    t->dscale = check_read(dscale);
    t->dbias = check_read(dbias);

    /* Without the residual's gradient the same dx, in dy's memory; the rest is optional. */
    backward.dresidual = backward.dscale = backward.dbias = NULL;
    backward.dx = dy;
    assert_ok(ctx, tess_batch_norm_backward(op, &backward));
    float *again = check_read(dy);
    check_same_bytes(again, t->dx, t->count * sizeof *again, t->label);
    free(again);

    tess_tensor *all[] = {x,        y,      residual, dy,           dx,          dresidual,
                          inferred, scale,  bias,     running_mean, running_var, mean,
                          invstd,   dscale, dbias,    workspace};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tess_tensor_destroy(all[i]);
    tess_batch_norm_destroy(op);
}

static void compare_forward(struct trial *t) {
    double rows = (double)t->ref.rows, tolerance = check_tolerance(t->ref.rows);
    double *mean = check_alloc(t->c * sizeof *mean), *var = check_alloc(t->c * sizeof *var);
    double *invstd = check_alloc(t->c * sizeof *invstd), *y = check_alloc(t->count * sizeof *y);
    ref_batch_norm_forward(&t->ref, t->running_mean, t->running_var, NULL, y);
    check_close(t->inferred, y, t->count, 1e-6, 4, t->label);
    ref_batch_norm_statistics(&t->ref, mean, var);
    ref_batch_norm_forward(&t->ref, mean, var, NULL, y);
    check_close(t->y, y, t->count, 1e-6 + tolerance, 8, t->label);
    check_close(t->mean, mean, t->c, 1e-6, 1, t->label);
    double momentum = (double)t->desc.momentum;
    for (size_t c = 0; c < t->c; c++) {
        invstd[c] = 1 / sqrt(var[c] + t->ref.eps);
        mean[c] = (1 - momentum) * t->running_mean[c] + momentum * mean[c];
        var[c] = (1 - momentum) * t->running_var[c] + momentum * var[c] * rows / (rows - 1);
    }
    check_close(t->invstd, invstd, t->c, 1e-6 + tolerance, 0, t->label);
    check_close(t->new_mean, mean, t->c, 1e-6, 1, t->label);
    check_close(t->new_var, var, t->c, 1e-6 + tolerance, 0, t->label);
    free(mean);
    free(var);
    free(invstd);
    free(y);
}

/* invstd, up to 30, multiplies errors of z once, those of dx twice. */
static void compare_backward(struct trial *t) {
    double rows = (double)t->ref.rows, tolerance = 1e-6 + check_tolerance(t->ref.rows);
    double *dx = check_alloc(t->count * sizeof *dx), *dr = check_alloc(t->count * sizeof *dr);
    double *dscale = check_alloc(t->c * sizeof *dscale), *dbias = check_alloc(t->c * sizeof *dbias);
    ref_batch_norm_backward(&t->ref, t->dy, dx, dr, dscale, dbias);
    check_close(t->dresidual, dr, t->count, tolerance, 4, t->label);
    check_close(t->dscale, dscale, t->c, tolerance, 2 * sqrt(rows), t->label);
    check_close(t->dbias, dbias, t->c, tolerance, 2 * sqrt(rows), t->label);
    check_close(t->dx, dx, t->count, tolerance, rows < 8 ? 30 : 4, t->label);
    free(dx);
    free(dr);
    free(dscale);
    free(dbias);
}

static void compare_with_reference(struct trial *t) {
    compare_forward(t);
    compare_backward(t);
}

static void for_all(void **state, size_t most, void (*check)(struct trial *)) {
    size_t count = check_tiny() ? 8 : sizeof shapes / sizeof shapes[0];
    size_t kinds = check_tiny() ? 3 : sizeof variants / sizeof variants[0];
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < kinds; k++) {
            struct shape s = shapes[i];
            size_t elements = (size_t)s.n * (size_t)s.c * (size_t)s.h * (size_t)s.w;
            if (elements > most || (elements > 100000 && k > 2)) continue;
            if (check_tiny() && k != i % kinds) continue; /* one of each shape, in turn */
            struct trial trial;
            trial_begin(&trial, *state, s, variants[k]);
            trial_run(&trial);
            check(&trial);
            trial_end(&trial);
        }
}

static void agrees_with_the_reference(void **state) {
    for_all(state, SIZE_MAX, compare_with_reference);
}

/* sum of y dy in float64. */
static double loss(struct trial *t, double *scratch) {
    double *mean = scratch, *var = scratch + t->c, *y = scratch + 2 * t->c, sum = 0;
    ref_batch_norm_statistics(&t->ref, mean, var);
    ref_batch_norm_forward(&t->ref, mean, var, NULL, y);
    for (size_t i = 0; i < t->count; i++)
        sum += y[i] * t->dy[i];
    return sum;
}

static void check_slope(struct trial *t, double *parameter, const float *got, double scale) {
    const double step = 1e-6;
    double *scratch = check_alloc((t->count + 2 * t->c) * sizeof *scratch), old = *parameter;
    *parameter = old + step;
    double up = loss(t, scratch);
    *parameter = old - step;
    double down = loss(t, scratch), want = (up - down) / (2 * step);
    *parameter = old;
    free(scratch);
    check_close(got, &want, 1, 2e-6, scale, t->label);
}

static void compare_with_differences(struct trial *t) {
    double scale = t->ref.rows < 8 ? 30 : 4;
    for (size_t i = 0; i < t->count; i += 1 + t->count / 40) {
        check_slope(t, &t->x[i], &t->dx[i], scale);
        if (t->desc.residual) check_slope(t, &t->residual[i], &t->dresidual[i], 4);
    }
    for (size_t c = 0; !t->plain && c < t->c; c += 1 + t->c / 10) {
        check_slope(t, &t->scale[c], &t->dscale[c], 4);
        check_slope(t, &t->bias[c], &t->dbias[c], 4);
    }
}

static void agrees_with_finite_differences(void **state) {
    for_all(state, 400, compare_with_differences);
}

static void compare_with_another_run(struct trial *t) {
    struct trial again;
    struct variant v = {t->desc.act, t->desc.residual, t->plain};
    trial_begin(&again, t->ctx, (struct shape){t->desc.n, t->desc.c, t->desc.h, t->desc.w}, v);
    trial_run(&again);
    check_same_bytes(t->y, again.y, t->count * sizeof *t->y, t->label);
    check_same_bytes(t->dx, again.dx, t->count * sizeof *t->dx, t->label);
    check_same_bytes(t->mean, again.mean, t->c * sizeof *t->mean, t->label);
    check_same_bytes(t->new_var, again.new_var, t->c * sizeof *t->new_var, t->label);
    check_same_bytes(t->dscale, again.dscale, t->c * sizeof *t->dscale, t->label);
    check_same_bytes(t->dbias, again.dbias, t->c * sizeof *t->dbias, t->label);
    trial_end(&again);
}

static void repeats_bit_for_bit(void **state) {
    for_all(state, 200000, compare_with_another_run);
}

/* Means far from zero, and a first row far from all others: sums of squares would lose everything. */
static void variance_is_stable(void **state) {
    struct shape s = check_tiny() ? (struct shape){2, 5, 8, 4} : (struct shape){4, 21, 40, 30};
    for (int outlier = 0; outlier < 2; outlier++) {
        struct trial t;
        trial_begin(&t, *state, s, variants[0]);
        for (size_t i = 0; i < t.count; i++)
            t.x[i] = (double)(float)(outlier ? t.x[i] + (i < t.c ? 1e4 : 0) : 1000 + t.x[i]);
        double *mean = check_alloc(t.c * sizeof *mean), *var = check_alloc(t.c * sizeof *var);
        trial_run(&t);
        ref_batch_norm_statistics(&t.ref, mean, var);
        double std = sqrt(var[0]);
        for (size_t c = 0; c < t.c; c++)
            var[c] = 1 / sqrt(var[c] + t.ref.eps);
        check_close(t.mean, mean, t.c, 5e-6, std, "mean");
        check_close(t.invstd, var, t.c, 2e-5, 0, "invstd");
        free(mean);
        free(var);
        trial_end(&t);
    }
}

/* A variance that fp32 cannot hold must not look like one of zero. */
static void overflow_is_seen(void **state) {
    struct trial t;
    trial_begin(&t, *state, (struct shape){2, 64, 3, 2}, variants[0]);
    for (size_t i = 0; i < t.count; i++)
        t.x[i] = (double)(i / t.c % 2 ? 1e25f : -1e25f);
    trial_run(&t);
    for (size_t c = 0; c < t.c; c++) {
        assert_false(t.invstd[c] > 0);
        assert_false(fabsf(t.new_var[c]) < INFINITY);
    }
    trial_end(&t);
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    tess_batch_norm *op = NULL;
    tess_batch_norm_desc good = {.n = 1, .c = 2, .h = 3, .w = 1, .act = {TESS_ACT_TANH, 0}};
    tess_batch_norm_desc bad[] = {good, good, good, good, good, good, good};
    bad[0].n = 0;
    bad[1].eps = -1;
    bad[2].eps = NAN;
    bad[3].momentum = 1.5f;
    bad[4].act.kind = (tess_activation)99;
    bad[5].c = (1 << 22) + 1;
    bad[6].h = 1 << 30;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_not_equal(tess_batch_norm_create(ctx, &bad[i], &op), TESS_OK);
    assert_int_equal(tess_batch_norm_create(NULL, &good, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_batch_norm_create(ctx, NULL, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_batch_norm_create(ctx, &good, NULL), TESS_INVALID_ARGUMENT);
    assert_null(op);
    assert_ok(ctx, tess_batch_norm_create(ctx, &good, &op));
    assert_true(tess_batch_norm_backward_reads_y(op));
    tess_tensor *x = check_tensor(ctx, desc_nhwc(1, 2, 3, 1), NULL);
    tess_tensor *v = check_tensor(ctx, desc_vector(2), NULL),
                *w = check_tensor(ctx, desc_vector(3), NULL);
    int floats = (int)(tess_batch_norm_workspace(op) / 4);
    tess_tensor *space = check_tensor(ctx, desc_vector(floats), NULL);
    tess_batch_norm_args fine = {
        .x = x, .y = x, .saved_mean = v, .saved_invstd = v, .workspace = space};
    tess_batch_norm_args forward[] = {fine, fine, fine, fine, fine, fine, fine, fine, fine};
    forward[0].x = v;
    forward[1].y = NULL;
    forward[2].saved_mean = w;
    forward[3].saved_invstd = NULL;
    forward[4].workspace = v;
    forward[5].running_mean = v;
    forward[6].scale = w;
    forward[7].workspace = NULL;
    forward[8].residual = x; /* the operator was made without */
    for (size_t i = 0; i < sizeof forward / sizeof forward[0]; i++)
        assert_int_not_equal(tess_batch_norm_forward_training(op, &forward[i]), TESS_OK);
    assert_true(strlen(tess_context_last_error(ctx)) > 0);
    assert_int_not_equal(tess_batch_norm_forward_inference(op, &fine), TESS_OK);
    assert_int_not_equal(tess_batch_norm_forward_inference(op, NULL), TESS_OK);
    assert_int_not_equal(tess_batch_norm_forward_training(NULL, &fine), TESS_OK);
    tess_batch_norm_grad_args back = {
        .x = x, .y = x, .dy = x, .saved_mean = v, .saved_invstd = v, .dx = x, .workspace = space};
    tess_batch_norm_grad_args backward[] = {back, back, back, back, back};
    backward[0].y = NULL;
    backward[1].dx = NULL;
    backward[2].saved_mean = NULL;
    backward[3].dresidual = x;
    backward[4].dscale = w;
    for (size_t i = 0; i < sizeof backward / sizeof backward[0]; i++)
        assert_int_not_equal(tess_batch_norm_backward(op, &backward[i]), TESS_OK);
    assert_int_not_equal(tess_batch_norm_backward(op, NULL), TESS_OK);
    assert_int_not_equal(tess_batch_norm_backward(NULL, &back), TESS_OK);
    tess_batch_norm_destroy(op);
    tess_batch_norm_destroy(NULL);
    assert_int_equal(tess_batch_norm_workspace(NULL), 0);

    good.h = 1; /* one value a channel */
    assert_ok(ctx, tess_batch_norm_create(ctx, &good, &op));
    fine.x = fine.y = v;
    assert_int_equal(tess_batch_norm_forward_training(op, &fine), TESS_INVALID_SHAPE);
    fine.running_mean = fine.running_var = w;
    assert_int_not_equal(tess_batch_norm_forward_inference(op, &fine), TESS_OK);
    tess_batch_norm_destroy(op);
    tess_tensor *all[] = {x, v, w, space};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tess_tensor_destroy(all[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(agrees_with_finite_differences),
        cmocka_unit_test(repeats_bit_for_bit),
        cmocka_unit_test(variance_is_stable),
        cmocka_unit_test(overflow_is_seen),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
