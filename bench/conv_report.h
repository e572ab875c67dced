/* What `bench conv` says: a line a problem and pass, JSON Lines, and a summary. */
#ifndef TESSERA_BENCH_CONV_REPORT_H
#define TESSERA_BENCH_CONV_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "bench/report/stats.h"
#include "ops/conv/conv_problem.h"

/* What is timed side by side. */
enum conv_series { CONV_OURS, CONV_ROOF, CONV_YARDSTICK, CONV_UNTUNED, CONV_PEER, CONV_SERIES };

struct conv_row {
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_pass pass;
    int count; /* occurrences in the network */
    char algo[32], config[160], tier[32];
    double ms, ms_mad;
    double gflops, peak_gflops; /* direct-equivalent; measured multiply-add peak, interleaved */
    double gbytes, peak_gbytes; /* per second: x, w and y once each; measured copy */
    double max_err;             /* absolute; operands in [-0.5, 0.5) */
    size_t workspace, packed;
    double flops, bytes; /* of the convolution: 2 operations a multiply-add; x, w and y once each */
    struct stats_summary time, untuned, peer_time; /* ms */
    char untuned_config[160];                      /* "": not measured */
    char kernel_hash[65]; /* as the tuning database has it; "" where the algorithm has none */
    /* Seconds a run, in the order taken; owned. Those of one place were taken in turn; per_round of them make a round. */
    double *series[CONV_SERIES];
    double *cpu[CONV_SERIES]; /* the process's processor time */
    int runs[CONV_SERIES];    /* a sample; 0: not measured */
    int count_samples, capacity, per_round, rounds;
    const char *peer; /* NULL: none; the rest is of the peer */
    char peer_about[160];
    double peer_ms, peer_ms_mad, ratio,
        ratio_mad; /* ratio: peer_ms / ms, median over interleaved samples */
};

void conv_row_print(const struct conv_row *row, FILE *out);
/* One JSON object on a line; false: it could not be written. run: see run_info.h; borrowed. */
bool conv_row_json(const struct conv_row *row, json_t *run, FILE *out);
void conv_row_free(struct conv_row *row);

/* For each pass: geometric mean of the ratios, worst five, shares of the roofs. */
void conv_rows_summary(const struct conv_row *rows, int count, FILE *out);

#endif
