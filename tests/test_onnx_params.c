/* What nodes ask for, in old and new operator sets alike. */
#include "support/check.h"
#include "support/onnx_build.h"
#include "support/onnx_expect.h"

#include "net/onnx/onnx_params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A model whose last node is looked at. */
struct looked_at {
    struct onnx_model *model;
    struct onnx_folded *folded;
    tess_error error;
    struct onnx_at at;
};

/* Ends the builder. */
static struct looked_at look(struct onnx_build *build) {
    struct looked_at l = {.error = {0}};
    size_t size;
    onnx_build_output(build, "y", 1, NULL);
    const uint8_t *bytes = onnx_build_pack(build, &size);
    l.model = onnx_expect_model(bytes, size);
    if (onnx_fold(l.model, NULL, &l.error, &l.folded)) fail_msg("%s", l.error.text);
    onnx_build_end(build);
    l.at = (struct onnx_at){
        .model = l.model, .folded = l.folded, .node = &l.model->nodes[l.model->node_count - 1]};
    return l;
}

static void look_end(struct looked_at *l) {
    onnx_folded_destroy(l->folded);
    onnx_model_destroy(l->model);
}

/* A node "y" over the input "x". */
static void start(struct onnx_build *build, int opset, const char *op, const char *dims,
                  const char *inputs) {
    onnx_build_start(build, opset);
    onnx_build_input(build, "x", 1, dims);
    onnx_build_node(build, op, inputs, "y");
}

static void test_slice(void **state) {
    (void)state;
    struct onnx_build build;
    for (int opset = 9; opset <= 13; opset += 4) {
        start(&build, opset, "Slice", "4,6", opset < 10 ? "x" : "x,starts,ends,axes");
        onnx_build_ints(&build, "starts", "-5");
        onnx_build_ints(&build, "ends", "1000");
        onnx_build_ints(&build, "axes", "1");
        if (opset < 10) {
            onnx_build_attr_ints(&build, "starts", "-5");
            onnx_build_attr_ints(&build, "ends", "1000");
            onnx_build_attr_ints(&build, "axes", "1");
        }
        struct looked_at l = look(&build);
        struct onnx_slice s;
        assert_int_equal(onnx_slice_of(&l.at, &s), TESS_OK);
        assert_int_equal(s.start[0], 0);
        assert_int_equal(s.size[0], 4);
        assert_int_equal(s.start[1], 1);
        assert_int_equal(s.step[1], 1);
        assert_int_equal(s.size[1], 5);
        assert_int_equal(onnx_output(&l.at, 0)->dims[1], 5);
        assert_null(onnx_input(&l.at, 7));
        look_end(&l);
    }
}

static void test_pad(void **state) {
    (void)state;
    struct onnx_build build;
    for (int opset = 9; opset <= 13; opset += 4) {
        float value = 2.5f;
        start(&build, opset, "Pad", "4,6", opset < 11 ? "x" : "x,pads,value");
        onnx_build_ints(&build, "pads", "0,1,-1,2");
        onnx_build_weight(&build, "value", 1, "", &value);
        onnx_build_attr_string(&build, "mode", "constant");
        if (opset < 11) {
            onnx_build_attr_ints(&build, "pads", "0,1,-1,2");
            onnx_build_attr_float(&build, "value", 2.5f);
        }
        struct looked_at l = look(&build);
        struct onnx_pad p;
        assert_int_equal(onnx_pad_of(&l.at, &p), TESS_OK);
        assert_string_equal(p.mode, "constant");
        assert_float_equal(p.value, 2.5, 0);
        assert_int_equal(p.before[0], 0);
        assert_int_equal(p.before[1], 1);
        assert_int_equal(p.after[0], -1);
        assert_int_equal(p.after[1], 2);
        assert_int_equal(onnx_output(&l.at, 0)->dims[0], 3);
        look_end(&l);
    }
}

static void test_reduce_and_axes(void **state) {
    (void)state;
    struct onnx_build build;
    struct onnx_reduce r;
    start(&build, 13, "ReduceSum", "4,6,2", "x,axes");
    onnx_build_ints(&build, "axes", "-1,0");
    onnx_build_attr_int(&build, "keepdims", 0);
    struct looked_at l = look(&build);
    assert_int_equal(onnx_reduce_of(&l.at, &r), TESS_OK);
    assert_true(r.reduced[0] && !r.reduced[1] && r.reduced[2] && !r.keep);
    look_end(&l);
    start(&build, 13, "ReduceMean", "4,6", "x");
    l = look(&build);
    assert_int_equal(onnx_reduce_of(&l.at, &r), TESS_OK);
    assert_true(r.reduced[0] && r.reduced[1] && r.keep);
    look_end(&l);
    start(&build, 13, "ReduceSum", "4,6", "x");
    onnx_build_attr_int(&build, "noop_with_empty_axes", 1);
    l = look(&build);
    assert_int_equal(onnx_reduce_of(&l.at, &r), TESS_OK);
    assert_true(!r.reduced[0] && !r.reduced[1]);
    look_end(&l);
    int perm[ONNX_MAX_RANK], axis = -1;
    start(&build, 13, "Transpose", "4,6,2", "x");
    l = look(&build);
    assert_int_equal(onnx_perm_of(&l.at, perm), TESS_OK);
    assert_true(perm[0] == 2 && perm[1] == 1 && perm[2] == 0);
    look_end(&l);
    start(&build, 13, "Concat", "4,6,2", "x,x");
    onnx_build_attr_int(&build, "axis", -2);
    l = look(&build);
    assert_int_equal(onnx_axis_of(&l.at, &axis), TESS_OK);
    assert_int_equal(axis, 1);
    look_end(&l);
    for (int opset = 12; opset <= 13; opset++) {
        int first = -1, last = -1;
        start(&build, opset, "Softmax", "4,6,2", "x");
        l = look(&build);
        assert_int_equal(onnx_softmax_of(&l.at, &first, &last), TESS_OK);
        assert_int_equal(first, opset < 13 ? 1 : 2);
        assert_int_equal(last, 2);
        look_end(&l);
    }
}

static void test_numbers(void **state) {
    (void)state;
    struct onnx_build build;
    double least = 0, most = 0, rate = 0;
    float six = 6.0f, tenth = 0.125f;
    bool training = true;
    start(&build, 13, "Clip", "4", "x,,most");
    onnx_build_weight(&build, "most", 1, "", &six);
    struct looked_at l = look(&build);
    assert_int_equal(onnx_clip_of(&l.at, &least, &most), TESS_OK);
    assert_true(isinf(least) && least < 0);
    assert_float_equal(most, 6, 0);
    look_end(&l);
    start(&build, 13, "Dropout", "4", "x,rate");
    onnx_build_weight(&build, "rate", 1, "", &tenth);
    l = look(&build);
    assert_int_equal(onnx_dropout_of(&l.at, &rate, &training), TESS_OK);
    assert_float_equal(rate, 0.125, 0);
    assert_false(training);
    look_end(&l);
    start(&build, 9, "Dropout", "4", "x");
    onnx_build_attr_float(&build, "ratio", 0.25f);
    l = look(&build);
    assert_int_equal(onnx_dropout_of(&l.at, &rate, &training), TESS_OK);
    assert_float_equal(rate, 0.25, 0);
    look_end(&l);
    struct onnx_gemm g;
    start(&build, 13, "Gemm", "4,6", "x,x");
    onnx_build_attr_int(&build, "transB", 1);
    onnx_build_attr_float(&build, "alpha", 0.5f);
    l = look(&build);
    assert_int_equal(onnx_gemm_of(&l.at, &g), TESS_OK);
    assert_true(g.alpha == 0.5f && g.beta == 1.0f && !g.trans_a && g.trans_b);
    look_end(&l);
    struct onnx_lrn n;
    start(&build, 13, "LRN", "1,4,2,2", "x");
    onnx_build_attr_int(&build, "size", 5);
    l = look(&build);
    assert_int_equal(onnx_lrn_of(&l.at, &n), TESS_OK);
    assert_true(n.size == 5 && n.beta == 0.75f && n.bias == 1.0f && n.alpha == 1e-4f);
    look_end(&l);
    start(&build, 13, "LRN", "1,4,2,2", "x");
    l = look(&build);
    l.at.error = &l.error;
    onnx_expect_error(onnx_lrn_of(&l.at, &n), &l.error, TESS_BAD_FORMAT, "attribute size is 0");
    look_end(&l);
    struct onnx_batch_norm b;
    start(&build, 9, "BatchNormalization", "2,4,3", "x,w,w,w,w");
    onnx_build_weight(&build, "w", 1, "4", NULL);
    l = look(&build);
    assert_int_equal(onnx_batch_norm_of(&l.at, &b), TESS_OK);
    assert_true(b.epsilon == 1e-5f && b.momentum == 0.9f && !b.training);
    look_end(&l);
}

static void test_resize(void **state) {
    (void)state;
    struct onnx_build build;
    struct onnx_resize r;
    start(&build, 7, "Upsample", "1,2,4,4", "x");
    onnx_build_attr_string(&build, "mode", "bilinear");
    Onnx__AttributeProto *scales = onnx_build_attr_int(&build, "scales", 0);
    float list[4] = {1, 1, 2, 1.5f};
    scales->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    scales->has_i = false;
    scales->floats = list;
    scales->n_floats = 4;
    struct looked_at l = look(&build);
    assert_int_equal(onnx_resize_of(&l.at, &r), TESS_OK);
    assert_string_equal(r.mode, "linear");
    assert_string_equal(r.coordinates, "asymmetric");
    assert_string_equal(r.nearest, "floor");
    assert_float_equal(r.scales[3], 1.5, 0);
    look_end(&l);
    start(&build, 13, "Resize", "1,2,4,4", "x,,,sizes");
    onnx_build_ints(&build, "sizes", "1,2,8,5");
    l = look(&build);
    assert_int_equal(onnx_resize_of(&l.at, &r), TESS_OK);
    assert_string_equal(r.mode, "nearest");
    assert_string_equal(r.coordinates, "half_pixel");
    assert_string_equal(r.nearest, "round_prefer_floor");
    assert_float_equal(r.scales[2], 2, 0);
    assert_float_equal(r.scales[3], 1.25, 0);
    look_end(&l);
}

static void expect_act(struct onnx_build *build, tess_activation kind, float alpha) {
    struct looked_at l = look(build);
    tess_act act;
    assert_int_equal(onnx_act_of(&l.at, &act), TESS_OK);
    assert_int_equal(act.kind, kind);
    assert_float_equal(act.alpha, alpha, 0);
    look_end(&l);
}

static void test_activations(void **state) {
    (void)state;
    struct onnx_build build;
    start(&build, 13, "Relu", "4", "x");
    expect_act(&build, TESS_ACT_RELU, 0);
    start(&build, 13, "LeakyRelu", "4", "x");
    expect_act(&build, TESS_ACT_LEAKY_RELU, 0.01f);
    start(&build, 13, "LeakyRelu", "4", "x");
    onnx_build_attr_float(&build, "alpha", -1.0f);
    expect_act(&build, TESS_ACT_NONE, 0);
    start(&build, 13, "Elu", "4", "x");
    onnx_build_attr_float(&build, "alpha", 2.0f);
    expect_act(&build, TESS_ACT_ELU, 2.0f);
    start(&build, 9, "Clip", "4", "x");
    onnx_build_attr_float(&build, "min", 0.0f);
    onnx_build_attr_float(&build, "max", 6.0f);
    expect_act(&build, TESS_ACT_CLIPPED_RELU, 6.0f);
    start(&build, 9, "Clip", "4", "x");
    onnx_build_attr_float(&build, "max", 6.0f);
    expect_act(&build, TESS_ACT_NONE, 0);
    start(&build, 13, "HardSigmoid", "4", "x");
    expect_act(&build, TESS_ACT_NONE, 0);
    start(&build, 13, "HardSigmoid", "4", "x");
    onnx_build_attr_float(&build, "alpha", 1.0f / 6);
    expect_act(&build, TESS_ACT_HARD_SIGMOID, 0);
    start(&build, 13, "Selu", "4", "x");
    expect_act(&build, TESS_ACT_SELU, 0);
    start(&build, 13, "Softmax", "4", "x");
    expect_act(&build, TESS_ACT_NONE, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice),           cmocka_unit_test(test_pad),
        cmocka_unit_test(test_reduce_and_axes), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_resize),          cmocka_unit_test(test_activations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
