/* The zoo: names, shapes and parameter counts of published networks. No device. */
#include "support/check.h"

#include <string.h>

static tess_graph *build(const char *name, const tess_zoo_options *options) {
    tess_error error = {0};
    tess_graph *graph = NULL;
    if (tess_zoo_build(name, options, &error, &graph)) fail_msg("%s", error.text);
    return graph;
}

static uint64_t parameters(const tess_graph *graph) {
    uint64_t sum = 0;
    for (int i = 0; i < tess_graph_layer_count(graph); i++)
        sum += tess_graph_layer_info(graph, i).parameters;
    return sum;
}

struct want {
    const char *name;
    int c, h, w;
    uint64_t parameters;
};

static void expect_layers(const char *network, const struct want *want, int count) {
    tess_graph *graph = build(network, NULL);
    for (int k = 0; k < count; k++) {
        tess_layer_info info = {0};
        for (int i = 0; i < tess_graph_layer_count(graph) && !info.name; i++)
            if (strcmp(tess_graph_layer_info(graph, i).name, want[k].name) == 0)
                info = tess_graph_layer_info(graph, i);
        if (!info.name) fail_msg("%s has no layer %s", network, want[k].name);
        assert_int_equal(info.c, want[k].c);
        assert_int_equal(info.h, want[k].h);
        assert_int_equal(info.w, want[k].w);
        assert_int_equal(info.parameters, want[k].parameters);
    }
    tess_graph_destroy(graph);
}

/* The paper's figure 2 and section II.B; C3 has 1,516 parameters there, with its partial connections. */
static void lenet5_is_as_published(void **state) {
    (void)state;
    const struct want want[] = {{"input", 1, 32, 32, 0}, {"c1", 6, 28, 28, 156},
                                {"s2", 6, 14, 14, 12},   {"c3", 16, 10, 10, 2416},
                                {"s4", 16, 5, 5, 32},    {"c5", 120, 1, 1, 48120},
                                {"f6", 84, 1, 1, 10164}, {"output", 10, 1, 1, 850}};
    expect_layers("lenet5", want, sizeof want / sizeof want[0]);
}

/* 61,706: what PyTorch counts for the same network. */
static void lenet5_relu(void **state) {
    (void)state;
    const struct want want[] = {{"conv1", 6, 28, 28, 156},   {"pool1", 6, 14, 14, 0},
                                {"conv2", 16, 10, 10, 2416}, {"pool2", 16, 5, 5, 0},
                                {"fc1", 120, 1, 1, 48120},   {"fc2", 84, 1, 1, 10164},
                                {"fc3", 10, 1, 1, 850}};
    expect_layers("lenet5-relu", want, sizeof want / sizeof want[0]);
    tess_graph *graph = build("lenet5-relu", NULL);
    assert_int_equal(parameters(graph), 61706);
    tess_graph_destroy(graph);
}

static void convnetjs_cifar10(void **state) {
    (void)state;
    const struct want want[] = {{"conv1", 16, 32, 32, 1216}, {"pool1", 16, 16, 16, 0},
                                {"conv2", 20, 16, 16, 8020}, {"pool2", 20, 8, 8, 0},
                                {"conv3", 20, 8, 8, 10020},  {"pool3", 20, 4, 4, 0},
                                {"fc", 10, 1, 1, 3210}};
    expect_layers("convnetjs-cifar10", want, sizeof want / sizeof want[0]);
}

static void resnet_tiny(void **state) {
    (void)state;
    const struct want want[] = {{"stem", 16, 32, 32, 448},
                                {"block1.add", 16, 32, 32, 0},
                                {"block2.shortcut", 32, 16, 16, 512},
                                {"block2.add", 32, 16, 16, 0},
                                {"block3.add", 64, 8, 8, 0},
                                {"pool", 64, 1, 1, 0},
                                {"fc", 10, 1, 1, 650}};
    expect_layers("resnet-tiny", want, sizeof want / sizeof want[0]);
    tess_graph *graph =
        build("resnet-tiny", &(tess_zoo_options){.c = 1, .h = 28, .w = 28, .classes = 7});
    tess_layer_info input = tess_graph_layer_info(graph, 0);
    assert_int_equal(input.c * 10000 + input.h * 100 + input.w, 12828);
    assert_int_equal(tess_graph_layer_info(graph, tess_graph_layer_count(graph) - 1).c, 7);
    tess_graph_destroy(graph);
}

static void every_entry_builds(void **state) {
    (void)state;
    int count = 0;
    for (; tess_zoo_name(count); count++) {
        assert_non_null(tess_zoo_about(count));
        tess_graph *graph = build(tess_zoo_name(count), NULL);
        assert_string_equal(tess_graph_name(graph), tess_zoo_name(count));
        tess_graph_destroy(graph);
    }
    assert_int_equal(count, 4);
    assert_null(tess_zoo_about(count));
    assert_null(tess_zoo_name(-1));
}

static void errors(void **state) {
    (void)state;
    tess_error error = {0};
    tess_graph *graph = NULL;
    assert_int_equal(tess_zoo_build("vgg", NULL, &error, &graph), TESS_NOT_FOUND);
    for (int i = 0; tess_zoo_name(i); i++)
        assert_non_null(strstr(error.text, tess_zoo_name(i)));
    assert_int_equal(tess_zoo_build("lenet5", &(tess_zoo_options){.h = 3}, &error, &graph),
                     TESS_INVALID_SHAPE);
    assert_non_null(strstr(error.text, "layer c1"));
    assert_int_equal(tess_zoo_build("lenet5", &(tess_zoo_options){.classes = -1}, &error, &graph),
                     TESS_INVALID_SHAPE);
    assert_int_equal(tess_zoo_build(NULL, NULL, &error, &graph), TESS_INVALID_ARGUMENT);
    assert_null(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lenet5_is_as_published), cmocka_unit_test(lenet5_relu),
        cmocka_unit_test(convnetjs_cifar10),      cmocka_unit_test(resnet_tiny),
        cmocka_unit_test(every_entry_builds),     cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
