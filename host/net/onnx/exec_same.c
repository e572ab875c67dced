/* Operators whose output is their input, perhaps of another shape: no step, no copy. */
#include "net/onnx/exec_build.h"

#include <stdlib.h>
#include <string.h>

tess_status exec_same(struct exec_build *b) {
    return exec_alias(b, exec_input(b, 0), exec_output(b, 0));
}

tess_status exec_cast(struct exec_build *b) {
    int from = infer_in(&b->in, 0)->dtype, to = infer_out(&b->in, 0)->dtype;
    if (from == to) return exec_same(b);
    return infer_fail(
        &b->in, TESS_UNSUPPORTED,
        "casts %s to %s, which works for constants and inputs that are no float32 only; "
        "export the model in float32",
        onnx_dtype_name(from), onnx_dtype_name(to));
}

/* The mask of a dropout that drops nothing: all true. */
static tess_status make_mask(struct exec_build *b, int value) {
    const struct onnx_known *known = &b->run->folded->values[value];
    int buffer;
    if (known->dtype != ONNX_BOOL)
        return infer_fail(&b->in, TESS_UNSUPPORTED,
                          "its mask is read as %s; export the model for operator set 12",
                          onnx_dtype_name(known->dtype));
    void *ones = malloc((size_t)known->count + 1);
    if (!ones)
        return infer_fail(&b->in, TESS_OUT_OF_HOST_MEMORY, "no memory for its mask; free some");
    memset(ones, 1, (size_t)known->count);
    tess_status status = exec_buffer_constant(b->run, ones, (size_t)known->count, &buffer);
    free(ones);
    if (!status) b->run->values[value].buffer[EXEC_ROWS] = buffer;
    return status;
}

/* Inference: the input. Training mode drops at random, so only a rate of 0 has one right answer. */
tess_status exec_dropout(struct exec_build *b) {
    struct onnx_at at = exec_at(b);
    double rate = 0;
    bool training = false;
    tess_status status = onnx_dropout_of(&at, &rate, &training);
    if (!status && training && rate > 0)
        status = infer_fail(&b->in, TESS_UNSUPPORTED,
                            "drops at random (training_mode); export it for inference");
    if (!status) status = exec_same(b);
    int mask = exec_output(b, 1);
    return status || mask < 0 ? status : make_mask(b, mask);
}
