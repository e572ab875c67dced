/* The plans of a network's convolutions: requested while the graph is lowered, made when the whole network is known. */
#include "net/net.h"
#include "ops/conv/conv_algo.h"

bool net_repacks(const tess_net *net, int layer) {
    return net->repack && layer >= net->frozen;
}

void conv_request(tess_net *net, int layer, const tess_conv_options *options) {
    struct conv_request *request = &net->ops[layer].requests[options->pass];
    request->wanted = true;
    request->options = *options;
    request->options.algo = net->conv_algo;
    request->options.strict = net->options.strict;
    request->options.repack = net_repacks(net, layer);
    request->options.limit_workspace = net->options.limit_workspace;
    request->options.workspace_limit = net->options.workspace_limit;
}

bool conv_can_slice(tess_net *net, int layer) {
    tess_conv_desc desc = net->graph->layers[layer].as.conv;
    desc.n = net->options.batch;
    return conv_plan_can_slice(net->ctx, &desc, &net->ops[layer].requests[TESS_CONV_FWD].options);
}

bool conv_pass_of(const struct instruction *in, tess_conv_pass *pass) {
    static const struct {
        tess_status (*run)(const tess_net *net, const struct instruction *in);
        tess_conv_pass pass;
    } runs[] = {{run_conv_forward, TESS_CONV_FWD},
                {run_conv_backward_data, TESS_CONV_BWD_DATA},
                {run_conv_backward_weights, TESS_CONV_BWD_WEIGHTS}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (in->run != runs[i].run) continue;
        *pass = runs[i].pass;
        return true;
    }
    return false;
}

static tess_status create(tess_net *net, int layer, int pass, const struct conv_choice *choice) {
    const struct conv_request *request = &net->ops[layer].requests[pass];
    if (!request->wanted) return TESS_OK;
    tess_conv_desc desc = net->graph->layers[layer].as.conv;
    desc.n = net->options.batch;
    tess_status status =
        conv_plan_create(net->ctx, &desc, &request->options,
                         &(struct conv_slice){request->y_channels, request->y_first}, choice,
                         &net->ops[layer].conv[pass]);
    if (!status) return TESS_OK;
    return error_prefix(&net->ctx->error, status, "layer %s%s", net->graph->layers[layer].name,
                        pass == TESS_CONV_FWD ? "" : ", backward");
}

/* A plan whose program is new to the context is run once: some drivers generate code at the first launch. */
static tess_status warm(tess_net *net, int layer, int pass) {
    uint64_t before = net->ctx->counters.programs_compiled;
    tess_status status = create(net, layer, pass, NULL);
    tess_conv_plan **plan = &net->ops[layer].conv[pass];
    if (!status && *plan && net->ctx->counters.programs_compiled > before)
        status = conv_plan_run_once(*plan);
    tess_conv_plan_destroy(*plan);
    *plan = NULL;
    return status;
}

tess_status convs_warm(tess_net *net, const struct net_debug *debug) {
    tess_status status = TESS_OK;
    net->ctx->no_programs = false;
    for (int i = net->graph->count - 1; i >= 0; i--)
        for (int pass = 2; pass >= 0; pass--) {
            if (!net->ops[i].requests[pass].wanted) continue;
            if (status || !debug->go_on(debug->go_on_user)) return status;
            status = warm(net, i, pass);
        }
    return status;
}

tess_status convs_create(tess_net *net, const struct conv_choice *const *choices) {
    for (int i = 0; i < net->graph->count; i++) {
        for (int pass = 0; pass < 3; pass++) {
            tess_status status = create(net, i, pass, choices ? choices[3 * i + pass] : NULL);
            if (status) return status;
        }
    }
    for (int i = 0; i < net->instruction_count; i++) {
        struct instruction *in = &net->instructions[i];
        tess_conv_pass pass;
        if (!conv_pass_of(in, &pass)) continue;
        in->as.conv = net->ops[in->layer].conv[pass];
        in->workspace_bytes = tess_conv_plan_info(in->as.conv).workspace;
        net->memory.packed += tess_conv_plan_info(in->as.conv).packed;
    }
    return TESS_OK;
}
