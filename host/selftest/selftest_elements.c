/* Element by element: activations, sums, biases, copies, dropout, parametric ReLU. */
#include "ops/random.h"
#include "selftest/trial.h"

#include <math.h>

enum { N = 2, C = 7, H = 3, W = 5, ROWS = N * H * W, COUNT = ROWS * C };

#define TOLERANCE 1e-4

static double act_value(tess_activation kind, double x) {
    switch (kind) {
    case TESS_ACT_RELU:
        return x > 0 ? x : 0;
    case TESS_ACT_LEAKY_RELU:
        return x > 0 ? x : 0.1 * x;
    case TESS_ACT_ELU:
        return x > 0 ? x : 0.1 * (exp(x) - 1);
    case TESS_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case TESS_ACT_TANH:
        return tanh(x);
    default:
        return x;
    }
}

static double act_slope(tess_activation kind, double x, double y) {
    switch (kind) {
    case TESS_ACT_RELU:
        return x > 0;
    case TESS_ACT_LEAKY_RELU:
        return x > 0 ? 1 : 0.1;
    case TESS_ACT_ELU:
        return x > 0 ? 1 : 0.1 * exp(x);
    case TESS_ACT_SIGMOID:
        return y * (1 - y);
    case TESS_ACT_TANH:
        return 1 - y * y;
    default:
        return 1;
    }
}

static void activations(struct trial *t) {
    static const tess_activation kinds[] = {TESS_ACT_RELU, TESS_ACT_LEAKY_RELU, TESS_ACT_ELU,
                                            TESS_ACT_SIGMOID, TESS_ACT_TANH};
    static const char *const names[][2] = {{"relu", "relu_grad"},
                                           {"leaky_relu", "leaky_relu_grad"},
                                           {"elu", "elu_grad"},
                                           {"sigmoid", "sigmoid_grad"},
                                           {"tanh", "tanh_grad"}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    struct array *x = trial_input(t, "x", trial_vector(COUNT), -2, 2);
    struct array *dy = trial_input(t, "dy", trial_vector(COUNT), -1, 1);
    struct array *y[KINDS], *dx[KINDS];
    for (int k = 0; k < KINDS; k++) {
        y[k] = trial_output(t, names[k][0], trial_vector(COUNT), TOLERANCE);
        dx[k] = trial_output(t, names[k][1], trial_vector(COUNT), TOLERANCE);
    }
    if (t->status) return;
    for (int i = 0; i < COUNT * KINDS; i++) {
        int k = i % KINDS, at = i / KINDS;
        double in = (double)x->host.f[at];
        y[k]->want[at] = act_value(kinds[k], in);
        dx[k]->want[at] = (double)dy->host.f[at] * act_slope(kinds[k], in, y[k]->want[at]);
    }
    trial_ready(t);
    tess_eltwise *op = NULL;
    trial_step(t, tess_eltwise_create(t->ctx, &op));
    for (int k = 0; k < KINDS; k++) {
        const tess_act act = {kinds[k], 0.1f};
        trial_step(t, tess_activation_forward(op, act, x->tensor, y[k]->tensor));
        trial_step(t, tess_activation_backward(op, act, y[k]->tensor, dy->tensor, dx[k]->tensor));
    }
    tess_eltwise_destroy(op);
}

static void sums(struct trial *t) {
    const tess_act relu = {.kind = TESS_ACT_RELU}, none = {0};
    const tess_tensor_desc image = trial_image(N, C, H, W);
    struct array *a = trial_input(t, "a", image, -1, 1), *b = trial_input(t, "b", image, -1, 1);
    struct array *bias = trial_input(t, "bias", trial_vector(C), -1, 1);
    struct array *sum = trial_output(t, "sum", image, TOLERANCE);
    struct array *biased = trial_output(t, "biased", image, TOLERANCE);
    struct array *dbias = trial_output(t, "dbias", trial_vector(C), TOLERANCE);
    tess_tensor *workspace = trial_scratch(t, tess_bias_workspace(&image));
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        sum->want[i] = fmax((double)a->host.f[i] + (double)b->host.f[i], 0);
        biased->want[i] = (double)a->host.f[i] + (double)bias->host.f[i % C];
        dbias->want[i % C] += (double)b->host.f[i];
    }
    trial_ready(t);
    tess_eltwise *op = NULL;
    trial_step(t, tess_eltwise_create(t->ctx, &op));
    trial_step(t, tess_add_forward(op, relu, a->tensor, b->tensor, sum->tensor));
    trial_step(t, tess_bias_forward(op, none, a->tensor, bias->tensor, biased->tensor));
    trial_step(t, tess_bias_backward(op, b->tensor, dbias->tensor, workspace));
    tess_eltwise_destroy(op);
}

/* Two parts into one whole, its first channels back out, and the whole in another layout. */
static void copies(struct trial *t) {
    struct array *a = trial_input(t, "a", trial_image(N, 3, H, W), -1, 1);
    struct array *b = trial_input(t, "b", trial_image(N, 4, H, W), -1, 1);
    struct array *whole = trial_output(t, "whole", trial_image(N, C, H, W), 0);
    struct array *slice = trial_output(t, "slice", trial_image(N, 3, H, W), 0);
    tess_tensor_desc planes = {TESS_F32, TESS_NCHW, N, C, H, W};
    struct array *nchw = trial_output(t, "nchw", planes, 0);
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        int row = i / C, c = i % C, n = row / (H * W);
        whole->want[i] = (double)(c < 3 ? a->host.f[row * 3 + c] : b->host.f[row * 4 + c - 3]);
        nchw->want[(n * C + c) * H * W + row % (H * W)] = whole->want[i];
        if (c < 3) slice->want[row * 3 + c] = whole->want[i];
    }
    trial_ready(t);
    tess_eltwise *op = NULL;
    trial_step(t, tess_eltwise_create(t->ctx, &op));
    trial_step(t, tess_concat(op, a->tensor, 0, whole->tensor));
    trial_step(t, tess_concat(op, b->tensor, 3, whole->tensor));
    trial_step(t, tess_slice(op, whole->tensor, 0, slice->tensor));
    trial_step(t, tess_layout_convert(op, whole->tensor, nchw->tensor));
    tess_eltwise_destroy(op);
}

/* The mask by the host's Philox: an element stays where its word is below (1 - rate) 2^32. */
static void dropout(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_vector(COUNT), 1, 2);
    struct array *y = trial_output(t, "y", trial_vector(COUNT), TOLERANCE);
    if (t->status) return;
    struct random_stream random = {.seed = 11, .stream = 5};
    for (int i = 0; i < COUNT; i++)
        y->want[i] = random_word(&random) >> 31 ? 0 : 2 * (double)x->host.f[i];
    trial_ready(t);
    tess_eltwise *op = NULL;
    trial_step(t, tess_eltwise_create(t->ctx, &op));
    trial_step(t, tess_dropout(op, 0.5f, 11, 5, x->tensor, y->tensor));
    tess_eltwise_destroy(op);
}

static void prelu(struct trial *t) {
    const tess_prelu_desc desc = {.n = N, .c = C, .h = H, .w = W};
    const tess_tensor_desc image = trial_image(N, C, H, W);
    struct array *x = trial_input(t, "x", image, -1, 1), *dy = trial_input(t, "dy", image, -1, 1);
    struct array *slope = trial_input(t, "slope", trial_vector(C), 0, 1);
    struct array *y = trial_output(t, "y", image, TOLERANCE);
    struct array *dx = trial_output(t, "dx", image, TOLERANCE);
    struct array *dslope = trial_output(t, "dslope", trial_vector(C), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        double in = (double)x->host.f[i], grad = (double)dy->host.f[i];
        double factor = in > 0 ? 1 : (double)slope->host.f[i % C];
        y->want[i] = factor * in;
        dx->want[i] = factor * grad;
        if (!(in > 0)) dslope->want[i % C] += grad * in;
    }
    trial_ready(t);
    tess_prelu *op = NULL;
    trial_step(t, tess_prelu_create(t->ctx, &desc, &op));
    tess_tensor *workspace = trial_scratch(t, tess_prelu_workspace(op));
    trial_step(t, tess_prelu_forward(op, x->tensor, slope->tensor, y->tensor));
    trial_step(t, tess_prelu_backward(op, &(tess_prelu_grad_args){.x = x->tensor,
                                                                  .slope = slope->tensor,
                                                                  .dy = dy->tensor,
                                                                  .dx = dx->tensor,
                                                                  .dslope = dslope->tensor,
                                                                  .workspace = workspace}));
    tess_prelu_destroy(op);
}

const struct selftest selftest_elements[] = {
    {"eltwise activations", activations},
    {"eltwise sums", sums},
    {"eltwise copies", copies},
    {"dropout", dropout},
    {"prelu", prelu},
    {0},
};
