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

/* Seconds -> milliseconds. */
static json_t *series_json(const struct conv_row *row, const double *seconds) {
    json_t *list = json_array();
    for (int i = 0; list && i < row->count_samples; i++)
        if (json_array_append_new(list, json_real(seconds[i] * 1e3))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* Takes more, whose fields become json's. */
static bool add(json_t *json, json_t *more) {
    bool added = json && more && json_object_update(json, more) == 0;
    json_decref(more);
    return added;
}

static json_t *interval(const struct stats_summary *s) {
    return json_pack("[f, f]", s->ci[0], s->ci[1]);
}

/* The contract's fields. */
static json_t *row_json(const struct conv_row *row) {
    return json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}",
        "problem", row->key, "pass", conv_pass_name(row->pass), "count", row->count, "algo",
        row->algo, "config", row->config, "tier", row->tier, "ms", row->ms, "ms_mad", row->ms_mad,
        "gflops", row->gflops, "max_err", row->max_err, "peak_gflops", row->peak_gflops, "gbytes",
        row->gbytes, "peak_gbytes", row->peak_gbytes, "of_roof", roof_share(row), "workspace",
        (json_int_t)row->workspace, "packed", (json_int_t)row->packed);
}

static bool add_samples(json_t *json, const struct conv_row *row) {
    bool ok = add(json, json_pack("{s:f, s:f, s:o, s:f, s:f, s:s, s:i, s:i, s:o, s:o}", "flops",
                                  row->flops, "bytes", row->bytes, "ms_ci", interval(&row->time),
                                  "ms_ci_level", row->time.ci_level, "drift", row->time.drift,
                                  "kernel_hash", row->kernel_hash, "rounds", row->rounds,
                                  "samples_per_round", row->per_round, "samples_ms",
                                  series_json(row, row->series[CONV_OURS]), "roof_samples_ms",
                                  series_json(row, row->series[CONV_ROOF])));
    if (ok)
        ok = add(json, json_pack("{s:o, s:o, s:o}", "yardstick_samples_ms",
                                 series_json(row, row->series[CONV_YARDSTICK]), "cpu_samples_ms",
                                 series_json(row, row->cpu[CONV_OURS]), "yardstick_cpu_samples_ms",
                                 series_json(row, row->cpu[CONV_YARDSTICK])));
    if (ok && *row->untuned_config)
        ok =
            add(json, json_pack("{s:s, s:f, s:f, s:o, s:o}", "untuned_config", row->untuned_config,
                                "untuned_ms", row->untuned.median, "untuned_ms_mad",
                                row->untuned.mad, "untuned_ms_ci", interval(&row->untuned),
                                "untuned_samples_ms", series_json(row, row->series[CONV_UNTUNED])));
    if (ok && row->peer)
        ok = add(json, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:o, s:o}", "peer", row->peer,
                                 "peer_about", row->peer_about, "peer_ms", row->peer_ms,
                                 "peer_ms_mad", row->peer_ms_mad, "ratio", row->ratio, "ratio_mad",
                                 row->ratio_mad, "peer_ms_ci", interval(&row->peer_time),
                                 "peer_samples_ms", series_json(row, row->series[CONV_PEER])));
    return ok;
}

bool conv_row_json(const struct conv_row *row, json_t *run, FILE *out) {
    json_t *json = row_json(row);
    bool written = json && add_samples(json, row) && json_object_set(json, "run", run) == 0 &&
                   json_dumpf(json, out, JSON_COMPACT | JSON_REAL_PRECISION(6)) == 0 &&
                   fputc('\n', out) != EOF;
    json_decref(json);
    return written;
}

void conv_row_free(struct conv_row *row) {
    for (int i = 0; i < CONV_SERIES; i++) {
        free(row->series[i]);
        free(row->cpu[i]);
        row->series[i] = row->cpu[i] = NULL;
    }
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
