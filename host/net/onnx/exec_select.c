/* Operators that choose: Gather, ArgMax, ArgMin, Where and comparisons, in row-major order. */
#include "net/onnx/exec_build.h"

#include <string.h>

static struct nd_shape shape_of(const struct exec_build *b, int input) {
    const struct onnx_known *known = infer_in(&b->in, input);
    return exec_shape(known, EXEC_ROWS, known->rank);
}

static enum nd_dtype dtype_of(const struct exec_build *b, int input) {
    enum nd_dtype dtype = ND_F32;
    (void)exec_dtype(infer_in(&b->in, input)->dtype, &dtype);
    return dtype;
}

/* Operands: the node's first count inputs as rows, its output. */
static tess_status need_rows(struct exec_build *b, int count, struct exec_operand *operands) {
    tess_status status = TESS_OK;
    for (int i = 0; i < count && !status; i++)
        status = exec_need(b, exec_input(b, i), EXEC_ROWS, &operands[i].buffer);
    return status ? status : exec_make(b, exec_output(b, 0), EXEC_ROWS, &operands[count].buffer);
}

/* ---------------------------------------------------------------- Gather */

static tess_status enqueue_gather(struct onnx_run *run, const struct exec_step *step) {
    return nd_gather_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1),
                             exec_mem(run, step, 2));
}

static void destroy_gather(void *op) {
    nd_gather_destroy(op);
}

tess_status exec_gather(struct exec_build *b) {
    struct nd_gather_desc desc = {.dtype = dtype_of(b, 0),
                                  .index = dtype_of(b, 1),
                                  .x = shape_of(b, 0),
                                  .indices = shape_of(b, 1)};
    struct onnx_at at = exec_at(b);
    struct exec_operand operands[3] = {0};
    struct nd_gather *op = NULL;
    tess_status status = onnx_axis_of(&at, &desc.axis);
    if (!status) status = need_rows(b, 2, operands);
    if (!status) status = nd_gather_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {.op = op, .enqueue = enqueue_gather, .destroy = destroy_gather};
    return exec_add(b, &step, operands, 3);
}

/* ---------------------------------------------------------------- ArgMax, ArgMin */

static tess_status enqueue_arg(struct onnx_run *run, const struct exec_step *step) {
    return nd_arg_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1));
}

static void destroy_arg(void *op) {
    nd_arg_destroy(op);
}

tess_status exec_arg(struct exec_build *b) {
    struct nd_arg_desc desc = {.x = shape_of(b, 0),
                               .smallest = strcmp(b->in.node->op, "ArgMin") == 0};
    struct onnx_at at = exec_at(b);
    struct exec_operand operands[2] = {0};
    struct nd_arg *op = NULL;
    int64_t keep = 1, last = 0;
    tess_status status = onnx_axis_of(&at, &desc.axis);
    if (!status) status = onnx_get_int(at.model, at.node, "keepdims", at.error, &keep);
    if (!status) status = onnx_get_int(at.model, at.node, "select_last_index", at.error, &last);
    desc.drop_dims = !keep;
    desc.last = last != 0;
    if (!status) status = need_rows(b, 1, operands);
    if (!status) status = nd_arg_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {.op = op, .enqueue = enqueue_arg, .destroy = destroy_arg};
    return exec_add(b, &step, operands, 2);
}

/* ---------------------------------------------------------------- Where, comparisons */

/* Operands: condition, a, b, y. */
static tess_status enqueue_where(struct onnx_run *run, const struct exec_step *step) {
    return nd_where_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1),
                            exec_mem(run, step, 2), exec_mem(run, step, 3));
}

/* Operands: a, b, y. */
static tess_status enqueue_compare(struct onnx_run *run, const struct exec_step *step) {
    return nd_where_forward(step->op, NULL, exec_mem(run, step, 0), exec_mem(run, step, 1),
                            exec_mem(run, step, 2));
}

static void destroy_where(void *op) {
    nd_where_destroy(op);
}

tess_status exec_where(struct exec_build *b) {
    struct nd_shape condition = shape_of(b, 0), left = shape_of(b, 1), right = shape_of(b, 2);
    struct exec_operand operands[4] = {0};
    struct nd_where *op = NULL;
    enum nd_dtype dtype;
    if (!exec_dtype(infer_in(&b->in, 1)->dtype, &dtype))
        return infer_fail(&b->in, TESS_UNSUPPORTED, "chooses between %s; use float32",
                          onnx_dtype_name(infer_in(&b->in, 1)->dtype));
    tess_status status = need_rows(b, 3, operands);
    if (!status) status = nd_where_create(b->run->ctx, dtype, &condition, &left, &right, &op);
    if (status) return status;
    const struct exec_step step = {.op = op, .enqueue = enqueue_where, .destroy = destroy_where};
    return exec_add(b, &step, operands, 4);
}

tess_status exec_compare(struct exec_build *b) {
    static const char *const kinds[ND_COMPARE_KINDS] = {
        [ND_EQUAL] = "Equal",
        [ND_LESS] = "Less",
        [ND_GREATER] = "Greater",
        [ND_LESS_OR_EQUAL] = "LessOrEqual",
        [ND_GREATER_OR_EQUAL] = "GreaterOrEqual",
    };
    struct nd_shape left = shape_of(b, 0), right = shape_of(b, 1);
    struct exec_operand operands[3] = {0};
    struct nd_where *op = NULL;
    int kind = 0;
    while (strcmp(kinds[kind], b->in.node->op) != 0)
        kind++;
    tess_status status = need_rows(b, 2, operands);
    if (!status)
        status = nd_compare_create(b->run->ctx, (enum nd_compare_kind)kind, &left, &right, &op);
    if (status) return status;
    const struct exec_step step = {.op = op, .enqueue = enqueue_compare, .destroy = destroy_where};
    return exec_add(b, &step, operands, 3);
}
