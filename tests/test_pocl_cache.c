/* PoCL's cache folder: a place that does not do is named, before PoCL fails without naming it. */
#include "support/folder.h"
#include "support/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pocl_cache.h"

static enum pocl_cache_state look(const char *folder, char text[1024]) {
    setenv("POCL_CACHE_DIR", folder, 1);
    return pocl_cache_look(text, 1024);
}

static void test_states(void **state) {
    char path[FOLDER_PATH_SIZE], text[1024] = "";
    assert_int_equal(look(*state, text), POCL_CACHE_GOOD);
    assert_int_equal(look(folder_path(*state, "a", path), text), POCL_CACHE_GOOD);
    assert_int_equal(look("made-by-pocl", text), POCL_CACHE_GOOD);
    assert_int_equal(look(folder_path(*state, "a/b/c", path), text), POCL_CACHE_GOOD);
    assert_string_equal(text, "");
    assert_int_equal(folder_count(*state), 0);
    assert_int_equal(look("/dev/null/pocl", text), POCL_CACHE_BAD);
    assert_non_null(strstr(text, "/dev/null/pocl cannot be written: Not a directory"));
    assert_non_null(strstr(text, "set POCL_CACHE_DIR"));
    assert_int_not_equal(look("/proc", text), POCL_CACHE_GOOD); /* no space, whoever we are */
    assert_non_null(strstr(text, "/proc"));
}

static void test_places(void **state) {
    char path[FOLDER_PATH_SIZE], text[1024] = "";
    (void)state;
    unsetenv("POCL_CACHE_DIR");
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    assert_int_equal(pocl_cache_look(text, sizeof text), POCL_CACHE_BAD);
    assert_non_null(strstr(text, "/dev/null/pocl/kcache"));
    setenv("XDG_CACHE_HOME", folder_path(*state, "xdg", path), 1);
    assert_int_equal(pocl_cache_look(text, sizeof text), POCL_CACHE_GOOD);
}

static void test_command(void **state) {
    (void)state;
    setenv("POCL_CACHE_DIR", "/dev/null/pocl", 1);
    struct program_result result = RUN("devices");
    if (result.status == 0) { /* PoCL is not alone here */
        program_free(&result);
        return;
    }
    assert_program(result, 1, "PoCL offers none: PoCL's cache folder /dev/null/pocl cannot be");
    result = RUN("doctor", "--budget", "1");
    assert_int_equal(result.status, 1);
    assert_non_null(strstr(result.out, "FAIL     PoCL cache: PoCL's cache folder /dev/null/pocl"));
    program_free(&result);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {CASE(test_states), CASE(test_places), CASE(test_command)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
