/* Plots: a gnuplot script becomes an SVG element that can stand in a page. */
#ifndef TESSERA_BENCH_REPORT_PLOT_H
#define TESSERA_BENCH_REPORT_PLOT_H

#include "core/status.h"

/* Runs gnuplot on script, in which '#010101' .. '#060606' are the page's colours and black is the text's, which sets no terminal and holds no text from outside: gnuplot would run what stands in backquotes. id: letters
   and digits, unique in the page; css: the element's class; width, height: its shape; about: what it shows, for those who do not see it. TESS_NOT_FOUND where gnuplot is
   not installed, with the name of its package. *svg is freed by the caller. */
tess_status plot_svg(const char *id, const char *css, int width, int height, const char *about,
                     const char *script, tess_error *error, char **svg);

#endif
