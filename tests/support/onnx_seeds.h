/* Models that damaged ones are made from: for the mutation test and the fuzzer's corpus. */
#ifndef TESSERA_TESTS_ONNX_SEEDS_H
#define TESSERA_TESTS_ONNX_SEEDS_H

#include "support/onnx_build.h"

/* Seed i in a builder that the caller ends; false: there is none. Each can be read; all but the last can be folded. */
bool onnx_seed(int i, struct onnx_build *build);

/* Reads the bytes as a model, looks for unknown operators, folds; as a tensor, too. True if all of it was a good model. Fails (by
   assert) if something is refused without a reason. */
bool onnx_exercise(const uint8_t *data, size_t size);

#endif
