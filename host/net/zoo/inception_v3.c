/* Inception-v3: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception architecture for computer vision, 2016, table 1 and
   figures 5 to 7: Inception-v2's modules, in which n x n convolutions become 1 x n and n x 1, with batch normalisation in
   the auxiliary classifier, too. Filters and names are torchvision's, whose weights it takes. */
#include "net/zoo/zoo.h"

#include <stdio.h>

/* Where a branch stands: names begin with the module's. */
struct module {
    tess_graph *graph;
    const tess_zoo_options *options;
    const char *name; /* "Mixed_5b", or "" */
};

static struct module module_of(const struct module *m, const char *name) {
    return (struct module){m->graph, m->options, name};
}

struct filter {
    int height, width, stride, pad_h, pad_w;
};
static const struct filter f1x1 = {1, 1, 1, 0, 0}, f3x3 = {3, 3, 1, 1, 1}, f5x5 = {5, 5, 1, 2, 2},
                           f1x7 = {1, 7, 1, 0, 3}, f7x1 = {7, 1, 1, 3, 0}, f1x3 = {1, 3, 1, 0, 1},
                           f3x1 = {3, 1, 1, 1, 0}, f3x3_valid = {3, 3, 1, 0, 0},
                           f3x3_half = {3, 3, 2, 0, 0};

/* Convolution, batch normalisation, ReLU. */
static tess_node unit(const struct module *m, tess_node x, const char *branch, int filters,
                      struct filter f) {
    char conv[64], norm[64];
    const char *dot = *m->name ? "." : "";
    snprintf(conv, sizeof conv, "%s%s%s.conv", m->name, dot, branch);
    snprintf(norm, sizeof norm, "%s%s%s.bn", m->name, dot, branch);
    x = tess_graph_conv(m->graph, x,
                        &(tess_conv_layer){.name = conv,
                                           .filters = zoo_width(m->options, filters),
                                           .kernel_h = f.height,
                                           .kernel_w = f.width,
                                           .stride_h = f.stride,
                                           .pad_top = f.pad_h,
                                           .pad_bottom = f.pad_h,
                                           .pad_left = f.pad_w,
                                           .pad_right = f.pad_w,
                                           .no_bias = true,
                                           .init = TESS_INIT_HE});
    return tess_graph_batch_norm(
        m->graph, x,
        &(tess_batch_norm_layer){.name = norm, .eps = 1e-3f, .act.kind = TESS_ACT_RELU});
}

static tess_node max_half(const struct module *m, tess_node x) {
    static const tess_pool_layer pool = {.mode = TESS_POOL_MAX, .window_h = 3, .stride_h = 2};
    return tess_graph_pool(m->graph, x, &pool);
}

static tess_node pooled(const struct module *m, tess_node x, int filters) {
    static const tess_pool_layer pool = {
        .mode = TESS_POOL_AVG_WITH_PAD, .window_h = 3, .stride_h = 1, .pad = 1};
    return unit(m, tess_graph_pool(m->graph, x, &pool), "branch_pool", filters, f1x1);
}

static tess_node concat(const struct module *m, const tess_node *parts, int count) {
    return tess_graph_concat(m->graph, parts, count, NULL);
}

/* Figure 5: 35 x 35. */
static tess_node module_a(const struct module *m, tess_node x, int pool_filters) {
    tess_node one = unit(m, x, "branch1x1", 64, f1x1);
    tess_node five = unit(m, unit(m, x, "branch5x5_1", 48, f1x1), "branch5x5_2", 64, f5x5);
    tess_node three = unit(m, x, "branch3x3dbl_1", 64, f1x1);
    three = unit(m, three, "branch3x3dbl_2", 96, f3x3);
    three = unit(m, three, "branch3x3dbl_3", 96, f3x3);
    return concat(m, (tess_node[]){one, five, three, pooled(m, x, pool_filters)}, 4);
}

/* From 35 x 35 to 17 x 17. */
static tess_node module_b(const struct module *m, tess_node x) {
    tess_node three = unit(m, x, "branch3x3", 384, f3x3_half);
    tess_node twice = unit(m, x, "branch3x3dbl_1", 64, f1x1);
    twice = unit(m, twice, "branch3x3dbl_2", 96, f3x3);
    twice = unit(m, twice, "branch3x3dbl_3", 96, f3x3_half);
    return concat(m, (tess_node[]){three, twice, max_half(m, x)}, 3);
}

/* Figure 6 with n = 7: 17 x 17. */
static tess_node module_c(const struct module *m, tess_node x, int inner) {
    tess_node one = unit(m, x, "branch1x1", 192, f1x1);
    tess_node once = unit(m, x, "branch7x7_1", inner, f1x1);
    once = unit(m, once, "branch7x7_2", inner, f1x7);
    once = unit(m, once, "branch7x7_3", 192, f7x1);
    tess_node twice = unit(m, x, "branch7x7dbl_1", inner, f1x1);
    twice = unit(m, twice, "branch7x7dbl_2", inner, f7x1);
    twice = unit(m, twice, "branch7x7dbl_3", inner, f1x7);
    twice = unit(m, twice, "branch7x7dbl_4", inner, f7x1);
    twice = unit(m, twice, "branch7x7dbl_5", 192, f1x7);
    return concat(m, (tess_node[]){one, once, twice, pooled(m, x, 192)}, 4);
}

/* From 17 x 17 to 8 x 8. */
static tess_node module_d(const struct module *m, tess_node x) {
    tess_node three = unit(m, x, "branch3x3_1", 192, f1x1);
    three = unit(m, three, "branch3x3_2", 320, f3x3_half);
    tess_node seven = unit(m, x, "branch7x7x3_1", 192, f1x1);
    seven = unit(m, seven, "branch7x7x3_2", 192, f1x7);
    seven = unit(m, seven, "branch7x7x3_3", 192, f7x1);
    seven = unit(m, seven, "branch7x7x3_4", 192, f3x3_half);
    return concat(m, (tess_node[]){three, seven, max_half(m, x)}, 3);
}

/* Figure 7: 8 x 8. */
static tess_node module_e(const struct module *m, tess_node x) {
    tess_node one = unit(m, x, "branch1x1", 320, f1x1);
    tess_node once = unit(m, x, "branch3x3_1", 384, f1x1);
    tess_node once_a = unit(m, once, "branch3x3_2a", 384, f1x3);
    tess_node once_b = unit(m, once, "branch3x3_2b", 384, f3x1);
    tess_node twice = unit(m, x, "branch3x3dbl_1", 448, f1x1);
    twice = unit(m, twice, "branch3x3dbl_2", 384, f3x3);
    tess_node twice_a = unit(m, twice, "branch3x3dbl_3a", 384, f1x3);
    tess_node twice_b = unit(m, twice, "branch3x3dbl_3b", 384, f3x1);
    return concat(m, (tess_node[]){one, once_a, once_b, twice_a, twice_b, pooled(m, x, 192)}, 6);
}

/* After the last 17 x 17 module. A smaller map, of a smaller input, has none. */
static void auxiliary(const struct module *top, tess_node x) {
    static const tess_pool_layer window = {.mode = TESS_POOL_AVG, .window_h = 5, .stride_h = 3};
    static const tess_pool_layer global = {.mode = TESS_POOL_AVG, .global = true};
    const tess_fc_layer fc = {.name = "AuxLogits.fc", .outputs = top->options->classes};
    struct module m = module_of(top, "AuxLogits");
    tess_layer_info map = tess_graph_layer_info(top->graph, x);
    if (map.h < 17 || map.w < 17) return;
    x = tess_graph_pool(m.graph, x, &window);
    x = unit(&m, x, "conv0", 128, f1x1);
    x = unit(&m, x, "conv1", 768, (struct filter){5, 5, 1, 0, 0});
    x = tess_graph_pool(m.graph, x, &global);
    x = tess_graph_fc(m.graph, x, &fc);
    tess_graph_auxiliary(m.graph, x, "AuxLogits", 0.4f);
}

static tess_node stem(const struct module *m, tess_node x) {
    x = unit(m, x, "Conv2d_1a_3x3", 32, f3x3_half);
    x = unit(m, x, "Conv2d_2a_3x3", 32, f3x3_valid);
    x = unit(m, x, "Conv2d_2b_3x3", 64, f3x3);
    x = max_half(m, x);
    x = unit(m, x, "Conv2d_3b_1x1", 80, f1x1);
    x = unit(m, x, "Conv2d_4a_3x3", 192, f3x3_valid);
    return max_half(m, x);
}

void zoo_inception_v3(tess_graph *graph, const tess_zoo_options *options) {
    static const tess_pool_layer pool = {.name = "avgpool", .mode = TESS_POOL_AVG, .global = true};
    static const struct {
        const char *name;
        int filters;
    } a[] = {{"Mixed_5b", 32}, {"Mixed_5c", 64}, {"Mixed_5d", 64}},
      c[] = {{"Mixed_6b", 128}, {"Mixed_6c", 160}, {"Mixed_6d", 160}, {"Mixed_6e", 192}};
    const tess_fc_layer fc = {.name = "fc", .outputs = options->classes};
    const struct module top = {graph, options, ""};
    struct module m;

    tess_node x = stem(&top, tess_graph_input(graph, options->c, options->h, options->w));
    for (int i = 0; i < 3; i++) {
        m = module_of(&top, a[i].name);
        x = module_a(&m, x, a[i].filters);
    }
    m = module_of(&top, "Mixed_6a");
    x = module_b(&m, x);
    for (int i = 0; i < 4; i++) {
        m = module_of(&top, c[i].name);
        x = module_c(&m, x, c[i].filters);
    }
    auxiliary(&top, x);
    m = module_of(&top, "Mixed_7a");
    x = module_d(&m, x);
    m = module_of(&top, "Mixed_7b");
    x = module_e(&m, x);
    m = module_of(&top, "Mixed_7c");
    x = module_e(&m, x);
    x = tess_graph_pool(graph, x, &pool);
    x = tess_graph_dropout(graph, x, NULL, 0.5f);
    x = tess_graph_fc(graph, x, &fc);
    tess_graph_softmax(graph, x);
}
