/* What context creation needs of devices beyond the public header. */
#ifndef TESSERA_CORE_DEVICE_H
#define TESSERA_CORE_DEVICE_H

#include "core/status.h"

/* Fills *out from the device and its platform. A query that fails leaves zero or false. The indices are left zero. */
void device_query(cl_device_id device, tess_device_info *out);

/* TESS_OK, or TESS_UNSUPPORTED and why this library cannot use the device. compiles: it is to build programs from source. */
tess_status device_check(const tess_device_info *info, bool compiles, tess_error *error);

#endif
