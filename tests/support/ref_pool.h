/* Pooling in float64, from its definition: padded coordinates, one window after the other. */
#ifndef TESSERA_TESTS_REF_POOL_H
#define TESSERA_TESTS_REF_POOL_H

#include "tessera.h"

/* desc is complete (window, strides and dilations filled in); x N H W C, y N P Q C. scale, bias: C values, or NULL unless
   weighted. positions (max; may be NULL) receives h * W + w. */
void ref_pool_forward(const tess_pool_desc *desc, int p, int q, const double *x,
                      const double *scale, const double *bias, double *y, int *positions);

/* Adds up window by window (scatter): dx N H W C; dscale, dbias C values or NULL. */
void ref_pool_backward(const tess_pool_desc *desc, int p, int q, const double *x,
                       const double *scale, const double *dy, double *dx, double *dscale,
                       double *dbias);

#endif
