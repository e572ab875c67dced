/* Networks as ONNX models: every zoo network is written, read back with its shapes and weights, and accepted by ONNX's own
   checker, where python3-onnx is installed. No device. */
#include "support/folder.h"
#include "support/test_nets.h"

#include "net/layer.h"
#include "net/onnx/onnx_fold.h"
#include "net/onnx/onnx_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_ONNX 77 /* exit status of the checker where it is not installed */

/* ---------------------------------------------------------------- weights */

/* All parameters of a graph, random. */
static struct safetensors make_weights(const tess_graph *graph) {
    struct safetensors file = {0};
    file.tensors = check_alloc((size_t)graph->count * LAYER_PARAMS * sizeof *file.tensors);
    for (int i = 0; i < graph->count; i++) {
        struct param_spec specs[LAYER_PARAMS];
        int count = layer_params(&graph->layers[i], specs);
        for (int j = 0; j < count; j++) {
            const tess_tensor_desc *d = &specs[j].desc;
            struct safetensor *t = &file.tensors[file.count];
            size_t elements = (size_t)d->n * (size_t)d->c * (size_t)d->h * (size_t)d->w;
            *t = (struct safetensor){.rank = specs[j].rank, .shape = {d->n, d->c, d->h, d->w}};
            if (t->rank == 1) t->shape[0] = d->c;
            if (t->rank == 2) t->shape[1] = (int64_t)d->c * d->h * d->w;
            t->name = check_alloc(128);
            snprintf(t->name, 128, "%s.%s", graph->layers[i].name, specs[j].suffix);
            t->data = check_alloc(elements * sizeof *t->data);
            check_random(t->data, elements, 0.1f, 1.0f, (uint64_t)file.count++);
        }
    }
    return file;
}

static void free_weights(struct safetensors *file) {
    for (int i = 0; i < file->count; i++) {
        free(file->tensors[i].name);
        free(file->tensors[i].data);
    }
    free(file->tensors);
}

/* ---------------------------------------------------------------- what was written */

/* Every layer that is in the model has its shape there. Gives how many are. */
static int check_shapes(const tess_graph *graph, const struct onnx_model *model,
                        const struct onnx_folded *folded) {
    int found = 0;
    for (int i = 0; i < graph->count; i++) {
        const struct layer *layer = &graph->layers[i];
        int value = onnx_model_find(model, layer->name);
        if (value < 0) continue;
        const struct onnx_known *k = &folded->values[value];
        bool same = k->dims[0] == 2 && k->dims[1] == layer->c && k->dtype == ONNX_FLOAT;
        if (k->rank == 4)
            same = same && k->dims[2] == layer->h && k->dims[3] == layer->w;
        else
            same = same && k->rank == 2 && layer->h == 1 && layer->w == 1;
        if (!same) fail_msg("%s: layer %s has another shape", graph->name, layer->name);
        found++;
    }
    return found;
}

static void check_weights(const struct onnx_model *model, const struct safetensors *weights) {
    int found = 0;
    for (int i = 0; i < weights->count; i++) {
        int value = onnx_model_find(model, weights->tensors[i].name);
        if (value < 0) continue; /* of an auxiliary classifier */
        const struct onnx_tensor *t = &model->tensors[model->values[value].tensor];
        check_same_bytes(t->data, weights->tensors[i].data, (size_t)t->count * sizeof(float),
                         t->name);
        found++;
    }
    assert_true(found > 0 && found <= weights->count);
}

/* Writes, reads back, compares. */
static void check_network(const tess_graph *graph, const char *path) {
    struct safetensors weights = make_weights(graph);
    struct onnx_model *model = NULL;
    struct onnx_folded *folded = NULL;
    struct onnx_fold_options options = {.batch = 2};
    tess_error error = {0};
    if (onnx_write(path, graph, &weights, &error)) fail_msg("%s", error.text);
    if (onnx_model_read(path, &error, &model)) fail_msg("%s", error.text);
    if (onnx_fold(model, &options, &error, &folded)) fail_msg("%s: %s", graph->name, error.text);
    int found = check_shapes(graph, model, folded), left_out = 0;
    for (int i = 0; i < graph->count; i++)
        left_out += i < graph->count - 1 && layer_kinds[graph->layers[i].kind].loss;
    assert_true(left_out ? found < graph->count : found == graph->count);
    check_weights(model, &weights);
    assert_int_equal(model->output_count, 1);
    assert_string_equal(model->values[model->outputs[0]].name,
                        graph->layers[graph->count - 1].name);
    onnx_folded_destroy(folded);
    onnx_model_destroy(model);
    free_weights(&weights);
}

/* ONNX's checker over the files; exit status, NO_ONNX if it is not here. */
static int run_checker(const char *python, char *const *paths, int count) {
    static char script[] = "import sys\n"
                           "try:\n"
                           "    import onnx\n"
                           "except ImportError:\n"
                           "    sys.exit(77)\n"
                           "for path in sys.argv[1:]:\n"
                           "    try:\n"
                           "        onnx.checker.check_model(path, full_check=True)\n"
                           "    except Exception as e:\n"
                           "        sys.exit(path + ': ' + str(e))\n";
    char *args[64] = {(char *)python, (char *)"-c", script};
    assert_in_range(count, 1, 60);
    memcpy(args + 3, paths, (size_t)count * sizeof *args);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execvp(python, args);
        _exit(NO_ONNX);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* False: it is not here. */
static bool check_with_onnx(char *const *paths, int count) {
    int status = run_checker("/usr/bin/python3", paths, count);
    if (status == NO_ONNX) status = run_checker("python3", paths, count);
    if (status == NO_ONNX) {
        print_message("ONNX's checker is not here; install python3-onnx\n");
        return false;
    }
    assert_int_equal(status, 0);
    print_message("ONNX's checker accepts %d models\n", count);
    return true;
}

/* ---------------------------------------------------------------- the tests */

static void test_zoo(void **state) {
    char *paths[64];
    int count = 0;
    for (const char *name; (name = tess_zoo_name(count)); count++) {
        tess_graph *graph = NULL;
        tess_error error = {0};
        char file[128];
        assert_true(count < 60);
        if (tess_zoo_build(name, &(tess_zoo_options){.width = 0.0625f}, &error, &graph))
            fail_msg("%s", error.text);
        snprintf(file, sizeof file, "%s.onnx", name);
        paths[count] = check_alloc(FOLDER_PATH_SIZE);
        check_network(graph, folder_path(*state, file, paths[count]));
        tess_graph_destroy(graph);
    }
    bool checked = check_with_onnx(paths, count);
    for (int i = 0; i < count; i++)
        free(paths[i]);
    if (!checked) skip();
}

/* What no zoo network has, or only some: every activation, pooling, form of input. */
static tess_graph *make_odd(void) {
    static const tess_activation acts[] = {
        TESS_ACT_NONE,         TESS_ACT_RELU,    TESS_ACT_LEAKY_RELU,
        TESS_ACT_ELU,          TESS_ACT_SIGMOID, TESS_ACT_TANH,
        TESS_ACT_CLIPPED_RELU, TESS_ACT_SELU,    TESS_ACT_HARD_SIGMOID};
    tess_graph *g = NULL;
    assert_int_equal(tess_graph_create("odd", NULL, &g), TESS_OK);
    tess_node x = tess_graph_input(g, 3, 15, 17), left, right;
    x = tess_graph_conv(g, x,
                        &(tess_conv_layer){.filters = 6,
                                           .kernel_h = 3,
                                           .kernel_w = 2,
                                           .groups = 3,
                                           .dilation_h = 2,
                                           .pad_top = 2,
                                           .pad_left = 1,
                                           .act = {TESS_ACT_CLIPPED_RELU, 4.0f}});
    x = tess_graph_pool(
        g, x,
        &(tess_pool_layer){.mode = TESS_POOL_WEIGHTED, .window_h = 2, .act = {TESS_ACT_TANH, 0}});
    x = tess_graph_pool(g, x,
                        &(tess_pool_layer){.mode = TESS_POOL_AVG_WITH_PAD,
                                           .window_h = 3,
                                           .stride_h = 2,
                                           .pad = 1,
                                           .ceil_mode = true});
    x = tess_graph_batch_norm(g, x, &(tess_batch_norm_layer){.act = {TESS_ACT_ELU, 0.5f}});
    left = tess_graph_pool(g, x, &(tess_pool_layer){.mode = TESS_POOL_MAX, .global = true});
    right = tess_graph_fc(g, x, &(tess_fc_layer){.outputs = 6, .no_bias = true});
    right = tess_graph_batch_norm(g, right, &(tess_batch_norm_layer){.eps = 1e-3f});
    x = tess_graph_add(g, left, right, NULL, (tess_act){TESS_ACT_LEAKY_RELU, 0});
    x = tess_graph_concat(g, (const tess_node[]){left, x, right}, 3, NULL);
    x = tess_graph_dropout(g, x, NULL, 0.3f);
    x = tess_graph_conv(g, x, &(tess_conv_layer){.filters = 4, .kernel_h = 1});
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        x = tess_graph_activation(g, x, NULL, (tess_act){acts[i], 0});
    tess_graph_softmax(g, x);
    tess_error error = {0};
    if (tess_graph_check(g, &error)) fail_msg("%s", error.text);
    return g;
}

static void test_odd(void **state) {
    char path[FOLDER_PATH_SIZE];
    tess_graph *graph = make_odd();
    graph->layers[1].as.conv.pad_mode = TESS_PAD_MIRROR;
    check_network(graph, folder_path(*state, "odd.onnx", path));
    tess_graph_destroy(graph);
    if (!check_with_onnx((char *const[]){path}, 1)) skip();
}

/* Ends other than a softmax; losses on the way are left out. */
static void test_ends(void **state) {
    static const char *const names[] = {"regression", "autoencoder", "upsampling", "gated"};
    char paths[4][FOLDER_PATH_SIZE];
    for (int i = 0; i < 4; i++) {
        tess_graph *graph = test_net_graph(names[i]);
        check_network(graph, folder_path(*state, names[i], paths[i]));
        tess_graph_destroy(graph);
    }
    if (!check_with_onnx((char *const[]){paths[0], paths[1], paths[2], paths[3]}, 4)) skip();
}

/* The mapping of attributes, where shapes alone would not show an error. */
static void test_attributes(void **state) {
    char path[FOLDER_PATH_SIZE];
    tess_graph *graph = make_odd();
    struct safetensors weights = make_weights(graph);
    struct onnx_model *model = NULL;
    tess_error error = {0};
    if (onnx_write(folder_path(*state, "odd.onnx", path), graph, &weights, &error))
        fail_msg("%s", error.text);
    if (onnx_model_read(path, &error, &model)) fail_msg("%s", error.text);
    int64_t pads[4], include = 0;
    int count, seen = 0;
    float f = 0;
    for (int i = 0; i < model->node_count; i++) {
        const struct onnx_node *node = &model->nodes[i];
        if (strcmp(node->op, "Conv") == 0 && !seen) {
            onnx_get_ints(model, node, "pads", &error, 4, pads, &count);
            const int64_t want[4] = {2, 1, 0, 0};
            check_same_bytes(pads, want, sizeof want, "pads");
            seen |= 1;
        } else if (strcmp(node->op, "BatchNormalization") == 0) {
            onnx_get_float(model, node, "momentum", &error, &f);
            assert_float_equal(f, 0.9f, 1e-6f);
            onnx_get_float(model, node, "epsilon", &error, &f);
            assert_true(f > 0.9e-5f && f < 1.1e-3f);
            seen |= 2;
        } else if (strcmp(node->op, "AveragePool") == 0) {
            onnx_get_int(model, node, "count_include_pad", &error, &include);
            seen |= include ? 4 : 8;
        } else if (strcmp(node->op, "HardSigmoid") == 0) {
            onnx_get_float(model, node, "alpha", &error, &f);
            assert_float_equal(f, 1.0f / 6, 1e-7f);
            seen |= 16;
        } else if (strcmp(node->op, "Elu") == 0) {
            onnx_get_float(model, node, "alpha", &error, &f);
            seen |= f == 0.5f ? 32 : f == 1.0f ? 64 : 0;
        } else if (strcmp(node->op, "Clip") == 0) {
            int most = model->values[node->inputs[2]].tensor;
            f = *(const float *)model->tensors[most].data;
            seen |= f == 4.0f ? 128 : f == 6.0f ? 256 : 0;
        }
    }
    assert_int_equal(seen, 511);
    onnx_model_destroy(model);
    free_weights(&weights);
    tess_graph_destroy(graph);
}

static void test_refused(void **state) {
    char path[FOLDER_PATH_SIZE], copy[FOLDER_PATH_SIZE];
    tess_graph *graph = make_odd();
    struct safetensors weights = make_weights(graph);
    tess_error error = {0};
    folder_path(*state, "odd.onnx", path);
    weights.count--;
    assert_int_equal(onnx_write(path, graph, &weights, &error), TESS_BAD_FORMAT);
    assert_non_null(strstr(error.text, "is missing; "));
    weights.count++;
    weights.tensors[0].shape[0]++;
    assert_int_equal(onnx_write(path, graph, &weights, &error), TESS_BAD_FORMAT);
    assert_non_null(strstr(error.text, "has another shape"));
    weights.tensors[0].shape[0]--;
    assert_int_equal(folder_count(*state), 0);
    assert_int_equal(onnx_write("/nonexistent/x.onnx", graph, &weights, &error), TESS_IO);
    assert_int_equal(onnx_write(NULL, graph, &weights, &error), TESS_INVALID_ARGUMENT);
    size_t a_size, b_size;
    assert_int_equal(onnx_write(path, graph, &weights, &error), TESS_OK);
    assert_int_equal(onnx_write(folder_path(*state, "copy", copy), graph, &weights, &error),
                     TESS_OK);
    unsigned char *a = bytes_read(path, &a_size), *b = bytes_read(copy, &b_size);
    assert_int_equal(a_size, b_size);
    check_same_bytes(a, b, a_size, "the same network twice");
    free(a);
    free(b);
    free_weights(&weights);
    tess_graph_destroy(graph);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_zoo),        IN_FOLDER(test_odd),     IN_FOLDER(test_ends),
        IN_FOLDER(test_attributes), IN_FOLDER(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
