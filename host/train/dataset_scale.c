/* Images of another size and number of channels: what networks for larger pictures take. */
#include "train/dataset_open.h"
#include "train/image_decode.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((uint64_t)1 << 33)

/* BT.601 luma, as image_load has it. */
static uint8_t grey_of(const uint8_t *rgb) {
    return (uint8_t)lroundf(0.299f * (float)rgb[0] + 0.587f * (float)rgb[1] +
                            0.114f * (float)rgb[2]);
}

/* h w c bytes of one image: the same, grey repeated, or colour made grey. */
static void channels_of(const struct dataset *data, const uint8_t *from, size_t pixels, int c,
                        uint8_t *to) {
    for (size_t i = 0; i < pixels; i++, from += data->c, to += c)
        for (int channel = 0; channel < c; channel++)
            to[channel] = data->c == c ? from[channel] : data->c == 1 ? from[0] : grey_of(from);
}

static tess_status check(const struct dataset *data, int c, int h, int w, tess_error *error) {
    bool known =
        c == data->c || (data->c == 1 && c <= DATASET_MAX_CHANNELS) || (data->c == 3 && c == 1);
    if (c < 1 || h < 1 || w < 1 || h > IMAGE_MAX_SIDE || w > IMAGE_MAX_SIDE || !known)
        return error_set(
            error, TESS_INVALID_ARGUMENT,
            "%s: its images of %d channels cannot become %dx%dx%d (CxHxW); grey images "
            "become 1 to %d channels, colour images 1 or 3, sides are at most %d",
            data->name, data->c, c, h, w, DATASET_MAX_CHANNELS, IMAGE_MAX_SIDE);
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
    size_t in = (size_t)data->h * (size_t)data->w, out = (size_t)h * (size_t)w;
    uint8_t *mixed = malloc(in * (size_t)c);
    uint8_t *pixels = malloc((size_t)data->count * out * (size_t)c);
    bool made = mixed && pixels;
    for (int i = 0; made && i < data->count; i++) {
        channels_of(data, data->pixels + (size_t)i * in * (size_t)data->c, in, c, mixed);
        made = image_scale(&(struct image){data->h, data->w, c, mixed}, h, w,
                           pixels + (size_t)i * out * (size_t)c);
    }
    free(mixed);
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
