/* A report's document (report_build) as a page. */
#ifndef TESSERA_BENCH_REPORT_REPORT_PAGE_H
#define TESSERA_BENCH_REPORT_REPORT_PAGE_H

#include <jansson.h>

#include "bench/report/report_plots.h"

/* {"report": 1, "time", "version", "command", "sources": [...], "comparisons": [...] or absent} -> HTML and Markdown. plots: zero; says
   afterwards what went wrong with them. */
tess_status report_page(const json_t *document, struct page *page, struct plots *plots,
                        tess_error *error);

#endif
