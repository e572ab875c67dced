#include "bench/report/report_build.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/report/compare.h"
#include "bench/report/report_read.h"
#include "bench/report/run_info.h"
#include "bench/report/tuning.h"

/* ---------------------------------------------------------------- the last of each */

static bool same(const json_t *a, const json_t *b, const char *const *fields, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!json_equal(json_object_get(a, fields[i]), json_object_get(b, fields[i]))) return false;
    return true;
}

static json_t *last_of_each(const json_t *list, const char *const *fields, size_t count) {
    json_t *kept = json_array(), *row, *other;
    size_t i, j;
    json_array_foreach(list, i, row) {
        bool found = false;
        json_array_foreach(kept, j, other) {
            if (!same(row, other, fields, count)) continue;
            json_array_set(kept, j, row);
            found = true;
            break;
        }
        if (!found) json_array_append(kept, row);
    }
    return kept;
}

static void keep_last(json_t *source) {
    static const char *const fields[] = {"problem", "pass",  "roof", "net",
                                         "mode",    "batch", "op",   "layer"};
    static const struct {
        const char *list;
        size_t from, count;
    } lists[] = {{"layers", 0, 2}, {"roofs", 2, 1}, {"networks", 3, 3}, {"operations", 3, 5}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        json_object_set_new(source, lists[i].list,
                            last_of_each(json_object_get(source, lists[i].list),
                                         fields + lists[i].from, lists[i].count));
}

/* ---------------------------------------------------------------- documents */

static bool add_comparisons(json_t *document, const json_t *sources) {
    json_t *list = json_array();
    for (size_t i = 1; list && i < json_array_size(sources); i++) {
        json_t *one = compare_sources(json_array_get(sources, 0), json_array_get(sources, i));
        if (one && json_array_append_new(list, one) == 0) continue;
        json_decref(list);
        return false;
    }
    return json_object_set_new(document, "comparisons", list) == 0;
}

tess_status report_build(json_t *sources, const char *command, tess_error *error, json_t **out) {
    char now[32], version[32];
    json_t *source, *document;
    size_t i;
    run_time(now);
    snprintf(version, sizeof version, "%d.%d.%d", TESS_VERSION_MAJOR, TESS_VERSION_MINOR,
             TESS_VERSION_PATCH);
    document = json_pack("{s:i, s:s, s:s, s:o, s:O}", "report", 1, "time", now, "version", version,
                         "command", run_text(command), "sources", sources);
    bool good = document && (json_array_size(sources) < 2 || add_comparisons(document, sources));
    json_array_foreach(sources, i, source) {
        json_t *trials = json_object_get(source, "trials");
        keep_last(source);
        if (json_array_size(trials) && !json_object_get(source, "tuning")) {
            json_t *tuning = tuning_summary(trials, NULL);
            if (tuning) json_object_set_new(source, "tuning", tuning);
        }
        json_object_del(source, "trials");
    }
    if (good) {
        *out = document;
        return TESS_OK;
    }
    json_decref(document);
    return error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no host memory");
}

/* ---------------------------------------------------------------- kept runs */

/* Dates as run_info writes them sort as texts: a day before it is the same text with the day before, so whole days are compared. */
static bool recent(const char *time, const char *newest) {
    int y[2], m[2], d[2];
    if (sscanf(time, "%d-%d-%d", &y[0], &m[0], &d[0]) != 3 ||
        sscanf(newest, "%d-%d-%d", &y[1], &m[1], &d[1]) != 3)
        return false;
    return (y[1] * 12 + m[1]) * 31 + d[1] - (y[0] * 12 + m[0]) * 31 - d[0] <= 1;
}

static bool of_device(const json_t *source, const tess_device_info *device) {
    const json_t *own = json_object_get(source, "device");
    return strcmp(report_string(own, "name"), device->name) == 0 &&
           strcmp(report_string(own, "driver"), device->driver_version) == 0;
}

static const char *newest_run(const json_t *source) {
    const json_t *run;
    const char *newest = "";
    size_t i;
    json_array_foreach(json_object_get(source, "runs"), i,
                       run) if (strcmp(report_string(run, "time"), newest) > 0) newest =
        report_string(run, "time");
    return newest;
}

static void keep_recent(const json_t *from, const char *list, const char *newest, json_t *source) {
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(from, list), i, row) {
        const json_t *run = json_object_get(row, "run");
        const char *time = report_string(run ? run : row, "time");
        if (recent(time, newest)) json_array_append(json_object_get(source, list), row);
    }
}

tess_status report_saved(const tess_device_info *device, json_t *source, tess_error *error) {
    static const char *const lists[] = {"layers", "networks", "operations", "runs"};
    char path[4096];
    json_t *sources = json_array(), *from;
    size_t i;
    tess_status status = TESS_OK;
    if (saved_runs_path(path) && access(path, F_OK) == 0)
        status = report_read_kept(path, sources, error);
    json_array_foreach(sources, i, from) {
        if (status || !of_device(from, device)) continue;
        const char *newest = newest_run(from);
        for (size_t k = 0; k < sizeof lists / sizeof *lists; k++)
            keep_recent(from, lists[k], newest, source);
    }
    json_decref(sources);
    return status;
}
