#include "cli/progress.h"

#include "cli/args.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double progress_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int terminal_columns(void) {
    struct winsize size;
    int columns = 0;
    if ((!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size)) &&
        size.ws_col > 0)
        return size.ws_col;
    const char *text = getenv("COLUMNS");
    return text && parse_int(text, 20, 1000, &columns) ? columns : 80;
}

const char *progress_duration(double seconds, char text[32]) {
    if (!(seconds >= 0 && seconds < 1e8)) seconds = 0;
    long whole = (long)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, 32, "%ld:%02ld", whole / 60, whole % 60);
    return text;
}

void progress_start(struct progress *progress) {
    double now = progress_seconds();
    bool bar = isatty(STDERR_FILENO);
    *progress = (struct progress){.bar = bar, .started = now, .next = bar ? now : now + 10};
}

void progress_note(struct progress *progress, const char *text) {
    if (!progress->bar) return;
    fprintf(stderr, "\r%.*s\033[K", terminal_columns() - 1, text);
    fflush(stderr);
    progress->drawn = true;
}

void progress_clear(struct progress *progress) {
    if (progress->drawn) fputs("\r\033[K", stderr);
    progress->drawn = false;
    fflush(stderr);
}

/* The bar takes what the texts leave of the line, 8 to 40 columns, or nothing on a narrow terminal. */
static void draw(const struct train_progress *now) {
    char left[64], right[128], eta[32], line[512];
    int columns = terminal_columns() - 1;
    snprintf(left, sizeof left, "epoch %d/%d ", now->epoch, now->epochs);
    int digits = snprintf(NULL, 0, "%d", now->steps);
    snprintf(right, sizeof right, " %*d/%d  loss %.4f  %5.0f images/s  ETA %s", digits, now->step,
             now->steps, now->loss, now->images_per_s, progress_duration(now->seconds_left, eta));
    int room = columns - (int)(strlen(left) + strlen(right)) - 2;
    if (room > 40) room = 40;
    if (room < 8) {
        snprintf(line, sizeof line, "%s%s", left, right);
        fprintf(stderr, "\r%.*s\033[K", columns, line);
        return;
    }
    bool utf8 = cli_utf8();
    int filled = (int)((long)room * now->step / now->steps);
    fprintf(stderr, "\r%s[", left);
    for (int i = 0; i < room; i++)
        fputs(i < filled ? (utf8 ? "\u2588" : "#") : (utf8 ? "\u2591" : "."), stderr);
    fprintf(stderr, "]%s\033[K", right);
}

void progress_step(struct progress *progress, const struct train_progress *now) {
    double time = progress_seconds();
    if (time < progress->next) return;
    if (progress->bar) {
        progress->next = time + 0.1;
        draw(now);
        progress->drawn = true;
        fflush(stderr);
        return;
    }
    char eta[32];
    progress->next = time + 10;
    printf("epoch %d/%d  step %d/%d  loss %.4f  %.0f images/s  ETA %s\n", now->epoch, now->epochs,
           now->step, now->steps, now->loss, now->images_per_s,
           progress_duration(now->seconds_left, eta));
    fflush(stdout);
}

void progress_epoch(struct progress *progress, const struct metrics *metrics, int epochs,
                    bool best) {
    progress_clear(progress);
    printf("epoch %d/%d  loss %.4f", metrics->epoch, epochs, metrics->train_loss);
    if (metrics->has_val)
        printf("  val %.2f %%%s", metrics->val_acc, metrics->synthetic ? " (synthetic)" : "");
    printf("  lr %g  %.2f s  %.0f images/s%s\n", metrics->lr, metrics->seconds,
           metrics->images_per_s, best ? "  best" : "");
    fflush(stdout);
}
