/* Resize and Upsample, in whatever layout their input has. */
#include "net/onnx/exec_build.h"

#include <string.h>

static tess_status enqueue_resize(struct onnx_run *run, const struct exec_step *step) {
    return nd_resize_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1));
}

static void destroy_resize(void *op) {
    nd_resize_destroy(op);
}

/* The place of text in words, which NULL ends. */
static tess_status find_word(struct exec_build *b, const char *text, const char *const *words,
                             int *place) {
    for (*place = 0; words[*place]; (*place)++)
        if (strcmp(words[*place], text) == 0) return TESS_OK;
    return infer_fail(&b->in, TESS_UNSUPPORTED, "%s is not supported; use %s", text, words[0]);
}

/* (c + 0.5) / s rounded is half pixel's coordinate rounded otherwise. */
static tess_status tf_half_pixel(struct exec_build *b, struct nd_resize_desc *desc) {
    desc->coordinates = ND_HALF_PIXEL;
    if (desc->mode == ND_NEAREST && desc->rounding == ND_ROUND_PREFER_FLOOR)
        desc->rounding = ND_CEIL_UP;
    else if (desc->mode == ND_NEAREST && desc->rounding == ND_FLOOR_DOWN)
        desc->rounding = ND_ROUND_PREFER_CEIL;
    else
        return infer_fail(
            &b->in, TESS_UNSUPPORTED,
            "tf_half_pixel_for_nn with this rounding is not supported; use half_pixel");
    return TESS_OK;
}

/* Of nd_resize_desc's enums, and one kind of coordinates more. */
static const char *const modes[] = {"nearest", "linear", "bilinear", NULL};
static const char *const coordinates[] = {"half_pixel",           "asymmetric",
                                          "align_corners",        "pytorch_half_pixel",
                                          "tf_half_pixel_for_nn", NULL};
static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil",
                                        NULL};

static tess_status translate(struct exec_build *b, const struct onnx_resize *resize,
                             struct nd_resize_desc *desc) {
    int mode, how, rounding;
    tess_status status = find_word(b, resize->mode, modes, &mode);
    if (!status) status = find_word(b, resize->coordinates, coordinates, &how);
    if (!status) status = find_word(b, resize->nearest, roundings, &rounding);
    if (status) return status;
    desc->mode = mode == 0 ? ND_NEAREST : ND_LINEAR;
    desc->rounding = (enum nd_rounding)rounding;
    if (how == 4) return tf_half_pixel(b, desc);
    desc->coordinates = (enum nd_coordinates)how;
    return TESS_OK;
}

tess_status exec_resize(struct exec_build *b) {
    int x = exec_input(b, 0);
    const struct onnx_known *from = infer_in(&b->in, 0), *to = infer_out(&b->in, 0);
    enum exec_layout layout = exec_in_pixels(b, x) ? EXEC_PIXELS : EXEC_ROWS;
    struct nd_resize_desc desc = {.x = exec_shape(from, layout, from->rank)};
    struct exec_operand operands[2] = {0};
    struct onnx_at at = exec_at(b);
    struct onnx_resize resize;
    struct nd_resize *op = NULL;
    tess_status status = onnx_resize_of(&at, &resize);
    if (!status) status = translate(b, &resize, &desc);
    for (int d = 0; d < from->rank && !status; d++) {
        desc.sizes[exec_axis(layout, from->rank, d)] = to->dims[d];
        desc.scales[exec_axis(layout, from->rank, d)] = (float)resize.scales[d];
    }
    if (!status) status = exec_need(b, x, layout, &operands[0].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), layout, &operands[1].buffer);
    if (!status) status = nd_resize_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {.op = op, .enqueue = enqueue_resize, .destroy = destroy_resize};
    return exec_add(b, &step, operands, 2);
}
