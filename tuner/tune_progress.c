#include "tuner/tune_progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/timing.h"

static const double terminal_seconds = 0.1, plain_seconds = 5;
enum { BAR = 20, LINE = 200 };

void tune_progress_start(struct tune_progress *progress) {
    *progress = (struct tune_progress){.terminal = isatty(STDERR_FILENO) == 1};
    progress->next = progress->terminal ? 0 : timing_now() + plain_seconds;
}

void tune_progress_clear(struct tune_progress *progress) {
    if (progress->drawn) fputs("\r\033[K", stderr);
    progress->drawn = false;
}

/* "2:05", "--" where it is not known. */
static void print_left(double seconds, char text[32]) {
    if (!isfinite(seconds))
        snprintf(text, 32, "--");
    else
        snprintf(text, 32, "%ld:%02ld", (long)seconds / 60, (long)seconds % 60);
}

/* All layers that were measured: how much faster than untuned, weighted by their count; share of the peak. */
static void totals(const struct tune_session *session, double *gain, double *share) {
    double before = 0, after = 0, flops = 0, seconds = 0;
    for (int i = 0; i < session->layer_count; i++) {
        const struct tune_layer *layer = &session->layers[i];
        if (layer->best < 0) continue;
        double first = layer->first_seconds > 0 ? layer->first_seconds : layer->best_seconds;
        before += layer->count * first;
        after += layer->count * layer->best_seconds;
        flops += layer->count * tess_conv_flops(&layer->problem.d);
        seconds += layer->count * layer->best_seconds;
    }
    *gain = after > 0 ? before / after : 1;
    *share = seconds > 0 && session->peak > 0 ? flops / seconds / session->peak : 0;
}

/* Whether it is time for the next line. */
static bool is_due(struct tune_progress *progress) {
    double now = timing_now();
    if (now < progress->next) return false;
    progress->next = now + (progress->terminal ? terminal_seconds : plain_seconds);
    return true;
}

/* bar: in front of it on a terminal. */
static void show(struct tune_progress *progress, const char *bar, const char *line) {
    if (progress->terminal)
        fprintf(stderr, "\r\033[K[%s] %.*s", bar, 118 - BAR - 3, line);
    else
        fprintf(stderr, "tessera: tune: %s\n", line);
    progress->drawn = progress->terminal;
}

static void fill_bar(double done, char bar[BAR + 1]) {
    int full = (int)(done * BAR);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
}

void tune_progress_ahead(struct tune_progress *progress, int done, int right, int count) {
    char bar[BAR + 1], line[LINE];
    if (!is_due(progress) && done < count) return;
    fill_bar((double)done / count, bar);
    snprintf(line, sizeof line, "before the search: %d/%d untuned choices verified", right, count);
    show(progress, bar, line);
}

void tune_progress_show(struct tune_progress *progress, const struct tune_session *session,
                        const struct tune_layer *layer) {
    double gain, share, elapsed = timing_now() - session->started;
    if (!is_due(progress)) return;
    char left[32], bar[BAR + 1], line[LINE];
    double remaining = tune_session_left(session);
    print_left(remaining, left);
    fill_bar(isfinite(remaining) && elapsed + remaining > 0 ? elapsed / (elapsed + remaining) : 0,
             bar);
    totals(session, &gain, &share);
    snprintf(line, sizeof line,
             "%d/%d layers, %ld trials (%ld failed), %.2fx untuned, %.0f %% of peak, %s left, "
             "%.60s %s",
             session->finished, session->layer_count, session->trials, session->failures, gain,
             100 * share, left, layer->key, conv_pass_name(layer->problem.pass));
    show(progress, bar, line);
}
