#include "support/ref_batch_norm.h"

#include <math.h>
#include <stdlib.h>

#include "support/check.h"
#include "support/ref_act.h"

void ref_batch_norm_statistics(const struct ref_batch_norm *n, double *mean, double *var) {
    for (size_t c = 0; c < n->c; c++) {
        double sum = 0, squares = 0;
        for (size_t row = 0; row < n->rows; row++)
            sum += n->x[row * n->c + c];
        mean[c] = sum / (double)n->rows;
        for (size_t row = 0; row < n->rows; row++) {
            double d = n->x[row * n->c + c] - mean[c];
            squares += d * d;
        }
        var[c] = squares / (double)n->rows;
    }
}

void ref_batch_norm_forward(const struct ref_batch_norm *n, const double *mean, const double *var,
                            double *z, double *y) {
    for (size_t i = 0; i < n->rows * n->c; i++) {
        size_t c = i % n->c;
        double value = (n->x[i] - mean[c]) / sqrt(var[c] + n->eps);
        if (n->scale) value *= n->scale[c];
        if (n->bias) value += n->bias[c];
        if (n->residual) value += n->residual[i];
        if (z) z[i] = value;
        y[i] = ref_act(n->act, value);
    }
}

void ref_batch_norm_backward(const struct ref_batch_norm *n, const double *dy, double *dx,
                             double *dresidual, double *dscale, double *dbias) {
    size_t count = n->rows * n->c;
    double *mean = check_alloc(n->c * sizeof *mean), *var = check_alloc(n->c * sizeof *var);
    double *z = check_alloc(count * sizeof *z), *y = check_alloc(count * sizeof *y);
    ref_batch_norm_statistics(n, mean, var);
    ref_batch_norm_forward(n, mean, var, z, y);
    for (size_t c = 0; c < n->c; c++) {
        double invstd = 1 / sqrt(var[c] + n->eps), scale = n->scale ? n->scale[c] : 1;
        dscale[c] = dbias[c] = 0;
        for (size_t i = c; i < count; i += n->c) {
            dresidual[i] = dy[i] * ref_act_slope(n->act, z[i]);
            dbias[c] += dresidual[i];
            dscale[c] += dresidual[i] * (n->x[i] - mean[c]) * invstd;
        }
        double rows = (double)n->rows;
        for (size_t i = c; i < count; i += n->c)
            dx[i] =
                scale * invstd *
                (dresidual[i] - dbias[c] / rows - (n->x[i] - mean[c]) * invstd * dscale[c] / rows);
    }
    free(mean);
    free(var);
    free(z);
    free(y);
}
