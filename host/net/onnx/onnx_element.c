/* Elements of constants as numbers. */
#include "net/onnx/onnx_infer.h"

#include <math.h>
#include <string.h>

bool onnx_is_integer(int dtype) {
    switch (dtype) {
    case ONNX_UINT8:
    case ONNX_INT8:
    case ONNX_UINT16:
    case ONNX_INT16:
    case ONNX_INT32:
    case ONNX_INT64:
    case ONNX_BOOL:
    case ONNX_UINT32:
    case ONNX_UINT64:
        return true;
    default:
        return false;
    }
}

bool onnx_is_real(int dtype) {
    return dtype == ONNX_FLOAT || dtype == ONNX_DOUBLE;
}

int64_t onnx_integer_at(const struct onnx_tensor *tensor, int64_t i) {
    switch (tensor->dtype) {
    case ONNX_UINT8:
        return ((const uint8_t *)tensor->data)[i];
    case ONNX_BOOL:
        return ((const uint8_t *)tensor->data)[i] != 0;
    case ONNX_INT8:
        return ((const int8_t *)tensor->data)[i];
    case ONNX_UINT16:
        return ((const uint16_t *)tensor->data)[i];
    case ONNX_INT16:
        return ((const int16_t *)tensor->data)[i];
    case ONNX_INT32:
        return ((const int32_t *)tensor->data)[i];
    case ONNX_UINT32:
        return ((const uint32_t *)tensor->data)[i];
    case ONNX_INT64:
        return ((const int64_t *)tensor->data)[i];
    case ONNX_UINT64: {
        uint64_t value = ((const uint64_t *)tensor->data)[i];
        return value > INT64_MAX ? INT64_MAX : (int64_t)value;
    }
    default: {
        double value = onnx_real_at(tensor, i);
        if (!(value >= -0x1p63)) return value < 0 ? INT64_MIN : 0;
        return value >= 0x1p63 ? INT64_MAX : (int64_t)value;
    }
    }
}

double onnx_real_at(const struct onnx_tensor *tensor, int64_t i) {
    if (tensor->dtype == ONNX_FLOAT) return ((const float *)tensor->data)[i];
    if (tensor->dtype == ONNX_DOUBLE) return ((const double *)tensor->data)[i];
    return onnx_is_integer(tensor->dtype) ? (double)onnx_integer_at(tensor, i) : 0;
}

/* The limits of an integer type. */
static void limits(int dtype, int64_t *least, int64_t *most) {
    size_t bits = 8 * onnx_dtype_size(dtype);
    bool is_signed =
        dtype == ONNX_INT8 || dtype == ONNX_INT16 || dtype == ONNX_INT32 || dtype == ONNX_INT64;
    *most = bits == 64 ? INT64_MAX : (int64_t)(((uint64_t)1 << (bits - is_signed)) - 1);
    *least = is_signed ? -*most - 1 : 0;
}

void onnx_put_integer(int dtype, void *data, int64_t i, int64_t value) {
    if (dtype == ONNX_FLOAT) {
        ((float *)data)[i] = (float)value;
    } else if (dtype == ONNX_DOUBLE) {
        ((double *)data)[i] = (double)value;
    } else if (dtype == ONNX_BOOL) {
        ((uint8_t *)data)[i] = value != 0;
    } else if (onnx_is_integer(dtype)) {
        int64_t least, most;
        limits(dtype, &least, &most);
        value = value < least ? least : value > most ? most : value;
        size_t size = onnx_dtype_size(dtype);
        uint8_t byte = (uint8_t)value;
        uint16_t pair = (uint16_t)value;
        uint32_t word = (uint32_t)value;
        const void *from = size == 1 ? (void *)&byte : size == 2 ? (void *)&pair : (void *)&word;
        memcpy((char *)data + (size_t)i * size, size == 8 ? (void *)&value : from, size);
    }
}

void onnx_put_real(int dtype, void *data, int64_t i, double value) {
    if (dtype == ONNX_FLOAT) {
        ((float *)data)[i] = (float)value;
    } else if (dtype == ONNX_DOUBLE) {
        ((double *)data)[i] = value;
    } else if (dtype == ONNX_BOOL) {
        ((uint8_t *)data)[i] = value != 0;
    } else {
        const struct onnx_tensor one = {.dtype = ONNX_DOUBLE, .data = &value};
        onnx_put_integer(dtype, data, i, onnx_integer_at(&one, 0));
    }
}
