#include "cli/model.h"

#include "cli/args.h"
#include "core/status.h"
#include "net/model_input.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool model_is_key(const char *model) {
    return model[0] == 'n' && isdigit((unsigned char)model[1]);
}

bool model_is_file(const char *model) {
    size_t length = strlen(model);
    return length > 5 && strcmp(model + length - 5, ".onnx") == 0;
}

bool parse_shape(const char *text, struct image_shape *out) {
    tess_zoo_options size;
    if (!model_input_parse(text, &size)) return false;
    *out = (struct image_shape){size.c, size.h, size.w};
    return true;
}

static tess_status key_build(const char *key, int *batch, tess_error *error, tess_graph **out) {
    tess_conv_desc d;
    tess_graph *graph = NULL;
    tess_status status = tess_conv_desc_parse(key, error, &d);
    if (status) return status;
    status = tess_graph_create(key, error, &graph);
    if (status) return status;
    tess_conv_layer layer = {
        .name = "conv",
        .filters = d.k,
        .kernel_h = d.r,
        .kernel_w = d.s,
        .stride_h = d.stride_h,
        .stride_w = d.stride_w,
        .pad_top = d.pad_top,
        .pad_bottom = d.pad_bottom,
        .pad_left = d.pad_left,
        .pad_right = d.pad_right,
        .dilation_h = d.dilation_h,
        .dilation_w = d.dilation_w,
        .groups = d.groups,
    };
    tess_node input = tess_graph_input(graph, d.c, d.h, d.w);
    if (tess_graph_conv(graph, input, &layer) == TESS_NODE_NONE) {
        status = tess_graph_check(graph, error);
        tess_graph_destroy(graph);
        return status ? status
                      : error_set(error, TESS_INTERNAL, "%s: no graph and no reason; report this",
                                  key);
    }
    if (batch) *batch = d.n;
    *out = graph;
    return TESS_OK;
}

/* What does not fit into the error's one line comes before it. */
static tess_status file_build(const char *path, const tess_zoo_options *options, tess_error *error,
                              tess_graph **out) {
    char *list = NULL;
    tess_status status = tess_graph_from_onnx(path, options, error, &list, out);
    if (status && list && strstr(error->text, " ...; ")) fprintf(stderr, "%s\n", list);
    free(list);
    return status;
}

static tess_status name_build(const char *model, const tess_zoo_options *options, tess_error *error,
                              tess_graph **out) {
    return model_is_file(model) ? file_build(model, options, error, out)
                                : tess_zoo_build(model, options, error, out);
}

tess_status model_build(const char *model, const tess_zoo_options *options, int *batch,
                        tess_error *error, tess_graph **out) {
    if (model_is_key(model)) return key_build(model, batch, error, out);
    tess_graph *graph = NULL;
    tess_status status = name_build(model, options, error, &graph);
    if (!status) status = model_input_check(model, options, graph, error);
    if (status) {
        tess_graph_destroy(graph);
        return status;
    }
    *out = graph;
    return TESS_OK;
}

struct image_shape model_input(const tess_graph *graph) {
    tess_layer_info input = tess_graph_layer_info(graph, 0);
    return (struct image_shape){input.c, input.h, input.w};
}

/* Open sizes of the input become those of the images. */
static tess_status file_for_data(const char *path, const tess_zoo_options *wish,
                                 const struct dataset *data, tess_error *error, tess_graph **out) {
    tess_zoo_options options = *wish;
    tess_graph *graph = NULL;
    if (!wish->c) {
        options.c = data->c;
        options.h = data->h;
        options.w = data->w;
    }
    tess_status status = file_build(path, &options, error, &graph);
    if (status) return status;
    struct image_shape input = model_input(graph);
    int classes = tess_graph_layer_info(graph, tess_graph_layer_count(graph) - 1).c;
    status = model_input_check(path, wish, graph, error);
    if (!status && (input.c != data->c || input.h < data->h || input.w < data->w))
        status = error_set(error, TESS_INVALID_SHAPE,
                           "%s: its input, %dx%dx%d, does not hold images of %dx%dx%d; channels "
                           "must be equal, height and width at least the images'",
                           path, input.c, input.h, input.w, data->c, data->h, data->w);
    if (!status && classes != data->classes)
        status = error_set(error, TESS_INVALID_SHAPE,
                           "%s: has %d classes, %s has %d; --classes %d replaces the layer that "
                           "makes them by a new one",
                           path, classes, data->name, data->classes, data->classes);
    if (status) {
        tess_graph_destroy(graph);
        return status;
    }
    *out = graph;
    return TESS_OK;
}

tess_status model_for_data(const char *model, const tess_zoo_options *wish,
                           const struct dataset *data, tess_error *error, tess_graph **out) {
    tess_graph *own = NULL;
    if (wish->c && (wish->c != data->c || wish->h < data->h || wish->w < data->w))
        return error_set(error, TESS_INVALID_SHAPE,
                         "--input: %dx%dx%d does not hold images of %dx%dx%d; channels must be "
                         "equal, height and width at least the images'",
                         wish->c, wish->h, wish->w, data->c, data->h, data->w);
    if (wish->classes && wish->classes != data->classes)
        return error_set(error, TESS_INVALID_SHAPE,
                         "--classes: %d, but %s has %d classes; give as many as the data have",
                         wish->classes, data->name, data->classes);
    if (model_is_file(model)) return file_for_data(model, wish, data, error, out);
    tess_status status = tess_zoo_build(model, wish, error, &own);
    if (status) return status;
    struct image_shape input = model_input(own);
    tess_graph_destroy(own);
    bool holds_image = input.h >= data->h && input.w >= data->w;
    tess_zoo_options options = {
        .c = data->c,
        .h = holds_image ? input.h : data->h,
        .w = holds_image ? input.w : data->w,
        .classes = data->classes,
        .init = wish->init,
        .width = wish->width,
    };
    return tess_zoo_build(model, &options, error, out);
}
