/* The folder of one training: metrics.jsonl, last.safetensors, best.safetensors. */
#ifndef TESSERA_TRAIN_RUN_DIR_H
#define TESSERA_TRAIN_RUN_DIR_H

#include "tessera.h"

struct run_dir {
    int lock; /* open folder, locked as long as it is open: one training at a time */
    char metrics[4096], last[4096], best[4096];
    char made[4096]; /* the folder, if run_dir_open made it; else "" */
};

/* Creates the folder (and its parents) and locks it. Fails if it cannot be written or another training is in it.
   run_dir_close ends it, and removes a folder that was made and stayed empty. */
tess_status run_dir_open(const char *path, tess_error *error, struct run_dir *out);
void run_dir_close(struct run_dir *dir);

/* Moves the files of an earlier training into path/previous-N, whose name is written to moved; "" if there was none. */
tess_status run_dir_clear(const struct run_dir *dir, const char *path, tess_error *error,
                          char moved[4096]);

#endif
