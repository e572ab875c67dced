#include "core/kernel_bundle.h"

#include "core/file_error.h"
#include "core/input_file.h"
#include "core/program_source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ENTRIES = 1 << 20 };
#define MAX_SIZE ((int64_t)1 << 32)

struct plan {
    const char *pass, *problem, *config;
};

struct kernel_bundle {
    char *path;
    unsigned char *data;
    struct bundle_program *programs;
    struct plan *plans;
    size_t program_count, plan_count;
};

void bundle_identity(const tess_device_info *device, const char *out[BUNDLE_IDENTITY]) {
    out[0] = device->name;
    out[1] = device->driver_version;
    out[2] = device->platform_name;
    out[3] = device->platform_version;
    out[4] = device->vendor;
    out[5] = device->opencl_version;
}

void kernel_bundle_close(struct kernel_bundle *bundle) {
    if (!bundle) return;
    free(bundle->path);
    free(bundle->data);
    free(bundle->programs);
    free(bundle->plans);
    free(bundle);
}

const char *kernel_bundle_path(const struct kernel_bundle *bundle) {
    return bundle->path;
}

const struct bundle_program *kernel_bundle_find(const struct kernel_bundle *bundle,
                                                const unsigned char key[32]) {
    for (size_t i = 0; i < bundle->program_count; i++)
        if (memcmp(bundle->programs[i].key, key, 32) == 0) return &bundle->programs[i];
    return NULL;
}

const char *kernel_bundle_plan(const struct kernel_bundle *bundle, const char *pass,
                               const char *problem) {
    for (size_t i = 0; i < bundle->plan_count; i++)
        if (strcmp(bundle->plans[i].problem, problem) == 0 &&
            strcmp(bundle->plans[i].pass, pass) == 0)
            return bundle->plans[i].config;
    return NULL;
}

/* ---------------------------------------------------------------- reading */

/* What is left to read; at becomes NULL at the first thing that does not fit. */
struct reader {
    const unsigned char *at, *end;
};

static const unsigned char *take(struct reader *in, uint64_t size) {
    if (!in->at || size > (uint64_t)(in->end - in->at)) {
        in->at = NULL;
        return NULL;
    }
    const unsigned char *start = in->at;
    in->at += size;
    return start;
}

static uint64_t take_number(struct reader *in) {
    const unsigned char *bytes = take(in, 8);
    uint64_t value = 0;
    for (int i = 7; i >= 0 && bytes; i--)
        value = value << 8 | bytes[i];
    return value;
}

/* Ends with a zero that its length counts. */
static const char *take_text(struct reader *in) {
    uint64_t size = take_number(in);
    const unsigned char *text = take(in, size);
    if (text && (size == 0 || text[size - 1] != '\0')) in->at = NULL;
    return in->at ? (const char *)text : NULL;
}

/* A number of things of at least so many bytes each; 0 where so many cannot be there. */
static size_t take_count(struct reader *in, size_t least) {
    uint64_t count = take_number(in);
    if (in->at && count <= MAX_ENTRIES && count * least <= (uint64_t)(in->end - in->at))
        return (size_t)count;
    in->at = NULL;
    return 0;
}

static tess_status bad(tess_error *error, const char *path, const char *why) {
    return error_set(error, TESS_BAD_FORMAT,
                     "kernels %s: %s; make it anew with 'tessera kernels build'", path, why);
}

static tess_status read_entries(struct kernel_bundle *bundle, struct reader *in,
                                tess_error *error) {
    bundle->program_count = take_count(in, 48);
    bundle->programs = calloc(bundle->program_count + 1, sizeof *bundle->programs);
    if (!bundle->programs) goto no_memory;
    for (size_t i = 0; i < bundle->program_count; i++) {
        struct bundle_program *p = &bundle->programs[i];
        p->key = take(in, 32);
        p->name = take_text(in);
        p->size = (size_t)take_number(in);
        p->binary = take(in, p->size);
        if (!in->at) bundle->program_count = 0;
    }
    bundle->plan_count = take_count(in, 24);
    bundle->plans = calloc(bundle->plan_count + 1, sizeof *bundle->plans);
    if (!bundle->plans) goto no_memory;
    for (size_t i = 0; i < bundle->plan_count; i++) {
        struct plan *p = &bundle->plans[i];
        p->pass = take_text(in);
        p->problem = take_text(in);
        p->config = take_text(in);
        if (!in->at) bundle->plan_count = 0;
    }
    if (!in->at || in->at != in->end) return bad(error, bundle->path, "its contents are damaged");
    return TESS_OK;
no_memory:
    return error_set(error, TESS_OUT_OF_HOST_MEMORY, "kernels %s: no host memory; free some",
                     bundle->path);
}

static tess_status check_device(const char *path, struct reader *in, const tess_device_info *device,
                                tess_error *error) {
    const char *here[BUNDLE_IDENTITY], *there[BUNDLE_IDENTITY];
    bool same = true;
    bundle_identity(device, here);
    for (int i = 0; i < BUNDLE_IDENTITY; i++)
        there[i] = take_text(in);
    if (!in->at) return bad(error, path, "its contents are damaged");
    for (int i = 0; i < BUNDLE_IDENTITY; i++)
        same = same && strcmp(here[i], there[i]) == 0;
    if (same) return TESS_OK;
    char text[4][160];
    const char *const words[] = {there[0], there[1], there[3], there[5]};
    for (int i = 0; i < 4; i++)
        printable(words[i], text[i], sizeof text[i]);
    return error_set(error, TESS_UNSUPPORTED,
                     "kernels %s: made for %s, driver %s (%s, %s); this is %s, driver %s (%s, %s); "
                     "make it anew with 'tessera kernels build' for this device",
                     path, text[0], text[1], text[2], text[3], here[0], here[1], here[3], here[5]);
}

static tess_status check_header(const char *path, const unsigned char *data, size_t size,
                                tess_error *error) {
    struct reader in = {data + 8, data + BUNDLE_HEADER};
    unsigned char hash[32];
    if (size < BUNDLE_HEADER || memcmp(data, BUNDLE_MAGIC, sizeof BUNDLE_MAGIC) != 0)
        return bad(error, path, "it is no bundle of kernels");
    uint64_t version = take_number(&in), length = take_number(&in);
    if (version > BUNDLE_VERSION)
        return error_set(
            error, TESS_UNSUPPORTED,
            "kernels %s: a newer version of Tessera wrote it; use that, or make it anew", path);
    if (length != size - BUNDLE_HEADER) return bad(error, path, "it is cut short or too long");
    if (hash_bytes(NULL, data + BUNDLE_HEADER, (size_t)length, hash) ||
        memcmp(hash, data + 24, 32) != 0)
        return bad(error, path, "its checksum is wrong");
    return TESS_OK;
}

static tess_status read_file(struct kernel_bundle *bundle, tess_error *error, size_t *size) {
    int fd = -1;
    int64_t bytes = 0;
    tess_status status = input_file_open(
        bundle->path, "name a bundle that 'tessera kernels build' made", error, &fd, &bytes);
    if (status) return status;
    if (bytes < BUNDLE_HEADER || bytes > MAX_SIZE)
        status = bad(error, bundle->path, "it is no bundle of kernels");
    if (!status) bundle->data = malloc((size_t)bytes);
    if (!status && !bundle->data)
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "kernels %s: no host memory; free some",
                           bundle->path);
    if (!status) status = input_file_read(fd, bundle->path, 0, bundle->data, bytes, error);
    close(fd);
    *size = (size_t)bytes;
    return status;
}

tess_status kernel_bundle_open(const char *path, const tess_device_info *device, tess_error *error,
                               struct kernel_bundle **out) {
    struct kernel_bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle) bundle->path = strdup(path);
    if (!bundle || !bundle->path) {
        kernel_bundle_close(bundle);
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "kernels: no host memory; free some");
    }
    size_t size = 0;
    tess_status status = read_file(bundle, error, &size);
    if (!status) status = check_header(path, bundle->data, size, error);
    struct reader in = {status ? NULL : bundle->data + BUNDLE_HEADER,
                        status ? NULL : bundle->data + size};
    if (!status) status = check_device(path, &in, device, error);
    if (!status) status = read_entries(bundle, &in, error);
    if (status) {
        kernel_bundle_close(bundle);
        return status;
    }
    *out = bundle;
    return TESS_OK;
}
