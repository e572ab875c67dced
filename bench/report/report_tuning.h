/* The report's section about the tuner: what was tried, what failed, where the time went, what it gained. */
#ifndef TESSERA_BENCH_REPORT_TUNING_H
#define TESSERA_BENCH_REPORT_TUNING_H

#include "bench/report/report_plots.h"

/* source: one of the document's sources; its "tuning" is what tuning_summary made. */
void tuning_section(struct page *page, const json_t *source, struct plots *plots);

#endif
