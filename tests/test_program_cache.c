/* The cache of program binaries on disk: hits, damage of every kind, folders that cannot be written, many processes. */
#include "core/cache_file.h"
#include "core/program_cache.h"
#include "core/program_source.h"
#include "support/check.h"
#include "support/process.h"
#include "support/program_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPTIONS        "-DVALUE=42"
#define STALE_PAYLOADS 5

static int setup(void **state) {
    static struct fixture fixture;
    fixture_create(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    fixture_destroy(*state);
    return 0;
}

/* A new context builds the program: from source if compiled, else from the cache. */
static void expect_build(struct fixture *fixture, bool compiled) {
    fixture_open(fixture);
    assert_int_equal(fixture_run(fixture->ctx, "value.cl", OPTIONS), 42);
    tess_counters counters = tess_context_counters(fixture->ctx);
    assert_int_equal(counters.programs_compiled, compiled ? 1 : 0);
    assert_int_equal(counters.programs_loaded, compiled ? 0 : 1);
}

/* The cache holds exactly one whole entry and nothing else; its name and bytes. */
static char *only_entry(struct fixture *fixture, char name[FOLDER_PATH_SIZE], size_t *size) {
    assert_int_equal(folder_count(fixture->cache), 1);
    assert_int_equal(folder_find(fixture->cache, ".bin", name), 1);
    return folder_read(fixture->cache, name, size);
}

/* After damage to the entry: it is ignored with a line in the log, rebuilt and replaced. */
static void expect_repair(struct fixture *fixture, const char *label) {
    print_message("   damage: %s\n", label);
    expect_build(fixture, true);
    assert_true(fixture_logged(fixture, "ignoring"));
    assert_int_equal(fixture->lines[TESS_LOG_WARN] + fixture->lines[TESS_LOG_ERROR], 0);
    assert_int_equal(folder_count(fixture->cache), 1);
    expect_build(fixture, false);
}

static void test_hit(void **state) {
    struct fixture *fixture = *state;
    char name[FOLDER_PATH_SIZE];
    expect_build(fixture, true);
    free(only_entry(fixture, name, NULL));
    expect_build(fixture, false);
    /* Other options, another source: other entries. */
    assert_int_equal(fixture_run(fixture->ctx, "value.cl", "-DVALUE=1"), 1);
    assert_int_equal(tess_context_counters(fixture->ctx).programs_compiled, 1);
    folder_write_text(fixture->kernels, "value2.cl",
                      "__kernel void value(__global int *out) { *out = 42; }");
    assert_int_equal(fixture_run(fixture->ctx, "value2.cl", OPTIONS), 42);
    assert_int_equal(tess_context_counters(fixture->ctx).programs_compiled, 2);
    assert_int_equal(folder_find(fixture->cache, ".bin", NULL), 3);
}

static void test_key(void **state) {
    struct fixture *fixture = *state;
    fixture_open(fixture);
    tess_context *ctx = fixture->ctx;
    unsigned char base[32], key[32];
    assert_ok(ctx, program_cache_key(ctx, "source", "options", base));
    assert_ok(ctx, program_cache_key(ctx, "source", "options", key));
    assert_memory_equal(base, key, 32);
    assert_ok(ctx, program_cache_key(ctx, "sourceo", "ptions", key));
    assert_memory_not_equal(base, key, 32);
    char *const fields[] = {ctx->device.name, ctx->device.vendor, ctx->device.driver_version};
    for (int i = 0; i < 3; i++) {
        char saved = fields[i][0];
        fields[i][0] = (char)(saved + 1);
        assert_ok(ctx, program_cache_key(ctx, "source", "options", key));
        assert_memory_not_equal(base, key, 32);
        fields[i][0] = saved;
    }
}

static void test_no_cache(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        tess_context *ctx = fixture_context(fixture->kernels, "", NULL);
        assert_int_equal(fixture_run(ctx, "value.cl", OPTIONS), 42);
        assert_int_equal(tess_context_counters(ctx).programs_compiled, 1);
        tess_context_destroy(ctx);
    }
}

static void test_truncated(void **state) {
    struct fixture *fixture = *state;
    char name[FOLDER_PATH_SIZE], label[64];
    size_t size = 0;
    expect_build(fixture, true);
    char *entry = only_entry(fixture, name, &size);
    const size_t lengths[] = {0, 1, 8, 16, 48, 56, 87, 88, 89, size / 2, size - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        folder_write(fixture->cache, name, entry, lengths[i]);
        snprintf(label, sizeof label, "%zu of %zu bytes", lengths[i], size);
        expect_repair(fixture, label);
    }
    char *longer = check_alloc(size + 1);
    memcpy(longer, entry, size);
    longer[size] = 0;
    folder_write(fixture->cache, name, longer, size + 1);
    expect_repair(fixture, "one byte too many");
    free(longer);
    free(entry);
}

static void test_bit_flips(void **state) {
    struct fixture *fixture = *state;
    char name[FOLDER_PATH_SIZE], label[64];
    size_t size = 0;
    expect_build(fixture, true);
    char *entry = only_entry(fixture, name, &size);
    const size_t places[] = {0, 8, 16, 47, 48, 55, 56, 88, size / 2, size - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char mask = (char)(1 << (i % 8));
        entry[places[i]] = (char)(entry[places[i]] ^ mask);
        folder_write(fixture->cache, name, entry, size);
        entry[places[i]] = (char)(entry[places[i]] ^ mask);
        snprintf(label, sizeof label, "bit %zu of byte %zu", i % 8, places[i]);
        expect_repair(fixture, label);
    }
    free(entry);
}

/* An entry under another one's name, and whole entries whose payload is no binary of this driver. */
static void test_foreign(void **state) {
    struct fixture *fixture = *state;
    char name[FOLDER_PATH_SIZE];
    size_t size = 0, other_size = 0;
    expect_build(fixture, true);
    char *entry = only_entry(fixture, name, &size);
    folder_remove(fixture->cache);
    fixture_open(fixture);
    assert_int_equal(fixture_run(fixture->ctx, "value.cl", "-DVALUE=13"), 13);
    char other_name[FOLDER_PATH_SIZE];
    char *other = only_entry(fixture, other_name, &other_size);
    assert_string_not_equal(name, other_name);
    folder_remove(fixture->cache);
    fixture_open(fixture);
    folder_write(fixture->cache, name, other, other_size);
    expect_repair(fixture, "another key");
    free(other);

    unsigned char key[32];
    memcpy(key, entry + 16, sizeof key);
    /* rusticl of Mesa 22.3 aborts the process instead of refusing: that is what the checksum is for. */
    const char *platform = tess_context_device(fixture->ctx)->platform_name;
    size_t stale = strcmp(platform, "rusticl") == 0 ? 0 : STALE_PAYLOADS;
    static const char *const payloads[STALE_PAYLOADS] = {
        "x", "garbage that no driver takes for a program", "poclbin", "\177ELF\2\1\1",
        "BC\300\336"};
    for (size_t i = 0; i < stale; i++) {
        cache_file_write(fixture->ctx, key, (const unsigned char *)payloads[i],
                         strlen(payloads[i]));
        print_message("   stale payload %zu\n", i);
        expect_build(fixture, true);
        assert_true(fixture_logged(fixture, "refuses the binary"));
        expect_build(fixture, false);
    }
    free(entry);
}

/* The place of the entry is taken by something that is no file. */
static void test_not_a_file(void **state) {
    struct fixture *fixture = *state;
    char name[FOLDER_PATH_SIZE], path[FOLDER_PATH_SIZE], inside[FOLDER_PATH_SIZE];
    expect_build(fixture, true);
    free(only_entry(fixture, name, NULL));
    folder_path(fixture->cache, name, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    expect_repair(fixture, "an empty folder");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0666), 0);
    expect_repair(fixture, "a FIFO");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("dangling", path), 0);
    expect_build(fixture, true); /* as good as none */
    expect_build(fixture, false);
    /* A folder with something in it stays, and costs a build each time. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    folder_path(path, "something", inside);
    assert_int_equal(mkdir(inside, 0777), 0);
    expect_build(fixture, true);
    expect_build(fixture, true);
    assert_int_equal(folder_count(fixture->cache), 1);
}

static void test_unwritable(void **state) {
    struct fixture *fixture = *state;
    folder_write_text(fixture->root, "file", "x");
    char path[FOLDER_PATH_SIZE];
    folder_path(fixture->root, "file/cache", path);
    for (int i = 0; i < 2; i++) {
        memset(fixture->lines, 0, sizeof fixture->lines);
        tess_context *ctx = fixture_context(fixture->kernels, path, fixture);
        assert_int_equal(fixture->lines[TESS_LOG_WARN], 1);
        assert_int_equal(fixture_run(ctx, "value.cl", OPTIONS), 42);
        assert_int_equal(tess_context_counters(ctx).programs_compiled, 1);
        assert_int_equal(fixture->lines[TESS_LOG_WARN], 1);
        tess_context_destroy(ctx);
    }
    /* The folder goes away, and later cannot be written, while the context lives. */
    fixture_open(fixture);
    folder_remove(fixture->cache);
    assert_int_equal(fixture_run(fixture->ctx, "value.cl", OPTIONS), 42);
    assert_true(fixture_logged(fixture, "cannot write"));
    assert_int_equal(fixture->lines[TESS_LOG_WARN] + fixture->lines[TESS_LOG_ERROR], 0);
}

/* A disk that takes only the first kilobyte: no entry, no rest of one. */
static void test_full_disk(void **state) {
    struct fixture *fixture = *state;
    fixture_open(fixture);
    unsigned char key[32] = {1}, payload[8192] = {2}, *read = NULL;
    size_t size = 0;
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 1024;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    cache_file_write(fixture->ctx, key, payload, sizeof payload);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(folder_count(fixture->cache), 0);
    assert_true(fixture_logged(fixture, "cannot write"));
    assert_false(cache_file_read(fixture->ctx, key, &read, &size));
    cache_file_write(fixture->ctx, key, payload, sizeof payload);
    assert_true(cache_file_read(fixture->ctx, key, &read, &size));
    assert_int_equal(size, sizeof payload);
    check_same_bytes(read, payload, size, "payload");
    free(read);
}

/* What a process of the next test does; its exit status. value: what the program writes. */
static int work(const char *kernels, const char *cache, const char *value) {
    char options[64];
    snprintf(options, sizeof options, "-DVALUE=%.40s", value);
    for (int i = 0; i < 2; i++) {
        tess_context *ctx = fixture_context(kernels, cache, NULL);
        int got = fixture_run(ctx, "value.cl", options);
        tess_counters counters = tess_context_counters(ctx);
        tess_context_destroy(ctx);
        if (got != atoi(value)) return 1;
        if (counters.programs_compiled + counters.programs_loaded != 1) return 2;
        if (i > 0 && counters.programs_loaded != 1) return 3; /* our own entry, or another's */
    }
    return 0;
}

static void test_processes(void **state) {
    struct fixture *fixture = *state;
    enum { processes = 8 };
    char value[32]; /* new to the driver's own cache too: all processes compile, at once */
    snprintf(value, sizeof value, "%ld", (long)getpid());
    const char *const arguments[] = {"work", fixture->kernels, fixture->cache, value, NULL};
    for (int round = 0; round < 2; round++) { /* on an empty folder, then on a damaged entry */
        pid_t ids[processes];
        for (int i = 0; i < processes; i++)
            ids[i] = process_start(arguments, NULL);
        for (int i = 0; i < processes; i++)
            assert_int_equal(process_wait(ids[i]), 0);
        char name[FOLDER_PATH_SIZE];
        assert_int_equal(folder_find(fixture->cache, ".bin", name), 1);
        assert_int_equal(folder_count(fixture->cache), 1);
        assert_int_equal(process_wait(process_start(arguments, NULL)), 0);
        folder_write_text(fixture->cache, name, "TESSBIN");
    }
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "work") == 0) return work(argv[2], argv[3], argv[4]);
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        EACH(test_hit),       EACH(test_key),       EACH(test_no_cache),   EACH(test_truncated),
        EACH(test_bit_flips), EACH(test_foreign),   EACH(test_not_a_file), EACH(test_unwritable),
        EACH(test_full_disk), EACH(test_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
