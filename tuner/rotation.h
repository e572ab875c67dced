/* Copies of a buffer that timed runs take in turn, so that each finds its operands in memory and not in a cache. */
#ifndef TESSERA_TUNER_ROTATION_H
#define TESSERA_TUNER_ROTATION_H

#include "tuner/workbench.h"

/* How many sets of bytes each it takes until one is out of the last-level cache (tess_device_info.global_cache; 32 MiB where the device
   does not tell) before its turn comes again: together a quarter more than the cache, beside the one in use; fewer where they would take more
   than an eighth of the device's memory. At least 1. */
int rotation_sets(const tess_device_info *device, size_t bytes);

/* sets - 1 copies of original, of what it was made with; data as in guarded_write. *rotation is to be closed, also after a failure. */
tess_status rotation_open(tess_context *ctx, const struct guarded *original, int sets,
                          const float *data, struct rotation *rotation);
void rotation_close(struct rotation *rotation);

/* The tensor of a turn; original's own in turns 0, sets, 2 sets ... */
tess_tensor *rotation_tensor(const struct rotation *rotation, const struct guarded *original,
                             long turn);

#endif
