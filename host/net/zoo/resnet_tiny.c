/* A residual network (He, Zhang, Ren, Sun 2016) of three basic blocks. Without batch norm each block would double
   the variance, so the second convolution of a block starts small and the block begins near
   its shortcut: the idea of Zhang, Dauphin, Ma: Fixup initialization, 2019. */
#include "net/zoo/zoo.h"

#include <stdio.h>

static const tess_act relu = {.kind = TESS_ACT_RELU};

static tess_node conv3x3(tess_graph *graph, tess_node x, const char *name, tess_conv_layer layer) {
    layer.name = name;
    layer.kernel_h = 3;
    layer.pad = 1;
    return tess_graph_conv(graph, x, &layer);
}

/* y = ReLU(conv2(ReLU(conv1(x))) + shortcut(x)). The shortcut is x itself, or, where the shape changes, a 1x1
   convolution of the same stride (projection, option B of the paper). */
static tess_node block(tess_graph *graph, tess_node x, int number, int filters, int stride) {
    const tess_conv_layer conv1 = {.filters = filters, .stride_h = stride, .act = relu};
    const tess_conv_layer conv2 = {.filters = filters, .init = TESS_INIT_HE, .init_gain = 0.25f};
    char name[32];
    tess_node shortcut = x;
    if (stride != 1) {
        snprintf(name, sizeof name, "block%d.shortcut", number);
        shortcut = tess_graph_conv(graph, x,
                                   &(tess_conv_layer){.name = name,
                                                      .filters = filters,
                                                      .kernel_h = 1,
                                                      .stride_h = stride,
                                                      .no_bias = true});
    }
    snprintf(name, sizeof name, "block%d.conv1", number);
    x = conv3x3(graph, x, name, conv1);
    snprintf(name, sizeof name, "block%d.conv2", number);
    x = conv3x3(graph, x, name, conv2);
    snprintf(name, sizeof name, "block%d.add", number);
    return tess_graph_add(graph, x, shortcut, name, relu);
}

void zoo_resnet_tiny(tess_graph *graph, const tess_zoo_options *options) {
    static const tess_pool_layer pool = {.name = "pool", .mode = TESS_POOL_AVG, .global = true};
    const tess_fc_layer fc = {.name = "fc", .outputs = options->classes};

    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    x = conv3x3(graph, x, "stem",
                (tess_conv_layer){.filters = zoo_width(options, 16), .act = relu});
    x = block(graph, x, 1, zoo_width(options, 16), 1);
    x = block(graph, x, 2, zoo_width(options, 32), 2);
    x = block(graph, x, 3, zoo_width(options, 64), 2);
    x = tess_graph_pool(graph, x, &pool);
    x = tess_graph_fc(graph, x, &fc);
    tess_graph_softmax(graph, x);
}
