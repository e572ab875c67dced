/* The command line of tessera-tune. */
#ifndef TESSERA_TUNER_TUNE_COMMAND_H
#define TESSERA_TUNER_TUNE_COMMAND_H

#include "tuner/tune_session.h"

/* Reads argv (argv[0] is skipped). Gives -1, or the exit status after help or one line about what is wrong (1: a file cannot be read, 2: wrong
   usage). Free options->problems. */
int tune_options_parse(struct tune_options *options, int argc, char **argv);

#endif
