#include "core/cache_file.h"

#include "core/program_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       "TESSBIN"
#define VERSION     1
#define HEADER_SIZE 88
#define MAX_PAYLOAD ((uint64_t)1 << 30)

static void put_u64(unsigned char *out, uint64_t value) {
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get_u64(const unsigned char *in) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | in[i];
    return value;
}

/* folder/KEY followed by suffix; freed by the caller, NULL without memory. */
static char *entry_path(const tess_context *ctx, const unsigned char key[32], const char *suffix) {
    char hex[65];
    hash_hex(key, hex);
    size_t size = strlen(ctx->cache_dir) + sizeof hex + strlen(suffix) + 2;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s/%s%s", ctx->cache_dir, hex, suffix);
    return path;
}

static bool read_all(int file, void *data, size_t size) {
    for (char *at = data; size > 0;) {
        ssize_t got = read(file, at, size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static bool write_all(int file, const void *data, size_t size) {
    for (const char *at = data; size > 0;) {
        ssize_t put = write(file, at, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

/* What is wrong with the open file, NULL if nothing is; then *payload is the caller's. */
static const char *read_entry(tess_context *ctx, int file, const unsigned char key[32],
                              unsigned char **payload, size_t *size) {
    struct stat info;
    unsigned char header[HEADER_SIZE], hash[32];
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) return "not a file";
    if (!read_all(file, header, sizeof header)) return "truncated header";
    if (memcmp(header, MAGIC, sizeof MAGIC) != 0 || get_u64(header + 8) != VERSION)
        return "of another format";
    if (memcmp(header + 16, key, 32) != 0) return "it has another key";
    uint64_t length = get_u64(header + 48);
    if (length == 0 || length > MAX_PAYLOAD || (uint64_t)info.st_size != HEADER_SIZE + length)
        return "its size is wrong";
    unsigned char *data = malloc((size_t)length);
    if (!data) return "out of memory";
    const char *wrong = NULL;
    if (!read_all(file, data, (size_t)length))
        wrong = "truncated";
    else if (hash_bytes(ctx, data, (size_t)length, hash) || memcmp(hash, header + 56, 32) != 0)
        wrong = "its checksum is wrong";
    if (wrong) {
        free(data);
        return wrong;
    }
    *payload = data;
    *size = (size_t)length;
    return NULL;
}

bool cache_file_read(tess_context *ctx, const unsigned char key[32], unsigned char **payload,
                     size_t *size) {
    char *path = entry_path(ctx, key, ".bin");
    if (!path) return false;
    /* O_NONBLOCK: a FIFO in the entry's place must not hang us. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *wrong = NULL;
    bool found = false;
    if (file >= 0) {
        wrong = read_entry(ctx, file, key, payload, size);
        found = !wrong;
        close(file);
    } else if (errno != ENOENT) {
        wrong = strerror(errno);
    }
    if (wrong) context_log(ctx, TESS_LOG_DEBUG, "program cache: ignoring %s: %s", path, wrong);
    free(path);
    return found;
}

static bool write_entry(tess_context *ctx, int file, const unsigned char key[32],
                        const unsigned char *payload, size_t size) {
    unsigned char header[HEADER_SIZE] = MAGIC;
    put_u64(header + 8, VERSION);
    memcpy(header + 16, key, 32);
    put_u64(header + 48, size);
    if (hash_bytes(ctx, payload, size, header + 56)) return false;
    return write_all(file, header, sizeof header) && write_all(file, payload, size);
}

void cache_file_write(tess_context *ctx, const unsigned char key[32], const unsigned char *payload,
                      size_t size) {
    char suffix[64];
    snprintf(suffix, sizeof suffix, ".%ld.XXXXXX", (long)getpid());
    char *temporary = entry_path(ctx, key, suffix);
    char *path = entry_path(ctx, key, ".bin");
    int file = -1;
    bool whole = false;
    if (!path || !temporary) goto done;
    file = mkstemp(temporary);
    if (file < 0) goto done;
    whole = write_entry(ctx, file, key, payload, size);
    whole = close(file) == 0 && whole;
    whole = whole && rename(temporary, path) == 0;
    /* A folder in the entry's place can go only if it is empty; the next start tries again. */
    if (!whole && errno == EISDIR && rmdir(path) == 0) whole = rename(temporary, path) == 0;
done:
    if (!whole)
        context_log(ctx, TESS_LOG_DEBUG, "program cache: cannot write %s: %s",
                    path ? path : "an entry", strerror(errno));
    if (!whole && file >= 0) unlink(temporary);
    free(temporary);
    free(path);
}

/* 64 hexadecimal digits and ".bin" */
static bool read_key(const char *name, unsigned char key[32]) {
    if (strspn(name, "0123456789abcdef") != 64 || strcmp(name + 64, ".bin") != 0) return false;
    for (int i = 0; i < 32; i++) {
        char digits[3] = {name[2 * i], name[2 * i + 1], '\0'};
        key[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return true;
}

const char *cache_file_check(const char *folder, const char *name, size_t *size) {
    char path[4096];
    unsigned char key[32], *payload = NULL;
    *size = 0;
    if (!read_key(name, key)) return "its name is none of an entry";
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return strerror(errno);
    const char *wrong = read_entry(NULL, file, key, &payload, size);
    close(file);
    free(payload);
    return wrong;
}
