/* A network's programs, compiled beforehand. */
#include "core/kernel_bundle.h"
#include "net/net.h"

#include <stdlib.h>

/* Creating the network builds its programs and records its plans; nothing of it runs. */
static tess_status build(tess_context *ctx, const tess_graph *graph,
                         const tess_net_options *options, bool training) {
    tess_net_options own = options ? *options : (tess_net_options){0};
    tess_net *net = NULL;
    own.training = training;
    tess_status status = tess_net_create(ctx, graph, &own, &net);
    tess_net_destroy(net);
    return status;
}

tess_status tess_kernels_build(tess_context *ctx, const tess_graph *graph,
                               const tess_net_options *options, const char *path) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!graph || !path)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "tess_kernels_build: graph or path is NULL; give both");
    if (ctx->bundle)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "tess_kernels_build: this context compiles nothing; make one without "
                            "a bundle");
    struct plan_record plans = {0};
    bool before = ctx->own_kernels_only;
    ctx->plans = &plans;
    ctx->own_kernels_only = true;
    tess_status status = build(ctx, graph, options, false);
    if (!status && options && options->training) status = build(ctx, graph, options, true);
    ctx->plans = NULL;
    ctx->own_kernels_only = before;
    if (!status) status = kernel_bundle_write(ctx, &plans, path);
    free(plans.text);
    return status;
}
