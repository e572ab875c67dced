/* Spreads: what stands beside every number of a report. */
#ifndef TESSERA_BENCH_REPORT_STATS_H
#define TESSERA_BENCH_REPORT_STATS_H

#include <stdbool.h>

struct stats_summary {
    int count;
    double median, mad, best;
    double ci[2];    /* confidence interval of the median */
    double ci_level; /* its level: at least 0.95, or what the whole range of few samples gives */
    double
        drift; /* median of the later half over that of the earlier half, minus 1; 0 below four samples */
};

/* Of values[i] * scale, in the order taken. The interval is between two order statistics (of 15 samples the 4th and the 12th), which holds for any
   distribution of independent samples (Conover, Practical Nonparametric Statistics, 3.2). Without samples, or without memory, all are NaN and count is 0. */
void stats_summarise(const double *values, int count, double scale, struct stats_summary *out);

/* What tells two groups of measurements apart. */
struct stats_shift {
    double
        shift; /* of b against a: the median of all differences b[j] - a[i] (Hodges and Lehmann) */
    double ci[2]; /* its 95 % interval (Moses) */
    double
        p; /* two-sided, of the rank-sum test of Mann, Whitney and Wilcoxon: exact where both groups have at most 12 values and no ties */
    double p_least; /* the smallest p that groups of these sizes can give */
};

/* Neither group is changed. p is 1, the rest NAN, where a group is empty or memory is short. */
void stats_compare(const double *a, int a_count, const double *b, int b_count,
                   struct stats_shift *out);

/* Holm's correction: p[i] become the adjusted probabilities of count tests made together. false: no memory. */
bool stats_holm(double *p, int count);

#endif
