/* GoogLeNet: Szegedy, Liu, Jia et al.: Going deeper with convolutions, 2015, table 1 and section 5; local response normalisation and
   names as in the reference model for Caffe. Initial weights: Glorot and Bengio, as there. */
#include "net/zoo/zoo.h"

#include <stdio.h>

/* Filters, the columns of table 1. */
struct module {
    const char *name;
    int one, three_reduce, three, five_reduce, five, pool;
};

static const tess_pool_layer halve = {
    .mode = TESS_POOL_MAX, .window_h = 3, .stride_h = 2, .ceil_mode = true};
static const tess_lrn_layer norm = {.size = 5, .alpha = 1e-4f, .beta = 0.75f, .k = 1};

struct builder {
    tess_graph *graph;
    const tess_zoo_options *options;
};

/* "<prefix>/<part>": a convolution of a size that keeps height and width, with ReLU. */
static tess_node conv(const struct builder *b, tess_node x, const char *prefix, const char *part,
                      int filters, int size, int stride) {
    char name[64];
    snprintf(name, sizeof name, "%s/%s", prefix, part);
    return tess_graph_conv(b->graph, x,
                           &(tess_conv_layer){.name = name,
                                              .filters = zoo_width(b->options, filters),
                                              .kernel_h = size,
                                              .stride_h = stride,
                                              .pad = size / 2,
                                              .act.kind = TESS_ACT_RELU,
                                              .init = TESS_INIT_XAVIER});
}

static tess_node inception(const struct builder *b, tess_node x, const struct module *m) {
    static const tess_pool_layer same = {
        .mode = TESS_POOL_MAX, .window_h = 3, .stride_h = 1, .pad = 1};
    tess_node one = conv(b, x, m->name, "1x1", m->one, 1, 1);
    tess_node three = conv(b, x, m->name, "3x3_reduce", m->three_reduce, 1, 1);
    three = conv(b, three, m->name, "3x3", m->three, 3, 1);
    tess_node five = conv(b, x, m->name, "5x5_reduce", m->five_reduce, 1, 1);
    five = conv(b, five, m->name, "5x5", m->five, 5, 1);
    tess_node pooled = tess_graph_pool(b->graph, x, &same);
    pooled = conv(b, pooled, m->name, "pool_proj", m->pool, 1, 1);
    char name[64];
    snprintf(name, sizeof name, "%s/output", m->name);
    return tess_graph_concat(b->graph, (tess_node[]){one, three, five, pooled}, 4, name);
}

/* Section 5. A map below 5x5, of a small input, has none. */
static void auxiliary(const struct builder *b, tess_node x, const char *name) {
    static const tess_pool_layer window = {.mode = TESS_POOL_AVG, .window_h = 5, .stride_h = 3};
    tess_layer_info map = tess_graph_layer_info(b->graph, x);
    char hidden[64], drop[64], output[64];
    if (map.h < 5 || map.w < 5) return;
    snprintf(hidden, sizeof hidden, "%s/fc", name);
    snprintf(drop, sizeof drop, "%s/drop_fc", name);
    snprintf(output, sizeof output, "%s/classifier", name);
    x = tess_graph_pool(b->graph, x, &window);
    x = conv(b, x, name, "conv", 128, 1, 1);
    x = tess_graph_fc(b->graph, x,
                      &(tess_fc_layer){.name = hidden,
                                       .outputs = zoo_width(b->options, 1024),
                                       .act.kind = TESS_ACT_RELU,
                                       .init = TESS_INIT_XAVIER});
    x = tess_graph_dropout(b->graph, x, drop, 0.7f);
    x = tess_graph_fc(b->graph, x,
                      &(tess_fc_layer){.name = output, .outputs = b->options->classes});
    tess_graph_auxiliary(b->graph, x, name, 0.3f);
}

static tess_node stem(const struct builder *b, tess_node x) {
    x = conv(b, x, "conv1", "7x7_s2", 64, 7, 2);
    x = tess_graph_pool(b->graph, x, &halve);
    x = tess_graph_lrn(b->graph, x, &norm);
    x = conv(b, x, "conv2", "3x3_reduce", 64, 1, 1);
    x = conv(b, x, "conv2", "3x3", 192, 3, 1);
    x = tess_graph_lrn(b->graph, x, &norm);
    return tess_graph_pool(b->graph, x, &halve);
}

void zoo_googlenet(tess_graph *graph, const tess_zoo_options *options) {
    static const struct module modules[] = {{"inception_3a", 64, 96, 128, 16, 32, 32},
                                            {"inception_3b", 128, 128, 192, 32, 96, 64},
                                            {"inception_4a", 192, 96, 208, 16, 48, 64},
                                            {"inception_4b", 160, 112, 224, 24, 64, 64},
                                            {"inception_4c", 128, 128, 256, 24, 64, 64},
                                            {"inception_4d", 112, 144, 288, 32, 64, 64},
                                            {"inception_4e", 256, 160, 320, 32, 128, 128},
                                            {"inception_5a", 256, 160, 320, 32, 128, 128},
                                            {"inception_5b", 384, 192, 384, 48, 128, 128}};
    static const tess_pool_layer average = {.mode = TESS_POOL_AVG, .global = true};
    const tess_fc_layer classifier = {.name = "loss3/classifier", .outputs = options->classes};
    const struct builder b = {graph, options};

    tess_node x = stem(&b, tess_graph_input(graph, options->c, options->h, options->w));
    for (int i = 0; i < 9; i++) {
        x = inception(&b, x, &modules[i]);
        if (i == 1 || i == 6) x = tess_graph_pool(graph, x, &halve);
        if (i == 2) auxiliary(&b, x, "loss1");
        if (i == 5) auxiliary(&b, x, "loss2");
    }
    x = tess_graph_pool(graph, x, &average);
    x = tess_graph_dropout(graph, x, NULL, 0.4f);
    x = tess_graph_fc(graph, x, &classifier);
    tess_graph_softmax(graph, x);
}
