#include "train/dataset_open.h"

#include "core/file_error.h"
#include "train/digit_draw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_COUNT 10000

/* Streams of a user's seed, one an image: "DIGI", the part, the image. */
#define TRAIN_STREAM ((uint64_t)0x44494749 << 32)
#define TEST_STREAM  (TRAIN_STREAM | (uint64_t)1 << 31)

tess_status digits_open(const char *rest, const struct dataset_options *options, tess_error *error,
                        struct dataset *data) {
    char shown[100];
    int count = options->count ? options->count : DEFAULT_COUNT;
    if (strcmp(rest, "digits") != 0)
        return error_set(error, TESS_NOT_FOUND,
                         "data \"synthetic:%s\": no such generator; use synthetic:digits",
                         printable(rest, shown, sizeof shown));
    if (count < 1 || count > DATASET_MAX_SYNTHETIC)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "synthetic:digits: %d images cannot be made; choose 1 to %d", count,
                         DATASET_MAX_SYNTHETIC);
    if (options->classes < 0 || options->classes > 10)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "synthetic:digits: %d classes; there are 10 digits, choose 1 to 10",
                         options->classes);
    snprintf(data->name, sizeof data->name, "synthetic digits (generated, not real data)");
    data->synthetic = true;
    data->count = count;
    data->c = 1;
    data->h = data->w = DIGIT_SIDE;
    data->classes = options->classes ? options->classes : 10;
    data->mean[0] = 0.1064f; /* measured over 100,000 images */
    data->std[0] = 0.2284f;
    size_t image = (size_t)DIGIT_SIDE * DIGIT_SIDE;
    data->pixels = malloc((size_t)count * image);
    data->labels = malloc((size_t)count * sizeof *data->labels);
    if (!data->pixels || !data->labels) return dataset_no_memory(error, data->name);
    uint64_t stream = options->test_part ? TEST_STREAM : TRAIN_STREAM;
    for (int i = 0; i < count; i++)
        data->labels[i] = digit_draw(options->seed, stream + (uint64_t)i, data->classes,
                                     data->pixels + (size_t)i * image);
    return TESS_OK;
}
