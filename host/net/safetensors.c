#include "net/safetensors.h"

#include "core/file_error.h"
#include "core/input_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN 64 /* size of a name in a message */

/* A file being read. */
struct reader {
    const char *path;
    int fd;
    int64_t size;       /* of the file */
    int64_t data_start; /* 8 + header length */
    json_t *header;
    tess_error *error;
};

/* Where a tensor's data lies, counted from data_start. */
struct extent {
    int64_t begin, end;
    struct safetensor *tensor;
};

static tess_status out_of_memory(const struct reader *in) {
    return error_set(in->error, TESS_OUT_OF_HOST_MEMORY,
                     "%s: no memory to read it; free some memory", in->path);
}

static tess_status read_at(const struct reader *in, int64_t offset, void *out, int64_t bytes) {
    return input_file_read(in->fd, in->path, offset, out, bytes, in->error);
}

/* Sets data_start. */
static tess_status read_header_length(struct reader *in, int64_t *length) {
    if (in->size < 8)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: only %lld bytes, too short for a safetensors file; copy it again",
                         in->path, (long long)in->size);
    unsigned char prefix[8];
    tess_status status = read_at(in, 0, prefix, 8);
    if (status) return status;
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)prefix[i] << (8 * i);
    if (value > SAFETENSORS_MAX_HEADER)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: its first 8 bytes say that the header has %llu bytes, more than the "
                         "%d allowed; it is no safetensors file, or damaged",
                         in->path, (unsigned long long)value, SAFETENSORS_MAX_HEADER);
    if (value < 2 || (int64_t)value > in->size - 8)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: its first 8 bytes say that the header has %llu bytes, but %lld "
                         "follow; it is cut short or damaged: copy it again",
                         in->path, (unsigned long long)value, (long long)(in->size - 8));
    *length = (int64_t)value;
    in->data_start = 8 + *length;
    return TESS_OK;
}

static tess_status parse_header(struct reader *in, const char *text, size_t length) {
    if (text[0] != '{') /* NOLINT: length is at least 2, and read_at has filled text */
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: its header does not begin with '{'; it is no safetensors file, or "
                         "damaged",
                         in->path);
    json_error_t json;
    in->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &json);
    if (in->header) return TESS_OK;
    char shown[JSON_ERROR_TEXT_LENGTH];
    printable(json.text, shown, sizeof shown);
    if (json_error_code(&json) == json_error_out_of_memory) return out_of_memory(in);
    return error_set(in->error, TESS_BAD_FORMAT,
                     "%s: its header is not valid: %s at byte %d; it is damaged: copy it again or "
                     "use an older checkpoint",
                     in->path, shown, 8 + json.position);
}

static tess_status read_header(struct reader *in) {
    int64_t length = 0;
    tess_status status = read_header_length(in, &length);
    if (status) return status;
    char *text = malloc((size_t)length);
    if (!text) return out_of_memory(in);
    status = read_at(in, 8, text, length);
    if (!status) status = parse_header(in, text, (size_t)length);
    free(text);
    return status;
}

/* An array of integers >= 0; gives their number, or -1. */
static int read_sizes(const json_t *array, int64_t *out, int room) {
    if (!json_is_array(array) || json_array_size(array) > (size_t)room) return -1;
    int count = (int)json_array_size(array);
    for (int i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, (size_t)i);
        if (!json_is_integer(value) || json_integer_value(value) < 0) return -1;
        out[i] = json_integer_value(value);
    }
    return count;
}

bool safetensors_is_counter(const char *name) {
    static const char suffix[] = ".num_batches_tracked";
    size_t length = strlen(name), end = sizeof suffix - 1;
    return length > end && strcmp(name + length - end, suffix) == 0;
}

/* *element: the bytes of one. name is for messages. */
static tess_status check_dtype(const struct reader *in, const char *name, const json_t *entry,
                               bool counter, int *element) {
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    char shown[SHOWN];
    if (!dtype)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: tensor \"%s\" has no dtype; the header is damaged", in->path, name);
    *element = counter && strcmp(dtype, "I64") == 0 ? 8 : 4;
    if (*element == 4 && strcmp(dtype, "F32") != 0)
        return error_set(in->error, TESS_UNSUPPORTED,
                         "%s: tensor \"%s\" has dtype %s, and only F32 is read; convert it to F32",
                         in->path, name, printable(dtype, shown, sizeof shown));
    return TESS_OK;
}

/* Bytes of a shape, -1 if they are more than limit. */
static int64_t shape_bytes(const int64_t *shape, int rank, int element, int64_t limit) {
    for (int i = 0; i < rank; i++)
        if (shape[i] == 0) return 0;
    int64_t bytes = element;
    for (int i = 0; i < rank; i++) {
        if (bytes > limit / shape[i]) return -1;
        bytes *= shape[i];
    }
    return bytes <= limit ? bytes : -1;
}

/* Fills extent, and rank and shape of its tensor, whose name is there already. */
static tess_status read_entry(const struct reader *in, const json_t *entry, struct extent *extent) {
    struct safetensor *tensor = extent->tensor;
    char name[SHOWN];
    printable(tensor->name, name, sizeof name);
    int element = 0;
    tess_status status =
        check_dtype(in, name, entry, safetensors_is_counter(tensor->name), &element);
    if (status) return status;
    tensor->rank = read_sizes(json_object_get(entry, "shape"), tensor->shape, SAFETENSORS_MAX_RANK);
    if (tensor->rank < 0)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: tensor \"%s\" has a bad shape; it must be a list of at most %d sizes",
                         in->path, name, SAFETENSORS_MAX_RANK);
    int64_t offsets[2];
    if (read_sizes(json_object_get(entry, "data_offsets"), offsets, 2) != 2 ||
        offsets[0] > offsets[1] || offsets[1] > in->size - in->data_start)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: tensor \"%s\" has data_offsets outside the file's %lld bytes of "
                         "data; it is cut short or damaged: copy it again",
                         in->path, name, (long long)(in->size - in->data_start));
    extent->begin = offsets[0];
    extent->end = offsets[1];
    if (shape_bytes(tensor->shape, tensor->rank, element, in->size) != offsets[1] - offsets[0])
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: tensor \"%s\" has a shape that does not fit its %lld bytes; the "
                         "header is damaged",
                         in->path, name, (long long)(offsets[1] - offsets[0]));
    return TESS_OK;
}

static int compare_extents(const void *left, const void *right) {
    const struct extent *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

/* Each byte of data belongs to exactly one tensor. Sorts extents. */
static tess_status check_extents(const struct reader *in, struct extent *extents, int count) {
    int64_t end = 0;
    if (count) qsort(extents, (size_t)count, sizeof *extents, compare_extents);
    for (int i = 0; i < count; i++) {
        char shown[SHOWN];
        if (extents[i].begin != end)
            return error_set(in->error, TESS_BAD_FORMAT,
                             "%s: tensor \"%s\" %s; the header is damaged", in->path,
                             printable(extents[i].tensor->name, shown, sizeof shown),
                             extents[i].begin < end ? "overlaps the one before it"
                                                    : "leaves a gap before its data");
        end = extents[i].end;
    }
    if (end != in->size - in->data_start)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: %lld bytes follow the last tensor; it is damaged, or two files were "
                         "joined: copy it again",
                         in->path, (long long)(in->size - in->data_start - end));
    return TESS_OK;
}

static tess_status read_metadata(const struct reader *in, json_t *object, char ***out) {
    if (!json_is_object(object))
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: __metadata__ is no object; the header is damaged", in->path);
    char **list = calloc(2 * json_object_size(object) + 1, sizeof *list);
    *out = list;
    if (!list) return out_of_memory(in);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (!json_is_string(value))
            return error_set(in->error, TESS_BAD_FORMAT,
                             "%s: a value in __metadata__ is no string; the header is damaged",
                             in->path);
        list[0] = strdup(key);
        list[1] = list[0] ? strdup(json_string_value(value)) : NULL;
        if (!list[1]) return out_of_memory(in);
        list += 2;
    }
    return TESS_OK;
}

/* Everything but the data. extents has room for each key of the header, file's tensors too. */
static tess_status read_entries(const struct reader *in, struct extent *extents,
                                struct safetensors *file) {
    const char *key;
    json_t *entry;
    json_object_foreach(in->header, key, entry) {
        if (strcmp(key, "__metadata__") == 0) {
            tess_status status = read_metadata(in, entry, &file->metadata);
            if (status) return status;
            continue;
        }
        struct extent *extent = &extents[file->count];
        extent->tensor = &file->tensors[file->count++];
        if (!(extent->tensor->name = strdup(key))) return out_of_memory(in);
        tess_status status = read_entry(in, entry, extent);
        if (status) return status;
    }
    return TESS_OK;
}

/* In place, from little-endian to the host's order. */
static void decode_floats(float *data, size_t count) {
    for (size_t i = 0; i < count; i++) {
        unsigned char bytes[4];
        memcpy(bytes, &data[i], 4);
        uint32_t bits = 0;
        for (unsigned b = 0; b < 4; b++)
            bits |= (uint32_t)bytes[b] << (8 * b);
        memcpy(&data[i], &bits, 4);
    }
}

/* In the file's order. */
static tess_status read_data(const struct reader *in, const struct extent *extents, int count) {
    for (int i = 0; i < count; i++) {
        int64_t bytes = extents[i].end - extents[i].begin;
        float *data = malloc(bytes ? (size_t)bytes : 1);
        extents[i].tensor->data = data;
        if (!data) return out_of_memory(in);
        tess_status status = read_at(in, in->data_start + extents[i].begin, data, bytes);
        if (status) return status;
        decode_floats(data, (size_t)bytes / sizeof(float));
    }
    return TESS_OK;
}

static void leave_out_counters(struct safetensors *file) {
    int kept = 0;
    for (int i = 0; i < file->count; i++) {
        if (!safetensors_is_counter(file->tensors[i].name)) {
            file->tensors[kept++] = file->tensors[i];
            continue;
        }
        free(file->tensors[i].name);
        free(file->tensors[i].data);
    }
    file->count = kept;
}

static tess_status read_tensors(const struct reader *in, struct safetensors *file) {
    size_t room = json_object_size(in->header) + 1;
    struct extent *extents = calloc(room, sizeof *extents);
    file->tensors = calloc(room, sizeof *file->tensors);
    tess_status status = extents && file->tensors ? TESS_OK : out_of_memory(in);
    if (!status) status = read_entries(in, extents, file);
    if (!status) status = check_extents(in, extents, file->count);
    if (!status) status = read_data(in, extents, file->count);
    if (!status) leave_out_counters(file);
    free(extents);
    return status;
}

tess_status safetensors_read(const char *path, tess_error *error, struct safetensors **out) {
    if (!path || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "safetensors: no path or nowhere to put the tensors; give both");
    struct reader in = {.path = path, .fd = -1, .error = error};
    struct safetensors *file = calloc(1, sizeof *file);
    tess_status status =
        file ? input_file_open(path, "name a safetensors file", error, &in.fd, &in.size)
             : out_of_memory(&in);
    if (!status) status = read_header(&in);
    if (!status) status = read_tensors(&in, file);
    json_decref(in.header);
    if (in.fd >= 0) close(in.fd);
    if (status) {
        safetensors_destroy(file);
        return status;
    }
    *out = file;
    return TESS_OK;
}

void safetensors_destroy(struct safetensors *file) {
    if (!file) return;
    for (int i = 0; i < file->count; i++) {
        free(file->tensors[i].name);
        free(file->tensors[i].data);
    }
    free(file->tensors);
    for (char **text = file->metadata; text && *text; text++)
        free(*text);
    free(file->metadata);
    free(file);
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name) {
    for (int i = 0; file && name && i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key) {
    char **text = file ? file->metadata : NULL;
    for (; text && key && text[0]; text += 2)
        if (strcmp(text[0], key) == 0) return text[1];
    return NULL;
}
