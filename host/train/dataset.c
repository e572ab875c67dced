#include "train/dataset_open.h"

#include "core/file_error.h"
#include "ops/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Streams of a user's seed: training draws others (initial weights, dropout). "SHUF" and the epoch. */
#define SHUFFLE_STREAM ((uint64_t)0x53485546 << 32)

static const struct {
    const char *prefix;
    tess_status (*open)(const char *rest, const struct dataset_options *options, tess_error *error,
                        struct dataset *data);
} kinds[] = {
    {"mnist:", mnist_open},
    {"cifar10:", cifar10_open},
    {"synthetic:", digits_open},
};

tess_status dataset_open(const char *spec, const struct dataset_options *options, tess_error *error,
                         struct dataset **out) {
    static const struct dataset_options defaults = {0};
    if (!spec || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "data: no SPEC or nowhere to put the data set; give both");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].prefix);
        if (strncmp(spec, kinds[i].prefix, length) != 0) continue;
        struct dataset *data = calloc(1, sizeof *data);
        if (!data) return dataset_no_memory(error, spec);
        tess_status status =
            kinds[i].open(spec + length, options ? options : &defaults, error, data);
        if (status) {
            dataset_destroy(data);
            return status;
        }
        *out = data;
        return TESS_OK;
    }
    char shown[200];
    return error_set(error, TESS_NOT_FOUND,
                     "data \"%s\": no such kind of data set; use mnist:DIR, cifar10:DIR or "
                     "synthetic:digits",
                     printable(spec, shown, sizeof shown));
}

void dataset_destroy(struct dataset *data) {
    if (!data) return;
    free(data->pixels);
    free(data->labels);
    free(data);
}

tess_status dataset_split_last(struct dataset *data, int count, tess_error *error,
                               struct dataset **out) {
    if (!data || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "splitting data: no data set or nowhere to put the part; give both");
    if (count < 1 || count >= data->count)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "splitting data: %d of the %d images of %s cannot be set apart; choose 1 "
                         "to %d",
                         count, data->count, data->name, data->count - 1);
    size_t image = (size_t)data->h * (size_t)data->w * (size_t)data->c;
    size_t kept = (size_t)(data->count - count), moved = (size_t)count;
    struct dataset *part = malloc(sizeof *part);
    if (!part) return dataset_no_memory(error, data->name);
    *part = *data;
    part->count = count;
    part->pixels = malloc(moved * image);
    part->labels = malloc(moved * sizeof *part->labels);
    if (!part->pixels || !part->labels) {
        dataset_destroy(part);
        return dataset_no_memory(error, data->name);
    }
    memcpy(part->pixels, data->pixels + kept * image, moved * image);
    memcpy(part->labels, data->labels + kept, moved * sizeof *part->labels);
    data->count -= count;
    *out = part;
    return TESS_OK;
}

/* Fisher and Yates, as in Knuth, The Art of Computer Programming 2, algorithm 3.4.2 P. */
void dataset_shuffle(int count, uint64_t seed, uint64_t epoch, int *order) {
    struct random_stream random = {.seed = seed, .stream = SHUFFLE_STREAM ^ epoch};
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int j = (int)random_below(&random, (uint32_t)i + 1);
        int swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

char *dataset_path(const char *folder, const char *name, const char *suffix) {
    size_t size = strlen(folder) + strlen(name) + strlen(suffix) + 2;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s/%s%s", folder, name, suffix);
    return path;
}

bool dataset_file_exists(const char *folder, const char *name, const char *suffix) {
    struct stat info;
    char *path = dataset_path(folder, name, suffix);
    bool found = path && stat(path, &info) == 0;
    free(path);
    return found;
}

tess_status dataset_check_folder(const char *path, tess_error *error) {
    struct stat info;
    if (!*path)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "data: no folder after the colon; write mnist:DIR or cifar10:DIR");
    if (stat(path, &info)) return error_file(error, errno, path, "opened");
    if (!S_ISDIR(info.st_mode)) return error_file(error, ENOTDIR, path, "opened");
    return TESS_OK;
}

tess_status dataset_no_memory(tess_error *error, const char *name) {
    return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                     "%s: no memory to hold it; free some memory or use fewer images", name);
}
