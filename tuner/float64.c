#include "tuner/float64.h"

#include <math.h>

/* The pixel that padding shows at position i of n; -1: zero. */
static int source_pixel(const struct conv_problem *p, int i, int n) {
    if (i >= 0 && i < n) return i;
    if (p->d.pad_mode != TESS_PAD_MIRROR) return -1;
    return i < 0 ? -i : 2 * (n - 1) - i;
}

/* The positions, padding included, that show pixel i of n; returns how many. */
static int shown_at(const struct conv_problem *p, int i, int n, int before, int after, int out[3]) {
    int count = 0;
    out[count++] = i;
    if (p->d.pad_mode != TESS_PAD_MIRROR) return count;
    if (i > 0 && i <= before) out[count++] = -i;
    if (i < n - 1 && n - 1 - i <= after) out[count++] = 2 * (n - 1) - i;
    return count;
}

/* Splits a flat index of a tensor whose innermost sizes are a, b, c. */
static void split(size_t index, int a, int b, int c, int out[4]) {
    out[3] = (int)(index % (size_t)c);
    out[2] = (int)(index / (size_t)c % (size_t)b);
    out[1] = (int)(index / (size_t)c / (size_t)b % (size_t)a);
    out[0] = (int)(index / (size_t)c / (size_t)b / (size_t)a);
}

/* The first channel of a pixel; the first filter of a tap and channel. */
static const float *pixel(const float *data, int rows, int columns, int channels, int n, int row,
                          int column) {
    return data + (((size_t)n * (size_t)rows + (size_t)row) * (size_t)columns + (size_t)column) *
                      (size_t)channels;
}
static const float *filters(const struct float64_operands *o, int r, int s, int c) {
    const struct conv_problem *p = o->problem;
    return pixel(o->w, p->d.s, p->cg, p->d.k, r, s, c);
}

static double forward(const struct float64_operands *o, size_t index) {
    const struct conv_problem *p = o->problem;
    const tess_conv_desc *d = &p->d;
    double e = 0;
    int i[4]; /* n p q k */
    split(index, p->p, p->q, d->k, i);
    for (int r = 0; r < d->r; r++) {
        int h = source_pixel(p, i[1] * d->stride_h - d->pad_top + r * d->dilation_h, d->h);
        for (int s = 0; s < d->s && h >= 0; s++) {
            int w = source_pixel(p, i[2] * d->stride_w - d->pad_left + s * d->dilation_w, d->w);
            if (w < 0) continue;
            const float *x = pixel(o->x, d->h, d->w, d->c, i[0], h, w) + i[3] / p->kg * p->cg;
            const float *f = filters(o, r, s, 0) + i[3];
            for (int c = 0; c < p->cg; c++)
                e += (double)x[c] * (double)f[(size_t)c * (size_t)d->k];
        }
    }
    return e;
}

/* The output row that meets tap r at position i, or -1. */
static int output_of(int i, int pad, int tap, int stride, int count) {
    int at = i + pad - tap;
    return at < 0 || at % stride || at / stride >= count ? -1 : at / stride;
}

/* All taps of the pixel shown at (h, w). */
static void gather(const struct float64_operands *o, int n, int h, int w, int c, double *e) {
    const struct conv_problem *p = o->problem;
    const tess_conv_desc *d = &p->d;
    int k0 = c / p->cg * p->kg;
    for (int r = 0; r < d->r; r++) {
        int row = output_of(h, d->pad_top, r * d->dilation_h, d->stride_h, p->p);
        for (int s = 0; s < d->s && row >= 0; s++) {
            int column = output_of(w, d->pad_left, s * d->dilation_w, d->stride_w, p->q);
            if (column < 0) continue;
            const float *y = pixel(o->y, p->p, p->q, d->k, n, row, column) + k0;
            const float *f = filters(o, r, s, c % p->cg) + k0;
            for (int k = 0; k < p->kg; k++)
                *e += (double)y[k] * (double)f[k];
        }
    }
}

static double backward_data(const struct float64_operands *o, size_t index) {
    const struct conv_problem *p = o->problem;
    const tess_conv_desc *d = &p->d;
    double e = 0;
    int i[4], rows[3], columns[3]; /* i: n h w c */
    split(index, d->h, d->w, d->c, i);
    int row_count = shown_at(p, i[1], d->h, d->pad_top, d->pad_bottom, rows);
    int column_count = shown_at(p, i[2], d->w, d->pad_left, d->pad_right, columns);
    for (int a = 0; a < row_count; a++)
        for (int b = 0; b < column_count; b++)
            gather(o, i[0], rows[a], columns[b], i[3], &e);
    return e;
}

static double backward_weights(const struct float64_operands *o, size_t index) {
    const struct conv_problem *p = o->problem;
    const tess_conv_desc *d = &p->d;
    double e = 0;
    int i[4]; /* r s c k */
    split(index, d->s, p->cg, d->k, i);
    int channel = i[3] / p->kg * p->cg + i[2];
    for (int n = 0; n < d->n; n++)
        for (int row = 0; row < p->p; row++) {
            int h = source_pixel(p, row * d->stride_h - d->pad_top + i[0] * d->dilation_h, d->h);
            for (int q = 0; q < p->q && h >= 0; q++) {
                int w = source_pixel(p, q * d->stride_w - d->pad_left + i[1] * d->dilation_w, d->w);
                if (w < 0) continue;
                e += (double)pixel(o->x, d->h, d->w, d->c, n, h, w)[channel] *
                     (double)pixel(o->y, p->p, p->q, d->k, n, row, q)[i[3]];
            }
        }
    return e;
}

double float64_at(const struct float64_operands *operands, size_t index) {
    static double (*const passes[])(const struct float64_operands *,
                                    size_t) = {forward, backward_data, backward_weights};
    return passes[operands->problem->pass](operands, index);
}

size_t float64_elements(const struct conv_problem *problem) {
    static size_t (*const sizes[])(const struct conv_problem *) = {conv_problem_y, conv_problem_x,
                                                                   conv_problem_w};
    return sizes[problem->pass](problem);
}

double float64_length(const struct conv_problem *p) {
    double taps = (double)p->d.r * p->d.s;
    if (p->pass == TESS_CONV_FWD) return taps * p->cg;
    if (p->pass == TESS_CONV_BWD_DATA) return taps * p->kg;
    return (double)p->d.n * p->p * p->q;
}

/* A sum of L terms of size 1 passes partial sums of size sqrt(i), each rounded by half a unit at most: together about
   2^-25 L where the roundings are independent. */
double float64_bound(const struct conv_problem *problem, double value, double growth) {
    double root = sqrt(float64_length(problem));
    return 8 * 0x1p-24 * growth * (1 + root) * (fabs(value) + root);
}
