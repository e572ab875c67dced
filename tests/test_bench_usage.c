/* `tessera bench`, `tune` and `report`: what is wrong with their command lines, and that files which cannot be written are refused before
   anything is measured. No device is needed. */
#include "support/program.h"

#include <stdio.h>
#include <string.h>

static const char *const programs[][2] = {{"tune", NULL},      {"report", NULL}, {"bench", "conv"},
                                          {"bench", "net"},    {"bench", "fc"},  {"bench", "roof"},
                                          {"bench", "compare"}};
enum { PROGRAMS = sizeof programs / sizeof *programs };

/* The program with one or two more words. */
static struct program_result run_with(int program, const char *word, const char *next) {
    const char *const *name = programs[program];
    const char *args[5] = {name[0]};
    int count = 1;
    if (name[1]) args[count++] = name[1];
    args[count++] = word;
    args[count] = next;
    return program_run(args);
}

static void test_unknown_option(void **state) {
    (void)state;
    for (int i = 0; i < PROGRAMS; i++) {
        const char *sub = programs[i][1];
        char text[128];
        snprintf(text, sizeof text,
                 "--qqqqqqqq: unknown or ambiguous option of %s%s%s; see 'tessera", programs[i][0],
                 sub ? " " : "", sub ? sub : "");
        assert_program(run_with(i, "--qqqqqqqq", NULL), 2, text);
        assert_program(run_with(i, "-q", NULL), 2, "-q: unknown");
        assert_program(run_with(i, "--hepl", NULL), 2, "did you mean --help?");
        assert_program(run_with(i, "--help=5", NULL), 2, "--help: takes no value; give it alone");
    }
}

static void test_missing_value(void **state) {
    (void)state;
    for (int i = 0; i < PROGRAMS; i++) {
        const char *option = strcmp(programs[i][0], "report") == 0 ? "--out" : "--json";
        char text[64];
        snprintf(text, sizeof text, "%s: a value is missing", option);
        assert_program(run_with(i, option, NULL), 2, text);
    }
}

static void test_words(void **state) {
    (void)state;
    for (int i = 0; i < PROGRAMS - 1; i++)
        assert_program(run_with(i, "zebra", NULL), 2, "'zebra' is one argument too many");
    assert_program(RUN("bench", "compare", "a", "b", "zebra"), 2, "'zebra' is one argument");
    assert_program(RUN("bench", "compare", "a"), 2, "an argument is missing");
}

static void test_numbers(void **state) {
    (void)state;
    assert_program(RUN("bench", "net", "--net", "lenet5", "--batch", "0"), 2,
                   "--batch: '0' is not a whole number from 1 to 65536");
    assert_program(RUN("bench", "net", "--net", "lenet5", "--width", "x"), 2,
                   "--width: 'x' is not a number");
    assert_program(RUN("bench", "conv", "--samples", "1e3"), 2, "--samples: '1e3'");
    assert_program(RUN("bench", "roof", "--samples", "0"), 2, "--samples: '0'");
    assert_program(RUN("report", "--batch", "8x"), 2, "--batch: '8x'");
}

/* The device is missing too, which is told by what asks for it first: nothing was opened on it, let alone compiled or measured. */
#define NO_DEVICE "--device", "no such device"

static void test_outputs(void **state) {
    (void)state;
    static const char gone[] = "/nonexistent/out.html", why[] = "/nonexistent/out.html: cannot be";
    static const char data[] = "synthetic:digits,count=8";
    assert_program(RUN(NO_DEVICE, "report", "--out", gone), 1, "/nonexistent/out");
    assert_program(RUN(NO_DEVICE, "bench", "roof", "--json", gone), 1, why);
    assert_program(RUN(NO_DEVICE, "bench", "fc", "--problem", "n1c4k4", "--json", gone), 1, why);
    assert_program(RUN(NO_DEVICE, "bench", "conv", "--problem", "n1c3h8w8k4r3s3", "--json", gone),
                   1, why);
    assert_program(RUN(NO_DEVICE, "bench", "net", "--net", "lenet5", "--batch", "1", "--mode",
                       "infer", "--json", gone),
                   1, why);
    assert_program(RUN(NO_DEVICE, "tune", "--problem", "n1c3h8w8k4r3s3", "--json", gone), 1, why);
    assert_program(RUN(NO_DEVICE, "tune", "--problem", "n1c3h8w8k4r3s3", "--record", gone), 1,
                   gone);
    assert_program(RUN(NO_DEVICE, "kernels", "build", "--net", "lenet5", "--out", gone), 1, why);
    assert_program(RUN(NO_DEVICE, "export", "lenet5", "--out", gone), 1, why);
    assert_program(RUN(NO_DEVICE, "train", "lenet5", "--data", data, "--out", "/dev/null/out"), 1,
                   "/dev/null/out");
    assert_program(RUN(NO_DEVICE, "doctor", "--capsule", gone), 1, why);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_option), cmocka_unit_test(test_missing_value),
        cmocka_unit_test(test_words),          cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
