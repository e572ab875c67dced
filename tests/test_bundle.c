/* Kernels compiled beforehand: a network runs and trains where the compiler is forbidden (tests/layers/no_compiler.c), to the same bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/kernel_bundle.h"
#include "net/npy.h"
#include "support/folder.h"
#include "support/layer.h"
#include "support/onnx_build.h"
#include "support/process.h"
#include "support/program.h"

enum { COUNT = 2 * 6 * 6 * 8, CLASSES = 3, RESULTS = COUNT + 2 * CLASSES };

static tess_context *make_context(const char *kernels) {
    tess_context *ctx = NULL;
    tess_error error = {0};
    const char *device = getenv("TESSERA_DEVICE");
    const tess_context_options options = {.device = device && *device ? device : "cpu",
                                          .kernels = kernels,
                                          .cache_dir = kernels ? "" : NULL};
    if (tess_context_create(&options, &error, &ctx)) fail_msg("%s", error.text);
    return ctx;
}

static tess_tensor *random_tensor(tess_context *ctx, tess_tensor_desc desc, uint64_t seed) {
    float values[COUNT];
    size_t count = tess_tensor_desc_elements(&desc);
    assert_true(count <= COUNT);
    check_random(values, count, -1, 1, seed);
    return check_tensor(ctx, desc, values);
}

/* A convolution and a fully connected layer on its result, planned as they come. */
static void compute(tess_context *ctx, float out[RESULTS]) {
    const tess_conv_desc desc = {.n = 2,
                                 .c = 8,
                                 .h = 6,
                                 .w = 6,
                                 .k = 8,
                                 .r = 3,
                                 .s = 3,
                                 .pad_top = 1,
                                 .pad_bottom = 1,
                                 .pad_left = 1,
                                 .pad_right = 1};
    tess_conv_plan *plan = NULL;
    tess_fc *fc = NULL;
    assert_ok(ctx, tess_conv_plan_create(ctx, &desc, NULL, &plan));
    assert_ok(
        ctx,
        tess_fc_create(
            ctx, &(tess_fc_desc){.n = 2, .c = COUNT / 2, .k = CLASSES, .forward_only = true}, &fc));
    int floats =
        (int)((tess_conv_plan_info(plan).workspace + tess_fc_workspace(fc)) / sizeof(float));
    tess_tensor *x = random_tensor(ctx, desc_nhwc(2, 8, 6, 6), 1);
    tess_tensor *w = random_tensor(ctx, desc_rsck(3, 3, 8, 8), 2);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(2, 8, 6, 6), NULL);
    tess_tensor *v = check_tensor(ctx, desc_rsck(6, 6, 8, CLASSES), NULL);
    tess_tensor *z = check_tensor(ctx, desc_nhwc(2, CLASSES, 1, 1), NULL);
    tess_tensor *scratch = check_tensor(ctx, desc_vector(floats + 1), NULL);
    assert_ok(ctx, tess_tensor_fill(v, 0.125f));
    assert_ok(ctx, tess_conv_plan_enqueue(
                       plan, &(tess_conv_args){.x = x, .w = w, .y = y, .workspace = scratch}));
    assert_ok(ctx, tess_fc_forward(fc, y, v, NULL, z, scratch, 0));
    assert_ok(ctx, tess_tensor_read(y, out, TESS_NHWC));
    assert_ok(ctx, tess_tensor_read(z, out + COUNT, TESS_NHWC));
    tess_tensor *all[] = {x, w, y, v, z, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tess_tensor_destroy(all[i]);
    tess_conv_plan_destroy(plan);
    tess_fc_destroy(fc);
}

/* What another process does under the layer: "worker BUNDLE OUT". */
static int worker(const char *bundle, const char *out) {
    float values[RESULTS];
    tess_context *ctx = make_context(bundle);
    if (tess_context_device(ctx)->compiler_available) return 3; /* the layer is not there */
    compute(ctx, values);
    tess_counters counters = tess_context_counters(ctx);
    if (counters.programs_compiled || !counters.programs_loaded) return 4;
    bytes_write(out, values, sizeof values);
    tess_context_destroy(ctx);
    return 0;
}

struct fixture {
    char folder[FOLDER_PATH_SIZE], bundle[FOLDER_PATH_SIZE];
    float values[RESULTS];
};

static int setup(void **state) {
    struct fixture *f = check_alloc(sizeof *f);
    folder_create(f->folder);
    folder_path(f->folder, "tiny.kernels", f->bundle);
    struct plan_record plans = {0};
    tess_context *ctx = make_context(NULL);
    ctx->plans = &plans;
    ctx->own_kernels_only = true;
    compute(ctx, f->values);
    assert_int_equal(plans.count, 3); /* two convolutions, one choice of who does the layer */
    assert_ok(ctx, kernel_bundle_write(ctx, &plans, f->bundle));
    free(plans.text);
    tess_context_destroy(ctx);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    folder_remove(f->folder);
    free(f);
    return 0;
}

static void same_bits_without_compiler(void **state) {
    const struct fixture *f = *state;
    char out[FOLDER_PATH_SIZE], path[LAYER_PATH_SIZE], layer[LAYER_PATH_SIZE + 16];
    size_t size;
    folder_path(f->folder, "values", out);
    snprintf(layer, sizeof layer, "OPENCL_LAYERS=%s", layer_path("no_compiler", path));
    const char *const arguments[] = {"worker", f->bundle, out, NULL};
    assert_int_equal(process_wait(process_start(arguments, layer)), 0);
    unsigned char *values = bytes_read(out, &size);
    assert_int_equal(size, sizeof f->values);
    check_same_bytes(values, f->values, size, "results");
    free(values);
}

/* With TESSERA_TEST_FULL, because PoCL takes most of a minute for the binaries: LeNet-5 through the command, both ways. */
static void lenet(void **state) {
    const struct fixture *f = *state;
    char bundle[FOLDER_PATH_SIZE], with[FOLDER_PATH_SIZE], without[FOLDER_PATH_SIZE],
        layer[LAYER_PATH_SIZE];
    size_t sizes[2];
    if (!getenv("TESSERA_TEST_FULL")) skip();
    folder_path(f->folder, "lenet.kernels", bundle);
    folder_path(f->folder, "with", with);
    folder_path(f->folder, "without", without);
    assert_program(RUN("kernels", "build", "--net", "lenet5-relu", "--input", "1x28x28",
                       "--classes", "10", "--batch", "64", "--out", bundle),
                   0, "programs");
    assert_program(RUN("train", "lenet5-relu", "--data", "synthetic:digits", "--epochs", "1",
                       "--out", without),
                   0, NULL);
    setenv("OPENCL_LAYERS", layer_path("no_compiler", layer), 1);
    assert_program(RUN("--kernels", bundle, "train", "lenet5-relu", "--data", "synthetic:digits",
                       "--epochs", "1", "--out", with),
                   0, NULL);
    folder_path(f->folder, "with/last.safetensors", with);
    folder_path(f->folder, "without/last.safetensors", without);
    assert_program(RUN("--kernels", bundle, "eval", "lenet5-relu", "--weights", with, "--data",
                       "synthetic:digits"),
                   0, NULL);
    unsetenv("OPENCL_LAYERS");
    unsigned char *a = bytes_read(with, &sizes[0]), *b = bytes_read(without, &sizes[1]);
    assert_int_equal(sizes[0], sizes[1]);
    check_same_bytes(a, b, sizes[0], "weights");
    free(a);
    free(b);
}

/* An ONNX model of one node. */
static void onnx_model(void **state) {
    const struct fixture *f = *state;
    char model[FOLDER_PATH_SIZE], bundle[FOLDER_PATH_SIZE], out[FOLDER_PATH_SIZE];
    char file[FOLDER_PATH_SIZE], input[FOLDER_PATH_SIZE + 8], layer[LAYER_PATH_SIZE];
    const float values[] = {1, -2, 3, -4};
    const struct onnx_tensor x = {
        .dtype = ONNX_FLOAT, .rank = 2, .dims = {2, 2}, .count = 4, .data = values};
    struct onnx_build build;
    tess_error error = {0};
    struct onnx_tensor y = {0};
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "N,2");
    onnx_build_node(&build, "Neg", "x", "y");
    onnx_build_output(&build, "y", 1, NULL);
    onnx_build_save(&build, folder_path(f->folder, "m.onnx", model));
    onnx_build_end(&build);
    folder_path(f->folder, "m.kernels", bundle);
    folder_path(f->folder, "out", out);
    assert_int_equal(npy_write(folder_path(f->folder, "x.npy", file), &x, &error), TESS_OK);
    snprintf(input, sizeof input, "x=%s", file);
    assert_program(RUN("kernels", "build", "--net", model, "--out", bundle), 1, "");
    assert_program(RUN("kernels", "build", "--net", model, "--out", bundle, "--mode", "train"), 2,
                   "--mode");
    assert_program(RUN("kernels", "build", "--net", model, "--out", bundle, "--batch", "2"), 0,
                   "1 program,");
    setenv("OPENCL_LAYERS", layer_path("no_compiler", layer), 1);
    struct program_result result =
        RUN("--kernels", bundle, "run", model, "--input", input, "--output-dir", out);
    unsetenv("OPENCL_LAYERS");
    assert_program(result, 0, "y: float32 2x2");
    assert_int_equal(npy_read(folder_path(f->folder, "out/y.npy", file), &error, &y), TESS_OK);
    for (int i = 0; i < 4; i++)
        assert_true(((const float *)y.data)[i] == -values[i]);
    onnx_tensor_clear(&y);
}

/* Without a bundle the layer's device is refused, with words that help. */
static void no_compiler_no_bundle(void **state) {
    (void)state;
    char path[LAYER_PATH_SIZE];
    setenv("OPENCL_LAYERS", layer_path("no_compiler", path), 1);
    struct program_result result = RUN("plan", "n1c1h3w3k1r1s1");
    unsetenv("OPENCL_LAYERS");
    assert_program(result, 1, "--kernels BUNDLE");
}

static void missing_program(void **state) {
    const struct fixture *f = *state;
    tess_context *ctx = make_context(f->bundle);
    tess_lrn *op = NULL;
    assert_int_equal(tess_lrn_create(ctx, &(tess_lrn_desc){.n = 1, .c = 4, .h = 2, .w = 2}, &op),
                     TESS_NOT_FOUND);
    assert_non_null(strstr(tess_context_last_error(ctx), "lrn"));
    assert_non_null(strstr(tess_context_last_error(ctx), "tessera kernels build"));
    tess_conv_plan *plan = NULL;
    const tess_conv_desc desc = {.n = 1, .c = 5, .h = 9, .w = 9, .k = 7, .r = 5, .s = 5};
    assert_int_equal(tess_conv_plan_create(ctx, &desc, NULL, &plan), TESS_NOT_FOUND);
    assert_non_null(strstr(tess_context_last_error(ctx), "conv_"));
    tess_fc *fc = NULL;
    assert_int_equal(
        tess_fc_create(ctx, &(tess_fc_desc){.n = 1, .c = 2, .k = 2, .backend = "clblast"}, &fc),
        TESS_UNSUPPORTED);
    tess_context_destroy(ctx);
}

/* Gives the status of opening these bytes as a bundle, and checks the message. */
static void expect_refusal(const struct fixture *f, const void *data, size_t size,
                           const tess_device_info *device, tess_status status, const char *text) {
    char path[FOLDER_PATH_SIZE];
    struct kernel_bundle *bundle = NULL;
    tess_error error = {0};
    bytes_write(folder_path(f->folder, "other.kernels", path), data, size);
    assert_int_equal(kernel_bundle_open(path, device, &error, &bundle), status);
    if (!strstr(error.text, text)) fail_msg("no '%s' in: %s", text, error.text);
    assert_null(bundle);
}

static void damaged(void **state) {
    const struct fixture *f = *state;
    size_t size;
    unsigned char *data = bytes_read(f->bundle, &size);
    tess_context *ctx = make_context(f->bundle);
    tess_device_info device = *tess_context_device(ctx), other = device;
    tess_context_destroy(ctx);
    expect_refusal(f, "no bundle", 9, &device, TESS_BAD_FORMAT, "no bundle of kernels");
    for (size_t cut = 1; cut < size; cut = 2 * cut + 1)
        expect_refusal(f, data, size - cut, &device, TESS_BAD_FORMAT, "make it anew");
    data[size / 2] ^= 1;
    expect_refusal(f, data, size, &device, TESS_BAD_FORMAT, "checksum");
    data[size / 2] ^= 1;
    data[8] = 9;
    expect_refusal(f, data, size, &device, TESS_UNSUPPORTED, "newer version");
    data[8] = 1;
    snprintf(other.driver_version, sizeof other.driver_version, "99.9");
    expect_refusal(f, data, size, &other, TESS_UNSUPPORTED, "driver 99.9");
    free(data);
    tess_error error = {0};
    struct kernel_bundle *bundle = NULL;
    assert_int_equal(kernel_bundle_open("/nonexistent/x.kernels", &device, &error, &bundle),
                     TESS_IO);
}

static void usage(void **state) {
    const struct fixture *f = *state;
    assert_program(RUN("kernels", "list", "--net", "lenet5", "--out", "x"), 2, "no action");
    assert_program(RUN("kernels", "build", "--net", "lenet5"), 2, "--out");
    assert_program(RUN("kernels", "build", "--net", "lenet5", "--out", "x", "--mode", "both"), 2,
                   "no mode");

    assert_program(RUN("--kernels", f->folder, "plan", "n1c1h3w3k1r1s1"), 1, "");
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "worker")) return worker(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_without_compiler),
        cmocka_unit_test(lenet),
        cmocka_unit_test(onnx_model),
        cmocka_unit_test(no_compiler_no_bundle),
        cmocka_unit_test(missing_program),
        cmocka_unit_test(damaged),
        cmocka_unit_test(usage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
