#include "net/fit_memory.h"
#include "net/layers/layers.h"
#include "net/passes/passes.h"
#include "net/staged_weights.h"

#include <stdlib.h>
#include <string.h>

#include "ops/eltwise.h"
#include "ops/slice_activation.h"

static tess_status settings_check(tess_context *ctx, const tess_graph *graph,
                                  const tess_net_options *options) {
    tess_status status = tess_graph_check(graph, &ctx->error);
    if (status) return status;
    if (options && options->batch < 0)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "network %s: a batch of %d; it must be at least 1", graph->name,
                            options->batch);
    if (graph->count >= 1 << 16)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "network %s: %d layers; it must be fewer than 2^16", graph->name,
                            graph->count);
    bool loss = false;
    for (int i = 0; i < graph->count; i++)
        loss = loss || layer_kinds[graph->layers[i].kind].loss;
    if (options && options->training && !loss)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "network %s: no loss to train by; end the graph with "
                            "tess_graph_softmax or add tess_graph_mse",
                            graph->name);
    return TESS_OK;
}

/* Before anything is compiled. */
static tess_status check_statistics(tess_net *net) {
    if (!net->options.training || net->options.batch > 1) return TESS_OK;
    for (int i = net->frozen; i < net->graph->count; i++) {
        const struct layer *layer = &net->graph->layers[i];
        if (layer->kind != LAYER_BATCH_NORM || layer->h > 1 || layer->w > 1) continue;
        return context_fail(net->ctx, TESS_INVALID_SHAPE,
                            "layer %s: batch norm: one value a channel has no variance; train with "
                            "a larger batch or image",
                            layer->name);
    }
    return TESS_OK;
}

static tess_status operators_create(tess_net *net) {
    net->ops = calloc((size_t)net->graph->count, sizeof *net->ops);
    if (!net->ops)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "no host memory; free some and try again");
    tess_status status = TESS_OK;
    if (net->classes > 0)
        status = tess_softmax_create(net->ctx, net->options.batch, net->classes, &net->softmax);
    if (!status && net->options.training) status = tess_sgd_create(net->ctx, &net->sgd);
    return status;
}

/* The element-wise kernels that the instructions call. */
static tess_status eltwise_for(tess_net *net) {
    static const struct {
        tess_status (*run)(const tess_net *net, const struct instruction *in);
        unsigned needs;
    } calls[] = {{run_activation, ELTWISE_MAPS}, {run_activation_backward, ELTWISE_MAPS},
                 {run_add, ELTWISE_MAPS},        {run_concat, ELTWISE_MAPS},
                 {run_slice, ELTWISE_MAPS},      {run_bias_backward, ELTWISE_SUMS},
                 {run_dropout, ELTWISE_DROPOUT}};
    unsigned needs = 0;
    for (int i = 0; i < net->instruction_count; i++)
        for (size_t k = 0; k < sizeof calls / sizeof *calls; k++)
            if (net->instructions[i].run == calls[k].run) needs |= calls[k].needs;
    return needs ? eltwise_create(net->ctx, needs, &net->eltwise) : TESS_OK;
}

/* What a loss reads and writes beside the layers' values. */
static tess_status loss_create(tess_net *net, int index) {
    const struct layer *layer = &net->graph->layers[index];
    struct layer_ops *ops = &net->ops[index];
    bool squared = layer->kind == LAYER_MSE;
    tess_tensor_desc result = {TESS_F32, TESS_NHWC, 1, squared ? 1 : 2, 1, 1};
    tess_tensor_desc targets = layer_desc(net, index);
    tess_status status = tess_tensor_create(net->ctx, &result, &ops->result);
    if (status || !squared) return status;
    status = tess_tensor_create(net->ctx, &targets, &ops->targets);
    if (status) return status;
    return tess_mse_create(net->ctx, targets.n, targets.c * targets.h * targets.w, &ops->mse);
}

/* What the caller reads and writes, and so is never shared. */
static tess_status ports_create(tess_net *net) {
    tess_tensor_desc input = layer_desc(net, 0);
    tess_tensor_desc output = layer_desc(net, net->graph->count - 1);
    tess_tensor_desc labels = {TESS_I32, TESS_NHWC, net->options.batch, 1, 1, 1};
    tess_status status = tess_tensor_create(net->ctx, &input, &net->input);
    if (!status) status = tess_tensor_create(net->ctx, &output, &net->output);
    if (status || !net->options.training) return status;
    if (net->classes > 0) status = tess_tensor_create(net->ctx, &labels, &net->labels);
    for (int i = 0; i < net->graph->count && !status; i++)
        if (layer_kinds[net->graph->layers[i].kind].loss) status = loss_create(net, i);
    return status;
}

/* Everything but memory of its own for activations and workspaces. before: the context's device bytes when it began. */
static tess_status build(tess_net *net, const struct net_debug *debug, uint64_t before) {
    const tess_counters *counters = &net->ctx->counters;
    struct memory_limits limits = net_memory_limits(net, debug);
    tess_status status = passes_begin(net);
    if (!status) status = net_freeze(net);
    net->options.freeze_until = NULL; /* the caller's string may go */
    if (!status) status = check_statistics(net);
    /* Of a network that is not kept, only the convolutions' programs are wanted. */
    net->ctx->no_programs = debug && debug->go_on;
    if (!status) status = operators_create(net);
    if (!status) status = ports_create(net);
    uint64_t ports = counters->device_bytes;
    if (!status) status = net_params_list(net);
    if (!status) status = net_lower(net);
    if (!status) status = eltwise_for(net);
    if (debug && debug->go_on) return status ? status : convs_warm(net, debug);
    int count = net->instruction_count;
    if (!status) status = net_memory_bare(net, &limits, &net->memory.activations_kept);
    if (status) return status;
    net->memory.parameters = net_params_bytes(net);
    size_t held = (size_t)(counters->device_bytes - before) + net->memory.parameters;
    status = net_fit(net, debug, held);
    net->memory.recomputed = net->instruction_count - count;
    if (!status) status = staged_mark(net);
    net->memory.operators = (size_t)(counters->device_bytes - ports);
    return status ? status : net_params_create(net);
}

/* repack: see struct tess_net. */
static tess_status create(tess_context *ctx, const tess_graph *graph,
                          const tess_net_options *options, const struct net_debug *debug,
                          bool repack, tess_net **out) {
    tess_net *net = calloc(1, sizeof *net);
    if (!net)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "network %s: no host memory; free some and try again", graph->name);
    net->ctx = ctx;
    net->graph = graph;
    if (options) net->options = *options;
    if (net->options.batch == 0) net->options.batch = 1;
    net->conv_algo = debug ? debug->conv_algo : NULL;
    net->keep_weights = debug && debug->keep_weights;
    net->repack = repack;
    net->classes = graph_classes(graph);
    tess_status status = build(net, debug, ctx->counters.device_bytes);
    ctx->no_programs = false;
    if (!status && debug && debug->go_on) {
        tess_net_destroy(net);
        *out = NULL;
        return TESS_OK;
    }
    if (!status) status = net_memory_create(net, debug);
    if (!status) {
        *out = net;
        return TESS_OK;
    }
    tess_net_destroy(net);
    return error_prefix(&ctx->error, status, "network %s", graph->name);
}

tess_status net_create(tess_context *ctx, const tess_graph *graph, const tess_net_options *options,
                       const struct net_debug *debug, tess_net **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out) return context_fail(ctx, TESS_INVALID_ARGUMENT, "network: out is NULL; pass one");
    tess_status status = settings_check(ctx, graph, options);
    if (status) return status;
    /* Inference keeps packed weights, unless the limit is too tight for that. */
    bool training = options && options->training;
    status = create(ctx, graph, options, debug, training, out);
    if (status != TESS_OUT_OF_DEVICE_MEMORY || training || !options || !options->memory_limit)
        return status;
    return create(ctx, graph, options, debug, true, out);
}

tess_status tess_net_create(tess_context *ctx, const tess_graph *graph,
                            const tess_net_options *options, tess_net **out) {
    return net_create(ctx, graph, options, NULL, out);
}

void tess_net_destroy(tess_net *net) {
    if (!net) return;
    net_memory_destroy(net);
    net_params_destroy(net);
    free(net->instructions);
    free(net->merged);
    for (int i = 0; net->ops && i < net->graph->count; i++) {
        for (int pass = 0; pass < 3; pass++)
            tess_conv_plan_destroy(net->ops[i].conv[pass]);
        tess_pool_destroy(net->ops[i].pool);
        tess_fc_destroy(net->ops[i].fc);
        tess_batch_norm_destroy(net->ops[i].norm);
        tess_lrn_destroy(net->ops[i].lrn);
        folded_norm_destroy(net->ops[i].folded);
        slice_activation_destroy(net->ops[i].slice);
        layer_ops_destroy(&net->ops[i]);
    }
    free(net->ops);
    tess_tensor_destroy(net->input);
    tess_tensor_destroy(net->labels);
    tess_tensor_destroy(net->output);
    tess_eltwise_destroy(net->eltwise);
    tess_softmax_destroy(net->softmax);
    tess_sgd_destroy(net->sgd);
    free(net);
}

/* ---------------------------------------------------------------- execution */

static tess_status run(tess_net *net, unsigned phase) {
    for (int i = 0; i < net->instruction_count; i++) {
        const struct instruction *in = &net->instructions[i];
        if (!(in->phases & phase)) continue;
        tess_status status = in->run(net, in);
        if (!status && net->watch) status = net->watch->after(net->watch->user, in);
        if (status)
            return error_prefix(&net->ctx->error, status, "layer %s",
                                net->graph->layers[in->layer].name);
    }
    return TESS_OK;
}

tess_status tess_net_forward(tess_net *net) {
    if (!net) return TESS_INVALID_ARGUMENT;
    net->training_now = false;
    tess_status status = staged_pack_due(net);
    return status ? status : run(net, PHASE_INFER);
}

tess_status tess_net_gradients(tess_net *net, int valid, uint64_t step) {
    if (!net) return TESS_INVALID_ARGUMENT;
    if (!net->options.training)
        return context_fail(net->ctx, TESS_INVALID_ARGUMENT,
                            "network %s: made for inference; create it with training",
                            net->graph->name);
    if (valid < 1 || valid > net->options.batch)
        return context_fail(net->ctx, TESS_INVALID_ARGUMENT,
                            "network %s: %d valid rows; there must be 1 to %d", net->graph->name,
                            valid, net->options.batch);
    net->training_now = true;
    net->step = step;
    net->valid = valid;
    net->loss_scale = 1 / (float)valid;
    tess_status status = run(net, PHASE_TRAIN);
    net->has_result = status == TESS_OK;
    return status;
}

tess_status tess_net_train_step(tess_net *net, const tess_sgd_desc *sgd, int valid, uint64_t step) {
    if (!net) return TESS_INVALID_ARGUMENT;
    if (!sgd)
        return context_fail(net->ctx, TESS_INVALID_ARGUMENT,
                            "network %s: no learning rate; pass a tess_sgd_desc", net->graph->name);
    tess_status status = tess_net_gradients(net, valid, step);
    if (status || !net->grads) return status;
    return tess_sgd_step(net->sgd, sgd, net->trained, net->grads, net->velocities);
}

tess_status tess_net_result(tess_net *net, float *loss_sum, int *correct) {
    if (!net) return TESS_INVALID_ARGUMENT;
    if (!net->has_result)
        return context_fail(net->ctx, TESS_INVALID_ARGUMENT,
                            "network %s: no result; run a training step first", net->graph->name);
    float sum = 0;
    int end = 0;
    for (int i = 0; i < net->graph->count; i++) {
        const struct layer *layer = &net->graph->layers[i];
        float result[2] = {0, 0};
        if (!net->ops[i].result) continue;
        tess_status status = tess_tensor_read(net->ops[i].result, result, TESS_NHWC);
        if (status) return status;
        if (layer->kind == LAYER_MSE) result[0] /= (float)layer->c * (float)(layer->h * layer->w);
        sum += layer->as.weight * result[0];
        if (layer->kind == LAYER_SOFTMAX) end = (int)result[1];
    }
    if (loss_sum) *loss_sum = sum;
    if (correct) *correct = end;
    return TESS_OK;
}

/* ---------------------------------------------------------------- questions */

tess_tensor *tess_net_input(tess_net *net) {
    return net ? net->input : NULL;
}

tess_tensor *tess_net_labels(tess_net *net) {
    return net ? net->labels : NULL;
}

tess_tensor *tess_net_targets(tess_net *net, const char *layer) {
    for (int i = net ? net->graph->count - 1 : -1; i >= 0; i--) {
        const struct layer *l = &net->graph->layers[i];
        if (l->kind == LAYER_MSE && (!layer || strcmp(layer, l->name) == 0))
            return net->ops[i].targets;
    }
    return NULL;
}

tess_tensor *tess_net_output(tess_net *net) {
    return net ? net->output : NULL;
}

tess_net_memory tess_net_memory_info(const tess_net *net) {
    return net ? net->memory : (tess_net_memory){0};
}

tess_net_plan_info tess_net_plan(const tess_net *net, int index) {
    for (int i = 0; net && index >= 0 && i < net->graph->count; i++) {
        for (int pass = 0; pass < 3; pass++) {
            const tess_conv_plan *plan = net->ops[i].conv[pass];
            if (!plan || index-- > 0) continue;
            tess_net_plan_info info = {.layer = net->graph->layers[i].name,
                                       .pass = (tess_conv_pass)pass,
                                       .desc = net->graph->layers[i].as.conv,
                                       .info = tess_conv_plan_info(plan)};
            info.desc.n = net->options.batch;
            return info;
        }
    }
    return (tess_net_plan_info){0};
}
