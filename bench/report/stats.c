#include "bench/report/stats.h"

#include <math.h>
#include <stdlib.h>

#include "bench/timing.h"

/* The interval from the rank-th smallest to the rank-th largest of count values misses the median with this probability:
   2 P(B < rank), B binomial of count halves. */
static double miss_of(int count, int rank) {
    double miss = 0;
    for (int k = 0; k < rank; k++)
        miss +=
            exp(lgamma(count + 1.0) - lgamma(k + 1.0) - lgamma(count - k + 1.0) - count * log(2.0));
    return 2 * miss;
}

static void interval(const double *sorted, int count, struct stats_summary *out) {
    int rank = 1;
    while (2 * (rank + 1) <= count && miss_of(count, rank + 1) <= 0.05)
        rank++;
    out->ci[0] = sorted[rank - 1];
    out->ci[1] = sorted[count - rank];
    out->ci_level = fmax(1 - miss_of(count, rank), 0);
}

void stats_summarise(const double *values, int count, double scale, struct stats_summary *out) {
    double *copy = count > 0 ? malloc((size_t)count * sizeof *copy) : NULL;
    *out = (struct stats_summary){.median = NAN, .mad = NAN, .best = NAN, .ci = {NAN, NAN}};
    if (!copy) return;
    for (int i = 0; i < count; i++)
        copy[i] = values[i] * scale;
    if (count >= 4) {
        double early = timing_median(copy, count / 2);
        double late = timing_median(copy + count / 2, count - count / 2);
        out->drift = early > 0 ? late / early - 1 : 0;
    }
    out->count = count;
    out->median = timing_median(copy, count);
    out->best = copy[0];
    interval(copy, count, out);
    out->mad = timing_mad(copy, count, out->median);
    free(copy);
}

/* ---------------------------------------------------------------- two groups */

enum { EXACT_MAX = 12 };

/* Pairs in which b is larger, a tie counting half; *ties: whether there are any. */
static double larger_pairs(const double *a, int n, const double *b, int m, bool *ties) {
    double u = 0;
    *ties = false;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) {
            u += b[j] > a[i] ? 1 : b[j] == a[i] ? 0.5 : 0;
            *ties = *ties || b[j] == a[i];
        }
    return u;
}

/* P(U <= u) for groups of n and m: ways(u, i, j) = ways(u - j, i - 1, j) + ways(u, i, j - 1), the largest value being one of a's or of b's. */
static double exact_below(int n, int m, int u) {
    double ways[EXACT_MAX + 1][EXACT_MAX + 1][EXACT_MAX * EXACT_MAX + 1];
    double below = 0, all = 0;
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= m; j++)
            for (int k = 0; k <= n * m; k++) {
                double count = i == 0 || j == 0 ? (k == 0) : ways[i][j - 1][k];
                if (i > 0 && j > 0 && k >= j) count += ways[i - 1][j][k - j];
                ways[i][j][k] = count;
            }
    for (int k = 0; k <= n * m; k++) {
        all += ways[n][m][k];
        if (k <= u) below += ways[n][m][k];
    }
    return below / all;
}

static double normal_tail(double u, int n, int m) {
    double sd = sqrt((double)n * m * (n + m + 1) / 12);
    double distance = fmax(fabs(u - 0.5 * n * m) - 0.5, 0);
    return erfc(distance / sd / sqrt(2.0));
}

static double two_sided(double u, int n, int m, bool ties) {
    if (ties || n > EXACT_MAX || m > EXACT_MAX) return fmin(normal_tail(u, n, m), 1);
    return fmin(2 * exact_below(n, m, (int)fmin(u, (double)n * m - u)), 1);
}

void stats_compare(const double *a, int a_count, const double *b, int b_count,
                   struct stats_shift *out) {
    *out = (struct stats_shift){.shift = NAN, .ci = {NAN, NAN}, .p = 1, .p_least = 1};
    int pairs = a_count * b_count;
    double *all = a_count > 0 && b_count > 0 ? malloc((size_t)pairs * sizeof *all) : NULL;
    if (!all) return;
    for (int i = 0; i < a_count; i++)
        for (int j = 0; j < b_count; j++)
            all[i * b_count + j] = b[j] - a[i];
    bool ties;
    double u = larger_pairs(a, a_count, b, b_count, &ties);
    out->p = two_sided(u, a_count, b_count, ties);
    out->p_least = two_sided(0, a_count, b_count, false);
    out->shift = timing_median(all, pairs); /* sorts */
    int rank = (int)(0.5 * pairs - 1.96 * sqrt((double)pairs * (a_count + b_count + 1) / 12));
    if (rank < 0) rank = 0;
    out->ci[0] = all[rank];
    out->ci[1] = all[pairs - 1 - rank];
    free(all);
}

struct ranked {
    double p;
    int at;
};

static int by_p(const void *a, const void *b) {
    double x = ((const struct ranked *)a)->p, y = ((const struct ranked *)b)->p;
    return (x > y) - (x < y);
}

bool stats_holm(double *p, int count) {
    struct ranked *order = malloc(((size_t)count + 1) * sizeof *order);
    if (!order) return false;
    for (int i = 0; i < count; i++)
        order[i] = (struct ranked){p[i], i};
    qsort(order, (size_t)count, sizeof *order, by_p);
    double least = 0;
    for (int i = 0; i < count; i++) {
        least = fmax(least, fmin(order[i].p * (count - i), 1));
        p[order[i].at] = least;
    }
    free(order);
    return true;
}
