/* What a search did: from the trials of `tessera tune`. */
#ifndef TESSERA_BENCH_REPORT_TUNING_H
#define TESSERA_BENCH_REPORT_TUNING_H

#include <jansson.h>

#include "core/status.h"
#include "tessera.h"

/* trials: lines of `tessera tune --json`, in the order made. Gives
     {"trials", "failed", "causes": {"build failed": n, ...}, "build_seconds", "wall_seconds" or null,
      "split": {"trials", "build", "verify", "run", "search"},
      "layers": [{"problem", "pass", "evaluations", "failed", "space" or null, "default_config", "default_ms", "default_ms_mad", "config", "ms", "ms_mad", "gain",
                  "curve": [[evaluations, seconds or null, best ms], ...]}, ...],
      "fully_connected": [{"problem", "operation", "backends": {NAME: {"ms", "ms_mad"}, ...}, "taken", "next", "times", "times_mad"}, ...]}
   split: seconds of those trials that say where their time went; trials of older versions do not.
   fully_connected: the fastest trial of each backend; taken is the fastest, as the planner takes it, times its speed over that of next; left
   out where no or one backend worked. device: to count the search space; NULL: it is not known. NULL: no trials, or no memory. */
json_t *tuning_summary(json_t *trials, const tess_device_info *device);

/* Trials of convolutions and fully connected layers on a device in the tuning database at path (NULL: the default place), at most 20,000, the newest: lines as above with
   "begun" (microseconds) beside. An empty array where there is no database. */
tess_status tuning_trials(const char *path, const tess_device_info *device, json_t **out,
                          tess_error *error);

#endif
