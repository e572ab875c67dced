#include "train/image_decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Which pixels of the longer or shorter input line make an output pixel: first, count, and their weights, which add
   up to 1. */
struct tap {
    int first, count;
    float *weights;
};

struct axis {
    struct tap *taps; /* one an output pixel */
    float *weights;
};

/* Output pixel i covers [i in / out, (i + 1) in / out); each input pixel weighs by how much of it lies inside. */
static void area_tap(int in, int out, int i, struct tap *tap) {
    double scale = (double)in / out, begin = i * scale, end = (i + 1) * scale;
    tap->first = (int)begin;
    int last = (int)ceil(end) - 1;
    if (last > in - 1) last = in - 1;
    tap->count = last - tap->first + 1;
    for (int k = 0; k < tap->count; k++) {
        double low = fmax(begin, tap->first + k), high = fmin(end, tap->first + k + 1);
        tap->weights[k] = (float)(fmax(high - low, 0) / scale);
    }
}

/* Between the two nearest pixel centres, which lie at half integers. */
static void linear_tap(int in, int out, int i, struct tap *tap) {
    double at = (i + 0.5) * in / out - 0.5;
    at = fmin(fmax(at, 0), in - 1);
    tap->first = (int)at < in - 1 ? (int)at : in - 2;
    if (tap->first < 0) tap->first = 0;
    tap->count = in > 1 ? 2 : 1;
    double part = at - tap->first;
    tap->weights[0] = (float)(1 - part);
    if (tap->count == 2) tap->weights[1] = (float)part;
}

static bool make_axis(int in, int out, struct axis *axis) {
    int room = in > out ? in / out + 3 : 2;
    axis->taps = calloc((size_t)out, sizeof *axis->taps);
    axis->weights = calloc((size_t)out * (size_t)room, sizeof *axis->weights);
    if (!axis->taps || !axis->weights) return false;
    for (int i = 0; i < out; i++) {
        axis->taps[i].weights = axis->weights + (size_t)i * (size_t)room;
        if (in >= out)
            area_tap(in, out, i, &axis->taps[i]);
        else
            linear_tap(in, out, i, &axis->taps[i]);
    }
    return true;
}

static void free_axis(struct axis *axis) {
    free(axis->taps);
    free(axis->weights);
}

/* One output row before its width is scaled: sums of input rows. */
static void mix_rows(const struct image *in, const struct tap *tap, float *row) {
    size_t length = (size_t)in->w * (size_t)in->c;
    memset(row, 0, length * sizeof *row);
    for (int k = 0; k < tap->count; k++) {
        const uint8_t *from = in->pixels + (size_t)(tap->first + k) * length;
        for (size_t i = 0; i < length; i++)
            row[i] += tap->weights[k] * (float)from[i];
    }
}

static void mix_columns(const float *row, int c, const struct tap *tap, uint8_t *out) {
    for (int channel = 0; channel < c; channel++) {
        float sum = 0.5f; /* rounds to nearest */
        for (int k = 0; k < tap->count; k++)
            sum += tap->weights[k] * row[(tap->first + k) * c + channel];
        out[channel] = (uint8_t)(sum < 255 ? sum : 255);
    }
}

bool image_scale(const struct image *in, int h, int w, uint8_t *out) {
    size_t c = (size_t)in->c;
    if (h == in->h && w == in->w) {
        memcpy(out, in->pixels, (size_t)h * (size_t)w * c);
        return true;
    }
    struct axis rows = {0}, columns = {0};
    float *row = malloc((size_t)in->w * c * sizeof *row);
    bool made = row && make_axis(in->h, h, &rows) && make_axis(in->w, w, &columns);
    for (int y = 0; made && y < h; y++) {
        mix_rows(in, &rows.taps[y], row);
        for (int x = 0; x < w; x++)
            mix_columns(row, in->c, &columns.taps[x],
                        out + ((size_t)y * (size_t)w + (size_t)x) * c);
    }
    free(row);
    free_axis(&rows);
    free_axis(&columns);
    return made;
}
