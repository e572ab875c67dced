#include "net/onnx/onnx_infer.h"

#include <stdlib.h>
#include <string.h>

const struct onnx_known *infer_in(const struct onnx_infer *in, int i) {
    if (i >= in->node->input_count || in->node->inputs[i] < 0) return NULL;
    return &in->folded->values[in->node->inputs[i]];
}

struct onnx_known *infer_out(const struct onnx_infer *in, int i) {
    if (i >= in->node->output_count || in->node->outputs[i] < 0) return NULL;
    return &in->folded->values[in->node->outputs[i]];
}

int64_t infer_opset(const struct onnx_infer *in) {
    return in->model->opset;
}

tess_status infer_set(const struct onnx_infer *in, int i, int dtype, int rank,
                      const int64_t *dims) {
    struct onnx_known *out = infer_out(in, i);
    if (rank > ONNX_MAX_RANK)
        return infer_fail(in, TESS_UNSUPPORTED,
                          "its output has %d dimensions, and at most %d are supported; reshape it",
                          rank, ONNX_MAX_RANK);
    int64_t count = 0;
    tess_error why = {0};
    tess_status status = onnx_count(dims, rank, "", "", &why, &count);
    if (status)
        return infer_fail(in, status == TESS_BAD_FORMAT ? TESS_INVALID_SHAPE : status,
                          "its output would have %s; check the shapes of the inputs",
                          status == TESS_BAD_FORMAT ? "a negative size" : "over 2^31 elements");
    if (!out) return TESS_OK;
    *out = (struct onnx_known){.dtype = dtype, .rank = rank, .count = count};
    for (int d = 0; d < rank; d++)
        out->dims[d] = dims[d];
    return TESS_OK;
}

tess_status infer_same(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    return infer_set(in, 0, x->dtype, x->rank, x->dims);
}

tess_status infer_ints(const struct onnx_infer *in, int i, int64_t *values, int *count) {
    const struct onnx_known *x = infer_in(in, i);
    *count = -1;
    if (!x) return TESS_OK;
    if (!x->constant)
        return infer_fail(in, TESS_UNSUPPORTED,
                          "its input %d, which decides about shapes, is only known when the model "
                          "runs; export it with fixed shapes",
                          i);
    if (x->rank > 1 || x->count > ONNX_MAX_RANK ||
        (x->dtype != ONNX_INT64 && x->dtype != ONNX_INT32))
        return infer_fail(in, TESS_BAD_FORMAT,
                          "its input %d must be a list of at most %d integers; export it again", i,
                          ONNX_MAX_RANK);
    for (int64_t j = 0; j < x->count; j++)
        values[j] = onnx_integer_at(x->constant, j);
    *count = (int)x->count;
    return TESS_OK;
}

tess_status infer_ints_either(const struct onnx_infer *in, const char *attribute, int i,
                              int64_t *values, int *count) {
    tess_status status =
        onnx_get_ints(in->model, in->node, attribute, in->error, ONNX_MAX_RANK, values, count);
    if (status || *count >= 0) return status;
    return infer_ints(in, i, values, count);
}

tess_status infer_axis(const struct onnx_infer *in, int64_t given, int rank, int *axis) {
    if (given < -rank || given >= rank)
        return infer_fail(in, TESS_BAD_FORMAT,
                          "axis %lld, but its tensor has %d dimensions; export it again",
                          (long long)given, rank);
    *axis = (int)(given < 0 ? given + rank : given);
    return TESS_OK;
}

tess_status infer_axis_attribute(const struct onnx_infer *in, int64_t standard, int rank,
                                 int *axis) {
    tess_status status = onnx_get_int(in->model, in->node, "axis", in->error, &standard);
    return status ? status : infer_axis(in, standard, rank, axis);
}

tess_status infer_mark_axes(const struct onnx_infer *in, const int64_t *axes, int count, int rank,
                            bool *marked) {
    memset(marked, 0, sizeof *marked * ONNX_MAX_RANK);
    for (int i = 0; i < count; i++) {
        int axis = 0;
        tess_status status = infer_axis(in, axes[i], rank, &axis);
        if (status) return status;
        if (marked[axis])
            return infer_fail(in, TESS_BAD_FORMAT, "axis %d is given twice; export it again", axis);
        marked[axis] = true;
    }
    return TESS_OK;
}

tess_status infer_broadcast(const struct onnx_infer *in, const struct onnx_known *other, int *rank,
                            int64_t *dims) {
    int64_t joined[ONNX_MAX_RANK] = {0};
    int larger = *rank > other->rank ? *rank : other->rank;
    for (int i = 1; i <= larger; i++) {
        int64_t a = i <= *rank ? dims[*rank - i] : 1;
        int64_t b = i <= other->rank ? other->dims[other->rank - i] : 1;
        if (a != b && a != 1 && b != 1)
            return infer_fail(in, TESS_INVALID_SHAPE,
                              "its inputs have sizes %lld and %lld in one dimension, which do not "
                              "broadcast; check the shapes of the model's inputs",
                              (long long)a, (long long)b);
        joined[larger - i] = a == 1 ? b : a;
    }
    memcpy(dims, joined, sizeof *dims * (size_t)larger);
    *rank = larger;
    return TESS_OK;
}

/* ---------------------------------------------------------------- contents */

/* A new entry in the list of constants: output 0 over data. */
static tess_status add_constant(const struct onnx_infer *in, const void *data, void *owned) {
    struct onnx_folded *folded = in->folded;
    struct onnx_known *out = infer_out(in, 0);
    if (folded->constant_count == folded->constant_capacity)
        return infer_fail(in, TESS_INTERNAL, "more constants than nodes; report this");
    struct onnx_tensor *tensor = &folded->constants[folded->constant_count++];
    *tensor = (struct onnx_tensor){.name = in->model->values[in->node->outputs[0]].name,
                                   .dtype = out->dtype,
                                   .rank = out->rank,
                                   .count = out->count,
                                   .data = data,
                                   .owned = owned};
    memcpy(tensor->dims, out->dims, sizeof tensor->dims);
    out->constant = tensor;
    return TESS_OK;
}

tess_status infer_constant(const struct onnx_infer *in, void **data) {
    struct onnx_folded *folded = in->folded;
    const struct onnx_known *out = infer_out(in, 0);
    int64_t bytes = out->count * (int64_t)onnx_dtype_size(out->dtype);
    if (bytes > folded->constant_limit - folded->constant_bytes)
        return infer_fail(in, TESS_UNSUPPORTED,
                          "its constant result of %lld bytes makes the model's constants too "
                          "large; compute it outside the model",
                          (long long)bytes);
    void *block = calloc(1, bytes ? (size_t)bytes : 1);
    if (!block)
        return infer_fail(in, TESS_OUT_OF_HOST_MEMORY, "no memory for its %lld bytes; free some",
                          (long long)bytes);
    folded->constant_bytes += bytes;
    tess_status status = add_constant(in, block, block);
    if (status) free(block);
    *data = block;
    return status;
}

tess_status infer_view(const struct onnx_infer *in, const void *data) {
    return add_constant(in, data, NULL);
}

/* ---------------------------------------------------------------- walks */

void onnx_strides(int rank, const int64_t *dims, int64_t *strides) {
    int64_t stride = 1;
    for (int d = rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= dims[d];
    }
}

void onnx_walk_start(struct onnx_walk *walk, int rank, const int64_t *dims,
                     const struct onnx_known *input) {
    int64_t strides[ONNX_MAX_RANK];
    *walk = (struct onnx_walk){.rank = rank, .dims = dims};
    onnx_strides(input->rank, input->dims, strides);
    for (int d = 0; d < input->rank; d++)
        if (input->dims[d] != 1) walk->strides[rank - input->rank + d] = strides[d];
}

void onnx_walk_next(struct onnx_walk *walk) {
    for (int d = walk->rank - 1; d >= 0; d--) {
        walk->offset += walk->strides[d];
        if (++walk->index[d] < walk->dims[d]) return;
        walk->offset -= walk->strides[d] * walk->dims[d];
        walk->index[d] = 0;
    }
}
