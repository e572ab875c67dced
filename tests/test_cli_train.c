/* Training, evaluation and prediction through the program: repeatability, kill and resume, damaged files. */
#include "support/folder.h"
#include "support/program.h"

#include "net/net.h"
#include "net/onnx/onnx_write.h"
#include "net/safetensors.h"

#include <jansson.h>
#include <png.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA "synthetic:digits,count=300,seed=5"

/* Six short epochs, the last batch of each not full. */
static const char *const train[] = {"train", "lenet5-relu", "--data",    DATA,      "--val-last",
                                    "60",    "--epochs",    "6",         "--batch", "32",
                                    "--lr",  "0.05",        "--lr-step", "1:0.7",   "--momentum",
                                    "0.9",   "--nesterov",  "--seed",    "3",       "--out"};
enum { TRAIN_ARGS = sizeof train / sizeof *train, EPOCHS = 6 };

static struct program_result run_train(const char *out, const struct program_signal *signal) {
    const char *args[TRAIN_ARGS + 2] = {0};
    memcpy(args, train, sizeof train);
    args[TRAIN_ARGS] = out;
    return program_run_signal(args, signal);
}

static void assert_same_file(const char *a, const char *b, const char *name) {
    char path[FOLDER_PATH_SIZE];
    size_t size_a, size_b;
    unsigned char *bytes_a = bytes_read(folder_path(a, name, path), &size_a);
    unsigned char *bytes_b = bytes_read(folder_path(b, name, path), &size_b);
    assert_int_equal(size_a, size_b);
    check_same_bytes(bytes_a, bytes_b, size_a, name);
    free(bytes_a);
    free(bytes_b);
}

static int count_lines(const char *folder) {
    char path[FOLDER_PATH_SIZE];
    size_t size;
    unsigned char *text = bytes_read(folder_path(folder, "metrics.jsonl", path), &size);
    int lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    assert_true(size == 0 || text[size - 1] == '\n');
    free(text);
    return lines;
}

/* metrics.jsonl without what the clock decides. */
static void assert_same_metrics(const char *a, const char *b) {
    char path_a[FOLDER_PATH_SIZE], path_b[FOLDER_PATH_SIZE];
    FILE *file_a = fopen(folder_path(a, "metrics.jsonl", path_a), "r");
    FILE *file_b = fopen(folder_path(b, "metrics.jsonl", path_b), "r");
    assert_non_null(file_a);
    assert_non_null(file_b);
    json_t *line_a;
    while ((line_a = json_loadf(file_a, JSON_DISABLE_EOF_CHECK, NULL))) {
        json_t *line_b = json_loadf(file_b, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(line_b);
        json_object_del(line_a, "seconds");
        json_object_del(line_b, "seconds");
        json_object_del(line_a, "images_per_s");
        json_object_del(line_b, "images_per_s");
        assert_true(json_equal(line_a, line_b));
        json_decref(line_a);
        json_decref(line_b);
    }
    fclose(file_a);
    fclose(file_b);
}

/* What the tests share: a folder, and in it "whole", a training that nothing interrupted. */
struct suite {
    char *folder;
    char whole[FOLDER_PATH_SIZE];
};

static int suite_setup(void **state) {
    struct suite *suite = calloc(1, sizeof *suite);
    void *folder = NULL;
    *state = suite;
    if (!suite || folder_setup(&folder)) return -1;
    suite->folder = folder;
    folder_path(folder, "whole", suite->whole);
    for (int i = 0; i < 2; i++) { /* for test_twice */
        struct program_result result = run_train(suite->whole, NULL);
        if (result.status) print_error("%s%s", result.out, result.err);
        int status = result.status;
        program_free(&result);
        if (status) return -1;
    }
    return 0;
}

static int suite_teardown(void **state) {
    struct suite *suite = *state;
    void *folder = suite->folder;
    free(suite);
    return folder_teardown(&folder);
}

static void test_twice(void **state) {
    const struct suite *suite = *state;
    char moved[FOLDER_PATH_SIZE];
    folder_path(suite->whole, "previous-1", moved);
    assert_same_file(suite->whole, moved, "last.safetensors");
    assert_same_file(suite->whole, moved, "best.safetensors");
    assert_same_metrics(suite->whole, moved);
    assert_int_equal(count_lines(suite->whole), EPOCHS);
    assert_int_equal(count_lines(moved), EPOCHS);
}

/* Trains in folder, killed at moments that a fixed generator chooses and resumed, until the training is done: a kill may hit anything:
   start, step, validation, a file being written. A moment is up to two epochs, told by metrics.jsonl, and some milliseconds away: a busy
   machine makes the training slower, and the kills with it. Gives how often it went on from a finished epoch. */
static int train_killed(const char *folder, uint32_t *random) {
    char last[FOLDER_PATH_SIZE], metrics[FOLDER_PATH_SIZE];
    const char *const resume[] = {"train", "--resume", folder, NULL};
    int resumed = 0;
    folder_path(folder, "last.safetensors", last);
    folder_path(folder, "metrics.jsonl", metrics);
    for (int attempt = 0;; attempt++) {
        *random = *random * 1664525u + 1013904223u;
        const struct program_signal kill = {.signal = SIGKILL,
                                            .file = metrics,
                                            .lines =
                                                program_lines(metrics) + (int)(*random >> 16) % 3,
                                            .after_ms = (int)(*random >> 24) % 128};
        const struct program_signal *signal = attempt == 8 ? NULL : &kill;
        struct program_result result =
            access(last, F_OK) ? run_train(folder, signal) : program_run_signal(resume, signal);
        const char *line = strstr(result.out, "continuing after epoch ");
        resumed += line && line[strlen("continuing after epoch ")] != '0';
        int status = result.status;
        if (status != 0 && (status != -SIGKILL || !signal))
            fail_msg("status %d, %d ms after line %d\n%s%s", status, kill.after_ms, kill.lines,
                     result.out, result.err);
        program_free(&result);
        if (status == 0) return resumed;
    }
}

static void test_killed(void **state) {
    const struct suite *suite = *state;
    char killed[FOLDER_PATH_SIZE], name[16];
    uint32_t random = 12345;
    int resumed = 0;
    for (int round = 0; resumed < 2 && round < 16; round++) {
        snprintf(name, sizeof name, "killed%d", round);
        resumed += train_killed(folder_path(suite->folder, name, killed), &random);
        assert_same_file(suite->whole, killed, "last.safetensors");
        assert_same_file(suite->whole, killed, "best.safetensors");
        assert_same_metrics(suite->whole, killed);
        assert_int_equal(count_lines(killed), EPOCHS);
        assert_int_equal(folder_count(killed), 3); /* no temporary files */
    }
    assert_true(resumed >= 2);
}

/* Ctrl-C: one line that says how to go on, nothing half. */
static void test_interrupted(void **state) {
    const struct suite *suite = *state;
    char path[FOLDER_PATH_SIZE], metrics[FOLDER_PATH_SIZE];
    folder_path(suite->folder, "interrupted", path);
    folder_path(path, "metrics.jsonl", metrics);
    const char *const args[] = {"train",   "lenet5-relu", "--data", DATA, "--epochs", "100000",
                                "--batch", "32",          "--out",  path, NULL};
    struct program_result result = program_run_signal(
        args, &(struct program_signal){.signal = SIGINT, .file = metrics, .lines = 2});
    assert_program(result, 1, "--resume");
    assert_int_equal(folder_count(path), 3); /* no temporary file */
    const struct program_signal term = {
        .signal = SIGTERM, .file = metrics, .lines = program_lines(metrics) + 1, .after_ms = 20};
    result = program_run_signal((const char *const[]){"train", "--resume", path, NULL}, &term);
    assert_program(result, 1, "--resume");
}

static void test_resume(void **state) {
    const struct suite *suite = *state;
    char part[FOLDER_PATH_SIZE];
    folder_path(suite->folder, "part", part);
    const char *args[TRAIN_ARGS + 4] = {0};
    memcpy(args, train, sizeof train);
    args[TRAIN_ARGS] = part;
    args[TRAIN_ARGS + 1] = "--epochs";
    args[TRAIN_ARGS + 2] = "2";
    assert_program(program_run(args), 0, "validation accuracy");
    assert_program(RUN("train", "--resume", part, "--seed", "4"), 2, "--seed");
    assert_program(RUN("train", "--resume", part, "--lr", "0.1"), 2, "--lr");
    assert_program(RUN("train", "--resume", part, "--batch", "16"), 2, "--batch");
    assert_program(RUN("train", "--resume", part, "--val-last", "10"), 2, "--val-last");
    assert_program(RUN("train", "--resume", part, "--width", "0.5"), 2, "--width");
    assert_program(RUN("train", "--resume", part, "--init", "he"), 2, "--init: --resume");
    assert_program(RUN("train", "lenet5-relu", "--init", "kaiming"), 2, "there are: he");
    assert_program(RUN("train", "lenet5", "--resume", part), 2, "lenet5-relu");
    assert_program(RUN("train", "--resume", part, "--epochs", "1"), 2, "--epochs");
    assert_program(RUN("train", "--resume", part, "--out", suite->whole), 2, "--out");
    assert_program(RUN("train", "--resume", part, "--data", "synthetic:digits,count=300,seed=6"), 1,
                   "same ones");
    assert_program(RUN("train", "lenet5-relu", "--resume", part, "--seed", "3", "--data", DATA,
                       "--lr-step", "1:0.7", "--width", "1", "--epochs", "6"),
                   0, "continuing after epoch 2");
    assert_same_file(suite->whole, part, "last.safetensors");
    assert_same_metrics(suite->whole, part);
    assert_program(RUN("train", "--resume", part), 0, "done already");
}

static void test_damaged(void **state) {
    const struct suite *suite = *state;
    char damaged[FOLDER_PATH_SIZE], last[FOLDER_PATH_SIZE], none[FOLDER_PATH_SIZE];
    size_t size;
    unsigned char *bytes = bytes_read(folder_path(suite->whole, "last.safetensors", last), &size);
    folder_path(suite->folder, "damaged", damaged);
    assert_int_equal(mkdir(damaged, 0777), 0);
    folder_path(damaged, "last.safetensors", last);
    const size_t sizes[] = {0, 7, 100, size / 2, size - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        bytes_write(last, bytes, sizes[i]);
        assert_program(RUN("train", "--resume", damaged), 1, "last.safetensors");
        assert_program(RUN("eval", "lenet5-relu", "--weights", last, "--data", DATA), 1,
                       "last.safetensors");
    }
    free(bytes);
    assert_program(RUN("train", "--resume", folder_path(suite->folder, "none", none)), 1, none);
}

static void test_folders(void **state) {
    const struct suite *suite = *state;
    char file[FOLDER_PATH_SIZE], within[FOLDER_PATH_SIZE];
    int before = folder_count(suite->folder);
    bytes_write(folder_path(suite->folder, "file", file), "x", 1);
    folder_path(suite->folder, "file/run", within);
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--out", file), 1, file);
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--out", within), 1, file);
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--out", "/proc/tessera"), 1,
                   "/proc/tessera");
    assert_program(RUN("train", "lenet6", "--data", DATA, "--out", within), 1, "lenet6");
    assert_program(RUN("train", "lenet5-relu", "--data", "nothing:x", "--out", within), 1,
                   "nothing:x");
    assert_program(RUN("train", "lenet5-relu", "--data", "mnist:/no/such", "--out", within), 1,
                   "/no/such");
    assert_program(RUN("train", "lenet5-relu", "--data", "synthetic:digits,cout=3"), 1, "count=");
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--val-last", "300", "--out",
                       folder_path(suite->folder, "run", within)),
                   1, "300");
    assert_int_equal(folder_count(suite->folder),
                     before + 1); /* a training that cannot start leaves nothing */
}

/* A loss that is not finite ends the training; the state before it stays. */
/* The second epoch's rate is too large. The message names the way out, which is one. */
static void test_diverging(void **state) {
    const struct suite *suite = *state;
    char path[FOLDER_PATH_SIZE], again[FOLDER_PATH_SIZE], last[FOLDER_PATH_SIZE];
    char way_out[FOLDER_PATH_SIZE + 64];
    folder_path(suite->folder, "diverging", path);
    folder_path(suite->folder, "diverging/last.safetensors", last);
    folder_path(suite->folder, "again", again);
    snprintf(way_out, sizeof way_out, "good epoch, 1: --weights %s --out DIR", last);
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--lr", "0.01", "--lr-step", "1:1e9",
                       "--out", path),
                   1, way_out);
    assert_program(RUN("train", "--resume", path), 1, way_out);
    assert_program(RUN("train", "--resume", path, "--lr", "0.02"), 2, last);
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--weights", last, "--lr", "0.01",
                       "--epochs", "1", "--out", again),
                   0, NULL);
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--lr", "1e6", "--out", again), 1,
                   "start again with a smaller --lr");
}

/* A grey PNG of 28 x 28: a vertical bar, light on dark or dark on light. */
static void write_bar(const char *path, bool inverted) {
    uint8_t pixels[28 * 28];
    for (int i = 0; i < 28 * 28; i++) {
        bool bar = i % 28 >= 12 && i % 28 < 16 && i / 28 >= 4 && i / 28 < 24;
        pixels[i] = bar != inverted ? 255 : 0;
    }
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = 28, .height = 28, .format = PNG_FORMAT_GRAY};
    assert_true(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
}

static void test_eval_and_predict(void **state) {
    const struct suite *suite = *state;
    char best[FOLDER_PATH_SIZE], bar[FOLDER_PATH_SIZE], ink[FOLDER_PATH_SIZE];
    folder_path(suite->whole, "best.safetensors", best);
    struct program_result result =
        RUN("eval", "lenet5-relu", "--weights", best, "--data", DATA, "--json", "--batch", "50");
    assert_int_equal(result.status, 0);
    json_t *line = json_loads(result.out, 0, NULL);
    assert_non_null(line);
    assert_int_equal(json_integer_value(json_object_get(line, "images")), 300);
    assert_true(json_is_true(json_object_get(line, "synthetic")));
    assert_true(json_is_true(json_object_get(line, "normalisation_from_weights")));
    assert_true(json_is_false(json_object_get(line, "trained_on")));
    assert_in_range((int)json_real_value(json_object_get(line, "accuracy")), 0, 100);
    assert_true(json_real_value(json_object_get(line, "mean_loss")) < 10);
    json_decref(line);
    program_free(&result);
    assert_program(RUN("eval", "lenet5", "--weights", best, "--data", DATA), 1, "lenet5-relu");
    assert_program(RUN("eval", "lenet5-relu", "--weights", best, "--data", "mnist:/none"), 1,
                   "/none");

    write_bar(folder_path(suite->folder, "bar.png", bar), false);
    write_bar(folder_path(suite->folder, "ink.png", ink), true);
    result = RUN("predict", "lenet5-relu", "--weights", best, bar, ink, "--top", "2");
    assert_int_equal(result.status, 0);
    assert_non_null(strstr(result.out, "bar.png: "));
    assert_non_null(strstr(result.out, "--invert"));
    program_free(&result);
    assert_program(RUN("predict", "lenet5-relu", "--weights", best, bar, suite->whole), 1,
                   suite->whole);
    result = RUN("predict", "lenet5-relu", "--weights", best, bar);
    struct program_result inverted =
        RUN("predict", "lenet5-relu", "--weights", best, "--invert", ink);
    assert_int_equal(inverted.status, 0);
    assert_string_equal(strstr(result.out, ".png: "), strstr(inverted.out, ".png: "));
    program_free(&result);
    program_free(&inverted);
}

/* A checkpoint knows the width and the input that it was trained with. */
/* Residual blocks of one convolution's shape, behind batch normalisations whose outputs can be made again, as an ONNX model. */
static void write_blocks(const char *folder, const char *path) {
    char file[FOLDER_PATH_SIZE];
    tess_context *ctx;
    tess_graph *graph = NULL;
    tess_net *net = NULL;
    struct safetensors *weights = NULL;
    const tess_conv_layer conv = {.filters = 8, .kernel_h = 3, .pad = 1};
    const tess_batch_norm_layer norm = {.act = {.kind = TESS_ACT_RELU}};
    assert_int_equal(check_setup((void **)&ctx), 0);
    assert_int_equal(tess_graph_create("blocks", NULL, &graph), TESS_OK);
    tess_node x = tess_graph_conv(graph, tess_graph_input(graph, 1, 28, 28), &conv);
    for (int i = 0; i < 3; i++) {
        tess_node y = tess_graph_conv(graph, tess_graph_batch_norm(graph, x, &norm), &conv);
        x = tess_graph_add(graph, y, x, NULL, (tess_act){.kind = TESS_ACT_NONE});
    }
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 10}));
    assert_ok(ctx, net_create(ctx, graph, &(tess_net_options){0},
                              &(struct net_debug){.conv_algo = "generic"}, &net));
    assert_ok(ctx, tess_net_init(net, 1));
    folder_path(folder, "blocks.safetensors", file);
    assert_ok(ctx, tess_net_save(net, file, false, NULL));
    assert_int_equal(safetensors_read(file, NULL, &weights), TESS_OK);
    assert_int_equal(onnx_write(path, graph, weights, NULL), TESS_OK);
    safetensors_destroy(weights);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
    tess_context_destroy(ctx);
}

/* Outputs that are made again are the same, bit by bit. */
static void test_recompute(void **state) {
    const struct suite *suite = *state;
    char kept[FOLDER_PATH_SIZE], again[FOLDER_PATH_SIZE], model[FOLDER_PATH_SIZE];
    folder_path(suite->folder, "kept", kept);
    folder_path(suite->folder, "again", again);
    write_blocks(suite->folder, folder_path(suite->folder, "blocks.onnx", model));
#define BLOCKS                                                                                     \
    "train", model, "--data", "synthetic:digits,count=24,seed=5", "--epochs", "2", "--batch", "8", \
        "--out"
    assert_program(RUN(BLOCKS, kept), 0, NULL);
    struct program_result result = RUN(BLOCKS, again, "--recompute");
#undef BLOCKS
    const char *line = strstr(result.out, "less memory: ");
    if (!line) fail_msg("%s%s", result.out, result.err);
    assert_true(atoi(line + strlen("less memory: ")) > 0);
    program_free(&result);
    assert_same_file(kept, again, "last.safetensors");
    assert_same_metrics(kept, again);
    result = RUN("bench", "net", "--net", model, "--batch", "8", "--mode", "train", "--samples",
                 "1", "--recompute", "--json", "-");
    json_t *row = json_loads(result.out, 0, NULL);
    assert_true(json_integer_value(json_object_get(row, "recomputed")) > 0);
    json_decref(row);
    program_free(&result);
    assert_program(
        RUN("bench", "net", "--net", model, "--batch", "8", "--mode", "infer", "--recompute"), 2,
        "--recompute: inference keeps no outputs");
}

static void test_width_and_input(void **state) {
    const struct suite *suite = *state;
    char path[FOLDER_PATH_SIZE], best[FOLDER_PATH_SIZE];
    folder_path(suite->folder, "narrow", path);
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--val-last", "60", "--epochs", "1",
                       "--batch", "32", "--width", "0.5", "--input", "1x30x32", "--out", path),
                   0, NULL);
    assert_program(RUN("train", "--resume", path, "--width", "1"), 2, "--width");
    assert_program(RUN("train", "--resume", path, "--input", "1x28x28"), 2, "1x30x32");
    assert_program(RUN("train", "--resume", path, "--epochs", "2"), 0, NULL);
    assert_program(RUN("eval", "lenet5-relu", "--weights",
                       folder_path(path, "best.safetensors", best), "--data", DATA, "--batch",
                       "50"),
                   0, "accuracy");
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--input", "1x28x20", "--out", path),
                   1, "1x28x20");
    assert_program(RUN("train", "lenet5-relu", "--data", DATA, "--input", "28", "--out", path), 2,
                   "CxHxW");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice),           cmocka_unit_test(test_killed),
        cmocka_unit_test(test_interrupted),     cmocka_unit_test(test_resume),
        cmocka_unit_test(test_damaged),         cmocka_unit_test(test_folders),
        cmocka_unit_test(test_diverging),       cmocka_unit_test(test_eval_and_predict),
        cmocka_unit_test(test_width_and_input), cmocka_unit_test(test_recompute),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}
