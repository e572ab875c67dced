#include "core/kernel_bundle.h"

#include "core/atomic_file.h"
#include "core/program.h"
#include "core/program_cache.h"
#include "core/program_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tess_status plan_record_add(tess_context *ctx, const char *pass, const char *problem,
                            const char *config) {
    struct plan_record *plans = ctx->plans;
    for (size_t i = 0; i < plans->count; i++)
        if (strcmp(plans->text[i][0], pass) == 0 && strcmp(plans->text[i][1], problem) == 0)
            return TESS_OK;
    if (plans->count == plans->capacity) {
        size_t capacity = 2 * plans->capacity + 16;
        void *grown = realloc(plans->text, capacity * sizeof *plans->text);
        if (!grown)
            return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "kernels: no host memory; free some");
        plans->text = grown;
        plans->capacity = capacity;
    }
    const char *const words[] = {pass, problem, config};
    for (int i = 0; i < 3; i++)
        snprintf(plans->text[plans->count][i], sizeof plans->text[0][i], "%s", words[i]);
    plans->count++;
    return TESS_OK;
}

/* The growing contents; ok becomes false when memory runs out. */
struct buffer {
    tess_context *ctx;
    unsigned char *data;
    size_t size, capacity;
    bool ok;
};

static void put(struct buffer *out, const void *data, size_t size) {
    if (out->ok && size > out->capacity - out->size) {
        size_t capacity = 2 * (out->size + size);
        unsigned char *grown = realloc(out->data, capacity);
        out->ok = grown != NULL;
        if (grown) out->data = grown;
        if (grown) out->capacity = capacity;
    }
    if (!out->ok) return;
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void encode(uint64_t value, unsigned char out[8]) {
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

static void put_number(struct buffer *out, uint64_t value) {
    unsigned char bytes[8];
    encode(value, bytes);
    put(out, bytes, sizeof bytes);
}

static void put_text(struct buffer *out, const char *text) {
    put_number(out, strlen(text) + 1);
    put(out, text, strlen(text) + 1);
}

static tess_status put_program(void *user, const char *file, const char *config,
                               const unsigned char key[32], cl_program program) {
    struct buffer *out = user;
    unsigned char *binary = NULL;
    size_t size = 0;
    (void)file;
    cl_int code = program_binary(out->ctx, program, &binary, &size);
    if (code != CL_SUCCESS) {
        free(binary);
        return context_fail(
            out->ctx, TESS_UNSUPPORTED,
            "kernels: the driver gives no binary of %s: %s (%d); a bundle cannot be "
            "made with this driver",
            config, opencl_error_name(code), code);
    }
    put(out, key, 32);
    put_text(out, config);
    put_number(out, size);
    put(out, binary, size);
    free(binary);
    return TESS_OK;
}

static tess_status count_program(void *user, const char *file, const char *config,
                                 const unsigned char key[32], cl_program program) {
    (void)file, (void)config, (void)key, (void)program;
    ++*(uint64_t *)user;
    return TESS_OK;
}

static tess_status put_contents(struct buffer *out, const struct plan_record *plans) {
    const char *identity[BUNDLE_IDENTITY];
    uint64_t count = 0;
    bundle_identity(&out->ctx->device, identity);
    for (int i = 0; i < BUNDLE_IDENTITY; i++)
        put_text(out, identity[i]);
    (void)programs_each(out->ctx, count_program, &count);
    put_number(out, count);
    tess_status status = programs_each(out->ctx, put_program, out);
    if (status) return status;
    put_number(out, plans->count);
    for (size_t i = 0; i < plans->count; i++)
        for (int j = 0; j < 3; j++)
            put_text(out, plans->text[i][j]);
    return out->ok ? TESS_OK
                   : context_fail(out->ctx, TESS_OUT_OF_HOST_MEMORY,
                                  "kernels: no host memory; free some");
}

tess_status kernel_bundle_write(tess_context *ctx, const struct plan_record *plans,
                                const char *path) {
    struct buffer out = {.ctx = ctx, .ok = true};
    unsigned char header[BUNDLE_HEADER] = BUNDLE_MAGIC;
    struct atomic_file file;
    tess_status status = put_contents(&out, plans);
    if (!status) status = hash_bytes(ctx, out.data, out.size, header + 24);
    if (status) goto done;
    encode(BUNDLE_VERSION, header + 8);
    encode(out.size, header + 16);
    status = atomic_file_open(path, &ctx->error, &file);
    if (status) goto done;
    status = atomic_file_write(&file, header, sizeof header, &ctx->error);
    if (!status) status = atomic_file_write(&file, out.data, out.size, &ctx->error);
    if (!status)
        status = atomic_file_commit(&file, &ctx->error);
    else
        atomic_file_abort(&file);
done:
    free(out.data);
    return status;
}
