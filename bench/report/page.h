/* One text in two forms: an HTML page that needs nothing but itself, and Markdown. What comes from files or drivers is escaped in both. */
#ifndef TESSERA_BENCH_REPORT_PAGE_H
#define TESSERA_BENCH_REPORT_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/status.h"

struct page {
    FILE *html, *md;
    char *html_text, *md_text; /* owned; whole after page_close */
    size_t html_size, md_size;
    const char *const *heads; /* of the open table */
    int columns, column;
};

/* false: no memory. page_free ends it in any case. */
bool page_open(struct page *page, const char *title);
bool page_close(struct page *page);
void page_free(struct page *page);

/* level 2 or 3. id: of the section, for links; NULL: none. */
void page_heading(struct page *page, int level, const char *id, const char *format, ...)
    PRINTF_LIKE(4, 5);
void page_text(struct page *page, const char *format, ...) PRINTF_LIKE(2, 3);
/* Lines as they are: commands. */
void page_code(struct page *page, const char *text);
/* A drawing: <svg> elements, which are not escaped, one for wide and one for narrow screens; NULL: there is none, and note
   says why. Markdown has the caption and the note alone. */
void page_plot(struct page *page, const char *wide, const char *narrow, const char *caption,
               const char *note);

/* Cells follow, row after row. On a narrow screen each row is a card, in which the column's head stands before each cell. */
void page_table(struct page *page, const char *const *heads, int columns);
void page_cell(struct page *page, const char *format, ...) PRINTF_LIKE(2, 3);
void page_table_end(struct page *page);

#endif
