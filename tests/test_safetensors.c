/* safetensors: round trips, bytes on disk, every damaged file refused. */
#include "support/folder.h"

#include "net/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file with this header (not padded) and data_bytes bytes 0, 1, 2 ... of data. Gives its size. */
static size_t write_raw(const char *path, const char *header, size_t data_bytes) {
    size_t length = strlen(header), size = 8 + length + data_bytes;
    unsigned char *bytes = check_alloc(size);
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + length + i] = (unsigned char)i;
    bytes_write(path, bytes, size);
    free(bytes);
    return size;
}

/* Reading must fail with this status and a one-line message that names the file and holds text. */
static void expect_refused(const char *path, tess_status want, const char *text) {
    struct safetensors *untouched = (struct safetensors *)&want, *out = untouched;
    tess_error error = {0};
    tess_status status = safetensors_read(path, &error, &out);
    if (status != want)
        fail_msg("want \"%s\": %s instead: %s", text, tess_status_string(status), error.text);
    assert_ptr_equal(out, untouched);
    assert_int_equal(error.status, want);
    if (!strstr(error.text, text)) fail_msg("want \"%s\" in \"%s\"", text, error.text);
    if (!strstr(error.text, path)) fail_msg("no file name in \"%s\"", error.text);
    if (!strchr(error.text, ';') || strchr(error.text, '\n'))
        fail_msg("no \"what: why; what to do\" in one line: \"%s\"", error.text);
}

static float weight_data[6] = {1.0f, -2.5f, 0x1p-149f, 3.4e38f, 0.0f, -0.0f};
static float bias_data[3] = {10.0f, 20.0f, 30.0f};
static float single_data[1] = {42.0f};

static struct safetensor sample_tensors[] = {
    {.name = "conv1.weight", .rank = 4, .shape = {1, 1, 2, 3}, .data = weight_data},
    {.name = "\xC3\xA9\"\\\n.bias", .rank = 1, .shape = {3}, .data = bias_data},
    {.name = "empty", .rank = 2, .shape = {0, 7}, .data = NULL},
    {.name = "step", .rank = 0, .data = single_data},
};
static char *sample_metadata[] = {"zeta", "1", "alpha", "two\nlines", "", NULL};

static struct safetensors sample(void) {
    return (struct safetensors){.tensors = sample_tensors, .count = 4};
}

static void write_sample(const char *path) {
    struct safetensors file = sample();
    tess_error error = {0};
    if (safetensors_write(path, &file, &error)) fail_msg("%s", error.text);
}

static struct safetensors *read_ok(const char *path) {
    struct safetensors *file = NULL;
    tess_error error = {0};
    if (safetensors_read(path, &error, &file)) fail_msg("%s", error.text);
    assert_non_null(file);
    return file;
}

/* ---------------------------------------------------------------- round trips */

static void test_round_trip(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    struct safetensors file = sample();
    char *metadata[] = {sample_metadata[0], sample_metadata[1], sample_metadata[2],
                        sample_metadata[3], NULL};
    file.metadata = metadata;
    tess_error error = {0};
    assert_int_equal(safetensors_write(path, &file, &error), TESS_OK);
    struct safetensors *back = read_ok(path);
    assert_int_equal(back->count, 4);
    for (int i = 0; i < 4; i++) {
        const struct safetensor *want = &sample_tensors[i], *got = &back->tensors[i];
        assert_string_equal(got->name, want->name);
        assert_int_equal(got->rank, want->rank);
        size_t count = 1;
        for (int d = 0; d < want->rank; d++) {
            assert_int_equal(got->shape[d], want->shape[d]);
            count *= (size_t)want->shape[d];
        }
        if (count) check_same_bytes(got->data, want->data, count * sizeof(float), want->name);
    }
    assert_ptr_equal(safetensors_find(back, "step"), &back->tensors[3]);
    assert_null(safetensors_find(back, "ste"));
    assert_null(safetensors_find(back, NULL));
    assert_string_equal(safetensors_metadata(back, "alpha"), "two\nlines");
    assert_string_equal(safetensors_metadata(back, "zeta"), "1");
    assert_null(safetensors_metadata(back, "1"));
    assert_string_equal(back->metadata[0], "zeta");
    assert_null(back->metadata[4]);
    safetensors_destroy(back);
    safetensors_destroy(NULL);
}

/* The bytes on disk, spelled out. */
static void test_exact_bytes(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    float data[2] = {1.0f, -2.0f};
    struct safetensor tensors[] = {{.name = "b", .rank = 1, .shape = {1}, .data = data},
                                   {.name = "a", .rank = 2, .shape = {1, 1}, .data = data + 1}};
    char *metadata[] = {"k", "v", NULL};
    struct safetensors file = {.tensors = tensors, .count = 2, .metadata = metadata};
    assert_int_equal(safetensors_write(path, &file, NULL), TESS_OK);
    static const char header[] =
        "{\"__metadata__\":{\"k\":\"v\"},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[4,8]}}";
    static const unsigned char values[8] = {0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0};
    size_t size = 0, padded = (sizeof header - 1 + 7) / 8 * 8;
    unsigned char *bytes = bytes_read(path, &size);
    assert_int_equal(size, 8 + padded + 8);
    assert_int_equal(bytes[0], padded);
    assert_memory_equal(bytes + 1, "\0\0\0\0\0\0", 7);
    assert_memory_equal(bytes + 8, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < padded; i++)
        assert_int_equal(bytes[8 + i], ' ');
    assert_memory_equal(bytes + 8 + padded, values, 8);
    free(bytes);
}

/* Foreign files: spaces, other key orders, data in another order than the header, unknown fields. */
static void test_reads_foreign(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    write_raw(path,
              "{ \"z\" : {\"shape\":[2],\"data_offsets\":[4,12],\"dtype\":\"F32\",\"x\":null},\n"
              " \"a\":{\"data_offsets\":[0,4],\"dtype\":\"F32\",\"shape\":[]},"
              " \"__metadata__\":{}}   ",
              12);
    struct safetensors *file = read_ok(path);
    assert_int_equal(file->count, 2);
    assert_string_equal(file->tensors[0].name, "z");
    static const unsigned char z[8] = {4, 5, 6, 7, 8, 9, 10, 11}, a[4] = {0, 1, 2, 3};
    float want[2];
    memcpy(want, z, 8);
    assert_memory_equal(file->tensors[0].data, want, 8);
    memcpy(want, a, 4);
    assert_memory_equal(file->tensors[1].data, want, 4);
    safetensors_destroy(file);

    write_raw(path, "{}", 0);
    file = read_ok(path);
    assert_int_equal(file->count, 0);
    safetensors_destroy(file);
}

/* PyTorch's counters of batch normalisation, integers or converted to floats, are no tensors of ours. */
static void test_counters_are_left_out(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    write_raw(
        path,
        "{\"bn1.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"bn1.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]},"
        "\"bn2.num_batches_tracked\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[16,20]},"
        "\"tracked\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[20,24]}}",
        24);
    struct safetensors *file = read_ok(path);
    assert_int_equal(file->count, 2);
    assert_string_equal(file->tensors[0].name, "bn1.weight");
    assert_string_equal(file->tensors[1].name, "tracked");
    safetensors_destroy(file);
}

static void test_same_input_same_bytes(void **state) {
    char path[FOLDER_PATH_SIZE], other[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    folder_path(*state, "other.safetensors", other);
    write_sample(path);
    write_sample(other);
    size_t size = 0, other_size = 0;
    unsigned char *a = bytes_read(path, &size);
    unsigned char *b = bytes_read(other, &other_size);
    assert_int_equal(size, other_size);
    check_same_bytes(a, b, size, "two files of the same tensors");
    free(a);
    free(b);
}

/* ---------------------------------------------------------------- damaged files */

static const struct {
    const char *header;
    size_t data_bytes;
    tess_status status;
    const char *text;
} bad_headers[] = {
    {"{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, TESS_UNSUPPORTED,
     "tensor \"a\" has dtype F16, and only F32 is read"},
    {"{\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}", 8, TESS_UNSUPPORTED,
     "dtype I64"},
    {"{\"a.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
     TESS_BAD_FORMAT, "does not fit its 4 bytes"},
    {"{\"a.num_batches_tracked\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
     TESS_UNSUPPORTED, "dtype I32"},
    {"{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, TESS_BAD_FORMAT, "no dtype"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, TESS_BAD_FORMAT, "no dtype"},
    {"{\"a\":[]}", 0, TESS_BAD_FORMAT, "no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
     8, TESS_BAD_FORMAT, "duplicate object key"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":\"1\",\"data_offsets\":[0,4]}}", 4, TESS_BAD_FORMAT,
     "bad shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, TESS_BAD_FORMAT,
     "bad shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, TESS_BAD_FORMAT,
     "bad shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
     TESS_BAD_FORMAT, "at most 8 sizes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, TESS_BAD_FORMAT,
     "does not fit its 4 bytes"},
    /* 2^31 * 2^31 * 4 wraps to 0, 3 * 2^62 to something small */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2147483648,2147483648],\"data_offsets\":[0,0]}}", 0,
     TESS_BAD_FORMAT, "does not fit its 0 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4,
     TESS_BAD_FORMAT, "does not fit its 4 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}}", 4,
     TESS_BAD_FORMAT, "too big integer"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 4, TESS_BAD_FORMAT,
     "outside the file's 4 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, TESS_BAD_FORMAT,
     "outside the file's"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, TESS_BAD_FORMAT,
     "outside the file's"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, TESS_BAD_FORMAT,
     "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, TESS_BAD_FORMAT, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
     12, TESS_BAD_FORMAT, "\"b\" overlaps"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
     12, TESS_BAD_FORMAT, "\"b\" leaves a gap"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, TESS_BAD_FORMAT,
     "leaves a gap"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, TESS_BAD_FORMAT,
     "1 bytes follow the last tensor"},
    {"{\"__metadata__\":[]}", 0, TESS_BAD_FORMAT, "__metadata__ is no object"},
    {"{\"__metadata__\":{\"a\":\"b\",\"c\":1}}", 0, TESS_BAD_FORMAT, "no string"},
    {"[]", 0, TESS_BAD_FORMAT, "does not begin with '{'"},
    {"{]", 0, TESS_BAD_FORMAT, "not valid"},
    {"{}x", 0, TESS_BAD_FORMAT, "not valid"},
    {"{\"\xFF\xFE\":{}}", 0, TESS_BAD_FORMAT, "not valid"},
    {"{\"a\\u0000b\":{}}", 0, TESS_BAD_FORMAT, "not valid"},
    {"{", 1, TESS_BAD_FORMAT, "its first 8 bytes say"},
};

static void test_bad_headers(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        write_raw(path, bad_headers[i].header, bad_headers[i].data_bytes);
        expect_refused(path, bad_headers[i].status, bad_headers[i].text);
    }
}

static void test_bad_header_lengths(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    unsigned char bytes[32] = {0};
    memset(bytes + 8, ' ', sizeof bytes - 8);
    bytes_write(path, bytes, 0);
    expect_refused(path, TESS_BAD_FORMAT, "too short");
    bytes_write(path, bytes, 7);
    expect_refused(path, TESS_BAD_FORMAT, "too short");
    bytes_write(path, bytes, 32); /* length 0 */
    expect_refused(path, TESS_BAD_FORMAT, "0 bytes");
    bytes[0] = 25;
    bytes_write(path, bytes, 32);
    expect_refused(path, TESS_BAD_FORMAT, "but 24 follow");
    memset(bytes, 0xFF, 8);
    bytes_write(path, bytes, 32);
    expect_refused(path, TESS_BAD_FORMAT, "18446744073709551615 bytes, more than");
    static const unsigned char over[8] = {0x01, 0xE1, 0xF5, 0x05}; /* 100,000,001 */
    memcpy(bytes, over, 8);
    bytes_write(path, bytes, 32);
    expect_refused(path, TESS_BAD_FORMAT, "100000001 bytes, more than");
}

/* Brackets nested a million deep must not exhaust the stack. */
static void test_nesting_bomb(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    size_t depth = 1000000;
    char *header = check_alloc(5 + depth + 1);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', depth);
    header[5 + depth] = '\0';
    write_raw(path, header, 0);
    free(header);
    expect_refused(path, TESS_BAD_FORMAT, "not valid");
}

static void test_every_truncation(void **state) {
    char path[FOLDER_PATH_SIZE], other[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    folder_path(*state, "other.safetensors", other);
    write_sample(path);
    size_t size = 0;
    unsigned char *bytes = bytes_read(path, &size);
    for (size_t length = 0; length < size; length++) {
        bytes_write(other, bytes, length);
        expect_refused(other, TESS_BAD_FORMAT, "");
    }
    free(bytes);
}

/* Any outcome but a crash or a leak: a flipped bit in a name makes another valid file. */
static void test_every_header_bit(void **state) {
    char path[FOLDER_PATH_SIZE], other[FOLDER_PATH_SIZE];
    folder_path(*state, "w.safetensors", path);
    folder_path(*state, "other.safetensors", other);
    struct safetensors file = sample();
    file.metadata = (char *[]){"k", "v", NULL};
    assert_int_equal(safetensors_write(path, &file, NULL), TESS_OK);
    size_t size = 0, refused = 0;
    unsigned char *bytes = bytes_read(path, &size);
    size_t header_end = 8 + bytes[0] + 256u * bytes[1];
    for (size_t i = 0; i < header_end; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1u << bit);
            bytes_write(other, bytes, size);
            bytes[i] ^= (unsigned char)(1u << bit);
            struct safetensors *out = NULL;
            tess_error error = {0};
            tess_status status = safetensors_read(other, &error, &out);
            assert_true(status == TESS_OK ? out && !error.text[0] : !out && error.text[0]);
            refused += status != TESS_OK;
            safetensors_destroy(out);
        }
    assert_true(refused > header_end); /* most bits matter */
    free(bytes);
}

static void test_not_a_file(void **state) {
    char path[FOLDER_PATH_SIZE];
    const char *folder = *state;
    folder_path(folder, "w.safetensors", path);
    expect_refused(path, TESS_IO, "No such file");
    expect_refused(folder, TESS_IO, "folder");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(path, TESS_IO, "no regular file");
    struct safetensors *out = NULL;
    assert_int_equal(safetensors_read(NULL, NULL, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(safetensors_read(path, NULL, NULL), TESS_INVALID_ARGUMENT);
}

/* ---------------------------------------------------------------- bad input to the writer */

static void expect_not_written(const char *folder, const struct safetensors *file, tess_status want,
                               const char *text) {
    char path[FOLDER_PATH_SIZE];
    tess_error error = {0};
    folder_path(folder, "w.safetensors", path);
    assert_int_equal(safetensors_write(path, file, &error), want);
    if (!strstr(error.text, text)) fail_msg("want \"%s\" in \"%s\"", text, error.text);
    assert_int_equal(folder_count(folder), 0);
}

static void test_bad_tensors(void **state) {
    char path[FOLDER_PATH_SIZE];
    const char *folder = *state;
    folder_path(folder, "w.safetensors", path);
    float data[1] = {0};
    struct safetensor pair[2] = {{.name = "a", .rank = 1, .shape = {1}, .data = data},
                                 {.name = "a", .rank = 1, .shape = {1}, .data = data}};
    struct safetensors file = {.tensors = pair, .count = 2};
    expect_not_written(folder, &file, TESS_INVALID_ARGUMENT, "\"a\" comes twice");
    pair[1].name = "";
    expect_not_written(folder, &file, TESS_INVALID_ARGUMENT, "without a name");
    pair[1].name = NULL;
    expect_not_written(folder, &file, TESS_INVALID_ARGUMENT, "without a name");
    pair[1].name = "\xFF";
    expect_not_written(folder, &file, TESS_INVALID_ARGUMENT, "UTF-8");
    pair[1].name = "b";
    pair[1].rank = 9;
    expect_not_written(folder, &file, TESS_INVALID_SHAPE, "\"b\"");
    pair[1].rank = 1;
    pair[1].shape[0] = -1;
    expect_not_written(folder, &file, TESS_INVALID_SHAPE, "\"b\"");
    pair[1].rank = 2;
    pair[1].shape[0] = pair[1].shape[1] = INT64_MAX;
    expect_not_written(folder, &file, TESS_INVALID_SHAPE, "\"b\"");
    pair[1].rank = 0;
    pair[1].data = NULL;
    expect_not_written(folder, &file, TESS_INVALID_ARGUMENT, "\"b\" has no data");
    pair[1].data = data;
    pair[1].name = "__metadata__";
    file.metadata = (char *[]){"k", "v", NULL};
    expect_not_written(folder, &file, TESS_INVALID_ARGUMENT, "comes twice");
    pair[1].name = "b";
    file.metadata = (char *[]){"k", "v", "k", "w", NULL};
    expect_not_written(folder, &file, TESS_INVALID_ARGUMENT, "metadata \"k\" comes twice");
    file.metadata = (char *[]){"k", "\xFF", NULL};
    expect_not_written(folder, &file, TESS_INVALID_ARGUMENT, "UTF-8");
    assert_int_equal(safetensors_write(NULL, &file, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(safetensors_write(path, NULL, NULL), TESS_INVALID_ARGUMENT);
}

static void test_bad_paths(void **state) {
    const char *folder = *state;
    struct safetensors file = sample();
    tess_error error = {0};
    char path[FOLDER_PATH_SIZE];
    folder_path(folder, "none/w.safetensors", path);
    assert_int_equal(safetensors_write(path, &file, &error), TESS_IO);
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(safetensors_write(folder, &file, &error), TESS_IO);
    assert_non_null(strstr(error.text, "no regular file"));
    assert_int_equal(safetensors_write("/dev/null", &file, &error), TESS_IO);
    assert_int_equal(folder_count(folder), 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_round_trip),
        CASE(test_exact_bytes),
        CASE(test_counters_are_left_out),
        CASE(test_reads_foreign),
        CASE(test_same_input_same_bytes),
        CASE(test_bad_headers),
        CASE(test_bad_header_lengths),
        CASE(test_nesting_bomb),
        CASE(test_every_truncation),
        CASE(test_every_header_bit),
        CASE(test_not_a_file),
        CASE(test_bad_tensors),
        CASE(test_bad_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
