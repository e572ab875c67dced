#include "train/data_spec.h"

#include "core/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool data_spec_is_synthetic(const char *spec) {
    return !strncmp(spec, "synthetic:", strlen("synthetic:"));
}

/* Reads ",count=600,seed=7,classes=5". */
static tess_status read_fields(const char *spec, const char *fields,
                               struct dataset_options *options, tess_error *error) {
    while (*fields == ',') {
        const char *field = fields + 1;
        bool is_count = !strncmp(field, "count=", 6), is_classes = !strncmp(field, "classes=", 8);
        const char *digits = strchr(field, '=');
        char *end = NULL;
        errno = 0;
        unsigned long long value = 0;
        if (digits && digits[1] >= '0' && digits[1] <= '9') value = strtoull(digits + 1, &end, 10);
        bool known = is_count || is_classes || !strncmp(field, "seed=", 5);
        if (!known || !end || errno || (*end && *end != ',') ||
            (is_count && (value < 1 || value > DATASET_MAX_SYNTHETIC)) ||
            (is_classes && (value < 1 || value > 10)))
            return error_set(error, TESS_INVALID_ARGUMENT,
                             "%s: '%s' is not understood; write e.g. "
                             "synthetic:digits,count=10000,seed=1,classes=10 (count 1 to %d, "
                             "classes 1 to 10)",
                             spec, field, DATASET_MAX_SYNTHETIC);
        if (is_count)
            options->count = (int)value;
        else if (is_classes)
            options->classes = (int)value;
        else
            options->seed = value;
        fields = end;
    }
    return TESS_OK;
}

static tess_status open_unscaled(const char *spec, enum data_part part, tess_error *error,
                                 struct dataset **out) {
    if (!data_spec_is_synthetic(spec)) {
        struct dataset_options files = {.test_part = part == DATA_TEST};
        return dataset_open(spec, &files, error, out);
    }
    char bare[128];
    size_t length = strcspn(spec, ",");
    if (length >= sizeof bare)
        return error_set(error, TESS_NOT_FOUND, "%.100s...: no such data set; use synthetic:digits",
                         spec);
    memcpy(bare, spec, length);
    bare[length] = '\0';
    struct dataset_options options = {
        .test_part = part == DATA_TEST,
        .count = part == DATA_TEST ? 2000 : 10000,
        .seed = 1,
    };
    tess_status status = read_fields(spec, spec + length, &options, error);
    if (status) return status;
    return dataset_open(bare, &options, error, out);
}

/* Reads "CxHxW" to the end of text; at most 5 digits each. */
static bool read_size(const char *text, int size[3]) {
    for (int i = 0; i < 3; i++) {
        char *end = NULL;
        if (*text < '0' || *text > '9') return false;
        long value = strtol(text, &end, 10);
        if (end - text > 5 || *end != (i < 2 ? 'x' : '\0')) return false;
        size[i] = (int)value;
        text = end + 1;
    }
    return true;
}

tess_status data_open(const char *spec, enum data_part part, tess_error *error,
                      struct dataset **out) {
    static const char field[] = ",size=";
    const char *at = strstr(spec, field), *next = at;
    while (next && (next = strstr(next + 1, field)))
        at = next;
    if (!at) return open_unscaled(spec, part, error, out);
    int size[3];
    if (!read_size(at + strlen(field), size))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "%.200s: '%.40s' is no size; end the SPEC with e.g. ,size=3x48x48 "
                         "(channels, height, width)",
                         spec, at + 1);
    char *bare = strndup(spec, (size_t)(at - spec));
    if (!bare) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "data: out of memory");
    struct dataset *data = NULL;
    tess_status status = open_unscaled(bare, part, error, &data);
    free(bare);
    if (!status) status = dataset_scale(data, size[0], size[1], size[2], error);
    if (status) {
        dataset_destroy(data);
        return status;
    }
    *out = data;
    return TESS_OK;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001B3u;
    return hash;
}

uint64_t data_hash(const struct dataset *data) {
    size_t count = (size_t)data->count;
    size_t image = (size_t)data->c * (size_t)data->h * (size_t)data->w;
    uint64_t hash = 0xCBF29CE484222325u;
    const int shape[] = {data->count, data->c, data->h, data->w, data->classes};
    for (int i = 0; i < 5; i++)
        hash = (hash ^ (uint64_t)shape[i]) * 0x100000001B3u;
    hash = hash_bytes(hash, data->labels, count * sizeof *data->labels);
    return hash_bytes(hash, data->pixels, count * image);
}
