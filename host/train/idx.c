/* MNIST and its relatives: IDX files, plain or gzip'd. http://yann.lecun.com/exdb/mnist/, "File formats":
   big-endian magic 0x0000 0x08 rank, the sizes, then bytes. */
#include "train/dataset_open.h"

#include "core/file_error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define IMAGE_MAGIC 0x00000803u
#define LABEL_MAGIC 0x00000801u
#define MAX_COUNT   10000000 /* images; the largest relative, EMNIST, has 814,255 */
#define MAX_SIDE    1024
#define MAX_BYTES   ((uint64_t)1 << 31)

struct idx_file {
    gzFile gz;
    char *path;
    tess_error *error;
};

/* name without or with .gz, whichever is there; zlib reads both. */
static tess_status idx_open(const char *folder, const char *name, struct idx_file *in) {
    const char *suffix = dataset_file_exists(folder, name, "") ? "" : ".gz";
    in->path = dataset_path(folder, name, suffix);
    if (!in->path) return dataset_no_memory(in->error, folder);
    errno = 0;
    in->gz = gzopen(in->path, "rbe");
    if (!in->gz && errno == ENOENT)
        return error_set(in->error, TESS_IO,
                         "%s/%s: neither this file nor %s.gz is there; put the four MNIST files "
                         "(IDX, plain or .gz) into that folder",
                         folder, name, name);
    if (!in->gz) return error_file(in->error, errno ? errno : ENOMEM, in->path, "opened");
    return TESS_OK;
}

static void idx_close(struct idx_file *in) {
    if (in->gz) gzclose_r(in->gz);
    free(in->path);
    *in = (struct idx_file){.error = in->error};
}

/* Reads at most bytes; *got less: the file ends there. */
static tess_status idx_read(struct idx_file *in, void *out, size_t bytes, size_t *got) {
    *got = 0;
    while (*got < bytes) {
        size_t part = bytes - *got < (1u << 30) ? bytes - *got : 1u << 30;
        int result = gzread(in->gz, (char *)out + *got, (unsigned)part);
        if (result > 0) *got += (size_t)result;
        int code = Z_OK;
        const char *text = gzerror(in->gz, &code);
        if (code == Z_ERRNO) return error_file(in->error, errno, in->path, "read");
        if (code == Z_MEM_ERROR) return dataset_no_memory(in->error, in->path);
        if (code == Z_BUF_ERROR)
            return error_set(in->error, TESS_BAD_FORMAT,
                             "%s: the gzip stream ends too early; the file is truncated: download "
                             "it again",
                             in->path);
        if (code != Z_OK && code != Z_STREAM_END) {
            char shown[80];
            return error_set(in->error, TESS_BAD_FORMAT,
                             "%s: the gzip stream is corrupt (%s); download it again", in->path,
                             printable(text, shown, sizeof shown));
        }
        if (result <= 0) break;
    }
    return TESS_OK;
}

static tess_status truncated(const struct idx_file *in, uint64_t want, uint64_t got) {
    return error_set(in->error, TESS_BAD_FORMAT,
                     "%s: truncated: its header announces %llu bytes, %llu are there; download it "
                     "again",
                     in->path, (unsigned long long)want, (unsigned long long)got);
}

static tess_status bad_magic(const struct idx_file *in, uint32_t magic, uint32_t want) {
    const char *wanted = want == IMAGE_MAGIC ? "images" : "labels";
    if (magic == IMAGE_MAGIC || magic == LABEL_MAGIC)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: mislabelled: it should hold %s and holds %s; swap the files' names "
                         "back, or download them again",
                         in->path, wanted, want == IMAGE_MAGIC ? "labels" : "images");
    return error_set(in->error, TESS_BAD_FORMAT,
                     "%s: begins with 0x%08x, and an IDX file of %s with 0x%08x; it is no MNIST "
                     "file: download it again",
                     in->path, (unsigned)magic, wanted, (unsigned)want);
}

/* Reads magic and sizes[0 .. rank-1]. */
static tess_status idx_header(struct idx_file *in, uint32_t magic, uint32_t *sizes) {
    unsigned char bytes[16];
    size_t rank = magic & 0xFF, want = 4 + 4 * rank, got = 0;
    uint32_t words[4] = {0};
    tess_status status = idx_read(in, bytes, want, &got);
    if (status) return status;
    for (size_t i = 0; i < got; i++)
        words[i / 4] = words[i / 4] << 8 | bytes[i];
    if (got >= 4 && words[0] != magic) return bad_magic(in, words[0], magic);
    if (got < want) return truncated(in, want, got);
    memcpy(sizes, words + 1, rank * sizeof *sizes);
    return TESS_OK;
}

/* Reads exactly want bytes, and the file must end there. Memory grows with what is really there. *out is freed by
   the caller. header: bytes read before, for the message. */
static tess_status idx_body(struct idx_file *in, size_t want, size_t header, uint8_t **out) {
    size_t have = 0, room = 0;
    uint8_t *data = NULL;
    tess_status status = TESS_OK;
    while (have < want) {
        room = room ? 2 * room : 1 << 20;
        if (room > want) room = want;
        uint8_t *grown = realloc(data, room);
        if (!grown) {
            status = dataset_no_memory(in->error, in->path);
            goto fail;
        }
        data = grown;
        size_t got = 0;
        if ((status = idx_read(in, data + have, room - have, &got))) goto fail;
        have += got;
        if (have < room) {
            status = truncated(in, header + want, header + have);
            goto fail;
        }
    }
    char extra;
    size_t extras = 0;
    if ((status = idx_read(in, &extra, 1, &extras))) goto fail;
    if (extras) {
        status = error_set(in->error, TESS_BAD_FORMAT,
                           "%s: oversized: bytes follow the %llu that its header announces; "
                           "download it again",
                           in->path, (unsigned long long)header + want);
        goto fail;
    }
    *out = data;
    return TESS_OK;
fail:
    free(data);
    return status;
}

static tess_status check_count(const struct idx_file *in, uint32_t count) {
    if (count >= 1 && count <= MAX_COUNT) return TESS_OK;
    return error_set(in->error, TESS_BAD_FORMAT,
                     "%s: its header announces %lu items, and 1 to %d are sensible; it is damaged: "
                     "download it again",
                     in->path, (unsigned long)count, MAX_COUNT);
}

static tess_status read_images(struct idx_file *in, struct dataset *data) {
    uint32_t sizes[3] = {0};
    tess_status status = idx_header(in, IMAGE_MAGIC, sizes);
    if (status || (status = check_count(in, sizes[0]))) return status;
    if (sizes[1] < 1 || sizes[1] > MAX_SIDE || sizes[2] < 1 || sizes[2] > MAX_SIDE ||
        (uint64_t)sizes[0] * sizes[1] * sizes[2] > MAX_BYTES)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: its header announces %lu images of %lux%lu pixels, and at most "
                         "%dx%d and 2 GiB in all are sensible; it is damaged: download it again",
                         in->path, (unsigned long)sizes[0], (unsigned long)sizes[1],
                         (unsigned long)sizes[2], MAX_SIDE, MAX_SIDE);
    data->count = (int)sizes[0];
    data->h = (int)sizes[1];
    data->w = (int)sizes[2];
    return idx_body(in, (size_t)sizes[0] * sizes[1] * sizes[2], 16, &data->pixels);
}

static tess_status read_labels(struct idx_file *in, struct dataset *data) {
    uint32_t count = 0;
    uint8_t *bytes = NULL;
    tess_status status = idx_header(in, LABEL_MAGIC, &count);
    if (status || (status = check_count(in, count))) return status;
    if ((int)count != data->count)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: %lu labels for %d images; the two files do not belong together: "
                         "download both again",
                         in->path, (unsigned long)count, data->count);
    if ((status = idx_body(in, count, 8, &bytes))) return status;
    data->labels = malloc(count * sizeof *data->labels);
    if (!data->labels) {
        free(bytes);
        return dataset_no_memory(in->error, in->path);
    }
    for (uint32_t i = 0; i < count && !status; i++) {
        data->labels[i] = bytes[i]; /* NOLINT: idx_body has made bytes */
        if (bytes[i] >= data->classes)
            status = error_set(in->error, TESS_BAD_FORMAT,
                               "%s: label %d of image %lu is more than 9; it is damaged: download "
                               "it again",
                               in->path, bytes[i], (unsigned long)i);
    }
    free(bytes);
    return status;
}

static bool part_exists(const char *folder, const char *prefix) {
    static const char *const names[] = {"-images-idx3-ubyte", "-labels-idx1-ubyte"};
    for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s%s", prefix, names[i]);
        if (dataset_file_exists(folder, name, "") || dataset_file_exists(folder, name, ".gz"))
            return true;
    }
    return false;
}

tess_status mnist_open(const char *rest, const struct dataset_options *options, tess_error *error,
                       struct dataset *data) {
    const char *first = options->test_part ? "t10k" : "train";
    const char *other = options->test_part ? "train" : "t10k";
    tess_status status = dataset_check_folder(rest, error);
    if (status) return status;
    const char *part = part_exists(rest, first) || !part_exists(rest, other) ? first : other;
    struct idx_file in = {.error = error};
    char name[32];
    data->c = 1;
    data->classes = 10;
    data->mean[0] = 0.1307f;
    data->std[0] = 0.3081f;
    snprintf(data->name, sizeof data->name, "MNIST, %s files", part);
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", part);
    status = idx_open(rest, name, &in);
    if (!status) status = read_images(&in, data);
    idx_close(&in);
    if (status) return status;
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", part);
    status = idx_open(rest, name, &in);
    if (!status) status = read_labels(&in, data);
    idx_close(&in);
    return status;
}
