/* Every model and tensor of ONNX's own test data: read, or refused with a reason, never a crash. Skipped where the data are not
   installed. */
#include "support/check.h"
#include "support/onnx_data.h"

#include "net/onnx/onnx_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tally {
    int read, refused;
};

/* Only what is beyond us may be refused: these files are good. A sequence's or optional's file is no tensor's. */
static void expect_reason(const char *path, tess_status status, const tess_error *error) {
    bool other_kind = strstr(path, ".pb") && (strstr(path, "_seq") || strstr(path, "_opt"));
    bool good = status == TESS_UNSUPPORTED || (status == TESS_BAD_FORMAT && other_kind);
    if (!good || !strchr(error->text, ';') || strchr(error->text, '\n'))
        fail_msg("%s: %s: %s", path, tess_status_string(status), error->text);
    if (getenv("TESSERA_TEST_VERBOSE")) print_message("%s\n", error->text);
}

static void read_model(const char *path, void *user) {
    struct tally *tally = user;
    struct onnx_model *model = NULL;
    tess_error error = {0};
    tess_status status = onnx_model_read(path, &error, &model);
    if (status)
        expect_reason(path, status, &error);
    else
        assert_true(model->output_count > 0);
    onnx_model_destroy(model);
    *(status ? &tally->refused : &tally->read) += 1;
}

static void test_models(void **state) {
    (void)state;
    const char *folder = onnx_data_folder();
    if (!folder) {
        print_message("no ONNX test data here; install libonnx-testdata\n");
        skip();
    }
    struct tally tally = {0, 0};
    onnx_data_each(folder, "model.onnx", read_model, &tally);
    print_message("%s: %d models read, %d refused\n", folder, tally.read, tally.refused);
    assert_true(tally.read > tally.refused);
}

static void read_tensor(const char *path, void *user) {
    struct tally *tally = user;
    struct onnx_tensor *tensor = NULL;
    tess_error error = {0};
    tess_status status = onnx_tensor_read(path, &error, &tensor);
    if (status) expect_reason(path, status, &error);
    onnx_tensor_destroy(tensor);
    *(status ? &tally->refused : &tally->read) += 1;
}

static void test_tensors(void **state) {
    (void)state;
    const char *folder = onnx_data_folder();
    if (!folder) skip();
    struct tally tally = {0, 0};
    onnx_data_each(folder, ".pb", read_tensor, &tally);
    print_message("%s: %d tensors read, %d refused\n", folder, tally.read, tally.refused);
    assert_true(tally.read > 10 * tally.refused);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
