/* Devices that want like configurations: what portfolios are kept for. */
#ifndef TESSERA_DB_DEVICE_CLASS_H
#define TESSERA_DB_DEVICE_CLASS_H

#include "tessera.h"

/* "pocl-avx512", "pocl-avx2", "amd-gpu", "nvidia-gpu", "intel-gpu", "any-gpu"; "" for others. A constant. */
const char *device_class(const tess_device_info *device);

/* The class whose portfolio serves where this one has none; NULL: no other. */
const char *device_class_parent(const char *name);

#endif
