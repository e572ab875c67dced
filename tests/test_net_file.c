/* Parameters in files: there and back, layouts, and what is refused. */
#include "support/test_nets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/safetensors.h"

enum { ROWS = 3 };

static const tess_net_options training = {.batch = ROWS, .training = true};

/* A file of this process, removed by the test. */
static const char *file_path(char path[64]) {
    snprintf(path, 64, "/tmp/tessera_net_file_%ld.safetensors", (long)getpid());
    return path;
}

static tess_net *trained(tess_context *ctx, const tess_graph *graph, int steps) {
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
    tess_net *net = test_net_make(ctx, graph, &training, NULL, &batch);
    for (int step = 0; step < steps; step++)
        assert_ok(ctx, tess_net_train_step(net, &(tess_sgd_desc){.lr = 0.1f, .momentum = 0.9f},
                                           ROWS, (uint64_t)step));
    test_batch_free(&batch);
    return net;
}

static void expect_same_buffer(tess_tensor *a, tess_tensor *b, const char *label) {
    float *left = check_read(a), *right = check_read(b);
    check_same_bytes(left, right, tess_tensor_desc_bytes(tess_tensor_get_desc(a)), label);
    free(left);
    free(right);
}

/* What is loaded goes on to the same bytes as what was saved. */
static void there_and_back(void **state) {
    tess_context *ctx = *state;
    static const char *const names[] = {"everything", "normalised"};
    for (int i = 0; i < 2; i++) {
        char path[64];
        tess_graph *graph = test_net_graph(names[i]);
        tess_net *saved = trained(ctx, graph, 3), *loaded = trained(ctx, graph, 0);
        assert_ok(ctx, tess_net_save(saved, file_path(path), true, NULL));
        assert_ok(ctx, tess_net_load(loaded, path, true));
        expect_same_buffer(saved->values, loaded->values, "values");
        expect_same_buffer(saved->velocities, loaded->velocities, "velocities");
        if (saved->states) expect_same_buffer(saved->states, loaded->states, "running values");
        for (uint64_t step = 3; step < 5; step++) {
            const tess_sgd_desc sgd = {.lr = 0.1f, .momentum = 0.9f};
            assert_ok(ctx, tess_net_train_step(saved, &sgd, ROWS, step));
            assert_ok(ctx, tess_net_train_step(loaded, &sgd, ROWS, step));
        }
        expect_same_buffer(saved->values, loaded->values, "values two steps later");
        tess_net_destroy(loaded);
        tess_net_destroy(saved);
        tess_graph_destroy(graph);
        unlink(path);
    }
}

/* An inference network reads a training checkpoint and leaves the velocities. */
static void inference_reads_a_checkpoint(void **state) {
    tess_context *ctx = *state;
    char path[64];
    tess_graph *graph = test_net_graph("residual");
    tess_net *saved = trained(ctx, graph, 2);
    tess_net *loaded = test_net_make(ctx, graph, &(tess_net_options){0}, NULL, NULL);
    assert_ok(ctx, tess_net_save(saved, file_path(path), true, NULL));
    assert_ok(ctx, tess_net_load(loaded, path, false));
    for (int i = 0; i < tess_net_param_count(saved); i++)
        expect_same_buffer(tess_net_param(saved, i).value, tess_net_param(loaded, i).value,
                           tess_net_param(saved, i).name);
    assert_int_equal(tess_net_load(loaded, path, true), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_save(loaded, path, true, NULL), TESS_INVALID_ARGUMENT);
    tess_net_destroy(loaded);
    tess_net_destroy(saved);
    tess_graph_destroy(graph);
    unlink(path);
}

/* Names, shapes and the order of elements that PyTorch expects. */
static void file_is_kcrs(void **state) {
    tess_context *ctx = *state;
    char path[64];
    tess_error error = {0};
    struct safetensors *file = NULL;
    tess_graph *graph = test_net_graph("everything");
    tess_net *net = trained(ctx, graph, 0);
    const char *const metadata[] = {"epoch", "7", "note", "a \"quoted\" word", NULL};
    assert_ok(ctx, tess_net_save(net, file_path(path), false, metadata));
    assert_int_equal(safetensors_read(path, &error, &file), TESS_OK);
    assert_string_equal(safetensors_metadata(file, "format"), "pt");
    assert_string_equal(safetensors_metadata(file, "tessera.model"), "everything");
    assert_string_equal(safetensors_metadata(file, "epoch"), "7");
    assert_string_equal(safetensors_metadata(file, "note"), "a \"quoted\" word");
    assert_int_equal(file->count, tess_net_param_count(net));

    const struct safetensor *w = safetensors_find(file, "conv2.weight");
    assert_non_null(w);
    assert_int_equal(w->rank, 4);
    const int64_t shape[] = {4, 2, 3, 3};
    assert_memory_equal(w->shape, shape, sizeof shape);
    float *device = NULL;
    for (int i = 0; i < tess_net_param_count(net); i++)
        if (strcmp(tess_net_param(net, i).name, "conv2.weight") == 0)
            device = check_read(tess_net_param(net, i).value);
    assert_non_null(device);
    for (int k = 0; k < 4; k++)
        for (int c = 0; c < 2; c++)
            for (int r = 0; r < 3; r++)
                for (int s = 0; s < 3; s++)
                    assert_true(w->data[((k * 2 + c) * 3 + r) * 3 + s] ==
                                device[((r * 3 + s) * 2 + c) * 4 + k]);
    free(device);
    const struct safetensor *fc = safetensors_find(file, "fc1.weight");
    assert_non_null(fc);
    assert_int_equal(fc->rank, 2);
    assert_int_equal(fc->shape[0], 7);
    assert_int_equal(safetensors_find(file, "pool1.scale")->rank, 1);
    assert_non_null(safetensors_find(file, "pool1.bias"));
    assert_null(safetensors_find(file, "conv2.bias"));
    safetensors_destroy(file);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
    unlink(path);
}

/* Loading fails with what, and the network keeps its values. */
static void expect_refusal(tess_net *net, const char *path, bool optimizer, tess_status status,
                           const char *what) {
    size_t bytes;
    float *before = test_net_values(net, &bytes);
    assert_int_equal(tess_net_load(net, path, optimizer), status);
    const char *text = tess_context_last_error(net->ctx);
    if (!strstr(text, what)) fail_msg("\"%s\" does not say \"%s\"", text, what);
    float *after = test_net_values(net, &bytes);
    check_same_bytes(before, after, bytes, what);
    free(before);
    free(after);
}

static void mismatches_change_nothing(void **state) {
    tess_context *ctx = *state;
    char path[64];
    tess_error error = {0};
    struct safetensors *file = NULL;
    tess_graph *graph = test_net_graph("linear"), *other = test_net_graph("residual");
    tess_net *net = trained(ctx, graph, 1), *stranger = trained(ctx, other, 0);
    assert_ok(ctx, tess_net_save(net, file_path(path), false, NULL));
    expect_refusal(stranger, path, false, TESS_BAD_FORMAT, "conv1.weight");
    expect_refusal(net, path, true, TESS_BAD_FORMAT, "optimizer.velocity.fc1.weight");

    assert_int_equal(safetensors_read(path, &error, &file), TESS_OK);
    struct safetensor *bias = (struct safetensor *)(size_t)safetensors_find(file, "fc1.bias");
    bias->shape[0] = 1;
    assert_int_equal(safetensors_write(path, file, &error), TESS_OK);
    expect_refusal(net, path, false, TESS_INVALID_SHAPE,
                   "fc1.bias is [1], but network linear needs [3]");
    bias->shape[0] = 3;
    bias->name[0] = 'x';
    assert_int_equal(safetensors_write(path, file, &error), TESS_OK);
    expect_refusal(net, path, false, TESS_BAD_FORMAT, "has no fc1.bias");
    safetensors_destroy(file);

    assert_ok(ctx, tess_net_save(stranger, path, false, NULL));
    assert_int_equal(safetensors_read(path, &error, &file), TESS_OK);
    expect_refusal(net, path, false, TESS_INVALID_SHAPE, "fc1.weight is [4, 5]");
    safetensors_destroy(file);
    expect_refusal(net, "/nonexistent/file", false, TESS_IO, "/nonexistent/file");
    expect_refusal(net, NULL, false, TESS_INVALID_ARGUMENT, "no path");
    tess_net_destroy(stranger);
    tess_net_destroy(net);
    tess_graph_destroy(other);
    tess_graph_destroy(graph);
    unlink(path);
}

/* All parameters fit, and there is one more. */
static void a_larger_networks_file_is_refused(void **state) {
    tess_context *ctx = *state;
    char path[64];
    tess_error error = {0};
    struct safetensors *file = NULL;
    tess_graph *graph = test_net_graph("linear");
    tess_net *net = trained(ctx, graph, 1);
    assert_ok(ctx, tess_net_save(net, file_path(path), false, NULL));
    assert_int_equal(safetensors_read(path, &error, &file), TESS_OK);
    struct safetensor more[3] = {file->tensors[0], file->tensors[1], file->tensors[1]};
    char name[] = "fc2.bias";
    more[2].name = name;
    struct safetensors larger = {.tensors = more, .count = 3, .metadata = file->metadata};
    assert_int_equal(safetensors_write(path, &larger, &error), TESS_OK);
    expect_refusal(net, path, false, TESS_BAD_FORMAT, "fc2.bias");
    safetensors_destroy(file);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
    unlink(path);
}

static void save_errors(void **state) {
    tess_context *ctx = *state;
    char path[64];
    tess_graph *graph = test_net_graph("linear");
    tess_net *net = trained(ctx, graph, 0);
    const char *const odd[] = {"key", NULL};
    assert_int_equal(tess_net_save(net, file_path(path), false, odd), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_save(net, NULL, false, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_save(NULL, path, false, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_save(net, "/nonexistent/file", false, NULL), TESS_IO);
    assert_int_equal(access(path, F_OK), -1);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(inference_reads_a_checkpoint),
        cmocka_unit_test(file_is_kcrs),
        cmocka_unit_test(mismatches_change_nothing),
        cmocka_unit_test(a_larger_networks_file_is_refused),
        cmocka_unit_test(save_errors),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
