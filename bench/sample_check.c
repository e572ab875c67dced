#include "bench/sample_check.h"

#include <math.h>

struct operands {
    const struct conv_problem *p;
    const float *x, *w, *y;
};

/* The pixel that a position of the padded image shows, or -1: zero. */
static int pixel(const tess_conv_desc *d, int at, int size) {
    if (at >= 0 && at < size) return at;
    if (d->pad_mode != TESS_PAD_MIRROR) return -1;
    return at < 0 ? -at : 2 * (size - 1) - at;
}

static double x_at(const struct operands *o, int n, int h, int w, int c) {
    const tess_conv_desc *d = &o->p->d;
    h = pixel(d, h, d->h);
    w = pixel(d, w, d->w);
    if (h < 0 || w < 0) return 0;
    return (double)
        o->x[(((size_t)n * (size_t)d->h + (size_t)h) * (size_t)d->w + (size_t)w) * (size_t)d->c +
             (size_t)c];
}
static double w_at(const struct operands *o, int r, int s, int c, int k) {
    const tess_conv_desc *d = &o->p->d;
    return (double)o
        ->w[(((size_t)r * (size_t)d->s + (size_t)s) * (size_t)o->p->cg + (size_t)c) * (size_t)d->k +
            (size_t)k];
}
static double y_at(const struct operands *o, int n, int p, int q, int k) {
    return (double)o->y[(((size_t)n * (size_t)o->p->p + (size_t)p) * (size_t)o->p->q + (size_t)q) *
                            (size_t)o->p->d.k +
                        (size_t)k];
}

/* Splits a flat index of a tensor whose innermost sizes are a, b, c. */
static void split(size_t index, int a, int b, int c, int out[4]) {
    out[3] = (int)(index % (size_t)c);
    out[2] = (int)(index / (size_t)c % (size_t)b);
    out[1] = (int)(index / (size_t)c / (size_t)b % (size_t)a);
    out[0] = (int)(index / (size_t)c / (size_t)b / (size_t)a);
}

static double forward(const struct operands *o, size_t index) {
    const tess_conv_desc *d = &o->p->d;
    int i[4]; /* n p q k */
    split(index, o->p->p, o->p->q, d->k, i);
    double sum = 0;
    for (int r = 0; r < d->r; r++)
        for (int s = 0; s < d->s; s++)
            for (int c = 0; c < o->p->cg; c++)
                sum += x_at(o, i[0], i[1] * d->stride_h - d->pad_top + r * d->dilation_h,
                            i[2] * d->stride_w - d->pad_left + s * d->dilation_w,
                            i[3] / o->p->kg * o->p->cg + c) *
                       w_at(o, r, s, c, i[3]);
    return sum;
}

/* dy w over the windows of image n that cover one position of the padded image, for channel c. */
static double windows(const struct operands *o, int n, int h, int w, int c) {
    const tess_conv_desc *d = &o->p->d;
    int k0 = c / o->p->cg * o->p->kg;
    double sum = 0;
    for (int r = 0; r < d->r; r++)
        for (int s = 0; s < d->s; s++) {
            int a = h + d->pad_top - r * d->dilation_h;
            int b = w + d->pad_left - s * d->dilation_w;
            if (a < 0 || a % d->stride_h || a / d->stride_h >= o->p->p) continue;
            if (b < 0 || b % d->stride_w || b / d->stride_w >= o->p->q) continue;
            for (int k = k0; k < k0 + o->p->kg; k++)
                sum += y_at(o, n, a / d->stride_h, b / d->stride_w, k) *
                       w_at(o, r, s, c % o->p->cg, k);
        }
    return sum;
}

/* All positions that show the pixel. */
static double backward_data(const struct operands *o, size_t index) {
    const tess_conv_desc *d = &o->p->d;
    int i[4]; /* n h w c */
    split(index, d->h, d->w, d->c, i);
    double sum = 0;
    for (int h = -d->pad_top; h < d->h + d->pad_bottom; h++) {
        if (pixel(d, h, d->h) != i[1]) continue;
        for (int w = -d->pad_left; w < d->w + d->pad_right; w++)
            if (pixel(d, w, d->w) == i[2]) sum += windows(o, i[0], h, w, i[3]);
    }
    return sum;
}

static double backward_weights(const struct operands *o, size_t index) {
    const tess_conv_desc *d = &o->p->d;
    int i[4]; /* r s c k */
    split(index, d->s, o->p->cg, d->k, i);
    double sum = 0;
    for (int n = 0; n < d->n; n++)
        for (int p = 0; p < o->p->p; p++)
            for (int q = 0; q < o->p->q; q++)
                sum += x_at(o, n, p * d->stride_h - d->pad_top + i[0] * d->dilation_h,
                            q * d->stride_w - d->pad_left + i[1] * d->dilation_w,
                            i[3] / o->p->kg * o->p->cg + i[2]) *
                       y_at(o, n, p, q, i[3]);
    return sum;
}

double sample_check(const struct conv_problem *problem, const float *x, const float *w,
                    const float *y, const float *result, int count) {
    static double (*const recompute[])(const struct operands *, size_t) = {forward, backward_data,
                                                                           backward_weights};
    size_t (*const size[])(const struct conv_problem *) = {conv_problem_y, conv_problem_x,
                                                           conv_problem_w};
    const struct operands operands = {problem, x, w, y};
    size_t elements = size[problem->pass](problem);
    double worst = 0;
    for (int i = 0; i < count; i++) {
        size_t at = i == 0 ? elements - 1 : (size_t)i * 2654435761u % elements;
        double err = fabs((double)result[at] - recompute[problem->pass](&operands, at));
        if (!(err <= worst)) worst = err; /* a NaN stays */
        if (isnan(worst)) return worst;
    }
    return worst;
}
