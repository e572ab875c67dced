/* The kinds of layers beyond those of ref_net.c, one output element at a time. */
#include <math.h>

#include "support/ref_net.h"

/* Element (c, h, w) of image n of layer index's i-th input; dimensions of one element are repeated. */
static double input_at(const struct ref_net *ref, int index, int i, int n, int c, int h, int w) {
    int from = ref->graph->layers[index].inputs[i];
    const struct layer *in = &ref->graph->layers[from];
    c = in->c == 1 ? 0 : c;
    h = in->h == 1 ? 0 : h;
    w = in->w == 1 ? 0 : w;
    return ref->values[from][((n * in->c + c) * in->h + h) * in->w + w];
}

/* Sums what lands on (h, w): pixel a, at row a u - pt + r d. */
static double conv_transpose_at(const struct ref_net *ref, int index, int n, int k, int h, int w) {
    const struct layer *layer = &ref->graph->layers[index];
    const tess_conv_transpose_desc *d = &layer->as.conv_transpose;
    const double *weights = ref->params[ref->first_param[index]];
    int filters = d->k / d->groups, channels = d->c / d->groups, group = k / filters;
    double sum = layer->bias ? ref->params[ref->first_param[index] + 1][k] : 0;
    for (int c = group * channels; c < (group + 1) * channels; c++)
        for (int a = 0; a < d->h; a++)
            for (int b = 0; b < d->w; b++)
                for (int r = 0; r < d->r; r++)
                    for (int s = 0; s < d->s; s++) {
                        if (a * d->stride_h - d->pad_top + r * d->dilation_h != h) continue;
                        if (b * d->stride_w - d->pad_left + s * d->dilation_w != w) continue;
                        sum += input_at(ref, index, 0, n, c, a, b) *
                               weights[((c * filters + k % filters) * d->r + r) * d->s + s];
                    }
    return sum;
}

/* Where output coordinate p of size in x lies, and how much of the pixel after it. */
static int place(int p, int size, int from, bool align, double *part) {
    double at = align ? (size > 1 ? (double)p * (from - 1) / (size - 1) : 0)
                      : (p + 0.5) * from / size - 0.5;
    at = fmin(fmax(at, 0), from - 1);
    int below = (int)floor(at);
    *part = at - below;
    return below;
}

static double upsample_at(const struct ref_net *ref, int index, int n, int c, int h, int w) {
    const struct layer *layer = &ref->graph->layers[index];
    const struct layer *in = &ref->graph->layers[layer->inputs[0]];
    bool align = layer->as.upsample.align_corners;
    double down, right, sum = 0;
    if (layer->as.upsample.mode == TESS_UPSAMPLE_NEAREST)
        return input_at(ref, index, 0, n, c, h * in->h / layer->h, w * in->w / layer->w);
    int top = place(h, layer->h, in->h, align, &down),
        left = place(w, layer->w, in->w, align, &right);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            double weight = (i ? down : 1 - down) * (j ? right : 1 - right);
            int a = top + i < in->h ? top + i : top, b = left + j < in->w ? left + j : left;
            sum += weight * input_at(ref, index, 0, n, c, a, b);
        }
    return sum;
}

/* The coordinate in x of a padded one; -1: it is not there. */
static int unpad(int p, int before, int size, tess_pad_mode mode) {
    int at = p - before;
    if (at >= 0 && at < size) return at;
    if (mode == TESS_PAD_MIRROR) return at < 0 ? -at : 2 * (size - 1) - at;
    if (mode == TESS_PAD_EDGE) return at < 0 ? 0 : size - 1;
    return -1;
}

static double pad_at(const struct ref_net *ref, int index, int n, int c, int h, int w) {
    const struct layer *layer = &ref->graph->layers[index];
    const struct layer *in = &ref->graph->layers[layer->inputs[0]];
    tess_pad_mode mode = layer->as.pad.mode;
    int a = unpad(c, layer->as.pad.channels_before, in->c, mode);
    int b = unpad(h, layer->as.pad.top, in->h, mode), d = unpad(w, layer->as.pad.left, in->w, mode);
    bool inside = a >= 0 && b >= 0 && d >= 0;
    return inside ? input_at(ref, index, 0, n, a, b, d) : (double)layer->as.pad.value;
}

static double binary_at(tess_binary kind, double a, double b) {
    switch (kind) {
    case TESS_BINARY_MUL:
        return a * b;
    case TESS_BINARY_ADD:
        return a + b;
    case TESS_BINARY_SUB:
        return a - b;
    case TESS_BINARY_DIV:
        return a / b;
    case TESS_BINARY_MAX:
        return a > b ? a : b;
    default:
        return a < b ? a : b;
    }
}

static double reduce_at(const struct ref_net *ref, int index, int n, int c, int h, int w) {
    const struct layer *layer = &ref->graph->layers[index];
    const struct layer *in = &ref->graph->layers[layer->inputs[0]];
    double sum = 0;
    int count = 0;
    for (int a = 0; a < in->c; a++)
        for (int b = 0; b < in->h; b++)
            for (int d = 0; d < in->w; d++) {
                bool mine = (layer->as.reduce.over_c || a == c) &&
                            (layer->as.reduce.over_h || b == h) &&
                            (layer->as.reduce.over_w || d == w);
                if (!mine) continue;
                sum += input_at(ref, index, 0, n, a, b, d);
                count++;
            }
    return layer->as.reduce.mode == TESS_REDUCE_MEAN ? sum / count : sum;
}

double ref_layer_at(const struct ref_net *ref, int index, int n, int c, int h, int w) {
    const struct layer *layer = &ref->graph->layers[index];
    const struct layer *in = &ref->graph->layers[layer->inputs[0]];
    const int at[] = {c, h, w};
    int from[3] = {c, h, w}, element = (c * layer->h + h) * layer->w + w;
    double x;
    switch (layer->kind) {
    case LAYER_CONV_TRANSPOSE:
        return conv_transpose_at(ref, index, n, c, h, w);
    case LAYER_UPSAMPLE:
        return upsample_at(ref, index, n, c, h, w);
    case LAYER_PAD:
        return pad_at(ref, index, n, c, h, w);
    case LAYER_PRELU:
        x = input_at(ref, index, 0, n, c, h, w);
        return x > 0 ? x : x * ref->params[ref->first_param[index]][layer->as.prelu.shared ? 0 : c];
    case LAYER_BINARY:
        return binary_at(layer->as.binary, input_at(ref, index, 0, n, c, h, w),
                         input_at(ref, index, 1, n, c, h, w));
    case LAYER_REDUCE:
        return reduce_at(ref, index, n, c, h, w);
    case LAYER_RESHAPE:
        return ref->values[layer->inputs[0]][n * in->c * in->h * in->w + element];
    case LAYER_TRANSPOSE:
        for (int i = 0; i < 3; i++)
            from[layer->as.order[i]] = at[i];
        return input_at(ref, index, 0, n, from[0], from[1], from[2]);
    default:
        return input_at(ref, index, 0, n, c, h, w);
    }
}
