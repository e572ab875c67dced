/* What several kinds of layers share. */
#include "net/layers/layers.h"

struct nd_shape nhwc_shape(const tess_net *net, int layer) {
    const struct layer *l = &net->graph->layers[layer];
    return (struct nd_shape){.rank = 4, .dims = {net->options.batch, l->h, l->w, l->c}};
}

cl_mem memory_or_null(const tess_tensor *tensor) {
    return tensor ? tensor->mem : NULL;
}

int param_value(const struct lowering *lo, int layer, int i) {
    return lo->net->params[lo->net->first_param[layer] + i].value_slot;
}

int param_grad(const struct lowering *lo, int layer, int i) {
    return lo->net->params[lo->net->first_param[layer] + i].grad_slot;
}

int input_layer(const struct lowering *lo, int index, int i) {
    return lo->net->graph->layers[index].inputs[i];
}

tess_status plain_forward(struct lowering *lo, int index, instruction_run *run,
                          size_t workspace_bytes) {
    return emit(lo->net, &(struct instruction){
                             .run = run,
                             .layer = index,
                             .phases = PHASE_BOTH,
                             .workspace_bytes = workspace_bytes,
                             .slots = {[OP_X] = lo->layers[input_layer(lo, index, 0)].value,
                                       [OP_Y] = lo->layers[index].value}});
}

tess_status plain_backward(struct lowering *lo, int index, instruction_run *run,
                           size_t workspace_bytes) {
    struct sink dx;
    tess_status status = sink_begin(lo, input_layer(lo, index, 0), &dx);
    if (status || dx.slot == SLOT_NONE) return status;
    status =
        emit(lo->net,
             &(struct instruction){.run = run,
                                   .layer = index,
                                   .phases = PHASE_TRAIN,
                                   .workspace_bytes = workspace_bytes,
                                   .slots = {[OP_DY] = lo->layers[index].grad, [OP_DX] = dx.slot}});
    return status ? status : sink_end(lo, &dx);
}

void layer_ops_destroy(struct layer_ops *ops) {
    for (int pass = 0; pass < 3; pass++)
        tess_conv_transpose_destroy(ops->conv_transpose[pass]);
    tess_prelu_destroy(ops->prelu);
    tess_mse_destroy(ops->mse);
    nd_binary_destroy(ops->binary);
    nd_pad_destroy(ops->pad);
    nd_resize_destroy(ops->resize);
    nd_reduce_destroy(ops->reduce);
    for (int i = 0; i < 2; i++)
        nd_move_destroy(ops->move[i]);
    tess_tensor_destroy(ops->result);
    tess_tensor_destroy(ops->targets);
}
