#include "cli/tar.h"

#include "core/atomic_file.h"
#include "core/file_error.h"
#include "core/input_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK = 512, CHUNK = 65536, MAX_NAME = 80, GZIP = 16 };

struct archive {
    struct atomic_file file;
    z_stream stream;
    tess_error *error;
};

/* Compresses data; with end also what zlib still holds. */
static tess_status put(struct archive *out, const void *data, size_t size, bool end) {
    unsigned char packed[4096];
    tess_status status = TESS_OK;
    out->stream.next_in = (unsigned char *)(uintptr_t)data;
    out->stream.avail_in = (uInt)size;
    do {
        out->stream.next_out = packed;
        out->stream.avail_out = sizeof packed;
        if (deflate(&out->stream, end ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
            return error_set(out->error, TESS_INTERNAL, "compressing: zlib refuses; report this");
        size_t made = sizeof packed - out->stream.avail_out;
        status = atomic_file_write(&out->file, packed, made, out->error);
    } while (!status && out->stream.avail_out == 0);
    return status;
}

/* The header of POSIX.1-1988: offsets and widths of its fields are the standard's. */
static void make_header(unsigned char header[BLOCK], const char *prefix, const char *name,
                        int64_t size) {
    unsigned sum = 0;
    char *text = (char *)header;
    memset(header, 0, BLOCK);
    snprintf(text, 100, "%s/%s", prefix, name);
    snprintf(text + 100, 8, "%07o", 0644u);
    snprintf(text + 108, 8, "%07o", 0u);
    snprintf(text + 116, 8, "%07o", 0u);
    snprintf(text + 124, 12, "%011llo", (unsigned long long)size);
    snprintf(text + 136, 12, "%011llo", (unsigned long long)time(NULL));
    memset(header + 148, ' ', 8);
    header[156] = '0';
    memcpy(header + 257, "ustar\00000", 8);
    for (int i = 0; i < BLOCK; i++)
        sum += header[i];
    snprintf(text + 148, 8, "%06o", sum);
}

static tess_status put_file(struct archive *out, const char *folder, const char *prefix,
                            const char *name) {
    static const unsigned char zeros[BLOCK];
    char path[4096], data[CHUNK];
    unsigned char header[BLOCK];
    int64_t size = 0;
    int fd = -1;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    tess_status status = input_file_open(path, "remove it", out->error, &fd, &size);
    if (status) return status;
    make_header(header, prefix, name, size);
    status = put(out, header, sizeof header, false);
    for (int64_t at = 0; at < size && !status; at += CHUNK) {
        int64_t part = size - at < CHUNK ? size - at : CHUNK;
        status = input_file_read(fd, path, at, data, part, out->error);
        if (!status) status = put(out, data, (size_t)part, false);
    }
    if (!status && size % BLOCK) status = put(out, zeros, (size_t)(BLOCK - size % BLOCK), false);
    close(fd);
    return status;
}

static tess_status put_all(struct archive *out, const char *folder, const char *prefix) {
    static const unsigned char end[2 * BLOCK];
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    tess_status status = TESS_OK;
    if (count < 0) return error_file(out->error, errno, folder, "read");
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (!status && name[0] != '.' && strlen(name) < MAX_NAME)
            status = put_file(out, folder, prefix, name);
        free(entries[i]);
    }
    free(entries);
    return status ? status : put(out, end, sizeof end, true);
}

tess_status tar_folder(const char *folder, const char *prefix, const char *path,
                       tess_error *error) {
    struct archive out = {.error = error};
    tess_status status = atomic_file_open(path, error, &out.file);
    if (status) return status;
    if (deflateInit2(&out.stream, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        atomic_file_abort(&out.file);
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "compressing: no host memory; free some");
    }
    status = put_all(&out, folder, prefix);
    deflateEnd(&out.stream);
    if (status)
        atomic_file_abort(&out.file);
    else
        status = atomic_file_commit(&out.file, error);
    return status;
}
