/* One row of `bench conv`: a problem and pass beside the multiply-add roof, the untuned choice and a peer, interleaved. A row is
   measured in rounds, between which other rows have their turn: what disturbs the machine for some seconds then spoils some of a row's rounds, not
   all of them. Each round plans and fills its operands again, so that where they lie in memory varies too. */
#ifndef TESSERA_BENCH_CONV_MEASURE_H
#define TESSERA_BENCH_CONV_MEASURE_H

#include "bench/conv_report.h"
#include "bench/peers/peer.h"
#include "bench/problem_list.h"
#include "bench/roof.h"

struct conv_measure {
    tess_context *ctx;
    const char *algo, *config; /* NULL: the planner's choice */
    const struct peer *peer;   /* NULL: none */
    bool strict;
    bool untuned;        /* also times what the planner takes without the tuning database */
    int samples, rounds; /* samples of a round; rounds of a row */
    struct fma_roof fma;
    double
        peak_gbytes; /* measured once: a copy that leaves the caches would empty them for the others */
};

/* Makes the roofs; the caller fills in the rest. To be closed, also after a failure. */
tess_status conv_measure_open(tess_context *ctx, struct conv_measure *measure);
void conv_measure_close(struct conv_measure *measure);

/* Measures the next round of a row, which is all zero before its first; round counts from 0. The last one fills in medians and spreads. A
   row is ended by conv_row_free, also after a failure. */
tess_status conv_measure_round(struct conv_measure *measure, const struct problem_entry *entry,
                               tess_conv_pass pass, int round, struct conv_row *row);

#endif
