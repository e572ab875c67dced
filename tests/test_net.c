/* Whole networks against a float64 reference on the host: probabilities, loss, and all gradients by central
   differences of the reference's loss. */
#include "support/ref_net.h"
#include "support/test_nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The batch of the other tests of networks too, which share kernels so. */
enum { BATCH = 3, STEP = 11, SEED = 5 };

/* Gradients are compared relative to a parameter's largest, which counts as this much at least: that of a bias before a batch
   normalisation is zero but for rounding. */
static const double least_scale = 0.05;

/* h of the differences: the loss is smooth in float64 except at kinks, which 1e-6 rarely meets. */
static const double difference = 1e-6;

static void expect_gradient(struct ref_net *ref, tess_net *net, int index,
                            const struct test_batch *batch, int valid) {
    tess_param param = tess_net_param(net, index);
    size_t size = ref->param_sizes[index];
    float *got = check_alloc(size * sizeof *got);
    double *want = check_alloc(size * sizeof *want), scale = least_scale;
    assert_ok(net->ctx, tess_tensor_read(param.grad, got, TESS_NCHW));
    for (size_t i = 0; i < size; i++) {
        double *w = &ref->params[index][i], old = *w;
        *w = old + difference;
        double up = ref_net_loss_after(ref, index, batch->labels);
        *w = old - difference;
        double down = ref_net_loss_after(ref, index, batch->labels);
        *w = old;
        want[i] = (up - down) / (2 * difference * valid);
        if (fabs(want[i]) > scale) scale = fabs(want[i]);
    }
    check_close(got, want, size, 2e-5, scale, param.name);
    ref_net_loss(ref, batch->input, batch->labels);
    free(got);
    free(want);
}

static void expect_probabilities(struct ref_net *ref, tess_net *net, const char *label) {
    const struct layer *last = &ref->graph->layers[ref->graph->count - 1];
    size_t count = (size_t)ref->batch * (size_t)(last->c * last->h * last->w);
    float *got = check_alloc(count * sizeof *got);
    assert_ok(net->ctx, tess_tensor_read(tess_net_output(net), got, TESS_NCHW));
    check_close(got, ref->values[ref->graph->count - 1], count, 1e-5, 1, label);
    free(got);
}

static int correct_rows(const struct ref_net *ref, const int32_t *labels) {
    int last = ref->graph->count - 1, classes = ref->graph->layers[last].c, correct = 0;
    if (ref->graph->layers[last].kind != LAYER_SOFTMAX) return 0;
    for (int n = 0; n < ref->batch; n++) {
        const double *row = ref->values[last] + n * classes;
        int best = 0;
        for (int c = 1; c < classes; c++)
            if (row[c] > row[best]) best = c;
        correct += best == labels[n];
    }
    return correct;
}

/* The planner chooses algorithms for some networks; elsewhere convolutions run on one whose program serves all shapes. */
static const struct net_debug *algorithms(const char *name) {
    static const struct net_debug planned = {0}, one = {.conv_algo = "generic"};
    static const char *const names[] = {"everything", "residual", "normalised", "lenet5-relu"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return &planned;
    return &one;
}

static void compare(tess_context *ctx, const char *name, int rows, int valid) {
    tess_graph *graph = test_net_graph(name);
    struct test_batch batch = test_batch_make(graph, rows, valid, 3);
    tess_net *net = test_net_make(
        ctx, graph, &(tess_net_options){.batch = rows, .training = true, .seed = SEED},
        algorithms(rows > 1 ? name : ""), &batch);
    struct ref_net *ref = ref_net_create(graph, rows, net);
    ref->targets = batch.targets;
    double loss = ref_net_loss(ref, batch.input, batch.labels);
    float got_loss = NAN;
    int correct = -1;

    assert_ok(ctx, tess_net_forward(net));
    expect_probabilities(ref, net, name);

    ref_net_masks(ref, ctx, SEED, STEP);
    loss = ref_net_loss(ref, batch.input, batch.labels);
    int want_correct = correct_rows(ref, batch.labels);
    assert_ok(ctx, tess_net_gradients(net, valid, STEP));
    assert_ok(ctx, tess_net_result(net, &got_loss, &correct));
    check_close(&got_loss, &loss, 1, 1e-5, 1, name);
    assert_int_equal(correct, want_correct);
    for (int k = 0; k < tess_net_param_count(net); k++)
        if (tess_net_param(net, k).grad) expect_gradient(ref, net, k, &batch, valid);
    ref_net_destroy(ref);
    tess_net_destroy(net);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

static void gradients_match_differences(void **state) {
    for (const struct test_net *net = test_nets; net->name; net++)
        compare(*state, net->name, BATCH, BATCH);
}

static void one_row(void **state) {
    for (const struct test_net *net = test_nets; net->name; net++)
        compare(*state, net->name, 1, 1);
}

/* Rows without a label change nothing, and the mean is over the others. */
static void partial_batch(void **state) {
    for (const struct test_net *net = test_nets; net->name; net++)
        compare(*state, net->name, BATCH, BATCH - 1);
}

/* An inference network folds more; it must say the same. */
static void inference(void **state) {
    tess_context *ctx = *state;
    static const char *const names[] = {
        "everything",  "residual",          "bare-front", "linear", "normalised",
        "regression",  "autoencoder",       "upsampling", "gated",  "lenet5",
        "lenet5-relu", "convnetjs-cifar10", "resnet-tiny"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (check_tiny() && i >= 9) break;
        tess_graph *graph = test_net_graph(names[i]);
        struct test_batch batch = test_batch_make(graph, BATCH, BATCH, 9);
        tess_net *net = test_net_make(ctx, graph, &(tess_net_options){.batch = BATCH},
                                      algorithms(names[i]), &batch);
        struct ref_net *ref = ref_net_create(graph, BATCH, net);
        ref_net_loss(ref, batch.input, batch.labels);
        assert_ok(ctx, tess_net_forward(net));
        expect_probabilities(ref, net, tess_graph_name(graph));
        ref_net_destroy(ref);
        tess_net_destroy(net);
        test_batch_free(&batch);
        tess_graph_destroy(graph);
    }
}

/* Of the residual network's instructions: additions fold into their convolutions, activations into both. */
static void inference_folds(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("residual");
    int residuals = 0, adds = 0, activations = 0;
    tess_net *net = test_net_make(ctx, graph, &(tess_net_options){0}, NULL, NULL);
    for (int i = 0; i < net->instruction_count; i++) {
        const struct instruction *in = &net->instructions[i];
        residuals += in->run == run_conv_forward && in->t[OP_AUX];
        adds += in->run == run_add;
        activations += in->run == run_activation;
    }
    assert_int_equal(residuals, 2);
    assert_int_equal(adds, 1);
    assert_int_equal(activations, 0);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
}

static int count_runs(const tess_net *net,
                      tess_status (*run)(const tess_net *, const struct instruction *)) {
    int count = 0;
    for (int i = 0; i < net->instruction_count; i++)
        count += net->instructions[i].run == run;
    return count;
}

/* Three of the five batch normalisations go into convolutions, with additions and activations; that changes results by
   rounding only, and weights that change later are folded anew. */
static void inference_folds_batch_norm(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("normalised");
    struct test_batch batch = test_batch_make(graph, 2, 2, 9);
    tess_net *folded = test_net_make(ctx, graph, &(tess_net_options){.batch = 2}, NULL, &batch);
    tess_net *plain = test_net_make(
        ctx, graph, &(tess_net_options){.batch = 2, .without = "batch-norm"}, NULL, &batch);
    assert_int_equal(count_runs(folded, run_batch_norm), 2);
    assert_int_equal(count_runs(folded, run_add), 0);
    assert_int_equal(count_runs(plain, run_batch_norm), 5);
    assert_int_equal(count_runs(folded, run_fc_forward), 1);
    for (int change = 0; change <= tess_net_param_count(folded); change++) {
        for (int i = 0; i < 2 && change > 0; i++) {
            tess_tensor *value = tess_net_param(i ? plain : folded, change - 1).value;
            assert_ok(ctx, tess_tensor_fill(value, 0.3f));
        }
        assert_ok(ctx, tess_net_forward(folded));
        assert_ok(ctx, tess_net_forward(plain));
        float *got = check_read(tess_net_output(folded)),
              *want = check_read(tess_net_output(plain));
        double expected[8];
        for (int i = 0; i < 8; i++)
            expected[i] = (double)want[i];
        check_close(got, expected, 8, 1e-6, 1, "folded batch norm");
        free(got);
        free(want);
    }
    tess_net_destroy(folded);
    tess_net_destroy(plain);
    test_batch_free(&batch);
    tess_graph_destroy(graph);
}

/* In training the additions that follow a batch normalisation fold into it; auxiliary classifiers run only there. */
static void training_folds_additions(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("normalised");
    tess_net *net =
        test_net_make(ctx, graph, &(tess_net_options){.batch = 2, .training = true}, NULL, NULL);
    int forward_adds = 0, losses = 0, side = 0;
    for (int i = 0; i < net->instruction_count; i++) {
        const struct instruction *in = &net->instructions[i];
        forward_adds += in->run == run_add && in->phases == PHASE_BOTH;
        losses += in->run == run_loss && in->phases == PHASE_TRAIN;
        side += in->run == run_fc_forward && in->phases == PHASE_TRAIN;
    }
    assert_int_equal(forward_adds, 0);
    assert_int_equal(losses, 2);
    assert_int_equal(side, 1);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
}

static void plans_are_listed(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("lenet5-relu");
    static const struct {
        const char *layer;
        tess_conv_pass pass;
    } want[] = {{"conv1", TESS_CONV_FWD},
                {"conv1", TESS_CONV_BWD_WEIGHTS},
                {"conv2", TESS_CONV_FWD},
                {"conv2", TESS_CONV_BWD_DATA},
                {"conv2", TESS_CONV_BWD_WEIGHTS}};
    tess_net *net =
        test_net_make(ctx, graph, &(tess_net_options){.batch = 3, .training = true}, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        tess_net_plan_info info = tess_net_plan(net, i);
        assert_string_equal(info.layer, want[i].layer);
        assert_int_equal(info.pass, want[i].pass);
        assert_int_equal(info.desc.n, 3);
        assert_non_null(info.info.algo);
    }
    assert_null(tess_net_plan(net, 5).layer);
    assert_null(tess_net_plan(net, -1).layer);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
}

static void arguments(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("linear"), *broken = NULL;
    tess_net *net = NULL;
    float loss;
    assert_int_equal(tess_net_create(NULL, graph, NULL, &net), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_create(ctx, NULL, NULL, &net), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_create(ctx, graph, NULL, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_create(ctx, graph, &(tess_net_options){.batch = -1}, &net),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_create(ctx, graph, &(tess_net_options){.batch = 2147483647}, &net),
                     TESS_INVALID_SHAPE);
    assert_int_equal(tess_graph_create("broken", NULL, &broken), TESS_OK);
    assert_int_equal(tess_net_create(ctx, broken, NULL, &net), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(tess_context_last_error(ctx), "broken"));
    assert_null(net);

    net = test_net_make(ctx, graph, &(tess_net_options){0}, NULL, NULL);
    assert_int_equal(tess_net_gradients(net, 1, 0), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_result(net, &loss, NULL), TESS_INVALID_ARGUMENT);
    assert_null(tess_net_labels(net));
    assert_null(tess_net_param(net, 0).grad);
    assert_null(tess_net_param(net, 2).name);
    assert_int_equal(tess_net_param_count(net), 2);
    tess_net_destroy(net);
    net = test_net_make(ctx, graph, &(tess_net_options){.batch = 2, .training = true}, NULL, NULL);
    assert_int_equal(tess_net_gradients(net, 0, 0), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_gradients(net, 3, 0), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_train_step(net, NULL, 1, 0), TESS_INVALID_ARGUMENT);
    tess_net_destroy(net);
    tess_net_destroy(NULL);
    assert_int_equal(tess_net_forward(NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_net_init(NULL, 0), TESS_INVALID_ARGUMENT);
    tess_graph_destroy(broken);
    tess_graph_destroy(graph);
}

static void losses_and_their_ports(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = test_net_graph("regression"), *bare = NULL;
    tess_net *net = NULL;
    const tess_net_options training = {.batch = 2, .training = true};
    assert_ok(ctx, tess_net_create(ctx, graph, &training, &net));
    const tess_tensor_desc *maps = tess_tensor_get_desc(tess_net_targets(net, "maps"));
    assert_true(maps->n == 2 && maps->c == 3 && maps->h == 5 && maps->w == 6);
    assert_ptr_equal(tess_net_targets(net, NULL), tess_net_targets(net, "vector"));
    assert_null(tess_net_targets(net, "class"));
    assert_non_null(tess_net_labels(net));
    assert_null(tess_net_targets(NULL, NULL));
    tess_net_destroy(net);
    net = NULL;
    assert_int_equal(tess_graph_create("bare", NULL, &bare), TESS_OK);
    tess_graph_output(bare, tess_graph_input(bare, 2, 1, 1));
    assert_int_equal(tess_net_create(ctx, bare, &training, &net), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(tess_context_last_error(ctx), "no loss to train by"));
    assert_ok(ctx, tess_net_create(ctx, bare, &(tess_net_options){0}, &net));
    assert_null(tess_net_targets(net, NULL));
    tess_net_destroy(net);
    tess_graph_destroy(bare);
    tess_graph_destroy(graph);
}

/* Refused when the network is made, not in its first step. */
static void batch_norm_of_one_value(void **state) {
    tess_context *ctx = *state;
    tess_graph *graph = NULL;
    tess_net *net = NULL;
    tess_net_options options = {.batch = 1, .training = true};
    assert_int_equal(tess_graph_create("pixel", NULL, &graph), TESS_OK);
    tess_node n = tess_graph_input(graph, 2, 1, 1);
    n = tess_graph_batch_norm(graph, n, &(tess_batch_norm_layer){.name = "norm"});
    tess_graph_softmax(graph, n);
    assert_int_equal(tess_net_create(ctx, graph, &options, &net), TESS_INVALID_SHAPE);
    assert_non_null(strstr(tess_context_last_error(ctx), "norm"));
    assert_non_null(strstr(tess_context_last_error(ctx), "larger batch"));
    assert_null(net);
    options.training = false;
    assert_ok(ctx, tess_net_create(ctx, graph, &options, &net));
    tess_net_destroy(net);
    tess_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_differences),
        cmocka_unit_test(one_row),
        cmocka_unit_test(partial_batch),
        cmocka_unit_test(inference),
        cmocka_unit_test(inference_folds),
        cmocka_unit_test(inference_folds_batch_norm),
        cmocka_unit_test(training_folds_additions),
        cmocka_unit_test(plans_are_listed),
        cmocka_unit_test(arguments),
        cmocka_unit_test(losses_and_their_ports),
        cmocka_unit_test(batch_norm_of_one_value),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
