/* Layers for up-sampling, padding, gates and other shapes as ONNX nodes. */
#include "net/onnx/onnx_writer.h"

#include <math.h>
#include <stdio.h>

/* An initialiser of the layer, of its own name. */
static char *ints(struct writer *w, const struct layer *layer, const char *what, size_t count,
                  const int64_t *data) {
    return onnx_proto_ints(&w->proto, onnx_proto_text(&w->proto, "%s/%s", layer->name, what), count,
                           data);
}

static tess_status write_conv_transpose(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    const tess_conv_transpose_desc *d = &layer->as.conv_transpose;
    char *params[LAYER_PARAMS], *x = writer_input(w, index, 0, false);
    tess_status status = writer_parameters(w, layer, params);
    if (status) return status;
    Onnx__NodeProto *node = onnx_proto_node(&w->proto, "ConvTranspose", output,
                                            (char *const[]){x, params[0], params[1]}, 3);
    writer_window(w, node, (const int64_t[]){d->r, d->s},
                  (const int64_t[]){d->stride_h, d->stride_w},
                  (const int64_t[]){d->pad_top, d->pad_left, d->pad_bottom, d->pad_right});
    onnx_proto_attr_ints(&w->proto, node, "dilations", 2,
                         (const int64_t[]){d->dilation_h, d->dilation_w});
    onnx_proto_attr_ints(&w->proto, node, "output_padding", 2,
                         (const int64_t[]){d->out_pad_h, d->out_pad_w});
    onnx_proto_attr_int(&w->proto, node, "group", d->groups);
    return TESS_OK;
}

/* The factor from in to out, as a float whose product with in, rounded down, is out, in any precision. */
static float scale_of(int out, int in) {
    float scale = (float)out / (float)in;
    while ((double)scale * in < out)
        scale = nextafterf(scale, INFINITY);
    return scale;
}

/* By factors, not sizes: the batch size is free. */
static void write_upsample(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    const struct layer *in = &w->graph->layers[layer->inputs[0]];
    bool nearest = layer->as.upsample.mode == TESS_UPSAMPLE_NEAREST;
    const float factors[] = {1, 1, scale_of(layer->h, in->h), scale_of(layer->w, in->w)};
    char *none = onnx_proto_text(&w->proto, "%s", "");
    char *scales = onnx_proto_vector(
        &w->proto, onnx_proto_text(&w->proto, "%s/scales", layer->name), 4, factors);
    Onnx__NodeProto *node =
        onnx_proto_node(&w->proto, "Resize", output,
                        (char *const[]){writer_input(w, index, 0, false), none, scales}, 3);
    onnx_proto_attr_string(&w->proto, node, "mode", nearest ? "nearest" : "linear");
    onnx_proto_attr_string(&w->proto, node, "coordinate_transformation_mode",
                           nearest                            ? "asymmetric"
                           : layer->as.upsample.align_corners ? "align_corners"
                                                              : "half_pixel");
    if (nearest) onnx_proto_attr_string(&w->proto, node, "nearest_mode", "floor");
}

static void write_pad(struct writer *w, int index, char *output) {
    static const char *const modes[] = {"constant", "reflect", "constant", "edge"};
    const struct layer *layer = &w->graph->layers[index];
    const int64_t pads[8] = {
        0, layer->as.pad.channels_before, layer->as.pad.top,    layer->as.pad.left,
        0, layer->as.pad.channels_after,  layer->as.pad.bottom, layer->as.pad.right};
    char *value = onnx_proto_float(&w->proto, onnx_proto_text(&w->proto, "%s/value", layer->name),
                                   layer->as.pad.value);
    Onnx__NodeProto *node = onnx_proto_node(
        &w->proto, "Pad", output,
        (char *const[]){writer_input(w, index, 0, false), ints(w, layer, "pads", 8, pads), value},
        3);
    onnx_proto_attr_string(&w->proto, node, "mode", modes[layer->as.pad.mode]);
}

/* The slope broadcasts against C x H x W, or C where the value is N x C. */
static tess_status write_prelu(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    struct param_spec specs[LAYER_PARAMS];
    layer_params(layer, specs);
    const int64_t dims[3] = {specs[0].desc.c, 1, 1};
    char *slope = NULL;
    tess_status status =
        writer_parameter(w, layer, &specs[0], w->flat[index] ? 1 : 3, dims, &slope);
    if (status) return status;
    onnx_proto_node(&w->proto, "PRelu", output, (char *const[]){w->values[layer->inputs[0]], slope},
                    2);
    return TESS_OK;
}

static void write_binary(struct writer *w, int index, char *output) {
    static const char *const ops[] = {"Mul", "Add", "Sub", "Div", "Max", "Min"};
    bool flat = w->flat[index];
    onnx_proto_node(
        &w->proto, ops[w->graph->layers[index].as.binary], output,
        (char *const[]){writer_input(w, index, 0, flat), writer_input(w, index, 1, flat)}, 2);
}

/* Operator set 13 has the axes of ReduceSum in an input, those of ReduceMean in an attribute. */
static void write_reduce(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    const bool over[] = {layer->as.reduce.over_c, layer->as.reduce.over_h, layer->as.reduce.over_w};
    bool mean = layer->as.reduce.mode == TESS_REDUCE_MEAN;
    int64_t axes[3];
    size_t count = 0;
    for (int i = 0; i < 3; i++)
        if (over[i]) axes[count++] = 1 + i;
    char *list = mean ? NULL : ints(w, layer, "axes", count, axes);
    Onnx__NodeProto *node =
        onnx_proto_node(&w->proto, mean ? "ReduceMean" : "ReduceSum", output,
                        (char *const[]){writer_input(w, index, 0, false), list}, 2);
    if (mean) onnx_proto_attr_ints(&w->proto, node, "axes", count, axes);
    onnx_proto_attr_int(&w->proto, node, "keepdims", 1);
}

/* 0: the batch as it is. */
static void write_reshape(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    const int64_t shape[] = {0, layer->c, layer->h, layer->w};
    onnx_proto_node(
        &w->proto, "Reshape", output,
        (char *const[]){writer_input(w, index, 0, false), ints(w, layer, "shape", 4, shape)}, 2);
}

static void write_transpose(struct writer *w, int index, char *output) {
    const int *order = w->graph->layers[index].as.order;
    const int64_t perm[] = {0, 1 + order[0], 1 + order[1], 1 + order[2]};
    Onnx__NodeProto *node = onnx_proto_node(&w->proto, "Transpose", output,
                                            (char *const[]){writer_input(w, index, 0, false)}, 1);
    onnx_proto_attr_ints(&w->proto, node, "perm", 4, perm);
}

tess_status writer_other_layer(struct writer *w, int index, char *output) {
    const struct layer *layer = &w->graph->layers[index];
    switch (layer->kind) {
    case LAYER_CONV_TRANSPOSE:
        return write_conv_transpose(w, index, output);
    case LAYER_PRELU:
        return write_prelu(w, index, output);
    case LAYER_UPSAMPLE:
        write_upsample(w, index, output);
        return TESS_OK;
    case LAYER_PAD:
        write_pad(w, index, output);
        return TESS_OK;
    case LAYER_BINARY:
        write_binary(w, index, output);
        return TESS_OK;
    case LAYER_REDUCE:
        write_reduce(w, index, output);
        return TESS_OK;
    case LAYER_RESHAPE:
        write_reshape(w, index, output);
        return TESS_OK;
    case LAYER_TRANSPOSE:
        write_transpose(w, index, output);
        return TESS_OK;
    default:
        return error_set(w->error, TESS_UNSUPPORTED,
                         "%s: layer %s has no form in ONNX yet; leave it out", w->path,
                         layer->name);
    }
}
