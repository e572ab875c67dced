/* A pooling's defaults and output size. */
#ifndef TESSERA_OPS_POOL_SIZE_H
#define TESSERA_OPS_POOL_SIZE_H

#include "core/status.h"

/* Checks desc; full receives it with strides and the global window filled in. error may be NULL. */
tess_status pool_size(const tess_pool_desc *desc, tess_error *error, tess_pool_desc *full, int *p,
                      int *q);

#endif
