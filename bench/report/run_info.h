/* What every line of a benchmark says about its run, so that it can be told later where it came from; and where lines are kept for reports. */
#ifndef TESSERA_BENCH_REPORT_RUN_INFO_H
#define TESSERA_BENCH_REPORT_RUN_INFO_H

#include <jansson.h>
#include <stdio.h>

#include "tessera.h"

enum { RUN_COMMAND_SIZE = 2048 };

/* "tessera bench conv --net ..." as a shell takes it; cut where it is longer. To be called before argv is parsed. */
void run_command(const char *program, int argc, char **argv, char out[RUN_COMMAND_SIZE]);

/* {"time": "2026-11-22T15:04:05Z", "version", "command", "host", "device": {...}}; NULL: no memory. */
json_t *run_info(const tess_context *ctx, const char *command);

/* The device as `tessera devices --json` has it, without its index and whether it is chosen. */
json_t *run_device(const tess_device_info *device);

/* The time now, UTC, as in run_info. */
void run_time(char out[32]);

/* A string that need not be UTF-8. */
json_t *run_text(const char *text);

/* $XDG_DATA_HOME/tessera/runs.jsonl (~/.local/share), where runs are kept for `tessera report`: false where no such place is named. */
bool saved_runs_path(char out[4096]);
/* Open for appending, a line a flush; a file above 16 MiB becomes runs.jsonl.old first. NULL: it cannot be had, which is no error. */
FILE *saved_runs_open(void);

#endif
