/* Benchmark files -> the sources of a report.

   A source is what is known about one device from one file:
     {"label", "device": {...} or {}, "runs": [{"time", "version", "command", "host"}, ...], "roofs": [...], "layers": [...], "networks": [...], "operations": [...],
      "trials": [...], "tuning": {...} where a report brought it}
   roofs, layers, networks and operations are lines of `tessera bench roof, conv, net, net --layers`; of several of the same problem and pass the last counts for a report, and
   comparisons take the samples of all. trials are lines of `tessera tune --json`. */
#ifndef TESSERA_BENCH_REPORT_READ_H
#define TESSERA_BENCH_REPORT_READ_H

#include <jansson.h>

#include "core/status.h"

/* Reads JSON Lines or a report's JSON twin, and appends its sources. TESS_BAD_FORMAT, with the line, for a file that is empty, damaged or
   something else. */
tess_status report_read(const char *path, json_t *sources, tess_error *error);

/* The same of a file of kept runs (run_info.h), to which a full disk, a power cut or another version may have added lines that are no
   good: they are passed over. */
tess_status report_read_kept(const char *path, json_t *sources, tess_error *error);

/* The same of a text; name: for messages and the label. */
tess_status report_read_text(const char *name, const char *text, size_t size, json_t *sources,
                             tess_error *error);

/* An empty source; NULL: no memory. */
json_t *report_source(const char *label, json_t *device);

/* Field of an object as a number; NAN where it is not there or none. */
double report_number(const json_t *object, const char *name);
/* As a text; "" where it is not there or none. Borrowed. */
const char *report_string(const json_t *object, const char *name);

#endif
