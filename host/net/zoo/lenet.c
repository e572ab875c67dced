/* LeNet-5: LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998,
   section II.B and figure 2. */
#include "net/zoo/zoo.h"

#define TANH   .act.kind = TESS_ACT_TANH
#define RELU   .act.kind = TESS_ACT_RELU
#define FAN_IN .init = TESS_INIT_FAN_IN

/* As published, with four differences: every map of C3 reads all maps of S2 (the paper's table I leaves
   out some), the subsampling coefficient multiplies the average (the paper: the sum), tanh is not
   scaled (the paper: 1.7159 tanh(2/3 x)), and a softmax takes the place of the Euclidean RBF units. */
void zoo_lenet5(tess_graph *graph, const tess_zoo_options *options) {
    const tess_conv_layer c1 = {
        .name = "c1", .filters = zoo_width(options, 6), .kernel_h = 5, TANH};
    static const tess_pool_layer s2 = {
        .name = "s2", .mode = TESS_POOL_WEIGHTED, .window_h = 2, TANH};
    const tess_conv_layer c3 = {
        .name = "c3", .filters = zoo_width(options, 16), .kernel_h = 5, TANH};
    static const tess_pool_layer s4 = {
        .name = "s4", .mode = TESS_POOL_WEIGHTED, .window_h = 2, TANH};
    const tess_conv_layer c5 = {
        .name = "c5", .filters = zoo_width(options, 120), .kernel_h = 5, TANH};
    const tess_fc_layer f6 = {.name = "f6", .outputs = zoo_width(options, 84), TANH};
    const tess_fc_layer output = {.name = "output", .outputs = options->classes};

    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    x = tess_graph_conv(graph, x, &c1);
    x = tess_graph_pool(graph, x, &s2);
    x = tess_graph_conv(graph, x, &c3);
    x = tess_graph_pool(graph, x, &s4);
    x = tess_graph_conv(graph, x, &c5);
    x = tess_graph_fc(graph, x, &f6);
    x = tess_graph_fc(graph, x, &output);
    tess_graph_softmax(graph, x);
}

/* The form that tutorials use now, on the bare 28 x 28 images: the first convolution pads. Weights start small: at
   the usual learning rate of 0.05 with momentum 0.9, He's kill units, and Xavier's end slightly worse. */
void zoo_lenet5_relu(tess_graph *graph, const tess_zoo_options *options) {
    const tess_conv_layer conv1 = {
        .name = "conv1", .filters = zoo_width(options, 6), .kernel_h = 5, .pad = 2, RELU, FAN_IN};
    static const tess_pool_layer pool1 = {.name = "pool1", .mode = TESS_POOL_MAX, .window_h = 2};
    const tess_conv_layer conv2 = {
        .name = "conv2", .filters = zoo_width(options, 16), .kernel_h = 5, RELU, FAN_IN};
    static const tess_pool_layer pool2 = {.name = "pool2", .mode = TESS_POOL_MAX, .window_h = 2};
    const tess_fc_layer fc1 = {.name = "fc1", .outputs = zoo_width(options, 120), RELU, FAN_IN};
    const tess_fc_layer fc2 = {.name = "fc2", .outputs = zoo_width(options, 84), RELU, FAN_IN};
    const tess_fc_layer fc3 = {.name = "fc3", .outputs = options->classes, FAN_IN};

    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    x = tess_graph_conv(graph, x, &conv1);
    x = tess_graph_pool(graph, x, &pool1);
    x = tess_graph_conv(graph, x, &conv2);
    x = tess_graph_pool(graph, x, &pool2);
    x = tess_graph_fc(graph, x, &fc1);
    x = tess_graph_fc(graph, x, &fc2);
    x = tess_graph_fc(graph, x, &fc3);
    tess_graph_softmax(graph, x);
}
