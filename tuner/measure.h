/* A candidate's speed, as a ratio to another configuration's in the same moments. That one, the anchor, stays the same for a whole problem: if it
   were always the best so far, whoever wins by luck would carry its luck into the scale, and a hundred candidates later times would be
   a fraction of what they are. Caches are warm, the same buffers every run, unless the workbench is cold. */
#ifndef TESSERA_TUNER_MEASURE_H
#define TESSERA_TUNER_MEASURE_H

#include "tuner/workbench.h"

enum { RACE_SAMPLES_MAX = 64 };

struct race_options {
    double reference;      /* seconds of a run of the anchor, on the scale that results are on */
    double best;           /* seconds to beat, on that scale; 0: none, take all samples */
    double sample_seconds; /* a sample is as many runs as take this long */
    int samples;           /* most, up to RACE_SAMPLES_MAX */
};

struct race_result {
    double seconds,
        mad; /* of a run: ratio times reference, but a quarter of the fastest sample at least */
    double ratio;                     /* candidate to anchor, median of pairs; 1 without one */
    double samples[RACE_SAMPLES_MAX]; /* seconds of a run as measured, not scaled */
    int sample_count;
    double
        clock; /* cross-check: the device's own time over the host's; 0 where the device does not tell */
    bool aborted; /* three times the best's time or more, after one look */
};

/* 1, then 4, 8, 16, 32 and 64 samples of both in turn, as long as the candidate may still win and they took less than 3 s (4 are
   always taken). anchor NULL: all samples of the candidate
   alone, whose median is the result. Packing is not timed: weights change once a step at most. */
tess_status race(struct instance *candidate, struct instance *anchor,
                 const struct race_options *options, struct race_result *out);

#endif
