#include "tuner/rotation.h"

#include <stdlib.h>

enum { SETS_MAX = 256 };
static const double unknown_cache = 32 << 20;

int rotation_sets(const tess_device_info *device, size_t bytes) {
    double cache = device->global_cache ? (double)device->global_cache : unknown_cache;
    double each = bytes ? (double)bytes : 1;
    double sets = 2 + 1.25 * cache / each;
    double room = (double)device->global_memory / 8 / each;
    if (sets > room) sets = room;
    if (sets > SETS_MAX) return SETS_MAX;
    return sets >= 1 ? (int)sets : 1;
}

tess_status rotation_open(tess_context *ctx, const struct guarded *original, int sets,
                          const float *data, struct rotation *rotation) {
    *rotation = (struct rotation){.copies = NULL};
    if (sets <= 1 || !original->tensor) return TESS_OK;
    rotation->copies = calloc((size_t)sets - 1, sizeof *rotation->copies);
    if (!rotation->copies)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "tune: no memory for cold buffers");
    const tess_tensor_desc *desc = tess_tensor_get_desc(original->tensor);
    tess_status status = TESS_OK;
    for (int i = 0; i < sets - 1 && !status; i++) {
        status = guarded_create(ctx, desc, original->salt, &rotation->copies[i]);
        if (status) break;
        rotation->count++;
        status = guarded_write(&rotation->copies[i], data);
    }
    return status;
}

void rotation_close(struct rotation *rotation) {
    for (int i = 0; i < rotation->count; i++)
        guarded_destroy(&rotation->copies[i]);
    free(rotation->copies);
    *rotation = (struct rotation){.copies = NULL};
}

tess_tensor *rotation_tensor(const struct rotation *rotation, const struct guarded *original,
                             long turn) {
    long at = turn % (rotation->count + 1);
    return at ? rotation->copies[at - 1].tensor : original->tensor;
}
