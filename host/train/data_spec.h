/* SPEC of --data -> a data set, and which of its images are for training and which for validation. */
#ifndef TESSERA_TRAIN_DATA_SPEC_H
#define TESSERA_TRAIN_DATA_SPEC_H

#include "train/dataset.h"

enum data_part {
    DATA_TRAIN, /* training files; generated: 10,000 images unless the SPEC says otherwise */
    DATA_TEST   /* test files; generated: 2,000 images of another random stream */
};

/* As dataset_open; synthetic:NAME may be followed by ",count=N", ",seed=N" and ",classes=N"; any SPEC may end with ",size=CxHxW", to
   which its images are scaled: mnist:DIR,size=3x48x48. */
tess_status data_open(const char *spec, enum data_part part, tess_error *error,
                      struct dataset **out);

bool data_spec_is_synthetic(const char *spec);

/* 64 bits of FNV-1a over shape, labels and pixels: tells two data sets apart. */
uint64_t data_hash(const struct dataset *data);

#endif
