/* MatMul and Gemm against float64 sums of products, and their gradients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

/* The first ones are tiny. */
static const struct {
    struct nd_shape a, b;
} products[] = {
    {{2, {1, 1}}, {2, {1, 1}}},
    {{2, {3, 5}}, {2, {5, 2}}},
    {{2, {7, 19}}, {2, {19, 37}}},
    {{1, {5}}, {1, {5}}},
    {{2, {3, 5}}, {1, {5}}},
    {{1, {5}}, {2, {5, 17}}},
    {{3, {2, 3, 5}}, {1, {5}}},
    {{1, {5}}, {3, {2, 5, 3}}},
    {{3, {2, 3, 5}}, {2, {5, 9}}},
    {{4, {2, 1, 3, 4}}, {3, {3, 4, 5}}},
    {{2, {3, 0}}, {2, {0, 4}}},
    {{2, {0, 3}}, {2, {3, 4}}},
    {{3, {0, 2, 3}}, {2, {3, 4}}},
    /* full sizes from here on */
    {{2, {67, 203}}, {2, {203, 101}}},
    {{4, {3, 5, 17, 64}}, {4, {3, 5, 64, 33}}},
    {{2, {8, 1000}}, {1, {1000}}},
    {{2, {128, 128}}, {2, {128, 128}}},
};

static const struct gemm {
    int m, n, k;
    struct nd_shape c;
    float alpha, beta;
} gemms[] = {
    {1, 1, 1, {0, {0}}, 1, 1},
    {3, 4, 5, {1, {4}}, 1, 1},
    {3, 4, 5, {2, {3, 1}}, 0.5f, 2},
    {7, 37, 19, {2, {7, 37}}, 1, -0.25f},
    {7, 10, 33, {2, {1, 10}}, 1, 0},
    {2, 3, 4, {-1, {0}}, 0.25f, 0}, /* without c */
    {1, 21, 18, {1, {1}}, 1, 1},
    /* full sizes from here on */
    {65, 130, 77, {1, {130}}, 1, 1},
    {8, 1000, 513, {1, {1000}}, 0.5f, 2},
};

struct trial {
    tess_context *ctx;
    struct nd_matmul *op;
    struct nd_shape a, b, c, y; /* of a, b and y as batches of matrices */
    bool trans_a, trans_b, has_c;
    double alpha, beta;
    char label[256];
};

/* Numbers of the elements of a and b that meet in y's element at k. */
static void meet(const struct trial *t, size_t element, int64_t k, size_t *a, size_t *b) {
    int64_t of_y[ND_MAX_RANK], of_a[ND_MAX_RANK], of_b[ND_MAX_RANK];
    int rank = t->y.rank;
    nd_coordinates(&t->y, element, of_y);
    for (int d = 0; d < rank - 2; d++) {
        of_a[d] = t->a.dims[d] == 1 ? 0 : of_y[d];
        of_b[d] = t->b.dims[d] == 1 ? 0 : of_y[d];
    }
    of_a[rank - 2] = t->trans_a ? k : of_y[rank - 2];
    of_a[rank - 1] = t->trans_a ? of_y[rank - 2] : k;
    of_b[rank - 2] = t->trans_b ? of_y[rank - 1] : k;
    of_b[rank - 1] = t->trans_b ? k : of_y[rank - 1];
    *a = nd_element(&t->a, of_a);
    *b = nd_element(&t->b, of_b);
}

enum { A, B, C, DY, SLOTS };

static void reference(const struct trial *t, float *const in[SLOTS], double *y,
                      double *const grad[3]) {
    size_t count = (size_t)nd_elements(&t->y);
    int64_t depth = t->a.dims[t->trans_a ? t->a.rank - 2 : t->a.rank - 1];
    for (size_t i = 0; i < count; i++) {
        double sum = 0, dy = (double)in[DY][i];
        for (int64_t k = 0; k < depth; k++) {
            size_t a, b;
            meet(t, i, k, &a, &b);
            sum += (double)in[A][a] * (double)in[B][b];
            grad[A][a] += t->alpha * dy * (double)in[B][b];
            grad[B][b] += t->alpha * dy * (double)in[A][a];
        }
        y[i] = t->alpha * sum;
        if (!t->has_c) continue;
        size_t c = nd_broadcast_element(&t->c, &t->y, i);
        y[i] += t->beta * (double)in[C][c];
        grad[C][c] += t->beta * dy;
    }
}

/* The longest sum in any of the results is of length terms. */
static void compare(struct trial *t, size_t terms) {
    const struct nd_shape *shapes[SLOTS] = {&t->a, &t->b, &t->c, &t->y};
    float *in[SLOTS];
    double *grad[3], *y = check_alloc((size_t)nd_elements(&t->y) * sizeof *y);
    cl_mem mem[SLOTS], grad_mem[3];
    size_t count[SLOTS], bytes = nd_matmul_workspace(t->op);
    for (int i = 0; i < SLOTS; i++) {
        count[i] = i == C && !t->has_c ? 0 : (size_t)nd_elements(shapes[i]);
        in[i] = nd_random(count[i], -1, 1, (uint64_t)i);
        mem[i] = nd_buffer(t->ctx, count[i] * 4, in[i]);
        if (i == DY) continue;
        grad[i] = calloc(count[i] + 1, sizeof *grad[i]);
        assert_non_null(grad[i]);
        grad_mem[i] = nd_buffer(t->ctx, count[i] * 4, NULL);
    }
    reference(t, in, y, grad);
    cl_mem my = nd_buffer(t->ctx, count[DY] * 4, NULL), workspace = nd_buffer(t->ctx, bytes, NULL);
    assert_ok(t->ctx, nd_matmul_forward(t->op, mem[A], mem[B], t->has_c ? mem[C] : NULL, my));
    float *got = nd_read(t->ctx, my, count[DY]);
    double tolerance = check_tolerance(terms), scale = sqrt((double)terms);
    check_close(got, y, count[DY], tolerance, scale, t->label);
    free(got);
    assert_ok(t->ctx, nd_matmul_backward(t->op, &(struct nd_matmul_grad_args){
                                                    .a = mem[A],
                                                    .b = mem[B],
                                                    .dy = mem[DY],
                                                    .da = grad_mem[A],
                                                    .db = grad_mem[B],
                                                    .dc = t->has_c ? grad_mem[C] : NULL,
                                                    .workspace = bytes ? workspace : NULL}));
    for (int i = 0; i < 3; i++) {
        got = nd_read(t->ctx, grad_mem[i], count[i]);
        check_close(got, grad[i], count[i], tolerance, scale, t->label);
        free(got);
        free(grad[i]);
        clReleaseMemObject(grad_mem[i]);
    }
    for (int i = 0; i < SLOTS; i++) {
        free(in[i]);
        clReleaseMemObject(mem[i]);
    }
    free(y);
    clReleaseMemObject(my);
    clReleaseMemObject(workspace);
}

/* As a batch of matrices of the given rank. */
static struct nd_shape as_matrices(const struct nd_shape *shape, bool is_b, int rank) {
    struct nd_shape full = {.rank = rank};
    for (int d = 0; d < rank; d++)
        full.dims[d] = 1;
    if (shape->rank == 1) full.dims[is_b ? rank - 2 : rank - 1] = shape->dims[0];
    for (int d = 0; shape->rank > 1 && d < shape->rank; d++)
        full.dims[rank - shape->rank + d] = shape->dims[d];
    return full;
}

static void matmul(void **state) {
    size_t count = check_tiny() ? 13 : sizeof products / sizeof products[0];
    for (size_t i = 0; i < count; i++) {
        const struct nd_shape *a = &products[i].a, *b = &products[i].b;
        struct trial t = {.ctx = *state, .alpha = 1};
        char of_a[96], of_b[96];
        snprintf(t.label, sizeof t.label, "MatMul %s, %s", nd_print(a, of_a), nd_print(b, of_b));
        assert_ok(*state, nd_matmul_create(*state, a, b, true, &t.op));
        int rank = a->rank > b->rank ? a->rank : b->rank;
        rank = rank < 2 ? 2 : rank;
        t.a = as_matrices(a, false, rank);
        t.b = as_matrices(b, true, rank);
        t.y.rank = rank;
        for (int d = 0; d < rank - 2; d++)
            t.y.dims[d] = t.a.dims[d] == 1 ? t.b.dims[d] : t.a.dims[d];
        t.y.dims[rank - 2] = t.a.dims[rank - 2];
        t.y.dims[rank - 1] = t.b.dims[rank - 1];
        assert_int_equal(nd_elements(nd_matmul_shape(t.op)), nd_elements(&t.y));
        assert_int_equal(nd_matmul_shape(t.op)->rank,
                         a->rank + b->rank == 2 ? 0 : rank - (a->rank == 1) - (b->rank == 1));
        compare(&t, 5000);
        nd_matmul_destroy(t.op);
    }
}

static void gemm(void **state) {
    size_t count = check_tiny() ? 7 : sizeof gemms / sizeof gemms[0];
    for (size_t i = 0; i < count; i++)
        for (int trans = 0; trans < 4; trans++) {
            const struct gemm *g = &gemms[i];
            struct trial t = {.ctx = *state,
                              .trans_a = trans & 1,
                              .trans_b = trans & 2,
                              .has_c = g->c.rank >= 0,
                              .c = g->c,
                              .alpha = (double)g->alpha,
                              .beta = (double)g->beta};
            snprintf(t.label, sizeof t.label, "Gemm m%d n%d k%d, transposed %d", g->m, g->n, g->k,
                     trans);
            t.a = t.trans_a ? ND_SHAPE(g->k, g->m) : ND_SHAPE(g->m, g->k);
            t.b = t.trans_b ? ND_SHAPE(g->n, g->k) : ND_SHAPE(g->k, g->n);
            t.y = ND_SHAPE(g->m, g->n);
            struct nd_gemm_desc desc = {.a = t.a,
                                        .b = t.b,
                                        .c = g->c,
                                        .has_c = t.has_c,
                                        .trans_a = t.trans_a,
                                        .trans_b = t.trans_b,
                                        .alpha = g->alpha,
                                        .beta = g->beta,
                                        .gradients = true};
            assert_ok(*state, nd_gemm_create(*state, &desc, &t.op));
            assert_true(nd_shape_equal(nd_matmul_shape(t.op), &t.y));
            compare(&t, (size_t)(g->k + g->m * g->n));
            nd_matmul_destroy(t.op);
        }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_matmul *op = NULL;
    struct nd_shape a = ND_SHAPE(2, 3), b = ND_SHAPE(3, 4), wrong = ND_SHAPE(2, 4);
    struct nd_shape number = {0}, batch = ND_SHAPE(2, 2, 3), batches = ND_SHAPE(3, 3, 4);
    struct nd_gemm_desc gemm_desc = {.a = a, .b = b, .alpha = 1}, bad = gemm_desc;
    assert_int_equal(nd_matmul_create(NULL, &a, &b, false, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_matmul_create(ctx, NULL, &b, false, &op), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_matmul_create(ctx, &a, &b, false, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_matmul_create(ctx, &a, &wrong, false, &op), TESS_INVALID_SHAPE);
    assert_int_equal(nd_matmul_create(ctx, &number, &b, false, &op), TESS_INVALID_SHAPE);
    assert_int_equal(nd_matmul_create(ctx, &batch, &batches, false, &op), TESS_INVALID_SHAPE);
    bad.trans_a = true;
    assert_int_equal(nd_gemm_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    bad = gemm_desc;
    bad.a = batch;
    assert_int_equal(nd_gemm_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    bad = gemm_desc;
    bad.has_c = true;
    bad.c = ND_SHAPE(3);
    assert_int_equal(nd_gemm_create(ctx, &bad, &op), TESS_INVALID_SHAPE);
    assert_int_equal(nd_gemm_create(ctx, NULL, &op), TESS_INVALID_ARGUMENT);
    assert_null(op);
    assert_ok(ctx, nd_gemm_create(ctx, &gemm_desc, &op));
    cl_mem big = nd_buffer(ctx, 48, NULL), small = nd_buffer(ctx, 20, NULL);
    assert_int_equal(nd_matmul_forward(op, big, big, NULL, small), TESS_INVALID_SHAPE);
    assert_int_equal(nd_matmul_forward(op, big, NULL, NULL, big), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_matmul_forward(NULL, big, big, NULL, big), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_matmul_backward(op, &(struct nd_matmul_grad_args){.dy = big}),
                     TESS_INVALID_ARGUMENT);
    clReleaseMemObject(big);
    clReleaseMemObject(small);
    nd_matmul_destroy(op);
    nd_matmul_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul),
        cmocka_unit_test(gemm),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
