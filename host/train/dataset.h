/* Labelled images in host memory: MNIST, CIFAR-10, generated digits. */
#ifndef TESSERA_TRAIN_DATASET_H
#define TESSERA_TRAIN_DATASET_H

#include "tessera.h"

#define DATASET_MAX_CHANNELS 4

struct dataset {
    char name[64];  /* "MNIST, t10k files", "CIFAR-10, 5 training batches",
                        "synthetic digits (generated, not real data)" */
    bool synthetic; /* made by us: every report of a result must say so */
    int count, c, h, w, classes;
    uint8_t *pixels; /* count images, H W C each, 0 .. 255 */
    int32_t *labels; /* count, 0 .. classes - 1 */
    /* Per channel, of pixels / 255: the normalisation of this data set. */
    float mean[DATASET_MAX_CHANNELS], std[DATASET_MAX_CHANNELS];
    const char *const *class_names; /* classes of them, or NULL; borrowed from a constant table */
};

/* The most images that a synthetic data set may have. */
enum { DATASET_MAX_SYNTHETIC = 1000000 };

/* Zero means the default; NULL instead of the options, too. */
struct dataset_options {
    bool
        test_part; /* prefer the test files over the training files; synthetic: other images than without */
    int count;     /* synthetic: how many; 0: 10,000 */
    int classes;   /* synthetic: only the first so many digits; 0: all */
    uint64_t seed; /* synthetic */
};

/* Opens what a SPEC names. *out is ended by dataset_destroy.
     mnist:DIR         IDX files, plain or .gz: the training files, or the t10k files where the former are not there
                       (with test_part the other way round)
     cifar10:DIR       binary version: data_batch_1.bin to data_batch_5.bin, those that are there, or
                       test_batch.bin where none is (with test_part the other way round)
     synthetic:digits  28 x 28 drawn digits; image i is a function of (seed, test_part, classes, i) alone
   Every header field, size and label is checked, and memory grows with what was read, not with what a header
   says. TESS_NOT_FOUND: no such SPEC; TESS_IO: not readable; TESS_BAD_FORMAT: contents. */
tess_status dataset_open(const char *spec, const struct dataset_options *options, tess_error *error,
                         struct dataset **out);
void dataset_destroy(struct dataset *data); /* NULL is allowed */

/* Moves the last count images into a data set of their own (--val-last). Order and normalisation are kept. Both
   parts must keep at least one image. */
tess_status dataset_split_last(struct dataset *data, int count, tess_error *error,
                               struct dataset **out);

/* order[0 .. count-1] becomes a permutation of 0 .. count-1 that depends on (seed, epoch) alone. */
void dataset_shuffle(int count, uint64_t seed, uint64_t epoch, int *order);

/* Every image becomes h x w pixels of c channels, as image_load makes them: c is 1, 3 or the data set's. The normalisation follows: repeated,
   or for colour to grey the weighted mean and the largest deviation. TESS_INVALID_ARGUMENT changes nothing; after
   TESS_OUT_OF_HOST_MEMORY the data set can only be destroyed. */
tess_status dataset_scale(struct dataset *data, int c, int h, int w, tess_error *error);

struct batch_shape {
    int batch, c, h, w;
};

/* Writes images order[first .. first+rows-1] as (pixel / 255 - mean) / std, NHWC fp32, and their labels; rows
   from rows to batch repeat the others with label -1 (batch normalisation sees them), zeros where there are none. images: batch * h * w * c floats, labels: batch. shape: the
   network's input: images are centred in a larger frame filled with the value of a 0 pixel (LeNet-5's 32x32), and
   equal otherwise; anything else is TESS_INVALID_SHAPE. Nothing is written on failure. */
tess_status dataset_batch(const struct dataset *data, const int *order, int first, int rows,
                          const struct batch_shape *shape, tess_error *error, float *images,
                          int32_t *labels);

/* Decodes a PNG or JPEG file (told by its contents) into H W C bytes, c 1 or 3 as wanted, scaled to h x w: per axis by area
   averaging where it shrinks and bilinear interpolation where it grows; the aspect ratio is not kept. Colour becomes
   grey by ITU-R BT.601 luma, grey becomes colour by repetition; transparent parts are composited on black, as digits
   are white on black. 16-bit samples are reduced to 8; EXIF orientation is ignored. At most 16,384 pixels a side and 2^27
   in all. pixels: h * w * c bytes, untouched on failure. */
tess_status image_load(const char *path, int c, int h, int w, tess_error *error, uint8_t *pixels);

#endif
