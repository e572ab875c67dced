/* Fully connected layers by CLBlast; nothing else in the library calls it.

   Row-major, x N x C, w C x K, y N x K:   y = x w      dx = dy w^T      dw = x^T dy
   n > 1:                                  GEMM         GEMM             GEMM
   n == 1:                                 GEMV         GEMV             GER

   CLBlast compiles a routine's program in its first call, and some OpenCL implementations compile a kernel only
   when it is first enqueued, for its work-group and grid size. So create runs the pass once, with the real
   shape, on scratch memory. CLBlastFillCache is no way out: it compiles every routine in every precision, and leaves
   the second kind of compilation to be done. A single-image layer uses GER rather than GEMM with an inner dimension
   of one because then it never needs GEMM's program, by far the slowest to compile. */
#include "core/tensor.h"
#include "ops/clblast_params.h"
#include "ops/fc_backend.h"

#include <clblast_c.h>
#include <stdio.h>
#include <stdlib.h>

struct clblast {
    tess_context *ctx;
    tess_fc_desc desc;
    enum fc_pass pass;
    size_t workspace;
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
static tess_status check_clblast(const struct clblast *fc, CLBlastStatusCode code) {
    const char *pass = fc_pass_names[fc->pass];
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

static struct product pass_product(const tess_fc_desc *desc, enum fc_pass pass) {
    size_t n = (size_t)desc->n, c = (size_t)desc->c, k = (size_t)desc->k;
    const struct product products[FC_PASSES] = {
        [FC_FORWARD] = {CLBlastTransposeNo, CLBlastTransposeNo, n, k, c, c, k},
        [FC_BACKWARD_DATA] = {CLBlastTransposeNo, CLBlastTransposeYes, n, c, k, k, k},
        [FC_BACKWARD_WEIGHTS] = {CLBlastTransposeYes, CLBlastTransposeNo, c, k, n, c, k},
    };
    return products[pass];
}

static CLBlastStatusCode run_gemm(const struct clblast *fc, enum fc_pass pass, cl_mem a, cl_mem b,
                                  cl_mem out, cl_mem temporary) {
    cl_command_queue queue = fc->ctx->queue;
    struct product p = pass_product(&fc->desc, pass);
    return CLBlastSgemmWithTempBuffer(CLBlastLayoutRowMajor, p.a_transpose, p.b_transpose, p.m, p.n,
                                      p.k, 1.0f, a, 0, p.a_ld, b, 0, p.b_ld, 0.0f, out, 0, p.n,
                                      &queue, NULL, temporary);
}

/* One row. GEMV reads its output and multiplies it by beta, so that 0 NaN would stay NaN, and GER adds to
   it: the output is cleared before. */
static CLBlastStatusCode run_single(const struct clblast *fc, enum fc_pass pass, cl_mem a, cl_mem b,
                                    cl_mem out) {
    cl_command_queue queue = fc->ctx->queue;
    size_t c = (size_t)fc->desc.c, k = (size_t)fc->desc.k;
    struct product p = pass_product(&fc->desc, pass);
    const float zero = 0.0f;
    cl_int code = clEnqueueFillBuffer(queue, out, &zero, sizeof zero, 0, p.m * p.n * sizeof zero, 0,
                                      NULL, NULL);
    if (code) return (CLBlastStatusCode)code;
    if (pass == FC_BACKWARD_WEIGHTS)
        return CLBlastSger(CLBlastLayoutRowMajor, c, k, 1.0f, a, 0, 1, b, 0, 1, out, 0, k, &queue,
                           NULL);
    CLBlastTranspose transpose = pass == FC_FORWARD ? CLBlastTransposeYes : CLBlastTransposeNo;
    return CLBlastSgemv(CLBlastLayoutRowMajor, transpose, c, k, 1.0f, b, 0, k, a, 0, 1, 0.0f, out,
                        0, 1, &queue, NULL);
}

/* forward: a = x, b = w. backward-data: dy, w. backward-weights: x, dy. */
static tess_status multiply(const struct clblast *fc, cl_mem a, cl_mem b, cl_mem out,
                            cl_mem temporary) {
    CLBlastStatusCode code = fc->desc.n == 1 ? run_single(fc, fc->pass, a, b, out)
                                             : run_gemm(fc, fc->pass, a, b, out, temporary);
    return check_clblast(fc, code);
}

/* ---- creation */

static tess_status find_workspace(struct clblast *fc) {
    cl_command_queue queue = fc->ctx->queue;
    if (fc->desc.n == 1) return TESS_OK;
    struct product p = pass_product(&fc->desc, fc->pass);
    return check_clblast(fc, CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, p.a_transpose,
                                                        p.b_transpose, p.m, p.n, p.k, 0, p.a_ld, 0,
                                                        p.b_ld, 0, p.n, &queue, &fc->workspace));
}

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

/* Has everything compiled that the pass needs. Blocking. */
static tess_status warm_up(const struct clblast *fc) {
    tess_context *ctx = fc->ctx;
    struct product p = pass_product(&fc->desc, fc->pass);
    const size_t bytes[] = {p.m * p.k * sizeof(float), p.k * p.n * sizeof(float),
                            p.m * p.n * sizeof(float), fc->workspace};
    cl_mem mem[4] = {NULL};
    tess_status status = TESS_OK;
    for (int i = 0; i < 4 && !status; i++)
        status = make_scratch(ctx, bytes[i], &mem[i]);
    if (!status) status = multiply(fc, mem[0], mem[1], mem[2], mem[3]);
    if (!status) status = tess_context_finish(ctx);
    for (int i = 0; i < 4; i++)
        context_buffer_release(ctx, mem[i], bytes[i]);
    return status;
}

static void destroy(void *state) {
    free(state);
}

static tess_status create(tess_context *ctx, const tess_fc_desc *desc, enum fc_pass pass,
                          void **state) {
    struct clblast *fc = calloc(1, sizeof *fc);
    if (!fc)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "fully connected: no memory for the operator; free some memory");
    *fc = (struct clblast){.ctx = ctx, .desc = *desc, .pass = pass};
    clblast_use_tuning(ctx);
    tess_status status = find_workspace(fc);
    if (!status) status = warm_up(fc);
    if (status) {
        free(fc);
        return status;
    }
    *state = fc;
    return TESS_OK;
}

static size_t workspace(const void *state) {
    return ((const struct clblast *)state)->workspace;
}

static const char *config(const void *state) {
    const struct clblast *fc = state;
    return fc->desc.n > 1                    ? "clblast_gemm"
           : fc->pass == FC_BACKWARD_WEIGHTS ? "clblast_ger"
                                             : "clblast_gemv";
}

static tess_status run(void *state, const struct fc_operands *o) {
    const struct clblast *fc = state;
    /* CLBlast wants no temporary memory where none is needed. */
    cl_mem temporary = fc->workspace ? o->workspace->mem : NULL;
    if (fc->pass == FC_FORWARD) return multiply(fc, o->x->mem, o->w->mem, o->y->mem, temporary);
    if (fc->pass == FC_BACKWARD_DATA)
        return multiply(fc, o->y->mem, o->w->mem, o->x->mem, temporary);
    return multiply(fc, o->x->mem, o->y->mem, o->w->mem, temporary);
}

const struct fc_backend fc_clblast = {
    .name = "clblast",
    .create = create,
    .workspace = workspace,
    .config = config,
    .run = run,
    .destroy = destroy,
};
