/* Numbers as the report's tables show them. Each function writes into text and returns it. */
#ifndef TESSERA_BENCH_REPORT_NUMBERS_H
#define TESSERA_BENCH_REPORT_NUMBERS_H

#include <jansson.h>

#include "bench/report/page.h"

enum { NUMBER_TEXT = 64 };

/* A table with an array of heads. */
#define PAGE_TABLE(page, heads) page_table((page), (heads), (int)(sizeof(heads) / sizeof *(heads)))

/* About three digits; "n/a" for what is not known. */
const char *number_text(double value, char text[NUMBER_TEXT]);

const char *bytes_text(double bytes, char text[NUMBER_TEXT]);

/* "3.52 (3.41 to 3.70)": the number called name in row with its interval; without one, with +- mad. */
const char *interval_text(const json_t *row, const char *name, const char *mad_name,
                          const char *ci_name, char text[3 * NUMBER_TEXT]);

/* The interval of a speed: work a time of ms gives value, so the interval of ms turns round. */
const char *speed_text(const json_t *row, const char *name, char text[3 * NUMBER_TEXT]);

/* A row of two cells. */
void page_pair(struct page *page, const char *name, const char *value);

#endif
