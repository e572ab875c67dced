/* Residual networks: He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2016, table 1; pre-activation: Identity mappings in
   deep residual networks, 2016, figure 1 (b). Names and shapes are torchvision's: the stride of a bottleneck is in its 3x3
   convolution (the paper has it in the first 1x1). Shortcuts: option B, but for resnet20-cifar. */
#include "net/zoo/zoo.h"

#include <stdio.h>

enum { STAGES = 4 };

struct architecture {
    int blocks[STAGES];
    bool bottleneck, preactivation;
};

static const tess_act relu = {.kind = TESS_ACT_RELU}, none = {.kind = TESS_ACT_NONE};

/* "<block>.<part>", or part alone where block is "". */
struct name {
    char text[64];
};

static struct name join(const char *block, const char *part) {
    struct name name;
    snprintf(name.text, sizeof name.text, "%s%s%s", block, *block ? "." : "", part);
    return name;
}

static tess_node conv(tess_graph *graph, tess_node x, const char *block, const char *part,
                      int filters, int kernel, int stride) {
    struct name name = join(block, part);
    return tess_graph_conv(graph, x,
                           &(tess_conv_layer){.name = name.text,
                                              .filters = filters,
                                              .kernel_h = kernel,
                                              .stride_h = stride,
                                              .pad = kernel / 2,
                                              .no_bias = true,
                                              .init = TESS_INIT_HE});
}

static tess_node norm(tess_graph *graph, tess_node x, const char *block, const char *part,
                      tess_act act) {
    struct name name = join(block, part);
    return tess_graph_batch_norm(graph, x, &(tess_batch_norm_layer){.name = name.text, .act = act});
}

/* The shortcut where the shape changes. */
enum shortcut {
    IDENTITY,   /* it does not */
    PROJECTION, /* option B: a 1x1 convolution with normalisation */
    SUBSAMPLED  /* option A, without parameters: pixels left out, zeros as additional channels */
};

static tess_node subsample(tess_graph *graph, tess_node x, const char *name, int channels,
                           int stride) {
    int more = channels - tess_graph_layer_info(graph, x).c;
    struct name pool = join(name, "subsample"), pad = join(name, "channels");
    x = tess_graph_pool(
        graph, x,
        &(tess_pool_layer){
            .name = pool.text, .mode = TESS_POOL_AVG, .window_h = 1, .stride_h = stride});
    return tess_graph_pad(graph, x,
                          &(tess_pad_layer){.name = pad.text,
                                            .channels_before = more / 2,
                                            .channels_after = more - more / 2});
}

/* ReLU(f(x) + shortcut(x)), where f is two 3x3 convolutions or, as a bottleneck, 1x1, 3x3, 1x1 with a quarter of the filters. */
static tess_node block(tess_graph *graph, tess_node in, const char *name, int filters, int stride,
                       bool bottleneck, enum shortcut kind) {
    int outputs = bottleneck ? 4 * filters : filters;
    tess_node x = in, shortcut = in;
    if (kind == SUBSAMPLED) shortcut = subsample(graph, in, name, outputs, stride);
    x = conv(graph, x, name, "conv1", filters, bottleneck ? 1 : 3, bottleneck ? 1 : stride);
    x = norm(graph, x, name, "bn1", relu);
    x = conv(graph, x, name, "conv2", filters, 3, bottleneck ? stride : 1);
    x = norm(graph, x, name, "bn2", bottleneck ? relu : none);
    if (bottleneck) {
        x = conv(graph, x, name, "conv3", outputs, 1, 1);
        x = norm(graph, x, name, "bn3", none);
    }
    if (kind == PROJECTION) {
        shortcut = conv(graph, in, name, "downsample.0", outputs, 1, stride);
        shortcut = norm(graph, shortcut, name, "downsample.1", none);
    }
    return tess_graph_add(graph, x, shortcut, join(name, "add").text, relu);
}

/* The same with normalisation and ReLU before each convolution; a projection reads what the first ReLU gives. */
static tess_node preactivated_block(tess_graph *graph, tess_node in, const char *name, int filters,
                                    int stride, bool bottleneck, enum shortcut kind) {
    int outputs = bottleneck ? 4 * filters : filters;
    tess_node x = norm(graph, in, name, "bn1", relu), shortcut = in;
    if (kind == PROJECTION) shortcut = conv(graph, x, name, "downsample", outputs, 1, stride);
    x = conv(graph, x, name, "conv1", filters, bottleneck ? 1 : 3, bottleneck ? 1 : stride);
    x = norm(graph, x, name, "bn2", relu);
    x = conv(graph, x, name, "conv2", filters, 3, bottleneck ? stride : 1);
    if (bottleneck) {
        x = norm(graph, x, name, "bn3", relu);
        x = conv(graph, x, name, "conv3", outputs, 1, 1);
    }
    return tess_graph_add(graph, x, shortcut, join(name, "add").text, none);
}

static tess_node classifier(tess_graph *graph, tess_node x, const tess_zoo_options *options) {
    static const tess_pool_layer pool = {.name = "avgpool", .mode = TESS_POOL_AVG, .global = true};
    x = tess_graph_pool(graph, x, &pool);
    x = tess_graph_fc(graph, x, &(tess_fc_layer){.name = "fc", .outputs = options->classes});
    return tess_graph_softmax(graph, x);
}

static void resnet(tess_graph *graph, const tess_zoo_options *options,
                   const struct architecture *a) {
    static const tess_pool_layer pool = {
        .name = "maxpool", .mode = TESS_POOL_MAX, .window_h = 3, .stride_h = 2, .pad = 1};
    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    x = conv(graph, x, "", "conv1", zoo_width(options, 64), 7, 2);
    if (!a->preactivation) x = norm(graph, x, "", "bn1", relu);
    x = tess_graph_pool(graph, x, &pool);
    for (int stage = 0; stage < STAGES; stage++) {
        int filters = zoo_width(options, 64 << stage);
        for (int i = 0; i < a->blocks[stage]; i++) {
            int stride = stage > 0 && i == 0 ? 2 : 1;
            enum shortcut kind = i == 0 && (stage > 0 || a->bottleneck) ? PROJECTION : IDENTITY;
            char name[32];
            snprintf(name, sizeof name, "layer%d.%d", stage + 1, i);
            x = (a->preactivation ? preactivated_block : block)(graph, x, name, filters, stride,
                                                                a->bottleneck, kind);
        }
    }
    if (a->preactivation) x = norm(graph, x, "", "bn5", relu);
    classifier(graph, x, options);
}

/* Section 4.2 with n = 3: 269,722 parameters for ten classes. */
void zoo_resnet20_cifar(tess_graph *graph, const tess_zoo_options *options) {
    tess_node x = tess_graph_input(graph, options->c, options->h, options->w);
    x = conv(graph, x, "", "conv1", zoo_width(options, 16), 3, 1);
    x = norm(graph, x, "", "bn1", relu);
    for (int stage = 0; stage < 3; stage++) {
        for (int i = 0; i < 3; i++) {
            bool first = stage > 0 && i == 0;
            char name[32];
            snprintf(name, sizeof name, "layer%d.%d", stage + 1, i);
            x = block(graph, x, name, zoo_width(options, 16 << stage), first ? 2 : 1, false,
                      first ? SUBSAMPLED : IDENTITY);
        }
    }
    classifier(graph, x, options);
}

void zoo_resnet18(tess_graph *graph, const tess_zoo_options *options) {
    resnet(graph, options, &(struct architecture){.blocks = {2, 2, 2, 2}});
}

void zoo_resnet34(tess_graph *graph, const tess_zoo_options *options) {
    resnet(graph, options, &(struct architecture){.blocks = {3, 4, 6, 3}});
}

void zoo_resnet50(tess_graph *graph, const tess_zoo_options *options) {
    resnet(graph, options, &(struct architecture){.blocks = {3, 4, 6, 3}, .bottleneck = true});
}

void zoo_resnet101(tess_graph *graph, const tess_zoo_options *options) {
    resnet(graph, options, &(struct architecture){.blocks = {3, 4, 23, 3}, .bottleneck = true});
}

void zoo_resnet152(tess_graph *graph, const tess_zoo_options *options) {
    resnet(graph, options, &(struct architecture){.blocks = {3, 8, 36, 3}, .bottleneck = true});
}

void zoo_resnet18_preact(tess_graph *graph, const tess_zoo_options *options) {
    resnet(graph, options, &(struct architecture){.blocks = {2, 2, 2, 2}, .preactivation = true});
}

void zoo_resnet50_preact(tess_graph *graph, const tess_zoo_options *options) {
    resnet(
        graph, options,
        &(struct architecture){.blocks = {3, 4, 6, 3}, .bottleneck = true, .preactivation = true});
}
