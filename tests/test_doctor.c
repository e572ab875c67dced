/* tessera doctor: each defect is found, in one line that says what to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "support/folder.h"
#include "support/layer.h"
#include "support/program.h"

/* What a defect's line must hold. */
struct finding {
    const char *subject, *why, *advice;
};

/* Fails unless some line starts with the verdict and subject and holds the rest. */
static void expect_line(const char *out, const char *verdict, const struct finding *want) {
    char *copy = strdup(out), *rest = NULL;
    bool found = false;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char start[128];
        snprintf(start, sizeof start, "%-8s %s", verdict, want->subject);
        found = found || (strncmp(line, start, strlen(start)) == 0 && strstr(line, want->why) &&
                          strstr(line, want->advice));
    }
    free(copy);
    if (!found)
        fail_msg("no line '%s %s ... %s ... %s' in:\n%s", verdict, want->subject, want->why,
                 want->advice, out);
}

/* Runs one self-test on the tests' device: the others' compilation is what a healthy device pays for in CI. */
static struct program_result doctor(const char *test) {
    const char *device = getenv("TESSERA_DEVICE");
    return RUN("--device", device && *device ? device : "cpu", "doctor", "--test", test);
}

static void expect_failure(const char *test, const struct finding *want) {
    struct program_result result = doctor(test);
    assert_int_equal(result.status, 1);
    expect_line(result.out, "FAIL", want);
    assert_string_equal(result.err, "");
    program_free(&result);
}

/* ---------------------------------------------------------------- places of its own */

static char saved[3][4096];
static const char *const places[] = {"XDG_CACHE_HOME", "XDG_DATA_HOME", "OCL_ICD_VENDORS"};

static int setup(void **state) {
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(places[i]);
        snprintf(saved[i], sizeof saved[i], "%s", value ? value : "");
    }
    return folder_setup(state);
}

static int teardown(void **state) {
    for (int i = 0; i < 3; i++) {
        if (*saved[i])
            setenv(places[i], saved[i], 1);
        else
            unsetenv(places[i]);
    }
    unsetenv("OPENCL_LAYERS");
    unsetenv("TESSERA_LAYER_FROM");
    unsetenv("TESSERA_LAYER_TO");
    return folder_teardown(state);
}

/* Empty folders for caches and data. */
static void use_places(const char *folder) {
    char path[FOLDER_PATH_SIZE];
    setenv("XDG_CACHE_HOME", folder_path(folder, "cache", path), 1);
    setenv("XDG_DATA_HOME", folder_path(folder, "data", path), 1);
}

/* ---------------------------------------------------------------- the tests */

static void healthy(void **state) {
    use_places(*state);
    struct program_result result = doctor("mse");
    if (result.status) fail_msg("%s%s", result.out, result.err);
    expect_line(result.out, "ok", &(struct finding){"device", "1 self-test passed", ""});
    expect_line(result.out, "ok", &(struct finding){"program cache", "entr", "cache/tessera"});
    expect_line(result.out, "ok", &(struct finding){"tuning database", "none yet", "tessera tune"});
    program_free(&result);
}

static void missing_driver(void **state) {
    char path[FOLDER_PATH_SIZE];
    use_places(*state);
    setenv("OCL_ICD_VENDORS", folder_path(*state, "nowhere", path), 1);
    expect_failure("mse", &(struct finding){"drivers", "is not there", "install an OpenCL driver"});
    assert_int_equal(mkdir(path, 0777), 0);
    expect_failure("mse", &(struct finding){"drivers", "no driver", "install an OpenCL driver"});
    folder_write_text(path, "lost.icd", "libtessera_lost.so\n");
    expect_failure("mse", &(struct finding){"driver lost.icd",
                                            "libtessera_lost.so, which cannot be loaded",
                                            "install this driver again"});
    expect_failure("mse", &(struct finding){"devices", "no OpenCL platform", "pocl-opencl-icd"});
}

static void corrupt_cache(void **state) {
    char folder[FOLDER_PATH_SIZE], name[FOLDER_PATH_SIZE];
    use_places(*state);
    folder_path(*state, "cache", folder);
    assert_int_equal(mkdir(folder, 0777), 0);
    folder_path(*state, "cache/tessera", folder);
    assert_int_equal(mkdir(folder, 0777), 0);
    snprintf(name, sizeof name, "%064d.bin", 7);
    folder_write_text(folder, name, "TESSBIN");
    expect_failure("mse", &(struct finding){"program cache", "1 of", "remove them"});
}

static void corrupt_database(void **state) {
    char folder[FOLDER_PATH_SIZE], path[FOLDER_PATH_SIZE];
    use_places(*state);
    assert_int_equal(mkdir(folder_path(*state, "data", folder), 0777), 0);
    assert_int_equal(mkdir(folder_path(*state, "data/tessera", folder), 0777), 0);
    folder_write_text(folder, "tuning.db",
                      "this was never a database, however long one looks at it");
    expect_failure("mse", &(struct finding){"tuning database", "damaged", "recover"});
    assert_int_equal(access(folder_path(folder, "tuning.db", path), F_OK), 0);
}

/* Below a file nobody can write, root included. */
static void unwritable_data(void **state) {
    char path[FOLDER_PATH_SIZE];
    use_places(*state);
    folder_write_text(*state, "file", "");
    setenv("XDG_DATA_HOME", folder_path(*state, "file/data", path), 1);
    expect_failure("mse",
                   &(struct finding){"data folder", "cannot be written", "choose another place"});
}

/* ---------------------------------------------------------------- a device whose kernels miscompute */

/* The unpacked tar.gz; free() it. */
static char *unpack(const char *path, size_t *size) {
    enum { ROOM = 1 << 20 };
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    char *data = check_alloc(ROOM);
    int got = gzread(file, data, ROOM);
    assert_true(got > 0 && got < ROOM);
    gzclose(file);
    *size = (size_t)got;
    return data;
}

/* Whether the archive has the file. Headers are at multiples of 512; the size is octal text at 124. */
static bool holds(const char *data, size_t size, const char *name) {
    for (size_t at = 0; at + 512 <= size && data[at];) {
        if (strcmp(data + at, name) == 0) return true;
        at += 512 + (strtoul(data + at + 124, NULL, 8) + 511) / 512 * 512;
    }
    return false;
}

static void miscomputes(void **state) {
    static const char *const files[] = {
        "capsule/README.txt",     "capsule/device.json",        "capsule/result.txt",
        "capsule/program_1.cl",   "capsule/program_1.options",  "capsule/program_1.log",
        "capsule/input_grad.npy", "capsule/expected_param.npy", "capsule/actual_param.npy"};
    char path[FOLDER_PATH_SIZE];
    use_places(*state);
    char layer[LAYER_PATH_SIZE];
    setenv("OPENCL_LAYERS", layer_path("miscompute", layer), 1);
    setenv("TESSERA_LAYER_FROM", "FMA((type)momentum, v, g)", 1);
    setenv("TESSERA_LAYER_TO", "FMA((type)momentum, g, v)", 1);
    const char *device = getenv("TESSERA_DEVICE");
    struct program_result result =
        RUN("--device", device && *device ? device : "cpu", "doctor", "--test", "sgd", "--capsule",
            folder_path(*state, "bug.tar.gz", path));
    assert_int_equal(result.status, 1);
    expect_line(
        result.out, "FAIL",
        &(struct finding){"device", "1 of 1 self-tests fail, first 'sgd'", "update the driver"});
    expect_line(result.out, "ok", &(struct finding){"capsule", "'sgd'", "bug.tar.gz"});
    program_free(&result);
    size_t size;
    char *data = unpack(path, &size);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!holds(data, size, files[i])) fail_msg("no %s in the capsule", files[i]);
    free(data);
}

/* The doctor survives, names the self-test, and the capsule holds what led there. */
static void crashes(void **state) {
    char path[FOLDER_PATH_SIZE], layer[LAYER_PATH_SIZE];
    use_places(*state);
    setenv("OPENCL_LAYERS", layer_path("miscompute", layer), 1);
    setenv("TESSERA_LAYER_FROM", "sgd_step", 1);
    const char *device = getenv("TESSERA_DEVICE");
    struct program_result result =
        RUN("--device", device && *device ? device : "cpu", "doctor", "--test", "sgd", "--capsule",
            folder_path(*state, "crash.tar.gz", path));
    assert_int_equal(result.status, 1);
    expect_line(
        result.out, "FAIL",
        &(struct finding){"device", "crashes: Aborted in self-test 'sgd'", "update the driver"});
    expect_line(result.out, "ok", &(struct finding){"tuning database", "none yet", ""});
    program_free(&result);
    size_t size;
    char *data = unpack(path, &size);
    assert_true(holds(data, size, "capsule/program_1.cl"));
    assert_true(holds(data, size, "capsule/expected_param.npy"));
    assert_false(holds(data, size, "capsule/actual_param.npy"));
    free(data);
}

static void json_and_usage(void **state) {
    use_places(*state);
    struct program_result result = RUN("doctor", "--json", "--test", "mse");
    assert_non_null(strstr(result.out, "{\"verdict\":\"ok\",\"subject\":\"loader\""));
    assert_non_null(strstr(result.out, "{\"healthy\":true"));
    program_free(&result);
    assert_program(RUN("doctor", "--test", "conv magic"), 2, "no self-test");
    assert_program(RUN("doctor", "@devices"), 2, "children");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(healthy),         TEST(missing_driver), TEST(corrupt_cache), TEST(corrupt_database),
        TEST(unwritable_data), TEST(miscomputes),    TEST(crashes),       TEST(json_and_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
