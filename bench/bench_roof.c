/* `tessera bench roof`: the device's measured limits. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_report.h"
#include "bench/report/report_read.h"
#include "bench/report/run_info.h"
#include "bench/roof_set.h"

static const char usage[] =
    "usage: tessera bench roof [--json FILE] [--samples N]\n"
    "  --json FILE       append one JSON object a line; - for standard output\n"
    "  --samples N       timed samples of each limit (15)\n";

static int fail(int status, const char *text) {
    fprintf(stderr, "tessera: %s\n", text);
    return status;
}

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
        return fail(1, error.text);
    json_t *run = run_info(ctx, command);
    int status = roof_set_measure(ctx, samples, &roofs) ? fail(1, tess_context_last_error(ctx)) : 0;
    json_array_foreach(roofs, i, row) if (!status && !print_roof(row, run, json)) status =
        fail(1, "bench roof: the JSON file cannot be written; is the disk full?");
    json_decref(roofs);
    json_decref(run);
    tess_context_destroy(ctx);
    return status;
}

int bench_roof(const char *device, int argc, char **argv) {
    static const struct option options[] = {{"json", required_argument, NULL, 'j'},
                                            {"samples", required_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    char command[RUN_COMMAND_SIZE], *end;
    const char *path = NULL;
    long samples = 15;
    int option;
    run_command("bench", argc, argv, command);
    opterr = 0;
    optind = 1;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') return fputs(usage, stdout) < 0;
        if (option == '?')
            return fail(2, "bench roof: unknown option or missing value; see --help");
        if (option == 'j') path = optarg;
        if (option == 'n') samples = strtol(optarg, &end, 10);
        if (option == 'n' && (*end || end == optarg || samples < 1 || samples > 1000))
            return fail(2, "bench roof: --samples: not a number from 1 to 1000");
    }
    if (optind < argc) return fail(2, "bench roof: unexpected argument; see --help");
    FILE *json = !path ? NULL : strcmp(path, "-") == 0 ? stdout : fopen(path, "a");
    if (path && !json) {
        fprintf(stderr, "tessera: bench roof: cannot write '%s'; choose a writable file\n", path);
        return 1;
    }
    int status = measure(device, command, (int)samples, json);
    if (json && json != stdout && fclose(json) && !status)
        status = fail(1, "bench roof: the JSON file could not be written; is the disk full?");
    return status;
}
