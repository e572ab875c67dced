/* What Tessera sets out to run of ONNX, by which test cases are judged. */
#ifndef TESSERA_TESTS_ONNX_SCOPE_H
#define TESSERA_TESTS_ONNX_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "onnx.pb-c.h"

/* Whether all operators are those of convolutional networks; if not, why says which is not. */
bool onnx_scope_operators(const Onnx__ModelProto *model, char *why, size_t size);

/* Whether the model stays within float32 and integer tensors, inference and the operators' supported kinds. Asked when a case has failed. */
bool onnx_scope_kinds(const Onnx__ModelProto *model, char *why, size_t size);

#endif
