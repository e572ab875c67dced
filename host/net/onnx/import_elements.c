/* Nodes that work element by element, join, or only change the shape. */
#include "net/onnx/graph_import.h"

#include <stdlib.h>
#include <string.h>

static struct onnx_at at_node(const struct import *im) {
    return (struct onnx_at){im->model, im->folded, im->node, im->error};
}

static const struct onnx_known *known(const struct import *im, int i) {
    const struct onnx_at at = at_node(im);
    return onnx_input(&at, i);
}

/* ---------------------------------------------------------------- activation */

/* Whether the activation can become the layer's own. */
static bool takes_activation(const struct layer *layer) {
    bool kind = layer->kind == LAYER_CONV || layer->kind == LAYER_FC || layer->kind == LAYER_ADD ||
                layer->kind == LAYER_BATCH_NORM ||
                (layer->kind == LAYER_POOL && layer->as.pool.mode == TESS_POOL_WEIGHTED);
    return kind && layer->act.kind == TESS_ACT_NONE;
}

tess_status import_activation(struct import *im) {
    const struct onnx_at at = at_node(im);
    char name[LAYER_NAME_SIZE];
    tess_act act;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_act_of(&at, &act);
    if (status) return status;
    if (act.kind == TESS_ACT_NONE)
        return import_obstacle(im, "has parameters that no activation of a layer has");
    if (!import_adds(im)) {
        import_set_like(im, 0, *x);
        return TESS_OK;
    }
    struct layer *layer = &im->graph->layers[x->layer];
    if (!x->sole || !takes_activation(layer))
        return import_added(
            im, tess_graph_activation(im->graph, x->layer, import_name(im, -1, name), act), x);
    layer->act = act;
    import_describe(im, x->layer);
    import_alias(im, x);
    return TESS_OK;
}

/* ---------------------------------------------------------------- constants that become parameters */

/* One number for each channel of x from the constant input i, which may be a single one; NULL: it is none, or (no_memory) there is
   none. To be freed. */
static float *channel_constant(struct import *im, int i, const struct import_value *x) {
    const struct onnx_known *c = known(im, i);
    const float *data = import_floats(im, i);
    /* Dimensions align at the end; that of the channels is the second of rank. */
    int rank = im->folded->values[im->node->outputs[0]].rank;
    bool fits = data != NULL && c->rank <= rank;
    for (int d = 0; fits && d < c->rank; d++) {
        bool channels = d + rank - c->rank == 1;
        fits = c->dims[d] == 1 || (channels && c->dims[d] == x->c);
    }
    if (!fits || (rank == 2 && c->count > 1 && (x->h > 1 || x->w > 1))) return NULL;
    float *out = malloc((size_t)x->c * sizeof *out + 1);
    for (int k = 0; k < x->c && out; k++)
        out[k] = data[c->count == 1 ? 0 : k];
    im->no_memory = im->no_memory || !out;
    return out;
}

/* What a constant can become part of. */
static bool takes_constant(const struct import *im, const struct import_value *x) {
    const struct layer *layer = &im->graph->layers[x->layer];
    return x->sole && layer->act.kind == TESS_ACT_NONE &&
           (layer->kind == LAYER_CONV || layer->kind == LAYER_FC ||
            layer->kind == LAYER_BATCH_NORM ||
            (layer->kind == LAYER_POOL && layer->as.pool.mode == TESS_POOL_WEIGHTED));
}

static tess_status set_bias(struct import *im, int index, const float *constant, float sign,
                            int count) {
    struct layer *layer = &im->graph->layers[index];
    bool had = layer->bias || layer->kind == LAYER_BATCH_NORM || layer->kind == LAYER_POOL;
    if (layer->kind == LAYER_CONV || layer->kind == LAYER_FC) layer->bias = true;
    if (index == im->classifier_layer) return TESS_OK;
    if (!had) return import_parameter(im, index, 1, constant, count, sign, 0);
    for (int k = 0; k < count && layer->values[1]; k++)
        layer->values[1][k] += sign * constant[k];
    return TESS_OK;
}

/* Data plus or minus a constant; i: the data's input. */
static tess_status add_constant(struct import *im, int i) {
    const struct import_value *x = import_data(im, i);
    if (!x) return TESS_OK;
    bool minus = strcmp(im->node->op, "Sub") == 0;
    float *constant = channel_constant(im, 1 - i, x);
    tess_status status = TESS_OK;
    if (!constant || (minus && i == 1))
        status = import_obstacle(im, "only a constant for each channel can become a layer's bias");
    else if (!import_adds(im))
        import_set_like(im, 0, *x);
    else if (!takes_constant(im, x))
        status = import_obstacle(im, "adds a constant to what is no convolution, fully connected "
                                     "layer or normalisation alone");
    else {
        status = set_bias(im, x->layer, constant, minus ? -1 : 1, x->c);
        import_alias(im, x);
    }
    free(constant);
    return status;
}

/* y *= factor of a layer that has weights: the last dimension but the rows belongs to the channel. */
static void scale_parameters(struct layer *layer, const float *factor, int channels) {
    struct param_spec specs[LAYER_PARAMS];
    int count = layer_params(layer, specs);
    for (int p = 0; p < count && p < 2; p++) {
        size_t each = tess_tensor_desc_elements(&specs[p].desc) / (size_t)channels;
        for (int k = 0; k < channels && layer->values[p]; k++)
            for (size_t i = 0; i < each; i++)
                layer->values[p][(size_t)k * each + i] *= factor[k];
    }
}

/* Average pooling, times a constant a channel, is weighted pooling (LeNet-5). */
static tess_status make_weighted(struct import *im, int index, int i, const float *factor,
                                 int count) {
    char name[LAYER_NAME_SIZE];
    struct layer *layer = &im->graph->layers[index];
    const char *better = import_name(im, i, name);
    layer->as.pool.mode = TESS_POOL_WEIGHTED;
    if (better) memcpy(layer->name, better, strlen(better) + 1);
    import_describe(im, index);
    tess_status status = import_parameter(im, index, 0, factor, count, 1, 0);
    return status ? status : import_parameter(im, index, 1, factor, count, 0, 0);
}

tess_status import_scale(struct import *im) {
    bool divides = strcmp(im->node->op, "Div") == 0;
    if (!import_is_constant(im, 0) && !import_is_constant(im, 1)) return import_binary(im);
    int i = import_is_constant(im, 0);
    const struct import_value *x = import_data(im, i);
    if (!x) return TESS_OK;
    float *factor = divides && i == 1 ? NULL : channel_constant(im, 1 - i, x);
    tess_status status = TESS_OK;
    for (int k = 0; factor && divides && k < x->c; k++)
        factor[k] = 1 / factor[k];
    const struct layer *layer = &im->graph->layers[x->layer];
    bool pool = layer->kind == LAYER_POOL && layer->as.pool.mode == TESS_POOL_AVG && x->sole;
    if (!factor)
        status = import_obstacle(im, "only a constant for each channel can become a layer's scale");
    else if (!import_adds(im))
        import_set_like(im, 0, *x);
    else if (!pool && !takes_constant(im, x))
        status = import_obstacle(im, "scales what is no convolution, fully connected layer, "
                                     "normalisation or average pooling alone");
    else {
        if (pool)
            status = make_weighted(im, x->layer, 1 - i, factor, x->c);
        else if (x->layer != im->classifier_layer)
            scale_parameters(&im->graph->layers[x->layer], factor, x->c);
        import_alias(im, x);
    }
    free(factor);
    return status;
}

/* ---------------------------------------------------------------- joints */

static tess_status add_two(struct import *im, int a, const struct import_value *b) {
    char name[LAYER_NAME_SIZE];
    const tess_act none = {.kind = TESS_ACT_NONE};
    if (import_adds(im))
        return import_added(
            im, tess_graph_add(im->graph, a, b->layer, import_name(im, -1, name), none), b);
    import_set_like(im, 0, *b);
    return TESS_OK;
}

/* All inputs, of one shape. */
tess_status import_sum(struct import *im) {
    const struct import_value *first = import_data(im, 0);
    if (!first) return TESS_OK;
    int sum = first->layer, count = im->node->input_count;
    tess_status status = TESS_OK;
    if (count == 1) import_alias(im, first);
    for (int i = 1; i < count && !status; i++) {
        const struct import_value *x = import_data(im, i);
        if (!x) return TESS_OK;
        if (x->c != first->c || x->h != first->h || x->w != first->w)
            return import_obstacle(im, "adds images of different shapes");
        status = add_two(im, sum, x);
        if (!status) sum = im->values[im->node->outputs[0]].layer;
    }
    return status;
}

tess_status import_add(struct import *im) {
    if (import_is_constant(im, 1)) return add_constant(im, 0);
    if (import_is_constant(im, 0)) return add_constant(im, 1);
    const struct import_value *a = import_data(im, 0);
    const struct import_value *b = a ? import_data(im, 1) : NULL;
    if (!a || !b) return TESS_OK;
    bool same = a->c == b->c && a->h == b->h && a->w == b->w;
    return same && strcmp(im->node->op, "Add") == 0 ? import_sum(im) : import_binary(im);
}

tess_status import_concat(struct import *im) {
    const struct onnx_at at = at_node(im);
    char name[LAYER_NAME_SIZE];
    int axis, count = im->node->input_count;
    tess_status status = onnx_axis_of(&at, &axis);
    if (status) return status;
    if (axis != 1) return import_obstacle(im, "joins along another dimension than the channels");
    tess_node *parts = calloc((size_t)count + 1, sizeof *parts);
    const struct import_value *x = NULL;
    bool good = parts != NULL;
    im->no_memory = im->no_memory || !parts;
    for (int i = 0; i < count && good; i++) {
        x = import_data(im, i);
        bool flat = x && known(im, i)->rank == 2 && (x->h > 1 || x->w > 1);
        if (flat) import_obstacle(im, "joins flattened images; flatten after it");
        good = x && !flat;
        if (good) parts[i] = x->layer;
    }
    if (good && import_adds(im))
        status = import_added(
            im, tess_graph_concat(im->graph, parts, count, import_name(im, -1, name)), NULL);
    else if (good)
        import_set(im, 0);
    free(parts);
    return status;
}

/* ---------------------------------------------------------------- the rest */

tess_status import_dropout(struct import *im) {
    const struct onnx_at at = at_node(im);
    char name[LAYER_NAME_SIZE];
    double rate;
    bool training;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_dropout_of(&at, &rate, &training);
    if (status) return status;
    if (!(rate >= 0 && rate < 1)) return import_obstacle(im, "its ratio is not from 0 to below 1");
    if (!import_adds(im)) {
        import_set_like(im, 0, *x);
        return TESS_OK;
    }
    return import_added(
        im, tess_graph_dropout(im->graph, x->layer, import_name(im, -1, name), (float)rate), x);
}

/* Another name, or another shape of N x C x H x W or N x C H W. */
tess_status import_same(struct import *im) {
    const struct onnx_known *y = &im->folded->values[im->node->outputs[0]];
    const struct onnx_known *input = &im->folded->values[im->model->inputs[0]];
    int from = im->node->inputs[0];
    const struct import_value *x = from >= 0 ? &im->values[from] : NULL;
    if (!x || !x->probabilities) x = import_data(im, 0);
    if (!x) return TESS_OK;
    bool same = y->dims[0] == input->dims[0];
    if (y->rank == 2) same = same && y->dims[1] == (int64_t)x->c * x->h * x->w;
    if (y->rank == 4) same = same && y->dims[1] == x->c && y->dims[2] == x->h && y->dims[3] == x->w;
    if (!same && y->rank == 4 && y->dims[0] == input->dims[0] && !x->probabilities)
        return import_reshape_layer(im, x);
    if (!same)
        return import_obstacle(im, "its output is neither an image as it was, N C H W, nor all of "
                                   "it as a vector, N CHW");
    import_alias(im, x);
    return TESS_OK;
}

/* At the end, over the classes; the graph brings its own. */
tess_status import_softmax(struct import *im) {
    const struct onnx_at at = at_node(im);
    int first, last;
    const struct import_value *x = import_data(im, 0);
    if (!x) return TESS_OK;
    tess_status status = onnx_softmax_of(&at, &first, &last);
    if (status) return status;
    if (first != 1 || x->h != 1 || x->w != 1)
        return import_obstacle(im, "is not over the classes of vectors, N C");
    struct import_value y = *x;
    y.probabilities = true;
    import_alias(im, &y);
    return TESS_OK;
}
