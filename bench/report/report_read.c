#include "bench/report/report_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/report/run_info.h"
#include "core/file_error.h"
#include "core/input_file.h"

enum { FILE_BYTES_MAX = 128 << 20 };

double report_number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *report_string(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

json_t *report_source(const char *label, json_t *device) {
    return json_pack("{s:o, s:o, s:[], s:[], s:[], s:[], s:[], s:[]}", "label", run_text(label),
                     "device", device ? json_incref(device) : json_object(), "runs", "roofs",
                     "layers", "networks", "operations", "trials");
}

/* ---------------------------------------------------------------- lines */

struct reader {
    const char *name, *label;
    json_t *sources;
    size_t first; /* the file's first source */
    int line;
    bool kept; /* bad lines are passed over */
    tess_error *error;
};

static tess_status bad(const struct reader *reader, const char *why) {
    char name[160];
    return error_set(reader->error, TESS_BAD_FORMAT,
                     "report: %s, line %d: %s; give a file that tessera bench or tessera report "
                     "wrote, or leave the line out",
                     printable(reader->name, name, sizeof name), reader->line, why);
}

static bool positive(const json_t *row, const char *name) {
    double value = report_number(row, name);
    return value > 0 && isfinite(value);
}

/* Arrays of samples must be numbers. */
static bool samples_good(const json_t *row, const char *name) {
    const json_t *list = json_object_get(row, name), *value;
    size_t i;
    if (!list) return true;
    json_array_foreach(list, i, value) if (!json_is_number(value) ||
                                           !(json_number_value(value) >= 0)) return false;
    return json_is_array(list);
}

static const char *check_layer(const json_t *row) {
    static const char *const texts[] = {"problem", "pass", "algo", "config", "tier"};
    static const char *const lists[] = {"samples_ms", "yardstick_samples_ms", "cpu_samples_ms",
                                        "yardstick_cpu_samples_ms", "untuned_samples_ms"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!json_is_string(json_object_get(row, texts[i])))
            return "a convolution without its problem, pass, algo, config or tier";
    if (!positive(row, "ms") || !positive(row, "gflops"))
        return "a convolution without a time (ms, gflops)";
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!samples_good(row, lists[i])) return "samples that are no times";
    return NULL;
}

/* What kind of line it is: the list of a source that it belongs to, or NULL with why. */
static const char *kind_of(const json_t *row, const char **why) {
    *why = NULL;
    const char *event = report_string(row, "event");
    if (strcmp(event, "trial") == 0 || strcmp(event, "layer") == 0 || strcmp(event, "fc") == 0)
        return "trials";
    if (json_object_get(row, "roof")) {
        if (!json_is_string(json_object_get(row, "label")) || !positive(row, "value"))
            *why = "a roof without its label or value";
        return "roofs";
    }
    if (json_object_get(row, "op")) {
        if (!json_is_string(json_object_get(row, "net")) || !(report_number(row, "ms") >= 0))
            *why = "an operation without its network or time";
        return "operations";
    }
    if (json_object_get(row, "net")) {
        if (!json_is_string(json_object_get(row, "net")) || !positive(row, "ms") ||
            !positive(row, "images_per_s"))
            *why = "a network without a time (ms, images_per_s)";
        return "networks";
    }
    if (json_object_get(row, "problem")) {
        *why = check_layer(row);
        return "layers";
    }
    *why = "neither a convolution, a network nor a roof";
    return NULL;
}

static bool same_device(const json_t *a, const json_t *b) {
    return strcmp(report_string(a, "name"), report_string(b, "name")) == 0 &&
           strcmp(report_string(a, "driver"), report_string(b, "driver")) == 0;
}

/* The file's source of the row's device; rows that do not say where they were measured belong to the first. */
static json_t *source_of(struct reader *reader, json_t *device) {
    for (size_t i = reader->first; i < json_array_size(reader->sources); i++) {
        json_t *source = json_array_get(reader->sources, i);
        json_t *own = json_object_get(source, "device");
        if (!device || same_device(own, device)) return source;
        if (json_object_size(own) == 0 && !json_object_set(source, "device", device)) return source;
    }
    json_t *source = report_source(reader->label, device);
    return source && !json_array_append_new(reader->sources, source) ? source : NULL;
}

/* Each command once. */
static bool add_run(json_t *source, json_t *run) {
    json_t *runs = json_object_get(source, "runs");
    json_t *entry = json_pack("{s:s, s:s, s:s, s:s}", "time", report_string(run, "time"), "version",
                              report_string(run, "version"), "command",
                              report_string(run, "command"), "host", report_string(run, "host"));
    json_t *last = json_array_get(runs, json_array_size(runs) - (json_array_size(runs) > 0));
    if (entry && json_equal(entry, last)) {
        json_decref(entry);
        return true;
    }
    return json_array_append_new(runs, entry) == 0;
}

static tess_status add_line(struct reader *reader, json_t *row) {
    const char *why, *kind = kind_of(row, &why);
    if (!json_is_object(row)) why = "no JSON object";
    if (why) return bad(reader, why);
    json_t *run = json_object_get(row, "run"), *device = json_object_get(run, "device");
    json_t *source = source_of(reader, json_is_object(device) ? device : NULL);
    bool added = source && json_array_append(json_object_get(source, kind), row) == 0 &&
                 (!json_is_object(run) || add_run(source, run));
    if (added) return TESS_OK;
    return error_set(reader->error, TESS_OUT_OF_HOST_MEMORY, "report: no host memory");
}

static tess_status read_lines(struct reader *reader, const char *text, size_t size) {
    tess_status status = TESS_OK;
    for (size_t at = 0; at < size && !status; reader->line++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - text) - at : size - at;
        const char *line = text + at;
        at += length + 1;
        while (length > 0 && strchr(" \t\r", line[length - 1]))
            length--;
        if (length == 0) continue;
        json_error_t problem;
        json_t *row = json_loadb(line, length, 0, &problem);
        status = row ? add_line(reader, row) : bad(reader, problem.text);
        json_decref(row);
        if (reader->kept && status == TESS_BAD_FORMAT) status = TESS_OK;
    }
    return status;
}

/* A report's twin: its sources, checked as lines are. */
static tess_status add_report(struct reader *reader, json_t *report) {
    static const char *const kinds[] = {"roofs", "layers", "networks", "operations"};
    json_t *sources = json_object_get(report, "sources"), *from, *row;
    size_t i, j;
    if (!json_is_array(sources)) return bad(reader, "a report without sources");
    json_array_foreach(sources, i, from) {
        json_t *device = json_object_get(from, "device");
        json_t *source =
            report_source(report_string(from, "label"), json_is_object(device) ? device : NULL);
        if (!source || json_array_append_new(reader->sources, source))
            return error_set(reader->error, TESS_OUT_OF_HOST_MEMORY, "report: no host memory");
        json_array_foreach(json_object_get(from, "runs"), j, row) add_run(source, row);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            json_array_foreach(json_object_get(from, kinds[k]), j, row) {
                const char *why, *kind = kind_of(row, &why);
                if (!kind || why || strcmp(kind, kinds[k]) != 0)
                    return bad(reader, why ? why : "a list with something else in it");
                json_array_append(json_object_get(source, kind), row);
            }
        json_t *tuning = json_object_get(from, "tuning");
        if (json_is_object(tuning)) json_object_set(source, "tuning", tuning);
    }
    return TESS_OK;
}

static tess_status read_text(const char *name, const char *text, size_t size, bool kept,
                             json_t *sources, tess_error *error) {
    const char *slash = strrchr(name, '/');
    struct reader reader = {.name = name,
                            .label = slash ? slash + 1 : name,
                            .sources = sources,
                            .first = json_array_size(sources),
                            .line = 1,
                            .kept = kept,
                            .error = error};
    json_t *whole = json_loadb(text, size, 0, NULL);
    tess_status status = json_is_object(whole) && json_object_get(whole, "report")
                             ? add_report(&reader, whole)
                             : read_lines(&reader, text, size);
    json_decref(whole);
    if (!status && !kept && json_array_size(sources) == reader.first)
        return error_set(error, TESS_BAD_FORMAT,
                         "report: %s: it is empty; give a file that tessera bench ... --json wrote",
                         name);
    return status;
}

tess_status report_read_text(const char *name, const char *text, size_t size, json_t *sources,
                             tess_error *error) {
    return read_text(name, text, size, false, sources, error);
}

static tess_status read_file(const char *path, bool kept, json_t *sources, tess_error *error) {
    int fd;
    int64_t size;
    tess_status status =
        input_file_open(path, "name a file that tessera bench wrote", error, &fd, &size);
    if (status) return status;
    char *text = NULL;
    if (size > FILE_BYTES_MAX)
        status = error_set(error, TESS_BAD_FORMAT,
                           "report: %s: larger than 128 MiB; give a benchmark's file", path);
    else if (!(text = malloc((size_t)size + 1)))
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no host memory");
    if (!status) status = input_file_read(fd, path, 0, text, size, error);
    close(fd);
    if (!status) status = read_text(path, text, (size_t)size, kept, sources, error);
    free(text);
    return status;
}

tess_status report_read(const char *path, json_t *sources, tess_error *error) {
    return read_file(path, false, sources, error);
}

tess_status report_read_kept(const char *path, json_t *sources, tess_error *error) {
    return read_file(path, true, sources, error);
}
