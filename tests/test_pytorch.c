/* Networks beside PyTorch: each network of the zoo, narrow and small, goes out as an ONNX model, with what we compute of it beside;
   pytorch_agreement.py runs the model in PyTorch and compares the probabilities, the loss, all gradients, and the running means and
   variances. Convolutions run on one algorithm, whose program serves all shapes. Status 77: skipped, there is no PyTorch. */
#include "support/folder.h"
#include "support/test_nets.h"

#include "net/onnx/onnx_write.h"
#include "net/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77, BATCH = 4, STEP = 7 };

/* What the script reads of one network, beside the model. */
struct record {
    struct safetensors file;
    char *metadata[65]; /* loss layers and their weights */
};

/* The smallest inputs with which every layer is there and batch normalisation has at least a dozen values a channel. */
static const struct shape {
    const char *name;
    int c, h, w;
    float lift; /* added to the biases of batch normalisation */
    float gain; /* of the input, 0: 1; large where LRN has to differ from dividing by a constant */
} shapes[] = {{"alexnet", 2, 67, 67, 0, 100},
              {"googlenet", 2, 80, 79, 0, 100},
              {"inception-v3", 2, 299, 299, 2, 0},
              {"vgg11-lrn", 2, 32, 32, 0, 100},
              {"vgg", 2, 32, 32, 0, 0},
              {"resnet20-cifar", 2, 17, 16, 0, 0},
              {"all-conv", 2, 14, 14, 0, 0},
              {"resnet-tiny", 2, 8, 8, 0, 0},
              {"resnet", 2, 65, 64, 0, 0},
              {"", 0, 0, 0, 0, 0}};

/* Networks of test_nets.h: what the zoo has not. */
static const char *const further[] = {"everything", "residual",    "normalised",
                                      "regression", "autoencoder", "bare-front"};

/* ---------------------------------------------------------------- what is written */

/* data: count floats, taken over. NOLINTNEXTLINE(readability-non-const-parameter) */
static void add(struct record *record, const char *kind, const char *name, float *data,
                size_t count) {
    struct safetensors *file = &record->file;
    file->tensors = realloc(file->tensors, ((size_t)file->count + 1) * sizeof *file->tensors);
    assert_non_null(file->tensors);
    size_t size = strlen(kind) + strlen(name) + 1;
    char *full = check_alloc(size);
    snprintf(full, size, "%s%s", kind, name);
    file->tensors[file->count++] =
        (struct safetensor){.name = full, .rank = 1, .shape = {(int64_t)count}, .data = data};
}

/* In the order of ONNX. */
static void add_tensor(struct record *record, const char *kind, const char *name,
                       const tess_tensor *tensor) {
    size_t count = tess_tensor_desc_elements(tess_tensor_get_desc(tensor));
    float *data = check_alloc(count * sizeof *data);
    assert_int_equal(tess_tensor_read(tensor, data, TESS_NCHW), TESS_OK);
    add(record, kind, name, data, count);
}

static void add_batch(struct record *record, const tess_graph *graph,
                      const struct test_batch *from) {
    size_t size = (size_t)BATCH * tess_graph_layer_info(graph, 0).neurons;
    float *input = check_alloc(size * sizeof *input);
    float *labels = check_alloc((size_t)BATCH * sizeof *labels);
    memcpy(input, from->input, size * sizeof *input);
    for (int n = 0; n < BATCH; n++)
        labels[n] = (float)from->labels[n];
    add(record, "input", "", input, size);
    add(record, "labels", "", labels, BATCH);
    for (int i = 0; i < graph->count; i++) {
        const struct layer *layer = &graph->layers[i];
        if (layer->kind != LAYER_MSE) continue;
        size_t count = BATCH * (size_t)tess_graph_layer_info(graph, i).neurons;
        float *targets = check_alloc(count * sizeof *targets);
        memcpy(targets, from->targets, count * sizeof *targets);
        add(record, "targets:", layer->name, targets, count);
    }
}

/* What dropout multiplies by: its answer to ones. */
static void add_masks(struct record *record, tess_context *ctx, const tess_graph *graph) {
    tess_eltwise *op = NULL;
    assert_ok(ctx, tess_eltwise_create(ctx, &op));
    for (int i = 0; i < graph->count; i++) {
        const struct layer *layer = &graph->layers[i];
        if (layer->kind != LAYER_DROPOUT) continue;
        uint64_t stream = (uint64_t)STEP << 16 | (uint64_t)i;
        tess_tensor *mask = check_tensor(ctx, desc_nhwc(BATCH, layer->c, layer->h, layer->w), NULL);
        assert_ok(ctx, tess_tensor_fill(mask, 1));
        assert_ok(ctx, tess_dropout(op, layer->as.rate, 0, stream, mask, mask));
        add_tensor(record, "mask:", layer->name, mask);
        tess_tensor_destroy(mask);
    }
    tess_eltwise_destroy(op);
}

static void add_losses(struct record *record, const tess_graph *graph) {
    int count = 0;
    for (int i = 0; i < graph->count; i++) {
        const struct layer *layer = &graph->layers[i];
        bool weighted = layer->kind == LAYER_AUXILIARY || layer->kind == LAYER_MSE;
        if (!weighted && layer->kind != LAYER_SOFTMAX) continue;
        assert_true(count + 2 < (int)(sizeof record->metadata / sizeof *record->metadata));
        char *weight = check_alloc(32);
        snprintf(weight, 32, "%.9g", weighted ? (double)layer->as.weight : 1.0);
        record->metadata[count++] = (char *)layer->name;
        record->metadata[count++] = weight;
    }
    record->file.metadata = record->metadata;
}

static void record_write(struct record *record, const char *path) {
    tess_error error = {0};
    if (safetensors_write(path, &record->file, &error)) fail_msg("%s", error.text);
    for (int i = 0; i < record->file.count; i++) {
        free(record->file.tensors[i].name);
        free(record->file.tensors[i].data);
    }
    free(record->file.tensors);
    for (int i = 0; record->metadata[i]; i += 2)
        free(record->metadata[i + 1]);
}

/* ---------------------------------------------------------------- networks */

static const struct net_debug one_algorithm = {.conv_algo = "generic"};

static void path_of(const char *folder, const char *name, const char *suffix,
                    char path[FOLDER_PATH_SIZE]) {
    char file[64];
    snprintf(file, sizeof file, "%s%s", name, suffix);
    folder_path(folder, file, path);
}

/* The network as it is planned for inference, with the weights in a file. */
static void add_inference(struct record *record, tess_context *ctx, const tess_graph *graph,
                          const struct test_batch *from, const char *weights) {
    tess_net *net = NULL;
    assert_ok(ctx,
              net_create(ctx, graph, &(tess_net_options){.batch = BATCH}, &one_algorithm, &net));
    assert_ok(ctx, tess_net_load(net, weights, false));
    assert_ok(ctx, tess_tensor_write(tess_net_input(net), from->input, TESS_NCHW));
    assert_ok(ctx, tess_net_forward(net));
    add_tensor(record, "output", "", tess_net_output(net));
    tess_net_destroy(net);
}

static void add_training(struct record *record, tess_net *net) {
    float *loss = check_alloc(sizeof *loss);
    assert_ok(net->ctx, tess_net_gradients(net, BATCH, STEP));
    assert_ok(net->ctx, tess_net_result(net, loss, NULL));
    *loss /= BATCH;
    add(record, "loss", "", loss, 1);
    for (int i = 0; i < net->param_count; i++) {
        tess_param param = tess_net_param(net, i);
        add_tensor(record, param.grad ? "gradient:" : "state:", param.name,
                   param.grad ? param.grad : param.value);
    }
}

/* Without shortcuts, batch normalisation and ReLU multiply rounding by about 1.2 a layer (Yang et al., A mean field theory of batch
   normalization, 2019): ReLUs that seldom cut do not. The running variances follow, for probabilities that are not 0 and 1. */
static void lift(tess_context *ctx, tess_net *net, float by) {
    for (int i = 0; i < net->param_count; i++) {
        const struct param *param = &net->params[i];
        bool norm = net->graph->layers[param->layer].kind == LAYER_BATCH_NORM;
        bool bias = strcmp(param->spec.suffix, "bias") == 0;
        if (!norm || (!bias && strcmp(param->spec.suffix, "running_var") != 0)) continue;
        float *data = check_read(param->value);
        for (size_t k = 0; k < tess_tensor_desc_elements(&param->spec.desc); k++)
            data[k] = bias ? data[k] + by : data[k] * 2 * (1 + by * by);
        assert_ok(ctx, tess_tensor_write(param->value, data, param->spec.desc.layout));
        free(data);
    }
}

/* Writes NAME.onnx and NAME.ours. */
static void write_network(tess_context *ctx, const char *folder, const tess_graph *graph,
                          float lifted, float gain) {
    struct record record = {0};
    struct safetensors *weights = NULL;
    char path[FOLDER_PATH_SIZE], model[FOLDER_PATH_SIZE], ours[FOLDER_PATH_SIZE];
    tess_error error = {0};
    const char *name = tess_graph_name(graph);
    struct test_batch from = test_batch_make(graph, BATCH, BATCH, 3);
    for (size_t i = 0; gain > 0 && i < BATCH * (size_t)tess_graph_layer_info(graph, 0).neurons; i++)
        from.input[i] *= gain;
    tess_net *net = test_net_make(ctx, graph, &(tess_net_options){.batch = BATCH, .training = true},
                                  &one_algorithm, &from);
    test_net_calm(ctx, net, 0.2f);
    if (lifted != 0) lift(ctx, net, lifted);
    path_of(folder, name, ".safetensors", path);
    path_of(folder, name, ".onnx", model);
    path_of(folder, name, ".ours", ours);
    assert_ok(ctx, tess_net_save(net, path, false, NULL));
    if (safetensors_read(path, &error, &weights)) fail_msg("%s", error.text);
    if (onnx_write_training(model, graph, weights, &error)) fail_msg("%s", error.text);
    add_batch(&record, graph, &from);
    add_losses(&record, graph);
    add_masks(&record, ctx, graph);
    add_inference(&record, ctx, graph, &from, path);
    add_training(&record, net);
    record_write(&record, ours);
    safetensors_destroy(weights);
    tess_net_destroy(net);
    test_batch_free(&from);
}

static void write_zoo_network(tess_context *ctx, const char *folder, const char *name) {
    const struct shape *shape = shapes;
    tess_error error = {0};
    tess_graph *graph = NULL;
    while (strncmp(name, shape->name, strlen(shape->name)) != 0)
        shape++;
    const tess_zoo_options options = {
        .c = shape->c, .h = shape->h, .w = shape->w, .classes = 5, .width = 1.0f / 16};
    if (tess_zoo_build(name, &options, &error, &graph)) fail_msg("%s", error.text);
    write_network(ctx, folder, graph, shape->lift, shape->gain);
    tess_graph_destroy(graph);
}

/* ---------------------------------------------------------------- the script */

/* Exit status. */
static int run_python(const char *const *args) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execvp(TESSERA_PYTHON, (char *const *)args);
        _exit(SKIPPED);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool have_pytorch(void) {
    return run_python((const char *const[]){TESSERA_PYTHON, TESSERA_PYTORCH_AGREEMENT, NULL}) == 0;
}

/* TESSERA_TEST_NETWORK names one network, for work on it. */
static void networks_agree(void **state) {
    tess_context *ctx = *state;
    char folder[FOLDER_PATH_SIZE];
    const char *only = getenv("TESSERA_TEST_NETWORK"), *name;
    folder_create(folder);
    for (int i = 0; (name = tess_zoo_name(i)); i++)
        if (!only || strcmp(only, name) == 0) write_zoo_network(ctx, folder, name);
    for (size_t i = 0; i < sizeof further / sizeof further[0]; i++) {
        if (only && strcmp(only, further[i]) != 0) continue;
        tess_graph *graph = test_net_graph(further[i]);
        write_network(ctx, folder, graph, 0, 0);
        tess_graph_destroy(graph);
    }
    int status =
        run_python((const char *const[]){TESSERA_PYTHON, TESSERA_PYTORCH_AGREEMENT, folder, NULL});
    folder_remove(folder);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(networks_agree)};
    if (!have_pytorch()) {
        print_message("test_pytorch: SKIPPED, there is no Python with PyTorch and ONNX here; "
                      "install python3-torch and python3-onnx\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
