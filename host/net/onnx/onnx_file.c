/* Files for onnx_wire.h. */
#include "net/onnx/onnx_wire.h"

#include "core/input_file.h"

#include <stdlib.h>
#include <unistd.h>

tess_status onnx_file_read(const char *path, tess_error *error, uint8_t **data, size_t *size) {
    int fd = -1;
    int64_t bytes = 0;
    uint8_t *all = NULL;
    tess_status status = input_file_open(path, "name an ONNX file", error, &fd, &bytes);
    if (!status && bytes > ONNX_MAX_FILE)
        status = error_set(error, TESS_UNSUPPORTED,
                           "%s: has %lld bytes, and a protobuf file may have at most 2 GB; export "
                           "the model with its weights as external data",
                           path, (long long)bytes);
    if (!status && !(all = malloc(bytes ? (size_t)bytes : 1)))
        status =
            error_set(error, TESS_OUT_OF_HOST_MEMORY,
                      "%s: no memory for its %lld bytes; free some memory", path, (long long)bytes);
    if (!status) status = input_file_read(fd, path, 0, all, bytes, error);
    if (fd >= 0) close(fd);
    if (status) {
        free(all);
        return status;
    }
    *data = all;
    *size = (size_t)bytes;
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
