/* A driver whose compiler gets one thing wrong: what TESSERA_LAYER_FROM says in a program's source means TESSERA_LAYER_TO; where that is
   not set, the compiler crashes of it. */
#include "opencl_layer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The strings of a program in one, with each `from` replaced; NULL without memory. */
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
    bool whole = count == 1 && !lengths;
    if (from && *from && !to && whole && strstr(strings[0], from)) abort();
    /* The library passes one string that ends with a zero; anybody else's programs stay as they are. */
    char *text = from && *from && to && whole ? miscompiled(strings[0], from, to) : NULL;
    cl_program program = layer_next.clCreateProgramWithSource(
        context, count, text ? (const char **)&text : strings, lengths, code);
    free(text);
    return program;
}

void layer_replace(void) {
    layer_own.clCreateProgramWithSource = create_program;
}
