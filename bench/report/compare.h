/* Two measurements of the same convolutions: faster, slower, or no difference that can be shown. */
#ifndef TESSERA_BENCH_REPORT_COMPARE_H
#define TESSERA_BENCH_REPORT_COMPARE_H

#include <jansson.h>

/* Sources as in report_read.h. Gives
     {"old", "new": labels, "same_device", "rows": [{"problem", "pass", "old_config", "config", "measure", "old_ms", "old_ms_mad", "ms", "ms_mad", "rounds": [old, new],
      "change", "change_ci": [low, high], "p", "p_adjusted", "verdict": "slower" | "faster" | "no difference" | "too few rounds"}, ...],
      "only_old", "only_new": rows that the other lacks}
   change: time of a run, new against old, minus 1. NULL: no memory.

   A round's value is the least time of its samples over the least time of the yardstick's: what slows the machine down slows both. On a CPU it is
   processor time, which other processes do not add to; unless the same ratio of wall times has changed by more than 20 %, which
   cores that stand idle do. Between devices it is the wall time itself. The rank-sum test compares the rounds; its probabilities are
   adjusted for the number of rows (Holm). Slower or faster is what has p_adjusted below 1 % and a change of more than 2 %. */
json_t *compare_sources(const json_t *old, const json_t *new);

#endif
