#include "train/dataset.h"

#include "core/file_error.h"
#include "train/image_decode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

tess_status image_check_size(const char *path, uint64_t h, uint64_t w, tess_error *error) {
    if (h >= 1 && w >= 1 && h <= IMAGE_MAX_SIDE && w <= IMAGE_MAX_SIDE && h * w <= IMAGE_MAX_PIXELS)
        return TESS_OK;
    return error_set(error, TESS_UNSUPPORTED,
                     "%s: an image of %llux%llu pixels, and at most %d a side and %llu in all are "
                     "read; scale it down",
                     path, (unsigned long long)w, (unsigned long long)h, IMAGE_MAX_SIDE,
                     (unsigned long long)IMAGE_MAX_PIXELS);
}

/* A regular file; O_NONBLOCK: do not wait for the other end of a pipe. */
static tess_status open_regular(const char *path, tess_error *error, FILE **out) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_file(error, errno, path, "opened");
    int code = fstat(fd, &info) ? errno : S_ISDIR(info.st_mode) ? EISDIR : 0;
    FILE *in = code || !S_ISREG(info.st_mode) ? NULL : fdopen(fd, "rb");
    if (in) {
        *out = in;
        return TESS_OK;
    }
    close(fd);
    if (code) return error_file(error, code, path, "read");
    return error_set(error, TESS_IO, "%s: is no regular file; name a PNG or JPEG file", path);
}

static tess_status decode(const char *path, FILE *in, tess_error *error, struct image *out) {
    static const unsigned char png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    static const unsigned char jpeg[3] = {0xFF, 0xD8, 0xFF};
    unsigned char magic[8] = {0};
    size_t got = fread(magic, 1, sizeof magic, in);
    if (ferror(in)) return error_file(error, errno, path, "read");
    rewind(in);
    if (got >= sizeof png && memcmp(magic, png, sizeof png) == 0)
        return image_decode_png(path, in, error, out);
    if (got >= sizeof jpeg && memcmp(magic, jpeg, sizeof jpeg) == 0)
        return image_decode_jpeg(path, in, error, out);
    return error_set(error, TESS_BAD_FORMAT,
                     "%s: neither PNG nor JPEG by its first bytes; convert it to one of them",
                     path);
}

/* ITU-R BT.601: the luma that JPEG files carry, and that most image libraries mean by grey. In place. */
static void make_grey(struct image *image) {
    size_t count = (size_t)image->h * (size_t)image->w;
    uint8_t *pixels = image->pixels;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *rgb = pixels + 3 * i;
        pixels[i] = (uint8_t)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
    }
    image->c = 1;
}

/* From count grey bytes at the end of memory for 3 count: read positions stay ahead of written ones. */
static void make_colour(uint8_t *pixels, size_t count) {
    const uint8_t *grey = pixels + 2 * count;
    for (size_t i = 0; i < count; i++)
        pixels[3 * i] = pixels[3 * i + 1] = pixels[3 * i + 2] = grey[i];
}

bool image_fit(struct image *image, int c, int h, int w, uint8_t *out) {
    if (c == 1 && image->c == 3) make_grey(image);
    size_t count = (size_t)h * (size_t)w;
    bool repeat = c == 3 && image->c == 1;
    bool scaled = image_scale(image, h, w, repeat ? out + 2 * count : out);
    if (scaled && repeat) make_colour(out, count);
    return scaled;
}

tess_status image_load(const char *path, int c, int h, int w, tess_error *error, uint8_t *pixels) {
    if (!path || !pixels || (c != 1 && c != 3) || h < 1 || h > IMAGE_MAX_SIDE || w < 1 ||
        w > IMAGE_MAX_SIDE)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "image: path or pixels missing, or %dx%dx%d (CxHxW) wanted; choose 1 or 3 "
                         "channels and 1 to %d pixels a side",
                         c, h, w, IMAGE_MAX_SIDE);
    FILE *in = NULL;
    struct image image = {0};
    tess_status status = open_regular(path, error, &in);
    if (status) return status;
    status = decode(path, in, error, &image);
    fclose(in);
    if (status) return status;
    bool scaled = image_fit(&image, c, h, w, pixels);
    free(image.pixels);
    if (!scaled)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to scale it; free some memory", path);
    return TESS_OK;
}
