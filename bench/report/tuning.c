#include "bench/report/tuning.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/report/report_read.h"
#include "db/db_internal.h"
#include "ops/conv/conv_algo.h"

/* ---------------------------------------------------------------- trials -> layers */

static int count_config(void *user, const struct conv_config *config) {
    (void)config;
    ++*(long *)user;
    return 0;
}

/* Valid configurations of all algorithms; null where that cannot be told. */
static json_t *space_size(const char *key, const char *pass, const tess_device_info *device) {
    tess_conv_desc desc;
    tess_error ignored;
    struct conv_problem problem;
    tess_conv_options options = {0};
    long count = 0;
    for (int i = 0; i < 3; i++)
        if (strcmp(pass, conv_pass_name((tess_conv_pass)i)) == 0) options.pass = (tess_conv_pass)i;
    if (!device || tess_conv_desc_parse(key, &ignored, &desc) ||
        conv_problem_init(&desc, &options, &ignored, &problem))
        return json_null();
    for (int i = 0; i < conv_algo_count; i++)
        if (conv_algo_applicable(conv_algos[i], &problem, device))
            conv_config_each(conv_algos[i], &problem, device, count_config, &count);
    return json_integer(count);
}

static json_t *layer_of(json_t *layers, const json_t *trial, const tess_device_info *device) {
    const char *problem = report_string(trial, "problem"), *pass = report_string(trial, "pass");
    json_t *layer;
    size_t i;
    json_array_foreach(layers, i,
                       layer) if (strcmp(report_string(layer, "problem"), problem) == 0 &&
                                  strcmp(report_string(layer, "pass"), pass) == 0) return layer;
    layer = json_pack("{s:s, s:s, s:i, s:i, s:o, s:[]}", "problem", problem, "pass", pass,
                      "evaluations", 0, "failed", 0, "space", space_size(problem, pass, device),
                      "curve");
    return layer && !json_array_append_new(layers, layer) ? layer : NULL;
}

static void count_up(json_t *object, const char *name) {
    json_int_t value = json_integer_value(json_object_get(object, name));
    json_object_set_new(object, name, json_integer(value + 1));
}

/* The first good trial of a layer is what the planner takes untuned; gain is over that. */
static void add_good(json_t *layer, const json_t *trial, json_int_t evaluations) {
    double ms = report_number(trial, "ms"), best = report_number(layer, "ms");
    double begun = report_number(trial, "begun"), first = report_number(layer, "begun");
    bool first_good = !(best > 0);
    if (!(ms > 0)) return;
    if (first_good) {
        json_object_set(layer, "default_config", json_object_get(trial, "config"));
        json_object_set(layer, "default_ms", json_object_get(trial, "ms"));
        json_object_set(layer, "default_ms_mad", json_object_get(trial, "ms_mad"));
        if (isfinite(begun) && !isfinite(first))
            json_object_set(layer, "begun", json_object_get(trial, "begun"));
        first = report_number(layer, "begun");
    }
    if (!first_good && ms >= best) return;
    json_object_set(layer, "config", json_object_get(trial, "config"));
    json_object_set(layer, "ms", json_object_get(trial, "ms"));
    json_object_set(layer, "ms_mad", json_object_get(trial, "ms_mad"));
    json_object_set_new(layer, "gain", json_real(report_number(layer, "default_ms") / ms));
    double seconds = (begun - first) * 1e-6;
    json_array_append_new(json_object_get(layer, "curve"),
                          json_pack("[I, o, f]", evaluations,
                                    isfinite(seconds) ? json_real(seconds) : json_null(), ms));
}

static void add_split(json_t *split, const json_t *trial) {
    static const char *const parts[][2] = {
        {"build", "build_s"}, {"verify", "verify_s"}, {"run", "run_s"}, {"search", "search_s"}};
    if (!isfinite(report_number(trial, "search_s"))) return;
    count_up(split, "trials");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double seconds = report_number(trial, parts[i][1]);
        if (isfinite(seconds))
            json_object_set_new(split, parts[i][0],
                                json_real(report_number(split, parts[i][0]) + seconds));
    }
}

static void add_trial(json_t *out, const json_t *trial, const tess_device_info *device) {
    json_t *layer = layer_of(json_object_get(out, "layers"), trial, device);
    const char *status = report_string(trial, "status");
    if (!layer) return;
    count_up(out, "trials");
    count_up(layer, "evaluations");
    json_int_t evaluations = json_integer_value(json_object_get(layer, "evaluations"));
    double build = report_number(trial, "build_s");
    if (isfinite(build))
        json_object_set_new(out, "build_seconds",
                            json_real(report_number(out, "build_seconds") + build));
    add_split(json_object_get(out, "split"), trial);
    if (strcmp(status, "ok") == 0) {
        add_good(layer, trial, evaluations);
        return;
    }
    count_up(out, "failed");
    count_up(layer, "failed");
    count_up(json_object_get(out, "causes"), *status ? status : "unknown");
}

/* ---------------------------------------------------------------- fully connected layers */

static json_t *fc_of(json_t *list, const json_t *trial) {
    const char *problem = report_string(trial, "problem");
    const char *operation = report_string(trial, "operation");
    json_t *row;
    size_t i;
    json_array_foreach(list, i,
                       row) if (strcmp(report_string(row, "problem"), problem) == 0 &&
                                strcmp(report_string(row, "operation"), operation) == 0) return row;
    row = json_pack("{s:s, s:s, s:{}}", "problem", problem, "operation", operation, "backends");
    return row && !json_array_append_new(list, row) ? row : NULL;
}

static void add_fc(json_t *list, const json_t *trial) {
    double ms = report_number(trial, "ms");
    const char *backend = report_string(trial, "backend");
    if (strcmp(report_string(trial, "status"), "ok") != 0 || !(ms > 0)) return;
    json_t *row = fc_of(list, trial), *backends = json_object_get(row, "backends");
    double before = report_number(json_object_get(backends, backend), "ms");
    if (!row || before <= ms) return;
    json_object_set_new(
        backends, backend,
        json_pack("{s:f, s:O?}", "ms", ms, "ms_mad", json_object_get(trial, "ms_mad")));
}

/* Who is taken, and by how much. */
static void judge_fc(json_t *row) {
    const char *name, *first = NULL, *second = NULL;
    json_t *one, *backends = json_object_get(row, "backends");
    double ms[2] = {INFINITY, INFINITY}, share[2] = {0};
    json_object_foreach(backends, name, one) {
        double own = report_number(one, "ms"), own_share = report_number(one, "ms_mad") / own;
        int place = own < ms[0] ? 0 : own < ms[1] ? 1 : 2;
        if (place == 0) {
            ms[1] = ms[0];
            share[1] = share[0];
            second = first;
            first = name;
        }
        if (place == 1) second = name;
        if (place == 2) continue;
        ms[place] = own;
        share[place] = isfinite(own_share) ? own_share : 0;
    }
    if (!second) return;
    double times = ms[1] / ms[0];
    json_object_set_new(row, "taken", json_string(first));
    json_object_set_new(row, "next", json_string(second));
    json_object_set_new(row, "times", json_real(times));
    json_object_set_new(row, "times_mad", json_real(times * hypot(share[0], share[1])));
}

/* ---------------------------------------------------------------- all of it */

/* Time between the beginnings of neighbouring trials, as long as they follow each other: a longer pause is none of the tuner's. */
static json_t *wall_seconds(const json_t *trials) {
    static const double pause = 60e6;
    double sum = 0, last = NAN;
    const json_t *trial;
    size_t i;
    bool known = false;
    json_array_foreach(trials, i, trial) {
        double begun = report_number(trial, "begun");
        if (begun - last < pause && begun > last) {
            sum += (begun - last) * 1e-6;
            known = true;
        }
        last = begun;
    }
    return known ? json_real(sum) : json_null();
}

json_t *tuning_summary(json_t *trials, const tess_device_info *device) {
    json_t *trial,
        *out = json_pack("{s:i, s:i, s:{}, s:f, s:o, s:{s:i, s:f, s:f, s:f, s:f}, s:[], s:[]}",
                         "trials", 0, "failed", 0, "causes", "build_seconds", 0.0, "wall_seconds",
                         wall_seconds(trials), "split", "trials", 0, "build", 0.0, "verify", 0.0,
                         "run", 0.0, "search", 0.0, "layers", "fully_connected");
    json_t *fc = json_object_get(out, "fully_connected");
    size_t i;
    if (!out) return NULL;
    json_array_foreach(trials, i, trial) {
        const char *event = report_string(trial, "event");
        if (strcmp(event, "trial") == 0) add_trial(out, trial, device);
        if (strcmp(event, "fc") == 0) add_fc(fc, trial);
    }
    json_array_foreach(fc, i, trial) judge_fc(trial);
    json_array_foreach(json_object_get(out, "layers"), i, trial) json_object_del(trial, "begun");
    if (json_integer_value(json_object_get(out, "trials")) > 0 || json_array_size(fc)) return out;
    json_decref(out);
    return NULL;
}

/* ---------------------------------------------------------------- the database */

enum { TRIALS_MAX = 20000 };

/* The line of an export, as `tessera tune --json` says it; NULL: it is of another device or operation. */
static json_t *as_event(const json_t *line, const tess_device_info *device) {
    const json_t *problem = json_object_get(line, "problem");
    const char *operation = report_string(problem, "operation");
    bool fc = strncmp(operation, "fc_", 3) == 0;
    if ((!fc && strncmp(operation, "conv_", 5) != 0) ||
        strcmp(report_string(json_object_get(line, "device"), "name"), device->name) != 0 ||
        strcmp(report_string(json_object_get(line, "env"), "driver"), device->driver_version) != 0)
        return NULL;
    json_t *trial = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f}", "event", fc ? "fc" : "trial",
                              "problem", report_string(problem, "key"), fc ? "operation" : "pass",
                              fc ? operation : operation + 5, "algo",
                              report_string(json_object_get(line, "kernel"), "algo"),
                              fc ? "backend" : "config", report_string(line, "config"), "status",
                              report_string(line, "status"), "begun", report_number(line, "begun"));
    const struct {
        const char *to, *from;
        double scale;
    } numbers[] = {{"ms", "seconds", 1e3},          {"ms_mad", "mad", 1e3},
                   {"build_s", "build_seconds", 1}, {"verify_s", "verify_seconds", 1},
                   {"run_s", "run_seconds", 1},     {"search_s", "search_seconds", 1}};
    for (size_t i = 0; trial && i < sizeof numbers / sizeof *numbers; i++) {
        double value = report_number(line, numbers[i].from) * numbers[i].scale;
        if (isfinite(value)) json_object_set_new(trial, numbers[i].to, json_real(value));
    }
    return trial;
}

static int by_begun(const void *a, const void *b) {
    double x = report_number(*(json_t *const *)a, "begun");
    double y = report_number(*(json_t *const *)b, "begun");
    return (x > y) - (x < y);
}

/* The newest, oldest first. */
static json_t *in_order(json_t *trials) {
    size_t count = json_array_size(trials), first;
    json_t **list = malloc((count + 1) * sizeof(*list)), *sorted = json_array();
    for (size_t i = 0; list && i < count; i++)
        list[i] = json_array_get(trials, i);
    if (list && sorted) {
        qsort(list, count, sizeof(*list), by_begun);
        first = count > TRIALS_MAX ? count - TRIALS_MAX : 0;
        for (size_t i = first; i < count; i++)
            json_array_append(sorted, list[i]);
    }
    free(list);
    return sorted;
}

static tess_status read_export(const char *path, const tess_device_info *device, json_t **out,
                               tess_error *error) {
    json_t *trials = json_array();
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while (file && trials && (length = getline(&line, &room, file)) > 0) {
        json_t *json = json_loadb(line, (size_t)length, 0, NULL);
        json_t *trial = json_is_object(json) ? as_event(json, device) : NULL;
        if (trial) json_array_append_new(trials, trial);
        json_decref(json);
    }
    free(line);
    *out = file && trials ? in_order(trials) : NULL;
    json_decref(trials);
    if (file) fclose(file);
    if (*out) return TESS_OK;
    return error_set(error, TESS_IO, "report: the trials cannot be read again; free some memory");
}

tess_status tuning_trials(const char *path, const tess_device_info *device, json_t **out,
                          tess_error *error) {
    const char *folder = getenv("TMPDIR");
    char copy[4096];
    struct db *db = NULL;
    long rows;
    *out = NULL;
    if (!db_exists(path)) {
        *out = json_array();
        return *out ? TESS_OK : error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no memory");
    }
    snprintf(copy, sizeof copy, "%s/tessera-trials-XXXXXX", folder && *folder ? folder : "/tmp");
    int fd = mkstemp(copy);
    if (fd < 0) return error_set(error, TESS_IO, "report: %s: no temporary file; set TMPDIR", copy);
    close(fd);
    tess_status status = db_open(path, NULL, NULL, error, &db);
    if (!status) status = db_export(db, copy, error, &rows);
    if (!status) status = read_export(copy, device, out, error);
    db_close(db);
    (void)unlink(copy);
    return status;
}
