/* ONNX models as graphs to train: every network of the zoo comes back from its model with its layers, names and weights; every form of
   the operators gives what the model gives; and what has no layer is told, all of it. */
#include "support/folder.h"
#include "support/onnx_build.h"
#include "support/test_nets.h"

#include "net/onnx/onnx_run.h"
#include "net/onnx/onnx_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 2 };
static const struct net_debug generic = {.conv_algo = "generic"};

static tess_graph *import(const char *path, const tess_zoo_options *options) {
    tess_error error = {0};
    tess_graph *graph = NULL;
    if (tess_graph_from_onnx(path, options, &error, NULL, &graph)) fail_msg("%s", error.text);
    return graph;
}

/* ---------------------------------------------------------------- the zoo, without a device */

/* Gives the graph parameters of its own, random, and a view of them as a file's. */
static struct safetensors give_weights(tess_graph *graph) {
    struct safetensors file = {0};
    file.tensors = check_alloc((size_t)graph->count * LAYER_PARAMS * sizeof *file.tensors);
    for (int i = 0; i < graph->count; i++) {
        struct param_spec specs[LAYER_PARAMS];
        int count = layer_params(&graph->layers[i], specs);
        for (int k = 0; k < count; k++) {
            const tess_tensor_desc *d = &specs[k].desc;
            struct safetensor *t = &file.tensors[file.count];
            size_t elements = tess_tensor_desc_elements(d);
            *t = (struct safetensor){.rank = specs[k].rank, .shape = {d->n, d->c, d->h, d->w}};
            if (t->rank == 1) t->shape[0] = d->c;
            if (t->rank == 2) t->shape[1] = (int64_t)d->c * d->h * d->w;
            t->name = check_alloc(128);
            snprintf(t->name, 128, "%s.%s", graph->layers[i].name, specs[k].suffix);
            t->data = graph->layers[i].values[k] = check_alloc(elements * sizeof *t->data);
            check_random(t->data, elements, 0.1f, 1.0f, (uint64_t)file.count++);
        }
    }
    return file;
}

static void free_weights(struct safetensors *file) {
    for (int i = 0; i < file->count; i++)
        free(file->tensors[i].name);
    free(file->tensors);
}

static const struct layer *find_layer(const tess_graph *graph, const char *name) {
    for (int i = 0; i < graph->count; i++)
        if (strcmp(graph->layers[i].name, name) == 0) return &graph->layers[i];
    return NULL;
}

static void check_layer(const struct layer *want, const struct layer *got) {
    struct param_spec specs[LAYER_PARAMS], others[LAYER_PARAMS];
    int count = layer_params(want, specs);
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(layer_params(got, others), count);
    assert_true(got->c == want->c && got->h == want->h && got->w == want->w);
    for (int k = 0; k < count; k++)
        check_same_bytes(got->values[k], want->values[k], tess_tensor_desc_bytes(&specs[k].desc),
                         specs[k].suffix);
}

/* Layers that only auxiliary classifiers need are not in the model. */
static void check_zoo(const char *folder, const char *name, const tess_zoo_options *options) {
    char path[FOLDER_PATH_SIZE];
    tess_error error = {0};
    tess_graph *graph = NULL;
    int missing = 0, with_parameters = 0;
    if (tess_zoo_build(name, options, &error, &graph)) fail_msg("%s", error.text);
    struct safetensors weights = give_weights(graph);
    folder_path(folder, "m.onnx", path);
    if (onnx_write(path, graph, &weights, &error)) fail_msg("%s", error.text);
    tess_graph *got = import(path, NULL);
    for (int i = 0; i < graph->count; i++) {
        const struct layer *want = &graph->layers[i], *found = find_layer(got, want->name);
        struct param_spec specs[LAYER_PARAMS];
        if (!layer_params(want, specs)) continue;
        with_parameters++;
        missing += !found;
        if (found) check_layer(want, found);
    }
    bool auxiliary = strcmp(name, "googlenet") == 0 || strcmp(name, "inception-v3") == 0;
    if (auxiliary ? missing > 6 : missing > 0) fail_msg("%s: %d layers missing", name, missing);
    assert_true(with_parameters > 0);
    if (!auxiliary) assert_true(got->count <= graph->count);
    tess_graph_destroy(got);
    tess_graph_destroy(graph);
    free_weights(&weights);
}

static void test_zoo(void **state) {
    const tess_zoo_options narrow = {.width = 0.0625f};
    for (int i = 0; tess_zoo_name(i); i++)
        check_zoo(*state, tess_zoo_name(i), &narrow);
}

/* ---------------------------------------------------------------- the same results */

static float *forward(tess_context *ctx, const tess_graph *graph, const char *export_to) {
    tess_net *net = NULL;
    assert_ok(ctx, net_create(ctx, graph, &(tess_net_options){.batch = BATCH}, &generic, &net));
    assert_ok(ctx, tess_net_init(net, 1));
    size_t count = tess_tensor_desc_elements(tess_tensor_get_desc(tess_net_input(net)));
    float *x = check_alloc(count * sizeof *x);
    check_random(x, count, -1, 1, 7);
    assert_ok(ctx, tess_tensor_write(tess_net_input(net), x, TESS_NCHW));
    assert_ok(ctx, tess_net_forward(net));
    float *y = check_read(tess_net_output(net));
    if (export_to) assert_ok(ctx, tess_net_save_onnx(net, export_to));
    free(x);
    tess_net_destroy(net);
    return y;
}

/* Network -> file -> graph -> network: the same bits, as the layers are the same. */
static void test_round_trip(void **state) {
    static const struct {
        const char *name;
        tess_zoo_options options;
    } nets[] = {{"lenet5", {0}},
                {"resnet20-cifar", {.h = 16, .w = 16, .width = 0.25f}},
                {"googlenet", {.h = 64, .w = 64, .classes = 10, .width = 0.0625f}}};
    for (size_t i = 0; i < (check_tiny() ? 1 : sizeof nets / sizeof *nets); i++) {
        char folder[FOLDER_PATH_SIZE], path[FOLDER_PATH_SIZE];
        tess_error error = {0};
        tess_graph *graph = NULL;
        folder_create(folder);
        folder_path(folder, "m.onnx", path);
        if (tess_zoo_build(nets[i].name, &nets[i].options, &error, &graph))
            fail_msg("%s", error.text);
        float *want = forward(*state, graph, path);
        tess_graph *again = import(path, NULL);
        float *got = forward(*state, again, NULL);
        size_t classes = (size_t)graph->layers[graph->count - 1].c;
        check_same_bytes(got, want, BATCH * classes * sizeof *got, nets[i].name);
        free(want);
        free(got);
        tess_graph_destroy(again);
        tess_graph_destroy(graph);
        folder_remove(folder);
    }
}

/* ---------------------------------------------------------------- operators' forms */

/* Small numbers as weights: those that the builder counts up would saturate. */
static void weight(struct onnx_build *build, const char *name, const char *dims, int count,
                   float low) {
    float *data = onnx_build_alloc(build, (size_t)count * sizeof *data);
    check_random(data, (size_t)count, low, 0.5f, (uint64_t)count);
    onnx_build_weight(build, name, 1, dims, data);
}

/* Zero padding; a bias, a scale and a quotient of constants; normalisation; both kinds of products; means as pooling. Ends with
   logits. */
static void build_forms(struct onnx_build *build) {
    const float two = 2;
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, "N,2,7,6");
    onnx_build_ints(build, "pads", "0,0,1,0,0,0,1,2");
    onnx_build_node(build, "Pad", "x,pads", "padded");
    weight(build, "first.weight", "4,1,3,3", 36, -0.5f);
    onnx_build_node(build, "Conv", "padded,first.weight", "conv");
    onnx_build_attr_int(build, "group", 2);
    onnx_build_attr_ints(build, "strides", "2,1");
    weight(build, "bias", "4,1,1", 4, -0.5f);
    onnx_build_node(build, "Sub", "conv,bias", "biased");
    weight(build, "factor", "1,4,1,1", 4, 0.2f);
    onnx_build_node(build, "Mul", "biased,factor", "scaled");
    onnx_build_weight(build, "two", 1, "", &two);
    onnx_build_node(build, "Div", "scaled,two", "halved");
    onnx_build_node(build, "Relu", "halved", "r");
    for (int i = 0; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%d", i);
        weight(build, name, "4", 4, 0.1f);
    }
    onnx_build_node(build, "BatchNormalization", "r,n0,n1,n2,n3", "normal");
    onnx_build_node(build, "AveragePool", "normal", "pooled");
    onnx_build_attr_ints(build, "kernel_shape", "2,2");
    onnx_build_attr_ints(build, "pads", "1,0,0,1");
    onnx_build_node(build, "Add", "pooled,pooled", "twice");
    onnx_build_node(build, "Sigmoid", "twice", "s");
    onnx_build_node(build, "ReduceMean", "s", "means");
    onnx_build_attr_ints(build, "axes", "2,3");
    onnx_build_attr_int(build, "keepdims", 0);
    onnx_build_node(build, "Flatten", "s", "all");
    weight(build, "product.weight", "96,5", 480, -0.5f);
    onnx_build_node(build, "Dropout", "all", "kept");
    onnx_build_node(build, "MatMul", "kept,product.weight", "product");
    weight(build, "offset", "5", 5, -0.5f);
    onnx_build_node(build, "Add", "offset,product", "sum");
    onnx_build_node(build, "Concat", "sum,means", "joined");
    onnx_build_attr_int(build, "axis", -1);
    weight(build, "gemm.weight", "9,3", 27, -0.5f);
    weight(build, "gemm.bias", "1", 1, -0.5f);
    onnx_build_node(build, "Gemm", "joined,gemm.weight,gemm.bias", "y");
    onnx_build_attr_float(build, "alpha", 1.5f);
    onnx_build_attr_float(build, "beta", 0.5f);
    onnx_build_output(build, "y", 1, NULL);
}

/* What the model gives, with softmax. */
static void model_probabilities(tess_context *ctx, const char *path, int classes, double *out) {
    struct onnx_model *model = NULL;
    struct onnx_tensor got = {0};
    tess_error error = {0};
    float x[BATCH * 2 * 7 * 6];
    const struct onnx_tensor tensor = {.dtype = ONNX_FLOAT,
                                       .rank = 4,
                                       .dims = {BATCH, 2, 7, 6},
                                       .count = sizeof x / sizeof *x,
                                       .data = x};
    check_random(x, sizeof x / sizeof *x, -1, 1, 7);
    if (onnx_model_read(path, &error, &model)) fail_msg("%s", error.text);
    const struct onnx_given given = {"x", &tensor};
    assert_ok(ctx, onnx_run_once(ctx, model, &given, 1, &got));
    assert_int_equal(got.count, BATCH * classes);
    for (int n = 0; n < BATCH; n++) {
        double sum = 0;
        for (int k = 0; k < classes; k++)
            sum += out[n * classes + k] = exp((double)((const float *)got.data)[n * classes + k]);
        for (int k = 0; k < classes; k++)
            out[n * classes + k] /= sum;
    }
    onnx_tensor_clear(&got);
    onnx_model_destroy(model);
}

/* Up and down again: transposed convolution, slopes, resizing, padding that is a layer, a gate, other orders and shapes, sums. */
static void build_spatial(struct onnx_build *build) {
    const float scales[4] = {1, 1, 2, 1};
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, "N,2,7,6");
    weight(build, "up.weight", "2,3,2,2", 24, -0.5f);
    weight(build, "up.bias", "3", 3, -0.5f);
    onnx_build_node(build, "ConvTranspose", "x,up.weight,up.bias", "a");
    onnx_build_attr_ints(build, "strides", "2,1");
    onnx_build_attr_ints(build, "pads", "1,0,0,1");
    weight(build, "slope", "3,1,1", 3, 0.1f);
    onnx_build_node(build, "PRelu", "a,slope", "b");
    onnx_build_weight(build, "scales", 1, "4", scales);
    onnx_build_node(build, "Resize", "b,,scales", "c");
    onnx_build_attr_string(build, "coordinate_transformation_mode", "asymmetric");
    onnx_build_attr_string(build, "nearest_mode", "floor");
    onnx_build_ints(build, "pads", "0,0,1,0,0,0,0,2");
    onnx_build_node(build, "Pad", "c,pads", "d");
    onnx_build_attr_string(build, "mode", "reflect");
    onnx_build_node(build, "GlobalAveragePool", "d", "e");
    weight(build, "gate.weight", "3,3,1,1", 9, -0.5f);
    onnx_build_node(build, "Conv", "e,gate.weight", "f");
    onnx_build_node(build, "Sigmoid", "f", "g");
    onnx_build_node(build, "Mul", "d,g", "h");
    onnx_build_node(build, "Transpose", "h", "i");
    onnx_build_attr_ints(build, "perm", "0,3,1,2");
    onnx_build_ints(build, "axes", "2");
    onnx_build_node(build, "ReduceSum", "i,axes", "j");
    onnx_build_ints(build, "shape", "0,4,6,9");
    onnx_build_node(build, "Reshape", "j,shape", "k");
    onnx_build_node(build, "Flatten", "k", "l");
    weight(build, "fc.weight", "3,216", 648, -0.5f);
    onnx_build_node(build, "Gemm", "l,fc.weight", "y");
    onnx_build_attr_int(build, "transB", 1);
    onnx_build_output(build, "y", 1, NULL);
}

static void check_forms(tess_context *ctx, void (*build_model)(struct onnx_build *),
                        const char *const *layers) {
    struct onnx_build build;
    char folder[FOLDER_PATH_SIZE], path[FOLDER_PATH_SIZE];
    double want[BATCH * 3];
    folder_create(folder);
    build_model(&build);
    onnx_build_save(&build, folder_path(folder, "m.onnx", path));
    onnx_build_end(&build);
    tess_graph *graph = import(path, NULL);
    float *got = forward(ctx, graph, NULL);
    model_probabilities(ctx, path, 3, want);
    check_close(got, want, BATCH * 3, 1e-5, 1, "forms");
    for (; *layers; layers++)
        assert_non_null(find_layer(graph, *layers));
    free(got);
    tess_graph_destroy(graph);
    folder_remove(folder);
}

static void test_forms(void **state) {
    check_forms(*state, build_forms,
                (const char *const[]){"first", "product", "BatchNormalization_6", NULL});
}

static void test_spatial(void **state) {
    check_forms(*state, build_spatial, (const char *const[]){"up", "Mul_7", "fc", NULL});
}

/* ---------------------------------------------------------------- classes */

static void save_zoo(const char *name, const char *path) {
    tess_error error = {0};
    tess_graph *graph = NULL;
    if (tess_zoo_build(name, &(tess_zoo_options){.width = 0.25f}, &error, &graph))
        fail_msg("%s", error.text);
    struct safetensors weights = give_weights(graph);
    if (onnx_write(path, graph, &weights, &error)) fail_msg("%s", error.text);
    tess_graph_destroy(graph);
    free_weights(&weights);
}

/* The last layer with weights is new, all others keep theirs. */
static void test_classes(void **state) {
    static const char *const names[] = {"lenet5-relu", "resnet20-cifar", "all-conv"};
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "m.onnx", path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        save_zoo(names[i], path);
        tess_graph *graph = import(path, &(tess_zoo_options){.classes = 7});
        int last = 0;
        for (int k = 0; k < graph->count; k++) {
            struct param_spec specs[LAYER_PARAMS];
            if (layer_params(&graph->layers[k], specs)) last = k;
        }
        assert_int_equal(graph->layers[graph->count - 1].c, 7);
        for (int k = 0; k < graph->count; k++) {
            struct param_spec specs[LAYER_PARAMS];
            int count = layer_params(&graph->layers[k], specs);
            for (int p = 0; p < count; p++)
                assert_true((graph->layers[k].values[p] != NULL) == (k != last));
        }
        tess_graph_destroy(graph);
    }
}

/* ---------------------------------------------------------------- refusals */

#define FAILS(path, options, status, part)                                                         \
    do {                                                                                           \
        tess_error error = {0};                                                                    \
        tess_graph *none = NULL;                                                                   \
        assert_int_equal(tess_graph_from_onnx((path), (options), &error, NULL, &none), (status));  \
        assert_null(none);                                                                         \
        if (!strstr(error.text, (part)) || !strchr(error.text, ';'))                               \
            fail_msg("'%s' lacks '%s'", error.text, (part));                                       \
    } while (0)

/* Every node in the way is named, and what follows one is looked at as well. */
static void test_obstacles(void **state) {
    struct onnx_build build;
    char path[FOLDER_PATH_SIZE], *list = NULL;
    tess_error error = {0};
    tess_graph *graph = NULL;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "N,2,4,4");
    onnx_build_node(&build, "Neg", "x", "t");
    onnx_build_node(&build, "Softmax", "t", "s");
    onnx_build_attr_int(&build, "axis", 1);
    onnx_build_node(&build, "Abs", "s", "d");
    onnx_build_node(&build, "Relu", "d", "r");
    onnx_build_node(&build, "MaxPool", "r", "p");
    onnx_build_attr_ints(&build, "kernel_shape", "2,2");
    onnx_build_attr_ints(&build, "dilations", "2,2");
    onnx_build_node(&build, "GlobalAveragePool", "p", "y");
    onnx_build_output(&build, "y", 1, NULL);
    onnx_build_save(&build, folder_path(*state, "m.onnx", path));
    onnx_build_end(&build);
    assert_int_equal(tess_graph_from_onnx(path, NULL, &error, &list, &graph), TESS_UNSUPPORTED);
    static const char *const parts[] = {"node 'Neg_0' (Neg): there is no layer", "node 'Softmax_1'",
                                        "node 'Abs_2'", "node 'MaxPool_4' (MaxPool): its window"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_non_null(strstr(list, parts[i]));
        assert_non_null(strstr(error.text, parts[i]));
    }
    assert_non_null(strstr(error.text, ": 4 nodes cannot be trained: "));
    assert_null(strstr(list, "Relu"));
    free(list);
}

/* Operators that no layer and no folding knows are told before shapes are looked at. */
static void test_operators(void **state) {
    struct onnx_build build;
    char path[FOLDER_PATH_SIZE], *list = NULL;
    tess_error error = {0};
    tess_graph *graph = NULL;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "N,2,4,4");
    onnx_build_node(&build, "Erf", "x", "e");
    onnx_build_node(&build, "Einsum", "e", "y");
    onnx_build_output(&build, "y", 1, NULL);
    onnx_build_save(&build, folder_path(*state, "m.onnx", path));
    onnx_build_end(&build);
    assert_int_equal(tess_graph_from_onnx(path, NULL, &error, &list, &graph), TESS_UNSUPPORTED);
    assert_string_equal(list, "Einsum: Einsum_1\nErf: Erf_0");
    free(list);
}

static void build_open(struct onnx_build *build, const char *dims, const char *op) {
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, dims);
    onnx_build_node(build, op, "x", "y");
    onnx_build_output(build, "y", 1, NULL);
}

static void test_shapes(void **state) {
    struct onnx_build build;
    char path[FOLDER_PATH_SIZE];
    build_open(&build, "N,3,h,w", "GlobalAveragePool");
    onnx_build_save(&build, folder_path(*state, "open.onnx", path));
    onnx_build_end(&build);
    FAILS(path, NULL, TESS_INVALID_SHAPE, "--input CxHxW");
    FAILS(path, &(tess_zoo_options){.width = 2}, TESS_INVALID_ARGUMENT, "width");
    const tess_zoo_options open = {.c = 9, .h = 5, .w = 4};
    FAILS(path, (&(tess_zoo_options){.h = 5, .w = 4, .classes = 2}), TESS_UNSUPPORTED,
          "no layer with weights");
    tess_graph *graph = import(path, &open);
    assert_true(graph->layers[0].c == 3 && graph->layers[0].h == 5 && graph->layers[0].w == 4);
    tess_graph_destroy(graph);
    build_open(&build, "N,3,4,4", "Relu");
    onnx_build_save(&build, path);
    FAILS(path, NULL, TESS_UNSUPPORTED, "output 'y' is 3x4x4, but classes are Cx1x1");
    onnx_build_output(&build, "x", 1, NULL);
    onnx_build_save(&build, path);
    onnx_build_end(&build);
    FAILS(path, NULL, TESS_UNSUPPORTED, "2 outputs");
    build_open(&build, "N,3,4", "Relu");
    onnx_build_save(&build, path);
    onnx_build_end(&build);
    FAILS(path, NULL, TESS_UNSUPPORTED, "3 dimensions");
    FAILS("none.onnx", NULL, TESS_IO, "none.onnx");
    folder_write_text(*state, "open.onnx", "this is no model");
    FAILS(path, NULL, TESS_BAD_FORMAT, "open.onnx");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_zoo, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_classes, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_obstacles, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_operators, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_shapes, folder_setup, folder_teardown),
    };
    const struct CMUnitTest on_device[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_spatial),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + cmocka_run_group_tests(on_device, check_setup, test_nets_teardown);
}
