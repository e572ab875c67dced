#include "cli/gallery.h"

#include "cli/cli.h"
#include "cli/picture.h"
#include "cli/progress.h"
#include "core/status.h"
#include "train/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_SHOWN = 8 };

/* How many pictures of that many columns fit side by side. */
static int fitting(int columns) {
    int count = terminal_columns() / (columns + 2);
    return count < 1 ? 1 : count > MAX_SHOWN ? MAX_SHOWN : count;
}

static void free_all(struct picture *pictures, int count) {
    for (int i = 0; i < count; i++)
        picture_free(&pictures[i]);
}

/* Filter k of weights in K C R S order: mean over c, its range stretched to 0 .. 1. */
static struct picture filter_picture(const tess_tensor_desc *d, const float *weights, int k) {
    struct picture picture = picture_create(d->w, d->h);
    if (!picture.pixels) return picture;
    int size = d->h * d->w;
    float low = INFINITY, high = -INFINITY;
    for (int i = 0; i < size; i++) {
        for (int c = 0; c < d->c; c++)
            picture.pixels[i] += weights[(k * d->c + c) * size + i];
        low = fminf(low, picture.pixels[i]);
        high = fmaxf(high, picture.pixels[i]);
    }
    float scale = high > low ? 1 / (high - low) : 0;
    for (int i = 0; i < size; i++)
        picture.pixels[i] = (picture.pixels[i] - low) * scale;
    return picture;
}

static tess_status show_filters(tess_context *ctx, tess_net *net, tess_error *error) {
    tess_param param = tess_net_param(net, 0);
    const tess_tensor_desc *d = tess_tensor_get_desc(param.value);
    if (d->h < 3 || d->h > 11 || d->w < 3 || d->w > 11 || d->c > 4) return TESS_OK;
    float *weights = malloc(tess_tensor_desc_bytes(d));
    if (!weights) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "filters: no memory; free some");
    tess_status status = tess_tensor_read(param.value, weights, TESS_NCHW);
    if (status) {
        free(weights);
        return error_set(error, status, "%s", tess_context_last_error(ctx));
    }
    bool utf8 = cli_utf8();
    int count = fitting(picture_columns(d->w, utf8, true));
    if (count > d->n) count = d->n;
    struct picture pictures[MAX_SHOWN] = {0};
    bool complete = true;
    for (int k = 0; k < count; k++) {
        pictures[k] = filter_picture(d, weights, k);
        complete &= pictures[k].pixels != NULL;
    }
    printf("\n%s: %d of %d filters, light is positive\n\n", param.name, count, d->n);
    if (complete) picture_print_row(pictures, count, utf8, true);
    free_all(pictures, count);
    free(weights);
    return TESS_OK;
}

/* How the images of a data set are shown: grey figures as they are, without their outermost border; colours, and everything
   in ASCII, smaller but in tones. */
struct style {
    bool utf8, shades;
    int crop;   /* side of the central part that is shown, at most */
    int pixels; /* side of the picture, at most */
};

static struct style style_of(const struct dataset *data) {
    bool utf8 = cli_utf8();
    if (data->c > 1) return (struct style){utf8, true, 1 << 20, 16};
    return (struct style){utf8, false, 22, utf8 ? 22 : 14};
}

static int lesser(int a, int b) {
    return a < b ? a : b;
}

static struct picture image_picture(const struct dataset *data, int index,
                                    const struct style *style) {
    int width = lesser(data->w, style->crop), height = lesser(data->h, style->crop);
    struct picture whole = picture_create(width, height);
    if (!whole.pixels) return whole;
    size_t image = (size_t)data->c * (size_t)data->h * (size_t)data->w;
    const uint8_t *pixels = data->pixels + (size_t)index * image;
    int top = (data->h - height) / 2, left = (data->w - width) / 2;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < data->c; c++)
                whole.pixels[y * width + x] +=
                    (float)pixels[((top + y) * data->w + left + x) * data->c + c] /
                    (255 * (float)data->c);
    struct picture small =
        picture_shrink(&whole, lesser(width, style->pixels), lesser(height, style->pixels));
    picture_free(&whole);
    return small;
}

static void print_answer(const struct dataset *data, int label, const float *row, int classes,
                         int columns) {
    int said = largest(row, classes);
    char text[64];
    if (data->class_names && said < data->classes)
        snprintf(text, sizeof text, "%s %.0f %%%s", data->class_names[said],
                 100 * (double)row[said], said == label ? "" : " wrong");
    else
        snprintf(text, sizeof text, "%d %.0f %%%s", said, 100 * (double)row[said],
                 said == label ? "" : " wrong");
    printf("  %-*.*s", columns, columns, text);
}

/* One line of pictures, first .. first + count - 1, and below each what the network says. */
static tess_status show_line(tess_context *ctx, tess_net *net, const struct batch_rows *rows,
                             const struct style *style, tess_error *error) {
    int classes = tess_tensor_get_desc(tess_net_output(net))->c;
    struct picture pictures[MAX_SHOWN] = {0};
    bool complete = true;
    float *probabilities = calloc((size_t)rows->rows * (size_t)classes, sizeof *probabilities);
    if (!probabilities)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "pictures: no memory; free some");
    tess_status status = classify(ctx, net, rows, error, probabilities);
    for (int i = 0; !status && i < rows->rows; i++) {
        pictures[i] = image_picture(rows->data, rows->order[rows->first + i], style);
        complete &= pictures[i].pixels != NULL;
    }
    if (!status && complete) {
        picture_print_row(pictures, rows->rows, style->utf8, style->shades);
        int columns = picture_columns(pictures[0].width, style->utf8, style->shades);
        for (int i = 0; i < rows->rows; i++)
            print_answer(rows->data, rows->data->labels[rows->order[rows->first + i]],
                         probabilities + (size_t)i * (size_t)classes, classes, columns);
        putchar('\n');
    }
    free_all(pictures, rows->rows);
    free(probabilities);
    return status;
}

static tess_status show_answers(tess_context *ctx, tess_net *net, const struct dataset *data,
                                tess_error *error) {
    int order[2 * MAX_SHOWN];
    struct style style = style_of(data);
    int width = lesser(lesser(data->w, style.crop), style.pixels);
    int batch = tess_tensor_get_desc(tess_net_input(net))->n;
    int count = lesser(fitting(picture_columns(width, style.utf8, style.shades)), batch);
    int total = lesser(2 * count, data->count);
    tess_status status = TESS_OK;
    for (int i = 0; i < total; i++)
        order[i] = i;
    printf("\n%d images of %s and what the network says\n", total, data->name);
    for (int first = 0; !status && first < total; first += count) {
        struct batch_rows rows = {data, order, first, lesser(count, total - first)};
        putchar('\n');
        status = show_line(ctx, net, &rows, &style, error);
    }
    return status;
}

tess_status gallery_show(tess_context *ctx, tess_net *net, const struct dataset *data,
                         tess_error *error) {
    tess_status status = show_filters(ctx, net, error);
    if (!status) status = show_answers(ctx, net, data, error);
    putchar('\n');
    return status;
}
