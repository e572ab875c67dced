/* What `bench conv` says: a line a problem and pass, JSON Lines, and a summary. */
#ifndef TESSERA_BENCH_CONV_REPORT_H
#define TESSERA_BENCH_CONV_REPORT_H

#include <stdio.h>

#include "ops/conv/conv_problem.h"

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
    const char *peer; /* NULL: none; the rest is of the peer */
    char peer_about[160];
    double peer_ms, peer_ms_mad, ratio,
        ratio_mad; /* ratio: peer_ms / ms, median over interleaved samples */
};

void conv_row_print(const struct conv_row *row, FILE *out);
/* One JSON object on a line; false: it could not be written. */
bool conv_row_json(const struct conv_row *row, FILE *out);

/* For each pass: geometric mean of the ratios, worst five, shares of the roofs. */
void conv_rows_summary(const struct conv_row *rows, int count, FILE *out);

#endif
