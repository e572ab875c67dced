/* Convolution in float64, straight from the formulas. x, y NHWC, w RSCK; results are for the caller to free. */
#ifndef TESSERA_TESTS_REF_CONV_H
#define TESSERA_TESTS_REF_CONV_H

#include "tessera.h"

double *ref_conv_fwd(const tess_conv_desc *d, const float *x, const float *w, const float *bias,
                     const float *residual, tess_act act);
double *ref_conv_bwd_data(const tess_conv_desc *d, const float *dy, const float *w);
double *ref_conv_bwd_weights(const tess_conv_desc *d, const float *x, const float *dy);

/* Sum of conv(x, w) * dy: the scalar whose gradients the two above are. */
double ref_conv_dot(const tess_conv_desc *d, const float *x, const float *w, const float *dy);

#endif
