/* Program binaries on disk. Nothing here fails a build: a cache that cannot be read or written is as good as none. */
#ifndef TESSERA_CORE_PROGRAM_CACHE_H
#define TESSERA_CORE_PROGRAM_CACHE_H

#include "core/context.h"

/* CL_PLATFORM_NAME of PoCL. */
#define POCL_PLATFORM "Portable Computing Language"

/* The key of an entry: device, driver, platform, source and options. */
tess_status program_cache_key(tess_context *ctx, const char *source, const char *options,
                              unsigned char key[32]);

/* The built program of an entry, or NULL: there is none, or it is damaged, foreign or stale. */
cl_program program_cache_load(tess_context *ctx, const unsigned char key[32], const char *options,
                              const char *config);

/* Stores the binary of a program that was built from source, unless that would cost more than it brings. */
void program_cache_store(tess_context *ctx, const unsigned char key[32], cl_program program,
                         const char *config);

/* The device's binary of a built program. On PoCL that compiles every kernel of the program for work-groups of any size.
   *binary is freed by the caller, also on failure. */
cl_int program_binary(tess_context *ctx, cl_program program, unsigned char **binary, size_t *size);

/* The built program of such a binary. */
cl_int program_from_binary(tess_context *ctx, const unsigned char *binary, size_t size,
                           const char *options, cl_program *out);

#endif
