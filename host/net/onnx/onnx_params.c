#include "net/onnx/onnx_params.h"

#include "net/onnx/onnx_infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The rules of inference work on the same node; they change nothing but outputs, which these do not touch. */
static struct onnx_infer infer_at(const struct onnx_at *at) {
    return (struct onnx_infer){at->model, at->node, (struct onnx_folded *)at->folded, at->error};
}

const struct onnx_known *onnx_input(const struct onnx_at *at, int i) {
    struct onnx_infer in = infer_at(at);
    return infer_in(&in, i);
}

const struct onnx_known *onnx_output(const struct onnx_at *at, int i) {
    struct onnx_infer in = infer_at(at);
    return infer_out(&in, i);
}

static tess_status get_float(const struct onnx_at *at, const char *name, float *value) {
    return onnx_get_float(at->model, at->node, name, at->error, value);
}

static tess_status get_flag(const struct onnx_at *at, const char *name, bool *value) {
    int64_t i = *value;
    tess_status status = onnx_get_int(at->model, at->node, name, at->error, &i);
    *value = i != 0;
    return status;
}

/* A single number in input i, if it is there. */
static tess_status get_number(const struct onnx_at *at, int i, double *value) {
    const struct onnx_known *x = onnx_input(at, i);
    if (!x) return TESS_OK;
    if (!x->constant)
        return onnx_node_fail(at->model, at->node, at->error, TESS_UNSUPPORTED,
                              "its input %d is only known when the model runs; make it a constant",
                              i);
    if (x->count != 1 || (!onnx_is_real(x->dtype) && !onnx_is_integer(x->dtype)))
        return onnx_node_fail(at->model, at->node, at->error, TESS_BAD_FORMAT,
                              "its input %d is not one number; export it again", i);
    *value = onnx_real_at(x->constant, 0);
    return TESS_OK;
}

/* ---------------------------------------------------------------- moving elements */

tess_status onnx_slice_of(const struct onnx_at *at, struct onnx_slice *out) {
    struct onnx_infer in = infer_at(at);
    return infer_slice_plan(&in, out->start, out->step, out->size);
}

tess_status onnx_perm_of(const struct onnx_at *at, int *perm) {
    const int rank = onnx_input(at, 0)->rank;
    int64_t given[ONNX_MAX_RANK];
    int count = 0;
    tess_status status =
        onnx_get_ints(at->model, at->node, "perm", at->error, ONNX_MAX_RANK, given, &count);
    for (int d = 0; d < rank && !status; d++)
        perm[d] = count < 0 ? rank - 1 - d : (int)(given[d] < 0 ? given[d] + rank : given[d]);
    return status;
}

tess_status onnx_pad_of(const struct onnx_at *at, struct onnx_pad *out) {
    struct onnx_infer in = infer_at(at);
    float value = 0;
    snprintf(out->mode, sizeof out->mode, "constant");
    tess_status status =
        onnx_get_string(at->model, at->node, "mode", at->error, sizeof out->mode, out->mode);
    if (!status) status = infer_pads(&in, out->before, out->after);
    if (!status) status = get_float(at, "value", &value);
    out->value = (double)value;
    return status ? status : get_number(at, 2, &out->value);
}

tess_status onnx_axis_of(const struct onnx_at *at, int *axis) {
    struct onnx_infer in = infer_at(at);
    return infer_axis_attribute(&in, strcmp(at->node->op, "Concat") == 0, onnx_input(at, 0)->rank,
                                axis);
}

/* ---------------------------------------------------------------- arithmetic */

tess_status onnx_reduce_of(const struct onnx_at *at, struct onnx_reduce *out) {
    struct onnx_infer in = infer_at(at);
    return infer_reduced(&in, out->reduced, &out->keep);
}

tess_status onnx_softmax_of(const struct onnx_at *at, int *first, int *last) {
    struct onnx_infer in = infer_at(at);
    const int rank = onnx_input(at, 0)->rank;
    bool together = at->model->opset < 13;
    tess_status status = infer_axis_attribute(&in, together ? 1 : -1, rank, first);
    *last = together ? rank - 1 : *first;
    return status;
}

tess_status onnx_clip_of(const struct onnx_at *at, double *least, double *most) {
    float low = -INFINITY, high = INFINITY;
    tess_status status = get_float(at, "min", &low);
    if (!status) status = get_float(at, "max", &high);
    *least = (double)low;
    *most = (double)high;
    if (!status) status = get_number(at, 1, least);
    return status ? status : get_number(at, 2, most);
}

tess_status onnx_gemm_of(const struct onnx_at *at, struct onnx_gemm *out) {
    *out = (struct onnx_gemm){.alpha = 1, .beta = 1};
    tess_status status = get_float(at, "alpha", &out->alpha);
    if (!status) status = get_float(at, "beta", &out->beta);
    if (!status) status = get_flag(at, "transA", &out->trans_a);
    return status ? status : get_flag(at, "transB", &out->trans_b);
}

tess_status onnx_batch_norm_of(const struct onnx_at *at, struct onnx_batch_norm *out) {
    bool spatial = true;
    *out = (struct onnx_batch_norm){.epsilon = 1e-5f, .momentum = 0.9f};
    tess_status status = get_float(at, "epsilon", &out->epsilon);
    if (!status) status = get_float(at, "momentum", &out->momentum);
    if (!status) status = get_flag(at, "training_mode", &out->training);
    if (!status) status = get_flag(at, "spatial", &spatial);
    if (!status && !spatial)
        return onnx_node_fail(at->model, at->node, at->error, TESS_UNSUPPORTED,
                              "normalises each element by itself (spatial 0), which is not "
                              "supported; export it for operator set 9 or later");
    /* Before operator set 14, asking for the statistics means training. */
    if (at->model->opset < 14 && at->node->output_count > 1) out->training = true;
    return status;
}

tess_status onnx_lrn_of(const struct onnx_at *at, struct onnx_lrn *out) {
    int64_t size = 0;
    *out = (struct onnx_lrn){.alpha = 1e-4f, .beta = 0.75f, .bias = 1.0f};
    tess_status status = get_float(at, "alpha", &out->alpha);
    if (!status) status = get_float(at, "beta", &out->beta);
    if (!status) status = get_float(at, "bias", &out->bias);
    if (!status) status = onnx_get_int(at->model, at->node, "size", at->error, &size);
    if (status) return status;
    if (size < 1 || size > ONNX_MAX_ELEMENTS)
        return onnx_node_fail(at->model, at->node, at->error, TESS_BAD_FORMAT,
                              "attribute size is %lld, and must be at least 1; export it again",
                              (long long)size);
    out->size = (int)size;
    return TESS_OK;
}

tess_status onnx_dropout_of(const struct onnx_at *at, double *rate, bool *training) {
    float ratio = 0.5f;
    double mode = 0;
    tess_status status = get_float(at, "ratio", &ratio);
    *rate = (double)ratio;
    if (!status) status = get_number(at, 1, rate);
    if (!status) status = get_number(at, 2, &mode);
    *training = mode != 0;
    return status;
}

/* ---------------------------------------------------------------- images */

static tess_status get_text(const struct onnx_at *at, const char *name, const char *standard,
                            char *out, size_t size) {
    snprintf(out, size, "%s", standard);
    return onnx_get_string(at->model, at->node, name, at->error, size, out);
}

tess_status onnx_resize_of(const struct onnx_at *at, struct onnx_resize *out) {
    const struct onnx_known *x = onnx_input(at, 0), *y = onnx_output(at, 0);
    bool old = at->model->opset < 11 || strcmp(at->node->op, "Upsample") == 0;
    const struct onnx_known *given = onnx_input(at, old ? 1 : 2);
    /* Checked when the shape was inferred; Resize has no such attribute. */
    const struct onnx_attribute *attribute =
        strcmp(at->node->op, "Upsample") == 0 ? onnx_attribute_find(at->node, "scales") : NULL;
    tess_status status = get_text(at, "mode", "nearest", out->mode, sizeof out->mode);
    if (!status)
        status = get_text(at, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel",
                          out->coordinates, sizeof out->coordinates);
    if (!status)
        status = get_text(at, "nearest_mode", old ? "floor" : "round_prefer_floor", out->nearest,
                          sizeof out->nearest);
    if (strcmp(out->mode, "bilinear") == 0) /* Upsample of old */
        snprintf(out->mode, sizeof out->mode, "linear");
    bool listed = given && given->constant && given->count == x->rank;
    for (int d = 0; d < x->rank && !status; d++) {
        out->scales[d] = (double)y->dims[d] / (double)x->dims[d];
        if (listed) out->scales[d] = onnx_real_at(given->constant, d);
        if (attribute) out->scales[d] = (double)attribute->as.floats[d];
    }
    return status;
}

/* ---------------------------------------------------------------- activations */

static const struct {
    const char *op;
    tess_activation kind;
    float alpha; /* ONNX's default */
    bool takes;  /* an alpha */
} acts[] = {
    {"Relu", TESS_ACT_RELU, 0, false}, {"LeakyRelu", TESS_ACT_LEAKY_RELU, 0.01f, true},
    {"Elu", TESS_ACT_ELU, 1.0f, true}, {"Sigmoid", TESS_ACT_SIGMOID, 0, false},
    {"Tanh", TESS_ACT_TANH, 0, false},
};

/* Those that fit only with certain parameters. */
static tess_status special_act(const struct onnx_at *at, tess_act *act) {
    const char *op = at->node->op;
    tess_status status = TESS_OK;
    if (strcmp(op, "Clip") == 0) {
        double least, most;
        status = onnx_clip_of(at, &least, &most);
        if (!status && least == 0 && most > 0 && !isinf(most))
            *act = (tess_act){TESS_ACT_CLIPPED_RELU, (float)most};
    } else if (strcmp(op, "HardSigmoid") == 0) {
        float alpha = 0.2f, beta = 0.5f;
        status = get_float(at, "alpha", &alpha);
        if (!status) status = get_float(at, "beta", &beta);
        if (!status && fabsf(alpha - 1.0f / 6) < 1e-6f && beta == 0.5f)
            act->kind = TESS_ACT_HARD_SIGMOID;
    } else if (strcmp(op, "Selu") == 0) {
        float alpha = 1.6732632f, gamma = 1.0507010f;
        status = get_float(at, "alpha", &alpha);
        if (!status) status = get_float(at, "gamma", &gamma);
        if (!status && fabsf(alpha - 1.6732632f) < 1e-5f && fabsf(gamma - 1.0507010f) < 1e-5f)
            act->kind = TESS_ACT_SELU;
    }
    return status;
}

tess_status onnx_act_of(const struct onnx_at *at, tess_act *act) {
    *act = (tess_act){.kind = TESS_ACT_NONE};
    if (*at->node->domain) return TESS_OK;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(acts[i].op, at->node->op) != 0) continue;
        float alpha = acts[i].alpha;
        tess_status status = acts[i].takes ? get_float(at, "alpha", &alpha) : TESS_OK;
        /* Layers take an alpha above 0. */
        if (!status && (!acts[i].takes || alpha > 0)) *act = (tess_act){acts[i].kind, alpha};
        return status;
    }
    return special_act(at, act);
}
