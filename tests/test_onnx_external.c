/* External data of ONNX models: found beside the model, never elsewhere; and files of one tensor. */
#include "support/folder.h"
#include "support/onnx_build.h"
#include "support/onnx_expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A model whose weight of 3 floats lies elsewhere; NULL leaves an entry out. Read and ended. */
static tess_status read_external(const char *folder, const char *location, const char *offset,
                                 const char *length, tess_error *error, struct onnx_model **out) {
    struct onnx_build build;
    char path[FOLDER_PATH_SIZE];
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "3");
    Onnx__TensorProto *w = onnx_build_weight(&build, "w", 1, "3", NULL);
    onnx_build_node(&build, "Add", "x,w", "y");
    onnx_build_output(&build, "y", 1, "3");
    const char *entries[3][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    w->n_float_data = 0;
    w->external_data = onnx_build_alloc(&build, 3 * sizeof *w->external_data);
    w->has_data_location = true;
    w->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    for (int i = 0; i < 3; i++) {
        if (!entries[i][1]) continue;
        Onnx__StringStringEntryProto *entry = onnx_build_alloc(&build, sizeof *entry);
        onnx__string_string_entry_proto__init(entry);
        entry->key = onnx_build_text(&build, entries[i][0]);
        entry->value = onnx_build_text(&build, entries[i][1]);
        w->external_data[w->n_external_data++] = entry;
    }
    onnx_build_save(&build, folder_path(folder, "model.onnx", path));
    onnx_build_end(&build);
    return onnx_model_read(path, error, out);
}

static void expect_refused(const char *folder, const char *location, const char *offset,
                           const char *length, tess_status want, const char *text) {
    struct onnx_model *model = NULL;
    tess_error error = {0};
    tess_status status = read_external(folder, location, offset, length, &error, &model);
    onnx_expect_error(status, &error, want, text);
    assert_null(model);
}

static void expect_values(const char *folder, const char *location, const char *offset,
                          const char *length, const float *want) {
    struct onnx_model *model = NULL;
    tess_error error = {0};
    if (read_external(folder, location, offset, length, &error, &model)) fail_msg("%s", error.text);
    check_same_bytes(model->tensors[0].data, want, 12, location);
    onnx_model_destroy(model);
}

static const float data[5] = {1.5f, -2.0f, 3.0f, 4.0f, 5.0f};

static void test_external(void **state) {
    char path[FOLDER_PATH_SIZE];
    bytes_write(folder_path(*state, "w.bin", path), data, sizeof data);
    expect_values(*state, "w.bin", NULL, "12", data);
    expect_values(*state, "w.bin", "8", "12", data + 2);
    expect_values(*state, "w.bin", "4", NULL, data + 1);
    assert_int_equal(mkdir(folder_path(*state, "sub", path), 0700), 0);
    bytes_write(folder_path(*state, "sub/w.bin", path), data, sizeof data);
    expect_values(*state, "sub/w.bin", "0", "12", data);
    expect_values(*state, "./sub//w.bin", "0", "12", data);
    assert_int_equal(symlink("sub/w.bin", folder_path(*state, "link", path)), 0);
    expect_values(*state, "link", "0", "12", data);
}

static void test_refused(void **state) {
    char path[FOLDER_PATH_SIZE];
    bytes_write(folder_path(*state, "w.bin", path), data, sizeof data);
    expect_refused(*state, "w.bin", "12", "12", TESS_BAD_FORMAT, "the file ends before");
    expect_refused(*state, "w.bin", "9223372036854775807", "12", TESS_BAD_FORMAT,
                   "number of bytes");
    expect_refused(*state, "w.bin", "922337203685477580", "12", TESS_BAD_FORMAT, "ends before");
    expect_refused(*state, "w.bin", "0", "13", TESS_BAD_FORMAT, "length is not what");
    expect_refused(*state, "w.bin", "-4", "12", TESS_BAD_FORMAT, "number of bytes");
    expect_refused(*state, "w.bin", "0x4", "12", TESS_BAD_FORMAT, "number of bytes");
    expect_refused(*state, "w.bin", "", "12", TESS_BAD_FORMAT, "number of bytes");
    expect_refused(*state, NULL, "0", "12", TESS_BAD_FORMAT, "no location");
    expect_refused(*state, "", "0", "12", TESS_BAD_FORMAT, "no location");
    expect_refused(*state, "missing.bin", "0", "12", TESS_IO, "cannot be opened");
    expect_refused(*state, "/etc/passwd", "0", "12", TESS_BAD_FORMAT, "outside the model's folder");
    expect_refused(*state, "../w.bin", "0", "12", TESS_BAD_FORMAT, "outside the model's folder");
    expect_refused(*state, "a/../../w.bin", "0", "12", TESS_BAD_FORMAT, "outside");
    expect_refused(*state, "..", "0", "12", TESS_BAD_FORMAT, "outside");
    expect_refused(*state, ".", "0", "12", TESS_BAD_FORMAT, "leads out");
    assert_int_equal(symlink("/etc/passwd", folder_path(*state, "link", path)), 0);
    expect_refused(*state, "link", "0", "12", TESS_BAD_FORMAT, "a link that leads out");
    assert_int_equal(symlink("/etc", folder_path(*state, "etc", path)), 0);
    expect_refused(*state, "etc/passwd", "0", "12", TESS_BAD_FORMAT, "a link that leads out");
    assert_int_equal(mkdir(folder_path(*state, "sub", path), 0700), 0);
    expect_refused(*state, "sub", "0", "12", TESS_IO, "this is a folder");
    assert_int_equal(mkfifo(folder_path(*state, "pipe", path), 0600), 0);
    expect_refused(*state, "pipe", "0", "12", TESS_IO, "no regular file");
}

/* Many tensors over the same bytes would make much memory of a small file. */
static void test_overused(void **state) {
    struct onnx_build build;
    char path[FOLDER_PATH_SIZE];
    bytes_write(folder_path(*state, "w.bin", path), data, 12);
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "3");
    onnx_build_output(&build, "x", 1, "3");
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        Onnx__TensorProto *w = onnx_build_weight(&build, name, 1, "3", NULL);
        Onnx__StringStringEntryProto *entry = onnx_build_alloc(&build, sizeof *entry);
        onnx__string_string_entry_proto__init(entry);
        entry->key = onnx_build_text(&build, "location");
        entry->value = onnx_build_text(&build, "w.bin");
        w->external_data = onnx_build_alloc(&build, sizeof *w->external_data);
        w->external_data[w->n_external_data++] = entry;
        w->n_float_data = 0;
        w->has_data_location = true;
        w->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    }
    onnx_build_save(&build, folder_path(*state, "model.onnx", path));
    onnx_build_end(&build);
    struct onnx_model *model = NULL;
    tess_error error = {0};
    tess_status status = onnx_model_read(path, &error, &model);
    onnx_expect_error(status, &error, TESS_BAD_FORMAT, "again and again");
}

/* ---------------------------------------------------------------- files of one tensor */

static void test_tensor_files(void **state) {
    struct onnx_build build;
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "input_0.pb", path);
    onnx_build_start(&build, 13);
    Onnx__TensorProto *tensor = onnx_build_tensor(&build, "x", 1, "5", data);
    size_t size = onnx__tensor_proto__get_packed_size(tensor);
    uint8_t *bytes = onnx_build_alloc(&build, size);
    onnx__tensor_proto__pack(tensor, bytes);
    bytes_write(path, bytes, size);
    struct onnx_tensor *got = NULL;
    tess_error error = {0};
    if (onnx_tensor_read(path, &error, &got)) fail_msg("%s", error.text);
    assert_string_equal(got->name, "x");
    assert_int_equal(got->rank, 1);
    assert_int_equal(got->dims[0], 5);
    check_same_bytes(got->data, data, sizeof data, "x");
    onnx_tensor_destroy(got);
    onnx_tensor_destroy(NULL);
    got = NULL;
    bytes_write(path, bytes, size - 1);
    onnx_expect_error(onnx_tensor_read(path, &error, &got), &error, TESS_BAD_FORMAT, path);
    bytes_write(path, bytes, 0);
    onnx_expect_error(onnx_tensor_read(path, &error, &got), &error, TESS_UNSUPPORTED, "no type");
    assert_null(got);
    onnx_build_end(&build);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_external, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_refused, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_overused, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_tensor_files, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
