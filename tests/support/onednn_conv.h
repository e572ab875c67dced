/* oneDNN's convolution as a second opinion: x, y NHWC, w RSCK in and out. */
#ifndef TESSERA_TESTS_ONEDNN_CONV_H
#define TESSERA_TESTS_ONEDNN_CONV_H

#include "tessera.h"

/* y, dx or dw as the pass says, for the caller to free; fails the test where oneDNN fails. */
float *onednn_conv(const tess_conv_desc *d, tess_conv_pass pass, const float *x, const float *w,
                   const float *dy);

#endif
