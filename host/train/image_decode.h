/* Between image.c and what it is made of: decoders and scaling. */
#ifndef TESSERA_TRAIN_IMAGE_DECODE_H
#define TESSERA_TRAIN_IMAGE_DECODE_H

#include "core/status.h"

#include <stdio.h>

#define IMAGE_MAX_SIDE   16384
#define IMAGE_MAX_PIXELS ((uint64_t)1 << 27)

/* H W C bytes, c 1 or 3. */
struct image {
    int h, w, c;
    uint8_t *pixels; /* owned: free() */
};

/* Decode from the beginning of in, which stays open. path: for messages. On failure nothing is left to free. */
tess_status image_decode_png(const char *path, FILE *in, tess_error *error, struct image *out);
tess_status image_decode_jpeg(const char *path, FILE *in, tess_error *error, struct image *out);

/* TESS_OK if an image of this size is within the limits above. */
tess_status image_check_size(const char *path, uint64_t h, uint64_t w, tess_error *error);

/* Scales each axis from in's size to h x w: area average where it shrinks, bilinear (pixel centres at half
   integers, edges repeated) where it grows, a copy where it stays. out: h * w * in->c bytes. false: out of memory. */
bool image_scale(const struct image *in, int h, int w, uint8_t *out);

/* Scales, and makes colour grey (BT.601 luma) or repeats grey in three channels: c is 1, 3 or in's. May overwrite in's pixels. out: h * w * c
   bytes. false: out of memory. */
bool image_fit(struct image *in, int c, int h, int w, uint8_t *out);

#endif
