/* Batch normalisation in float64. */
#ifndef TESSERA_TESTS_REF_BATCH_NORM_H
#define TESSERA_TESTS_REF_BATCH_NORM_H

#include <stddef.h>

#include "tessera.h"

/* Rows of c channels; residual, scale, bias may be NULL. */
struct ref_batch_norm {
    size_t rows, c;
    double eps;
    tess_act act;
    const double *x, *scale, *bias, *residual;
};

/* Mean and biased variance of each channel. */
void ref_batch_norm_statistics(const struct ref_batch_norm *n, double *mean, double *var);

/* y, and, if z is not NULL, what the activation was applied to. */
void ref_batch_norm_forward(const struct ref_batch_norm *n, const double *mean, const double *var,
                            double *z, double *y);

/* dresidual = dy act'(z), its sums, and dx, statistics being functions of x. */
void ref_batch_norm_backward(const struct ref_batch_norm *n, const double *dy, double *dx,
                             double *dresidual, double *dscale, double *dbias);

#endif
