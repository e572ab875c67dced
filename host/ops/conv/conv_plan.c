/* Public plans: checks arguments, then hands over to the chosen algorithm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernel_bundle.h"
#include "core/tensor.h"
#include "ops/conv/conv_algo.h"
#include "ops/expect.h"

struct tess_conv_plan {
    tess_context *ctx;
    struct conv_problem problem;
    struct conv_choice choice;
    char config[CONV_CONFIG_SIZE]; /* printed */
    size_t workspace;
    void *state; /* the algorithm's */
    tess_tensor
        *packed; /* weights in the algorithm's arrangement; NULL: it takes them as they are */
    bool repack; /* packed is a part of the workspace */
    size_t packed_bytes; /* with repack */
    cl_mem split_from;   /* the workspace that packed and rest are parts of; retained */
    tess_tensor *rest;   /* what the algorithm uses as workspace */
    cl_mem
        packed_from; /* the weights that packed was made of, and their version; version 0: unknown */
    uint64_t packed_version;
    bool packed_apart; /* conv_plan_pack was there */
};

static tess_tensor_desc floats(size_t bytes) {
    return (tess_tensor_desc){TESS_F32, TESS_NHWC, 1, (int)((bytes + 3) / 4), 1, 1};
}

size_t conv_rest_offset(const tess_context *ctx, size_t packed) {
    size_t align = ctx->device.base_align ? ctx->device.base_align : 128;
    return (packed + align - 1) / align * align;
}

static tess_status create_packed(tess_conv_plan *plan) {
    size_t bytes = conv_algo_packed(plan->choice.algo, &plan->problem, &plan->choice.config);
    if (!bytes) return TESS_OK;
    if (plan->repack) {
        plan->packed_bytes = bytes;
        plan->workspace =
            plan->workspace ? conv_rest_offset(plan->ctx, bytes) + plan->workspace : bytes;
        return TESS_OK;
    }
    tess_tensor_desc desc = floats(bytes);
    return tess_tensor_create(plan->ctx, &desc, &plan->packed);
}

/* The choice's own state and the weights' place. */
static tess_status create_state(tess_conv_plan *plan) {
    const struct conv_algo *algo = plan->choice.algo;
    const struct conv_config *config = &plan->choice.config;
    conv_config_print(algo, plan->problem.pass, config, plan->config);
    plan->workspace = conv_algo_workspace(algo, &plan->problem, config);
    tess_status status =
        algo->create(plan->ctx, &plan->problem, config, plan->config, &plan->state);
    return status ? status : create_packed(plan);
}

/* A driver that cannot build or run the planner's choice gets the kernel that works everywhere. What the caller asked for by name
   fails instead. */
static tess_status create_generic(tess_conv_plan *plan, const tess_conv_options *options,
                                  tess_status why) {
    if (why != TESS_BUILD_FAILED && why != TESS_UNSUPPORTED) return why;
    if ((options && options->algo) || plan->choice.algo == &conv_generic) return why;
    context_log(plan->ctx, TESS_LOG_WARN, "convolution: the generic kernel instead: %s",
                plan->ctx->error.text);
    plan->choice = (struct conv_choice){.algo = &conv_generic, .tier = "generic"};
    snprintf(plan->choice.why, sizeof plan->choice.why, "%.80s cannot be built here", plan->config);
    return create_state(plan);
}

/* For the bundle of kernels that is being made, if there is one. */
static tess_status record(const tess_conv_plan *plan) {
    char key[TESS_CONV_KEY_SIZE];
    if (!plan->ctx->plans || plan->problem.d.layout != TESS_NHWC) return TESS_OK;
    tess_conv_desc_key(&plan->problem.d, key);
    return plan_record_add(plan->ctx, conv_pass_name(plan->problem.pass), key, plan->config);
}

tess_status conv_plan_create(tess_context *ctx, const tess_conv_desc *desc,
                             const tess_conv_options *options, const struct conv_slice *slice,
                             const struct conv_choice *choice, tess_conv_plan **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out) return context_fail(ctx, TESS_INVALID_ARGUMENT, "convolution: out is NULL; give it");
    tess_conv_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "convolution: no memory for a plan");
    plan->ctx = ctx;
    plan->repack = options && options->repack;
    tess_status status = conv_problem_init(desc, options, &ctx->error, &plan->problem);
    if (!status && slice) status = conv_problem_slice(&plan->problem, slice, &ctx->error);
    if (!status && choice && conv_algo_applicable(choice->algo, &plan->problem, &ctx->device))
        plan->choice = *choice;
    else if (!status)
        status = conv_choose(ctx, &plan->problem, options, &plan->choice);
    if (!status) status = create_state(plan);
    if (status && plan->choice.algo) status = create_generic(plan, options, status);
    if (!status) status = record(plan);
    if (status) {
        tess_conv_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return TESS_OK;
}

bool conv_plan_can_slice(tess_context *ctx, const tess_conv_desc *desc,
                         const tess_conv_options *options) {
    struct conv_problem problem;
    struct conv_choice choice;
    return !conv_problem_init(desc, options, &ctx->error, &problem) &&
           problem.d.layout == TESS_NHWC && !problem.residual &&
           !conv_choose(ctx, &problem, options, &choice) && choice.algo->slices;
}

tess_status tess_conv_plan_create(tess_context *ctx, const tess_conv_desc *desc,
                                  const tess_conv_options *options, tess_conv_plan **out) {
    return conv_plan_create(ctx, desc, options, NULL, NULL, out);
}

static void release_split(tess_conv_plan *plan) {
    if (!plan->split_from) return;
    tess_tensor_destroy(plan->packed);
    tess_tensor_destroy(plan->rest);
    plan->packed = plan->rest = NULL;
    clReleaseMemObject(plan->split_from);
    plan->split_from = NULL;
}

void tess_conv_plan_destroy(tess_conv_plan *plan) {
    if (!plan) return;
    if (plan->choice.algo) plan->choice.algo->destroy(plan->state);
    release_split(plan);
    tess_tensor_destroy(plan->packed);
    free(plan);
}

tess_conv_info tess_conv_plan_info(const tess_conv_plan *plan) {
    if (!plan) return (tess_conv_info){"", "", "", "", 0, 0};
    return (tess_conv_info){.algo = plan->choice.algo->name,
                            .config = plan->config,
                            .tier = plan->choice.tier,
                            .why = plan->choice.why,
                            .workspace = plan->workspace,
                            .packed = plan->packed && !plan->repack ? plan->packed->bytes : 0};
}

static tess_status check_args(const tess_conv_plan *plan, const tess_conv_args *args) {
    const struct conv_problem *p = &plan->problem;
    const struct {
        const tess_tensor *tensor;
        size_t elements;
        bool needed;
        const char *what;
    } expected[] = {
        {args->x, conv_problem_x(p), true, "convolution: x"},
        {args->w, conv_problem_w(p), args->w || !plan->packed_apart, "convolution: w"},
        {args->y, conv_problem_y(p), true, "convolution: y"},
        {args->bias, (size_t)p->d.k, p->bias, "convolution: bias"},
        {args->residual, conv_problem_y(p), p->residual, "convolution: residual"},
    };
    /* backward-weights does not read w but writes it, and so on: all three are always there. */
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        tess_status status = expected[i].needed
                                 ? tensor_expect(plan->ctx, expected[i].tensor, TESS_F32,
                                                 expected[i].elements, expected[i].what)
                                 : expect_absent(plan->ctx, expected[i].tensor, expected[i].what);
        if (status) return status;
    }
    if (plan->workspace &&
        (!args->workspace || tess_tensor_desc_bytes(&args->workspace->desc) < plan->workspace))
        return context_fail(plan->ctx, TESS_INVALID_ARGUMENT,
                            "convolution %s: workspace is missing or smaller than %zu bytes; give "
                            "one of the size that tess_conv_plan_info tells",
                            plan->config, plan->workspace);
    return TESS_OK;
}

/* Brings packed up to date with w. Queues run in order, so a pack may follow calls that still read what it overwrites. */
static tess_status refresh_packed(tess_conv_plan *plan, const tess_conv_args *args) {
    uint64_t version = args->weights_version;
    if (!plan->packed || !args->w) return TESS_OK;
    if (version && version == plan->packed_version && args->w->mem == plan->packed_from)
        return TESS_OK;
    plan->packed_version = 0;
    tess_status status = plan->choice.algo->pack(plan->state, args->w, plan->packed);
    if (status) return status;
    plan->packed_version = version;
    plan->packed_from = args->w->mem;
    return TESS_OK;
}

tess_status conv_plan_pack(tess_conv_plan *plan, const tess_tensor *w) {
    plan->packed_version = 0;
    tess_status status = plan->choice.algo->pack(plan->state, w, plan->packed);
    plan->packed_apart = status == TESS_OK;
    return status;
}

/* packed and rest become views of the workspace; nothing happens as long as that is the same. */
static tess_status split(tess_conv_plan *plan, tess_tensor *workspace) {
    if (plan->split_from == workspace->mem) return TESS_OK;
    size_t offset = conv_rest_offset(plan->ctx, plan->packed_bytes);
    tess_tensor_desc packed = floats(plan->packed_bytes), rest = floats(plan->workspace - offset);
    release_split(plan);
    cl_int code = clRetainMemObject(workspace->mem);
    if (code != CL_SUCCESS)
        return context_fail_opencl(plan->ctx, code, "convolution: retaining the workspace");
    plan->split_from = workspace->mem;
    tess_status status = tess_tensor_view(workspace, &packed, 0, &plan->packed);
    if (!status) status = tess_tensor_view(workspace, &rest, offset, &plan->rest);
    if (status) release_split(plan);
    return status;
}

static tess_status enqueue_repacked(tess_conv_plan *plan, const tess_conv_args *args) {
    tess_conv_args own = *args;
    tess_tensor *packed = args->workspace;
    if (plan->workspace > plan->packed_bytes) {
        tess_status status = split(plan, args->workspace);
        if (status) return status;
        packed = plan->packed;
        own.workspace = plan->rest;
    }
    tess_status status = plan->choice.algo->pack(plan->state, args->w, packed);
    return status ? status : plan->choice.algo->enqueue(plan->state, &own, packed);
}

tess_status tess_conv_plan_enqueue(tess_conv_plan *plan, const tess_conv_args *args) {
    if (!plan) return TESS_INVALID_ARGUMENT;
    if (!args)
        return context_fail(plan->ctx, TESS_INVALID_ARGUMENT,
                            "convolution %s: no arguments; give x, w and y", plan->config);
    tess_status status = check_args(plan, args);
    if (!status && plan->packed_bytes) return enqueue_repacked(plan, args);
    if (!status) status = refresh_packed(plan, args);
    return status ? status : plan->choice.algo->enqueue(plan->state, args, plan->packed);
}

/* *tensor stays NULL for no elements. */
static tess_status scratch(tess_context *ctx, size_t elements, tess_tensor **tensor) {
    tess_tensor_desc desc = floats(elements * sizeof(float));
    return elements ? tess_tensor_create(ctx, &desc, tensor) : TESS_OK;
}

tess_status conv_plan_run_once(tess_conv_plan *plan) {
    const struct conv_problem *p = &plan->problem;
    enum { X, W, Y, BIAS, RESIDUAL, WORKSPACE, COUNT };
    const size_t elements[COUNT] = {conv_problem_x(p),
                                    conv_problem_w(p),
                                    conv_problem_y(p),
                                    p->bias ? (size_t)p->d.k : 0,
                                    p->residual ? conv_problem_y(p) : 0,
                                    (plan->workspace + sizeof(float) - 1) / sizeof(float)};
    tess_tensor *tensors[COUNT] = {NULL};
    tess_status status = TESS_OK;
    for (int i = 0; i < COUNT && !status; i++)
        status = scratch(plan->ctx, elements[i], &tensors[i]);
    tess_conv_args args = {.x = tensors[X],
                           .w = tensors[W],
                           .y = tensors[Y],
                           .bias = tensors[BIAS],
                           .residual = tensors[RESIDUAL],
                           .workspace = tensors[WORKSPACE]};
    if (!status) status = tess_conv_plan_enqueue(plan, &args);
    if (!status) status = tess_context_finish(plan->ctx);
    release_split(plan); /* views of the workspace */
    for (int i = 0; i < COUNT; i++)
        tess_tensor_destroy(tensors[i]);
    return status;
}
