#include "net/onnx/onnx_tensor.h"

#include "core/file_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 64 /* size of a name in a message */

/* Which of a message's fields holds the elements when they are not raw. */
enum typed_field { FIELD_NONE, FIELD_FLOAT, FIELD_INT32, FIELD_INT64, FIELD_DOUBLE, FIELD_UINT64 };

static const struct {
    const char *name;
    size_t size;
    enum typed_field field;
    int64_t least, most; /* of what an int32 field may hold for this type */
} dtypes[] = {
    [ONNX_UNDEFINED] = {.name = "no type"},
    [ONNX_FLOAT] = {"float32", 4, FIELD_FLOAT, 0, 0},
    [ONNX_UINT8] = {"uint8", 1, FIELD_INT32, 0, UINT8_MAX},
    [ONNX_INT8] = {"int8", 1, FIELD_INT32, INT8_MIN, INT8_MAX},
    [ONNX_UINT16] = {"uint16", 2, FIELD_INT32, 0, UINT16_MAX},
    [ONNX_INT16] = {"int16", 2, FIELD_INT32, INT16_MIN, INT16_MAX},
    [ONNX_INT32] = {"int32", 4, FIELD_INT32, INT32_MIN, INT32_MAX},
    [ONNX_INT64] = {"int64", 8, FIELD_INT64, 0, 0},
    [ONNX_STRING] = {.name = "string"},
    [ONNX_BOOL] = {"bool", 1, FIELD_INT32, 0, 1},
    [ONNX_FLOAT16] = {"float16", 2, FIELD_INT32, 0, UINT16_MAX},
    [ONNX_DOUBLE] = {"float64", 8, FIELD_DOUBLE, 0, 0},
    [ONNX_UINT32] = {"uint32", 4, FIELD_UINT64, 0, 0},
    [ONNX_UINT64] = {"uint64", 8, FIELD_UINT64, 0, 0},
    [ONNX_COMPLEX64] = {.name = "complex64"},
    [ONNX_COMPLEX128] = {.name = "complex128"},
    [ONNX_BFLOAT16] = {"bfloat16", 2, FIELD_INT32, 0, UINT16_MAX},
};

static bool known_dtype(int dtype) {
    return dtype >= 0 && dtype < (int)(sizeof dtypes / sizeof *dtypes);
}

size_t onnx_dtype_size(int dtype) {
    return known_dtype(dtype) ? dtypes[dtype].size : 0;
}

const char *onnx_dtype_name(int dtype) {
    return known_dtype(dtype) ? dtypes[dtype].name : "an unknown type";
}

tess_status onnx_count(const int64_t *dims, int rank, const char *path, const char *what,
                       tess_error *error, int64_t *count) {
    int64_t product = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return error_set(error, TESS_BAD_FORMAT,
                             "%s: %s: dimension %d is %lld; sizes must not be negative", path, what,
                             i, (long long)dims[i]);
        empty = empty || dims[i] == 0;
    }
    /* Also where it is empty, so that no product of some dimensions overflows elsewhere. */
    for (int i = 0; i < rank; i++) {
        int64_t size = dims[i] ? dims[i] : 1;
        if (product > ONNX_MAX_ELEMENTS / size)
            return error_set(error, TESS_UNSUPPORTED,
                             "%s: %s: more than the %d elements that a tensor may have here; use a "
                             "smaller batch or input",
                             path, what, ONNX_MAX_ELEMENTS);
        product *= size;
    }
    *count = empty ? 0 : product;
    return TESS_OK;
}

void onnx_from_little_endian(void *data, size_t count, size_t size) {
    const uint16_t probe = 1;
    if (*(const unsigned char *)&probe == 1) return;
    unsigned char *at = data;
    for (size_t i = 0; i < count; i++, at += size)
        for (size_t low = 0, high = size - 1; low < high; low++, high--) {
            unsigned char byte = at[low];
            at[low] = at[high];
            at[high] = byte;
        }
}

/* "tensor 'name'", for messages. */
static char *label(const Onnx__TensorProto *message, char out[SHOWN + 16]) {
    char name[SHOWN];
    printable(onnx_text(message->name), name, sizeof name);
    snprintf(out, SHOWN + 16, "tensor '%s'", name);
    return out;
}

static tess_status refuse(const struct onnx_source *source, const Onnx__TensorProto *message,
                          tess_status status, const char *why) {
    char shown[SHOWN + 16];
    return error_set(source->error, status, "%s: %s: %s", source->path, label(message, shown), why);
}

/* Elements in the typed field of a kind; data: their address. */
static size_t typed_elements(const Onnx__TensorProto *message, enum typed_field field,
                             void **data) {
    switch (field) {
    case FIELD_FLOAT:
        *data = message->float_data;
        return message->n_float_data;
    case FIELD_INT32:
        *data = message->int32_data;
        return message->n_int32_data;
    case FIELD_INT64:
        *data = message->int64_data;
        return message->n_int64_data;
    case FIELD_DOUBLE:
        *data = message->double_data;
        return message->n_double_data;
    case FIELD_UINT64:
        *data = message->uint64_data;
        return message->n_uint64_data;
    default:
        *data = NULL;
        return message->n_string_data;
    }
}

/* Type, shape and count of elements. */
static tess_status take_shape(const struct onnx_source *source, const Onnx__TensorProto *message,
                              struct onnx_tensor *tensor) {
    char shown[SHOWN + 16];
    label(message, shown);
    if (!onnx_dtype_size(message->data_type))
        return error_set(source->error, TESS_UNSUPPORTED,
                         "%s: %s: has elements of %s (%d), which are not read; export it with "
                         "float32 or integers",
                         source->path, shown, onnx_dtype_name(message->data_type),
                         message->data_type);
    if (message->n_dims > ONNX_MAX_RANK)
        return error_set(source->error, TESS_UNSUPPORTED,
                         "%s: %s: has %zu dimensions, and at most %d are supported; reshape it",
                         source->path, shown, message->n_dims, ONNX_MAX_RANK);
    tensor->name = onnx_text(message->name);
    tensor->dtype = message->data_type;
    tensor->rank = (int)message->n_dims;
    for (int i = 0; i < tensor->rank; i++)
        tensor->dims[i] = message->dims[i];
    return onnx_count(tensor->dims, tensor->rank, source->path, shown, source->error,
                      &tensor->count);
}

static tess_status wrong_length(const struct onnx_source *source, const Onnx__TensorProto *message,
                                const char *unit, int64_t want, size_t got) {
    char shown[SHOWN + 16];
    return error_set(source->error, TESS_BAD_FORMAT,
                     "%s: %s: its shape needs %lld %s and it has %zu; it is damaged: export it "
                     "again",
                     source->path, label(message, shown), (long long)want, unit, got);
}

static tess_status take_raw(const struct onnx_source *source, const Onnx__TensorProto *message,
                            struct onnx_tensor *tensor) {
    size_t size = onnx_dtype_size(tensor->dtype), bytes = (size_t)tensor->count * size;
    if (message->raw_data.len != bytes)
        return wrong_length(source, message, "bytes", (int64_t)bytes, message->raw_data.len);
    onnx_from_little_endian(message->raw_data.data, (size_t)tensor->count, size);
    tensor->data = message->raw_data.data;
    return TESS_OK;
}

/* Elements of a type narrower than the field that holds them. */
static tess_status narrow(const struct onnx_source *source, const Onnx__TensorProto *message,
                          const void *from, struct onnx_tensor *tensor) {
    size_t size = onnx_dtype_size(tensor->dtype), count = (size_t)tensor->count;
    unsigned char *to = malloc(count * size);
    if (!to) return refuse(source, message, TESS_OUT_OF_HOST_MEMORY, "no memory; free some memory");
    for (size_t i = 0; i < count; i++) {
        int64_t least = 0, most = UINT32_MAX, value;
        if (tensor->dtype == ONNX_UINT32) {
            uint64_t wide = ((const uint64_t *)from)[i];
            value = wide > UINT32_MAX ? -1 : (int64_t)wide;
        } else {
            value = ((const int32_t *)from)[i];
            least = dtypes[tensor->dtype].least;
            most = dtypes[tensor->dtype].most;
        }
        if (value < least || value > most) {
            free(to);
            return refuse(source, message, TESS_BAD_FORMAT,
                          "holds a number outside its type's range; it is damaged: export it "
                          "again");
        }
        uint8_t byte = (uint8_t)value;
        uint16_t pair = (uint16_t)value;
        uint32_t word = (uint32_t)value;
        memcpy(to + i * size, size == 1 ? (void *)&byte : size == 2 ? (void *)&pair : &word, size);
    }
    tensor->data = tensor->owned = to;
    return TESS_OK;
}

static tess_status take_typed(const struct onnx_source *source, const Onnx__TensorProto *message,
                              struct onnx_tensor *tensor) {
    enum typed_field field = dtypes[tensor->dtype].field;
    void *data = NULL;
    size_t have = typed_elements(message, field, &data);
    if (have != (size_t)tensor->count)
        return wrong_length(source, message, "elements", tensor->count, have);
    bool narrower = (field == FIELD_INT32 && tensor->dtype != ONNX_INT32) ||
                    (field == FIELD_UINT64 && tensor->dtype != ONNX_UINT64);
    if (narrower && have) return narrow(source, message, data, tensor);
    tensor->data = data;
    return TESS_OK;
}

/* Elements may stand in one place only. */
static tess_status check_fields(const struct onnx_source *source, const Onnx__TensorProto *message,
                                bool *raw) {
    int filled = 0;
    void *ignored;
    enum typed_field own = dtypes[message->data_type].field;
    for (int field = FIELD_NONE; field <= FIELD_UINT64; field++) {
        size_t count = typed_elements(message, (enum typed_field)field, &ignored);
        if (count && field != (int)own)
            return refuse(source, message, TESS_BAD_FORMAT,
                          "has elements in a field of another type; it is damaged: export it "
                          "again");
        filled += count != 0;
    }
    *raw = message->raw_data.len != 0 || (message->has_raw_data && !filled);
    if (*raw && filled)
        return refuse(source, message, TESS_BAD_FORMAT,
                      "has its elements twice, raw and typed; it is damaged: export it again");
    if (message->segment)
        return refuse(source, message, TESS_UNSUPPORTED,
                      "is only a segment of a tensor; export it whole");
    return TESS_OK;
}

tess_status onnx_tensor_from(struct onnx_source *source, Onnx__TensorProto *message,
                             struct onnx_tensor *out) {
    struct onnx_tensor tensor = {0};
    bool raw = false;
    tess_status status = take_shape(source, message, &tensor);
    if (!status) status = check_fields(source, message, &raw);
    if (status) return status;
    size_t bytes = (size_t)tensor.count * onnx_dtype_size(tensor.dtype);
    if (message->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        status = onnx_external_read(source, message, bytes, &tensor.owned);
        if (!status)
            onnx_from_little_endian(tensor.owned, (size_t)tensor.count,
                                    onnx_dtype_size(tensor.dtype));
        tensor.data = tensor.owned;
    } else if (message->n_external_data) {
        status = refuse(source, message, TESS_BAD_FORMAT,
                        "names external data, but is not marked as external; export it again");
    } else {
        status = raw ? take_raw(source, message, &tensor) : take_typed(source, message, &tensor);
    }
    if (status) return status;
    *out = tensor;
    return TESS_OK;
}

void onnx_tensor_clear(struct onnx_tensor *tensor) {
    free(tensor->owned);
    *tensor = (struct onnx_tensor){0};
}
