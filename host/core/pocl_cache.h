/* PoCL's own cache of compiled code. PoCL cannot work without: where its folder cannot be made it offers no device, where it cannot be
   written no program builds, and on a full disk its compiler ends the process. It names the folder in none of these cases. */
#ifndef TESSERA_CORE_POCL_CACHE_H
#define TESSERA_CORE_POCL_CACHE_H

#include <stddef.h>

enum pocl_cache_state {
    POCL_CACHE_GOOD,
    POCL_CACHE_FULL, /* hardly any space left */
    POCL_CACHE_BAD   /* cannot be made or written */
};

/* Looks, and writes nothing to disk. Unless it is good, text says which folder, why, and what to do. */
enum pocl_cache_state pocl_cache_look(char *text, size_t size);

#endif
