/* One entry of the cache on disk: a key and a payload in a file that proves to be whole.

     offset  size  contents
          0     8  "TESSBIN" and a zero
          8     8  format version, little-endian
         16    32  key
         48     8  payload size, little-endian
         56    32  SHA-256 of the payload
         88        payload */
#ifndef TESSERA_CORE_CACHE_FILE_H
#define TESSERA_CORE_CACHE_FILE_H

#include "core/context.h"

/* Reads folder/KEY.bin. False, with a line in the debug log unless the file does not exist, when it is not an entry with
   this key, whole. *payload is freed by the caller. */
bool cache_file_read(tess_context *ctx, const unsigned char key[32], unsigned char **payload,
                     size_t *size);

/* Writes it under a temporary name and renames it: readers and other writers see the old file or the new one. */
void cache_file_write(tess_context *ctx, const unsigned char key[32], const unsigned char *payload,
                      size_t size);

/* What is wrong with the file folder/name, whose name must be that of an entry: NULL if nothing is, else why ("its checksum is
   wrong"). *size: its bytes. */
const char *cache_file_check(const char *folder, const char *name, size_t *size);

#endif
