/* Fully connected layers: checks arguments, chooses for each pass who multiplies (fc_backend.h). */
#include "core/context.h"
#include "core/kernel_bundle.h"
#include "core/tensor.h"
#include "ops/conv/conv_advice.h"
#include "ops/eltwise.h"
#include "ops/expect.h"
#include "ops/fc_backend.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tess_fc {
    tess_context *ctx;
    tess_fc_desc desc;
    tess_eltwise *eltwise; /* NULL where no bias and no activation is left to do */
    struct {
        const struct fc_backend *backend;
        void *state;
        const char *tier;
        char why[160];
    } pass[FC_PASSES];
    size_t workspace; /* bytes: the largest of the three passes */
};

const char *const fc_pass_names[FC_PASSES] = {"forward", "backward-data", "backward-weights"};

/* ---- creation */

static const struct fc_backend *const backends[] = {&fc_clblast, &fc_conv, &fc_stream};
enum { BACKENDS = sizeof backends / sizeof *backends };

static const struct fc_backend *find_backend(const char *name) {
    for (int i = 0; i < BACKENDS; i++)
        if (strcmp(backends[i]->name, name) == 0) return backends[i];
    return NULL;
}

static tess_status check_desc(tess_context *ctx, const tess_fc_desc *desc) {
    if (!desc)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "fully connected: desc is NULL; pass a tess_fc_desc");
    int n = desc->n, c = desc->c, k = desc->k;
    if (n < 1 || c < 1 || k < 1 || n > INT_MAX / c || n > INT_MAX / k || c > INT_MAX / k)
        return context_fail(
            ctx, TESS_INVALID_SHAPE,
            "fully connected: n%d c%d k%d; each must be at least 1, and n c, n k and "
            "c k at most 2^31 - 1",
            n, c, k);
    if (desc->backend && !find_backend(desc->backend))
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "fully connected: no backend '%s'; there are clblast, conv and stream",
                            desc->backend);
    if (ctx->own_kernels_only && desc->backend && strcmp(desc->backend, "clblast") == 0)
        return context_fail(
            ctx, TESS_UNSUPPORTED,
            "fully connected: CLBlast compiles on its own, and this context has its "
            "kernels compiled beforehand; leave the backend out");
    return expect_activation(ctx, desc->act, "fully connected");
}

static const char *const operations[FC_PASSES] = {"fc_fwd", "fc_bwd_data", "fc_bwd_weights"};
/* What the tuning database calls a pass whose weights change before each call: its time includes packing them. */
static const char *const repack_operations[FC_PASSES] = {"fc_fwd_repack", "fc_bwd_data_repack",
                                                         "fc_bwd_weights"};

static void print_problem(const tess_fc *fc, char text[64]) {
    snprintf(text, 64, "n%dc%dk%d", fc->desc.n, fc->desc.c, fc->desc.k);
}

/* Measured on this device before: the tuning database's answer, a backend's name. */
static const struct fc_backend *measured_backend(const tess_fc *fc, enum fc_pass pass) {
    const struct conv_advisor *advisor = fc->ctx->advisor;
    char problem[64], answer[CONV_CONFIG_SIZE];
    if (!advisor || !advisor->lookup) return NULL;
    print_problem(fc, problem);
    const char *operation = fc->desc.repack ? repack_operations[pass] : operations[pass];
    if (!advisor->lookup(advisor->user, operation, problem, answer, sizeof answer)) return NULL;
    return find_backend(answer);
}

/* A bundle of kernels has the programs of one backend. */
static const struct fc_backend *bundled_backend(const tess_fc *fc, enum fc_pass pass) {
    char problem[64];
    print_problem(fc, problem);
    const char *name =
        fc->ctx->bundle ? kernel_bundle_plan(fc->ctx->bundle, operations[pass], problem) : NULL;
    return name ? find_backend(name) : NULL;
}

/* Packing the weights after every update, and once for each pass, costs more than few rows gain from it; and it takes as
   much memory as the weights. Their gradient needs no packing, but copies fewer rows less often. Measured on PoCL, see README. */
static bool streams(const tess_fc_desc *desc, enum fc_pass pass) {
    enum { MOST_ROWS = 32, MOST_GRADIENT_ROWS = 64, LEAST_WEIGHTS = 1 << 18 };
    int most = pass == FC_BACKWARD_WEIGHTS ? MOST_GRADIENT_ROWS : MOST_ROWS;
    return desc->n <= most && (double)desc->c * desc->k >= LEAST_WEIGHTS;
}

static void choose(tess_fc *fc, enum fc_pass pass) {
    bool cpu = fc->ctx->device.type & CL_DEVICE_TYPE_CPU;
    const struct fc_backend *backend = NULL;
    const char *tier = "default", *why = "not tuned; CLBlast is made for devices like this";
    if (cpu) why = "not tuned; on CPUs our kernels are many times faster than CLBlast's";
    if (fc->desc.backend) {
        backend = find_backend(fc->desc.backend);
        tier = "caller";
        why = "the caller asked for it";
    } else if ((backend = bundled_backend(fc, pass))) {
        tier = "exact";
        why = "its programs are in the bundle";
    } else if ((backend = measured_backend(fc, pass))) {
        tier = "exact";
        why = "measured on this device";
    }
    if (!backend && cpu && streams(&fc->desc, pass)) {
        backend = &fc_stream;
        why = "not tuned; few rows and many weights, which are read or written as they are";
    }
    if (fc->ctx->own_kernels_only && (!backend || backend == &fc_clblast)) {
        backend = &fc_conv;
        tier = "default";
        why = "kernels compiled beforehand: CLBlast would compile on its own";
    }
    if (!backend) backend = cpu ? &fc_conv : &fc_clblast;
    fc->pass[pass].backend = backend;
    fc->pass[pass].tier = tier;
    snprintf(fc->pass[pass].why, sizeof fc->pass[pass].why, "%s", why);
}

static tess_status create_pass(tess_fc *fc, enum fc_pass pass) {
    choose(fc, pass);
    const struct fc_backend *backend = fc->pass[pass].backend;
    tess_status status = backend->create(fc->ctx, &fc->desc, pass, &fc->pass[pass].state);
    if (status) return status;
    if (fc->ctx->plans) {
        char problem[64];
        print_problem(fc, problem);
        status = plan_record_add(fc->ctx, operations[pass], problem, backend->name);
        if (status) return status;
    }
    size_t bytes = backend->workspace(fc->pass[pass].state);
    if (bytes > fc->workspace) fc->workspace = bytes;
    bool epilogue = fc->desc.bias || fc->desc.act.kind != TESS_ACT_NONE;
    if (pass != FC_FORWARD || !epilogue || backend->epilogue) return TESS_OK;
    return eltwise_create(fc->ctx, ELTWISE_MAPS, &fc->eltwise);
}

tess_status tess_fc_create(tess_context *ctx, const tess_fc_desc *desc, tess_fc **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "fully connected: out is NULL; pass where to put the operator");
    tess_status status = check_desc(ctx, desc);
    if (status) return status;
    tess_fc *fc = calloc(1, sizeof *fc);
    if (!fc)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "fully connected: no memory for the operator; free some memory");
    fc->ctx = ctx;
    fc->desc = *desc;
    int passes = desc->forward_only ? 1 : FC_PASSES;
    for (int pass = 0; pass < passes && !status; pass++)
        status = create_pass(fc, (enum fc_pass)pass);
    if (status) {
        tess_fc_destroy(fc);
        return status;
    }
    *out = fc;
    return TESS_OK;
}

void tess_fc_destroy(tess_fc *fc) {
    if (!fc) return;
    for (int pass = 0; pass < FC_PASSES; pass++)
        if (fc->pass[pass].state) fc->pass[pass].backend->destroy(fc->pass[pass].state);
    tess_eltwise_destroy(fc->eltwise);
    free(fc);
}

size_t tess_fc_workspace(const tess_fc *fc) {
    return fc ? fc->workspace : 0;
}

tess_fc_info tess_fc_pass_info(const tess_fc *fc, tess_conv_pass pass) {
    if (!fc || (unsigned)pass >= FC_PASSES || !fc->pass[pass].state)
        return (tess_fc_info){"", "", "", ""};
    return (tess_fc_info){.backend = fc->pass[pass].backend->name,
                          .config = fc->pass[pass].backend->config(fc->pass[pass].state),
                          .tier = fc->pass[pass].tier,
                          .why = fc->pass[pass].why};
}

/* ---- execution */

/* N rows of count values, rows one after the other in memory. */
static tess_status expect_rows(const tess_fc *fc, const tess_tensor *tensor, int count,
                               const char *what) {
    tess_status status =
        tensor_expect(fc->ctx, tensor, TESS_F32, (size_t)fc->desc.n * (size_t)count, what);
    if (status) return status;
    if (tensor->desc.layout != TESS_NHWC || tensor->desc.n != fc->desc.n)
        return context_fail(fc->ctx, TESS_INVALID_SHAPE, "%s: must be TESS_NHWC with n = %d", what,
                            fc->desc.n);
    return TESS_OK;
}

static tess_status expect_weights(const tess_fc *fc, const tess_tensor *tensor, const char *what) {
    tess_status status =
        tensor_expect(fc->ctx, tensor, TESS_F32, (size_t)fc->desc.c * (size_t)fc->desc.k, what);
    if (status) return status;
    if (tensor->desc.layout != TESS_RSCK || tensor->desc.n != fc->desc.k)
        return context_fail(fc->ctx, TESS_INVALID_SHAPE, "%s: must be TESS_RSCK with n = K = %d",
                            what, fc->desc.k);
    return TESS_OK;
}

static tess_status expect_distinct(const tess_fc *fc, const tess_tensor *a, const tess_tensor *b,
                                   const tess_tensor *out) {
    if (out != a && out != b) return TESS_OK;
    return context_fail(fc->ctx, TESS_INVALID_ARGUMENT,
                        "fully connected: the output is also an input; give it memory of its own");
}

static tess_status expect_bias(const tess_fc *fc, const tess_tensor *bias, const tess_tensor *y) {
    if (!fc->desc.bias) {
        if (!bias) return TESS_OK;
        return context_fail(
            fc->ctx, TESS_INVALID_ARGUMENT,
            "fully connected: bias: given to a layer made without; set desc.bias or pass NULL");
    }
    if (y->desc.c != fc->desc.k)
        return context_fail(
            fc->ctx, TESS_INVALID_SHAPE,
            "fully connected: y: %d channels; with a bias it must be N K 1 1 with K = %d",
            y->desc.c, fc->desc.k);
    return tensor_expect(fc->ctx, bias, TESS_F32, (size_t)fc->desc.k, "fully connected: bias");
}

static tess_status run_pass(tess_fc *fc, enum fc_pass pass, const struct fc_operands *operands) {
    tess_status status =
        expect_workspace(fc->ctx, operands->workspace, fc->workspace, "fully connected: workspace");
    if (status) return status;
    if (!fc->pass[pass].state)
        return context_fail(fc->ctx, TESS_INVALID_ARGUMENT,
                            "fully connected: %s of a layer made for forward only; leave "
                            "desc.forward_only out",
                            fc_pass_names[pass]);
    return fc->pass[pass].backend->run(fc->pass[pass].state, operands);
}

tess_status tess_fc_forward(tess_fc *fc, const tess_tensor *x, const tess_tensor *w,
                            const tess_tensor *bias, tess_tensor *y, tess_tensor *workspace,
                            uint64_t weights_version) {
    if (!fc) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_rows(fc, x, fc->desc.c, "fully connected: x");
    if (!status) status = expect_weights(fc, w, "fully connected: w");
    if (!status) status = expect_rows(fc, y, fc->desc.k, "fully connected: y");
    if (!status) status = expect_bias(fc, bias, y);
    if (!status) status = expect_distinct(fc, x, w, y);
    const struct fc_operands operands = {.x = x,
                                         .w = w,
                                         .y = y,
                                         .bias = bias,
                                         .workspace = workspace,
                                         .weights_version = weights_version};
    if (!status) status = run_pass(fc, FC_FORWARD, &operands);
    if (status || !fc->eltwise) return status;
    if (fc->desc.bias) return tess_bias_forward(fc->eltwise, fc->desc.act, y, bias, y);
    return tess_activation_forward(fc->eltwise, fc->desc.act, y, y);
}

tess_status tess_fc_backward_data(tess_fc *fc, const tess_tensor *dy, const tess_tensor *w,
                                  tess_tensor *dx, tess_tensor *workspace,
                                  uint64_t weights_version) {
    if (!fc) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_rows(fc, dy, fc->desc.k, "fully connected: dy");
    if (!status) status = expect_weights(fc, w, "fully connected: w");
    if (!status) status = expect_rows(fc, dx, fc->desc.c, "fully connected: dx");
    if (!status) status = expect_distinct(fc, dy, w, dx);
    if (status) return status;
    return run_pass(
        fc, FC_BACKWARD_DATA,
        &(struct fc_operands){
            .x = dx, .w = w, .y = dy, .workspace = workspace, .weights_version = weights_version});
}

tess_status tess_fc_backward_weights(tess_fc *fc, const tess_tensor *x, const tess_tensor *dy,
                                     tess_tensor *dw, tess_tensor *workspace) {
    if (!fc) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_rows(fc, x, fc->desc.c, "fully connected: x");
    if (!status) status = expect_rows(fc, dy, fc->desc.k, "fully connected: dy");
    if (!status) status = expect_weights(fc, dw, "fully connected: dw");
    if (!status) status = expect_distinct(fc, x, dy, dw);
    if (status) return status;
    return run_pass(fc, FC_BACKWARD_WEIGHTS,
                    &(struct fc_operands){.x = x, .w = dw, .y = dy, .workspace = workspace});
}
