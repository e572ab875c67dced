/* Lists of problems: files, counts, the networks' own lists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/problem_list.h"
#include "support/check.h"
#include "support/folder.h"

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static tess_status read_text(const char *text, struct problem_list *list, tess_error *error) {
    char folder[FOLDER_PATH_SIZE], path[FOLDER_PATH_SIZE];
    folder_create(folder);
    folder_path(folder, "problems.txt", path);
    write_text(path, text);
    tess_status status = problem_list_add_file(list, path, error);
    folder_remove(folder);
    return status;
}

static void test_file(void **state) {
    (void)state;
    struct problem_list list = {0};
    tess_error error = {0};
    assert_int_equal(read_text("# two\n\nn1c3h8w8k4r3s3 x3 # stem\n  n2c4h8w8k4r1s1\r\n"
                               "n1c3h8w8k4r3s3u1v1 x2\n",
                               &list, &error),
                     TESS_OK);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.entries[0].count, 3);
    assert_int_equal(list.entries[1].count, 1);
    assert_int_equal(problem_list_set_batch(&list, 8, &error), TESS_OK);
    assert_int_equal(list.entries[1].desc.n, 8);
    assert_int_equal(problem_list_set_batch(&list, 1 << 30, &error), TESS_UNSUPPORTED);
    problem_list_free(&list);
    assert_int_equal(list.count, 0);
}

static void test_bad_files(void **state) {
    (void)state;
    static const char *const bad[] = {"n1c3\n",
                                      "n1c3h8w8k4r3s3 3\n",
                                      "n1c3h8w8k4r3s3 x\n",
                                      "n1c3h8w8k4r3s3 x0\n",
                                      "n1c3h8w8k4r3s3 x3 x3\n",
                                      "# nothing\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct problem_list list = {0};
        tess_error error = {0};
        assert_int_equal(read_text(bad[i], &list, &error), TESS_INVALID_ARGUMENT);
        if (i < 5) assert_non_null(strstr(error.text, "line 1"));
        problem_list_free(&list);
    }
    struct problem_list list = {0};
    tess_error error = {0};
    assert_int_equal(problem_list_add_file(&list, "/nonexistent/problems.txt", &error), TESS_IO);
    assert_int_equal(problem_list_add_net(&list, "../vgg16", &error), TESS_NOT_FOUND);
    assert_int_equal(problem_list_add_net(&list, "vgg17", &error), TESS_NOT_FOUND);
}

/* Multiply-adds of one image through all convolutions, as the papers and common tables give them (in 10^9). GoogLeNet has two in its
   auxiliary classifiers. */
static void test_networks(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int distinct, layers;
        double low, high;
    } nets[] = {{"alexnet", 5, 5, 0.6, 0.7},
                {"vgg16", 9, 13, 15.3, 15.4},
                {"googlenet", 51, 59, 1.4, 1.6},
                {"resnet18", 11, 20, 1.80, 1.82},
                {"resnet50", 23, 53, 4.0, 4.1}};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        struct problem_list list = {0};
        tess_error error = {0};
        if (problem_list_add_net(&list, nets[i].name, &error)) fail_msg("%s", error.text);
        double products = 0;
        int layers = 0;
        for (int j = 0; j < list.count; j++) {
            layers += list.entries[j].count;
            products += list.entries[j].count * tess_conv_flops(&list.entries[j].desc) / 2e9;
        }
        assert_int_equal(list.count, nets[i].distinct);
        assert_int_equal(layers, nets[i].layers);
        if (!(products > nets[i].low && products < nets[i].high))
            fail_msg("%s: %g thousand million products", nets[i].name, products);
        problem_list_free(&list);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
