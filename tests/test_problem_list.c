/* Lists of problems: files, counts, the networks' own lists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/net_choice.h"
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
    assert_int_equal(problem_list_add_net(&list, "../vgg16", NULL, &error), TESS_NOT_FOUND);
    assert_int_equal(problem_list_add_net(&list, "vgg17", NULL, &error), TESS_NOT_FOUND);
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
        if (problem_list_add_net(&list, nets[i].name, NULL, &error)) fail_msg("%s", error.text);
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

static tess_status choose(struct net_choice *choice, const char *option, const char *value) {
    tess_error error = {0};
    tess_status status = net_choice_set(choice, option, value, &error);
    if (status && (strncmp(error.text, "--", 2) != 0 || !strstr(error.text, option)))
        fail_msg("%s: %s", option, error.text);
    return status;
}

/* ResNet-18 at 64x64 of half the width: the stem sees 64 rows and has 32 filters, the last projection sees 4. */
static void test_sizes(void **state) {
    (void)state;
    struct net_choice choice = {0};
    struct problem_list list = {0};
    tess_error error = {0};
    assert_int_equal(choose(&choice, "input", "3x64x64"), TESS_OK);
    assert_int_equal(choose(&choice, "width", "0.5"), TESS_OK);
    assert_int_equal(choose(&choice, "classes", "7"), TESS_OK);
    assert_int_equal(net_choice_add(&choice, &list, &error), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "--net"));
    assert_int_equal(choose(&choice, "net", "resnet18"), TESS_OK);
    assert_int_equal(net_choice_add(&choice, &list, &error), TESS_OK);
    assert_int_equal(list.count, 11);
    const tess_conv_desc *first = &list.entries[0].desc, *last = &list.entries[10].desc;
    assert_true(first->c == 3 && first->h == 64 && first->w == 64 && first->k == 32);
    assert_true(last->c == 128 && last->h == 4 && last->w == 4 && last->k == 256);
    problem_list_free(&list);
}

static void test_bad_sizes(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"input", "64"},        {"input", "3x64"},     {"input", "3x0x64"},
        {"input", "3x64x64x1"}, {"input", "3x-64x64"}, {"classes", "0"},
        {"classes", "ten"},     {"classes", "10x"},    {"classes", "2000000"},
        {"width", "0"},         {"width", "nan"},      {"width", "65"},
        {"width", ""},          {"width", "1/2"},      {"classes", "999999999999999999999"}};
    struct net_choice choice = {0};
    struct problem_list list = {0};
    tess_error error = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(choose(&choice, bad[i][0], bad[i][1]), TESS_INVALID_ARGUMENT);
    for (int i = 0; i < NET_CHOICE_MAX; i++)
        assert_int_equal(choose(&choice, "net", "lenet5"), TESS_OK);
    assert_int_equal(choose(&choice, "net", "lenet5"), TESS_INVALID_ARGUMENT);
    assert_int_equal(net_choice_add(&choice, &list, &error), TESS_OK); /* nothing was taken over */
    assert_int_equal(list.entries[0].desc.h, 32);
    problem_list_free(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),      cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_networks),  cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bad_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
