/* Layout conversion on the device against the definition of the layouts. */
#include <stdlib.h>

#include "support/check.h"
#include "support/eltwise_fixture.h"

static size_t offset_of(const tess_tensor_desc *d, tess_layout layout, int n, int c, int h, int w) {
    size_t dn = (size_t)d->n, dc = (size_t)d->c, dh = (size_t)d->h, dw = (size_t)d->w;
    size_t in = (size_t)n, ic = (size_t)c, ih = (size_t)h, iw = (size_t)w;
    if (layout == TESS_NHWC) return ((in * dh + ih) * dw + iw) * dc + ic;
    if (layout == TESS_NCHW) return ((in * dc + ic) * dh + ih) * dw + iw;
    return ((ih * dw + iw) * dc + ic) * dn + in;
}

static void check_conversion(struct eltwise_fixture *f, tess_tensor_desc desc, tess_layout from,
                             tess_layout to) {
    tess_tensor_desc x_desc = desc, y_desc = desc;
    x_desc.layout = from;
    y_desc.layout = to;
    size_t count = tess_tensor_desc_elements(&desc);
    int32_t *x = check_alloc(count * sizeof *x), *y = check_alloc(count * sizeof *y);
    for (size_t i = 0; i < count; i++)
        x[i] = (int32_t)i; /* as floats: subnormal, which a copy must leave alone */
    tess_tensor *tx = check_tensor(f->ctx, x_desc, x), *ty = check_tensor(f->ctx, y_desc, NULL);
    assert_ok(f->ctx, tess_layout_convert(f->op, tx, ty));
    assert_ok(f->ctx, tess_tensor_read(ty, y, to));
    for (int n = 0; n < desc.n; n++)
        for (int c = 0; c < desc.c; c++)
            for (int h = 0; h < desc.h; h++)
                for (int w = 0; w < desc.w; w++) {
                    size_t in = offset_of(&desc, from, n, c, h, w);
                    size_t out = offset_of(&desc, to, n, c, h, w);
                    if (y[out] != x[in])
                        fail_msg("%d -> %d n%d c%d h%d w%d: element %d %d %d %d is wrong",
                                 (int)from, (int)to, desc.n, desc.c, desc.h, desc.w, n, c, h, w);
                }
    free(x);
    free(y);
    tess_tensor_destroy(tx);
    tess_tensor_destroy(ty);
}

static void every_conversion(void **state) {
    static const int sizes[][4] = {
        {1, 1, 1, 1},    {2, 3, 4, 5},    {3, 1, 2, 2},    {1, 17, 5, 4},   {2, 16, 4, 4},
        {16, 2, 4, 4},   {33, 3, 5, 5},   {5, 70, 9, 8},   {64, 3, 32, 32}, {2, 200, 13, 11},
        {96, 3, 11, 11}, {130, 65, 3, 3}, {3, 3, 100, 70},
    };
    static const tess_layout pairs[][2] = {{TESS_NHWC, TESS_NCHW},
                                           {TESS_NCHW, TESS_NHWC},
                                           {TESS_RSCK, TESS_NCHW},
                                           {TESS_NCHW, TESS_RSCK}};
    size_t count = check_tiny() ? 6 : sizeof sizes / sizeof sizes[0];
    for (size_t i = 0; i < count; i++)
        for (int p = 0; p < 4; p++)
            for (int dtype = TESS_F32; dtype <= TESS_I32; dtype++) {
                tess_tensor_desc desc = {.dtype = (tess_dtype)dtype,
                                         .n = sizes[i][0],
                                         .c = sizes[i][1],
                                         .h = sizes[i][2],
                                         .w = sizes[i][3]};
                check_conversion(*state, desc, pairs[p][0], pairs[p][1]);
            }
}

static void bad_arguments_are_refused(void **state) {
    struct eltwise_fixture *f = *state;
    tess_tensor_desc nchw = desc_nhwc(2, 3, 4, 5), rsck = nchw, other = nchw, i32 = nchw;
    nchw.layout = other.layout = i32.layout = TESS_NCHW;
    rsck.layout = TESS_RSCK;
    other.c = 6;
    i32.dtype = TESS_I32;
    tess_tensor *x = check_tensor(f->ctx, desc_nhwc(2, 3, 4, 5), NULL);
    tess_tensor *same = check_tensor(f->ctx, desc_nhwc(2, 3, 4, 5), NULL);
    tess_tensor *y = check_tensor(f->ctx, nchw, NULL), *k = check_tensor(f->ctx, rsck, NULL);
    tess_tensor *bigger = check_tensor(f->ctx, other, NULL),
                *ints = check_tensor(f->ctx, i32, NULL);
    tess_tensor *view = NULL;
    assert_ok(f->ctx, tess_tensor_wrap(f->ctx, &nchw, tess_tensor_memory(x), 0, &view));
    assert_int_equal(tess_layout_convert(NULL, x, y), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_layout_convert(f->op, NULL, y), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_layout_convert(f->op, x, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_layout_convert(f->op, x, bigger), TESS_INVALID_SHAPE);
    assert_int_not_equal(tess_layout_convert(f->op, x, ints), TESS_OK);
    assert_int_equal(tess_layout_convert(f->op, x, k), TESS_UNSUPPORTED);
    assert_int_equal(tess_layout_convert(f->op, x, same), TESS_UNSUPPORTED);
    tess_tensor *all[] = {x, same, y, k, bigger, ints, view};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tess_tensor_destroy(all[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_conversion),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, eltwise_setup, eltwise_teardown);
}
