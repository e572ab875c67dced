#include "bench/conv_work.h"

#include <math.h>
#include <stdlib.h>

#include "core/tensor.h"

/* Which of x, w, y a pass makes. */
static const int result_of[] = {2, 0, 1};

static tess_status make_tensor(struct conv_work *work, int which, const tess_tensor_desc *desc,
                               tess_tensor **out) {
    size_t count = tess_tensor_desc_elements(desc);
    float *data = malloc(count * sizeof *data);
    if (!data)
        return context_fail(work->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "convolution to time: no host memory for %zu bytes of operands",
                            count * sizeof *data);
    bool result = result_of[work->problem.pass] == which;
    uint32_t state = 12345u + (uint32_t)which;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = result ? NAN : (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
    work->host[which] = data;
    tess_status status = tess_tensor_create(work->ctx, desc, out);
    return status ? status : tess_tensor_write(*out, data, desc->layout);
}

tess_status conv_work_open(tess_context *ctx, const tess_conv_desc *desc,
                           const tess_conv_options *options, struct conv_work *work) {
    *work = (struct conv_work){.ctx = ctx};
    tess_status status = conv_problem_init(desc, options, &ctx->error, &work->problem);
    if (!status) status = tess_conv_plan_create(ctx, desc, options, &work->plan);
    if (status) return status;
    const struct conv_problem *p = &work->problem;
    const tess_conv_desc *d = &p->d;
    const tess_tensor_desc x = {TESS_F32, TESS_NHWC, d->n, d->c, d->h, d->w};
    const tess_tensor_desc w = {TESS_F32, TESS_RSCK, d->k, p->cg, d->r, d->s};
    const tess_tensor_desc y = {TESS_F32, TESS_NHWC, d->n, d->k, p->p, p->q};
    size_t bytes = tess_conv_plan_info(work->plan).workspace;
    const tess_tensor_desc workspace = {TESS_F32, TESS_NHWC, 1, (int)((bytes + 3) / 4), 1, 1};
    work->args.weights_version = 1;
    status = make_tensor(work, 0, &x, &work->args.x);
    if (!status) status = make_tensor(work, 1, &w, &work->args.w);
    if (!status) status = make_tensor(work, 2, &y, &work->args.y);
    if (!status && bytes) status = tess_tensor_create(ctx, &workspace, &work->args.workspace);
    return status;
}

void conv_work_close(struct conv_work *work) {
    tess_tensor_destroy(work->args.x);
    tess_tensor_destroy(work->args.w);
    tess_tensor_destroy(work->args.y);
    tess_tensor_destroy(work->args.workspace);
    tess_conv_plan_destroy(work->plan);
    for (int i = 0; i < 3; i++)
        free(work->host[i]);
    *work = (struct conv_work){0};
}

tess_status conv_work_run(void *user) {
    struct conv_work *work = user;
    return tess_conv_plan_enqueue(work->plan, &work->args);
}

static tess_tensor *result_tensor(const struct conv_work *work) {
    tess_tensor *const all[] = {work->args.x, work->args.w, work->args.y};
    return all[result_of[work->problem.pass]];
}

size_t conv_work_elements(const struct conv_work *work) {
    return tess_tensor_desc_elements(tess_tensor_get_desc(result_tensor(work)));
}

tess_status conv_work_read(struct conv_work *work, float **out) {
    tess_tensor *result = result_tensor(work);
    const tess_tensor_desc *desc = tess_tensor_get_desc(result);
    float *data = malloc(tess_tensor_desc_bytes(desc));
    if (!data)
        return context_fail(work->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "convolution to time: no host memory for its result");
    tess_status status = tess_tensor_read(result, data, desc->layout);
    if (status)
        free(data);
    else
        *out = data;
    return status;
}
