/* What was timed of one problem, by identity (identity.h): a configuration that is the same work is not timed again. */
#ifndef TESSERA_TUNER_TWINS_H
#define TESSERA_TUNER_TWINS_H

#include "tuner/identity.h"
#include "tuner/runner.h"

struct twin {
    char identity[IDENTITY_SIZE], printed[CONV_CONFIG_SIZE];
    double seconds, mad, clock, max_err;
    int samples; /* that it could have had */
};

struct twins {
    struct twin *list; /* owned */
    int count, room;
};

void twins_clear(struct twins *twins); /* frees */

/* Remembers a good trial in place of an older one; nothing without an identity, or without memory. */
void twins_add(struct twins *twins, const char *identity, const char *printed, int samples,
               const struct trial *trial);

/* If another configuration with this identity was timed with as many samples, *trial becomes good with its time, and says so in cause. */
bool twins_find(const struct twins *twins, const char *identity, const char *printed, int samples,
                struct trial *trial);

#endif
