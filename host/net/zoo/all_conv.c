/* All-CNN-C: Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for simplicity: the all convolutional net, 2015,
   table 1 and section 3.2: convolutions of stride 2 take the place of pooling; dropout of the input and after each of
   them. He's initial weights, as the paper names none. */
#include "net/zoo/zoo.h"

#define RELU .act.kind = TESS_ACT_RELU

static tess_node conv3x3(tess_graph *graph, tess_node x, int filters, int stride, int pad) {
    return tess_graph_conv(
        graph, x,
        &(tess_conv_layer){
            .filters = filters, .kernel_h = 3, .stride_h = stride, .pad = pad, RELU});
}

void zoo_all_conv(tess_graph *graph, const tess_zoo_options *options) {
    int first = zoo_width(options, 96), second = zoo_width(options, 192);
    const tess_conv_layer conv8 = {.name = "conv8", .filters = second, .kernel_h = 1, RELU};
    const tess_conv_layer conv9 = {
        .name = "conv9", .filters = options->classes, .kernel_h = 1, RELU};
    const tess_pool_layer pool = {.mode = TESS_POOL_AVG, .global = true};

    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    x = tess_graph_dropout(graph, x, NULL, 0.2f);
    x = conv3x3(graph, x, first, 1, 1);
    x = conv3x3(graph, x, first, 1, 1);
    x = conv3x3(graph, x, first, 2, 1);
    x = tess_graph_dropout(graph, x, NULL, 0.5f);
    x = conv3x3(graph, x, second, 1, 1);
    x = conv3x3(graph, x, second, 1, 1);
    x = conv3x3(graph, x, second, 2, 1);
    x = tess_graph_dropout(graph, x, NULL, 0.5f);
    x = conv3x3(graph, x, second, 1, 0);
    x = tess_graph_conv(graph, x, &conv8);
    x = tess_graph_conv(graph, x, &conv9);
    x = tess_graph_pool(graph, x, &pool);
    tess_graph_softmax(graph, x);
}
