/* Building without the driver's header of built-in functions, where that is known to work. */
#ifndef TESSERA_CORE_PROGRAM_QUICK_H
#define TESSERA_CORE_PROGRAM_QUICK_H

#include "core/context.h"

/* The built program, or NULL: the driver is not one of those, or it did not work. Then nothing is said, and the ordinary build
   decides. The program is the same: its functions come from the driver's library either way. */
cl_program program_build_quick(tess_context *ctx, const char *source, const char *options);

#endif
