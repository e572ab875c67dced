/* Pooling by oneDNN, on the CPU: a second opinion that shares no code with ours. */
#ifndef TESSERA_TESTS_DNNL_POOL_H
#define TESSERA_TESTS_DNNL_POOL_H

#include "tessera.h"

/* desc is complete, not weighted; with TESS_POOL_AVG_WITH_PAD not in ceil mode, where oneDNN divides by the whole
   window. x -> y, then dy -> dx, all NHWC. Fails the test if oneDNN does. */
void dnnl_pool(const tess_pool_desc *desc, int p, int q, float *x, float *y, float *dy, float *dx);

#endif
