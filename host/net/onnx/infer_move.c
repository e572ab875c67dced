/* Shapes of operators that move elements and compute nothing. */
#include "net/onnx/onnx_infer.h"

#include <string.h>

/* The size of -1 so that dims has count elements. */
static tess_status fill_unknown(const struct onnx_infer *in, int unknown, int rank, int64_t count,
                                int64_t *dims) {
    int64_t others = 1;
    for (int d = 0; d < rank; d++) {
        if (d == unknown) continue;
        if (dims[d] && others > ONNX_MAX_ELEMENTS / dims[d])
            return infer_fail(in, TESS_INVALID_SHAPE,
                              "its new shape has more elements than its input; check the input's "
                              "shape");
        others *= dims[d];
    }
    if (unknown >= 0) dims[unknown] = others ? count / others : 0;
    if ((unknown >= 0 ? dims[unknown] * others : others) == count) return TESS_OK;
    return infer_fail(in, TESS_INVALID_SHAPE,
                      "its new shape does not fit its input's %lld elements; check the input's "
                      "shape",
                      (long long)count);
}

tess_status infer_reshape(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t dims[ONNX_MAX_RANK], allow_zero = 0;
    int rank = 0, unknown = -1;
    tess_status status = infer_ints(in, 1, dims, &rank);
    if (!status) status = onnx_get_int(in->model, in->node, "allowzero", in->error, &allow_zero);
    if (status) return status;
    for (int d = 0; d < rank; d++) {
        if (dims[d] < -1 || (dims[d] == -1 && unknown >= 0) ||
            (!dims[d] && !allow_zero && d >= x->rank))
            return infer_fail(in, TESS_BAD_FORMAT,
                              "its new shape has %lld in dimension %d; one -1, and 0 where the "
                              "input has a size, are allowed: export it again",
                              (long long)dims[d], d);
        if (dims[d] == -1) unknown = d;
        if (!dims[d] && !allow_zero) dims[d] = x->dims[d];
    }
    status = fill_unknown(in, unknown, rank, x->count, dims);
    return status ? status : infer_set(in, 0, x->dtype, rank, dims);
}

tess_status infer_flatten(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t axis = 1, dims[2] = {1, 1};
    tess_status status = onnx_get_int(in->model, in->node, "axis", in->error, &axis);
    if (status) return status;
    if (axis < -x->rank || axis > x->rank)
        return infer_fail(in, TESS_BAD_FORMAT,
                          "axis %lld, but its tensor has %d dimensions; export it again",
                          (long long)axis, x->rank);
    if (axis < 0) axis += x->rank;
    for (int d = 0; d < x->rank; d++)
        dims[d >= axis] *= x->dims[d];
    return infer_set(in, 0, x->dtype, 2, dims);
}

tess_status infer_squeeze(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t axes[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    bool marked[ONNX_MAX_RANK];
    int count = 0, rank = 0;
    tess_status status = infer_ints_either(in, "axes", 1, axes, &count);
    if (!status) status = infer_mark_axes(in, axes, count, x->rank, marked);
    if (status) return status;
    for (int d = 0; d < x->rank; d++) {
        if (count >= 0 && marked[d] && x->dims[d] != 1)
            return infer_fail(in, TESS_INVALID_SHAPE,
                              "drops dimension %d, whose size is %lld and not 1; check the input's "
                              "shape",
                              d, (long long)x->dims[d]);
        if (count >= 0 ? !marked[d] : x->dims[d] != 1) dims[rank++] = x->dims[d];
    }
    return infer_set(in, 0, x->dtype, rank, dims);
}

tess_status infer_unsqueeze(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t axes[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    bool marked[ONNX_MAX_RANK];
    int count = 0, next = 0;
    tess_status status = infer_ints_either(in, "axes", 1, axes, &count);
    if (status) return status;
    if (count < 0) return infer_fail(in, TESS_BAD_FORMAT, "has no axes; export it again");
    if (x->rank + count > ONNX_MAX_RANK)
        return infer_fail(in, TESS_UNSUPPORTED,
                          "its output has %d dimensions, and at most %d are supported; reshape it",
                          x->rank + count, ONNX_MAX_RANK);
    status = infer_mark_axes(in, axes, count, x->rank + count, marked);
    if (status) return status;
    for (int d = 0; d < x->rank + count; d++)
        dims[d] = marked[d] ? 1 : x->dims[next++];
    return infer_set(in, 0, x->dtype, x->rank + count, dims);
}

tess_status infer_transpose(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t perm[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    bool marked[ONNX_MAX_RANK];
    int count = 0;
    tess_status status =
        onnx_get_ints(in->model, in->node, "perm", in->error, ONNX_MAX_RANK, perm, &count);
    if (status) return status;
    if (count >= 0 && count != x->rank)
        return infer_fail(in, TESS_BAD_FORMAT,
                          "permutes %d dimensions, but its tensor has %d; export it again", count,
                          x->rank);
    status = infer_mark_axes(in, perm, count, x->rank, marked);
    if (status) return status;
    for (int d = 0; d < x->rank; d++)
        dims[d] = x->dims[count < 0 ? x->rank - 1 - d : perm[d] < 0 ? perm[d] + x->rank : perm[d]];
    return infer_set(in, 0, x->dtype, x->rank, dims);
}

tess_status infer_concat(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t dims[ONNX_MAX_RANK];
    int axis = 0;
    tess_status status = infer_axis_attribute(in, 1, x->rank, &axis);
    if (status) return status;
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 1; i < in->node->input_count; i++) {
        const struct onnx_known *y = infer_in(in, i);
        bool same = y && y->rank == x->rank && y->dtype == x->dtype;
        for (int d = 0; same && d < x->rank; d++)
            same = d == axis || y->dims[d] == x->dims[d];
        if (!same)
            return infer_fail(in, TESS_INVALID_SHAPE,
                              "its inputs 0 and %d differ in type or in a dimension other than "
                              "%d; check the shapes of the model's inputs",
                              i, axis);
        dims[axis] += y->dims[axis];
    }
    return infer_set(in, 0, x->dtype, x->rank, dims);
}

tess_status infer_split(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    const struct onnx_known *given = infer_in(in, 1);
    const struct onnx_attribute *attribute = onnx_attribute_find(in->node, "split");
    int64_t dims[ONNX_MAX_RANK], sum = 0, outputs = in->node->output_count;
    int axis = 0;
    tess_status status = infer_axis_attribute(in, 0, x->rank, &axis);
    if (status) return status;
    bool listed = attribute || given;
    if (given && (!given->constant || given->dtype != ONNX_INT64 || given->count != outputs))
        return infer_fail(in, TESS_UNSUPPORTED,
                          "its parts' sizes are not one known number each; export it with fixed "
                          "shapes");
    if (attribute && (attribute->kind != ONNX_ATTR_INTS || attribute->count != (size_t)outputs))
        return infer_fail(in, TESS_BAD_FORMAT,
                          "attribute split is not one number for each output; export it again");
    int64_t part = (x->dims[axis] + outputs - 1) / outputs;
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 0; i < outputs; i++) {
        if (given && !attribute) dims[axis] = onnx_integer_at(given->constant, i);
        if (attribute) dims[axis] = attribute->as.ints[i];
        if (!listed) dims[axis] = part < x->dims[axis] - sum ? part : x->dims[axis] - sum;
        if (dims[axis] < 0 || dims[axis] > x->dims[axis] - sum)
            return infer_fail(in, TESS_INVALID_SHAPE,
                              "its parts do not fit its %lld elements; check the input's shape",
                              (long long)x->dims[axis]);
        sum += dims[axis];
        status = infer_set(in, i, x->dtype, x->rank, dims);
        if (status) return status;
    }
    if (sum == x->dims[axis]) return TESS_OK;
    return infer_fail(in, TESS_INVALID_SHAPE,
                      "its parts do not make up its %lld elements; check the input's shape",
                      (long long)x->dims[axis]);
}

/* ---------------------------------------------------------------- Slice */

struct slice_lists {
    int64_t starts[ONNX_MAX_RANK], ends[ONNX_MAX_RANK], axes[ONNX_MAX_RANK], steps[ONNX_MAX_RANK];
    int count, end_count, axis_count, step_count;
};

static tess_status read_slice(const struct onnx_infer *in, struct slice_lists *lists) {
    tess_status status = infer_ints_either(in, "starts", 1, lists->starts, &lists->count);
    if (!status) status = infer_ints_either(in, "ends", 2, lists->ends, &lists->end_count);
    if (!status) status = infer_ints_either(in, "axes", 3, lists->axes, &lists->axis_count);
    if (!status) status = infer_ints(in, 4, lists->steps, &lists->step_count);
    if (status) return status;
    bool fits = lists->count >= 0 && lists->count == lists->end_count &&
                (lists->axis_count < 0 || lists->axis_count == lists->count) &&
                (lists->step_count < 0 || lists->step_count == lists->count);
    if (!fits)
        return infer_fail(in, TESS_BAD_FORMAT,
                          "has %d starts, %d ends, %d axes, %d steps; export it again",
                          lists->count, lists->end_count, lists->axis_count, lists->step_count);
    return TESS_OK;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
    return value < least ? least : value > most ? most : value;
}

tess_status infer_slice_plan(const struct onnx_infer *in, int64_t *start, int64_t *step,
                             int64_t *out) {
    const struct onnx_known *x = infer_in(in, 0);
    struct slice_lists lists;
    bool marked[ONNX_MAX_RANK];
    int64_t order[ONNX_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    tess_status status = read_slice(in, &lists);
    const int64_t *axes = !status && lists.axis_count >= 0 ? lists.axes : order;
    if (!status) status = infer_mark_axes(in, axes, lists.count, x->rank, marked);
    if (status) return status;
    for (int d = 0; d < x->rank; d++) {
        start[d] = 0;
        step[d] = 1;
        out[d] = x->dims[d];
    }
    for (int i = 0; i < lists.count; i++) {
        int axis = (int)(axes[i] < 0 ? axes[i] + x->rank : axes[i]);
        int64_t size = x->dims[axis], by = lists.step_count < 0 ? 1 : lists.steps[i];
        if (!by || by < -ONNX_MAX_ELEMENTS)
            return infer_fail(in, TESS_BAD_FORMAT,
                              "has a step of 0 or beyond reason; export it again");
        int64_t from =
            lists.starts[i] < 0 ? clamp(lists.starts[i], -size - 1, 0) + size : lists.starts[i];
        int64_t to = lists.ends[i] < 0 ? clamp(lists.ends[i], -size - 1, 0) + size : lists.ends[i];
        from = by > 0 ? clamp(from, 0, size) : clamp(from, 0, size - 1);
        to = by > 0 ? clamp(to, 0, size) : clamp(to, -1, size - 1);
        int64_t span = by > 0 ? to - from : from - to, stride = by > 0 ? by : -by;
        start[axis] = from;
        step[axis] = by;
        out[axis] = size && span > 0 ? (span - 1) / stride + 1 : 0;
    }
    return TESS_OK;
}

tess_status infer_slice(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t start[ONNX_MAX_RANK], step[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    tess_status status = infer_slice_plan(in, start, step, dims);
    return status ? status : infer_set(in, 0, x->dtype, x->rank, dims);
}

/* ---------------------------------------------------------------- the others */

tess_status infer_gather(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0), *indices = infer_in(in, 1);
    int64_t dims[2 * ONNX_MAX_RANK];
    int axis = 0, rank = 0;
    tess_status status = infer_axis_attribute(in, 0, x->rank, &axis);
    if (status) return status;
    if (indices->dtype != ONNX_INT64 && indices->dtype != ONNX_INT32)
        return infer_fail(in, TESS_BAD_FORMAT, "its indices are no integers; export it again");
    for (int d = 0; d < axis; d++)
        dims[rank++] = x->dims[d];
    for (int d = 0; d < indices->rank; d++)
        dims[rank++] = indices->dims[d];
    for (int d = axis + 1; d < x->rank; d++)
        dims[rank++] = x->dims[d];
    return infer_set(in, 0, x->dtype, rank, dims);
}

tess_status infer_expand(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t dims[ONNX_MAX_RANK];
    int rank = 0;
    tess_status status = infer_ints(in, 1, dims, &rank);
    if (!status) status = infer_broadcast(in, x, &rank, dims);
    return status ? status : infer_set(in, 0, x->dtype, rank, dims);
}

tess_status infer_tile(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t repeats[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    int count = 0;
    tess_status status = infer_ints(in, 1, repeats, &count);
    if (status) return status;
    if (count != x->rank)
        return infer_fail(in, TESS_BAD_FORMAT, "has %d repeats for %d dimensions; export it again",
                          count, x->rank);
    for (int d = 0; d < count; d++) {
        if (repeats[d] < 0 || repeats[d] > ONNX_MAX_ELEMENTS)
            return infer_fail(in, TESS_BAD_FORMAT,
                              "repeats dimension %d %lld times; export it again", d,
                              (long long)repeats[d]);
        dims[d] = x->dims[d] * repeats[d];
    }
    return infer_set(in, 0, x->dtype, x->rank, dims);
}
