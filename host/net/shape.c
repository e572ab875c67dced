/* Shape inference: each kind's output from its inputs, and every reason why it cannot be. */
#include "net/layer.h"

static const struct layer *input_of(const struct tess_graph *graph, const struct layer *layer,
                                    int index) {
    return &graph->layers[layer->inputs[index]];
}

/* Elements of a tensor are counted in an int. */
tess_status shape_set(struct layer *layer, int c, int h, int w, tess_error *error) {
    if (c < 1 || h < 1 || w < 1)
        return error_set(error, TESS_INVALID_SHAPE,
                         "%dx%dx%d: each dimension must be at least 1; correct the shape", c, h, w);
    if ((double)c * h * w > 2147483647.0)
        return error_set(error, TESS_INVALID_SHAPE,
                         "%dx%dx%d: more than 2^31 - 1 elements an image; make the layer smaller",
                         c, h, w);
    layer->c = c;
    layer->h = h;
    layer->w = w;
    return TESS_OK;
}

tess_status weights_fit(double elements, tess_error *error) {
    if (elements <= 2147483647.0) return TESS_OK;
    return error_set(error, TESS_INVALID_SHAPE,
                     "%.0f weights: more than 2^31 - 1; make the layer smaller", elements);
}

tess_status shape_input(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    if (graph->count > 0)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "a second input: a graph has one; build on the first");
    return shape_set(layer, layer->c, layer->h, layer->w, error);
}

tess_status shape_conv(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = input_of(graph, layer, 0);
    tess_conv_desc *conv = &layer->as.conv;
    int p = 0, q = 0;
    conv->n = 1;
    conv->c = in->c;
    conv->h = in->h;
    conv->w = in->w;
    tess_status status = tess_conv_out_size(conv, error, &p, &q);
    if (status) return status;
    status = weights_fit((double)conv->k * (conv->c / conv->groups) * conv->r * conv->s, error);
    if (status) return status;
    return shape_set(layer, conv->k, p, q, error);
}

tess_status shape_pool(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = input_of(graph, layer, 0);
    tess_pool_desc *pool = &layer->as.pool;
    int p = 0, q = 0;
    if (pool->mode < TESS_POOL_MAX || pool->mode > TESS_POOL_WEIGHTED)
        return error_set(error, TESS_INVALID_ARGUMENT, "no such pooling mode; correct it");
    if (layer->act.kind != TESS_ACT_NONE && pool->mode != TESS_POOL_WEIGHTED)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "an activation on a pooling without weights; use an activation layer");
    pool->n = 1;
    pool->c = in->c;
    pool->h = in->h;
    pool->w = in->w;
    tess_status status = tess_pool_out_size(pool, error, &p, &q);
    if (status) return status;
    return shape_set(layer, in->c, p, q, error);
}

tess_status shape_fc(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = input_of(graph, layer, 0);
    layer->as.fc.c = in->c;
    layer->as.fc.h = in->h;
    layer->as.fc.w = in->w;
    layer->as.fc.inputs = in->c * in->h * in->w;
    tess_status status = weights_fit((double)layer->as.fc.inputs * layer->as.fc.outputs, error);
    if (status) return status;
    return shape_set(layer, layer->as.fc.outputs, 1, 1, error);
}

tess_status shape_same(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = input_of(graph, layer, 0);
    return shape_set(layer, in->c, in->h, in->w, error);
}

tess_status shape_add(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *a = input_of(graph, layer, 0), *b = input_of(graph, layer, 1);
    if (a->c != b->c || a->h != b->h || a->w != b->w)
        return error_set(error, TESS_INVALID_SHAPE,
                         "%s is %dx%dx%d and %s is %dx%dx%d; give both the same shape", a->name,
                         a->c, a->h, a->w, b->name, b->c, b->h, b->w);
    return shape_set(layer, a->c, a->h, a->w, error);
}

tess_status shape_concat(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *first = input_of(graph, layer, 0);
    int channels = 0;
    for (int i = 0; i < layer->input_count; i++) {
        const struct layer *part = input_of(graph, layer, i);
        if (part->h != first->h || part->w != first->w)
            return error_set(error, TESS_INVALID_SHAPE,
                             "%s is %dx%d high and wide and %s is %dx%d; give all parts the same",
                             first->name, first->h, first->w, part->name, part->h, part->w);
        if (part->c > 2147483647 - channels)
            return error_set(error, TESS_INVALID_SHAPE,
                             "more than 2^31 - 1 channels; make the parts smaller");
        channels += part->c;
    }
    return shape_set(layer, channels, first->h, first->w, error);
}

tess_status shape_dropout(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    if (!(layer->as.rate >= 0 && layer->as.rate < 1))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "a dropout rate of %g; it must be at least 0 and below 1",
                         (double)layer->as.rate);
    return shape_same(graph, layer, error);
}

/* Bounds that keep running values between the old and the new one. */
tess_status shape_batch_norm(const struct tess_graph *graph, struct layer *layer,
                             tess_error *error) {
    if (!(layer->as.norm.eps > 0 && layer->as.norm.eps <= 1))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "an epsilon of %g; it must be above 0 and at most 1",
                         (double)layer->as.norm.eps);
    if (!(layer->as.norm.momentum > 0 && layer->as.norm.momentum <= 1))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "a momentum of %g; it must be above 0 and at most 1",
                         (double)layer->as.norm.momentum);
    return shape_same(graph, layer, error);
}

tess_status shape_lrn(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = input_of(graph, layer, 0);
    tess_lrn_desc *lrn = &layer->as.lrn;
    lrn->n = 1;
    lrn->c = in->c;
    lrn->h = in->h;
    lrn->w = in->w;
    if (lrn->size < 1 || lrn->size > TESS_LRN_MAX_SIZE || !(lrn->alpha > 0) || !(lrn->beta > 0) ||
        !(lrn->k > 0))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "size %d, alpha %g, beta %g, k %g; all must be above 0, size at most %d",
                         lrn->size, (double)lrn->alpha, (double)lrn->beta, (double)lrn->k,
                         TESS_LRN_MAX_SIZE);
    return shape_same(graph, layer, error);
}

tess_status loss_weight_check(const struct layer *layer, tess_error *error) {
    if (layer->as.weight > 0 && layer->as.weight <= 1000) return TESS_OK;
    return error_set(error, TESS_INVALID_ARGUMENT,
                     "a weight of %g; it must be above 0 and at most 1000",
                     (double)layer->as.weight);
}

tess_status shape_auxiliary(const struct tess_graph *graph, struct layer *layer,
                            tess_error *error) {
    tess_status status = loss_weight_check(layer, error);
    return status ? status : shape_softmax(graph, layer, error);
}

tess_status shape_softmax(const struct tess_graph *graph, struct layer *layer, tess_error *error) {
    const struct layer *in = input_of(graph, layer, 0);
    if (in->h != 1 || in->w != 1)
        return error_set(error, TESS_INVALID_SHAPE,
                         "%s is %dx%dx%d, but classes are Cx1x1; put a fully connected layer or "
                         "global pooling before it",
                         in->name, in->c, in->h, in->w);
    return shape_same(graph, layer, error);
}
