/* A candidate's speed, as a ratio to the incumbent's in the same moments. Caches are warm: the same buffers every run. */
#ifndef TESSERA_TUNER_MEASURE_H
#define TESSERA_TUNER_MEASURE_H

#include "tuner/workbench.h"

enum { RACE_SAMPLES_MAX = 16 };

struct race_options {
    double reference;      /* seconds of a run of the incumbent, on the scale that results are on */
    double sample_seconds; /* a sample is as many runs as take this long */
    int samples;           /* most, up to RACE_SAMPLES_MAX */
    bool whole; /* take all the samples, however slow the candidate looks: for pairs of finalists */
};

struct race_result {
    double seconds,
        mad; /* of a run: ratio times reference, but a quarter of the fastest sample at least */
    double ratio;                     /* candidate to incumbent, median of pairs; 1 without one */
    double samples[RACE_SAMPLES_MAX]; /* seconds of a run as measured, not scaled */
    int sample_count;
    bool aborted; /* three times the incumbent's time or more, after one look */
};

/* 1, then 4, 8 and 16 samples of both in turn, as long as the candidate may still win. incumbent NULL: all samples of the candidate
   alone, whose median is the result. Neither is packed here: weights change once a step at most. */
tess_status race(struct instance *candidate, struct instance *incumbent,
                 const struct race_options *options, struct race_result *out);

#endif
