/* Training: initial weights, the update, dropout, repeatability, and that it learns. */
#include "support/test_nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3 };

static const tess_net_options training = {.batch = ROWS, .training = true, .seed = 3};

/* Values of a parameter in the order of K C R S. */
static float *read_param(tess_net *net, const char *name, size_t *count) {
    for (int i = 0; i < tess_net_param_count(net); i++) {
        tess_param param = tess_net_param(net, i);
        if (strcmp(param.name, name) != 0) continue;
        *count = tess_tensor_desc_elements(tess_tensor_get_desc(param.value));
        float *data = check_alloc(*count * sizeof *data);
        assert_ok(net->ctx, tess_tensor_read(param.value, data, TESS_NCHW));
        return data;
    }
    fail_msg("no parameter %s", name);
    return NULL;
}

static void expect_moments(tess_net *net, const char *name, double variance, double bound) {
    size_t count;
    float *data = read_param(net, name, &count);
    double sum = 0, squares = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)data[i];
        squares += (double)data[i] * (double)data[i];
        most = fmax(most, fabs((double)data[i]));
    }
    double n = (double)count, sigma = sqrt(variance);
    assert_true(fabs(sum / n) < 4 * sigma / sqrt(n));
    assert_true(fabs(squares / n / variance - 1) < 6 / sqrt(n));
    assert_true(most <= bound);
    free(data);
}

static void expect_constant(tess_net *net, const char *name, float value) {
    size_t count;
    float *data = read_param(net, name, &count);
    for (size_t i = 0; i < count; i++)
        assert_true(data[i] == value);
    free(data);
}

/* Variances and bounds of the three rules; fan_in counts C/g R S. */
static void initial_weights(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = NULL;
    tess_net *net = NULL;
    const tess_act relu = {.kind = TESS_ACT_RELU};
    assert_int_equal(tess_graph_create("init", NULL, &graph), TESS_OK);
    tess_node x = tess_graph_input(graph, 16, 4, 4);
    x = tess_graph_conv(
        graph, x,
        &(tess_conv_layer){.name = "he", .filters = 32, .kernel_h = 3, .groups = 2, .act = relu});
    x = tess_graph_conv(
        graph, x,
        &(tess_conv_layer){
            .name = "gain", .filters = 64, .kernel_h = 1, .act = relu, .init_gain = 0.25f});
    x = tess_graph_conv(graph, x,
                        &(tess_conv_layer){.name = "before", .filters = 64, .kernel_h = 1});
    x = tess_graph_activation(graph, x, NULL, relu);
    x = tess_graph_fc(graph, x, &(tess_fc_layer){.name = "xavier", .outputs = 40});
    x = tess_graph_fc(
        graph, x,
        &(tess_fc_layer){.name = "lecun", .outputs = 60, .init = TESS_INIT_LECUN, .act = relu});
    x = tess_graph_fc(
        graph, x,
        &(tess_fc_layer){
            .name = "gaussian", .outputs = 50, .init = TESS_INIT_GAUSSIAN, .init_bias = 1});
    x = tess_graph_prelu(graph, x, &(tess_prelu_layer){.name = "prelu"});
    tess_graph_softmax(graph, x);
    assert_ok(ctx, tess_net_create(ctx, graph, &training, &net));
    expect_constant(net, "he.weight", 0);
    assert_ok(ctx, tess_net_init(net, 17));
    expect_moments(net, "he.weight", 2.0 / (8 * 9), INFINITY);
    expect_moments(net, "gain.weight", 2.0 / 32 / 16, INFINITY);
    expect_moments(net, "before.weight", 2.0 / 64, INFINITY);
    expect_moments(net, "xavier.weight", 2.0 / (256 + 40), sqrt(6.0 / (256 + 40)));
    expect_moments(net, "lecun.weight", 2.4 * 2.4 / 3 / 40 / 40, 2.4 / 40);
    expect_moments(net, "gaussian.weight", 1e-4, INFINITY);
    expect_constant(net, "gaussian.bias", 1);
    expect_constant(net, "prelu.weight", 0.25f);
    expect_constant(net, "he.bias", 0);
    expect_constant(net, "lecun.bias", 0);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
}

static void initial_weights_follow_the_seed(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("everything");
    tess_net *net = NULL;
    float *values[3];
    size_t bytes = 0;
    static const uint64_t seeds[] = {1, 1, 2};
    for (int i = 0; i < 3; i++) {
        tess_net_options options = {.batch = 1 + i, .training = i != 1};
        assert_ok(ctx, tess_net_create(ctx, graph, &options, &net));
        assert_ok(ctx, tess_net_init(net, seeds[i]));
        expect_constant(net, "pool1.scale", 1);
        expect_constant(net, "pool1.bias", 0);
        values[i] = test_net_values(net, &bytes);
        tess_net_destroy(net);
    }
    check_same_bytes(values[0], values[1], bytes, "two nets, one seed");
    assert_memory_not_equal(values[0], values[2], bytes);
    for (int i = 0; i < 3; i++)
        free(values[i]);
    tess_graph_destroy(graph);
}

/* Three steps against the rule in float64, with the gradients that the network itself reports; and the
   gaps between parameters stay zero. */
static void steps_follow_the_rule(void **state) {
    tess_context *ctx = *state;
    const tess_sgd_desc sgd = {
        .lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.01f, .nesterov = true};
    tess_graph *graph = test_net_graph("everything");
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
    tess_net *net = test_net_make(ctx, graph, &training, NULL, &batch);
    size_t bytes;
    float *values = test_net_values(net, &bytes);
    size_t count = bytes / sizeof(float), inside = 0;
    double *w = check_alloc(count * sizeof *w), *v = check_alloc(count * sizeof *v);
    for (size_t i = 0; i < count; i++) {
        w[i] = (double)values[i];
        v[i] = 0;
    }
    for (uint64_t step = 0; step < 3; step++) {
        assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, step));
        float *g = test_net_gradients(net, &bytes);
        for (size_t i = 0; i < count; i++) {
            double gradient = (double)g[i] + (double)sgd.weight_decay * w[i];
            v[i] = (double)sgd.momentum * v[i] + gradient;
            w[i] -= (double)sgd.lr * (gradient + (double)sgd.momentum * v[i]);
        }
        free(g);
    }
    free(values);
    values = test_net_values(net, &bytes);
    check_close(values, w, count, 1e-5, 1, "weights after three steps");
    float *all = check_read(net->values);
    for (size_t i = 0; i < tess_tensor_desc_elements(tess_tensor_get_desc(net->values)); i++)
        inside += all[i] != 0;
    assert_true(inside <= count);
    free(all);
    free(values);
    free(w);
    free(v);
    tess_net_destroy(net);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

/* Running means and variances move with the batches, and nothing else moves them: no weight decay, no learning rate. */
static void running_values_are_not_trained(void **state) {
    tess_context *ctx = *state;
    const tess_sgd_desc sgd = {.lr = 0.1f, .weight_decay = 0.5f};
    tess_graph *graph = test_net_graph("normalised");
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
    float *states[2];
    size_t bytes = 0;
    for (int run = 0; run < 2; run++) {
        tess_net *net = test_net_make(ctx, graph, &training, NULL, &batch);
        float *before = check_read(net->states);
        if (run == 0)
            assert_ok(ctx, tess_net_gradients(net, ROWS, 0));
        else
            assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, 0));
        states[run] = check_read(net->states);
        bytes = tess_tensor_desc_bytes(tess_tensor_get_desc(net->states));
        assert_memory_not_equal(before, states[run], bytes);
        assert_ok(ctx, tess_net_forward(net));
        float *after = check_read(net->states);
        check_same_bytes(after, states[run], bytes, "running values after an inference");
        free(before);
        free(after);
        tess_net_destroy(net);
    }
    check_same_bytes(states[0], states[1], bytes, "running values after a training step");
    free(states[0]);
    free(states[1]);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

/* A network that is initialised anew trains as a new one does. */
static void init_forgets_the_past(void **state) {
    tess_context *ctx = *state;
    const tess_sgd_desc sgd = {.lr = 0.1f, .momentum = 0.9f};
    tess_graph *graph = test_net_graph("linear");
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
    tess_net *net = test_net_make(ctx, graph, &training, NULL, &batch);
    float *values[2];
    size_t bytes = 0;
    for (int run = 0; run < 2; run++) {
        assert_ok(ctx, tess_net_init(net, 4));
        for (uint64_t step = 0; step < 2; step++)
            assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, step));
        values[run] = test_net_values(net, &bytes);
    }
    check_same_bytes(values[0], values[1], bytes, "after a second tess_net_init");
    free(values[0]);
    free(values[1]);
    tess_net_destroy(net);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

static void five_steps_repeat_bit_for_bit(void **state) {
    tess_context *ctx = *state;
    const tess_sgd_desc sgd = {.lr = 0.05f, .momentum = 0.9f};
    static const char *const names[] = {"everything", "residual", "normalised", "lenet5"};
    for (int i = 0; i < (check_tiny() ? 3 : 4); i++) {
        tess_graph *graph = test_net_graph(names[i]);
        float *values[2];
        size_t bytes = 0;
        for (int run = 0; run < 2; run++) {
            tess_net *net = test_net_make(ctx, graph, &training, NULL, NULL);
            for (uint64_t step = 0; step < 5; step++) {
                struct test_batch batch = test_batch_make(graph, ROWS, ROWS, step);
                assert_ok(ctx, tess_tensor_write(tess_net_input(net), batch.input, TESS_NCHW));
                assert_ok(ctx, tess_tensor_write(tess_net_labels(net), batch.labels, TESS_NHWC));
                assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, step));
                test_batch_free(&batch);
            }
            values[run] = test_net_values(net, &bytes);
            tess_net_destroy(net);
        }
        check_same_bytes(values[0], values[1], bytes, names[i]);
        free(values[0]);
        free(values[1]);
        tess_graph_destroy(graph);
    }
}

/* Masks depend on seed and step, and on nothing else; tess_net_forward has none. */
static void dropout_follows_seed_and_step(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("bare-front");
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
    static const struct { uint64_t seed, step; } runs[] = {{1, 1}, {1, 1}, {1, 2}, {2, 1}};
    float *gradients[4];
    size_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        tess_net_options options = training;
        options.seed = runs[i].seed;
        tess_net *net = test_net_make(ctx, graph, &options, NULL, &batch);
        if (i == 1) assert_ok(ctx, tess_net_gradients(net, ROWS, 99));
        if (i == 1) assert_ok(ctx, tess_net_forward(net));
        assert_ok(ctx, tess_net_gradients(net, ROWS, runs[i].step));
        gradients[i] = test_net_gradients(net, &bytes);
        tess_net_destroy(net);
    }
    check_same_bytes(gradients[0], gradients[1], bytes, "same seed, same step");
    assert_memory_not_equal(gradients[0], gradients[2], bytes);
    assert_memory_not_equal(gradients[0], gradients[3], bytes);
    for (int i = 0; i < 4; i++)
        free(gradients[i]);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

/* A batch is learnt by heart. */
static void loss_falls(void **state) {
    tess_context *ctx = *state;
    static const char *const names[] = {"everything", "residual", "lenet5-relu", "resnet-tiny"};
    static const int steps[] = {300, 200, 150, 80};
    for (int i = 0; i < (check_tiny() ? 0 : 4); i++) {
        tess_graph *graph = test_net_graph(names[i]);
        struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 2);
        tess_net *net = test_net_make(ctx, graph, &training, NULL, &batch);
        const tess_sgd_desc sgd = {.lr = 0.02f, .momentum = 0.9f};
        float first = 0, last = 0;
        int correct = 0;
        for (int step = 0; step < steps[i]; step++) {
            assert_ok(ctx, tess_net_train_step(net, &sgd, ROWS, (uint64_t)step));
            if (step == 0) assert_ok(ctx, tess_net_result(net, &first, &correct));
        }
        assert_ok(ctx, tess_net_result(net, &last, &correct));
        if (!(last < 0.3f * first))
            fail_msg("%s: loss %g -> %g", names[i], (double)first, (double)last);
        assert_ok(ctx, tess_net_forward(net));
        float *output = check_read(tess_net_output(net));
        for (int n = 0; n < ROWS; n++)
            assert_true(output[n * net->classes + batch.labels[n]] > 0.5f);
        free(output);
        tess_net_destroy(net);
        test_batch_free(&batch);
        tess_graph_destroy(graph);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_weights),
        cmocka_unit_test(initial_weights_follow_the_seed),
        cmocka_unit_test(steps_follow_the_rule),
        cmocka_unit_test(running_values_are_not_trained),
        cmocka_unit_test(init_forgets_the_past),
        cmocka_unit_test(five_steps_repeat_bit_for_bit),
        cmocka_unit_test(dropout_follows_seed_and_step),
        cmocka_unit_test(loss_falls),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
