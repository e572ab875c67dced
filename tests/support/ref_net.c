#include "support/ref_net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/layer.h"
#include "support/ref_act.h"

static size_t layer_size(const struct layer *layer) {
    return (size_t)layer->c * (size_t)layer->h * (size_t)layer->w;
}

struct ref_net *ref_net_create(const tess_graph *graph, int batch, tess_net *net) {
    struct ref_net *ref = check_alloc(sizeof *ref);
    size_t layers = (size_t)graph->count;
    int params = tess_net_param_count(net);
    *ref = (struct ref_net){.graph = graph, .batch = batch, .param_count = params};
    ref->values = check_alloc(layers * sizeof(double *));
    ref->masks = check_alloc(layers * sizeof(double *));
    ref->first_param = check_alloc(layers * sizeof(int));
    ref->params = check_alloc((size_t)params * sizeof(double *));
    ref->param_sizes = check_alloc((size_t)params * sizeof(size_t));
    for (int i = 0; i < graph->count; i++) {
        ref->values[i] =
            check_alloc((size_t)batch * layer_size(&graph->layers[i]) * sizeof(double));
        ref->masks[i] = NULL;
        ref->first_param[i] = -1;
    }
    for (int k = 0; k < params; k++) {
        tess_param param = tess_net_param(net, k);
        size_t size = tess_tensor_desc_elements(tess_tensor_get_desc(param.value));
        float *data = check_alloc(size * sizeof *data);
        assert_int_equal(tess_tensor_read(param.value, data, TESS_NCHW), TESS_OK);
        ref->param_sizes[k] = size;
        ref->params[k] = check_alloc(size * sizeof(double));
        for (size_t i = 0; i < size; i++)
            ref->params[k][i] = (double)data[i];
        free(data);
        for (int i = 0; i < graph->count; i++) {
            size_t length = strlen(graph->layers[i].name);
            bool ours = strncmp(param.name, graph->layers[i].name, length) == 0 &&
                        param.name[length] == '.' && !strchr(param.name + length + 1, '.');
            if (ours && ref->first_param[i] < 0) ref->first_param[i] = k;
        }
    }
    return ref;
}

void ref_net_destroy(struct ref_net *ref) {
    for (int i = 0; i < ref->graph->count; i++) {
        free(ref->values[i]);
        free(ref->masks[i]);
    }
    for (int i = 0; i < ref->param_count; i++)
        free(ref->params[i]);
    free((void *)ref->values);
    free((void *)ref->masks);
    free((void *)ref->params);
    free(ref->param_sizes);
    free(ref->first_param);
    free(ref);
}

void ref_net_masks(struct ref_net *ref, tess_context *ctx, uint64_t seed, uint64_t step) {
    tess_eltwise *op = NULL;
    ref->training = true;
    assert_ok(ctx, tess_eltwise_create(ctx, &op));
    for (int i = 0; i < ref->graph->count; i++) {
        const struct layer *layer = &ref->graph->layers[i];
        if (layer->kind != LAYER_DROPOUT) continue;
        tess_tensor *mask =
            check_tensor(ctx, desc_nhwc(ref->batch, layer->c, layer->h, layer->w), NULL);
        size_t size = (size_t)ref->batch * layer_size(layer);
        float *data = check_alloc(size * sizeof *data);
        assert_ok(ctx, tess_tensor_fill(mask, 1));
        assert_ok(ctx,
                  tess_dropout(op, layer->as.rate, seed, step << 16 | (uint64_t)i, mask, mask));
        assert_ok(ctx, tess_tensor_read(mask, data, TESS_NCHW));
        free(ref->masks[i]);
        ref->masks[i] = check_alloc(size * sizeof(double));
        for (size_t k = 0; k < size; k++)
            ref->masks[i][k] = (double)data[k];
        free(data);
        tess_tensor_destroy(mask);
    }
    tess_eltwise_destroy(op);
}

/* ---------------------------------------------------------------- layers */

static double conv_at(const tess_conv_desc *d, const double *x, const double *w, int k, int p,
                      int q) {
    int channels = d->c / d->groups, group = k / (d->k / d->groups);
    double sum = 0;
    for (int c = 0; c < channels; c++)
        for (int r = 0; r < d->r; r++)
            for (int s = 0; s < d->s; s++) {
                int h = p * d->stride_h - d->pad_top + r * d->dilation_h;
                int v = q * d->stride_w - d->pad_left + s * d->dilation_w;
                if (h < 0 || h >= d->h || v < 0 || v >= d->w) continue;
                sum += x[((group * channels + c) * d->h + h) * d->w + v] *
                       w[((k * channels + c) * d->r + r) * d->s + s];
            }
    return sum;
}

static double pool_at(const tess_pool_desc *d, const double *plane, int p, int q) {
    int r = d->global ? d->h : d->r, s = d->global ? d->w : d->s;
    int top = p * d->stride_h - d->pad_top, left = q * d->stride_w - d->pad_left;
    int inside = 0, padded = 0;
    double sum = 0, most = -INFINITY;
    for (int h = top; h < top + r; h++)
        for (int w = left; w < left + s; w++) {
            if (h < d->h + d->pad_bottom && w < d->w + d->pad_right) padded++;
            if (h < 0 || h >= d->h || w < 0 || w >= d->w) continue;
            inside++;
            sum += plane[h * d->w + w];
            if (plane[h * d->w + w] > most) most = plane[h * d->w + w];
        }
    if (d->mode == TESS_POOL_MAX) return most;
    return sum / (d->mode == TESS_POOL_AVG_WITH_PAD ? padded : inside);
}

static double fc_at(const struct layer *layer, const double *x, const double *w, int k) {
    double sum = 0;
    for (int i = 0; i < layer->as.fc.inputs; i++)
        sum += x[i] * w[(size_t)k * (size_t)layer->as.fc.inputs + (size_t)i];
    return sum;
}

static double concat_at(const struct ref_net *ref, const struct layer *layer, int n, int c,
                        int at) {
    for (int i = 0; i < layer->input_count; i++) {
        const struct layer *part = &ref->graph->layers[layer->inputs[i]];
        int plane = part->h * part->w;
        if (c < part->c) return ref->values[layer->inputs[i]][(n * part->c + c) * plane + at];
        c -= part->c;
    }
    return NAN;
}

/* Mean and variance of channel c of layer index's input: of the batch, or the running ones. */
static void statistics(const struct ref_net *ref, int index, int c, double *mean, double *var) {
    const struct layer *layer = &ref->graph->layers[index];
    const double *x = ref->values[layer->inputs[0]], *const *params =
                                                         (const double *const *)ref->params;
    size_t plane = (size_t)layer->h * (size_t)layer->w, count = (size_t)ref->batch * plane;
    double sum = 0, squares = 0;
    *mean = params[ref->first_param[index] + 2][c];
    *var = params[ref->first_param[index] + 3][c];
    if (!ref->training) return;
    for (size_t i = 0; i < count; i++)
        sum += x[i / plane * layer_size(layer) + (size_t)c * plane + i % plane];
    *mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) {
        double d = x[i / plane * layer_size(layer) + (size_t)c * plane + i % plane] - *mean;
        squares += d * d;
    }
    *var = squares / (double)count;
}

static void batch_norm_forward(struct ref_net *ref, int index) {
    const struct layer *layer = &ref->graph->layers[index];
    size_t plane = (size_t)layer->h * (size_t)layer->w;
    int first = ref->first_param[index];
    for (int c = 0; c < layer->c; c++) {
        double mean, var;
        statistics(ref, index, c, &mean, &var);
        double factor = ref->params[first][c] / sqrt(var + (double)layer->as.norm.eps);
        for (size_t n = 0; n < (size_t)ref->batch; n++)
            for (size_t i = 0; i < plane; i++) {
                size_t at = n * layer_size(layer) + (size_t)c * plane + i;
                double x = ref->values[layer->inputs[0]][at];
                ref->values[index][at] =
                    ref_act(layer->act, (x - mean) * factor + ref->params[first + 1][c]);
            }
    }
}

/* x over (k + alpha / size * sum of squares over the window)^beta; n is the image. */
static double lrn_at(const tess_lrn_desc *d, const double *x, int c, int at) {
    int plane = d->h * d->w, before = (d->size - 1) / 2;
    double sum = 0;
    for (int i = c - before; i < c - before + d->size; i++)
        if (i >= 0 && i < d->c) sum += x[i * plane + at] * x[i * plane + at];
    return x[c * plane + at] /
           pow((double)d->k + (double)d->alpha / d->size * sum, (double)d->beta);
}

/* One output element, before the activation. */
static double element(const struct ref_net *ref, int index, int n, int c, int h, int w) {
    const struct layer *layer = &ref->graph->layers[index];
    const struct layer *in = &ref->graph->layers[layer->inputs[0]];
    const double *x = ref->values[layer->inputs[0]] + (size_t)n * layer_size(in);
    int first = ref->first_param[index], at = h * layer->w + w;
    int element_index = c * layer->h * layer->w + at;
    switch (layer->kind) {
    case LAYER_CONV:
        return conv_at(&layer->as.conv, x, ref->params[first], c, h, w) +
               (layer->bias ? ref->params[first + 1][c] : 0);
    case LAYER_POOL: {
        double y = pool_at(&layer->as.pool, x + c * in->h * in->w, h, w);
        bool weighted = layer->as.pool.mode == TESS_POOL_WEIGHTED;
        return weighted ? ref->params[first][c] * y + ref->params[first + 1][c] : y;
    }
    case LAYER_LRN:
        return lrn_at(&layer->as.lrn, x, c, at);
    case LAYER_FC:
        return fc_at(layer, x, ref->params[first], c) +
               (layer->bias ? ref->params[first + 1][c] : 0);
    case LAYER_ADD:
        return x[element_index] +
               ref->values[layer->inputs[1]][(size_t)n * layer_size(layer) + (size_t)element_index];
    case LAYER_CONCAT:
        return concat_at(ref, layer, n, c, at);
    case LAYER_DROPOUT: {
        const double *mask = ref->masks[index];
        size_t i = (size_t)n * layer_size(layer) + (size_t)element_index;
        return x[element_index] * (mask ? mask[i] : 1);
    }
    default:
        return ref_layer_at(ref, index, n, c, h, w);
    }
}

static void layer_forward(struct ref_net *ref, int index) {
    const struct layer *layer = &ref->graph->layers[index];
    double *y = ref->values[index];
    if (layer->kind == LAYER_BATCH_NORM) {
        batch_norm_forward(ref, index);
        return;
    }
    for (int n = 0; n < ref->batch; n++)
        for (int c = 0; c < layer->c; c++)
            for (int h = 0; h < layer->h; h++)
                for (int w = 0; w < layer->w; w++)
                    *y++ = ref_act(layer->act, element(ref, index, n, c, h, w));
}

/* Of a row of scores, which become probabilities. */
static double cross_entropy(double *row, int classes, int32_t label) {
    double sum = 0, loss;
    for (int c = 0; c < classes; c++)
        sum += exp(row[c]);
    loss = label >= 0 ? log(sum) - row[label] : 0;
    for (int c = 0; c < classes; c++)
        row[c] = exp(row[c]) / sum;
    return loss;
}

/* Summed over the rows with a label, of which it takes the mean over the elements. */
static double squared_error(const struct ref_net *ref, int index, const int32_t *labels) {
    const struct layer *layer = &ref->graph->layers[index];
    size_t size = layer_size(layer);
    double sum = 0;
    for (size_t i = 0; i < (size_t)ref->batch * size; i++) {
        double d = ref->values[index][i] - (double)ref->targets[i];
        if (labels[i / size] >= 0) sum += d * d;
    }
    return sum / (double)size;
}

static double loss_of(struct ref_net *ref, int index, const int32_t *labels) {
    const struct layer *layer = &ref->graph->layers[index];
    double loss = 0;
    if (layer->kind == LAYER_MSE) return squared_error(ref, index, labels);
    for (int n = 0; n < ref->batch; n++)
        loss +=
            cross_entropy(ref->values[index] + (size_t)n * layer_size(layer), layer->c, labels[n]);
    return loss;
}

static double loss_from(struct ref_net *ref, int first, const int32_t *labels) {
    int last = ref->graph->count - 1;
    double loss = 0;
    for (int i = first; i <= last; i++)
        layer_forward(ref, i);
    for (int i = 0; i <= last; i++) {
        const struct layer *layer = &ref->graph->layers[i];
        bool counts = i == last ? ref->training || layer->kind == LAYER_SOFTMAX : ref->training;
        if (!layer_kinds[layer->kind].loss || !counts) continue;
        if (i < first) layer_forward(ref, i);
        loss += (double)layer->as.weight * loss_of(ref, i, labels);
    }
    return loss;
}

double ref_net_loss(struct ref_net *ref, const float *input, const int32_t *labels) {
    size_t size = (size_t)ref->batch * layer_size(&ref->graph->layers[0]);
    for (size_t i = 0; i < size; i++)
        ref->values[0][i] = (double)input[i];
    return loss_from(ref, 1, labels);
}

double ref_net_loss_after(struct ref_net *ref, int index, const int32_t *labels) {
    int layer = ref->graph->count - 1;
    while (ref->first_param[layer] < 0 || ref->first_param[layer] > index)
        layer--;
    return loss_from(ref, layer, labels);
}
