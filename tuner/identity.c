#include "tuner/identity.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"
#include "core/program.h"
#include "core/program_cache.h"
#include "core/program_source.h"
#include "core/tensor.h"

enum { HASH = 32, PACKED_COPY = 6 /* a role, see role_of */ };
static const double slow_binary = 0.05; /* seconds; a driver that takes longer compiles */

/* The code of the program that program_cache_key calls key. */
struct code {
    unsigned char key[HASH], hash[HASH];
};

/* Text that is hashed in the end. */
struct text {
    unsigned char *bytes;
    size_t used, room;
    bool failed;
};

struct identity {
    tess_context *ctx;
    struct code *codes;
    size_t count, room;
    bool binaries; /* they are cheap */
    struct text text;
    struct instance *instance; /* whose launches are looked at */
};

static void append(struct text *text, const void *bytes, size_t size) {
    if (text->failed) return;
    if (text->used + size > text->room) {
        size_t room = 2 * (text->used + size);
        unsigned char *more = realloc(text->bytes, room);
        if (!more) {
            text->failed = true;
            return;
        }
        text->bytes = more;
        text->room = room;
    }
    memcpy(text->bytes + text->used, bytes, size);
    text->used += size;
}

/* ---------------------------------------------------------------- code */

static bool is_name(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* Whether the name of size characters occurs in source as a word. */
static bool occurs(const char *source, const char *name, size_t size) {
    char first[2] = {name[0], '\0'};
    for (const char *at = strpbrk(source, first); at; at = strpbrk(at + 1, first))
        if ((at == source || !is_name(at[-1])) && strncmp(at, name, size) == 0 &&
            !is_name(at[size]))
            return true;
    return false;
}

/* Options but the definitions of what the source does not name. */
static void append_options(struct text *text, const char *options, const char *source) {
    for (const char *at = options; *at;) {
        size_t size = strcspn(at, " ");
        bool definition = strncmp(at, "-D", 2) == 0 && size > 2;
        size_t name = definition ? strcspn(at + 2, "= ") : 0;
        if (!definition || occurs(source, at + 2, name)) append(text, at, size + 1);
        at += size + (at[size] == ' ');
    }
}

static struct code *find_code(struct identity *identity, const unsigned char key[HASH]) {
    for (size_t i = 0; i < identity->count; i++)
        if (memcmp(identity->codes[i].key, key, HASH) == 0) return &identity->codes[i];
    return NULL;
}

static struct code *add_code(struct identity *identity, const unsigned char key[HASH]) {
    if (identity->count == identity->room) {
        size_t room = identity->room ? 2 * identity->room : 64;
        struct code *more = realloc(identity->codes, room * sizeof *more);
        if (!more) return NULL;
        identity->codes = more;
        identity->room = room;
    }
    struct code *code = &identity->codes[identity->count];
    memcpy(code->key, key, HASH);
    return code;
}

/* A program_observer. */
static void note(void *user, const struct program_event *event) {
    struct identity *identity = user;
    unsigned char key[HASH];
    if (event->log) return;
    tess_context *ctx = identity->ctx;
    if (program_cache_key(ctx, event->source, event->options, key) || find_code(identity, key))
        return;
    struct code *code = add_code(identity, key);
    struct text text = {NULL};
    append_options(&text, event->options, event->source);
    append(&text, event->source, strlen(event->source));
    if (code && !text.failed && !hash_bytes(ctx, text.bytes, text.used, code->hash))
        identity->count++;
    free(text.bytes);
}

struct search {
    struct identity *identity;
    cl_program program;
    bool found;
    unsigned char hash[HASH];
};

static bool hash_binary(struct identity *identity, cl_program program, unsigned char hash[HASH]) {
    unsigned char *binary = NULL;
    size_t size = 0;
    double start = timing_now();
    bool good = program_binary(identity->ctx, program, &binary, &size) == CL_SUCCESS &&
                !hash_bytes(identity->ctx, binary, size, hash);
    free(binary);
    identity->binaries = good && timing_now() - start < slow_binary;
    return identity->binaries;
}

/* A program_visitor. */
static tess_status look_up(void *user, const char *file, const char *config,
                           const unsigned char key[32], cl_program program) {
    struct search *search = user;
    (void)file, (void)config;
    if (program != search->program) return TESS_OK;
    const struct code *code = find_code(search->identity, key);
    search->found = code != NULL;
    if (code) memcpy(search->hash, code->hash, HASH);
    if (search->identity->binaries && hash_binary(search->identity, program, search->hash))
        search->found = true;
    return TESS_OK;
}

static void append_code(struct identity *identity, cl_kernel kernel) {
    char name[128];
    struct search search = {.identity = identity};
    cl_int code =
        clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof search.program, &search.program, NULL);
    if (code == CL_SUCCESS)
        code = clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
    if (code == CL_SUCCESS) programs_each(identity->ctx, look_up, &search);
    if (!search.found) {
        identity->text.failed = true;
        return;
    }
    append(&identity->text, search.hash, HASH);
    append(&identity->text, name, strlen(name) + 1);
}

/* ---------------------------------------------------------------- launches */

/* Which tensor of the instance it is, 1 and up; 0: none. Their addresses differ from instance to instance. */
static unsigned char role_of(const struct instance *instance, cl_mem mem) {
    const struct guarded *operand = instance->bench->operand;
    const struct guarded *const all[] = {&operand[0], &operand[1], &operand[2], &instance->packed,
                                         &instance->workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->tensor && all[i]->tensor->mem == mem) return (unsigned char)(i + 1);
    for (int i = 0; i < instance->packed_copies.count; i++)
        if (instance->packed_copies.copies[i].tensor->mem == mem) return PACKED_COPY;
    return 0;
}

static void append_argument(struct identity *identity, const struct kernel_arg *arg) {
    unsigned char role = 0;
    if (!arg->local && arg->size == sizeof(cl_mem) && arg->value.mem)
        role = role_of(identity->instance, arg->value.mem);
    unsigned char kind = (unsigned char)(arg->local ? 100 : role);
    append(&identity->text, &kind, 1);
    append(&identity->text, &arg->size, sizeof arg->size);
    if (!arg->local && !role) append(&identity->text, &arg->value, arg->size);
}

/* A kernel_observer. */
static void note_launch(void *user, cl_kernel kernel, const struct kernel_range *range,
                        const struct kernel_arg *args, unsigned count) {
    struct identity *identity = user;
    append_code(identity, kernel);
    append(&identity->text, &range->dims, sizeof range->dims);
    append(&identity->text, range->global, range->dims * sizeof *range->global);
    append(&identity->text, range->local, range->dims * sizeof *range->local);
    for (unsigned i = 0; i < count; i++)
        append_argument(identity, &args[i]);
}

void identity_of(struct identity *identity, struct instance *instance, char out[IDENTITY_SIZE]) {
    unsigned char hash[HASH];
    tess_context *ctx = identity->ctx;
    struct text *text = &identity->text;
    text->used = 0;
    text->failed = false;
    identity->instance = instance;
    append(text, &instance->bytes, sizeof instance->bytes);
    kernel_observe(ctx, note_launch, identity);
    tess_status status = instance_pack(instance);
    append(text, "", 1); /* where packing ends */
    if (!status) status = instance_run(instance);
    kernel_observe(ctx, NULL, NULL);
    if (!status && !text->failed) status = hash_bytes(ctx, text->bytes, text->used, hash);
    out[0] = '\0';
    if (!status && !text->failed) hash_hex(hash, out);
}

struct identity *identity_create(tess_context *ctx) {
    struct identity *identity = calloc(1, sizeof *identity);
    if (!identity) return NULL;
    identity->ctx = ctx;
    identity->binaries = strcmp(ctx->device.platform_name, POCL_PLATFORM) != 0;
    program_observe(ctx, note, identity);
    return identity;
}

void identity_destroy(struct identity *identity) {
    if (!identity) return;
    program_observe(identity->ctx, NULL, NULL);
    free(identity->codes);
    free(identity->text.bytes);
    free(identity);
}
