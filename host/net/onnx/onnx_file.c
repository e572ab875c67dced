/* Files for onnx_wire.h. */
#include "net/onnx/onnx_wire.h"

#include "core/file_error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static tess_status open_regular(const char *path, tess_error *error, int *fd, size_t *size) {
    /* O_NONBLOCK: do not wait for the other end of a pipe. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return error_file(error, errno, path, "opened");
    struct stat info;
    if (fstat(*fd, &info)) return error_file(error, errno, path, "read");
    if (S_ISDIR(info.st_mode)) return error_file(error, EISDIR, path, "read");
    if (!S_ISREG(info.st_mode))
        return error_set(error, TESS_IO, "%s: is no regular file; name an ONNX file", path);
    if (info.st_size > ONNX_MAX_FILE)
        return error_set(error, TESS_UNSUPPORTED,
                         "%s: has %lld bytes, and a protobuf file may have at most 2 GB; export "
                         "the model with its weights as external data",
                         path, (long long)info.st_size);
    *size = (size_t)info.st_size;
    return TESS_OK;
}

static tess_status read_all(int fd, const char *path, tess_error *error, uint8_t *data,
                            size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, data + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_file(error, errno, path, "read");
        if (got == 0)
            return error_set(
                error, TESS_IO,
                "%s: ended at byte %zu of %zu; it was cut while it was read: try again", path, done,
                size);
        done += (size_t)got;
    }
    return TESS_OK;
}

tess_status onnx_file_read(const char *path, tess_error *error, uint8_t **data, size_t *size) {
    int fd = -1;
    size_t bytes = 0;
    uint8_t *all = NULL;
    tess_status status = open_regular(path, error, &fd, &bytes);
    if (!status && !(all = malloc(bytes ? bytes : 1)))
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY,
                           "%s: no memory for its %zu bytes; free some memory", path, bytes);
    if (!status) status = read_all(fd, path, error, all, bytes);
    if (fd >= 0) close(fd);
    if (status) {
        free(all);
        return status;
    }
    *data = all;
    *size = bytes;
    return TESS_OK;
}

tess_status onnx_unpack_file(const ProtobufCMessageDescriptor *type, const char *path,
                             tess_error *error, ProtobufCMessage **out) {
    uint8_t *data = NULL;
    size_t size = 0;
    tess_status status = onnx_file_read(path, error, &data, &size);
    if (!status) status = onnx_unpack(type, data, size, path, error, out);
    free(data);
    return status;
}
