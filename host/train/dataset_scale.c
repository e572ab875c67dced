/* Images of another size and number of channels: what networks for larger pictures take. */
#include "train/dataset_open.h"
#include "train/image_decode.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((uint64_t)1 << 33)

static tess_status check(const struct dataset *data, int c, int h, int w, tess_error *error) {
    bool known = c == data->c || (data->c == 1 && c == 3) || (data->c == 3 && c == 1);
    if (c < 1 || h < 1 || w < 1 || h > IMAGE_MAX_SIDE || w > IMAGE_MAX_SIDE || !known)
        return error_set(
            error, TESS_INVALID_ARGUMENT,
            "%s: its images of %d channels cannot become %dx%dx%d (CxHxW); choose 1 or 3 "
            "channels, and at most %d pixels a side",
            data->name, data->c, c, h, w, IMAGE_MAX_SIDE);
    uint64_t bytes = (uint64_t)data->count * (uint64_t)c * (uint64_t)h * (uint64_t)w;
    if (bytes > MAX_BYTES)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "%s: %d images of %dx%dx%d are %.1f GiB, more than the 8 GiB allowed; "
                         "choose a smaller size",
                         data->name, data->count, c, h, w, (double)bytes / (1 << 30));
    return TESS_OK;
}

/* The new channels' normalisation: grey's repeated; of colour that becomes grey, the weighted mean, and the largest deviation. */
static void follow_normalisation(struct dataset *data, int c) {
    if (data->c == 1)
        for (int channel = 1; channel < c; channel++) {
            data->mean[channel] = data->mean[0];
            data->std[channel] = data->std[0];
        }
    if (data->c == 3 && c == 1) {
        data->mean[0] = 0.299f * data->mean[0] + 0.587f * data->mean[1] + 0.114f * data->mean[2];
        for (int channel = 1; channel < 3; channel++)
            if (data->std[channel] > data->std[0]) data->std[0] = data->std[channel];
    }
}

tess_status dataset_scale(struct dataset *data, int c, int h, int w, tess_error *error) {
    tess_status status = check(data, c, h, w, error);
    if (status) return status;
    size_t in = (size_t)data->h * (size_t)data->w * (size_t)data->c;
    size_t out = (size_t)h * (size_t)w * (size_t)c;
    uint8_t *pixels = malloc((size_t)data->count * out);
    bool made = pixels != NULL;
    for (int i = 0; made && i < data->count; i++) {
        struct image image = {data->h, data->w, data->c, data->pixels + (size_t)i * in};
        made = image_fit(&image, c, h, w, pixels + (size_t)i * out);
    }
    if (!made) {
        free(pixels);
        return dataset_no_memory(error, data->name);
    }
    free(data->pixels);
    data->pixels = pixels;
    follow_normalisation(data, c);
    data->c = c;
    data->h = h;
    data->w = w;
    return TESS_OK;
}
