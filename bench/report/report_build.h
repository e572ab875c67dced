/* A report's document: what report_page shows and the JSON twin holds. */
#ifndef TESSERA_BENCH_REPORT_BUILD_H
#define TESSERA_BENCH_REPORT_BUILD_H

#include <jansson.h>

#include "core/status.h"
#include "tessera.h"

/* The document of sources (report_read.h), which are changed: of several lines for the same thing the last stays, trials become tuning.
   With two sources and more, each is compared with the first. command: of the report. */
tess_status report_build(json_t *sources, const char *command, tess_error *error, json_t **out);

/* Keeps the lines of the kept runs (run_info.h) that were measured with this device and driver within a day of the last such line:
   {} where there are none, which is no error. */
tess_status report_saved(const tess_device_info *device, json_t *source, tess_error *error);

#endif
