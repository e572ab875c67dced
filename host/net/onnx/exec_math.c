/* Reductions and products of matrices, in row-major order. */
#include "net/onnx/exec_build.h"

#include <string.h>

static tess_status enqueue_reduce(struct onnx_run *run, const struct exec_step *step) {
    return nd_reduce_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1),
                             step->workspace ? run->workspace : NULL);
}

static void destroy_reduce(void *op) {
    nd_reduce_destroy(op);
}

static enum nd_reduce_kind reduce_kind(const char *op) {
    int kind = 0;
    while (strcmp(nd_reduce_name((enum nd_reduce_kind)kind), op) != 0)
        kind++;
    return (enum nd_reduce_kind)kind;
}

/* *none: nothing is reduced. */
static tess_status read_reduce(struct exec_build *b, struct nd_reduce_desc *desc, bool *none) {
    struct onnx_at at = exec_at(b);
    struct onnx_reduce reduce;
    tess_status status = onnx_reduce_of(&at, &reduce);
    if (status) return status;
    desc->drop_dims = !reduce.keep;
    for (int d = 0; d < desc->x.rank; d++)
        if (reduce.reduced[d]) desc->axes[desc->axis_count++] = d;
    *none = desc->axis_count == 0;
    return TESS_OK;
}

tess_status exec_reduce(struct exec_build *b) {
    const struct onnx_known *x = infer_in(&b->in, 0);
    struct nd_reduce_desc desc = {.kind = reduce_kind(b->in.node->op),
                                  .x = exec_shape(x, EXEC_ROWS, x->rank)};
    struct exec_operand operands[2] = {0};
    struct nd_reduce *op = NULL;
    bool none = false;
    tess_status status = read_reduce(b, &desc, &none);
    if (!status && none) return exec_same(b);
    if (!status) status = exec_need(b, exec_input(b, 0), EXEC_ROWS, &operands[0].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), EXEC_ROWS, &operands[1].buffer);
    if (!status) status = nd_reduce_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {.op = op,
                                   .enqueue = enqueue_reduce,
                                   .destroy = destroy_reduce,
                                   .workspace = nd_reduce_workspace(op)};
    return exec_add(b, &step, operands, 2);
}

/* ---------------------------------------------------------------- MatMul, Gemm */

/* Operands: a, b, c or none, y. */
static tess_status enqueue_matmul(struct onnx_run *run, const struct exec_step *step) {
    return nd_matmul_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1),
                             exec_mem(run, step, 2), exec_mem(run, step, 3));
}

static void destroy_matmul(void *op) {
    nd_matmul_destroy(op);
}

/* op is this function's. */
static tess_status add_matmul(struct exec_build *b, struct nd_matmul *op) {
    struct exec_operand operands[4] = {[2] = {.buffer = EXEC_NONE}};
    tess_status status = TESS_OK;
    for (int i = 0; i < 3 && !status; i++)
        if (exec_input(b, i) >= 0)
            status = exec_need(b, exec_input(b, i), EXEC_ROWS, &operands[i].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), EXEC_ROWS, &operands[3].buffer);
    if (status) {
        nd_matmul_destroy(op);
        return status;
    }
    const struct exec_step step = {.op = op, .enqueue = enqueue_matmul, .destroy = destroy_matmul};
    return exec_add(b, &step, operands, 4);
}

static struct nd_shape shape_of(const struct exec_build *b, int input) {
    const struct onnx_known *known = infer_in(&b->in, input);
    return known ? exec_shape(known, EXEC_ROWS, known->rank) : (struct nd_shape){.rank = 0};
}

tess_status exec_matmul(struct exec_build *b) {
    struct nd_shape left = shape_of(b, 0), right = shape_of(b, 1);
    struct nd_matmul *op = NULL;
    tess_status status = nd_matmul_create(b->run->ctx, &left, &right, false, &op);
    return status ? status : add_matmul(b, op);
}

tess_status exec_gemm(struct exec_build *b) {
    struct onnx_at at = exec_at(b);
    struct onnx_gemm gemm;
    struct nd_matmul *op = NULL;
    tess_status status = onnx_gemm_of(&at, &gemm);
    if (status) return status;
    const struct nd_gemm_desc desc = {.a = shape_of(b, 0),
                                      .b = shape_of(b, 1),
                                      .c = shape_of(b, 2),
                                      .has_c = exec_input(b, 2) >= 0,
                                      .alpha = gemm.alpha,
                                      .beta = gemm.beta,
                                      .trans_a = gemm.trans_a,
                                      .trans_b = gemm.trans_b};
    status = nd_gemm_create(b->run->ctx, &desc, &op);
    return status ? status : add_matmul(b, op);
}
