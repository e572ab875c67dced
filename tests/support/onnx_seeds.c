#include "support/onnx_seeds.h"

#include "net/onnx/graph_import.h"
#include "net/onnx/onnx_params.h"
#include "net/onnx/onnx_window.h"

#include <stdlib.h>
#include <string.h>

/* A small network. */
static void network(struct onnx_build *build) {
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, "N,3,8,8");
    onnx_build_weight(build, "w", 1, "4,3,3,3", NULL);
    onnx_build_weight(build, "b", 1, "4", NULL);
    onnx_build_weight(build, "fc", 1, "5,4", NULL);
    onnx_build_node(build, "Conv", "x,w,b", "c");
    onnx_build_attr_ints(build, "pads", "1,1,1,1");
    onnx_build_attr_ints(build, "kernel_shape", "3,3");
    onnx_build_node(build, "BatchNormalization", "c,b,b,b,b", "n");
    onnx_build_attr_float(build, "epsilon", 1e-5f);
    onnx_build_node(build, "MaxPool", "n", "p");
    onnx_build_attr_ints(build, "kernel_shape", "2,2");
    onnx_build_attr_ints(build, "strides", "2,2");
    onnx_build_attr_string(build, "auto_pad", "SAME_LOWER");
    onnx_build_node(build, "GlobalAveragePool", "p", "g");
    onnx_build_node(build, "Flatten", "g", "f");
    onnx_build_node(build, "Gemm", "f,fc", "y");
    onnx_build_attr_int(build, "transB", 1);
    onnx_build_output(build, "y", 1, "N,5");
}

/* Shape arithmetic. */
static void shapes(struct onnx_build *build) {
    int64_t zero = 0;
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, "N,4,3,?");
    onnx_build_weight(build, "zero", 7, "", &zero);
    onnx_build_ints(build, "axes", "0");
    onnx_build_ints(build, "rest", "-1");
    onnx_build_ints(build, "two", "2");
    onnx_build_node(build, "Shape", "x", "s");
    onnx_build_node(build, "Gather", "s,zero", "n");
    onnx_build_node(build, "Unsqueeze", "n,axes", "n1");
    onnx_build_node(build, "Div", "two,two", "one");
    onnx_build_node(build, "Mul", "n1,one", "n2");
    onnx_build_node(build, "Concat", "n2,rest", "t");
    onnx_build_attr_int(build, "axis", 0);
    onnx_build_node(build, "Reshape", "x,t", "y");
    onnx_build_node(build, "Slice", "s,axes,two,axes", "part");
    onnx_build_node(build, "ConstantOfShape", "part", "zeros");
    onnx_build_attr_tensor(build, "value", onnx_build_tensor(build, "", 7, "1", NULL));
    onnx_build_node(build, "Cast", "zeros", "floats");
    onnx_build_attr_int(build, "to", 1);
    onnx_build_output(build, "y", 1, "N,M");
    onnx_build_output(build, "floats", 1, NULL);
}

/* Resizing, padding, splitting; raw data; older operator set. */
static void older(struct onnx_build *build) {
    float scales[4] = {1.0f, 1.0f, 2.0f, 1.5f};
    onnx_build_start(build, 9);
    onnx_build_input(build, "x", 1, "2,4,6,6");
    Onnx__TensorProto *w = onnx_build_weight(build, "scales", 1, "4", scales);
    w->has_raw_data = true;
    w->raw_data.len = sizeof scales;
    w->raw_data.data = onnx_build_alloc(build, sizeof scales);
    memcpy(w->raw_data.data, scales, sizeof scales);
    w->n_float_data = 0;
    onnx_build_node(build, "Upsample", "x,scales", "u");
    onnx_build_attr_string(build, "mode", "nearest");
    onnx_build_node(build, "Pad", "u", "p");
    onnx_build_attr_ints(build, "pads", "0,0,1,2,0,0,-1,0");
    onnx_build_node(build, "Split", "p", "s,t");
    onnx_build_attr_int(build, "axis", 1);
    onnx_build_attr_ints(build, "split", "1,3");
    onnx_build_node(build, "Transpose", "t", "q");
    onnx_build_attr_ints(build, "perm", "0,2,3,1");
    onnx_build_node(build, "ReduceMean", "q", "m");
    onnx_build_attr_ints(build, "axes", "-1");
    onnx_build_node(build, "Squeeze", "m", "z");
    onnx_build_attr_ints(build, "axes", "3");
    onnx_build_output(build, "z", 1, "2,12,11");
    onnx_build_output(build, "s", 1, NULL);
}

/* Integer types, every kind of constant. */
static void constants(struct onnx_build *build) {
    static int32_t narrow[3] = {1, 0, 1};
    onnx_build_start(build, 15);
    onnx_build_input(build, "x", 7, "3");
    Onnx__TensorProto *flags = onnx_build_weight(build, "flags", 9, "3", NULL);
    flags->int32_data = narrow;
    flags->n_int32_data = 3;
    onnx_build_node(build, "Constant", "", "a");
    onnx_build_attr_ints(build, "value_ints", "5,6,7");
    onnx_build_node(build, "Constant", "", "k");
    onnx_build_attr_int(build, "value_int", 2);
    onnx_build_node(build, "Where", "flags,a,k", "w");
    onnx_build_node(build, "Add", "x,w", "y");
    onnx_build_node(build, "Range", "k,k,k", "r");
    onnx_build_node(build, "Expand", "k,a", "e");
    onnx_build_node(build, "ReduceProd", "a", "m");
    onnx_build_output(build, "y", 7, "3");
    onnx_build_output(build, "r", 7, NULL);
    onnx_build_output(build, "e", 7, NULL);
    onnx_build_output(build, "m", 7, NULL);
}

/* What is read but not supported: subgraph, function, foreign domain, intermediate types. */
static void foreign(struct onnx_build *build) {
    network(build);
    onnx_build_node(build, "If", "y", "u");
    Onnx__AttributeProto *branch = onnx_build_attr_int(build, "then_branch", 0);
    branch->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
    branch->has_i = false;
    Onnx__GraphProto *inner = onnx_build_alloc(build, sizeof *inner);
    onnx__graph_proto__init(inner);
    inner->node = build->graph->node;
    inner->n_node = 2;
    branch->g = inner;
    onnx_build_node(build, "Gelu", "u", "v")->domain = onnx_build_text(build, "com.example");
    build->graph->n_value_info = 1;
    build->graph->value_info = onnx_build_alloc(build, sizeof *build->graph->value_info);
    build->graph->value_info[0] = onnx_build_info(build, "c", 1, "N,4,8,8");
    onnx_build_output(build, "v", 1, NULL);
}

static void numbers(struct onnx_build *build, const char *name, const char *dims, int count) {
    float *data = onnx_build_alloc(build, (size_t)count * sizeof *data);
    check_random(data, (size_t)count, 0.1f, 1, 1);
    onnx_build_weight(build, name, 1, dims, data);
}

/* A classifier that can be trained. */
static void classifier(struct onnx_build *build) {
    onnx_build_start(build, 13);
    onnx_build_input(build, "x", 1, "N,2,4,4");
    onnx_build_ints(build, "pads", "0,0,1,1,0,0,1,1");
    onnx_build_node(build, "Pad", "x,pads", "padded");
    numbers(build, "conv.weight", "3,2,3,3", 54);
    onnx_build_node(build, "Conv", "padded,conv.weight", "a");
    numbers(build, "factor", "3,1,1", 3);
    onnx_build_node(build, "Mul", "a,factor", "b");
    onnx_build_node(build, "Add", "b,factor", "c");
    onnx_build_node(build, "Relu", "c", "d");
    numbers(build, "n", "3", 3);
    onnx_build_node(build, "BatchNormalization", "d,n,n,n,n", "e");
    onnx_build_node(build, "AveragePool", "e", "f");
    onnx_build_attr_ints(build, "kernel_shape", "2,2");
    onnx_build_node(build, "Concat", "f,f", "g");
    onnx_build_attr_int(build, "axis", 1);
    onnx_build_node(build, "Flatten", "g", "h");
    numbers(build, "fc.weight", "54,5", 270);
    onnx_build_node(build, "Gemm", "h,fc.weight", "i");
    onnx_build_node(build, "Softmax", "i", "y");
    onnx_build_output(build, "y", 1, NULL);
}

bool onnx_seed(int i, struct onnx_build *build) {
    static void (*const seeds[])(struct onnx_build * build) = {network,   shapes,     older,
                                                               constants, classifier, foreign};
    if (i < 0 || (size_t)i >= sizeof seeds / sizeof *seeds) return false;
    seeds[i](build);
    return true;
}

static void check_reason(tess_status status, const tess_error *error) {
    const char *end = strchr(error->text, ';');
    if (status && (error->status != status || !end || strchr(error->text, '\n')))
        fail_msg("status %d, no reason in \"%s\"", status, error->text);
}

/* Asks a node that was folded for its parameters. */
static void ask(const struct onnx_at *at) {
    const char *op = at->node->op;
    union {
        struct onnx_slice slice;
        struct onnx_pad pad;
        struct onnx_reduce reduce;
        struct onnx_gemm gemm;
        struct onnx_batch_norm norm;
        struct onnx_lrn lrn;
        struct onnx_resize resize;
        struct onnx_window window;
        int numbers[ONNX_MAX_RANK];
        tess_act act;
    } out;
    int axis;
    bool conv = strncmp(op, "Conv", 4) == 0;
    tess_status status = onnx_act_of(at, &out.act);
    if (strcmp(op, "Slice") == 0) status = onnx_slice_of(at, &out.slice);
    if (strcmp(op, "Pad") == 0) status = onnx_pad_of(at, &out.pad);
    if (strncmp(op, "Reduce", 6) == 0) status = onnx_reduce_of(at, &out.reduce);
    if (strcmp(op, "Gemm") == 0) status = onnx_gemm_of(at, &out.gemm);
    if (strcmp(op, "BatchNormalization") == 0) status = onnx_batch_norm_of(at, &out.norm);
    if (strcmp(op, "LRN") == 0) status = onnx_lrn_of(at, &out.lrn);
    if (strcmp(op, "Upsample") == 0 || strcmp(op, "Resize") == 0)
        status = onnx_resize_of(at, &out.resize);
    if (strcmp(op, "Transpose") == 0) status = onnx_perm_of(at, out.numbers);
    if (strcmp(op, "Softmax") == 0) status = onnx_softmax_of(at, &axis, out.numbers);
    if (strcmp(op, "Concat") == 0 || strcmp(op, "Split") == 0) status = onnx_axis_of(at, &axis);
    if (conv || strcmp(op, "MaxPool") == 0)
        status = onnx_window_of(at->model, at->node, onnx_input(at, 0),
                                conv ? onnx_input(at, 1) : NULL, at->error, &out.window);
    check_reason(status, at->error);
}

/* As a graph, and with a new classifier. */
static void convert(const struct onnx_model *model) {
    for (int classes = 0; classes <= 3; classes += 3) {
        const tess_zoo_options options = {.c = 4, .h = 3, .w = 5, .classes = classes};
        tess_error error = {0};
        tess_graph *graph = NULL;
        char *list = NULL;
        check_reason(onnx_to_graph(model, &options, &error, &list, &graph), &error);
        free(list);
        tess_graph_destroy(graph);
    }
}

bool onnx_exercise(const uint8_t *data, size_t size) {
    struct onnx_model *model = NULL;
    struct onnx_folded *folded = NULL;
    tess_error error = {0};
    tess_status status = onnx_model_parse(data, size, "model", &error, &model);
    check_reason(status, &error);
    if (!status) {
        char *list = NULL;
        bool *needed = calloc((size_t)model->input_count + 1, sizeof *needed);
        check_reason(onnx_check_operators(model, onnx_fold_supports, &error, &list), &error);
        status = needed ? onnx_value_inputs(model, &error, needed) : TESS_OUT_OF_HOST_MEMORY;
        free(list);
        free(needed);
    }
    if (!status) {
        struct onnx_bind bind = {.name = "x", .rank = 4, .dims = {2, 4, 3, 5}};
        struct onnx_fold_options options = {.batch = 2, .inputs = &bind};
        int x = onnx_model_find(model, "x");
        options.input_count =
            x >= 0 && model->values[x].type.dims[3].size < 0 && model->values[x].type.rank == 4;
        status = onnx_fold(model, &options, &error, &folded);
        check_reason(status, &error);
        convert(model);
    }
    for (int i = 0; folded && i < folded->node_count; i++) {
        tess_error told = {0};
        ask(&(struct onnx_at){model, folded, &model->nodes[folded->nodes[i]], &told});
    }
    onnx_folded_destroy(folded);
    onnx_model_destroy(model);
    return !status;
}
