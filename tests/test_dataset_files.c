/* MNIST and CIFAR-10 files: read as they are, and refused where they are damaged. */
#include "support/folder.h"

#include "train/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* ---------------------------------------------------------------- helpers */

/* Bytes of a file in the making. */
struct bytes {
    unsigned char data[4096];
    size_t size;
};

static void put32(struct bytes *bytes, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes->data[bytes->size++] = (unsigned char)(value >> shift);
}

/* Three images of 4 x 5 pixels: 0, 1, 2 ... and on, and their labels 7, 0, 9. */
enum { COUNT = 3, H = 4, W = 5 };

static struct bytes good_images(void) {
    struct bytes bytes = {.size = 0};
    put32(&bytes, 0x803);
    put32(&bytes, COUNT);
    put32(&bytes, H);
    put32(&bytes, W);
    for (int i = 0; i < COUNT * H * W; i++)
        bytes.data[bytes.size++] = (unsigned char)i;
    return bytes;
}

static struct bytes good_labels(void) {
    struct bytes bytes = {.size = 0};
    put32(&bytes, 0x801);
    put32(&bytes, COUNT);
    static const unsigned char labels[COUNT] = {7, 0, 9};
    memcpy(bytes.data + bytes.size, labels, COUNT);
    bytes.size += COUNT;
    return bytes;
}

static void put_file(const char *folder, const char *name, const struct bytes *bytes) {
    char path[FOLDER_PATH_SIZE];
    bytes_write(folder_path(folder, name, path), bytes->data, bytes->size);
}

static void put_gzip(const char *folder, const char *name, const struct bytes *bytes) {
    char path[FOLDER_PATH_SIZE];
    gzFile out = gzopen(folder_path(folder, name, path), "wb");
    assert_non_null(out);
    assert_int_equal(gzwrite(out, bytes->data, (unsigned)bytes->size), bytes->size);
    assert_int_equal(gzclose(out), Z_OK);
}

static void put_mnist(const char *folder, const char *part) {
    char name[64];
    struct bytes images = good_images(), labels = good_labels();
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", part);
    put_file(folder, name, &images);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", part);
    put_file(folder, name, &labels);
}

static tess_status open_spec(const char *kind, const char *folder, bool test_part,
                             tess_error *error, struct dataset **out) {
    char spec[FOLDER_PATH_SIZE];
    struct dataset_options options = {.test_part = test_part};
    snprintf(spec, sizeof spec, "%s:%s", kind, folder);
    return dataset_open(spec, &options, error, out);
}

static struct dataset *open_ok(const char *kind, const char *folder, bool test_part) {
    struct dataset *data = NULL;
    tess_error error = {0};
    if (open_spec(kind, folder, test_part, &error, &data)) fail_msg("%s", error.text);
    assert_non_null(data);
    return data;
}

/* Must fail with this status and one line that holds text. */
static void expect_refused(const char *kind, const char *folder, tess_status want,
                           const char *text) {
    struct dataset *data = NULL;
    tess_error error = {0};
    tess_status status = open_spec(kind, folder, false, &error, &data);
    if (status != want)
        fail_msg("want \"%s\": %s instead: %s", text, tess_status_string(status), error.text);
    assert_null(data);
    if (!strstr(error.text, text)) fail_msg("want \"%s\" in \"%s\"", text, error.text);
    if (!strstr(error.text, ": ") || !strchr(error.text, ';') || strchr(error.text, '\n'))
        fail_msg("no \"what: why; what to do\" in one line: \"%s\"", error.text);
}

/* With damaged images or labels in place of the good ones. NULL: the good ones. */
static void expect_mnist_refused(const char *folder, const struct bytes *images,
                                 const struct bytes *labels, const char *text) {
    put_mnist(folder, "train");
    if (images) put_file(folder, "train-images-idx3-ubyte", images);
    if (labels) put_file(folder, "train-labels-idx1-ubyte", labels);
    expect_refused("mnist", folder, TESS_BAD_FORMAT, text);
}

/* ---------------------------------------------------------------- MNIST */

static void check_small_mnist(const struct dataset *data) {
    assert_int_equal(data->count, COUNT);
    assert_int_equal(data->c, 1);
    assert_int_equal(data->h, H);
    assert_int_equal(data->w, W);
    assert_int_equal(data->classes, 10);
    assert_false(data->synthetic);
    assert_true(data->mean[0] == 0.1307f && data->std[0] == 0.3081f);
    for (int i = 0; i < COUNT * H * W; i++)
        assert_int_equal(data->pixels[i], i);
    static const int32_t labels[COUNT] = {7, 0, 9};
    assert_memory_equal(data->labels, labels, sizeof labels);
}

static void test_mnist_plain(void **state) {
    put_mnist(*state, "train");
    struct dataset *data = open_ok("mnist", *state, false);
    check_small_mnist(data);
    assert_string_equal(data->name, "MNIST, train files");
    dataset_destroy(data);
}

static void test_mnist_gzip(void **state) {
    struct bytes images = good_images(), labels = good_labels();
    put_gzip(*state, "train-images-idx3-ubyte.gz", &images);
    put_gzip(*state, "train-labels-idx1-ubyte.gz", &labels);
    struct dataset *data = open_ok("mnist", *state, false);
    check_small_mnist(data);
    dataset_destroy(data);
}

static void test_mnist_parts(void **state) {
    put_mnist(*state, "t10k");
    struct dataset *data = open_ok("mnist", *state, false); /* nothing else there */
    assert_string_equal(data->name, "MNIST, t10k files");
    dataset_destroy(data);
    put_mnist(*state, "train");
    data = open_ok("mnist", *state, false);
    assert_string_equal(data->name, "MNIST, train files");
    dataset_destroy(data);
    data = open_ok("mnist", *state, true);
    assert_string_equal(data->name, "MNIST, t10k files");
    dataset_destroy(data);
}

static void test_mnist_missing(void **state) {
    const char *folder = *state;
    char path[FOLDER_PATH_SIZE];
    expect_refused("mnist", "", TESS_INVALID_ARGUMENT, "no folder");
    expect_refused("mnist", folder_path(folder, "none", path), TESS_IO, "No such file");
    expect_refused("mnist", folder, TESS_IO, "train-images-idx3-ubyte: neither this file nor");
    struct bytes images = good_images();
    put_file(folder, "train-images-idx3-ubyte", &images);
    expect_refused("mnist", folder_path(folder, "train-images-idx3-ubyte", path), TESS_IO,
                   "Not a directory");
    expect_refused("mnist", folder, TESS_IO, "train-labels-idx1-ubyte: neither this file nor");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused("mnist", folder, TESS_IO, "directory");
}

static void test_mnist_mislabelled(void **state) {
    struct bytes images = good_images(), labels = good_labels();
    expect_mnist_refused(*state, &labels, &images, "mislabelled: it should hold images and holds");
    expect_mnist_refused(*state, NULL, &images, "mislabelled: it should hold labels and holds");
    images.data[2] = 0x0D; /* floats */
    expect_mnist_refused(*state, &images, NULL, "begins with 0x00000d03");
}

static void test_mnist_every_truncation(void **state) {
    struct bytes images = good_images(), labels = good_labels();
    for (size_t whole = images.size; images.size > 0;) {
        images.size--;
        expect_mnist_refused(*state, &images, NULL, "truncated");
        assert_true(images.size < whole);
    }
    while (labels.size > 0) {
        labels.size--;
        expect_mnist_refused(*state, NULL, &labels, "truncated");
    }
}

static void test_mnist_oversized(void **state) {
    struct bytes images = good_images(), labels = good_labels();
    images.size++;
    expect_mnist_refused(*state, &images, NULL, "oversized");
    labels.size++;
    expect_mnist_refused(*state, NULL, &labels, "oversized");
}

static struct bytes with_word(struct bytes bytes, size_t offset, uint32_t value) {
    bytes.size = offset;
    struct bytes whole = bytes;
    put32(&whole, value);
    whole.size = 16 + COUNT * H * W;
    return whole;
}

static void test_mnist_absurd_headers(void **state) {
    static const uint32_t absurd[] = {0, 0x80000000u, 0xFFFFFFFFu};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        for (size_t offset = 4; offset < 16; offset += 4) {
            struct bytes images = with_word(good_images(), offset, absurd[i]);
            expect_mnist_refused(*state, &images, NULL, "its header announces");
        }
        struct bytes labels = with_word(good_labels(), 4, absurd[i]);
        expect_mnist_refused(*state, NULL, &labels, "its header announces");
    }
    /* Each size is sensible, their product is not. */
    struct bytes images =
        with_word(with_word(with_word(good_images(), 4, 10000000), 8, 1024), 12, 1024);
    expect_mnist_refused(*state, &images, NULL, "its header announces");
    /* Sensible, but not there: 2 GB are announced, and memory must not be taken before they come. */
    images = with_word(with_word(with_word(good_images(), 4, 2000), 8, 1024), 12, 1024);
    expect_mnist_refused(*state, &images, NULL, "truncated");
}

static void test_mnist_bad_labels(void **state) {
    struct bytes labels = good_labels();
    labels.data[9] = 10;
    expect_mnist_refused(*state, NULL, &labels, "label 10 of image 1");
    labels = good_labels();
    labels.data[7] = COUNT - 1;
    expect_mnist_refused(*state, NULL, &labels, "2 labels for 3 images");
}

static void test_mnist_damaged_gzip(void **state) {
    const char *folder = *state;
    char path[FOLDER_PATH_SIZE];
    struct bytes images = good_images(), labels = good_labels();
    put_gzip(folder, "t10k-images-idx3-ubyte.gz", &images);
    put_gzip(folder, "t10k-labels-idx1-ubyte.gz", &labels);
    folder_path(folder, "t10k-images-idx3-ubyte.gz", path);
    size_t size = 0;
    unsigned char *bytes = bytes_read(path, &size);
    for (size_t length = 0; length < size; length++) {
        bytes_write(path, bytes, length);
        expect_refused("mnist", folder, TESS_BAD_FORMAT, "truncated");
    }
    /* Any outcome but a crash: some bits of a gzip header mean nothing. */
    int refused = 0;
    for (size_t i = 0; i < size * 8; i++) {
        bytes[i / 8] ^= (unsigned char)(1u << i % 8);
        bytes_write(path, bytes, size);
        bytes[i / 8] ^= (unsigned char)(1u << i % 8);
        struct dataset *data = NULL;
        tess_error error = {0};
        refused += open_spec("mnist", folder, false, &error, &data) != TESS_OK;
        dataset_destroy(data);
    }
    assert_true(refused > (int)size * 4);
    bytes[size - 5] ^= 0x55; /* the checksum */
    bytes_write(path, bytes, size);
    expect_refused("mnist", folder, TESS_BAD_FORMAT, "gzip stream is corrupt");
    free(bytes);
}

/* The real files, where they are: the folder in TESSERA_TEST_DATA, or shared/data/mnist beside the sources. */
static void test_mnist_real(void **state) {
    (void)state;
    static const int want[10] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    char folder[512];
    const char *named = getenv("TESSERA_TEST_DATA"), *slash = strrchr(__FILE__, '/');
    snprintf(folder, sizeof folder, "%.*s/../../shared/data/mnist",
             slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".");
    if (named && *named) snprintf(folder, sizeof folder, "%s", named);
    if (access(folder, R_OK) != 0) {
        print_message("    SKIPPED: no MNIST files in %s; name their folder in TESSERA_TEST_DATA\n",
                      folder);
        skip();
    }
    struct dataset *data = open_ok("mnist", folder, true);
    assert_int_equal(data->count, 10000);
    assert_int_equal(data->h, 28);
    assert_int_equal(data->w, 28);
    int counts[10] = {0};
    double sum = 0;
    for (int i = 0; i < data->count; i++)
        counts[data->labels[i]]++;
    for (size_t i = 0; i < 10000 * 784; i++)
        sum += data->pixels[i];
    for (int i = 0; i < 10; i++)
        assert_int_equal(counts[i], want[i]);
    assert_int_equal(data->labels[0], 7);
    double mean = sum / (255.0 * 10000 * 784);
    assert_true(mean > 0.132 && mean < 0.133); /* of these files; 0.1307 is the training files' */
    dataset_destroy(data);
}

/* ---------------------------------------------------------------- CIFAR-10 */

enum { RECORD = 3073, PLANE = 1024 };

static uint8_t cifar_pixel(int record, int c, int i) {
    return (uint8_t)(record * 31 + c * 85 + i * 7 + i / 32);
}

/* records from number first on; the label of record i is i % 10. size: of the file; 0: whole. */
static void put_cifar(const char *folder, const char *name, int first, int records, size_t size) {
    char path[FOLDER_PATH_SIZE];
    unsigned char *bytes = check_alloc((size_t)records * RECORD + RECORD);
    memset(bytes, 0, (size_t)records * RECORD + RECORD);
    for (int r = 0; r < records; r++) {
        unsigned char *record = bytes + (size_t)r * RECORD;
        record[0] = (unsigned char)((first + r) % 10);
        for (int c = 0; c < 3; c++)
            for (int i = 0; i < PLANE; i++)
                record[1 + c * PLANE + i] = cifar_pixel(first + r, c, i);
    }
    bytes_write(folder_path(folder, name, path), bytes, size ? size : (size_t)records * RECORD);
    free(bytes);
}

static void check_cifar(const struct dataset *data, const int *records, int count) {
    assert_int_equal(data->count, count);
    assert_int_equal(data->c, 3);
    assert_int_equal(data->h, 32);
    assert_int_equal(data->w, 32);
    for (int n = 0; n < count; n++) {
        assert_int_equal(data->labels[n], records[n] % 10);
        for (int y = 0; y < 32; y++)
            for (int x = 0; x < 32; x++)
                for (int c = 0; c < 3; c++)
                    assert_int_equal(data->pixels[((n * 32 + y) * 32 + x) * 3 + c],
                                     cifar_pixel(records[n], c, y * 32 + x));
    }
}

static void test_cifar10(void **state) {
    const char *folder = *state;
    put_cifar(folder, "data_batch_2.bin", 8, 3, 0);
    put_cifar(folder, "data_batch_5.bin", 21, 2, 0);
    struct dataset *data =
        open_ok("cifar10", folder, true); /* no test batch: the training batches */
    check_cifar(data, (const int[]){8, 9, 10, 21, 22}, 5);
    assert_string_equal(data->name, "CIFAR-10, 2 training batches");
    assert_int_equal(data->classes, 10);
    assert_string_equal(data->class_names[0], "airplane");
    assert_string_equal(data->class_names[9], "truck");
    assert_true(data->mean[0] == 0.4914f && data->mean[1] == 0.4822f && data->mean[2] == 0.4465f);
    assert_true(data->std[0] == 0.2470f && data->std[1] == 0.2435f && data->std[2] == 0.2616f);
    dataset_destroy(data);
    put_cifar(folder, "test_batch.bin", 3, 1, 0);
    data = open_ok("cifar10", folder, true);
    check_cifar(data, (const int[]){3}, 1);
    assert_string_equal(data->name, "CIFAR-10, test batch");
    dataset_destroy(data);
    data = open_ok("cifar10", folder, false);
    assert_int_equal(data->count, 5);
    dataset_destroy(data);
}

static void test_cifar10_only_test_batch(void **state) {
    put_cifar(*state, "test_batch.bin", 3, 2, 0);
    struct dataset *data = open_ok("cifar10", *state, false);
    check_cifar(data, (const int[]){3, 4}, 2);
    dataset_destroy(data);
}

static void test_cifar10_damaged(void **state) {
    const char *folder = *state;
    char path[FOLDER_PATH_SIZE];
    expect_refused("cifar10", folder, TESS_IO, "neither data_batch_1.bin");
    expect_refused("cifar10", folder_path(folder, "none", path), TESS_IO, "No such file");
    static const size_t sizes[] = {1, RECORD - 1, RECORD + 1, 2 * RECORD - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put_cifar(folder, "data_batch_1.bin", 0, 2, sizes[i]);
        expect_refused("cifar10", folder, TESS_BAD_FORMAT, "data_batch_1.bin");
    }
    bytes_write(folder_path(folder, "data_batch_1.bin", path), "", 0);
    expect_refused("cifar10", folder, TESS_BAD_FORMAT, "0 bytes");
    put_cifar(folder, "data_batch_1.bin", 0, 2, 0);
    size_t size = 0;
    unsigned char *bytes = bytes_read(path, &size);
    bytes[RECORD] = 10;
    bytes_write(path, bytes, size);
    free(bytes);
    expect_refused("cifar10", folder, TESS_BAD_FORMAT, "label 10 of record 1");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused("cifar10", folder, TESS_IO, "folder");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_mnist_plain),
        CASE(test_mnist_gzip),
        CASE(test_mnist_parts),
        CASE(test_mnist_missing),
        CASE(test_mnist_mislabelled),
        CASE(test_mnist_every_truncation),
        CASE(test_mnist_oversized),
        CASE(test_mnist_absurd_headers),
        CASE(test_mnist_bad_labels),
        CASE(test_mnist_damaged_gzip),
        CASE(test_mnist_real),
        CASE(test_cifar10),
        CASE(test_cifar10_only_test_batch),
        CASE(test_cifar10_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
