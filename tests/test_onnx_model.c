/* Reading ONNX models: what is in them, and every kind of contradiction refused. */
#include "support/folder.h"
#include "support/onnx_build.h"
#include "support/onnx_expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* x -> Conv -> y -> Relu -> z */
static void start_sample(struct onnx_build *build) {
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, "N,3,8,8");
    onnx_build_weight(build, "w", 1, "4,3,3,3", NULL);
    onnx_build_node(build, "Conv", "x,w", "y");
    onnx_build_node(build, "Relu", "y", "z");
    onnx_build_output(build, "z", 1, "N,4,6,6");
}

/* Reads the builder's model and ends the builder. */
static void expect_refused(struct onnx_build *build, tess_status want, const char *text) {
    size_t size;
    const uint8_t *bytes = onnx_build_pack(build, &size);
    onnx_expect_refused(bytes, size, want, text);
    onnx_build_end(build);
}

static struct onnx_model *expect_model(struct onnx_build *build) {
    size_t size;
    const uint8_t *bytes = onnx_build_pack(build, &size);
    struct onnx_model *model = onnx_expect_model(bytes, size);
    onnx_build_end(build);
    return model;
}

/* ---------------------------------------------------------------- what is read */

static void test_contents(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    onnx_build_input(&build, "w", 1, "4,3,3,3"); /* as old models do */
    struct onnx_model *model = expect_model(&build);
    assert_int_equal(model->opset, 13);
    assert_int_equal(model->ir_version, 8);
    assert_int_equal(model->value_count, 4);
    assert_int_equal(model->node_count, 2);
    assert_int_equal(model->input_count, 1);
    assert_int_equal(model->output_count, 1);
    const struct onnx_value *x = &model->values[model->inputs[0]];
    assert_string_equal(x->name, "x");
    assert_true(x->input);
    assert_int_equal(x->node, -1);
    assert_int_equal(x->tensor, -1);
    assert_int_equal(x->type.dtype, ONNX_FLOAT);
    assert_int_equal(x->type.rank, 4);
    assert_int_equal(x->type.dims[0].size, -1);
    assert_string_equal(x->type.dims[0].symbol, "N");
    assert_int_equal(x->type.dims[3].size, 8);
    assert_null(x->type.dims[3].symbol);
    const struct onnx_node *conv = &model->nodes[0];
    assert_string_equal(conv->op, "Conv");
    assert_string_equal(conv->name, "Conv_0");
    assert_int_equal(conv->input_count, 2);
    const struct onnx_value *w = &model->values[conv->inputs[1]];
    assert_int_equal(w->tensor, 0);
    assert_true(w->input);
    assert_int_equal(w->type.rank, 4);
    assert_int_equal(model->tensors[0].count, 4 * 3 * 3 * 3);
    assert_float_equal(((const float *)model->tensors[0].data)[107], 108.0f, 0);
    assert_int_equal(model->values[model->nodes[1].inputs[0]].node, 0);
    assert_int_equal(onnx_model_find(model, "z"), model->outputs[0]);
    assert_int_equal(onnx_model_find(model, "zz"), -1);
    onnx_model_destroy(model);
}

static void test_attributes(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    onnx_build_attr_int(&build, "i", -7);
    onnx_build_attr_float(&build, "f", 0.5f);
    onnx_build_attr_ints(&build, "ints", "1,-2,3");
    onnx_build_attr_string(&build, "s", "SAME_UPPER");
    onnx_build_attr_tensor(&build, "t", onnx_build_tensor(&build, "", 7, "2", NULL));
    struct onnx_model *model = expect_model(&build);
    const struct onnx_node *node = &model->nodes[1];
    int64_t i = 1, ints[3];
    int count = 0;
    float f = 1.0f;
    char s[16] = "none";
    assert_int_equal(onnx_get_int(model, node, "i", NULL, &i), TESS_OK);
    assert_int_equal(i, -7);
    assert_int_equal(onnx_get_int(model, node, "absent", NULL, &i), TESS_OK);
    assert_int_equal(i, -7);
    assert_int_equal(onnx_get_float(model, node, "f", NULL, &f), TESS_OK);
    assert_float_equal(f, 0.5f, 0);
    assert_int_equal(onnx_get_ints(model, node, "absent", NULL, 3, ints, &count), TESS_OK);
    assert_int_equal(count, -1);
    assert_int_equal(onnx_get_ints(model, node, "ints", NULL, 3, ints, &count), TESS_OK);
    assert_int_equal(count, 3);
    assert_int_equal(ints[1], -2);
    assert_int_equal(onnx_get_string(model, node, "s", NULL, sizeof s, s), TESS_OK);
    assert_string_equal(s, "SAME_UPPER");
    const struct onnx_attribute *t = onnx_attribute_find(node, "t");
    assert_int_equal(t->kind, ONNX_ATTR_TENSOR);
    assert_int_equal(((const int64_t *)t->as.t->data)[1], 2);
    tess_error error = {0};
    tess_status status = onnx_get_int(model, node, "f", &error, &i);
    onnx_expect_error(status, &error, TESS_BAD_FORMAT,
                      "model: node 'Relu_1' (Relu): attribute f is not an integer");
    status = onnx_get_ints(model, node, "ints", &error, 2, ints, &count);
    onnx_expect_error(status, &error, TESS_UNSUPPORTED, "has 3 numbers");
    status = onnx_get_string(model, node, "s", &error, 10, s);
    onnx_expect_error(status, &error, TESS_BAD_FORMAT, "attribute s");
    onnx_model_destroy(model);
}

static void test_optional_names(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    onnx_build_node(&build, "Clip", "z,,w,", ",c,");
    struct onnx_model *model = expect_model(&build);
    const struct onnx_node *node = &model->nodes[2];
    assert_int_equal(node->input_count, 3);
    assert_int_equal(node->inputs[1], ONNX_ABSENT);
    assert_int_equal(node->output_count, 2);
    assert_int_equal(node->outputs[0], ONNX_ABSENT);
    onnx_model_destroy(model);
}

/* Subgraphs are not read: their operators are refused by name elsewhere. */
static void test_subgraph_attribute(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    onnx_build_node(&build, "If", "z", "u");
    Onnx__AttributeProto *branch = onnx_build_attr_int(&build, "then_branch", 0);
    branch->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
    branch->has_i = false;
    Onnx__GraphProto *graph = onnx_build_alloc(&build, sizeof *graph);
    onnx__graph_proto__init(graph);
    branch->g = graph;
    struct onnx_model *model = expect_model(&build);
    assert_int_equal(model->nodes[2].attributes[0].kind, ONNX_ATTR_OTHER);
    tess_error error = {0};
    int64_t i;
    tess_status status = onnx_get_int(model, &model->nodes[2], "then_branch", &error, &i);
    onnx_expect_error(status, &error, TESS_BAD_FORMAT, "not an integer");
    onnx_model_destroy(model);
}

/* ---------------------------------------------------------------- versions */

static void test_versions(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    build.model->opset_import[0]->version = ONNX_OLDEST_OPSET - 1;
    expect_refused(&build, TESS_UNSUPPORTED, "uses operator set 6");
    start_sample(&build);
    build.model->opset_import[0]->version = ONNX_NEWEST_OPSET + 1;
    expect_refused(&build, TESS_UNSUPPORTED, "are known here");
    start_sample(&build);
    build.model->opset_import[0]->domain = onnx_build_text(&build, "com.example");
    expect_refused(&build, TESS_UNSUPPORTED, "does not import ONNX's operator set");
    start_sample(&build);
    build.model->ir_version = 2;
    expect_refused(&build, TESS_UNSUPPORTED, "format version 2");
    start_sample(&build);
    build.model->graph = NULL;
    expect_refused(&build, TESS_BAD_FORMAT, "holds no graph");
    start_sample(&build);
    build.model->opset_import[0]->domain = NULL; /* not written: the same as "" */
    onnx_model_destroy(expect_model(&build));
}

/* ---------------------------------------------------------------- graphs */

static void test_bad_graphs(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    onnx_build_node(&build, "Add", "z,missing.weight", "u");
    expect_refused(&build, TESS_BAD_FORMAT,
                   "node 'Add_2' (Add): reads 'missing.weight', which is no input");
    start_sample(&build);
    onnx_build_node(&build, "Add", "z,v", "u");
    onnx_build_node(&build, "Relu", "u", "v");
    expect_refused(&build, TESS_BAD_FORMAT, "cyclic or not sorted");
    start_sample(&build);
    onnx_build_node(&build, "Add", "z,u", "u");
    expect_refused(&build, TESS_BAD_FORMAT, "its own output: the graph is cyclic");
    start_sample(&build);
    onnx_build_node(&build, "Relu", "x", "z");
    expect_refused(&build, TESS_BAD_FORMAT, "value 'z': is defined twice");
    start_sample(&build);
    onnx_build_node(&build, "Relu", "x", "w");
    expect_refused(&build, TESS_BAD_FORMAT, "value 'w': is defined twice");
    start_sample(&build);
    onnx_build_weight(&build, "w", 1, "1", NULL);
    expect_refused(&build, TESS_BAD_FORMAT, "value 'w': is defined twice");
    start_sample(&build);
    onnx_build_input(&build, "x", 1, "1");
    expect_refused(&build, TESS_BAD_FORMAT, "value 'x': is defined twice");
    start_sample(&build);
    onnx_build_input(&build, "", 1, "1");
    expect_refused(&build, TESS_BAD_FORMAT, "has no name");
    start_sample(&build);
    onnx_build_output(&build, "nothing", 1, "1");
    expect_refused(&build, TESS_BAD_FORMAT, "output 'nothing': is made by no node");
    start_sample(&build);
    build.graph->n_output = 0;
    expect_refused(&build, TESS_BAD_FORMAT, "has no output");
    start_sample(&build);
    onnx_build_node(&build, "Relu", "x", "");
    expect_refused(&build, TESS_BAD_FORMAT, "has no output");
    start_sample(&build);
    onnx_build_node(&build, "", "x", "u");
    expect_refused(&build, TESS_BAD_FORMAT, "has no operator");
    start_sample(&build);
    onnx_build_input(&build, "w", 1, "4,3,3,5");
    expect_refused(&build, TESS_BAD_FORMAT, "another type or shape");
}

static void test_bad_types(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    onnx_build_input(&build, "u", 1, "1,-3");
    expect_refused(&build, TESS_BAD_FORMAT, "input 'u': a dimension is negative");
    start_sample(&build);
    onnx_build_input(&build, "u", 1, "1099511627776");
    expect_refused(&build, TESS_UNSUPPORTED, "input 'u': a dimension is beyond");
    start_sample(&build);
    onnx_build_input(&build, "u", 1, "1,1,1,1,1,1,1,1,1");
    expect_refused(&build, TESS_UNSUPPORTED, "more than 8 dimensions");
    start_sample(&build);
    onnx_build_input(&build, "u", 1, "1");
    Onnx__TypeProto *type = build.graph->input[1]->type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    type->sequence_type = onnx_build_alloc(&build, sizeof *type->sequence_type);
    onnx__type_proto__sequence__init(type->sequence_type);
    expect_refused(&build, TESS_UNSUPPORTED, "only dense tensors");
}

static void test_bad_attributes(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    onnx_build_attr_int(&build, "a", 1);
    onnx_build_attr_int(&build, "a", 2);
    expect_refused(&build, TESS_BAD_FORMAT, "attribute 'a' is given twice");
    start_sample(&build);
    onnx_build_attr_int(&build, "a", 1)->has_type = false;
    expect_refused(&build, TESS_BAD_FORMAT, "attribute 'a' has no type");
    start_sample(&build);
    onnx_build_attr_int(&build, "", 1);
    expect_refused(&build, TESS_BAD_FORMAT, "has no name");
    start_sample(&build);
    onnx_build_attr_int(&build, "a", 1)->ref_attr_name = onnx_build_text(&build, "b");
    expect_refused(&build, TESS_BAD_FORMAT, "refers to a function's attribute");
    start_sample(&build);
    onnx_build_attr_tensor(&build, "t", NULL);
    expect_refused(&build, TESS_BAD_FORMAT, "a tensor attribute is empty");
    start_sample(&build);
    onnx_build_attr_tensor(&build, "t", onnx_build_tensor(&build, "v", 7, "-1", NULL));
    expect_refused(&build, TESS_BAD_FORMAT, "dimension 0 is -1");
}

/* ---------------------------------------------------------------- tensors */

static void test_bad_tensors(void **state) {
    (void)state;
    struct onnx_build build;
    start_sample(&build);
    onnx_build_weight(&build, "u", 1, "1048576,1048576", NULL); /* 2^40 elements */
    expect_refused(&build, TESS_UNSUPPORTED, "tensor 'u': more than the 2147483647 elements");
    start_sample(&build);
    onnx_build_weight(&build, "u", 1, "4611686018427387904,4,2", NULL);
    expect_refused(&build, TESS_UNSUPPORTED, "tensor 'u': more than");
    start_sample(&build);
    onnx_build_weight(&build, "u", 1, "2,-2", NULL);
    expect_refused(&build, TESS_BAD_FORMAT, "tensor 'u': dimension 1 is -2");
    start_sample(&build);
    onnx_build_weight(&build, "u", 1, "1,1,1,1,1,1,1,1,1", NULL);
    expect_refused(&build, TESS_UNSUPPORTED, "has 9 dimensions");
    start_sample(&build);
    onnx_build_weight(&build, "u", 1, "3", NULL)->n_float_data = 2;
    expect_refused(&build, TESS_BAD_FORMAT, "needs 3 elements and it has 2");
    start_sample(&build);
    onnx_build_weight(&build, "u", 1, "2000000000", NULL); /* no data: nothing is allocated */
    expect_refused(&build, TESS_BAD_FORMAT, "needs 2000000000 elements and it has 0");
    start_sample(&build);
    onnx_build_weight(&build, "u", 1, "3", NULL)->data_type = ONNX_INT64;
    expect_refused(&build, TESS_BAD_FORMAT, "a field of another type");
    start_sample(&build);
    onnx_build_weight(&build, "u", ONNX_STRING, "3", NULL);
    expect_refused(&build, TESS_UNSUPPORTED, "elements of string (8)");
    start_sample(&build);
    onnx_build_weight(&build, "u", 999, "3", NULL);
    expect_refused(&build, TESS_UNSUPPORTED, "elements of an unknown type (999)");
    start_sample(&build);
    onnx_build_weight(&build, "u", 0, "3", NULL);
    expect_refused(&build, TESS_UNSUPPORTED, "elements of no type (0)");
    start_sample(&build);
    Onnx__TensorProto *tensor = onnx_build_weight(&build, "u", 1, "3", NULL);
    uint8_t raw[16] = {0};
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){12, raw};
    expect_refused(&build, TESS_BAD_FORMAT, "elements twice");
    start_sample(&build);
    tensor = onnx_build_weight(&build, "u", 1, "3", NULL);
    tensor->n_float_data = 0;
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){13, raw};
    expect_refused(&build, TESS_BAD_FORMAT, "needs 12 bytes and it has 13");
    start_sample(&build);
    Onnx__SparseTensorProto sparse = ONNX__SPARSE_TENSOR_PROTO__INIT, *list = &sparse;
    build.graph->n_sparse_initializer = 1;
    build.graph->sparse_initializer = &list;
    expect_refused(&build, TESS_UNSUPPORTED, "sparse initialisers");
}

/* Each type from the field that ONNX keeps it in, and raw. */
static void test_element_types(void **state) {
    (void)state;
    static const uint8_t raw[16] = {1, 0, 0xFF, 0xFF, 0, 0, 0x80, 0x3F, 8, 7, 6, 5, 4, 3, 2, 1};
    static const int dtypes[] = {ONNX_FLOAT,  ONNX_UINT8,  ONNX_INT8,    ONNX_UINT16,
                                 ONNX_INT16,  ONNX_INT32,  ONNX_INT64,   ONNX_BOOL,
                                 ONNX_DOUBLE, ONNX_UINT32, ONNX_FLOAT16, ONNX_UINT64};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        struct onnx_build build;
        size_t size = onnx_dtype_size(dtypes[i]);
        char dims[8];
        snprintf(dims, sizeof dims, "%zu", 16 / size);
        start_sample(&build);
        Onnx__TensorProto *tensor = onnx_build_weight(&build, "u", dtypes[i], dims, NULL);
        tensor->n_float_data = tensor->n_int64_data = 0;
        tensor->has_raw_data = true;
        tensor->raw_data.data = onnx_build_alloc(&build, 16);
        memcpy(tensor->raw_data.data, raw, 16);
        tensor->raw_data.len = 16;
        struct onnx_model *model = expect_model(&build);
        assert_int_equal(model->tensors[1].dtype, dtypes[i]);
        check_same_bytes(model->tensors[1].data, raw, 16, onnx_dtype_name(dtypes[i]));
        onnx_model_destroy(model);
    }
    struct onnx_build build;
    static int32_t bytes[] = {-128, 127};
    start_sample(&build);
    Onnx__TensorProto *tensor = onnx_build_weight(&build, "u", ONNX_INT8, "2", NULL);
    tensor->int32_data = bytes;
    tensor->n_int32_data = 2;
    struct onnx_model *model = expect_model(&build);
    assert_int_equal(((const int8_t *)model->tensors[1].data)[0], -128);
    assert_int_equal(((const int8_t *)model->tensors[1].data)[1], 127);
    onnx_model_destroy(model);
    start_sample(&build);
    tensor = onnx_build_weight(&build, "u", ONNX_BOOL, "2", NULL);
    tensor->int32_data = bytes;
    tensor->n_int32_data = 2;
    expect_refused(&build, TESS_BAD_FORMAT, "outside its type's range");
    static uint64_t words[] = {UINT32_MAX, (uint64_t)1 << 32};
    start_sample(&build);
    tensor = onnx_build_weight(&build, "u", ONNX_UINT32, "2", NULL);
    tensor->uint64_data = words;
    tensor->n_uint64_data = 2;
    expect_refused(&build, TESS_BAD_FORMAT, "outside its type's range");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),       cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_optional_names), cmocka_unit_test(test_subgraph_attribute),
        cmocka_unit_test(test_versions),       cmocka_unit_test(test_bad_graphs),
        cmocka_unit_test(test_bad_types),      cmocka_unit_test(test_bad_attributes),
        cmocka_unit_test(test_bad_tensors),    cmocka_unit_test(test_element_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
