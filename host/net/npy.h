/* NumPy's .npy files: one dense array. Versions 1.0 to 3.0 are read, 1.0 is written; C order, little-endian.
   https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef TESSERA_NET_NPY_H
#define TESSERA_NET_NPY_H

#include "net/onnx/onnx_tensor.h"

#define NPY_MAX_HEADER 65536 /* bytes */

/* Fills *out, whose name becomes "", and which onnx_tensor_clear ends. Elements: bool, integers, float16, float32, float64. The
   file's size is checked against the shape before anything is allocated. TESS_IO: not readable; TESS_BAD_FORMAT: damaged or no
   .npy file; TESS_UNSUPPORTED: other elements, Fortran order, big-endian, over ONNX_MAX_RANK dimensions. */
tess_status npy_read(const char *path, tess_error *error, struct onnx_tensor *out);

/* Writes path anew, by core/atomic_file.h. Same tensor, same bytes; those of numpy.save. TESS_UNSUPPORTED for bfloat16, which .npy does
   not know. */
tess_status npy_write(const char *path, const struct onnx_tensor *tensor, tess_error *error);

#endif
