/* Portfolios: reading, the nearest entry, condensing a database, and classes of devices. */
#include "core/embedded.h"
#include "db/device_class.h"
#include "db/portfolio.h"
#include "support/db_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE(problem, config)                                                                      \
    "{\"operation\":\"conv_fwd\",\"problem\":\"" problem "\",\"config\":\"" config "\",\"basis\":"

static struct portfolio *parse(const char *text) {
    tess_error error = {0};
    struct portfolio *portfolio = NULL;
    if (portfolio_parse("test", text, &error, &portfolio)) fail_msg("%s", error.text);
    return portfolio;
}

static void test_nearest(void **state) {
    (void)state;
    static const char text[] = LINE("n8c64h56w56k64r3s3", "a") "\"measured\",\"ms\":2.5}\n\n" LINE(
        "n8c512h7w7k512r3s3", "b") "\"reasoned\"}\n" LINE("n8c64h56w56k64r1s1",
                                                          "c") "\"reasoned\"}";
    struct portfolio *portfolio = parse(text);
    assert_int_equal(portfolio->count, 3);
    struct conv_advice out[4];
    tess_conv_desc desc;
    assert_int_equal(tess_conv_desc_parse("n8c256h14w14k256r3s3", NULL, &desc), TESS_OK);
    assert_int_equal(portfolio_advise(portfolio, "conv_fwd", &desc, out, 4), 2);
    assert_string_equal(out[0].config, "b");
    assert_string_equal(out[1].config, "a");
    assert_int_equal(out[0].nearness, CONV_PORTFOLIO);
    assert_string_equal(out[0].origin, "portfolio test");
    assert_true(out[0].seconds == 0 && out[1].seconds > 2.4e-3 && out[1].seconds < 2.6e-3);
    assert_int_equal(portfolio_advise(portfolio, "conv_fwd", &desc, out, 1), 1);
    assert_string_equal(out[0].config, "b");
    assert_int_equal(portfolio_advise(portfolio, "conv_fwd", &desc, out, 0), 0);
    assert_int_equal(portfolio_advise(portfolio, "conv_bwd_data", &desc, out, 4), 0);
    portfolio_free(portfolio);
}

static void test_bad(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{",
        "{}",
        "[]",
        LINE("n8c6", "a") "\"reasoned\"}",
        LINE("n8c64h56w56k64r3s3", "a") "\"guessed\"}",
        LINE("n8c64h56w56k64r3s3", "a") "\"measured\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tess_error error = {0};
        struct portfolio *portfolio = NULL;
        assert_int_equal(portfolio_parse("test", bad[i], &error, &portfolio), TESS_BAD_FORMAT);
        assert_non_null(strstr(error.text, "line 1"));
    }
}

/* What is shipped parses, and names configurations that exist. */
static void test_shipped(void **state) {
    (void)state;
    for (const struct embedded_source *e = embedded_portfolios; e->name; e++) {
        struct portfolio *portfolio = parse(e->text);
        for (int i = 0; i < portfolio->count; i++) {
            const char *printed = portfolio->list[i].config,
                       *pass = portfolio->list[i].operation + 5;
            const struct conv_algo *found = NULL;
            char prefix[CONV_CONFIG_SIZE];
            for (int j = 0; j < conv_algo_count; j++) {
                snprintf(prefix, sizeof prefix, "conv_%s_%s__", conv_algos[j]->name, pass);
                if (strncmp(printed, prefix, strlen(prefix)) == 0) found = conv_algos[j];
            }
            if (!found) fail_msg("%s: %s: there is no such algorithm", e->name, printed);
        }
        portfolio_free(portfolio);
    }
}

static void test_classes(void **state) {
    (void)state;
    tess_device_info device = db_fixture_device("cpu", "1");
    assert_string_equal(device_class(&device), "pocl-avx512");
    device.native_float_vector = 8;
    assert_string_equal(device_class(&device), "pocl-avx2");
    device.native_float_vector = 4;
    assert_string_equal(device_class(&device), "");
    device.type = CL_DEVICE_TYPE_GPU;
    assert_string_equal(device_class(&device), "any-gpu");
    snprintf(device.vendor, sizeof device.vendor, "Advanced Micro Devices, Inc.");
    assert_string_equal(device_class(&device), "amd-gpu");
    snprintf(device.vendor, sizeof device.vendor, "NVIDIA Corporation");
    assert_string_equal(device_class(&device), "nvidia-gpu");
    snprintf(device.vendor, sizeof device.vendor, "Intel(R) Corporation");
    assert_string_equal(device_class(&device), "intel-gpu");
    assert_string_equal(device_class_parent("intel-gpu"), "any-gpu");
    assert_null(device_class_parent("any-gpu"));
    assert_null(device_class_parent("pocl-avx512"));
}

static void add(struct db *db, const char *problem, const char *config, double seconds) {
    db_fixture_add(
        db, &(struct db_fixture_trial){.problem = problem, .config = config, .seconds = seconds});
}

/* Problem 2 is served within 5 % by 1's best, 3 is not, 4 has only its own, 5 is of another class, and its best is not strict. */
static void test_condense(void **state) {
    char out[FOLDER_PATH_SIZE];
    struct db *db = db_fixture_open(*state, "cpu", "1");
    tess_error error = {0};
    long rows = -1;
    folder_path(*state, "out.jsonl", out);
    assert_int_equal(db_portfolio(db, "pocl-avx512", out, &error, &rows), TESS_NOT_FOUND);
    add(db, "n1c64h56w56k64r3s3", "a", 1.00);
    add(db, "n2c64h56w56k64r3s3", "a", 2.08);
    add(db, "n2c64h56w56k64r3s3", "b", 2.00);
    add(db, "n4c64h56w56k64r3s3", "a", 4.40);
    add(db, "n4c64h56w56k64r3s3", "c", 4.00);
    add(db, "n8c64h56w56k64r3s3", "d", 8.00);
    add(db, "n8c64h56w56k64r1s1", "e", 0.50);
    db_fixture_add(db, &(struct db_fixture_trial){.problem = "n8c64h56w56k64r1s1",
                                                  .config = "w",
                                                  .seconds = 0.25,
                                                  .not_strict = true});
    add(db, "n8c64h56w56k64r1s1", "f", 1.00);
    db_fixture_add(db,
                   &(struct db_fixture_trial){
                       .operation = "clblast", .problem = "Xgemm", .config = "x", .seconds = 1});
    assert_int_equal(db_portfolio(db, "amd-gpu", out, &error, &rows), TESS_NOT_FOUND);
    if (db_portfolio(db, "pocl-avx512", out, &error, &rows)) fail_msg("%s", error.text);
    db_close(db);
    size_t size;
    unsigned char *bytes = bytes_read(out, &size);
    char *text = check_alloc(size + 1);
    memcpy(text, bytes, size);
    text[size] = '\0';
    struct portfolio *portfolio = parse(text);
    assert_int_equal(portfolio->count, 5);
    assert_int_equal(rows, 5);
    static const char *const kept[] = {"a", "c", "w", "e", "d"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(portfolio->list[i].config, kept[i]);
    portfolio_free(portfolio);
    free(bytes);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_classes),
        cmocka_unit_test_setup_teardown(test_condense, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
