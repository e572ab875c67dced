/* Frozen layers: what they hold stays bit for bit, they run as in inference, and the rest learns as it would without. */
#include "support/test_nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3 };
static const struct net_debug generic = {.conv_algo = "generic"};

static tess_net_options training(const char *freeze_until) {
    return (tess_net_options){
        .batch = ROWS, .training = true, .seed = 3, .freeze_until = freeze_until};
}

static int index_of(const tess_graph *graph, const char *name) {
    for (int i = 0; i < tess_graph_layer_count(graph); i++)
        if (strcmp(tess_graph_layer_info(graph, i).name, name) == 0) return i;
    fail_msg("no layer %s", name);
    return -1;
}

/* Gradients behind the frozen layers are those of a network without any, bit for bit: there is no dropout and no batch normalisation in
   this network. */
static void check_gradients(tess_context *ctx, const char *freeze_until) {
    tess_graph *graph = test_net_graph("residual");
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 1);
    tess_net_options options = training(NULL), frozen_options = training(freeze_until);
    tess_net *whole = test_net_make(ctx, graph, &options, &generic, &batch);
    tess_net *frozen = test_net_make(ctx, graph, &frozen_options, &generic, &batch);
    int last = index_of(graph, freeze_until);
    assert_ok(ctx, tess_net_gradients(whole, ROWS, 1));
    assert_ok(ctx, tess_net_gradients(frozen, ROWS, 1));
    for (int i = 0; i < tess_net_param_count(whole); i++) {
        tess_param a = tess_net_param(whole, i), b = tess_net_param(frozen, i);
        assert_true((b.grad == NULL) == (frozen->params[i].layer <= last));
        assert_true((b.velocity == NULL) == (b.grad == NULL));
        if (!b.grad) continue;
        float *want = check_read(a.grad), *got = check_read(b.grad);
        check_same_bytes(want, got, tess_tensor_desc_bytes(tess_tensor_get_desc(a.grad)), a.name);
        free(want);
        free(got);
    }
    assert_true(frozen->instruction_count < whole->instruction_count);
    tess_net_destroy(whole);
    tess_net_destroy(frozen);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

/* The first convolution; one summand of an addition that folds; the addition; the activation behind it. */
static void test_gradients(void **state) {
    static const char *const names[] = {"conv1", "conv4", "conv5", "add2", "conv6", "activation1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_gradients(*state, names[i]);
}

/* Steps with weight decay and momentum: nothing frozen moves, running statistics included; all else does. */
static void check_steps(tess_context *ctx, const char *name, const char *freeze_until) {
    const tess_sgd_desc sgd = {.lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.1f};
    tess_graph *graph = test_net_graph(name);
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 1);
    tess_net_options options = training(freeze_until);
    tess_net *net = test_net_make(ctx, graph, &options, &generic, &batch);
    int last = index_of(graph, freeze_until);
    float **before = check_alloc((size_t)net->param_count * sizeof *before);
    for (int i = 0; i < net->param_count; i++)
        before[i] = check_read(net->params[i].value);
    for (uint64_t step = 0; step < 2; step++)
        assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, step));
    for (int i = 0; i < net->param_count; i++) {
        float *after = check_read(net->params[i].value);
        size_t bytes = tess_tensor_desc_bytes(&net->params[i].spec.desc);
        if (net->params[i].layer <= last)
            check_same_bytes(before[i], after, bytes, net->params[i].name);
        else if (!memcmp(before[i], after, bytes))
            fail_msg("%s: did not change", net->params[i].name);
        free(before[i]);
        free(after);
    }
    free(before);
    tess_net_destroy(net);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

static void test_steps(void **state) {
    check_steps(*state, "normalised", "batchnorm1");
    check_steps(*state, "normalised", "batchnorm3");
    check_steps(*state, "everything", "dropout1");
    check_steps(*state, "everything", "fc1");
}

/* With all but the last layer frozen, the loss of a step is that of the forward pass before it: dropout is off, and batch
   normalisation takes the running statistics. */
static void test_loss(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = NULL;
    assert_int_equal(tess_graph_create("small", NULL, &graph), TESS_OK);
    tess_node x = tess_graph_input(graph, 3, 7, 7);
    x = tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 3, .kernel_h = 3, .pad = 1});
    x = tess_graph_batch_norm(graph, x, &(tess_batch_norm_layer){.act = {.kind = TESS_ACT_RELU}});
    x = tess_graph_dropout(graph, x, NULL, 0.5f);
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 4}));
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
    tess_net_options options = training("dropout1");
    tess_net *net = test_net_make(ctx, graph, &options, &generic, &batch);
    float loss = 0;
    double want = 0;
    assert_ok(ctx, tess_net_forward(net));
    float *probabilities = check_read(tess_net_output(net));
    for (int n = 0; n < ROWS; n++)
        want -= log((double)probabilities[4 * n + batch.labels[n]]);
    assert_ok(ctx, tess_net_gradients(net, ROWS, 1));
    assert_ok(ctx, tess_net_result(net, &loss, NULL));
    check_close(&loss, &want, 1, 1e-5, 1, "loss");
    free(probabilities);
    tess_net_destroy(net);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

static void test_errors(void **state) {
    tess_context *ctx = *state;
    tess_net *net = NULL;
    tess_graph *graph = test_net_graph("residual");
    tess_net_options options = training("con6");
    assert_int_equal(tess_net_create(ctx, graph, &options, &net), TESS_NOT_FOUND);
    assert_non_null(strstr(tess_context_last_error(ctx), "no layer con6"));
    assert_non_null(strstr(tess_context_last_error(ctx), "conv6, "));
    options = training("fc1");
    assert_int_equal(tess_net_create(ctx, graph, &options, &net), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(tess_context_last_error(ctx), "nothing would be trained"));
    options.freeze_until = "";
    assert_int_equal(tess_net_create(ctx, graph, &options, &net), TESS_NOT_FOUND);
    tess_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
