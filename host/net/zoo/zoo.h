/* The networks that Tessera knows by name: one function each, listed in zoo.c. */
#ifndef TESSERA_NET_ZOO_H
#define TESSERA_NET_ZOO_H

#include "tessera.h"

/* The channels, filters or hidden units that a layer has at options->width: even, so that two groups share them evenly. */
int zoo_width(const tess_zoo_options *options, int channels);

/* Each builds on an empty graph; options has every field filled in. Errors stay in the graph. */
void zoo_lenet5(tess_graph *graph, const tess_zoo_options *options);
void zoo_lenet5_relu(tess_graph *graph, const tess_zoo_options *options);
void zoo_convnetjs_cifar10(tess_graph *graph, const tess_zoo_options *options);
void zoo_all_conv(tess_graph *graph, const tess_zoo_options *options);
void zoo_vgg11(tess_graph *graph, const tess_zoo_options *options);
void zoo_alexnet(tess_graph *graph, const tess_zoo_options *options);
void zoo_googlenet(tess_graph *graph, const tess_zoo_options *options);
void zoo_vgg11_lrn(tess_graph *graph, const tess_zoo_options *options);
void zoo_vgg13(tess_graph *graph, const tess_zoo_options *options);
void zoo_vgg16(tess_graph *graph, const tess_zoo_options *options);
void zoo_vgg16_1x1(tess_graph *graph, const tess_zoo_options *options);
void zoo_vgg19(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet18(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet34(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet50(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet101(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet152(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet18_preact(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet50_preact(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet20_cifar(tess_graph *graph, const tess_zoo_options *options);
void zoo_inception_v3(tess_graph *graph, const tess_zoo_options *options);
void zoo_resnet_tiny(tess_graph *graph, const tess_zoo_options *options);

#endif
