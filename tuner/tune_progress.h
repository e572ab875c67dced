/* What is seen while a session runs, on standard error: one line that is redrawn on a terminal, a line every few seconds elsewhere. */
#ifndef TESSERA_TUNER_TUNE_PROGRESS_H
#define TESSERA_TUNER_TUNE_PROGRESS_H

#include "tuner/tune_session.h"

struct tune_progress {
    bool terminal, drawn;
    double next; /* nothing is shown before this moment */
};

void tune_progress_start(struct tune_progress *progress);
void tune_progress_show(struct tune_progress *progress, const struct tune_session *session,
                        const struct tune_layer *layer);
/* While the untuned choices are verified: done of count are, and right of them were found right. The last is always shown. */
void tune_progress_ahead(struct tune_progress *progress, int done, int right, int count);
void tune_progress_clear(struct tune_progress *progress); /* takes the line off the screen */

#endif
