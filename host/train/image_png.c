#include "train/image_decode.h"

#include "net/file_error.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

static tess_status fail(const char *path, const png_image *image, tess_error *error) {
    char shown[sizeof image->message];
    return error_set(error, TESS_BAD_FORMAT,
                     "%s: the PNG file is damaged (%s); copy it again or convert it anew", path,
                     printable(image->message, shown, sizeof shown));
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
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_stdio(&image, in)) return fail(path, &image, error);
    tess_status status = image_check_size(path, image.height, image.width, error);
    if (status) {
        png_image_free(&image);
        return status;
    }
    bool alpha = image.format & PNG_FORMAT_FLAG_ALPHA;
    image.format &= PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA; /* 8 bits, no palette */
    image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB; /* 16-bit samples are as light as 8-bit ones */
    struct image result = {.h = (int)image.height,
                           .w = (int)image.width,
                           .c = image.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1};
    result.pixels = malloc(PNG_IMAGE_SIZE(image));
    if (!result.pixels) {
        png_image_free(&image);
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to decode it; free some memory", path);
    }
    bool done = png_image_finish_read(&image, NULL, result.pixels, 0, NULL);
    if (!done || (image.warning_or_error & PNG_IMAGE_ERROR)) {
        free(result.pixels);
        return fail(path, &image, error);
    }
    if (alpha) drop_alpha(result.pixels, (size_t)result.h * (size_t)result.w, (size_t)result.c);
    *out = result;
    return TESS_OK;
}
