/* Replacing a file atomically: at any moment, also after a kill or a power failure, its path holds the old or the new
   contents, whole.

   The new contents go to a temporary file `<name>.tmp.<pid>.<n>` in the same folder, which is fsynced and renamed; then the
   folder is fsynced. The writer holds an flock on its temporary file, so that one that a killed process left
   behind can be told from one that is being written: the former are removed at the next atomic_file_open of the same path. */
#ifndef TESSERA_CORE_ATOMIC_FILE_H
#define TESSERA_CORE_ATOMIC_FILE_H

#include "core/status.h"

struct atomic_file {
    int fd;
    char *path, *temporary; /* owned */
};

/* path must not exist, or be a regular file or a symbolic link (which is replaced, not followed). On success
   the file is ended by atomic_file_commit or atomic_file_abort. */
tess_status atomic_file_open(const char *path, tess_error *error, struct atomic_file *file);

/* Appends. After a failure only atomic_file_abort makes sense. */
tess_status atomic_file_write(struct atomic_file *file, const void *data, size_t bytes,
                              tess_error *error);

/* Puts the new contents in place and ends the file, also when it fails; path then holds the old contents, or, if only the
   folder's fsync failed, the new ones. Blocks until the disk has them. */
tess_status atomic_file_commit(struct atomic_file *file, tess_error *error);

/* Before long work whose result goes to path: fails as atomic_file_open and a first write would. Leaves nothing behind. */
tess_status atomic_file_try(const char *path, tess_error *error);

/* Leaves the old contents and ends the file. Harmless after atomic_file_commit. */
void atomic_file_abort(struct atomic_file *file);

#endif
