/* Each instruction is one call of an operator. */
#include "net/layers/layers.h"
#include "ops/slice_activation.h"

uint64_t weights_version(const tess_net *net, const struct instruction *in) {
    if (!in->t[OP_W]) return 0; /* staged */
    uint64_t steps = in->layer < net->frozen ? 0 : net->trained->version;
    return 1 + steps + in->t[OP_W]->version;
}

tess_status run_conv_forward(const tess_net *net, const struct instruction *in) {
    return tess_conv_plan_enqueue(in->as.conv,
                                  &(tess_conv_args){.x = in->t[OP_X],
                                                    .w = in->t[OP_W],
                                                    .y = in->t[OP_Y],
                                                    .bias = in->t[OP_BIAS],
                                                    .residual = in->t[OP_AUX],
                                                    .workspace = in->workspace,
                                                    .weights_version = weights_version(net, in)});
}

tess_status run_conv_backward_data(const tess_net *net, const struct instruction *in) {
    return tess_conv_plan_enqueue(in->as.conv,
                                  &(tess_conv_args){.x = in->t[OP_DX],
                                                    .w = in->t[OP_W],
                                                    .y = in->t[OP_DY],
                                                    .workspace = in->workspace,
                                                    .weights_version = weights_version(net, in)});
}

tess_status run_conv_backward_weights(const tess_net *net, const struct instruction *in) {
    (void)net;
    return tess_conv_plan_enqueue(in->as.conv, &(tess_conv_args){.x = in->t[OP_X],
                                                                 .w = in->t[OP_DW],
                                                                 .y = in->t[OP_DY],
                                                                 .workspace = in->workspace});
}

tess_status run_pool_forward(const tess_net *net, const struct instruction *in) {
    (void)net;
    return tess_pool_forward(in->as.pool, &(tess_pool_args){.x = in->t[OP_X],
                                                            .y = in->t[OP_Y],
                                                            .positions = in->t[OP_AUX],
                                                            .scale = in->t[OP_W],
                                                            .bias = in->t[OP_BIAS]});
}

tess_status run_pool_backward(const tess_net *net, const struct instruction *in) {
    (void)net;
    return tess_pool_backward(in->as.pool, &(tess_pool_grad_args){.dy = in->t[OP_DY],
                                                                  .dx = in->t[OP_DX],
                                                                  .positions = in->t[OP_AUX],
                                                                  .x = in->t[OP_X],
                                                                  .scale = in->t[OP_W],
                                                                  .dscale = in->t[OP_DW],
                                                                  .dbias = in->t[OP_DBIAS],
                                                                  .workspace = in->workspace});
}

tess_status run_fc_forward(const tess_net *net, const struct instruction *in) {
    return tess_fc_forward(in->as.fc, in->t[OP_X], in->t[OP_W], in->t[OP_BIAS], in->t[OP_Y],
                           in->workspace, weights_version(net, in));
}

tess_status run_fc_backward_data(const tess_net *net, const struct instruction *in) {
    return tess_fc_backward_data(in->as.fc, in->t[OP_DY], in->t[OP_W], in->t[OP_DX], in->workspace,
                                 weights_version(net, in));
}

tess_status run_fc_backward_weights(const tess_net *net, const struct instruction *in) {
    (void)net;
    return tess_fc_backward_weights(in->as.fc, in->t[OP_X], in->t[OP_DY], in->t[OP_DW],
                                    in->workspace);
}

static tess_batch_norm_args batch_norm_args(const struct instruction *in) {
    return (tess_batch_norm_args){.x = in->t[OP_X],
                                  .scale = in->t[OP_W],
                                  .bias = in->t[OP_BIAS],
                                  .residual = in->t[OP_AUX],
                                  .y = in->t[OP_Y],
                                  .running_mean = in->t[OP_RUNNING_MEAN],
                                  .running_var = in->t[OP_RUNNING_VAR],
                                  .saved_mean = in->t[OP_SAVED_MEAN],
                                  .saved_invstd = in->t[OP_SAVED_INVSTD],
                                  .workspace = in->workspace};
}

tess_status run_batch_norm(const tess_net *net, const struct instruction *in) {
    const tess_batch_norm_args args = batch_norm_args(in);
    return net->training_now ? tess_batch_norm_forward_training(in->as.norm, &args)
                             : tess_batch_norm_forward_inference(in->as.norm, &args);
}

tess_status run_batch_norm_inference(const tess_net *net, const struct instruction *in) {
    (void)net;
    const tess_batch_norm_args args = batch_norm_args(in);
    return tess_batch_norm_forward_inference(in->as.norm, &args);
}

tess_status run_batch_norm_backward(const tess_net *net, const struct instruction *in) {
    (void)net;
    return tess_batch_norm_backward(
        in->as.norm, &(tess_batch_norm_grad_args){.x = in->t[OP_X],
                                                  .y = in->t[OP_Y],
                                                  .dy = in->t[OP_DY],
                                                  .scale = in->t[OP_W],
                                                  .bias = in->t[OP_BIAS],
                                                  .saved_mean = in->t[OP_SAVED_MEAN],
                                                  .saved_invstd = in->t[OP_SAVED_INVSTD],
                                                  .dx = in->t[OP_DX],
                                                  .dresidual = in->t[OP_DAUX],
                                                  .dscale = in->t[OP_DW],
                                                  .dbias = in->t[OP_DBIAS],
                                                  .workspace = in->workspace});
}

tess_status run_lrn(const tess_net *net, const struct instruction *in) {
    (void)net;
    return tess_lrn_forward(in->as.lrn, in->t[OP_X], in->t[OP_Y]);
}

tess_status run_lrn_backward(const tess_net *net, const struct instruction *in) {
    (void)net;
    return tess_lrn_backward(in->as.lrn, in->t[OP_X], in->t[OP_DY], in->t[OP_DX]);
}

tess_status run_activation(const tess_net *net, const struct instruction *in) {
    return tess_activation_forward(net->eltwise, in->as.act, in->t[OP_X], in->t[OP_Y]);
}

tess_status run_activation_backward(const tess_net *net, const struct instruction *in) {
    return tess_activation_backward(net->eltwise, in->as.act, in->t[OP_Y], in->t[OP_DY],
                                    in->t[OP_DX]);
}

tess_status run_add(const tess_net *net, const struct instruction *in) {
    return tess_add_forward(net->eltwise, in->as.act, in->t[OP_X], in->t[OP_AUX], in->t[OP_Y]);
}

tess_status run_bias_backward(const tess_net *net, const struct instruction *in) {
    return tess_bias_backward(net->eltwise, in->t[OP_DY], in->t[OP_DBIAS], in->workspace);
}

tess_status run_concat(const tess_net *net, const struct instruction *in) {
    return tess_concat(net->eltwise, in->t[OP_X], in->as.first_channel, in->t[OP_Y]);
}

tess_status run_slice(const tess_net *net, const struct instruction *in) {
    return tess_slice(net->eltwise, in->t[OP_DY], in->as.first_channel, in->t[OP_DX]);
}

tess_status run_slice_activation(const tess_net *net, const struct instruction *in) {
    (void)net;
    return slice_activation_backward(in->as.slice.op, in->t[OP_Y], in->as.slice.y_first,
                                     in->t[OP_DY], in->as.slice.dy_first, in->t[OP_DX]);
}

/* A stream for each step and layer; graphs have fewer than 2^16 layers. */
tess_status run_dropout(const tess_net *net, const struct instruction *in) {
    uint64_t stream = net->step << 16 | (uint64_t)in->layer;
    bool on = net->training_now && in->layer >= net->frozen;
    return tess_dropout(net->eltwise, on ? in->as.rate : 0, net->options.seed, stream, in->t[OP_X],
                        in->t[OP_Y]);
}

tess_status run_softmax(const tess_net *net, const struct instruction *in) {
    return tess_softmax_forward(net->softmax, in->t[OP_X], in->t[OP_Y]);
}

tess_status run_loss(const tess_net *net, const struct instruction *in) {
    return tess_xent(net->softmax, &(tess_xent_args){.logits = in->t[OP_X],
                                                     .labels = in->t[OP_AUX],
                                                     .scale = net->loss_scale * in->as.weight,
                                                     .result = in->t[OP_Y],
                                                     .dlogits = in->t[OP_DX],
                                                     .workspace = in->workspace});
}

const char *instruction_name(const struct instruction *in) {
    static const struct {
        tess_status (*run)(const tess_net *net, const struct instruction *in);
        const char *name;
    } names[] = {
        {run_conv_forward, "conv forward"},
        {run_conv_backward_data, "conv backward-data"},
        {run_conv_backward_weights, "conv backward-weights"},
        {run_pool_forward, "pool forward"},
        {run_pool_backward, "pool backward"},
        {run_fc_forward, "fc forward"},
        {run_fc_backward_data, "fc backward-data"},
        {run_fc_backward_weights, "fc backward-weights"},
        {run_batch_norm, "batch norm forward"},
        {run_batch_norm_backward, "batch norm backward"},
        {run_lrn, "lrn forward"},
        {run_lrn_backward, "lrn backward"},
        {run_activation, "activation"},
        {run_activation_backward, "activation backward"},
        {run_add, "add"},
        {run_bias_backward, "bias backward"},
        {run_concat, "concat"},
        {run_slice, "concat backward"},
        {run_dropout, "dropout"},
        {run_softmax, "softmax"},
        {run_loss, "loss"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].run == in->run) return names[i].name;
    return NULL;
}
