/* Gather, ArgMax, ArgMin, Where and comparisons, exactly. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

/* Whole numbers from -span to span; free() them. */
static float *whole_numbers(size_t count, int span, uint64_t seed) {
    float *data = nd_random(count, (float)-span - 0.5f, (float)span + 0.5f, seed);
    for (size_t i = 0; i < count; i++)
        data[i] = roundf(data[i]);
    return data;
}

static const struct gathering {
    struct nd_shape x, indices;
    int axis;
} gatherings[] = {
    {{1, {5}}, {1, {7}}, 0},          {{1, {5}}, {0}, 0},
    {{2, {5, 19}}, {1, {4}}, 0},      {{2, {5, 19}}, {1, {4}}, -1},
    {{3, {2, 3, 4}}, {2, {2, 3}}, 1}, {{3, {2, 3, 33}}, {2, {5, 0}}, 1},
};

/* y at each element's place, as gather says; -1 is 0. */
static void find_sources(const struct gathering *g, const struct nd_shape *y, const int64_t *index,
                         int64_t *source) {
    int axis = g->axis < 0 ? g->axis + g->x.rank : g->axis;
    size_t count = (size_t)nd_elements(y);
    for (size_t e = 0; e < count; e++) {
        int64_t at[ND_MAX_RANK], of_x[ND_MAX_RANK], of_index[ND_MAX_RANK];
        nd_coordinates(y, e, at);
        for (int d = 0; d < g->indices.rank; d++)
            of_index[d] = at[axis + d];
        for (int d = 0; d < g->x.rank; d++)
            of_x[d] = at[d < axis ? d : d + g->indices.rank - 1 < 0 ? 0 : d + g->indices.rank - 1];
        int64_t pick = index[nd_element(&g->indices, of_index)], size = g->x.dims[axis];
        of_x[axis] = pick < 0 ? pick + size : pick;
        bool inside = of_x[axis] >= 0 && of_x[axis] < size;
        source[e] = inside ? (int64_t)nd_element(&g->x, of_x) : -1;
    }
}

static void check_gather(tess_context *ctx, const struct gathering *g, enum nd_dtype index_type) {
    struct nd_gather_desc desc = {.dtype = ND_F32,
                                  .index = index_type,
                                  .x = g->x,
                                  .indices = g->indices,
                                  .axis = g->axis,
                                  .gradients = true};
    struct nd_gather *op = NULL;
    assert_ok(ctx, nd_gather_create(ctx, &desc, &op));
    const struct nd_shape *shape = nd_gather_shape(op);
    size_t x_count = (size_t)nd_elements(&g->x), y_count = (size_t)nd_elements(shape);
    size_t picks = (size_t)nd_elements(&g->indices);
    float *x = nd_random(x_count, -1, 1, 1), *dy = whole_numbers(y_count, 9, 2);
    float *choice = whole_numbers(picks, 7, 3); /* some outside */
    int64_t *index = check_alloc(picks * sizeof *index);
    int32_t *index32 = check_alloc(picks * sizeof *index32);
    int64_t *source = check_alloc(y_count * sizeof *source);
    float *want_dx = calloc(x_count, sizeof *want_dx);
    assert_non_null(want_dx);
    for (size_t i = 0; i < picks; i++)
        index[i] = index32[i] = (int32_t)choice[i];
    if (picks > 1 && index_type == ND_I64) index[1] = INT64_MIN;
    find_sources(g, shape, index, source);
    bool narrow = index_type == ND_I32;
    cl_mem mx = nd_buffer(ctx, x_count * 4, x), my = nd_buffer(ctx, y_count * 4, NULL);
    cl_mem mdy = nd_buffer(ctx, y_count * 4, dy), mdx = nd_buffer(ctx, x_count * 4, NULL);
    cl_mem mi = nd_buffer(ctx, picks * (narrow ? 4 : 8), narrow ? (void *)index32 : (void *)index);
    assert_ok(ctx, nd_gather_forward(op, mx, mi, my));
    assert_ok(ctx, nd_gather_backward(op, mdy, mi, mdx));
    float *y = nd_read(ctx, my, y_count), *dx = nd_read(ctx, mdx, x_count);
    for (size_t e = 0; e < y_count; e++) {
        assert_true(y[e] == (source[e] < 0 ? 0 : x[source[e]]));
        if (source[e] >= 0) want_dx[source[e]] += dy[e];
    }
    for (size_t e = 0; e < x_count; e++)
        assert_true(dx[e] == want_dx[e]);
    cl_mem all[] = {mx, my, mdy, mdx, mi};
    for (size_t i = 0; i < 5; i++)
        clReleaseMemObject(all[i]);
    void *memory[] = {x, dy, choice, index, index32, source, want_dx, y, dx};
    for (size_t i = 0; i < 9; i++)
        free(memory[i]);
    nd_gather_destroy(op);
}

static void gather(void **state) {
    for (size_t i = 0; i < sizeof gatherings / sizeof gatherings[0]; i++)
        check_gather(*state, &gatherings[i], i == 4 ? ND_I32 : ND_I64);
}

static void check_arg(tess_context *ctx, struct nd_arg_desc desc) {
    struct nd_arg *op = NULL;
    struct nd_shape kept = desc.x;
    kept.dims[desc.axis] = 1;
    size_t count = (size_t)nd_elements(&desc.x), y_count = (size_t)nd_elements(&kept);
    float *x = whole_numbers(count, 3, 4); /* few, so that there are equal ones */
    for (size_t i = 0; i < count; i += 29)
        x[i] = NAN;
    assert_ok(ctx, nd_arg_create(ctx, &desc, &op));
    assert_int_equal(nd_arg_shape(op)->rank, desc.x.rank - desc.drop_dims);
    cl_mem mx = nd_buffer(ctx, count * 4, x), my = nd_buffer(ctx, y_count * 8, NULL);
    assert_ok(ctx, nd_arg_forward(op, mx, my));
    int64_t *y = check_alloc(y_count * sizeof *y);
    nd_read_bytes(ctx, my, y_count * sizeof *y, y);
    for (size_t i = 0; i < y_count; i++) {
        int64_t at[ND_MAX_RANK], want = 0;
        double best = -INFINITY;
        nd_coordinates(&kept, i, at);
        for (int64_t a = 0; a < desc.x.dims[desc.axis]; a++) {
            at[desc.axis] = a;
            float v = x[nd_element(&desc.x, at)];
            double rank = isnan(v) ? INFINITY : desc.smallest ? -(double)v : (double)v;
            if (desc.last ? rank >= best : rank > best) {
                best = rank;
                want = a;
            }
        }
        assert_int_equal(y[i], want);
    }
    free(x);
    free(y);
    clReleaseMemObject(mx);
    clReleaseMemObject(my);
    nd_arg_destroy(op);
}

static void arg_max_and_arg_min(void **state) {
    for (int form = 0; form < 8; form++) {
        struct nd_arg_desc desc = {.smallest = form & 1, .last = form & 2, .drop_dims = form & 4};
        for (int axis = 0; axis < 3; axis++) {
            desc.x = ND_SHAPE(5, 17, 3);
            desc.axis = axis;
            check_arg(*state, desc);
        }
    }
}

static const struct {
    struct nd_shape condition, a, b;
} choices[] = {
    {{0}, {0}, {0}},
    {{1, {19}}, {1, {19}}, {1, {19}}},
    {{2, {3, 1}}, {1, {17}}, {0}},
    {{3, {2, 1, 5}}, {3, {1, 3, 1}}, {2, {3, 5}}},
    {{1, {3}}, {2, {0, 3}}, {1, {1}}},
};

static void where(void **state) {
    static const enum nd_dtype types[] = {ND_F32, ND_I64, ND_BOOL};
    for (size_t i = 0; i < 3 * sizeof choices / sizeof choices[0]; i++) {
        const struct nd_shape *shapes[] = {&choices[i / 3].condition, &choices[i / 3].a,
                                           &choices[i / 3].b};
        size_t size = nd_dtype_bytes(types[i % 3]);
        struct nd_where *op = NULL;
        unsigned char *data[3];
        cl_mem mem[3];
        assert_ok(*state,
                  nd_where_create(*state, types[i % 3], shapes[0], shapes[1], shapes[2], &op));
        for (int k = 0; k < 3; k++) {
            size_t bytes = (size_t)nd_elements(shapes[k]) * (k == 0 ? 1 : size);
            data[k] = check_alloc(bytes);
            for (size_t b = 0; b < bytes; b++)
                data[k][b] = (unsigned char)(k == 0 ? b * 7 % 3 : b * 11 + (size_t)k);
            mem[k] = nd_buffer(*state, bytes, data[k]);
        }
        const struct nd_shape *shape = nd_where_shape(op);
        size_t count = (size_t)nd_elements(shape);
        unsigned char *y = check_alloc(count * size);
        cl_mem my = nd_buffer(*state, count * size, NULL);
        assert_ok(*state, nd_where_forward(op, mem[0], mem[1], mem[2], my));
        nd_read_bytes(*state, my, count * size, y);
        for (size_t e = 0; e < count; e++) {
            int k = data[0][nd_broadcast_element(shapes[0], shape, e)] ? 1 : 2;
            size_t at = nd_broadcast_element(shapes[k], shape, e);
            assert_memory_equal(y + e * size, data[k] + at * size, size);
        }
        for (int k = 0; k < 3; k++) {
            free(data[k]);
            clReleaseMemObject(mem[k]);
        }
        free(y);
        clReleaseMemObject(my);
        nd_where_destroy(op);
    }
}

static bool compare(enum nd_compare_kind kind, float a, float b) {
    switch (kind) {
    case ND_EQUAL:
        return a == b;
    case ND_LESS:
        return a < b;
    case ND_GREATER:
        return a > b;
    case ND_LESS_OR_EQUAL:
        return a <= b;
    default:
        return a >= b;
    }
}

static void comparisons(void **state) {
    struct nd_shape a_shape = ND_SHAPE(5, 1), b_shape = ND_SHAPE(18);
    float *a = whole_numbers(5, 2, 5), *b = whole_numbers(18, 2, 6);
    b[7] = NAN;
    cl_mem ma = nd_buffer(*state, 20, a), mb = nd_buffer(*state, 72, b);
    for (int kind = 0; kind < ND_COMPARE_KINDS; kind++) {
        struct nd_where *op = NULL;
        cl_mem my = nd_buffer(*state, 90, NULL);
        unsigned char y[90];
        assert_ok(*state,
                  nd_compare_create(*state, (enum nd_compare_kind)kind, &a_shape, &b_shape, &op));
        assert_ok(*state, nd_where_forward(op, NULL, ma, mb, my));
        nd_read_bytes(*state, my, 90, y);
        for (int i = 0; i < 90; i++)
            assert_int_equal(y[i], compare((enum nd_compare_kind)kind, a[i / 18], b[i % 18]));
        clReleaseMemObject(my);
        nd_where_destroy(op);
    }
    free(a);
    free(b);
    clReleaseMemObject(ma);
    clReleaseMemObject(mb);
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_shape x = ND_SHAPE(2, 3), other = ND_SHAPE(2);
    struct nd_gather *gather_op = NULL;
    struct nd_arg *arg = NULL;
    struct nd_where *op = NULL;
    struct nd_gather_desc bad_index = {.x = x, .indices = other, .index = ND_F32};
    struct nd_gather_desc bad_axis = {.x = x, .indices = other, .index = ND_I64, .axis = 2};
    struct nd_gather_desc deep = {.x = x, .indices = {8, {1}}, .index = ND_I64};
    struct nd_gather_desc bytes = {
        .x = x, .indices = other, .index = ND_I64, .dtype = ND_BOOL, .gradients = true};
    struct nd_arg_desc empty = {.x = ND_SHAPE(2, 0), .axis = 1}, far = {.x = x, .axis = -3};
    tess_status refused[] = {
        nd_gather_create(ctx, NULL, &gather_op),
        nd_gather_create(ctx, &bad_index, &gather_op),
        nd_gather_create(ctx, &bad_axis, &gather_op),
        nd_gather_create(ctx, &deep, &gather_op),
        nd_gather_create(ctx, &bytes, &gather_op),
        nd_arg_create(ctx, NULL, &arg),
        nd_arg_create(ctx, &empty, &arg),
        nd_arg_create(ctx, &far, &arg),
        nd_where_create(ctx, ND_F32, &x, &x, &other, &op),
        nd_where_create(ctx, ND_F32, &x, &x, NULL, &op),
        nd_where_create(ctx, ND_DTYPES, &x, &x, &x, &op),
        nd_compare_create(ctx, ND_COMPARE_KINDS, &x, &x, &op),
        nd_compare_create(ctx, ND_LESS, &x, &other, &op),
        nd_gather_forward(NULL, NULL, NULL, NULL),
        nd_arg_forward(NULL, NULL, NULL),
        nd_where_forward(NULL, NULL, NULL, NULL, NULL),
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_not_equal(refused[i], TESS_OK);
    assert_true(!gather_op && !arg && !op);
    assert_ok(ctx, nd_compare_create(ctx, ND_LESS, &x, &x, &op));
    cl_mem good = nd_buffer(ctx, 24, NULL), small = nd_buffer(ctx, 5, NULL);
    assert_int_equal(nd_where_forward(op, NULL, good, small, good), TESS_INVALID_SHAPE);
    assert_int_equal(nd_where_forward(op, NULL, good, good, small), TESS_INVALID_SHAPE);
    clReleaseMemObject(good);
    clReleaseMemObject(small);
    nd_where_destroy(op);
    nd_where_destroy(NULL);
    nd_arg_destroy(NULL);
    nd_gather_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gather),
        cmocka_unit_test(arg_max_and_arg_min),
        cmocka_unit_test(where),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
