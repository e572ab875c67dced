#include <inttypes.h>
#include <stdlib.h>

#include "ops/nd/nd_product.h"
#include "ops/nd/nd_reduce_core.h"

/* The gradient of one operand: a product, added up over the batch dimensions that the operand does not have. */
struct side {
    struct nd_product product;
    bool swapped; /* the product is b dy (for a) or dy a (for b) */
    bool broadcast;
    struct nd_reduce_core sum;
    size_t terms; /* floats of workspace before the sum */
};

struct nd_matmul {
    tess_context *ctx;
    const char *what;
    struct nd_shape a, b, c, y;
    bool trans_a, trans_b, has_c, gradients;
    float alpha, beta;
    struct nd_product_desc product; /* of forward */
    struct nd_product forward;
    struct side side[2];
    struct nd_reduce_core sum_c;
};

/* Splits shape into its batch and its matrix of rows x columns. */
static void split(const struct nd_shape *shape, bool is_b, struct nd_shape *batch, int64_t *rows,
                  int64_t *columns) {
    *batch = *shape;
    if (shape->rank == 1) {
        *rows = is_b ? shape->dims[0] : 1;
        *columns = is_b ? 1 : shape->dims[0];
        batch->rank = 0;
        return;
    }
    batch->rank -= 2;
    *rows = shape->dims[batch->rank];
    *columns = shape->dims[batch->rank + 1];
}

/* The sizes of the product, and y's shape. */
static tess_status find_product(struct nd_matmul *op) {
    struct nd_product_desc *p = &op->product;
    int64_t a_rows, a_columns, b_rows, b_columns;
    split(&op->a, false, &p->a_batch, &a_rows, &a_columns);
    split(&op->b, true, &p->b_batch, &b_rows, &b_columns);
    p->trans_a = op->trans_a;
    p->trans_b = op->trans_b;
    p->what = op->what;
    p->m = op->trans_a ? a_columns : a_rows;
    p->k = op->trans_a ? a_rows : a_columns;
    p->n = op->trans_b ? b_rows : b_columns;
    int64_t of_b = op->trans_b ? b_columns : b_rows;
    if (p->k != of_b)
        return context_fail(op->ctx, TESS_INVALID_SHAPE,
                            "%s: rows of %" PRId64 " by columns of %" PRId64
                            "; they must be equally long",
                            op->what, p->k, of_b);
    tess_status status = nd_broadcast(op->ctx, &p->a_batch, &p->b_batch, op->what, &p->batch);
    if (status) return status;
    op->y = p->batch;
    if (op->y.rank > ND_MAX_RANK - 2)
        return context_fail(op->ctx, TESS_INVALID_SHAPE, "%s: more than %d dimensions", op->what,
                            ND_MAX_RANK);
    if (op->a.rank > 1) op->y.dims[op->y.rank++] = p->m;
    if (op->b.rank > 1) op->y.dims[op->y.rank++] = p->n;
    return nd_shape_check(op->ctx, &op->y, op->what);
}

/* c's strides, and the sum that is its gradient. */
static tess_status make_c(struct nd_matmul *op) {
    struct nd_shape whole;
    tess_status status = nd_shape_check(op->ctx, &op->c, "Gemm: c");
    if (!status) status = nd_broadcast(op->ctx, &op->c, &op->y, "Gemm: c", &whole);
    if (status) return status;
    if (!nd_shape_equal(&whole, &op->y))
        return context_fail(op->ctx, TESS_INVALID_SHAPE,
                            "Gemm: c is larger than the result; give one that broadcasts to it");
    struct nd_space space = nd_space_of(&op->y);
    nd_space_add(&space, &op->c);
    op->product.c_row = space.stride[0][0];
    op->product.c_column = space.stride[0][1];
    if (!op->gradients || nd_elements(&op->c) == 0) return TESS_OK;
    struct nd_reduce_core_desc sum = {.rank = 2, .what = op->what};
    for (int d = 0; d < 2; d++) {
        sum.dims[d] = op->y.dims[d];
        sum.reduced[d] = space.stride[0][d] == 0;
    }
    return nd_reduce_core_create(op->ctx, &sum, &op->sum_c);
}

/* dy is m x n. da = dy op(b)^T, or transposed op(b) dy^T; db = op(a)^T dy, or transposed dy^T op(a). */
static tess_status make_side(struct nd_matmul *op, int index) {
    struct side *side = &op->side[index];
    const struct nd_product_desc *f = &op->product;
    const struct nd_shape *operand = index == 0 ? &op->a : &op->b;
    const struct nd_shape *batch = index == 0 ? &f->a_batch : &f->b_batch;
    struct nd_product_desc p = {.batch = f->batch, .what = op->what};
    bool transposed = index == 0 ? f->trans_a : f->trans_b;
    side->swapped = index == 0 ? transposed : !transposed; /* dy is the right factor */
    p.m = index == 0 ? (transposed ? f->k : f->m) : (transposed ? f->n : f->k);
    p.n = index == 0 ? (transposed ? f->m : f->k) : (transposed ? f->k : f->n);
    p.k = index == 0 ? f->n : f->m;
    p.a_batch = side->swapped ? (index == 0 ? f->b_batch : f->a_batch) : f->batch;
    p.b_batch = side->swapped ? f->batch : (index == 0 ? f->b_batch : f->a_batch);
    if (index == 0) {
        p.trans_a = transposed && f->trans_b;
        p.trans_b = transposed || !f->trans_b;
    } else {
        p.trans_a = transposed || !f->trans_a;
        p.trans_b = transposed && f->trans_a;
    }
    tess_status status = nd_product_create(op->ctx, &p, &side->product);
    int64_t elements = nd_elements(operand), all = nd_elements(&f->batch) * p.m * p.n;
    side->broadcast = elements > 0 && elements != all;
    if (status || !side->broadcast) return status;
    struct nd_reduce_core_desc sum = {.rank = f->batch.rank + 1, .what = op->what};
    int missing = f->batch.rank - batch->rank;
    for (int d = 0; d < f->batch.rank; d++) {
        sum.dims[d] = f->batch.dims[d];
        sum.reduced[d] = d < missing || batch->dims[d - missing] != f->batch.dims[d];
    }
    sum.dims[f->batch.rank] = p.m * p.n;
    side->terms = (size_t)all;
    return nd_reduce_core_create(op->ctx, &sum, &side->sum);
}

static tess_status make_op(struct nd_matmul *op) {
    tess_status status = find_product(op);
    if (!status && op->has_c) status = make_c(op);
    if (!status) status = nd_product_create(op->ctx, &op->product, &op->forward);
    if (!status && op->gradients) status = make_side(op, 0);
    if (!status && op->gradients) status = make_side(op, 1);
    return status;
}

static tess_status create(tess_context *ctx, const struct nd_matmul *model,
                          struct nd_matmul **out) {
    tess_status status = nd_shape_check(ctx, &model->a, model->what);
    if (!status) status = nd_shape_check(ctx, &model->b, model->what);
    if (status) return status;
    struct nd_matmul *op = calloc(1, sizeof *op);
    if (!op)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", model->what);
    *op = *model;
    op->ctx = op->forward.ctx = op->sum_c.ctx = ctx;
    for (int i = 0; i < 2; i++)
        op->side[i].product.ctx = op->side[i].sum.ctx = ctx;
    status = make_op(op);
    if (status)
        nd_matmul_destroy(op);
    else
        *out = op;
    return status;
}

tess_status nd_matmul_create(tess_context *ctx, const struct nd_shape *a, const struct nd_shape *b,
                             bool gradients, struct nd_matmul **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!a || !b || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "MatMul: an argument is NULL; give it");
    if (a->rank == 0 || b->rank == 0)
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "MatMul: an operand has no dimension; use Mul for numbers");
    struct nd_matmul model = {
        .what = "MatMul", .a = *a, .b = *b, .alpha = 1, .gradients = gradients};
    return create(ctx, &model, out);
}

tess_status nd_gemm_create(tess_context *ctx, const struct nd_gemm_desc *desc,
                           struct nd_matmul **out) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (!desc || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "Gemm: desc or out is NULL; give both");
    if (desc->a.rank != 2 || desc->b.rank != 2 || (desc->has_c && desc->c.rank > 2))
        return context_fail(ctx, TESS_INVALID_SHAPE,
                            "Gemm: a and b must have 2 dimensions, and c at most 2");
    struct nd_matmul model = {.what = "Gemm",
                              .a = desc->a,
                              .b = desc->b,
                              .c = desc->c,
                              .trans_a = desc->trans_a,
                              .trans_b = desc->trans_b,
                              .has_c = desc->has_c,
                              .alpha = desc->alpha,
                              .beta = desc->beta,
                              .gradients = desc->gradients};
    return create(ctx, &model, out);
}

void nd_matmul_destroy(struct nd_matmul *op) {
    if (!op) return;
    nd_product_destroy(&op->forward);
    nd_reduce_core_destroy(&op->sum_c);
    for (int i = 0; i < 2; i++) {
        nd_product_destroy(&op->side[i].product);
        nd_reduce_core_destroy(&op->side[i].sum);
    }
    free(op);
}

const struct nd_shape *nd_matmul_shape(const struct nd_matmul *op) {
    return &op->y;
}

static size_t bytes_of(const struct nd_shape *shape) {
    return (size_t)nd_elements(shape) * sizeof(cl_float);
}

tess_status nd_matmul_forward(struct nd_matmul *op, cl_mem a, cl_mem b, cl_mem c, cl_mem y) {
    if (!op) return TESS_INVALID_ARGUMENT;
    tess_status status = nd_expect(op->ctx, a, bytes_of(&op->a), op->what, "a");
    if (!status) status = nd_expect(op->ctx, b, bytes_of(&op->b), op->what, "b");
    if (!status) status = nd_expect(op->ctx, c, op->has_c ? bytes_of(&op->c) : 0, op->what, "c");
    if (!status) status = nd_expect(op->ctx, y, bytes_of(&op->y), op->what, "y");
    if (status) return status;
    return nd_product_enqueue(&op->forward, a, b, op->has_c ? c : NULL, y, op->alpha, op->beta,
                              op->what);
}

size_t nd_matmul_workspace(const struct nd_matmul *op) {
    if (!op) return 0;
    size_t most = op->sum_c.partials;
    for (int i = 0; i < 2; i++) {
        size_t floats = op->side[i].terms + op->side[i].sum.partials;
        if (floats > most) most = floats;
    }
    return most * sizeof(cl_float);
}

static tess_status enqueue_side(struct nd_matmul *op, const struct nd_matmul_grad_args *args,
                                int index) {
    struct side *side = &op->side[index];
    cl_mem result = index == 0 ? args->da : args->db, other = index == 0 ? args->b : args->a;
    if (!result) return TESS_OK;
    cl_mem target = side->broadcast ? args->workspace : result;
    tess_status status =
        nd_product_enqueue(&side->product, side->swapped ? other : args->dy,
                           side->swapped ? args->dy : other, NULL, target, op->alpha, 0, op->what);
    if (status || !side->broadcast) return status;
    struct nd_reduce_core_args sum = {.x = args->workspace,
                                      .y = result,
                                      .workspace = args->workspace,
                                      .workspace_start = side->terms,
                                      .scale = 1};
    return nd_reduce_core_enqueue(&side->sum, &sum, op->what);
}

static tess_status check_backward(struct nd_matmul *op, const struct nd_matmul_grad_args *args) {
    tess_context *ctx = op->ctx;
    size_t a = bytes_of(&op->a), b = bytes_of(&op->b), c = bytes_of(&op->c);
    if (args->dc && !op->has_c)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "%s: dc without a c; leave it out",
                            op->what);
    tess_status status = nd_expect(ctx, args->dy, bytes_of(&op->y), op->what, "dy");
    if (!status) status = nd_expect(ctx, args->a, args->db ? a : 0, op->what, "a");
    if (!status) status = nd_expect(ctx, args->b, args->da ? b : 0, op->what, "b");
    if (!status) status = nd_expect(ctx, args->da, args->da ? a : 0, op->what, "da");
    if (!status) status = nd_expect(ctx, args->db, args->db ? b : 0, op->what, "db");
    if (!status) status = nd_expect(ctx, args->dc, args->dc ? c : 0, op->what, "dc");
    if (status) return status;
    return nd_expect(ctx, args->workspace, nd_matmul_workspace(op), op->what, "the workspace");
}

tess_status nd_matmul_backward(struct nd_matmul *op, const struct nd_matmul_grad_args *args) {
    if (!op) return TESS_INVALID_ARGUMENT;
    if (!args || !op->gradients)
        return context_fail(op->ctx, TESS_INVALID_ARGUMENT,
                            "%s: args is NULL, or it was made without gradients", op->what);
    tess_status status = check_backward(op, args);
    if (!status) status = enqueue_side(op, args, 0);
    if (!status) status = enqueue_side(op, args, 1);
    if (status || !args->dc || !op->sum_c.first.memory) return status;
    struct nd_reduce_core_args sum = {
        .x = args->dy, .y = args->dc, .workspace = args->workspace, .scale = op->beta};
    return nd_reduce_core_enqueue(&op->sum_c, &sum, op->what);
}
