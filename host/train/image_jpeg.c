#include "train/image_decode.h"

#include "core/file_error.h"

#include <stdlib.h>

#include <jpeglib.h>
#include <setjmp.h>

#define MAX_SCANS 200 /* of a progressive file; more only cost time */

/* libjpeg calls back on errors and must not return from that; everything that lives across the jump is here. */
struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    tess_status status; /* of a failure that was not libjpeg's */
    struct image image;
};

static void on_error(j_common_ptr jpeg) {
    struct decoder *decoder = jpeg->client_data;
    decoder->manager.format_message(jpeg, decoder->message);
    longjmp(decoder->jump, 1);
}

/* Level -1 is a warning: libjpeg would invent the rest of a damaged picture. Others are chatter. */
static void on_message(j_common_ptr jpeg, int level) {
    if (level < 0) on_error(jpeg);
}

static void on_output(j_common_ptr jpeg) {
    (void)jpeg;
}

static void on_progress(j_common_ptr jpeg) {
    struct decoder *decoder = jpeg->client_data;
    if (decoder->jpeg.input_scan_number <= MAX_SCANS) return;
    snprintf(decoder->message, sizeof decoder->message, "more than %d scans", MAX_SCANS);
    longjmp(decoder->jump, 1);
}

static void start(struct decoder *decoder, FILE *in) {
    jpeg_create_decompress(&decoder->jpeg);
    decoder->progress.progress_monitor = on_progress;
    decoder->jpeg.progress = &decoder->progress;
    jpeg_stdio_src(&decoder->jpeg, in);
    jpeg_read_header(&decoder->jpeg, TRUE);
}

/* May jump. The image's size has been checked. */
static void read_pixels(struct decoder *decoder) {
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    jpeg->out_color_space = jpeg->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW; /* the most exact of the integer ones, and the same everywhere */
    jpeg_start_decompress(jpeg);
    size_t row = (size_t)jpeg->output_width * (size_t)jpeg->output_components;
    decoder->image.pixels = malloc(row * jpeg->output_height);
    if (!decoder->image.pixels) {
        decoder->status = TESS_OUT_OF_HOST_MEMORY;
        return;
    }
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW to = decoder->image.pixels + jpeg->output_scanline * row;
        jpeg_read_scanlines(jpeg, &to, 1);
    }
    decoder->image.h = (int)jpeg->output_height;
    decoder->image.w = (int)jpeg->output_width;
    decoder->image.c = jpeg->output_components;
    jpeg_finish_decompress(jpeg);
}

static tess_status fail(const char *path, struct decoder *decoder, tess_error *error) {
    char shown[JMSG_LENGTH_MAX];
    if (decoder->status == TESS_OUT_OF_HOST_MEMORY)
        return error_set(error, decoder->status, "%s: no memory to decode it; free some memory",
                         path);
    return error_set(
        error, TESS_BAD_FORMAT,
        "%s: the JPEG file is damaged or of a kind that is not read (%s); copy it again "
        "or convert it anew",
        path, printable(decoder->message, shown, sizeof shown));
}

/* On failure the image's pixels may be left, for the caller to free. */
static tess_status decode(const char *path, FILE *in, tess_error *error, struct decoder *decoder) {
    if (setjmp(decoder->jump)) return fail(path, decoder, error);
    start(decoder, in);
    tess_status status =
        image_check_size(path, decoder->jpeg.image_height, decoder->jpeg.image_width, error);
    if (status) return status;
    read_pixels(decoder);
    return decoder->status ? fail(path, decoder, error) : TESS_OK;
}

tess_status image_decode_jpeg(const char *path, FILE *in, tess_error *error, struct image *out) {
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to decode it; free some memory", path);
    decoder->jpeg.err = jpeg_std_error(&decoder->manager);
    decoder->jpeg.client_data = decoder;
    decoder->manager.error_exit = on_error;
    decoder->manager.emit_message = on_message;
    decoder->manager.output_message = on_output;
    tess_status status = decode(path, in, error, decoder);
    jpeg_destroy_decompress(&decoder->jpeg);
    if (status)
        free(decoder->image.pixels);
    else
        *out = decoder->image;
    free(decoder);
    return status;
}
