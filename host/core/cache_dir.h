/* Where program binaries are kept on disk. */
#ifndef TESSERA_CORE_CACHE_DIR_H
#define TESSERA_CORE_CACHE_DIR_H

#include "core/context.h"

/* Sets ctx->cache_dir (owned by the context) from the option of tess_context_options, and makes the folder. A
   folder that cannot be had is one warning in the log, and NULL: the library works without. */
void cache_dir_open(tess_context *ctx, const char *option);

#endif
