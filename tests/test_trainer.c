/* The training loop: counters, learning, stopping, and evaluation against arithmetic of its own. */
#include "net/safetensors.h"
#include "support/folder.h"
#include "train/data_spec.h"
#include "train/evaluate.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run {
    tess_context *ctx;
    tess_graph *graph;
    tess_net *net;
    struct dataset *data, *val;
    struct train_settings settings;
    struct train_state state;
    struct run_dir dir;
    char folder[FOLDER_PATH_SIZE];
};

/* graph: owned by *r from now on; NULL: the zoo's. */
static void open_graph(struct run *r, const char *folder, const char *name, tess_graph *graph) {
    void *ctx;
    tess_error error = {0};
    assert_int_equal(check_setup(&ctx), 0);
    *r = (struct run){.ctx = ctx,
                      .graph = graph,
                      .settings = {.model = "lenet5-relu",
                                   .data = "synthetic:digits,count=210",
                                   .val_last = 50,
                                   .epochs = 2,
                                   .batch = 32,
                                   .schedule = {0.05, 0, 1},
                                   .momentum = 0.9,
                                   .seed = 1}};
    tess_net_options options = {.batch = r->settings.batch, .training = true, .seed = 1};
    folder_path(folder, name, r->folder);
    if (data_open(r->settings.data, DATA_TRAIN, &error, &r->data) ||
        dataset_split_last(r->data, r->settings.val_last, &error, &r->val) ||
        (!graph && tess_zoo_build(r->settings.model, NULL, &error, &r->graph)) ||
        run_dir_open(r->folder, &error, &r->dir))
        fail_msg("%s", error.text);
    assert_ok(r->ctx, tess_net_create(r->ctx, r->graph, &options, &r->net));
    assert_ok(r->ctx, tess_net_init(r->net, r->settings.seed));
}

static void open_run(struct run *r, const char *folder) {
    open_graph(r, folder, "run", NULL);
}

static void close_run(struct run *r) {
    run_dir_close(&r->dir);
    tess_net_destroy(r->net);
    tess_graph_destroy(r->graph);
    dataset_destroy(r->val);
    dataset_destroy(r->data);
    tess_context_destroy(r->ctx);
}

static struct trainer trainer_of(const struct run *r, struct train_events events) {
    return (struct trainer){.ctx = r->ctx,
                            .net = r->net,
                            .settings = &r->settings,
                            .train = r->data,
                            .val = r->val,
                            .data_hash = data_hash(r->data),
                            .dir = &r->dir,
                            .events = events};
}

struct counting {
    tess_context *ctx;
    int steps, epochs;
    tess_counters first; /* after the first step */
    double losses[8];
    bool stop_in_second_epoch;
};

/* Nothing is allocated, compiled or made after the first step; validation included. */
static void count_step(void *user, const struct train_progress *progress) {
    struct counting *c = user;
    tess_counters now = tess_context_counters(c->ctx);
    if (c->steps++ == 0) c->first = now;
    assert_true(now.buffers_created == c->first.buffers_created);
    assert_true(now.programs_compiled == c->first.programs_compiled);
    assert_true(now.programs_loaded == c->first.programs_loaded);
    assert_true(now.kernels_created == c->first.kernels_created);
    assert_true(now.device_bytes == c->first.device_bytes);
    assert_true(now.device_bytes_peak == c->first.device_bytes_peak);
    assert_int_equal(progress->step, (c->steps - 1) % progress->steps + 1);
    assert_int_equal(progress->steps, 5); /* 160 images in batches of 32 */
}

static void count_epoch(void *user, const struct metrics *metrics, bool best) {
    struct counting *c = user;
    if (c->epochs == 0) assert_true(best);
    assert_true(c->epochs < 8);
    c->losses[c->epochs++] = metrics->train_loss;
    assert_int_equal(metrics->epoch, c->epochs);
    assert_true(metrics->has_val && metrics->synthetic);
}

static bool stop_later(void *user) {
    const struct counting *c = user;
    return c->stop_in_second_epoch && c->steps >= 7;
}

static void test_steady_state(void **state) {
    struct run r;
    tess_error error = {0};
    bool stopped;
    open_run(&r, *state);
    struct counting counting = {.ctx = r.ctx};
    struct trainer trainer =
        trainer_of(&r, (struct train_events){&counting, count_step, count_epoch, NULL});
    if (trainer_run(&trainer, &r.state, &stopped, &error)) fail_msg("%s", error.text);
    assert_false(stopped);
    assert_int_equal(counting.steps, 10);
    assert_int_equal(counting.epochs, 2);
    assert_int_equal(r.state.epoch, 2);
    assert_int_equal(r.state.step, 10);
    assert_true(counting.losses[1] < counting.losses[0]);
    assert_int_equal(folder_count(r.folder), 3);
    close_run(&r);
}

static void test_stop(void **state) {
    struct run r;
    tess_error error = {0};
    bool stopped;
    open_run(&r, *state);
    struct counting counting = {.ctx = r.ctx, .stop_in_second_epoch = true};
    struct trainer trainer =
        trainer_of(&r, (struct train_events){&counting, count_step, count_epoch, stop_later});
    if (trainer_run(&trainer, &r.state, &stopped, &error)) fail_msg("%s", error.text);
    assert_true(stopped);
    assert_int_equal(counting.steps, 7);
    assert_int_equal(r.state.epoch, 1);
    struct safetensors *file = NULL;
    if (safetensors_read(r.dir.last, &error, &file)) fail_msg("%s", error.text);
    struct train_settings settings;
    struct train_state stored;
    uint64_t hash;
    if (checkpoint_read_run(file, r.dir.last, &error, &settings, &stored, &hash))
        fail_msg("%s", error.text);
    assert_int_equal(stored.epoch, 1);
    assert_int_equal(stored.step, 5);
    assert_true(hash == trainer.data_hash);
    assert_true(stored.best == r.state.best);
    assert_true(settings.schedule.lr == 0.05 && settings.momentum == 0.9);
    assert_int_equal(settings.val_last, 50);
    assert_string_equal(settings.model, "lenet5-relu");
    safetensors_destroy(file);
    close_run(&r);
}

static tess_graph *graph_with_norm(void) {
    tess_graph *graph = NULL;
    tess_error error = {0};
    if (tess_graph_create("norm", &error, &graph)) fail_msg("%s", error.text);
    tess_node n = tess_graph_input(graph, 1, 28, 28);
    n = tess_graph_conv(
        graph, n, &(tess_conv_layer){.filters = 2, .kernel_h = 3, .stride_h = 3, .no_bias = true});
    n = tess_graph_batch_norm(graph, n, &(tess_batch_norm_layer){.act = {TESS_ACT_RELU, 0}});
    n = tess_graph_fc(graph, n, &(tess_fc_layer){.outputs = 10});
    tess_graph_softmax(graph, n);
    if (tess_graph_check(graph, &error)) fail_msg("%s", error.text);
    return graph;
}

static void train_until(struct run *r, int epochs) {
    tess_error error = {0};
    bool stopped;
    r->settings.epochs = epochs;
    struct trainer trainer = trainer_of(r, (struct train_events){0});
    if (trainer_run(&trainer, &r->state, &stopped, &error)) fail_msg("%s", error.text);
    assert_int_equal(r->state.epoch, epochs);
}

/* A training in two parts gives the same bits as one in one part, running statistics too. */
static void test_parts_with_batch_norm(void **state) {
    struct run whole, parts;
    open_graph(&whole, *state, "whole", graph_with_norm());
    open_graph(&parts, *state, "parts", graph_with_norm());
    train_until(&whole, 2);
    train_until(&parts, 1);
    train_until(&parts, 2);
    for (int i = 0; i < tess_net_param_count(whole.net); i++) {
        tess_param a = tess_net_param(whole.net, i), b = tess_net_param(parts.net, i);
        float *values = check_read(a.value), *others = check_read(b.value);
        check_same_bytes(values, others, tess_tensor_desc_bytes(tess_tensor_get_desc(a.value)),
                         a.name);
        free(values);
        free(others);
    }
    close_run(&parts);
    close_run(&whole);
}

/* Batches must not matter to accuracy and loss, and both follow from the probabilities. */
static void test_evaluate(void **state) {
    struct run r;
    tess_error error = {0};
    struct evaluation result;
    open_run(&r, *state);
    if (evaluate(r.ctx, r.net, r.val, &error, &result)) fail_msg("%s", error.text);
    float probabilities[32 * 10];
    int order[50], correct = 0;
    double loss = 0;
    for (int i = 0; i < 50; i++)
        order[i] = i;
    for (int i = 0; i < 50; i++) {
        struct batch_rows one = {r.val, order, i, 1};
        if (classify(r.ctx, r.net, &one, &error, probabilities)) fail_msg("%s", error.text);
        double sum = 0;
        for (int k = 0; k < 10; k++)
            sum += probabilities[k];
        assert_true(fabs(sum - 1) < 1e-5);
        loss -= log((double)probabilities[r.val->labels[i]]);
        bool is_largest = true;
        for (int k = 0; k < 10; k++)
            is_largest &= probabilities[k] <= probabilities[r.val->labels[i]];
        correct += is_largest;
    }
    assert_int_equal(result.count, 50);
    assert_int_equal(result.correct, correct);
    assert_true(fabs(result.mean_loss - loss / 50) < 1e-5);
    assert_true(fabs(result.accuracy - 2 * correct) < 1e-9);
    close_run(&r);
}

/* Weights that overflow in an epoch's last step, whose loss was fine, do not replace the last good checkpoint. */
static void test_overflow(void **state) {
    struct run r;
    struct safetensors *file = NULL;
    tess_error error = {0};
    bool stopped;
    open_run(&r, *state);
    r.data->count = 20; /* one step an epoch */
    r.settings.schedule.lr = 1e38;
    r.settings.weight_decay = 1e30;
    struct trainer trainer = trainer_of(&r, (struct train_events){0});
    trainer.val = NULL;
    assert_int_equal(trainer_run(&trainer, &r.state, &stopped, &error), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "no longer finite after epoch 1"));
    assert_int_equal(r.state.epoch, 0);
    if (safetensors_read(r.dir.last, &error, &file)) fail_msg("%s", error.text);
    assert_string_equal(safetensors_metadata(file, "epoch"), "0");
    for (int i = 0; i < file->count; i++)
        assert_true(isfinite(file->tensors[i].data[0]));
    safetensors_destroy(file);
    assert_int_not_equal(access(r.dir.metrics, F_OK), 0);
    close_run(&r);
}

/* NaN is no accuracy. */
static void test_evaluate_nan(void **state) {
    struct run r;
    tess_error error = {0};
    struct evaluation result;
    open_run(&r, *state);
    int last = tess_net_param_count(r.net) - 1;
    assert_ok(r.ctx, tess_tensor_fill(tess_net_param(r.net, last).value, NAN));
    assert_int_equal(evaluate(r.ctx, r.net, r.val, &error, &result), TESS_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "not numbers"));
    close_run(&r);
}

/* One training at a time in a folder. */
static void test_lock(void **state) {
    struct run_dir first, second;
    char path[FOLDER_PATH_SIZE];
    tess_error error = {0};
    folder_path(*state, "a/b/c", path);
    assert_int_equal(run_dir_open(path, &error, &first), TESS_OK);
    assert_int_equal(run_dir_open(path, &error, &second), TESS_IO);
    assert_non_null(strstr(error.text, "another training"));
    run_dir_close(&first);
    assert_int_equal(run_dir_open(path, &error, &second), TESS_OK);
    run_dir_close(&second);
}

/* A folder that was made goes if nothing was written; one that was there stays. */
static void test_empty_folder(void **state) {
    struct run_dir dir;
    char path[FOLDER_PATH_SIZE];
    tess_error error = {0};
    folder_path(*state, "made", path);
    assert_int_equal(run_dir_open(path, &error, &dir), TESS_OK);
    run_dir_close(&dir);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(run_dir_open(path, &error, &dir), TESS_OK);
    FILE *metrics = fopen(dir.metrics, "w");
    assert_non_null(metrics);
    fclose(metrics);
    run_dir_close(&dir);
    assert_int_equal(access(dir.metrics, F_OK), 0);
    assert_int_equal(remove(dir.metrics), 0);
    assert_int_equal(run_dir_open(path, &error, &dir), TESS_OK);
    run_dir_close(&dir);
    assert_int_equal(access(path, F_OK), 0);
}

/* Training and test part, and two seeds, share no image. */
static void test_data_spec(void **state) {
    (void)state;
    const struct {
        const char *spec;
        enum data_part part;
    } parts[] = {{"synthetic:digits,count=20", DATA_TRAIN},
                 {"synthetic:digits,count=20", DATA_TEST},
                 {"synthetic:digits,count=20,seed=2", DATA_TRAIN},
                 {"synthetic:digits,seed=1,count=20", DATA_TRAIN}};
    uint64_t hashes[4];
    tess_error error = {0};
    for (int i = 0; i < 4; i++) {
        struct dataset *data;
        if (data_open(parts[i].spec, parts[i].part, &error, &data)) fail_msg("%s", error.text);
        assert_int_equal(data->count, 20);
        assert_true(data->synthetic);
        hashes[i] = data_hash(data);
        dataset_destroy(data);
    }
    assert_true(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
    assert_true(hashes[0] == hashes[3]);
    const char *const bad[] = {"synthetic:digits,",
                               "synthetic:digits,count=0",
                               "synthetic:digits,count=",
                               "synthetic:digits,count=3x",
                               "synthetic:digits,seed=-1",
                               "synthetic:letters",
                               "synthetic:digits,size=",
                               "synthetic:digits,size=3x0x5",
                               "synthetic:digits,size=3x9x9,count=4",
                               "synthetic:digits,size=9x8x8",
                               "synthetic:digits,size=3x16384x16384"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dataset *data = NULL;
        assert_int_not_equal(data_open(bad[i], DATA_TRAIN, &error, &data), TESS_OK);
        assert_null(data);
        assert_null(strchr(error.text, '\n'));
    }
}

/* Twice the size: the means of every 2 x 2 block of half the size are the pixels; three channels repeat one. */
static void test_scaled_data(void **state) {
    (void)state;
    struct dataset *small = NULL, *large = NULL, *original = NULL;
    tess_error error = {0};
    if (data_open("synthetic:digits,count=5", DATA_TRAIN, &error, &original) ||
        data_open("synthetic:digits,count=5,size=3x14x14", DATA_TRAIN, &error, &small) ||
        data_open("synthetic:digits,count=5,size=3x31x40", DATA_TRAIN, &error, &large))
        fail_msg("%s", error.text);
    assert_int_equal(small->c, 3);
    assert_int_equal(small->count, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(small->labels[i], original->labels[i]);
        for (int y = 0; y < 14; y++)
            for (int x = 0; x < 14; x++) {
                const uint8_t *block = original->pixels + ((i * 28 + 2 * y) * 28 + 2 * x);
                double mean = (block[0] + block[1] + block[28] + block[29]) / 4.0;
                const uint8_t *got = small->pixels + ((i * 14 + y) * 14 + x) * 3;
                assert_true(fabs(got[0] - mean) <= 0.5001);
                assert_true(got[1] == got[0] && got[2] == got[0]);
            }
    }
    for (int c = 0; c < 3; c++)
        assert_true(small->mean[c] == original->mean[0] && small->std[c] == original->std[0]);
    assert_true(large->h == 31 && large->w == 40);
    int64_t sums[2] = {0};
    for (int i = 0; i < 5 * 28 * 28; i++)
        sums[0] += original->pixels[i];
    for (int i = 0; i < 5 * 31 * 40 * 3; i++)
        sums[1] += large->pixels[i];
    double means[] = {(double)sums[0] / (28 * 28), (double)sums[1] / (31 * 40 * 3)};
    assert_true(fabs(means[0] - means[1]) < 0.03 * means[0]);
    dataset_destroy(small), dataset_destroy(large), dataset_destroy(original);
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(test_steady_state),
        FOLDER_TEST(test_stop),
        FOLDER_TEST(test_parts_with_batch_norm),
        FOLDER_TEST(test_evaluate),
        FOLDER_TEST(test_lock),
        FOLDER_TEST(test_empty_folder),
        FOLDER_TEST(test_overflow),
        FOLDER_TEST(test_evaluate_nan),
        cmocka_unit_test(test_data_spec),
        cmocka_unit_test(test_scaled_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
