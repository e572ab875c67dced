/* The drawings of a report, each for a wide and a narrow screen. */
#ifndef TESSERA_BENCH_REPORT_PLOTS_H
#define TESSERA_BENCH_REPORT_PLOTS_H

#include <jansson.h>

#include "bench/report/page.h"

struct plots {
    int count;        /* drawn so far: their ids */
    bool missing;     /* gnuplot is not there: no more is tried */
    tess_error error; /* why the first plot failed; "" */
};

/* Roofs and layers (the reports' lines) on logarithmic axes: FLOP a byte against GFLOP/s. */
void plot_roofline(struct plots *plots, struct page *page, const json_t *source);

/* For each pass a bar chart of the layers' share of the roof, numbered as in the table: number[i] of layers[i]. */
void plot_shares(struct plots *plots, struct page *page, const json_t *source);

/* Best so far, as a multiple of the best in the end, against evaluations and against seconds; tuning as in tuning.h. */
void plot_convergence(struct plots *plots, struct page *page, const json_t *tuning);

#endif
