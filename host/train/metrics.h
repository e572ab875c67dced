/* metrics.jsonl: one line of JSON an epoch. */
#ifndef TESSERA_TRAIN_METRICS_H
#define TESSERA_TRAIN_METRICS_H

#include "tessera.h"

struct metrics {
    int epoch;         /* from 1 */
    double train_loss; /* mean over the epoch's images, each taken before its step's update */
    bool has_val;
    double val_acc, val_loss; /* percent; mean cross-entropy */
    double seconds;           /* of training, validation not counted */
    double lr, images_per_s;
    bool synthetic; /* trained on generated images */
};

/* Appends a line with one write and waits until it is on disk. */
tess_status metrics_append(const char *path, const struct metrics *line, tess_error *error);

/* Drops the lines of epochs beyond last_epoch and what is no whole line, by replacing the file atomically; leaves
   the file alone if there is nothing to drop. No file is no error. */
tess_status metrics_keep(const char *path, int last_epoch, tess_error *error);

#endif
