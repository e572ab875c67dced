#include "bench/conv_report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum { WORST = 5 };

/* The share of the roof that is nearer: multiply-adds, or memory. */
static double roof_share(const struct conv_row *row) {
    return fmax(row->gflops / row->peak_gflops, row->gbytes / row->peak_gbytes);
}

void conv_row_print(const struct conv_row *row, FILE *out) {
    fprintf(out,
            "%-46s %-11s %9.3f ms +-%4.1f %% %7.1f GFLOP/s (%3.0f %% of %.0f, %3.0f %% of "
            "%.0f GB/s)  err %.1e",
            row->key, conv_pass_name(row->pass), row->ms, 100 * row->ms_mad / row->ms, row->gflops,
            100 * row->gflops / row->peak_gflops, row->peak_gflops,
            100 * row->gbytes / row->peak_gbytes, row->peak_gbytes, row->max_err);
    if (row->peer)
        fprintf(out, "  %s %.3f ms, ratio %.2f +- %.2f", row->peer, row->peer_ms, row->ratio,
                row->ratio_mad);
    fprintf(out, "  %s [%s]\n", row->config, row->tier);
}

bool conv_row_json(const struct conv_row *row, FILE *out) {
    json_t *json = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}",
        "problem", row->key, "pass", conv_pass_name(row->pass), "count", row->count, "algo",
        row->algo, "config", row->config, "tier", row->tier, "ms", row->ms, "ms_mad", row->ms_mad,
        "gflops", row->gflops, "max_err", row->max_err, "peak_gflops", row->peak_gflops, "gbytes",
        row->gbytes, "peak_gbytes", row->peak_gbytes, "of_roof", roof_share(row), "workspace",
        (json_int_t)row->workspace, "packed", (json_int_t)row->packed);
    if (json && row->peer) {
        json_t *peer =
            json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "peer", row->peer, "peer_about",
                      row->peer_about, "peer_ms", row->peer_ms, "peer_ms_mad", row->peer_ms_mad,
                      "ratio", row->ratio, "ratio_mad", row->ratio_mad);
        if (!peer || json_object_update(json, peer)) {
            json_decref(json);
            json = NULL;
        }
        json_decref(peer);
    }
    bool written = json && json_dumpf(json, out, JSON_COMPACT | JSON_REAL_PRECISION(6)) == 0 &&
                   fputc('\n', out) != EOF;
    json_decref(json);
    return written;
}

static int by_ratio(const void *a, const void *b) {
    double x = (*(const struct conv_row *const *)a)->ratio;
    double y = (*(const struct conv_row *const *)b)->ratio;
    return (x > y) - (x < y);
}

static void print_worst(const struct conv_row **rows, int count, FILE *out) {
    qsort(rows, (size_t)count, sizeof *rows, by_ratio);
    for (int i = 0; i < count && i < WORST; i++)
        fprintf(out, "    %.2f  %s  %s\n", rows[i]->ratio, rows[i]->key, rows[i]->config);
}

/* rows: of one pass. */
static void summarise(const struct conv_row **rows, int count, FILE *out) {
    double log_ratio = 0, log_share = 0, ms = 0, peer_ms = 0;
    int compared = 0;
    const struct conv_row **with_peer = malloc((size_t)count * sizeof(*with_peer));
    for (int i = 0; i < count; i++) {
        log_share += log(roof_share(rows[i]));
        if (!rows[i]->peer || !with_peer) continue;
        log_ratio += log(rows[i]->ratio);
        ms += rows[i]->count * rows[i]->ms;
        peer_ms += rows[i]->count * rows[i]->peer_ms;
        with_peer[compared++] = rows[i];
    }
    fprintf(out, "%-11s %d problems, %.0f %% of the nearer roof (geometric mean)",
            conv_pass_name(rows[0]->pass), count, 100 * exp(log_share / count));
    if (compared) {
        fprintf(out,
                "; against %s: geometric mean ratio %.3f, all occurrences together %.3f; worst:\n",
                with_peer[0]->peer, exp(log_ratio / compared), peer_ms / ms);
        print_worst(with_peer, compared, out);
    } else {
        fputc('\n', out);
    }
    free(with_peer);
}

void conv_rows_summary(const struct conv_row *rows, int count, FILE *out) {
    const struct conv_row **of_pass = malloc((size_t)count * sizeof(*of_pass));
    if (!of_pass) return;
    for (int pass = 0; pass < 3; pass++) {
        int found = 0;
        for (int i = 0; i < count; i++)
            if ((int)rows[i].pass == pass) of_pass[found++] = &rows[i];
        if (found) summarise(of_pass, found, out);
    }
    free(of_pass);
}
