/* Contents of operators that move elements, for constants. Shapes were checked by infer_move.c. */
#include "net/onnx/onnx_infer.h"

#include <string.h>

tess_status fold_same(const struct onnx_infer *in) {
    return infer_view(in, infer_in(in, 0)->constant->data);
}

/* Output element i is input element walk->offset + base. */
static tess_status copy_walk(const struct onnx_infer *in, struct onnx_walk *walk, int64_t base) {
    const struct onnx_known *out = infer_out(in, 0);
    const char *from = infer_in(in, 0)->constant->data;
    size_t size = onnx_dtype_size(out->dtype);
    void *data = NULL;
    tess_status status = infer_constant(in, &data);
    if (status) return status;
    for (int64_t i = 0; i < out->count; i++, onnx_walk_next(walk))
        memcpy((char *)data + (size_t)i * size, from + (size_t)(walk->offset + base) * size, size);
    return TESS_OK;
}

tess_status fold_expand(const struct onnx_infer *in) {
    const struct onnx_known *out = infer_out(in, 0);
    struct onnx_walk walk;
    onnx_walk_start(&walk, out->rank, out->dims, infer_in(in, 0));
    return copy_walk(in, &walk, 0);
}

tess_status fold_transpose(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0), *out = infer_out(in, 0);
    struct onnx_walk walk = {.rank = out->rank, .dims = out->dims};
    int64_t perm[ONNX_MAX_RANK], strides[ONNX_MAX_RANK];
    int count = 0;
    tess_status status =
        onnx_get_ints(in->model, in->node, "perm", in->error, ONNX_MAX_RANK, perm, &count);
    if (status) return status;
    onnx_strides(x->rank, x->dims, strides);
    for (int d = 0; d < x->rank; d++)
        walk.strides[d] = strides[count < 0     ? x->rank - 1 - d
                                  : perm[d] < 0 ? perm[d] + x->rank
                                                : perm[d]];
    return copy_walk(in, &walk, 0);
}

tess_status fold_slice(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0), *out = infer_out(in, 0);
    struct onnx_walk walk = {.rank = out->rank, .dims = out->dims};
    int64_t start[ONNX_MAX_RANK], step[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    int64_t strides[ONNX_MAX_RANK], base = 0;
    tess_status status = infer_slice_plan(in, start, step, dims);
    if (status) return status;
    onnx_strides(x->rank, x->dims, strides);
    for (int d = 0; d < x->rank; d++) {
        base += start[d] * strides[d];
        walk.strides[d] = step[d] * strides[d];
    }
    return copy_walk(in, &walk, base);
}

/* How many blocks lie before axis, and the elements of one index of it. */
static void around(const struct onnx_known *x, int axis, int64_t *blocks, int64_t *inner) {
    *blocks = *inner = 1;
    for (int d = 0; d < x->rank; d++)
        if (d != axis) *(d < axis ? blocks : inner) *= x->dims[d];
}

tess_status fold_concat(const struct onnx_infer *in) {
    const struct onnx_known *out = infer_out(in, 0);
    size_t size = onnx_dtype_size(out->dtype);
    int64_t blocks, inner, done = 0;
    int axis = 0;
    void *data = NULL;
    tess_status status = infer_axis_attribute(in, 1, out->rank, &axis);
    if (!status) status = infer_constant(in, &data);
    if (status || !out->count) return status;
    around(out, axis, &blocks, &inner);
    size_t row = (size_t)(out->dims[axis] * inner) * size;
    for (int i = 0; i < in->node->input_count; i++) {
        const struct onnx_known *x = infer_in(in, i);
        size_t part = (size_t)(x->dims[axis] * inner) * size;
        const char *from = x->constant->data;
        for (int64_t b = 0; part && b < blocks; b++)
            memcpy((char *)data + (size_t)b * row + (size_t)(done * inner) * size,
                   from + (size_t)b * part, part);
        done += x->dims[axis];
    }
    return TESS_OK;
}

tess_status fold_gather(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0), *indices = infer_in(in, 1);
    const struct onnx_known *out = infer_out(in, 0);
    int64_t blocks, inner;
    int axis = 0;
    void *data = NULL;
    tess_status status = infer_axis_attribute(in, 0, x->rank, &axis);
    if (!status) status = infer_constant(in, &data);
    if (status || !out->count) return status;
    around(x, axis, &blocks, &inner);
    size_t row = (size_t)inner * onnx_dtype_size(out->dtype);
    char *to = data;
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t i = 0; i < indices->count; i++, to += row) {
            int64_t index = onnx_integer_at(indices->constant, i), size = x->dims[axis];
            if (index < -size || index >= size)
                return infer_fail(in, TESS_BAD_FORMAT,
                                  "takes element %lld of %lld; check the input's shape",
                                  (long long)index, (long long)size);
            if (index < 0) index += size;
            memcpy(to, (const char *)x->constant->data + (size_t)(b * size + index) * row, row);
        }
    return TESS_OK;
}
