/* The safetensors format: 8 bytes little-endian header length, JSON header, data. F32 tensors only.
   https://github.com/huggingface/safetensors */
#ifndef TESSERA_NET_SAFETENSORS_H
#define TESSERA_NET_SAFETENSORS_H

#include "tessera.h"

struct safetensor {
    char *name;
    int rank;
    int64_t shape[8];
    float *data; /* row-major */
};

struct safetensors {
    struct safetensor *tensors;
    int count;
    char **metadata; /* key, value, key, value ..., then NULL */
};

/* Writes path anew by temporary file in the same folder, fsync, rename, fsync of the folder: at any moment path holds the old or the
   new contents, whole. Same input, same bytes. */
tess_status safetensors_write(const char *path, const struct safetensors *file, tess_error *error);

/* Reads all of path. Header length, JSON, dtypes, offsets (no overlap, no gap, in range), shapes and
   sizes are checked before anything is allocated by what they say. *out is ended by safetensors_destroy. */
tess_status safetensors_read(const char *path, tess_error *error, struct safetensors **out);
void safetensors_destroy(struct safetensors *file); /* NULL is allowed */

/* NULL if there is none of that name. */
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key);

#endif
