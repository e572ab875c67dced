/* Resize and Upsample, in whatever layout their input has. */
#include "net/onnx/exec_build.h"

#include <string.h>

static tess_status enqueue_resize(struct onnx_run *run, const struct exec_step *step) {
    return nd_resize_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1));
}

static void destroy_resize(void *op) {
    nd_resize_destroy(op);
}

/* An attribute's word as its place in words (ended by NULL). */
static tess_status read_word(struct exec_build *b, const char *name, const char *standard,
                             const char *const *words, int *place) {
    char text[32];
    strcpy(text, standard);
    tess_status status =
        onnx_get_string(b->in.model, b->in.node, name, b->in.error, sizeof text, text);
    for (int i = 0; !status && words[i]; i++)
        if (strcmp(words[i], text) == 0) {
            *place = i;
            return TESS_OK;
        }
    if (status) return status;
    return infer_fail(&b->in, TESS_UNSUPPORTED, "%s %s is not supported; use %s", name, text,
                      standard);
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

static tess_status read_how(struct exec_build *b, struct nd_resize_desc *desc) {
    static const char *const modes[] = {"nearest", "linear", "bilinear", NULL};
    static const char *const coordinates[] = {"half_pixel",           "asymmetric",
                                              "align_corners",        "pytorch_half_pixel",
                                              "tf_half_pixel_for_nn", NULL};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil", NULL};
    int mode = 0, how = 0, rounding = 0;
    bool old = infer_opset(&b->in) < 11;
    tess_status status = read_word(b, "mode", "nearest", modes, &mode);
    if (!status)
        status = read_word(b, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel",
                           coordinates, &how);
    if (!status)
        status = read_word(b, "nearest_mode", old ? "floor" : "round_prefer_floor", roundings,
                           &rounding);
    if (status) return status;
    desc->mode = mode == 0 ? ND_NEAREST : ND_LINEAR;
    desc->rounding = (enum nd_rounding)rounding;
    if (how == 4) return tf_half_pixel(b, desc);
    desc->coordinates = (enum nd_coordinates)how;
    return TESS_OK;
}

/* The scales that are given; all 0 where sizes are. */
static void read_scales(const struct exec_build *b, float scales[ONNX_MAX_RANK]) {
    int rank = infer_in(&b->in, 0)->rank;
    const struct onnx_attribute *attribute = onnx_attribute_find(b->in.node, "scales");
    const struct onnx_known *sizes = infer_in(&b->in, 3);
    bool old = infer_opset(&b->in) < 11;
    const struct onnx_known *given = infer_in(&b->in, old ? 1 : 2);
    if (!old && sizes && sizes->count > 0) return;
    for (int d = 0; d < rank; d++)
        if (attribute)
            scales[d] = attribute->as.floats[d];
        else if (given && given->constant && given->count == rank)
            scales[d] = (float)onnx_real_at(given->constant, d);
}

tess_status exec_resize(struct exec_build *b) {
    int x = exec_input(b, 0);
    const struct onnx_known *from = infer_in(&b->in, 0), *to = infer_out(&b->in, 0);
    enum exec_layout layout = exec_in_pixels(b, x) ? EXEC_PIXELS : EXEC_ROWS;
    struct nd_resize_desc desc = {.x = exec_shape(from, layout, from->rank)};
    struct exec_operand operands[2] = {0};
    float scales[ONNX_MAX_RANK] = {0};
    struct nd_resize *op = NULL;
    tess_status status = read_how(b, &desc);
    read_scales(b, scales);
    for (int d = 0; d < from->rank; d++) {
        desc.sizes[exec_axis(layout, from->rank, d)] = to->dims[d];
        desc.scales[exec_axis(layout, from->rank, d)] = scales[d];
    }
    if (!status) status = exec_need(b, x, layout, &operands[0].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), layout, &operands[1].buffer);
    if (!status) status = nd_resize_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {.op = op, .enqueue = enqueue_resize, .destroy = destroy_resize};
    return exec_add(b, &step, operands, 2);
}
