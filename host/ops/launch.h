/* How the bandwidth-bound operators launch. */
#ifndef TESSERA_OPS_LAUNCH_H
#define TESSERA_OPS_LAUNCH_H

#include "core/program.h"

/* One work-item an item, rounded up to whole work-groups of local (or what the device can do, if less). The local
   size is always stated: PoCL compiles a kernel once for each. */
static inline struct kernel_range launch_range(const tess_context *ctx, size_t items,
                                               size_t local) {
    if (local > ctx->device.max_work_group) local = ctx->device.max_work_group;
    if (local > ctx->device.max_work_item[0]) local = ctx->device.max_work_item[0];
    if (local == 0) local = 1;
    size_t groups = (items + local - 1) / local;
    return (struct kernel_range){.dims = 1, .global = {groups * local}, .local = {local}};
}

/* The widest vector that kernels should use: the native one on CPUs, 4 elsewhere (16-byte loads). */
static inline int launch_vector(const tess_context *ctx) {
    if (ctx->device.type != CL_DEVICE_TYPE_CPU) return 4;
    if (ctx->device.native_float_vector >= 16) return 16;
    return ctx->device.native_float_vector >= 8 ? 8 : 4;
}

#endif
