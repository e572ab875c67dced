/* Nodes of decoders and attention: transposed convolution, resizing, padding, PReLU; arithmetic of two layers; sums, and other orders. */
#include "net/onnx/graph_import.h"
#include "net/onnx/onnx_window.h"

#include <string.h>

static struct onnx_at at_node(const struct import *im) {
    return (struct onnx_at){im->model, im->folded, im->node, im->error};
}

static const struct onnx_known *known(const struct import *im, int i) {
    const struct onnx_at at = at_node(im);
    return onnx_input(&at, i);
}

/* Where layers are not being added any more, outputs are all that is needed. */
static tess_status skip(struct import *im) {
    import_set(im, 0);
    return TESS_OK;
}

/* Its parameter `weight`, and, if bias is a constant, that. */
tess_status import_conv_transpose(struct import *im) {
    struct onnx_window w;
    char name[LAYER_NAME_SIZE];
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    bool bias = im->node->input_count > 2 && im->node->inputs[2] >= 0;
    if (!import_floats(im, 1) || (bias && !import_floats(im, 2)))
        return import_obstacle(im, "its weights are no float32 constants");
    tess_status status =
        onnx_window_of(im->model, im->node, known(im, 0), known(im, 1), im->error, &w);
    if (status || !import_adds(im)) return status ? status : skip(im);
    const tess_conv_transpose_layer layer = {
        .name = import_name(im, 1, name),
        .filters = (int)(known(im, 1)->dims[1] * w.group),
        .kernel_h = (int)w.kernel[0],
        .kernel_w = (int)w.kernel[1],
        .stride_h = (int)w.stride[0],
        .stride_w = (int)w.stride[1],
        .pad_top = (int)w.pad_begin[0],
        .pad_bottom = (int)w.pad_end[0],
        .pad_left = (int)w.pad_begin[1],
        .pad_right = (int)w.pad_end[1],
        .out_pad_h = (int)w.output_padding[0],
        .out_pad_w = (int)w.output_padding[1],
        .dilation_h = (int)w.dilation[0],
        .dilation_w = (int)w.dilation[1],
        .groups = (int)w.group,
        .no_bias = !bias,
    };
    int added = tess_graph_conv_transpose(im->graph, x->layer, &layer);
    status = import_added(im, added, NULL);
    if (!status)
        status = import_parameter(im, added, 0, import_floats(im, 1), known(im, 1)->count, 1, 0);
    if (!status && bias)
        status = import_parameter(im, added, 1, import_floats(im, 2), known(im, 2)->count, 1, 0);
    return status;
}

/* Nearest pixels by whole factors are the same ones whichever way coordinates are rounded. */
static bool is_nearest(const struct onnx_resize *resize, const struct import_value *x,
                       const struct onnx_known *y) {
    bool whole = y->dims[2] % x->h == 0 && y->dims[3] % x->w == 0;
    bool floor = !strcmp(resize->coordinates, "asymmetric") && !strcmp(resize->nearest, "floor");
    bool centre = !strcmp(resize->coordinates, "half_pixel") &&
                  !strncmp(resize->nearest, "round_prefer", strlen("round_prefer"));
    return !strcmp(resize->mode, "nearest") && whole && (floor || centre);
}

tess_status import_resize(struct import *im) {
    const struct onnx_at at = at_node(im);
    const struct onnx_known *y = onnx_output(&at, 0);
    struct onnx_resize resize;
    char name[LAYER_NAME_SIZE];
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_resize_of(&at, &resize);
    if (status) return status;
    bool linear = !strcmp(resize.mode, "linear");
    bool corners = linear && !strcmp(resize.coordinates, "align_corners");
    bool areas = linear && (!strcmp(resize.coordinates, "half_pixel") ||
                            !strcmp(resize.coordinates, "pytorch_half_pixel"));
    bool image = y->rank == 4 && y->dims[0] == known(im, 0)->dims[0] && y->dims[1] == x->c &&
                 y->dims[2] > 1 && y->dims[3] > 1 && x->h > 0 && x->w > 0;
    /* Scales that are no quotients of sizes would put pixels elsewhere. */
    for (int d = 2; d < 4 && image; d++) {
        double size = resize.scales[d] * (double)known(im, 0)->dims[d];
        image = size > (double)y->dims[d] - 1e-3 && size < (double)y->dims[d] + 1e-3;
    }
    if (!image || !(corners || areas || is_nearest(&resize, x, y)))
        return import_obstacle(im, "resizes in a way that layers do not: nearest by whole factors, "
                                   "or linear");
    if (!import_adds(im)) return skip(im);
    const tess_upsample_layer layer = {.name = import_name(im, -1, name),
                                       .mode =
                                           linear ? TESS_UPSAMPLE_BILINEAR : TESS_UPSAMPLE_NEAREST,
                                       .h = (int)y->dims[2],
                                       .w = (int)y->dims[3],
                                       .align_corners = corners};
    return import_added(im, tess_graph_upsample(im->graph, x->layer, &layer), NULL);
}

static bool small(int64_t pad) {
    return pad > -(1 << 20) && pad < 1 << 20;
}

tess_status import_pad_layer(struct import *im, const struct onnx_pad *pad) {
    static const struct {
        const char *name;
        tess_pad_mode mode;
    } modes[] = {
        {"constant", TESS_PAD_CONSTANT}, {"reflect", TESS_PAD_MIRROR}, {"edge", TESS_PAD_EDGE}};
    const struct import_value *x = import_data(im, 0);
    char name[LAYER_NAME_SIZE];
    bool fits = x && known(im, 0)->rank == 4 && !pad->before[0] && !pad->after[0];
    int mode = -1;
    for (int d = 1; d < 4 && fits; d++)
        fits = small(pad->before[d]) && small(pad->after[d]);
    for (int i = 0; i < 3; i++)
        if (!strcmp(pad->mode, modes[i].name)) mode = (int)modes[i].mode;
    if (!x) return TESS_OK;
    if (!fits || mode < 0) return import_obstacle(im, "pads what is no image, or in another mode");
    if (!import_adds(im)) return skip(im);
    const tess_pad_layer layer = {.name = import_name(im, -1, name),
                                  .mode = (tess_pad_mode)mode,
                                  .value = (float)pad->value,
                                  .pad_top = (int)pad->before[2],
                                  .pad_bottom = (int)pad->after[2],
                                  .pad_left = (int)pad->before[3],
                                  .pad_right = (int)pad->after[3],
                                  .channels_before = (int)pad->before[1],
                                  .channels_after = (int)pad->after[1]};
    return import_added(im, tess_graph_pad(im->graph, x->layer, &layer), NULL);
}

/* A slope for all, or one a channel. */
tess_status import_prelu(struct import *im) {
    char name[LAYER_NAME_SIZE];
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    const struct onnx_known *slope = known(im, 1);
    int rank = known(im, 0)->rank;
    bool fits = import_floats(im, 1) != NULL, all = fits && slope->count == 1;
    for (int d = 0; fits && d < slope->rank; d++)
        fits = slope->dims[d] == 1 || rank - slope->rank + d == 1;
    if (!fits || (!all && slope->count != x->c))
        return import_obstacle(im, "its slopes are not one constant, or one for each channel");
    if (!import_adds(im)) {
        import_set_like(im, 0, *x);
        return TESS_OK;
    }
    int added = tess_graph_prelu(
        im->graph, x->layer, &(tess_prelu_layer){.name = import_name(im, 1, name), .shared = all});
    tess_status status = import_added(im, added, x);
    return status ? status
                  : import_parameter(im, added, 0, import_floats(im, 1), slope->count, 1, 0);
}

/* ---------------------------------------------------------------- two layers */

static bool joins(int a, int b) {
    return a == b || a == 1 || b == 1;
}

/* Each dimension is the same in both, or 1 in one. */
tess_status import_binary(struct import *im) {
    static const struct {
        const char *op;
        tess_binary kind;
    } kinds[] = {{"Mul", TESS_BINARY_MUL}, {"Add", TESS_BINARY_ADD}, {"Sub", TESS_BINARY_SUB},
                 {"Div", TESS_BINARY_DIV}, {"Max", TESS_BINARY_MAX}, {"Min", TESS_BINARY_MIN}};
    char name[LAYER_NAME_SIZE];
    const struct import_value *a = import_data(im, 0);
    if (!a) return TESS_OK;
    if (im->node->input_count != 2) return import_obstacle(im, "is not of two layers");
    const struct import_value *b = import_data(im, 1);
    if (!b) return TESS_OK;
    bool same = a->c == b->c && a->h == b->h && a->w == b->w;
    bool images = known(im, 0)->rank == known(im, 1)->rank && joins(a->c, b->c) &&
                  joins(a->h, b->h) && joins(a->w, b->w);
    if (!images || (known(im, 0)->rank == 2 && !same && (a->h * a->w > 1 || b->h * b->w > 1)))
        return import_obstacle(im, "joins images whose shapes do not fit");
    if (!import_adds(im)) {
        import_set_like(im, 0, *a);
        return TESS_OK;
    }
    size_t i = 0;
    while (i + 1 < sizeof kinds / sizeof *kinds && strcmp(im->node->op, kinds[i].op) != 0)
        i++;
    return import_added(
        im,
        tess_graph_binary(im->graph, kinds[i].kind, a->layer, b->layer, import_name(im, -1, name)),
        same ? a : NULL);
}

/* x * hard sigmoid of x. */
tess_status import_hard_swish(struct import *im) {
    char name[LAYER_NAME_SIZE];
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    if (!import_adds(im)) {
        import_set_like(im, 0, *x);
        return TESS_OK;
    }
    int gate =
        tess_graph_activation(im->graph, x->layer, NULL, (tess_act){.kind = TESS_ACT_HARD_SIGMOID});
    return import_added(
        im,
        tess_graph_binary(im->graph, TESS_BINARY_MUL, x->layer, gate, import_name(im, -1, name)),
        x);
}

/* ---------------------------------------------------------------- sums, orders */

/* Over channels, height or width, kept as 1. */
tess_status import_reduce(struct import *im) {
    const struct onnx_at at = at_node(im);
    struct onnx_reduce reduce;
    char name[LAYER_NAME_SIZE];
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_reduce_of(&at, &reduce);
    if (status) return status;
    const bool *r = reduce.reduced;
    bool kept = reduce.keep || (r[2] && r[3] && !r[1]);
    if (known(im, 0)->rank != 4 || r[0] || !(r[1] || r[2] || r[3]) || !kept)
        return import_obstacle(im, "only over channels, height and width, kept as dimensions of 1, "
                                   "there is a layer");
    if (!import_adds(im)) return skip(im);
    const tess_reduce_layer layer = {
        .name = import_name(im, -1, name),
        .mode = strcmp(im->node->op, "ReduceSum") == 0 ? TESS_REDUCE_SUM : TESS_REDUCE_MEAN,
        .over_c = r[1],
        .over_h = r[2],
        .over_w = r[3]};
    return import_added(im, tess_graph_reduce(im->graph, x->layer, &layer), NULL);
}

tess_status import_transpose(struct import *im) {
    const struct onnx_at at = at_node(im);
    int perm[ONNX_MAX_RANK], order[3];
    char name[LAYER_NAME_SIZE];
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_perm_of(&at, perm);
    if (status) return status;
    if (known(im, 0)->rank != 4 || perm[0] != 0)
        return import_obstacle(im, "only channels, height and width can change places");
    for (int i = 0; i < 3; i++)
        order[i] = perm[i + 1] - 1;
    if (!import_adds(im)) return skip(im);
    return import_added(
        im, tess_graph_transpose(im->graph, x->layer, import_name(im, -1, name), order), NULL);
}

tess_status import_reshape_layer(struct import *im, const struct import_value *x) {
    const struct onnx_at at = at_node(im);
    const struct onnx_known *y = onnx_output(&at, 0);
    char name[LAYER_NAME_SIZE];
    if (!import_adds(im)) return skip(im);
    return import_added(im,
                        tess_graph_reshape(im->graph, x->layer, import_name(im, -1, name),
                                           (int)y->dims[1], (int)y->dims[2], (int)y->dims[3]),
                        NULL);
}
