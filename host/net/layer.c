#include "net/layers/layers.h"

#include <stdio.h>
#include <string.h>

static const char *const act_names[] = {
    [TESS_ACT_NONE] = "",
    [TESS_ACT_RELU] = "ReLU",
    [TESS_ACT_LEAKY_RELU] = "leaky ReLU",
    [TESS_ACT_ELU] = "ELU",
    [TESS_ACT_SIGMOID] = "sigmoid",
    [TESS_ACT_TANH] = "tanh",
    [TESS_ACT_CLIPPED_RELU] = "clipped ReLU",
    [TESS_ACT_SELU] = "SELU",
    [TESS_ACT_HARD_SIGMOID] = "hard sigmoid",
};

static const char *const pool_names[] = {
    [TESS_POOL_MAX] = "max",
    [TESS_POOL_AVG] = "average",
    [TESS_POOL_AVG_WITH_PAD] = "average",
    [TESS_POOL_WEIGHTED] = "weighted average",
};

const char *act_name(tess_activation kind) {
    return act_names[kind];
}

/* ---------------------------------------------------------------- parameters */

struct param_spec vector_spec(const char *suffix, int count, float value) {
    return (struct param_spec){
        .suffix = suffix,
        .desc = {.dtype = TESS_F32, .layout = TESS_NHWC, .n = 1, .c = count, .h = 1, .w = 1},
        .rank = 1,
        .start = START_VALUE,
        .value = value};
}

static int conv_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]) {
    const tess_conv_desc *conv = &layer->as.conv;
    int c = conv->c / conv->groups;
    double area = (double)conv->r * conv->s;
    specs[0] = (struct param_spec){.suffix = "weight",
                                   .desc = {.dtype = TESS_F32,
                                            .layout = TESS_RSCK,
                                            .n = conv->k,
                                            .c = c,
                                            .h = conv->r,
                                            .w = conv->s},
                                   .rank = 4,
                                   .fan_in = c * area,
                                   .fan_out = conv->k / conv->groups * area};
    if (!layer->bias) return 1;
    specs[1] = vector_spec("bias", conv->k, layer->init_bias);
    return 2;
}

static int pool_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]) {
    if (layer->as.pool.mode != TESS_POOL_WEIGHTED) return 0;
    specs[0] = vector_spec("scale", layer->c, 1);
    specs[1] = vector_spec("bias", layer->c, 0);
    return 2;
}

/* The matrix takes the input as it lies in memory, H W C; only files need to know the dimensions. */
static int fc_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]) {
    int k = layer->as.fc.outputs;
    specs[0] = (struct param_spec){.suffix = "weight",
                                   .desc = {.dtype = TESS_F32,
                                            .layout = TESS_RSCK,
                                            .n = k,
                                            .c = layer->as.fc.c,
                                            .h = layer->as.fc.h,
                                            .w = layer->as.fc.w},
                                   .rank = 2,
                                   .fan_in = layer->as.fc.inputs,
                                   .fan_out = k};
    if (!layer->bias) return 1;
    specs[1] = vector_spec("bias", k, layer->init_bias);
    return 2;
}

static int batch_norm_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]) {
    specs[0] = vector_spec("weight", layer->c, 1);
    specs[1] = vector_spec("bias", layer->c, 0);
    specs[2] = vector_spec("running_mean", layer->c, 0);
    specs[3] = vector_spec("running_var", layer->c, 1);
    specs[2].state = specs[3].state = true;
    return 4;
}

int layer_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]) {
    const struct layer_kind_info *kind = &layer_kinds[layer->kind];
    return kind->params ? kind->params(layer, specs) : 0;
}

/* ---------------------------------------------------------------- arithmetic */

static double neurons(const struct layer *layer) {
    return (double)layer->c * layer->h * layer->w;
}

static double conv_flops(const struct layer *layer) {
    return tess_conv_flops(&layer->as.conv);
}

static double pool_flops(const struct layer *layer) {
    const tess_pool_desc *pool = &layer->as.pool;
    double window = pool->global ? (double)pool->h * pool->w : (double)pool->r * pool->s;
    return neurons(layer) * window;
}

static double lrn_flops(const struct layer *layer) {
    return neurons(layer) * (2.0 * layer->as.lrn.size + 2);
}

static double fc_flops(const struct layer *layer) {
    return 2.0 * layer->as.fc.inputs * layer->as.fc.outputs;
}

/* A multiply-add an element, as in inference. */
static double batch_norm_flops(const struct layer *layer) {
    return 2 * neurons(layer);
}

/* ---------------------------------------------------------------- words */

/* Appends to what is there; what does not fit is cut. */
#define APPEND(detail, ...)                                                                        \
    snprintf((detail) + strlen(detail), LAYER_DETAIL_SIZE - strlen(detail), __VA_ARGS__)

static void append_act(const struct layer *layer, char *detail) {
    if (layer->act.kind != TESS_ACT_NONE)
        APPEND(detail, "%s%s", *detail ? ", " : "", act_names[layer->act.kind]);
}

static void append_window(char *detail, int r, int s, int u, int v) {
    APPEND(detail, "%dx%d", r, s);
    if (u != v)
        APPEND(detail, " / %dx%d", u, v);
    else if (u != 1)
        APPEND(detail, " / %d", u);
}

static void append_padding(char *detail, int top, int bottom, int left, int right) {
    if (top == bottom && top == left && top == right) {
        if (top) APPEND(detail, ", pad %d", top);
    } else {
        APPEND(detail, ", pad %d %d %d %d", top, bottom, left, right);
    }
}

static void conv_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    const tess_conv_desc *conv = &layer->as.conv;
    APPEND(detail, "%d ", conv->k);
    append_window(detail, conv->r, conv->s, conv->stride_h, conv->stride_w);
    append_padding(detail, conv->pad_top, conv->pad_bottom, conv->pad_left, conv->pad_right);
    if (conv->dilation_h != 1 || conv->dilation_w != 1)
        APPEND(detail, ", dilation %dx%d", conv->dilation_h, conv->dilation_w);
    if (conv->groups != 1) APPEND(detail, ", groups %d", conv->groups);
    append_act(layer, detail);
}

static void pool_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    const tess_pool_desc *pool = &layer->as.pool;
    APPEND(detail, "%s%s ", pool->global ? "global " : "", pool_names[pool->mode]);
    if (pool->global)
        APPEND(detail, "%dx%d", pool->h, pool->w);
    else
        append_window(detail, pool->r, pool->s, pool->stride_h, pool->stride_w);
    append_padding(detail, pool->pad_top, pool->pad_bottom, pool->pad_left, pool->pad_right);
    append_act(layer, detail);
}

static void fc_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    APPEND(detail, "%d", layer->as.fc.outputs);
    append_act(layer, detail);
}

static void concat_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    APPEND(detail, "%d parts", layer->input_count);
}

static void dropout_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    APPEND(detail, "rate %g", (double)layer->as.rate);
}

static void lrn_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    const tess_lrn_desc *lrn = &layer->as.lrn;
    APPEND(detail, "size %d, alpha %g, beta %g, k %g", lrn->size, (double)lrn->alpha,
           (double)lrn->beta, (double)lrn->k);
}

static void auxiliary_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    APPEND(detail, "weight %g, in training only", (double)layer->as.weight);
}

/* ---------------------------------------------------------------- the kinds */

const struct layer_kind_info layer_kinds[LAYER_KINDS] = {
    [LAYER_INPUT] = {"input", false, shape_input, NULL, NULL, NULL},
    [LAYER_CONV] = {"conv", true, shape_conv, conv_params, conv_flops, conv_describe},
    [LAYER_POOL] = {"pool", true, shape_pool, pool_params, pool_flops, pool_describe},
    [LAYER_FC] = {"fc", true, shape_fc, fc_params, fc_flops, fc_describe},
    [LAYER_BATCH_NORM] = {"batchnorm", true, shape_batch_norm, batch_norm_params, batch_norm_flops,
                          append_act},
    [LAYER_LRN] = {"lrn", true, shape_lrn, NULL, lrn_flops, lrn_describe},
    [LAYER_ACTIVATION] = {"activation", true, shape_same, NULL, neurons, append_act},
    [LAYER_ADD] = {"add", true, shape_add, NULL, neurons, append_act},
    [LAYER_CONCAT] = {"concat", true, shape_concat, NULL, NULL, concat_describe},
    [LAYER_DROPOUT] = {"dropout", true, shape_dropout, NULL, neurons, dropout_describe},
    [LAYER_AUXILIARY] = {"auxiliary", true, shape_auxiliary, NULL, neurons, auxiliary_describe,
                         .loss = true},
    [LAYER_SOFTMAX] = {"softmax", false, shape_softmax, NULL, neurons, NULL, .loss = true,
                       .end = true},
    [LAYER_MSE] = {"mse", false, mse_shape, NULL, neurons, mse_describe, .loss = true, .end = true},
    [LAYER_OUTPUT] = {"output", false, shape_same, NULL, NULL, NULL, .end = true},
    [LAYER_CONV_TRANSPOSE] = {"convtranspose", true, conv_transpose_shape, conv_transpose_params,
                              conv_transpose_flops, conv_transpose_describe},
    [LAYER_UPSAMPLE] = {"upsample", true, upsample_shape, NULL, upsample_flops, upsample_describe},
    [LAYER_PAD] = {"pad", true, pad_shape, NULL, NULL, pad_describe},
    [LAYER_PRELU] = {"prelu", true, shape_same, prelu_params, neurons, prelu_describe},
    [LAYER_BINARY] = {"elementwise", true, binary_shape, NULL, neurons, binary_describe},
    [LAYER_REDUCE] = {"reduce", true, reduce_shape, NULL, NULL, reduce_describe},
    [LAYER_RESHAPE] = {"reshape", true, reshape_shape, NULL, NULL, reshape_describe},
    [LAYER_TRANSPOSE] = {"transpose", true, transpose_shape, NULL, NULL, transpose_describe},
};

tess_act layer_act(const struct tess_graph *graph, int index, int *folded) {
    const struct layer *layer = &graph->layers[index];
    bool can_fold = layer->kind == LAYER_CONV || layer->kind == LAYER_FC ||
                    layer->kind == LAYER_ADD || layer->kind == LAYER_BATCH_NORM ||
                    layer->kind == LAYER_CONV_TRANSPOSE ||
                    (layer->kind == LAYER_POOL && layer->as.pool.mode == TESS_POOL_WEIGHTED);
    *folded = -1;
    if (!can_fold || layer->act.kind != TESS_ACT_NONE || layer->consumers != 1) return layer->act;
    const struct layer *next = &graph->layers[layer->last_consumer];
    if (next->kind != LAYER_ACTIVATION) return layer->act;
    *folded = layer->last_consumer;
    return next->act;
}
