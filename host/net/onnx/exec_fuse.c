/* What follows a convolution and becomes part of it: batch normalisation in its weights, an addition and an activation in its epilogue. Only
   where nobody else reads what lies between. */
#include "net/onnx/exec_build.h"

#include <stdlib.h>
#include <string.h>

/* The node that alone reads a value; NULL: there is none. */
static const struct onnx_node *reader_of(const struct exec_build *b, int value, int *index) {
    *index = b->reader[value];
    return *index < 0 ? NULL : &b->in.model->nodes[*index];
}

static bool is_op(const struct onnx_node *node, const char *op) {
    return node && !*node->domain && strcmp(node->op, op) == 0;
}

/* ---------------------------------------------------------------- batch normalisation */

static const float *floats_of(const struct exec_build *b, int value) {
    const struct onnx_known *known = &b->run->folded->values[value];
    return known->constant && known->dtype == ONNX_FLOAT ? known->constant->data : NULL;
}

/* Inference with constants all over; the convolution's weights and bias are constants too. */
static tess_status can_fold(struct exec_build *b, const struct onnx_node *norm, bool *can) {
    struct onnx_at at = exec_at(b);
    struct onnx_batch_norm params;
    int bias = exec_input(b, 2);
    at.node = norm;
    *can = false;
    tess_status status = onnx_batch_norm_of(&at, &params);
    if (status || params.training) return status;
    if (!floats_of(b, exec_input(b, 1)) || (bias >= 0 && !floats_of(b, bias))) return TESS_OK;
    for (int i = 1; i < 5; i++)
        if (!floats_of(b, norm->inputs[i])) return TESS_OK;
    const float *var = floats_of(b, norm->inputs[4]);
    for (int64_t k = 0; k < b->run->folded->values[norm->inputs[4]].count; k++)
        if (!((double)var[k] + (double)params.epsilon > 0)) return TESS_OK;
    *can = true;
    return TESS_OK;
}

static tess_status take_norm(struct exec_build *b, struct exec_chain *chain) {
    int index;
    bool can = false;
    const struct onnx_node *next = reader_of(b, chain->y, &index);
    if (!is_op(next, "BatchNormalization") || next->inputs[0] != chain->y) return TESS_OK;
    tess_status status = can_fold(b, next, &can);
    if (status || !can) return status;
    chain->norm = next;
    chain->y = next->outputs[0];
    b->done[index] = true;
    return TESS_OK;
}

/* folded: k bias values, then the weights as RSCK. */
static tess_status fold(struct exec_build *b, const struct exec_chain *chain, int k,
                        float *folded) {
    const struct onnx_known *w = infer_in(&b->in, 1);
    tess_tensor_desc from = exec_image(w, EXEC_ROWS), to = exec_image(w, EXEC_FILTERS);
    int bias = exec_input(b, 2);
    struct onnx_at at = exec_at(b);
    struct onnx_batch_norm params;
    at.node = chain->norm;
    tess_status status = onnx_batch_norm_of(&at, &params);
    if (status) return status;
    layout_copy(&from, from.layout, w->constant->data, to.layout, folded + k);
    const int *inputs = chain->norm->inputs;
    const tess_batch_norm_fold_args args = {.rows = (size_t)(w->count / k),
                                            .k = k,
                                            .eps = params.epsilon,
                                            .weights = folded + k,
                                            .bias = bias < 0 ? NULL : floats_of(b, bias),
                                            .scale = floats_of(b, inputs[1]),
                                            .shift = floats_of(b, inputs[2]),
                                            .mean = floats_of(b, inputs[3]),
                                            .var = floats_of(b, inputs[4]),
                                            .folded_weights = folded + k,
                                            .folded_bias = folded};
    return tess_batch_norm_fold(&args, b->in.error);
}

tess_status exec_fold_norm(struct exec_build *b, const struct exec_chain *chain, int *weights,
                           int *bias) {
    const struct onnx_known *w = infer_in(&b->in, 1);
    int k = (int)w->dims[0];
    size_t bytes = (size_t)k * sizeof(float), weight_bytes = (size_t)w->count * sizeof(float);
    float *folded = malloc(bytes + weight_bytes);
    if (!folded)
        return infer_fail(&b->in, TESS_OUT_OF_HOST_MEMORY, "no memory for its weights; free some");
    tess_status status = fold(b, chain, k, folded);
    if (!status) status = exec_buffer_constant(b->run, folded, bytes, bias);
    if (!status) status = exec_buffer_constant(b->run, folded + k, weight_bytes, weights);
    free(folded);
    return status;
}

/* ---------------------------------------------------------------- addition, activation */

/* The other operand must be there by now, as pixels and of the same shape. */
static void take_residual(struct exec_build *b, struct exec_chain *chain) {
    int index;
    const struct onnx_known *values = b->run->folded->values;
    const struct onnx_node *next = reader_of(b, chain->y, &index);
    if (!is_op(next, "Add")) return;
    int other = next->inputs[next->inputs[0] == chain->y];
    struct nd_shape y = exec_shape(&values[chain->y], EXEC_ROWS, values[chain->y].rank);
    struct nd_shape shape = exec_shape(&values[other], EXEC_ROWS, values[other].rank);
    if (b->run->values[other].buffer[EXEC_PIXELS] < 0 || !nd_shape_equal(&y, &shape)) return;
    chain->residual = other;
    chain->y = next->outputs[0];
    b->done[index] = true;
}

static tess_status take_activation(struct exec_build *b, struct exec_chain *chain) {
    int index;
    struct onnx_at at = exec_at(b);
    at.node = reader_of(b, chain->y, &index);
    if (!at.node) return TESS_OK;
    tess_status status = onnx_act_of(&at, &chain->act);
    if (status || chain->act.kind == TESS_ACT_NONE) return status;
    chain->y = at.node->outputs[0];
    b->done[index] = true;
    return TESS_OK;
}

tess_status exec_chain_of(struct exec_build *b, bool all, struct exec_chain *chain) {
    *chain = (struct exec_chain){.y = exec_output(b, 0), .residual = ONNX_ABSENT};
    tess_status status = all ? take_norm(b, chain) : TESS_OK;
    if (!status && all) take_residual(b, chain);
    return status ? status : take_activation(b, chain);
}
