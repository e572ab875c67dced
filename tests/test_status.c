/* Status strings, error texts, names of OpenCL codes. */
#include "core/status.h"
#include "support/check.h"

#include <string.h>

static void test_strings(void **state) {
    (void)state;
    assert_string_equal(tess_status_string(TESS_OK), "success");
    assert_string_equal(tess_status_string(TESS_INTERNAL), "internal error");
    for (int i = TESS_OK; i <= TESS_INTERNAL; i++) {
        const char *text = tess_status_string((tess_status)i);
        assert_true(strlen(text) > 3);
        for (int j = TESS_OK; j < i; j++)
            assert_string_not_equal(text, tess_status_string((tess_status)j));
    }
    assert_string_equal(tess_status_string((tess_status)(TESS_INTERNAL + 1)), "unknown status");
    assert_string_equal(tess_status_string((tess_status)12345), "unknown status");
}

static void test_set_and_prefix(void **state) {
    (void)state;
    tess_error error = {0};
    assert_int_equal(error_set(&error, TESS_IO, "reading %s: %d", "a", 7), TESS_IO);
    assert_int_equal(error.status, TESS_IO);
    assert_string_equal(error.text, "reading a: 7");
    assert_int_equal(error_prefix(&error, TESS_BAD_FORMAT, "layer %d", 3), TESS_BAD_FORMAT);
    assert_int_equal(error.status, TESS_BAD_FORMAT);
    assert_string_equal(error.text, "layer 3: reading a: 7");
    error_set(&error, TESS_IO, "again: %s", error.text);
    assert_string_equal(error.text, "again: layer 3: reading a: 7");
    assert_int_equal(error_set(NULL, TESS_IO, "x"), TESS_IO);
    assert_int_equal(error_prefix(NULL, TESS_IO, "x"), TESS_IO);
    assert_int_equal(error_opencl(NULL, CL_OUT_OF_RESOURCES, "x"), TESS_OUT_OF_DEVICE_MEMORY);
}

static void test_truncation(void **state) {
    (void)state;
    tess_error error = {0};
    char lengthy[3000];
    memset(lengthy, 'x', sizeof lengthy);
    lengthy[sizeof lengthy - 1] = '\0';
    error_set(&error, TESS_IO, "%s", lengthy);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    error_prefix(&error, TESS_IO, "%s", lengthy);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

static void test_opencl_names(void **state) {
    (void)state;
    assert_string_equal(opencl_error_name(0), "CL_SUCCESS");
    assert_string_equal(opencl_error_name(-5), "CL_OUT_OF_RESOURCES");
    assert_string_equal(opencl_error_name(-54), "CL_INVALID_WORK_GROUP_SIZE");
    assert_string_equal(opencl_error_name(-72), "CL_MAX_SIZE_RESTRICTION_EXCEEDED");
    assert_string_equal(opencl_error_name(-1001), "CL_PLATFORM_NOT_FOUND_KHR");
    assert_string_equal(opencl_error_name(-9999), "CL_UNKNOWN_ERROR");
    assert_string_equal(opencl_error_name(1), "CL_UNKNOWN_ERROR");
    for (cl_int code = -72; code <= 0; code++) {
        if (code < -19 && code > -30) continue; /* the specification has none there */
        assert_string_not_equal(opencl_error_name(code), "CL_UNKNOWN_ERROR");
    }
}

static void test_opencl_errors(void **state) {
    (void)state;
    static const struct {
        cl_int code;
        tess_status status;
    } cases[] = {{CL_MEM_OBJECT_ALLOCATION_FAILURE, TESS_OUT_OF_DEVICE_MEMORY},
                 {CL_OUT_OF_RESOURCES, TESS_OUT_OF_DEVICE_MEMORY},
                 {CL_OUT_OF_HOST_MEMORY, TESS_OUT_OF_HOST_MEMORY},
                 {CL_DEVICE_NOT_AVAILABLE, TESS_NO_DEVICE},
                 {CL_DEVICE_NOT_FOUND, TESS_NO_DEVICE},
                 {-1001, TESS_NO_DEVICE},
                 {CL_BUILD_PROGRAM_FAILURE, TESS_BUILD_FAILED},
                 {CL_INVALID_WORK_GROUP_SIZE, TESS_OPENCL},
                 {-9999, TESS_OPENCL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tess_error error = {0};
        assert_int_equal(error_opencl(&error, cases[i].code, "clDoThing"), cases[i].status);
        assert_int_equal(error.status, cases[i].status);
        assert_non_null(strstr(error.text, "clDoThing: CL_"));
        if (cases[i].code != -9999) assert_non_null(strchr(error.text, ';')); /* the advice */
    }
    tess_error error = {0};
    error_opencl(&error, -9999, "clDoThing");
    assert_string_equal(error.text, "clDoThing: CL_UNKNOWN_ERROR (-9999)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),       cmocka_unit_test(test_set_and_prefix),
        cmocka_unit_test(test_truncation),    cmocka_unit_test(test_opencl_names),
        cmocka_unit_test(test_opencl_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
