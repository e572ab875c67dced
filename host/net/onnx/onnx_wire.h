/* From bytes to protobuf-c's messages, safely.

   protobuf-c calls itself once for each nested message, without a limit, and allocates whatever a file asks for: a few
   megabytes of crafted input would overflow the stack or fill the memory. So the bytes are walked here first, with protobuf-c's own
   descriptors, and it only sees those that are well formed, nested at most ONNX_MAX_NESTING deep and bounded in what they cost. */
#ifndef TESSERA_ONNX_WIRE_H
#define TESSERA_ONNX_WIRE_H

#include "core/status.h"

#include <protobuf-c/protobuf-c.h>

#define ONNX_MAX_NESTING   100                   /* as protobuf's own readers */
#define ONNX_MAX_FILE      2147483647            /* bytes; protobuf's own limit */
#define ONNX_MAX_STRUCTURE ((uint64_t)512 << 20) /* bytes of memory, weights not counted */

/* The whole of a regular file of at most ONNX_MAX_FILE bytes. *data is freed by free(). TESS_IO: not readable;
   TESS_UNSUPPORTED: too large. */
tess_status onnx_file_read(const char *path, tess_error *error, uint8_t **data, size_t *size);

/* TESS_BAD_FORMAT with the offset unless data is a well-formed message of this type: lengths in range, known fields of the right
   wire type, no group, no nested message given twice where one is allowed, limits above kept. path stands in messages
   only. */
tess_status onnx_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                            size_t size, const char *path, tess_error *error);

/* Checks and unpacks. *out is freed by protobuf_c_message_free_unpacked(*out, NULL). */
tess_status onnx_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size,
                        const char *path, tess_error *error, ProtobufCMessage **out);

/* The same from a file. */
tess_status onnx_unpack_file(const ProtobufCMessageDescriptor *type, const char *path,
                             tess_error *error, ProtobufCMessage **out);

#endif
