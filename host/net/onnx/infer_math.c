/* Shapes of element-wise operators, normalisation, products and reductions. */
#include "net/onnx/onnx_infer.h"

#include <string.h>

tess_status infer_unary(const struct onnx_infer *in) {
    return infer_same(in);
}

/* All inputs broadcast; output of type dtype. Inputs from `first` on have the same type. */
static tess_status broadcast_all(const struct onnx_infer *in, int first, int dtype) {
    int rank = 0;
    int64_t dims[ONNX_MAX_RANK];
    for (int i = 0; i < in->node->input_count; i++) {
        const struct onnx_known *x = infer_in(in, i);
        if (!x)
            return infer_fail(in, TESS_BAD_FORMAT, "its input %d is missing; export it again", i);
        if (i > first && x->dtype != infer_in(in, first)->dtype)
            return infer_fail(in, TESS_BAD_FORMAT,
                              "its inputs are of %s and %s, and must be of one type; export it "
                              "with a Cast between",
                              onnx_dtype_name(infer_in(in, first)->dtype),
                              onnx_dtype_name(x->dtype));
        tess_status status = infer_broadcast(in, x, &rank, dims);
        if (status) return status;
    }
    return infer_set(in, 0, dtype, rank, dims);
}

tess_status infer_arithmetic(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    /* An exponent may be of another type. */
    return broadcast_all(in, strcmp(in->node->op, "Pow") == 0 ? 1 : 0, x->dtype);
}

tess_status infer_compare(const struct onnx_infer *in) {
    return broadcast_all(in, 0, ONNX_BOOL);
}

tess_status infer_where(const struct onnx_infer *in) {
    if (infer_in(in, 0)->dtype != ONNX_BOOL)
        return infer_fail(in, TESS_BAD_FORMAT, "its condition is not bool; export it again");
    return broadcast_all(in, 1, infer_in(in, 1)->dtype);
}

tess_status infer_cast(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t to = ONNX_UNDEFINED;
    tess_status status = onnx_get_int(in->model, in->node, "to", in->error, &to);
    if (status) return status;
    if (to <= 0 || to > INT32_MAX || !onnx_dtype_size((int)to))
        return infer_fail(in, TESS_UNSUPPORTED,
                          "makes %s, which is not supported; use float32 or integers",
                          onnx_dtype_name(to > 0 && to <= INT32_MAX ? (int)to : 0));
    return infer_set(in, 0, (int)to, x->rank, x->dims);
}

tess_status infer_dropout(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    tess_status status = infer_same(in);
    /* The mask was of the data's type before opset 10. */
    int mask = infer_opset(in) < 10 ? x->dtype : ONNX_BOOL;
    return status ? status : infer_set(in, 1, mask, x->rank, x->dims);
}

/* Batch normalisation: y, and in training the statistics. */
tess_status infer_norm(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    if (x->rank < 2)
        return infer_fail(in, TESS_INVALID_SHAPE,
                          "its input has %d dimensions, and needs batch and channels; check the "
                          "input's shape",
                          x->rank);
    for (int i = 1; i < 5; i++) {
        const struct onnx_known *p = infer_in(in, i);
        if (p->rank != 1 || p->dims[0] != x->dims[1])
            return infer_fail(in, TESS_INVALID_SHAPE,
                              "its input %d must have one number for each of the %lld channels; "
                              "check the input's shape",
                              i, (long long)x->dims[1]);
    }
    tess_status status = infer_same(in);
    for (int i = 1; i < in->node->output_count && !status; i++)
        status = infer_set(in, i, infer_in(in, 3)->dtype, 1, &x->dims[1]);
    return status;
}

/* ---------------------------------------------------------------- products */

tess_status infer_matmul(const struct onnx_infer *in) {
    struct onnx_known a = *infer_in(in, 0), b = *infer_in(in, 1);
    bool a_vector = a.rank == 1, b_vector = b.rank == 1;
    if (a.rank < 1 || b.rank < 1)
        return infer_fail(in, TESS_INVALID_SHAPE, "multiplies a single value; use Mul");
    if (a_vector) { /* a row */
        a.dims[1] = a.dims[0];
        a.dims[0] = 1;
        a.rank = 2;
    }
    if (b_vector) { /* a column */
        b.dims[1] = 1;
        b.rank = 2;
    }
    int64_t m = a.dims[a.rank - 2], n = b.dims[b.rank - 1], dims[ONNX_MAX_RANK + 2];
    if (a.dims[a.rank - 1] != b.dims[b.rank - 2])
        return infer_fail(in, TESS_INVALID_SHAPE,
                          "multiplies rows of %lld with columns of %lld numbers; check the input's "
                          "shape",
                          (long long)a.dims[a.rank - 1], (long long)b.dims[b.rank - 2]);
    int rank = a.rank - 2;
    memcpy(dims, a.dims, sizeof a.dims);
    b.rank -= 2;
    tess_status status = infer_broadcast(in, &b, &rank, dims);
    if (status) return status;
    if (!a_vector) dims[rank++] = m;
    if (!b_vector) dims[rank++] = n;
    return infer_set(in, 0, a.dtype, rank, dims);
}

tess_status infer_gemm(const struct onnx_infer *in) {
    const struct onnx_known *a = infer_in(in, 0), *b = infer_in(in, 1), *c = infer_in(in, 2);
    int64_t trans_a = 0, trans_b = 0;
    tess_status status = onnx_get_int(in->model, in->node, "transA", in->error, &trans_a);
    if (!status) status = onnx_get_int(in->model, in->node, "transB", in->error, &trans_b);
    if (status) return status;
    if (a->rank != 2 || b->rank != 2)
        return infer_fail(in, TESS_INVALID_SHAPE,
                          "multiplies tensors of %d and %d dimensions, and needs matrices; check "
                          "the input's shape",
                          a->rank, b->rank);
    int64_t dims[ONNX_MAX_RANK] = {a->dims[trans_a ? 1 : 0], b->dims[trans_b ? 0 : 1]};
    int64_t left = a->dims[trans_a ? 0 : 1], right = b->dims[trans_b ? 1 : 0];
    if (left != right)
        return infer_fail(in, TESS_INVALID_SHAPE,
                          "multiplies rows of %lld with columns of %lld numbers; check the input's "
                          "shape",
                          (long long)left, (long long)right);
    int64_t joined[ONNX_MAX_RANK] = {dims[0], dims[1]};
    int rank = 2;
    if (c) status = infer_broadcast(in, c, &rank, joined);
    if (!status && (rank != 2 || joined[0] != dims[0] || joined[1] != dims[1]))
        status = infer_fail(in, TESS_INVALID_SHAPE,
                            "its input C does not broadcast to %lld x %lld; check the model",
                            (long long)dims[0], (long long)dims[1]);
    return status ? status : infer_set(in, 0, a->dtype, 2, dims);
}

/* ---------------------------------------------------------------- reductions */

tess_status infer_reduced(const struct onnx_infer *in, bool *reduced, bool *keep) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t axes[ONNX_MAX_RANK], keep_dims = 1, noop = 0;
    int count = 0;
    tess_status status = infer_ints_either(in, "axes", 1, axes, &count);
    if (!status) status = onnx_get_int(in->model, in->node, "keepdims", in->error, &keep_dims);
    if (!status)
        status = onnx_get_int(in->model, in->node, "noop_with_empty_axes", in->error, &noop);
    if (!status) status = infer_mark_axes(in, axes, count, x->rank, reduced);
    if (status) return status;
    for (int d = 0; d < x->rank && count <= 0; d++)
        reduced[d] = !noop;
    *keep = keep_dims != 0;
    return TESS_OK;
}

tess_status infer_reduce(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t dims[ONNX_MAX_RANK];
    bool reduced[ONNX_MAX_RANK], keep = true;
    int rank = 0;
    tess_status status = infer_reduced(in, reduced, &keep);
    if (status) return status;
    for (int d = 0; d < x->rank; d++)
        if (!reduced[d] || keep) dims[rank++] = reduced[d] ? 1 : x->dims[d];
    return infer_set(in, 0, x->dtype, rank, dims);
}

tess_status infer_argmax(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t keep = 1, dims[ONNX_MAX_RANK];
    int axis = 0, rank = 0;
    tess_status status = infer_axis_attribute(in, 0, x->rank, &axis);
    if (!status) status = onnx_get_int(in->model, in->node, "keepdims", in->error, &keep);
    if (status) return status;
    for (int d = 0; d < x->rank; d++)
        if (d != axis || keep) dims[rank++] = d == axis ? 1 : x->dims[d];
    return infer_set(in, 0, ONNX_INT64, rank, dims);
}
