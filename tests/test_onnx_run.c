/* ONNX models on the device: a network with every way that layouts take, against a float64 reference; errors; inputs. */
#include "support/check.h"
#include "support/onnx_build.h"
#include "support/onnx_expect.h"

#include "net/onnx/onnx_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 2, C = 5, H = 9, W = 7, K = 6, OUT = 4 };

/* ---------------------------------------------------------------- a small network */

/* x -> Conv 3x3, batch normalisation, Relu -> a; Conv 1x1 of a -> b; a + b; concat with a; MaxPool 2x2; global average; Flatten; Gemm. */
static void build_network(struct onnx_build *build, const float *w1, const float *b1,
                          const float *w2, const float *w3, float norm[4][K]) {
    static const char *const names[4] = {"scale", "shift", "average", "variance"};
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, "N,5,9,7");
    onnx_build_weight(build, "w1", 1, "6,5,3,3", w1);
    onnx_build_weight(build, "b1", 1, "6", b1);
    onnx_build_weight(build, "w2", 1, "6,6,1,1", w2);
    onnx_build_weight(build, "w3", 1, "4,12", w3);
    for (int i = 0; i < 4; i++)
        onnx_build_weight(build, names[i], 1, "6", norm[i]);
    onnx_build_node(build, "Conv", "x,w1,b1", "c1");
    onnx_build_attr_ints(build, "pads", "1,1,1,1");
    onnx_build_node(build, "BatchNormalization", "c1,scale,shift,average,variance", "n1");
    onnx_build_attr_float(build, "epsilon", 0.125f);
    onnx_build_node(build, "Relu", "n1", "a");
    onnx_build_node(build, "Conv", "a,w2", "b");
    onnx_build_node(build, "Add", "a,b", "sum");
    onnx_build_node(build, "Concat", "sum,a", "both");
    onnx_build_attr_int(build, "axis", 1);
    onnx_build_node(build, "MaxPool", "both", "pooled");
    onnx_build_attr_ints(build, "kernel_shape", "2,2");
    onnx_build_attr_ints(build, "strides", "2,2");
    onnx_build_node(build, "GlobalAveragePool", "pooled", "mean");
    onnx_build_node(build, "Flatten", "mean", "flat");
    onnx_build_node(build, "Gemm", "flat,w3", "y");
    onnx_build_attr_int(build, "transB", 1);
    onnx_build_output(build, "y", 1, "N,4");
    onnx_build_output(build, "sum", 1, NULL);
}

struct network {
    float w1[K * C * 9], b1[K], w2[K * K], w3[OUT * 2 * K];
    float norm[4][K];                /* scale, shift, mean, variance */
    double a[K][H][W], sum[K][H][W]; /* of one image */
};

static double conv3x3(const struct network *net, const float *x, int k, int h, int w) {
    double total = (double)net->b1[k];
    for (int c = 0; c < C; c++)
        for (int r = 0; r < 3; r++)
            for (int s = 0; s < 3; s++) {
                int i = h + r - 1, j = w + s - 1;
                if (i < 0 || i >= H || j < 0 || j >= W) continue;
                total +=
                    (double)x[(c * H + i) * W + j] * (double)net->w1[((k * C + c) * 3 + r) * 3 + s];
            }
    double invstd = 1 / sqrt((double)net->norm[3][k] + 0.125);
    return (total - (double)net->norm[2][k]) * invstd * (double)net->norm[0][k] +
           (double)net->norm[1][k];
}

/* Mean over the windows of their maxima. */
static double pool(double image[H][W]) {
    double total = 0;
    for (int p = 0; p < H / 2; p++)
        for (int q = 0; q < W / 2; q++) {
            double most = image[2 * p][2 * q];
            for (int i = 1; i < 4; i++)
                if (image[2 * p + i / 2][2 * q + i % 2] > most)
                    most = image[2 * p + i / 2][2 * q + i % 2];
            total += most;
        }
    return total / ((H / 2) * (W / 2));
}

static void reference(struct network *net, const float *x, double y[OUT]) {
    for (int k = 0; k < K; k++)
        for (int i = 0; i < H * W; i++) {
            double value = conv3x3(net, x, k, i / W, i % W);
            net->a[k][i / W][i % W] = value > 0 ? value : 0;
        }
    for (int k = 0; k < K; k++)
        for (int i = 0; i < H * W; i++) {
            double total = net->a[k][i / W][i % W];
            for (int c = 0; c < K; c++)
                total += (double)net->w2[k * K + c] * net->a[c][i / W][i % W];
            net->sum[k][i / W][i % W] = total;
        }
    for (int o = 0; o < OUT; o++) {
        y[o] = 0;
        for (int k = 0; k < K; k++)
            y[o] += (double)net->w3[o * 2 * K + k] * pool(net->sum[k]) +
                    (double)net->w3[o * 2 * K + K + k] * pool(net->a[k]);
    }
}

static void network_start(struct network *net, struct onnx_build *build) {
    check_random(net->w1, K * C * 9, -0.5f, 0.5f, 1);
    check_random(net->b1, K, -0.5f, 0.5f, 2);
    check_random(net->w2, K * K, -0.5f, 0.5f, 3);
    check_random(net->w3, OUT * 2 * K, -0.5f, 0.5f, 4);
    check_random(net->norm[0], 4 * K, 0.25f, 1.5f, 5);
    build_network(build, net->w1, net->b1, net->w2, net->w3, net->norm);
}

static struct onnx_model *finish(struct onnx_build *build) {
    size_t size;
    const uint8_t *bytes = onnx_build_pack(build, &size);
    struct onnx_model *model = onnx_expect_model(bytes, size);
    onnx_build_end(build);
    return model;
}

static void check_outputs(tess_context *ctx, struct network *net, struct onnx_run *run,
                          const float *x) {
    struct onnx_tensor y = {0}, sum = {0};
    double want[OUT];
    const struct onnx_tensor given = {
        .dtype = ONNX_FLOAT, .rank = 4, .dims = {N, C, H, W}, .count = N * C * H * W, .data = x};
    assert_ok(ctx, onnx_run_write(run, 0, &given));
    assert_ok(ctx, onnx_run_forward(run));
    assert_ok(ctx, onnx_run_read(run, 0, &y));
    assert_ok(ctx, onnx_run_read(run, 1, &sum));
    assert_int_equal(y.count, N * OUT);
    assert_int_equal(sum.rank, 4);
    for (int n = 0; n < N; n++) {
        reference(net, x + n * C * H * W, want);
        check_close((const float *)y.data + n * OUT, want, OUT, check_tolerance(200), 1, "y");
        check_close((const float *)sum.data + n * K * H * W, &net->sum[0][0][0], K * H * W,
                    check_tolerance(200), 1, "sum");
    }
    onnx_tensor_clear(&y);
    onnx_tensor_clear(&sum);
}

static void test_network(void **state) {
    tess_context *ctx = *state;
    struct network *net = check_alloc(sizeof *net);
    struct onnx_build build;
    float *x = check_alloc(sizeof *x * N * C * H * W);
    struct onnx_folded *folded = NULL;
    struct onnx_run *run = NULL;
    uint64_t before = tess_context_counters(ctx).device_bytes;
    network_start(net, &build);
    struct onnx_model *model = finish(&build);
    assert_ok(ctx, onnx_fold(model, &(struct onnx_fold_options){.batch = N}, NULL, &folded));
    assert_ok(ctx, onnx_run_create(ctx, model, folded, &run));
    struct onnx_run_info info = onnx_run_info(run);
    assert_int_equal(info.conversions, 2); /* x, and the output sum */
    assert_int_equal(info.steps, 8);       /* those, Conv, Conv, Concat, MaxPool, average, Gemm */
    assert_true(info.shared < info.alone);
    for (uint64_t seed = 10; seed < 12; seed++) { /* twice: nothing is left of the first time */
        check_random(x, N * C * H * W, -1, 1, seed);
        check_outputs(ctx, net, run, x);
    }
    onnx_run_destroy(run);
    onnx_folded_destroy(folded);
    onnx_model_destroy(model);
    assert_int_equal(tess_context_counters(ctx).device_bytes, before);
    free(x);
    free(net);
}

/* ---------------------------------------------------------------- what is not fused, what has no step */

static struct onnx_tensor run_floats(tess_context *ctx, struct onnx_build *build, int64_t count,
                                     const float *x) {
    struct onnx_model *model = finish(build);
    const struct onnx_tensor tensor = {
        .dtype = ONNX_FLOAT, .rank = 1, .dims = {count}, .count = count, .data = x};
    const struct onnx_given given = {"x", &tensor};
    struct onnx_tensor y = {0};
    assert_int_equal(model->output_count, 1);
    assert_ok(ctx, onnx_run_once(ctx, model, &given, 1, &y));
    y.name = "y"; /* the model goes */
    onnx_model_destroy(model);
    return y;
}

/* An output that is an input, through operators without a step. */
static void test_alias(void **state) {
    struct onnx_build build;
    const float x[6] = {1, -2, 3, -4, 5, -6};
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "N");
    onnx_build_ints(&build, "shape", "2,-1");
    onnx_build_ints(&build, "axes", "1");
    onnx_build_node(&build, "Identity", "x", "i");
    onnx_build_node(&build, "Reshape", "i,shape", "r");
    onnx_build_node(&build, "Unsqueeze", "r,axes", "u");
    onnx_build_node(&build, "Dropout", "u", "y");
    onnx_build_output(&build, "y", 1, NULL);
    struct onnx_tensor y = run_floats(*state, &build, 6, x);
    assert_int_equal(y.rank, 3);
    assert_int_equal(y.dims[0], 2);
    assert_int_equal(y.dims[1], 1);
    assert_int_equal(y.dims[2], 3);
    assert_memory_equal(y.data, x, sizeof x);
    onnx_tensor_clear(&y);
}

/* Tensors without elements run through. */
static void test_empty(void **state) {
    struct onnx_build build;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "N");
    onnx_build_weight(&build, "two", 1, "1", (const float[]){2});
    onnx_build_node(&build, "Relu", "x", "a");
    onnx_build_node(&build, "Mul", "a,two", "b");
    onnx_build_node(&build, "Concat", "a,b", "y");
    onnx_build_attr_int(&build, "axis", 0);
    onnx_build_output(&build, "y", 1, NULL);
    struct onnx_tensor y = run_floats(*state, &build, 0, (const float[]){0});
    assert_int_equal(y.count, 0);
    onnx_tensor_clear(&y);
}

/* ---------------------------------------------------------------- errors */

static void expect_failure(tess_context *ctx, struct onnx_build *build,
                           const struct onnx_given *given, int count, tess_status want,
                           const char *text) {
    struct onnx_model *model = finish(build);
    struct onnx_tensor outputs[4];
    uint64_t buffers = tess_context_counters(ctx).device_bytes;
    tess_status status = onnx_run_once(ctx, model, given, count, outputs);
    if (status != want || !strstr(tess_context_last_error(ctx), text))
        fail_msg("want \"%s\": %s instead: %s", text, tess_status_string(status),
                 tess_context_last_error(ctx));
    assert_int_equal(tess_context_counters(ctx).device_bytes, buffers);
    onnx_model_destroy(model);
}

/* All that is missing, by name, and nothing was allocated. */
static void test_unsupported(void **state) {
    tess_context *ctx = *state;
    struct onnx_build build;
    const float data[4] = {1, 2, 3, 4};
    const struct onnx_tensor x = {
        .dtype = ONNX_FLOAT, .rank = 2, .dims = {2, 2}, .count = 4, .data = data};
    const struct onnx_given given[] = {{"x", &x}};
    uint64_t buffers = tess_context_counters(ctx).buffers_created;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "2,2");
    onnx_build_node(&build, "Relu", "x", "a");
    onnx_build_node(&build, "Celu", "a", "b");
    onnx_build_node(&build, "Mish", "a", "c");
    onnx_build_output(&build, "b", 1, NULL);
    onnx_build_output(&build, "c", 1, NULL);
    expect_failure(ctx, &build, given, 1, TESS_UNSUPPORTED, "Celu (Celu_1), Mish (Mish_2)");
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "2,2");
    onnx_build_node(&build, "Relu", "x", "a");
    onnx_build_node(&build, "ArgMax", "a", "most");
    onnx_build_node(&build, "Neg", "most", "minus");
    onnx_build_node(&build, "Abs", "minus", "plus");
    onnx_build_output(&build, "plus", 7, NULL);
    expect_failure(ctx, &build, given, 1, TESS_UNSUPPORTED,
                   "2 nodes that no kernel is there for: Neg Neg_2 (int64), Abs Abs_3 (int64)");
    assert_int_equal(tess_context_counters(ctx).buffers_created, buffers);
}

static void build_add(struct onnx_build *build) {
    onnx_build_start(build, 13);
    onnx_build_input(build, "a", 1, "N,2");
    onnx_build_input(build, "b", 1, "N,2");
    onnx_build_node(build, "Add", "a,b", "y");
    onnx_build_output(build, "y", 1, NULL);
}

static void test_inputs(void **state) {
    struct onnx_build build;
    const double data[8] = {0};
    const struct onnx_tensor good = {
        .dtype = ONNX_FLOAT, .rank = 2, .dims = {2, 2}, .count = 4, .data = data};
    struct onnx_tensor flat = good, wide = good, real = good, tall = good;
    flat.rank = 1;
    flat.dims[0] = 4;
    wide.dims[0] = 1;
    wide.dims[1] = 4;
    tall.dims[0] = 3;
    tall.count = 6;
    real.dtype = ONNX_DOUBLE;
    const struct {
        struct onnx_given given[3];
        int count;
        tess_status want;
        const char *text;
    } cases[] = {
        {{{"a", &good}}, 1, TESS_NOT_FOUND, "input 'b'"},
        {{{"a", &good}, {"b", &good}, {"c", &good}}, 3, TESS_NOT_FOUND, "input 'c'"},
        {{{"a", &good}, {"b", &good}, {"a", &good}},
         3,
         TESS_INVALID_ARGUMENT,
         "'a': is given twice"},
        {{{"a", &good}, {"b", &flat}}, 2, TESS_INVALID_SHAPE, "input 'b'"},
        {{{"a", &good}, {"b", &wide}}, 2, TESS_INVALID_SHAPE, "dimension"},
        {{{"a", &good}, {"b", &tall}}, 2, TESS_INVALID_SHAPE, "input 'b': dimension 0"},
        {{{"a", &good}, {"b", &real}}, 2, TESS_INVALID_ARGUMENT, "is given as float64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build_add(&build);
        expect_failure(*state, &build, cases[i].given, cases[i].count, cases[i].want,
                       cases[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network), cmocka_unit_test(test_alias),
        cmocka_unit_test(test_empty),   cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_inputs),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
