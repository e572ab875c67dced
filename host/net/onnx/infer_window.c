/* Shapes of operators over images: convolution, pooling, resizing, padding. */
#include "net/onnx/onnx_infer.h"
#include "net/onnx/onnx_window.h"

#include <math.h>
#include <string.h>

#define MAX_WINDOW (1 << 20) /* of sizes, strides, pads: far beyond use, and no sum overflows */

struct window_work {
    const struct onnx_model *model;
    const struct onnx_node *node;
    const struct onnx_known *x;
    tess_error *error;
    bool transposed;
};

#define window_fail(work, status, ...)                                                             \
    onnx_node_fail((work)->model, (work)->node, (work)->error, (status), __VA_ARGS__)

/* `count` numbers from least to MAX_WINDOW; standard if the attribute is absent. */
static tess_status read_list(const struct window_work *work, const char *name, int count,
                             int64_t least, int64_t standard, int64_t *out) {
    int64_t values[2 * ONNX_MAX_RANK];
    int got = 0;
    tess_status status =
        onnx_get_ints(work->model, work->node, name, work->error, 2 * ONNX_MAX_RANK, values, &got);
    if (status) return status;
    if (got >= 0 && got != count)
        return window_fail(work, TESS_BAD_FORMAT,
                           "attribute %s has %d numbers instead of %d; export it again", name, got,
                           count);
    for (int i = 0; i < count; i++) {
        out[i] = got < 0 ? standard : values[i];
        if (out[i] < least || out[i] > MAX_WINDOW)
            return window_fail(work, TESS_UNSUPPORTED,
                               "attribute %s has %lld, which is not between %lld and %d; use "
                               "another",
                               name, (long long)out[i], (long long)least, MAX_WINDOW);
    }
    return TESS_OK;
}

/* The kernel's size from the weights' shape (which the attribute must repeat) or the attribute. */
static tess_status read_kernel(const struct window_work *work, const struct onnx_known *weights,
                               struct onnx_window *w) {
    if (!weights && !onnx_attribute_find(work->node, "kernel_shape"))
        return window_fail(work, TESS_BAD_FORMAT, "has no kernel_shape; export it again");
    tess_status status = read_list(work, "kernel_shape", w->spatial, 1, 0 + 1, w->kernel);
    if (status || !weights) return status;
    if (weights->rank != work->x->rank)
        return window_fail(work, TESS_INVALID_SHAPE,
                           "its weights have %d dimensions and its input %d; check the input's "
                           "shape",
                           weights->rank, work->x->rank);
    bool stated = onnx_attribute_find(work->node, "kernel_shape") != NULL;
    for (int i = 0; i < w->spatial; i++) {
        int64_t size = weights->dims[i + 2];
        if (size < 1 || size > MAX_WINDOW || (stated && size != w->kernel[i]))
            return window_fail(work, TESS_BAD_FORMAT,
                               "its weights do not have the size that kernel_shape says; export "
                               "it again");
        w->kernel[i] = size;
    }
    return TESS_OK;
}

static tess_status check_channels(const struct window_work *work, const struct onnx_known *weights,
                                  int64_t group) {
    int64_t c = work->x->dims[1], k = weights->dims[0], per_group = weights->dims[1];
    bool fits = group >= 1 && group <= c && c % group == 0 &&
                (work->transposed ? k == c : k % group == 0 && per_group == c / group);
    if (fits) return TESS_OK;
    return window_fail(work, TESS_INVALID_SHAPE,
                       "%lld input channels do not fit weights of %lld x %lld in %lld groups; "
                       "check the input's shape",
                       (long long)c, (long long)k, (long long)per_group, (long long)group);
}

enum auto_pad { PAD_GIVEN, PAD_VALID, PAD_SAME_UPPER, PAD_SAME_LOWER };

static tess_status read_auto_pad(const struct window_work *work, enum auto_pad *out) {
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    char text[16] = "NOTSET";
    tess_status status =
        onnx_get_string(work->model, work->node, "auto_pad", work->error, sizeof text, text);
    if (status) return status;
    for (int i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0 || (i == 0 && !*text)) {
            *out = (enum auto_pad)i;
            return TESS_OK;
        }
    return window_fail(work, TESS_BAD_FORMAT,
                       "attribute auto_pad is no known word; export it again");
}

/* Splits padding that the operator chooses; the odd one goes to the end if upper. */
static void split_pad(struct onnx_window *w, int i, int64_t total, bool upper) {
    if (total < 0) total = 0;
    w->pad_begin[i] = upper ? total / 2 : total - total / 2;
    w->pad_end[i] = total - w->pad_begin[i];
}

/* Output size and padding of dimension i of a window that slides over an input of size h. */
static void slide(struct onnx_window *w, int i, int64_t h, enum auto_pad mode, bool ceil_mode) {
    int64_t u = w->stride[i], extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
    if (mode == PAD_SAME_UPPER || mode == PAD_SAME_LOWER) {
        w->out[i] = (h + u - 1) / u;
        split_pad(w, i, (w->out[i] - 1) * u + extent - h, mode == PAD_SAME_UPPER);
        return;
    }
    if (mode == PAD_VALID) w->pad_begin[i] = w->pad_end[i] = 0;
    int64_t room = h + w->pad_begin[i] + w->pad_end[i] - extent;
    if (room < 0) {
        w->out[i] = 0;
        return;
    }
    w->out[i] = (room + (ceil_mode ? u - 1 : 0)) / u + 1;
    /* A window that begins in the padding at the end would see nothing. */
    if (ceil_mode && (w->out[i] - 1) * u >= h + w->pad_begin[i]) w->out[i]--;
}

/* ConvTranspose: the padding follows from output_shape where that is given. */
static tess_status spread(const struct window_work *work, struct onnx_window *w,
                          enum auto_pad mode) {
    int64_t given[ONNX_MAX_SPATIAL];
    bool sized = onnx_attribute_find(work->node, "output_shape") != NULL;
    tess_status status = read_list(work, "output_padding", w->spatial, 0, 0, w->output_padding);
    if (!status && sized) status = read_list(work, "output_shape", w->spatial, 1, 1, given);
    for (int i = 0; i < w->spatial && !status; i++) {
        int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1, h = work->x->dims[i + 2];
        int64_t full = w->stride[i] * (h - 1) + w->output_padding[i] + extent;
        bool same = mode == PAD_SAME_UPPER || mode == PAD_SAME_LOWER;
        if (mode == PAD_VALID) w->pad_begin[i] = w->pad_end[i] = 0;
        if (sized || same) {
            int64_t want = sized ? given[i] : h * w->stride[i];
            split_pad(w, i, full - want, mode == PAD_SAME_UPPER);
            w->out[i] = want;
            if (want > full) w->output_padding[i] += want - full;
        } else {
            w->out[i] = full - w->pad_begin[i] - w->pad_end[i];
        }
    }
    return status;
}

static tess_status check_out(const struct window_work *work, const struct onnx_window *w) {
    for (int i = 0; i < w->spatial; i++)
        if (w->out[i] < 1)
            return window_fail(work, TESS_INVALID_SHAPE,
                               "its window is larger than its input (%lld) in dimension %d; give a "
                               "larger input",
                               (long long)work->x->dims[i + 2], i + 2);
    return TESS_OK;
}

tess_status onnx_window_of(const struct onnx_model *model, const struct onnx_node *node,
                           const struct onnx_known *x, const struct onnx_known *weights,
                           tess_error *error, struct onnx_window *out) {
    struct window_work work = {model, node, x, error, strcmp(node->op, "ConvTranspose") == 0};
    struct onnx_window w = {.spatial = x->rank - 2, .group = 1};
    int64_t pads[2 * ONNX_MAX_RANK], ceil_mode = 0;
    enum auto_pad mode = PAD_GIVEN;
    if (x->rank < 3)
        return window_fail(&work, TESS_INVALID_SHAPE,
                           "its input has %d dimensions, and needs batch, channels and at least "
                           "one more; check the input's shape",
                           x->rank);
    tess_status status = read_kernel(&work, weights, &w);
    if (!status) status = read_list(&work, "strides", w.spatial, 1, 1, w.stride);
    if (!status) status = read_list(&work, "dilations", w.spatial, 1, 1, w.dilation);
    if (!status) status = read_list(&work, "pads", 2 * w.spatial, 0, 0, pads);
    if (!status) status = read_auto_pad(&work, &mode);
    if (!status) status = onnx_get_int(model, node, "ceil_mode", error, &ceil_mode);
    if (!status && weights) status = onnx_get_int(model, node, "group", error, &w.group);
    if (!status && weights) status = check_channels(&work, weights, w.group);
    if (status) return status;
    for (int i = 0; i < w.spatial; i++) {
        w.pad_begin[i] = pads[i];
        w.pad_end[i] = pads[w.spatial + i];
        if (!work.transposed) slide(&w, i, x->dims[i + 2], mode, ceil_mode != 0);
    }
    if (work.transposed) status = spread(&work, &w, mode);
    if (!status) status = check_out(&work, &w);
    if (!status) *out = w;
    return status;
}

/* ---------------------------------------------------------------- rules */

static tess_status set_window(const struct onnx_infer *in, const struct onnx_window *w,
                              int64_t channels) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t dims[ONNX_MAX_RANK] = {x->dims[0], channels};
    memcpy(dims + 2, w->out, sizeof *dims * (size_t)w->spatial);
    tess_status status = infer_set(in, 0, x->dtype, x->rank, dims);
    return status ? status : infer_set(in, 1, ONNX_INT64, x->rank, dims); /* MaxPool's indices */
}

static tess_status check_bias(const struct onnx_infer *in, int64_t channels) {
    const struct onnx_known *bias = infer_in(in, 2);
    if (!bias || (bias->rank == 1 && bias->dims[0] == channels)) return TESS_OK;
    return infer_fail(in, TESS_INVALID_SHAPE,
                      "its bias must have one number for each of the %lld output channels; export "
                      "it again",
                      (long long)channels);
}

tess_status infer_conv(const struct onnx_infer *in) {
    const struct onnx_known *weights = infer_in(in, 1);
    struct onnx_window w;
    tess_status status =
        onnx_window_of(in->model, in->node, infer_in(in, 0), weights, in->error, &w);
    if (!status) status = check_bias(in, weights->dims[0]);
    return status ? status : set_window(in, &w, weights->dims[0]);
}

tess_status infer_conv_transpose(const struct onnx_infer *in) {
    const struct onnx_known *weights = infer_in(in, 1);
    struct onnx_window w;
    tess_status status =
        onnx_window_of(in->model, in->node, infer_in(in, 0), weights, in->error, &w);
    if (!status) status = check_bias(in, weights->dims[1] * w.group);
    return status ? status : set_window(in, &w, weights->dims[1] * w.group);
}

tess_status infer_pool(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    struct onnx_window w;
    tess_status status = onnx_window_of(in->model, in->node, x, NULL, in->error, &w);
    return status ? status : set_window(in, &w, x->dims[1]);
}

tess_status infer_global_pool(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    if (x->rank < 2)
        return infer_fail(in, TESS_INVALID_SHAPE,
                          "its input has %d dimensions, and needs batch and channels; check the "
                          "input's shape",
                          x->rank);
    int64_t dims[ONNX_MAX_RANK] = {x->dims[0], x->dims[1], 1, 1, 1, 1, 1, 1};
    return infer_set(in, 0, x->dtype, x->rank, dims);
}

/* ---------------------------------------------------------------- sizes of images */

/* dims[d] times its scale, rounded down. */
static tess_status apply_scales(const struct onnx_infer *in, const double *scales, int count,
                                int64_t *dims) {
    const struct onnx_known *x = infer_in(in, 0);
    if (count != x->rank)
        return infer_fail(in, TESS_BAD_FORMAT, "has %d scales for %d dimensions; export it again",
                          count, x->rank);
    for (int d = 0; d < count; d++) {
        double size = floor((double)x->dims[d] * scales[d]);
        if (!(scales[d] > 0) || !(size <= ONNX_MAX_ELEMENTS))
            return infer_fail(in, TESS_UNSUPPORTED,
                              "its scale %g of dimension %d is not possible; export it again",
                              scales[d], d);
        dims[d] = (int64_t)size;
    }
    return TESS_OK;
}

/* A constant input of floats. */
static tess_status read_scales(const struct onnx_infer *in, int i, double *scales, int *count) {
    const struct onnx_known *x = infer_in(in, i);
    if (!x || !x->constant)
        return infer_fail(in, TESS_UNSUPPORTED,
                          "its scales are only known when the model runs; export it with fixed "
                          "sizes");
    if (x->rank != 1 || x->count > ONNX_MAX_RANK || x->dtype != ONNX_FLOAT)
        return infer_fail(in, TESS_BAD_FORMAT, "its scales are no list of floats; export it again");
    *count = (int)x->count;
    for (int d = 0; d < *count; d++)
        scales[d] = onnx_real_at(x->constant, d);
    return TESS_OK;
}

tess_status infer_upsample(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    const struct onnx_attribute *attribute = onnx_attribute_find(in->node, "scales");
    double scales[ONNX_MAX_RANK];
    int64_t dims[ONNX_MAX_RANK];
    int count = 0;
    tess_status status = TESS_OK;
    if (attribute) {
        if (attribute->kind != ONNX_ATTR_FLOATS || attribute->count != (size_t)x->rank)
            return infer_fail(in, TESS_BAD_FORMAT,
                              "attribute scales is not one float a dimension; export it again");
        for (count = 0; count < x->rank; count++)
            scales[count] = attribute->as.floats[count];
    } else {
        status = read_scales(in, 1, scales, &count);
    }
    if (!status) status = apply_scales(in, scales, count, dims);
    return status ? status : infer_set(in, 0, x->dtype, x->rank, dims);
}

tess_status infer_resize(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    const struct onnx_known *given = infer_in(in, infer_opset(in) < 11 ? 1 : 2);
    int64_t dims[ONNX_MAX_RANK];
    double scales[ONNX_MAX_RANK];
    int count = -1;
    if (onnx_attribute_find(in->node, "axes") ||
        onnx_attribute_find(in->node, "keep_aspect_ratio_policy"))
        return infer_fail(in, TESS_UNSUPPORTED,
                          "attributes axes and keep_aspect_ratio_policy are not supported; export "
                          "it for operator set 13");
    tess_status status = infer_opset(in) < 11 ? TESS_OK : infer_ints(in, 3, dims, &count);
    if (status) return status;
    if (count > 0) {
        if (count != x->rank)
            return infer_fail(in, TESS_BAD_FORMAT,
                              "has %d sizes for %d dimensions; export it again", count, x->rank);
        return infer_set(in, 0, x->dtype, x->rank, dims);
    }
    if (!given) return infer_fail(in, TESS_BAD_FORMAT, "has no sizes or scales; export it again");
    status = read_scales(in, infer_opset(in) < 11 ? 1 : 2, scales, &count);
    if (!status) status = apply_scales(in, scales, count, dims);
    return status ? status : infer_set(in, 0, x->dtype, x->rank, dims);
}

/* The list of pads, all before then all after; *count is -1 if it is nowhere. */
static tess_status read_pads(const struct onnx_infer *in, int64_t *pads, int *count) {
    const struct onnx_known *given = infer_in(in, 1);
    tess_status status =
        onnx_get_ints(in->model, in->node, "pads", in->error, 2 * ONNX_MAX_RANK, pads, count);
    if (status || *count >= 0 || !given) return status;
    if (!given->constant || given->dtype != ONNX_INT64 || given->count > 2 * ONNX_MAX_RANK)
        return infer_fail(in, TESS_UNSUPPORTED,
                          "its pads are only known when the model runs; export it with fixed "
                          "shapes");
    for (*count = 0; *count < given->count; ++*count)
        pads[*count] = onnx_integer_at(given->constant, *count);
    return TESS_OK;
}

tess_status infer_pads(const struct onnx_infer *in, int64_t *before, int64_t *after) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t pads[2 * ONNX_MAX_RANK], axes[ONNX_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    bool marked[ONNX_MAX_RANK];
    int count = -1, padded = -1;
    tess_status status = read_pads(in, pads, &count);
    if (!status) status = infer_ints(in, 3, axes, &padded);
    if (padded < 0) padded = x->rank;
    if (!status) status = infer_mark_axes(in, axes, padded, x->rank, marked);
    if (status) return status;
    if (count != 2 * padded)
        return infer_fail(in, TESS_BAD_FORMAT,
                          "has %d pads, and needs two for each of %d dimensions; export it again",
                          count, padded);
    for (int i = 0; i < count; i++)
        if (pads[i] < -ONNX_MAX_ELEMENTS || pads[i] > ONNX_MAX_ELEMENTS)
            return infer_fail(in, TESS_UNSUPPORTED, "has pads that are too large; export it again");
    for (int d = 0; d < x->rank; d++)
        before[d] = after[d] = 0;
    for (int i = 0; i < padded; i++) {
        int axis = (int)(axes[i] < 0 ? axes[i] + x->rank : axes[i]);
        before[axis] = pads[i];
        after[axis] = pads[padded + i];
    }
    return TESS_OK;
}

tess_status infer_pad(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t before[ONNX_MAX_RANK] = {0}, after[ONNX_MAX_RANK] = {0}, dims[ONNX_MAX_RANK];
    tess_status status = infer_pads(in, before, after);
    if (status) return status;
    for (int d = 0; d < x->rank; d++)
        dims[d] = x->dims[d] + before[d] + after[d];
    return infer_set(in, 0, x->dtype, x->rank, dims);
}

tess_status infer_depth_to_space(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0);
    int64_t block = 0;
    tess_status status = onnx_get_int(in->model, in->node, "blocksize", in->error, &block);
    if (status) return status;
    if (x->rank != 4 || block < 1 || block > 1000 || x->dims[1] % (block * block))
        return infer_fail(in, TESS_INVALID_SHAPE,
                          "its channels do not make blocks of %lld x %lld; check the input's shape",
                          (long long)block, (long long)block);
    int64_t dims[4] = {x->dims[0], x->dims[1] / (block * block), x->dims[2] * block,
                       x->dims[3] * block};
    return infer_set(in, 0, x->dtype, 4, dims);
}
