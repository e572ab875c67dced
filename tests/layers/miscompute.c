/* A driver whose compiler gets one thing wrong: what TESSERA_LAYER_FROM says in a program's source means TESSERA_LAYER_TO; where that is
   not set, the compiler crashes of it. */
#include "opencl_layer.h"

#include <stdlib.h>
#include <string.h>

/* The strings of a program in one. A length of 0, or no lengths: up to the zero. NULL without memory. */
static char *joined(cl_uint count, const char **strings, const size_t *lengths) {
    size_t total = 0, used = 0;
    for (cl_uint i = 0; i < count; i++)
        total += lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
    char *out = malloc(total + 1);
    for (cl_uint i = 0; i < count && out; i++) {
        size_t size = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
        memcpy(out + used, strings[i], size);
        used += size;
    }
    if (out) out[used] = '\0';
    return out;
}

/* text with each `from` replaced; NULL without memory. */
static char *miscompiled(const char *text, const char *from, const char *to) {
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, from)); at += strlen(from))
        count++;
    char *out = malloc(strlen(text) + count * strlen(to) + 1), *end = out;
    for (const char *at = text; out;) {
        const char *found = strstr(at, from);
        size_t size = found ? (size_t)(found - at) : strlen(at);
        memcpy(end, at, size);
        end += size;
        if (!found) break;
        memcpy(end, to, strlen(to));
        end += strlen(to);
        at = found + strlen(from);
    }
    if (out) *end = '\0';
    return out;
}

static CL_API_ENTRY cl_program CL_API_CALL create_program(cl_context context, cl_uint count,
                                                          const char **strings,
                                                          const size_t *lengths, cl_int *code) {
    const char *from = getenv("TESSERA_LAYER_FROM"), *to = getenv("TESSERA_LAYER_TO");
    char *source = from && *from ? joined(count, strings, lengths) : NULL;
    if (source && !to && strstr(source, from)) abort();
    char *text = source && to ? miscompiled(source, from, to) : NULL;
    cl_program program = layer_next.clCreateProgramWithSource(context, text ? 1 : count,
                                                              text ? (const char **)&text : strings,
                                                              text ? NULL : lengths, code);
    free(source);
    free(text);
    return program;
}

void layer_replace(void) {
    layer_own.clCreateProgramWithSource = create_program;
}
