/* Transposed convolution: the passes of the convolution that leads from y to x, taken the other way round. */
#include <limits.h>
#include <stdlib.h>

#include "core/tensor.h"
#include "ops/activation.h"
#include "ops/conv/conv_problem.h"
#include "ops/eltwise.h"
#include "ops/expect.h"

struct tess_conv_transpose {
    tess_context *ctx;
    struct conv_problem problem; /* the convolution underneath: its x is our y, its y our x */
    tess_conv_plan *plan;
    tess_eltwise *eltwise; /* forward with bias or activation; else NULL */
    bool bias;
    tess_act act;
};

static tess_status impossible(tess_error *error, const char *why) {
    return error_set(error, TESS_INVALID_SHAPE, "transposed convolution: %s", why);
}

static int at_least_one(int value) {
    return value == 0 ? 1 : value;
}

static tess_conv_transpose_desc with_defaults(const tess_conv_transpose_desc *desc) {
    tess_conv_transpose_desc full = *desc;
    int *const defaults[] = {&full.stride_h, &full.stride_w, &full.dilation_h, &full.dilation_w,
                             &full.groups};
    for (int i = 0; i < 5; i++)
        *defaults[i] = at_least_one(*defaults[i]);
    return full;
}

static tess_status check(const tess_conv_transpose_desc *d, tess_error *error) {
    const int positive[] = {d->n,        d->c,          d->h,          d->w,
                            d->k,        d->r,          d->s,          d->stride_h,
                            d->stride_w, d->dilation_h, d->dilation_w, d->groups};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (positive[i] < 1)
            return impossible(error, "a dimension, stride, dilation or number of groups is below "
                                     "1; give positive sizes");
    const int pads[] = {d->pad_top,   d->pad_bottom, d->pad_left,
                        d->pad_right, d->out_pad_h,  d->out_pad_w};
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++)
        if (pads[i] < 0) return impossible(error, "a padding is below 0; give 0 or more");
    if (d->out_pad_h >= d->stride_h || d->out_pad_w >= d->stride_w)
        return impossible(error, "output padding must be less than the stride; a larger input or "
                                 "stride gives a larger output");
    if (d->c % d->groups || d->k % d->groups)
        return impossible(error, "c and k must be multiples of the number of groups; choose "
                                 "another number of groups");
    return TESS_OK;
}

/* (size - 1) stride - padding + dilation (filter - 1) + 1 + more. */
static int64_t extent(int size, int filter, int stride, int before, int after, int dilation,
                      int more) {
    return ((int64_t)size - 1) * stride - before - after + (int64_t)dilation * (filter - 1) + 1 +
           more;
}

/* The convolution from y to x. */
static tess_status underneath(const tess_conv_transpose_desc *desc, tess_error *error,
                              tess_conv_desc *out) {
    tess_conv_transpose_desc d = with_defaults(desc);
    tess_status status = check(&d, error);
    if (status) return status;
    int64_t p = extent(d.h, d.r, d.stride_h, d.pad_top, d.pad_bottom, d.dilation_h, d.out_pad_h);
    int64_t q = extent(d.w, d.s, d.stride_w, d.pad_left, d.pad_right, d.dilation_w, d.out_pad_w);
    if (p < 1 || q < 1)
        return impossible(error, "padding takes away the whole output; use less padding");
    if (p > INT_MAX || q > INT_MAX)
        return error_set(error, TESS_UNSUPPORTED,
                         "transposed convolution: the output has more than 2^31 - 1 rows or "
                         "columns; use a smaller stride, dilation or input");
    *out = (tess_conv_desc){.dtype = d.dtype,
                            .layout = d.layout,
                            .n = d.n,
                            .c = d.k,
                            .h = (int)p,
                            .w = (int)q,
                            .k = d.c,
                            .r = d.r,
                            .s = d.s,
                            .stride_h = d.stride_h,
                            .stride_w = d.stride_w,
                            .pad_top = d.pad_top,
                            .pad_bottom = d.pad_bottom,
                            .pad_left = d.pad_left,
                            .pad_right = d.pad_right,
                            .dilation_h = d.dilation_h,
                            .dilation_w = d.dilation_w,
                            .groups = d.groups};
    int h, w; /* what the convolution makes of P and Q: H and W again */
    return tess_conv_out_size(out, error, &h, &w);
}

tess_status tess_conv_transpose_out_size(const tess_conv_transpose_desc *desc, tess_error *error,
                                         int *p, int *q) {
    if (!desc || !p || !q)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "transposed convolution: a NULL argument; give all");
    tess_conv_desc conv;
    tess_status status = underneath(desc, error, &conv);
    if (status) return status;
    *p = conv.h;
    *q = conv.w;
    return TESS_OK;
}

/* The options of the plan underneath. */
static tess_status plan_options(tess_context *ctx, tess_layout layout,
                                const tess_conv_options *given, tess_conv_options *out) {
    static const tess_conv_pass passes[] = {TESS_CONV_BWD_DATA, TESS_CONV_FWD,
                                            TESS_CONV_BWD_WEIGHTS};
    if ((unsigned)given->pass > TESS_CONV_BWD_WEIGHTS)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "transposed convolution: unknown pass; use a value of enum "
                            "tess_conv_pass");
    if ((unsigned)given->act.kind >= ACTIVATION_COUNT)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "transposed convolution: unknown activation; use a value of enum "
                            "tess_activation");
    if (given->pass != TESS_CONV_FWD && (given->bias || given->act.kind != TESS_ACT_NONE))
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "transposed convolution: bias and activation belong to the forward "
                            "pass; leave them out");
    if (given->residual)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "transposed convolution: it adds no residual; use tess_add_forward");
    if (given->bias && layout != TESS_NHWC)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "transposed convolution: bias needs layout NHWC; use that, or leave "
                            "bias out");
    *out = *given;
    out->pass = passes[given->pass];
    out->bias = false;
    out->act = (tess_act){TESS_ACT_NONE, 0};
    return TESS_OK;
}

tess_status tess_conv_transpose_create(tess_context *ctx, const tess_conv_transpose_desc *desc,
                                       const tess_conv_options *options,
                                       tess_conv_transpose **out) {
    static const tess_conv_options plain = {0};
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "transposed convolution: a NULL argument; give desc and out");
    if (!options) options = &plain;
    tess_conv_desc conv;
    tess_conv_options inner;
    tess_status status = underneath(desc, &ctx->error, &conv);
    if (!status) status = plan_options(ctx, desc->layout, options, &inner);
    if (status) return status;
    tess_conv_transpose *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "transposed convolution: no memory");
    op->ctx = ctx;
    op->bias = options->bias;
    op->act = options->act;
    status = conv_problem_init(&conv, &inner, &ctx->error, &op->problem);
    if (!status) status = tess_conv_plan_create(ctx, &conv, &inner, &op->plan);
    if (!status && (op->bias || op->act.kind != TESS_ACT_NONE))
        status = eltwise_create(ctx, ELTWISE_MAPS, &op->eltwise);
    if (status) {
        tess_conv_transpose_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void tess_conv_transpose_destroy(tess_conv_transpose *op) {
    if (!op) return;
    tess_conv_plan_destroy(op->plan);
    tess_eltwise_destroy(op->eltwise);
    free(op);
}

tess_conv_info tess_conv_transpose_info(const tess_conv_transpose *op) {
    return tess_conv_plan_info(op ? op->plan : NULL);
}

/* Before the plan does, which would name the tensors by their roles underneath. */
static tess_status check_args(const tess_conv_transpose *op, const tess_conv_args *args) {
    const struct {
        const tess_tensor *tensor;
        size_t elements;
        const char *what;
    } expected[] = {
        {args->x, conv_problem_y(&op->problem), "transposed convolution: x"},
        {args->w, conv_problem_w(&op->problem), "transposed convolution: w"},
        {args->y, conv_problem_x(&op->problem), "transposed convolution: y"},
        {args->bias, (size_t)op->problem.d.c, "transposed convolution: bias"},
    };
    for (int i = 0; i < (op->bias ? 4 : 3); i++) {
        tess_status status = tensor_expect(op->ctx, expected[i].tensor, TESS_F32,
                                           expected[i].elements, expected[i].what);
        if (status) return status;
    }
    tess_status status = TESS_OK;
    if (!op->bias) status = expect_absent(op->ctx, args->bias, expected[3].what);
    if (status) return status;
    return expect_absent(op->ctx, args->residual, "transposed convolution: residual");
}

/* y = act(y + bias). */
static tess_status finish(const tess_conv_transpose *op, const tess_conv_args *args) {
    if (!op->bias) return tess_activation_forward(op->eltwise, op->act, args->y, args->y);
    const tess_conv_desc *d = &op->problem.d;
    tess_tensor y = *args->y; /* whatever shape the caller's has: the same elements, as NHWC */
    y.desc = (tess_tensor_desc){TESS_F32, TESS_NHWC, d->n, d->c, d->h, d->w};
    return tess_bias_forward(op->eltwise, op->act, &y, args->bias, &y);
}

tess_status tess_conv_transpose_enqueue(tess_conv_transpose *op, const tess_conv_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!args)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "transposed convolution: no arguments; give x, w and y");
    tess_status status = check_args(op, args);
    if (status) return status;
    const tess_conv_args inner = {.x = args->y,
                                  .w = args->w,
                                  .y = args->x,
                                  .workspace = args->workspace,
                                  .weights_version = args->weights_version};
    status = tess_conv_plan_enqueue(op->plan, &inner);
    return !status && op->eltwise ? finish(op, args) : status;
}
