#include "bench/report/page.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Colours by role; what the plots use is c1 .. c6. */
static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1a1c20;--soft:#5a6069;--line:#d5d9df;"
    "--panel:#f5f6f8;--c1:#0b6bcb;--c2:#c2410c;--c3:#15803d;--c4:#7e22ce;--c5:#8a8f98;--c6:#b45309}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14161a;--fg:#e7e9ec;--soft:#a2a9b3;"
    "--line:#343941;--panel:#1d2026;--c1:#62b0ff;--c2:#ff9b62;--c3:#5fd38a;--c4:#cf9bff;"
    "--c5:#8a919c;--c6:#f3c24f}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}"
    "main{max-width:70rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0 1rem;overflow-wrap:anywhere}"
    "h2{font-size:1.25rem;margin:2.2rem 0 .6rem;padding-top:.6rem;"
    "border-top:1px solid var(--line);overflow-wrap:anywhere}"
    "h3{font-size:1.05rem;margin:1.4rem 0 .4rem;overflow-wrap:anywhere}"
    "p{margin:.5rem 0;max-width:46rem;overflow-wrap:anywhere}"
    "nav{display:flex;flex-wrap:wrap;gap:.4rem .9rem;margin:.6rem 0;font-size:.95rem}"
    "a{color:var(--c1)}"
    "pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.7rem;"
    "font-size:.85rem;white-space:pre-wrap;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;width:100%;font-size:.88rem;margin:.6rem 0}"
    "th,td{text-align:left;vertical-align:top;padding:.35rem .5rem;"
    "border-bottom:1px solid var(--line);overflow-wrap:break-word}.long{overflow-wrap:anywhere}"
    "th{color:var(--soft);font-weight:600}td{font-variant-numeric:tabular-nums}"
    "figure{margin:.8rem 0}figcaption{color:var(--soft);font-size:.88rem;max-width:46rem}"
    "figure svg{display:block;width:100%;height:auto;max-width:54rem;color:var(--fg)}"
    "figure svg.narrow{display:none}.note{color:var(--c6)}"
    "@media(max-width:700px){figure svg.wide{display:none}figure svg.narrow{display:block}"
    "thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}"
    ".cards,.cards tbody,.cards tr,.cards td{display:block;width:100%}"
    ".cards tr{border:1px solid var(--line);border-radius:6px;background:var(--panel);margin:.6rem "
    "0;"
    "padding:.3rem .6rem}"
    ".cards td{display:grid;grid-template-columns:36% minmax(0,1fr);gap:.5rem;border-bottom:0;"
    "padding:.12rem 0}.pairs td:first-child{width:45%;color:var(--soft)}"
    ".pairs td{overflow-wrap:anywhere}.cards "
    "td::before{content:attr(data-label);color:var(--soft)}}"
    "@media print{:root{--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--panel:#fff;--c1:#0b5cad;"
    "--c2:#b23c0a;--c3:#116a32;--c4:#6b1bb1;--c5:#777;--c6:#8a4207}"
    "main{max-width:none;padding:0}nav{display:none}tr,figure{break-inside:avoid}"
    "h2,h3{break-after:avoid}table{font-size:8pt}thead{display:table-header-group}}";

/* ---------------------------------------------------------------- escaping */

/* Control characters are not allowed in either form. */
static void html_text(FILE *out, const char *text) {
    for (const char *c = text; *c; c++)
        switch (*c) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc((unsigned char)*c < 32 && *c != '\n' ? ' ' : *c, out);
        }
}

static void md_text(FILE *out, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '<' || *c == '&') {
            fputs(*c == '<' ? "&lt;" : "&amp;", out);
            continue;
        }
        if (strchr("\\`*[]|#", *c)) fputc('\\', out);
        fputc((unsigned char)*c < 32 ? ' ' : *c, out);
    }
}

/* The text of a call, on the heap; NULL: no memory, and nothing is printed. */
static char *format_text(const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

/* ---------------------------------------------------------------- pages */

bool page_open(struct page *page, const char *title) {
    *page = (struct page){0};
    page->html = open_memstream(&page->html_text, &page->html_size);
    page->md = open_memstream(&page->md_text, &page->md_size);
    if (!page->html || !page->md) return false;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
          page->html);
    html_text(page->html, title);
    fprintf(page->html, "</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n<h1>", style);
    html_text(page->html, title);
    fputs("</h1>\n", page->html);
    fputs("# ", page->md);
    md_text(page->md, title);
    fputs("\n\n", page->md);
    return true;
}

bool page_close(struct page *page) {
    fputs("</main>\n</body>\n</html>\n", page->html);
    bool bad = ferror(page->html) || ferror(page->md);
    bad = fclose(page->html) || bad;
    bad = fclose(page->md) || bad;
    page->html = page->md = NULL;
    return !bad;
}

void page_free(struct page *page) {
    if (page->html) fclose(page->html);
    if (page->md) fclose(page->md);
    free(page->html_text);
    free(page->md_text);
    *page = (struct page){0};
}

void page_heading(struct page *page, int level, const char *id, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (!text) return;
    fprintf(page->html, id ? "<h%d id=\"%s\">" : "<h%d>", level, id);
    html_text(page->html, text);
    fprintf(page->html, "</h%d>\n", level);
    fprintf(page->md, "%.*s ", level, "######");
    md_text(page->md, text);
    fputs("\n\n", page->md);
    free(text);
}

void page_text(struct page *page, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (!text) return;
    fputs("<p>", page->html);
    html_text(page->html, text);
    fputs("</p>\n", page->html);
    md_text(page->md, text);
    fputs("\n\n", page->md);
    free(text);
}

void page_code(struct page *page, const char *text) {
    fputs("<pre><code>", page->html);
    html_text(page->html, text);
    fputs("</code></pre>\n", page->html);
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        fprintf(page->md, "    %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    fputc('\n', page->md);
}

void page_plot(struct page *page, const char *wide, const char *narrow, const char *caption,
               const char *note) {
    fputs("<figure>\n", page->html);
    if (wide && narrow) {
        fputs(wide, page->html);
        fputs(narrow, page->html);
    } else {
        fputs("<p class=\"note\">", page->html);
        html_text(page->html, note ? note : "No plot.");
        fputs("</p>\n", page->html);
    }
    fputs("<figcaption>", page->html);
    html_text(page->html, caption);
    fputs("</figcaption>\n</figure>\n", page->html);
    fputs("Plot, in the HTML file: ", page->md);
    md_text(page->md, caption);
    fputs("\n\n", page->md);
}

void page_table(struct page *page, const char *const *heads, int columns) {
    page->heads = heads;
    page->columns = columns;
    page->column = 0;
    fprintf(page->html, "<table class=\"%s\">\n<thead><tr>", columns == 2 ? "pairs" : "cards");
    for (int i = 0; i < columns; i++) {
        fputs("<th scope=\"col\">", page->html);
        html_text(page->html, heads[i]);
        fputs("</th>", page->html);
        fputs("| ", page->md);
        md_text(page->md, heads[i]);
        fputc(' ', page->md);
    }
    fputs("</tr></thead>\n<tbody>\n", page->html);
    fputs("|\n", page->md);
    for (int i = 0; i < columns; i++)
        fputs("| --- ", page->md);
    fputs("|\n", page->md);
}

enum { LONG_WORD = 24 }; /* characters that a column need not be wide enough for */

static size_t longest_word(const char *text) {
    size_t longest = 0;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (length > longest) longest = length;
        text += length + (text[length] == ' ');
    }
    return longest;
}

void page_cell(struct page *page, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (page->column == 0) fputs("<tr>", page->html);
    fputs("<td data-label=\"", page->html);
    html_text(page->html, page->heads[page->column]);
    fputs(text && longest_word(text) > LONG_WORD ? "\"><span class=\"long\">" : "\"><span>",
          page->html);
    html_text(page->html, text ? text : "");
    fputs("</span></td>", page->html);
    fputs("| ", page->md);
    md_text(page->md, text ? text : "");
    fputc(' ', page->md);
    free(text);
    if (++page->column < page->columns) return;
    page->column = 0;
    fputs("</tr>\n", page->html);
    fputs("|\n", page->md);
}

void page_table_end(struct page *page) {
    fputs("</tbody>\n</table>\n", page->html);
    fputc('\n', page->md);
}
