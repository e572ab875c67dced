/* The zoo: names, shapes and parameter counts of published networks. No device. */
#include "support/check.h"

#include "net/graph.h"

#include <math.h>
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

static void expect_parameters(const char *network, uint64_t want) {
    tess_graph *graph = build(network, NULL);
    if (parameters(graph) != want)
        fail_msg("%s: %llu parameters, not %llu", network, (unsigned long long)parameters(graph),
                 (unsigned long long)want);
    tess_graph_destroy(graph);
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

/* Exact totals of the paper's table 2 (133, 133, 134, 138, 144 million), as torchvision counts them; configuration C follows
   from D by its 1x1 layers: 2 x 512 x 512 x 8 + 256 x 256 x 8 fewer. */
static void vgg_totals(void **state) {
    (void)state;
    expect_parameters("vgg11", 132863336);
    expect_parameters("vgg11-lrn", 132863336);
    expect_parameters("vgg13", 133047848);
    expect_parameters("vgg16", 138357544);
    expect_parameters("vgg16-1x1", 138357544 - 4718592);
    expect_parameters("vgg19", 143667240);
}

/* The table of the lecture CS231n, which counts weights without biases. */
static void vgg16_layers(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int c, h;
        uint64_t weights;
    } want[] = {
        {"conv1_1", 64, 224, 1728},    {"conv1_2", 64, 224, 36864},   {"pool1", 64, 112, 0},
        {"conv2_1", 128, 112, 73728},  {"conv2_2", 128, 112, 147456}, {"pool2", 128, 56, 0},
        {"conv3_1", 256, 56, 294912},  {"conv3_2", 256, 56, 589824},  {"conv3_3", 256, 56, 589824},
        {"pool3", 256, 28, 0},         {"conv4_1", 512, 28, 1179648}, {"conv4_2", 512, 28, 2359296},
        {"conv4_3", 512, 28, 2359296}, {"pool4", 512, 14, 0},         {"conv5_1", 512, 14, 2359296},
        {"conv5_2", 512, 14, 2359296}, {"conv5_3", 512, 14, 2359296}, {"pool5", 512, 7, 0},
        {"fc6", 4096, 1, 102760448},   {"drop6", 4096, 1, 0},         {"fc7", 4096, 1, 16777216},
        {"drop7", 4096, 1, 0},         {"fc8", 1000, 1, 4096000}};
    enum { ROWS = sizeof want / sizeof want[0] };
    tess_graph *graph = build("vgg16", NULL);
    assert_int_equal(tess_graph_layer_count(graph), 1 + ROWS + 1);
    for (int i = 0; i < ROWS; i++) {
        tess_layer_info info = tess_graph_layer_info(graph, 1 + i);
        assert_string_equal(info.name, want[i].name);
        assert_int_equal(info.c, want[i].c);
        assert_int_equal(info.h, want[i].h);
        assert_int_equal(info.w, want[i].h);
        assert_int_equal(info.weights, want[i].weights);
    }
    tess_graph_destroy(graph);
}

/* 1.4 M parameters in the paper's table 3. */
static void all_conv(void **state) {
    (void)state;
    const struct want want[] = {{"conv1", 96, 32, 32, 2688},    {"conv2", 96, 32, 32, 83040},
                                {"conv3", 96, 16, 16, 83040},   {"conv4", 192, 16, 16, 166080},
                                {"conv5", 192, 16, 16, 331968}, {"conv6", 192, 8, 8, 331968},
                                {"conv7", 192, 6, 6, 331968},   {"conv8", 192, 6, 6, 37056},
                                {"conv9", 10, 6, 6, 1930},      {"pool1", 10, 1, 1, 0}};
    expect_layers("all-conv", want, sizeof want / sizeof want[0]);
    expect_parameters("all-conv", 1369738);
}

/* Section 3.5 of the paper; 60.97 million parameters, as Caffe's reference model has. */
static void alexnet(void **state) {
    (void)state;
    const struct want want[] = {{"conv1", 96, 55, 55, 34944},   {"lrn1", 96, 55, 55, 0},
                                {"pool1", 96, 27, 27, 0},       {"conv2", 256, 27, 27, 307456},
                                {"pool2", 256, 13, 13, 0},      {"conv3", 384, 13, 13, 885120},
                                {"conv4", 384, 13, 13, 663936}, {"conv5", 256, 13, 13, 442624},
                                {"pool3", 256, 6, 6, 0},        {"fc6", 4096, 1, 1, 37752832},
                                {"fc7", 4096, 1, 1, 16781312},  {"fc8", 1000, 1, 1, 4097000}};
    expect_layers("alexnet", want, sizeof want / sizeof want[0]);
    expect_parameters("alexnet", 60965224);
}

/* Table 1 of the paper; 6,998,552 parameters without the auxiliary classifiers, as Caffe's reference model has: a ninth of AlexNet's. */
static void googlenet(void **state) {
    (void)state;
    const struct want want[] = {
        {"conv1/7x7_s2", 64, 112, 112, 9472},    {"pool1", 64, 56, 56, 0},
        {"conv2/3x3", 192, 56, 56, 110784},      {"pool2", 192, 28, 28, 0},
        {"inception_3a/output", 256, 28, 28, 0}, {"inception_3b/output", 480, 28, 28, 0},
        {"inception_4a/output", 512, 14, 14, 0}, {"inception_4d/output", 528, 14, 14, 0},
        {"inception_4e/output", 832, 14, 14, 0}, {"inception_5b/output", 1024, 7, 7, 0},
        {"loss1/fc", 1024, 1, 1, 2098176},       {"loss3/classifier", 1000, 1, 1, 1025000}};
    expect_layers("googlenet", want, sizeof want / sizeof want[0]);
    expect_parameters("googlenet", 6998552 + 3188840 + 3190888);
}

/* As torchvision counts them. */
static void resnet_totals(void **state) {
    (void)state;
    expect_parameters("resnet18", 11689512);
    expect_parameters("resnet34", 21797672);
    expect_parameters("resnet50", 25557032);
    expect_parameters("resnet101", 44549160);
    expect_parameters("resnet152", 60192808);
    expect_parameters("resnet20-cifar", 269722);
}

static void resnet_layers(void **state) {
    (void)state;
    const struct want basic[] = {{"conv1", 64, 112, 112, 9408},
                                 {"bn1", 64, 112, 112, 128},
                                 {"maxpool", 64, 56, 56, 0},
                                 {"layer1.1.add", 64, 56, 56, 0},
                                 {"layer2.0.conv1", 128, 28, 28, 73728},
                                 {"layer2.0.downsample.0", 128, 28, 28, 8192},
                                 {"layer2.0.downsample.1", 128, 28, 28, 256},
                                 {"layer4.1.add", 512, 7, 7, 0},
                                 {"avgpool", 512, 1, 1, 0},
                                 {"fc", 1000, 1, 1, 513000}};
    const struct want bottleneck[] = {{"layer1.0.conv1", 64, 56, 56, 4096},
                                      {"layer1.0.conv3", 256, 56, 56, 16384},
                                      {"layer1.0.downsample.0", 256, 56, 56, 16384},
                                      {"layer3.0.conv2", 256, 14, 14, 589824},
                                      {"layer4.2.add", 2048, 7, 7, 0},
                                      {"fc", 1000, 1, 1, 2049000}};
    const struct want preact[] = {{"layer4.2.add", 2048, 7, 7, 0}, {"bn5", 2048, 7, 7, 4096}};
    const struct want cifar[] = {{"layer1.2.add", 16, 32, 32, 0}, {"layer3.2.add", 64, 8, 8, 0}};
    expect_layers("resnet18", basic, sizeof basic / sizeof basic[0]);
    expect_layers("resnet50", bottleneck, sizeof bottleneck / sizeof bottleneck[0]);
    expect_layers("resnet50-preact", preact, sizeof preact / sizeof preact[0]);
    expect_layers("resnet20-cifar", cifar, sizeof cifar / sizeof cifar[0]);
}

/* As torchvision counts them; 3,326,696 of them in the auxiliary classifier. */
static void inception_v3(void **state) {
    (void)state;
    const struct want want[] = {{"Conv2d_4a_3x3.bn", 192, 71, 71, 384},
                                {"concat1", 256, 35, 35, 0},
                                {"concat3", 288, 35, 35, 0},
                                {"concat4", 768, 17, 17, 0},
                                {"Mixed_6b.branch7x7_2.conv", 128, 17, 17, 114688},
                                {"concat8", 768, 17, 17, 0},
                                {"AuxLogits.fc", 1000, 1, 1, 769000},
                                {"concat9", 1280, 8, 8, 0},
                                {"concat11", 2048, 8, 8, 0},
                                {"fc", 1000, 1, 1, 2049000}};
    expect_layers("inception-v3", want, sizeof want / sizeof want[0]);
    expect_parameters("inception-v3", 27161264);
}

/* Channels scale and stay even; classes do not scale. */
static void width(void **state) {
    (void)state;
    tess_graph *graph =
        build("vgg11", &(tess_zoo_options){.c = 1, .h = 32, .w = 32, .classes = 7, .width = 0.25f});
    assert_int_equal(tess_graph_layer_info(graph, 1).c, 16);
    assert_int_equal(tess_graph_layer_info(graph, tess_graph_layer_count(graph) - 1).c, 7);
    tess_graph_destroy(graph);
    graph = build("convnetjs-cifar10", &(tess_zoo_options){.width = 0.001f});
    assert_int_equal(tess_graph_layer_info(graph, 1).c, 2);
    tess_graph_destroy(graph);
    graph = build("lenet5", &(tess_zoo_options){.width = 1.5f});
    assert_int_equal(tess_graph_layer_info(graph, 1).c, 10);
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
    assert_int_equal(count, 22);
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
    static const float widths[] = {-1, 65, NAN};
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            tess_zoo_build("lenet5", &(tess_zoo_options){.width = widths[i]}, &error, &graph),
            TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_zoo_build(NULL, NULL, &error, &graph), TESS_INVALID_ARGUMENT);
    assert_null(graph);
}

/* Section 5 of the paper: biases of 1 where they feed ReLUs early. */
static void initial_weights_by_name(void **state) {
    (void)state;
    static const char *const ones[] = {"conv2", "conv4", "conv5", "fc6", "fc7"};
    static const char *const names[] = {"he", "xavier", "lecun", "fan-in", "gaussian"};
    tess_error error = {0};
    for (int i = 0; i < 5; i++) {
        tess_zoo_options options = {.width = 0.1f};
        tess_graph *graph = NULL;
        int biased = 0;
        assert_int_equal(tess_init_parse(names[i], &error, &options.init), TESS_OK);
        assert_int_equal(options.init, TESS_INIT_HE + i);
        if (tess_zoo_build("alexnet", &options, &error, &graph)) fail_msg("%s", error.text);
        for (int k = 0; k < graph->count; k++) {
            const struct layer *layer = &graph->layers[k];
            if (layer->kind == LAYER_CONV || layer->kind == LAYER_FC)
                assert_int_equal(layer->init, options.init);
            if (layer->init_bias == 0) continue;
            assert_string_equal(layer->name, ones[biased++]);
            assert_true(layer->init_bias == 1);
        }
        assert_int_equal(biased, options.init == TESS_INIT_GAUSSIAN ? 5 : 0);
        tess_graph_destroy(graph);
    }
    tess_init init = TESS_INIT_DEFAULT;
    tess_graph *graph = NULL;
    assert_int_equal(tess_init_parse("He", &error, &init), TESS_NOT_FOUND);
    assert_non_null(strstr(error.text, "lecun"));
    assert_int_equal(init, TESS_INIT_DEFAULT);
    assert_int_equal(
        tess_zoo_build("alexnet", &(tess_zoo_options){.init = (tess_init)9}, &error, &graph),
        TESS_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_weights_by_name),
        cmocka_unit_test(lenet5_is_as_published),
        cmocka_unit_test(lenet5_relu),
        cmocka_unit_test(convnetjs_cifar10),
        cmocka_unit_test(resnet_tiny),
        cmocka_unit_test(vgg_totals),
        cmocka_unit_test(vgg16_layers),
        cmocka_unit_test(all_conv),
        cmocka_unit_test(width),
        cmocka_unit_test(alexnet),
        cmocka_unit_test(googlenet),
        cmocka_unit_test(resnet_totals),
        cmocka_unit_test(resnet_layers),
        cmocka_unit_test(inception_v3),
        cmocka_unit_test(every_entry_builds),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
