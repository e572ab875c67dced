/* Fully connected layers of few rows: kernels_cl/fc_stream.cl. Needs no packed copy of the weights. */
#include "core/program.h"
#include "core/tensor.h"
#include "ops/fastdiv.h"
#include "ops/fc_backend.h"
#include "ops/launch.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROWS = 8, /* as in the kernels */
    COLUMNS = 512,
    ITEMS_PER_UNIT = 8, /* of the forward pass: so that units that are faster get more */
    LEAST_ROWS = 64     /* of a part: fewer are not worth adding up */
};

struct stream_fc {
    tess_context *ctx;
    int n, c, k;
    enum fc_pass pass;
    int vector, width;       /* VEC, floats of a row of partial sums */
    int blocks, parts, rows; /* forward: of columns, of c, c of a part */
    cl_kernel kernel, finish;
    char config[64];
};

static void destroy(void *state) {
    struct stream_fc *fc = state;
    if (!fc) return;
    kernel_release(fc->kernel);
    kernel_release(fc->finish);
    free(fc);
}

static int ceil_div(int a, int b) {
    return a / b + (a % b != 0);
}

static void cut(struct stream_fc *fc) {
    fc->width = ceil_div(fc->k, 16) * 16;
    fc->blocks = ceil_div(fc->width, COLUMNS);
    int units = (int)fc->ctx->device.compute_units;
    int wanted = ceil_div(ITEMS_PER_UNIT * (units > 0 ? units : 1), fc->blocks);
    int most = ceil_div(fc->c, LEAST_ROWS);
    fc->rows = ceil_div(ceil_div(fc->c, wanted < most ? wanted : most), ROWS) * ROWS;
    fc->parts = ceil_div(fc->c, fc->rows);
}

static tess_status create_kernels(struct stream_fc *fc) {
    static const char *const names[FC_PASSES] = {"fc_stream_fwd", "fc_stream_bwd_data",
                                                 "fc_stream_bwd_weights"};
    char options[64];
    struct program *program;
    snprintf(options, sizeof options, "-DVEC=%d -DCOLUMNS=%d", fc->vector, COLUMNS);
    snprintf(fc->config, sizeof fc->config, "%s__vec%d_columns%d", names[fc->pass], fc->vector,
             COLUMNS);
    tess_status status = program_get(fc->ctx, "fc_stream.cl", options, fc->config, &program);
    if (!status) status = program_kernel(fc->ctx, program, names[fc->pass], &fc->kernel);
    if (!status && fc->pass == FC_FORWARD)
        status = program_kernel(fc->ctx, program, "fc_stream_finish", &fc->finish);
    return status;
}

static tess_status create(tess_context *ctx, const tess_fc_desc *desc, enum fc_pass pass,
                          void **state) {
    struct stream_fc *fc = calloc(1, sizeof *fc);
    if (!fc)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "fully connected: no memory for the operator; free some memory");
    fc->ctx = ctx;
    fc->n = desc->n;
    fc->c = desc->c;
    fc->k = desc->k;
    fc->pass = pass;
    fc->vector = launch_vector(ctx);
    tess_status status = TESS_OK;
    if (fc->k > 2147483647 - 16)
        status = context_fail(ctx, TESS_UNSUPPORTED,
                              "fully connected: %d outputs are too many for backend 'stream'; use "
                              "'conv'",
                              fc->k);
    else
        cut(fc);
    double partial = (double)fc->parts * fc->n * fc->width;
    if (!status && pass == FC_FORWARD && partial > 2147483647.0)
        status = context_fail(ctx, TESS_UNSUPPORTED,
                              "fully connected: %.0f partial sums are too many for backend "
                              "'stream'; use 'conv'",
                              partial);
    if (!status) status = create_kernels(fc);
    if (status) {
        destroy(fc);
        return status;
    }
    *state = fc;
    return TESS_OK;
}

static size_t workspace(const void *state) {
    const struct stream_fc *fc = state;
    if (fc->pass != FC_FORWARD) return 0;
    return (size_t)fc->parts * (size_t)fc->n * (size_t)fc->width * sizeof(float);
}

static const char *config(const void *state) {
    return ((const struct stream_fc *)state)->config;
}

/* PoCL makes one work-group one piece of work; on GPUs a group is a row of lanes. */
static struct kernel_range range_of(const struct stream_fc *fc, size_t items) {
    return launch_range(fc->ctx, items, fc->ctx->device.type == CL_DEVICE_TYPE_CPU ? 1 : 64);
}

static tess_status run_forward(const struct stream_fc *fc, const struct fc_operands *o) {
    struct kernel_range range = range_of(fc, (size_t)fc->blocks * (size_t)fc->parts);
    const struct kernel_arg sums[] = {ARG_TENSOR(o->x),         ARG_TENSOR(o->w),
                                      ARG_TENSOR(o->workspace), ARG_INT(fc->n),
                                      ARG_INT(fc->c),           ARG_INT(fc->k),
                                      ARG_INT(fc->width),       ARG_INT(fc->parts),
                                      ARG_INT(fc->rows),        ARG_ULONG(fastdiv(fc->blocks)),
                                      ARG_INT(fc->blocks)};
    tess_status status = kernel_enqueue(fc->ctx, fc->kernel, &range, sums,
                                        sizeof sums / sizeof sums[0], "fully connected forward");
    if (status) return status;
    int vectors = fc->width / fc->vector;
    range = launch_range(fc->ctx, (size_t)fc->n * (size_t)vectors, 64);
    const struct kernel_arg finish[] = {ARG_TENSOR(o->workspace),
                                        ARG_TENSOR(o->y),
                                        ARG_INT(fc->n),
                                        ARG_INT(fc->k),
                                        ARG_INT(fc->width),
                                        ARG_INT(fc->parts),
                                        ARG_ULONG(fastdiv(vectors))};
    return kernel_enqueue(fc->ctx, fc->finish, &range, finish, sizeof finish / sizeof finish[0],
                          "fully connected forward, sums");
}

static tess_status run(void *state, const struct fc_operands *o) {
    const struct stream_fc *fc = state;
    if (fc->pass == FC_FORWARD) return run_forward(fc, o);
    bool data = fc->pass == FC_BACKWARD_DATA;
    struct kernel_range range = range_of(fc, (size_t)ceil_div(fc->c, ROWS));
    const struct kernel_arg args[] = {ARG_TENSOR(data ? o->y : o->x),
                                      ARG_TENSOR(data ? o->w : o->y),
                                      ARG_TENSOR(data ? o->x : o->w),
                                      ARG_INT(fc->n),
                                      ARG_INT(fc->c),
                                      ARG_INT(fc->k)};
    return kernel_enqueue(fc->ctx, fc->kernel, &range, args, sizeof args / sizeof args[0],
                          data ? "fully connected backward-data"
                               : "fully connected backward-weights");
}

const struct fc_backend fc_stream = {
    .name = "stream",
    .epilogue = false,
    .create = create,
    .workspace = workspace,
    .config = config,
    .run = run,
    .destroy = destroy,
};
