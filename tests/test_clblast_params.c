/* CLBlast's parameters: text, constraints, and that CLBlast takes every kernel's names and values. */
#include <clblast_c.h>
#include <stdio.h>
#include <string.h>

#include "ops/clblast_params.h"
#include "support/check.h"

/* The count-th set that is valid on the device, in the order of the tables. */
static bool valid_set(const struct clblast_kernel *kernel, const tess_device_info *device,
                      int count, int values[CLBLAST_PARAMS_MAX]) {
    int index[CLBLAST_PARAMS_MAX] = {0};
    for (;;) {
        for (int i = 0; i < kernel->param_count; i++)
            values[i] = kernel->params[i].values[index[i]];
        if (clblast_params_valid(kernel, device, values) && count-- == 0) return true;
        int i = kernel->param_count - 1;
        while (i >= 0 && ++index[i] >= kernel->params[i].count)
            index[i--] = 0;
        if (i < 0) return false;
    }
}

static void test_text(void **state) {
    tess_context *ctx = *state;
    for (int i = 0; i < clblast_kernel_count; i++) {
        const struct clblast_kernel *kernel = &clblast_kernels[i];
        int values[CLBLAST_PARAMS_MAX] = {0}, again[CLBLAST_PARAMS_MAX] = {0};
        char text[CLBLAST_TEXT_SIZE];
        assert_true(valid_set(kernel, &ctx->device, 0, values));
        clblast_params_print(kernel, values, text);
        assert_ok(ctx, clblast_params_parse(kernel, text, &ctx->error, again));
        assert_memory_equal(values, again, (size_t)kernel->param_count * sizeof *values);
        text[strlen(text) - 1] = 'x';
        assert_int_equal(clblast_params_parse(kernel, text, &ctx->error, again),
                         TESS_INVALID_ARGUMENT);
    }
    const struct clblast_kernel *xger = clblast_kernel_find("Xger");
    static const char *const bad[] = {"",
                                      "WGS1=4",
                                      "WGS1=4_WGS2=1",
                                      "WGS1=5_WGS2=1_WPT=1",
                                      "WGS2=1_WGS1=4_WPT=1",
                                      "WGS1=4_WGS2=1_WPT=1_",
                                      "WGS1=_WGS2=1_WPT=1"};
    int values[CLBLAST_PARAMS_MAX];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(clblast_params_parse(xger, bad[i], &ctx->error, values),
                         TESS_INVALID_ARGUMENT);
    assert_null(clblast_kernel_find("Xaxpy"));
}

/* A work-group of 32 x 32 does not fit a device of 256, and tiles that do not divide are refused everywhere. */
static void test_constraints(void **state) {
    tess_device_info device = ((tess_context *)*state)->device;
    device.max_work_group = 256;
    const struct clblast_kernel *gemm = clblast_kernel_find("Xgemm");
    int values[CLBLAST_PARAMS_MAX];
    assert_ok(
        (tess_context *)*state,
        clblast_params_parse(gemm,
                             "GEMMK=0_KREG=1_KWG=32_KWI=2_MDIMA=8_MDIMC=8_MWG=64_NDIMB=8_NDIMC=8_"
                             "NWG=64_SA=1_SB=1_STRM=0_STRN=0_VWM=1_VWN=1",
                             NULL, values));
    assert_true(clblast_params_valid(gemm, &device, values));
    values[5] = values[8] = 32; /* MDIMC, NDIMC */
    assert_false(clblast_params_valid(gemm, &device, values));
    values[5] = values[8] = 8;
    values[14] = 8; /* VWM: 8 x 8 elements a row of work-items are 64 = MWG */
    assert_true(clblast_params_valid(gemm, &device, values));
    values[4] = 16; /* MDIMA: 16 x 8 elements are more than MWG */
    assert_false(clblast_params_valid(gemm, &device, values));
    device.local_memory = 1024;
    values[14] = 1;
    assert_false(clblast_params_valid(gemm, &device, values));
}

static void test_clblast_takes_them(void **state) {
    tess_context *ctx = *state;
    for (int i = 0; i < clblast_kernel_count; i++) {
        int values[CLBLAST_PARAMS_MAX];
        assert_true(valid_set(&clblast_kernels[i], &ctx->device, 0, values));
        assert_ok(ctx, clblast_params_use(ctx, &clblast_kernels[i], values));
    }
    struct clblast_kernel unknown = clblast_kernels[0];
    unknown.name = "Xnothing";
    int values[CLBLAST_PARAMS_MAX] = {0};
    assert_int_equal(clblast_params_use(ctx, &unknown, values), TESS_UNSUPPORTED);
}

static int teardown(void **state) {
    CLBlastClearCache();
    return check_teardown(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_constraints),
        cmocka_unit_test(test_clblast_takes_them),
    };
    return cmocka_run_group_tests(tests, check_setup, teardown);
}
