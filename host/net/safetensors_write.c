#include "net/safetensors.h"

#include "core/atomic_file.h"
#include "core/file_error.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Gives the number of bytes of a tensor's data, or -1 if its shape is impossible. */
static int64_t tensor_bytes(const struct safetensor *tensor) {
    if (tensor->rank < 0 || tensor->rank > SAFETENSORS_MAX_RANK) return -1;
    int64_t bytes = sizeof(float);
    for (int i = 0; i < tensor->rank; i++) {
        int64_t size = tensor->shape[i];
        if (size < 0 || (size > 0 && bytes > INT64_MAX / size)) return -1;
        bytes *= size;
    }
    return bytes;
}

/* What the header says about one tensor; NULL: out of memory. */
static json_t *tensor_entry(const struct safetensor *tensor, int64_t begin, int64_t end) {
    json_t *shape = json_array();
    for (int i = 0; shape && i < tensor->rank; i++)
        if (json_array_append_new(shape, json_integer(tensor->shape[i]))) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

/* Adds a key that must be new. value is taken over, NULL: out of memory or, of a string, not UTF-8. what: for the
   message, "tensor" or "metadata". */
static tess_status add_entry(json_t *object, const char *key, json_t *value, const char *what,
                             tess_error *error) {
    char shown[64];
    if (!key || !*key) {
        json_decref(value);
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "safetensors: a %s without a name; give each one a name", what);
    }
    printable(key, shown, sizeof shown);
    if (json_object_get(object, key)) {
        json_decref(value);
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "safetensors: %s \"%s\" comes twice; names must differ", what, shown);
    }
    if (json_object_set_new(object, key, value))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "safetensors: %s \"%s\" does not fit a JSON header; use UTF-8 text", what,
                         shown);
    return TESS_OK;
}

static tess_status add_metadata(json_t *root, char *const *metadata, tess_error *error) {
    json_t *pairs = json_object();
    if (json_object_set_new(root, "__metadata__", pairs))
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "safetensors: no memory for the header; free some memory");
    for (; metadata[0]; metadata += 2) {
        json_t *value = metadata[1] ? json_string(metadata[1]) : NULL;
        tess_status status = add_entry(pairs, metadata[0], value, "metadata", error);
        if (status) return status;
        if (!metadata[1]) break;
    }
    return TESS_OK;
}

static tess_status add_tensors(json_t *root, const struct safetensors *file, tess_error *error) {
    int64_t begin = 0;
    for (int i = 0; i < file->count; i++) {
        const struct safetensor *tensor = &file->tensors[i];
        int64_t bytes = tensor_bytes(tensor);
        char shown[64];
        const char *name = printable(tensor->name ? tensor->name : "", shown, sizeof shown);
        if (bytes < 0 || bytes > INT64_MAX / 2 - begin)
            return error_set(error, TESS_INVALID_SHAPE,
                             "safetensors: tensor \"%s\" has an impossible shape; check its rank "
                             "(at most %d) and sizes",
                             name, SAFETENSORS_MAX_RANK);
        if (bytes > 0 && !tensor->data)
            return error_set(error, TESS_INVALID_ARGUMENT,
                             "safetensors: tensor \"%s\" has no data; set its pointer", name);
        tess_status status = add_entry(root, tensor->name,
                                       tensor_entry(tensor, begin, begin + bytes), "tensor", error);
        if (status) return status;
        begin += bytes;
    }
    return TESS_OK;
}

/* *text becomes the header, padded with spaces to a multiple of 8 so that the data is aligned; free() it. */
static tess_status make_header(const struct safetensors *file, tess_error *error, char **text) {
    json_t *root = json_object();
    tess_status status = TESS_OK;
    if (file->metadata && file->metadata[0]) status = add_metadata(root, file->metadata, error);
    if (!status) status = add_tensors(root, file, error);
    char *compact = status ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (status) return status;
    size_t length = compact ? strlen(compact) : 0;
    size_t padded = (length + 7) / 8 * 8;
    char *result = compact ? malloc(padded + 1) : NULL;
    if (result) {
        memcpy(result, compact, length);
        memset(result + length, ' ', padded - length);
        result[padded] = '\0';
    }
    free(compact);
    if (!result)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "safetensors: no memory for the header; free some memory");
    *text = result;
    return TESS_OK;
}

/* In little-endian order, whatever the host's is. */
static tess_status write_floats(struct atomic_file *out, const float *data, int64_t count,
                                tess_error *error) {
    unsigned char buffer[16384];
    int64_t room = sizeof buffer / 4;
    tess_status status = TESS_OK;
    for (int64_t first = 0; first < count && !status; first += room) {
        size_t part = (size_t)(count - first < room ? count - first : room);
        for (size_t i = 0; i < part; i++) {
            uint32_t bits;
            memcpy(&bits, &data[first + (int64_t)i], sizeof bits);
            for (unsigned b = 0; b < 4; b++)
                buffer[4 * i + b] = (unsigned char)(bits >> (8 * b));
        }
        status = atomic_file_write(out, buffer, 4 * part, error);
    }
    return status;
}

tess_status safetensors_write(const char *path, const struct safetensors *file, tess_error *error) {
    if (!path || !file || file->count < 0 || (file->count > 0 && !file->tensors))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "safetensors: no path or no tensors to write; give both");
    struct atomic_file out = {.fd = -1};
    char *header = NULL;
    tess_status status = make_header(file, error, &header);
    if (status) return status;
    uint64_t length = strlen(header);
    unsigned char prefix[8];
    for (unsigned i = 0; i < 8; i++)
        prefix[i] = (unsigned char)(length >> (8 * i));
    if (length > SAFETENSORS_MAX_HEADER) {
        status = error_set(error, TESS_INVALID_ARGUMENT,
                           "%s: a header of %llu bytes, more than the format's %d; shorten the "
                           "names or the metadata",
                           path, (unsigned long long)length, SAFETENSORS_MAX_HEADER);
        goto done;
    }
    if ((status = atomic_file_open(path, error, &out))) goto done;
    if ((status = atomic_file_write(&out, prefix, sizeof prefix, error))) goto done;
    if ((status = atomic_file_write(&out, header, (size_t)length, error))) goto done;
    for (int i = 0; i < file->count; i++) {
        int64_t count = tensor_bytes(&file->tensors[i]) / (int64_t)sizeof(float);
        if ((status = write_floats(&out, file->tensors[i].data, count, error))) goto done;
    }
    status = atomic_file_commit(&out, error);
done:
    atomic_file_abort(&out);
    free(header);
    return status;
}
