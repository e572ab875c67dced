/* Listing and choosing devices; contexts of our own and of the caller's. */
#include "core/context.h"
#include "core/device.h"
#include "support/check.h"
#include "support/folder.h"
#include "support/process.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The device of the other tests: TESSERA_DEVICE, else a CPU, else whatever there is. */
static tess_device_info test_device(void) {
    tess_device_info info;
    tess_error error = {0};
    const char *spec = getenv("TESSERA_DEVICE");
    if (tess_device_find(spec && *spec ? spec : "cpu", &error, &info) &&
        tess_device_find(NULL, &error, &info))
        fail_msg("%s", error.text);
    return info;
}

static void test_list(void **state) {
    (void)state;
    tess_device_info *list = NULL;
    size_t count = 0;
    tess_error error = {0};
    assert_int_equal(tess_device_list(&error, &list, &count), TESS_OK);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        const tess_device_info *info = &list[i];
        assert_non_null(info->platform);
        assert_non_null(info->device);
        assert_true(info->name[0] && info->platform_name[0] && info->opencl_version[0]);
        assert_true(info->opencl_major >= 1 && info->opencl_c_major >= 1);
        assert_true(info->compute_units > 0 && info->global_memory > 0);
        assert_true(info->max_allocation > 0 && info->local_memory > 0);
        assert_true(info->max_work_group > 0 && info->max_work_item[0] > 0);
        assert_true(info->base_align > 0 && (info->base_align & (info->base_align - 1)) == 0);
        assert_true(!isspace((unsigned char)info->name[strlen(info->name) - 1]));
        if (i > 0)
            assert_true(info->platform_index > list[i - 1].platform_index ||
                        (info->platform_index == list[i - 1].platform_index &&
                         info->device_index == list[i - 1].device_index + 1));
    }
    tess_device_list_free(list);
    tess_device_list_free(NULL);
    assert_int_equal(tess_device_list(NULL, NULL, &count), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_device_list(NULL, &list, NULL), TESS_INVALID_ARGUMENT);
}

static void test_find(void **state) {
    (void)state;
    tess_device_info want = test_device(), info;
    tess_error error = {0};
    char spec[300];
    snprintf(spec, sizeof spec, "%u:%u", want.platform_index, want.device_index);
    assert_int_equal(tess_device_find(spec, &error, &info), TESS_OK);
    assert_ptr_equal(info.device, want.device);
    /* A part of the name, and of the platform's, in the other case. */
    snprintf(spec, sizeof spec, "%s", want.name);
    for (char *at = spec; *at; at++)
        *at = (char)(islower((unsigned char)*at) ? toupper((unsigned char)*at)
                                                 : tolower((unsigned char)*at));
    assert_int_equal(tess_device_find(spec + 1, &error, &info), TESS_OK);
    assert_string_equal(info.name, want.name);
    snprintf(spec, sizeof spec, "%s", want.platform_name);
    spec[strlen(spec) - 1] = '\0';
    assert_int_equal(tess_device_find(spec, &error, &info), TESS_OK);
    assert_string_equal(info.platform_name, want.platform_name);
    if (want.type & CL_DEVICE_TYPE_CPU) {
        assert_int_equal(tess_device_find("CpU", &error, &info), TESS_OK);
        assert_true(info.type & CL_DEVICE_TYPE_CPU);
    }
}

static void test_find_nothing(void **state) {
    (void)state;
    static const char *const specs[] = {"no such device",
                                        "99:0",
                                        "0:99",
                                        "0:",
                                        ":0",
                                        "0:0:0",
                                        "-1:0",
                                        "+0:0",
                                        "0x0:0",
                                        " 0:0",
                                        "0:0 ",
                                        "0: 0",
                                        "0:-1",
                                        ":",
                                        "4294967296:0",
                                        "99999999999999999999:0",
                                        "%s%n"};
    tess_device_info info = {.compute_units = 4711};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        tess_error error = {0};
        if (tess_device_find(specs[i], &error, &info) != TESS_NO_DEVICE)
            fail_msg("\"%s\" found %s", specs[i], info.name);
        assert_non_null(strstr(error.text, specs[i]));
        assert_non_null(strstr(error.text, test_device().name)); /* what there is */
        assert_int_equal(info.compute_units, 4711);
    }
    char lengthy[5000];
    memset(lengthy, 'x', sizeof lengthy);
    lengthy[sizeof lengthy - 1] = '\0';
    assert_int_equal(tess_device_find(lengthy, NULL, &info), TESS_NO_DEVICE);
    assert_int_equal(tess_device_find("cpu", NULL, NULL), TESS_INVALID_ARGUMENT);
}

static void test_environment(void **state) {
    (void)state;
    tess_device_info want = test_device(), info;
    const char *saved = getenv("TESSERA_DEVICE");
    char *restore = saved ? strdup(saved) : NULL;
    tess_error error = {0};
    setenv("TESSERA_DEVICE", want.name, 1);
    assert_int_equal(tess_device_find(NULL, &error, &info), TESS_OK);
    assert_ptr_equal(info.device, want.device);
    setenv("TESSERA_DEVICE", "no such device", 1);
    assert_int_equal(tess_device_find("", &error, &info), TESS_NO_DEVICE);
    tess_context *ctx = NULL;
    assert_int_equal(tess_context_create(NULL, &error, &ctx), TESS_NO_DEVICE);
    assert_null(ctx);
    /* A spec beats the environment; an empty variable is as good as none. */
    assert_int_equal(tess_device_find(want.name, &error, &info), TESS_OK);
    setenv("TESSERA_DEVICE", "", 1);
    assert_int_equal(tess_device_find(NULL, &error, &info), TESS_OK);
    if (restore)
        setenv("TESSERA_DEVICE", restore, 1);
    else
        unsetenv("TESSERA_DEVICE");
    free(restore);
}

static void test_refused_devices(void **state) {
    (void)state;
    tess_device_info good = test_device(), bad = good;
    tess_error error = {0};
    assert_int_equal(device_check(&good, true, &error), TESS_OK);
    bad.opencl_minor = 1;
    bad.opencl_major = 1;
    snprintf(bad.opencl_version, sizeof bad.opencl_version, "OpenCL 1.1 old");
    assert_int_equal(device_check(&bad, true, &error), TESS_UNSUPPORTED);
    assert_non_null(strstr(error.text, "OpenCL 1.1 old"));
    assert_non_null(strstr(error.text, "1.2"));
    bad = good;
    bad.compiler_available = false;
    assert_int_equal(device_check(&bad, true, &error), TESS_UNSUPPORTED);
    assert_non_null(strstr(error.text, "compiler"));
    bad = good;
    bad.available = false;
    assert_int_equal(device_check(&bad, true, NULL), TESS_NO_DEVICE);
}

/* The ICD loader reads its configuration once, so this needs a process of its own. */
static void test_no_platform(void **state) {
    (void)state;
    if (strcmp(test_device().platform_name, "Oclgrind") == 0) skip(); /* it has no loader */
    char folder[FOLDER_PATH_SIZE], variable[FOLDER_PATH_SIZE + 32];
    folder_create(folder);
    snprintf(variable, sizeof variable, "OCL_ICD_VENDORS=%s", folder);
    const char *const arguments[] = {"expect-no-device", NULL};
    assert_int_equal(process_wait(process_start(arguments, variable)), 0);
    folder_remove(folder);
}

static int expect_no_device(void) {
    tess_device_info *list = NULL, info;
    size_t count = 7;
    tess_error error = {0};
    if (tess_device_list(&error, &list, &count) != TESS_NO_DEVICE || list || count != 7) return 1;
    if (!strstr(error.text, "install")) return 2;
    return tess_device_find("gpu", &error, &info) == TESS_NO_DEVICE ? 0 : 3;
}

/* ---------------------------------------------------------------- contexts */

struct own_objects {
    tess_device_info device;
    cl_context context;
    cl_command_queue queue;
};

static struct own_objects own_create(cl_command_queue_properties properties) {
    struct own_objects own = {.device = test_device()};
    cl_int code = 0;
    own.context = clCreateContext(NULL, 1, &own.device.device, NULL, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    own.queue = clCreateCommandQueue(own.context, own.device.device, properties, &code);
    if (code != CL_SUCCESS) own.queue = NULL; /* out-of-order queues are optional */
    return own;
}

static void own_release(const struct own_objects *own) {
    if (own->queue) clReleaseCommandQueue(own->queue);
    clReleaseContext(own->context);
}

static void test_adopt(void **state) {
    (void)state;
    struct own_objects own = own_create(0);
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_context_options options = {.cache_dir = ""};
    assert_int_equal(
        tess_context_adopt(own.context, own.device.device, own.queue, &options, &error, &ctx),
        TESS_OK);
    assert_ptr_equal(tess_context_cl(ctx), own.context);
    assert_ptr_equal(tess_context_queue(ctx), own.queue);
    assert_string_equal(tess_context_device(ctx)->name, own.device.name);
    assert_int_equal(tess_context_device(ctx)->platform_index, own.device.platform_index);
    assert_int_equal(tess_context_device(ctx)->device_index, own.device.device_index);
    assert_string_equal(tess_context_last_error(ctx), "");
    own_release(&own); /* the context holds them */
    tess_tensor *tensor = check_tensor(ctx, desc_vector(10), NULL);
    assert_ok(ctx, tess_tensor_fill(tensor, 2));
    assert_ok(ctx, tess_context_finish(ctx));
    float *got = check_read(tensor);
    assert_true(got[9] == 2.0f);
    free(got);
    tess_tensor_destroy(tensor);
    tess_context_destroy(ctx);
}

static void test_adopt_refused(void **state) {
    (void)state;
    struct own_objects own = own_create(0), other = own_create(0);
    struct own_objects unordered = own_create(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_device_id device = own.device.device;
    tess_error error = {0};
    tess_context *ctx = NULL;
    assert_int_equal(tess_context_adopt(own.context, device, other.queue, NULL, &error, &ctx),
                     TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "another context"));
    if (unordered.queue) {
        assert_int_equal(
            tess_context_adopt(unordered.context, device, unordered.queue, NULL, &error, &ctx),
            TESS_INVALID_ARGUMENT);
        assert_non_null(strstr(error.text, "out-of-order"));
    }
    assert_int_equal(tess_context_adopt(NULL, device, own.queue, NULL, &error, &ctx),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_context_adopt(own.context, NULL, own.queue, NULL, &error, &ctx),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_context_adopt(own.context, device, NULL, NULL, &error, &ctx),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_context_adopt(own.context, device, own.queue, NULL, &error, NULL),
                     TESS_INVALID_ARGUMENT);
    assert_null(ctx);
    own_release(&own);
    own_release(&other);
    own_release(&unordered);
}

/* A device that is there, but not the context's: only where a second one exists. */
static void test_adopt_other_device(void **state) {
    (void)state;
    tess_device_info *list = NULL;
    size_t count = 0;
    assert_int_equal(tess_device_list(NULL, &list, &count), TESS_OK);
    struct own_objects own = own_create(0);
    tess_context *ctx = NULL;
    tess_error error = {0};
    for (size_t i = 0; i < count; i++) {
        if (list[i].device == own.device.device) continue;
        assert_int_equal(
            tess_context_adopt(own.context, list[i].device, own.queue, NULL, &error, &ctx),
            TESS_INVALID_ARGUMENT);
        assert_non_null(strstr(error.text, "not one of its devices"));
    }
    own_release(&own);
    tess_device_list_free(list);
}

static void test_null_context(void **state) {
    (void)state;
    tess_error error = {0};
    assert_int_equal(tess_context_create(NULL, &error, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_context_finish(NULL), TESS_INVALID_ARGUMENT);
    assert_null(tess_context_cl(NULL));
    assert_null(tess_context_queue(NULL));
    assert_null(tess_context_device(NULL));
    assert_string_equal(tess_context_last_error(NULL), "");
    assert_int_equal(tess_context_counters(NULL).buffers_created, 0);
    assert_int_equal(context_fail(NULL, TESS_IO, "x"), TESS_IO);
    tess_context_destroy(NULL);
}

/* ---------------------------------------------------------------- log and cache folder */

struct captured {
    int lines[TESS_LOG_DEBUG + 1];
    char last[1024];
};

static void capture(void *user, tess_log_level level, const char *line) {
    struct captured *captured = user;
    captured->lines[level]++;
    assert_null(strchr(line, '\n'));
    snprintf(captured->last, sizeof captured->last, "%s", line);
}

static tess_context *create_with_cache(const char *cache_dir, struct captured *captured) {
    tess_device_info device = test_device();
    char spec[32];
    snprintf(spec, sizeof spec, "%u:%u", device.platform_index, device.device_index);
    tess_context_options options = {.device = spec,
                                    .cache_dir = cache_dir,
                                    .log = capture,
                                    .log_user = captured,
                                    .log_level = TESS_LOG_WARN};
    tess_error error = {0};
    tess_context *ctx = NULL;
    if (tess_context_create(&options, &error, &ctx)) fail_msg("%s", error.text);
    return ctx;
}

/* cache_dir as given, after one warning if it cannot be had. */
static void expect_cache(const char *option, const char *want) {
    struct captured captured = {0};
    tess_context *ctx = create_with_cache(option, &captured);
    if (want) {
        assert_non_null(ctx->cache_dir);
        assert_string_equal(ctx->cache_dir, want);
        struct stat info;
        assert_int_equal(stat(want, &info), 0);
    } else {
        assert_null(ctx->cache_dir);
    }
    bool chosen_off = option && !*option;
    assert_int_equal(captured.lines[TESS_LOG_WARN], want || chosen_off ? 0 : 1);
    tess_context_destroy(ctx);
}

static void test_cache_folder(void **state) {
    (void)state;
    char folder[FOLDER_PATH_SIZE], path[FOLDER_PATH_SIZE], want[FOLDER_PATH_SIZE];
    folder_create(folder);
    folder_path(folder, "a/b//c", path);
    expect_cache(path, path);
    expect_cache(path, path); /* it exists already */
    expect_cache("", NULL);
    folder_write_text(folder, "file", "x");
    folder_path(folder, "file", path);
    expect_cache(path, NULL);
    folder_path(folder, "file/below", path);
    expect_cache(path, NULL);
    expect_cache("/proc/nowhere/tessera", NULL);

    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    char *old_home = home ? strdup(home) : NULL, *old_xdg = xdg ? strdup(xdg) : NULL;
    setenv("HOME", folder, 1);
    setenv("XDG_CACHE_HOME", "relative/is/ignored", 1);
    folder_path(folder, ".cache/tessera", want);
    expect_cache(NULL, want);
    folder_path(folder, "xdg", path);
    setenv("XDG_CACHE_HOME", path, 1);
    folder_path(folder, "xdg/tessera", want);
    expect_cache(NULL, want);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    expect_cache(NULL, NULL);
    if (old_home) setenv("HOME", old_home, 1);
    if (old_xdg) setenv("XDG_CACHE_HOME", old_xdg, 1);
    free(old_home);
    free(old_xdg);
    folder_remove(folder);
}

static void test_log_levels(void **state) {
    (void)state;
    struct captured captured = {0};
    tess_context *ctx = create_with_cache("", &captured);
    context_log(ctx, TESS_LOG_INFO, "not made");
    context_log(ctx, TESS_LOG_WARN, "made %d", 7);
    assert_int_equal(captured.lines[TESS_LOG_INFO], 0);
    assert_int_equal(captured.lines[TESS_LOG_WARN], 1);
    assert_string_equal(captured.last, "made 7");
    char lengthy[4000];
    memset(lengthy, 'x', sizeof lengthy);
    lengthy[sizeof lengthy - 1] = '\0';
    context_log(ctx, TESS_LOG_ERROR, "%s", lengthy);
    assert_int_equal(captured.lines[TESS_LOG_ERROR], 1);
    assert_int_equal(context_fail(ctx, TESS_IO, "%s", lengthy), TESS_IO);
    assert_int_equal(strlen(tess_context_last_error(ctx)), sizeof(((tess_error *)0)->text) - 1);
    context_fail(ctx, TESS_BAD_FORMAT, "short");
    context_fail(ctx, TESS_BAD_FORMAT, "again: %s", tess_context_last_error(ctx));
    assert_string_equal(tess_context_last_error(ctx), "again: short");
    tess_context_destroy(ctx);
}

static void test_profiling_queue(void **state) {
    (void)state;
    tess_device_info device = test_device();
    tess_context_options options = {.device = device.name, .cache_dir = "", .profiling = true};
    tess_context *ctx = NULL;
    assert_int_equal(tess_context_create(&options, NULL, &ctx), TESS_OK);
    cl_command_queue_properties properties = 0;
    clGetCommandQueueInfo(tess_context_queue(ctx), CL_QUEUE_PROPERTIES, sizeof properties,
                          &properties, NULL);
    assert_true(properties & CL_QUEUE_PROFILING_ENABLE);
    assert_false(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    tess_context_destroy(ctx);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "expect-no-device") == 0) return expect_no_device();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_nothing),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_refused_devices),
        cmocka_unit_test(test_no_platform),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_adopt_refused),
        cmocka_unit_test(test_adopt_other_device),
        cmocka_unit_test(test_null_context),
        cmocka_unit_test(test_cache_folder),
        cmocka_unit_test(test_log_levels),
        cmocka_unit_test(test_profiling_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
