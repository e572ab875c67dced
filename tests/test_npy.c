/* .npy: round trips, NumPy's own bytes, every damaged file refused. */
#include "support/folder.h"

#include "net/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct onnx_tensor read_ok(const char *path) {
    struct onnx_tensor tensor = {0};
    tess_error error = {0};
    if (npy_read(path, &error, &tensor)) fail_msg("%s", error.text);
    return tensor;
}

/* A file of these bytes, of which head is a text, must be refused in one line that names the file and holds text. */
static void expect_refused(const char *path, const void *bytes, size_t size, tess_status want,
                           const char *text) {
    struct onnx_tensor untouched = {.rank = 77}, out = untouched;
    tess_error error = {0};
    if (bytes) bytes_write(path, bytes, size);
    tess_status status = npy_read(path, &error, &out);
    if (status != want)
        fail_msg("want \"%s\": %s instead: %s", text, tess_status_string(status), error.text);
    if (!strstr(error.text, text)) fail_msg("want \"%s\" in \"%s\"", text, error.text);
    if (!strstr(error.text, path)) fail_msg("no file name in \"%s\"", error.text);
    if (!strchr(error.text, ';') || strchr(error.text, '\n'))
        fail_msg("no \"what: why; what to do\" in one line: \"%s\"", error.text);
    assert_int_equal(out.rank, 77);
}

/* Version 1.0 with this dictionary and data_bytes bytes of zeros. Gives the size. */
static size_t make(unsigned char *out, const char *dictionary, size_t data_bytes) {
    size_t length = strlen(dictionary);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (unsigned char)(length & 0xFF);
    out[9] = (unsigned char)(length >> 8);
    memcpy(out + 10, dictionary, length);
    memset(out + 10 + length, 0, data_bytes);
    return 10 + length + data_bytes;
}

static void expect_header(const char *path, const char *dictionary, size_t data_bytes,
                          tess_status want, const char *text) {
    unsigned char bytes[1024];
    expect_refused(path, bytes, make(bytes, dictionary, data_bytes), want, text);
}

static void test_round_trips(void **state) {
    static const int dtypes[] = {ONNX_FLOAT,  ONNX_DOUBLE, ONNX_FLOAT16, ONNX_INT64,
                                 ONNX_INT32,  ONNX_INT16,  ONNX_INT8,    ONNX_UINT64,
                                 ONNX_UINT32, ONNX_UINT16, ONNX_UINT8,   ONNX_BOOL};
    static const struct {
        int rank;
        int64_t dims[ONNX_MAX_RANK], count;
    } shapes[] = {{0, {0}, 1},       {1, {7}, 7},
                  {2, {3, 5}, 15},   {8, {1, 2, 1, 3, 1, 1, 2, 1}, 12},
                  {3, {2, 0, 4}, 0}, {1, {3001}, 3001}};
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "x.npy", path);
    for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            size_t bytes = (size_t)shapes[s].count * onnx_dtype_size(dtypes[t]);
            unsigned char *data = check_alloc(bytes + 1);
            for (size_t i = 0; i < bytes; i++)
                data[i] = (unsigned char)(dtypes[t] == ONNX_BOOL ? i % 2 : i * 37 + 1);
            struct onnx_tensor tensor = {
                .dtype = dtypes[t], .rank = shapes[s].rank, .count = shapes[s].count, .data = data};
            memcpy(tensor.dims, shapes[s].dims, sizeof tensor.dims);
            tess_error error = {0};
            if (npy_write(path, &tensor, &error)) fail_msg("%s", error.text);
            struct onnx_tensor back = read_ok(path);
            assert_int_equal(back.dtype, tensor.dtype);
            assert_int_equal(back.rank, tensor.rank);
            assert_int_equal(back.count, tensor.count);
            for (int d = 0; d < back.rank; d++)
                assert_int_equal(back.dims[d], tensor.dims[d]);
            check_same_bytes(back.data, data, bytes, onnx_dtype_name(tensor.dtype));
            onnx_tensor_clear(&back);
            free(data);
        }
}

/* What numpy.save writes for numpy.float32([[1, -2, 0.5]]). */
static void test_exact_bytes(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "x.npy", path);
    static const float data[3] = {1.0f, -2.0f, 0.5f};
    static const char head[] = "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, "
                               "'shape': (1, 3), }";
    struct onnx_tensor tensor = {
        .dtype = ONNX_FLOAT, .rank = 2, .dims = {1, 3}, .count = 3, .data = data};
    assert_int_equal(npy_write(path, &tensor, NULL), TESS_OK);
    size_t size;
    unsigned char *bytes = bytes_read(path, &size);
    assert_int_equal(size, 128 + 12);
    check_same_bytes(bytes, head, sizeof head - 1, "header");
    for (size_t i = sizeof head - 1; i < 127; i++)
        assert_int_equal(bytes[i], ' ');
    assert_int_equal(bytes[127], '\n');
    static const unsigned char values[12] = {0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0x3F};
    check_same_bytes(bytes + 128, values, 12, "data");
    free(bytes);
}

/* Forms that NumPy, old and new, and others write. */
static void test_other_forms(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "x.npy", path);
    static const char *const dictionaries[] = {
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2L, 1L), }\n",
        "{\"shape\":(2,1),\"fortran_order\":False,\"descr\":\"<i4\"}",
        "  { 'fortran_order' : False , 'shape' : ( 2 , 1 , ) , 'descr' : '<i4' , }  \n",
    };
    unsigned char bytes[1024];
    for (size_t i = 0; i < sizeof dictionaries / sizeof *dictionaries; i++) {
        bytes_write(path, bytes, make(bytes, dictionaries[i], 8));
        struct onnx_tensor tensor = read_ok(path);
        assert_int_equal(tensor.dtype, ONNX_INT32);
        assert_int_equal(tensor.rank, 2);
        assert_int_equal(tensor.dims[0], 2);
        onnx_tensor_clear(&tensor);
    }
    bytes_write(path, bytes,
                make(bytes, "{'descr': '<i4', 'fortran_order': True, 'shape': (2,)}", 8));
    struct onnx_tensor tensor = read_ok(path);
    onnx_tensor_clear(&tensor);
    /* Version 2.0: four bytes of length. */
    size_t size = make(bytes, dictionaries[1], 8);
    memmove(bytes + 12, bytes + 10, size - 10);
    bytes[6] = 2;
    bytes[10] = bytes[11] = 0;
    bytes_write(path, bytes, size + 2);
    tensor = read_ok(path);
    assert_int_equal(tensor.count, 2);
    onnx_tensor_clear(&tensor);
    bytes[11] = 1; /* a header of 16 MiB */
    expect_refused(path, bytes, size + 2, TESS_BAD_FORMAT, "cut short or too long");
}

static void test_refused(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "x.npy", path);
    expect_refused(path, NULL, 0, TESS_IO, "cannot be opened");
    expect_refused(*state, NULL, 0, TESS_IO, "folder");
    expect_refused(path, "", 0, TESS_BAD_FORMAT, "does not begin as");
    expect_refused(path, "\x93NUMPY\x01", 7, TESS_BAD_FORMAT, "does not begin as");
    expect_refused(path, "PK\x03\x04 a zip archive", 18, TESS_BAD_FORMAT, "does not begin as");
    expect_refused(path, "\x93NUMPY\x04\x00\x00\x00\x00\x00", 12, TESS_UNSUPPORTED, "version 4.0");
    expect_refused(path, "\x93NUMPY\x01\x01\x00\x00\x00\x00", 12, TESS_UNSUPPORTED, "version 1.1");
    expect_refused(path, "\x93NUMPY\x01\x00\xFF\x00{}", 12, TESS_BAD_FORMAT, "cut short");
    expect_refused(path, "\x93NUMPY\x02\x00\x00\x00", 10, TESS_BAD_FORMAT, "cut short");
    expect_refused(path, "\x93NUMPY\x01\x00\x02\x00{\x00", 12, TESS_BAD_FORMAT, "zero byte");
    expect_header(path, "", 0, TESS_BAD_FORMAT, "no dictionary");
    expect_header(path, "{", 0, TESS_BAD_FORMAT, "no dictionary");
    expect_header(path, "{}", 0, TESS_BAD_FORMAT, "lacks");
    expect_header(path, "{'descr': '<f4', 'shape': (1,)}", 4, TESS_BAD_FORMAT, "lacks");
    expect_header(path, "{'shape': (1,), 'shape': (1,)}", 4, TESS_BAD_FORMAT, "double entries");
    expect_header(path, "{'size': 3}", 4, TESS_BAD_FORMAT, "unknown");
    expect_header(path, "{'shape': (1}", 4, TESS_BAD_FORMAT, "no tuple");
    expect_header(path, "{'shape': (-1,)}", 4, TESS_BAD_FORMAT, "no tuple of sizes");
    expect_header(path, "{'shape': 4}", 4, TESS_BAD_FORMAT, "no tuple");
    expect_header(path, "{'fortran_order': 1}", 4, TESS_BAD_FORMAT, "neither True nor False");
    expect_header(path, "{'descr': '>f4'}", 4, TESS_UNSUPPORTED, "type '>f4'");
    expect_header(path, "{'descr': '|O'}", 4, TESS_UNSUPPORTED, "type '|O'");
    expect_header(path, "{'descr': [('a', '<f4')]}", 4, TESS_UNSUPPORTED, "records");
    expect_header(path, "{'shape': (1,1,1,1,1,1,1,1,1)}", 4, TESS_UNSUPPORTED, "8 dimensions");
#define REST ", 'fortran_order': False, 'descr': '<f4'}"
    expect_header(path, "{'shape': (3,)" REST, 8, TESS_BAD_FORMAT, "needs 12 bytes");
    expect_header(path, "{'shape': (3,)" REST, 16, TESS_BAD_FORMAT, "16 follow");
    expect_header(path, "{'shape': (3,)" REST " x", 12, TESS_BAD_FORMAT, "goes on after");
    expect_header(path, "{'shape': (1048576, 1048576)" REST, 4, TESS_UNSUPPORTED, "more than");
    expect_header(path, "{'shape': (2000000000,)" REST, 4, TESS_BAD_FORMAT, "needs 8000000000");
    expect_header(path, "{'shape': (99999999999999999999999,)" REST, 4, TESS_UNSUPPORTED,
                  "more than");
    expect_header(path, "{'shape': (2, 2), 'fortran_order': True, 'descr': '<f4'}", 16,
                  TESS_UNSUPPORTED, "Fortran order");
    unsigned char bytes[256];
    size_t size = make(bytes, "{'shape': (1,), 'fortran_order': False, 'descr': '|b1'}", 1);
    bytes[size - 1] = 2;
    expect_refused(path, bytes, size, TESS_BAD_FORMAT, "neither 0 nor 1");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(path, NULL, 0, TESS_IO, "no regular file");
}

/* Each cut and each changed byte of a header: read or refused. */
static void test_mutations(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "x.npy", path);
    unsigned char bytes[256], copy[256];
    static const char dictionary[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}";
    size_t size = make(bytes, dictionary, 24);
    static const unsigned char telling[] = {0, 0xFF, '\'', '(', ')', ',', '9', '{', '}', ' ', 'L'};
    struct onnx_tensor tensor;
    for (size_t cut = 0; cut < size; cut++)
        expect_refused(path, bytes, cut, TESS_BAD_FORMAT, "");
    for (size_t at = 0; at < size - 24; at++)
        for (size_t i = 0; i < sizeof telling; i++) {
            memcpy(copy, bytes, size);
            copy[at] = telling[i];
            bytes_write(path, copy, size);
            tess_error error = {0};
            if (!npy_read(path, &error, &tensor))
                onnx_tensor_clear(&tensor);
            else
                assert_non_null(strchr(error.text, ';'));
        }
}

static void test_write_refused(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "x.npy", path);
    static const uint16_t data[1] = {0};
    struct onnx_tensor tensor = {.dtype = ONNX_BFLOAT16, .count = 1, .data = data};
    assert_int_equal(npy_write(path, &tensor, NULL), TESS_UNSUPPORTED);
    tensor.dtype = ONNX_INT16;
    assert_int_equal(npy_write("/nonexistent/x.npy", &tensor, NULL), TESS_IO);
    assert_int_equal(npy_write(NULL, &tensor, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(folder_count(*state), 0);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_round_trips), IN_FOLDER(test_exact_bytes), IN_FOLDER(test_other_forms),
        IN_FOLDER(test_refused),     IN_FOLDER(test_mutations),   IN_FOLDER(test_write_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
