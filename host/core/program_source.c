#include "core/program_source.h"

#include "core/embedded.h"
#include "core/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INCLUDES 64
#define MAX_DEPTH    16
#define MAX_NAME     64

/* The growing text, and the .clh files that are in it. */
struct expansion {
    tess_context *ctx;
    const char *file; /* the program's, for messages */
    char *text;
    size_t size, capacity;
    char included[MAX_INCLUDES][MAX_NAME];
    int included_count;
    int depth;
};

static tess_status append(struct expansion *out, const char *text, size_t size) {
    if (!out->text || out->size + size + 1 > out->capacity) {
        size_t capacity = 2 * (out->size + size + 1);
        char *grown = realloc(out->text, capacity);
        if (!grown)
            return context_fail(out->ctx, TESS_OUT_OF_HOST_MEMORY, "reading %s: out of memory",
                                out->file);
        out->text = grown;
        out->capacity = capacity;
    }
    memcpy(out->text + out->size, text, size);
    out->size += size;
    out->text[out->size] = '\0';
    return TESS_OK;
}

static tess_status append_line_directive(struct expansion *out, size_t line, const char *name) {
    char text[MAX_NAME + 40];
    int size = snprintf(text, sizeof text, "#line %zu \"%s\"\n", line, name);
    return append(out, text, (size_t)size);
}

static tess_status read_stream(tess_context *ctx, FILE *stream, const char *path, char **out) {
    char *text = NULL;
    size_t size = 0, capacity = 0;
    for (;;) {
        if (size + 1 >= capacity) {
            capacity = capacity ? 2 * capacity : 16384;
            char *grown = realloc(text, capacity);
            if (!grown) {
                free(text);
                return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "reading %s: out of memory",
                                    path);
            }
            text = grown;
        }
        size_t got = fread(text + size, 1, capacity - size - 1, stream);
        size += got;
        if (got == 0) break;
    }
    text[size] = '\0';
    if (ferror(stream)) {
        free(text);
        return context_fail(ctx, TESS_IO, "reading %s: %s; check the kernel folder", path,
                            strerror(errno));
    }
    *out = text;
    return TESS_OK;
}

static tess_status read_from_dir(tess_context *ctx, const char *name, char **out) {
    size_t size = strlen(ctx->kernel_dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (!path) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "reading %s: out of memory", name);
    snprintf(path, size, "%s/%s", ctx->kernel_dir, name);
    tess_status status = TESS_OK;
    FILE *stream = fopen(path, "rb");
    if (!stream)
        status =
            context_fail(ctx, errno == ENOENT ? TESS_NOT_FOUND : TESS_IO,
                         "reading kernel source %s: %s; check TESSERA_KERNEL_DIR or kernel_dir",
                         path, strerror(errno));
    else
        status = read_stream(ctx, stream, path, out);
    if (stream) fclose(stream);
    free(path);
    return status;
}

static tess_status read_embedded(tess_context *ctx, const char *name, char **out) {
    const struct embedded_source *source = embedded_sources;
    while (source->name && strcmp(source->name, name) != 0)
        source++;
    if (!source->name)
        return context_fail(ctx, TESS_NOT_FOUND,
                            "reading kernel source %s: the library has none of this name", name);
    char *text = malloc(source->size + 1);
    if (!text) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "reading %s: out of memory", name);
    memcpy(text, source->text, source->size);
    text[source->size] = '\0';
    *out = text;
    return TESS_OK;
}

/* Names are plain: the embedded table has no folders. */
static tess_status read_source(tess_context *ctx, const char *name, char **out) {
    if (!*name || strlen(name) >= MAX_NAME || strpbrk(name, "/\\\"\n") || name[0] == '.')
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "reading kernel source \"%.80s\": a plain file name is needed, without "
                            "folders and shorter than %d characters",
                            name, MAX_NAME);
    return ctx->kernel_dir ? read_from_dir(ctx, name, out) : read_embedded(ctx, name, out);
}

/* The name in a line `#include "name"`; false for any other line, and for a name that is too long to be one. */
static bool parse_include(const char *line, size_t length, char name[MAX_NAME]) {
    const char *at = line, *end = line + length;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    if (at == end || *at++ != '#') return false;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    static const char word[] = "include";
    if ((size_t)(end - at) < sizeof word || memcmp(at, word, sizeof word - 1) != 0) return false;
    at += sizeof word - 1;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    if (at == end || *at++ != '"') return false;
    const char *close = memchr(at, '"', (size_t)(end - at));
    if (!close || close - at >= MAX_NAME) return false;
    memcpy(name, at, (size_t)(close - at));
    name[close - at] = '\0';
    return true;
}

static tess_status expand_file(struct expansion *out, const char *name);

/* An include line: the file's text, once, and then back to the line after it. */
static tess_status expand_include(struct expansion *out, const char *wanted, const char *from,
                                  size_t next_line) {
    bool known = false;
    for (int i = 0; i < out->included_count; i++)
        known = known || strcmp(out->included[i], wanted) == 0;
    if (known) return append(out, "\n", 1);
    if (out->included_count == MAX_INCLUDES || out->depth == MAX_DEPTH)
        return context_fail(out->ctx, TESS_BUILD_FAILED,
                            "%s: line %zu: more than %d includes, or %d inside each other; merge "
                            "some",
                            from, next_line - 1, MAX_INCLUDES, MAX_DEPTH);
    snprintf(out->included[out->included_count++], MAX_NAME, "%s", wanted);
    tess_status status = expand_file(out, wanted);
    if (status) {
        if (out->depth == 1 || status == TESS_NOT_FOUND)
            error_prefix(&out->ctx->error, status, "%s: line %zu", from, next_line - 1);
        return status;
    }
    return append_line_directive(out, next_line, from);
}

static tess_status expand_file(struct expansion *out, const char *name) {
    char *text = NULL;
    tess_status status = read_source(out->ctx, name, &text);
    if (!text) return status;
    out->depth++;
    status = append_line_directive(out, 1, name);
    size_t line = 1;
    for (const char *at = text; !status && *at; line++) {
        const char *newline = strchr(at, '\n');
        size_t length = newline ? (size_t)(newline - at) : strlen(at);
        char include[MAX_NAME];
        if (parse_include(at, length, include)) {
            status = expand_include(out, include, name, line + 1);
        } else {
            status = append(out, at, length);
            if (!status) status = append(out, "\n", 1);
        }
        at += newline ? length + 1 : length;
    }
    out->depth--;
    free(text);
    return status;
}

tess_status program_source(tess_context *ctx, const char *file, char **text) {
    struct expansion *out = calloc(1, sizeof *out);
    if (!out) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "reading %s: out of memory", file);
    out->ctx = ctx;
    out->file = file;
    tess_status status = expand_file(out, file);
    if (status)
        free(out->text);
    else
        *text = out->text;
    free(out);
    return status;
}
