/* What algorithms with register tiles of float16 share: sizes, registers, the launch of one work-item an element. */
#ifndef TESSERA_OPS_CONV_TILE_H
#define TESSERA_OPS_CONV_TILE_H

#include "core/program.h"

static inline int ceil_div(int a, int b) {
    return a / b + (a % b != 0);
}

/* Of a core, as wide as its vectors: 32 with AVX-512, 16 else. */
static inline int vector_registers(const tess_device_info *device) {
    return device->native_float_vector >= 16 ? 32 : 16;
}

/* Registers for a tile's sums and one set of its vectors. A multiply-add of AVX-512 can read its scalar, or the last vector, from memory
   where no register is left; elsewhere the scalar has a register too, and with one register too few compilers move sums about in the
   inner loop. */
static inline int tile_registers(const tess_device_info *device) {
    return device->native_float_vector >= 16 ? 32 : vector_registers(device) - 1;
}

/* Registers that one float16 takes. */
static inline int register_parts(const tess_device_info *device) {
    int width = device->native_float_vector ? (int)device->native_float_vector : 4;
    return width >= 16 ? 1 : 16 / width;
}

/* Cycles of one step of a tile, which loads scalars and vectors of float16 and multiplies and adds each with each: two multiply-adds
   a cycle, but of 512-bit registers a core loads hardly more than one a cycle (measured: 1.1 beside multiply-adds, broadcasts and
   operands from memory included). The last vector is loaded for each scalar anew where no register is left for it
   (kernels_cl/register_tile.clh). Other devices: load cycles for each load. */
static inline double tile_step_cycles(const tess_device_info *device, int scalars, int vectors,
                                      double load) {
    int parts = register_parts(device);
    double products = 0.5 * scalars * vectors * parts;
    if (parts > 1) return products + load * (scalars + vectors * parts);
    bool again = scalars * vectors + vectors + 1 > vector_registers(device);
    double loads = 0.9 * (scalars + vectors + (again ? scalars - 1 : 0));
    return loads > products ? loads : products;
}

/* Cycles of all work-items, spread over compute units in whole work-items. */
static inline double spread(double cycles_each, double items, const tess_device_info *device) {
    double units = device->compute_units ? device->compute_units : 1;
    return cycles_each * (double)(int64_t)((items + units - 1) / units);
}

/* Work-groups of 64 for kernels that have one work-item an element. */
static inline struct kernel_range flat_range(size_t items) {
    return (struct kernel_range){1, {(items + 63) / 64 * 64}, {64}};
}

#endif
