#include "core/input_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file_error.h"

tess_status input_file_open(const char *path, const char *advice, tess_error *error, int *fd,
                            int64_t *size) {
    /* O_NONBLOCK: do not wait for the other end of a pipe. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return error_file(error, errno, path, "opened");
    struct stat info;
    tess_status status = TESS_OK;
    if (fstat(*fd, &info))
        status = error_file(error, errno, path, "read");
    else if (S_ISDIR(info.st_mode))
        status = error_file(error, EISDIR, path, "read");
    else if (!S_ISREG(info.st_mode))
        status = error_set(error, TESS_IO, "%s: is no regular file; %s", path, advice);
    if (status) {
        close(*fd);
        *fd = -1;
        return status;
    }
    *size = info.st_size;
    return TESS_OK;
}

tess_status input_file_read(int fd, const char *path, int64_t offset, void *out, int64_t bytes,
                            tess_error *error) {
    char *to = out;
    while (bytes > 0) {
        size_t part = (size_t)(bytes < (1 << 30) ? bytes : 1 << 30);
        ssize_t got = pread(fd, to, part, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_file(error, errno, path, "read");
        if (got == 0)
            return error_set(error, TESS_IO,
                             "%s: ends at byte %lld, in the middle of its data; it was cut while "
                             "it was read: try again",
                             path, (long long)offset);
        to += got;
        offset += got;
        bytes -= got;
    }
    return TESS_OK;
}
