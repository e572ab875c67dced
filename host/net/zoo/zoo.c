#include "net/zoo/zoo.h"

#include <stdio.h>
#include <string.h>

#include "core/status.h"

struct zoo_entry {
    const char *name, *about;
    tess_zoo_options standard;
    void (*build)(tess_graph *graph, const tess_zoo_options *options);
};

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
     {.c = 3, .h = 32, .w = 32, .classes = 10},
     zoo_convnetjs_cifar10},
    {"resnet-tiny",
     "three residual blocks without batch norm, global average pooling",
     {.c = 3, .h = 32, .w = 32, .classes = 10},
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
    char names[512] = "";
    for (int i = 0; i < ZOO_COUNT; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 zoo[i].name);
    return error_set(error, TESS_NOT_FOUND, "network %s: not in the zoo; there are: %s", name,
                     names);
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
    if (options) {
        override(&all.c, options->c);
        override(&all.h, options->h);
        override(&all.w, options->w);
        override(&all.classes, options->classes);
    }
    tess_graph *graph = NULL;
    tess_status status = tess_graph_create(name, error, &graph);
    if (status) return status;
    entry->build(graph, &all);
    status = tess_graph_check(graph, error);
    if (status) {
        tess_graph_destroy(graph);
        return error_prefix(error, status, "network %s", name);
    }
    *out = graph;
    return TESS_OK;
}
