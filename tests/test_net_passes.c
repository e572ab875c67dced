/* Passes over a network: each applies where it should, can be switched off, and changes results by rounding only. */
#include "support/test_nets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3 };

/* A concatenation of parts that their makers can write to their places, and of parts that have to be copied: a pooling's, the input of
   the others, what a second layer reads, a batch normalisation's (unless it folds), and a concatenation's. */
static tess_graph *branches(void) {
    tess_graph *g = NULL;
    assert_int_equal(tess_graph_create("branches", NULL, &g), TESS_OK);
    const tess_act relu = {.kind = TESS_ACT_RELU}, tanh_act = {.kind = TESS_ACT_TANH};
    const tess_conv_layer point = {.filters = 3, .kernel_h = 1, .act = relu};
    const tess_conv_layer square = {.filters = 5, .kernel_h = 3, .pad = 1};
    tess_node in = tess_graph_input(g, 2, 5, 6), x = tess_graph_conv(g, in, &square);
    tess_node one = tess_graph_conv(g, x, &point), three = tess_graph_conv(g, x, &square);
    tess_node bent = tess_graph_activation(g, tess_graph_conv(g, x, &square), NULL, tanh_act);
    tess_node read_twice = tess_graph_conv(g, x, &point);
    tess_node pooled = tess_graph_pool(
        g, x, &(tess_pool_layer){.mode = TESS_POOL_MAX, .window_h = 3, .stride_h = 1, .pad = 1});
    tess_node norm = tess_graph_batch_norm(g, tess_graph_conv(g, x, &square),
                                           &(tess_batch_norm_layer){.act = relu});
    tess_node inner[] = {tess_graph_conv(g, read_twice, &point), one};
    tess_node parts[] = {bent, read_twice, pooled, tess_graph_concat(g, inner, 2, NULL),
                         x,    three,      norm};
    tess_node whole = tess_graph_concat(g, parts, 7, NULL);
    tess_node y = tess_graph_conv(g, whole, &(tess_conv_layer){.filters = 4, .kernel_h = 1});
    tess_graph_softmax(g, tess_graph_fc(g, y, &(tess_fc_layer){.outputs = 3}));
    return g;
}

/* What a network gives: probabilities, and in training loss, gradients and running values. */
struct results {
    float *output, *gradients, *values;
    size_t output_bytes, gradient_bytes, value_bytes;
    float loss;
    int instructions, merged; /* by the pass that is looked at */
    size_t memory;            /* of activations side by side */
};

static int merged_by(const tess_net *net, const char *pass) {
    int count = 0;
    for (int i = 0; tess_net_fused(net, i).pass; i++) {
        tess_net_fusion fused = tess_net_fused(net, i);
        assert_non_null(fused.layer);
        assert_non_null(fused.into);
        count += strcmp(fused.pass, pass) == 0;
    }
    return count;
}

static struct results run(tess_context *ctx, const tess_graph *graph, bool training,
                          const char *pass, const char *without) {
    const tess_net_options options = {
        .batch = ROWS, .training = training, .seed = 3, .without = without};
    struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 5);
    struct results r = {0};
    tess_net *net =
        test_net_make(ctx, graph, &options, &(struct net_debug){.conv_algo = "generic"}, &batch);
    r.instructions = net->instruction_count;
    r.merged = merged_by(net, pass);
    r.memory = tess_net_memory_info(net).activations_unshared;
    if (training) {
        assert_ok(ctx, tess_net_gradients(net, ROWS, 4));
        assert_ok(ctx, tess_net_result(net, &r.loss, NULL));
        r.gradients = test_net_gradients(net, &r.gradient_bytes);
        r.values = test_net_values(net, &r.value_bytes);
    }
    assert_ok(ctx, tess_net_forward(net));
    r.output = check_read(tess_net_output(net));
    r.output_bytes = tess_tensor_desc_bytes(tess_tensor_get_desc(tess_net_output(net)));
    tess_net_destroy(net);
    test_batch_free(&batch);
    return r;
}

static void results_free(struct results *r) {
    free(r->output);
    free(r->gradients);
    free(r->values);
}

/* Values are within rounding of each other, or, if the pass only moves memory, the same. */
static void compare(const float *got, const float *want, size_t bytes, bool exact,
                    const char *label) {
    size_t count = bytes / sizeof(float);
    double *expected = check_alloc(bytes * 2), largest = 0;
    for (size_t i = 0; i < count; i++) {
        expected[i] = (double)want[i];
        largest = fabs(expected[i]) > largest ? fabs(expected[i]) : largest;
    }
    assert_true(largest > 0);
    if (exact) check_same_bytes(got, want, bytes, label);
    check_close(got, expected, count, 4e-6, largest, label);
    free(expected);
}

struct pass_case {
    const char *pass, *net;
    bool training, exact;
    int merged;   /* layers that the pass is to report */
    int fewer;    /* instructions that it is to save */
    bool smaller; /* it saves memory */
};

static void check_pass(tess_context *ctx, const tess_graph *graph, const struct pass_case *c) {
    char label[128];
    struct results with = run(ctx, graph, c->training, c->pass, NULL);
    struct results without = run(ctx, graph, c->training, c->pass, c->pass);
    snprintf(label, sizeof label, "%s in %s%s", c->pass, c->net, c->training ? ", training" : "");
    if (with.merged != c->merged || without.merged != 0)
        fail_msg("%s: %d layers merged with the pass and %d without; expected %d and 0", label,
                 with.merged, without.merged, c->merged);
    if (without.instructions - with.instructions != c->fewer)
        fail_msg("%s: %d instructions with the pass and %d without; expected a difference of %d",
                 label, with.instructions, without.instructions, c->fewer);
    if (c->smaller && with.memory >= without.memory)
        fail_msg("%s: %zu bytes of activations with the pass and %zu without", label, with.memory,
                 without.memory);
    compare(with.output, without.output, with.output_bytes, c->exact, label);
    if (c->training) {
        compare(&with.loss, &without.loss, sizeof with.loss, c->exact, label);
        compare(with.gradients, without.gradients, with.gradient_bytes, c->exact, label);
        compare(with.values, without.values, with.value_bytes, c->exact, label);
    }
    results_free(&with);
    results_free(&without);
}

static const struct pass_case cases[] = {
    {.pass = "activation", .net = "residual", .merged = 1, .fewer = 5},
    {.pass = "activation", .net = "normalised", .training = true, .merged = 0, .fewer = 7},
    {.pass = "activation", .net = "everything", .training = true, .merged = 2, .fewer = 4},
    {.pass = "batch-norm", .net = "normalised", .merged = 3, .fewer = 0},
    {.pass = "addition", .net = "residual", .merged = 2, .fewer = 2},
    {.pass = "addition", .net = "normalised", .training = true, .merged = 2, .fewer = 5},
    {.pass = "dropout", .net = "everything", .merged = 2, .fewer = 2},
    {.pass = "concat", .net = "branches", .exact = true, .merged = 5, .fewer = 5, .smaller = true},
    {.pass = "concat",
     .net = "branches",
     .training = true,
     .exact = true,
     .merged = 4,
     .fewer = 7,
     .smaller = true},
    {.pass = "in-place", .net = "residual", .exact = true, .merged = 1, .smaller = true},
    {.pass = "in-place",
     .net = "everything",
     .training = true,
     .exact = true,
     .merged = 3,
     .smaller = true},
    {.pass = "in-place",
     .net = "normalised",
     .training = true,
     .exact = true,
     .merged = 1,
     .smaller = true},
};

static void passes_change_rounding_only(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool own = strcmp(cases[i].net, "branches") == 0;
        tess_graph *graph = own ? branches() : test_net_graph(cases[i].net);
        check_pass(*state, graph, &cases[i]);
        tess_graph_destroy(graph);
    }
}

/* Every name that there is may be left out, all at once too, and no other. */
static void names(void **state) {
    tess_context *ctx = *state;
    char all[256] = "";
    tess_graph *graph = test_net_graph("linear");
    tess_net *net = NULL;
    int count = 0;
    for (const char *what = NULL; tess_net_pass(count, &what); count++) {
        assert_true(what && *what);
        strcat(strcat(all, count ? "," : ""), tess_net_pass(count, NULL));
    }
    assert_true(count > 3);
    assert_null(tess_net_pass(-1, NULL));
    assert_ok(ctx, tess_net_create(ctx, graph, &(tess_net_options){.without = all}, &net));
    assert_null(tess_net_fused(net, 0).pass);
    tess_net_destroy(net);
    net = NULL;
    static const char *const wrong[] = {"additions", "add", ",", "addition,,dropout", " addition"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(
            tess_net_create(ctx, graph, &(tess_net_options){.without = wrong[i]}, &net),
            TESS_INVALID_ARGUMENT);
        assert_non_null(strstr(tess_context_last_error(ctx), "addition, dropout"));
        assert_null(net);
    }
    tess_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(passes_change_rounding_only),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
