/* Atomic replacement, by the checkpoint format that needs it: kills, full disks, leftovers, several writers. */
#include "support/folder.h"

#include "net/safetensors.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Two versions of different sizes: every value is the version's number. */
static tess_status write_version(const char *path, int version, tess_error *error) {
    enum { VALUES = 20000 };
    static float data[2 * VALUES];
    int64_t count = version * VALUES;
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)version;
    struct safetensor tensor = {.name = "v", .rank = 1, .shape = {count}, .data = data};
    struct safetensors file = {.tensors = &tensor, .count = 1};
    return safetensors_write(path, &file, error);
}

/* Fails unless path holds one version, whole; gives its number. */
static int read_version(const char *path) {
    struct safetensors *file = NULL;
    tess_error error = {0};
    if (safetensors_read(path, &error, &file)) fail_msg("%s", error.text);
    assert_int_equal(file->count, 1);
    int version = (int)file->tensors[0].data[0];
    assert_in_range(version, 1, 2);
    assert_int_equal(file->tensors[0].shape[0], version * 20000);
    for (int64_t i = 0; i < file->tensors[0].shape[0]; i++)
        assert_true(file->tensors[0].data[i] == (float)version);
    safetensors_destroy(file);
    return version;
}

/* Writes version 2 in a child that may not make files of more than limit bytes. Gives the child's exit status. */
static int write_limited(const char *path, rlim_t limit) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit rlimit = {.rlim_cur = limit, .rlim_max = limit};
        tess_error error = {0};
        if (setrlimit(RLIMIT_FSIZE, &rlimit)) _exit(9);
        tess_status status = write_version(path, 2, &error);
        bool clear =
            status == TESS_OK || (strstr(error.text, path) && strstr(error.text, "too large") &&
                                  strchr(error.text, ';'));
        _exit(clear ? (int)status : 8);
    }
    int result = 0;
    assert_true(waitpid(child, &result, 0) == child && WIFEXITED(result));
    return WEXITSTATUS(result);
}

static void test_full_disk(void **state) {
    char target[FOLDER_PATH_SIZE];
    const char *folder = *state;
    folder_path(folder, "w.safetensors", target);
    assert_int_equal(write_version(target, 1, NULL), TESS_OK);
    static const rlim_t limits[] = {0, 1, 8, 100, 4096, 100000, 160000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        assert_int_equal(write_limited(target, limits[i]), TESS_IO);
        assert_int_equal(read_version(target), 1);
        assert_int_equal(folder_count(folder), 1);
    }
    assert_int_equal(write_limited(target, 200000), TESS_OK);
    assert_int_equal(read_version(target), 2);
}

static void sleep_us(long us) {
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&time, &time) && errno == EINTR)
        continue;
}

static void write_forever(const char *path) {
    for (int version = 1;; version = 3 - version)
        if (write_version(path, version, NULL)) _exit(1);
}

/* 100 children, each killed at a random moment of its writing. */
static void test_kill_while_writing(void **state) {
    char target[FOLDER_PATH_SIZE];
    const char *folder = *state;
    folder_path(folder, "w.safetensors", target);
    assert_int_equal(write_version(target, 1, NULL), TESS_OK);
    float delays[100];
    check_random(delays, 100, 200.0f, 12000.0f, 7);
    int leftovers = 0;
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) write_forever(target);
        sleep_us((long)delays[i]);
        kill(child, SIGKILL);
        int result = 0;
        assert_true(waitpid(child, &result, 0) == child && WIFSIGNALED(result));
        read_version(target);
        int files = folder_count(folder);
        assert_in_range(files, 1, 2);
        leftovers += files == 2;
    }
    print_message("    %d of 100 kills hit a write and left a temporary file\n", leftovers);
    assert_true(leftovers > 0);
    assert_int_equal(write_version(target, 2, NULL), TESS_OK);
    assert_int_equal(folder_count(folder), 1);
}

/* Only stale temporaries of the same target go. */
static void test_stale_temporaries(void **state) {
    char target[FOLDER_PATH_SIZE];
    const char *folder = *state;
    folder_path(folder, "w.safetensors", target);
    static const struct {
        const char *name;
        bool stays;
    } files[] = {{"w.safetensors.tmp.999999.0", false}, {"w.safetensors.tmp.1.12", false},
                 {"w.safetensors.tmp.1", true},         {"w.safetensors.tmp..", true},
                 {"w.safetensors.tmp.1.x", true},       {"xw.safetensors.tmp.1.0", true},
                 {"other.safetensors.tmp.1.0", true},   {"w.safetensors.old", true}};
    char path[FOLDER_PATH_SIZE];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        folder_path(folder, files[i].name, path);
        bytes_write(path, "x", 1);
    }
    assert_int_equal(write_version(target, 1, NULL), TESS_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        folder_path(folder, files[i].name, path);
        if ((access(path, F_OK) == 0) != files[i].stays)
            fail_msg("%s %s", files[i].name, files[i].stays ? "is gone" : "is still there");
    }
}

/* Several writers of one file at once: none fails, none takes another's temporary file away. */
static void test_concurrent_writers(void **state) {
    char target[FOLDER_PATH_SIZE];
    const char *folder = *state;
    folder_path(folder, "w.safetensors", target);
    pid_t children[4];
    for (int c = 0; c < 4; c++) {
        children[c] = fork();
        assert_true(children[c] >= 0);
        if (children[c] > 0) continue;
        for (int i = 0; i < 25; i++)
            if (write_version(target, 1 + (c + i) % 2, NULL)) _exit(1);
        _exit(0);
    }
    for (int c = 0; c < 4; c++) {
        int result = 0;
        assert_true(waitpid(children[c], &result, 0) == children[c]);
        assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    }
    read_version(target);
    assert_int_equal(folder_count(folder), 1);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_full_disk),
        CASE(test_kill_while_writing),
        CASE(test_stale_temporaries),
        CASE(test_concurrent_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
