/* Tensors: layouts, views, wraps, mapping, filling, and everything that must be refused. */
#include "core/tensor.h"
#include "support/check.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const tess_layout layouts[] = {TESS_NHWC, TESS_NCHW, TESS_RSCK};
enum { LAYOUTS = 3 };

/* n, c, h, w: odd extents, ones in every place, more than one block of the copy. */
static const int shapes[][4] = {{1, 1, 1, 1},    {2, 3, 4, 5},   {1, 7, 3, 1},
                                {5, 1, 1, 3},    {3, 17, 5, 7},  {33, 2, 1, 19},
                                {1, 19, 17, 18}, {6, 1, 16, 33}, {35, 37, 1, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static tess_tensor_desc make_desc(const int shape[4], tess_layout layout) {
    return (tess_tensor_desc){.dtype = TESS_F32,
                              .layout = layout,
                              .n = shape[0],
                              .c = shape[1],
                              .h = shape[2],
                              .w = shape[3]};
}

/* The place of an element, written out from the definition of each layout. */
static size_t place(const int shape[4], tess_layout layout, int n, int c, int h, int w) {
    size_t N = (size_t)shape[0], C = (size_t)shape[1], H = (size_t)shape[2], W = (size_t)shape[3];
    size_t in = (size_t)n, ic = (size_t)c, ih = (size_t)h, iw = (size_t)w;
    if (layout == TESS_NHWC) return ((in * H + ih) * W + iw) * C + ic;
    if (layout == TESS_NCHW) return ((in * C + ic) * H + ih) * W + iw;
    return ((ih * W + iw) * C + ic) * N + in;
}

/* Data in a layout in which the element n, c, h, w says who it is. */
static float *labelled(const int shape[4], tess_layout layout) {
    size_t count = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2] * (size_t)shape[3];
    float *data = check_alloc(count * sizeof *data);
    for (int n = 0; n < shape[0]; n++)
        for (int c = 0; c < shape[1]; c++)
            for (int h = 0; h < shape[2]; h++)
                for (int w = 0; w < shape[3]; w++)
                    data[place(shape, layout, n, c, h, w)] =
                        (float)(n * 29791 + c * 961 + h * 31 + w);
    return data;
}

static void test_layout_copy(void **state) {
    (void)state;
    for (int s = 0; s < SHAPES; s++)
        for (int a = 0; a < LAYOUTS; a++)
            for (int b = 0; b < LAYOUTS; b++) {
                tess_tensor_desc desc = make_desc(shapes[s], TESS_NHWC);
                size_t bytes = tess_tensor_desc_bytes(&desc);
                float *src = labelled(shapes[s], layouts[a]);
                float *want = labelled(shapes[s], layouts[b]);
                float *got = check_alloc(bytes);
                memset(got, 0xFF, bytes);
                layout_copy(&desc, layouts[a], src, layouts[b], got);
                check_same_bytes(got, want, bytes, "layout_copy");
                if (layout_same(&desc, layouts[a], layouts[b]))
                    check_same_bytes(src, want, bytes, "layout_same");
                else
                    assert_memory_not_equal(src, want, bytes);
                free(src);
                free(want);
                free(got);
            }
}

static void test_round_trips(void **state) {
    tess_context *ctx = *state;
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < LAYOUTS; t++)
            for (int a = 0; a < LAYOUTS; a++) {
                tess_tensor *tensor = check_tensor(ctx, make_desc(shapes[s], layouts[t]), NULL);
                size_t bytes = tess_tensor_desc_bytes(tess_tensor_get_desc(tensor));
                float *src = labelled(shapes[s], layouts[a]);
                assert_ok(ctx, tess_tensor_write(tensor, src, layouts[a]));
                free(src);
                for (int b = 0; b < LAYOUTS; b++) {
                    float *want = labelled(shapes[s], layouts[b]);
                    float *got = check_alloc(bytes);
                    memset(got, 0xFF, bytes);
                    assert_ok(ctx, tess_tensor_read(tensor, got, layouts[b]));
                    check_same_bytes(got, want, bytes, "round trip");
                    free(want);
                    free(got);
                }
                tess_tensor_destroy(tensor);
            }
}

static void test_map(void **state) {
    tess_context *ctx = *state;
    tess_tensor *tensor = check_tensor(ctx, desc_nhwc(2, 3, 5, 7), NULL);
    void *mapped = NULL, *again = NULL;
    assert_ok(ctx, tess_tensor_map(tensor, true, &mapped));
    for (int i = 0; i < 210; i++)
        ((float *)mapped)[i] = (float)i;
    assert_ok(ctx, tess_tensor_unmap(tensor, mapped));
    float *got = check_read(tensor);
    for (int i = 0; i < 210; i++)
        assert_true(got[i] == (float)i);
    free(got);
    assert_ok(ctx, tess_tensor_fill(tensor, 3));
    assert_ok(ctx, tess_tensor_map(tensor, false, &again));
    for (int i = 0; i < 210; i++)
        assert_true(((float *)again)[i] == 3.0f);
    assert_ok(ctx, tess_tensor_unmap(tensor, again));
    /* In place: a CPU device has no other memory to put it. */
    const tess_device_info *device = tess_context_device(ctx);
    if (device->type == CL_DEVICE_TYPE_CPU && device->unified_memory)
        assert_ptr_equal(mapped, again);
    assert_int_equal(tess_tensor_map(tensor, false, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_map(NULL, false, &mapped), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_unmap(tensor, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_unmap(NULL, mapped), TESS_INVALID_ARGUMENT);
    tess_tensor_destroy(tensor);
}

static void test_fill(void **state) {
    tess_context *ctx = *state;
    tess_tensor *tensor = check_tensor(ctx, desc_vector(1013), NULL);
    static const float values[] = {0.0f, -0.0f, 1.5f, INFINITY, NAN};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        assert_ok(ctx, tess_tensor_fill(tensor, values[v]));
        float *got = check_read(tensor);
        for (int i = 0; i < 1013; i++)
            assert_memory_equal(&got[i], &values[v], sizeof(float));
        free(got);
    }
    tess_tensor_destroy(tensor);
    tess_tensor_desc desc = desc_vector(5);
    desc.dtype = TESS_I32;
    tensor = check_tensor(ctx, desc, NULL);
    assert_ok(ctx, tess_tensor_fill(tensor, -7.9f));
    int32_t got[5];
    assert_ok(ctx, tess_tensor_read(tensor, got, TESS_NHWC));
    for (int i = 0; i < 5; i++)
        assert_int_equal(got[i], -7);
    assert_ok(ctx, tess_tensor_fill(tensor, -0x1p31f));
    assert_ok(ctx, tess_tensor_read(tensor, got, TESS_NHWC));
    assert_int_equal(got[4], INT32_MIN);
    assert_int_equal(tess_tensor_fill(tensor, 0x1p31f), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_fill(tensor, NAN), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_fill(NULL, 0), TESS_INVALID_ARGUMENT);
    tess_tensor_destroy(tensor);
}

/* Elements in base_align bytes, at least one. */
static int align_elements(tess_context *ctx) {
    size_t align = tess_context_device(ctx)->base_align;
    return align > sizeof(float) ? (int)(align / sizeof(float)) : 1;
}

static void test_views(void **state) {
    tess_context *ctx = *state;
    int step = align_elements(ctx);
    int count = 5 * step + 3;
    float *data = check_alloc((size_t)count * sizeof *data);
    for (int i = 0; i < count; i++)
        data[i] = (float)i;
    tess_tensor *whole = check_tensor(ctx, desc_vector(count), data);
    size_t offset = (size_t)step * sizeof(float);
    tess_counters before = tess_context_counters(ctx);
    tess_tensor_desc part_desc = desc_vector(3 * step), inner_desc = desc_vector(step + 1);
    tess_tensor *part = NULL, *inner = NULL, *tail = NULL;
    assert_ok(ctx, tess_tensor_view(whole, &part_desc, offset, &part));
    assert_ok(ctx, tess_tensor_view(part, &inner_desc, offset, &inner)); /* a view of a view */
    tess_tensor_desc tail_desc = desc_vector(3);
    assert_ok(ctx, tess_tensor_view(whole, &tail_desc, 5 * offset, &tail));
    tess_counters after = tess_context_counters(ctx);
    assert_int_equal(after.buffers_created - before.buffers_created, 3);
    assert_int_equal(after.device_bytes, before.device_bytes);
    /* The memory lives on in its views, whatever goes first. */
    tess_tensor_destroy(part);
    assert_ok(ctx, tess_tensor_fill(inner, -1));
    float *got = check_read(whole);
    for (int i = 0; i < count; i++)
        assert_true(got[i] == (i >= 2 * step && i < 3 * step + 1 ? -1.0f : (float)i));
    free(got);
    tess_tensor_destroy(whole);
    got = check_read(inner);
    assert_true(got[0] == -1.0f && got[step] == -1.0f);
    free(got);
    got = check_read(tail);
    assert_true(got[0] == (float)(5 * step) && got[2] == (float)(5 * step + 2));
    free(got);
    tess_tensor_destroy(inner);
    tess_tensor_destroy(tail);
    free(data);
}

static void test_view_errors(void **state) {
    tess_context *ctx = *state;
    int step = align_elements(ctx);
    tess_tensor *whole = check_tensor(ctx, desc_vector(3 * step), NULL);
    size_t offset = (size_t)step * sizeof(float);
    tess_tensor *const untouched = (tess_tensor *)&step;
    tess_tensor *out = untouched;
    tess_tensor_desc fits = desc_vector(2 * step), large = desc_vector(2 * step + 1),
                     one = desc_vector(1);
    assert_int_equal(tess_tensor_view(whole, &large, offset, &out), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(tess_context_last_error(ctx), "viewing a tensor"));
    assert_int_equal(tess_tensor_view(whole, &fits, offset + 1, &out), TESS_INVALID_ARGUMENT);
    if (step > 1) {
        assert_int_equal(tess_tensor_view(whole, &one, 4, &out), TESS_INVALID_ARGUMENT);
        assert_non_null(strstr(tess_context_last_error(ctx), "base_align"));
    }
    assert_int_equal(tess_tensor_view(whole, &one, 3 * offset, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_view(whole, &one, SIZE_MAX, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_view(whole, &one, SIZE_MAX - offset + 1, &out),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_view(NULL, &one, 0, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_view(whole, NULL, 0, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_view(whole, &one, 0, NULL), TESS_INVALID_ARGUMENT);
    assert_ptr_equal(out, untouched);
    /* A view's own end counts, not that of the memory it lies in. */
    tess_tensor *part = NULL;
    assert_ok(ctx, tess_tensor_view(whole, &one, 0, &part));
    assert_int_equal(tess_tensor_view(part, &fits, 0, &out), TESS_INVALID_ARGUMENT);
    tess_tensor_destroy(part);
    tess_tensor_destroy(whole);
}

static void test_wrap(void **state) {
    tess_context *ctx = *state;
    int step = align_elements(ctx);
    size_t offset = (size_t)step * sizeof(float);
    cl_int code = 0;
    cl_mem memory =
        clCreateBuffer(tess_context_cl(ctx), CL_MEM_READ_WRITE, 4 * offset, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    tess_counters before = tess_context_counters(ctx);
    tess_tensor *first = NULL, *second = NULL, *out = NULL;
    tess_tensor_desc one = desc_vector(1), rest = desc_vector(3 * step),
                     large = desc_vector(4 * step + 1);
    assert_ok(ctx, tess_tensor_wrap(ctx, &one, memory, 0, &first));
    assert_ok(ctx, tess_tensor_wrap(ctx, &rest, memory, offset, &second));
    assert_int_equal(tess_context_counters(ctx).device_bytes, before.device_bytes);
    assert_int_equal(tess_tensor_wrap(ctx, &large, memory, 0, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_wrap(ctx, &rest, memory, 2 * offset, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_wrap(ctx, &one, memory, 1, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_wrap(ctx, &one, NULL, 0, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_wrap(ctx, NULL, memory, 0, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_wrap(NULL, &one, memory, 0, &out), TESS_INVALID_ARGUMENT);
    assert_null(out);
    clReleaseMemObject(memory); /* the tensors hold it */
    assert_ok(ctx, tess_tensor_fill(second, 4));
    assert_ok(ctx, tess_tensor_fill(first, 5));
    tess_tensor_destroy(first);
    float *got = check_read(second);
    for (int i = 0; i < 3 * step; i++)
        assert_true(got[i] == 4.0f);
    free(got);
    tess_tensor_destroy(second);
}

static void test_wrap_foreign(void **state) {
    tess_context *ctx = *state;
    const tess_device_info *device = tess_context_device(ctx);
    tess_tensor_desc one = desc_vector(1);
    tess_tensor *out = NULL;
    cl_int code = 0;
    cl_context other = clCreateContext(NULL, 1, &device->device, NULL, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    cl_mem memory = clCreateBuffer(other, CL_MEM_READ_WRITE, 4096, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_int_equal(tess_tensor_wrap(ctx, &one, memory, 0, &out), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(tess_context_last_error(ctx), "another cl_context"));
    clReleaseMemObject(memory);
    clReleaseContext(other);
    const cl_image_format format = {.image_channel_order = CL_RGBA,
                                    .image_channel_data_type = CL_FLOAT};
    const cl_image_desc image = {
        .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 8, .image_height = 8};
    memory = clCreateImage(tess_context_cl(ctx), CL_MEM_READ_WRITE, &format, &image, NULL, &code);
    if (code == CL_SUCCESS) { /* devices need not have images */
        assert_int_equal(tess_tensor_wrap(ctx, &one, memory, 0, &out), TESS_INVALID_ARGUMENT);
        assert_non_null(strstr(tess_context_last_error(ctx), "image"));
        clReleaseMemObject(memory);
    }
    assert_null(out);
}

static void test_desc_errors(void **state) {
    tess_context *ctx = *state;
    static const int bad[][4] = {{0, 1, 1, 1},
                                 {1, 0, 1, 1},
                                 {1, 1, -1, 1},
                                 {1, 1, 1, INT_MIN},
                                 {-2, -2, 1, 1},
                                 {1024, 1024, 1024, 1024},     /* 2^40 */
                                 {65536, 65536, 65536, 65536}, /* 2^64: 0 in a size_t */
                                 {INT_MAX, INT_MAX, INT_MAX, INT_MAX},
                                 {32768, 65536, 1, 1}}; /* 2^31 */
    tess_tensor *out = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tess_tensor_desc desc = make_desc(bad[i], TESS_NHWC);
        assert_int_equal(tess_tensor_desc_elements(&desc), 0);
        assert_int_equal(tess_tensor_desc_bytes(&desc), 0);
        assert_int_equal(tess_tensor_create(ctx, &desc, &out), TESS_INVALID_SHAPE);
    }
    tess_tensor_desc limit = {.n = INT_MAX, .c = 1, .h = 1, .w = 1};
    assert_int_equal(tess_tensor_desc_elements(&limit), INT_MAX);
    assert_true(tess_tensor_desc_bytes(&limit) == (size_t)INT_MAX * 4);
    tess_tensor_desc desc = desc_vector(4);
    desc.dtype = (tess_dtype)17;
    assert_int_equal(tess_tensor_create(ctx, &desc, &out), TESS_INVALID_ARGUMENT);
    desc = desc_vector(4);
    desc.layout = (tess_layout)3;
    assert_int_equal(tess_tensor_create(ctx, &desc, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_create(ctx, NULL, &out), TESS_INVALID_ARGUMENT);
    desc = desc_vector(4);
    assert_int_equal(tess_tensor_create(NULL, &desc, &out), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_create(ctx, &desc, NULL), TESS_INVALID_ARGUMENT);
    assert_null(out);
    assert_int_equal(tess_tensor_desc_elements(NULL), 0);
    assert_int_equal(tess_tensor_desc_bytes(NULL), 0);
    assert_null(tess_tensor_get_desc(NULL));
    assert_null(tess_tensor_memory(NULL));
    tess_tensor_destroy(NULL);
}

static void test_transfer_errors(void **state) {
    tess_context *ctx = *state;
    tess_tensor *tensor = check_tensor(ctx, desc_vector(4), NULL);
    float data[4] = {0};
    assert_int_equal(tess_tensor_write(tensor, NULL, TESS_NHWC), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_write(NULL, data, TESS_NHWC), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_write(tensor, data, (tess_layout)5), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_read(tensor, NULL, TESS_NHWC), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_read(NULL, data, TESS_NHWC), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_tensor_read(tensor, data, (tess_layout)-1), TESS_INVALID_ARGUMENT);
    tess_tensor_destroy(tensor);
}

static void test_expect(void **state) {
    tess_context *ctx = *state;
    tess_tensor *tensor = check_tensor(ctx, desc_nhwc(2, 3, 4, 5), NULL);
    assert_ok(ctx, tensor_expect(ctx, tensor, TESS_F32, 120, "op: x"));
    assert_ok(ctx, tensor_expect(ctx, tensor, TESS_F32, 0, "op: x"));
    assert_int_equal(tensor_expect(ctx, tensor, TESS_F32, 119, "op: x"), TESS_INVALID_SHAPE);
    assert_non_null(strstr(tess_context_last_error(ctx), "op: x"));
    assert_non_null(strstr(tess_context_last_error(ctx), "119"));
    assert_int_equal(tensor_expect(ctx, tensor, TESS_I32, 120, "op: x"), TESS_INVALID_ARGUMENT);
    assert_int_equal(tensor_expect(ctx, NULL, TESS_F32, 120, "op: x"), TESS_INVALID_ARGUMENT);
    assert_int_equal(tensor_expect(NULL, tensor, TESS_F32, 120, "op: x"), TESS_INVALID_ARGUMENT);
    tess_tensor_destroy(tensor);
}

static void test_accounting(void **state) {
    tess_context *ctx = *state;
    tess_counters start = tess_context_counters(ctx);
    tess_tensor *a = check_tensor(ctx, desc_vector(1000), NULL);
    tess_tensor *b = check_tensor(ctx, desc_vector(500), NULL);
    tess_counters both = tess_context_counters(ctx);
    assert_int_equal(both.device_bytes - start.device_bytes, 6000);
    assert_int_equal(both.buffers_created - start.buffers_created, 2);
    tess_tensor_destroy(a);
    assert_int_equal(tess_context_counters(ctx).device_bytes - start.device_bytes, 2000);
    assert_true(tess_context_counters(ctx).device_bytes_peak >= both.device_bytes);
    tess_tensor_destroy(b);
    assert_int_equal(tess_context_counters(ctx).device_bytes, start.device_bytes);
    cl_mem memory = NULL;
    assert_int_equal(context_buffer_create(ctx, 0, &memory), TESS_INVALID_ARGUMENT);
    uint64_t limit = tess_context_device(ctx)->max_allocation;
    assert_int_equal(context_buffer_create(ctx, (size_t)limit + 1, &memory),
                     TESS_OUT_OF_DEVICE_MEMORY);
    assert_non_null(strstr(tess_context_last_error(ctx), "allows at most"));
    assert_null(memory);
    assert_int_equal(tess_context_counters(ctx).device_bytes, start.device_bytes);
    context_buffer_release(ctx, NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_copy), cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_map),         cmocka_unit_test(test_fill),
        cmocka_unit_test(test_views),       cmocka_unit_test(test_view_errors),
        cmocka_unit_test(test_wrap),        cmocka_unit_test(test_wrap_foreign),
        cmocka_unit_test(test_desc_errors), cmocka_unit_test(test_transfer_errors),
        cmocka_unit_test(test_expect),      cmocka_unit_test(test_accounting),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
