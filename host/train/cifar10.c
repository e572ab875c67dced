/* CIFAR-10, binary version: https://www.cs.toronto.edu/~kriz/cifar.html. Records of one label byte and 32 x 32 red,
   then green, then blue bytes. */
#include "train/dataset_open.h"

#include "core/file_error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_RECORDS 100000 /* in a file; the real ones have 10,000 */

enum { PLANE = 32 * 32, RECORD = 1 + 3 * PLANE };

static const char *const class_names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                            "dog",      "frog",       "horse", "ship", "truck"};
static const char *const batch_names[5] = {"data_batch_1", "data_batch_2", "data_batch_3",
                                           "data_batch_4", "data_batch_5"};
static const char test_name[] = "test_batch";

/* C H W planes -> H W C. */
static void interleave(const uint8_t *planes, uint8_t *out) {
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++)
            out[3 * i + c] = planes[c * PLANE + i];
}

static tess_status check_size(const char *path, FILE *in, tess_error *error, int *records) {
    struct stat info;
    if (fstat(fileno(in), &info)) return error_file(error, errno, path, "read");
    if (S_ISDIR(info.st_mode)) return error_file(error, EISDIR, path, "read");
    long long size = info.st_size;
    if (!S_ISREG(info.st_mode) || size < RECORD || size % RECORD || size / RECORD > MAX_RECORDS)
        return error_set(error, TESS_BAD_FORMAT,
                         "%s: %lld bytes are not 1 to %d records of %d bytes; it is truncated, "
                         "oversized or no CIFAR-10 batch of the binary version: download it again",
                         path, size, MAX_RECORDS, RECORD);
    *records = (int)(size / RECORD);
    return TESS_OK;
}

/* Makes room for records more images. */
static tess_status grow(struct dataset *data, int records, tess_error *error) {
    size_t count = (size_t)data->count + (size_t)records;
    uint8_t *pixels = realloc(data->pixels, count * 3 * PLANE);
    if (pixels) data->pixels = pixels;
    int32_t *labels = realloc(data->labels, count * sizeof *labels);
    if (labels) data->labels = labels;
    return pixels && labels ? TESS_OK : dataset_no_memory(error, data->name);
}

static tess_status read_records(const char *path, FILE *in, int records, tess_error *error,
                                struct dataset *data) {
    uint8_t record[RECORD];
    for (int i = 0; i < records; i++) {
        if (fread(record, RECORD, 1, in) != 1)
            return ferror(in) ? error_file(error, errno, path, "read")
                              : error_set(error, TESS_BAD_FORMAT,
                                          "%s: truncated while it was read; try again", path);
        if (record[0] >= data->classes)
            return error_set(error, TESS_BAD_FORMAT,
                             "%s: label %d of record %d is more than 9; it is damaged, or of "
                             "CIFAR-100: download the binary version of CIFAR-10 again",
                             path, record[0], i);
        data->labels[data->count] = record[0];
        interleave(record + 1, data->pixels + (size_t)data->count * 3 * PLANE);
        data->count++;
    }
    return TESS_OK;
}

static tess_status read_batch(const char *folder, const char *name, tess_error *error,
                              struct dataset *data) {
    char *path = dataset_path(folder, name, ".bin");
    if (!path) return dataset_no_memory(error, folder);
    int records = 0;
    tess_status status = TESS_OK;
    FILE *in = fopen(path, "rbe");
    if (!in) status = error_file(error, errno, path, "opened");
    if (!status) status = check_size(path, in, error, &records);
    if (!status) status = grow(data, records, error);
    if (!status) status = read_records(path, in, records, error, data);
    if (in) fclose(in);
    free(path);
    return status;
}

/* Reads the training batches that are there; gives their number in *found. */
static tess_status read_training(const char *folder, tess_error *error, struct dataset *data,
                                 int *found) {
    *found = 0;
    for (int i = 0; i < 5; i++) {
        if (!dataset_file_exists(folder, batch_names[i], ".bin")) continue;
        tess_status status = read_batch(folder, batch_names[i], error, data);
        if (status) return status;
        ++*found;
    }
    return TESS_OK;
}

tess_status cifar10_open(const char *rest, const struct dataset_options *options, tess_error *error,
                         struct dataset *data) {
    static const float mean[3] = {0.4914f, 0.4822f, 0.4465f}, std[3] = {0.2470f, 0.2435f, 0.2616f};
    tess_status status = dataset_check_folder(rest, error);
    if (status) return status;
    data->c = 3;
    data->h = data->w = 32;
    data->classes = 10;
    data->class_names = class_names;
    memcpy(data->mean, mean, sizeof mean);
    memcpy(data->std, std, sizeof std);
    bool has_test = dataset_file_exists(rest, test_name, ".bin");
    int batches = 0;
    if (!options->test_part || !has_test) status = read_training(rest, error, data, &batches);
    if (status) return status;
    snprintf(data->name, sizeof data->name, "CIFAR-10, %d training batch%s", batches,
             batches == 1 ? "" : "es");
    if (batches) return TESS_OK;
    if (!has_test)
        return error_set(error, TESS_IO,
                         "%s: neither data_batch_1.bin to data_batch_5.bin nor test_batch.bin is "
                         "there; unpack the binary version of CIFAR-10 into that folder",
                         rest);
    snprintf(data->name, sizeof data->name, "CIFAR-10, test batch");
    return read_batch(rest, test_name, error, data);
}
