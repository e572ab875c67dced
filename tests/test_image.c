/* PNG and JPEG decoding, scaling, and refusal of what is damaged. The files are written by the test. */
#include "support/folder.h"

#include "train/dataset.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include <jpeglib.h>

/* ---------------------------------------------------------------- writing files */

/* What png_set_IHDR takes, and rows of samples as PNG stores them. */
struct png_spec {
    unsigned w, h;
    int depth, type, interlace;
    const uint8_t *rows;
    size_t row_bytes;
    bool palette; /* entry i is (i, 255 - i, 2 i) */
};

static void write_png(const char *path, const struct png_spec *spec) {
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    if (setjmp(png_jmpbuf(png))) fail_msg("libpng could not write %s", path);
    png_init_io(png, out);
    png_set_IHDR(png, info, spec->w, spec->h, spec->depth, spec->type, spec->interlace, 0, 0);
    png_color palette[16];
    for (int i = 0; i < 16; i++)
        palette[i] = (png_color){(png_byte)i, (png_byte)(255 - i), (png_byte)(2 * i)};
    if (spec->palette) png_set_PLTE(png, info, palette, 16);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (unsigned y = 0; y < spec->h; y++)
            png_write_row(png, spec->rows + y * spec->row_bytes);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    assert_int_equal(fclose(out), 0);
}

/* c: 1 or 3, or 2 or 4 with alpha. */
static void write_png8(const char *path, unsigned h, unsigned w, int c, const uint8_t *pixels) {
    static const int types[5] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                 PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    write_png(path, &(struct png_spec){.w = w,
                                       .h = h,
                                       .depth = 8,
                                       .type = types[c],
                                       .rows = pixels,
                                       .row_bytes = w * (size_t)c});
}

struct jpeg_spec {
    unsigned w, h;
    int c;
    J_COLOR_SPACE space;
    bool progressive;
    const uint8_t *rows;
};

static void write_jpeg(const char *path, const struct jpeg_spec *spec) {
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, out);
    jpeg.image_width = spec->w;
    jpeg.image_height = spec->h;
    jpeg.input_components = spec->c;
    jpeg.in_color_space = spec->space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (spec->progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        uint8_t line[4096];
        size_t bytes = spec->w * (size_t)spec->c;
        memcpy(line, spec->rows + jpeg.next_scanline * bytes, bytes);
        JSAMPROW row = line;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    assert_int_equal(fclose(out), 0);
}

/* ---------------------------------------------------------------- helpers */

static void fill_random(uint8_t *data, size_t count, uint64_t seed) {
    float *values = check_alloc(count * sizeof *values);
    check_random(values, count, 0, 256, seed);
    for (size_t i = 0; i < count; i++)
        data[i] = (uint8_t)values[i];
    free(values);
}

/* Fails unless image_load writes h * w * c bytes and nothing beyond. */
static uint8_t *load_ok(const char *path, int c, int h, int w) {
    size_t count = (size_t)(c * h * w);
    uint8_t *pixels = check_alloc(count + 8);
    memset(pixels, 0xA5, count + 8);
    tess_error error = {0};
    if (image_load(path, c, h, w, &error, pixels)) fail_msg("%s", error.text);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pixels[count + i], 0xA5);
    return pixels;
}

static void expect_refused(const char *path, tess_status want, const char *text) {
    uint8_t pixels[16];
    memset(pixels, 0xA5, sizeof pixels);
    tess_error error = {0};
    tess_status status = image_load(path, 1, 4, 4, &error, pixels);
    if (status != want)
        fail_msg("want \"%s\": %s instead: %s", text, tess_status_string(status), error.text);
    if (!strstr(error.text, text) || !strstr(error.text, path))
        fail_msg("want \"%s\" and the path in \"%s\"", text, error.text);
    if (!strchr(error.text, ';') || strchr(error.text, '\n'))
        fail_msg("no \"what: why; what to do\" in one line: \"%s\"", error.text);
    for (size_t i = 0; i < sizeof pixels; i++)
        assert_int_equal(pixels[i], 0xA5);
}

/* Rounding may go either way at a half. */
static void check_bytes(const uint8_t *got, const double *want, size_t count, double slack,
                        const char *label) {
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[i] - want[i]) <= 0.5 + slack))
            fail_msg("%s: byte %zu: got %d, want %g", label, i, got[i], want[i]);
}

static double luma(const uint8_t *rgb) {
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
}

enum { H = 7, W = 5, N = H * W };

/* ---------------------------------------------------------------- PNG */

static void test_png_colours(void **state) {
    char path[FOLDER_PATH_SIZE];
    uint8_t rgb[3 * N], grey[N];
    double want[N];
    folder_path(*state, "a.png", path);
    fill_random(rgb, sizeof rgb, 1);
    fill_random(grey, sizeof grey, 2);
    write_png8(path, H, W, 3, rgb);
    uint8_t *got = load_ok(path, 3, H, W);
    assert_memory_equal(got, rgb, sizeof rgb);
    free(got);
    got = load_ok(path, 1, H, W);
    for (int i = 0; i < N; i++)
        want[i] = luma(rgb + 3 * i);
    check_bytes(got, want, N, 1e-9, "colour to grey");
    free(got);
    write_png8(path, H, W, 1, grey);
    got = load_ok(path, 1, H, W);
    assert_memory_equal(got, grey, sizeof grey);
    free(got);
    got = load_ok(path, 3, H, W);
    for (int i = 0; i < 3 * N; i++)
        assert_int_equal(got[i], grey[i / 3]);
    free(got);
}

static void test_png_alpha(void **state) {
    char path[FOLDER_PATH_SIZE];
    uint8_t pixels[4 * N];
    double want[3 * N];
    folder_path(*state, "a.png", path);
    for (int c = 2; c <= 4; c += 2) {
        fill_random(pixels, (size_t)(c * N), 3);
        pixels[c - 1] = 0;
        pixels[2 * c - 1] = 255;
        write_png8(path, H, W, c, pixels);
        uint8_t *got = load_ok(path, c - 1, H, W);
        for (int i = 0; i < (c - 1) * N; i++) {
            const uint8_t *pixel = pixels + i / (c - 1) * c;
            want[i] = pixel[i % (c - 1)] * pixel[c - 1] / 255.0; /* on black */
        }
        check_bytes(got, want, (size_t)((c - 1) * N), 1e-9, "alpha");
        free(got);
    }
}

static void test_png_kinds(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "a.png", path);
    uint8_t rows[N * 6], rgb[N * 3];
    /* 16 bits: 257 v is as light as v. */
    fill_random(rgb, sizeof rgb, 4);
    for (int i = 0; i < 3 * N; i++)
        rows[2 * i] = rows[2 * i + 1] = rgb[i];
    struct png_spec wide = {
        .w = W, .h = H, .depth = 16, .type = PNG_COLOR_TYPE_RGB, .rows = rows, .row_bytes = W * 6};
    write_png(path, &wide);
    uint8_t *got = load_ok(path, 3, H, W);
    for (int i = 0; i < 3 * N; i++)
        assert_in_range(got[i] - rgb[i] + 1, 0, 2);
    free(got);
    /* interlaced */
    struct png_spec laced = {.w = W,
                             .h = H,
                             .depth = 8,
                             .type = PNG_COLOR_TYPE_RGB,
                             .rows = rgb,
                             .row_bytes = W * 3,
                             .interlace = PNG_INTERLACE_ADAM7};
    write_png(path, &laced);
    got = load_ok(path, 3, H, W);
    assert_memory_equal(got, rgb, sizeof rgb);
    free(got);
    /* palette, two pixels a byte */
    static const uint8_t packed[2][2] = {{0x0F, 0x30}, {0xA5, 0x70}};
    static const int indices[6] = {0, 15, 3, 10, 5, 7};
    struct png_spec mapped = {.w = 3,
                              .h = 2,
                              .depth = 4,
                              .type = PNG_COLOR_TYPE_PALETTE,
                              .rows = packed[0],
                              .row_bytes = 2,
                              .palette = true};
    write_png(path, &mapped);
    got = load_ok(path, 3, 2, 3);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(got[3 * i], indices[i]);
        assert_int_equal(got[3 * i + 1], 255 - indices[i]);
        assert_int_equal(got[3 * i + 2], 2 * indices[i]);
    }
    free(got);
    /* black and white, eight pixels a byte */
    static const uint8_t bits[1] = {0xA0};
    struct png_spec bilevel = {
        .w = 4, .h = 1, .depth = 1, .type = PNG_COLOR_TYPE_GRAY, .rows = bits, .row_bytes = 1};
    write_png(path, &bilevel);
    got = load_ok(path, 1, 1, 4);
    assert_memory_equal(got, ((uint8_t[]){255, 0, 255, 0}), 4);
    free(got);
}

/* ---------------------------------------------------------------- JPEG */

static void test_jpeg(void **state) {
    enum { SIDE = 24 };
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "a.jpg", path);
    uint8_t rgb[SIDE * SIDE * 3], grey[SIDE * SIDE];
    double want[SIDE * SIDE * 3];
    for (int i = 0; i < SIDE * SIDE; i++) {
        int x = i % SIDE, y = i / SIDE;
        grey[i] = (uint8_t)(10 * x);
        rgb[3 * i] = (uint8_t)(100 + 5 * x);
        rgb[3 * i + 1] = (uint8_t)(200 - 4 * y);
        rgb[3 * i + 2] = (uint8_t)(3 * (x + y));
    }
    for (int progressive = 0; progressive < 2; progressive++) {
        write_jpeg(path, &(struct jpeg_spec){SIDE, SIDE, 1, JCS_GRAYSCALE, progressive, grey});
        uint8_t *got = load_ok(path, 1, SIDE, SIDE);
        for (int i = 0; i < SIDE * SIDE; i++)
            want[i] = grey[i];
        check_bytes(got, want, SIDE * SIDE, 1.5, "grey JPEG");
        free(got);
        write_jpeg(path, &(struct jpeg_spec){SIDE, SIDE, 3, JCS_RGB, progressive, rgb});
        got = load_ok(path, 3, SIDE, SIDE);
        for (int i = 0; i < SIDE * SIDE * 3; i++)
            want[i] = rgb[i];
        check_bytes(got, want, SIDE * SIDE * 3, 8, "colour JPEG"); /* its chroma is halved */
        free(got);
        got = load_ok(path, 1, SIDE, SIDE);
        for (int i = 0; i < SIDE * SIDE; i++)
            want[i] = luma(rgb + 3 * i);
        check_bytes(got, want, SIDE * SIDE, 4, "colour JPEG to grey");
        free(got);
    }
    uint8_t cmyk[SIDE * SIDE * 4];
    fill_random(cmyk, sizeof cmyk, 5);
    write_jpeg(path, &(struct jpeg_spec){SIDE, SIDE, 4, JCS_CMYK, false, cmyk});
    expect_refused(path, TESS_BAD_FORMAT, "of a kind that is not read");
}

/* ---------------------------------------------------------------- scaling */

/* Integral of a line of pixels from 0 to t. */
static double integral(const double *line, double t) {
    double sum = 0;
    int whole = (int)t;
    for (int i = 0; i < whole; i++)
        sum += line[i];
    return t > whole ? sum + (t - whole) * line[whole] : sum;
}

/* Scales a line by the definition: mean over an interval, or a straight line between neighbouring centres. */
static void scale_line(const double *in, int from, double *out, int to) {
    for (int i = 0; i < to; i++) {
        if (to <= from) {
            double a = (double)i * from / to, b = fmin((i + 1.0) * from / to, from);
            out[i] = (integral(in, b) - integral(in, a)) / (b - a);
            continue;
        }
        double at = (i + 0.5) * from / to - 0.5, low = floor(at), part = at - low;
        int left = (int)fmax(low, 0), right = (int)fmin(low + 1, from - 1);
        out[i] = (1 - part) * in[left] + part * in[right];
    }
}

/* c interleaved channels, h x w -> to_h x to_w. */
static void scale_reference(const uint8_t *in, int c, int h, int w, double *out, int to_h,
                            int to_w) {
    enum { MOST = 64 };
    for (int channel = 0; channel < c; channel++) {
        double half[MOST][MOST], line[MOST], scaled[MOST];
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++)
                line[x] = in[(y * w + x) * c + channel];
            scale_line(line, w, half[y], to_w);
        }
        for (int x = 0; x < to_w; x++) {
            for (int y = 0; y < h; y++)
                line[y] = half[y][x];
            scale_line(line, h, scaled, to_h);
            for (int y = 0; y < to_h; y++)
                out[(y * to_w + x) * c + channel] = scaled[y];
        }
    }
}

static void test_scaling(void **state) {
    static const int sizes[][4] = {{7, 5, 3, 2},     {5, 7, 13, 9},    {10, 3, 4, 8},
                                   {1, 1, 5, 6},     {2, 9, 2, 4},     {6, 4, 3, 4},
                                   {31, 33, 28, 28}, {28, 28, 32, 32}, {56, 56, 28, 28},
                                   {1, 64, 64, 1},   {40, 17, 1, 1},   {3, 3, 4, 4}};
    char path[FOLDER_PATH_SIZE], label[64];
    static uint8_t pixels[64 * 64 * 3];
    static double want[64 * 64 * 3];
    folder_path(*state, "a.png", path);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int c = 1; c <= 3; c += 2) {
            int h = sizes[i][0], w = sizes[i][1], to_h = sizes[i][2], to_w = sizes[i][3];
            fill_random(pixels, (size_t)(h * w * c), 10 + i);
            write_png8(path, (unsigned)h, (unsigned)w, c, pixels);
            uint8_t *got = load_ok(path, c, to_h, to_w);
            scale_reference(pixels, c, h, w, want, to_h, to_w);
            snprintf(label, sizeof label, "%dx%dx%d to %dx%d", c, h, w, to_h, to_w);
            check_bytes(got, want, (size_t)(c * to_h * to_w), 1e-3, label);
            free(got);
        }
}

/* White stays white, and grey repeats into three channels, at any size. */
static void test_scaling_extremes(void **state) {
    char path[FOLDER_PATH_SIZE];
    static uint8_t white[50 * 50];
    memset(white, 255, sizeof white);
    folder_path(*state, "a.png", path);
    write_png8(path, 50, 50, 1, white);
    for (int side = 1; side <= 120; side += 7) {
        uint8_t *got = load_ok(path, 3, side, side);
        for (int i = 0; i < 3 * side * side; i++)
            assert_int_equal(got[i], 255);
        free(got);
    }
}

/* ---------------------------------------------------------------- limits and damage */

/* Writes the head of a PNG that claims this size. */
static void write_png_head(const char *path, uint32_t w, uint32_t h) {
    unsigned char bytes[64] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n',
                               0,    0,   0,   13,  'I',  'H',  'D',  'R'};
    for (unsigned i = 0; i < 4; i++) {
        bytes[16 + i] = (unsigned char)(w >> (24 - 8 * i));
        bytes[20 + i] = (unsigned char)(h >> (24 - 8 * i));
    }
    bytes[24] = 8; /* bits, grey */
    uLong crc = crc32(crc32(0, NULL, 0), bytes + 12, 17);
    for (unsigned i = 0; i < 4; i++)
        bytes[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    bytes[36] = 0; /* an empty IDAT */
    memcpy(bytes + 37, "IDAT\x35\xAF\x06\x1E", 8);
    bytes_write(path, bytes, 45);
}

static void test_limits(void **state) {
    char path[FOLDER_PATH_SIZE];
    static uint8_t line[16385];
    folder_path(*state, "a.png", path);
    memset(line, 200, sizeof line);
    write_png8(path, 1, 16384, 1, line);
    uint8_t *got = load_ok(path, 1, 2, 3);
    for (int i = 0; i < 6; i++)
        assert_int_equal(got[i], 200);
    free(got);
    write_png8(path, 1, 16385, 1, line);
    expect_refused(path, TESS_UNSUPPORTED, "16385x1 pixels");
    write_png8(path, 16385, 1, 1, line);
    expect_refused(path, TESS_UNSUPPORTED, "1x16385 pixels");
    write_png_head(path, 16384, 16384); /* each side is allowed, together they are too much */
    expect_refused(path, TESS_UNSUPPORTED, "16384x16384 pixels");
    write_png_head(path, 0x7FFFFFFF, 0x7FFFFFFF);
    expect_refused(path, TESS_BAD_FORMAT, "damaged");
    write_png_head(path, 0, 1);
    expect_refused(path, TESS_BAD_FORMAT, "damaged");
    write_png_head(path, 100, 100);
    expect_refused(path, TESS_BAD_FORMAT, "damaged");
}

static void test_not_images(void **state) {
    const char *folder = *state;
    char path[FOLDER_PATH_SIZE];
    uint8_t pixels[16];
    folder_path(folder, "a.png", path);
    expect_refused(path, TESS_IO, "No such file");
    expect_refused(folder, TESS_IO, "folder");
    bytes_write(path, "", 0);
    expect_refused(path, TESS_BAD_FORMAT, "neither PNG nor JPEG");
    bytes_write(path, "P5 2 2 255 abcd", 15);
    expect_refused(path, TESS_BAD_FORMAT, "neither PNG nor JPEG");
    bytes_write(path, "\xFF\xD8\xFF", 3);
    expect_refused(path, TESS_BAD_FORMAT, "JPEG file is damaged");
    bytes_write(path, "\x89PNG\r\n\x1A\n", 8);
    expect_refused(path, TESS_BAD_FORMAT, "PNG file is damaged");
    folder_path(folder, "pipe", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(path, TESS_IO, "no regular file");
    static const int bad[][3] = {{0, 1, 1}, {2, 1, 1},  {4, 1, 1},
                                 {1, 0, 1}, {1, 1, -1}, {1, 16385, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(image_load(path, bad[i][0], bad[i][1], bad[i][2], NULL, pixels),
                         TESS_INVALID_ARGUMENT);
    assert_int_equal(image_load(NULL, 1, 1, 1, NULL, pixels), TESS_INVALID_ARGUMENT);
    assert_int_equal(image_load(path, 1, 1, 1, NULL, NULL), TESS_INVALID_ARGUMENT);
}

/* A file cut anywhere is refused; a file with a flipped bit gives a picture or an error, and no crash. */
static void damage(const char *path) {
    size_t size = 0;
    unsigned char *bytes = bytes_read(path, &size);
    for (size_t length = 0; length < size; length++) {
        bytes_write(path, bytes, length);
        expect_refused(path, TESS_BAD_FORMAT, "");
    }
    for (size_t i = 0; i < 8 * size; i++) {
        bytes[i / 8] ^= (unsigned char)(1u << i % 8);
        bytes_write(path, bytes, size);
        bytes[i / 8] ^= (unsigned char)(1u << i % 8);
        uint8_t pixels[16];
        tess_error error = {0};
        tess_status status = image_load(path, 1, 4, 4, &error, pixels);
        assert_true((status == TESS_OK) == !error.text[0]);
    }
    free(bytes);
}

static void test_damaged(void **state) {
    char path[FOLDER_PATH_SIZE];
    uint8_t rgb[3 * N];
    folder_path(*state, "a", path);
    fill_random(rgb, sizeof rgb, 6);
    write_png8(path, H, W, 3, rgb);
    damage(path);
    for (int progressive = 0; progressive < 2; progressive++) {
        write_jpeg(path, &(struct jpeg_spec){W, H, 1, JCS_GRAYSCALE, progressive, rgb});
        damage(path);
    }
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_png_colours), CASE(test_png_alpha),  CASE(test_png_kinds),
        CASE(test_jpeg),        CASE(test_scaling),    CASE(test_scaling_extremes),
        CASE(test_limits),      CASE(test_not_images), CASE(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
