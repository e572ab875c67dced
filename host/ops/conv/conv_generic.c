/* The convolution that is always valid: any problem, layout and device, no workspace. See conv_generic.cl. */
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/conv/conv_algo.h"

struct generic {
    tess_context *ctx;
    struct conv_problem problem;
    cl_kernel kernel;
};

static bool applicable(const struct conv_problem *p, const tess_device_info *device) {
    (void)p, (void)device;
    return true;
}

static double predict(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    (void)config;
    double products = tess_conv_flops(&p->d) / 2;
    double units = device->compute_units ? device->compute_units : 1;
    /* A GPU has about 64 lanes a unit; products wait for two loads each. */
    return device->type & CL_DEVICE_TYPE_CPU ? products * 3 / units : products * 4 / 64 / units;
}

static void destroy(void *state) {
    struct generic *generic = state;
    if (!generic) return;
    kernel_release(generic->kernel);
    free(generic);
}

static tess_status create(tess_context *ctx, const struct conv_problem *p,
                          const struct conv_config *config, const char *printed, void **state) {
    static const char *const names[] = {"conv_generic_fwd", "conv_generic_bwd_data",
                                        "conv_generic_bwd_weights"};
    (void)config;
    struct generic *generic = calloc(1, sizeof *generic);
    if (!generic) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory", printed);
    generic->ctx = ctx;
    generic->problem = *p;
    static const char *const options[2][2] = {{"", "-DSLICE=1"},
                                              {"-DMIRROR=1", "-DMIRROR=1 -DSLICE=1"}};
    bool mirror = p->d.pad_mode == TESS_PAD_MIRROR;
    struct program *program;
    tess_status status =
        program_get(ctx, conv_generic.kernel_file, options[mirror][p->sliced], printed, &program);
    if (!status) status = program_kernel(ctx, program, names[p->pass], &generic->kernel);
    if (status) {
        destroy(generic);
        return status;
    }
    *state = generic;
    return TESS_OK;
}

enum { GEOMETRY_ARGS = 17 + 12 };

/* Dimensions, then the strides of x (n h w c), w (r s c k) and y (n p q k). */
static void geometry(const struct conv_problem *p, struct kernel_arg args[GEOMETRY_ARGS]) {
    const tess_conv_desc *d = &p->d;
    int k = p->sliced ? p->y_channels : d->k;
    const int nhwc[12] = {d->h * d->w * d->c,  d->w * d->c,  d->c, 1,
                          d->s * p->cg * d->k, p->cg * d->k, d->k, 1,
                          p->p * p->q * k,     p->q * k,     k,    1};
    const int nchw[12] = {
        d->c * d->h * d->w, d->w, 1, d->h * d->w, d->s, 1, d->r * d->s, p->cg * d->r * d->s,
        d->k * p->p * p->q, p->q, 1, p->p * p->q};
    const int dim[17] = {d->n,        d->c,       d->h,        d->w,          d->k,
                         d->r,        d->s,       p->p,        p->q,          d->stride_h,
                         d->stride_w, d->pad_top, d->pad_left, d->dilation_h, d->dilation_w,
                         p->cg,       p->kg};
    for (int i = 0; i < 17; i++)
        args[i] = ARG_INT(dim[i]);
    for (int i = 0; i < 12; i++)
        args[17 + i] = ARG_INT((d->layout == TESS_NHWC ? nhwc : nchw)[i]);
}

/* Work-groups of 16 channels; the other dimensions have one a work-group. */
static struct kernel_range range_of(const struct conv_problem *p) {
    const tess_conv_desc *d = &p->d;
    int channels = p->pass == TESS_CONV_BWD_DATA ? d->c : d->k;
    struct kernel_range range = {
        3, {((size_t)channels + 15) / 16 * 16, 0, (size_t)d->n}, {16, 1, 1}};
    if (p->pass == TESS_CONV_FWD) {
        range.global[1] = (size_t)p->p * (size_t)p->q;
    } else if (p->pass == TESS_CONV_BWD_DATA) {
        range.global[1] = (size_t)d->h * (size_t)d->w;
    } else {
        range.global[1] = (size_t)d->r * (size_t)d->s;
        range.global[2] = (size_t)p->cg;
    }
    return range;
}

static tess_status enqueue(void *state, const tess_conv_args *args, const tess_tensor *packed) {
    (void)packed;
    const struct generic *generic = state;
    const struct conv_problem *p = &generic->problem;
    struct kernel_arg list[5 + GEOMETRY_ARGS + 4];
    unsigned count = 0;
    if (p->pass == TESS_CONV_FWD) {
        list[count++] = ARG_TENSOR(args->x);
        list[count++] = ARG_TENSOR(args->w);
        list[count++] = ARG_TENSOR(p->bias ? args->bias : NULL);
        list[count++] = ARG_TENSOR(p->residual ? args->residual : NULL);
        list[count++] = ARG_TENSOR(args->y);
    } else {
        bool data = p->pass == TESS_CONV_BWD_DATA;
        list[count++] = ARG_TENSOR(data ? args->y : args->x);
        list[count++] = ARG_TENSOR(data ? args->w : args->y);
        list[count++] = ARG_TENSOR(data ? args->x : args->w);
    }
    geometry(p, list + count);
    count += GEOMETRY_ARGS;
    if (p->pass == TESS_CONV_FWD) {
        list[count++] = ARG_INT((int)p->act.kind);
        list[count++] = ARG_FLOAT(p->act.alpha);
    }
    if (p->sliced) {
        list[count++] = ARG_INT(p->y_channels);
        list[count++] = ARG_INT(p->y_first);
    }
    struct kernel_range range = range_of(p);
    return kernel_enqueue(generic->ctx, generic->kernel, &range, list, count, "convolution");
}

const struct conv_algo conv_generic = {
    .name = "generic",
    .kernel_file = "conv_generic.cl",
    .mirror = true,
    .slices = true,
    .applicable = applicable,
    .predict = predict,
    .create = create,
    .enqueue = enqueue,
    .destroy = destroy,
};
