/* The command `tessera`, run as a user would: wrong usage, exit statuses, devices, summary, plan. */
#include "support/program.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Wrong usage: status 2, one line that names the thing, nothing on standard output. */
static void check_usage(const char *const *args, const char *text) {
    struct program_result result = program_run(args);
    assert_string_equal(result.out, "");
    assert_program(result, 2, text);
}

#define USAGE(text, ...) check_usage((const char *const[]){__VA_ARGS__, NULL}, text)

static void test_usage(void **state) {
    (void)state;
    check_usage((const char *const[]){NULL}, "no command");
    USAGE("did you mean 'devices'", "devcies");
    USAGE("did you mean 'report'", "repotr");
    USAGE("did you mean --device", "--devise", "cpu", "devices");
    USAGE("--db: empty", "--db", "", "devices");
    USAGE("no level", "--log", "loud", "devices");
    USAGE("a value is missing", "--device");
    USAGE("one argument too many", "devices", "x");
    USAGE("did you mean --json", "devices", "--jsno");
    USAGE("argument is missing", "summary");
    USAGE("CxHxW", "summary", "lenet5", "--input", "3x32");
    USAGE("CxHxW", "summary", "lenet5", "--input", "3x32x32x");
    USAGE("CxHxW", "summary", "lenet5", "--input", "0x32x32");
    USAGE("--batch", "summary", "lenet5", "--batch", "0");
    USAGE("nothing to plan", "plan");
    USAGE("exclude", "plan", "lenet5", "--problem", "n1c3h8w8k1r3s3");
    USAGE("fwd,bwd_data", "plan", "lenet5", "--pass", "forward");
    USAGE("fwd,bwd_data", "plan", "lenet5", "--pass", "fwd,");
    USAGE("no --weights", "eval", "lenet5");
    USAGE("no --data", "eval", "lenet5", "--weights", "x");
    USAGE("argument is missing", "predict", "lenet5", "--weights", "x");
    USAGE("no --weights", "predict", "lenet5", "x.png");
    USAGE("--top", "predict", "lenet5", "x.png", "--weights", "x", "--top", "0");
}

static void test_train_usage(void **state) {
    (void)state;
    USAGE("no MODEL", "train");
    USAGE("no --data", "train", "lenet5");
    USAGE("too many", "train", "lenet5", "lenet5");
    USAGE("did you mean --epochs", "train", "lenet5", "--epohcs", "3");
    USAGE("1 to 1000000", "train", "lenet5", "--epochs", "0");
    USAGE("'3x'", "train", "lenet5", "--epochs", "3x");
    USAGE("' 3'", "train", "lenet5", "--epochs", " 3");
    USAGE("99999999999", "train", "lenet5", "--epochs", "99999999999");
    USAGE("--lr", "train", "lenet5", "--lr", "-1");
    USAGE("--lr", "train", "lenet5", "--lr", "nan");
    USAGE("--lr", "train", "lenet5", "--lr", "0x1p3");
    USAGE("--lr", "train", "lenet5", "--lr", "");
    USAGE("N:FACTOR", "train", "lenet5", "--data", "synthetic:digits", "--lr-step", "3");
    USAGE("N:FACTOR", "train", "lenet5", "--data", "synthetic:digits", "--lr-step", "0:0.5");
    USAGE("--momentum", "train", "lenet5", "--momentum", "1");
    USAGE("--seed", "train", "lenet5", "--seed", "-1");
    USAGE("--val-last", "train", "lenet5", "--data", "x", "--val", "y", "--val-last", "3");
    USAGE("takes no value", "train", "lenet5", "--nesterov=1");
    USAGE("is not an amount of memory", "plan", "lenet5", "--memory", "2Q");
}

static void test_help(void **state) {
    (void)state;
    assert_program(RUN("--help"), 0, "commands");
    static const char *const commands[] = {"devices", "summary", "train", "eval",
                                           "predict", "plan",    "run"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        assert_program(RUN(commands[i], "--help"), 0, "usage: tessera ");
}

/* The line of JSON Lines text that has key equal to value, a new reference; every line must be JSON. */
static json_t *find_line(const char *text, const char *key, const char *value) {
    json_t *found = NULL;
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);
        assert_non_null(line);
        const char *got = json_string_value(json_object_get(line, key));
        if (!found && got && strcmp(got, value) == 0)
            found = line;
        else
            json_decref(line);
    }
    assert_string_equal(text, "");
    return found;
}

static json_int_t number(const json_t *line, const char *key) {
    return json_integer_value(json_object_get(line, key));
}

static void test_devices(void **state) {
    (void)state;
    assert_program(RUN("devices"), 0, "* ");
    struct program_result result = RUN("devices", "--json");
    assert_int_equal(result.status, 0);
    json_t *line = find_line(result.out, "type", "CPU");
    assert_non_null(line);
    assert_true(number(line, "compute_units") > 0);
    assert_true(number(line, "global_memory") > 0);
    json_decref(line);
    program_free(&result);
    assert_program(RUN("--device", "no such thing", "devices"), 1, "no such thing");
    assert_program(RUN("--device", "99:0", "devices"), 1, "99:0");
}

static void check_layer(const char *key, int parameters, int neurons, int k, int p, int q) {
    struct program_result result = RUN("summary", key, "--json");
    assert_int_equal(result.status, 0);
    json_t *line = find_line(result.out, "kind", "conv");
    assert_non_null(line);
    assert_int_equal(number(line, "parameters"), parameters);
    assert_int_equal(number(line, "neurons"), neurons);
    const json_t *shape = json_object_get(line, "output_chw");
    assert_int_equal(json_integer_value(json_array_get(shape, 0)), k);
    assert_int_equal(json_integer_value(json_array_get(shape, 1)), p);
    assert_int_equal(json_integer_value(json_array_get(shape, 2)), q);
    json_decref(line);
    program_free(&result);
}

/* A 3x3x3 filter on 8x8x3; ten 3x3x6 filters; the first layer of AlexNet. */
static void test_lecture_numbers(void **state) {
    (void)state;
    check_layer("n1c3h8w8k1r3s3", 28, 36, 1, 6, 6);
    check_layer("n1c6h8w8k10r3s3", 550, 360, 10, 6, 6);
    check_layer("n1c3h227w227k96r11s11u4v4", 34944, 290400, 96, 55, 55);
    assert_program(RUN("summary", "n1c3h227w227k96r11s11u4v4"), 0, "55x55x96");
    assert_program(RUN("summary", "n1c3h227w227k96r11s11u4v4"), 0, "34,944");
    assert_program(RUN("summary", "n1c3h227w227k96r11s11u4v4"), 0, "290,400");
}

static void test_summary(void **state) {
    (void)state;
    struct program_result result = RUN("summary", "lenet5", "--batch", "64", "--json");
    assert_int_equal(result.status, 0);
    json_t *line = find_line(result.out, "model", "lenet5");
    assert_non_null(line);
    assert_int_equal(number(line, "batch"), 64);
    assert_true(number(line, "parameters") > 60000);
    assert_int_equal(number(line, "bytes_parameters"), 4 * number(line, "parameters"));
    json_decref(line);
    program_free(&result);
    assert_program(RUN("summary", "convnetjs-cifar10", "--input", "1x28x28"), 0, "28x28x1");
    assert_program(RUN("summary", "vgg16"), 0, "138,357,544 parameters");
    assert_program(RUN("summary", "vgg16"), 0, "102,760,448");
    assert_program(RUN("summary", "vgg11", "--width", "0.25", "--classes", "7"), 0, "1x1x7 ");
    assert_program(RUN("summary", "vgg11", "--width", "0"), 2, "--width");
    assert_program(RUN("summary", "n1c3h8w8k1r3s3", "--classes", "3"), 2, "problem key");
    assert_program(RUN("summary", "lenet6"), 1, "lenet5");
    assert_program(RUN("summary", "n1c3h8"), 1, "n1c3h8");
    assert_program(RUN("summary", "n1c3h8w8k1r9s9"), 1, "r9s9");
    assert_program(RUN("summary", "lenet5", "--input", "1x4x4"), 1, NULL);
}

static void test_bench_net(void **state) {
    (void)state;
    static const char *const modes[] = {"train", "infer"};
    for (int i = 0; i < 2; i++) {
        struct program_result result =
            RUN("bench", "net", "--net", "lenet5-relu", "--batch", "2", "--mode", modes[i],
                "--samples", "2", "--width", "0.5", "--layers", "--json", "-");
        assert_int_equal(result.status, 0);
        json_t *line = find_line(result.out, "mode", modes[i]);
        assert_non_null(line);
        assert_string_equal(json_string_value(json_object_get(line, "net")), "lenet5-relu");
        assert_int_equal(number(line, "batch"), 2);
        assert_true(json_real_value(json_object_get(line, "ms")) > 0);
        assert_true(json_real_value(json_object_get(line, "ms_mad")) >= 0);
        assert_true(json_real_value(json_object_get(line, "images_per_s")) > 0);
        assert_true(number(line, "device_bytes_peak") > 0);
        json_decref(line);
        line = find_line(result.out, "op", "conv forward");
        assert_non_null(line);
        assert_int_equal(number(line, "instructions"), 2);
        double share = json_real_value(json_object_get(line, "share"));
        assert_true(share > 0 && share < 1);
        assert_true(number(line, "bytes") > 0);
        json_decref(line);
        line = find_line(result.out, "layer", "conv1");
        assert_non_null(line);
        assert_string_equal(json_string_value(json_object_get(line, "kind")), "conv");
        assert_true(json_real_value(json_object_get(line, "ms")) > 0);
        json_decref(line);
        line = find_line(result.out, "op", "update");
        assert_true((line != NULL) == (i == 0));
        json_decref(line);
        program_free(&result);
    }
    assert_program(RUN("bench", "net", "--net", "lenet6", "--batch", "2", "--mode", "train"), 1,
                   "lenet5");
    assert_program(RUN("bench", "net", "--net", "lenet5", "--batch", "0", "--mode", "train"), 2,
                   "--batch");
    assert_program(RUN("bench", "net", "--net", "lenet5", "--batch", "2"), 2, "--mode");
    assert_program(RUN("bench", "net", "--net", "lenet5", "--json", "/dev/null/rows"), 1,
                   "/dev/null/rows: cannot be written: Not a directory");
}

static void test_plan(void **state) {
    (void)state;
    struct program_result result = RUN("plan", "--problem", "n2c3h8w8k4r3s3", "--json");
    assert_int_equal(result.status, 0);
    static const char *const passes[] = {"fwd", "bwd_data", "bwd_weights"};
    for (int i = 0; i < 3; i++) {
        json_t *line = find_line(result.out, "pass", passes[i]);
        assert_non_null(line);
        assert_true(json_is_string(json_object_get(line, "algo")));
        assert_true(json_is_string(json_object_get(line, "tier")));
        assert_non_null(strstr(json_string_value(json_object_get(line, "problem")), "n2c3h8w8k4"));
        json_decref(line);
    }
    program_free(&result);
    result = RUN("plan", "lenet5-relu", "--batch", "4", "--pass", "fwd", "--json");
    assert_int_equal(result.status, 0);
    json_t *line = find_line(result.out, "pass", "fwd");
    assert_non_null(line);
    assert_true(json_is_string(json_object_get(line, "layer")));
    assert_non_null(strstr(json_string_value(json_object_get(line, "problem")), "n4c1"));
    assert_null(find_line(result.out, "pass", "bwd_data"));
    json_decref(line);
    program_free(&result);
    assert_program(RUN("plan", "lenet6"), 1, "lenet5");
    assert_program(RUN("plan", "lenet5", "--without", "activations"), 1, "activation, batch-norm");
    assert_program(RUN("plan", "n2c3h8w8k4r3s3", "--infer"), 2, "problem key");
    assert_program(RUN("plan", "--problem", "n1c3h8w8k1r9s9"), 1, "r9s9");
    assert_program(RUN("plan", "--problem", "n2c3h8w8k4r3s3", "--classes", "3"), 2, "problem key");
    assert_program(RUN("plan", "n2c3h8w8k4r3s3", "--width", "0.5"), 2, "problem key");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_train_usage),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_lecture_numbers),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_bench_net),
        cmocka_unit_test(test_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
