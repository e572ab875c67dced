/* Tensors of ONNX files: element types, checked contents, files of one tensor. */
#ifndef TESSERA_ONNX_TENSOR_H
#define TESSERA_ONNX_TENSOR_H

#include "core/status.h"

#include "onnx.pb-c.h"

#define ONNX_MAX_RANK     8
#define ONNX_MAX_ELEMENTS INT32_MAX /* of one tensor: kernels count with int */

/* TensorProto.DataType. */
enum onnx_dtype {
    ONNX_UNDEFINED = 0, /* not said */
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_UINT16 = 4,
    ONNX_INT16 = 5,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_STRING = 8,
    ONNX_BOOL = 9, /* one byte: 0, 1 */
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11,
    ONNX_UINT32 = 12,
    ONNX_UINT64 = 13,
    ONNX_COMPLEX64 = 14,
    ONNX_COMPLEX128 = 15,
    ONNX_BFLOAT16 = 16,
};

/* Bytes of an element; 0 for types whose data are not read: strings, complex numbers, unknown ones. */
size_t onnx_dtype_size(int dtype);
/* "float32", "int64" ...; "type 77" is "an unknown type". */
const char *onnx_dtype_name(int dtype);

/* Dense, row-major, in the host's byte order. */
struct onnx_tensor {
    const char *name; /* "" if it has none; borrowed from the message */
    int dtype;        /* one with a size */
    int rank;         /* 0: a single value */
    int64_t dims[ONNX_MAX_RANK];
    int64_t count;    /* of elements */
    const void *data; /* aligned for any type; NULL only with count 0 */
    void *owned;      /* what onnx_tensor_clear frees; NULL: data lies in the message */
};

/* Elements of a shape. TESS_BAD_FORMAT for a negative dimension, TESS_UNSUPPORTED for more than ONNX_MAX_ELEMENTS; the message
   starts with "path: <what>:". */
tess_status onnx_count(const int64_t *dims, int rank, const char *path, const char *what,
                       tess_error *error, int64_t *count);

/* protobuf-c's NULL for a string that is not there, as "". */
static inline const char *onnx_text(const char *text) {
    return text ? text : "";
}

/* A file that external data lie in. */
struct onnx_external_file {
    char *location;
    int fd;
    int64_t size, used; /* bytes */
};

/* Where tensors come from. */
struct onnx_source {
    const char *path;   /* of the model, for messages */
    const char *folder; /* of external data; NULL: none may be used */
    tess_error *error;
    struct onnx_external_file *files; /* those opened so far */
    int file_count;
};
void onnx_source_close(struct onnx_source *source);

/* Checks a message and makes a tensor of it. Small copies aside, data stay in the message (raw data are put into the host's
   byte order there), so it must live as long as the tensor. Nothing is allocated before the size is known to be in the file.
   TESS_BAD_FORMAT: contradictory; TESS_UNSUPPORTED: type, rank or size beyond us. On failure *out needs no
   onnx_tensor_clear. */
tess_status onnx_tensor_from(struct onnx_source *source, Onnx__TensorProto *message,
                             struct onnx_tensor *out);
void onnx_tensor_clear(struct onnx_tensor *tensor);

/* External data for onnx_tensor_from: `bytes` bytes at *data, to free. A file must lie in the model's folder or below, also after
   symbolic links are followed. */
tess_status onnx_external_read(struct onnx_source *source, const Onnx__TensorProto *message,
                               size_t bytes, void **data);

/* A file that holds one TensorProto, as ONNX's test data do (input_0.pb). *out owns all it points to and is ended by
   onnx_tensor_destroy. A sequence or an optional in the file is refused. */
tess_status onnx_tensor_read(const char *path, tess_error *error, struct onnx_tensor **out);
void onnx_tensor_destroy(struct onnx_tensor *tensor); /* of onnx_tensor_read; NULL is allowed */

/* In place, from little-endian to the host's order; size: of an element. */
void onnx_from_little_endian(void *data, size_t count, size_t size);

#endif
