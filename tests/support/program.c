#include "support/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGS = 40 };

/* The program lies beside the test. */
static void find_program(char path[4096]) {
    ssize_t length = readlink("/proc/self/exe", path, 4000);
    assert_true(length > 0);
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    assert_non_null(slash);
    memcpy(slash + 1, "tessera", sizeof "tessera");
}

static char *read_all(FILE *file) {
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *text = check_alloc((size_t)size + 1);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    text[size] = '\0';
    fclose(file);
    return text;
}

static pid_t start(const char *const *args, FILE *out, FILE *err) {
    char path[4096];
    char *argv[MAX_ARGS + 2] = {(char *)"tessera"};
    find_program(path);
    for (int i = 0; args[i]; i++) {
        assert_true(i < MAX_ARGS);
        argv[i + 1] = (char *)args[i];
    }
    const char *device = getenv("TESSERA_DEVICE");
    if (!device || !*device) setenv("TESSERA_DEVICE", "cpu", 1);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0) return child;
    if (dup2(fileno(out), STDOUT_FILENO) >= 0 && dup2(fileno(err), STDERR_FILENO) >= 0)
        execv(path, argv);
    _exit(127);
}

static void sleep_ms(int ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

int program_lines(const char *path) {
    FILE *file = fopen(path, "r");
    int lines = 0;
    for (int c; file && (c = getc(file)) != EOF;)
        lines += c == '\n';
    if (file) fclose(file);
    return lines;
}

static int wait_for(pid_t child, const struct program_signal *signal) {
    int status;
    bool reached = false;
    for (int ms = 0; signal && (!reached || ms < signal->after_ms); ms += reached) {
        if (waitpid(child, &status, WNOHANG) == child) return status;
        reached = reached || !signal->file || program_lines(signal->file) >= signal->lines;
        sleep_ms(1);
    }
    if (signal) kill(child, signal->signal);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

struct program_result program_run_signal(const char *const *args,
                                         const struct program_signal *signal) {
    FILE *out = tmpfile(), *err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    int status = wait_for(start(args, out, err), signal);
    return (struct program_result){
        .status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
        .out = read_all(out),
        .err = read_all(err),
    };
}

struct program_result program_run(const char *const *args) {
    return program_run_signal(args, NULL);
}

void program_free(struct program_result *result) {
    free(result->out);
    free(result->err);
    *result = (struct program_result){0};
}

static bool one_line(const char *text) {
    const char *end = strchr(text, '\n');
    return end && !end[1] && strncmp(text, "tessera: ", strlen("tessera: ")) == 0;
}

void program_check(struct program_result result, int status, const char *text, const char *file,
                   int line) {
    bool good = result.status == status;
    if (status == 0)
        good &= !*result.err && (!text || strstr(result.out, text));
    else
        good &= one_line(result.err) && (!text || strstr(result.err, text));
    if (!good) {
        print_error("status %d (want %d, with \"%s\")\nstdout: %s\nstderr: %s\n", result.status,
                    status, text ? text : "", result.out, result.err);
        _fail(file, line);
    }
    program_free(&result);
}
