/* Kernel sources with their includes expanded, and the hash that names them. */
#ifndef TESSERA_CORE_PROGRAM_SOURCE_H
#define TESSERA_CORE_PROGRAM_SOURCE_H

#include "core/context.h"

/* Text of a source file from ctx->kernel_dir or the embedded kernels, lines `#include "x.clh"` replaced by the
   text of x.clh the first time and by nothing after that, with #line directives so that the compiler's messages name
   file and line. An include counts wherever a line starts with it, inside #if and comments too: it belongs to the top.
   *text ends with a zero and is freed by the caller. */
tess_status program_source(tess_context *ctx, const char *file, char **text);

/* SHA-256 of several strings: each goes in with its length, so that moving a character from one to the next gives
   another hash. */
tess_status hash_strings(tess_context *ctx, const char *const *strings, size_t count,
                         unsigned char out[32]);
tess_status hash_bytes(tess_context *ctx, const void *data, size_t size, unsigned char out[32]);
void hash_hex(const unsigned char hash[32], char hex[65]);

#endif
