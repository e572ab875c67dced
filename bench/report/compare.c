#include "bench/report/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/report_read.h"
#include "bench/report/run_info.h"
#include "bench/report/stats.h"

static const double ALPHA = 0.01, LEAST_CHANGE = 0.02, WALL_CHANGE = 0.2;

enum measure { WALL, WALL_RATIO, CPU_RATIO };
static const char *const measure_names[] = {"wall time", "wall time / yardstick",
                                            "processor time / yardstick"};

/* ---------------------------------------------------------------- rounds */

struct rounds {
    double *logs; /* owned */
    int count;
};

/* The least of samples [first, first + count) of a list; NAN where one is missing or zero. */
static double least(const json_t *list, size_t first, size_t count) {
    double found = INFINITY;
    for (size_t i = first; i < first + count; i++) {
        double value = json_number_value(json_array_get(list, i));
        if (!(value > 0)) return NAN;
        found = fmin(found, value);
    }
    return found;
}

static bool append(struct rounds *rounds, double value) {
    if (!(value > 0) || !isfinite(value)) return true;
    double *logs = realloc(rounds->logs, ((size_t)rounds->count + 1) * sizeof *logs);
    if (!logs) return false;
    rounds->logs = logs;
    rounds->logs[rounds->count++] = log(value);
    return true;
}

static bool append_row(struct rounds *rounds, const json_t *row, enum measure measure) {
    const json_t *own =
        json_object_get(row, measure == CPU_RATIO ? "cpu_samples_ms" : "samples_ms");
    const json_t *stick = json_object_get(row, measure == CPU_RATIO ? "yardstick_cpu_samples_ms"
                                                                    : "yardstick_samples_ms");
    size_t count = json_array_size(own);
    json_int_t each = json_integer_value(json_object_get(row, "samples_per_round"));
    if (count == 0) return measure != WALL || append(rounds, report_number(row, "ms"));
    size_t step = each > 0 ? (size_t)each : 1;
    for (size_t i = 0; i + step <= count; i += step) {
        double value = least(own, i, step);
        if (measure != WALL) value /= least(stick, i, step);
        if (!append(rounds, value)) return false;
    }
    return true;
}

static bool same(const json_t *a, const json_t *b, const char *name) {
    return strcmp(report_string(a, name), report_string(b, name)) == 0;
}

/* All rounds of a problem and pass: those of several runs together. *last: its last row, NULL where there is none. */
static bool gather(const json_t *source, const json_t *like, enum measure measure,
                   struct rounds *out, const json_t **last) {
    const json_t *row;
    size_t i;
    *out = (struct rounds){0};
    *last = NULL;
    json_array_foreach(json_object_get(source, "layers"), i, row) {
        if (!same(row, like, "problem") || !same(row, like, "pass")) continue;
        *last = row;
        if (!append_row(out, row, measure)) return false;
    }
    return true;
}

/* ---------------------------------------------------------------- rows */

static bool test(const json_t *old, const json_t *new, const json_t *like, enum measure measure,
                 struct stats_shift *shift, int counts[2], const json_t *last[2]) {
    struct rounds a, b = {0};
    bool good = gather(old, like, measure, &a, &last[0]);
    good = good && gather(new, like, measure, &b, &last[1]);
    if (good) stats_compare(a.logs, a.count, b.logs, b.count, shift);
    counts[0] = a.count;
    counts[1] = b.count;
    free(a.logs);
    free(b.logs);
    return good;
}

static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *compare_row(const json_t *old, const json_t *new, const json_t *like,
                           enum measure measure) {
    struct stats_shift shift, wall;
    int counts[2], wall_counts[2];
    const json_t *last[2];
    if (!test(old, new, like, measure, &shift, counts, last)) return NULL;
    if (measure != WALL && (!counts[0] || !counts[1])) /* files without a yardstick */
        return compare_row(old, new, like, measure == CPU_RATIO ? WALL_RATIO : WALL);
    if (measure == CPU_RATIO) {
        if (!test(old, new, like, WALL_RATIO, &wall, wall_counts, last)) return NULL;
        if (fabs(expm1(wall.shift)) > WALL_CHANGE && wall.p < ALPHA &&
            fabs(wall.shift) > fabs(shift.shift)) {
            shift = wall;
            measure = WALL_RATIO;
        }
    }
    if (!last[0]) return json_null();
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:[i, i], s:o, s:[o, o], s:f, "
        "s:f}",
        "problem", report_string(like, "problem"), "pass", report_string(like, "pass"),
        "old_config", report_string(last[0], "config"), "config", report_string(last[1], "config"),
        "measure", measure_names[measure], "old_ms", real(report_number(last[0], "ms")),
        "old_ms_mad", real(report_number(last[0], "ms_mad")), "ms",
        real(report_number(last[1], "ms")), "ms_mad", real(report_number(last[1], "ms_mad")),
        "rounds", counts[0], counts[1], "change", real(expm1(shift.shift)), "change_ci",
        real(expm1(shift.ci[0])), real(expm1(shift.ci[1])), "p", shift.p, "p_least", shift.p_least);
}

static const char *verdict_of(const json_t *row, double adjusted, size_t rows) {
    double change = report_number(row, "change");
    if (adjusted < ALPHA && change > LEAST_CHANGE) return "slower";
    if (adjusted < ALPHA && change < -LEAST_CHANGE) return "faster";
    if (report_number(row, "p_least") * (double)rows >= ALPHA) return "too few rounds";
    return "no difference";
}

static bool judge(json_t *rows) {
    size_t count = json_array_size(rows), i;
    double *p = malloc((count + 1) * sizeof *p);
    json_t *row;
    if (!p) return false;
    json_array_foreach(rows, i, row) p[i] = report_number(row, "p");
    bool good = stats_holm(p, (int)count);
    json_array_foreach(rows, i, row) {
        json_object_set_new(row, "p_adjusted", json_real(p[i]));
        json_object_set_new(row, "verdict", json_string(verdict_of(row, p[i], count)));
    }
    free(p);
    return good;
}

/* Whether rows has one of this problem and pass already. */
static bool listed(const json_t *rows, const json_t *like) {
    const json_t *row;
    size_t i;
    json_array_foreach(rows, i,
                       row) if (same(row, like, "problem") && same(row, like, "pass")) return true;
    return false;
}

static int lacking(const json_t *source, const json_t *rows) {
    json_t *seen = json_array(), *row;
    size_t i;
    int count = 0;
    json_array_foreach(json_object_get(source, "layers"), i, row) {
        if (listed(rows, row) || listed(seen, row)) continue;
        json_array_append(seen, row);
        count++;
    }
    json_decref(seen);
    return count;
}

json_t *compare_sources(const json_t *old, const json_t *new) {
    const json_t *device = json_object_get(new, "device"), *row;
    const json_t *other = json_object_get(old, "device");
    bool alike = same(device, other, "name") && same(device, other, "type");
    bool cpu = strcmp(report_string(device, "type"), "CPU") == 0;
    enum measure measure = !alike ? WALL : cpu ? CPU_RATIO : WALL_RATIO;
    json_t *rows = json_array();
    size_t i;
    bool good = rows != NULL;
    json_array_foreach(json_object_get(new, "layers"), i, row) {
        if (!good || listed(rows, row)) continue;
        json_t *result = compare_row(old, new, row, measure);
        good = result != NULL;
        if (json_is_null(result))
            json_decref(result); /* only new */
        else if (result)
            good = json_array_append_new(rows, result) == 0;
    }
    good = good && judge(rows);
    json_t *out =
        good ? json_pack("{s:o, s:o, s:b, s:i, s:i}", "old", run_text(report_string(old, "label")),
                         "new", run_text(report_string(new, "label")), "same_device", alike,
                         "only_old", lacking(old, rows), "only_new", lacking(new, rows))
             : NULL;
    if (out && !json_object_set(out, "rows", rows)) {
        json_decref(rows);
        return out;
    }
    json_decref(out);
    json_decref(rows);
    return NULL;
}
