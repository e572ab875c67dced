/* Where program binaries are kept on disk. */
#ifndef TESSERA_CORE_CACHE_DIR_H
#define TESSERA_CORE_CACHE_DIR_H

#include "core/context.h"

/* Sets ctx->cache_dir (owned by the context) from the option of tess_context_options, and makes the folder. A
   folder that cannot be had is one warning in the log, and NULL: the library works without. */
void cache_dir_open(tess_context *ctx, const char *option);

/* The folder where binaries are kept without that option, to be freed; NULL: no such place, or no memory. */
char *cache_dir_default(void);

/* mkdir -p; path is as before afterwards. Gives 0 or errno, also where the folder is there but cannot be written. */
int cache_dir_make(char *path);

#endif
