/* Networks share buffers without harm, allocate nothing while they run, and leave nothing behind when they fail. */
#include "support/test_nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"everything", "residual", "bare-front", "linear",
                                    "normalised", "lenet5",   "resnet-tiny"};
enum { NAMES = sizeof names / sizeof names[0], ROWS = 3 };

static int name_count(void) {
    return check_tiny() ? 5 : NAMES;
}

static const tess_net_options training = {.batch = ROWS, .training = true, .seed = 3};

/* Slots that lie over each other are never alive together. */
static void slots_do_not_collide(void **state) {
    tess_context *ctx = *state;
    for (int i = 0; i < name_count(); i++) {
        tess_graph *graph = test_net_graph(names[i]);
        tess_net *net = test_net_make(ctx, graph, &training, NULL, NULL);
        for (int a = 1; a < net->slot_count; a++) {
            for (int b = 1; b < a; b++) {
                const struct slot *s = &net->slots[a], *t = &net->slots[b];
                if (s->fixed || t->fixed || s->first < 0 || t->first < 0 || s->arena != t->arena)
                    continue;
                bool together = s->first <= t->last && t->first <= s->last;
                bool apart = s->offset + tess_tensor_desc_bytes(&s->desc) <= t->offset ||
                             t->offset + tess_tensor_desc_bytes(&t->desc) <= s->offset;
                if (together && !apart) fail_msg("%s: slots %d and %d overlap", names[i], b, a);
            }
        }
        tess_net_destroy(net);
        tess_graph_destroy(graph);
    }
}

/* Gradients and probabilities, one after the other. */
static float *results(tess_context *ctx, const tess_graph *graph, const struct net_debug *debug,
                      tess_net_memory *memory, size_t *bytes) {
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 8);
    tess_net *net = test_net_make(ctx, graph, &training, debug, &batch);
    size_t gradients, output = tess_tensor_desc_bytes(tess_tensor_get_desc(tess_net_output(net)));
    assert_ok(ctx, tess_net_gradients(net, ROWS, 4));
    float *all = test_net_gradients(net, &gradients);
    assert_ok(ctx, tess_net_forward(net));
    all = realloc(all, gradients + output);
    assert_non_null(all);
    assert_ok(ctx, tess_tensor_read(tess_net_output(net), (char *)all + gradients, TESS_NHWC));
    *memory = tess_net_memory_info(net);
    *bytes = gradients + output;
    tess_net_destroy(net);
    test_batch_free(&batch);
    return all;
}

/* The same bytes with shared buffers, with one buffer each, and with many small arenas. */
static void sharing_changes_nothing(void **state) {
    tess_context *ctx = *state;
    for (int i = 0; i < name_count(); i++) {
        tess_graph *graph = test_net_graph(names[i]);
        tess_net_memory memory[3];
        size_t bytes[3], largest = 0;
        for (int k = 0; k < graph->count; k++) {
            const struct layer *l = &graph->layers[k];
            size_t size = (size_t)ROWS * (size_t)l->c * (size_t)l->h * (size_t)l->w * sizeof(float);
            if (size > largest) largest = size;
        }
        float *shared = results(ctx, graph, NULL, &memory[0], &bytes[0]);
        float *alone =
            results(ctx, graph, &(struct net_debug){.no_sharing = true}, &memory[1], &bytes[1]);
        float *small = results(
            ctx, graph, &(struct net_debug){.arena_limit = 1 << 20 > largest ? 1 << 20 : largest},
            &memory[2], &bytes[2]);
        check_same_bytes(shared, alone, bytes[0], names[i]);
        check_same_bytes(shared, small, bytes[0], names[i]);
        assert_int_equal(memory[0].activations_unshared, memory[1].activations_unshared);
        assert_int_equal(memory[1].activations, memory[1].activations_unshared);
        assert_true(memory[0].activations <= memory[1].activations);
        if (i >= 5) assert_true(memory[0].activations * 4 < memory[1].activations * 3);
        free(shared);
        free(alone);
        free(small);
        tess_graph_destroy(graph);
    }
}

static void fill_with_nan(tess_context *ctx, tess_net *net) {
    for (int i = 0; i < net->arena_count; i++)
        assert_ok(ctx, tess_tensor_fill(net->arenas[i], NAN));
    for (int i = 0; i < net->param_count; i++)
        if (net->params[i].grad) assert_ok(ctx, tess_tensor_fill(net->params[i].grad, NAN));
}

/* Whatever a step reads, it has written before. */
static void nothing_is_read_unwritten(void **state) {
    tess_context *ctx = *state;
    for (int i = 0; i < name_count(); i++) {
        tess_graph *graph = test_net_graph(names[i]);
        struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
        tess_net *net = test_net_make(ctx, graph, &training, NULL, &batch);
        size_t bytes;
        fill_with_nan(ctx, net);
        assert_ok(ctx, tess_net_gradients(net, ROWS, 1));
        float *gradients = test_net_gradients(net, &bytes);
        for (size_t k = 0; k < bytes / sizeof(float); k++)
            if (!isfinite(gradients[k])) fail_msg("%s: gradient %zu is not finite", names[i], k);
        fill_with_nan(ctx, net);
        assert_ok(ctx, tess_net_forward(net));
        float *output = check_read(tess_net_output(net));
        for (int k = 0; k < ROWS * net->classes; k++)
            if (!isfinite(output[k])) fail_msg("%s: output %d is not finite", names[i], k);
        free(gradients);
        free(output);
        tess_net_destroy(net);
        test_batch_free(&batch);
        tess_graph_destroy(graph);
    }
}

/* Steps after the first make no buffer, no program, no kernel. */
static void steps_allocate_nothing(void **state) {
    tess_context *ctx = *state;
    const tess_sgd_desc sgd = {.lr = 0.01f, .momentum = 0.9f};
    for (int i = 0; i < name_count(); i++) {
        tess_graph *graph = test_net_graph(names[i]);
        struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
        tess_net *net = test_net_make(ctx, graph, &training, NULL, &batch);
        float loss;
        int correct;
        assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, 0));
        assert_ok(ctx, tess_net_result(net, &loss, &correct));
        assert_ok(ctx, tess_net_forward(net));
        tess_counters before = tess_context_counters(ctx);
        for (uint64_t step = 1; step < 4; step++) {
            assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, step));
            assert_ok(ctx, tess_net_result(net, &loss, &correct));
            assert_ok(ctx, tess_net_forward(net));
        }
        tess_counters after = tess_context_counters(ctx);
        assert_int_equal(after.buffers_created, before.buffers_created);
        assert_int_equal(after.device_bytes, before.device_bytes);
        assert_int_equal(after.programs_compiled, before.programs_compiled);
        assert_int_equal(after.programs_loaded, before.programs_loaded);
        assert_int_equal(after.kernels_created, before.kernels_created);
        assert_true(after.kernels_enqueued > before.kernels_enqueued);
        tess_net_destroy(net);
        test_batch_free(&batch);
        tess_graph_destroy(graph);
    }
}

static void all_memory_is_returned(void **state) {
    tess_context *ctx = *state;
    uint64_t before = tess_context_counters(ctx).device_bytes;
    tess_graph *graph = test_net_graph("everything");
    tess_net *net = test_net_make(ctx, graph, &training, NULL, NULL);
    tess_net_memory memory = tess_net_memory_info(net);
    uint64_t used = tess_context_counters(ctx).device_bytes - before;
    assert_true(used >= memory.parameters + memory.workspace + memory.operators);
    assert_true(used <=
                memory.parameters + memory.workspace + memory.activations + memory.operators);
    tess_net_destroy(net);
    assert_int_equal(tess_context_counters(ctx).device_bytes, before);
    tess_graph_destroy(graph);
}

/* A buffer that is too large for the device fails late, after all else was made; nothing may stay. */
static void a_failed_create_names_the_layer(void **state) {
    tess_context *ctx = *state;
    uint64_t before = tess_context_counters(ctx).device_bytes;
    tess_graph *graph = NULL;
    tess_net *net = NULL;
    assert_int_equal(tess_graph_create("big", NULL, &graph), TESS_OK);
    tess_node x = tess_graph_input(graph, 1, 8, 8);
    x = tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 2, .kernel_h = 3});
    x = tess_graph_conv(graph, x,
                        &(tess_conv_layer){.name = "wide", .filters = 300, .kernel_h = 3});
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3}));
    assert_int_equal(
        net_create(ctx, graph, &training, &(struct net_debug){.arena_limit = 1 << 14}, &net),
        TESS_OUT_OF_DEVICE_MEMORY);
    assert_non_null(strstr(tess_context_last_error(ctx), "network big: layer wide: "));
    assert_null(net);
    assert_int_equal(tess_context_counters(ctx).device_bytes, before);
    tess_net_options huge = {.batch = 500000};
    assert_int_equal(tess_net_create(ctx, graph, &huge, &net), TESS_INVALID_SHAPE);
    assert_non_null(strstr(tess_context_last_error(ctx), "layer wide"));
    assert_int_equal(tess_context_counters(ctx).device_bytes, before);
    tess_graph_destroy(graph);
}

/* Convolutions without workspace, if the caller wants that. */
static void workspace_limit(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("residual");
    tess_net_options options = training;
    options.limit_workspace = true;
    tess_net *net = test_net_make(ctx, graph, &options, NULL, NULL);
    for (int i = 0; tess_net_plan(net, i).layer; i++)
        assert_int_equal(tess_net_plan(net, i).info.workspace, 0);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_do_not_collide),
        cmocka_unit_test(sharing_changes_nothing),
        cmocka_unit_test(nothing_is_read_unwritten),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(all_memory_is_returned),
        cmocka_unit_test(a_failed_create_names_the_layer),
        cmocka_unit_test(workspace_limit),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
