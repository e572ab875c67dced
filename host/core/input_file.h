/* Regular files that are read by position. */
#ifndef TESSERA_CORE_INPUT_FILE_H
#define TESSERA_CORE_INPUT_FILE_H

#include "core/status.h"

/* Opens path for reading; the caller closes *fd, which is -1 after a failure. *size: bytes. A pipe or another special file is refused
   without waiting for its other end; advice says what to do then ("name a .npy file"). TESS_IO. */
tess_status input_file_open(const char *path, const char *advice, tess_error *error, int *fd,
                            int64_t *size);

/* Reads exactly bytes bytes at offset. path: for messages. TESS_IO; also where the file ends before, which a caller that asked for its size
   sees only if somebody cuts the file meanwhile. */
tess_status input_file_read(int fd, const char *path, int64_t offset, void *out, int64_t bytes,
                            tess_error *error);

#endif
