/* Softmax, losses and the optimiser. */
#include "selftest/trial.h"

#include <math.h>

enum { N = 5, C = 13, COUNT = N * C };

#define TOLERANCE 1e-4

/* Softmax of row n of x into p. */
static void row_softmax(const float *x, int n, double p[C]) {
    double sum = 0;
    for (int c = 0; c < C; c++)
        sum += exp((double)x[n * C + c]);
    for (int c = 0; c < C; c++)
        p[c] = exp((double)x[n * C + c]) / sum;
}

static void softmax(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_image(N, C, 1, 1), -3, 3);
    struct array *dy = trial_input(t, "dy", trial_image(N, C, 1, 1), -1, 1);
    struct array *y = trial_output(t, "y", trial_image(N, C, 1, 1), TOLERANCE);
    struct array *dx = trial_output(t, "dx", trial_image(N, C, 1, 1), TOLERANCE);
    if (t->status) return;
    for (int n = 0; n < N; n++) {
        double p[C], dot = 0;
        row_softmax(x->host.f, n, p);
        for (int c = 0; c < C; c++)
            dot += p[c] * (double)dy->host.f[n * C + c];
        for (int c = 0; c < C; c++) {
            y->want[n * C + c] = p[c];
            dx->want[n * C + c] = p[c] * ((double)dy->host.f[n * C + c] - dot);
        }
    }
    trial_ready(t);
    tess_softmax *op = NULL;
    trial_step(t, tess_softmax_create(t->ctx, N, C, &op));
    trial_step(t, tess_softmax_forward(op, x->tensor, y->tensor));
    trial_step(t, tess_softmax_backward(op, y->tensor, dy->tensor, dx->tensor));
    tess_softmax_destroy(op);
}

/* The last row has no label. */
static void cross_entropy(struct trial *t) {
    struct array *x = trial_input(t, "logits", trial_image(N, C, 1, 1), -3, 3);
    struct array *labels = trial_input(t, "labels", trial_integers(N), 0, 0);
    struct array *result = trial_output(t, "result", trial_vector(2), TOLERANCE);
    struct array *dx = trial_output(t, "dlogits", trial_image(N, C, 1, 1), TOLERANCE);
    tess_tensor *workspace = trial_scratch(t, 2 * N * sizeof(float));
    if (t->status) return;
    for (int n = 0; n < N; n++) {
        double p[C];
        int best = 0;
        labels->host.i[n] = n == N - 1 ? -1 : 3 * n % C;
        if (n == N - 1) break;
        row_softmax(x->host.f, n, p);
        for (int c = 0; c < C; c++) {
            dx->want[n * C + c] = 0.25 * (p[c] - (c == labels->host.i[n]));
            if (p[c] > p[best]) best = c;
        }
        result->want[0] -= log(p[labels->host.i[n]]);
        result->want[1] += best == labels->host.i[n];
    }
    trial_ready(t);
    tess_softmax *op = NULL;
    trial_step(t, tess_softmax_create(t->ctx, N, C, &op));
    trial_step(t, tess_xent(op, &(tess_xent_args){.logits = x->tensor,
                                                  .labels = labels->tensor,
                                                  .scale = 0.25f,
                                                  .result = result->tensor,
                                                  .dlogits = dx->tensor,
                                                  .workspace = workspace}));
    tess_softmax_destroy(op);
}

static void squared_error(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_image(N, C, 1, 1), -1, 1);
    struct array *target = trial_input(t, "target", trial_image(N, C, 1, 1), -1, 1);
    struct array *result = trial_output(t, "result", trial_vector(1), TOLERANCE);
    struct array *dx = trial_output(t, "dx", trial_image(N, C, 1, 1), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        double d = (double)x->host.f[i] - (double)target->host.f[i];
        result->want[0] += d * d;
        dx->want[i] = 2 * 0.5 * d;
    }
    trial_ready(t);
    tess_mse *op = NULL;
    trial_step(t, tess_mse_create(t->ctx, N, C, &op));
    trial_step(t, tess_mse_enqueue(
                      op, &(tess_mse_args){.x = x->tensor,
                                           .target = target->tensor,
                                           .scale = 0.5f,
                                           .result = result->tensor,
                                           .dx = dx->tensor,
                                           .workspace = trial_scratch(t, tess_mse_workspace(op))}));
    tess_mse_destroy(op);
}

/* Three steps with the same gradient. The results are copied: a step works in place. */
static void sgd(struct trial *t) {
    const tess_sgd_desc desc = {.lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.01f};
    struct array *start = trial_input(t, "start", trial_vector(COUNT), -1, 1);
    struct array *grad = trial_input(t, "grad", trial_vector(COUNT), -1, 1);
    struct array *param = trial_output(t, "param", trial_vector(COUNT), TOLERANCE);
    struct array *velocity = trial_output(t, "velocity", trial_vector(COUNT), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        param->want[i] = (double)start->host.f[i];
        for (int step = 0; step < 3; step++) {
            velocity->want[i] =
                0.9 * velocity->want[i] + (double)grad->host.f[i] + 0.01 * param->want[i];
            param->want[i] -= 0.1 * velocity->want[i];
        }
    }
    trial_ready(t);
    tess_sgd *op = NULL;
    trial_step(t, tess_sgd_create(t->ctx, &op));
    trial_step(t, tess_tensor_write(param->tensor, start->host.f, TESS_NHWC));
    trial_step(t, tess_tensor_fill(velocity->tensor, 0));
    for (int step = 0; step < 3; step++)
        trial_step(t, tess_sgd_step(op, &desc, param->tensor, grad->tensor, velocity->tensor));
    tess_sgd_destroy(op);
}

const struct selftest selftest_losses[] = {
    {"softmax", softmax},
    {"softmax_xent", cross_entropy},
    {"mse", squared_error},
    {"sgd", sgd},
    {0},
};
