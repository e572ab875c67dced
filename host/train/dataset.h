/* Labelled images in host memory: MNIST, CIFAR-10, generated digits. */
#ifndef TESSERA_TRAIN_DATASET_H
#define TESSERA_TRAIN_DATASET_H

#include "tessera.h"

struct dataset {
    char name[64];     /* "MNIST", "CIFAR-10", "synthetic digits (generated, not real data)" */
    bool synthetic;    /* made by us: every report of a result must say so */
    int count, c, h, w, classes;
    uint8_t *pixels;   /* count images, H W C each, 0 .. 255 */
    int32_t *labels;   /* count, 0 .. classes - 1 */
    float mean[4], std[4];          /* per channel, of pixels / 255: the normalisation of this data set */
    const char *const *class_names; /* classes of them, or NULL */
};

/* Opens what a SPEC names: "mnist:DIR" (IDX, plain or .gz; the training files if they are there and train is wanted, else
   the t10k files), "cifar10:DIR" (binary version), "synthetic:digits" (seeded by seed; count images, 0: 10,000).
   Every header field, size, and label is checked. *out is ended by dataset_destroy. */
struct dataset_options {
    bool test_part; /* prefer the test files over the training files */
    int count;      /* synthetic: how many */
    uint64_t seed;  /* synthetic */
};
tess_status dataset_open(const char *spec, const struct dataset_options *options, tess_error *error,
                         struct dataset **out);
void dataset_destroy(struct dataset *data); /* NULL is allowed */

/* Moves the last count images into a data set of their own (--val-last). Order and normalisation are kept. */
tess_status dataset_split_last(struct dataset *data, int count, tess_error *error,
                               struct dataset **out);

/* order[0 .. count-1] becomes a permutation that depends on (seed, epoch) alone. */
void dataset_shuffle(int count, uint64_t seed, uint64_t epoch, int *order);

/* Writes images order[first .. first+rows-1] as (pixel / 255 - mean) / std, NHWC fp32, and their labels; rows
   from rows to batch become zeros with label -1. out_h, out_w, out_c: the network's input: images are centred in a larger frame
   filled with the value of a 0 pixel (LeNet-5's 32x32), and equal otherwise; anything else is TESS_INVALID_SHAPE. */
struct batch_shape {
    int batch, c, h, w;
};
tess_status dataset_batch(const struct dataset *data, const int *order, int first, int rows,
                          const struct batch_shape *shape, tess_error *error, float *images,
                          int32_t *labels);

/* Decodes a PNG or JPEG file (told by its contents) into H W C bytes, c 1 or 3 as wanted, scaled to h x w by area averaging
   / bilinear interpolation. pixels: h * w * c bytes. */
tess_status image_load(const char *path, int c, int h, int w, tess_error *error, uint8_t *pixels);

#endif
