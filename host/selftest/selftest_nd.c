/* ONNX's operators on N dimensions: a matrix of A rows and B columns in most of them. */
#include "ops/nd/nd.h"
#include "selftest/trial.h"

#include <math.h>

enum { A = 6, B = 9, COUNT = A * B };

#define TOLERANCE 1e-4

static const struct nd_shape matrix = {2, {A, B}};

static cl_mem mem(const struct array *array) {
    return array->tensor->mem;
}

/* A row beside every row of a matrix, and the gradients of the product. */
static void binary(struct trial *t) {
    const struct nd_shape row = {1, {B}};
    struct array *a = trial_input(t, "a", trial_vector(COUNT), -1, 1);
    struct array *b = trial_input(t, "b", trial_vector(B), 1, 2);
    struct array *dy = trial_input(t, "dy", trial_vector(COUNT), -1, 1);
    struct array *y = trial_output(t, "product", trial_vector(COUNT), TOLERANCE);
    struct array *da = trial_output(t, "da", trial_vector(COUNT), TOLERANCE);
    struct array *db = trial_output(t, "db", trial_vector(B), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        double left = (double)a->host.f[i], right = (double)b->host.f[i % B];
        y->want[i] = left * right;
        da->want[i] = right * (double)dy->host.f[i];
        db->want[i % B] += left * (double)dy->host.f[i];
    }
    trial_ready(t);
    struct nd_binary *op = NULL;
    if (trial_step(t, nd_binary_create(t->ctx, ND_MUL, &matrix, &row, true, &op))) {
        tess_tensor *scratch = trial_scratch(t, nd_binary_workspace(op));
        trial_step(t, nd_binary_forward(op, mem(a), mem(b), mem(y)));
        trial_step(t, nd_binary_backward(op, &(struct nd_binary_grad_args){
                                                 .a = mem(a),
                                                 .b = mem(b),
                                                 .dy = mem(dy),
                                                 .da = mem(da),
                                                 .db = mem(db),
                                                 .workspace = scratch ? scratch->mem : NULL}));
    }
    nd_binary_destroy(op);
}

/* exp is its own derivative. */
static void unary(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_vector(COUNT), -2, 2);
    struct array *dy = trial_input(t, "dy", trial_vector(COUNT), -1, 1);
    struct array *y = trial_output(t, "y", trial_vector(COUNT), TOLERANCE);
    struct array *dx = trial_output(t, "dx", trial_vector(COUNT), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        y->want[i] = exp((double)x->host.f[i]);
        dx->want[i] = y->want[i] * (double)dy->host.f[i];
    }
    trial_ready(t);
    struct nd_unary *op = NULL;
    const struct nd_unary_desc desc = {.kind = ND_EXP, .x = matrix, .gradients = true};
    if (trial_step(t, nd_unary_create(t->ctx, &desc, &op))) {
        trial_step(t, nd_unary_forward(op, mem(x), mem(y)));
        trial_step(t, nd_unary_backward(op, mem(y), mem(dy), mem(dx)));
    }
    nd_unary_destroy(op);
}

/* Down the columns, then along the rows, with its gradient. */
static void reduce(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_vector(COUNT), -1, 1);
    struct array *rows = trial_output(t, "rows", trial_vector(A), TOLERANCE);
    struct array *columns = trial_output(t, "columns", trial_vector(B), TOLERANCE);
    struct array *spread = trial_output(t, "spread", trial_vector(COUNT), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        rows->want[i / B] += (double)x->host.f[i];
        columns->want[i % B] += (double)x->host.f[i];
        spread->want[i] =
            (double)x->host.f[i / B]; /* the gradient of the sums along the rows, x being theirs */
    }
    trial_ready(t);
    struct array *const outputs[] = {columns, rows};
    for (int axis = 0; axis < 2; axis++) {
        struct nd_reduce *op = NULL;
        const struct nd_reduce_desc desc = {.kind = ND_REDUCE_SUM,
                                            .x = matrix,
                                            .axis_count = 1,
                                            .axes = {axis},
                                            .gradients = axis == 1};
        if (trial_step(t, nd_reduce_create(t->ctx, &desc, &op))) {
            tess_tensor *scratch = trial_scratch(t, nd_reduce_workspace(op));
            trial_step(t, nd_reduce_forward(op, mem(x), mem(outputs[axis]),
                                            scratch ? scratch->mem : NULL));
        }
        if (axis == 1 && op) trial_step(t, nd_reduce_backward(op, mem(x), mem(spread)));
        nd_reduce_destroy(op);
    }
}

static void move(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_vector(COUNT), -1, 1);
    struct array *turned = trial_output(t, "transposed", trial_vector(COUNT), 0);
    struct array *every = trial_output(t, "every_other_column", trial_vector(A * 5), 0);
    if (t->status) return;
    for (int i = 0; i < COUNT; i++) {
        turned->want[i % B * A + i / B] = (double)x->host.f[i];
        if (i % B % 2 == 0) every->want[i / B * 5 + i % B / 2] = (double)x->host.f[i];
    }
    trial_ready(t);
    struct nd_move *transpose = NULL, *slice = NULL;
    const struct nd_slice_desc desc = {.dtype = ND_F32,
                                       .x = matrix,
                                       .axis_count = 1,
                                       .axes = {1},
                                       .starts = {0},
                                       .ends = {B},
                                       .steps = {2}};
    if (trial_step(t, nd_transpose_create(t->ctx, ND_F32, &matrix, NULL, false, &transpose)) &&
        trial_step(t, nd_slice_create(t->ctx, &desc, &slice))) {
        trial_step(t, nd_move_forward(transpose, mem(x), mem(turned)));
        trial_step(t, nd_move_forward(slice, mem(x), mem(every)));
    }
    nd_move_destroy(transpose);
    nd_move_destroy(slice);
}

/* x beside itself, and the result in a frame of ones. */
static void concat(struct trial *t) {
    enum { WIDE = 2 * B + 2, TALL = A + 2 };
    const struct nd_shape parts[] = {matrix, matrix}, both = {2, {A, 2 * B}};
    struct array *x = trial_input(t, "x", trial_vector(COUNT), -1, 1);
    struct array *joined = trial_output(t, "joined", trial_vector(2 * COUNT), 0);
    struct array *framed = trial_output(t, "framed", trial_vector(WIDE * TALL), 0);
    if (t->status) return;
    for (int i = 0; i < WIDE * TALL; i++) {
        int row = i / WIDE - 1, column = i % WIDE - 1;
        framed->want[i] = 1;
        if (row < 0 || row >= A || column < 0 || column >= 2 * B) continue;
        framed->want[i] = joined->want[row * 2 * B + column] =
            (double)x->host.f[row * B + column % B];
    }
    trial_ready(t);
    struct nd_concat *join = NULL;
    struct nd_pad *pad = NULL;
    const struct nd_pad_desc desc = {.mode = ND_PAD_CONSTANT,
                                     .dtype = ND_F32,
                                     .x = both,
                                     .before = {1, 1},
                                     .after = {1, 1},
                                     .value = 1};
    if (trial_step(t, nd_concat_create(t->ctx, ND_F32, 1, parts, 2, &join)) &&
        trial_step(t, nd_pad_create(t->ctx, &desc, &pad))) {
        trial_step(t, nd_concat_join(join, (const cl_mem[]){mem(x), mem(x)}, mem(joined)));
        trial_step(t, nd_pad_forward(pad, mem(joined), mem(framed)));
    }
    nd_concat_destroy(join);
    nd_pad_destroy(pad);
}

static void softmax(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_vector(COUNT), -3, 3);
    struct array *dy = trial_input(t, "dy", trial_vector(COUNT), -1, 1);
    struct array *y = trial_output(t, "y", trial_vector(COUNT), TOLERANCE);
    struct array *dx = trial_output(t, "dx", trial_vector(COUNT), TOLERANCE);
    if (t->status) return;
    for (int row = 0; row < A; row++) {
        double sum = 0, dot = 0;
        for (int i = row * B; i < (row + 1) * B; i++)
            sum += exp((double)x->host.f[i]);
        for (int i = row * B; i < (row + 1) * B; i++) {
            y->want[i] = exp((double)x->host.f[i]) / sum;
            dot += y->want[i] * (double)dy->host.f[i];
        }
        for (int i = row * B; i < (row + 1) * B; i++)
            dx->want[i] = y->want[i] * ((double)dy->host.f[i] - dot);
    }
    trial_ready(t);
    struct nd_softmax *op = NULL;
    const struct nd_softmax_desc desc = {.x = matrix, .axis = 1};
    if (trial_step(t, nd_softmax_create(t->ctx, &desc, &op))) {
        trial_step(t, nd_softmax_forward(op, mem(x), mem(y)));
        trial_step(t, nd_softmax_backward(op, mem(y), mem(dy), mem(dx)));
    }
    nd_softmax_destroy(op);
}

static void matmul(struct trial *t) {
    enum { K = 11 };
    const struct nd_shape right = {2, {B, K}};
    struct array *a = trial_input(t, "a", trial_vector(COUNT), -1, 1);
    struct array *b = trial_input(t, "b", trial_vector(B * K), -1, 1);
    struct array *dy = trial_input(t, "dy", trial_vector(A * K), -1, 1);
    struct array *y = trial_output(t, "y", trial_vector(A * K), TOLERANCE);
    struct array *da = trial_output(t, "da", trial_vector(COUNT), TOLERANCE);
    struct array *db = trial_output(t, "db", trial_vector(B * K), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < A * B * K; i++) {
        int row = i / K / B, middle = i / K % B, column = i % K;
        double grad = (double)dy->host.f[row * K + column];
        da->want[row * B + middle] += grad * (double)b->host.f[middle * K + column];
        db->want[middle * K + column] += grad * (double)a->host.f[row * B + middle];
        y->want[row * K + column] +=
            (double)a->host.f[row * B + middle] * (double)b->host.f[middle * K + column];
    }
    trial_ready(t);
    struct nd_matmul *op = NULL;
    if (trial_step(t, nd_matmul_create(t->ctx, &matrix, &right, true, &op))) {
        tess_tensor *scratch = trial_scratch(t, nd_matmul_workspace(op));
        trial_step(t, nd_matmul_forward(op, mem(a), mem(b), NULL, mem(y)));
        trial_step(t, nd_matmul_backward(op, &(struct nd_matmul_grad_args){
                                                 .a = mem(a),
                                                 .b = mem(b),
                                                 .dy = mem(dy),
                                                 .da = mem(da),
                                                 .db = mem(db),
                                                 .workspace = scratch ? scratch->mem : NULL}));
    }
    nd_matmul_destroy(op);
}

/* Twice as wide: half-pixel centres, linear between them. */
static void resize(struct trial *t) {
    struct array *x = trial_input(t, "x", trial_vector(COUNT), -1, 1);
    struct array *y = trial_output(t, "y", trial_vector(2 * COUNT), TOLERANCE);
    if (t->status) return;
    for (int i = 0; i < 2 * COUNT; i++) {
        int row = i / (2 * B);
        double at = fmin(fmax((i % (2 * B) + 0.5) / 2 - 0.5, 0), B - 1);
        int left = (int)at, right = left + 1 < B ? left + 1 : left;
        y->want[i] = (1 - (at - left)) * (double)x->host.f[row * B + left] +
                     (at - left) * (double)x->host.f[row * B + right];
    }
    trial_ready(t);
    struct nd_resize *op = NULL;
    const struct nd_resize_desc desc = {.mode = ND_LINEAR, .x = matrix, .sizes = {A, 2 * B}};
    if (trial_step(t, nd_resize_create(t->ctx, &desc, &op)))
        trial_step(t, nd_resize_forward(op, mem(x), mem(y)));
    nd_resize_destroy(op);
}

/* Rows by number, the column of each row's maximum (a 64-bit number: low and high half), and a comparison (a byte each). */
static void select_elements(struct trial *t) {
    static const int chosen[] = {4, 0, -1};
    enum { CHOSEN = 3, WORDS = (COUNT + 3) / 4 };
    const struct nd_shape indices = {1, {CHOSEN}};
    struct array *x = trial_input(t, "x", trial_vector(COUNT), -1, 1);
    struct array *z = trial_input(t, "z", trial_vector(COUNT), -1, 1);
    struct array *index = trial_input(t, "index", trial_integers(CHOSEN), 0, 0);
    struct array *rows = trial_output(t, "rows", trial_vector(CHOSEN * B), 0);
    struct array *best = trial_output(t, "argmax", trial_integers(2 * A), 0);
    struct array *larger = trial_output(t, "larger", trial_vector(COUNT), 0);
    tess_tensor *condition = trial_scratch(t, WORDS * sizeof(float));
    if (t->status) return;
    for (int i = 0; i < CHOSEN * B; i++) {
        index->host.i[i / B] = chosen[i / B];
        rows->want[i] = (double)x->host.f[(chosen[i / B] + A) % A * B + i % B];
    }
    for (int i = 0; i < COUNT; i++) {
        int row = i / B;
        if (x->host.f[i] > x->host.f[row * B + (int)best->want[2 * row]])
            best->want[2 * row] = i % B;
        larger->want[i] = fmax((double)x->host.f[i], (double)z->host.f[i]);
    }
    trial_ready(t);
    struct nd_gather *gather = NULL;
    struct nd_arg *arg = NULL;
    struct nd_where *compare = NULL, *where = NULL;
    const struct nd_gather_desc gather_desc = {
        .dtype = ND_F32, .index = ND_I32, .x = matrix, .indices = indices};
    const struct nd_arg_desc arg_desc = {.x = matrix, .axis = 1};
    if (trial_step(t, nd_gather_create(t->ctx, &gather_desc, &gather)) &&
        trial_step(t, nd_arg_create(t->ctx, &arg_desc, &arg)) &&
        trial_step(t, nd_compare_create(t->ctx, ND_GREATER, &matrix, &matrix, &compare)) &&
        trial_step(t, nd_where_create(t->ctx, ND_F32, &matrix, &matrix, &matrix, &where))) {
        trial_step(t, nd_gather_forward(gather, mem(x), mem(index), mem(rows)));
        trial_step(t, nd_arg_forward(arg, mem(x), mem(best)));
        trial_step(t, nd_where_forward(compare, NULL, mem(x), mem(z), condition->mem));
        trial_step(t, nd_where_forward(where, condition->mem, mem(x), mem(z), mem(larger)));
    }
    nd_gather_destroy(gather);
    nd_arg_destroy(arg);
    nd_where_destroy(compare);
    nd_where_destroy(where);
}

const struct selftest selftest_nd[] = {
    {"nd binary", binary},          {"nd unary", unary},
    {"nd reduce", reduce},          {"nd move", move},
    {"nd concat", concat},          {"nd softmax", softmax},
    {"nd matmul", matmul},          {"nd resize", resize},
    {"nd select", select_elements}, {0},
};
