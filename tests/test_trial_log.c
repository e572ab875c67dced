/* Trial logs: what is written is read, and damaged or foreign files are refused with their line. No device. */
#include "support/check.h"
#include "support/folder.h"
#include "support/landscape.h"
#include "support/tuner_device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tuner/trial_log.h"

static struct trial_log *new_log(const struct space *space) {
    tess_device_info device = tuner_cpu();
    snprintf(device.driver_version, sizeof device.driver_version, "1.2 \"quoted\"");
    tess_error error = {0};
    struct trial_log *log = NULL;
    if (trial_log_create(space, &device, &error, &log)) fail_msg("%s", error.text);
    return log;
}

static struct space *new_space(void) {
    struct conv_problem problem = tuner_problem("n2c64h28w28k64r3s3pt1", TESS_CONV_BWD_DATA);
    tess_device_info device = tuner_cpu();
    struct space *space = NULL;
    assert_int_equal(space_create(&problem, &device, NULL, NULL, &space), TESS_OK);
    return space;
}

static void what_is_written_is_read(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "log.jsonl.gz", path);
    struct space *space = new_space();
    struct trial_log *log = new_log(space), *back = NULL;
    for (int i = 0; i < space->count; i += 2)
        trial_log_set(log, i, i % 6 ? "ok" : "crashed", 1e-3 * (i + 1), 1e-6 * i);
    trial_log_set(log, 2, "ok", (double)NAN, 0);
    trial_log_set(log, 4, "a cause that is longer than there is room", 1, 1);
    tess_error error = {0};
    if (trial_log_write(path, log, &error)) fail_msg("%s", error.text);
    if (trial_log_read(path, &error, &back)) fail_msg("%s", error.text);
    assert_string_equal(back->device, "test CPU");
    assert_string_equal(back->driver, "1.2 \"quoted\"");
    assert_string_equal(back->date, log->date);
    assert_int_equal(strlen(back->date), 10);
    assert_string_equal(back->problem, log->problem);
    assert_int_equal(back->pass, TESS_CONV_BWD_DATA);
    assert_int_equal(back->space, space->count);
    assert_int_equal(back->count, (space->count + 1) / 2);
    for (int i = 0; i < back->count; i++) {
        const struct logged_trial *got = &back->trials[i], *want = &log->trials[2 * i];
        assert_string_equal(got->config, want->config);
        assert_string_equal(got->status, want->status);
        assert_true(fabs(got->predicted / want->predicted - 1) < 1e-5);
        if (strcmp(want->status, "ok") != 0) {
            assert_true(isinf(got->seconds));
            continue;
        }
        assert_true(fabs(got->seconds / want->seconds - 1) < 1e-5);
        assert_true(fabs(got->mad - want->mad) <= 1e-5 * want->mad);
    }
    assert_string_equal(back->trials[1].status, "failed");
    assert_string_equal(back->trials[2].status, "a cause that is longer ");
    trial_log_destroy(back);
    trial_log_destroy(log);
    space_destroy(space);
}

/* Reading path must fail, with text in the message. */
static void expect_bad(const char *path, tess_status status, const char *text) {
    tess_error error = {0};
    struct trial_log *log = NULL;
    assert_int_equal(trial_log_read(path, &error, &log), status);
    assert_null(log);
    if (!strstr(error.text, text)) fail_msg("'%s' does not say '%s'", error.text, text);
}

#define HEAD                                                                                       \
    "{\"trial_log\":1,\"device\":\"d\",\"driver\":\"1\",\"date\":\"2026-01-01\",\"pass\":\"fwd\"," \
    "\"problem\":\"n1c1h4w4k1r1s1\",\"space\":9,\"trials\":2}\n"
#define LINE(n)                                                                                    \
    "{\"config\":\"conv_x_fwd__a" #n "\",\"status\":\"ok\",\"seconds\":0.001,\"mad\":0}\n"

static void bad_files_are_refused(void **state) {
    static const struct {
        const char *contents, *text;
    } cases[] = {
        {"", "line 1: no header"},
        {"GIF89a", "line 1: it has no end"},
        {"hello\n", "line 1: no header"},
        {"{\"trial_log\":2}\n", "newer"},
        {"{\"trial_log\":1}\n", "lacks a field"},
        {HEAD, "line 2: the file is truncated"},
        {HEAD LINE(1), "line 3: the file is truncated"},
        {HEAD LINE(1) LINE(2) LINE(3), "line 4: more trials"},
        {HEAD LINE(1) "{}\n", "line 3: no configuration"},
        {HEAD LINE(1) "[]\n", "line 3: no JSON object"},
        {HEAD LINE(1) "{\"config\":\"c\",\"status\":\"ok\"}\n", "line 3: ok, but"},
        {HEAD LINE(1) "{\"config\":\"c\",\"status\":\"ok\",\"seconds\":-1,\"mad\":0}\n", "ok, but"},
        {HEAD LINE(1) "{\"config\":\"c\",\"status\":\"x\",\"predicted\":\"9\"}\n", "prediction"},
    };
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "bad", path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes_write(path, cases[i].contents, strlen(cases[i].contents));
        expect_bad(path, TESS_BAD_FORMAT, cases[i].text);
    }
    char *wide = check_alloc(100000);
    memset(wide, 'x', 100000);
    bytes_write(path, wide, 100000);
    expect_bad(path, TESS_BAD_FORMAT, "line 1: it is too long");
    free(wide);
    expect_bad("/nowhere/log", TESS_IO, "/nowhere/log: cannot be opened");
    expect_bad(*state, TESS_IO, "");
    /* A plain file is as good as a compressed one. */
    static const char good[] = HEAD LINE(1) LINE(2);
    bytes_write(path, good, sizeof good - 1);
    struct trial_log *log = NULL;
    assert_int_equal(trial_log_read(path, NULL, &log), TESS_OK);
    assert_int_equal(log->count, 2);
    trial_log_destroy(log);
}

/* A real file cut anywhere, or with a byte changed, is refused or reads as it was: never anything else. */
static void damage_is_noticed(void **state) {
    char path[FOLDER_PATH_SIZE];
    folder_path(*state, "log.gz", path);
    struct space *space = new_space();
    struct trial_log *log = new_log(space);
    for (int i = 0; i < space->count; i++)
        trial_log_set(log, i, "ok", 1e-3 * (i + 1), 1e-6);
    assert_int_equal(trial_log_write(path, log, NULL), TESS_OK);
    size_t size = 0;
    unsigned char *bytes = bytes_read(path, &size);
    for (size_t length = 0; length < size; length += 1 + length / 9) {
        bytes_write(path, bytes, length);
        expect_bad(path, TESS_BAD_FORMAT, length < 12 ? "" : "truncated");
    }
    for (size_t at = 12; at + 8 < size; at += 1 + size / 50) {
        bytes[at] ^= 0x41;
        bytes_write(path, bytes, size);
        expect_bad(path, TESS_BAD_FORMAT, "line ");
        bytes[at] ^= 0x41;
    }
    free(bytes);
    trial_log_destroy(log);
    space_destroy(space);
}

static void writing_fails_with_a_reason(void **state) {
    (void)state;
    struct space *space = new_space();
    struct trial_log *log = new_log(space);
    tess_error error = {0};
    assert_int_equal(trial_log_write("/nowhere/log", log, &error), TESS_IO);
    assert_non_null(strstr(error.text, "/nowhere/log"));
    trial_log_destroy(log);
    space_destroy(space);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(bad_files_are_refused, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(damage_is_noticed, folder_setup, folder_teardown),
        cmocka_unit_test(writing_fails_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
