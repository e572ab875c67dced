#include "bench/report/report_tuning.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/report_numbers.h"
#include "bench/report/report_read.h"

static void causes_table(struct page *page, const json_t *tuning) {
    static const char *const heads[] = {"Outcome", "Trials"};
    json_t *causes = json_object_get(tuning, "causes"), *count;
    const char *name;
    char text[NUMBER_TEXT];
    double failed = report_number(tuning, "failed");
    PAGE_TABLE(page, heads);
    page_pair(page, "ok", number_text(report_number(tuning, "trials") - failed, text));
    json_object_foreach(causes, name, count)
        page_pair(page, name, number_text(json_number_value(count), text));
    page_table_end(page);
}

static void tuning_table(struct page *page, const json_t *layers) {
    static const char *const heads[] = {"Problem", "Pass",         "Tried of the space",
                                        "Failed",  "Default, ms",  "Best, ms",
                                        "Gain",    "Configuration"};
    char a[3 * NUMBER_TEXT], b[3 * NUMBER_TEXT], gain[NUMBER_TEXT];
    const json_t *row;
    size_t i;
    PAGE_TABLE(page, heads);
    json_array_foreach(layers, i, row) {
        double space = report_number(row, "space"), tried = report_number(row, "evaluations");
        page_cell(page, "%s", report_string(row, "problem"));
        page_cell(page, "%s", report_string(row, "pass"));
        if (space > 0)
            page_cell(page, "%.0f of %.0f (%s %%)", tried, space,
                      number_text(100 * tried / space, gain));
        else
            page_cell(page, "%.0f", tried);
        page_cell(page, "%s", number_text(report_number(row, "failed"), gain));
        page_cell(page, "%s", interval_text(row, "default_ms", "default_ms_mad", "", a));
        page_cell(page, "%s", interval_text(row, "ms", "ms_mad", "", b));
        page_cell(page, "%sx", number_text(report_number(row, "gain"), gain));
        page_cell(page, "%s", report_string(row, "config"));
    }
    page_table_end(page);
}

/* "fc_fwd_repack" -> the pass and whether packing counts. */
static void fc_cells(struct page *page, const char *operation) {
    static const char suffix[] = "_repack";
    size_t length = strlen(operation), tail = sizeof suffix - 1;
    bool repack = length > tail && strcmp(operation + length - tail, suffix) == 0;
    const char *pass = strncmp(operation, "fc_", 3) == 0 ? operation + 3 : operation;
    page_cell(page, "%.*s", (int)(strlen(pass) - (repack ? tail : 0)), pass);
    page_cell(page, "%s", repack ? "packed in each call" : "stay");
}

static void fc_table(struct page *page, const json_t *rows) {
    static const char *const heads[] = {"Problem", "Pass",          "Weights",
                                        "Taken",   "Times as fast", "Milliseconds of each"};
    const json_t *row;
    size_t i;
    if (!json_array_size(rows)) return;
    page_heading(page, 3, NULL, "Fully connected layers");
    PAGE_TABLE(page, heads);
    json_array_foreach(rows, i, row) {
        char all[256] = "", one[3 * NUMBER_TEXT], times[NUMBER_TEXT], mad[NUMBER_TEXT];
        const char *name;
        json_t *backend;
        json_object_foreach(json_object_get(row, "backends"), name, backend) {
            size_t used = strlen(all);
            snprintf(all + used, sizeof all - used, "%s%s %s", used ? ", " : "", name,
                     interval_text(backend, "ms", "ms_mad", "", one));
        }
        page_cell(page, "%s", report_string(row, "problem"));
        fc_cells(page, report_string(row, "operation"));
        page_cell(page, "%s", *report_string(row, "taken") ? report_string(row, "taken") : "-");
        if (report_number(row, "times") > 0)
            page_cell(page, "%s +- %s of %s", number_text(report_number(row, "times"), times),
                      number_text(report_number(row, "times_mad"), mad),
                      report_string(row, "next"));
        else
            page_cell(page, "nothing to compare with");
        page_cell(page, "%s", all);
    }
    page_table_end(page);
}

/* Trials of older versions say only what compiling took. */
static void old_split(struct page *page, const json_t *tuning) {
    double wall = report_number(tuning, "wall_seconds");
    double build = report_number(tuning, "build_seconds");
    char a[NUMBER_TEXT], b[NUMBER_TEXT];
    page_text(page,
              "These trials do not say where their time went, beside compiling: a version of "
              "Tessera that did not ask made them. Compiling took %s s%s.",
              number_text(build, a), wall > 0 ? " of the processes' time" : "");
    if (wall > 0)
        page_text(page,
                  "From the beginning of the first trial to the last, pauses left out: %s s; what "
                  "compiling did not take (%s s) went into verification, timing and the search.",
                  number_text(wall, a), number_text(fmax(wall - build, 0), b));
}

static void time_split(struct page *page, const json_t *tuning) {
    static const char *const heads[] = {"Time went into", "Seconds", "Share"};
    static const char *const parts[][2] = {{"build", "build: compiling, making buffers"},
                                           {"verify", "verify: against float64"},
                                           {"run", "run: timing"},
                                           {"search", "search: choosing, recording, waiting"}};
    const json_t *split = json_object_get(tuning, "split");
    double trials = report_number(split, "trials"), sum = 0;
    char a[NUMBER_TEXT], b[NUMBER_TEXT];
    if (!(trials > 0)) {
        old_split(page, tuning);
        return;
    }
    if (trials < report_number(tuning, "trials"))
        page_text(page, "%s of them say where their time went; older ones do not.",
                  number_text(trials, a));
    for (size_t i = 0; i < 4; i++)
        sum += report_number(split, parts[i][0]);
    PAGE_TABLE(page, heads);
    for (size_t i = 0; i < 4; i++) {
        double seconds = report_number(split, parts[i][0]);
        page_cell(page, "%s", parts[i][1]);
        page_cell(page, "%s", number_text(seconds, a));
        page_cell(page, "%s %%", number_text(sum > 0 ? 100 * seconds / sum : 0, b));
    }
    page_table_end(page);
}

void tuning_section(struct page *page, const json_t *source, struct plots *plots) {
    const json_t *tuning = json_object_get(source, "tuning");
    char a[NUMBER_TEXT], b[NUMBER_TEXT];
    if (!json_is_object(tuning)) {
        page_text(page,
                  "No trials are known of this device: 'tessera tune --net resnet18 --batch 8 "
                  "--mode rapid' makes some.");
        return;
    }
    fc_table(page, json_object_get(tuning, "fully_connected"));
    if (!(report_number(tuning, "trials") > 0)) return;
    page_text(page, "%s trials, of which %s failed.",
              number_text(report_number(tuning, "trials"), a),
              number_text(report_number(tuning, "failed"), b));
    time_split(page, tuning);
    plot_convergence(plots, page, tuning);
    causes_table(page, tuning);
    tuning_table(page, json_object_get(tuning, "layers"));
}
