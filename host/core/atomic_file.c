#include "core/atomic_file.h"

#include "core/file_error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TRIES 1000 /* of a temporary name that is not taken */

/* The folder part of path ("." if it has none), to be freed. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *skip_digits(const char *text) {
    return text + strspn(text, "0123456789");
}

/* name is `<base>.tmp.<digits>.<digits>`. */
static bool is_temporary_of(const char *name, const char *base) {
    static const char infix[] = ".tmp.";
    size_t length = strlen(base);
    if (strncmp(name, base, length) != 0) return false;
    name += length;
    if (strncmp(name, infix, sizeof infix - 1) != 0) return false;
    name += sizeof infix - 1;
    const char *dot = skip_digits(name);
    if (dot == name || *dot != '.') return false;
    const char *end = skip_digits(dot + 1);
    return end != dot + 1 && *end == '\0';
}

/* Removes name if nobody holds the lock of its file. Since it was opened the name may have gone to another file, which
   must stay; a name that still means the file whose lock we hold can no longer change hands. */
static void remove_if_stale(int folder, const char *name) {
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    struct stat opened, named;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &opened) == 0 && S_ISREG(opened.st_mode) &&
        fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_dev == opened.st_dev &&
        named.st_ino == opened.st_ino)
        (void)unlinkat(folder, name, 0);
    close(fd);
}

/* Failures are silent: a leftover file harms nobody, and the write itself tells what is wrong with the folder. */
static void remove_stale(const char *folder_path, const char *base) {
    DIR *folder = opendir(folder_path);
    if (!folder) return;
    const struct dirent *entry;
    while ((entry = readdir(folder)))
        if (is_temporary_of(entry->d_name, base)) remove_if_stale(dirfd(folder), entry->d_name);
    closedir(folder);
}

/* Creates and locks the temporary file. Between the two another process may take it for stale: then take the
   next name. Where the file system has no locks, nobody can take it for stale either. Gives errno. */
static int open_temporary(struct atomic_file *file) {
    size_t size = strlen(file->path) + 48;
    file->temporary = malloc(size);
    if (!file->temporary) return ENOMEM;
    for (unsigned n = 0; n < MAX_TRIES; n++) {
        snprintf(file->temporary, size, "%s.tmp.%ld.%u", file->path, (long)getpid(), n);
        file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd < 0 && errno == EEXIST) continue;
        if (file->fd < 0) return errno;
        struct stat info;
        bool taken = flock(file->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!taken && fstat(file->fd, &info) == 0 && info.st_nlink > 0) return 0;
        close(file->fd);
        file->fd = -1;
    }
    return EEXIST;
}

tess_status atomic_file_open(const char *path, tess_error *error, struct atomic_file *file) {
    if (!path || !*path)
        return error_set(error, TESS_INVALID_ARGUMENT, "writing a file: no path; name a file");
    struct stat info;
    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
        return error_set(error, TESS_IO, "%s: exists and is no regular file; choose another name",
                         path);
    struct atomic_file result = {.fd = -1, .path = strdup(path)};
    char *folder = folder_of(path);
    int code = ENOMEM;
    if (result.path && folder) {
        remove_stale(folder, base_of(path));
        code = open_temporary(&result);
    }
    free(folder);
    if (code) {
        free(result.temporary);
        free(result.path);
        return error_file(error, code, path, "created");
    }
    *file = result;
    return TESS_OK;
}

tess_status atomic_file_write(struct atomic_file *file, const void *data, size_t bytes,
                              tess_error *error) {
    const char *from = data;
    while (bytes > 0) {
        size_t part = bytes < (1u << 30) ? bytes : 1u << 30; /* write takes less than 2 GiB */
        ssize_t written = write(file->fd, from, part);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return error_file(error, errno, file->path, "written");
        from += written;
        bytes -= (size_t)written;
    }
    return TESS_OK;
}

/* File systems that cannot sync a folder say EINVAL or ENOTSUP; one that we may not read cannot be opened: the rename
   then is as safe as it can be. Gives errno. */
static int sync_folder(const char *path) {
    char *folder = folder_of(path);
    if (!folder) return ENOMEM;
    int fd = open(folder, O_RDONLY | O_CLOEXEC);
    free(folder);
    if (fd < 0) return 0;
    int code = fsync(fd) ? errno : 0;
    close(fd);
    return code == EINVAL || code == ENOTSUP ? 0 : code;
}

tess_status atomic_file_commit(struct atomic_file *file, tess_error *error) {
    tess_status status = TESS_OK;
    if (fsync(file->fd)) {
        status = error_file(error, errno, file->path, "written to disk");
        goto done;
    }
    if (rename(file->temporary, file->path)) {
        status = error_file(error, errno, file->path, "replaced");
        goto done;
    }
    free(file->temporary);
    file->temporary = NULL;
    int code = sync_folder(file->path);
    if (code) status = error_file(error, code, file->path, "secured on disk");
done:
    atomic_file_abort(file);
    return status;
}

void atomic_file_abort(struct atomic_file *file) {
    if (file->temporary) (void)unlink(file->temporary);
    if (file->fd >= 0) close(file->fd);
    free(file->temporary);
    free(file->path);
    *file = (struct atomic_file){.fd = -1};
}

tess_status atomic_file_try(const char *path, tess_error *error) {
    struct atomic_file file;
    tess_status status = atomic_file_open(path, error, &file);
    if (status) return status;
    status = atomic_file_write(&file, "\n", 1, error); /* a full disk still makes files */
    atomic_file_abort(&file);
    return status;
}
