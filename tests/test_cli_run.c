/* `tessera run`, as a user would: an ONNX model, .npy files in and out, one line for each thing that is wrong. */
#include "support/folder.h"
#include "support/onnx_build.h"
#include "support/program.h"

#include "net/npy.h"

#include <stdio.h>
#include <string.h>

/* y = Relu(a + b), and a copy of it under a name that is no file's; N x 3. */
static void save_model(const char *path) {
    struct onnx_build build;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "a", 1, "N,3");
    onnx_build_input(&build, "b", 1, "3");
    onnx_build_node(&build, "Add", "a,b", "sum");
    onnx_build_node(&build, "Relu", "sum", "../y/1");
    onnx_build_node(&build, "Neg", "../y/1", "_._y_1");
    onnx_build_output(&build, "../y/1", 1, NULL);
    onnx_build_output(&build, "_._y_1", 1, NULL);
    onnx_build_save(&build, path);
    onnx_build_end(&build);
}

static void save_array(const char *path, int rank, int64_t rows, const float *data) {
    struct onnx_tensor tensor = {
        .dtype = ONNX_FLOAT, .rank = rank, .dims = {rank == 1 ? 3 : rows, 3}, .data = data};
    tensor.count = rank == 1 ? 3 : rows * 3;
    tess_error error = {0};
    if (npy_write(path, &tensor, &error)) fail_msg("%s", error.text);
}

struct files {
    char model[FOLDER_PATH_SIZE], out[FOLDER_PATH_SIZE];
    char a[FOLDER_PATH_SIZE + 16], b[FOLDER_PATH_SIZE + 16]; /* NAME=FILE */
};

static struct files make_files(const char *folder) {
    struct files files;
    char path[FOLDER_PATH_SIZE];
    const float a[6] = {1, -2, 3, -4, 5, -6}, b[3] = {0.5f, 1, 2};
    save_model(folder_path(folder, "m.onnx", files.model));
    folder_path(folder, "out", files.out);
    save_array(folder_path(folder, "a.npy", path), 2, 2, a);
    snprintf(files.a, sizeof files.a, "a=%s", path);
    save_array(folder_path(folder, "b.npy", path), 1, 0, b);
    snprintf(files.b, sizeof files.b, "b=%s", path);
    return files;
}

static void expect_array(const char *folder, const char *name, const float *want) {
    char path[FOLDER_PATH_SIZE];
    struct onnx_tensor got = {0};
    tess_error error = {0};
    if (npy_read(folder_path(folder, name, path), &error, &got)) fail_msg("%s", error.text);
    assert_int_equal(got.dtype, ONNX_FLOAT);
    assert_int_equal(got.rank, 2);
    assert_int_equal(got.dims[0], 2);
    assert_int_equal(got.dims[1], 3);
    for (int i = 0; i < 6; i++)
        assert_true(((const float *)got.data)[i] == want[i]);
    onnx_tensor_clear(&got);
}

static void test_run(void **state) {
    struct files files = make_files(*state);
    const float y[6] = {1.5f, 0, 5, 0, 6, 0}, minus[6] = {-1.5f, 0, -5, 0, -6, 0};
    struct program_result result =
        RUN("run", files.model, "--input", files.a, "--input", files.b, "--output-dir", files.out);
    assert_non_null(strstr(result.out, "../y/1: float32 2x3, "));
    assert_program(result, 0, "");
    assert_int_equal(folder_count(files.out), 2);
    expect_array(files.out, "_._y_1.npy", y);
    expect_array(files.out, "_._y_1-2.npy", minus);
}

static void test_usage(void **state) {
    struct files files = make_files(*state);
    assert_program(RUN("run"), 2, "argument is missing");
    assert_program(RUN("run", files.model, "--input", files.a), 2, "no --output-dir");
    assert_program(RUN("run", files.model, "--input", "a.npy", "--output-dir", files.out), 2,
                   "NAME=FILE");
    assert_program(RUN("run", files.model, "--input", "=a.npy", "--output-dir", files.out), 2,
                   "NAME=FILE");
}

static void test_errors(void **state) {
    struct files files = make_files(*state);
    char swapped[2 * FOLDER_PATH_SIZE + 32], c[2 * FOLDER_PATH_SIZE + 32];
    snprintf(swapped, sizeof swapped, "b=%s", files.a + 2);
    snprintf(c, sizeof c, "c=%s", files.b + 2);
#define FAILS(text, ...) assert_program(RUN("run", __VA_ARGS__, "--output-dir", files.out), 1, text)
    FAILS("input 'b': is not given", files.model, "--input", files.a);
    FAILS("but 'c', which is no input", files.model, "--input", files.a, "--input", c);
    FAILS("no input 'c'", files.model, "--input", files.a, "--input", files.b, "--input", c);
    FAILS("input 'b': 2 dimensions", files.model, "--input", files.a, "--input", swapped);
    FAILS("none.npy", files.model, "--input", "a=none.npy", "--input", files.b);
    FAILS("none.onnx", "none.onnx", "--input", files.a);
    FAILS("m.onnx", files.model, "--input", files.a, "--input", files.b, "--input", files.b);
#undef FAILS
    assert_int_equal(folder_count(*state), 3); /* no output folder */
    folder_write_text(*state, "out", "");
    assert_program(
        RUN("run", files.model, "--input", files.a, "--input", files.b, "--output-dir", files.out),
        1, "out");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_run, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_usage, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_errors, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
