/* What is done with data sets in memory: generated digits, splitting, shuffling, batches. */
#include "support/check.h"

#include "train/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct dataset *open_digits(struct dataset_options options) {
    struct dataset *data = NULL;
    tess_error error = {0};
    if (dataset_open("synthetic:digits", &options, &error, &data)) fail_msg("%s", error.text);
    return data;
}

static void expect_error(tess_status got, tess_status want, const tess_error *error,
                         const char *text) {
    assert_int_equal(got, want);
    assert_int_equal(error->status, want);
    if (!strstr(error->text, text) || !strchr(error->text, ';'))
        fail_msg("want \"%s\" in \"%s\"", text, error->text);
}

static void test_bad_specs(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        tess_status want;
        const char *text;
    } specs[] = {{"", TESS_NOT_FOUND, "mnist:DIR"},
                 {"mnist", TESS_NOT_FOUND, "mnist:DIR"},
                 {"MNIST:x", TESS_NOT_FOUND, "mnist:DIR"},
                 {"imagenet:x\n", TESS_NOT_FOUND, "\"imagenet:x?\""},
                 {"synthetic:letters", TESS_NOT_FOUND, "synthetic:digits"},
                 {"synthetic:", TESS_NOT_FOUND, "synthetic:digits"}};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct dataset *data = NULL;
        tess_error error = {0};
        expect_error(dataset_open(specs[i].spec, NULL, &error, &data), specs[i].want, &error,
                     specs[i].text);
        assert_null(data);
    }
    struct dataset *data = NULL;
    tess_error error = {0};
    assert_int_equal(dataset_open(NULL, NULL, NULL, &data), TESS_INVALID_ARGUMENT);
    assert_int_equal(dataset_open("synthetic:digits", NULL, NULL, NULL), TESS_INVALID_ARGUMENT);
    struct dataset_options options = {.count = -1};
    expect_error(dataset_open("synthetic:digits", &options, &error, &data), TESS_INVALID_ARGUMENT,
                 &error, "-1 images");
    options.count = INT32_MAX;
    expect_error(dataset_open("synthetic:digits", &options, &error, &data), TESS_INVALID_ARGUMENT,
                 &error, "images");
    dataset_destroy(NULL);
}

/* ---------------------------------------------------------------- generated digits */

enum { IMAGE = 28 * 28 };

static void test_digits_repeat(void **state) {
    (void)state;
    struct dataset *a = open_digits((struct dataset_options){.count = 50, .seed = 3});
    struct dataset *b = open_digits((struct dataset_options){.count = 20, .seed = 3});
    struct dataset *other_seed = open_digits((struct dataset_options){.count = 20, .seed = 4});
    struct dataset *test =
        open_digits((struct dataset_options){.count = 20, .seed = 3, .test_part = true});
    assert_true(a->synthetic);
    assert_non_null(strstr(a->name, "synthetic"));
    assert_non_null(strstr(a->name, "not real data"));
    assert_int_equal(b->count, 20);
    check_same_bytes(a->pixels, b->pixels, 20 * IMAGE, "the first images of two counts");
    check_same_bytes(a->labels, b->labels, 20 * sizeof(int32_t), "their labels");
    for (int i = 0; i < 20; i++) {
        assert_memory_not_equal(a->pixels + i * IMAGE, other_seed->pixels + i * IMAGE, IMAGE);
        assert_memory_not_equal(a->pixels + i * IMAGE, test->pixels + i * IMAGE, IMAGE);
        assert_memory_not_equal(a->pixels + i * IMAGE, a->pixels + (i + 1) * IMAGE, IMAGE);
    }
    dataset_destroy(a);
    dataset_destroy(b);
    dataset_destroy(other_seed);
    dataset_destroy(test);
}

/* All digits come, about equally often; the picture lies in the middle; the normalisation fits. */
static void test_digits_statistics(void **state) {
    (void)state;
    struct dataset *data = open_digits((struct dataset_options){.seed = 5});
    assert_int_equal(data->count, 10000);
    assert_int_equal(data->classes, 10);
    int counts[10] = {0};
    double sum = 0, squares = 0;
    for (int n = 0; n < data->count; n++) {
        counts[data->labels[n]]++;
        double mass = 0, at[2] = {0};
        for (int i = 0; i < IMAGE; i++) {
            double light = data->pixels[n * IMAGE + i] / 255.0;
            sum += light;
            squares += light * light;
            if (light < 0.4) continue; /* not the noise */
            mass += light;
            at[0] += light * (i % 28);
            at[1] += light * (i / 28);
        }
        assert_true(mass > 5 && mass < 300);
        assert_true(fabs(at[0] / mass - 13.5) < 7 && fabs(at[1] / mass - 13.5) < 7);
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 850, 1150);
    double mean = sum / (10000.0 * IMAGE), std = sqrt(squares / (10000.0 * IMAGE) - mean * mean);
    assert_true(fabs(mean - (double)data->mean[0]) < 0.003);
    assert_true(fabs(std - (double)data->std[0]) < 0.005);
    dataset_destroy(data);
}

/* Labels fit the pictures: the nearest of 1,500 others has mostly the same, but it is no toy either. */
static void test_digits_labels(void **state) {
    (void)state;
    struct dataset *train = open_digits((struct dataset_options){.count = 1500, .seed = 1});
    struct dataset *test =
        open_digits((struct dataset_options){.count = 200, .seed = 1, .test_part = true});
    int right = 0;
    for (int n = 0; n < test->count; n++) {
        long best = 0;
        int label = -1;
        for (int m = 0; m < train->count; m++) {
            long distance = 0;
            for (int i = 0; i < IMAGE; i++) {
                int d = test->pixels[n * IMAGE + i] - train->pixels[m * IMAGE + i];
                distance += d * d;
            }
            if (label < 0 || distance < best) {
                best = distance;
                label = train->labels[m];
            }
        }
        right += label == test->labels[n];
    }
    print_message("    nearest neighbour: %d of 200 right\n", right);
    assert_in_range(right, 140, 196);
    dataset_destroy(train);
    dataset_destroy(test);
}

/* ---------------------------------------------------------------- splitting and shuffling */

static void test_split_last(void **state) {
    (void)state;
    struct dataset *data = open_digits((struct dataset_options){.count = 10, .seed = 9});
    struct dataset *whole = open_digits((struct dataset_options){.count = 10, .seed = 9});
    struct dataset *part = NULL;
    tess_error error = {0};
    static const int bad[] = {-1, 0, 10, 11};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(dataset_split_last(data, bad[i], &error, &part), TESS_INVALID_ARGUMENT, &error,
                     "choose 1 to 9");
    assert_int_equal(dataset_split_last(NULL, 1, NULL, &part), TESS_INVALID_ARGUMENT);
    assert_int_equal(dataset_split_last(data, 1, NULL, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(dataset_split_last(data, 3, &error, &part), TESS_OK);
    assert_int_equal(data->count, 7);
    assert_int_equal(part->count, 3);
    assert_string_equal(part->name, data->name);
    assert_true(part->synthetic && part->mean[0] == data->mean[0] && part->std[0] == data->std[0]);
    assert_memory_equal(data->pixels, whole->pixels, 7 * IMAGE);
    assert_memory_equal(part->pixels, whole->pixels + 7 * IMAGE, 3 * IMAGE);
    assert_memory_equal(part->labels, whole->labels + 7, 3 * sizeof(int32_t));
    dataset_destroy(data); /* the part lives on */
    assert_memory_equal(part->pixels, whole->pixels + 7 * IMAGE, 3 * IMAGE);
    dataset_destroy(part);
    dataset_destroy(whole);
}

static void test_shuffle(void **state) {
    (void)state;
    enum { N = 1000 };
    static int a[N], b[N], c[N], d[N];
    static bool seen[N];
    dataset_shuffle(N, 1, 0, a);
    dataset_shuffle(N, 1, 0, b);
    dataset_shuffle(N, 1, 1, c);
    dataset_shuffle(N, 2, 0, d);
    for (int i = 0; i < N; i++) {
        assert_in_range(a[i], 0, N - 1);
        assert_false(seen[a[i]]);
        seen[a[i]] = true;
    }
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_not_equal(a, d, sizeof a);
    int one[1] = {7};
    dataset_shuffle(1, 1, 0, one);
    assert_int_equal(one[0], 0);
    dataset_shuffle(0, 1, 0, NULL);
    /* Each of the 24 orders of four comes about equally often: chi squared, 23 degrees, p < 1e-4 above 57. */
    int counts[256] = {0};
    double chi = 0;
    for (uint64_t epoch = 0; epoch < 24000; epoch++) {
        int order[4];
        dataset_shuffle(4, 11, epoch, order);
        counts[order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6]++;
    }
    for (int i = 0; i < 256; i++)
        if (counts[i]) chi += (counts[i] - 1000.0) * (counts[i] - 1000.0) / 1000.0;
    int different = 0;
    for (int i = 0; i < 256; i++)
        different += counts[i] > 0;
    assert_int_equal(different, 24);
    assert_true(chi < 57);
}

/* ---------------------------------------------------------------- batches */

enum { BC = 3, BH = 3, BW = 5, BN = 4 };

/* Borrows its memory. */
static struct dataset small_dataset(uint8_t *pixels, int32_t *labels, int c) {
    struct dataset data = {.name = "small", .count = BN, .c = c, .h = BH, .w = BW, .classes = 10};
    data.pixels = pixels;
    data.labels = labels;
    for (int i = 0; i < BN * BH * BW * c; i++)
        pixels[i] = (uint8_t)(i * 37 + 11);
    pixels[0] = 255;
    pixels[1] = 0;
    for (int i = 0; i < BN; i++)
        labels[i] = 9 - i;
    for (int i = 0; i < c; i++) {
        data.mean[i] = 0.1f + 0.2f * (float)i;
        data.std[i] = 0.5f - 0.1f * (float)i;
    }
    return data;
}

static double normalised(const struct dataset *data, int pixel, int c) {
    return (pixel / 255.0 - (double)data->mean[c]) / (double)data->std[c];
}

/* Compares one batch with the formula. */
static void check_batch(int c, int h, int w, int rows, int batch) {
    static uint8_t pixels[BN * BH * BW * BC];
    static int32_t data_labels[BN];
    static const int order[6] = {3, 3, 2, 0, 1, 3};
    struct dataset data = small_dataset(pixels, data_labels, c);
    struct batch_shape shape = {.batch = batch, .c = c, .h = h, .w = w};
    size_t count = (size_t)(batch * c * h * w);
    float *images = check_alloc(count * sizeof *images);
    double *want = check_alloc(count * sizeof *want);
    int32_t labels[8];
    for (size_t i = 0; i < count; i++)
        images[i] = NAN;
    for (int i = 0; i < 8; i++)
        labels[i] = 77;
    tess_error error = {0};
    if (dataset_batch(&data, order, 1, rows, &shape, &error, images, labels))
        fail_msg("%s", error.text);
    int top = (h - BH) / 2, left = (w - BW) / 2;
    for (size_t i = 0; i < count; i++) {
        int channel = (int)i % c, x = (int)i / c % w, y = (int)i / c / w % h,
            n = (int)i / c / w / h;
        bool inside = y >= top && y < top + BH && x >= left && x < left + BW;
        int pixel = 0;
        int image = rows > 0 ? order[1 + n % rows] : 0;
        if (inside) pixel = pixels[((image * BH + y - top) * BW + x - left) * c + channel];
        want[i] = rows > 0 ? normalised(&data, pixel, channel) : 0;
    }
    check_close(images, want, count, 1e-7, 1e-6, "batch");
    for (int i = 0; i < 8; i++)
        assert_int_equal(labels[i], i < rows ? 9 - order[1 + i] : i < batch ? -1 : 77);
    free(images);
    free(want);
}

static void test_batch(void **state) {
    (void)state;
    for (int c = 1; c <= BC; c++) {
        check_batch(c, BH, BW, 4, 4);
        check_batch(c, BH, BW, 2, 5);
        check_batch(c, BH, BW, 0, 3);
        check_batch(c, BH + 4, BW + 4, 3, 4); /* as 28 x 28 in 32 x 32 */
        check_batch(c, BH + 1, BW + 3, 3,
                    3); /* cannot be centred exactly: more below and to the right */
        check_batch(c, BH, BW + 2, 1, 1);
    }
}

static void test_bad_batches(void **state) {
    (void)state;
    static uint8_t pixels[BN * BH * BW];
    static int32_t data_labels[BN];
    struct dataset data = small_dataset(pixels, data_labels, 1);
    float images[2 * BH * BW] = {5}, untouched[2 * BH * BW] = {5};
    int32_t labels[2] = {5, 5};
    static const struct {
        struct batch_shape shape;
        int first, rows, order[2];
        tess_status want;
        const char *text;
    } cases[] = {
        {{2, 3, BH, BW},
         0,
         2,
         {0, 1},
         TESS_INVALID_SHAPE,
         "1x3x5 (CxHxW), the network takes 3x3x5"},
        {{2, 1, BH - 1, BW}, 0, 2, {0, 1}, TESS_INVALID_SHAPE, "1x2x5"},
        {{2, 1, BH, BW - 1}, 0, 2, {0, 1}, TESS_INVALID_SHAPE, "1x3x4"},
        {{2, 1, BH, BW}, 0, 3, {0, 1}, TESS_INVALID_ARGUMENT, "batch of 2"},
        {{2, 1, BH, BW}, 0, -1, {0, 1}, TESS_INVALID_ARGUMENT, "-1 images"},
        {{2, 1, BH, BW}, -1, 1, {0, 1}, TESS_INVALID_ARGUMENT, "from -1"},
        {{2, 1, BH, BW}, 0, 2, {0, BN}, TESS_INVALID_ARGUMENT, "image 4 of small"},
        {{2, 1, BH, BW}, 0, 2, {0, -1}, TESS_INVALID_ARGUMENT, "image -1 of small"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tess_error error = {0};
        expect_error(dataset_batch(&data, cases[i].order, cases[i].first, cases[i].rows,
                                   &cases[i].shape, &error, images, labels),
                     cases[i].want, &error, cases[i].text);
        assert_memory_equal(images, untouched, sizeof images);
        assert_true(labels[0] == 5 && labels[1] == 5);
    }
    struct batch_shape shape = cases[3].shape;
    int order[1] = {0};
    assert_int_equal(dataset_batch(NULL, order, 0, 1, &shape, NULL, images, labels),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(dataset_batch(&data, NULL, 0, 1, &shape, NULL, images, labels),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(dataset_batch(&data, order, 0, 1, NULL, NULL, images, labels),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(dataset_batch(&data, order, 0, 1, &shape, NULL, NULL, labels),
                     TESS_INVALID_ARGUMENT);
    assert_int_equal(dataset_batch(&data, order, 0, 1, &shape, NULL, images, NULL),
                     TESS_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_specs),
        cmocka_unit_test(test_digits_repeat),
        cmocka_unit_test(test_digits_statistics),
        cmocka_unit_test(test_digits_labels),
        cmocka_unit_test(test_split_last),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_bad_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
