/* Errors of files: which file, what the system said, and what to do about it. */
#ifndef TESSERA_CORE_FILE_ERROR_H
#define TESSERA_CORE_FILE_ERROR_H

#include "core/status.h"

/* TESS_IO with "path: cannot be <action>: <system's words>; <advice for this code>", e.g. action "opened", code
   ENOENT. */
tess_status error_file(tess_error *error, int code, const char *path, const char *action);

/* Copies text that came out of a file into a message's part: one line, at most size - 1 bytes, control characters
   and bytes beyond ASCII as '?', "..." at the end if it was cut. Returns out. */
char *printable(const char *text, char *out, size_t size);

#endif
