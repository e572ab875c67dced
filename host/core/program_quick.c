#include "core/program_quick.h"

#include "core/embedded.h"
#include "core/program_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before each program PoCL 3.1 has clang read opencl-c.h, also when its own cache has the program, because the text after
   preprocessing is that cache's key. Of the 55 ms that building a program from that cache takes, 40 go there, and of those
   of a first build 120 (2-core AVX-512 machine). The header has a guard. */
static const char guard[] = "-D_OPENCL_H_";

static bool applies(const tess_context *ctx) {
    const char *version = ctx->device.driver_version;
    return strcmp(ctx->device.platform_name, POCL_PLATFORM) == 0 &&
           (strcmp(version, "3.1") == 0 || strncmp(version, "3.1+", 4) == 0);
}

/* NULL: none. */
static const struct embedded_source *builtins(void) {
    const struct embedded_source *source = embedded_sources;
    while (source->name && strcmp(source->name, "builtins.clh") != 0)
        source++;
    return source->name ? source : NULL;
}

cl_program program_build_quick(tess_context *ctx, const char *source, const char *options) {
    const struct embedded_source *before = applies(ctx) ? builtins() : NULL;
    if (!before) return NULL;
    size_t room = strlen(options) + sizeof guard + 1;
    char *guarded = malloc(room);
    if (!guarded) return NULL;
    snprintf(guarded, room, "%s %s", options, guard);
    const char *const texts[] = {(const char *)before->text, source};
    const size_t sizes[] = {before->size, strlen(source)};
    cl_int code = CL_SUCCESS;
    cl_program program = clCreateProgramWithSource(ctx->cl, 2, (const char **)texts, sizes, &code);
    if (code == CL_SUCCESS)
        code = clBuildProgram(program, 1, &ctx->device.device, guarded, NULL, NULL);
    free(guarded);
    if (code == CL_SUCCESS) return program;
    if (program) clReleaseProgram(program);
    return NULL;
}
