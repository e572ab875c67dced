/* metrics.jsonl, the schedule, and the numbers in a checkpoint's metadata. */
#include "net/safetensors.h"
#include "support/folder.h"
#include "train/metrics.h"
#include "train/schedule.h"
#include "train/text_fields.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void append(const char *path, int epoch, bool val) {
    tess_error error = {0};
    struct metrics line = {
        .epoch = epoch,
        .train_loss = 1.0 / epoch,
        .has_val = val,
        .val_acc = 98.75,
        .val_loss = 0.0625,
        .seconds = 0.5,
        .lr = 0.05,
        .images_per_s = 16000,
        .synthetic = !val,
    };
    if (metrics_append(path, &line, &error)) fail_msg("%s", error.text);
}

/* The epochs of the file's lines, each of which must be JSON; gives their number. */
static int read_epochs(const char *path, int epochs[8]) {
    size_t size;
    unsigned char *text = bytes_read(path, &size);
    int count = 0;
    for (size_t at = 0; at < size;) {
        unsigned char *end = memchr(text + at, '\n', size - at);
        assert_non_null(end);
        size_t length = (size_t)(end - (text + at));
        json_t *line = json_loadb((char *)text + at, length, 0, NULL);
        assert_non_null(line);
        assert_true(count < 8);
        epochs[count++] = (int)json_integer_value(json_object_get(line, "epoch"));
        json_decref(line);
        at += length + 1;
    }
    free(text);
    return count;
}

static void test_line(void **state) {
    char path[FOLDER_PATH_SIZE];
    size_t size;
    append(folder_path(*state, "metrics.jsonl", path), 1, true);
    unsigned char *text = bytes_read(path, &size);
    json_t *line = json_loadb((char *)text, size, 0, NULL);
    assert_non_null(line);
    assert_int_equal(json_integer_value(json_object_get(line, "epoch")), 1);
    assert_true(json_real_value(json_object_get(line, "train_loss")) == 1);
    assert_true(json_real_value(json_object_get(line, "val_acc")) == 98.75);
    assert_true(json_real_value(json_object_get(line, "seconds")) == 0.5);
    assert_null(json_object_get(line, "synthetic"));
    json_decref(line);
    free(text);
    append(path, 2, false);
    text = bytes_read(path, &size);
    unsigned char *second = memchr(text, '\n', size);
    assert_non_null(second);
    line = json_loadb((char *)second + 1, size - (size_t)(second + 1 - text), 0, NULL);
    assert_null(json_object_get(line, "val_acc"));
    assert_true(json_is_true(json_object_get(line, "synthetic")));
    json_decref(line);
    free(text);
}

static void test_keep(void **state) {
    char path[FOLDER_PATH_SIZE];
    int epochs[8];
    tess_error error = {0};
    folder_path(*state, "metrics.jsonl", path);
    assert_int_equal(metrics_keep(path, 3, &error), TESS_OK); /* no file */
    for (int epoch = 1; epoch <= 5; epoch++)
        append(path, epoch, true);
    assert_int_equal(metrics_keep(path, 3, &error), TESS_OK);
    assert_int_equal(read_epochs(path, epochs), 3);
    assert_int_equal(epochs[2], 3);
    assert_int_equal(metrics_keep(path, 3, &error), TESS_OK);
    assert_int_equal(read_epochs(path, epochs), 3);
    assert_int_equal(folder_count(*state), 1); /* no temporary file */
    assert_int_equal(metrics_keep(path, 0, &error), TESS_OK);
    assert_int_equal(read_epochs(path, epochs), 0);
}

/* What a kill within a write leaves: a torn last line. */
static void test_torn(void **state) {
    char path[FOLDER_PATH_SIZE];
    int epochs[8];
    size_t size;
    tess_error error = {0};
    append(folder_path(*state, "metrics.jsonl", path), 1, true);
    append(path, 2, true);
    unsigned char *text = bytes_read(path, &size);
    bytes_write(path, text, size - 7);
    free(text);
    assert_int_equal(metrics_keep(path, 2, &error), TESS_OK);
    assert_int_equal(read_epochs(path, epochs), 1);
    append(path, 2, true);
    assert_int_equal(read_epochs(path, epochs), 2);
}

static void test_unwritable(void **state) {
    char path[FOLDER_PATH_SIZE];
    tess_error error = {0};
    struct metrics line = {.epoch = 1};
    folder_path(*state, "no/such/folder", path);
    assert_int_equal(metrics_append(path, &line, &error), TESS_IO);
    assert_non_null(strstr(error.text, path));
    assert_null(strchr(error.text, '\n'));
}

static void test_schedule(void **state) {
    (void)state;
    struct schedule constant = {0.1, 0, 0.5}, steps = {0.05, 3, 0.5};
    assert_true(schedule_lr(&constant, 1000) == 0.1);
    const double want[] = {0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125};
    for (int epoch = 0; epoch < 7; epoch++)
        assert_true(schedule_lr(&steps, epoch) == want[epoch]);
}

static void test_numbers(void **state) {
    (void)state;
    const double values[] = {0, 0.05, 1.0 / 3, 1e-30, 98.6999999999999, 12345678901234.0, 0.1307f};
    char text[FIELD_NUMBER_SIZE];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_true(strtod(field_number(values[i], text), NULL) == values[i]);
    assert_string_equal(field_number(0.05, text), "0.05");
}

static void test_fields(void **state) {
    (void)state;
    struct text_fields fields = {0};
    fields_add(&fields, "lr", "%g", 0.5);
    fields_add(&fields, "seed", "%s", "18446744073709551615");
    fields_add(&fields, "bad", "%s", "1x");
    assert_false(fields.failed);
    struct safetensors file = {.metadata = fields.list};
    struct field_reader reader = {&file, true};
    assert_true(fields_number(&reader, "lr", 0, 1) == 0.5);
    assert_true(fields_u64(&reader, "seed") == UINT64_MAX);
    assert_true(reader.good);
    fields_number(&reader, "bad", 0, 10);
    assert_false(reader.good);
    reader.good = true;
    fields_number(&reader, "none", 0, 10);
    assert_false(reader.good);
    reader.good = true;
    fields_number(&reader, "lr", 1, 2);
    assert_false(reader.good);
    for (int i = 0; i < 100; i++)
        fields_add(&fields, "k", "%d", i);
    assert_true(fields.failed);
    fields_free(&fields);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_line, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_keep, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_torn, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_unwritable, folder_setup, folder_teardown),
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
