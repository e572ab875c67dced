/* Shapes and constants of ONNX models worked out before they run. */
#include "support/check.h"
#include "support/onnx_build.h"
#include "support/onnx_data.h"
#include "support/onnx_expect.h"

#include "net/onnx/onnx_fold.h"
#include "net/onnx/onnx_window.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct folded {
    struct onnx_model *model;
    struct onnx_folded *folded;
};

/* Reads and folds the builder's model, and ends the builder. */
static struct folded fold(struct onnx_build *build, const struct onnx_fold_options *options) {
    struct folded out = {NULL, NULL};
    size_t size;
    const uint8_t *bytes = onnx_build_pack(build, &size);
    tess_error error = {0};
    out.model = onnx_expect_model(bytes, size);
    if (onnx_fold(out.model, options, &error, &out.folded)) fail_msg("%s", error.text);
    onnx_build_end(build);
    return out;
}

static void fold_end(struct folded *f) {
    onnx_folded_destroy(f->folded);
    onnx_model_destroy(f->model);
}

static void expect_refused(struct onnx_build *build, const struct onnx_fold_options *options,
                           tess_status want, const char *text) {
    size_t size;
    const uint8_t *bytes = onnx_build_pack(build, &size);
    struct onnx_model *model = onnx_expect_model(bytes, size);
    struct onnx_folded *folded = NULL;
    tess_error error = {0};
    tess_status status = onnx_fold(model, options, &error, &folded);
    onnx_expect_error(status, &error, want, text);
    assert_null(folded);
    onnx_model_destroy(model);
    onnx_build_end(build);
}

static const struct onnx_known *known(const struct folded *f, const char *name) {
    int value = onnx_model_find(f->model, name);
    assert_true(value >= 0);
    return &f->folded->values[value];
}

/* dims as "2,3,4"; "" for a single value. */
static void expect_dims(const struct folded *f, const char *name, const char *dims) {
    const struct onnx_known *k = known(f, name);
    char got[128] = "";
    size_t used = 0;
    for (int d = 0; d < k->rank; d++)
        used += (size_t)snprintf(got + used, sizeof got - used, d ? ",%lld" : "%lld",
                                 (long long)k->dims[d]);
    if (k->rank < 0) snprintf(got, sizeof got, "unknown");
    if (strcmp(got, dims) != 0) fail_msg("%s: got %s, want %s", name, got, dims);
}

/* An integer constant as "1,2,3". */
static void expect_ints(const struct folded *f, const char *name, const char *want) {
    const struct onnx_known *k = known(f, name);
    char got[256] = "";
    size_t used = 0;
    if (!k->constant) fail_msg("%s is no constant", name);
    assert_int_equal(k->constant->dtype, ONNX_INT64);
    assert_int_equal(k->constant->count, k->count);
    for (int64_t i = 0; i < k->count; i++)
        used += (size_t)snprintf(got + used, sizeof got - used, i ? ",%lld" : "%lld",
                                 (long long)((const int64_t *)k->constant->data)[i]);
    if (strcmp(got, want) != 0) fail_msg("%s: got %s, want %s", name, got, want);
}

/* ---------------------------------------------------------------- shape arithmetic */

/* x.view(x.size(0), -1), as PyTorch exports it. */
static void test_view(void **state) {
    (void)state;
    struct onnx_build build;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "N,16,5,5");
    onnx_build_node(&build, "Shape", "x", "shape");
    int64_t zero = 0, minus = -1;
    onnx_build_node(&build, "Constant", "", "index");
    onnx_build_attr_tensor(&build, "value", onnx_build_tensor(&build, "", 7, "", &zero));
    onnx_build_node(&build, "Gather", "shape,index", "n");
    onnx_build_ints(&build, "axes", "0");
    onnx_build_node(&build, "Unsqueeze", "n,axes", "n1");
    onnx_build_weight(&build, "rest", 7, "1", &minus);
    onnx_build_node(&build, "Concat", "n1,rest", "target");
    onnx_build_attr_int(&build, "axis", 0);
    onnx_build_node(&build, "Relu", "x", "y");
    onnx_build_node(&build, "Reshape", "y,target", "z");
    onnx_build_output(&build, "z", 1, NULL);
    struct folded f = fold(&build, &(struct onnx_fold_options){.batch = 3});
    expect_ints(&f, "target", "3,-1");
    expect_dims(&f, "z", "3,400");
    assert_int_equal(f.folded->node_count, 2); /* Relu, Reshape */
    assert_string_equal(f.model->nodes[f.folded->nodes[0]].op, "Relu");
    assert_string_equal(f.model->nodes[f.folded->nodes[1]].op, "Reshape");
    assert_null(known(&f, "z")->constant);
    fold_end(&f);
}

static void test_integer_arithmetic(void **state) {
    (void)state;
    struct onnx_build build;
    onnx_build_start(&build, 13);
    onnx_build_ints(&build, "a", "7,-7,9");
    onnx_build_ints(&build, "b", "2");
    onnx_build_ints(&build, "ends", "-10");
    onnx_build_ints(&build, "starts", "-1");
    onnx_build_ints(&build, "axis", "0");
    onnx_build_ints(&build, "steps", "-2");
    onnx_build_ints(&build, "rows", "2,3");
    int64_t from = 10, to = 0, by = -4;
    onnx_build_weight(&build, "from", 7, "", &from);
    onnx_build_weight(&build, "to", 7, "", &to);
    onnx_build_weight(&build, "by", 7, "", &by);
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Max", "Min"};
    for (int i = 0; i < 6; i++)
        onnx_build_node(&build, ops[i], "a,b", ops[i]);
    onnx_build_node(&build, "Neg", "a", "Neg");
    onnx_build_node(&build, "Gather", "a,starts", "Gather");
    onnx_build_node(&build, "Slice", "a,starts,ends,axis,steps", "Slice");
    onnx_build_node(&build, "Expand", "a,rows", "Expand");
    onnx_build_node(&build, "Transpose", "Expand", "Transpose");
    onnx_build_node(&build, "Range", "from,to,by", "Range");
    onnx_build_node(&build, "ReduceProd", "a", "ReduceProd");
    onnx_build_attr_int(&build, "keepdims", 0);
    onnx_build_node(&build, "Size", "Expand", "Size");
    onnx_build_node(&build, "Less", "a,b", "less");
    onnx_build_node(&build, "Where", "less,a,b", "Where");
    onnx_build_node(&build, "Cast", "less", "Cast");
    onnx_build_attr_int(&build, "to", 7);
    onnx_build_node(&build, "Concat", "a,b,a", "Concat");
    onnx_build_attr_int(&build, "axis", 0);
    onnx_build_node(&build, "ConstantOfShape", "rows", "zeros");
    static const char *const results[][2] = {
        {"Add", "9,-5,11"},
        {"Sub", "5,-9,7"},
        {"Mul", "14,-14,18"},
        {"Div", "3,-3,4"},
        {"Max", "7,2,9"},
        {"Min", "2,-7,2"},
        {"Neg", "-7,7,-9"},
        {"Slice", "9,7"},
        {"Expand", "7,-7,9,7,-7,9"},
        {"Transpose", "7,7,-7,-7,9,9"},
        {"Range", "10,6,2"},
        {"ReduceProd", "-441"},
        {"Size", "6"},
        {"Where", "2,-7,2"},
        {"Gather", "9"},
        {"Cast", "0,1,0"},
        {"Concat", "7,-7,9,2,7,-7,9"},
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        onnx_build_output(&build, results[i][0], 7, NULL);
    onnx_build_output(&build, "zeros", 1, NULL);
    struct folded f = fold(&build, NULL);
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        expect_ints(&f, results[i][0], results[i][1]);
    expect_dims(&f, "Transpose", "3,2");
    expect_dims(&f, "ReduceProd", "");
    assert_int_equal(known(&f, "zeros")->dtype, ONNX_FLOAT);
    assert_int_equal(f.folded->node_count, 0);
    fold_end(&f);
}

/* What feeds nothing but shapes is not run; what feeds nothing is not even looked at. */
static void test_dead_nodes(void **state) {
    (void)state;
    struct onnx_build build;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "2,3");
    onnx_build_node(&build, "Relu", "x", "big");
    onnx_build_node(&build, "Shape", "big", "shape");
    onnx_build_node(&build, "NonZero", "x", "unused");
    onnx_build_node(&build, "Expand", "x,shape", "y");
    onnx_build_output(&build, "y", 1, NULL);
    struct folded f = fold(&build, NULL);
    assert_int_equal(f.folded->node_count, 1);
    expect_dims(&f, "unused", "unknown");
    fold_end(&f);
}

/* ---------------------------------------------------------------- shapes */

static void test_network(void **state) {
    (void)state;
    struct onnx_build build;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "batch,3,H,W");
    onnx_build_weight(&build, "w", 1, "8,3,3,3", NULL);
    onnx_build_weight(&build, "stats", 1, "8", NULL);
    onnx_build_weight(&build, "fc", 1, "10,8", NULL);
    onnx_build_weight(&build, "bias", 1, "10", NULL);
    onnx_build_weight(&build, "up", 1, "8,4,2,2", NULL);
    onnx_build_node(&build, "Conv", "x,w,stats", "conv");
    onnx_build_attr_ints(&build, "pads", "1,1,1,1");
    onnx_build_attr_ints(&build, "strides", "2,2");
    onnx_build_node(&build, "BatchNormalization", "conv,stats,stats,stats,stats", "bn");
    onnx_build_node(&build, "MaxPool", "bn", "pool");
    onnx_build_attr_ints(&build, "kernel_shape", "3,3");
    onnx_build_attr_ints(&build, "strides", "2,2");
    onnx_build_attr_int(&build, "ceil_mode", 1);
    onnx_build_node(&build, "AveragePool", "pool", "same");
    onnx_build_attr_ints(&build, "kernel_shape", "2,2");
    onnx_build_attr_string(&build, "auto_pad", "SAME_UPPER");
    onnx_build_node(&build, "ConvTranspose", "same,up", "wide");
    onnx_build_attr_ints(&build, "strides", "2,2");
    onnx_build_node(&build, "Concat", "pool,same", "joined");
    onnx_build_attr_int(&build, "axis", 1);
    onnx_build_node(&build, "GlobalAveragePool", "pool", "gap");
    onnx_build_node(&build, "Flatten", "gap", "flat");
    onnx_build_node(&build, "Gemm", "flat,fc,bias", "y");
    onnx_build_attr_int(&build, "transB", 1);
    onnx_build_node(&build, "Softmax", "y", "p");
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"p", "joined", "wide", "y"};
        onnx_build_output(&build, names[i], 1, NULL);
    }
    struct onnx_bind bind = {.name = "x", .rank = 4, .dims = {-1, 3, 31, 32}};
    struct folded f =
        fold(&build, &(struct onnx_fold_options){.inputs = &bind, .input_count = 1, .batch = 5});
    expect_dims(&f, "conv", "5,8,16,16");
    expect_dims(&f, "pool", "5,8,8,8");
    expect_dims(&f, "same", "5,8,8,8");
    expect_dims(&f, "wide", "5,4,16,16");
    expect_dims(&f, "joined", "5,16,8,8");
    expect_dims(&f, "flat", "5,8");
    expect_dims(&f, "p", "5,10");
    assert_int_equal(f.folded->node_count, 10);
    struct onnx_window w;
    tess_error error = {0};
    assert_int_equal(
        onnx_window_of(f.model, &f.model->nodes[3], known(&f, "pool"), NULL, &error, &w), TESS_OK);
    assert_int_equal(w.spatial, 2);
    assert_int_equal(w.pad_begin[0], 0);
    assert_int_equal(w.pad_end[0], 1);
    assert_int_equal(w.out[1], 8);
    fold_end(&f);
}

static void start_unary(struct onnx_build *build, const char *op, const char *dims) {
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, dims);
    onnx_build_node(build, op, "x", "y");
    onnx_build_output(build, "y", 1, NULL);
}

static void test_inputs(void **state) {
    (void)state;
    struct onnx_build build;
    struct onnx_bind bind = {.name = "x", .rank = 2, .dims = {4, 3}};
    struct onnx_fold_options with = {.inputs = &bind, .input_count = 1};
    start_unary(&build, "Relu", "N,C");
    expect_refused(&build, NULL, TESS_INVALID_SHAPE, "input 'x': dimension 0 has no fixed size");
    start_unary(&build, "Relu", "N,?");
    expect_refused(&build, &(struct onnx_fold_options){.batch = 2}, TESS_INVALID_SHAPE,
                   "input 'x': dimension 1 has no fixed size");
    start_unary(&build, "Relu", NULL);
    expect_refused(&build, NULL, TESS_INVALID_SHAPE, "does not say its shape");
    start_unary(&build, "Relu", "4,5");
    expect_refused(&build, &with, TESS_INVALID_SHAPE, "dimension 1 has another size");
    start_unary(&build, "Relu", "4,3,1");
    expect_refused(&build, &with, TESS_INVALID_SHAPE, "2 dimensions are given");
    start_unary(&build, "Relu", "N,N");
    expect_refused(&build, &with, TESS_INVALID_SHAPE, "has another size than where its name");
    start_unary(&build, "Relu", "N,3");
    bind.name = "y";
    expect_refused(&build, &with, TESS_NOT_FOUND, "has no input 'y'");
    bind.name = "x";
    start_unary(&build, "Relu", "N,M");
    bind.dims[0] = bind.dims[1] = 1 << 20;
    expect_refused(&build, &with, TESS_UNSUPPORTED, "more than the 2147483647 elements");
    start_unary(&build, "Relu", NULL);
    bind.dims[0] = bind.dims[1] = 7;
    struct folded f = fold(&build, &with);
    expect_dims(&f, "y", "7,7");
    fold_end(&f);
}

/* Inputs whose contents decide about shapes are bound by value. */
static void test_value_inputs(void **state) {
    (void)state;
    struct onnx_build build;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "6,4");
    onnx_build_input(&build, "shape", 7, "2");
    onnx_build_input(&build, "other", 7, "2");
    onnx_build_node(&build, "Mul", "shape,shape", "s2");
    onnx_build_node(&build, "Reshape", "x,s2", "y");
    onnx_build_node(&build, "Neg", "other", "z");
    onnx_build_output(&build, "y", 1, NULL);
    onnx_build_output(&build, "z", 7, NULL);
    size_t size;
    const uint8_t *bytes = onnx_build_pack(&build, &size);
    struct onnx_model *model = onnx_expect_model(bytes, size);
    bool needed[3];
    assert_int_equal(onnx_value_inputs(model, NULL, needed), TESS_OK);
    assert_false(needed[0]);
    assert_true(needed[1]);
    assert_false(needed[2]);
    onnx_model_destroy(model);
    const int64_t numbers[2] = {2, 0};
    struct onnx_tensor value = {
        .dtype = ONNX_INT64, .rank = 1, .dims = {2}, .count = 2, .data = numbers};
    struct onnx_bind bind = {.name = "shape", .value = &value};
    struct onnx_fold_options options = {.inputs = &bind, .input_count = 1};
    struct folded f = {NULL, NULL};
    bytes = onnx_build_pack(&build, &size);
    f.model = onnx_expect_model(bytes, size);
    tess_error error = {0};
    tess_status status = onnx_fold(f.model, &options, &error, &f.folded);
    onnx_expect_error(status, &error, TESS_INVALID_SHAPE, "does not fit its input's 24 elements");
    onnx_model_destroy(f.model);
    const int64_t good[2] = {2, -1};
    value.data = good;
    onnx_build_end(&build);
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "6,4");
    onnx_build_input(&build, "shape", 7, "2");
    onnx_build_node(&build, "Reshape", "x,shape", "y");
    onnx_build_output(&build, "y", 1, NULL);
    f = fold(&build, &options);
    expect_dims(&f, "y", "2,12");
    fold_end(&f);
}

/* ---------------------------------------------------------------- refusals */

static void test_unsupported_operators(void **state) {
    (void)state;
    struct onnx_build build;
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "4");
    onnx_build_node(&build, "Quux", "x", "a");
    onnx_build_node(&build, "Frobnicate", "x", "b");
    onnx_build_node(&build, "Quux", "x", "c");
    onnx_build_node(&build, "Relu", "x", "d")->domain = onnx_build_text(&build, "com.example");
    onnx_build_node(&build, "Nothing", "x", "dead");
    onnx_build_node(&build, "Sum", "a,b,c,d", "y");
    onnx_build_output(&build, "y", 1, NULL);
    size_t size;
    const uint8_t *bytes = onnx_build_pack(&build, &size);
    struct onnx_model *model = onnx_expect_model(bytes, size);
    tess_error error = {0};
    char *list = NULL;
    tess_status status = onnx_check_operators(model, onnx_fold_supports, &error, &list);
    onnx_expect_error(status, &error, TESS_UNSUPPORTED,
                      "4 nodes of operators that are not supported: Frobnicate (Frobnicate_1), "
                      "Quux (Quux_0, Quux_2), com.example.Relu (Relu_3); ");
    assert_string_equal(list, "Frobnicate: Frobnicate_1\nQuux: Quux_0, Quux_2\n"
                              "com.example.Relu: Relu_3");
    free(list);
    onnx_model_destroy(model);
    onnx_build_end(&build);
    onnx_build_start(&build, 13);
    onnx_build_input(&build, "x", 1, "4");
    onnx_build_output(&build, "v399", 1, NULL);
    for (int i = 0; i < 400; i++) {
        char in[8], out[8];
        snprintf(in, sizeof in, "v%d", i - 1);
        snprintf(out, sizeof out, "v%d", i);
        onnx_build_node(&build, "Quux", i ? in : "x", out);
    }
    expect_refused(&build, NULL, TESS_UNSUPPORTED, "400 nodes of operators that are not supported");
}

static void test_bad_operators(void **state) {
    (void)state;
    struct onnx_build build;
    start_unary(&build, "Conv", "1,3,8,8");
    expect_refused(&build, NULL, TESS_BAD_FORMAT, "node 'Conv_0' (Conv): its input 1 is missing");
    start_unary(&build, "MaxPool", "1,3,8,8");
    onnx_build_attr_ints(&build, "kernel_shape", "9,9");
    expect_refused(&build, NULL, TESS_INVALID_SHAPE, "larger than its input");
    start_unary(&build, "MaxPool", "1,3,8,8");
    onnx_build_attr_ints(&build, "kernel_shape", "3");
    expect_refused(&build, NULL, TESS_BAD_FORMAT, "kernel_shape has 1 numbers instead of 2");
    start_unary(&build, "MaxPool", "1,3,8,8");
    onnx_build_attr_ints(&build, "kernel_shape", "3,0");
    expect_refused(&build, NULL, TESS_UNSUPPORTED, "kernel_shape has 0");
    start_unary(&build, "MaxPool", "1,3");
    onnx_build_attr_ints(&build, "kernel_shape", "3,3");
    expect_refused(&build, NULL, TESS_INVALID_SHAPE, "at least one more");
    start_unary(&build, "Transpose", "1,3");
    onnx_build_attr_ints(&build, "perm", "0,0");
    expect_refused(&build, NULL, TESS_BAD_FORMAT, "axis 0 is given twice");
    start_unary(&build, "Flatten", "1,3");
    onnx_build_attr_int(&build, "axis", 3);
    expect_refused(&build, NULL, TESS_BAD_FORMAT, "axis 3");
    start_unary(&build, "Softmax", "1,3");
    onnx_build_node(&build, "Reshape", "y,x", "z");
    onnx_build_output(&build, "z", 1, NULL);
    expect_refused(&build, NULL, TESS_UNSUPPORTED, "only known when the model runs");
    start_unary(&build, "Relu", "2,3");
    onnx_build_weight(&build, "w", 1, "2", NULL);
    onnx_build_node(&build, "Add", "y,w", "z");
    onnx_build_output(&build, "z", 1, NULL);
    expect_refused(&build, NULL, TESS_INVALID_SHAPE, "do not broadcast");
    start_unary(&build, "Relu", "2,3");
    onnx_build_ints(&build, "w", "1,2,3");
    onnx_build_node(&build, "Add", "y,w", "z");
    onnx_build_output(&build, "z", 1, NULL);
    expect_refused(&build, NULL, TESS_BAD_FORMAT, "float32 and int64");
    onnx_build_start(&build, 13);
    onnx_build_ints(&build, "shape", "1048576,1048576");
    onnx_build_node(&build, "ConstantOfShape", "shape", "y");
    onnx_build_output(&build, "y", 1, NULL);
    expect_refused(&build, NULL, TESS_UNSUPPORTED, "over 2^31 elements");
    onnx_build_start(&build, 13);
    onnx_build_ints(&build, "shape", "1048576,1024");
    onnx_build_node(&build, "ConstantOfShape", "shape", "y");
    onnx_build_output(&build, "y", 1, NULL);
    expect_refused(&build, NULL, TESS_UNSUPPORTED, "constants too large");
    onnx_build_start(&build, 13);
    onnx_build_ints(&build, "a", "1");
    onnx_build_ints(&build, "b", "0");
    onnx_build_node(&build, "Div", "a,b", "y");
    onnx_build_output(&build, "y", 7, NULL);
    expect_refused(&build, NULL, TESS_BAD_FORMAT, "divides by zero");
    onnx_build_start(&build, 13);
    onnx_build_ints(&build, "a", "1,2");
    onnx_build_ints(&build, "b", "2");
    onnx_build_node(&build, "Gather", "a,b", "y");
    onnx_build_output(&build, "y", 7, NULL);
    expect_refused(&build, NULL, TESS_BAD_FORMAT, "takes element 2 of 2");
}

/* ---------------------------------------------------------------- ONNX's own cases */

struct tally {
    int right, refused, constants;
};

/* "folder of path/test_data_set_0/kind_index.pb" */
static tess_status read_case_tensor(const char *path, const char *kind, int index,
                                    struct onnx_tensor **out) {
    char file[ONNX_DATA_PATH + 64];
    snprintf(file, sizeof file, "%.*s/test_data_set_0/%s_%d.pb", (int)(strrchr(path, '/') - path),
             path, kind, index);
    return onnx_tensor_read(file, NULL, out);
}

/* Binds the contents of inputs that decide about shapes, or of all of them. */
static int bind_values(const struct onnx_model *model, const char *path, bool all,
                       struct onnx_tensor **held, struct onnx_bind *binds) {
    bool needed[16] = {false};
    int count = 0;
    assert_true(model->input_count <= 16);
    assert_int_equal(onnx_value_inputs(model, NULL, needed), TESS_OK);
    for (int i = 0; i < model->input_count; i++) {
        if (!needed[i] && !all) continue;
        if (read_case_tensor(path, "input", i, &held[count])) continue;
        binds[count] =
            (struct onnx_bind){.name = model->values[model->inputs[i]].name, .value = held[count]};
        count++;
    }
    return count;
}

/* Outputs that are constants hold what the case says; gives how many there are. */
static int check_constants(const char *path, const struct onnx_model *model,
                           const struct onnx_folded *folded) {
    int constants = 0;
    for (int i = 0; i < model->output_count; i++) {
        const struct onnx_tensor *got = folded->values[model->outputs[i]].constant;
        struct onnx_tensor *want = NULL;
        if (!got || read_case_tensor(path, "output", i, &want)) continue;
        size_t size = onnx_dtype_size(want->dtype);
        assert_int_equal(got->dtype, want->dtype);
        assert_int_equal(got->count, want->count);
        for (int64_t j = 0; j < want->count; j++) {
            bool same = memcmp((const char *)got->data + (size_t)j * size,
                               (const char *)want->data + (size_t)j * size, size) == 0;
            if (!same && want->dtype == ONNX_FLOAT) {
                double a = ((const float *)got->data)[j], b = ((const float *)want->data)[j];
                same = fabs(a - b) <= 1e-6 * fabs(b) || (isnan(a) && isnan(b));
            }
            if (!same) fail_msg("%s: output %d: element %lld is wrong", path, i, (long long)j);
        }
        constants++;
        onnx_tensor_destroy(want);
    }
    return constants;
}

/* Inferred types of the outputs are those that the file states. */
static void check_outputs(const char *path, const struct onnx_model *model,
                          const struct onnx_folded *folded) {
    for (int i = 0; i < model->output_count; i++) {
        const struct onnx_known *k = &folded->values[model->outputs[i]];
        const struct onnx_type *type = &model->values[model->outputs[i]].type;
        bool same = k->dtype == type->dtype && k->rank == type->rank;
        for (int d = 0; same && d < k->rank; d++)
            same = type->dims[d].size < 0 || type->dims[d].size == k->dims[d];
        if (!same) {
            for (int d = 0; d < k->rank; d++)
                print_message("%lld ", (long long)k->dims[d]);
            fail_msg("%s: output %d: rank %d, type %d: not what the file says", path, i, k->rank,
                     k->dtype);
        }
    }
}

static void fold_case_with(const char *path, const struct onnx_model *model, bool all,
                           struct tally *tally) {
    struct onnx_folded *folded = NULL;
    struct onnx_tensor *held[16] = {NULL};
    struct onnx_bind binds[16];
    tess_error error = {0};
    int count = bind_values(model, path, all, held, binds);
    struct onnx_fold_options options = {.inputs = binds, .input_count = count, .batch = 1};
    tess_status status = onnx_fold(model, &options, &error, &folded);
    /* ONNX's bfloat16 cases have inputs of other types and shapes than their models. */
    bool odd = strstr(path, "BFLOAT16") != NULL;
    if (status && status != TESS_UNSUPPORTED && !odd) fail_msg("%s: %s", path, error.text);
    if (!status) {
        check_outputs(path, model, folded);
        tally->constants += check_constants(path, model, folded);
    }
    if (!all) *(status ? &tally->refused : &tally->right) += 1;
    onnx_folded_destroy(folded);
    for (int i = 0; i < 16; i++)
        onnx_tensor_destroy(held[i]);
}

static void fold_case(const char *path, void *user) {
    struct onnx_model *model = NULL;
    if (onnx_model_read(path, NULL, &model)) return;
    if (!onnx_check_operators(model, onnx_fold_supports, NULL, NULL)) {
        fold_case_with(path, model, false, user);
        fold_case_with(path, model, true, user);
    }
    onnx_model_destroy(model);
}

static void test_onnx_cases(void **state) {
    (void)state;
    const char *folder = onnx_data_folder();
    if (!folder) {
        print_message("no ONNX test data here; install libonnx-testdata\n");
        skip();
    }
    struct tally tally = {0, 0, 0};
    onnx_data_each(folder, "model.onnx", fold_case, &tally);
    print_message(
        "%d models of known operators: shapes right in %d, %d refused; %d outputs folded, "
        "all right\n",
        tally.right + tally.refused, tally.right, tally.refused, tally.constants);
    assert_true(tally.right > 20 * tally.refused);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view),
        cmocka_unit_test(test_integer_arithmetic),
        cmocka_unit_test(test_dead_nodes),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_value_inputs),
        cmocka_unit_test(test_unsupported_operators),
        cmocka_unit_test(test_bad_operators),
        cmocka_unit_test(test_onnx_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
