/* Tensors whose data lie in files beside the model:
   https://github.com/onnx/onnx/blob/main/docs/ExternalData.md */
#define _XOPEN_SOURCE 700 /* realpath; NOLINT: the name is POSIX's */
#include "net/onnx/onnx_tensor.h"

#include "core/file_error.h"
#include "core/input_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN     64 /* size of a name in a message */
#define MAX_FILES 4096
#define MAX_USES  4 /* tensors may share data, but not blow a small file up without bound */

/* A tensor's place, as its message says. */
struct place {
    const char *location;
    int64_t offset, length; /* length -1: not said */
};

static tess_status refuse(const struct onnx_source *source, const char *name, tess_status status,
                          const char *why) {
    char shown[SHOWN];
    return error_set(source->error, status, "%s: tensor '%s': external data: %s", source->path,
                     printable(name, shown, sizeof shown), why);
}

static bool parse_size(const char *text, int64_t *out) {
    int64_t value = 0;
    if (!*text) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        if (value > (INT64_MAX - 9) / 10) return false;
        value = value * 10 + (*text - '0');
    }
    *out = value;
    return true;
}

static tess_status read_place(const struct onnx_source *source, const Onnx__TensorProto *message,
                              struct place *place) {
    *place = (struct place){.length = -1};
    for (size_t i = 0; i < message->n_external_data; i++) {
        const Onnx__StringStringEntryProto *entry = message->external_data[i];
        const char *key = onnx_text(entry->key), *value = onnx_text(entry->value);
        bool good = true;
        if (strcmp(key, "location") == 0) place->location = value;
        if (strcmp(key, "offset") == 0) good = parse_size(value, &place->offset);
        if (strcmp(key, "length") == 0) good = parse_size(value, &place->length);
        if (!good)
            return refuse(source, onnx_text(message->name), TESS_BAD_FORMAT,
                          "offset or length is no number of bytes; export the model again");
    }
    if (!place->location || !*place->location)
        return refuse(source, onnx_text(message->name), TESS_BAD_FORMAT,
                      "no location is given; export the model again");
    return TESS_OK;
}

/* True if a part of the path is "..". */
static bool goes_up(const char *path) {
    while (path) {
        if (strncmp(path, "..", 2) == 0 && (path[2] == '/' || !path[2])) return true;
        path = strchr(path, '/');
        if (path) path++;
    }
    return false;
}

/* The file's real path in *out, to free: below the real path of the model's folder. */
static tess_status resolve(const struct onnx_source *source, const char *name, const char *location,
                           char **out) {
    if (location[0] == '/' || goes_up(location))
        return refuse(source, name, TESS_BAD_FORMAT,
                      "its file is outside the model's folder, which is not allowed; put it "
                      "beside the model");
    size_t room = strlen(source->folder) + strlen(location) + 2;
    char *joined = malloc(room), *real = NULL, *folder = NULL;
    tess_status status = TESS_OK;
    if (!joined) return refuse(source, name, TESS_OUT_OF_HOST_MEMORY, "no memory; free some");
    snprintf(joined, room, "%s/%s", source->folder, location);
    real = realpath(joined, NULL);
    folder = realpath(source->folder, NULL);
    size_t length = folder ? strlen(folder) : 0;
    if (!real || !folder) {
        status = error_file(source->error, errno, joined, "opened");
        status = error_prefix(source->error, status, "%s: external data", source->path);
    } else if (strcmp(folder, "/") != 0 &&
               (strncmp(real, folder, length) != 0 || real[length] != '/')) {
        status = refuse(source, name, TESS_BAD_FORMAT,
                        "its file is a link that leads out of the model's folder, which is not "
                        "allowed; copy it there");
    }
    if (!status) {
        *out = real;
        real = NULL;
    }
    free(real);
    free(folder);
    free(joined);
    return status;
}

/* Appends a file to source's list. */
static tess_status add_file(struct onnx_source *source, const char *name, const char *location,
                            struct onnx_external_file **out) {
    if (source->file_count >= MAX_FILES)
        return refuse(source, name, TESS_UNSUPPORTED,
                      "more than 4096 files; save the data in one file");
    size_t bytes = (size_t)(source->file_count + 1) * sizeof *source->files;
    struct onnx_external_file *files = realloc(source->files, bytes);
    if (!files) return refuse(source, name, TESS_OUT_OF_HOST_MEMORY, "no memory; free some");
    source->files = files;
    struct onnx_external_file file = {.fd = -1};
    char *path = NULL;
    tess_status status = resolve(source, name, location, &path);
    if (!status)
        status = input_file_open(path, "put the model's external data there", source->error,
                                 &file.fd, &file.size);
    if (!status && !(file.location = strdup(location)))
        status = refuse(source, name, TESS_OUT_OF_HOST_MEMORY, "no memory; free some");
    free(path);
    if (status) {
        if (file.fd >= 0) close(file.fd);
        return status;
    }
    files[source->file_count] = file;
    *out = &files[source->file_count++];
    return TESS_OK;
}

static tess_status find_file(struct onnx_source *source, const char *name, const char *location,
                             struct onnx_external_file **out) {
    for (int i = 0; i < source->file_count; i++)
        if (strcmp(source->files[i].location, location) == 0) {
            *out = &source->files[i];
            return TESS_OK;
        }
    return add_file(source, name, location, out);
}

static tess_status check_range(const struct onnx_source *source, const char *name,
                               const struct place *place, const struct onnx_external_file *file,
                               size_t bytes) {
    if (place->length >= 0 && place->length != (int64_t)bytes)
        return refuse(source, name, TESS_BAD_FORMAT,
                      "its length is not what the tensor's shape needs; export the model again");
    if (place->offset > file->size || (int64_t)bytes > file->size - place->offset)
        return refuse(source, name, TESS_BAD_FORMAT,
                      "the file ends before the tensor does; copy it again");
    if (file->used + (int64_t)bytes > MAX_USES * file->size)
        return refuse(source, name, TESS_BAD_FORMAT,
                      "the same bytes are used again and again; export the model again");
    return TESS_OK;
}

tess_status onnx_external_read(struct onnx_source *source, const Onnx__TensorProto *message,
                               size_t bytes, void **data) {
    struct place place;
    struct onnx_external_file *file = NULL;
    const char *name = onnx_text(message->name);
    if (!source->folder)
        return refuse(source, name, TESS_UNSUPPORTED,
                      "only the weights of a model file may lie elsewhere; store the data inside");
    if (message->raw_data.len || message->n_float_data || message->n_int32_data ||
        message->n_int64_data || message->n_double_data || message->n_uint64_data)
        return refuse(source, name, TESS_BAD_FORMAT,
                      "the tensor has data of its own too; export the model again");
    tess_status status = read_place(source, message, &place);
    if (!status) status = find_file(source, name, place.location, &file);
    if (!status) status = check_range(source, name, &place, file, bytes);
    if (status) return status;
    void *all = malloc(bytes ? bytes : 1);
    if (!all) return refuse(source, name, TESS_OUT_OF_HOST_MEMORY, "no memory; free some");
    status =
        input_file_read(file->fd, file->location, place.offset, all, (int64_t)bytes, source->error);
    if (status) {
        free(all);
        return status;
    }
    file->used += (int64_t)bytes;
    *data = all;
    return TESS_OK;
}

void onnx_source_close(struct onnx_source *source) {
    for (int i = 0; i < source->file_count; i++) {
        close(source->files[i].fd);
        free(source->files[i].location);
    }
    free(source->files);
    source->files = NULL;
    source->file_count = 0;
}
