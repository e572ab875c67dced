/* Networks of the zoo, narrow and small: gradients against differences of the float64 reference's loss, and one that learns digits. Of
   networks that differ in depth alone the shallowest: test_pytorch has all. Convolutions run on one algorithm, whose program serves all shapes:
   this is about how the networks are wired. */
#include "support/ref_net.h"
#include "support/test_nets.h"
#include "train/dataset.h"
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3, WEIGHTS = 3, STEP = 7 };

/* A larger difference meets kinks: there are many activations, each of which may be as near to zero. */
static const double difference = 1e-8, tolerance = 2e-3;

/* The smallest input that a network takes with maps that are not single pixels; googlenet keeps its auxiliary classifiers. */
static const struct {
    const char *name;
    int c, h, w;
} inputs[] = {{"alexnet", 2, 67, 67},      {"googlenet", 2, 80, 79}, {"inception-v3", 2, 107, 107},
              {"vgg", 2, 32, 32},          {"resnet18", 2, 33, 32},  {"resnet34", 2, 33, 32},
              {"resnet50", 2, 32, 33},     {"resnet101", 2, 32, 32}, {"resnet152", 2, 32, 32},
              {"resnet20-cifar", 2, 9, 8}, {"all-conv", 2, 14, 14},  {"resnet-tiny", 2, 8, 8}};

static tess_graph *narrow(const char *name) {
    tess_zoo_options options = {.classes = 3, .width = 1.0f / 16};
    tess_error error = {0};
    tess_graph *graph = NULL;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        if (strncmp(name, inputs[i].name, strlen(inputs[i].name)) != 0) continue;
        options.c = inputs[i].c;
        options.h = inputs[i].h;
        options.w = inputs[i].w;
    }
    if (tess_zoo_build(name, &options, &error, &graph)) fail_msg("%s", error.text);
    return graph;
}

/* Along each of a few weights, the one with the largest gradient first: errors count relative to that. Gives the largest. */
static double expect_gradient(struct ref_net *ref, tess_net *net, int index,
                              const struct test_batch *batch) {
    tess_param param = tess_net_param(net, index);
    size_t size = ref->param_sizes[index], largest = 0;
    float *got = check_alloc(size * sizeof *got);
    double worst = 0;
    assert_ok(net->ctx, tess_tensor_read(param.grad, got, TESS_NCHW));
    for (size_t i = 0; i < size; i++)
        if (fabsf(got[i]) > fabsf(got[largest])) largest = i;
    double scale = fmax(fabs((double)got[largest]), 1e-3);
    for (size_t k = 0; k < WEIGHTS; k++) {
        size_t at = (largest + k * 7919) % size;
        double *w = &ref->params[index][at], old = *w;
        *w = old + difference;
        double up = ref_net_loss_after(ref, index, batch->labels);
        *w = old - difference;
        double down = ref_net_loss_after(ref, index, batch->labels);
        *w = old;
        double error = fabs((double)got[at] - (up - down) / (2 * difference * ROWS)) / scale;
        if (!(error <= worst)) worst = error;
        if (!(error <= tolerance))
            fail_msg("%s: %s: element %zu: gradient %g, the loss says %g", net->graph->name,
                     param.name, at, (double)got[at], (up - down) / (2 * difference * ROWS));
    }
    ref_net_loss_after(ref, index, batch->labels);
    free(got);
    return worst;
}

/* The first and the last parameter of each kind, by the layer's kind and what the parameter is called. */
static bool chosen(const tess_net *net, int index) {
    const struct param *param = &net->params[index];
    enum layer_kind kind = net->graph->layers[param->layer].kind;
    bool before = false, after = false;
    for (int i = 0; i < net->param_count; i++) {
        const struct param *other = &net->params[i];
        bool same = net->graph->layers[other->layer].kind == kind &&
                    strcmp(other->spec.suffix, param->spec.suffix) == 0;
        before = before || (same && i < index);
        after = after || (same && i > index);
    }
    return param->grad && !(before && after);
}

static bool is_deeper(const char *name) {
    static const char *const deeper[] = {"vgg13",    "vgg16",     "vgg19",
                                         "resnet34", "resnet101", "resnet152"};
    for (size_t i = 0; i < sizeof deeper / sizeof deeper[0]; i++)
        if (strcmp(name, deeper[i]) == 0) return true;
    return false;
}

static void every_structure(void **state) {
    tess_context *ctx = *state;
    for (int k = 0; tess_zoo_name(k); k++) {
        if (is_deeper(tess_zoo_name(k))) continue;
        tess_graph *graph = narrow(tess_zoo_name(k));
        struct test_batch batch = test_batch_make(graph, ROWS, ROWS, 3);
        tess_net *net =
            test_net_make(ctx, graph, &(tess_net_options){.batch = ROWS, .training = true},
                          &(struct net_debug){.conv_algo = "generic"}, &batch);
        test_net_calm(ctx, net, 0.02f);
        struct ref_net *ref = ref_net_create(graph, ROWS, net);
        double worst = 0;
        float loss = NAN;
        ref_net_masks(ref, ctx, 0, STEP);
        double want = ref_net_loss(ref, batch.input, batch.labels);
        assert_ok(ctx, tess_net_gradients(net, ROWS, STEP));
        assert_ok(ctx, tess_net_result(net, &loss, NULL));
        check_close(&loss, &want, 1, 1e-3, 1, tess_zoo_name(k));
        for (int i = 0; i < net->param_count; i++)
            if (chosen(net, i)) worst = fmax(worst, expect_gradient(ref, net, i, &batch));
        print_message("    %s: %.1e\n", tess_zoo_name(k), worst);
        ref_net_destroy(ref);
        tess_net_destroy(net);
        test_batch_free(&batch);
        tess_graph_destroy(graph);
    }
}

/* A residual network with batch normalisation, of a quarter of the width, sees 1,500 digits four times. */
static void digits_are_learnt(void **state) {
    tess_context *ctx = *state;
    enum { BATCH = 25, TRAIN = 1500, TEST = 500, EPOCHS = 4, STEPS = EPOCHS * TRAIN / BATCH };
    tess_error error = {0};
    tess_graph *graph = NULL;
    tess_net *net = NULL;
    struct dataset *train = NULL, *test = NULL;
    struct evaluation result;
    static int order[TRAIN];
    if (tess_zoo_build("resnet20-cifar",
                       &(tess_zoo_options){.c = 1, .h = 28, .w = 28, .width = 0.25f}, &error,
                       &graph) ||
        dataset_open("synthetic:digits", &(struct dataset_options){.count = TRAIN, .seed = 1},
                     &error, &train) ||
        dataset_open("synthetic:digits",
                     &(struct dataset_options){.count = TEST, .seed = 1, .test_part = true}, &error,
                     &test))
        fail_msg("%s", error.text);
    assert_ok(ctx, tess_net_create(ctx, graph,
                                   &(tess_net_options){.batch = BATCH, .training = true}, &net));
    assert_ok(ctx, tess_net_init(net, 1));
    for (int step = 0; step < STEPS; step++) {
        int at = step % (TRAIN / BATCH) * BATCH;
        const tess_sgd_desc sgd = {.lr = step < STEPS / 2 ? 0.05f : 0.01f, .momentum = 0.9f};
        if (at == 0) dataset_shuffle(TRAIN, 1, (uint64_t)step, order);
        struct batch_rows rows = {train, order, at, BATCH};
        if (batch_load(ctx, net, &rows, &error)) fail_msg("%s", error.text);
        assert_ok(ctx, tess_net_train_step(net, &sgd, BATCH, (uint64_t)step));
    }
    if (evaluate(ctx, net, test, &error, &result)) fail_msg("%s", error.text);
    print_message("    %.1f %% of %d digits right\n", result.accuracy, result.count);
    assert_true(result.accuracy > 90);
    tess_net_destroy(net);
    tess_graph_destroy(graph);
    dataset_destroy(train);
    dataset_destroy(test);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_structure),
        cmocka_unit_test(digits_are_learnt),
    };
    return cmocka_run_group_tests(tests, check_setup, test_nets_teardown);
}
