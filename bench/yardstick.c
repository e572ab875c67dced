#include "bench/yardstick.h"

#include <stdio.h>

#include "core/program.h"
#include "core/tensor.h"

enum { PIXELS = 8 };

static int width_of(const tess_device_info *device) {
    unsigned native = device->native_float_vector;
    return native >= 16 ? 16 : native >= 8 ? 8 : 4;
}

static tess_status make(tess_context *ctx, int64_t floats, tess_tensor **out) {
    tess_tensor_desc desc = {TESS_F32, TESS_NHWC, 1, (int)((floats + 15) / 16), 16, 1};
    tess_status status = tess_tensor_create(ctx, &desc, out);
    return status ? status : tess_tensor_fill(*out, 0.5f);
}

tess_status yardstick_create(tess_context *ctx, const struct conv_problem *problem,
                             struct yardstick *out) {
    const tess_conv_desc *d = &problem->d;
    const int v = width_of(tess_context_device(ctx));
    int64_t rows = (int64_t)d->n * problem->p * problem->q;
    int64_t rows_x = (int64_t)d->n * d->h * d->w;
    char options[16];
    snprintf(options, sizeof options, "-DV=%d", v);
    *out = (struct yardstick){.ctx = ctx,
                              .blocks = (int)((rows + PIXELS - 1) / PIXELS),
                              .kblocks = (d->k + 2 * v - 1) / (2 * v),
                              .channels = problem->cg,
                              .taps = d->r * d->s,
                              .s = d->s,
                              .width = d->w,
                              .step = (int)(256 * rows_x / rows)};
    struct program *program;
    tess_status status = program_get(ctx, "yardstick.cl", options, "yardstick", &program);
    if (!status) status = program_kernel(ctx, program, "yardstick", &out->kernel);
    /* The last row that is read: that of the last pixel, shifted by the last tap. */
    int64_t pixels = (int64_t)out->blocks * PIXELS;
    int64_t last = (pixels - 1) * out->step / 256 + (int64_t)(d->r - 1) * d->w + d->s - 1;
    int64_t channels_y = (int64_t)out->kblocks * 2 * v;
    if (!status) status = make(ctx, (last + 1) * out->channels, &out->x);
    if (!status) status = make(ctx, (int64_t)out->taps * out->channels * channels_y, &out->w);
    if (!status) status = make(ctx, pixels * channels_y, &out->y);
    if (status) yardstick_destroy(out);
    return status;
}

tess_status yardstick_run(void *user) {
    struct yardstick *stick = user;
    const struct kernel_arg args[] = {
        ARG_TENSOR(stick->x),   ARG_TENSOR(stick->w),     ARG_TENSOR(stick->y),
        ARG_INT(stick->blocks), ARG_INT(stick->channels), ARG_INT(stick->taps),
        ARG_INT(stick->s),      ARG_INT(stick->width),    ARG_INT(stick->step)};
    const size_t local = tess_context_device(stick->ctx)->type & CL_DEVICE_TYPE_CPU ? 1 : 64;
    const size_t blocks = ((size_t)stick->blocks + local - 1) / local * local;
    struct kernel_range range = {2, {blocks, (size_t)stick->kblocks}, {local, 1}};
    return kernel_enqueue(stick->ctx, stick->kernel, &range, args, 9, "yardstick");
}

void yardstick_destroy(struct yardstick *stick) {
    kernel_release(stick->kernel);
    tess_tensor_destroy(stick->x);
    tess_tensor_destroy(stick->w);
    tess_tensor_destroy(stick->y);
    *stick = (struct yardstick){0};
}
