/* Amounts of memory as people write them. */
#ifndef TESSERA_CORE_BYTE_SIZE_H
#define TESSERA_CORE_BYTE_SIZE_H

#include <stdbool.h>
#include <stddef.h>

/* "2G", "1.5G", "800M", "64K" (units of 1024, either case) or plain bytes, at least 1; false: anything else. */
bool byte_size_parse(const char *text, size_t *out);

#endif
