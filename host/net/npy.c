#include "net/npy.h"

#include "core/atomic_file.h"
#include "core/file_error.h"
#include "core/input_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN  64 /* size of a text in a message */
#define PREFIX 12 /* bytes before the header of version 2.0 */

static const struct {
    int dtype;
    const char *descr;
} descrs[] = {
    {ONNX_FLOAT, "<f4"},  {ONNX_DOUBLE, "<f8"}, {ONNX_FLOAT16, "<f2"}, {ONNX_INT64, "<i8"},
    {ONNX_INT32, "<i4"},  {ONNX_INT16, "<i2"},  {ONNX_INT8, "|i1"},    {ONNX_UINT64, "<u8"},
    {ONNX_UINT32, "<u4"}, {ONNX_UINT16, "<u2"}, {ONNX_UINT8, "|u1"},   {ONNX_BOOL, "|b1"},
};

struct reader {
    const char *path;
    int fd;
    int64_t size;   /* of the file */
    int64_t start;  /* of the data */
    const char *at; /* in the header, which a zero ends */
    tess_error *error;
};

static tess_status damaged(const struct reader *in, const char *why) {
    return error_set(in->error, TESS_BAD_FORMAT,
                     "%s: %s; it is damaged or no .npy file: save it again with numpy.save",
                     in->path, why);
}

static tess_status no_memory(const struct reader *in) {
    return error_set(in->error, TESS_OUT_OF_HOST_MEMORY,
                     "%s: no memory to read it; free some memory", in->path);
}

/* ---------------------------------------------------------------- the header: a Python dictionary */

static void skip_spaces(struct reader *in) {
    while (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r')
        in->at++;
}

/* True, and goes beyond it, if this character comes next. */
static bool take(struct reader *in, char c) {
    skip_spaces(in);
    if (*in->at != c) return false;
    in->at++;
    return true;
}

static bool take_word(struct reader *in, const char *word) {
    skip_spaces(in);
    size_t length = strlen(word);
    if (strncmp(in->at, word, length) != 0) return false;
    in->at += length;
    return true;
}

/* A string in quotes, without escapes. */
static bool take_string(struct reader *in, char *out, size_t size) {
    skip_spaces(in);
    char quote = *in->at;
    if (quote != '\'' && quote != '"') return false;
    const char *end = strchr(in->at + 1, quote);
    if (!end || (size_t)(end - in->at) > size) return false;
    size_t length = (size_t)(end - in->at) - 1;
    memcpy(out, in->at + 1, length);
    out[length] = '\0';
    in->at = end + 1;
    return true;
}

/* A size; what is beyond INT64_MAX becomes that. Python 2 writes an L behind it. */
static bool take_size(struct reader *in, int64_t *out) {
    skip_spaces(in);
    if (*in->at < '0' || *in->at > '9') return false;
    int64_t value = 0;
    for (; *in->at >= '0' && *in->at <= '9'; in->at++)
        value = value > (INT64_MAX - 9) / 10 ? INT64_MAX : value * 10 + (*in->at - '0');
    if (*in->at == 'L') in->at++;
    *out = value;
    return true;
}

static tess_status take_descr(struct reader *in, struct onnx_tensor *tensor) {
    char descr[SHOWN], shown[SHOWN];
    if (!take_string(in, descr, sizeof descr))
        return error_set(in->error, TESS_UNSUPPORTED,
                         "%s: its elements are records; save an array of numbers", in->path);
    for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++)
        if (strcmp(descrs[i].descr, descr) == 0) tensor->dtype = descrs[i].dtype;
    if (tensor->dtype) return TESS_OK;
    return error_set(in->error, TESS_UNSUPPORTED,
                     "%s: its elements are of type '%s', which is not read; convert it, for "
                     "instance with .astype('<f4')",
                     in->path, printable(descr, shown, sizeof shown));
}

static tess_status take_shape(struct reader *in, struct onnx_tensor *tensor) {
    if (!take(in, '(')) return damaged(in, "its shape is no tuple");
    while (!take(in, ')')) {
        int64_t size;
        if (!take_size(in, &size)) return damaged(in, "its shape is no tuple of sizes");
        if (tensor->rank == ONNX_MAX_RANK)
            return error_set(in->error, TESS_UNSUPPORTED,
                             "%s: has more than %d dimensions; reshape it", in->path,
                             ONNX_MAX_RANK);
        tensor->dims[tensor->rank++] = size;
        skip_spaces(in);
        if (*in->at != ')' && !take(in, ',')) return damaged(in, "its shape is no tuple");
    }
    return TESS_OK;
}

enum { KEY_DESCR = 1, KEY_ORDER = 2, KEY_SHAPE = 4 };

/* One "key: value" of the dictionary; seen collects the keys. */
static tess_status take_entry(struct reader *in, struct onnx_tensor *tensor, int *seen,
                              bool *fortran) {
    char key[SHOWN];
    if (!take_string(in, key, sizeof key) || !take(in, ':'))
        return damaged(in, "its header is no dictionary");
    int bit = strcmp(key, "descr") == 0           ? KEY_DESCR
              : strcmp(key, "fortran_order") == 0 ? KEY_ORDER
              : strcmp(key, "shape") == 0         ? KEY_SHAPE
                                                  : 0;
    if (!bit || (*seen & bit)) return damaged(in, "its header has unknown or double entries");
    *seen |= bit;
    if (bit == KEY_DESCR) return take_descr(in, tensor);
    if (bit == KEY_SHAPE) return take_shape(in, tensor);
    *fortran = take_word(in, "True");
    if (!*fortran && !take_word(in, "False"))
        return damaged(in, "its order is neither True nor False");
    return TESS_OK;
}

static tess_status parse_header(struct reader *in, struct onnx_tensor *tensor) {
    int seen = 0;
    bool fortran = false;
    if (!take(in, '{')) return damaged(in, "its header is no dictionary");
    while (!take(in, '}')) {
        tess_status status = take_entry(in, tensor, &seen, &fortran);
        if (status) return status;
        skip_spaces(in);
        if (*in->at != '}' && !take(in, ',')) return damaged(in, "its header is no dictionary");
    }
    skip_spaces(in);
    if (*in->at) return damaged(in, "its header goes on after the dictionary");
    if (seen != (KEY_DESCR | KEY_ORDER | KEY_SHAPE))
        return damaged(in, "its header lacks descr, fortran_order or shape");
    if (fortran && tensor->rank > 1)
        return error_set(in->error, TESS_UNSUPPORTED,
                         "%s: is in Fortran order; save numpy.ascontiguousarray of it", in->path);
    return onnx_count(tensor->dims, tensor->rank, in->path, "shape", in->error, &tensor->count);
}

/* ---------------------------------------------------------------- the file */

static tess_status read_at(const struct reader *in, int64_t offset, void *out, int64_t bytes) {
    return input_file_read(in->fd, in->path, offset, out, bytes, in->error);
}

/* Magic, version and length; sets start. */
static tess_status read_prefix(struct reader *in, int64_t *header, int64_t *length) {
    unsigned char prefix[PREFIX] = {0};
    int64_t have = in->size < PREFIX ? in->size : PREFIX;
    tess_status status = read_at(in, 0, prefix, have);
    if (status) return status;
    if (have < 10 || memcmp(prefix, "\x93NUMPY", 6) != 0)
        return damaged(in, "does not begin as a .npy file");
    if (prefix[6] < 1 || prefix[6] > 3 || prefix[7] != 0)
        return error_set(in->error, TESS_UNSUPPORTED,
                         "%s: is of .npy version %d.%d, and 1.0 to 3.0 are read; save it with "
                         "another NumPy",
                         in->path, prefix[6], prefix[7]);
    *header = prefix[6] == 1 ? 10 : 12;
    *length = prefix[8] | prefix[9] << 8;
    if (prefix[6] > 1) *length |= (int64_t)prefix[10] << 16 | (int64_t)prefix[11] << 24;
    if (have < *header || *length > in->size - *header || *length > NPY_MAX_HEADER)
        return damaged(in, "its header is cut short or too long");
    in->start = *header + *length;
    return TESS_OK;
}

static tess_status read_header(struct reader *in, struct onnx_tensor *tensor) {
    int64_t offset = 0, length = 0;
    tess_status status = read_prefix(in, &offset, &length);
    if (status) return status;
    char *text = calloc(1, (size_t)length + 1);
    if (!text) return no_memory(in);
    status = read_at(in, offset, text, length);
    in->at = text;
    if (!status && strlen(text) != (size_t)length)
        status = damaged(in, "its header has a zero byte in it");
    if (!status) status = parse_header(in, tensor);
    free(text);
    return status;
}

static tess_status read_data(struct reader *in, struct onnx_tensor *tensor) {
    size_t size = onnx_dtype_size(tensor->dtype);
    int64_t bytes = tensor->count * (int64_t)size;
    if (bytes != in->size - in->start)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "%s: its shape needs %lld bytes of data, and %lld follow; it is damaged: "
                         "save it again",
                         in->path, (long long)bytes, (long long)(in->size - in->start));
    tensor->owned = malloc(bytes ? (size_t)bytes : 1);
    if (!tensor->owned) return no_memory(in);
    tess_status status = read_at(in, in->start, tensor->owned, bytes);
    onnx_from_little_endian(tensor->owned, (size_t)tensor->count, size);
    unsigned char *flags = tensor->dtype == ONNX_BOOL ? tensor->owned : NULL;
    for (int64_t i = 0; flags && !status && i < bytes; i++)
        if (flags[i] > 1) status = damaged(in, "a bool is neither 0 nor 1");
    tensor->data = tensor->owned;
    return status;
}

tess_status npy_read(const char *path, tess_error *error, struct onnx_tensor *out) {
    if (!path || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         ".npy: no path or nowhere to put the tensor; give both");
    struct reader in = {.path = path, .fd = -1, .error = error};
    struct onnx_tensor tensor = {.name = ""};
    tess_status status = input_file_open(path, "name a .npy file", error, &in.fd, &in.size);
    if (!status) status = read_header(&in, &tensor);
    if (!status) status = read_data(&in, &tensor);
    if (in.fd >= 0) close(in.fd);
    if (status) {
        onnx_tensor_clear(&tensor);
        return status;
    }
    *out = tensor;
    return TESS_OK;
}

/* ---------------------------------------------------------------- writing */

/* The whole header into out (with room for it): a multiple of 64 bytes. Gives its length. */
static size_t format_header(const struct onnx_tensor *tensor, const char *descr, char out[512]) {
    char shape[256] = "";
    size_t used = 0;
    for (int d = 0; d < tensor->rank; d++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, d ? ", %lld" : "%lld",
                                 (long long)tensor->dims[d]);
    int text = snprintf(out + 10, 500, "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }",
                        descr, shape, tensor->rank == 1 ? "," : "");
    size_t end = 10 + (size_t)text, total = (end + 1 + 63) / 64 * 64;
    memset(out + end, ' ', total - end - 1);
    out[total - 1] = '\n';
    memcpy(out, "\x93NUMPY\x01", 7);
    out[7] = 0;
    out[8] = (char)((total - 10) & 0xFF);
    out[9] = (char)((total - 10) >> 8);
    return total;
}

/* In the file's byte order, by pieces. */
static tess_status write_data(struct atomic_file *file, const struct onnx_tensor *tensor,
                              tess_error *error) {
    char piece[4096]; /* a multiple of each element's size */
    size_t size = onnx_dtype_size(tensor->dtype), bytes = (size_t)tensor->count * size;
    tess_status status = TESS_OK;
    for (size_t done = 0; done < bytes && !status; done += sizeof piece) {
        size_t part = bytes - done < sizeof piece ? bytes - done : sizeof piece;
        memcpy(piece, (const char *)tensor->data + done, part);
        onnx_from_little_endian(piece, part / size, size); /* its own inverse */
        status = atomic_file_write(file, piece, part, error);
    }
    return status;
}

tess_status npy_write(const char *path, const struct onnx_tensor *tensor, tess_error *error) {
    const char *descr = NULL;
    char header[512];
    struct atomic_file file;
    if (!path || !tensor || tensor->rank < 0 || tensor->rank > ONNX_MAX_RANK)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         ".npy: no path or no valid tensor; give both");
    for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++)
        if (descrs[i].dtype == tensor->dtype) descr = descrs[i].descr;
    if (!descr)
        return error_set(error, TESS_UNSUPPORTED,
                         "%s: elements of %s cannot be stored as .npy; convert them", path,
                         onnx_dtype_name(tensor->dtype));
    tess_status status = atomic_file_open(path, error, &file);
    if (status) return status;
    status = atomic_file_write(&file, header, format_header(tensor, descr, header), error);
    if (!status) status = write_data(&file, tensor, error);
    if (!status) return atomic_file_commit(&file, error);
    atomic_file_abort(&file);
    return status;
}
