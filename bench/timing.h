/* The only timing code: several pieces of work in turn (A B C A B C ...), so that a machine that drifts drifts for all of them. */
#ifndef TESSERA_BENCH_TIMING_H
#define TESSERA_BENCH_TIMING_H

#include "tessera.h"

/* Work to time: run enqueues it once. */
struct timed {
    tess_status (*run)(void *user);
    void *user;
    /* Results, seconds a run: */
    double median, mad; /* mad: median of the absolute differences to the median */
    double best;
    int runs_per_sample;
};

struct timing_options {
    int samples;           /* of each piece; 0: 15 */
    double sample_seconds; /* a sample is as many runs as take this long; 0: 0.01 */
};

/* Median of count values, which are sorted in place. */
double timing_median(double *values, int count);

/* Seconds of a clock that only moves forward. */
double timing_now(void);

/* Warms up, finds how many runs make a sample, then takes the samples in turn. Each sample ends with tess_context_finish.
   options may be NULL. */
tess_status timing_interleaved(tess_context *ctx, struct timed *work, int count,
                               const struct timing_options *options);

#endif
