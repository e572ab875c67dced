#include "net/kernels_build.h"

#include "core/kernel_bundle.h"
#include "net/net.h"

#include <stdlib.h>

tess_status kernels_build(tess_context *ctx, kernels_maker *make, void *user, const char *path) {
    if (ctx->bundle)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "kernels: this context compiles nothing; make one without a bundle");
    struct plan_record plans = {0};
    bool before = ctx->own_kernels_only;
    ctx->plans = &plans;
    ctx->own_kernels_only = true;
    tess_status status = make(ctx, user);
    ctx->plans = NULL;
    ctx->own_kernels_only = before;
    if (!status) status = kernel_bundle_write(ctx, &plans, path);
    free(plans.text);
    return status;
}

struct network {
    const tess_graph *graph;
    const tess_net_options *options;
};

/* Creating the network builds its programs and records its plans; nothing of it runs. */
static tess_status create(tess_context *ctx, const struct network *network, bool training) {
    tess_net_options own = network->options ? *network->options : (tess_net_options){0};
    tess_net *net = NULL;
    own.training = training;
    tess_status status = tess_net_create(ctx, network->graph, &own, &net);
    tess_net_destroy(net);
    return status;
}

static tess_status make_network(tess_context *ctx, void *user) {
    const struct network *network = user;
    tess_status status = create(ctx, network, false);
    if (!status && network->options && network->options->training)
        status = create(ctx, network, true);
    return status;
}

tess_status tess_kernels_build(tess_context *ctx, const tess_graph *graph,
                               const tess_net_options *options, const char *path) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!graph || !path)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "tess_kernels_build: graph or path is NULL; give both");
    return kernels_build(ctx, make_network, &(struct network){graph, options}, path);
}
