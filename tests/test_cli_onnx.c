/* ONNX models through the program: exported, fine-tuned from their weights with a new classifier and frozen layers, continued, evaluated,
   summarised, planned. */
#include "support/folder.h"
#include "support/onnx_build.h"
#include "support/program.h"

#include "net/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEN  "synthetic:digits,count=600,seed=5"
#define FIVE "synthetic:digits,count=400,seed=6,classes=5"

/* What the tests share: a folder with a training on ten digits, and its model. */
struct suite {
    char *folder;
    char out[FOLDER_PATH_SIZE], weights[FOLDER_PATH_SIZE], model[FOLDER_PATH_SIZE];
};

static int suite_setup(void **state) {
    struct suite *suite = calloc(1, sizeof *suite);
    void *folder = NULL;
    *state = suite;
    if (!suite || folder_setup(&folder)) return -1;
    suite->folder = folder;
    folder_path(folder, "ten", suite->out);
    folder_path(suite->out, "best.safetensors", suite->weights);
    folder_path(folder, "ten.onnx", suite->model);
    struct program_result trained = RUN("train", "lenet5-relu", "--data", TEN, "--epochs", "3",
                                        "--batch", "32", "--lr", "0.05", "--out", suite->out);
    if (trained.status) print_error("%s%s", trained.out, trained.err);
    struct program_result exported =
        RUN("export", "lenet5-relu", "--weights", suite->weights, "--out", suite->model);
    if (exported.status) print_error("%s%s", exported.out, exported.err);
    int failed = trained.status || exported.status;
    program_free(&trained);
    program_free(&exported);
    return failed ? -1 : 0;
}

static int suite_teardown(void **state) {
    struct suite *suite = *state;
    void *folder = suite->folder;
    int status = folder ? folder_teardown(&folder) : 0;
    free(suite);
    return status;
}

static double accuracy(struct program_result result) {
    const char *text = strstr(result.out, "\"accuracy\":");
    if (!text) fail_msg("no accuracy in '%s', '%s'", result.out, result.err);
    double value = atof(text + strlen("\"accuracy\":"));
    program_free(&result);
    return value;
}

static struct safetensors *read_weights(const char *path) {
    struct safetensors *file = NULL;
    tess_error error = {0};
    if (safetensors_read(path, &error, &file)) fail_msg("%s", error.text);
    return file;
}

/* Whether a tensor is the same in both files, bit for bit. */
static bool is_same(const struct safetensors *a, const struct safetensors *b, const char *name) {
    const struct safetensor *x = safetensors_find(a, name), *y = safetensors_find(b, name);
    size_t count = 1;
    assert_non_null(x);
    assert_non_null(y);
    for (int i = 0; i < x->rank; i++)
        count *= (size_t)x->shape[i];
    return x->rank == y->rank && !memcmp(x->data, y->data, count * sizeof(float));
}

/* The model is as good as the weights that it was made of. */
static void test_export(void **state) {
    const struct suite *suite = *state;
    double before =
        accuracy(RUN("eval", "lenet5-relu", "--weights", suite->weights, "--data", TEN, "--json"));
    double after = accuracy(RUN("eval", suite->model, "--data", TEN, "--json"));
    assert_true(before > 40 && after > 40); /* the normalisation is the data set's in both */
    assert_true(before == after);
}

/* A new classifier of five, the convolutions as they are: it learns, the frozen weights stay, and the training goes on after an
   interruption to the same bytes. */
static void test_fine_tuning(void **state) {
    const struct suite *suite = *state;
    char whole[FOLDER_PATH_SIZE], parts[FOLDER_PATH_SIZE], a[FOLDER_PATH_SIZE], b[FOLDER_PATH_SIZE],
        model[FOLDER_PATH_SIZE];
    folder_path(suite->folder, "whole", whole);
    folder_path(suite->folder, "parts", parts);
    folder_path(whole, "last.safetensors", a);
    folder_path(parts, "last.safetensors", b);
#define TUNE(out, epochs)                                                                          \
    RUN("train", suite->model, "--data", FIVE, "--classes", "5", "--freeze-until", "pool2",        \
        "--epochs", epochs, "--batch", "32", "--lr", "0.05", "--out", out)
    assert_program(TUNE(whole, "2"), 0, "");
    assert_program(TUNE(parts, "1"), 0, "");
    assert_program(RUN("train", "--resume", parts, "--epochs", "2"), 0, "");
#undef TUNE
    struct safetensors *before = read_weights(suite->weights), *after = read_weights(a),
                       *continued = read_weights(b);
    assert_true(is_same(before, after, "conv1.weight") && is_same(before, after, "conv2.bias"));
    assert_false(is_same(before, after, "fc1.weight"));
    assert_true(is_same(after, continued, "fc1.weight") && is_same(after, continued, "fc3.bias"));
    safetensors_destroy(before);
    safetensors_destroy(after);
    safetensors_destroy(continued);
    folder_path(suite->folder, "five.onnx", model);
    assert_program(RUN("export", suite->model, "--weights", a, "--out", model), 0, "");
    double with = accuracy(RUN("eval", suite->model, "--weights", a, "--data", FIVE, "--json"));
    double without = accuracy(RUN("eval", model, "--data", FIVE, "--json"));
    assert_true(with > 90 && with == without);
}

/* From a checkpoint of the zoo's network. */
static void test_checkpoint(void **state) {
    const struct suite *suite = *state;
    char out[FOLDER_PATH_SIZE], path[FOLDER_PATH_SIZE];
    folder_path(suite->folder, "zoo", out);
    folder_path(out, "last.safetensors", path);
#define TUNE(...)                                                                                  \
    RUN("train", "lenet5-relu", "--data", FIVE, "--batch", "32", "--epochs", "1", "--weights",     \
        suite->weights, "--out", out, __VA_ARGS__)
    assert_program(TUNE("--seed", "2"), 1, "--classes 5 replaces");
    assert_program(TUNE("--classes", "6"), 1, "has 5 classes");
    assert_program(TUNE("--classes", "5", "--freeze-until", "pol2"), 1, "pool2");
    assert_program(TUNE("--classes", "5", "--freeze-until", "fc3"), 1, "nothing would be trained");
    assert_program(TUNE("--classes", "5", "--freeze-until", "conv1"), 0, "");
#undef TUNE
    struct safetensors *before = read_weights(suite->weights), *after = read_weights(path);
    assert_true(is_same(before, after, "conv1.weight"));
    assert_false(is_same(before, after, "conv2.weight"));
    safetensors_destroy(before);
    safetensors_destroy(after);
    assert_program(RUN("train", "--resume", out, "--weights", suite->weights), 2, "--weights");
    assert_program(RUN("train", "--resume", out, "--freeze-until", "pool1"), 2, "--freeze-until");
}

static void test_others(void **state) {
    const struct suite *suite = *state;
    struct program_result result = RUN("summary", suite->model, "--classes", "3");
    assert_non_null(strstr(result.out, "conv1"));
    assert_non_null(strstr(result.out, "1x1x3"));
    assert_program(result, 0, "");
    result = RUN("plan", suite->model, "--batch", "2", "--infer", "--json");
    assert_non_null(strstr(result.out, "\"layer\":\"conv2\""));
    assert_program(result, 0, "");
    assert_program(RUN("summary", suite->model, "--input", "3x8x8"), 1, "--input");
    assert_program(RUN("summary", suite->model, "--width", "2"), 1, "width");
    assert_program(RUN("train", suite->model, "--data", FIVE), 1, "--classes 5 replaces");
    assert_program(RUN("predict", suite->model, "none.png"), 1, "none.png");
    assert_program(RUN("export", suite->model), 2, "no --out");
    assert_program(RUN("eval", "none.onnx", "--data", FIVE), 1, "none.onnx");
}

/* Forty nodes do not fit into one line: they are listed before it. */
static void test_obstacles(void **state) {
    const struct suite *suite = *state;
    struct onnx_build build;
    char path[FOLDER_PATH_SIZE], from[8] = "x", to[8];
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "N,2,4,4");
    for (int i = 0; i < 40; i++) {
        snprintf(to, sizeof to, "v%d", i);
        onnx_build_node(&build, "Neg", from, to);
        memcpy(from, to, sizeof from);
    }
    onnx_build_output(&build, "v39", 1, NULL);
    onnx_build_save(&build, folder_path(suite->folder, "odd.onnx", path));
    onnx_build_end(&build);
    struct program_result result = RUN("summary", path);
    assert_int_equal(result.status, 1);
    assert_non_null(strstr(result.err, "40 nodes cannot be trained"));
    assert_non_null(strstr(result.err, "node 'Neg_39'"));
    program_free(&result);
}

/* A batch of one cannot be trained where batch normalisation has one value a channel; inference can be planned. */
static void test_plan_note(void **state) {
    const struct suite *suite = *state;
    struct onnx_build build;
    char path[FOLDER_PATH_SIZE];
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "N,2,h,w");
    onnx_build_weight(&build, "conv.weight", 1, "3,2,1,1", NULL);
    onnx_build_weight(&build, "v", 1, "3", NULL);
    onnx_build_node(&build, "Conv", "x,conv.weight", "c");
    onnx_build_node(&build, "GlobalAveragePool", "c", "g");
    onnx_build_node(&build, "BatchNormalization", "g,v,v,v,v", "y");
    onnx_build_output(&build, "y", 1, NULL);
    onnx_build_save(&build, folder_path(suite->folder, "one.onnx", path));
    onnx_build_end(&build);
    struct program_result result = RUN("plan", path, "--input", "2x4x4", "--batch", "1", "--json");
    assert_non_null(strstr(result.err, "layer BatchNormalization_2: batch norm: one value"));
    assert_non_null(strstr(result.err, "Planned for inference"));
    assert_non_null(strstr(result.out, "\"pass\":\"fwd\""));
    assert_int_equal(result.status, 0);
    program_free(&result);
    assert_program(RUN("plan", path, "--batch", "1"), 1, "--input CxHxW");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_export),     cmocka_unit_test(test_fine_tuning),
        cmocka_unit_test(test_checkpoint), cmocka_unit_test(test_others),
        cmocka_unit_test(test_obstacles),  cmocka_unit_test(test_plan_note),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
