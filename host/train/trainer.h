/* The training loop: epochs of steps, validation, metrics and checkpoints. */
#ifndef TESSERA_TRAIN_TRAINER_H
#define TESSERA_TRAIN_TRAINER_H

#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/run_dir.h"

struct train_progress {
    int epoch, epochs; /* epoch from 1 */
    int step, steps;   /* of this epoch, done */
    double loss;       /* mean over the epoch's images so far */
    double lr;
    double images_per_s; /* of this epoch so far */
    double seconds_left; /* of the whole training, validation not counted */
};

/* Called from trainer_run; any may be NULL. */
struct train_events {
    void *user;
    void (*step)(void *user, const struct train_progress *progress);
    void (*epoch)(void *user, const struct metrics *metrics, bool best);
    bool (*stop)(void *user); /* asked before each step: true ends the training there */
};

/* All borrowed. net is a training network of settings->batch images with its weights (and, to continue, its velocities)
   in place; it ends with those of the last epoch. */
struct trainer {
    tess_context *ctx;
    tess_net *net;
    const struct train_settings *settings;
    const struct dataset *train, *val; /* val: NULL for none */
    uint64_t data_hash;                /* as in struct checkpoint_save */
    const struct run_dir *dir;
    struct train_events events;
};

/* Trains from *state (all zero: from the start) to settings->epochs, and moves *state on, epoch by epoch. After each epoch it
   appends to metrics.jsonl, then replaces best.safetensors if the epoch is the best so far, then last.safetensors:
   whatever comes between, last.safetensors is a state to continue from. A fresh training saves its initial state
   as well. *stopped: events.stop ended it; the epoch that was under way is not saved. A loss that is no longer
   finite is an error. After the first epoch it allocates no device memory and compiles nothing. */
tess_status trainer_run(const struct trainer *trainer, struct train_state *state, bool *stopped,
                        tess_error *error);

#endif
