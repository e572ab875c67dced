/* Batch normalisation: kernels_cl/batch_norm.cl. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/tensor.h"
#include "ops/activation.h"
#include "ops/expect.h"
#include "ops/fastdiv.h"
#include "ops/launch.h"

/* Coefficients that stand before the partial sums in the workspace: mean, a, bias, p, q. */
enum { COEFFICIENTS = 5, COLUMNS = 16, MOST_CHANNELS = 1 << 22 };

struct tess_batch_norm {
    tess_context *ctx;
    tess_batch_norm_desc desc; /* with eps and momentum filled in */
    tess_tensor_desc x;
    int elements;                       /* N H W C */
    int width, wide_rows, rows, blocks; /* how x is cut: batch_norm.cl */
    int vector, wide, lanes;            /* VEC, WIDE, LANES */
    size_t items;                       /* work-items of what goes through x */
    bool reads_y;                       /* in backward */
    cl_kernel stats, finish, coefficients, forward;
    cl_kernel sums, backward_finish, backward;
};

/* ---------------------------------------------------------------- creation */

/* CPUs: blocks of a few hundred rows, so that adding them up takes no time; GPUs: enough of them to be busy. */
static void cut(tess_batch_norm *op, bool cpu) {
    int64_t fold = 1;
    while (op->desc.c * fold % 64 != 0)
        fold *= 2;
    op->width = (int)(op->desc.c * fold);
    op->wide_rows = op->elements / op->width;
    int groups = op->width / (op->vector * op->wide);
    int wanted = cpu ? 64 : 65536 / groups + 1, least = cpu ? 32 : 8;
    int rows = (op->wide_rows + wanted - 1) / wanted;
    op->rows = rows < least ? least : rows > 512 ? 512 : rows;
    op->blocks = op->wide_rows ? (op->wide_rows + op->rows - 1) / op->rows : 1;
    op->items = (size_t)op->blocks * (size_t)groups;
}

/* y follows from x alone, cheaply. */
static bool recomputable(const tess_batch_norm_desc *desc) {
    return desc->act.kind == TESS_ACT_NONE ||
           (!desc->residual &&
            (desc->act.kind == TESS_ACT_RELU || desc->act.kind == TESS_ACT_LEAKY_RELU ||
             desc->act.kind == TESS_ACT_CLIPPED_RELU));
}

static tess_status make_kernels(tess_batch_norm *op) {
    const char *act = activation_name(op->desc.act.kind);
    char options[192], config[96];
    snprintf(options, sizeof options,
             "-DVEC=%d -DWIDE=%d -DLANES=%d -DCOLUMNS=%d -DACTIVATION=act_%s "
             "-DACTIVATION_GRAD=act_grad_%s -DRECOMPUTE=%d",
             op->vector, op->wide, op->lanes, COLUMNS, act, act, !op->reads_y);
    snprintf(config, sizeof config, "batch_norm_%s__vec%d_wide%d_lanes%d_recompute%d", act,
             op->vector, op->wide, op->lanes, !op->reads_y);
    struct program *program;
    tess_status status = program_get(op->ctx, "batch_norm.cl", options, config, &program);
    if (status) return status;
    const struct {
        const char *name;
        cl_kernel *kernel;
    } all[] = {{"batch_norm_stats", &op->stats},
               {"batch_norm_finish", &op->finish},
               {"batch_norm_coefficients", &op->coefficients},
               {"batch_norm_fwd", &op->forward},
               {"batch_norm_sums", &op->sums},
               {"batch_norm_bwd_finish", &op->backward_finish},
               {"batch_norm_bwd", &op->backward}};
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !status; i++)
        status = program_kernel(op->ctx, program, all[i].name, all[i].kernel);
    return status;
}

static void release_kernels(tess_batch_norm *op) {
    cl_kernel *all[] = {&op->stats, &op->finish,          &op->coefficients, &op->forward,
                        &op->sums,  &op->backward_finish, &op->backward};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        kernel_release(*all[i]);
        *all[i] = NULL;
    }
}

/* The work-group that lanes share may need more registers than the device has. Without lanes any work-group will do. */
static tess_status make_kernels_that_fit(tess_batch_norm *op) {
    tess_status status = make_kernels(op);
    if (op->lanes == 1 || (status != TESS_UNSUPPORTED && status != TESS_BUILD_FAILED))
        return status;
    context_log(op->ctx, TESS_LOG_WARN, "batch norm: one work-item a channel instead: %s",
                op->ctx->error.text);
    release_kernels(op);
    op->lanes = 1;
    return make_kernels(op);
}

static tess_status check_desc(tess_context *ctx, const tess_batch_norm_desc *desc) {
    const tess_tensor_desc x = {TESS_F32, TESS_NHWC, desc->n, desc->c, desc->h, desc->w};
    tess_status status = tensor_desc_check(ctx, &x, "batch norm: x");
    if (!status) status = expect_activation(ctx, desc->act, "batch norm");
    if (status) return status;
    if (desc->c > MOST_CHANNELS)
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "batch norm: %d channels; at most %d are possible", desc->c,
                            MOST_CHANNELS);
    if (!(desc->eps >= 0 && isfinite(desc->eps)))
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "batch norm: eps is %g; give a finite positive one, or 0 for 1e-5",
                            (double)desc->eps);
    if (!(desc->momentum >= 0 && desc->momentum <= 1))
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "batch norm: momentum is %g; give one of 0 to 1 (0: 0.1)",
                            (double)desc->momentum);
    return TESS_OK;
}

tess_status tess_batch_norm_create(tess_context *ctx, const tess_batch_norm_desc *desc,
                                   tess_batch_norm **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "batch norm: desc or out is NULL; give both");
    tess_status status = check_desc(ctx, desc);
    if (status) return status;
    tess_batch_norm *op = calloc(1, sizeof *op);
    if (!op) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "batch norm: no memory; free some");
    op->ctx = ctx;
    op->desc = *desc;
    if (op->desc.eps == 0) op->desc.eps = 1e-5f;
    if (op->desc.momentum == 0) op->desc.momentum = 0.1f;
    op->x = (tess_tensor_desc){TESS_F32, TESS_NHWC, desc->n, desc->c, desc->h, desc->w};
    op->elements = (int)tess_tensor_desc_elements(&op->x);
    bool cpu = ctx->device.type == CL_DEVICE_TYPE_CPU;
    op->vector = launch_vector(ctx);
    op->wide = cpu ? 4 : 1;
    op->lanes = cpu || ctx->device.max_work_group < 16 * COLUMNS ||
                        ctx->device.max_work_item[0] < 16 * COLUMNS
                    ? 1
                    : 16;
    op->reads_y = !recomputable(&op->desc);
    cut(op, cpu);
    status = make_kernels_that_fit(op);
    if (status) {
        tess_batch_norm_destroy(op);
        return status;
    }
    *out = op;
    return TESS_OK;
}

void tess_batch_norm_destroy(tess_batch_norm *op) {
    if (!op) return;
    release_kernels(op);
    free(op);
}

size_t tess_batch_norm_workspace(const tess_batch_norm *op) {
    if (!op) return 0;
    return ((size_t)COEFFICIENTS + 2 * (size_t)op->blocks) * (size_t)op->width * sizeof(cl_float);
}

bool tess_batch_norm_backward_reads_y(const tess_batch_norm *op) {
    return op && op->reads_y;
}

/* ---------------------------------------------------------------- launches */

/* A CPU's work-items are long: one a work-group. */
static struct kernel_range range_items(const tess_batch_norm *op) {
    return launch_range(op->ctx, op->items, op->ctx->device.type == CL_DEVICE_TYPE_CPU ? 1 : 64);
}

static struct kernel_range range_channels(const tess_batch_norm *op) {
    size_t channels = (size_t)op->desc.c, local = (size_t)op->lanes * COLUMNS;
    if (op->lanes == 1) return launch_range(op->ctx, channels, COLUMNS);
    size_t groups = (channels + COLUMNS - 1) / COLUMNS;
    return (struct kernel_range){.dims = 1, .global = {groups * local}, .local = {local}};
}

/* The arguments that all that goes through x ends with. */
#define ARGS_CUT(op)                                                                               \
    ARG_INT((op)->desc.c), ARG_INT((op)->elements), ARG_INT((op)->width),                          \
        ARG_INT((op)->wide_rows), ARG_INT((op)->rows), ARG_INT((op)->blocks),                      \
        ARG_ULONG(fastdiv((op)->width / ((op)->vector * (op)->wide)))

static tess_status enqueue_statistics(tess_batch_norm *op, const tess_batch_norm_args *args) {
    if (op->wide_rows) {
        struct kernel_range range = range_items(op);
        const struct kernel_arg stats[] = {ARG_TENSOR(args->x), ARG_TENSOR(args->workspace),
                                           ARGS_CUT(op)};
        tess_status status =
            kernel_enqueue(op->ctx, op->stats, &range, stats, sizeof stats / sizeof stats[0],
                           "batch norm statistics");
        if (status) return status;
    }
    struct kernel_range range = range_channels(op);
    const struct kernel_arg finish[] = {
        ARG_TENSOR(args->x),
        ARG_TENSOR(args->workspace),
        ARG_TENSOR(args->scale),
        ARG_TENSOR(args->bias),
        ARG_TENSOR(args->running_mean),
        ARG_TENSOR(args->running_var),
        ARG_TENSOR(args->saved_mean),
        ARG_TENSOR(args->saved_invstd),
        ARG_INT(op->desc.c),
        ARG_INT(op->elements),
        ARG_INT(op->width),
        ARG_INT(op->wide_rows),
        ARG_INT(op->rows),
        ARG_INT(op->blocks),
        ARG_FLOAT(op->desc.eps),
        ARG_FLOAT(op->desc.momentum),
    };
    return kernel_enqueue(op->ctx, op->finish, &range, finish, sizeof finish / sizeof finish[0],
                          "batch norm statistics");
}

/* spread: a variance, or, with is_invstd, 1 / sqrt(variance + eps). */
static tess_status enqueue_coefficients(tess_batch_norm *op, const tess_tensor *mean,
                                        const tess_tensor *spread, bool is_invstd,
                                        const tess_tensor *scale, const tess_tensor *bias,
                                        const tess_tensor *workspace) {
    struct kernel_range range = launch_range(op->ctx, (size_t)op->desc.c, 64);
    const struct kernel_arg args[] = {
        ARG_TENSOR(mean),   ARG_TENSOR(spread),    ARG_TENSOR(scale),
        ARG_TENSOR(bias),   ARG_TENSOR(workspace), ARG_INT(op->desc.c),
        ARG_INT(op->width), ARG_INT(is_invstd),    ARG_FLOAT(op->desc.eps)};
    return kernel_enqueue(op->ctx, op->coefficients, &range, args, sizeof args / sizeof args[0],
                          "batch norm coefficients");
}

static tess_status enqueue_forward(tess_batch_norm *op, const tess_batch_norm_args *args) {
    struct kernel_range range = range_items(op);
    const struct kernel_arg forward[] = {ARG_TENSOR(args->x),
                                         ARG_TENSOR(op->desc.residual ? args->residual : NULL),
                                         ARG_TENSOR(args->workspace),
                                         ARG_TENSOR(args->y),
                                         ARGS_CUT(op),
                                         ARG_FLOAT(activation_alpha(op->desc.act))};
    return kernel_enqueue(op->ctx, op->forward, &range, forward, sizeof forward / sizeof forward[0],
                          "batch norm forward");
}

/* ---------------------------------------------------------------- forward */

/* A vector of C values; may be NULL where optional. */
static tess_status expect_vector(tess_batch_norm *op, const tess_tensor *vector, bool optional,
                                 const char *what) {
    if (optional && !vector) return TESS_OK;
    return tensor_expect(op->ctx, vector, TESS_F32, (size_t)op->desc.c, what);
}

static tess_status check_forward(tess_batch_norm *op, const tess_batch_norm_args *args) {
    tess_context *ctx = op->ctx;
    if (!args)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "batch norm: args is NULL; give them");
    tess_status status = expect_desc(ctx, args->x, &op->x, "batch norm: x");
    if (!status) status = expect_desc(ctx, args->y, &op->x, "batch norm: y");
    if (!status)
        status = op->desc.residual
                     ? expect_desc(ctx, args->residual, &op->x, "batch norm: residual")
                     : expect_absent(ctx, args->residual, "batch norm: residual");
    if (!status) status = expect_vector(op, args->scale, true, "batch norm: scale");
    if (!status) status = expect_vector(op, args->bias, true, "batch norm: bias");
    if (status) return status;
    return expect_workspace(ctx, args->workspace, tess_batch_norm_workspace(op), "batch norm");
}

tess_status tess_batch_norm_forward_training(tess_batch_norm *op,
                                             const tess_batch_norm_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check_forward(op, args);
    if (!status) status = expect_vector(op, args->saved_mean, false, "batch norm: saved_mean");
    if (!status) status = expect_vector(op, args->saved_invstd, false, "batch norm: saved_invstd");
    bool running = !status && (args->running_mean || args->running_var);
    if (!status)
        status = expect_vector(op, args->running_mean, !running, "batch norm: running_mean");
    if (!status) status = expect_vector(op, args->running_var, !running, "batch norm: running_var");
    if (status) return status;
    if (op->elements == op->desc.c)
        return context_fail(op->ctx, TESS_INVALID_SHAPE,
                            "batch norm: one value a channel has no variance; train with a larger "
                            "batch or image");
    status = enqueue_statistics(op, args);
    if (status) return status;
    return enqueue_forward(op, args);
}

tess_status tess_batch_norm_forward_inference(tess_batch_norm *op,
                                              const tess_batch_norm_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check_forward(op, args);
    if (!status) status = expect_vector(op, args->running_mean, false, "batch norm: running_mean");
    if (!status) status = expect_vector(op, args->running_var, false, "batch norm: running_var");
    if (!status)
        status = enqueue_coefficients(op, args->running_mean, args->running_var, false, args->scale,
                                      args->bias, args->workspace);
    if (status) return status;
    return enqueue_forward(op, args);
}

tess_status tess_batch_norm_forward_saved(tess_batch_norm *op, const tess_batch_norm_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check_forward(op, args);
    if (!status) status = expect_vector(op, args->saved_mean, false, "batch norm: saved_mean");
    if (!status) status = expect_vector(op, args->saved_invstd, false, "batch norm: saved_invstd");
    if (!status)
        status = enqueue_coefficients(op, args->saved_mean, args->saved_invstd, true, args->scale,
                                      args->bias, args->workspace);
    return status ? status : enqueue_forward(op, args);
}

/* ---------------------------------------------------------------- backward */

static tess_status check_backward(tess_batch_norm *op, const tess_batch_norm_grad_args *args) {
    tess_context *ctx = op->ctx;
    if (!args)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "batch norm gradient: args is NULL; give them");
    tess_status status = expect_desc(ctx, args->x, &op->x, "batch norm gradient: x");
    if (!status) status = expect_desc(ctx, args->dy, &op->x, "batch norm gradient: dy");
    if (!status) status = expect_desc(ctx, args->dx, &op->x, "batch norm gradient: dx");
    if (!status && op->reads_y)
        status = expect_desc(ctx, args->y, &op->x, "batch norm gradient: y");
    if (!status && args->dresidual)
        status = expect_desc(ctx, args->dresidual, &op->x, "batch norm gradient: dresidual");
    const struct {
        const tess_tensor *vector;
        bool optional;
        const char *what;
    } vectors[] = {{args->scale, true, "batch norm gradient: scale"},
                   {args->bias, true, "batch norm gradient: bias"},
                   {args->saved_mean, false, "batch norm gradient: saved_mean"},
                   {args->saved_invstd, false, "batch norm gradient: saved_invstd"},
                   {args->dscale, true, "batch norm gradient: dscale"},
                   {args->dbias, true, "batch norm gradient: dbias"}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0] && !status; i++)
        status = expect_vector(op, vectors[i].vector, vectors[i].optional, vectors[i].what);
    if (status) return status;
    if (args->dresidual && args->dresidual->mem == args->dx->mem)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "batch norm gradient: dx and dresidual share their memory; use two "
                            "tensors");
    return expect_workspace(ctx, args->workspace, tess_batch_norm_workspace(op),
                            "batch norm gradient");
}

static tess_status enqueue_sums(tess_batch_norm *op, const tess_batch_norm_grad_args *args) {
    const char *what = "batch norm backward, sums";
    struct kernel_range range = range_items(op);
    const struct kernel_arg sums[] = {ARG_TENSOR(args->x),
                                      ARG_TENSOR(op->reads_y ? args->y : NULL),
                                      ARG_TENSOR(args->dy),
                                      ARG_TENSOR(args->workspace),
                                      ARG_TENSOR(args->dresidual),
                                      ARGS_CUT(op),
                                      ARG_FLOAT(activation_alpha(op->desc.act))};
    tess_status status =
        kernel_enqueue(op->ctx, op->sums, &range, sums, sizeof sums / sizeof sums[0], what);
    if (status) return status;
    range = range_channels(op);
    const struct kernel_arg finish[] = {ARG_TENSOR(args->workspace), ARG_TENSOR(args->saved_invstd),
                                        ARG_TENSOR(args->dscale),    ARG_TENSOR(args->dbias),
                                        ARG_INT(op->desc.c),         ARG_INT(op->elements),
                                        ARG_INT(op->width),          ARG_INT(op->blocks)};
    return kernel_enqueue(op->ctx, op->backward_finish, &range, finish,
                          sizeof finish / sizeof finish[0], what);
}

tess_status tess_batch_norm_backward(tess_batch_norm *op, const tess_batch_norm_grad_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = check_backward(op, args);
    if (!status)
        status = enqueue_coefficients(op, args->saved_mean, args->saved_invstd, true, args->scale,
                                      args->bias, args->workspace);
    if (!status) status = enqueue_sums(op, args);
    if (status) return status;
    bool has_g = args->dresidual != NULL;
    struct kernel_range range = range_items(op);
    const struct kernel_arg backward[] = {ARG_TENSOR(args->x),
                                          ARG_TENSOR(op->reads_y && !has_g ? args->y : NULL),
                                          ARG_TENSOR(has_g ? args->dresidual : args->dy),
                                          ARG_TENSOR(args->workspace),
                                          ARG_TENSOR(args->dx),
                                          ARG_INT(has_g),
                                          ARGS_CUT(op),
                                          ARG_FLOAT(activation_alpha(op->desc.act))};
    return kernel_enqueue(op->ctx, op->backward, &range, backward,
                          sizeof backward / sizeof backward[0], "batch norm backward");
}
