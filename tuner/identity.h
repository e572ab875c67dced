/* What a configuration hands to the device: code, launches and arguments. Equal identities are the same work. */
#ifndef TESSERA_TUNER_IDENTITY_H
#define TESSERA_TUNER_IDENTITY_H

#include "tuner/workbench.h"

enum { IDENTITY_SIZE = 65 }; /* hexadecimal digits and the end */

/* The code of a context's programs. Where the driver hands out what it compiled at once, code is its binary. Elsewhere, as on PoCL,
   which then compiles every kernel once more, it is the source and those of the options whose names occur in it. */
struct identity;

/* Watches the programs that ctx makes from now on, by program_observe, until it is destroyed; ctx is borrowed. NULL: no memory. */
struct identity *identity_create(tess_context *ctx);
void identity_destroy(struct identity *identity); /* NULL is allowed */

/* Nothing is enqueued. "" where the identity cannot be known. Not blocking. */
void identity_of(struct identity *identity, struct instance *instance, char out[IDENTITY_SIZE]);

#endif
