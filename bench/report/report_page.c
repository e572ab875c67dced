#include "bench/report/report_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/report_numbers.h"
#include "bench/report/report_read.h"
#include "bench/report/report_tuning.h"

/* ---------------------------------------------------------------- device */

static void device_table(struct page *page, const json_t *device) {
    static const char *const heads[] = {"Property", "Value"};
    static const struct {
        const char *label, *field;
    } texts[] = {{"Device", "name"},       {"Type", "type"},     {"Vendor", "vendor"},
                 {"Platform", "platform"}, {"Driver", "driver"}, {"OpenCL", "opencl"},
                 {"OpenCL C", "opencl_c"}},
      counts[] = {{"Compute units", "compute_units"},
                  {"Largest work-group, work-items", "max_work_group"},
                  {"Native vector, floats", "native_float_vector"},
                  {"Sub-groups in a work-group (0: none)", "max_sub_groups"},
                  {"Clock, MHz", "clock_mhz"}},
      sizes[] = {{"Global memory", "global_memory"},
                 {"Largest buffer", "max_allocation"},
                 {"Cache of global memory", "global_cache"},
                 {"Local memory", "local_memory"}},
      flags[] = {{"Local memory of its own", "local_memory_dedicated"},
                 {"fp16", "fp16"},
                 {"fp64", "fp64"},
                 {"Memory shared with the host", "unified_memory"}};
    char text[NUMBER_TEXT];
    PAGE_TABLE(page, heads);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        page_pair(page, texts[i].label, report_string(device, texts[i].field));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        page_pair(page, counts[i].label, number_text(report_number(device, counts[i].field), text));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        page_pair(page, sizes[i].label, bytes_text(report_number(device, sizes[i].field), text));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const json_t *flag = json_object_get(device, flags[i].field);
        page_pair(page, flags[i].label, !flag ? "n/a" : json_is_true(flag) ? "yes" : "no");
    }
    page_table_end(page);
}

static void roofs_table(struct page *page, const json_t *roofs) {
    static const char *const heads[] = {
        "Measured limit", "Median (95 % interval)", "Unit", "MAD", "Best", "Samples"};
    char text[3 * NUMBER_TEXT], mad[NUMBER_TEXT], best[NUMBER_TEXT], samples[NUMBER_TEXT];
    const json_t *row;
    size_t i;
    if (!json_array_size(roofs)) {
        page_text(page, "No roofs in this file: 'tessera bench roof --json FILE' measures them.");
        return;
    }
    PAGE_TABLE(page, heads);
    json_array_foreach(roofs, i, row) {
        page_cell(page, "%s", report_string(row, "label"));
        page_cell(page, "%s", interval_text(row, "value", "mad", "ci", text));
        page_cell(page, "%s", report_string(row, "unit"));
        page_cell(page, "%s", number_text(report_number(row, "mad"), mad));
        page_cell(page, "%s", number_text(report_number(row, "best"), best));
        page_cell(page, "%s", number_text(report_number(row, "samples"), samples));
    }
    page_table_end(page);
}

/* ---------------------------------------------------------------- layers */

static void untuned_cell(struct page *page, const json_t *row) {
    char text[3 * NUMBER_TEXT], gain[NUMBER_TEXT];
    double untuned = report_number(row, "untuned_ms");
    if (!(untuned > 0)) {
        page_cell(page, "not measured");
        return;
    }
    page_cell(page, "%s; %sx as long",
              interval_text(row, "untuned_ms", "untuned_ms_mad", "untuned_ms_ci", text),
              number_text(untuned / report_number(row, "ms"), gain));
}

static void peer_cell(struct page *page, const json_t *row) {
    char text[3 * NUMBER_TEXT], ratio[NUMBER_TEXT], mad[NUMBER_TEXT];
    if (!*report_string(row, "peer")) {
        page_cell(page, "not measured");
        return;
    }
    page_cell(page, "%s; %s +- %sx as long",
              interval_text(row, "peer_ms", "peer_ms_mad", "peer_ms_ci", text),
              number_text(report_number(row, "ratio"), ratio),
              number_text(report_number(row, "ratio_mad"), mad));
}

static void layer_row(struct page *page, const json_t *row, size_t number) {
    char text[3 * NUMBER_TEXT], a[NUMBER_TEXT], b[NUMBER_TEXT];
    double packed = report_number(row, "packed");
    page_cell(page, "%zu", number);
    page_cell(page, "%s", report_string(row, "problem"));
    page_cell(page, "%s", report_string(row, "pass"));
    page_cell(page, "%s [%s]", report_string(row, "config"), report_string(row, "tier"));
    page_cell(page, "%s", interval_text(row, "ms", "ms_mad", "ms_ci", text));
    page_cell(page, "%s", speed_text(row, "gflops", text));
    page_cell(page, "%s %% +- %s", number_text(100 * report_number(row, "of_roof"), a),
              number_text(100 * report_number(row, "of_roof") * report_number(row, "ms_mad") /
                              report_number(row, "ms"),
                          b));
    page_cell(page, "%.1e", report_number(row, "max_err"));
    page_cell(page, "%s%s%s", bytes_text(report_number(row, "workspace"), a),
              packed > 0 ? " + " : "", packed > 0 ? bytes_text(packed, b) : "");
    untuned_cell(page, row);
    peer_cell(page, row);
}

static void layer_section(struct page *page, const json_t *source, struct plots *plots) {
    static const char *const heads[] = {"#",
                                        "Problem",
                                        "Pass",
                                        "Algorithm and configuration [tier]",
                                        "ms (95 % interval)",
                                        "GFLOP/s",
                                        "Of the roof",
                                        "Largest error",
                                        "Workspace + packed weights",
                                        "Untuned, ms",
                                        "Peer, ms"};
    const json_t *layers = json_object_get(source, "layers"), *row;
    size_t i;
    if (!json_array_size(layers)) {
        page_text(page, "No convolutions were benchmarked: 'tessera bench conv --net resnet18 "
                        "--batch 8 --untuned' and then 'tessera report' again.");
        return;
    }
    plot_roofline(plots, page, source);
    plot_shares(plots, page, source);
    page_heading(page, 3, NULL, "Layer table");
    PAGE_TABLE(page, heads);
    json_array_foreach(layers, i, row) layer_row(page, row, i + 1);
    page_table_end(page);
}

/* ---------------------------------------------------------------- networks */

/* One table a network and mode: each kind of operation; lines of single layers are left to the JSON twin. */
static void operation_rows(struct page *page, const json_t *operations, const json_t *network) {
    static const char *const heads[] = {"Operation", "ms a step", "Share"};
    const json_t *row;
    size_t i;
    char a[NUMBER_TEXT], b[NUMBER_TEXT];
    bool open = false;
    json_array_foreach(operations, i, row) {
        if (json_object_get(row, "layer") ||
            !json_equal(json_object_get(row, "net"), json_object_get(network, "net")) ||
            !json_equal(json_object_get(row, "mode"), json_object_get(network, "mode")) ||
            !json_equal(json_object_get(row, "batch"), json_object_get(network, "batch")))
            continue;
        if (!open) {
            page_heading(page, 3, NULL, "Where the time of %s goes, %s",
                         report_string(network, "net"), report_string(network, "mode"));
            page_text(page, "By the device's own clock, one operation after the other; medians of "
                            "the steps, whose spread is that of the network above.");
            PAGE_TABLE(page, heads);
        }
        open = true;
        page_cell(page, "%s", report_string(row, "op"));
        page_cell(page, "%s", number_text(report_number(row, "ms"), a));
        page_cell(page, "%s %%", number_text(100 * report_number(row, "share"), b));
    }
    if (open) page_table_end(page);
}

static void network_section(struct page *page, const json_t *source) {
    static const char *const heads[] = {"Network",   "Batch",           "Mode",
                                        "ms a step", "Images a second", "Device memory"};
    char text[3 * NUMBER_TEXT], images[NUMBER_TEXT], spread[NUMBER_TEXT], memory[NUMBER_TEXT],
        batch[NUMBER_TEXT];
    const json_t *networks = json_object_get(source, "networks"), *row;
    size_t i;
    if (!json_array_size(networks)) {
        page_text(page, "No whole networks were benchmarked: 'tessera bench net --net resnet18 "
                        "--batch 8 --mode train' does that.");
        return;
    }
    PAGE_TABLE(page, heads);
    json_array_foreach(networks, i, row) {
        double rate = report_number(row, "images_per_s");
        double part = report_number(row, "ms_mad") / report_number(row, "ms");
        page_cell(page, "%s", report_string(row, "net"));
        page_cell(page, "%s", number_text(report_number(row, "batch"), batch));
        page_cell(page, "%s", report_string(row, "mode"));
        page_cell(page, "%s", interval_text(row, "ms", "ms_mad", "ms_ci", text));
        page_cell(page, "%s +- %s", number_text(rate, images), number_text(rate * part, spread));
        page_cell(page, "%s", bytes_text(report_number(row, "device_bytes_peak"), memory));
    }
    page_table_end(page);
    json_array_foreach(networks, i, row)
        operation_rows(page, json_object_get(source, "operations"), row);
}

/* ---------------------------------------------------------------- comparison */

static void comparison_section(struct page *page, const json_t *comparison, size_t at) {
    static const char *const heads[] = {
        "Problem",     "Pass",   "Before, ms", "After, ms", "Change (95 % interval)",
        "p, adjusted", "Verdict"};
    const json_t *row;
    size_t i;
    char a[3 * NUMBER_TEXT], b[3 * NUMBER_TEXT], change[NUMBER_TEXT], low[NUMBER_TEXT],
        high[NUMBER_TEXT];
    snprintf(low, sizeof low, "comparison%zu", at);
    page_heading(page, 2, low, "Comparison: %s and %s", report_string(comparison, "old"),
                 report_string(comparison, "new"));
    page_text(page,
              "Before is %s, after is %s. A positive change is a longer time. The rank-sum test "
              "compares rounds; p is adjusted for the number of rows (Holm). %s",
              report_string(comparison, "old"), report_string(comparison, "new"),
              json_is_true(json_object_get(comparison, "same_device"))
                  ? "The change is that of the time over the yardstick's, in which the machine's "
                    "drift divides out, so it may differ from the quotient of the two times."
                  : "The devices differ: the change is that of the plain time.");
    PAGE_TABLE(page, heads);
    json_array_foreach(json_object_get(comparison, "rows"), i, row) {
        const json_t *ci = json_object_get(row, "change_ci");
        page_cell(page, "%s", report_string(row, "problem"));
        page_cell(page, "%s", report_string(row, "pass"));
        page_cell(page, "%s", interval_text(row, "old_ms", "old_ms_mad", "", a));
        page_cell(page, "%s", interval_text(row, "ms", "ms_mad", "", b));
        page_cell(page, "%s %% (%s to %s)", number_text(100 * report_number(row, "change"), change),
                  number_text(100 * json_number_value(json_array_get(ci, 0)), low),
                  number_text(100 * json_number_value(json_array_get(ci, 1)), high));
        page_cell(page, "%s", number_text(report_number(row, "p_adjusted"), low));
        page_cell(page, "%s", report_string(row, "verdict"));
    }
    page_table_end(page);
}

/* ---------------------------------------------------------------- reproduce */

static void kernels_table(struct page *page, const json_t *layers) {
    static const char *const heads[] = {"Algorithm", "SHA-256 of its kernel source and parameters"};
    json_t *seen = json_object();
    const json_t *row;
    size_t i;
    bool open = false;
    json_array_foreach(layers, i, row) {
        const char *algo = report_string(row, "algo"), *hash = report_string(row, "kernel_hash");
        if (!*hash || !seen || json_object_get(seen, algo)) continue;
        json_object_set_new(seen, algo, json_true());
        if (!open) PAGE_TABLE(page, heads);
        open = true;
        page_pair(page, algo, hash);
    }
    if (open) page_table_end(page);
    json_decref(seen);
}

static void noise_text(struct page *page, const json_t *layers) {
    const json_t *row;
    size_t i, rows = 0, drifts = 0;
    double spread = 0, worst = 0, drift = 0;
    char a[NUMBER_TEXT], b[NUMBER_TEXT], c[NUMBER_TEXT];
    json_array_foreach(layers, i, row) {
        double part = report_number(row, "ms_mad") / report_number(row, "ms");
        double own = report_number(row, "drift");
        if (isfinite(part)) {
            spread += part;
            worst = fmax(worst, part);
            rows++;
        }
        if (isfinite(own)) {
            drift += own;
            drifts++;
        }
    }
    if (rows)
        page_text(page,
                  "Noise: the median absolute deviation of a row's samples is %s %% of its median "
                  "on average, %s %% at the worst; the later half of the samples took %s %% longer "
                  "than the earlier half on average (drift).",
                  number_text(100 * spread / (double)rows, a), number_text(100 * worst, b),
                  number_text(drifts ? 100 * drift / (double)drifts : NAN, c));
}

static void reproduce_section(struct page *page, const json_t *document, const json_t *source) {
    char *text = NULL;
    size_t size, i;
    const json_t *run, *device = json_object_get(source, "device");
    FILE *out = open_memstream(&text, &size);
    json_array_foreach(json_object_get(source, "runs"), i, run) {
        if (!out) break;
        fprintf(out, "# %s, version %s, %s\n%s\n", report_string(run, "time"),
                report_string(run, "version"), report_string(run, "host"),
                report_string(run, "command"));
    }
    if (out) fprintf(out, "# this report\n%s\n", report_string(document, "command"));
    bool good = out && !ferror(out);
    if (out && fclose(out)) good = false;
    page_text(page,
              "Tessera %s; %s, driver %s. The commands, in order; 'tessera --device SPEC' chooses "
              "the device:",
              report_string(document, "version"), report_string(device, "platform"),
              report_string(device, "driver"));
    if (good) page_code(page, text);
    free(text);
    noise_text(page, json_object_get(source, "layers"));
    kernels_table(page, json_object_get(source, "layers"));
}

static void method_section(struct page *page) {
    page_heading(page, 2, "method", "Method");
    static const char *const texts[] = {
        "Times are wall-clock times of a run with its launch, in samples of at least 10 ms; each "
        "sample ends with a wait for the device. What is compared (ours, the multiply-add roof, "
        "the "
        "yardstick, the untuned choice, the peer) runs in turn, A B C A B C, with a pause between, "
        "so "
        "that drift hits all of them. Samples are spread over rounds, each with freshly planned "
        "operands; buffers are reused within a round, so caches are warm.",
        "A number stands with the 95 % confidence interval of its median, from order statistics "
        "(no distribution assumed), or with the median absolute deviation (+-). Samples of one "
        "round are not independent: on a busy machine the true interval is wider.",
        "GFLOP/s count two operations for each multiply-add of the plain sum (direct-equivalent), "
        "padding included; an algorithm with less arithmetic, such as Winograd, may exceed the "
        "multiply-add roof. The share of the roof is that of the nearer one: multiply-adds, "
        "measured "
        "in turn with the layer, or a copy in global memory, with x, w and y moved once.",
        "The largest error is absolute, of 64 elements against a float64 sum; operands are uniform "
        "in [-0.5, 0.5). Workspace is scratch memory of a call; packed weights live with the plan.",
        "Untuned is what the planner takes without the tuning database: shipped portfolio and "
        "prediction. The peer runs on its own best layouts, without the reorders.",
        "Comparisons: a round's value is its least time over the yardstick's least time (on CPUs "
        "processor time). The yardstick is a fixed kernel of the same kind and size that no "
        "version changes. The rank-sum test of Mann, Whitney and Wilcoxon compares the rounds, "
        "with "
        "Holm's correction over all rows; faster or slower means p below 1 % and a change above 2 "
        "%."};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        page_text(page, "%s", texts[i]);
}

/* ---------------------------------------------------------------- whole */

static void navigation(struct page *page, const json_t *document) {
    const json_t *source;
    size_t i;
    fputs("<nav>", page->html);
    json_array_foreach(json_object_get(document, "sources"), i, source) {
        static const char *const ids[] = {"device", "layers", "tuning", "networks", "reproduce"};
        static const char *const words[] = {"Device", "Layers and roofline", "Tuning", "Networks",
                                            "Reproduce"};
        for (size_t k = 0; k < sizeof ids / sizeof *ids; k++)
            if (i == 0) fprintf(page->html, "<a href=\"#%s0\">%s</a>", ids[k], words[k]);
    }
    if (json_object_get(document, "comparisons"))
        fputs("<a href=\"#comparison0\">Comparison</a>", page->html);
    fputs("<a href=\"#method\">Method</a></nav>\n", page->html);
}

/* "Device", or "Device: label" where there are several sources. */
static void section(struct page *page, const char *id, size_t at, const char *words,
                    const json_t *document, const json_t *source) {
    char anchor[32];
    bool several = json_array_size(json_object_get(document, "sources")) > 1;
    snprintf(anchor, sizeof anchor, "%s%zu", id, at);
    page_heading(page, 2, anchor, "%s%s%s", words, several ? ": " : "",
                 several ? report_string(source, "label") : "");
}

static void source_sections(struct page *page, const json_t *document, const json_t *source,
                            size_t at, struct plots *plots) {
    section(page, "device", at, "Device", document, source);
    device_table(page, json_object_get(source, "device"));
    page_heading(page, 3, NULL, "Measured roofs");
    roofs_table(page, json_object_get(source, "roofs"));
    section(page, "layers", at, "Layers and roofline", document, source);
    layer_section(page, source, plots);
    section(page, "tuning", at, "Tuning", document, source);
    tuning_section(page, source, plots);
    section(page, "networks", at, "Networks", document, source);
    network_section(page, source);
    section(page, "reproduce", at, "Reproduce", document, source);
    reproduce_section(page, document, source);
}

tess_status report_page(const json_t *document, struct page *page, struct plots *plots,
                        tess_error *error) {
    const json_t *sources = json_object_get(document, "sources"), *source;
    const json_t *comparisons = json_object_get(document, "comparisons"), *comparison;
    char title[400];
    size_t i;
    const json_t *first = json_object_get(json_array_get(sources, 0), "device");
    snprintf(title, sizeof title, "Tessera on %.300s",
             *report_string(first, "name") ? report_string(first, "name") : "an unnamed device");
    bool good = page_open(page, title);
    if (good) {
        page_text(page, "Made %s by Tessera %s.", report_string(document, "time"),
                  report_string(document, "version"));
        navigation(page, document);
        json_array_foreach(comparisons, i, comparison) comparison_section(page, comparison, i);
        json_array_foreach(sources, i, source) source_sections(page, document, source, i, plots);
        method_section(page);
        good = page_close(page);
    }
    if (good) return TESS_OK;
    return error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no host memory for the page");
}
