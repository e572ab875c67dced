/* Normalisation: on images, NHWC. */
#include "net/onnx/exec_build.h"

#include <float.h>
#include <string.h>

static tess_status enqueue_batch_norm(struct onnx_run *run, const struct exec_step *step) {
    struct tess_tensor x = exec_tensor(run, step, 0), scale = exec_tensor(run, step, 1);
    struct tess_tensor bias = exec_tensor(run, step, 2), mean = exec_tensor(run, step, 3);
    struct tess_tensor var = exec_tensor(run, step, 4), y = exec_tensor(run, step, 5);
    struct tess_tensor workspace = exec_workspace(run, step);
    return tess_batch_norm_forward_inference(
        step->op, &(tess_batch_norm_args){.x = &x,
                                          .scale = &scale,
                                          .bias = &bias,
                                          .running_mean = &mean,
                                          .running_var = &var,
                                          .y = &y,
                                          .workspace = step->workspace ? &workspace : NULL});
}

static void destroy_batch_norm(void *op) {
    tess_batch_norm_destroy(op);
}

static tess_status read_batch_norm(struct exec_build *b, float *eps) {
    struct onnx_at at = exec_at(b);
    struct onnx_batch_norm norm;
    tess_status status = onnx_batch_norm_of(&at, &norm);
    if (status) return status;
    if (norm.training || !(norm.epsilon >= 0))
        return infer_fail(&b->in, TESS_UNSUPPORTED,
                          "normalises by the batch, as in training; export it for inference");
    *eps = norm.epsilon > 0 ? norm.epsilon : FLT_MIN; /* 0 means 1e-5 there */
    return TESS_OK;
}

tess_status exec_batch_norm(struct exec_build *b) {
    int x = exec_input(b, 0), y = exec_output(b, 0);
    tess_tensor_desc image = exec_image(infer_in(&b->in, 0), EXEC_PIXELS);
    struct exec_operand operands[6] = {{.desc = image}, [5] = {.desc = image}};
    tess_batch_norm_desc desc = {
        .n = image.n, .c = image.c, .h = image.h, .w = image.w, .eps = 1e-5f};
    tess_batch_norm *op = NULL;
    tess_status status = read_batch_norm(b, &desc.eps);
    if (!status) status = exec_need(b, x, EXEC_PIXELS, &operands[0].buffer);
    for (int i = 1; i < 5 && !status; i++) {
        operands[i].desc = exec_vector(image.c);
        status = exec_need(b, exec_input(b, i), EXEC_ROWS, &operands[i].buffer);
    }
    if (!status) status = exec_make(b, y, EXEC_PIXELS, &operands[5].buffer);
    if (!status) status = tess_batch_norm_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {.op = op,
                                   .enqueue = enqueue_batch_norm,
                                   .destroy = destroy_batch_norm,
                                   .workspace = tess_batch_norm_workspace(op)};
    return exec_add(b, &step, operands, 6);
}

/* ---------------------------------------------------------------- local response normalisation */

static tess_status enqueue_lrn(struct onnx_run *run, const struct exec_step *step) {
    struct tess_tensor x = exec_tensor(run, step, 0), y = exec_tensor(run, step, 1);
    return tess_lrn_forward(step->op, &x, &y);
}

static void destroy_lrn(void *op) {
    tess_lrn_destroy(op);
}

static tess_status read_lrn(struct exec_build *b, tess_lrn_desc *desc) {
    struct onnx_at at = exec_at(b);
    struct onnx_lrn lrn;
    tess_status status = onnx_lrn_of(&at, &lrn);
    if (status) return status;
    if (lrn.size > TESS_LRN_MAX_SIZE || !(lrn.alpha > 0) || !(lrn.beta > 0) || !(lrn.bias > 0))
        return infer_fail(&b->in, TESS_UNSUPPORTED,
                          "size must be at most %d, alpha, beta and bias above 0; export it with "
                          "such",
                          TESS_LRN_MAX_SIZE);
    desc->size = lrn.size;
    desc->alpha = lrn.alpha;
    desc->beta = lrn.beta;
    desc->k = lrn.bias;
    return TESS_OK;
}

tess_status exec_lrn(struct exec_build *b) {
    tess_tensor_desc image = exec_image(infer_in(&b->in, 0), EXEC_PIXELS);
    struct exec_operand operands[2] = {{.desc = image}, {.desc = image}};
    tess_lrn_desc desc = {.n = image.n, .c = image.c, .h = image.h, .w = image.w};
    tess_lrn *op = NULL;
    tess_status status = read_lrn(b, &desc);
    if (!status) status = exec_need(b, exec_input(b, 0), EXEC_PIXELS, &operands[0].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), EXEC_PIXELS, &operands[1].buffer);
    if (!status) status = tess_lrn_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {.op = op, .enqueue = enqueue_lrn, .destroy = destroy_lrn};
    return exec_add(b, &step, operands, 2);
}

/* ---------------------------------------------------------------- softmax */

static tess_status enqueue_softmax(struct onnx_run *run, const struct exec_step *step) {
    return nd_softmax_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1));
}

static void destroy_softmax(void *op) {
    nd_softmax_destroy(op);
}

/* Softmax, LogSoftmax: row-major. */
tess_status exec_softmax(struct exec_build *b) {
    const struct onnx_known *x = infer_in(&b->in, 0);
    struct onnx_at at = exec_at(b);
    struct nd_softmax_desc desc = {.x = exec_shape(x, EXEC_ROWS, x->rank),
                                   .log = strcmp(b->in.node->op, "LogSoftmax") == 0};
    struct exec_operand operands[2] = {0};
    struct nd_softmax *op = NULL;
    int last = 0;
    tess_status status = onnx_softmax_of(&at, &desc.axis, &last);
    desc.flat = last > desc.axis;
    if (!status) status = exec_need(b, exec_input(b, 0), EXEC_ROWS, &operands[0].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), EXEC_ROWS, &operands[1].buffer);
    if (!status) status = nd_softmax_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {
        .op = op, .enqueue = enqueue_softmax, .destroy = destroy_softmax};
    return exec_add(b, &step, operands, 2);
}
