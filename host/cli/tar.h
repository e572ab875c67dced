/* Folders of plain files as .tar.gz: POSIX ustar, so few lines that a library for archives would be more. */
#ifndef TESSERA_CLI_TAR_H
#define TESSERA_CLI_TAR_H

#include "core/status.h"

/* Writes the files of folder (no folders in it, names shorter than 80 characters, under 1 GiB) as "<prefix>/<name>" to path, in the order of
   their names, replacing path atomically. TESS_IO; TESS_OUT_OF_HOST_MEMORY. */
tess_status tar_folder(const char *folder, const char *prefix, const char *path, tess_error *error);

#endif
