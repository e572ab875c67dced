/* The network of ConvNetJS's CIFAR-10 demo (Karpathy 2014): 5x5x16, 5x5x20, 5x5x20, each with ReLU and 2x2 max
   pooling, then a classifier. */
#include "net/zoo/zoo.h"

void zoo_convnetjs_cifar10(tess_graph *graph, const tess_zoo_options *options) {
    tess_conv_layer conv = {.kernel_h = 5, .pad = 2, .act.kind = TESS_ACT_RELU};
    const tess_pool_layer pool = {.mode = TESS_POOL_MAX, .window_h = 2};
    const tess_fc_layer fc = {.name = "fc", .outputs = options->classes};

    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    for (int i = 0; i < 3; i++) {
        conv.filters = zoo_width(options, i == 0 ? 16 : 20);
        x = tess_graph_conv(graph, x, &conv);
        x = tess_graph_pool(graph, x, &pool);
    }
    x = tess_graph_fc(graph, x, &fc);
    tess_graph_softmax(graph, x);
}
