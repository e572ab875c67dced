/* Fully connected layers by CLBlast; nothing else in the library calls it.

   Row-major, x N x C, w C x K, y N x K:   y = x w      dx = dy w^T      dw = x^T dy
   n > 1:                                  GEMM         GEMM             GEMM
   n == 1:                                 GEMV         GEMV             GER

   CLBlast compiles a routine's program in its first call, and some OpenCL implementations compile a kernel only
   when it is first enqueued, for its work-group and grid size. So create runs each pass once, with the real
   shape, on scratch memory. CLBlastFillCache is no way out: it compiles every routine in every precision, and leaves
   the second kind of compilation to be done. A single-image layer uses GER rather than GEMM with an inner dimension
   of one because then it never needs GEMM's program, by far the slowest to compile. */
#include "core/context.h"
#include "core/tensor.h"
#include "ops/expect.h"

#include <clblast_c.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct tess_fc {
    tess_context *ctx;
    tess_fc_desc desc;
    tess_eltwise *eltwise; /* NULL without bias and activation */
    size_t workspace;      /* bytes: the largest of the three passes */
};

/* ---- errors */

static const struct clblast_error {
    CLBlastStatusCode code;
    tess_status status;
    const char *name, *advice;
} clblast_errors[] = {
#define BUG   "report this as a bug in Tessera"
#define SMALL "give each tensor a memory object that holds all its elements"
    {CLBlastNotImplemented, TESS_UNSUPPORTED, "CLBlastNotImplemented",
     "install a complete CLBlast"},
    {CLBlastInvalidMatrixA, TESS_INVALID_ARGUMENT, "CLBlastInvalidMatrixA", SMALL},
    {CLBlastInvalidMatrixB, TESS_INVALID_ARGUMENT, "CLBlastInvalidMatrixB", SMALL},
    {CLBlastInvalidMatrixC, TESS_INVALID_ARGUMENT, "CLBlastInvalidMatrixC", SMALL},
    {CLBlastInvalidVectorX, TESS_INVALID_ARGUMENT, "CLBlastInvalidVectorX", SMALL},
    {CLBlastInvalidVectorY, TESS_INVALID_ARGUMENT, "CLBlastInvalidVectorY", SMALL},
    {CLBlastInvalidDimension, TESS_INTERNAL, "CLBlastInvalidDimension", BUG},
    {CLBlastInvalidLeadDimA, TESS_INTERNAL, "CLBlastInvalidLeadDimA", BUG},
    {CLBlastInvalidLeadDimB, TESS_INTERNAL, "CLBlastInvalidLeadDimB", BUG},
    {CLBlastInvalidLeadDimC, TESS_INTERNAL, "CLBlastInvalidLeadDimC", BUG},
    {CLBlastInvalidIncrementX, TESS_INTERNAL, "CLBlastInvalidIncrementX", BUG},
    {CLBlastInvalidIncrementY, TESS_INTERNAL, "CLBlastInvalidIncrementY", BUG},
    {CLBlastInsufficientMemoryA, TESS_INVALID_ARGUMENT, "CLBlastInsufficientMemoryA", SMALL},
    {CLBlastInsufficientMemoryB, TESS_INVALID_ARGUMENT, "CLBlastInsufficientMemoryB", SMALL},
    {CLBlastInsufficientMemoryC, TESS_INVALID_ARGUMENT, "CLBlastInsufficientMemoryC", SMALL},
    {CLBlastInsufficientMemoryX, TESS_INVALID_ARGUMENT, "CLBlastInsufficientMemoryX", SMALL},
    {CLBlastInsufficientMemoryY, TESS_INVALID_ARGUMENT, "CLBlastInsufficientMemoryY", SMALL},
    {CLBlastInsufficientMemoryTemp, TESS_INVALID_ARGUMENT, "CLBlastInsufficientMemoryTemp",
     "give a workspace of tess_fc_workspace() bytes"},
    {CLBlastInvalidLocalMemUsage, TESS_UNSUPPORTED, "CLBlastInvalidLocalMemUsage",
     "the device has too little local memory for CLBlast's kernels; choose another device"},
    {CLBlastDatabaseError, TESS_UNSUPPORTED, "CLBlastDatabaseError",
     "CLBlast has no parameters for this device; choose another device or a newer CLBlast"},
    {CLBlastUnknownError, TESS_OPENCL, "CLBlastUnknownError",
     "check the device with another OpenCL program; choose another device"},
    {CLBlastUnexpectedError, TESS_OPENCL, "CLBlastUnexpectedError",
     "check the device with another OpenCL program; choose another device"},
#undef BUG
#undef SMALL
};

/* TESS_OK, or the failure with its name and advice. Codes that CLBlast shares with OpenCL go to core. */
static tess_status check_clblast(const tess_fc *fc, CLBlastStatusCode code, const char *pass) {
    if (code == CLBlastSuccess) return TESS_OK;
    const tess_fc_desc *d = &fc->desc;
    for (size_t i = 0; i < sizeof clblast_errors / sizeof *clblast_errors; i++) {
        const struct clblast_error *e = &clblast_errors[i];
        if (e->code == code)
            return context_fail(fc->ctx, e->status, "fully connected %s (n%d c%d k%d): %s (%d); %s",
                                pass, d->n, d->c, d->k, e->name, (int)code, e->advice);
    }
    char what[128];
    snprintf(what, sizeof what, "fully connected %s (n%d c%d k%d), CLBlast", pass, d->n, d->c,
             d->k);
    return context_fail_opencl(fc->ctx, (cl_int)code, what);
}

/* ---- the three passes on memory objects */

/* A product a b of an m x k and a k x n matrix, either of them stored transposed. */
struct product {
    CLBlastTranspose a_transpose, b_transpose;
    size_t m, n, k, a_ld, b_ld;
};

enum pass { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, PASSES };

static const char *const pass_names[PASSES] = {"forward", "backward-data", "backward-weights"};

static struct product pass_product(const tess_fc_desc *desc, enum pass pass) {
    size_t n = (size_t)desc->n, c = (size_t)desc->c, k = (size_t)desc->k;
    const struct product products[PASSES] = {
        [FORWARD] = {CLBlastTransposeNo, CLBlastTransposeNo, n, k, c, c, k},
        [BACKWARD_DATA] = {CLBlastTransposeNo, CLBlastTransposeYes, n, c, k, k, k},
        [BACKWARD_WEIGHTS] = {CLBlastTransposeYes, CLBlastTransposeNo, c, k, n, c, k},
    };
    return products[pass];
}

static CLBlastStatusCode run_gemm(const tess_fc *fc, enum pass pass, cl_mem a, cl_mem b, cl_mem out,
                                  cl_mem temporary) {
    cl_command_queue queue = fc->ctx->queue;
    struct product p = pass_product(&fc->desc, pass);
    return CLBlastSgemmWithTempBuffer(CLBlastLayoutRowMajor, p.a_transpose, p.b_transpose, p.m, p.n,
                                      p.k, 1.0f, a, 0, p.a_ld, b, 0, p.b_ld, 0.0f, out, 0, p.n,
                                      &queue, NULL, temporary);
}

/* One row. GEMV reads its output and multiplies it by beta, so that 0 NaN would stay NaN, and GER adds to
   it: the output is cleared before. */
static CLBlastStatusCode run_single(const tess_fc *fc, enum pass pass, cl_mem a, cl_mem b,
                                    cl_mem out) {
    cl_command_queue queue = fc->ctx->queue;
    size_t c = (size_t)fc->desc.c, k = (size_t)fc->desc.k;
    struct product p = pass_product(&fc->desc, pass);
    const float zero = 0.0f;
    cl_int code = clEnqueueFillBuffer(queue, out, &zero, sizeof zero, 0, p.m * p.n * sizeof zero, 0,
                                      NULL, NULL);
    if (code) return (CLBlastStatusCode)code;
    if (pass == BACKWARD_WEIGHTS)
        return CLBlastSger(CLBlastLayoutRowMajor, c, k, 1.0f, a, 0, 1, b, 0, 1, out, 0, k, &queue,
                           NULL);
    CLBlastTranspose transpose = pass == FORWARD ? CLBlastTransposeYes : CLBlastTransposeNo;
    return CLBlastSgemv(CLBlastLayoutRowMajor, transpose, c, k, 1.0f, b, 0, k, a, 0, 1, 0.0f, out,
                        0, 1, &queue, NULL);
}

/* forward: x, w -> y. backward-data: dy, w -> dx. backward-weights: x, dy -> dw. */
static tess_status run_pass(const tess_fc *fc, enum pass pass, cl_mem a, cl_mem b, cl_mem out,
                            cl_mem temporary) {
    CLBlastStatusCode code = fc->desc.n == 1 ? run_single(fc, pass, a, b, out)
                                             : run_gemm(fc, pass, a, b, out, temporary);
    return check_clblast(fc, code, pass_names[pass]);
}

/* ---- creation */

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
    return expect_activation(ctx, desc->act, "fully connected");
}

static tess_status find_workspace(tess_fc *fc) {
    cl_command_queue queue = fc->ctx->queue;
    if (fc->desc.n == 1) return TESS_OK;
    for (int pass = FORWARD; pass < PASSES; pass++) {
        struct product p = pass_product(&fc->desc, (enum pass)pass);
        size_t bytes = 0;
        CLBlastStatusCode code =
            CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, p.a_transpose, p.b_transpose, p.m,
                                       p.n, p.k, 0, p.a_ld, 0, p.b_ld, 0, p.n, &queue, &bytes);
        tess_status status = check_clblast(fc, code, pass_names[pass]);
        if (status) return status;
        if (bytes > fc->workspace) fc->workspace = bytes;
    }
    return TESS_OK;
}

enum scratch { SCRATCH_X, SCRATCH_W, SCRATCH_Y, SCRATCH_TEMPORARY, SCRATCHES };

/* Zeros, because arithmetic on the denormal numbers of fresh memory can be slow. */
static tess_status make_scratch(tess_context *ctx, size_t bytes, cl_mem *out) {
    const cl_float zero = 0.0f;
    cl_mem mem = NULL;
    if (bytes == 0) return TESS_OK;
    tess_status status = context_buffer_create(ctx, bytes, &mem);
    if (status) return status;
    cl_int code = clEnqueueFillBuffer(ctx->queue, mem, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
    if (code) {
        context_buffer_release(ctx, mem, bytes);
        return context_fail_opencl(ctx, code, "fully connected: clEnqueueFillBuffer");
    }
    *out = mem;
    return TESS_OK;
}

/* Has everything compiled that the three passes need. Blocking. */
static tess_status warm_up(const tess_fc *fc) {
    tess_context *ctx = fc->ctx;
    size_t n = (size_t)fc->desc.n, c = (size_t)fc->desc.c, k = (size_t)fc->desc.k;
    const size_t bytes[SCRATCHES] = {n * c * sizeof(float), c * k * sizeof(float),
                                     n * k * sizeof(float), fc->workspace};
    cl_mem mem[SCRATCHES] = {NULL};
    tess_status status = TESS_OK;
    for (int i = 0; i < SCRATCHES && !status; i++)
        status = make_scratch(ctx, bytes[i], &mem[i]);
    cl_mem x = mem[SCRATCH_X], w = mem[SCRATCH_W], y = mem[SCRATCH_Y];
    cl_mem temporary = mem[SCRATCH_TEMPORARY];
    if (!status) status = run_pass(fc, FORWARD, x, w, y, temporary);
    if (!status) status = run_pass(fc, BACKWARD_DATA, y, w, x, temporary);
    if (!status) status = run_pass(fc, BACKWARD_WEIGHTS, x, y, w, temporary);
    if (!status) status = tess_context_finish(ctx);
    for (int i = 0; i < SCRATCHES; i++)
        context_buffer_release(ctx, mem[i], bytes[i]);
    return status;
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
    if (desc->bias || desc->act.kind != TESS_ACT_NONE)
        status = tess_eltwise_create(ctx, &fc->eltwise);
    if (!status) status = find_workspace(fc);
    if (!status) status = warm_up(fc);
    if (status) goto fail;
    *out = fc;
    return TESS_OK;
fail:
    tess_fc_destroy(fc);
    return status;
}

void tess_fc_destroy(tess_fc *fc) {
    if (!fc) return;
    tess_eltwise_destroy(fc->eltwise);
    free(fc);
}

size_t tess_fc_workspace(const tess_fc *fc) {
    return fc ? fc->workspace : 0;
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

/* CLBlast wants none where none is needed. */
static cl_mem temporary_memory(const tess_fc *fc, const tess_tensor *workspace) {
    return fc->workspace ? workspace->mem : NULL;
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

tess_status tess_fc_forward(tess_fc *fc, const tess_tensor *x, const tess_tensor *w,
                            const tess_tensor *bias, tess_tensor *y, tess_tensor *workspace) {
    if (!fc) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_rows(fc, x, fc->desc.c, "fully connected: x");
    if (!status) status = expect_weights(fc, w, "fully connected: w");
    if (!status) status = expect_rows(fc, y, fc->desc.k, "fully connected: y");
    if (!status) status = expect_bias(fc, bias, y);
    if (!status) status = expect_distinct(fc, x, w, y);
    if (!status)
        status = expect_workspace(fc->ctx, workspace, fc->workspace, "fully connected: workspace");
    if (!status)
        status = run_pass(fc, FORWARD, x->mem, w->mem, y->mem, temporary_memory(fc, workspace));
    if (status) return status;
    if (fc->desc.bias) return tess_bias_forward(fc->eltwise, fc->desc.act, y, bias, y);
    if (fc->desc.act.kind != TESS_ACT_NONE)
        return tess_activation_forward(fc->eltwise, fc->desc.act, y, y);
    return TESS_OK;
}

tess_status tess_fc_backward_data(tess_fc *fc, const tess_tensor *dy, const tess_tensor *w,
                                  tess_tensor *dx, tess_tensor *workspace) {
    if (!fc) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_rows(fc, dy, fc->desc.k, "fully connected: dy");
    if (!status) status = expect_weights(fc, w, "fully connected: w");
    if (!status) status = expect_rows(fc, dx, fc->desc.c, "fully connected: dx");
    if (!status) status = expect_distinct(fc, dy, w, dx);
    if (!status)
        status = expect_workspace(fc->ctx, workspace, fc->workspace, "fully connected: workspace");
    if (status) return status;
    return run_pass(fc, BACKWARD_DATA, dy->mem, w->mem, dx->mem, temporary_memory(fc, workspace));
}

tess_status tess_fc_backward_weights(tess_fc *fc, const tess_tensor *x, const tess_tensor *dy,
                                     tess_tensor *dw, tess_tensor *workspace) {
    if (!fc) return TESS_INVALID_ARGUMENT;
    tess_status status = expect_rows(fc, x, fc->desc.c, "fully connected: x");
    if (!status) status = expect_rows(fc, dy, fc->desc.k, "fully connected: dy");
    if (!status) status = expect_weights(fc, dw, "fully connected: dw");
    if (!status) status = expect_distinct(fc, x, dy, dw);
    if (!status)
        status = expect_workspace(fc->ctx, workspace, fc->workspace, "fully connected: workspace");
    if (status) return status;
    return run_pass(fc, BACKWARD_WEIGHTS, x->mem, dy->mem, dw->mem,
                    temporary_memory(fc, workspace));
}
