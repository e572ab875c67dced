/* From an ONNX model to the layers of a graph. graph_import.c walks over the nodes that folding leaves; a function of import_*.c for
   each operator adds its layer, or says why there is none. After the first such obstacle no layers are added any more, but all
   nodes are looked at, so that one message names everything that is in the way. */
#ifndef TESSERA_ONNX_GRAPH_IMPORT_H
#define TESSERA_ONNX_GRAPH_IMPORT_H

#include "net/layer.h"
#include "net/onnx/onnx_params.h"

/* What a value that depends on the input is: the output of a layer, as N C H W or, which is the same elements in the same
   order, as N x C H W. */
struct import_value {
    bool set;
    const struct onnx_node *reader; /* the last that reads it, or NULL */
    int layer;
    int c, h, w; /* of the layer's output in the file, also where the classes were replaced */
    bool
        sole; /* nothing else reads the layer's output: what follows may become part of the layer */
    bool padded;        /* with pad around it, for the convolution that reads it */
    int pad[4];         /* top, bottom, left, right */
    bool probabilities; /* the softmax's output; layer: what it reads */
};

struct import {
    const struct onnx_model *model;
    struct onnx_folded *folded;
    tess_graph *graph;
    tess_error *error;
    const struct onnx_node *node;       /* that is being looked at */
    struct import_value *values;        /* as model->values */
    int *readers;                       /* by value: inputs of nodes, and outputs of the model */
    int classes;                        /* of the new classifier; 0: as in the file */
    const struct onnx_node *classifier; /* the node whose layer gets them, or NULL */
    tess_init init;                     /* of its weights */
    int classifier_layer;               /* -1: not yet */
    int64_t bytes_left;                 /* that may still be copied to layers */
    char *obstacles;                    /* a line each; NULL: none */
    size_t obstacle_bytes;
    int obstacle_count;
    bool no_memory;
};

/* ---- graph_import.c */

/* tess_graph_from_onnx for a model that has been read. */
tess_status onnx_to_graph(const struct onnx_model *model, const tess_zoo_options *options,
                          tess_error *error, char **list, tess_graph **out);

/* ---- import_node.c */

/* "node 'name' (Op): <format>". Gives TESS_OK, as the next node is to be looked at. */
tess_status import_obstacle(struct import *im, const char *format, ...) PRINTF_LIKE(2, 3);

/* What input i of the node is: NULL, and an obstacle, if it is a constant, or nothing that a layer makes. */
const struct import_value *import_data(struct import *im, int i);
/* The contents of a float32 constant; NULL: it is none, or left out. */
const float *import_floats(const struct import *im, int i);
/* Whether input i is a constant, of whatever type. */
bool import_is_constant(const struct import *im, int i);

/* Output 0 becomes the output of layer, in the shape that inference found. */
void import_set(struct import *im, int layer);
/* The same for a layer that works element by element on x, which may be flattened. */
void import_set_like(struct import *im, int layer, struct import_value x);
/* Output 0 becomes what value is, under another name or in another shape. */
void import_alias(struct import *im, const struct import_value *value);

/* Whether layers are still being added. If not, outputs belong to layer 0. */
bool import_adds(const struct import *im);
/* What the building functions of graphs gave, checked, as output 0; like, unless NULL, as for import_set_like. */
tess_status import_added(struct import *im, tess_node layer, const struct import_value *like);
/* A name that is free for the node's layer, from input `weight` if that has a telling name (-1: none). Valid until the next call. */
const char *import_name(const struct import *im, int weight, char name[LAYER_NAME_SIZE]);
/* The layer's k-th parameter starts with count numbers, data times scale, transposed from rows x (count / rows) if rows > 0. */
tess_status import_parameter(struct import *im, int layer, int k, const float *data, int64_t count,
                             float scale, int64_t rows);
/* The layer's description, after its settings changed. */
void import_describe(struct import *im, int layer);

/* ---- import_layers.c, import_elements.c, import_spatial.c */

typedef tess_status import_convert(struct import *im);
import_convert import_conv, import_pool, import_global_pool, import_reduce_mean, import_gemm,
    import_matmul, import_batch_norm, import_lrn, import_activation, import_add, import_sum,
    import_scale, import_concat, import_dropout, import_same, import_pad, import_softmax,
    import_conv_transpose, import_resize, import_prelu, import_binary, import_hard_swish,
    import_reduce, import_transpose;

/* What import_pad and import_same leave to layers of their own. */
tess_status import_pad_layer(struct import *im, const struct onnx_pad *pad);
tess_status import_reshape_layer(struct import *im, const struct import_value *x);

#endif
