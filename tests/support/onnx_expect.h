/* Reading models in tests: those that must be good, and those that must be refused with a reason. */
#ifndef TESSERA_TESTS_ONNX_EXPECT_H
#define TESSERA_TESTS_ONNX_EXPECT_H

#include "net/onnx/onnx_model.h"

/* Fails the test unless the bytes are a model. onnx_model_destroy it. */
struct onnx_model *onnx_expect_model(const void *data, size_t size);
/* Fails unless they are refused with this status and a message "model: why; what to do" in one line that holds text. */
void onnx_expect_refused(const void *data, size_t size, tess_status want, const char *text);
/* The same for what an error says. */
void onnx_expect_error(tess_status got, const tess_error *error, tess_status want,
                       const char *text);

#endif
