/* VGG: Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, 2015, table 1. Five stages of
   3x3 convolutions, each ended by 2x2 max pooling; three fully connected layers, the first two with dropout
   (section 3.1). Initial weights: Glorot and Bengio, to which section 3.1 came in the end. */
#include "net/zoo/zoo.h"

#include <stdio.h>

enum { STAGES = 5 };

struct configuration {
    int depth[STAGES];     /* 3x3 convolutions */
    int pointwise[STAGES]; /* 1x1 convolutions after them */
    bool lrn;              /* after the first convolution */
};

static const tess_act relu = {.kind = TESS_ACT_RELU};

static tess_node stage(tess_graph *graph, tess_node x, int number, int filters, int depth,
                       int pointwise, bool lrn) {
    static const tess_lrn_layer norm = {.size = 5, .alpha = 5e-4f, .beta = 0.75f, .k = 2};
    char name[32];
    for (int i = 0; i < depth + pointwise; i++) {
        bool small = i >= depth;
        snprintf(name, sizeof name, "conv%d_%d", number, i + 1);
        x = tess_graph_conv(graph, x,
                            &(tess_conv_layer){.name = name,
                                               .filters = filters,
                                               .kernel_h = small ? 1 : 3,
                                               .pad = small ? 0 : 1,
                                               .act = relu,
                                               .init = TESS_INIT_XAVIER});
        if (lrn && i == 0) x = tess_graph_lrn(graph, x, &norm);
    }
    snprintf(name, sizeof name, "pool%d", number);
    return tess_graph_pool(graph, x,
                           &(tess_pool_layer){.name = name, .mode = TESS_POOL_MAX, .window_h = 2});
}

static void vgg(tess_graph *graph, const tess_zoo_options *options,
                const struct configuration *configuration) {
    static const int filters[STAGES] = {64, 128, 256, 512, 512};
    const tess_fc_layer hidden = {
        .outputs = zoo_width(options, 4096), .act = relu, .init = TESS_INIT_XAVIER};
    tess_fc_layer fc6 = hidden, fc7 = hidden;
    const tess_fc_layer fc8 = {.name = "fc8", .outputs = options->classes};
    fc6.name = "fc6";
    fc7.name = "fc7";

    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    for (int i = 0; i < STAGES; i++)
        x = stage(graph, x, i + 1, zoo_width(options, filters[i]), configuration->depth[i],
                  configuration->pointwise[i], configuration->lrn && i == 0);
    x = tess_graph_fc(graph, x, &fc6);
    x = tess_graph_dropout(graph, x, "drop6", 0.5f);
    x = tess_graph_fc(graph, x, &fc7);
    x = tess_graph_dropout(graph, x, "drop7", 0.5f);
    x = tess_graph_fc(graph, x, &fc8);
    tess_graph_softmax(graph, x);
}

void zoo_vgg11(tess_graph *graph, const tess_zoo_options *options) {
    vgg(graph, options, &(struct configuration){.depth = {1, 1, 2, 2, 2}});
}

/* Configuration A-LRN: with AlexNet's normalisation. */
void zoo_vgg11_lrn(tess_graph *graph, const tess_zoo_options *options) {
    vgg(graph, options, &(struct configuration){.depth = {1, 1, 2, 2, 2}, .lrn = true});
}

void zoo_vgg13(tess_graph *graph, const tess_zoo_options *options) {
    vgg(graph, options, &(struct configuration){.depth = {2, 2, 2, 2, 2}});
}

void zoo_vgg16(tess_graph *graph, const tess_zoo_options *options) {
    vgg(graph, options, &(struct configuration){.depth = {2, 2, 3, 3, 3}});
}

/* Configuration C: the third convolution of the last three stages is 1x1. */
void zoo_vgg16_1x1(tess_graph *graph, const tess_zoo_options *options) {
    vgg(graph, options,
        &(struct configuration){.depth = {2, 2, 2, 2, 2}, .pointwise = {0, 0, 1, 1, 1}});
}

void zoo_vgg19(tess_graph *graph, const tess_zoo_options *options) {
    vgg(graph, options, &(struct configuration){.depth = {2, 2, 4, 4, 4}});
}
