#include "ops/conv/conv_advice.h"

#include <stdlib.h>

static void destroy(struct conv_advisor *advisor) {
    if (advisor->destroy) advisor->destroy(advisor->user);
    free(advisor);
}

tess_status conv_advisor_set(tess_context *ctx, const struct conv_advisor *advisor) {
    struct conv_advisor *copy = NULL;
    if (advisor) {
        copy = malloc(sizeof *copy);
        if (!copy)
            return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "tuning database: no host memory");
        *copy = *advisor;
    }
    if (ctx->advisor) ctx->advisor_destroy(ctx->advisor);
    ctx->advisor = copy;
    ctx->advisor_destroy = destroy;
    return TESS_OK;
}
