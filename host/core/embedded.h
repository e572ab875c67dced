/* The kernel sources and portfolios that the build put into the library. */
#ifndef TESSERA_CORE_EMBEDDED_H
#define TESSERA_CORE_EMBEDDED_H

#include <stddef.h>

struct embedded_source {
    const char *name; /* "pool.cl" */
    const char *text; /* ends with a zero that size does not count */
    size_t size;
};

extern const struct embedded_source embedded_sources[];    /* ends with a NULL name */
extern const struct embedded_source embedded_portfolios[]; /* "pocl-avx512.jsonl"; likewise */

#endif
