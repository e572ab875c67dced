/* Files of one tensor. */
#include "net/onnx/onnx_tensor.h"

#include "net/onnx/onnx_wire.h"

#include <stdlib.h>

/* A tensor and the message that its data may lie in. */
struct tensor_file {
    struct onnx_tensor tensor; /* first: what callers see */
    ProtobufCMessage *message;
};

void onnx_tensor_destroy(struct onnx_tensor *tensor) {
    struct tensor_file *file = (struct tensor_file *)tensor;
    if (!file) return;
    onnx_tensor_clear(&file->tensor);
    protobuf_c_message_free_unpacked(file->message, NULL);
    free(file);
}

tess_status onnx_tensor_read(const char *path, tess_error *error, struct onnx_tensor **out) {
    if (!path || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "ONNX: no path or nowhere to put the tensor; give both");
    struct onnx_source source = {.path = path, .error = error};
    struct tensor_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to read it; free some memory", path);
    tess_status status =
        onnx_unpack_file(&onnx__tensor_proto__descriptor, path, error, &file->message);
    if (!status)
        status = onnx_tensor_from(&source, (Onnx__TensorProto *)file->message, &file->tensor);
    if (status) {
        onnx_tensor_destroy(&file->tensor);
        return status;
    }
    *out = &file->tensor;
    return TESS_OK;
}
