/* Transpose, Slice, Expand, Tile, Concat and Split: which element goes where, and back for gradients. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/nd.h"

/* x is 1, 2, 3, ...; y must be x at source[]. dx must be the sum of dy over the places that x's elements went to. */
static void check_move(tess_context *ctx, struct nd_move *op, const struct nd_shape *x_shape,
                       const size_t *source, const char *label) {
    size_t x_count = (size_t)nd_elements(x_shape), y_count = (size_t)nd_elements(nd_move_shape(op));
    float *x = nd_random(x_count, -1, 1, 1), *dy = nd_random(y_count, -1, 1, 2);
    double *want = check_alloc(y_count * sizeof *want);
    double *want_dx = calloc(x_count + 1, sizeof *want_dx);
    int *copies = calloc(x_count + 1, sizeof *copies);
    assert_true(want_dx && copies);
    for (size_t i = 0; i < y_count; i++) {
        want[i] = (double)x[source[i]];
        want_dx[source[i]] += (double)dy[i];
        copies[source[i]]++;
    }
    int most = 1;
    for (size_t i = 0; i < x_count; i++)
        most = copies[i] > most ? copies[i] : most;
    size_t bytes = nd_move_workspace(op);
    cl_mem mx = nd_buffer(ctx, x_count * 4, x), my = nd_buffer(ctx, y_count * 4, NULL);
    cl_mem mdy = nd_buffer(ctx, y_count * 4, dy), mdx = nd_buffer(ctx, x_count * 4, NULL);
    cl_mem workspace = nd_buffer(ctx, bytes, NULL);
    assert_ok(ctx, nd_move_forward(op, mx, my));
    assert_ok(ctx, nd_move_backward(op, mdy, mdx, bytes ? workspace : NULL));
    float *y = nd_read(ctx, my, y_count), *dx = nd_read(ctx, mdx, x_count);
    check_close(y, want, y_count, 0, 0, label);
    check_close(dx, want_dx, x_count, most == 1 ? 0 : check_tolerance((size_t)most), 1, label);
    cl_mem all[] = {mx, my, mdy, mdx, workspace};
    for (size_t i = 0; i < 5; i++)
        clReleaseMemObject(all[i]);
    void *memory[] = {x, dy, want, want_dx, copies, y, dx};
    for (size_t i = 0; i < 7; i++)
        free(memory[i]);
}

/* The first ones are tiny. */
static const struct transposition {
    struct nd_shape x;
    int perm[ND_MAX_RANK];
} transpositions[] = {
    {{0}, {0}},
    {{1, {7}}, {0}},
    {{2, {3, 5}}, {1, 0}},
    {{2, {18, 35}}, {1, 0}},
    {{2, {1, 9}}, {1, 0}},
    {{3, {2, 3, 4}}, {2, 0, 1}},
    {{3, {2, 3, 4}}, {1, 0, 2}},
    {{4, {2, 3, 4, 5}}, {0, 2, 3, 1}},
    {{4, {2, 3, 1, 5}}, {3, 2, 1, 0}},
    {{4, {2, 17, 3, 6}}, {0, 2, 1, 3}},
    {{5, {2, 3, 2, 3, 2}}, {4, 1, 3, 0, 2}},
    {{8, {2, 1, 2, 3, 1, 2, 2, 2}}, {7, 5, 3, 1, 6, 4, 2, 0}},
    {{2, {0, 5}}, {1, 0}},
    /* full sizes from here on */
    {{2, {203, 331}}, {1, 0}},
    {{4, {3, 37, 29, 31}}, {0, 2, 3, 1}},
    {{4, {3, 29, 31, 67}}, {0, 3, 1, 2}},
    {{4, {2, 101, 103, 3}}, {0, 3, 1, 2}},
    {{4, {2, 3, 101, 103}}, {0, 2, 3, 1}},
    {{2, {16, 5000}}, {1, 0}},
};

static size_t *transposed(const struct nd_shape *x, const struct nd_shape *y, const int *perm) {
    size_t count = (size_t)nd_elements(y);
    size_t *source = check_alloc(count * sizeof *source);
    for (size_t i = 0; i < count; i++) {
        int64_t of_y[ND_MAX_RANK], at[ND_MAX_RANK];
        nd_coordinates(y, i, of_y);
        for (int d = 0; d < x->rank; d++)
            at[perm[d]] = of_y[d];
        source[i] = nd_element(x, at);
    }
    return source;
}

static void transpose(void **state) {
    size_t count = check_tiny() ? 13 : sizeof transpositions / sizeof transpositions[0];
    for (size_t i = 0; i < count; i++) {
        const struct transposition *t = &transpositions[i];
        struct nd_move *op = NULL;
        char label[128], text[96];
        snprintf(label, sizeof label, "Transpose %zu of %s", i, nd_print(&t->x, text));
        assert_ok(*state, nd_transpose_create(*state, ND_F32, &t->x, t->perm, true, &op));
        size_t *source = transposed(&t->x, nd_move_shape(op), t->perm);
        check_move(*state, op, &t->x, source, label);
        free(source);
        nd_move_destroy(op);
    }
    struct nd_shape x = ND_SHAPE(2, 3, 5), y = ND_SHAPE(5, 3, 2);
    struct nd_move *op = NULL;
    assert_ok(*state, nd_transpose_create(*state, ND_F32, &x, NULL, false, &op));
    assert_true(nd_shape_equal(nd_move_shape(op), &y));
    nd_move_destroy(op);
}

#define FAR INT64_MAX
static const struct slicing {
    struct nd_slice_desc desc;
    int64_t y[ND_MAX_RANK];
} slicings[] = {
    {{.x = {1, {10}}, .axis_count = 1, .axes = {0}, .starts = {2}, .ends = {7}, .steps = {1}}, {5}},
    {{.x = {1, {10}}, .axis_count = 1, .axes = {0}, .starts = {-3}, .ends = {FAR}, .steps = {1}},
     {3}},
    {{.x = {1, {10}}, .axis_count = 1, .axes = {0}, .starts = {FAR}, .ends = {-FAR}, .steps = {-1}},
     {10}},
    {{.x = {1, {10}}, .axis_count = 1, .axes = {-1}, .starts = {8}, .ends = {1}, .steps = {-3}},
     {3}},
    {{.x = {1, {10}}, .axis_count = 1, .axes = {0}, .starts = {0}, .ends = {10}, .steps = {FAR}},
     {1}},
    {{.x = {1, {10}}, .axis_count = 1, .axes = {0}, .starts = {5}, .ends = {5}, .steps = {1}}, {0}},
    {{.x = {0}}, {0}},
    {{.x = {2, {20, 19}},
      .axis_count = 2,
      .axes = {1, 0},
      .starts = {1, -1},
      .ends = {18, 0},
      .steps = {1, -4}},
     {5, 17}},
    {{.x = {4, {2, 3, 8, 9}},
      .axis_count = 2,
      .axes = {2, 3},
      .starts = {1, 1},
      .ends = {-1, -1},
      .steps = {1, 1}},
     {2, 3, 6, 7}},
    {{.x = {4, {2, 8, 9, 3}},
      .axis_count = 2,
      .axes = {1, 2},
      .starts = {0, 1},
      .ends = {8, 9},
      .steps = {2, 2}},
     {2, 4, 4, 3}},
    {{.x = {3, {30, 40, 50}},
      .axis_count = 1,
      .axes = {1},
      .starts = {3},
      .ends = {37},
      .steps = {1}},
     {30, 34, 50}},
};

static void slice(void **state) {
    for (size_t i = 0; i < sizeof slicings / sizeof slicings[0]; i++) {
        struct nd_slice_desc desc = slicings[i].desc;
        struct nd_move *op = NULL;
        char label[64];
        snprintf(label, sizeof label, "Slice %zu", i);
        if (check_tiny() && nd_elements(&desc.x) > 1000) continue;
        desc.gradients = true;
        assert_ok(*state, nd_slice_create(*state, &desc, &op));
        const struct nd_shape *y = nd_move_shape(op);
        for (int d = 0; d < desc.x.rank; d++)
            assert_int_equal(y->dims[d], slicings[i].y[d]);
        size_t count = (size_t)nd_elements(y), *source = check_alloc(count * sizeof *source);
        for (size_t e = 0; e < count; e++) {
            int64_t at[ND_MAX_RANK];
            nd_coordinates(y, e, at);
            for (int a = 0; a < desc.axis_count; a++) {
                int d = (desc.axes[a] + desc.x.rank) % desc.x.rank;
                int64_t start = desc.starts[a], dim = desc.x.dims[d];
                start = start < 0 ? start + dim : start >= dim ? dim - 1 : start;
                at[d] = y->dims[d] > 1 ? start + at[d] * desc.steps[a] : start;
            }
            source[e] = nd_element(&desc.x, at);
        }
        check_move(*state, op, &desc.x, source, label);
        free(source);
        nd_move_destroy(op);
    }
}

static const struct {
    struct nd_shape x, shape;
} expansions[] = {
    {{0}, {1, {5}}},
    {{1, {3}}, {2, {4, 3}}},
    {{3, {2, 1, 3}}, {4, {2, 1, 5, 1}}},
    {{2, {1, 1}}, {2, {1, 37}}},
    {{4, {2, 1, 3, 1}}, {3, {2, 1, 33}}},
    {{1, {0}}, {2, {3, 1}}},
};

static void expand(void **state) {
    for (size_t i = 0; i < sizeof expansions / sizeof expansions[0]; i++) {
        const struct nd_shape *x = &expansions[i].x;
        struct nd_move *op = NULL;
        assert_ok(*state, nd_expand_create(*state, ND_F32, x, &expansions[i].shape, true, &op));
        size_t count = (size_t)nd_elements(nd_move_shape(op));
        size_t *source = check_alloc(count * sizeof *source);
        for (size_t e = 0; e < count; e++)
            source[e] = nd_broadcast_element(x, nd_move_shape(op), e);
        check_move(*state, op, x, source, "Expand");
        free(source);
        nd_move_destroy(op);
    }
}

static const struct {
    struct nd_shape x;
    int64_t repeats[ND_MAX_RANK];
} tilings[] = {
    {{1, {3}}, {4}},
    {{3, {2, 3, 5}}, {1, 3, 2}},
    {{4, {2, 1, 3, 2}}, {2, 3, 1, 4}},
    {{2, {3, 17}}, {5, 0}},
    {{0}, {0}},
};

static void tile(void **state) {
    for (size_t i = 0; i < sizeof tilings / sizeof tilings[0]; i++) {
        const struct nd_shape *x = &tilings[i].x;
        struct nd_move *op = NULL;
        assert_ok(*state, nd_tile_create(*state, ND_F32, x, tilings[i].repeats, true, &op));
        const struct nd_shape *y = nd_move_shape(op);
        size_t count = (size_t)nd_elements(y), *source = check_alloc(count * sizeof *source);
        for (size_t e = 0; e < count; e++) {
            int64_t at[ND_MAX_RANK];
            nd_coordinates(y, e, at);
            for (int d = 0; d < x->rank; d++)
                at[d] %= x->dims[d];
            source[e] = nd_element(x, at);
        }
        check_move(*state, op, x, source, "Tile");
        free(source);
        nd_move_destroy(op);
    }
}

/* Three parts along axis into a whole, compared element by element, and back. */
static void check_concat(tess_context *ctx, struct nd_shape shape, int axis,
                         const int64_t size[3]) {
    struct nd_shape shapes[3];
    cl_mem parts[3], back[3];
    float *data[3];
    for (int i = 0; i < 3; i++) {
        shapes[i] = shape;
        shapes[i].dims[axis] = size[i];
        size_t count = (size_t)nd_elements(&shapes[i]);
        data[i] = nd_random(count, -1, 1, (uint64_t)i);
        parts[i] = nd_buffer(ctx, count * 4, data[i]);
        back[i] = nd_buffer(ctx, count * 4, NULL);
    }
    struct nd_concat *op = NULL;
    assert_ok(ctx, nd_concat_create(ctx, ND_F32, axis - shape.rank, shapes, 3, &op));
    const struct nd_shape *whole = nd_concat_shape(op);
    size_t count = (size_t)nd_elements(whole);
    cl_mem mem = nd_buffer(ctx, count * 4, NULL);
    assert_ok(ctx, nd_concat_join(op, parts, mem));
    float *got = nd_read(ctx, mem, count);
    for (size_t e = 0; e < count; e++) {
        int64_t at[ND_MAX_RANK];
        int part = 0;
        nd_coordinates(whole, e, at);
        while (at[axis] >= size[part])
            at[axis] -= size[part++];
        assert_true(got[e] == data[part][nd_element(&shapes[part], at)]);
    }
    const cl_mem last_two[] = {NULL, back[1], back[2]};
    assert_ok(ctx, nd_concat_split(op, mem, last_two));
    for (int i = 1; i < 3; i++) {
        size_t part_count = (size_t)nd_elements(&shapes[i]);
        float *part = nd_read(ctx, back[i], part_count);
        check_same_bytes(part, data[i], part_count * 4, "Split");
        free(part);
    }
    for (int i = 0; i < 3; i++) {
        clReleaseMemObject(parts[i]);
        clReleaseMemObject(back[i]);
        free(data[i]);
    }
    free(got);
    clReleaseMemObject(mem);
    nd_concat_destroy(op);
}

static void concat_and_split(void **state) {
    check_concat(*state, ND_SHAPE(0), 0, (const int64_t[]){1, 17, 3});
    check_concat(*state, ND_SHAPE(2, 0, 3), 1, (const int64_t[]){2, 0, 5});
    check_concat(*state, ND_SHAPE(2, 3, 0), 2, (const int64_t[]){3, 16, 5});
    check_concat(*state, ND_SHAPE(0, 3, 2), 0, (const int64_t[]){1, 2, 3});
    if (!check_tiny())
        check_concat(*state, ND_SHAPE(3, 13, 15, 0), 3, (const int64_t[]){64, 97, 128});
}

/* The other sizes of elements: every third byte a number of its own. */
static void other_types(void **state) {
    static const enum nd_dtype types[] = {ND_I32, ND_I64, ND_BOOL};
    struct nd_shape x = ND_SHAPE(3, 19, 18);
    enum { COUNT = 3 * 19 * 18 };
    for (int i = 0; i < 3; i++) {
        size_t size = nd_dtype_bytes(types[i]);
        unsigned char *data = check_alloc(COUNT * size), *got = check_alloc(COUNT * size);
        for (size_t b = 0; b < COUNT * size; b++)
            data[b] = (unsigned char)(b * 7 + b / 256);
        cl_mem mx = nd_buffer(*state, COUNT * size, data);
        cl_mem my = nd_buffer(*state, COUNT * size, NULL);
        for (int axis = 0; axis < 2; axis++) {
            const int perm[] = {axis, axis == 0 ? 2 : 0, axis == 0 ? 1 : 2};
            struct nd_move *op = NULL;
            assert_ok(*state, nd_transpose_create(*state, types[i], &x, perm, false, &op));
            assert_ok(*state, nd_move_forward(op, mx, my));
            nd_read_bytes(*state, my, COUNT * size, got);
            size_t *source = transposed(&x, nd_move_shape(op), perm);
            for (size_t e = 0; e < COUNT; e++)
                assert_memory_equal(got + e * size, data + source[e] * size, size);
            free(source);
            nd_move_destroy(op);
        }
        clReleaseMemObject(mx);
        clReleaseMemObject(my);
        free(data);
        free(got);
    }
}

static void bad_arguments_are_refused(void **state) {
    tess_context *ctx = *state;
    struct nd_shape x = ND_SHAPE(2, 3), other = ND_SHAPE(4), parts[2] = {x, other};
    struct nd_move *op = NULL;
    struct nd_concat *concat = NULL;
    const int twice[] = {0, 0};
    const int64_t negative[] = {1, -1}, huge[] = {INT32_MAX, INT32_MAX};
    struct nd_slice_desc slice_desc = {.x = x, .axis_count = 1, .steps = {0}}, deep = slice_desc;
    deep.axis_count = 3;
    tess_status refused[] = {
        nd_transpose_create(NULL, ND_F32, &x, NULL, false, &op),
        nd_transpose_create(ctx, ND_F32, NULL, NULL, false, &op),
        nd_transpose_create(ctx, ND_DTYPES, &x, NULL, false, &op),
        nd_transpose_create(ctx, ND_I64, &x, NULL, true, &op),
        nd_transpose_create(ctx, ND_F32, &x, twice, false, &op),
        nd_slice_create(ctx, NULL, &op),
        nd_slice_create(ctx, &slice_desc, &op),
        nd_slice_create(ctx, &deep, &op),
        nd_expand_create(ctx, ND_F32, &x, &other, false, &op),
        nd_expand_create(ctx, ND_F32, &x, NULL, false, &op),
        nd_tile_create(ctx, ND_F32, &x, negative, false, &op),
        nd_tile_create(ctx, ND_F32, &x, huge, false, &op),
        nd_tile_create(ctx, ND_F32, &x, NULL, false, &op),
        nd_concat_create(ctx, ND_F32, 0, parts, 2, &concat),
        nd_concat_create(ctx, ND_F32, 2, parts, 1, &concat),
        nd_concat_create(ctx, ND_F32, 0, parts, 0, &concat),
        nd_concat_create(ctx, ND_F32, 0, NULL, 1, &concat),
        nd_move_forward(NULL, NULL, NULL),
        nd_concat_join(NULL, NULL, NULL),
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_not_equal(refused[i], TESS_OK);
    assert_true(!op && !concat);
    assert_ok(ctx, nd_transpose_create(ctx, ND_F32, &x, NULL, false, &op));
    cl_mem small = nd_buffer(ctx, 20, NULL), good = nd_buffer(ctx, 24, NULL);
    assert_int_equal(nd_move_forward(op, good, small), TESS_INVALID_SHAPE);
    assert_int_equal(nd_move_forward(op, NULL, good), TESS_INVALID_ARGUMENT);
    assert_int_equal(nd_move_backward(op, good, good, NULL), TESS_INVALID_ARGUMENT);
    nd_move_destroy(op);
    assert_ok(ctx, nd_concat_create(ctx, ND_F32, 0, parts, 1, &concat));
    assert_int_equal(nd_concat_join(concat, &small, good), TESS_INVALID_SHAPE);
    assert_int_equal(nd_concat_split(concat, NULL, &good), TESS_INVALID_ARGUMENT);
    nd_concat_destroy(concat);
    clReleaseMemObject(small);
    clReleaseMemObject(good);
    nd_move_destroy(NULL);
    nd_concat_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transpose),
        cmocka_unit_test(slice),
        cmocka_unit_test(expand),
        cmocka_unit_test(tile),
        cmocka_unit_test(concat_and_split),
        cmocka_unit_test(other_types),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
