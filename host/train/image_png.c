#include "train/image_decode.h"

#include "core/file_error.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

/* libpng calls back on errors and must not return from that; everything that lives across the jump is here. Its
   simplified interface would be shorter, but leaves the file's end unread and so its checksums unchecked. */
struct decoder {
    const char *path;
    tess_error *error;
    png_structp png;
    png_infop info;
    jmp_buf jump;
    char message[128];
    png_bytep *rows;
    uint8_t *pixels;
    size_t samples; /* a pixel, alpha included */
};

static void on_error(png_structp png, png_const_charp text) {
    struct decoder *decoder = png_get_error_ptr(png);
    printable(text, decoder->message, sizeof decoder->message);
    longjmp(decoder->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

/* Whatever the file holds becomes 8-bit grey or RGB, with alpha where it has any. */
static void set_transforms(const struct decoder *decoder) {
    png_set_expand(decoder->png);   /* palettes, less than 8 bits, a transparent colour */
    png_set_scale_16(decoder->png); /* 16 bits, rounded */
    (void)png_set_interlace_handling(decoder->png);
    png_read_update_info(decoder->png, decoder->info);
}

static bool allocate(struct decoder *decoder, size_t h) {
    size_t row_bytes = png_get_rowbytes(decoder->png, decoder->info);
    decoder->pixels = malloc(h * row_bytes);
    decoder->rows = malloc(h * sizeof *decoder->rows);
    for (size_t y = 0; decoder->pixels && decoder->rows && y < h; y++)
        decoder->rows[y] = decoder->pixels + y * row_bytes;
    return decoder->pixels && decoder->rows;
}

/* May jump. */
static tess_status read_pixels(struct decoder *decoder, struct image *out) {
    png_read_info(decoder->png, decoder->info);
    size_t h = png_get_image_height(decoder->png, decoder->info);
    size_t w = png_get_image_width(decoder->png, decoder->info);
    tess_status status = image_check_size(decoder->path, h, w, decoder->error);
    if (status) return status;
    set_transforms(decoder);
    if (!allocate(decoder, h))
        return error_set(decoder->error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to decode it; free some memory", decoder->path);
    png_read_image(decoder->png, decoder->rows);
    png_read_end(decoder->png, NULL);
    decoder->samples = png_get_channels(decoder->png, decoder->info);
    *out = (struct image){
        .h = (int)h, .w = (int)w, .c = decoder->samples < 3 ? 1 : 3, .pixels = decoder->pixels};
    return TESS_OK;
}

static tess_status decode(struct decoder *decoder, FILE *in, struct image *out) {
    if (setjmp(decoder->jump))
        return error_set(decoder->error, TESS_BAD_FORMAT,
                         "%s: the PNG file is damaged (%s); copy it again or convert it anew",
                         decoder->path, decoder->message);
    png_init_io(decoder->png, in);
    return read_pixels(decoder, out);
}

/* Pixels of c samples and alpha -> c samples, on black. In place. */
static void drop_alpha(uint8_t *pixels, size_t count, size_t c) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *from = pixels + i * (c + 1);
        unsigned alpha = from[c];
        for (size_t k = 0; k < c; k++)
            pixels[i * c + k] = (uint8_t)((from[k] * alpha + 127) / 255);
    }
}

tess_status image_decode_png(const char *path, FILE *in, tess_error *error, struct image *out) {
    tess_status status = TESS_OUT_OF_HOST_MEMORY;
    struct image image = {0};
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder) {
        decoder->path = path;
        decoder->error = error;
        decoder->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, decoder, on_error, on_warning);
    }
    if (decoder && decoder->png) decoder->info = png_create_info_struct(decoder->png);
    if (!decoder || !decoder->info) {
        error_set(error, status, "%s: no memory to decode it; free some memory", path);
        goto done;
    }
    if ((status = decode(decoder, in, &image))) goto done;
    if (decoder->samples % 2 == 0)
        drop_alpha(image.pixels, (size_t)image.h * (size_t)image.w, (size_t)image.c);
    decoder->pixels = NULL;
    *out = image;
done:
    if (decoder) {
        png_destroy_read_struct(&decoder->png, &decoder->info, NULL);
        free(decoder->rows);
        free(decoder->pixels);
        free(decoder);
    }
    return status;
}
