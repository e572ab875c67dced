/* Fully connected layers by the convolution engine: a 1 x 1 convolution of N images of one pixel with C channels. Its planner, tuning
   and packed weights serve here too. */
#include "core/tensor.h"
#include "ops/fc_backend.h"

#include <stdlib.h>

struct conv_fc {
    tess_conv_plan *plan;
    size_t workspace;
};

static void destroy(void *state) {
    struct conv_fc *fc = state;
    if (!fc) return;
    tess_conv_plan_destroy(fc->plan);
    free(fc);
}

static tess_status create(tess_context *ctx, const tess_fc_desc *desc, enum fc_pass pass,
                          void **state) {
    static const tess_conv_pass passes[FC_PASSES] = {TESS_CONV_FWD, TESS_CONV_BWD_DATA,
                                                     TESS_CONV_BWD_WEIGHTS};
    const tess_conv_desc conv = {
        .n = desc->n, .c = desc->c, .h = 1, .w = 1, .k = desc->k, .r = 1, .s = 1};
    tess_conv_options options = {.pass = passes[pass], .repack = desc->repack};
    if (pass == FC_FORWARD) {
        options.bias = desc->bias;
        options.act = desc->act;
    }
    struct conv_fc *fc = calloc(1, sizeof *fc);
    if (!fc)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "fully connected: no memory for the operator; free some memory");
    tess_status status = tess_conv_plan_create(ctx, &conv, &options, &fc->plan);
    if (status) {
        destroy(fc);
        return status;
    }
    fc->workspace = tess_conv_plan_info(fc->plan).workspace;
    *state = fc;
    return TESS_OK;
}

static size_t workspace(const void *state) {
    return ((const struct conv_fc *)state)->workspace;
}

static const char *config(const void *state) {
    return tess_conv_plan_info(((const struct conv_fc *)state)->plan).config;
}

static tess_status run(void *state, const struct fc_operands *o) {
    const struct conv_fc *fc = state;
    /* A plan writes only what its pass makes. */
    const tess_conv_args args = {.x = (tess_tensor *)(uintptr_t)o->x,
                                 .w = (tess_tensor *)(uintptr_t)o->w,
                                 .y = (tess_tensor *)(uintptr_t)o->y,
                                 .bias = (tess_tensor *)(uintptr_t)o->bias,
                                 .workspace = (tess_tensor *)(uintptr_t)o->workspace,
                                 .weights_version = o->weights_version};
    return tess_conv_plan_enqueue(fc->plan, &args);
}

const struct fc_backend fc_conv = {
    .name = "conv",
    .epilogue = true,
    .create = create,
    .workspace = workspace,
    .config = config,
    .run = run,
    .destroy = destroy,
};
