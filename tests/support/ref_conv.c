#include "support/ref_conv.h"

#include <math.h>
#include <stdlib.h>

#include "support/check.h"
#include "support/ref_act.h"

/* One product of the sum: element indices of x, w and y. All three passes walk the same list. */
typedef void (*product)(void *user, size_t x, size_t w, size_t y);

/* The pixel at a position of the padded image, or -1 where there are zeros. */
static int pixel(int at, int size, int pad_mode) {
    if (at >= 0 && at < size) return at;
    if (pad_mode != TESS_PAD_MIRROR) return -1;
    return at < 0 ? -at : 2 * (size - 1) - at;
}

static void each_product(const tess_conv_desc *d, product visit, void *user) {
    int P, Q, cg = d->c / d->groups, kg = d->k / d->groups;
    assert_int_equal(tess_conv_out_size(d, NULL, &P, &Q), TESS_OK);
    for (int n = 0; n < d->n; n++)
        for (int p = 0; p < P; p++)
            for (int q = 0; q < Q; q++)
                for (int r = 0; r < d->r; r++)
                    for (int s = 0; s < d->s; s++) {
                        int h = pixel(p * d->stride_h - d->pad_top + r * d->dilation_h, d->h,
                                      d->pad_mode);
                        int col = pixel(q * d->stride_w - d->pad_left + s * d->dilation_w, d->w,
                                        d->pad_mode);
                        if (h < 0 || col < 0) continue;
                        for (int k = 0; k < d->k; k++)
                            for (int c = 0; c < cg; c++)
                                visit(user,
                                      (size_t)(((n * d->h + h) * d->w + col) * d->c + k / kg * cg +
                                               c),
                                      (size_t)(((r * d->s + s) * cg + c) * d->k + k),
                                      (size_t)(((n * P + p) * Q + q) * d->k + k));
                    }
}

struct sums {
    const float *x, *w, *dy;
    double *y, *dx, *dw, dot;
};

static void add_y(void *user, size_t x, size_t w, size_t y) {
    struct sums *t = user;
    t->y[y] += (double)t->x[x] * (double)t->w[w];
}
static void add_dx(void *user, size_t x, size_t w, size_t y) {
    struct sums *t = user;
    t->dx[x] += (double)t->dy[y] * (double)t->w[w];
}
static void add_dw(void *user, size_t x, size_t w, size_t y) {
    struct sums *t = user;
    t->dw[w] += (double)t->x[x] * (double)t->dy[y];
}
static void add_dot(void *user, size_t x, size_t w, size_t y) {
    struct sums *t = user;
    t->dot += (double)t->x[x] * (double)t->w[w] * (double)t->dy[y];
}

static double *zeros(size_t count) {
    double *data = check_alloc(count * sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = 0;
    return data;
}

double *ref_conv_fwd(const tess_conv_desc *d, const float *x, const float *w, const float *bias,
                     const float *residual, tess_act act) {
    int P, Q;
    assert_int_equal(tess_conv_out_size(d, NULL, &P, &Q), TESS_OK);
    size_t count = (size_t)d->n * (size_t)P * (size_t)Q * (size_t)d->k;
    struct sums t = {.x = x, .w = w, .y = zeros(count)};
    each_product(d, add_y, &t);
    for (size_t i = 0; i < count; i++) {
        if (bias) t.y[i] += (double)bias[i % (size_t)d->k];
        if (residual) t.y[i] += (double)residual[i];
        t.y[i] = ref_act(act, t.y[i]);
    }
    return t.y;
}

double *ref_conv_bwd_data(const tess_conv_desc *d, const float *dy, const float *w) {
    struct sums t = {
        .dy = dy, .w = w, .dx = zeros((size_t)d->n * (size_t)d->h * (size_t)d->w * (size_t)d->c)};
    each_product(d, add_dx, &t);
    return t.dx;
}

double *ref_conv_bwd_weights(const tess_conv_desc *d, const float *x, const float *dy) {
    size_t count = (size_t)d->r * (size_t)d->s * (size_t)(d->c / d->groups) * (size_t)d->k;
    struct sums t = {.x = x, .dy = dy, .dw = zeros(count)};
    each_product(d, add_dw, &t);
    return t.dw;
}

double ref_conv_dot(const tess_conv_desc *d, const float *x, const float *w, const float *dy) {
    struct sums t = {.x = x, .w = w, .dy = dy};
    each_product(d, add_dot, &t);
    return t.dot;
}
