/* `tessera bench roof`: the device's measured limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_report.h"
#include "bench/options.h"
#include "bench/report/report_read.h"
#include "bench/report/run_info.h"
#include "bench/roof_set.h"

static const char usage[] =
    "usage: tessera bench roof [--json FILE] [--samples N]\n"
    "  --json FILE       append one JSON object a line; - for standard output\n"
    "  --samples N       timed samples of each limit (15)\n";

static bool print_roof(json_t *row, json_t *run, FILE *json) {
    const json_t *ci = json_object_get(row, "ci");
    if (json != stdout)
        printf("%-46s %10.4g %-8s (%.4g to %.4g)\n", report_string(row, "label"),
               report_number(row, "value"), report_string(row, "unit"),
               json_number_value(json_array_get(ci, 0)), json_number_value(json_array_get(ci, 1)));
    if (!json) return true;
    return json_object_set(row, "run", run) == 0 &&
           json_dumpf(row, json, JSON_COMPACT | JSON_REAL_PRECISION(6)) == 0 &&
           fputc('\n', json) != EOF;
}

static int measure(const char *device, const char *command, int samples, FILE *json) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    json_t *roofs = NULL, *row;
    size_t i;
    if (tess_context_create(&(tess_context_options){.device = device}, &error, &ctx))
        return option_fail(1, "%s", error.text);
    json_t *run = run_info(ctx, command);
    int status = roof_set_measure(ctx, samples, &roofs)
                     ? option_fail(1, "%s", tess_context_last_error(ctx))
                     : 0;
    json_array_foreach(roofs, i, row) if (!status && !print_roof(row, run, json)) status =
        option_fail(1, "bench roof: the JSON file cannot be written; is the disk full?");
    json_decref(roofs);
    json_decref(run);
    tess_context_destroy(ctx);
    return status;
}

struct request {
    FILE *json;
    int samples;
};

static int set_option(void *user, int option, char *value) {
    struct request *request = user;
    if (option == 'j') return option_json(value, &request->json);
    return option_number("samples", value, 1, 1000, &request->samples);
}

int bench_roof(const char *device, int argc, char **argv) {
    static const struct option list[] = {{"json", required_argument, NULL, 'j'},
                                         {"samples", required_argument, NULL, 'n'},
                                         {"help", no_argument, NULL, 'h'},
                                         {NULL, 0, NULL, 0}};
    struct request request = {.samples = 15};
    char command[RUN_COMMAND_SIZE];
    run_command("bench", argc, argv, command);
    int status = options_read(
        &(struct options){.command = "bench roof", .usage = usage, .list = list, .set = set_option},
        argc, argv, &request);
    if (!status) status = measure(device, command, request.samples, request.json);
    status = option_json_close(request.json, status);
    return status < 0 ? 0 : status;
}
