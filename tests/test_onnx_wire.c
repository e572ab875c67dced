/* The bytes of ONNX files: damage, nesting and size are found before protobuf-c sees them. */
#include "support/folder.h"
#include "support/onnx_build.h"
#include "support/onnx_expect.h"

#include "net/onnx/onnx_wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A model with one of everything that matters to the walk. */
static uint8_t *sample(struct onnx_build *build, size_t *size) {
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, "N,3,8,8");
    onnx_build_weight(build, "w", 1, "4,3,3,3", NULL);
    onnx_build_node(build, "Conv", "x,w", "y");
    onnx_build_attr_ints(build, "pads", "1,1,1,1");
    onnx_build_attr_string(build, "auto_pad", "NOTSET");
    onnx_build_node(build, "LeakyRelu", "y", "z");
    onnx_build_attr_float(build, "alpha", 0.1f);
    onnx_build_output(build, "z", 1, "N,4,8,8");
    return onnx_build_pack(build, size);
}

static void test_sample(void **state) {
    (void)state;
    struct onnx_build build;
    size_t size;
    uint8_t *bytes = sample(&build, &size);
    tess_error error = {0};
    if (onnx_wire_check(&onnx__model_proto__descriptor, bytes, size, "model", &error))
        fail_msg("%s", error.text);
    onnx_model_destroy(onnx_expect_model(bytes, size));
    onnx_build_end(&build);
}

/* Cut anywhere: refused, or, at the end of a field, a smaller message; never more than that. */
static void test_truncated(void **state) {
    (void)state;
    struct onnx_build build;
    size_t size;
    uint8_t *bytes = sample(&build, &size);
    int refused = 0;
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = check_alloc(cut ? cut : 1); /* its own block, for AddressSanitizer */
        memcpy(part, bytes, cut);
        struct onnx_model *model = NULL;
        tess_error error = {0};
        if (onnx_model_parse(part, cut, "model", &error, &model)) {
            refused++;
            assert_non_null(strchr(error.text, ';'));
        }
        onnx_model_destroy(model);
        free(part);
    }
    /* The graph is the last field but one. */
    assert_true(refused > (int)size - 16);
    onnx_expect_refused(bytes, size / 2, TESS_BAD_FORMAT, "leads beyond the end");
    onnx_build_end(&build);
}

static void test_bad_bytes(void **state) {
    (void)state;
    static const struct {
        size_t size;
        uint8_t bytes[12];
        const char *text;
    } cases[] = {
        {1, {0x80}, "no valid number"},
        {6, {0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, "no valid number"},
        {2, {0x00, 0x01}, "no valid number"},            /* field 0 */
        {2, {0x08, 0x80}, "number is cut short"},        /* ir_version */
        {4, {0x0D, 1, 2, 3}, "another type"},            /* ir_version as 32 bits */
        {2, {0x3A, 0x80}, "length is cut short"},        /* graph */
        {3, {0x3A, 0x05, 0x0A}, "leads beyond the end"}, /* graph of 5 bytes, 1 there */
        {7, {0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0}, "leads beyond"}, /* of 4 GiB */
        {2, {0x0B, 0x0C}, "another type"},                            /* group of a known number */
        {3, {0xFB, 0x07, 0x0C}, "no known wire type"},                /* of an unknown one */
        {4, {0x3A, 0x00, 0x3A, 0x00}, "comes twice"},                 /* two graphs */
        {5, {0xFD, 0x07, 1, 2, 3}, "number is cut short"},            /* unknown, 32 bits */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        onnx_expect_refused(cases[i].bytes, cases[i].size, TESS_BAD_FORMAT, cases[i].text);
    onnx_expect_refused("", 0, TESS_BAD_FORMAT, "holds no graph");
    onnx_expect_refused("not a model at all", 18, TESS_BAD_FORMAT, "");
}

/* Puts a tag and a length before the bytes from start to end; gives the new start. */
static size_t wrap(uint8_t *buffer, size_t start, size_t end, uint8_t tag) {
    size_t length = end - start;
    uint8_t head[8];
    size_t used = 0;
    head[used++] = tag;
    for (; length >= 0x80; length >>= 7)
        head[used++] = (uint8_t)(length | 0x80);
    head[used++] = (uint8_t)length;
    memcpy(buffer + start - used, head, used);
    return start - used;
}

/* A graph in an attribute of a node of a graph ..., and types of sequences of sequences: as deep as a few megabytes
   can make it. */
static void test_deep(void **state) {
    (void)state;
    size_t end = (size_t)4 << 20;
    uint8_t *buffer = check_alloc(end);
    size_t start = end;
    while (start > 64) {
        start = wrap(buffer, start, end, 0x32); /* AttributeProto.g */
        start = wrap(buffer, start, end, 0x2A); /* NodeProto.attribute */
        start = wrap(buffer, start, end, 0x0A); /* GraphProto.node */
    }
    start = wrap(buffer, start, end, 0x3A); /* ModelProto.graph */
    onnx_expect_refused(buffer + start, end - start, TESS_BAD_FORMAT, "nested more than 100");
    start = end;
    while (start > 64) {
        start = wrap(buffer, start, end, 0x0A); /* Sequence.elem_type */
        start = wrap(buffer, start, end, 0x22); /* TypeProto.sequence_type */
    }
    start = wrap(buffer, start, end, 0x12); /* ValueInfoProto.type */
    start = wrap(buffer, start, end, 0x5A); /* GraphProto.input */
    start = wrap(buffer, start, end, 0x3A);
    onnx_expect_refused(buffer + start, end - start, TESS_BAD_FORMAT, "nested more than 100");
    free(buffer);
}

/* Two bytes each for an empty node: 8 MiB of them would need about a gigabyte. */
static void test_many_small_messages(void **state) {
    (void)state;
    size_t size = (size_t)8 << 20;
    uint8_t *buffer = check_alloc(size + 16);
    for (size_t i = 16; i < size + 16; i += 2) {
        buffer[i] = 0x0A; /* GraphProto.node */
        buffer[i + 1] = 0;
    }
    size_t start = wrap(buffer, 16, size + 16, 0x3A);
    onnx_expect_refused(buffer + start, size + 16 - start, TESS_UNSUPPORTED, "MiB of memory");
    free(buffer);
}

static void expect_file(const char *path, tess_status want, const char *text) {
    struct onnx_model *model = NULL;
    tess_error error = {0};
    tess_status status = onnx_model_read(path, &error, &model);
    onnx_expect_error(status, &error, want, text);
    assert_null(model);
}

static void test_files(void **state) {
    char path[FOLDER_PATH_SIZE];
    struct onnx_build build;
    size_t size;
    uint8_t *bytes = sample(&build, &size);
    folder_path(*state, "model.onnx", path);
    expect_file(path, TESS_IO, "cannot be opened");
    expect_file(*state, TESS_IO, "folder");
    bytes_write(path, bytes, size);
    struct onnx_model *model = NULL;
    assert_int_equal(onnx_model_read(path, NULL, &model), TESS_OK);
    assert_string_equal(model->path, path);
    onnx_model_destroy(model);
    assert_int_equal(truncate(path, (off_t)ONNX_MAX_FILE + 1), 0); /* a hole, no disk space */
    expect_file(path, TESS_UNSUPPORTED, "at most 2 GB");
    assert_int_equal(truncate(path, 0), 0);
    expect_file(path, TESS_BAD_FORMAT, "holds no graph");
    folder_path(*state, "pipe", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_file(path, TESS_IO, "no regular file");
    onnx_build_end(&build);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_bad_bytes),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_many_small_messages),
        cmocka_unit_test_setup_teardown(test_files, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
