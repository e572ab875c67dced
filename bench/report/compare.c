#include "bench/report/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/report_read.h"
#include "bench/report/run_info.h"
#include "bench/report/stats.h"

static const double ALPHA = 0.01, LEAST_CHANGE = 0.03, WALL_CHANGE = 0.2;

enum measure { WALL, WALL_RATIO, CPU_RATIO };
static const char *const measure_names[] = {"wall time", "wall time / yardstick",
                                            "processor time / yardstick"};

/* ---------------------------------------------------------------- rounds */

struct rounds {
    double *logs; /* of each round's value; owned */
    int count;
    double *own, *stick; /* all samples; owned */
    int samples;
};

static void free_rounds(struct rounds *rounds) {
    free(rounds->logs);
    free(rounds->own);
    free(rounds->stick);
}

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

/* Adds the samples of a row; stick NULL: without a yardstick. */
static bool append_samples(struct rounds *rounds, const json_t *own, const json_t *stick) {
    size_t count = json_array_size(own), before = (size_t)rounds->samples;
    if (count == 0 || (stick && json_array_size(stick) != count)) return true;
    double *more = realloc(rounds->own, (before + count) * sizeof *more);
    if (!more) return false;
    rounds->own = more;
    more = realloc(rounds->stick, (before + count) * sizeof *more);
    if (!more) return false;
    rounds->stick = more;
    for (size_t i = 0; i < count; i++) {
        rounds->own[before + i] = json_number_value(json_array_get(own, i));
        rounds->stick[before + i] = stick ? json_number_value(json_array_get(stick, i)) : 1;
    }
    rounds->samples += (int)count;
    return true;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Mean of the tenth of values that is least, which is sorted: what remains when nothing disturbs. */
static double floor_of(double *values, int count) {
    int few = count / 10 > 1 ? count / 10 : 1;
    double sum = 0;
    qsort(values, (size_t)count, sizeof *values, ascending);
    for (int i = 0; i < few; i++)
        sum += values[i];
    return sum / few;
}

/* log of the floor over the yardstick's, new against old; NAN where there are no samples. */
static double floor_shift(struct rounds *a, struct rounds *b) {
    if (!a->samples || !b->samples) return NAN;
    return log(floor_of(b->own, b->samples) / floor_of(b->stick, b->samples)) -
           log(floor_of(a->own, a->samples) / floor_of(a->stick, a->samples));
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
    if (!append_samples(rounds, own, measure == WALL ? NULL : stick)) return false;
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

/* What the rounds and the floors say, as logarithms. */
struct finding {
    struct stats_shift rounds;
    double floor; /* the rounds' shift where there are no samples */
    int counts[2];
    const json_t *last[2];
};

static bool test(const json_t *old, const json_t *new, const json_t *like, enum measure measure,
                 struct finding *out) {
    struct rounds a, b = {0};
    bool good = gather(old, like, measure, &a, &out->last[0]);
    good = good && gather(new, like, measure, &b, &out->last[1]);
    if (good) stats_compare(a.logs, a.count, b.logs, b.count, &out->rounds);
    out->floor = good ? floor_shift(&a, &b) : NAN;
    if (!isfinite(out->floor)) out->floor = out->rounds.shift;
    out->counts[0] = a.count;
    out->counts[1] = b.count;
    free_rounds(&a);
    free_rounds(&b);
    return good;
}

static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* Both estimates of a change that is large, in the same direction. */
static bool is_large(const struct finding *finding, double change) {
    return fmin(finding->rounds.shift, finding->floor) > log1p(change) ||
           fmax(finding->rounds.shift, finding->floor) < log1p(-change);
}

static json_t *row_json(const json_t *like, const struct finding *finding, enum measure measure) {
    const json_t *old = finding->last[0], *new = finding->last[1];
    const struct stats_shift *rounds = &finding->rounds;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:[i, i], s:o, s:[o, o], s:o, s:o, s:f, "
        "s:f}",
        "problem", report_string(like, "problem"), "pass", report_string(like, "pass"),
        "old_config", report_string(old, "config"), "config", report_string(new, "config"),
        "measure", measure_names[measure], "old_ms", real(report_number(old, "ms")), "old_ms_mad",
        real(report_number(old, "ms_mad")), "ms", real(report_number(new, "ms")), "ms_mad",
        real(report_number(new, "ms_mad")), "rounds", finding->counts[0], finding->counts[1],
        "change", real(expm1(0.5 * (rounds->shift + finding->floor))), "change_ci",
        real(expm1(rounds->ci[0])), real(expm1(rounds->ci[1])), "change_rounds",
        real(expm1(rounds->shift)), "change_floor", real(expm1(finding->floor)), "p", rounds->p,
        "p_least", rounds->p_least);
}

/* JSON's null: the old source lacks it. */
static json_t *compare_row(const json_t *old, const json_t *new, const json_t *like,
                           enum measure measure) {
    struct finding finding, wall;
    if (!test(old, new, like, measure, &finding)) return NULL;
    if (!finding.last[0]) return json_null();
    if (measure != WALL && (!finding.counts[0] || !finding.counts[1])) /* no yardstick */
        return compare_row(old, new, like, measure == CPU_RATIO ? WALL_RATIO : WALL);
    if (measure == CPU_RATIO) {
        if (!test(old, new, like, WALL_RATIO, &wall)) return NULL;
        if (is_large(&wall, WALL_CHANGE) && wall.rounds.p < ALPHA &&
            fabs(wall.rounds.shift) > fabs(finding.rounds.shift)) {
            finding = wall;
            measure = WALL_RATIO;
        }
    }
    return row_json(like, &finding, measure);
}

static const char *verdict_of(const json_t *row, double adjusted, size_t rows) {
    double rounds = report_number(row, "change_rounds"), least = report_number(row, "change_floor");
    if (adjusted < ALPHA && fmin(rounds, least) > LEAST_CHANGE) return "slower";
    if (adjusted < ALPHA && fmax(rounds, least) < -LEAST_CHANGE) return "faster";
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
