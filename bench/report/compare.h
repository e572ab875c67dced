/* Two measurements of the same convolutions: faster, slower, or no difference that can be shown. */
#ifndef TESSERA_BENCH_REPORT_COMPARE_H
#define TESSERA_BENCH_REPORT_COMPARE_H

#include <jansson.h>

/* Sources as in report_read.h. Gives
     {"old", "new": labels, "same_device", "rows": [{"problem", "pass", "old_config", "config", "measure", "old_ms", "old_ms_mad", "ms", "ms_mad", "rounds": [old, new],
      "change", "change_ci": [low, high], "change_rounds", "change_floor", "p", "p_adjusted", "verdict": "slower" | "faster" | "no difference" | "too few rounds"}, ...],
      "only_old", "only_new": rows that the other lacks}
   change: time of a run, new against old, minus 1: the mean (of logarithms) of two estimates, change_rounds and change_floor. change_ci is that of
   change_rounds. NULL: no memory.

   A round's value is the least time of its samples over the least time of the yardstick's: what slows the machine down slows both.
   change_rounds is the median of all differences between new and old rounds; change_floor is from the tenth of the samples that is
   least, over the yardstick's. On a CPU times are processor times, which other processes do not add to; unless the same ratio of wall
   times has changed by more than 20 %, which cores that stand idle do. Between devices it is the wall time itself. The rank-sum test
   compares the rounds; its probabilities are adjusted for the number of rows (Holm). Slower or faster is what has p_adjusted below 1 % and
   both estimates above 3 %. The rounds of one run share its disturbances, so that p is too small on a busy machine: several runs of
   both versions in turn, in one file each, are what the test needs (bench/report/README.md). */
json_t *compare_sources(const json_t *old, const json_t *new);

#endif
