/* AlexNet: Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks, 2012, section 3.5, as one
   tower: what the paper puts on two GPUs are two groups here. Initial weights are He's, biases 0: the paper's deviation of 0.01 learns
   nothing at reduced widths. With TESS_INIT_GAUSSIAN weights start as in the paper, and so do biases, at 1 in the layers that
   section 5 names. */
#include "net/zoo/zoo.h"

#define RELU .act.kind = TESS_ACT_RELU, .init = TESS_INIT_HE

static const tess_lrn_layer norm = {.size = 5, .alpha = 5e-4f, .beta = 0.75f, .k = 2};
static const tess_pool_layer pool = {.mode = TESS_POOL_MAX, .window_h = 3, .stride_h = 2};

void zoo_alexnet(tess_graph *graph, const tess_zoo_options *options) {
    int k1 = zoo_width(options, 96), k2 = zoo_width(options, 256), k3 = zoo_width(options, 384);
    int hidden = zoo_width(options, 4096);
    float bias = options->init == TESS_INIT_GAUSSIAN ? 1 : 0;
    const tess_conv_layer conv1 = {
        .name = "conv1", .filters = k1, .kernel_h = 11, .stride_h = 4, RELU};
    const tess_conv_layer conv2 = {.name = "conv2",
                                   .filters = k2,
                                   .kernel_h = 5,
                                   .pad = 2,
                                   .groups = 2,
                                   RELU,
                                   .init_bias = bias};
    const tess_conv_layer conv3 = {.name = "conv3", .filters = k3, .kernel_h = 3, .pad = 1, RELU};
    const tess_conv_layer conv4 = {.name = "conv4",
                                   .filters = k3,
                                   .kernel_h = 3,
                                   .pad = 1,
                                   .groups = 2,
                                   RELU,
                                   .init_bias = bias};
    const tess_conv_layer conv5 = {.name = "conv5",
                                   .filters = k2,
                                   .kernel_h = 3,
                                   .pad = 1,
                                   .groups = 2,
                                   RELU,
                                   .init_bias = bias};
    const tess_fc_layer fc6 = {.name = "fc6", .outputs = hidden, RELU, .init_bias = bias};
    const tess_fc_layer fc7 = {.name = "fc7", .outputs = hidden, RELU, .init_bias = bias};
    const tess_fc_layer fc8 = {.name = "fc8", .outputs = options->classes};

    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    x = tess_graph_conv(graph, x, &conv1);
    x = tess_graph_lrn(graph, x, &norm);
    x = tess_graph_pool(graph, x, &pool);
    x = tess_graph_conv(graph, x, &conv2);
    x = tess_graph_lrn(graph, x, &norm);
    x = tess_graph_pool(graph, x, &pool);
    x = tess_graph_conv(graph, x, &conv3);
    x = tess_graph_conv(graph, x, &conv4);
    x = tess_graph_conv(graph, x, &conv5);
    x = tess_graph_pool(graph, x, &pool);
    x = tess_graph_fc(graph, x, &fc6);
    x = tess_graph_dropout(graph, x, "drop6", 0.5f);
    x = tess_graph_fc(graph, x, &fc7);
    x = tess_graph_dropout(graph, x, "drop7", 0.5f);
    x = tess_graph_fc(graph, x, &fc8);
    tess_graph_softmax(graph, x);
}
