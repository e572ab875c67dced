/* `tessera bench compare OLD NEW`: the regression gate. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_report.h"
#include "bench/options.h"
#include "bench/report/compare.h"
#include "bench/report/report_read.h"

static const char usage[] =
    "usage: tessera bench compare OLD.json NEW.json [--fail-above 5%] [--json FILE]\n"
    "  --fail-above P    status 1 if anything is slower by more than P percent (5), and\n"
    "                    significantly so; each such row is listed\n"
    "  --json FILE       the comparison as one JSON object; - for standard output\n"
    "OLD and NEW are lines of `tessera bench conv --gate --json FILE` or reports' JSON twins. A "
    "file\n"
    "may hold several runs: their rounds count together.\n";

struct request {
    double fail_above; /* a fraction */
    const char *json;
};

static json_t *read_one(const char *path, tess_error *error) {
    json_t *sources = json_array();
    tess_status status = report_read(path, sources, error);
    if (!status && json_array_size(sources) != 1)
        status =
            error_set(error, TESS_UNSUPPORTED,
                      "bench compare: %s: it has more than one device; give a file for each", path);
    json_t *source = status ? NULL : json_incref(json_array_get(sources, 0));
    json_decref(sources);
    return source;
}

static void print_row(const json_t *row, FILE *out) {
    const json_t *ci = json_object_get(row, "change_ci");
    fprintf(out, "%-46s %-11s %9.4g -> %9.4g ms  %+6.1f %% (%+.1f to %+.1f)  p %.2g  %s\n",
            report_string(row, "problem"), report_string(row, "pass"), report_number(row, "old_ms"),
            report_number(row, "ms"), 100 * report_number(row, "change"),
            100 * json_number_value(json_array_get(ci, 0)),
            100 * json_number_value(json_array_get(ci, 1)), report_number(row, "p_adjusted"),
            report_string(row, "verdict"));
}

static bool too_slow(const json_t *row, double above) {
    return strcmp(report_string(row, "verdict"), "slower") == 0 &&
           report_number(row, "change") > above;
}

/* How many rows have the verdict. */
static int count_of(const json_t *rows, const char *verdict) {
    const json_t *row;
    size_t i;
    int count = 0;
    json_array_foreach(rows, i, row) count += strcmp(report_string(row, "verdict"), verdict) == 0;
    return count;
}

static int judge(const json_t *rows, double above) {
    const json_t *row;
    size_t i;
    int slower = 0;
    json_array_foreach(rows, i, row) slower += too_slow(row, above);
    if (count_of(rows, "too few rounds"))
        fprintf(stderr,
                "tessera: bench compare: %d rows have too few rounds to show anything; measure "
                "with 'tessera bench conv ... --gate'\n",
                count_of(rows, "too few rounds"));
    if (!slower) return 0;
    fprintf(stderr, "tessera: bench compare: %d of %zu rows are slower by more than %g %%:\n",
            slower, json_array_size(rows), 100 * above);
    json_array_foreach(rows, i, row) if (too_slow(row, above)) print_row(row, stderr);
    return 1;
}

static int write_json(const json_t *comparison, const char *path) {
    if (!path) return 0;
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    bool bad = !out || json_dumpf(comparison, out, JSON_COMPACT | JSON_REAL_PRECISION(6)) ||
               fputc('\n', out) == EOF;
    if (out && out != stdout && fclose(out)) bad = true;
    return bad ? option_fail(1, "bench compare: --json: the file cannot be written; choose another")
               : 0;
}

static int compare(const char *old_path, const char *new_path, const struct request *request) {
    tess_error error = {0};
    json_t *old = read_one(old_path, &error), *new = old ? read_one(new_path, &error) : NULL;
    json_t *comparison = new ? compare_sources(old, new) : NULL;
    json_t *rows = json_object_get(comparison, "rows"), *row;
    bool quiet = request->json && strcmp(request->json, "-") == 0;
    size_t i;
    int status = 0;
    if (!new)
        status = option_fail(1, "%s", error.text);
    else if (!comparison)
        status = option_fail(1, "bench compare: no host memory");
    else if (!json_array_size(rows))
        status = option_fail(
            1, "bench compare: the files have no convolution in common; measure the same "
               "problems and passes");
    if (!status) {
        if (!quiet) json_array_foreach(rows, i, row) print_row(row, stdout);
        if (!quiet)
            printf("%zu rows: %d slower, %d faster; only in the old file %.0f, only in the new "
                   "%.0f\n",
                   json_array_size(rows), count_of(rows, "slower"), count_of(rows, "faster"),
                   report_number(comparison, "only_old"), report_number(comparison, "only_new"));
        fflush(stdout);
        status = write_json(comparison, request->json);
        if (!status) status = judge(rows, request->fail_above);
    }
    json_decref(comparison);
    json_decref(old);
    json_decref(new);
    return status;
}

/* "5%" or "5" -> 0.05. */
static bool parse_percent(const char *text, double *out) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || (*end == '%' ? end[1] : *end) || !(value >= 0) || !isfinite(value))
        return false;
    *out = value / 100;
    return true;
}

static int set_option(void *user, int option, char *value) {
    struct request *request = user;
    if (option == 'j')
        request->json = value;
    else if (!parse_percent(value, &request->fail_above))
        return option_fail(2, "bench compare: --fail-above: not a percentage such as 5%%");
    return 0;
}

int bench_compare(int argc, char **argv) {
    static const struct option list[] = {{"fail-above", required_argument, NULL, 'f'},
                                         {"json", required_argument, NULL, 'j'},
                                         {"help", no_argument, NULL, 'h'},
                                         {NULL, 0, NULL, 0}};
    struct request request = {.fail_above = 0.05};
    int status = options_read(&(struct options){.command = "bench compare",
                                                .usage = usage,
                                                .list = list,
                                                .words = 2,
                                                .set = set_option},
                              argc, argv, &request);
    if (status) return status < 0 ? 0 : status;
    return compare(argv[argc - 2], argv[argc - 1], &request);
}
