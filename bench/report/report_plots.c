#include "bench/report/report_plots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/plot.h"
#include "bench/report/report_read.h"
#include "bench/timing.h"

static const char *const passes[] = {"fwd", "bwd_data", "bwd_weights"};
static const char *const pass_words[] = {"forward", "backward-data", "backward-weights"};
enum { PASSES = 3 };

/* ---------------------------------------------------------------- both widths */

struct shape {
    const char *css;
    int width, height, font;
};
static const struct shape wide = {"wide", 860, 460, 14};
static const struct shape narrow = {"narrow", 360, 380, 12};

/* Draws the script for one width; NULL: it could not, and plots says why. */
static char *draw(struct plots *plots, const struct shape *shape, const char *about,
                  const char *script) {
    char id[16], *svg = NULL;
    tess_error error = {0};
    if (plots->missing) return NULL;
    snprintf(id, sizeof id, "p%d", ++plots->count);
    tess_status status =
        plot_svg(id, shape->css, shape->width, shape->height, about, script, &error, &svg);
    if (status && !*plots->error.text) plots->error = error;
    plots->missing = status == TESS_NOT_FOUND;
    return svg;
}

/* head: settings by width, %d for the size of the font; rest: data and plot. */
static void plot_both(struct plots *plots, struct page *page, const char *about,
                      const char *caption, const char *for_wide, const char *for_narrow,
                      const char *rest) {
    char *svg[2] = {NULL, NULL};
    const char *heads[2] = {for_wide, for_narrow};
    const struct shape *shapes[2] = {&wide, &narrow};
    for (int i = 0; i < 2; i++) {
        size_t size = strlen(heads[i]) + strlen(rest) + 64;
        char *script = malloc(size);
        if (!script) continue;
        snprintf(script, size, "set key font ',%d'\nset tics font ',%d'\n%s\n%s", shapes[i]->font,
                 shapes[i]->font, heads[i], rest);
        svg[i] = draw(plots, shapes[i], about, script);
        free(script);
    }
    page_plot(page, svg[0], svg[1], caption,
              *plots->error.text ? plots->error.text : "No memory for the plot.");
    free(svg[0]);
    free(svg[1]);
}

/* The text that was written to a memory stream; NULL: no memory. Ends the stream. */
static const char *finish(FILE *stream, char **text) {
    bool bad = !stream || ferror(stream);
    if (stream && fclose(stream)) bad = true;
    return bad ? NULL : *text;
}

/* ---------------------------------------------------------------- roofline */

static double roof_of(const json_t *source, const char *roof, const char *field) {
    const json_t *row;
    size_t i;
    double value = NAN;
    json_array_foreach(json_object_get(source, "roofs"), i,
                       row) if (strcmp(report_string(row, "roof"), roof) == 0) value =
        report_number(row, "value");
    /* Older files have no roofs of their own, but each layer's. */
    if (!(value > 0)) json_array_foreach(json_object_get(source, "layers"), i, row) {
            double own = report_number(row, field);
            if (own > 0 && !(value >= own)) value = own;
        }
    return value;
}

/* Gives their number. */
static int write_points(FILE *out, const json_t *layers, const char *pass) {
    const json_t *row;
    size_t i;
    int count = 0;
    json_array_foreach(layers, i, row) {
        if (strcmp(report_string(row, "pass"), pass) != 0) continue;
        double gflops = report_number(row, "gflops"), ms = report_number(row, "ms");
        double intensity = gflops / report_number(row, "gbytes");
        const json_t *ci = json_object_get(row, "ms_ci");
        double low = json_number_value(json_array_get(ci, 1));
        double high = json_number_value(json_array_get(ci, 0));
        if (!(intensity > 0) || !isfinite(intensity)) continue;
        fprintf(out, "%g %g %g %g\n", intensity, gflops, low > 0 ? gflops * ms / low : gflops,
                high > 0 ? gflops * ms / high : gflops);
        count++;
    }
    return count;
}

void plot_roofline(struct plots *plots, struct page *page, const json_t *source) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    const json_t *layers = json_object_get(source, "layers");
    double fma = roof_of(source, "fma", "peak_gflops"),
           copy = roof_of(source, "copy", "peak_gbytes");
    int shown = fma > 0 && copy > 0;
    if (!out) return;
    fprintf(out, "set logscale xy\nset xlabel 'FLOP a byte of x, w and y'\nset ylabel 'GFLOP/s'\n"
                 "set key bottom right\nset grid lc rgb '#050505' lt 1 lw 0.3\n"
                 "set format x '%%g'\nset format y '%%g'\nset bars 0.6\nset samples 300\n");
    for (int i = 0; i < PASSES; i++) {
        fprintf(out, "$p%d << EOD\n", i);
        shown += write_points(out, layers, passes[i]);
        fprintf(out, "EOD\n");
    }
    fprintf(out, "set xrange [0.5:2000]\nset yrange [*:*]\nplot NaN notitle lc rgb 'black'");
    if (fma > 0 && copy > 0)
        fprintf(out,
                ", (%g*x < %g ? %g*x : %g) with lines lw 2 lc rgb 'black' title 'roof: %.0f "
                "GFLOP/s, %.3g GB/s'",
                copy, fma, copy, fma, fma, copy);
    for (int i = 0; i < PASSES; i++)
        fprintf(out,
                ", $p%d using 1:2:3:4 with yerrorbars pt %d ps 0.8 lw 1.2 lc rgb '#0%d0%d0%d' "
                "title '%s'",
                i,
                i == 0   ? 7
                : i == 1 ? 9
                         : 5,
                i + 1, i + 1, i + 1, pass_words[i]);
    fputc('\n', out);
    if (finish(out, &text) && shown) /* gnuplot refuses a plot of nothing */
        plot_both(plots, page, "Roofline: speed of each layer against its arithmetic intensity",
                  "Roofline. Each point is a layer: direct-equivalent GFLOP/s against FLOP a byte "
                  "when x, w and y move once; bars are the confidence interval of the median. "
                  "Winograd multiplies less than it counts, so it may stand above the roof.",
                  "", "", text);
    free(text);
}

/* ---------------------------------------------------------------- shares of the roof */

/* A bar and its interval, in percent of the nearer roof; "? ? ?" where it was not measured. */
static bool write_bar(FILE *out, const json_t *row, const char *ms_name, const char *ci_name) {
    double share = 100 * report_number(row, "of_roof") * report_number(row, "ms");
    double ms = report_number(row, ms_name);
    const json_t *ci = json_object_get(row, ci_name);
    double low = json_number_value(json_array_get(ci, 0));
    double high = json_number_value(json_array_get(ci, 1));
    if (!(share > 0) || !(ms > 0)) {
        fprintf(out, " ? ? ?");
        return false;
    }
    fprintf(out, " %g %g %g", share / ms, share / (high > 0 ? high : ms),
            share / (low > 0 ? low : ms));
    return true;
}

static void plot_pass(struct plots *plots, struct page *page, const json_t *layers, int pass) {
    static const char *const names[3][3] = {{"ms", "ms_ci", "as planned"},
                                            {"untuned_ms", "untuned_ms_ci", "untuned"},
                                            {"peer_ms", "peer_ms_ci", "peer"}};
    char *text = NULL, caption[200];
    size_t size, i;
    int bars = 0, some[3] = {0};
    const json_t *row;
    FILE *out = open_memstream(&text, &size);
    if (!out) return;
    fprintf(out, "$d << EOD\n");
    json_array_foreach(layers, i, row) {
        if (strcmp(report_string(row, "pass"), passes[pass]) != 0) continue;
        fprintf(out, "%zu", i + 1);
        for (int k = 0; k < 3; k++)
            some[k] += write_bar(out, row, names[k][0], names[k][1]);
        fputc('\n', out);
        bars++;
    }
    fprintf(out,
            "EOD\nset style data histogram\nset style histogram errorbars gap 1 lw 1\n"
            "set style fill solid 0.85 border lc rgb 'black'\nset bars 0\nset yrange [0:*]\n"
            "set xlabel 'layer, as numbered in the table'\nset ylabel '%% of the nearer roof'\n"
            "set key top right horizontal\nset grid y lc rgb '#050505' lt 1 lw 0.3\n"
            "set xtics nomirror\nset arrow from graph "
            "0, first 100 to graph 1, first 100 nohead lc "
            "rgb 'black' dt 2\nset style line 1 lw 1\nplot ");
    for (int k = 0, first = 1; k < 3; k++) {
        if (!some[k]) continue;
        fprintf(out, "%s$d using %d:%d:%d%s title '%s' lc rgb '#0%d0%d0%d'", first ? "" : ", ",
                2 + 3 * k, 3 + 3 * k, 4 + 3 * k, first ? ":xtic(1)" : "", names[k][2], k + 1, k + 1,
                k + 1);
        first = 0;
    }
    fputc('\n', out);
    snprintf(caption, sizeof caption,
             "Share of the nearer roof, %s. Lines on the bars: confidence interval of the median.",
             pass_words[pass]);
    if (finish(out, &text) && bars && some[0])
        plot_both(plots, page, caption, caption, bars > 24 ? "set xtics rotate" : "",
                  bars > 8 ? "set xtics rotate font ',9'\nset key font ',10'" : "", text);
    free(text);
}

void plot_shares(struct plots *plots, struct page *page, const json_t *source) {
    const json_t *layers = json_object_get(source, "layers"), *row;
    for (int pass = 0; pass < PASSES; pass++) {
        bool some = false;
        size_t i;
        json_array_foreach(layers, i, row) some |=
            strcmp(report_string(row, "pass"), passes[pass]) == 0;
        if (some) plot_pass(plots, page, layers, pass);
    }
}

/* ---------------------------------------------------------------- convergence */

/* Best so far over the best in the end, of one layer, at evaluations (column 0) or seconds (column 1); steps go on to the last evaluation. */
static bool write_curve(FILE *out, const json_t *layer, size_t column) {
    const json_t *point, *curve = json_object_get(layer, "curve");
    double best = report_number(layer, "ms"), last = NAN, ratio = NAN;
    size_t i;
    int written = 0;
    json_array_foreach(curve, i, point) {
        const json_t *x = json_array_get(point, column);
        if (!json_is_number(x) || !(best > 0)) continue;
        last = json_number_value(x);
        ratio = json_number_value(json_array_get(point, 2)) / best;
        fprintf(out, "%g %g\n", fmax(last, column ? 0.01 : 1), ratio);
        written++;
    }
    double end = column ? NAN : report_number(layer, "evaluations");
    if (written && end > last) fprintf(out, "%g %g\n", end, ratio);
    return written > 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The ratio that a layer's curve has at x; its first value before it begins. */
static double curve_at(const json_t *layer, size_t column, double x) {
    const json_t *point, *curve = json_object_get(layer, "curve");
    double best = report_number(layer, "ms"), ratio = NAN;
    size_t i;
    json_array_foreach(curve, i, point) {
        if (i > 0 && json_number_value(json_array_get(point, column)) > x) break;
        ratio = json_number_value(json_array_get(point, 2)) / best;
    }
    return ratio;
}

/* Median over the layers, on a logarithmic grid. */
static void write_median(FILE *out, const json_t *layers, size_t column, double end) {
    size_t count = json_array_size(layers), i;
    double *values = malloc((count + 1) * sizeof *values);
    const json_t *layer;
    for (double x = column ? 0.01 : 1; values && x <= end * 1.001; x *= 1.1) {
        size_t known = 0;
        json_array_foreach(layers, i, layer) {
            double ratio = curve_at(layer, column, x);
            if (ratio > 0 && isfinite(ratio)) values[known++] = ratio;
        }
        if (!known) break;
        qsort(values, known, sizeof *values, ascending);
        fprintf(out, "%g %g\n", x, values[known / 2]);
    }
    free(values);
}

static void plot_curves(struct plots *plots, struct page *page, const json_t *layers,
                        size_t column) {
    static const char *const captions[2] = {
        "Convergence: best time so far over the best in the end, against evaluations. One line a "
        "layer and pass; the thick one is their median.",
        "Convergence against the seconds since the layer's first good trial. One line a layer and "
        "pass; the thick one is their median."};
    char *text = NULL;
    size_t size, i;
    int some = 0;
    double end = 1;
    const json_t *layer;
    FILE *out = open_memstream(&text, &size);
    if (!out) return;
    fprintf(out, "$c << EOD\n");
    json_array_foreach(layers, i, layer) {
        some += write_curve(out, layer, column);
        fprintf(out, "\n\n");
        const json_t *curve = json_object_get(layer, "curve");
        const json_t *last =
            json_array_get(curve, json_array_size(curve) - (json_array_size(curve) > 0));
        double x = json_number_value(json_array_get(last, column));
        end = fmax(end, column ? x : report_number(layer, "evaluations"));
    }
    fprintf(out, "EOD\n$m << EOD\n");
    write_median(out, layers, column, end);
    fprintf(
        out,
        "EOD\nset logscale x\nset xlabel '%s'\nset ylabel 'best so far / best'\n"
        "set yrange [1:*<4]\nset format x '%%g'\nset key top right\n"
        "set grid lc rgb '#050505' lt 1 lw 0.3\n"
        "plot $c with steps lw 0.7 lc rgb '#050505' title 'a layer and pass', $m with steps lw 3 "
        "lc rgb '#010101' title 'median'\n",
        column ? "seconds" : "evaluations");
    if (finish(out, &text) && some)
        plot_both(plots, page, captions[column], captions[column], "", "", text);
    free(text);
}

void plot_convergence(struct plots *plots, struct page *page, const json_t *tuning) {
    const json_t *layers = json_object_get(tuning, "layers");
    plot_curves(plots, page, layers, 0);
    plot_curves(plots, page, layers, 1);
}
