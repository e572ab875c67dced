#include "support/test_nets.h"

#include <clblast_c.h>
#include <stdlib.h>
#include <string.h>

#define ACT(k) ((tess_act){.kind = TESS_ACT_##k})

/* Every kind of layer; folded and unfolded activations; three readers of one output; the sum of an output and itself. */
static void build_everything(tess_graph *g) {
    tess_node x = tess_graph_input(g, 2, 9, 8);
    x = tess_graph_conv(
        g, x, &(tess_conv_layer){.filters = 4, .kernel_h = 3, .pad = 1, .act = ACT(LEAKY_RELU)});
    x = tess_graph_pool(
        g, x,
        &(tess_pool_layer){
            .mode = TESS_POOL_WEIGHTED, .window_h = 2, .stride_h = 1, .act = ACT(TANH)});
    tess_node a = tess_graph_conv(
        g, x,
        &(tess_conv_layer){.filters = 4, .kernel_h = 3, .pad = 1, .groups = 2, .no_bias = true});
    tess_node b = tess_graph_conv(g, x, &(tess_conv_layer){.filters = 4, .kernel_h = 1});
    b = tess_graph_activation(g, b, NULL, ACT(SIGMOID));
    tess_node c = tess_graph_add(g, a, b, NULL, ACT(NONE));
    c = tess_graph_activation(g, c, NULL, ACT(ELU));
    c = tess_graph_add(g, c, c, "twice", ACT(NONE));
    tess_node d = tess_graph_concat(g, (tess_node[]){x, c, x}, 3, NULL);
    d = tess_graph_dropout(g, d, NULL, 0.3f);
    d = tess_graph_pool(
        g, d,
        &(tess_pool_layer){
            .mode = TESS_POOL_MAX, .window_h = 3, .stride_h = 2, .pad = 1, .ceil_mode = true});
    d = tess_graph_activation(g, d, NULL, ACT(TANH));
    d = tess_graph_pool(
        g, d,
        &(tess_pool_layer){
            .mode = TESS_POOL_AVG_WITH_PAD, .window_h = 2, .pad = 1, .ceil_mode = true});
    d = tess_graph_fc(g, d, &(tess_fc_layer){.outputs = 7, .act = ACT(ELU)});
    d = tess_graph_dropout(g, d, NULL, 0.5f);
    d = tess_graph_fc(g, d, &(tess_fc_layer){.outputs = 5, .no_bias = true});
    tess_graph_softmax(g, d);
}

/* Residual blocks: identity, projection, and a fork whose parts meet the input again. */
static void build_residual(tess_graph *g) {
    tess_node in = tess_graph_input(g, 3, 7, 7);
    tess_node x = tess_graph_conv(
        g, in, &(tess_conv_layer){.filters = 3, .kernel_h = 3, .pad = 1, .act = ACT(TANH)});
    tess_node y = tess_graph_conv(
        g, x, &(tess_conv_layer){.filters = 3, .kernel_h = 3, .pad = 1, .act = ACT(RELU)});
    y = tess_graph_conv(g, y, &(tess_conv_layer){.filters = 3, .kernel_h = 3, .pad = 1});
    x = tess_graph_add(g, x, y, NULL, ACT(ELU));
    x = tess_graph_add(g, in, x, NULL, ACT(NONE));
    y = tess_graph_conv(
        g, x,
        &(tess_conv_layer){.filters = 5, .kernel_h = 3, .stride_h = 2, .pad = 1, .act = ACT(TANH)});
    y = tess_graph_conv(g, y, &(tess_conv_layer){.filters = 5, .kernel_h = 3, .pad = 1});
    x = tess_graph_conv(
        g, x, &(tess_conv_layer){.filters = 5, .kernel_h = 1, .stride_h = 2, .no_bias = true});
    x = tess_graph_add(g, y, x, NULL, ACT(NONE));
    x = tess_graph_activation(g, x, NULL, ACT(TANH));
    x = tess_graph_pool(g, x, &(tess_pool_layer){.mode = TESS_POOL_AVG, .global = true});
    tess_graph_softmax(g, tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 4}));
}

/* Layers without parameters before the first that has some: they need no gradient. */
static void build_bare_front(tess_graph *g) {
    tess_node in = tess_graph_input(g, 2, 6, 6);
    tess_node x = tess_graph_activation(g, in, NULL, ACT(TANH));
    x = tess_graph_pool(g, x, &(tess_pool_layer){.mode = TESS_POOL_MAX, .window_h = 2});
    tess_node y =
        tess_graph_pool(g, in, &(tess_pool_layer){.mode = TESS_POOL_WEIGHTED, .window_h = 2});
    x = tess_graph_concat(g, (tess_node[]){x, y}, 2, NULL);
    x = tess_graph_dropout(g, x, NULL, 0.2f);
    tess_graph_softmax(g, tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 3}));
}

static void build_linear(tess_graph *g) {
    tess_node x = tess_graph_input(g, 2, 3, 3);
    tess_graph_softmax(g, tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 3}));
}

/* Batch normalisation behind and before convolutions, with residual and without, and one whose output two layers read; an auxiliary
   classifier on the trunk, and behind it local response normalisation. */
static void build_normalised(tess_graph *g) {
    const tess_conv_layer plain = {.filters = 4, .kernel_h = 3, .pad = 1, .no_bias = true};
    tess_node x = tess_graph_input(g, 3, 7, 6);
    x = tess_graph_conv(g, x, &plain);
    x = tess_graph_batch_norm(g, x, &(tess_batch_norm_layer){.act = ACT(RELU)});
    tess_node y = tess_graph_conv(g, x, &(tess_conv_layer){.filters = 6, .kernel_h = 3, .pad = 1});
    tess_node shortcut =
        tess_graph_conv(g, x, &(tess_conv_layer){.filters = 6, .kernel_h = 1, .no_bias = true});
    y = tess_graph_batch_norm(g, y, &(tess_batch_norm_layer){.eps = 1e-3f, .momentum = 0.2f});
    shortcut = tess_graph_batch_norm(g, shortcut, &(tess_batch_norm_layer){0});
    x = tess_graph_add(g, y, shortcut, "sum", ACT(TANH));
    y = tess_graph_batch_norm(g, x, &(tess_batch_norm_layer){.act = ACT(SIGMOID)});
    y = tess_graph_conv(g, y, &(tess_conv_layer){.filters = 6, .kernel_h = 1, .act = ACT(ELU)});
    y = tess_graph_batch_norm(g, y, &(tess_batch_norm_layer){0});
    x = tess_graph_add(g, x, y, NULL, ACT(NONE));
    tess_node side = tess_graph_pool(
        g, x, &(tess_pool_layer){.mode = TESS_POOL_AVG, .window_h = 3, .stride_h = 3});
    side = tess_graph_fc(g, side, &(tess_fc_layer){.name = "side", .outputs = 4});
    tess_graph_auxiliary(g, side, "auxiliary", 0.3f);
    x = tess_graph_lrn(g, x, &(tess_lrn_layer){.size = 3, .alpha = 0.5f, .beta = 0.75f, .k = 1});
    x = tess_graph_pool(g, x, &(tess_pool_layer){.mode = TESS_POOL_MAX, .window_h = 2});
    tess_graph_softmax(g, tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 4}));
}

/* No softmax: two squared errors, one of them of maps, a classifier on the way, and an end behind which there is none of them. */
static void build_regression(tess_graph *g) {
    tess_node x = tess_graph_input(g, 2, 5, 6);
    x = tess_graph_conv(
        g, x, &(tess_conv_layer){.filters = 3, .kernel_h = 3, .pad = 1, .act = ACT(TANH)});
    tess_graph_mse(g, x, "maps", 0.4f);
    tess_node y = tess_graph_conv(g, x, &(tess_conv_layer){.filters = 2, .kernel_h = 3});
    x = tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 4, .act = ACT(TANH)});
    tess_graph_auxiliary(g, x, "class", 0.7f);
    x = tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 3});
    tess_graph_mse(g, x, "vector", 2);
    tess_graph_output(g, y);
}

/* As most regressions end. */
static void build_autoencoder(tess_graph *g) {
    tess_node x = tess_graph_input(g, 2, 3, 3);
    x = tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 2, .act = ACT(SIGMOID)});
    x = tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 18});
    tess_graph_mse(g, x, NULL, 1);
}

/* Kinds for up-sampling and its shapes, around a bottleneck; reshaped and transposed on the way. */
static void build_upsampling(tess_graph *g) {
    tess_node x = tess_graph_input(g, 2, 4, 5);
    x = tess_graph_conv(
        g, x,
        &(tess_conv_layer){.filters = 4, .kernel_h = 3, .stride_h = 2, .pad = 1, .act = ACT(TANH)});
    tess_node y = tess_graph_conv_transpose(g, x,
                                            &(tess_conv_transpose_layer){.filters = 2,
                                                                         .kernel_h = 3,
                                                                         .kernel_w = 2,
                                                                         .stride_h = 2,
                                                                         .pad_top = 1,
                                                                         .out_pad_w = 1,
                                                                         .groups = 2,
                                                                         .act = ACT(ELU)});
    y = tess_graph_conv_transpose(
        g, y, &(tess_conv_transpose_layer){.filters = 3, .kernel_h = 2, .pad = 1, .no_bias = true});
    y = tess_graph_activation(g, y, NULL, ACT(SIGMOID));
    tess_node z = tess_graph_upsample(g, x, &(tess_upsample_layer){.factor_w = 1});
    z = tess_graph_upsample(g, z,
                            &(tess_upsample_layer){.mode = TESS_UPSAMPLE_BILINEAR, .h = 3, .w = 5});
    z = tess_graph_upsample(
        g, z,
        &(tess_upsample_layer){
            .mode = TESS_UPSAMPLE_BILINEAR, .h = 4, .w = 6, .align_corners = true});
    z = tess_graph_reshape(g, z, NULL, 3, -1, 4);
    z = tess_graph_transpose(g, z, NULL, (const int[]){1, 2, 0});
    z = tess_graph_reshape(g, z, NULL, -1, 1, 1);
    z = tess_graph_fc(g, z, &(tess_fc_layer){.outputs = 4, .act = ACT(TANH)});
    z = tess_graph_reshape(g, z, NULL, 1, 2, 2);
    y = tess_graph_fc(g, y, &(tess_fc_layer){.outputs = 4});
    y = tess_graph_reshape(g, y, NULL, 1, 2, 2);
    tess_graph_mse(g, tess_graph_concat(g, (const tess_node[]){y, z}, 2, NULL), NULL, 1.5f);
}

/* Padding in every mode, parametric ReLU, and two inputs with broadcasting: a gate a channel, one a pixel, a channel against a row. */
static void build_gated(tess_graph *g) {
    tess_node in = tess_graph_input(g, 3, 4, 5);
    tess_node x = tess_graph_prelu(g, in, &(tess_prelu_layer){.slope = -0.5f});
    x = tess_graph_conv(g, x, &(tess_conv_layer){.filters = 4, .kernel_h = 3});
    x = tess_graph_prelu(g, x, &(tess_prelu_layer){.name = "slope", .shared = true});
    x = tess_graph_pad(g, x,
                       &(tess_pad_layer){.mode = TESS_PAD_MIRROR, .pad_top = 1, .pad_right = 2});
    x = tess_graph_pad(
        g, x,
        &(tess_pad_layer){
            .mode = TESS_PAD_EDGE, .pad_left = 2, .pad_bottom = 1, .channels_after = 1});
    x = tess_graph_pad(g, x,
                       &(tess_pad_layer){.mode = TESS_PAD_CONSTANT,
                                         .value = 0.5f,
                                         .pad_top = 1,
                                         .pad_right = -3,
                                         .channels_before = 1,
                                         .channels_after = -1});
    x = tess_graph_pad(g, x, &(tess_pad_layer){.channels_after = 1});
    tess_node gate = tess_graph_reduce(g, x, &(tess_reduce_layer){.over_h = true, .over_w = true});
    gate = tess_graph_fc(g, gate, &(tess_fc_layer){.outputs = 6, .act = ACT(SIGMOID)});
    x = tess_graph_binary(g, TESS_BINARY_MUL, x, gate, "gated");
    tess_node pixel =
        tess_graph_reduce(g, x, &(tess_reduce_layer){.mode = TESS_REDUCE_SUM, .over_c = true});
    pixel = tess_graph_activation(g, pixel, NULL, ACT(SIGMOID));
    x = tess_graph_binary(g, TESS_BINARY_DIV, x, pixel, NULL);
    tess_node y = tess_graph_binary(g, TESS_BINARY_SUB, gate, pixel, NULL);
    x = tess_graph_binary(g, TESS_BINARY_MAX, x, y, NULL);
    x = tess_graph_binary(g, TESS_BINARY_MIN, x, gate, NULL);
    x = tess_graph_binary(g, TESS_BINARY_ADD, pixel, x, NULL);
    x = tess_graph_binary(g, TESS_BINARY_MUL, x, x, "square");
    tess_graph_softmax(g, tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 3}));
}

const struct test_net test_nets[] = {{"everything", build_everything},
                                     {"residual", build_residual},
                                     {"bare-front", build_bare_front},
                                     {"linear", build_linear},
                                     {"normalised", build_normalised},
                                     {"regression", build_regression},
                                     {"autoencoder", build_autoencoder},
                                     {"upsampling", build_upsampling},
                                     {"gated", build_gated},
                                     {0}};

tess_graph *test_net_graph(const char *name) {
    tess_error error = {0};
    tess_graph *graph = NULL;
    for (const struct test_net *net = test_nets; net->name; net++) {
        if (strcmp(net->name, name) != 0) continue;
        assert_int_equal(tess_graph_create(name, NULL, &graph), TESS_OK);
        net->build(graph);
        if (tess_graph_check(graph, &error)) fail_msg("%s", error.text);
        return graph;
    }
    if (tess_zoo_build(name, NULL, &error, &graph)) fail_msg("%s", error.text);
    return graph;
}

int test_nets_teardown(void **state) {
    int failed = check_teardown(state);
    return CLBlastClearCache() == CLBlastSuccess ? failed : -1;
}

struct test_batch test_batch_make(const tess_graph *graph, int batch, int valid, uint64_t seed) {
    tess_layer_info in = tess_graph_layer_info(graph, 0);
    int classes = graph_classes(graph);
    size_t size = (size_t)batch * in.neurons, most = 0;
    for (int i = 0; i < graph->count; i++) {
        size_t neurons = (size_t)tess_graph_layer_info(graph, i).neurons;
        if (graph->layers[i].kind == LAYER_MSE && neurons > most) most = neurons;
    }
    struct test_batch made = {check_alloc(size * sizeof(float)),
                              check_alloc((size_t)batch * sizeof(int32_t)),
                              check_alloc((size_t)batch * most * sizeof(float))};
    check_random(made.input, size, -1, 1, seed);
    check_random(made.targets, (size_t)batch * most, -1, 1, seed + 1);
    for (int n = 0; n < batch; n++)
        made.labels[n] = n < valid ? (n * 7 + (int)(seed % 5)) % (classes ? classes : 1) : -1;
    return made;
}

void test_batch_free(struct test_batch *batch) {
    free(batch->input);
    free(batch->labels);
    free(batch->targets);
}

void test_batch_write(tess_net *net, const struct test_batch *batch) {
    tess_context *ctx = net->ctx;
    assert_ok(ctx, tess_tensor_write(tess_net_input(net), batch->input, TESS_NCHW));
    if (tess_net_labels(net))
        assert_ok(ctx, tess_tensor_write(tess_net_labels(net), batch->labels, TESS_NHWC));
    for (int i = 0; i < net->graph->count; i++) {
        tess_tensor *targets = tess_net_targets(net, net->graph->layers[i].name);
        if (targets) assert_ok(ctx, tess_tensor_write(targets, batch->targets, TESS_NCHW));
    }
}

static void disturb(tess_context *ctx, tess_net *net) {
    for (int k = 0; k < tess_net_param_count(net); k++) {
        tess_param param = tess_net_param(net, k);
        const tess_tensor_desc *desc = tess_tensor_get_desc(param.value);
        if (desc->layout == TESS_RSCK) continue;
        size_t size = tess_tensor_desc_elements(desc);
        float *data = check_read(param.value), *noise = check_alloc(size * sizeof *noise);
        check_random(noise, size, -0.3f, 0.3f, 100 + (uint64_t)k);
        for (size_t i = 0; i < size; i++)
            data[i] += noise[i];
        assert_ok(ctx, tess_tensor_write(param.value, data, desc->layout));
        free(data);
        free(noise);
    }
}

tess_net *test_net_make(tess_context *ctx, const tess_graph *graph, const tess_net_options *options,
                        const struct net_debug *debug, const struct test_batch *batch) {
    tess_net *net = NULL;
    assert_ok(ctx, net_create(ctx, graph, options, debug, &net));
    assert_ok(ctx, tess_net_init(net, 1));
    disturb(ctx, net);
    if (batch) test_batch_write(net, batch);
    return net;
}

void test_net_calm(tess_context *ctx, tess_net *net, float factor) {
    for (int i = 0; i < net->param_count; i++) {
        const struct param *param = &net->params[i];
        const struct layer *layer = &net->graph->layers[param->layer];
        bool branch =
            layer->consumers == 1 && net->graph->layers[layer->last_consumer].kind == LAYER_ADD;
        bool shortcut = strstr(layer->name, "downsample") || strstr(layer->name, "shortcut");
        if (!branch || shortcut || strcmp(param->spec.suffix, "weight") != 0) continue;
        tess_tensor *value = tess_net_param(net, i).value;
        float *data = check_read(value);
        for (size_t k = 0; k < tess_tensor_desc_elements(&param->spec.desc); k++)
            data[k] *= factor;
        assert_ok(ctx, tess_tensor_write(value, data, param->spec.desc.layout));
        free(data);
    }
}

static float *read_all(tess_net *net, bool gradients, size_t *bytes) {
    size_t total = 0;
    for (int k = 0; k < tess_net_param_count(net); k++)
        if (!gradients || tess_net_param(net, k).grad)
            total += tess_tensor_desc_bytes(tess_tensor_get_desc(tess_net_param(net, k).value));
    float *all = check_alloc(total), *to = all;
    for (int k = 0; k < tess_net_param_count(net); k++) {
        tess_param param = tess_net_param(net, k);
        tess_tensor *tensor = gradients ? param.grad : param.value;
        if (!tensor) continue;
        assert_ok(net->ctx, tess_tensor_read(tensor, to, tess_tensor_get_desc(tensor)->layout));
        to += tess_tensor_desc_elements(tess_tensor_get_desc(tensor));
    }
    *bytes = total;
    return all;
}

float *test_net_gradients(tess_net *net, size_t *bytes) {
    return read_all(net, true, bytes);
}

float *test_net_values(tess_net *net, size_t *bytes) {
    return read_all(net, false, bytes);
}
