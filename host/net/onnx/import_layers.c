/* Nodes with weights or windows: convolution, pooling, fully connected layers, normalisation. */
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

static bool given(const struct import *im, int i) {
    return i < im->node->input_count && im->node->inputs[i] >= 0;
}

/* How many outputs a layer of the node has: those of the file, or the new classes. */
static int outputs_of(const struct import *im, int64_t outputs) {
    return im->node == im->classifier ? im->classes : (int)outputs;
}

/* For a new classifier; the others have weights. */
static tess_init init_of(const struct import *im) {
    return im->node == im->classifier ? im->init : TESS_INIT_DEFAULT;
}

/* Of input i, all of it, unless the layer is the new classifier. */
static tess_status take(struct import *im, int layer, int k, int i, float scale, int64_t rows) {
    if (im->node == im->classifier || !given(im, i)) return TESS_OK;
    return import_parameter(im, layer, k, import_floats(im, i), known(im, i)->count, scale, rows);
}

/* ---------------------------------------------------------------- convolution */

static tess_status add_conv(struct import *im, const struct import_value *x,
                            const struct onnx_window *w) {
    char name[LAYER_NAME_SIZE];
    const tess_conv_layer layer = {
        .name = import_name(im, 1, name),
        .filters = outputs_of(im, known(im, 1)->dims[0]),
        .kernel_h = (int)w->kernel[0],
        .kernel_w = (int)w->kernel[1],
        .stride_h = (int)w->stride[0],
        .stride_w = (int)w->stride[1],
        .pad_top = (int)w->pad_begin[0] + (x->padded ? x->pad[0] : 0),
        .pad_bottom = (int)w->pad_end[0] + (x->padded ? x->pad[1] : 0),
        .pad_left = (int)w->pad_begin[1] + (x->padded ? x->pad[2] : 0),
        .pad_right = (int)w->pad_end[1] + (x->padded ? x->pad[3] : 0),
        .dilation_h = (int)w->dilation[0],
        .dilation_w = (int)w->dilation[1],
        .groups = (int)w->group,
        .no_bias = !given(im, 2),
        .init = init_of(im),
    };
    int added = tess_graph_conv(im->graph, x->layer, &layer);
    tess_status status = import_added(im, added, NULL);
    if (!status) status = take(im, added, 0, 1, 1, 0);
    return status ? status : take(im, added, 1, 2, 1, 0);
}

tess_status import_conv(struct import *im) {
    struct onnx_window w;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    if (!import_floats(im, 1) || (given(im, 2) && !import_floats(im, 2)))
        return import_obstacle(im, "its weights are no float32 constants");
    tess_status status =
        onnx_window_of(im->model, im->node, known(im, 0), known(im, 1), im->error, &w);
    if (status) return status;
    if (im->node == im->classifier && w.group != 1)
        return import_obstacle(im, "has groups and cannot be replaced by --classes");
    if (import_adds(im)) return add_conv(im, x, &w);
    import_set(im, 0);
    return TESS_OK;
}

/* Zeros around an image become padding of the convolution that alone reads it; others a layer. */
tess_status import_pad(struct import *im) {
    const struct onnx_at at = at_node(im);
    struct onnx_pad pad;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_pad_of(&at, &pad);
    if (status) return status;
    bool image = known(im, 0)->rank == 4;
    for (int d = 0; d < 4 && image; d++)
        image = d < 2 ? !pad.before[d] && !pad.after[d]
                      : pad.before[d] >= 0 && pad.after[d] >= 0 && pad.before[d] < 1 << 19 &&
                            pad.after[d] < 1 << 19;
    int y = im->node->outputs[0];
    const struct onnx_node *reader = im->values[y].reader;
    bool conv =
        im->readers[y] == 1 && reader && strcmp(reader->op, "Conv") == 0 && reader->inputs[0] == y;
    if (!image || !conv || strcmp(pad.mode, "constant") != 0 || pad.value != 0)
        return import_pad_layer(im, &pad);
    struct import_value padded = *x;
    padded.padded = true;
    for (int d = 0; d < 2; d++) {
        padded.pad[2 * d] = (int)pad.before[2 + d];
        padded.pad[2 * d + 1] = (int)pad.after[2 + d];
    }
    import_alias(im, &padded);
    return TESS_OK;
}

/* ---------------------------------------------------------------- pooling */

/* The size that ONNX says and that a layer would have. */
static bool same_size(const struct import_value *x, const tess_pool_layer *layer,
                      const struct onnx_window *w) {
    const tess_pool_desc desc = {.mode = layer->mode,
                                 .n = 1,
                                 .c = 1,
                                 .h = x->h,
                                 .w = x->w,
                                 .r = layer->window_h,
                                 .s = layer->window_w,
                                 .stride_h = layer->stride_h,
                                 .stride_w = layer->stride_w,
                                 .pad_top = layer->pad_top,
                                 .pad_bottom = layer->pad_bottom,
                                 .pad_left = layer->pad_left,
                                 .pad_right = layer->pad_right,
                                 .ceil_mode = layer->ceil_mode};
    int p, q;
    return !tess_pool_out_size(&desc, NULL, &p, &q) && p == w->out[0] && q == w->out[1];
}

static tess_status read_pool(struct import *im, tess_pool_layer *layer, struct onnx_window *w) {
    int64_t with_pad = 0, ceil_mode = 0;
    const struct onnx_node *node = im->node;
    tess_status status = onnx_window_of(im->model, node, known(im, 0), NULL, im->error, w);
    if (!status) status = onnx_get_int(im->model, node, "count_include_pad", im->error, &with_pad);
    if (!status) status = onnx_get_int(im->model, node, "ceil_mode", im->error, &ceil_mode);
    if (status) return status;
    bool max = strcmp(node->op, "MaxPool") == 0;
    *layer = (tess_pool_layer){.mode = max        ? TESS_POOL_MAX
                                       : with_pad ? TESS_POOL_AVG_WITH_PAD
                                                  : TESS_POOL_AVG,
                               .window_h = (int)w->kernel[0],
                               .window_w = (int)w->kernel[1],
                               .stride_h = (int)w->stride[0],
                               .stride_w = (int)w->stride[1],
                               .pad_top = (int)w->pad_begin[0],
                               .pad_bottom = (int)w->pad_end[0],
                               .pad_left = (int)w->pad_begin[1],
                               .pad_right = (int)w->pad_end[1],
                               .ceil_mode = ceil_mode != 0};
    return TESS_OK;
}

static tess_status add_pool(struct import *im, const struct import_value *x,
                            tess_pool_layer *layer) {
    char name[LAYER_NAME_SIZE];
    if (!import_adds(im)) {
        import_set(im, 0);
        return TESS_OK;
    }
    layer->name = import_name(im, -1, name);
    return import_added(im, tess_graph_pool(im->graph, x->layer, layer), NULL);
}

tess_status import_pool(struct import *im) {
    tess_pool_layer layer;
    struct onnx_window w;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = read_pool(im, &layer, &w);
    if (status) return status;
    if (w.dilation[0] != 1 || w.dilation[1] != 1)
        return import_obstacle(im, "its window is dilated");
    if (!same_size(x, &layer, &w))
        return import_obstacle(im, "pads or rounds in a way that layers do not; use explicit pads");
    return add_pool(im, x, &layer);
}

tess_status import_global_pool(struct import *im) {
    bool max = strcmp(im->node->op, "GlobalMaxPool") == 0;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    return add_pool(
        im, x, &(tess_pool_layer){.mode = max ? TESS_POOL_MAX : TESS_POOL_AVG, .global = true});
}

/* Over height and width: the same. */
tess_status import_reduce_mean(struct import *im) {
    const struct onnx_at at = at_node(im);
    struct onnx_reduce reduce;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_reduce_of(&at, &reduce);
    if (status) return status;
    const bool *r = reduce.reduced;
    if (known(im, 0)->rank != 4 || r[0] || r[1] || !r[2] || !r[3]) return import_reduce(im);
    return add_pool(im, x, &(tess_pool_layer){.mode = TESS_POOL_AVG, .global = true});
}

/* ---------------------------------------------------------------- fully connected */

/* weights: input 1, K x C if by_rows, else C x K. */
static tess_status add_fc(struct import *im, const struct import_value *x, int64_t outputs,
                          bool by_rows, float scale, bool bias) {
    char name[LAYER_NAME_SIZE];
    if (!import_adds(im)) {
        import_set(im, 0);
        return TESS_OK;
    }
    const tess_fc_layer layer = {.name = import_name(im, 1, name),
                                 .outputs = outputs_of(im, outputs),
                                 .no_bias = !bias,
                                 .init = init_of(im)};
    int added = tess_graph_fc(im->graph, x->layer, &layer);
    tess_status status = import_added(im, added, NULL);
    int64_t rows = by_rows ? 0 : known(im, 1)->dims[0];
    return status ? status : take(im, added, 0, 1, scale, rows);
}

/* The bias of Gemm, in every form that it may have, but for one of its own for each image. */
static bool good_bias(const struct import *im, int64_t outputs) {
    const struct onnx_known *c = known(im, 2);
    if (!import_floats(im, 2)) return false;
    bool row = c->rank == 1 || (c->rank == 2 && c->dims[0] == 1);
    return c->count == 1 || (row && c->count == outputs);
}

static tess_status take_bias(struct import *im, int layer, int64_t outputs, float scale) {
    if (im->node == im->classifier) return TESS_OK;
    if (known(im, 2)->count == outputs) return take(im, layer, 1, 2, scale, 0);
    tess_status status = TESS_OK;
    float *all = NULL;
    status = import_parameter(im, layer, 1, import_floats(im, 1), outputs, 0, 0);
    all = im->graph->layers[layer].values[1];
    for (int64_t k = 0; k < outputs && !status; k++)
        all[k] = scale * import_floats(im, 2)[0];
    return status;
}

tess_status import_gemm(struct import *im) {
    const struct onnx_at at = at_node(im);
    struct onnx_gemm gemm;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_gemm_of(&at, &gemm);
    if (status) return status;
    bool bias = given(im, 2) && gemm.beta != 0;
    if (gemm.trans_a) return import_obstacle(im, "transposes images (transA)");
    if (!import_floats(im, 1)) return import_obstacle(im, "its weights are no float32 constant");
    int64_t outputs = known(im, 1)->dims[!gemm.trans_b];
    if (bias && !good_bias(im, outputs))
        return import_obstacle(im, "its bias is not one constant for each output");
    status = add_fc(im, x, outputs, gemm.trans_b, gemm.alpha, bias);
    if (status || !bias || !import_adds(im)) return status;
    return take_bias(im, im->values[im->node->outputs[0]].layer, outputs, gemm.beta);
}

tess_status import_matmul(struct import *im) {
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    if (!import_floats(im, 1) || known(im, 1)->rank != 2 || known(im, 0)->rank != 2)
        return import_obstacle(im, "is no product of vectors, N C, with a constant matrix");
    return add_fc(im, x, known(im, 1)->dims[1], false, 1, false);
}

/* ---------------------------------------------------------------- normalisation */

/* What ONNX calls momentum weighs the old value; 1 would never learn. */
static float new_weight(float momentum) {
    float weight = 1 - momentum;
    return weight > 0 && weight <= 1 ? weight : 0.1f;
}

tess_status import_batch_norm(struct import *im) {
    const struct onnx_at at = at_node(im);
    struct onnx_batch_norm norm;
    char name[LAYER_NAME_SIZE];
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_batch_norm_of(&at, &norm);
    if (status) return status;
    bool constant = true;
    for (int i = 1; i < 5; i++)
        constant = constant && import_floats(im, i) && known(im, i)->count == x->c;
    if (!constant)
        return import_obstacle(im, "its parameters are not four constants for each channel");
    if (!(norm.epsilon > 0 && norm.epsilon <= 1))
        return import_obstacle(im, "its epsilon is not above 0 and at most 1");
    if (!import_adds(im)) {
        import_set(im, 0);
        return TESS_OK;
    }
    const tess_batch_norm_layer layer = {.name = import_name(im, 1, name),
                                         .eps = norm.epsilon,
                                         .momentum = new_weight(norm.momentum)};
    int added = tess_graph_batch_norm(im->graph, x->layer, &layer);
    status = import_added(im, added, NULL);
    for (int i = 0; i < 4 && !status; i++)
        status = take(im, added, i, 1 + i, 1, 0);
    return status;
}

tess_status import_lrn(struct import *im) {
    const struct onnx_at at = at_node(im);
    struct onnx_lrn lrn;
    char name[LAYER_NAME_SIZE];
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_lrn_of(&at, &lrn);
    if (status) return status;
    if (lrn.size > TESS_LRN_MAX_SIZE || !(lrn.alpha > 0) || !(lrn.beta > 0) || !(lrn.bias > 0))
        return import_obstacle(im, "alpha, beta and bias must be above 0, its size at most %d",
                               TESS_LRN_MAX_SIZE);
    if (!import_adds(im)) {
        import_set(im, 0);
        return TESS_OK;
    }
    const tess_lrn_layer layer = {.name = import_name(im, -1, name),
                                  .size = lrn.size,
                                  .alpha = lrn.alpha,
                                  .beta = lrn.beta,
                                  .k = lrn.bias};
    return import_added(im, tess_graph_lrn(im->graph, x->layer, &layer), NULL);
}
