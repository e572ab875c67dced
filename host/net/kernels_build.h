/* Bundles of kernels for anything that compiles when it is made. */
#ifndef TESSERA_NET_KERNELS_BUILD_H
#define TESSERA_NET_KERNELS_BUILD_H

#include "core/context.h"

/* Makes it on ctx, and ends it again. */
typedef tess_status kernels_maker(tess_context *ctx, void *user);

/* What tess_kernels_build does for networks. The programs and plans of whatever make made go to path. */
tess_status kernels_build(tess_context *ctx, kernels_maker *make, void *user, const char *path);

#endif
