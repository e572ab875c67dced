/* `tessera report`: what is known about a device as one HTML file, with a Markdown and a JSON twin. */
#include "bench/bench_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench_conv.h"
#include "bench/options.h"
#include "bench/report/report_build.h"
#include "bench/report/report_page.h"
#include "bench/report/report_read.h"
#include "bench/report/run_info.h"
#include "bench/report/tuning.h"
#include "bench/roof_set.h"
#include "core/atomic_file.h"
#include "core/context.h"

static const char usage[] =
    "usage: tessera report --out FILE.html [--from FILE.json ...] [--net NAME] [--batch N]\n"
    "  --out FILE.html   the report; FILE.md and FILE.json are written beside it\n"
    "  --from FILE       lines of bench conv, bench net, bench roof or tune --json, or the JSON "
    "twin\n"
    "                    of another report; several files are compared with the first\n"
    "  --net NAME        measure this network's convolutions now\n"
    "  --batch N         images a batch for --net (8)\n"
    "Without --from it measures the device's roofs (some ten seconds), takes this device's runs "
    "of\n"
    "the last day from $XDG_DATA_HOME/tessera/runs.jsonl, where bench keeps them, and the trials "
    "of\n"
    "the tuning database. Without any such run it measures resnet18's convolutions first: about\n"
    "a minute, longer when kernels have to be compiled.\n";

enum { ROOF_SAMPLES = 15 };

struct request {
    const char *out, *net, *batch; /* batch: as it is written */
    json_t *sources;
    char command[RUN_COMMAND_SIZE];
    bool from;
};

/* ---------------------------------------------------------------- what is known here */

/* bench conv, whose lines become those of source. */
static tess_status bench_now(const char *device, const struct request *request, json_t *source,
                             tess_error *error) {
    const char *folder = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/tessera-report-XXXXXX", folder && *folder ? folder : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0) return error_set(error, TESS_IO, "report: %s: no temporary file; set TMPDIR", path);
    close(fd);
    char *argv[] = {"conv",
                    "--net",
                    (char *)(request->net ? request->net : "resnet18"),
                    "--batch",
                    (char *)(request->batch ? request->batch : "8"),
                    "--untuned",
                    "--json",
                    path,
                    NULL};
    json_t *sources = json_array();
    tess_status status = TESS_OK;
    if (bench_conv(device, (int)(sizeof argv / sizeof *argv) - 1, argv))
        status = error_set(error, TESS_INTERNAL, "%s", ""); /* it has said why */
    if (!status) status = report_read(path, sources, error);
    json_t *own = json_array_get(sources, 0);
    if (!status && own) {
        json_object_set(source, "layers", json_object_get(own, "layers"));
        json_object_set(source, "runs", json_object_get(own, "runs"));
    }
    json_decref(sources);
    (void)unlink(path);
    return status;
}

/* Those of layers; all, where none is. */
static json_t *trials_of(const json_t *layers, json_t *trials) {
    json_t *keys = json_object(), *kept = json_array(), *row;
    size_t i;
    char key[400];
    json_array_foreach(layers, i, row) {
        snprintf(key, sizeof key, "%s %s", report_string(row, "problem"),
                 report_string(row, "pass"));
        json_object_set_new(keys, key, json_true());
    }
    json_array_foreach(trials, i, row) {
        snprintf(key, sizeof key, "%s %s", report_string(row, "problem"),
                 report_string(row, "pass"));
        if (json_object_get(keys, key)) json_array_append(kept, row);
    }
    json_decref(keys);
    if (json_array_size(kept)) return kept;
    json_decref(kept);
    return json_incref(trials);
}

static tess_status add_tuning(const tess_device_info *device, json_t *source, tess_error *error) {
    json_t *all = NULL;
    tess_status status = tuning_trials(NULL, device, &all, error);
    if (status) return status;
    json_t *trials = trials_of(json_object_get(source, "layers"), all);
    json_t *tuning = trials ? tuning_summary(trials, device) : NULL;
    if (tuning) json_object_set_new(source, "tuning", tuning);
    json_decref(trials);
    json_decref(all);
    return TESS_OK;
}

static tess_status add_roofs(tess_context *ctx, json_t *source, tess_error *error) {
    json_t *roofs;
    tess_status status = roof_set_measure(ctx, ROOF_SAMPLES, &roofs);
    if (status) return error_set(error, status, "%s", tess_context_last_error(ctx));
    json_object_set_new(source, "roofs", roofs);
    return TESS_OK;
}

static tess_status gather_here(const char *device, const struct request *request,
                               tess_error *error) {
    tess_context *ctx = NULL;
    tess_status status =
        tess_context_create(&(tess_context_options){.device = device}, error, &ctx);
    if (status) return status;
    const tess_device_info *info = tess_context_device(ctx);
    json_t *about = run_device(info), *source = report_source("this machine", about);
    json_decref(about);
    if (!source) status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no host memory");
    if (!status) status = report_saved(info, source, error);
    if (!status && (request->net || !json_array_size(json_object_get(source, "layers"))))
        status = bench_now(device, request, source, error);
    if (!status) status = add_roofs(ctx, source, error);
    if (!status) status = add_tuning(info, source, error);
    if (!status && json_array_append(request->sources, source))
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no host memory");
    json_decref(source);
    tess_context_destroy(ctx);
    return status;
}

/* ---------------------------------------------------------------- writing */

static tess_status write_file(const char *path, const char *text, size_t size, tess_error *error) {
    struct atomic_file file;
    tess_status status = atomic_file_open(path, error, &file);
    if (status) return status;
    status = atomic_file_write(&file, text, size, error);
    if (!status) return atomic_file_commit(&file, error);
    atomic_file_abort(&file);
    return status;
}

/* out without .html, and extension instead. */
static void twin_path(const char *out, const char *extension, char path[4096]) {
    size_t length = strlen(out);
    if (length > 5 && strcmp(out + length - 5, ".html") == 0) length -= 5;
    snprintf(path, 4096, "%.*s%s", (int)length, out, extension);
}

/* Measuring takes minutes: a folder that is missing is told before. */
static tess_status try_outputs(const char *out, tess_error *error) {
    static const char *const extensions[] = {".md", ".json", ".html"};
    char path[4096];
    tess_status status = TESS_OK;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions && !status; i++) {
        twin_path(out, extensions[i], path);
        status = atomic_file_try(path, error);
    }
    return status;
}

static tess_status write_report(const struct request *request, tess_error *error) {
    json_t *document = NULL;
    struct page page = {0};
    struct plots plots = {0};
    char md[4096], twin[4096], *text = NULL;
    tess_status status = report_build(request->sources, request->command, error, &document);
    if (!status) status = report_page(document, &page, &plots, error);
    if (!status && !(text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(9))))
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no host memory for JSON");
    twin_path(request->out, ".md", md);
    twin_path(request->out, ".json", twin);
    if (!status) status = write_file(md, page.md_text, page.md_size, error);
    if (!status) status = write_file(twin, text, strlen(text), error);
    if (!status) status = write_file(request->out, page.html_text, page.html_size, error);
    if (!status && *plots.error.text) fprintf(stderr, "tessera: %s\n", plots.error.text);
    if (!status) printf("%s, %s, %s\n", request->out, md, twin);
    free(text);
    page_free(&page);
    json_decref(document);
    return status;
}

/* ---------------------------------------------------------------- command line */

static int set_out(struct request *request, const char *path) {
    size_t length = strlen(path);
    if (length <= 5 || length > 4000 || strcmp(path + length - 5, ".html") != 0)
        return option_fail(
            2, "report: --out: the name must end in .html; its twins get .md and .json");
    request->out = path;
    return 0;
}

static int set_option(void *user, int option, char *value) {
    struct request *request = user;
    tess_error error = {0};
    int ignored;
    switch (option) {
    case 'o':
        return set_out(request, value);
    case 'f':
        request->from = true;
        return report_read(value, request->sources, &error) ? option_fail(1, "%s", error.text) : 0;
    case 'n':
        request->net = value;
        return 0;
    default:
        request->batch = value;
        return option_number("batch", value, 1, 1 << 20, &ignored);
    }
}

int bench_report(const char *device, int argc, char **argv) {
    static const struct option list[] = {
        {"out", required_argument, NULL, 'o'}, {"from", required_argument, NULL, 'f'},
        {"net", required_argument, NULL, 'n'}, {"batch", required_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0}};
    struct request request = {.sources = json_array()};
    tess_error error = {0};
    run_command("", argc, argv, request.command);
    int status = options_read(
        &(struct options){.command = "report", .usage = usage, .list = list, .set = set_option},
        argc, argv, &request);
    if (!status && !request.out) status = option_fail(2, "report: no --out; give FILE.html");
    if (!status && request.from && (request.net || request.batch))
        status = option_fail(2, "report: --net measures now, --from does not; give one of them");
    if (!status && try_outputs(request.out, &error)) status = option_fail(1, "%s", error.text);
    if (!status && !request.from && gather_here(device, &request, &error))
        status = error.text[0] ? option_fail(1, "%s", error.text) : 1;
    if (!status && write_report(&request, &error)) status = option_fail(1, "%s", error.text);
    json_decref(request.sources);
    return status < 0 ? 0 : status;
}
