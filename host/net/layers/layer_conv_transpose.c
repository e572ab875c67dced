/* Transposed convolution. */
#include <stdio.h>

#include "net/layers/layers.h"

tess_node tess_graph_conv_transpose(tess_graph *graph, tess_node in,
                                    const tess_conv_transpose_layer *layer) {
    if (!graph_ready(graph, layer, LAYER_CONV_TRANSPOSE)) return TESS_NODE_NONE;
    const int pads[] = {layer->pad, layer->pad_top, layer->pad_bottom, layer->pad_left,
                        layer->pad_right};
    if (!graph_pads_fit(graph, layer->name ? layer->name : "convtranspose", pads))
        return TESS_NODE_NONE;
    int u = layer->stride_h ? layer->stride_h : 1, d = layer->dilation_h ? layer->dilation_h : 1;
    struct layer conv = {
        .kind = LAYER_CONV_TRANSPOSE,
        .act = layer->act,
        .bias = !layer->no_bias,
        .init = layer->init,
        .gain = layer->init_gain,
        .as.conv_transpose = {.dtype = TESS_F32,
                              .layout = TESS_NHWC,
                              .k = layer->filters,
                              .r = layer->kernel_h,
                              .s = layer->kernel_w ? layer->kernel_w : layer->kernel_h,
                              .stride_h = u,
                              .stride_w = layer->stride_w ? layer->stride_w : u,
                              .pad_top = layer->pad + layer->pad_top,
                              .pad_bottom = layer->pad + layer->pad_bottom,
                              .pad_left = layer->pad + layer->pad_left,
                              .pad_right = layer->pad + layer->pad_right,
                              .out_pad_h = layer->out_pad_h,
                              .out_pad_w = layer->out_pad_w,
                              .dilation_h = d,
                              .dilation_w = layer->dilation_w ? layer->dilation_w : d,
                              .groups = layer->groups ? layer->groups : 1}};
    return graph_add_layer(graph, conv, layer->name, &in, 1);
}

tess_status conv_transpose_shape(const struct tess_graph *graph, struct layer *layer,
                                 tess_error *error) {
    const struct layer *in = &graph->layers[layer->inputs[0]];
    tess_conv_transpose_desc *conv = &layer->as.conv_transpose;
    int p = 0, q = 0;
    conv->n = 1;
    conv->c = in->c;
    conv->h = in->h;
    conv->w = in->w;
    tess_status status = tess_conv_transpose_out_size(conv, error, &p, &q);
    if (status) return status;
    status = weights_fit((double)conv->c * (conv->k / conv->groups) * conv->r * conv->s, error);
    return status ? status : shape_set(layer, conv->k, p, q, error);
}

/* An output element is the sum of C/g R S / (u v) products. */
int conv_transpose_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]) {
    const tess_conv_transpose_desc *conv = &layer->as.conv_transpose;
    double area = (double)conv->r * conv->s, stride = (double)conv->stride_h * conv->stride_w;
    double products = (double)(conv->c / conv->groups) * area / stride;
    specs[0] = (struct param_spec){.suffix = "weight",
                                   .desc = {.dtype = TESS_F32,
                                            .layout = TESS_RSCK,
                                            .n = conv->c,
                                            .c = conv->k / conv->groups,
                                            .h = conv->r,
                                            .w = conv->s},
                                   .rank = 4,
                                   .start = START_WEIGHTS,
                                   .fan_in = products > 1 ? products : 1,
                                   .fan_out = conv->k / conv->groups * area};
    if (!layer->bias) return 1;
    specs[1] = vector_spec("bias", conv->k, 0);
    return 2;
}

double conv_transpose_flops(const struct layer *layer) {
    const tess_conv_transpose_desc *conv = &layer->as.conv_transpose;
    return 2.0 * conv->c * conv->h * conv->w * (conv->k / conv->groups) * conv->r * conv->s;
}

void conv_transpose_describe(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]) {
    const tess_conv_transpose_desc *conv = &layer->as.conv_transpose;
    char groups[32] = "";
    if (conv->groups != 1) snprintf(groups, sizeof groups, ", groups %d", conv->groups);
    snprintf(detail, LAYER_DETAIL_SIZE, "%d %dx%d / %dx%d, pad %d %d %d %d%s%s%s", conv->k, conv->r,
             conv->s, conv->stride_h, conv->stride_w, conv->pad_top, conv->pad_bottom,
             conv->pad_left, conv->pad_right, groups, layer->act.kind ? ", " : "",
             act_name(layer->act.kind));
}

/* ---------------------------------------------------------------- instructions */

static tess_status run_forward(const tess_net *net, const struct instruction *in) {
    return tess_conv_transpose_enqueue(
        net->ops[in->layer].conv_transpose[TESS_CONV_FWD],
        &(tess_conv_args){.x = in->t[OP_X],
                          .w = in->t[OP_W],
                          .y = in->t[OP_Y],
                          .bias = in->t[OP_BIAS],
                          .workspace = in->workspace,
                          .weights_version = weights_version(net, in)});
}

static tess_status run_backward_data(const tess_net *net, const struct instruction *in) {
    return tess_conv_transpose_enqueue(
        net->ops[in->layer].conv_transpose[TESS_CONV_BWD_DATA],
        &(tess_conv_args){.x = in->t[OP_DX],
                          .w = in->t[OP_W],
                          .y = in->t[OP_DY],
                          .workspace = in->workspace,
                          .weights_version = weights_version(net, in)});
}

static tess_status run_backward_weights(const tess_net *net, const struct instruction *in) {
    return tess_conv_transpose_enqueue(
        net->ops[in->layer].conv_transpose[TESS_CONV_BWD_WEIGHTS],
        &(tess_conv_args){
            .x = in->t[OP_X], .w = in->t[OP_DW], .y = in->t[OP_DY], .workspace = in->workspace});
}

/* Makes the operator of one pass, and fills in what in needs to know of it. */
static tess_status operator_create(struct lowering *lo, int index, tess_conv_pass pass,
                                   struct instruction *in) {
    tess_net *net = lo->net;
    const struct layer *layer = &net->graph->layers[index];
    tess_conv_transpose **op = &net->ops[index].conv_transpose[pass];
    tess_conv_transpose_desc desc = layer->as.conv_transpose;
    bool forward = pass == TESS_CONV_FWD;
    tess_conv_options options = {.pass = pass,
                                 .bias = forward && layer->bias,
                                 .algo = net->conv_algo,
                                 .repack = net->options.training,
                                 .strict = net->options.strict,
                                 .limit_workspace = net->options.limit_workspace,
                                 .workspace_limit = net->options.workspace_limit};
    if (forward) options.act = fused_act(&lo->layers[index]);
    desc.n = net->options.batch;
    tess_status status = tess_conv_transpose_create(net->ctx, &desc, &options, op);
    if (status) return status;
    in->layer = index;
    in->phases = forward ? PHASE_BOTH : PHASE_TRAIN;
    in->workspace_bytes = tess_conv_transpose_info(*op).workspace;
    return TESS_OK;
}

tess_status conv_transpose_forward(struct lowering *lo, int index) {
    struct instruction in = {.run = run_forward};
    tess_status status = operator_create(lo, index, TESS_CONV_FWD, &in);
    if (status) return status;
    in.slots[OP_X] = lo->layers[input_layer(lo, index, 0)].value;
    in.slots[OP_W] = param_value(lo, index, 0);
    if (lo->net->graph->layers[index].bias) in.slots[OP_BIAS] = param_value(lo, index, 1);
    in.slots[OP_Y] = lo->layers[index].value;
    return emit(lo->net, &in);
}

static tess_status weights_gradient(struct lowering *lo, int index) {
    struct instruction in = {.run = run_backward_weights};
    tess_status status = operator_create(lo, index, TESS_CONV_BWD_WEIGHTS, &in);
    if (status) return status;
    in.slots[OP_X] = lo->layers[input_layer(lo, index, 0)].value;
    in.slots[OP_DY] = lo->layers[index].grad;
    in.slots[OP_DW] = param_grad(lo, index, 0);
    return emit(lo->net, &in);
}

tess_status conv_transpose_backward(struct lowering *lo, int index) {
    struct sink dx;
    struct instruction in = {.run = run_backward_data};
    tess_status status = through_activation(lo, index);
    if (!status) status = bias_gradient(lo, index);
    if (!status) status = weights_gradient(lo, index);
    if (!status) status = sink_begin(lo, input_layer(lo, index, 0), &dx);
    if (status || dx.slot == SLOT_NONE) return status;
    status = operator_create(lo, index, TESS_CONV_BWD_DATA, &in);
    if (status) return status;
    in.slots[OP_W] = param_value(lo, index, 0);
    in.slots[OP_DY] = lo->layers[index].grad;
    in.slots[OP_DX] = dx.slot;
    status = emit(lo->net, &in);
    return status ? status : sink_end(lo, &dx);
}
