/* Operators whose results follow from attributes and shapes alone: constants. */
#include "net/onnx/onnx_infer.h"

#include <math.h>
#include <string.h>

/* A list or single number of an attribute as output 0. */
static tess_status numbers(const struct onnx_infer *in, int dtype, bool single, size_t count,
                           const void *from) {
    void *data = NULL;
    int64_t dim = (int64_t)count;
    tess_status status = infer_set(in, 0, dtype, single ? 0 : 1, &dim);
    if (!status) status = infer_constant(in, &data);
    if (!status && count) memcpy(data, from, count * onnx_dtype_size(dtype));
    return status;
}

tess_status infer_constant_node(const struct onnx_infer *in) {
    const struct onnx_attribute *value =
        in->node->attribute_count == 1 ? &in->node->attributes[0] : NULL;
    const char *name = value ? value->name : "";
    if (strcmp(name, "value") == 0 && value->kind == ONNX_ATTR_TENSOR) {
        const struct onnx_tensor *t = value->as.t;
        tess_status status = infer_set(in, 0, t->dtype, t->rank, t->dims);
        return status ? status : infer_view(in, t->data);
    }
    if (strcmp(name, "value_float") == 0 && value->kind == ONNX_ATTR_FLOAT)
        return numbers(in, ONNX_FLOAT, true, 1, &value->as.f);
    if (strcmp(name, "value_int") == 0 && value->kind == ONNX_ATTR_INT)
        return numbers(in, ONNX_INT64, true, 1, &value->as.i);
    if (strcmp(name, "value_floats") == 0 && value->kind == ONNX_ATTR_FLOATS)
        return numbers(in, ONNX_FLOAT, false, value->count, value->as.floats);
    if (strcmp(name, "value_ints") == 0 && value->kind == ONNX_ATTR_INTS)
        return numbers(in, ONNX_INT64, false, value->count, value->as.ints);
    return infer_fail(in, TESS_UNSUPPORTED,
                      "its value is not one dense tensor, number or list of numbers; export it "
                      "again");
}

tess_status infer_constant_of_shape(const struct onnx_infer *in) {
    int64_t dims[ONNX_MAX_RANK];
    int rank = 0;
    const struct onnx_attribute *value = onnx_attribute_find(in->node, "value");
    static const float zero = 0.0f;
    const struct onnx_tensor standard = {.dtype = ONNX_FLOAT, .count = 1, .data = &zero};
    tess_status status = infer_ints(in, 0, dims, &rank);
    if (status) return status;
    if (value && (value->kind != ONNX_ATTR_TENSOR || value->as.t->count != 1))
        return infer_fail(in, TESS_BAD_FORMAT,
                          "attribute value is not a tensor of one element; export it again");
    const struct onnx_tensor *t = value ? value->as.t : &standard;
    size_t size = onnx_dtype_size(t->dtype);
    void *data = NULL;
    status = infer_set(in, 0, t->dtype, rank, dims);
    if (!status) status = infer_constant(in, &data);
    if (status) return status;
    for (int64_t i = 0; i < infer_out(in, 0)->count; i++)
        memcpy((char *)data + (size_t)i * size, t->data, size);
    return TESS_OK;
}

tess_status infer_shape(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t start = 0, end = x->rank;
    tess_status status = onnx_get_int(in->model, in->node, "start", in->error, &start);
    if (!status) status = onnx_get_int(in->model, in->node, "end", in->error, &end);
    if (status) return status;
    start = start < -x->rank ? 0 : start < 0 ? start + x->rank : start;
    end = end < -x->rank ? 0 : end < 0 ? end + x->rank : end;
    if (end > x->rank) end = x->rank;
    return numbers(in, ONNX_INT64, false, start < end ? (size_t)(end - start) : 0,
                   x->dims + (start < end ? start : 0));
}

tess_status infer_size(const struct onnx_infer *in) {
    return numbers(in, ONNX_INT64, true, 1, &infer_in(in, 0)->count);
}

tess_status infer_range(const struct onnx_infer *in) {
    const struct onnx_known *x[3] = {infer_in(in, 0), infer_in(in, 1), infer_in(in, 2)};
    double v[3];
    for (int i = 0; i < 3; i++) {
        if (!x[i]->constant)
            return infer_fail(in, TESS_UNSUPPORTED,
                              "its limits are only known when the model runs; export it with fixed "
                              "shapes");
        if (x[i]->count != 1 || x[i]->dtype != x[0]->dtype ||
            (!onnx_is_integer(x[i]->dtype) && !onnx_is_real(x[i]->dtype)))
            return infer_fail(in, TESS_BAD_FORMAT,
                              "its limits are not three numbers of one type; export it again");
        v[i] = onnx_real_at(x[i]->constant, 0);
    }
    double count = ceil((v[1] - v[0]) / v[2]);
    if (!(count <= ONNX_MAX_ELEMENTS) || v[2] == 0)
        return infer_fail(in, TESS_UNSUPPORTED, "has over 2^31 numbers; export it again");
    int64_t dim = count > 0 ? (int64_t)count : 0;
    void *data = NULL;
    tess_status status = infer_set(in, 0, x[0]->dtype, 1, &dim);
    if (!status) status = infer_constant(in, &data);
    if (status) return status;
    int64_t first = onnx_integer_at(x[0]->constant, 0), step = onnx_integer_at(x[2]->constant, 0);
    for (int64_t i = 0; i < dim; i++) {
        if (onnx_is_integer(x[0]->dtype))
            onnx_put_integer(x[0]->dtype, data, i,
                             (int64_t)((uint64_t)first + (uint64_t)i * (uint64_t)step));
        else
            onnx_put_real(x[0]->dtype, data, i, v[0] + (double)i * v[2]);
    }
    return TESS_OK;
}
