/* The safetensors format: 8 bytes little-endian header length, JSON header, data. F32 tensors only, and PyTorch's counters
   "<layer>.num_batches_tracked" (I64), which are checked and left out.
   https://github.com/huggingface/safetensors, "Format" */
#ifndef TESSERA_NET_SAFETENSORS_H
#define TESSERA_NET_SAFETENSORS_H

#include "tessera.h"

#define SAFETENSORS_MAX_RANK   8
#define SAFETENSORS_MAX_HEADER 100000000 /* bytes; the format's own limit */

struct safetensor {
    char *name;                          /* UTF-8 */
    int rank;                            /* 0: a single value */
    int64_t shape[SAFETENSORS_MAX_RANK]; /* 0 is allowed: no values */
    float *data;                         /* row-major */
};

struct safetensors {
    struct safetensor *tensors;
    int count;
    char **metadata; /* key, value, key, value ..., then NULL; NULL: none */
};

/* Writes path anew by temporary file in the same folder, fsync, rename, fsync of the folder (core/atomic_file.h): at any
   moment path holds the old or the new contents, whole. Metadata come first, then the tensors, in the given order. Same
   input, same bytes. Names that are empty, twice there, or not UTF-8 are TESS_INVALID_ARGUMENT. */
tess_status safetensors_write(const char *path, const struct safetensors *file, tess_error *error);

/* Reads all of path. Header length, JSON, dtypes, offsets (no overlap, no gap, in range), shapes and
   sizes are checked before anything is allocated by what they say. Tensors keep the header's order. TESS_IO: not
   readable; TESS_BAD_FORMAT: damaged or not of this format; TESS_UNSUPPORTED: another dtype than F32 (counters: and I64). *out is ended by
   safetensors_destroy, and owns all that it points to. */
tess_status safetensors_read(const char *path, tess_error *error, struct safetensors **out);
void safetensors_destroy(struct safetensors *file); /* NULL is allowed */

/* Whether PyTorch calls its count of a batch normalisation's batches so; nothing here depends on it. */
bool safetensors_is_counter(const char *name);

/* NULL if there is none of that name. Borrowed. */
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key);

#endif
