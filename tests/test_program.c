/* Programs: sources, includes, options, build errors, kernels and launches. */
#include "core/context.h"
#include "core/program.h"
#include "core/program_cache.h"
#include "core/program_quick.h"
#include "core/program_source.h"
#include "support/check.h"
#include "support/program_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state) {
    static struct fixture fixture;
    fixture_create(&fixture);
    fixture_open(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    fixture_destroy(*state);
    return 0;
}

static void test_options(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    assert_int_equal(fixture_run(ctx, "value.cl", "-DVALUE=42"), 42);
    assert_int_equal(fixture_run(ctx, "value.cl", "-DVALUE=-7"), -7);
    assert_int_equal(fixture_run(ctx, "value.cl", "-DVALUE=__OPENCL_C_VERSION__"), 120);
    folder_write_text(fixture->kernels, "plain.cl",
                      "__kernel void value(__global int *out) { *out = 5; }");
    assert_int_equal(fixture_run(ctx, "plain.cl", NULL), 5);
    assert_int_equal(fixture_run(ctx, "plain.cl", ""), 5);
}

static void test_built_once(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    struct program *first = NULL, *second = NULL, *other = NULL;
    assert_ok(ctx, program_get(ctx, "value.cl", "-DVALUE=1", "a", &first));
    tess_counters before = tess_context_counters(ctx);
    assert_ok(ctx, program_get(ctx, "value.cl", "-DVALUE=1", "b", &second));
    tess_counters after = tess_context_counters(ctx);
    assert_ptr_equal(first, second);
    assert_memory_equal(&before, &after, sizeof before);
    assert_ok(ctx, program_get(ctx, "value.cl", "-DVALUE=2", "a", &other));
    assert_ptr_not_equal(first, other);
    assert_int_equal(tess_context_counters(ctx).programs_compiled, before.programs_compiled + 1);
}

static void test_includes(void **state) {
    struct fixture *fixture = *state;
    folder_write_text(fixture->kernels, "nested.cl",
                      "#include \"first.clh\"\n"
                      "  #  include   \"second.clh\" // again, from here\n"
                      "#include \"first.clh\"\n"
                      "__kernel void value(__global int *out) { *out = FIRST * 10 + SECOND; }\n");
    /* Without once-only expansion the enum would be defined twice. */
    folder_write_text(fixture->kernels, "first.clh",
                      "#include \"second.clh\"\nenum { FIRST = 4 };\n");
    folder_write_text(fixture->kernels, "second.clh",
                      "#include \"first.clh\"\nenum { SECOND = 2 };");
    assert_int_equal(fixture_run(fixture->ctx, "nested.cl", NULL), 42);
}

static void test_include_errors(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    struct program *program = NULL;
    folder_write_text(fixture->kernels, "missing.cl", "int a;\n#include \"absent.clh\"\n");
    assert_int_equal(program_get(ctx, "missing.cl", "", "m", &program), TESS_NOT_FOUND);
    assert_non_null(strstr(tess_context_last_error(ctx), "missing.cl: line 2"));
    assert_non_null(strstr(tess_context_last_error(ctx), "absent.clh"));
    assert_int_equal(program_get(ctx, "absent.cl", "", "m", &program), TESS_NOT_FOUND);
    folder_write_text(fixture->kernels, "outside.cl", "#include \"../root.clh\"\n");
    assert_int_equal(program_get(ctx, "outside.cl", "", "m", &program), TESS_INVALID_ARGUMENT);
    static const char *const names[] = {"", "../value.cl", "/etc/passwd", ".", "a\nb.cl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(program_get(ctx, names[i], "", "m", &program), TESS_INVALID_ARGUMENT);
    for (int i = 0; i < 20; i++) {
        char name[32], text[64];
        snprintf(name, sizeof name, i ? "deep%d.clh" : "deep.cl", i);
        snprintf(text, sizeof text, "#include \"deep%d.clh\"\n", i + 1);
        folder_write_text(fixture->kernels, name, text);
    }
    assert_int_equal(program_get(ctx, "deep.cl", "", "m", &program), TESS_BUILD_FAILED);
    assert_non_null(strstr(tess_context_last_error(ctx), "inside each other"));
    assert_null(program);
}

/* The program of a build that must fail: its error text. */
static const char *fail_build(struct fixture *fixture, const char *file, const char *options) {
    struct program *program = NULL;
    assert_int_equal(program_get(fixture->ctx, file, options, "thing_fwd__a1_b2", &program),
                     TESS_BUILD_FAILED);
    assert_null(program);
    const char *text = tess_context_last_error(fixture->ctx);
    assert_non_null(strstr(text, "thing_fwd__a1_b2"));
    assert_null(strchr(text, '\n'));
    return text;
}

static void test_build_error(void **state) {
    struct fixture *fixture = *state;
    folder_write_text(fixture->kernels, "top.clh", "#define UNUSED\n\n\n");
    folder_write_text(fixture->kernels, "broken.cl",
                      "#include \"top.clh\"\n\n__kernel void value(__global int *out) {\n"
                      "    *out = zork;\n}\n");
    fixture->log_count = 0;
    const char *text = fail_build(fixture, "broken.cl", "");
    assert_non_null(strstr(text, "zork"));
    assert_non_null(strstr(text, "CL_BUILD_PROGRAM_FAILURE"));
    assert_true(fixture->lines[TESS_LOG_ERROR] > 0);
    assert_true(fixture_logged(fixture, "zork"));
    /* #line: the file and line that a person can open. Oclgrind's messages ignore it. */
    if (strcmp(tess_context_device(fixture->ctx)->platform_name, "Oclgrind") != 0)
        assert_non_null(strstr(text, "broken.cl:4"));
    /* A log of thousands of characters keeps its first lines. */
    char large[16384] = "__kernel void value(__global int *out) {\n";
    for (int i = 0; i < 15; i++)
        snprintf(large + strlen(large), sizeof large - strlen(large),
                 "    *out = undeclared_%0200d;\n", i);
    snprintf(large + strlen(large), sizeof large - strlen(large), "}\n");
    folder_write_text(fixture->kernels, "verbose.cl", large);
    text = fail_build(fixture, "verbose.cl", "");
    assert_non_null(strstr(text, "undeclared_0"));
    assert_true(strlen(text) < sizeof(((tess_error *)0)->text));
}

static void test_bad_options(void **state) {
    struct fixture *fixture = *state;
    const char *platform = tess_context_device(fixture->ctx)->platform_name;
    if (strcmp(platform, "Portable Computing Language") != 0)
        skip(); /* the others accept anything */
    fail_build(fixture, "value.cl", "-DVALUE=1 --no-such-option");
}

static void test_kernels(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    struct program *program = NULL;
    cl_kernel kernel = NULL;
    assert_ok(ctx, program_get(ctx, "value.cl", "-DVALUE=3", "value__3", &program));
    assert_int_equal(program_kernel(ctx, program, "absent", &kernel), TESS_NOT_FOUND);
    assert_non_null(strstr(tess_context_last_error(ctx), "absent"));
    assert_non_null(strstr(tess_context_last_error(ctx), "value__3"));
    assert_int_equal(program_kernel(ctx, NULL, "value", &kernel), TESS_INVALID_ARGUMENT);
    assert_int_equal(program_kernel(ctx, program, NULL, &kernel), TESS_INVALID_ARGUMENT);
    assert_null(kernel);
    tess_counters before = tess_context_counters(ctx);
    assert_ok(ctx, program_kernel(ctx, program, "value", &kernel));
    assert_int_equal(tess_context_counters(ctx).kernels_created, before.kernels_created + 1);
    kernel_release(kernel);
    kernel_release(NULL);
}

#define QUICK_COUNT 64

/* What a built program's kernel "value" writes. */
static float *run_built(tess_context *ctx, cl_program program) {
    cl_int code = CL_SUCCESS;
    cl_kernel kernel = clCreateKernel(program, "value", &code);
    assert_int_equal(code, CL_SUCCESS);
    tess_tensor *out = check_tensor(ctx, desc_vector(QUICK_COUNT), NULL);
    struct kernel_arg args[] = {ARG_TENSOR(out)};
    struct kernel_range range = {.dims = 1, .global = {1}};
    assert_ok(ctx, kernel_enqueue(ctx, kernel, &range, args, 1, "value"));
    float *got = check_read(out);
    kernel_release(kernel);
    tess_tensor_destroy(out);
    return got;
}

/* Built with our own declarations, a program is the one that the driver's header makes. */
static void test_quick_build(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    static const char source[] =
        "__kernel void value(__global float *out) {\n"
        "    float16 x = 0.37f;\n"
        "    for (int i = 0; i < 16; i++) ((float *)&x)[i] = 0.11f * (i + 1);\n"
        "    vstore16(exp(x) + erf(x) * log1p(x) + fma(x, x, tanh(x)), 0, out);\n"
        "    vstore16(pow(x, 1.7f * x) + sqrt(x) - expm1(x), 1, out);\n"
        "    vstore16(max(min(log(x), 0.2f), -0.7f) + clamp(x, 0.3f, 0.9f), 2, out);\n"
        "    for (int i = 48; i < 64; i++)\n"
        "        out[i] = max(i * 0x123456789abL, 99L) + min((uint)i, 7u) + isnan(out[i - 48])\n"
        "                 + floor(exp2(0.3f * i)) + get_global_id(0);\n"
        "}\n";
    cl_program quick = program_build_quick(ctx, source, "-cl-std=CL1.2");
    if (!quick) skip(); /* for PoCL 3.1 */
    cl_int code = CL_SUCCESS;
    const char *text = source;
    cl_program plain = clCreateProgramWithSource(ctx->cl, 1, &text, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_int_equal(clBuildProgram(plain, 1, &ctx->device.device, "-cl-std=CL1.2", NULL, NULL),
                     CL_SUCCESS);
    float *a = run_built(ctx, quick), *b = run_built(ctx, plain);
    assert_memory_equal(a, b, QUICK_COUNT * sizeof *a);
    free(a);
    free(b);
    clReleaseProgram(quick);
    clReleaseProgram(plain);
}

/* A function that we do not declare: the driver's header has it. */
static void test_undeclared(void **state) {
    struct fixture *fixture = *state;
    static const char source[] =
        "__kernel void value(__global int *out) { *out = popcount(7) + (int)cospi(0.0f); }\n";
    assert_null(program_build_quick(fixture->ctx, source, "-cl-std=CL1.2"));
    folder_write_text(fixture->kernels, "undeclared.cl", source);
    assert_int_equal(fixture_run(fixture->ctx, "undeclared.cl", ""), 4);
}

/* More work-items than the device can run. Drivers may say so when they build, or leave it to the library. */
static void test_kernels_too_large(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    struct program *program = NULL;
    cl_kernel kernel = NULL;
    if (tess_context_device(ctx)->max_work_group >= 8192) skip();
    folder_write_text(fixture->kernels, "large.cl",
                      "__attribute__((reqd_work_group_size(8192, 1, 1)))\n"
                      "__kernel void large(__global int *out) { out[get_global_id(0)] = 1; }\n");
    tess_status status = program_get(ctx, "large.cl", NULL, "large", &program);
    if (!status) status = program_kernel(ctx, program, "large", &kernel);
    assert_true(status == TESS_UNSUPPORTED || status == TESS_BUILD_FAILED);
    assert_null(kernel);
    assert_non_null(strstr(tess_context_last_error(ctx), "large"));
}

static void test_null_arguments(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    struct program *program = NULL;
    char hex[65];
    assert_int_equal(program_get(NULL, "value.cl", "", "c", &program), TESS_INVALID_ARGUMENT);
    assert_int_equal(program_get(ctx, NULL, "", "c", &program), TESS_INVALID_ARGUMENT);
    assert_int_equal(program_get(ctx, "value.cl", "", NULL, &program), TESS_INVALID_ARGUMENT);
    assert_int_equal(program_get(ctx, "value.cl", "", "c", NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(program_source_hash(ctx, NULL, hex), TESS_INVALID_ARGUMENT);
    assert_int_equal(kernel_enqueue(ctx, NULL, NULL, NULL, 0, "x"), TESS_INVALID_ARGUMENT);
}

static void test_launch_errors(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    struct program *program = NULL;
    cl_kernel kernel = NULL;
    tess_tensor *out = check_tensor(ctx, desc_vector(4), NULL);
    assert_ok(ctx, program_get(ctx, "value.cl", "-DVALUE=3", "value__3", &program));
    assert_ok(ctx, program_kernel(ctx, program, "value", &kernel));
    struct kernel_arg args[] = {ARG_TENSOR(out), ARG_INT(1)};
    struct kernel_range range = {.dims = 1, .global = {1}};
    tess_counters before = tess_context_counters(ctx);
    assert_ok(ctx, kernel_enqueue(ctx, kernel, &range, args, 1, "test launch"));
    assert_int_equal(tess_context_counters(ctx).kernels_enqueued, before.kernels_enqueued + 1);
    assert_int_not_equal(kernel_enqueue(ctx, kernel, &range, args, 2, "test launch"), TESS_OK);
    const char *text = tess_context_last_error(ctx);
    assert_non_null(strstr(text, "test launch: kernel value, argument 1"));
    assert_non_null(strstr(text, "CL_INVALID_ARG_INDEX"));
    range.local[0] = tess_context_device(ctx)->max_work_group + 1;
    range.global[0] = range.local[0];
    assert_int_not_equal(kernel_enqueue(ctx, kernel, &range, args, 1, "test launch"), TESS_OK);
    text = tess_context_last_error(ctx);
    assert_non_null(strstr(text, "test launch: kernel value, launch of"));
    assert_int_equal(tess_context_counters(ctx).kernels_enqueued, before.kernels_enqueued + 1);
    assert_ok(ctx, tess_context_finish(ctx));
    kernel_release(kernel);
    tess_tensor_destroy(out);
}

/* Every kind of argument, a null tensor, and two dimensions with a chosen group. */
static void test_arguments(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    folder_write_text(
        fixture->kernels, "args.cl",
        "__kernel void args(__global float *out, __global float *none, int i, uint u,\n"
        "                   ulong ul, float f) {\n"
        "    size_t at = get_global_id(1) * get_global_size(0) + get_global_id(0);\n"
        "    out[at] = none ? -1.0f : i + (float)(u >> 31) + (float)(ul >> 63) + f + at\n"
        "                             + 100 * (get_local_size(0) == 2);\n"
        "}\n");
    struct program *program = NULL;
    cl_kernel kernel = NULL;
    tess_tensor *out = check_tensor(ctx, desc_vector(12), NULL), *none = NULL;
    assert_ok(ctx, program_get(ctx, "args.cl", "", "args", &program));
    assert_ok(ctx, program_kernel(ctx, program, "args", &kernel));
    struct kernel_arg args[] = {ARG_TENSOR(out),    ARG_TENSOR(none),      ARG_INT(-5),
                                ARG_UINT(1u << 31), ARG_ULONG(1ull << 63), ARG_FLOAT(0.5f)};
    struct kernel_range range = {.dims = 2, .global = {4, 3}, .local = {2, 1}};
    assert_ok(ctx, kernel_enqueue(ctx, kernel, &range, args, 6, "arguments"));
    float *got = check_read(out);
    for (int i = 0; i < 12; i++)
        assert_true(got[i] == (float)i + 97.5f);
    free(got);
    kernel_release(kernel);
    tess_tensor_destroy(out);
}

/* Two of PoCL's threads, the first one 1.5 times as slow: when the last of groups work-groups ends, in units of one. */
static double pocl_schedule(size_t groups, size_t every) {
    double end[2] = {0, 0};
    size_t all = groups * every, at = 0;
    while (at < all) {
        int thread = end[1] < end[0];
        size_t left = all - at, share = (left + 1) / 2, most = left <= 1024 ? 64 : 512;
        if (share > most) share = most;
        size_t work = (at + share + every - 1) / every - (at + every - 1) / every;
        end[thread] += (double)work * (thread ? 1 : 1.5);
        at += share;
    }
    return end[0] > end[1] ? end[0] : end[1];
}

/* Wherever PoCL's work-groups are spread out, none is lost, idle ones stay few, and threads that are not equally fast end together. */
static void test_spread_out(void **state) {
    struct fixture *f = *state;
    tess_context pretended = {.device = f->ctx->device};
    bool pocl = strcmp(pretended.device.platform_name, POCL_PLATFORM) == 0;
    for (size_t threads = 1; threads <= 256; threads *= 2)
        for (size_t groups = 1; groups < 5000; groups = groups * 5 / 4 + 1) {
            pretended.device.compute_units = (cl_uint)threads;
            struct kernel_range range = {2, {groups, 3}, {1, 1}};
            int every = range_spread_out(&pretended, &range);
            assert_true(every >= 1);
            assert_int_equal(range.global[0], groups * (size_t)every);
            assert_int_equal(range.global[1], 3);
            if (!pocl || 3 * groups <= threads) assert_int_equal(every, 1);
            if (every > 1) assert_true(3 * groups * (size_t)every <= 4096 * threads);
            if (threads == 2 && pocl && 3 * groups <= 1000)
                assert_true(pocl_schedule(3 * groups, (size_t)every) <=
                            3 * (double)groups * 0.6 * 1.1 + 2);
        }
    assert_true(pocl_schedule(100, 1) > 60 * 1.2); /* without it */
    pretended.device.compute_units = 2;
    struct kernel_range few = {1, {8}, {1}}, chosen = {1, {8}, {0}}, wide = {1, {8}, {8}};
    assert_int_equal(range_spread_out(&pretended, &few), pocl ? 64 : 1);
    assert_int_equal(range_spread_out(&pretended, &chosen), 1);
    assert_int_equal(range_spread_out(&pretended, &wide), 1);
}

static void test_source_hash(void **state) {
    struct fixture *fixture = *state;
    tess_context *ctx = fixture->ctx;
    char first[65], same[65], other[65];
    folder_write_text(fixture->kernels, "hashed.cl", "#include \"part.clh\"\nint b;\n");
    folder_write_text(fixture->kernels, "part.clh", "int a;\n");
    assert_ok(ctx, program_source_hash(ctx, "hashed.cl", first));
    assert_ok(ctx, program_source_hash(ctx, "hashed.cl", same));
    assert_int_equal(strspn(first, "0123456789abcdef"), 64);
    assert_int_equal(strlen(first), 64);
    assert_string_equal(first, same);
    folder_write_text(fixture->kernels, "part.clh", "int A;\n");
    assert_ok(ctx, program_source_hash(ctx, "hashed.cl", other));
    assert_string_not_equal(first, other);
    /* FIPS 180-2, appendix B.1 */
    unsigned char hash[32];
    assert_ok(ctx, hash_bytes(ctx, "abc", 3, hash));
    hash_hex(hash, other);
    assert_string_equal(other, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    unsigned char left[32], right[32];
    assert_ok(ctx, hash_strings(ctx, (const char *const[]){"ab", "c"}, 2, left));
    assert_ok(ctx, hash_strings(ctx, (const char *const[]){"a", "bc"}, 2, right));
    assert_memory_not_equal(left, right, 32);
}

/* Without a kernel folder, the sources that the build embedded; with the environment's, those. */
static void test_where_sources_come_from(void **state) {
    struct fixture *fixture = *state;
    const char *saved = getenv("TESSERA_KERNEL_DIR");
    char *restore = saved ? strdup(saved) : NULL;
    char hex[65];
    unsetenv("TESSERA_KERNEL_DIR");
    tess_context *ctx = fixture_context(NULL, "", NULL);
    assert_ok(ctx, program_source_hash(ctx, "common.clh", hex));
    assert_int_equal(program_source_hash(ctx, "value.cl", hex), TESS_NOT_FOUND);
    tess_context_destroy(ctx);
    setenv("TESSERA_KERNEL_DIR", fixture->kernels, 1);
    ctx = fixture_context(NULL, "", NULL);
    assert_ok(ctx, program_source_hash(ctx, "value.cl", hex));
    assert_int_equal(program_source_hash(ctx, "common.clh", hex), TESS_NOT_FOUND);
    assert_int_equal(fixture_run(ctx, "value.cl", "-DVALUE=8"), 8);
    tess_context_destroy(ctx);
    if (restore)
        setenv("TESSERA_KERNEL_DIR", restore, 1);
    else
        unsetenv("TESSERA_KERNEL_DIR");
    free(restore);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),        cmocka_unit_test(test_built_once),
        cmocka_unit_test(test_includes),       cmocka_unit_test(test_include_errors),
        cmocka_unit_test(test_build_error),    cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_kernels),        cmocka_unit_test(test_quick_build),
        cmocka_unit_test(test_undeclared),     cmocka_unit_test(test_kernels_too_large),
        cmocka_unit_test(test_null_arguments), cmocka_unit_test(test_launch_errors),
        cmocka_unit_test(test_arguments),      cmocka_unit_test(test_spread_out),
        cmocka_unit_test(test_source_hash),    cmocka_unit_test(test_where_sources_come_from),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
