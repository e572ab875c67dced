/* What a checkpoint says beside its weights: enough to continue the training to the same bytes, to rebuild the network,
   and to feed it images as in training. Nothing in it differs between two equal runs. */
#ifndef TESSERA_TRAIN_CHECKPOINT_H
#define TESSERA_TRAIN_CHECKPOINT_H

#include "net/safetensors.h"
#include "tessera.h"
#include "train/dataset.h"
#include "train/schedule.h"

/* What the user asked for. Strings are borrowed. */
struct train_settings {
    const char *model, *data;
    const char *val; /* SPEC, or NULL */
    int val_last;    /* validate on the last so many images of data; 0: no */
    int epochs, batch;
    struct schedule schedule;
    double momentum, weight_decay;
    bool nesterov;
    uint64_t seed;
    double width;             /* of the network, as in tess_zoo_options; 0: 1 */
    int classes;              /* that replaced those of a model's file; 0: none did */
    const char *freeze_until; /* as in tess_net_options, or NULL */
};

/* How far a training has come. */
struct train_state {
    int epoch;     /* done */
    uint64_t step; /* done */
    double
        best; /* highest val_acc, or without validation lowest train_loss; meaningless while best_epoch is 0 */
    int best_epoch; /* from 1 */
};

/* How images become the network's input. */
struct input_format {
    int c, h, w, classes;          /* the network */
    float width;                   /* as in tess_zoo_options; 0 if the file does not say */
    int new_classes;               /* as classes in struct train_settings */
    int image_c, image_h, image_w; /* the data set's images, centred in the input */
    float mean[4], std[4];
    bool has_normalisation;        /* mean and std were in the file */
    char class_names[64][32];      /* "" where there is none */
    char model[64], data_name[64]; /* "" if the file does not say */
    bool synthetic;
    uint64_t data_hash; /* as in struct checkpoint_save; 0 if the file does not say */
};

/* Saves net to path, atomically: optimizer is for continuing. data_hash: of the images that the training part was
   taken from, validation images that were held back included. */
struct checkpoint_save {
    tess_context *ctx;
    tess_net *net;
    const struct train_settings *settings;
    const struct train_state *state;
    const struct dataset *data; /* the training part */
    uint64_t data_hash;
    bool validated;
};
tess_status checkpoint_write(const struct checkpoint_save *save, const char *path, bool optimizer,
                             tess_error *error);

/* Settings and state of a checkpoint of a training. The strings in *settings belong to file. */
tess_status checkpoint_read_run(const struct safetensors *file, const char *path, tess_error *error,
                                struct train_settings *settings, struct train_state *state,
                                uint64_t *data_hash);

/* For evaluation and prediction. Foreign files may lack any of it: zero, "" and mean 0, std 1 then. A value that is there
   and makes no sense is TESS_BAD_FORMAT. */
tess_status checkpoint_read_format(const struct safetensors *file, const char *path,
                                   tess_error *error, struct input_format *out);

#endif
