#include "support/ref_pool.h"

#include <math.h>
#include <string.h>

/* One window: output (n, i, j), channel c. */
struct window {
    const tess_pool_desc *desc;
    int n, i, j, c;
};

static bool inside(const tess_pool_desc *d, int h, int w) {
    return h >= 0 && h < d->h && w >= 0 && w < d->w;
}

static size_t index_of(const struct window *at, int h, int w) {
    const tess_pool_desc *d = at->desc;
    return (((size_t)at->n * (size_t)d->h + (size_t)h) * (size_t)d->w + (size_t)w) * (size_t)d->c +
           (size_t)at->c;
}

/* Where the window's element r, s lies in x. */
static int row_of(const struct window *at, int r) {
    return at->i * at->desc->stride_h - at->desc->pad_top + r * at->desc->dilation_h;
}

static int column_of(const struct window *at, int s) {
    return at->j * at->desc->stride_w - at->desc->pad_left + s * at->desc->dilation_w;
}

/* The divisor of an average. */
static int count_elements(const struct window *at) {
    const tess_pool_desc *d = at->desc;
    int count = 0;
    for (int r = 0; r < d->r; r++)
        for (int s = 0; s < d->s; s++) {
            int h = row_of(at, r), w = column_of(at, s);
            if (d->mode == TESS_POOL_AVG_WITH_PAD)
                count += h < d->h + d->pad_bottom && w < d->w + d->pad_right;
            else
                count += inside(d, h, w);
        }
    return count;
}

static double average(const struct window *at, const double *x) {
    const tess_pool_desc *d = at->desc;
    double sum = 0;
    for (int r = 0; r < d->r; r++)
        for (int s = 0; s < d->s; s++) {
            int h = row_of(at, r), w = column_of(at, s);
            if (inside(d, h, w)) sum += x[index_of(at, h, w)];
        }
    return sum / count_elements(at);
}

static double maximum(const struct window *at, const double *x, int *position) {
    const tess_pool_desc *d = at->desc;
    double best = 0;
    *position = -1;
    for (int r = 0; r < d->r; r++)
        for (int s = 0; s < d->s; s++) {
            int h = row_of(at, r), w = column_of(at, s);
            if (!inside(d, h, w)) continue;
            double value = x[index_of(at, h, w)];
            if (*position >= 0 && (isnan(best) || value <= best)) continue;
            best = value;
            *position = h * d->w + w;
        }
    return best;
}

void ref_pool_forward(const tess_pool_desc *d, int p, int q, const double *x, const double *scale,
                      const double *bias, double *y, int *positions) {
    size_t out = 0;
    for (int n = 0; n < d->n; n++)
        for (int i = 0; i < p; i++)
            for (int j = 0; j < q; j++)
                for (int c = 0; c < d->c; c++, out++) {
                    struct window at = {d, n, i, j, c};
                    int position = 0;
                    if (d->mode == TESS_POOL_MAX)
                        y[out] = maximum(&at, x, &position);
                    else
                        y[out] = average(&at, x);
                    if (d->mode == TESS_POOL_WEIGHTED) y[out] = scale[c] * y[out] + bias[c];
                    if (positions) positions[out] = position;
                }
}

static void scatter(const struct window *at, const double *x, double dy, double *dx) {
    const tess_pool_desc *d = at->desc;
    if (d->mode == TESS_POOL_MAX) {
        int position;
        maximum(at, x, &position);
        dx[index_of(at, position / d->w, position % d->w)] += dy;
        return;
    }
    double share = dy / count_elements(at);
    for (int r = 0; r < d->r; r++)
        for (int s = 0; s < d->s; s++) {
            int h = row_of(at, r), w = column_of(at, s);
            if (inside(d, h, w)) dx[index_of(at, h, w)] += share;
        }
}

void ref_pool_backward(const tess_pool_desc *d, int p, int q, const double *x, const double *scale,
                       const double *dy, double *dx, double *dscale, double *dbias) {
    bool weighted = d->mode == TESS_POOL_WEIGHTED;
    memset(dx, 0, sizeof *dx * (size_t)d->n * (size_t)d->h * (size_t)d->w * (size_t)d->c);
    for (int c = 0; weighted && c < d->c; c++)
        dscale[c] = dbias[c] = 0;
    size_t out = 0;
    for (int n = 0; n < d->n; n++)
        for (int i = 0; i < p; i++)
            for (int j = 0; j < q; j++)
                for (int c = 0; c < d->c; c++, out++) {
                    struct window at = {d, n, i, j, c};
                    scatter(&at, x, weighted ? dy[out] * scale[c] : dy[out], dx);
                    if (!weighted) continue;
                    dscale[c] += dy[out] * average(&at, x);
                    dbias[c] += dy[out];
                }
}
