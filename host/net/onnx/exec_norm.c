/* Normalisation: on images, NHWC. */
#include "net/onnx/exec_build.h"

#include <float.h>
#include <limits.h>
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

/* Inference's kind, with one mean and variance a channel. */
static tess_status read_batch_norm(struct exec_build *b, float *eps) {
    int64_t training = 0, spatial = 1;
    tess_status status = onnx_get_float(b->in.model, b->in.node, "epsilon", b->in.error, eps);
    if (!status)
        status = onnx_get_int(b->in.model, b->in.node, "training_mode", b->in.error, &training);
    if (!status) status = onnx_get_int(b->in.model, b->in.node, "spatial", b->in.error, &spatial);
    if (status) return status;
    bool outputs = b->in.node->output_count > 1;
    if (training || !spatial || outputs || !(*eps >= 0))
        return infer_fail(&b->in, TESS_UNSUPPORTED,
                          "normalises by the batch, as in training, or by pixels; export it for "
                          "inference");
    if (*eps == 0) *eps = FLT_MIN; /* 0 means 1e-5 there */
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
    const struct onnx_infer *in = &b->in;
    int64_t size = 0;
    tess_status status = onnx_get_int(in->model, in->node, "size", in->error, &size);
    if (!status) status = onnx_get_float(in->model, in->node, "alpha", in->error, &desc->alpha);
    if (!status) status = onnx_get_float(in->model, in->node, "beta", in->error, &desc->beta);
    if (!status) status = onnx_get_float(in->model, in->node, "bias", in->error, &desc->k);
    if (status) return status;
    if (size < 1 || size > TESS_LRN_MAX_SIZE || !(desc->alpha > 0) || !(desc->beta > 0) ||
        !(desc->k > 0))
        return infer_fail(in, TESS_UNSUPPORTED,
                          "size must be 1 to %d, alpha, beta and bias above 0; export it with such",
                          TESS_LRN_MAX_SIZE);
    desc->size = (int)size;
    return TESS_OK;
}

tess_status exec_lrn(struct exec_build *b) {
    tess_tensor_desc image = exec_image(infer_in(&b->in, 0), EXEC_PIXELS);
    struct exec_operand operands[2] = {{.desc = image}, {.desc = image}};
    tess_lrn_desc desc = {.n = image.n,
                          .c = image.c,
                          .h = image.h,
                          .w = image.w,
                          .alpha = 1e-4f,
                          .beta = 0.75f,
                          .k = 1};
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
    bool old = infer_opset(&b->in) < 13;
    int64_t axis = old ? 1 : -1;
    struct nd_softmax_desc desc = {.x = exec_shape(x, EXEC_ROWS, x->rank),
                                   .flat = old,
                                   .log = strcmp(b->in.node->op, "LogSoftmax") == 0};
    struct exec_operand operands[2] = {0};
    struct nd_softmax *op = NULL;
    tess_status status = onnx_get_int(b->in.model, b->in.node, "axis", b->in.error, &axis);
    if (!status && (axis < INT_MIN || axis > INT_MAX))
        status = infer_fail(&b->in, TESS_BAD_FORMAT, "its axis is out of range; export it again");
    if (status) return status;
    desc.axis = (int)axis;
    status = nd_softmax_create(b->run->ctx, &desc, &op);
    if (status) return status;
    status = exec_need(b, exec_input(b, 0), EXEC_ROWS, &operands[0].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), EXEC_ROWS, &operands[1].buffer);
    if (status) {
        nd_softmax_destroy(op);
        return status;
    }
    const struct exec_step step = {
        .op = op, .enqueue = enqueue_softmax, .destroy = destroy_softmax};
    return exec_add(b, &step, operands, 2);
}
