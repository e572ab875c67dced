/* Drivers that run out of registers while they build: other kernels take over. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/program.h"
#include "support/check.h"

/* What the two functions below, which stand before the OpenCL loader's, refuse to do. */
static struct {
    char kernel[64]; /* the beginning of a name */
    int kernels;     /* so many times */
    bool builds;
} refused;

/* *function, a pointer to a function, becomes the loader's. */
static void find_next(const char *name, void *function) {
    void *loader = dlopen("libOpenCL.so.1", RTLD_LAZY);
    assert_non_null(loader);
    void *next = dlsym(loader, name);
    assert_non_null(next);
    dlclose(loader); /* it stays: the program is linked to it */
    memcpy(function, &next, sizeof next);
}

/* The loader's own parameter names are reserved ones. NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *code) {
    cl_kernel (*next)(cl_program, const char *, cl_int *);
    if (refused.kernels > 0 && !strncmp(name, refused.kernel, strlen(refused.kernel))) {
        refused.kernels--;
        *code = CL_OUT_OF_RESOURCES;
        return NULL;
    }
    find_next("clCreateKernel", &next);
    return next(program, name, code);
}

cl_int clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices,
                      const char *options, void(CL_CALLBACK *done)(cl_program, void *),
                      void *user) {
    cl_int (*next)(cl_program, cl_uint, const cl_device_id *, const char *,
                   void(CL_CALLBACK *)(cl_program, void *), void *);
    if (refused.builds) return CL_OUT_OF_RESOURCES;
    find_next("clBuildProgram", &next);
    return next(program, count, devices, options, done, user);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static void builds(void **state) {
    tess_context *ctx = *state;
    struct program *program = NULL;
    refused.builds = true;
    tess_status status = program_get(ctx, "optim.cl", "-DREFUSED=1", "refused", &program);
    refused.builds = false;
    assert_int_equal(status, TESS_UNSUPPORTED);
    assert_null(program);
    assert_non_null(strstr(tess_context_last_error(ctx), "CL_OUT_OF_RESOURCES"));
}

static void convolutions(void **state) {
    tess_context *ctx = *state;
    const tess_conv_desc desc = {.n = 1, .c = 8, .h = 6, .w = 6, .k = 16, .r = 3, .s = 3};
    tess_conv_options options = {0};
    tess_conv_plan *plan = NULL;
    char algo[32];
    assert_ok(ctx, tess_conv_plan_create(ctx, &desc, &options, &plan));
    snprintf(algo, sizeof algo, "%s", tess_conv_plan_info(plan).algo);
    tess_conv_plan_destroy(plan);
    assert_string_not_equal(algo, "generic");

    snprintf(refused.kernel, sizeof refused.kernel, "conv_%s", algo);
    refused.kernels = INT_MAX;
    assert_ok(ctx, tess_conv_plan_create(ctx, &desc, &options, &plan));
    assert_string_equal(tess_conv_plan_info(plan).algo, "generic");
    tess_conv_plan_destroy(plan);
    options.algo = algo;
    plan = NULL;
    assert_int_equal(tess_conv_plan_create(ctx, &desc, &options, &plan), TESS_UNSUPPORTED);
    assert_non_null(strstr(tess_context_last_error(ctx), "CL_OUT_OF_RESOURCES"));
    assert_null(plan);
    refused.kernels = 0;
}

enum { ROWS = 150, CHANNELS = 20 };

/* Statistics of x, means first; free() them. */
static float *statistics(tess_context *ctx, tess_batch_norm *op, const float *x) {
    tess_tensor_desc image = desc_nhwc(ROWS, CHANNELS, 1, 1), vector = desc_vector(CHANNELS);
    tess_tensor *in = check_tensor(ctx, image, x), *out = check_tensor(ctx, image, NULL);
    tess_tensor *mean = check_tensor(ctx, vector, NULL), *invstd = check_tensor(ctx, vector, NULL);
    int floats = (int)(tess_batch_norm_workspace(op) / sizeof(float));
    tess_tensor *workspace = check_tensor(ctx, desc_vector(floats), NULL);
    tess_batch_norm_args args = {
        .x = in, .y = out, .saved_mean = mean, .saved_invstd = invstd, .workspace = workspace};
    assert_ok(ctx, tess_batch_norm_forward_training(op, &args));
    float *values = check_alloc(2 * CHANNELS * sizeof *values);
    assert_ok(ctx, tess_tensor_read(mean, values, TESS_NHWC));
    assert_ok(ctx, tess_tensor_read(invstd, values + CHANNELS, TESS_NHWC));
    tess_tensor *all[] = {in, out, mean, invstd, workspace};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tess_tensor_destroy(all[i]);
    return values;
}

/* On a GPU 256 work-items add a channel's blocks up; where they do not fit, one does. */
static void batch_norm(void **state) {
    tess_context *ctx = *state;
    const tess_batch_norm_desc desc = {.n = ROWS, .c = CHANNELS, .h = 1, .w = 1};
    if (ctx->device.max_work_group < 256 || ctx->device.max_work_item[0] < 256) skip();
    cl_device_type type = ctx->device.type;
    tess_batch_norm *shared = NULL, *single = NULL;
    ctx->device.type = CL_DEVICE_TYPE_GPU;
    assert_ok(ctx, tess_batch_norm_create(ctx, &desc, &shared));
    snprintf(refused.kernel, sizeof refused.kernel, "batch_norm_finish");
    refused.kernels = 1;
    assert_ok(ctx, tess_batch_norm_create(ctx, &desc, &single));
    assert_int_equal(refused.kernels, 0);
    float *x = check_alloc(ROWS * CHANNELS * sizeof *x);
    check_random(x, ROWS * CHANNELS, -1, 3, 1);
    float *want = statistics(ctx, shared, x), *got = statistics(ctx, single, x);
    ctx->device.type = type;
    double wide[2 * CHANNELS];
    for (int i = 0; i < 2 * CHANNELS; i++)
        wide[i] = (double)want[i];
    check_close(got, wide, 2 * CHANNELS, 1e-5, 1, "statistics");
    tess_batch_norm_destroy(shared);
    tess_batch_norm_destroy(single);
    free(x);
    free(want);
    free(got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(batch_norm),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
