#include "train/dataset.h"

#include "core/status.h"

#include <string.h>

/* (pixel / 255 - mean) / std of each channel: 64 images are 50,000 pixels but only 256 values. */
struct table {
    float value[DATASET_MAX_CHANNELS][256];
};

static void make_table(const struct dataset *data, struct table *table) {
    for (int c = 0; c < data->c; c++) {
        double mean = (double)data->mean[c], inverse = 1.0 / (double)data->std[c];
        for (int pixel = 0; pixel < 256; pixel++)
            table->value[c][pixel] = (float)((pixel / 255.0 - mean) * inverse);
    }
}

/* One row of w pixels of c channels. */
static void convert_row(const struct table *table, int c, int w, const uint8_t *from, float *to) {
    if (c == 1) {
        for (int x = 0; x < w; x++)
            to[x] = table->value[0][from[x]];
        return;
    }
    for (int x = 0; x < w; x++, from += c, to += c)
        for (int channel = 0; channel < c; channel++)
            to[channel] = table->value[channel][from[channel]];
}

static void fill_frame(const struct table *table, int c, size_t pixels, float *to) {
    for (size_t i = 0; i < pixels; i++)
        for (int channel = 0; channel < c; channel++)
            *to++ = table->value[channel][0];
}

static tess_status check(const struct dataset *data, const int *order, int first, int rows,
                         const struct batch_shape *shape, tess_error *error) {
    if (shape->c != data->c || shape->h < data->h || shape->w < data->w)
        return error_set(error, TESS_INVALID_SHAPE,
                         "batch: images of %s are %dx%dx%d (CxHxW), the network takes %dx%dx%d; "
                         "channels must be equal, height and width at least the images'",
                         data->name, data->c, data->h, data->w, shape->c, shape->h, shape->w);
    if (rows < 0 || rows > shape->batch || first < 0)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "batch: %d images from %d on into a batch of %d; choose 0 to %d images",
                         rows, first, shape->batch, shape->batch);
    for (int row = 0; row < rows; row++)
        if (order[first + row] < 0 || order[first + row] >= data->count)
            return error_set(error, TESS_INVALID_ARGUMENT,
                             "batch: image %d of %s does not exist; choose 0 to %d",
                             order[first + row], data->name, data->count - 1);
    return TESS_OK;
}

tess_status dataset_batch(const struct dataset *data, const int *order, int first, int rows,
                          const struct batch_shape *shape, tess_error *error, float *images,
                          int32_t *labels) {
    if (!data || !order || !shape || !images || !labels)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "batch: data set, order, shape, images or labels missing; give all");
    tess_status status = check(data, order, first, rows, shape, error);
    if (status) return status;
    struct table table;
    make_table(data, &table);
    size_t c = (size_t)data->c, in_row = (size_t)data->w * c, out_row = (size_t)shape->w * c;
    size_t in_image = (size_t)data->h * in_row, out_image = (size_t)shape->h * out_row;
    size_t corner =
        (size_t)((shape->h - data->h) / 2) * out_row + (size_t)((shape->w - data->w) / 2) * c;
    for (int row = 0; row < rows; row++) {
        int index = order[first + row];
        const uint8_t *from = data->pixels + (size_t)index * in_image;
        float *to = images + (size_t)row * out_image;
        if (row == 0)
            fill_frame(&table, data->c, out_image / c, to);
        else if (out_image != in_image)
            memcpy(to, images,
                   out_image * sizeof *to); /* for its frame; the inside is overwritten */
        for (int y = 0; y < data->h; y++)
            convert_row(&table, data->c, data->w, from + (size_t)y * in_row,
                        to + corner + (size_t)y * out_row);
        labels[row] = data->labels[index];
    }
    for (int row = rows; row < shape->batch; row++) {
        float *to = images + (size_t)row * out_image;
        if (rows > 0)
            memcpy(to, images + (size_t)(row % rows) * out_image, out_image * sizeof *to);
        else
            memset(to, 0, out_image * sizeof *to);
        labels[row] = -1;
    }
    return TESS_OK;
}
