/* Graphs: what building functions accept and refuse, shapes, parameter counts. No device. */
#include "support/check.h"

#include <string.h>

static tess_graph *new_graph(int c, int h, int w, tess_node *input) {
    tess_graph *graph = NULL;
    assert_int_equal(tess_graph_create("test", NULL, &graph), TESS_OK);
    *input = tess_graph_input(graph, c, h, w);
    assert_int_equal(*input, 0);
    return graph;
}

/* The graph must have failed with status and a message that names what. */
static void expect_error(tess_graph *graph, tess_status status, const char *what) {
    tess_error error = {0};
    assert_int_equal(tess_graph_check(graph, &error), status);
    if (!strstr(error.text, what)) fail_msg("\"%s\" does not say \"%s\"", error.text, what);
    tess_graph_destroy(graph);
}

static void expect_layer(const tess_graph *graph, int index, const char *detail, int c, int h,
                         int w, uint64_t parameters) {
    tess_layer_info info = tess_graph_layer_info(graph, index);
    assert_string_equal(info.detail, detail);
    assert_int_equal(info.c, c);
    assert_int_equal(info.h, h);
    assert_int_equal(info.w, w);
    assert_int_equal(info.parameters, parameters);
    assert_int_equal(info.neurons, (uint64_t)c * (uint64_t)h * (uint64_t)w);
}

/* ---------------------------------------------------------------- the lecture's numbers */

static void one_3x3x3_filter_has_28_parameters(void **state) {
    (void)state;
    tess_node x;
    tess_graph *graph = new_graph(3, 8, 8, &x);
    tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 1, .kernel_h = 3});
    expect_layer(graph, 1, "1 3x3", 1, 6, 6, 28);
    tess_graph_destroy(graph);
}

static void ten_3x3x6_filters_have_550_parameters(void **state) {
    (void)state;
    tess_node x;
    tess_graph *graph = new_graph(6, 8, 8, &x);
    tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 10, .kernel_h = 3});
    expect_layer(graph, 1, "10 3x3", 10, 6, 6, 550);
    tess_graph_destroy(graph);
}

static void first_layer_of_alexnet(void **state) {
    (void)state;
    tess_node x;
    tess_graph *graph = new_graph(3, 227, 227, &x);
    tess_graph_conv(graph, x,
                    &(tess_conv_layer){
                        .filters = 96, .kernel_h = 11, .stride_h = 4, .act.kind = TESS_ACT_RELU});
    expect_layer(graph, 1, "96 11x11 / 4, ReLU", 96, 55, 55, 34944);
    tess_layer_info info = tess_graph_layer_info(graph, 1);
    assert_int_equal(info.neurons, 290400);
    assert_true(info.flops == 2.0 * 55 * 55 * 96 * 3 * 11 * 11);
    assert_string_equal(info.kind, "conv");
    assert_string_equal(info.name, "conv1");
    tess_graph_destroy(graph);
}

/* ---------------------------------------------------------------- every kind */

static void every_kind_of_layer(void **state) {
    (void)state;
    tess_node x;
    tess_graph *graph = new_graph(4, 9, 7, &x);
    tess_node a = tess_graph_conv(graph, x,
                                  &(tess_conv_layer){.name = "grouped",
                                                     .filters = 6,
                                                     .kernel_h = 3,
                                                     .kernel_w = 2,
                                                     .stride_h = 2,
                                                     .stride_w = 1,
                                                     .pad = 1,
                                                     .pad_left = 1,
                                                     .groups = 2,
                                                     .no_bias = true});
    expect_layer(graph, a, "6 3x2 / 2x1, pad 1 1 2 1, groups 2", 6, 5, 9, 6 * 2 * 3 * 2);
    tess_node b = tess_graph_activation(graph, a, NULL, (tess_act){.kind = TESS_ACT_ELU});
    expect_layer(graph, b, "ELU", 6, 5, 9, 0);
    tess_node c = tess_graph_add(graph, a, b, NULL, (tess_act){.kind = TESS_ACT_TANH});
    expect_layer(graph, c, "tanh", 6, 5, 9, 0);
    tess_node d = tess_graph_concat(graph, (tess_node[]){a, b, c}, 3, "joined");
    expect_layer(graph, d, "3 parts", 18, 5, 9, 0);
    tess_node e = tess_graph_pool(
        graph, d, &(tess_pool_layer){.mode = TESS_POOL_MAX, .window_h = 2, .ceil_mode = true});
    expect_layer(graph, e, "max 2x2 / 2", 18, 3, 5, 0);
    tess_node f = tess_graph_pool(graph, e,
                                  &(tess_pool_layer){.mode = TESS_POOL_WEIGHTED,
                                                     .window_h = 2,
                                                     .stride_h = 1,
                                                     .act.kind = TESS_ACT_SIGMOID});
    expect_layer(graph, f, "weighted average 2x2, sigmoid", 18, 2, 4, 36);
    tess_node g = tess_graph_dropout(graph, f, NULL, 0.25f);
    expect_layer(graph, g, "rate 0.25", 18, 2, 4, 0);
    tess_node h =
        tess_graph_pool(graph, g, &(tess_pool_layer){.mode = TESS_POOL_AVG, .global = true});
    expect_layer(graph, h, "global average 2x4", 18, 1, 1, 0);
    tess_node i = tess_graph_fc(graph, g, &(tess_fc_layer){.outputs = 18});
    expect_layer(graph, i, "18", 18, 1, 1, 18 * 2 * 4 * 18 + 18);
    tess_node j = tess_graph_add(graph, h, i, NULL, (tess_act){0});
    tess_graph_softmax(graph, j);
    assert_int_equal(tess_graph_check(graph, NULL), TESS_OK);
    assert_int_equal(tess_graph_layer_count(graph), 12);
    assert_string_equal(tess_graph_layer_info(graph, f).name, "pool2");
    assert_string_equal(tess_graph_layer_info(graph, 11).name, "softmax");
    assert_null(tess_graph_layer_info(graph, 12).name);
    assert_null(tess_graph_layer_info(graph, -1).name);
    assert_string_equal(tess_graph_name(graph), "test");
    tess_graph_destroy(graph);
}

static void normalisation_and_auxiliary_classifiers(void **state) {
    (void)state;
    tess_node x;
    tess_graph *graph = new_graph(6, 4, 4, &x);
    x = tess_graph_batch_norm(graph, x,
                              &(tess_batch_norm_layer){.name = "bn", .act.kind = TESS_ACT_RELU});
    expect_layer(graph, x, "ReLU", 6, 4, 4, 12);
    assert_int_equal(tess_graph_layer_info(graph, x).weights, 0);
    x = tess_graph_lrn(graph, x, &(tess_lrn_layer){.k = 2});
    expect_layer(graph, x, "size 5, alpha 0.0001, beta 0.75, k 2", 6, 4, 4, 0);
    x = tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3});
    assert_int_equal(tess_graph_layer_info(graph, x).weights, 6 * 4 * 4 * 3);
    tess_node auxiliary = tess_graph_auxiliary(graph, x, "side", 0.3f);
    expect_layer(graph, auxiliary, "weight 0.3, in training only", 3, 1, 1, 0);
    tess_graph_softmax(graph, x);
    assert_int_equal(tess_graph_check(graph, NULL), TESS_OK);
    tess_graph_destroy(graph);

    graph = new_graph(6, 1, 1, &x);
    tess_graph_auxiliary(graph, x, "side", 1);
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3}));
    expect_error(graph, TESS_INVALID_SHAPE, "6 classes");
    graph = new_graph(3, 1, 1, &x);
    auxiliary = tess_graph_auxiliary(graph, x, "side", 1);
    assert_int_equal(tess_graph_fc(graph, auxiliary, &(tess_fc_layer){.outputs = 3}),
                     TESS_NODE_NONE);
    expect_error(graph, TESS_INVALID_ARGUMENT, "follows side");
}

static void default_names_avoid_given_ones(void **state) {
    (void)state;
    tess_node x;
    tess_graph *graph = new_graph(1, 4, 4, &x);
    x = tess_graph_conv(graph, x, &(tess_conv_layer){.name = "conv2", .filters = 1, .kernel_h = 1});
    x = tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 1, .kernel_h = 1});
    assert_string_equal(tess_graph_layer_info(graph, x).name, "conv3");
    tess_graph_destroy(graph);
}

/* ---------------------------------------------------------------- errors */

static void first_error_sticks(void **state) {
    (void)state;
    tess_node x;
    tess_graph *graph = new_graph(3, 8, 8, &x);
    x = tess_graph_conv(graph, x, &(tess_conv_layer){.name = "big", .filters = 4, .kernel_h = 9});
    assert_int_equal(x, TESS_NODE_NONE);
    x = tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 10});
    assert_int_equal(x, TESS_NODE_NONE);
    assert_int_equal(tess_graph_softmax(graph, x), TESS_NODE_NONE);
    assert_int_equal(tess_graph_layer_count(graph), 1);
    expect_error(graph, TESS_INVALID_SHAPE, "layer big");
}

static void impossible_layers(void **state) {
    (void)state;
    tess_node x, y;
    tess_graph *graph;
#define BAD(status, what, call)                                                                    \
    graph = new_graph(3, 8, 8, &x);                                                                \
    assert_int_equal(call, TESS_NODE_NONE);                                                        \
    expect_error(graph, status, what)
    BAD(TESS_INVALID_SHAPE, "conv1",
        tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 0, .kernel_h = 3}));
    BAD(TESS_INVALID_SHAPE, "conv1",
        tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 4, .kernel_h = 3, .groups = 2}));
    BAD(TESS_INVALID_SHAPE, "padding -1",
        tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 4, .kernel_h = 3, .pad_top = -1}));
    BAD(TESS_INVALID_ARGUMENT, "activation",
        tess_graph_conv(
            graph, x,
            &(tess_conv_layer){.filters = 4, .kernel_h = 3, .act.kind = (tess_activation)17}));
    BAD(TESS_INVALID_ARGUMENT, "alpha",
        tess_graph_activation(graph, x, NULL, (tess_act){TESS_ACT_ELU, -1}));
    BAD(TESS_INVALID_ARGUMENT, "init",
        tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 4, .init = (tess_init)9}));
    BAD(TESS_INVALID_SHAPE, "fc1", tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = -2}));
    BAD(TESS_INVALID_SHAPE, "2^31",
        tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 2147483647}));
    BAD(TESS_INVALID_SHAPE, "pool1", tess_graph_pool(graph, x, &(tess_pool_layer){.window_h = 9}));
    BAD(TESS_INVALID_ARGUMENT, "pool1",
        tess_graph_pool(graph, x, &(tess_pool_layer){.window_h = 2, .act.kind = TESS_ACT_RELU}));
    BAD(TESS_INVALID_ARGUMENT, "pooling mode",
        tess_graph_pool(graph, x, &(tess_pool_layer){.window_h = 2, .mode = (tess_pool_mode)7}));
    BAD(TESS_INVALID_ARGUMENT, "rate", tess_graph_dropout(graph, x, NULL, 1.0f));
    BAD(TESS_INVALID_ARGUMENT, "rate", tess_graph_dropout(graph, x, NULL, -0.1f));
    BAD(TESS_INVALID_ARGUMENT, "epsilon",
        tess_graph_batch_norm(graph, x, &(tess_batch_norm_layer){.eps = -1}));
    BAD(TESS_INVALID_ARGUMENT, "momentum",
        tess_graph_batch_norm(graph, x, &(tess_batch_norm_layer){.momentum = 2}));
    BAD(TESS_INVALID_ARGUMENT, "size 64", tess_graph_lrn(graph, x, &(tess_lrn_layer){.size = 64}));
    BAD(TESS_INVALID_ARGUMENT, "k -1", tess_graph_lrn(graph, x, &(tess_lrn_layer){.k = -1}));
    BAD(TESS_INVALID_SHAPE, "Cx1x1", tess_graph_auxiliary(graph, x, NULL, 1));
    BAD(TESS_INVALID_ARGUMENT, "weight", tess_graph_auxiliary(graph, x, NULL, 0));
    BAD(TESS_INVALID_SHAPE, "softmax", tess_graph_softmax(graph, x));
    BAD(TESS_INVALID_ARGUMENT, "weight", tess_graph_mse(graph, x, NULL, 0));
    BAD(TESS_INVALID_ARGUMENT, "second input", tess_graph_input(graph, 1, 1, 1));
    BAD(TESS_INVALID_ARGUMENT, "no node", tess_graph_dropout(graph, 7, NULL, 0));
    BAD(TESS_INVALID_ARGUMENT, "no node", tess_graph_dropout(graph, TESS_NODE_NONE, NULL, 0));
    BAD(TESS_INVALID_ARGUMENT, "no description", tess_graph_conv(graph, x, NULL));
    BAD(TESS_INVALID_ARGUMENT, "no parts", tess_graph_concat(graph, &x, 0, "none"));
    BAD(TESS_INVALID_ARGUMENT, "name", tess_graph_dropout(graph, x, "two words", 0));
    BAD(TESS_INVALID_ARGUMENT, "name", tess_graph_dropout(graph, x, "", 0));
    BAD(TESS_INVALID_ARGUMENT, "taken", tess_graph_dropout(graph, x, "input", 0));
    BAD(TESS_INVALID_ARGUMENT, "optimizer", tess_graph_dropout(graph, x, "optimizer.velocity", 0));
#undef BAD
    graph = new_graph(3, 8, 8, &x);
    y = tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 3, .kernel_h = 3});
    tess_graph_add(graph, x, y, "sum", (tess_act){0});
    expect_error(graph, TESS_INVALID_SHAPE, "layer sum");
    graph = new_graph(3, 8, 8, &x);
    y = tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 3, .kernel_h = 3});
    tess_graph_concat(graph, (tess_node[]){x, y}, 2, "both");
    expect_error(graph, TESS_INVALID_SHAPE, "layer both");
}

/* Kinds that change shapes: sizes, words, and what cannot be. */
static void shapes_and_gates(void **state) {
    (void)state;
    tess_node x, y;
    tess_graph *graph = new_graph(4, 6, 5, &x);
    x = tess_graph_conv_transpose(
        graph, x,
        &(tess_conv_transpose_layer){
            .filters = 8, .kernel_h = 4, .stride_h = 2, .pad = 1, .out_pad_w = 1, .groups = 2});
    expect_layer(graph, x, "8 4x4 / 2x2, pad 1 1 1 1, groups 2", 8, 12, 11, 264);
    x = tess_graph_upsample(graph, x, &(tess_upsample_layer){.factor_w = 3});
    expect_layer(graph, x, "nearest to 24x33", 8, 24, 33, 0);
    x = tess_graph_upsample(
        graph, x,
        &(tess_upsample_layer){
            .mode = TESS_UPSAMPLE_BILINEAR, .h = 5, .w = 7, .align_corners = true});
    expect_layer(graph, x, "bilinear to 5x7, aligned corners", 8, 5, 7, 0);
    x = tess_graph_pad(
        graph, x,
        &(tess_pad_layer){
            .pad_top = 1, .pad_right = -2, .channels_before = 1, .channels_after = 3});
    expect_layer(graph, x, "zeros 1 0 0 -2, channels 1 3", 12, 6, 5, 0);
    x = tess_graph_prelu(graph, x, &(tess_prelu_layer){0});
    expect_layer(graph, x, "a slope a channel", 12, 6, 5, 12);
    y = tess_graph_reduce(graph, x, &(tess_reduce_layer){.over_h = true, .over_w = true});
    expect_layer(graph, y, "mean over rows columns", 12, 1, 1, 0);
    x = tess_graph_binary(graph, TESS_BINARY_MUL, y, x, NULL);
    expect_layer(graph, x, "product", 12, 6, 5, 0);
    assert_string_equal(tess_graph_layer_info(graph, x).name, "elementwise1");
    x = tess_graph_transpose(graph, x, NULL, (const int[]){2, 0, 1});
    expect_layer(graph, x, "CHW to WCH", 5, 12, 6, 0);
    x = tess_graph_reshape(graph, x, NULL, 10, -1, 9);
    expect_layer(graph, x, "to 10x4x9", 10, 4, 9, 0);
    tess_graph_output(graph, x);
    tess_error error = {0};
    if (tess_graph_check(graph, &error)) fail_msg("%s", error.text);
    tess_graph_destroy(graph);
}

static void impossible_shapes(void **state) {
    (void)state;
    tess_node x, y;
    tess_graph *graph;
#define BAD(status, what, call)                                                                    \
    graph = new_graph(3, 8, 8, &x);                                                                \
    y = tess_graph_pool(graph, x, &(tess_pool_layer){.window_h = 2});                              \
    assert_int_equal(call, TESS_NODE_NONE);                                                        \
    expect_error(graph, status, what)
#define SHAPE       TESS_INVALID_SHAPE
#define ARGUMENT    TESS_INVALID_ARGUMENT
#define UP(...)     tess_graph_upsample(graph, x, &(tess_upsample_layer){__VA_ARGS__})
#define PAD(...)    tess_graph_pad(graph, x, &(tess_pad_layer){__VA_ARGS__})
#define DECONV(...) tess_graph_conv_transpose(graph, x, &(tess_conv_transpose_layer){__VA_ARGS__})
#define REDUCE(...) tess_graph_reduce(graph, x, &(tess_reduce_layer){__VA_ARGS__})
    BAD(SHAPE, "groups", DECONV(.filters = 4, .kernel_h = 3, .groups = 2));
    BAD(SHAPE, "output padding", DECONV(.filters = 4, .kernel_h = 3, .out_pad_h = 1));
    BAD(SHAPE, "padding -1", DECONV(.filters = 4, .kernel_h = 3, .pad_left = -1));
    BAD(ARGUMENT, "upsampling mode", UP(.mode = (tess_upsample_mode)2));
    BAD(ARGUMENT, "aligned corners", UP(.align_corners = true));
    BAD(ARGUMENT, "a height of 9", UP(.h = 9));
    BAD(ARGUMENT, "factor", UP(.factor_h = -1));
    BAD(SHAPE, "2^31", UP(.factor_h = 2147483647));
    BAD(ARGUMENT, "padding mode", PAD(.mode = (tess_pad_mode)4));
    BAD(ARGUMENT, "-1 and 0 columns", PAD(.mode = TESS_PAD_EDGE, .pad_left = -1));
    BAD(SHAPE, "8 and 0 rows of mirrored", PAD(.mode = TESS_PAD_MIRROR, .pad_top = 8));
    BAD(SHAPE, "at least 1", PAD(.channels_after = -3));
    BAD(SHAPE, "2^20", PAD(.pad_bottom = 2147483647));
    BAD(ARGUMENT, "operation", tess_graph_binary(graph, (tess_binary)9, x, x, NULL));
    BAD(SHAPE, "or 1 in one", tess_graph_binary(graph, TESS_BINARY_MUL, x, y, NULL));
    BAD(ARGUMENT, "reduction", REDUCE(.mode = (tess_reduce_mode)2, .over_c = true));
    BAD(ARGUMENT, "no dimension", REDUCE(.mode = TESS_REDUCE_SUM));
    BAD(SHAPE, "another number", tess_graph_reshape(graph, x, NULL, 5, -1, 8));
    BAD(SHAPE, "another number", tess_graph_reshape(graph, x, NULL, 3, 8, 9));
    BAD(SHAPE, "may be -1", tess_graph_reshape(graph, x, NULL, -1, -1, 8));
    BAD(SHAPE, "may be -1", tess_graph_reshape(graph, x, NULL, 0, 8, 8));
    BAD(ARGUMENT, "order 0 1 1", tess_graph_transpose(graph, x, NULL, (const int[]){0, 1, 1}));
    BAD(ARGUMENT, "no description", tess_graph_transpose(graph, x, NULL, NULL));
    (void)y;
}

static void incomplete_graphs(void **state) {
    (void)state;
    tess_node x;
    tess_graph *graph = NULL;
    assert_int_equal(tess_graph_create("empty", NULL, &graph), TESS_OK);
    expect_error(graph, TESS_INVALID_ARGUMENT, "no input");
    graph = new_graph(3, 8, 8, &x);
    tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3});
    expect_error(graph, TESS_INVALID_ARGUMENT, "softmax");
    graph = new_graph(3, 8, 8, &x);
    tess_graph_fc(graph, x, &(tess_fc_layer){.name = "unread", .outputs = 3});
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 3}));
    expect_error(graph, TESS_INVALID_ARGUMENT, "layer unread");
    graph = new_graph(3, 1, 1, &x);
    x = tess_graph_softmax(graph, x);
    tess_graph_dropout(graph, x, NULL, 0);
    expect_error(graph, TESS_INVALID_ARGUMENT, "follows softmax");
    graph = new_graph(3, 1, 1, &x);
    tess_graph_add(graph, x, tess_graph_mse(graph, x, "loss", 1), NULL, (tess_act){0});
    expect_error(graph, TESS_INVALID_ARGUMENT, "follows loss");
    graph = new_graph(3, 1, 1, &x);
    tess_graph_output(graph, x);
    tess_graph_mse(graph, x, NULL, 1);
    expect_error(graph, TESS_INVALID_ARGUMENT, "build it last");
    graph = new_graph(3, 1, 1, &x);
    tess_graph_auxiliary(graph, x, NULL, 1);
    tess_graph_auxiliary(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = 4}), "four", 1);
    tess_graph_output(graph, x);
    expect_error(graph, TESS_INVALID_SHAPE, "layer four");
    tess_error error = {0};
    assert_int_equal(tess_graph_check(NULL, &error), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_graph_create(NULL, &error, &graph), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_graph_input(NULL, 1, 1, 1), TESS_NODE_NONE);
    tess_graph_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_3x3x3_filter_has_28_parameters),
        cmocka_unit_test(ten_3x3x6_filters_have_550_parameters),
        cmocka_unit_test(first_layer_of_alexnet),
        cmocka_unit_test(every_kind_of_layer),
        cmocka_unit_test(normalisation_and_auxiliary_classifiers),
        cmocka_unit_test(default_names_avoid_given_ones),
        cmocka_unit_test(first_error_sticks),
        cmocka_unit_test(impossible_layers),
        cmocka_unit_test(shapes_and_gates),
        cmocka_unit_test(impossible_shapes),
        cmocka_unit_test(incomplete_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
