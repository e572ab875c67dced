#include "net/zoo/zoo.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net/graph.h"

struct zoo_entry {
    const char *name, *about;
    tess_zoo_options standard;
    void (*build)(tess_graph *graph, const tess_zoo_options *options);
};

#define IMAGENET                                                                                   \
    { .c = 3, .h = 224, .w = 224, .classes = 1000 }
#define CIFAR10                                                                                    \
    { .c = 3, .h = 32, .w = 32, .classes = 10 }

static const struct zoo_entry zoo[] = {
    {"lenet5",
     "LeNet-5 of LeCun et al. 1998 on 32x32: tanh, weighted-average subsampling (C3 reads all "
     "maps, "
     "softmax output)",
     {.c = 1, .h = 32, .w = 32, .classes = 10},
     zoo_lenet5},
    {"lenet5-relu",
     "LeNet-5 as it is built today, on 28x28: ReLU, max pooling",
     {.c = 1, .h = 28, .w = 28, .classes = 10},
     zoo_lenet5_relu},
    {"convnetjs-cifar10",
     "the CIFAR-10 network of the ConvNetJS browser demo: three 5x5 convolutions with max pooling",
     CIFAR10, zoo_convnetjs_cifar10},
    {"alexnet",
     "AlexNet of Krizhevsky et al. 2012 as one tower on 227x227: groups of two, local response "
     "normalisation, overlapping pooling",
     {.c = 3, .h = 227, .w = 227, .classes = 1000},
     zoo_alexnet},
    {"googlenet",
     "GoogLeNet of Szegedy et al. 2015: 9 inception modules, auxiliary classifiers in training",
     IMAGENET, zoo_googlenet},
    {"all-conv",
     "All-CNN-C of Springenberg et al. 2015 for CIFAR-10: convolutions only, no pooling but the "
     "last, global one",
     CIFAR10, zoo_all_conv},
    {"vgg11", "VGG of Simonyan and Zisserman 2015, 11 layers with weights (configuration A)",
     IMAGENET, zoo_vgg11},
    {"vgg11-lrn", "VGG-11 with local response normalisation (configuration A-LRN)", IMAGENET,
     zoo_vgg11_lrn},
    {"vgg13", "VGG, 13 layers with weights (configuration B)", IMAGENET, zoo_vgg13},
    {"vgg16", "VGG, 16 layers with weights (configuration D)", IMAGENET, zoo_vgg16},
    {"vgg16-1x1", "VGG, 16 layers with weights, three of them 1x1 (configuration C)", IMAGENET,
     zoo_vgg16_1x1},
    {"vgg19", "VGG, 19 layers with weights (configuration E)", IMAGENET, zoo_vgg19},
    {"inception-v3",
     "Inception-v3 of Szegedy et al. 2016 on 299x299: modules with n x 1 and 1 x n convolutions",
     {.c = 3, .h = 299, .w = 299, .classes = 1000},
     zoo_inception_v3},
    {"resnet18", "ResNet of He et al. 2016 with batch norm, 18 layers: basic blocks", IMAGENET,
     zoo_resnet18},
    {"resnet34", "ResNet, 34 layers: basic blocks", IMAGENET, zoo_resnet34},
    {"resnet50", "ResNet, 50 layers: bottlenecks", IMAGENET, zoo_resnet50},
    {"resnet101", "ResNet, 101 layers: bottlenecks", IMAGENET, zoo_resnet101},
    {"resnet152", "ResNet, 152 layers: bottlenecks", IMAGENET, zoo_resnet152},
    {"resnet18-preact", "ResNet-18 with pre-activation: He et al. 2016, Identity mappings",
     IMAGENET, zoo_resnet18_preact},
    {"resnet50-preact", "ResNet-50 with pre-activation", IMAGENET, zoo_resnet50_preact},
    {"resnet20-cifar", "the ResNet of 20 layers for CIFAR-10: shortcuts without parameters",
     CIFAR10, zoo_resnet20_cifar},
    {"resnet-tiny", "three residual blocks without batch norm, global average pooling", CIFAR10,
     zoo_resnet_tiny},
};

enum { ZOO_COUNT = sizeof zoo / sizeof zoo[0] };

const char *tess_zoo_name(int index) {
    return index >= 0 && index < ZOO_COUNT ? zoo[index].name : NULL;
}

const char *tess_zoo_about(int index) {
    return index >= 0 && index < ZOO_COUNT ? zoo[index].about : NULL;
}

static const struct zoo_entry *find(const char *name) {
    for (int i = 0; i < ZOO_COUNT; i++)
        if (strcmp(zoo[i].name, name) == 0) return &zoo[i];
    return NULL;
}

static tess_status not_found(const char *name, tess_error *error) {
    char names[768] = "";
    for (int i = 0; i < ZOO_COUNT; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 zoo[i].name);
    return error_set(error, TESS_NOT_FOUND, "network %s: not in the zoo; there are: %s", name,
                     names);
}

int zoo_width(const tess_zoo_options *options, int channels) {
    int pairs = (int)lround((double)options->width * channels / 2);
    return pairs < 1 ? 2 : 2 * pairs;
}

static void override(int *value, int wanted) {
    if (wanted != 0) *value = wanted;
}

tess_status tess_zoo_build(const char *name, const tess_zoo_options *options, tess_error *error,
                           tess_graph **out) {
    if (!name || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "zoo: name and out must be given; pass both");
    const struct zoo_entry *entry = find(name);
    if (!entry) return not_found(name, error);
    tess_zoo_options all = entry->standard;
    all.width = options && options->width != 0 ? options->width : 1;
    if (!(all.width > 0 && all.width <= 64))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "network %s: a width of %g; it must be above 0 and at most 64", name,
                         (double)all.width);
    if (options && (options->init < TESS_INIT_DEFAULT || options->init > TESS_INIT_GAUSSIAN))
        return error_set(error, TESS_INVALID_ARGUMENT, "network %s: no such init; correct it",
                         name);
    if (options) {
        override(&all.c, options->c);
        override(&all.h, options->h);
        override(&all.w, options->w);
        override(&all.classes, options->classes);
        all.init = options->init;
    }
    tess_graph *graph = NULL;
    tess_status status = tess_graph_create(name, error, &graph);
    if (status) return status;
    entry->build(graph, &all);
    for (int i = 0; i < graph->count && all.init != TESS_INIT_DEFAULT; i++)
        graph->layers[i].init = all.init;
    status = tess_graph_check(graph, error);
    if (status) {
        tess_graph_destroy(graph);
        return error_prefix(error, status, "network %s", name);
    }
    *out = graph;
    return TESS_OK;
}
