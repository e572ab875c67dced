/* Convolution: every registered algorithm and pass, in the configuration that the planner would take. */
#include "ops/conv/conv_algo.h"
#include "selftest/trial.h"

#include <stdio.h>

enum { PASSES = 3 };

/* Each algorithm takes the first one that it can do. */
static const tess_conv_desc problems[] = {
    {.n = 1,
     .c = 16,
     .h = 9,
     .w = 10,
     .k = 32,
     .r = 3,
     .s = 3,
     .pad_top = 1,
     .pad_bottom = 1,
     .pad_left = 1,
     .pad_right = 1},
    {.n = 2, .c = 24, .h = 5, .w = 6, .k = 32, .r = 1, .s = 1},
    {.n = 1,
     .c = 3,
     .h = 15,
     .w = 14,
     .k = 16,
     .r = 3,
     .s = 3,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_bottom = 1,
     .pad_left = 1,
     .pad_right = 1},
    {.n = 1,
     .c = 16,
     .h = 9,
     .w = 8,
     .k = 16,
     .r = 3,
     .s = 3,
     .pad_top = 1,
     .pad_bottom = 1,
     .pad_left = 1,
     .pad_right = 1,
     .groups = 16},
};
enum { PROBLEM_COUNT = sizeof problems / sizeof *problems };

int selftest_conv_count(void) {
    return PASSES * conv_algo_count;
}

void selftest_conv_name(int index, char name[SELFTEST_NAME_SIZE]) {
    snprintf(name, SELFTEST_NAME_SIZE, "conv %s %s", conv_algos[index / PASSES]->name,
             conv_pass_name((tess_conv_pass)(index % PASSES)));
}

/* The three arrays of a convolution; the one that the pass makes is an output. */
struct operands {
    struct array *x, *w, *y;
};

/* Calls one product of x, w and y after the other: the definition, tap by tap. */
static void each_product(const struct conv_problem *p, const struct operands *o,
                         void add(const struct operands *, size_t x, size_t w, size_t y)) {
    const tess_conv_desc *d = &p->d;
    for (int n = 0; n < d->n; n++)
        for (int out = 0; out < p->p * p->q; out++)
            for (int tap = 0; tap < d->r * d->s; tap++) {
                int h = out / p->q * d->stride_h - d->pad_top + tap / d->s * d->dilation_h;
                int w = out % p->q * d->stride_w - d->pad_left + tap % d->s * d->dilation_w;
                if (h < 0 || h >= d->h || w < 0 || w >= d->w) continue;
                for (int i = 0; i < p->cg * d->k; i++) {
                    int c = i / d->k, k = i % d->k;
                    int pixel = (n * d->h + h) * d->w + w;
                    add(o, (size_t)(pixel * d->c + k / p->kg * p->cg + c),
                        (size_t)((tap * p->cg + c) * d->k + k),
                        (size_t)((n * p->p * p->q + out) * d->k + k));
                }
            }
}

static void add_y(const struct operands *o, size_t x, size_t w, size_t y) {
    o->y->want[y] += (double)o->x->host.f[x] * (double)o->w->host.f[w];
}

static void add_x(const struct operands *o, size_t x, size_t w, size_t y) {
    o->x->want[x] += (double)o->y->host.f[y] * (double)o->w->host.f[w];
}

static void add_w(const struct operands *o, size_t x, size_t w, size_t y) {
    o->w->want[w] += (double)o->x->host.f[x] * (double)o->y->host.f[y];
}

static struct array *operand(struct trial *trial, const char *name, tess_tensor_desc desc,
                             bool output, double tolerance) {
    return output ? trial_output(trial, name, desc, tolerance)
                  : trial_input(trial, name, desc, -1, 1);
}

static void run(struct trial *trial, const struct conv_algo *algo, const struct conv_problem *p) {
    static void (*const add[PASSES])(const struct operands *, size_t, size_t,
                                     size_t) = {add_y, add_x, add_w};
    const tess_conv_desc *d = &p->d;
    /* Winograd's transforms lose some digits. */
    double tolerance = algo->error_growth ? 1e-3 : 1e-4;
    struct operands o = {
        .x = operand(trial, "x", trial_image(d->n, d->c, d->h, d->w), p->pass == TESS_CONV_BWD_DATA,
                     tolerance),
        .w = operand(trial, "w", trial_weights(d->r, d->s, p->cg, d->k),
                     p->pass == TESS_CONV_BWD_WEIGHTS, tolerance),
        .y = operand(trial, "y", trial_image(d->n, d->k, p->p, p->q), p->pass == TESS_CONV_FWD,
                     tolerance),
    };
    if (trial->status) return;
    each_product(p, &o, add[p->pass]);
    trial_ready(trial);
    tess_conv_plan *plan = NULL;
    const tess_conv_options options = {.pass = p->pass, .algo = algo->name};
    if (trial_step(trial, tess_conv_plan_create(trial->ctx, d, &options, &plan))) {
        const tess_conv_args args = {.x = o.x->tensor,
                                     .w = o.w->tensor,
                                     .y = o.y->tensor,
                                     .workspace =
                                         trial_scratch(trial, tess_conv_plan_info(plan).workspace)};
        trial_step(trial, tess_conv_plan_enqueue(plan, &args));
    }
    tess_conv_plan_destroy(plan);
}

void selftest_conv_run(struct trial *trial, int index) {
    const struct conv_algo *algo = conv_algos[index / PASSES];
    const tess_conv_options options = {.pass = (tess_conv_pass)(index % PASSES)};
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        struct conv_problem problem;
        if (!trial_step(trial,
                        conv_problem_init(&problems[i], &options, &trial->ctx->error, &problem)))
            return;
        if (conv_algo_applicable(algo, &problem, &trial->ctx->device)) {
            run(trial, algo, &problem);
            return;
        }
    }
    trial->left_out = true;
}
