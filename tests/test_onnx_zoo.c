/* A network of the zoo and the ONNX model that is written of it give the same probabilities. */
#include "support/check.h"
#include "support/folder.h"

#include "net/onnx/onnx_run.h"
#include "net/onnx/onnx_write.h"
#include "net/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 2 };

/* Statistics that are not those of a network before its training. */
static void set_statistics(tess_context *ctx, tess_net *net) {
    for (int i = 0; i < tess_net_param_count(net); i++) {
        tess_param param = tess_net_param(net, i);
        size_t count = tess_tensor_desc_elements(tess_tensor_get_desc(param.value));
        bool mean = strstr(param.name, "running_mean"), var = strstr(param.name, "running_var");
        if (!mean && !var) continue;
        float *data = check_alloc(count * sizeof *data);
        check_random(data, count, mean ? -0.5f : 0.5f, mean ? 0.5f : 2.0f, (uint64_t)i);
        assert_ok(ctx, tess_tensor_write(param.value, data, TESS_NHWC));
        free(data);
    }
}

/* Saves the net's weights and the model with them. */
static void save(tess_context *ctx, const tess_graph *graph, tess_net *net, const char *folder,
                 char model[FOLDER_PATH_SIZE]) {
    char path[FOLDER_PATH_SIZE];
    struct safetensors *weights = NULL;
    tess_error error = {0};
    folder_path(folder, "w.safetensors", path);
    folder_path(folder, "m.onnx", model);
    assert_ok(ctx, tess_net_save(net, path, false, NULL));
    assert_ok(ctx, tess_net_load(net, path, false));
    if (safetensors_read(path, &error, &weights)) fail_msg("%s", error.text);
    if (onnx_write(model, graph, weights, &error)) fail_msg("%s", error.text);
    safetensors_destroy(weights);
}

/* x: NCHW. */
static void compare(tess_context *ctx, const tess_graph *graph, tess_net *net, const char *path,
                    const float *x, const tess_tensor_desc *input) {
    struct onnx_model *model = NULL;
    struct onnx_tensor got = {0};
    tess_error error = {0};
    const struct onnx_tensor tensor = {.dtype = ONNX_FLOAT,
                                       .rank = 4,
                                       .dims = {BATCH, input->c, input->h, input->w},
                                       .count = (int64_t)tess_tensor_desc_elements(input),
                                       .data = x};
    if (onnx_model_read(path, &error, &model)) fail_msg("%s", error.text);
    const struct onnx_given given = {model->values[model->inputs[0]].name, &tensor};
    assert_ok(ctx, tess_tensor_write(tess_net_input(net), x, TESS_NCHW));
    assert_ok(ctx, tess_net_forward(net));
    assert_ok(ctx, onnx_run_once(ctx, model, &given, 1, &got));
    float *plain = check_read(tess_net_output(net));
    double *want = check_alloc((size_t)got.count * sizeof *want);
    assert_int_equal(got.count,
                     tess_tensor_desc_elements(tess_tensor_get_desc(tess_net_output(net))));
    for (int64_t i = 0; i < got.count; i++)
        want[i] = (double)plain[i];
    check_close(got.data, want, (size_t)got.count, 1e-4, 0.1, tess_graph_name(graph));
    free(plain);
    free(want);
    onnx_tensor_clear(&got);
    onnx_model_destroy(model);
}

static void check_network(tess_context *ctx, const char *name, const tess_zoo_options *options) {
    tess_graph *graph = NULL;
    tess_net *net = NULL;
    tess_error error = {0};
    char folder[FOLDER_PATH_SIZE], model[FOLDER_PATH_SIZE];
    folder_create(folder);
    if (tess_zoo_build(name, options, &error, &graph)) fail_msg("%s", error.text);
    assert_ok(ctx, tess_net_create(ctx, graph, &(tess_net_options){.batch = BATCH, .strict = true},
                                   &net));
    assert_ok(ctx, tess_net_init(net, 1));
    set_statistics(ctx, net);
    save(ctx, graph, net, folder, model);
    const tess_tensor_desc *input = tess_tensor_get_desc(tess_net_input(net));
    size_t count = tess_tensor_desc_elements(input);
    float *x = check_alloc(count * sizeof *x);
    check_random(x, count, -1, 1, 7);
    compare(ctx, graph, net, model, x, input);
    free(x);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
    folder_remove(folder);
}

static void test_lenet(void **state) {
    check_network(*state, "lenet5", NULL);
}

static void test_resnet(void **state) {
    check_network(*state, "resnet20-cifar", &(tess_zoo_options){.width = 0.25f});
}

static void test_preact(void **state) {
    check_network(*state, "resnet18-preact",
                  &(tess_zoo_options){.h = 32, .w = 32, .classes = 10, .width = 0.125f});
}

static void test_alexnet(void **state) {
    check_network(*state, "alexnet", &(tess_zoo_options){.classes = 10, .width = 0.0625f});
}

/* Its convolutions compile for a minute: in check-full, with TESSERA_TEST_FULL=1. test_pytorch runs the model in check. */
static void test_googlenet(void **state) {
    const char *full = getenv("TESSERA_TEST_FULL");
    if (!full || strcmp(full, "1") != 0) skip();
    check_network(*state, "googlenet",
                  &(tess_zoo_options){.h = 64, .w = 64, .classes = 10, .width = 0.125f});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lenet),     cmocka_unit_test(test_resnet),
        cmocka_unit_test(test_preact),    cmocka_unit_test(test_alexnet),
        cmocka_unit_test(test_googlenet),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
