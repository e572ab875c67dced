/* The live view of a training: a bar on a terminal, plain lines elsewhere. */
#ifndef TESSERA_CLI_PROGRESS_H
#define TESSERA_CLI_PROGRESS_H

#include "train/trainer.h"

struct progress {
    bool bar;       /* standard error is a terminal: draw there */
    bool drawn;     /* a bar is on the screen now */
    double next;    /* do not show anything before this moment */
    double started; /* of the training */
};

void progress_start(struct progress *progress);

/* Redraws the bar, at most 10 times a second; without a terminal prints a line to standard output, at most one every 10
   seconds. */
void progress_step(struct progress *progress, const struct train_progress *now);

/* Shows a line where the bar will be, on a terminal only. */
void progress_note(struct progress *progress, const char *text);

/* Takes the bar off the screen, so that other lines can be printed. */
void progress_clear(struct progress *progress);

/* Makes room for the epoch's line, which it prints to standard output. */
void progress_epoch(struct progress *progress, const struct metrics *metrics, int epochs,
                    bool best);

double progress_seconds(void); /* a clock that only goes forward */

/* Columns of the terminal on standard output or error; else of the environment's COLUMNS; else 80. */
int terminal_columns(void);

/* 75 -> "1:15"; gives text. */
const char *progress_duration(double seconds, char text[32]);

#endif
