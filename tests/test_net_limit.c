/* A limit of device memory is kept or refused, and recomputation changes no bit. */
#include "support/test_nets.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 2, STEPS = 3 };

/* One algorithm, for few programs. */
static const struct net_debug generic = {.conv_algo = "generic"};

/* Concatenation, dropout, batch normalisation, additions, several readers. */
static tess_graph *dense_graph(void) {
    tess_graph *graph = NULL;
    assert_int_equal(tess_graph_create("dense", NULL, &graph), TESS_OK);
    const tess_conv_layer conv = {.filters = 8, .kernel_h = 3, .pad = 1};
    tess_node x = tess_graph_conv(graph, tess_graph_input(graph, 3, 12, 12), &conv);
    for (int i = 0; i < 3; i++) {
        tess_node y = tess_graph_batch_norm(graph, x, &(tess_batch_norm_layer){0});
        y = tess_graph_activation(graph, y, NULL, (tess_act){.kind = TESS_ACT_RELU});
        y = tess_graph_dropout(graph, y, NULL, 0.25f);
        y = tess_graph_conv(graph, y, &conv);
        tess_node both[] = {x, y};
        x = tess_graph_concat(graph, both, 2, NULL);
        tess_node z = tess_graph_conv(graph, x, &conv);
        x = tess_graph_add(graph, z, y, NULL, (tess_act){.kind = TESS_ACT_NONE});
    }
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3}));
    return graph;
}

/* Values, running statistics and loss after some steps; free() them. */
static float *train(tess_context *ctx, const tess_graph *graph, const tess_net_options *options,
                    const struct net_debug *debug, size_t *bytes, tess_net_memory *memory) {
    const tess_sgd_desc sgd = {.lr = 0.05f, .momentum = 0.9f};
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 5);
    tess_net *net = test_net_make(ctx, graph, options, debug, &batch);
    float loss;
    for (uint64_t i = 0; i < STEPS; i++)
        assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, i));
    assert_ok(ctx, tess_net_result(net, &loss, NULL));
    float *values = test_net_values(net, bytes);
    values = realloc(values, *bytes + sizeof loss);
    assert_non_null(values);
    memcpy((char *)values + *bytes, &loss, sizeof loss);
    *bytes += sizeof loss;
    *memory = tess_net_memory_info(net);
    tess_net_destroy(net);
    test_batch_free(&batch);
    return values;
}

/* helps: the peak gets smaller. */
static void same_bits(tess_context *ctx, const tess_graph *graph, bool helps) {
    tess_net_options options = {
        .batch = ROWS, .training = true, .seed = 3, .recompute = TESS_RECOMPUTE_NEVER};
    tess_net_memory kept, again;
    size_t bytes[2];
    float *a = train(ctx, graph, &options, &generic, &bytes[0], &kept);
    options.recompute = TESS_RECOMPUTE_ALWAYS;
    float *b = train(ctx, graph, &options, &generic, &bytes[1], &again);
    assert_int_equal(bytes[0], bytes[1]);
    check_same_bytes(a, b, bytes[0], tess_graph_name(graph));
    assert_int_equal(kept.recomputed, 0);
    assert_int_equal(kept.activations_kept, kept.activations);
    if (helps && (!again.recomputed || again.activations >= kept.activations))
        fail_msg("%s: %d instructions added, %zu bytes instead of %zu", tess_graph_name(graph),
                 again.recomputed, again.activations, kept.activations);
    assert_int_equal(again.activations_kept, kept.activations);
    free(a);
    free(b);
}

static void recomputation_changes_nothing(void **state) {
    tess_context *ctx = *state;
    tess_graph *dense = dense_graph(), *residual = test_net_graph("resnet-tiny");
    same_bits(ctx, dense, true);
    if (!check_tiny()) same_bits(ctx, residual, false);
    tess_graph_destroy(dense);
    tess_graph_destroy(residual);
}

/* Bytes that the network took; 0: it was refused. */
static size_t created(tess_context *ctx, const tess_graph *graph, const tess_net_options *options,
                      const struct net_debug *debug) {
    uint64_t before = tess_context_counters(ctx).device_bytes;
    tess_net *net = NULL;
    tess_status status = net_create(ctx, graph, options, debug, &net);
    size_t used = (size_t)(tess_context_counters(ctx).device_bytes - before);
    if (status) {
        assert_int_equal(status, TESS_OUT_OF_DEVICE_MEMORY);
        assert_int_equal(used, 0);
        assert_non_null(strstr(tess_context_last_error(ctx), "memory limit: at least "));
    }
    tess_net_destroy(net);
    assert_int_equal(tess_context_counters(ctx).device_bytes, before);
    return used;
}

/* Down from what the network takes by itself: it fits each limit, down to one from which on it is refused. */
static void limits_are_kept(tess_context *ctx, const tess_graph *graph, tess_net_options options,
                            const struct net_debug *debug) {
    size_t free_bytes = created(ctx, graph, &options, debug);
    bool refused = false;
    int kept = 0;
    for (int percent = 100; percent >= 30; percent -= 5) {
        options.memory_limit = free_bytes * (size_t)percent / 100;
        size_t used = created(ctx, graph, &options, debug);
        assert_true(used <= options.memory_limit);
        assert_false(refused && used > 0);
        refused = refused || used == 0;
        kept += used > 0;
    }
    assert_true(kept >= 2 && refused);
}

static void the_limit_is_kept(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = dense_graph();
    tess_net_options options = {.batch = 16, .training = true};
    limits_are_kept(ctx, graph, options, &generic);
    tess_graph_destroy(graph);
}

/* The algorithms that the planner wants take more than is allowed; in inference packed weights count. */
static void algorithms_give_way(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = NULL;
    tess_net *net = NULL;
    assert_int_equal(tess_graph_create("wide", NULL, &graph), TESS_OK);
    tess_node x = tess_graph_input(graph, 64, 16, 16);
    for (int i = 0; i < 2; i++)
        x = tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 64, .kernel_h = 3, .pad = 1});
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3}));
    tess_net_options options = {.batch = 1};
    size_t wanted = created(ctx, graph, &options, NULL);
    assert_ok(ctx, tess_net_create(ctx, graph, &options, &net));
    tess_net_memory memory = tess_net_memory_info(net);
    tess_net_destroy(net);
    /* Weights that are packed without growing take the place of those that they were made of. */
    if (memory.packed + memory.workspace > memory.staged) {
        options.memory_limit = wanted - 1;
        size_t used = created(ctx, graph, &options, NULL);
        assert_true(used > 0 && used < wanted);
    }
    tess_graph_destroy(graph);
}

/* The line names the numbers, and a batch that does fit. */
static void a_refusal_helps(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = dense_graph();
    tess_net *net = NULL;
    tess_net_options options = {.batch = 64, .training = true, .memory_limit = 2 << 20};
    assert_int_equal(net_create(ctx, graph, &options, &generic, &net), TESS_OUT_OF_DEVICE_MEMORY);
    const char *text = tess_context_last_error(ctx);
    const char *batch = strstr(text, "a batch of about ");
    assert_non_null(strstr(text, "network dense: memory limit: at least "));
    assert_non_null(strstr(text, "and 2.0 allowed"));
    assert_non_null(batch);
    options.batch = atoi(batch + strlen("a batch of about "));
    if (!created(ctx, graph, &options, &generic))
        fail_msg("batch %d: %s", options.batch, tess_context_last_error(ctx));
    options.memory_limit = 1;
    assert_int_equal(created(ctx, graph, &options, &generic), 0);
    assert_non_null(strstr(tess_context_last_error(ctx), "smaller"));
    tess_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recomputation_changes_nothing),
        cmocka_unit_test(the_limit_is_kept),
        cmocka_unit_test(algorithms_give_way),
        cmocka_unit_test(a_refusal_helps),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
