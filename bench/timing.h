/* The only timing code: several pieces of work in turn (A B C A B C ...), so that a machine that drifts drifts for all of them.
   Buffers are reused from run to run: figures are for warm caches, for ours and for peers alike. */
#ifndef TESSERA_BENCH_TIMING_H
#define TESSERA_BENCH_TIMING_H

#include "tessera.h"

/* Work to time: run enqueues it once (or does it, and blocks). */
struct timed {
    tess_status (*run)(void *user);
    void *user;
    double *
        samples; /* room for options.samples results, seconds a run in the order taken; NULL: not wanted */
    double *cpu; /* likewise: this process's processor time, seconds a run; NULL: not wanted */
    double
        pause_seconds; /* after it, until its threads sleep, below 1; 0: 0.001, or none with lead_in */
    /* Results, seconds a run: */
    double median, mad; /* mad: median of the absolute differences to the median */
    double best;
    double
        clock; /* median of the device's clock over the host's, for the same runs; 0 where the queue does not profile */
    int runs_per_sample; /* above 0 beforehand: taken as it is, and the work counts as warm; a result otherwise */
};

struct timing_options {
    int samples;           /* of each piece; 0: 15 */
    double sample_seconds; /* a sample is as many runs as take this long; 0: 0.01 */
    bool
        warm; /* before each sample a run that is not counted, also of long runs: where pauses differ, so do processors' clocks after them */
    bool
        lead_in; /* a sample begins when such a run ends, without a wait between them, by the device's clock: waking a device's threads, which takes up to milliseconds, is then no part of it. Needs a queue that profiles; warm elsewhere */
    double (*clock)(void); /* seconds; NULL: timing_now. For tests */
};

/* Median of count values, which are sorted in place. */
double timing_median(double *values, int count);

/* Median of |value - centre|. Sorts. values become differences. */
double timing_mad(double *values, int count, double centre);

/* Median of a[i] / b[i]: samples that were taken in turn share the machine's state, so that drift divides out. mad may be NULL. NaN without
   samples or memory. */
double timing_ratio(const double *a, const double *b, int count, double *mad);

/* Seconds of a clock that only moves forward. */
double timing_now(void);

/* Warms up, finds how many runs make a sample, then takes the samples in turn; between two pieces lies a pause, in
   which the threads of the piece before go to sleep, and for short runs one run that is not counted. Each sample ends with
   tess_context_finish. options may be NULL. */
tess_status timing_interleaved(tess_context *ctx, struct timed *work, int count,
                               const struct timing_options *options);

#endif
