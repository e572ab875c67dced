#include "tuner/tune_report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

tess_status tune_report_open(struct tune_report *report, const char *path, tess_error *error) {
    *report = (struct tune_report){0};
    if (!path) return TESS_OK;
    report->json = strcmp(path, "-") == 0 ? stdout : fopen(path, "a");
    if (report->json) return TESS_OK;
    return error_set(error, TESS_IO, "tune: %s: cannot be written: %s; choose a writable file",
                     path, strerror(errno));
}

tess_status tune_report_close(struct tune_report *report, tess_error *error) {
    FILE *file = report->json;
    report->json = NULL;
    bool bad = file && (ferror(file) || (file == stdout ? fflush(file) : fclose(file)));
    if (!bad) return TESS_OK;
    return error_set(
        error, TESS_IO,
        "tune: the JSON file could not be written; is the disk full? The database has it all");
}

/* Takes the reference. Lines are whole at any moment, also when the process is killed later. */
static void write_line(struct tune_report *report, json_t *line) {
    if (!line) return;
    json_dumpf(line, report->json, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputc('\n', report->json);
    fflush(report->json);
    json_decref(line);
}

/* null for what is not known. */
static json_t *number(double value, bool known) {
    return known && isfinite(value) ? json_real(value) : json_null();
}

void tune_report_trial(struct tune_report *report, const struct tune_layer *layer,
                       const char *config, const struct trial *trial) {
    if (!report->json) return;
    int at = space_find_printed(layer->space, config);
    bool ok = trial->status == DB_OK;
    write_line(
        report,
        json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:f, s:f, s:f, s:f, s:s}",
            "event", "trial", "problem", layer->key, "pass", conv_pass_name(layer->problem.pass),
            "algo", at >= 0 ? layer->space->list[at].algo->name : "", "config", config, "status",
            db_status_name(trial->status), "ms", number(trial->seconds * 1e3, ok), "ms_mad",
            number(trial->mad * 1e3, ok), "device_clock",
            number(trial->clock, ok && trial->clock > 0), "max_err",
            number(trial->max_err, ok || trial->status == DB_WRONG_RESULT), "bytes",
            (json_int_t)trial->bytes, "build_s", trial->build_seconds, "verify_s",
            trial->verify_seconds, "run_s", trial->run_seconds, "search_s", trial->search_seconds,
            "cause", trial->cause));
}

void tune_report_fc(struct tune_report *report, const char *problem, const char *operation,
                    const char *backend, const struct trial *trial) {
    if (!report->json) return;
    bool ok = trial->status == DB_OK;
    write_line(report,
               json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:f, s:s}", "event", "fc",
                         "problem", problem, "operation", operation, "backend", backend, "status",
                         db_status_name(trial->status), "ms", number(trial->seconds * 1e3, ok),
                         "ms_mad", number(trial->mad * 1e3, ok), "max_err",
                         number(trial->max_err, ok || trial->status == DB_WRONG_RESULT), "build_s",
                         trial->build_seconds, "cause", trial->cause));
}

/* What the best configuration's row says. */
struct summary {
    bool known;
    char config[CONV_CONFIG_SIZE];
    const char *algo;
    double ms, default_ms, gain, gflops, of_peak;
    size_t bytes;
};

static struct summary summarise(const struct tune_session *session,
                                const struct tune_layer *layer) {
    struct summary s = {.known = layer->best >= 0, .algo = ""};
    if (!s.known) return s;
    const struct candidate *best = &layer->space->list[layer->best];
    layer_config(layer, layer->best, s.config);
    s.algo = best->algo->name;
    s.bytes = best->bytes;
    s.ms = layer->best_seconds * 1e3;
    s.default_ms = layer->first_seconds > 0 ? layer->first_seconds * 1e3 : NAN;
    s.gain = s.default_ms / s.ms;
    s.gflops = tess_conv_flops(&layer->problem.d) / layer->best_seconds / 1e9;
    s.of_peak = session->peak > 0 ? s.gflops * 1e9 / session->peak : NAN;
    return s;
}

void tune_report_layer(struct tune_report *report, const struct tune_session *session,
                       const struct tune_layer *layer) {
    if (!report->json) return;
    struct summary s = summarise(session, layer);
    write_line(report,
               json_pack("{s:s, s:s, s:s, s:i, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:i, "
                         "s:i, s:i, s:b, s:s}",
                         "event", "layer", "problem", layer->key, "pass",
                         conv_pass_name(layer->problem.pass), "count", layer->count,
                         "default_config", layer->first, "default_ms",
                         number(s.default_ms, s.known), "algo", s.algo, "config", s.config, "ms",
                         number(s.ms, s.known), "gain", number(s.gain, s.known), "gflops",
                         number(s.gflops, s.known), "of_peak", number(s.of_peak, s.known), "bytes",
                         (json_int_t)s.bytes, "evaluations", layer->evaluations, "failures",
                         layer->failures, "resumed", layer->resumed, "verified", layer->verified,
                         "ahead", layer->ahead));
}

static void print_row(const struct tune_session *session, const struct tune_layer *layer) {
    struct summary s = summarise(session, layer);
    printf("%-46s %-11s ", layer->key, conv_pass_name(layer->problem.pass));
    if (!s.known) {
        printf("%s\n", layer->evaluations ? "nothing worked" : "not reached");
        return;
    }
    char first[32] = "-", gain[32] = "-";
    if (isfinite(s.default_ms)) {
        snprintf(first, sizeof first, "%.3f", s.default_ms);
        snprintf(gain, sizeof gain, "%.2fx", s.gain);
    }
    printf("%11s %9.3f %7s %5d %5d  %s%s\n", first, s.ms, gain, layer->evaluations, layer->failures,
           s.config, layer->verified ? "" : " (not verified whole)");
}

void tune_report_table(const struct tune_report *report, const struct tune_session *session) {
    if (report->json == stdout) return;
    printf("%-46s %-11s %11s %9s %7s %5s %5s  %s\n", "problem", "pass", "default ms", "best ms",
           "gain", "tried", "fail", "configuration");
    double before = 0, after = 0;
    for (int i = 0; i < session->layer_count; i++) {
        const struct tune_layer *layer = &session->layers[i];
        print_row(session, layer);
        if (layer->best < 0) continue;
        double first = layer->first_seconds > 0 ? layer->first_seconds : layer->best_seconds;
        before += layer->count * first;
        after += layer->count * layer->best_seconds;
    }
    if (after > 0)
        printf("all, each as often as it occurs: %.3f ms untuned, %.3f ms tuned: %.2fx; %s\n",
               before * 1e3, after * 1e3, before / after, runner_device(session->runner)->name);
    if (session->clocked > 0)
        printf(
            "times are the device clock's, which agrees with the host's within %.0f %% in %ld of "
            "%ld trials\n",
            100 * TUNE_CLOCK_TOLERANCE, session->clock_agrees, session->clocked);
    fflush(stdout);
}
