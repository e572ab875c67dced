/* Inference without a second copy of weights that are packed or folded: the same bits, the same files, and less memory. */
#include "support/test_nets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 2 };

static const tess_net_options inference = {.batch = ROWS};
/* One algorithm that packs, for few programs. */
static const struct net_debug staged = {.conv_algo = "direct"};
static const struct net_debug kept = {.conv_algo = "direct", .keep_weights = true};

/* A convolution that is packed, one that is folded and packed, a part that only training reads. The arenas hold two filters. */
static tess_graph *test_graph(void) {
    tess_graph *graph = NULL;
    assert_int_equal(tess_graph_create("staged", NULL, &graph), TESS_OK);
    const tess_conv_layer conv = {.filters = 16, .kernel_h = 3, .pad = 1};
    tess_node x = tess_graph_conv(graph, tess_graph_input(graph, 16, 12, 12), &conv);
    tess_node side = tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3});
    tess_graph_auxiliary(graph, side, NULL, 0.3f);
    x = tess_graph_conv(
        graph, x, &(tess_conv_layer){.filters = 16, .kernel_h = 3, .pad = 1, .no_bias = true});
    x = tess_graph_batch_norm(graph, x, &(tess_batch_norm_layer){0});
    x = tess_graph_activation(graph, x, NULL, (tess_act){.kind = TESS_ACT_RELU});
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3}));
    tess_error error = {0};
    if (tess_graph_check(graph, &error)) fail_msg("%s", error.text);
    return graph;
}

static tess_net *make(tess_context *ctx, const tess_graph *graph, const struct net_debug *debug) {
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 4);
    tess_net *net = NULL;
    assert_ok(ctx, net_create(ctx, graph, &inference, debug, &net));
    test_batch_write(net, &batch);
    test_batch_free(&batch);
    return net;
}

static void expect_same_output(tess_net *a, tess_net *b, const char *label) {
    assert_ok(a->ctx, tess_net_forward(a));
    assert_ok(b->ctx, tess_net_forward(b));
    float *left = check_read(tess_net_output(a)), *right = check_read(tess_net_output(b));
    check_same_bytes(left, right, tess_tensor_desc_bytes(tess_tensor_get_desc(a->output)), label);
    free(left);
    free(right);
}

static char *file_bytes(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *data = check_alloc(1 << 20);
    *size = fread(data, 1, 1 << 20, file);
    fclose(file);
    unlink(path);
    return data;
}

static void expect_same_files(tess_context *ctx, tess_net *a, tess_net *b) {
    char paths[2][64], *data[2];
    size_t size[2];
    for (int onnx = 0; onnx < 2; onnx++) {
        for (int i = 0; i < 2; i++) {
            tess_net *net = i ? b : a;
            snprintf(paths[i], sizeof paths[i], "/tmp/tessera_staged_%d_%ld", i, (long)getpid());
            assert_ok(ctx, onnx ? tess_net_save_onnx(net, paths[i])
                                : tess_net_save(net, paths[i], false, NULL));
            data[i] = file_bytes(paths[i], &size[i]);
        }
        assert_int_equal(size[0], size[1]);
        check_same_bytes(data[0], data[1], size[0], onnx ? "model" : "weights");
        free(data[0]);
        free(data[1]);
    }
}

static void same_bits_in_less_memory(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_graph();
    tess_net *a = make(ctx, graph, &kept);
    uint64_t before = tess_context_counters(ctx).device_bytes;
    tess_net *b = make(ctx, graph, &staged);
    expect_same_output(a, b, "before any weights");
    for (uint64_t seed = 1; seed <= 2; seed++) {
        assert_ok(ctx, tess_net_init(a, seed));
        assert_ok(ctx, tess_net_init(b, seed));
        expect_same_output(a, b, "initialised");
        expect_same_files(ctx, a, b);
    }
    tess_net_memory with = tess_net_memory_info(a), without = tess_net_memory_info(b);
    assert_int_equal(with.staged, 0);
    assert_true(without.staged >= 2 * 9 * 16 * 16 * sizeof(float));
    assert_true(without.folded == 0 && with.folded > 0 && without.packed == with.packed);
    assert_true(with.parameters >= without.parameters + without.staged);
    size_t own = (size_t)(tess_context_counters(ctx).device_bytes - before);
    assert_true(own >= without.parameters + without.workspace + without.operators);
    assert_true(own < with.parameters + with.operators);
    tess_net_destroy(a);
    tess_net_destroy(b);
    tess_graph_destroy(graph);
}

/* One layer after the other: the start takes no more than the network. */
static void packing_takes_no_memory_of_its_own(void **state) {
    tess_context *shared = *state, *ctx = NULL;
    tess_graph *graph = test_graph();
    const tess_device_info *device = tess_context_device(shared);
    char spec[32];
    snprintf(spec, sizeof spec, "%u:%u", device->platform_index, device->device_index);
    assert_int_equal(tess_context_create(&(tess_context_options){.device = spec}, NULL, &ctx),
                     TESS_OK);
    tess_net *net = make(ctx, graph, &staged);
    uint64_t own = tess_context_counters(ctx).device_bytes;
    assert_ok(ctx, tess_net_init(net, 1));
    assert_ok(ctx, tess_net_forward(net));
    tess_counters first = tess_context_counters(ctx);
    assert_int_equal(first.device_bytes, own);
    assert_int_equal(first.device_bytes_peak, own);
    assert_ok(ctx, tess_net_forward(net));
    tess_counters second = tess_context_counters(ctx);
    assert_ok(ctx, tess_net_forward(net));
    tess_counters third = tess_context_counters(ctx);
    assert_int_equal(third.buffers_created, second.buffers_created);
    assert_int_equal(third.kernels_enqueued - second.kernels_enqueued,
                     second.kernels_enqueued - first.kernels_enqueued);
    tess_net_destroy(net);
    /* A refusal comes before any of the parameters. */
    tess_net *refused = NULL;
    tess_net_options limited = {.batch = ROWS, .memory_limit = 4096};
    uint64_t peak = tess_context_counters(ctx).device_bytes_peak;
    tess_graph *large = NULL;
    assert_int_equal(tess_zoo_build("lenet5", &(tess_zoo_options){.width = 16}, NULL, &large),
                     TESS_OK);
    assert_int_equal(net_create(ctx, large, &limited, &staged, &refused),
                     TESS_OUT_OF_DEVICE_MEMORY);
    limited.training = true;
    assert_int_equal(net_create(ctx, large, &limited, &staged, &refused),
                     TESS_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(tess_context_counters(ctx).device_bytes_peak, peak);
    tess_graph_destroy(large);
    tess_graph_destroy(graph);
    tess_context_destroy(ctx);
}

static void new_weights_are_packed(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_graph();
    tess_net *a = make(ctx, graph, &kept), *b = make(ctx, graph, &staged);
    char path[64];
    snprintf(path, sizeof path, "/tmp/tessera_staged_%ld.safetensors", (long)getpid());
    assert_ok(ctx, tess_net_init(b, 7));
    assert_ok(ctx, tess_net_init(a, 8));
    assert_ok(ctx, tess_net_save(a, path, false, NULL));
    assert_ok(ctx, tess_net_forward(b));
    assert_ok(ctx, tess_net_load(b, path, false));
    expect_same_output(a, b, "loaded");
    expect_same_files(ctx, a, b);
    assert_ok(ctx, tess_net_init(a, 9));
    assert_ok(ctx, tess_net_init(b, 9));
    assert_ok(ctx, tess_net_load_start(a, path, true));
    assert_ok(ctx, tess_net_load_start(b, path, true));
    expect_same_output(a, b, "loaded in part");
    expect_same_files(ctx, a, b);
    unlink(path);
    tess_net_destroy(a);
    tess_net_destroy(b);
    tess_graph_destroy(graph);
}

/* Whoever asks for a parameter may write to it, then and later. */
static void parameters_come_back(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_graph();
    tess_net *a = make(ctx, graph, &kept);
    for (int i = 0; i < tess_net_param_count(a); i++) {
        tess_net *b = make(ctx, graph, &staged);
        assert_ok(ctx, tess_net_init(a, 3));
        assert_ok(ctx, tess_net_init(b, 3));
        assert_ok(ctx, tess_net_forward(b));
        tess_tensor *left = tess_net_param(a, i).value, *right = tess_net_param(b, i).value;
        float *data = check_read(left), *same = check_read(right);
        size_t count = tess_tensor_desc_elements(tess_tensor_get_desc(left));
        check_same_bytes(data, same, count * sizeof *data, tess_net_param(a, i).name);
        expect_same_output(a, b, "asked for");
        for (size_t k = 0; k < count; k++)
            data[k] = 1.5f * data[k] + 0.25f;
        assert_ok(ctx, tess_tensor_write(left, data, tess_tensor_get_desc(left)->layout));
        assert_ok(ctx, tess_tensor_write(right, data, tess_tensor_get_desc(left)->layout));
        expect_same_output(a, b, tess_net_param(a, i).name);
        expect_same_files(ctx, a, b);
        assert_ok(ctx, tess_net_init(a, 5));
        assert_ok(ctx, tess_net_init(b, 5));
        expect_same_output(a, b, "initialised again");
        free(data);
        free(same);
        tess_net_destroy(b);
    }
    tess_net_destroy(a);
    tess_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_in_less_memory),
        cmocka_unit_test(packing_takes_no_memory_of_its_own),
        cmocka_unit_test(new_weights_are_packed),
        cmocka_unit_test(parameters_come_back),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
