/* From the options of 'tessera train' to what the trainer needs. */
#ifndef TESSERA_CLI_TRAIN_SETUP_H
#define TESSERA_CLI_TRAIN_SETUP_H

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"
#include "train/trainer.h"

struct train_request {
    struct train_settings settings; /* model and data may be NULL with resume */
    const char *lr_step;            /* N:FACTOR as given, or NULL */
    const char *input;              /* CxHxW as given, or NULL */
    const char *out, *resume;       /* folders, or NULL */
    const char *without;            /* passes to leave out, or NULL */
    const char *init;               /* a name of tess_init_parse, or NULL */
    const char *weights;            /* the file to start from, or NULL */
    size_t memory;                  /* limit in bytes; 0: none */
    bool show, recompute;           /* recompute: see tess_recompute, always */
};

/* Everything one training holds on to; starts as {0} with lock -1. train_session_end ends it. */
struct train_session {
    struct safetensors
        *stored; /* the checkpoint to continue from, or NULL; owns strings of settings */
    char folder[4096];
    const char *without; /* passes of the network to leave out, or NULL */
    const char *weights; /* the file to start from, or NULL */
    size_t memory;       /* limit in bytes; 0: none */
    bool recompute;      /* outputs of cheap layers are made again */
    struct train_settings settings;
    tess_init init;           /* of a new training's weights */
    struct image_shape input; /* that the user asked for; 0: none */
    struct train_state state;
    uint64_t data_hash;
    struct dataset *train, *val; /* val may be NULL */
    const char *val_note;        /* where the validation images come from */
    tess_context *ctx;
    tess_graph *graph;
    tess_net *net;
    struct run_dir dir;
    char moved[4096]; /* where an earlier training's files went, or "" */
};

/* Completes the settings: from the checkpoint with resume, where every option that was given must agree with
   it, except --epochs, which may ask for more. Gives ARGS_CONTINUE or the exit status after a message. */
int train_settle(const struct train_request *request, const struct arg *list,
                 struct train_session *session);

/* Opens data, device, network and folder. Nothing in the folder changes unless all of it worked. data: with resume,
   where the same images are now; NULL: where they were. Gives EXIT_DONE or the exit status after a message. */
int train_prepare(const struct cli *cli, bool resume, const char *data,
                  struct train_session *session);

void train_session_end(struct train_session *session);

#endif
