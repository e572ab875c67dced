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
    TILE = 6,
    WEIGHT_ITEMS_PER_UNIT = 16,
    LEAST_ROWS = 64 /* of a part: fewer are not worth adding up */
};

struct stream_fc {
    tess_context *ctx;
    int n, c, k;
    enum fc_pass pass;
    int vector, panel;       /* VEC, PANEL */
    int width;               /* forward: floats of a row of partial sums */
    int blocks, parts, rows; /* forward: of columns, of c, c of a part; else c of an item */
    cl_kernel kernel, finish, panels;
    char config[64];
};

static void destroy(void *state) {
    struct stream_fc *fc = state;
    if (!fc) return;
    kernel_release(fc->kernel);
    kernel_release(fc->finish);
    kernel_release(fc->panels);
    free(fc);
}

static int ceil_div(int a, int b) {
    return a / b + (a % b != 0);
}

static int compute_units(const struct stream_fc *fc) {
    int units = (int)fc->ctx->device.compute_units;
    return units > 0 ? units : 1;
}

static void cut(struct stream_fc *fc) {
    fc->panel = 4 * fc->vector;
    fc->width = ceil_div(fc->k, 16) * 16;
    fc->blocks = ceil_div(fc->width, COLUMNS);
    int wanted = ceil_div(ITEMS_PER_UNIT * compute_units(fc), fc->blocks);
    int most = ceil_div(fc->c, LEAST_ROWS);
    fc->rows = ceil_div(ceil_div(fc->c, wanted < most ? wanted : most), ROWS) * ROWS;
    fc->parts = ceil_div(fc->c, fc->rows);
    if (fc->pass == FC_BACKWARD_DATA) fc->rows = ROWS;
    if (fc->pass != FC_BACKWARD_WEIGHTS) return;
    int items = fc->ctx->device.type == CL_DEVICE_TYPE_CPU
                    ? WEIGHT_ITEMS_PER_UNIT * compute_units(fc)
                    : ceil_div(fc->c, TILE);
    fc->rows = ceil_div(ceil_div(fc->c, items), TILE) * TILE;
}

/* Partial sums, or panels. */
static double workspace_floats(const struct stream_fc *fc) {
    double of_dy = (double)ceil_div(fc->k, fc->panel) * fc->panel;
    double of_x = (double)ceil_div(fc->c, TILE) * TILE;
    if (fc->pass == FC_FORWARD) return (double)fc->parts * fc->n * fc->width;
    return fc->pass == FC_BACKWARD_WEIGHTS ? fc->n * (of_dy + of_x) : 0;
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
    if (!status && fc->pass == FC_BACKWARD_WEIGHTS)
        status = program_kernel(fc->ctx, program, "fc_stream_panels", &fc->panels);
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
    if (!status && workspace_floats(fc) > 2147483647.0)
        status = context_fail(ctx, TESS_UNSUPPORTED,
                              "fully connected: backend 'stream' would need %.0f floats of "
                              "workspace, which is too much; use 'conv'",
                              workspace_floats(fc));
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
    return (size_t)workspace_floats(fc) * sizeof(float);
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

/* Results that fit a cache stay there for who reads them next. */
static bool past_caches(const struct stream_fc *fc) {
    return (double)fc->c * fc->k > 1 << 20;
}

static tess_status run_weights(const struct stream_fc *fc, const struct fc_operands *o) {
    size_t panels = (size_t)ceil_div(fc->k, fc->panel) + (size_t)ceil_div(fc->c, TILE);
    struct kernel_range range = range_of(fc, panels);
    const struct kernel_arg copy[] = {ARG_TENSOR(o->x), ARG_TENSOR(o->y), ARG_TENSOR(o->workspace),
                                      ARG_INT(fc->n),   ARG_INT(fc->c),   ARG_INT(fc->k)};
    tess_status status = kernel_enqueue(fc->ctx, fc->panels, &range, copy, 6,
                                        "fully connected backward-weights, panels");
    if (status) return status;
    range = range_of(fc, (size_t)ceil_div(fc->c, fc->rows));
    const struct kernel_arg args[] = {ARG_TENSOR(o->workspace), ARG_TENSOR(o->w), ARG_INT(fc->n),
                                      ARG_INT(fc->c),           ARG_INT(fc->k),   ARG_INT(fc->rows),
                                      ARG_INT(past_caches(fc))};
    return kernel_enqueue(fc->ctx, fc->kernel, &range, args, 7, "fully connected backward-weights");
}

static tess_status run(void *state, const struct fc_operands *o) {
    const struct stream_fc *fc = state;
    if (fc->pass == FC_FORWARD) return run_forward(fc, o);
    if (fc->pass == FC_BACKWARD_WEIGHTS) return run_weights(fc, o);
    struct kernel_range range = range_of(fc, (size_t)ceil_div(fc->c, fc->rows));
    const struct kernel_arg args[] = {ARG_TENSOR(o->y), ARG_TENSOR(o->w), ARG_TENSOR(o->x),
                                      ARG_INT(fc->n),   ARG_INT(fc->c),   ARG_INT(fc->k)};
    return kernel_enqueue(fc->ctx, fc->kernel, &range, args, 6, "fully connected backward-data");
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
