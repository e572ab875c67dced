/* Forward passes over a data set. */
#ifndef TESSERA_TRAIN_EVALUATE_H
#define TESSERA_TRAIN_EVALUATE_H

#include "tessera.h"
#include "train/dataset.h"

/* Images order[first .. first + rows - 1] of data; rows is at most the network's batch. */
struct batch_rows {
    const struct dataset *data;
    const int *order;
    int first, rows;
};

/* Fills the network's input, and its labels if it is a training network. */
tess_status batch_load(tess_context *ctx, tess_net *net, const struct batch_rows *rows,
                       tess_error *error);

/* Probabilities of those images into rows x classes floats. TESS_INVALID_ARGUMENT: weights that give NaN. Blocking. */
tess_status classify(tess_context *ctx, tess_net *net, const struct batch_rows *rows,
                     tess_error *error, float *probabilities);

struct evaluation {
    int count, correct;
    double accuracy;  /* percent */
    double mean_loss; /* cross-entropy; a probability below 1e-30 counts as that */
};

/* All of data through net, dropout off. The same result every time. Blocking. */
tess_status evaluate(tess_context *ctx, tess_net *net, const struct dataset *data,
                     tess_error *error, struct evaluation *out);

/* Index of the largest of count values, the first among equals. */
int largest(const float *values, int count);

#endif
