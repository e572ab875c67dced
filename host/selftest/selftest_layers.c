/* Pooling, normalisation and fully connected layers, forward and backward. */
#include "selftest/trial.h"

#include <math.h>

enum { N = 2, C = 19, H = 5, W = 7, ROWS = N * H * W, IMAGE = ROWS * C };

#define TOLERANCE 1e-4

/* ---------------------------------------------------------------- pooling: windows of 3 x 3, stride 2, no padding */

enum { P = 2, Q = 3, WINDOW = 3, STRIDE = 2, POOLED = N * P * Q * C };

/* Element of x at tap t of y's element i. */
static int pool_index(int i, int t) {
    int c = i % C, q = i / C % Q, p = i / C / Q % P, n = i / C / Q / P;
    return ((n * H + p * STRIDE + t / WINDOW) * W + q * STRIDE + t % WINDOW) * C + c;
}

static const tess_pool_desc pool_desc = {.n = N,
                                         .c = C,
                                         .h = H,
                                         .w = W,
                                         .r = WINDOW,
                                         .s = WINDOW,
                                         .stride_h = STRIDE,
                                         .stride_w = STRIDE};

static void pool_max(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_image(N, C, H, W), -1, 1);
    struct array *dy = trial_input(t, "dy", trial_image(N, C, P, Q), -1, 1);
    struct array *y = trial_output(t, "y", trial_image(N, C, P, Q), 0);
    struct array *dx = trial_output(t, "dx", trial_image(N, C, H, W), TOLERANCE);
    tess_tensor_desc where = {TESS_I32, TESS_NHWC, N, C, P, Q};
    struct array *positions = trial_output(t, "positions", where, 0);
    if (t->status) return;
    for (int i = 0; i < POOLED; i++) {
        int best = pool_index(i, 0);
        for (int tap = 1; tap < WINDOW * WINDOW; tap++)
            if (x->host.f[pool_index(i, tap)] > x->host.f[best]) best = pool_index(i, tap);
        y->want[i] = (double)x->host.f[best];
        positions->want[i] = best / C % (H * W);
        dx->want[best] += (double)dy->host.f[i];
    }
    trial_ready(t);
    tess_pool *op = NULL;
    trial_step(t, tess_pool_create(t->ctx, &pool_desc, &op));
    trial_step(t, tess_pool_forward(op, &(tess_pool_args){.x = x->tensor,
                                                          .y = y->tensor,
                                                          .positions = positions->tensor}));
    trial_step(t, tess_pool_backward(op, &(tess_pool_grad_args){.dy = dy->tensor,
                                                                .dx = dx->tensor,
                                                                .positions = positions->tensor}));
    tess_pool_destroy(op);
}

static void pool_average(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_image(N, C, H, W), -1, 1);
    struct array *dy = trial_input(t, "dy", trial_image(N, C, P, Q), -1, 1);
    struct array *y = trial_output(t, "y", trial_image(N, C, P, Q), TOLERANCE);
    struct array *dx = trial_output(t, "dx", trial_image(N, C, H, W), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < POOLED; i++)
        for (int tap = 0; tap < WINDOW * WINDOW; tap++) {
            y->want[i] += (double)x->host.f[pool_index(i, tap)] / (WINDOW * WINDOW);
            dx->want[pool_index(i, tap)] += (double)dy->host.f[i] / (WINDOW * WINDOW);
        }
    trial_ready(t);
    tess_pool_desc desc = pool_desc;
    desc.mode = TESS_POOL_AVG;
    tess_pool *op = NULL;
    trial_step(t, tess_pool_create(t->ctx, &desc, &op));
    trial_step(t, tess_pool_forward(op, &(tess_pool_args){.x = x->tensor, .y = y->tensor}));
    trial_step(t,
               tess_pool_backward(op, &(tess_pool_grad_args){.dy = dy->tensor, .dx = dx->tensor}));
    tess_pool_destroy(op);
}

/* LeNet-5's: scale and bias a channel. */
static void pool_weighted(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_image(N, C, H, W), -1, 1);
    struct array *scale = trial_input(t, "scale", trial_vector(C), -1, 1);
    struct array *bias = trial_input(t, "bias", trial_vector(C), -1, 1);
    struct array *dy = trial_input(t, "dy", trial_image(N, C, P, Q), -1, 1);
    struct array *y = trial_output(t, "y", trial_image(N, C, P, Q), TOLERANCE);
    struct array *dx = trial_output(t, "dx", trial_image(N, C, H, W), TOLERANCE);
    struct array *dscale = trial_output(t, "dscale", trial_vector(C), TOLERANCE);
    struct array *dbias = trial_output(t, "dbias", trial_vector(C), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < POOLED; i++) {
        double mean = 0, factor = (double)scale->host.f[i % C], grad = (double)dy->host.f[i];
        for (int tap = 0; tap < WINDOW * WINDOW; tap++) {
            mean += (double)x->host.f[pool_index(i, tap)] / (WINDOW * WINDOW);
            dx->want[pool_index(i, tap)] += factor * grad / (WINDOW * WINDOW);
        }
        y->want[i] = factor * mean + (double)bias->host.f[i % C];
        dscale->want[i % C] += grad * mean;
        dbias->want[i % C] += grad;
    }
    trial_ready(t);
    tess_pool_desc desc = pool_desc;
    desc.mode = TESS_POOL_WEIGHTED;
    tess_pool *op = NULL;
    trial_step(t, tess_pool_create(t->ctx, &desc, &op));
    trial_step(t, tess_pool_forward(op, &(tess_pool_args){.x = x->tensor,
                                                          .y = y->tensor,
                                                          .scale = scale->tensor,
                                                          .bias = bias->tensor}));
    trial_step(t, tess_pool_backward(op, &(tess_pool_grad_args){.dy = dy->tensor,
                                                                .dx = dx->tensor,
                                                                .x = x->tensor,
                                                                .scale = scale->tensor,
                                                                .dscale = dscale->tensor,
                                                                .dbias = dbias->tensor,
                                                                .workspace = trial_scratch(
                                                                    t, tess_pool_workspace(op))}));
    tess_pool_destroy(op);
}

/* ---------------------------------------------------------------- batch normalisation, with ReLU */

#define EPS 1e-5

/* Mean and 1 / sqrt(variance + eps) of channel c. */
static void statistics(const float *x, int c, double *mean, double *var) {
    double sum = 0, squares = 0;
    for (int row = 0; row < ROWS; row++)
        sum += (double)x[row * C + c];
    *mean = sum / ROWS;
    for (int row = 0; row < ROWS; row++) {
        double d = (double)x[row * C + c] - *mean;
        squares += d * d;
    }
    *var = squares / ROWS;
}

static const tess_batch_norm_desc norm_desc = {
    .n = N, .c = C, .h = H, .w = W, .act = {.kind = TESS_ACT_RELU}};

struct norm_arrays {
    struct array *x, *scale, *bias, *dy, *y, *dx, *dscale, *dbias, *mean, *invstd;
};

static void norm_expect(const struct norm_arrays *a, int c) {
    double mean, var, sum = 0, dot = 0;
    statistics(a->x->host.f, c, &mean, &var);
    double invstd = 1 / sqrt(var + EPS), scale = (double)a->scale->host.f[c];
    a->mean->want[c] = mean;
    a->invstd->want[c] = invstd;
    for (int i = c; i < IMAGE; i += C) {
        double z = ((double)a->x->host.f[i] - mean) * invstd;
        double y = z * scale + (double)a->bias->host.f[c];
        a->y->want[i] = y > 0 ? y : 0;
        if (y > 0) sum += (double)a->dy->host.f[i];
        if (y > 0) dot += (double)a->dy->host.f[i] * z;
    }
    a->dscale->want[c] = dot;
    a->dbias->want[c] = sum;
    for (int i = c; i < IMAGE; i += C) {
        double z = ((double)a->x->host.f[i] - mean) * invstd;
        double dy = a->y->want[i] > 0 ? (double)a->dy->host.f[i] : 0;
        a->dx->want[i] = scale * invstd * (dy - sum / ROWS - z * dot / ROWS);
    }
}

static void norm_train(struct trial *t) {
    struct norm_arrays a = {
        .x = trial_input(t, "x", trial_image(N, C, H, W), -1, 3),
        .scale = trial_input(t, "scale", trial_vector(C), 0.5f, 2),
        .bias = trial_input(t, "bias", trial_vector(C), -1, 1),
        .dy = trial_input(t, "dy", trial_image(N, C, H, W), -1, 1),
        .y = trial_output(t, "y", trial_image(N, C, H, W), TOLERANCE),
        .dx = trial_output(t, "dx", trial_image(N, C, H, W), TOLERANCE),
        .dscale = trial_output(t, "dscale", trial_vector(C), TOLERANCE),
        .dbias = trial_output(t, "dbias", trial_vector(C), TOLERANCE),
        .mean = trial_output(t, "mean", trial_vector(C), TOLERANCE),
        .invstd = trial_output(t, "invstd", trial_vector(C), TOLERANCE),
    };
    if (t->status) return;
    for (int c = 0; c < C; c++)
        norm_expect(&a, c);
    trial_ready(t);
    tess_batch_norm *op = NULL;
    trial_step(t, tess_batch_norm_create(t->ctx, &norm_desc, &op));
    tess_tensor *workspace = trial_scratch(t, tess_batch_norm_workspace(op));
    trial_step(t, tess_batch_norm_forward_training(
                      op, &(tess_batch_norm_args){.x = a.x->tensor,
                                                  .scale = a.scale->tensor,
                                                  .bias = a.bias->tensor,
                                                  .y = a.y->tensor,
                                                  .saved_mean = a.mean->tensor,
                                                  .saved_invstd = a.invstd->tensor,
                                                  .workspace = workspace}));
    trial_step(t, tess_batch_norm_backward(
                      op, &(tess_batch_norm_grad_args){.x = a.x->tensor,
                                                       .y = a.y->tensor,
                                                       .dy = a.dy->tensor,
                                                       .scale = a.scale->tensor,
                                                       .bias = a.bias->tensor,
                                                       .saved_mean = a.mean->tensor,
                                                       .saved_invstd = a.invstd->tensor,
                                                       .dx = a.dx->tensor,
                                                       .dscale = a.dscale->tensor,
                                                       .dbias = a.dbias->tensor,
                                                       .workspace = workspace}));
    tess_batch_norm_destroy(op);
}

static void norm_infer(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_image(N, C, H, W), -1, 3);
    struct array *scale = trial_input(t, "scale", trial_vector(C), 0.5f, 2);
    struct array *bias = trial_input(t, "bias", trial_vector(C), -1, 1);
    struct array *mean = trial_input(t, "running_mean", trial_vector(C), -1, 1);
    struct array *var = trial_input(t, "running_var", trial_vector(C), 0.5f, 2);
    struct array *y = trial_output(t, "y", trial_image(N, C, H, W), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < IMAGE; i++) {
        int c = i % C;
        double z =
            ((double)x->host.f[i] - (double)mean->host.f[c]) / sqrt((double)var->host.f[c] + EPS);
        double value = z * (double)scale->host.f[c] + (double)bias->host.f[c];
        y->want[i] = value > 0 ? value : 0;
    }
    trial_ready(t);
    tess_batch_norm *op = NULL;
    trial_step(t, tess_batch_norm_create(t->ctx, &norm_desc, &op));
    trial_step(t, tess_batch_norm_forward_inference(
                      op, &(tess_batch_norm_args){
                              .x = x->tensor,
                              .scale = scale->tensor,
                              .bias = bias->tensor,
                              .y = y->tensor,
                              .running_mean = mean->tensor,
                              .running_var = var->tensor,
                              .workspace = trial_scratch(t, tess_batch_norm_workspace(op))}));
    tess_batch_norm_destroy(op);
}

/* ---------------------------------------------------------------- local response normalisation: 5 channels */

/* y = x s^-beta with s = k + alpha / 5 sum x^2; the derivative runs over every window that x[c] is in. */
static void lrn(struct trial *t) {
    const tess_lrn_desc desc = {
        .n = N, .c = C, .h = H, .w = W, .size = 5, .alpha = 0.5f, .beta = 0.75f, .k = 2};
    struct array *x = trial_input(t, "x", trial_image(N, C, H, W), -1, 1);
    struct array *dy = trial_input(t, "dy", trial_image(N, C, H, W), -1, 1);
    struct array *y = trial_output(t, "y", trial_image(N, C, H, W), TOLERANCE);
    struct array *dx = trial_output(t, "dx", trial_image(N, C, H, W), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < IMAGE; i++) {
        double sum = 0, own = (double)x->host.f[i], grad = (double)dy->host.f[i];
        int first = i % C < 2 ? -(i % C) : -2, last = i % C > C - 3 ? C - 1 - i % C : 2;
        for (int j = first; j <= last; j++)
            sum += (double)x->host.f[i + j] * (double)x->host.f[i + j];
        double s = 2 + 0.1 * sum;
        y->want[i] = own * pow(s, -0.75);
        dx->want[i] += grad * pow(s, -0.75);
        for (int j = first; j <= last; j++)
            dx->want[i + j] -=
                2 * 0.75 * 0.1 * grad * own * pow(s, -1.75) * (double)x->host.f[i + j];
    }
    trial_ready(t);
    tess_lrn *op = NULL;
    trial_step(t, tess_lrn_create(t->ctx, &desc, &op));
    trial_step(t, tess_lrn_forward(op, x->tensor, y->tensor));
    trial_step(t, tess_lrn_backward(op, x->tensor, dy->tensor, dx->tensor));
    tess_lrn_destroy(op);
}

/* ---------------------------------------------------------------- fully connected */

enum { FC_N = 3, FC_C = 20, FC_K = 17 };

static void fc_by(struct trial *t, const char *backend) {
    struct array *x = trial_input(t, "x", trial_image(FC_N, FC_C, 1, 1), -1, 1);
    struct array *w = trial_input(t, "w", trial_weights(1, 1, FC_C, FC_K), -1, 1);
    struct array *dy = trial_input(t, "dy", trial_image(FC_N, FC_K, 1, 1), -1, 1);
    struct array *y = trial_output(t, "y", trial_image(FC_N, FC_K, 1, 1), TOLERANCE);
    struct array *dx = trial_output(t, "dx", trial_image(FC_N, FC_C, 1, 1), TOLERANCE);
    struct array *dw = trial_output(t, "dw", trial_weights(1, 1, FC_C, FC_K), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < FC_N * FC_C * FC_K; i++) {
        int n = i / FC_K / FC_C, c = i / FC_K % FC_C, k = i % FC_K;
        double a = (double)x->host.f[n * FC_C + c], b = (double)w->host.f[c * FC_K + k];
        double d = (double)dy->host.f[n * FC_K + k];
        y->want[n * FC_K + k] += a * b;
        dx->want[n * FC_C + c] += b * d;
        dw->want[c * FC_K + k] += a * d;
    }
    trial_ready(t);
    tess_fc *op = NULL;
    const tess_fc_desc desc = {.n = FC_N, .c = FC_C, .k = FC_K, .backend = backend};
    trial_step(t, tess_fc_create(t->ctx, &desc, &op));
    tess_tensor *workspace = trial_scratch(t, tess_fc_workspace(op));
    trial_step(t, tess_fc_forward(op, x->tensor, w->tensor, NULL, y->tensor, workspace, 0));
    trial_step(t, tess_fc_backward_data(op, dy->tensor, w->tensor, dx->tensor, workspace, 0));
    trial_step(t, tess_fc_backward_weights(op, x->tensor, dy->tensor, dw->tensor, workspace));
    tess_fc_destroy(op);
}

static void fc_conv_engine(struct trial *t) {
    fc_by(t, "conv");
}

static void fc_streaming(struct trial *t) {
    fc_by(t, "stream");
}

/* CPUs do not use it, and take long to compile it. */
static void fc_by_clblast(struct trial *t) {
    if (t->ctx->device.type & CL_DEVICE_TYPE_CPU)
        t->left_out = true;
    else
        fc_by(t, "clblast");
}

const struct selftest selftest_layers[] = {
    {"pool max", pool_max},
    {"pool average", pool_average},
    {"pool weighted", pool_weighted},
    {"batch_norm training", norm_train},
    {"batch_norm inference", norm_infer},
    {"lrn", lrn},
    {"fc conv", fc_conv_engine},
    {"fc stream", fc_streaming},
    {"fc clblast", fc_by_clblast},
    {0},
};
