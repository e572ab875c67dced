/* The graph's inside: layers in the order in which they were built, which is an order they can run in. */
#ifndef TESSERA_NET_GRAPH_H
#define TESSERA_NET_GRAPH_H

#include "core/status.h"

#define LAYER_NAME_SIZE   64
#define LAYER_PARAMS      4 /* at most */
#define LAYER_DETAIL_SIZE sizeof((tess_layer_info){0}.detail)

enum layer_kind {
    LAYER_INPUT,
    LAYER_CONV,
    LAYER_POOL,
    LAYER_FC,
    LAYER_BATCH_NORM,
    LAYER_LRN,
    LAYER_ACTIVATION,
    LAYER_ADD,
    LAYER_CONCAT,
    LAYER_DROPOUT,
    LAYER_AUXILIARY,
    LAYER_SOFTMAX,
    LAYER_MSE,
    LAYER_OUTPUT,
    LAYER_CONV_TRANSPOSE,
    LAYER_UPSAMPLE,
    LAYER_PAD,
    LAYER_PRELU,
    LAYER_BINARY,
    LAYER_REDUCE,
    LAYER_RESHAPE,
    LAYER_TRANSPOSE,
    LAYER_KINDS
};

struct layer {
    enum layer_kind kind;
    char name[LAYER_NAME_SIZE];
    char detail[LAYER_DETAIL_SIZE];
    int *inputs; /* indices of earlier layers; owned */
    int input_count;
    int consumers;     /* how many inputs of later layers this layer's output is */
    int last_consumer; /* the latest of them */
    int c, h, w;       /* output */
    tess_act act;
    bool bias;
    tess_init init;
    float gain; /* of the initial weights */
    float init_bias;
    /* What parameters start with, as files hold them (K C R S); owned; NULL: drawn anew. */
    float *values[LAYER_PARAMS];
    union {
        tess_conv_desc conv; /* n 1, NHWC, every field filled in */
        tess_pool_desc pool; /* n 1 */
        tess_lrn_desc lrn;   /* n 1 */
        struct {
            int c, h, w; /* of the input */
            int inputs;  /* c * h * w */
            int outputs;
        } fc;
        struct {
            float eps, momentum;
        } norm;
        tess_conv_transpose_desc conv_transpose; /* n 1, NHWC, every field filled in */
        struct {
            tess_upsample_mode mode;
            int factor_h, factor_w;
            bool align_corners;
        } upsample;
        struct {
            tess_pad_mode mode;
            float value;
            int top, bottom, left, right, channels_before, channels_after;
        } pad;
        struct {
            bool shared;
            float slope; /* initial */
        } prelu;
        tess_binary binary;
        struct {
            tess_reduce_mode mode;
            bool over_c, over_h, over_w;
        } reduce;
        int order[3]; /* transpose */
        float rate;   /* dropout */
        float weight; /* of a loss */
    } as;
};

struct tess_graph {
    char *name;
    struct layer *layers;
    int count, capacity;
    tess_error error; /* the first; its status says whether there is one */
};

/* ---- graph.c, for building functions in other files */

/* Whether building can go on; settings NULL: an error of its own. */
bool graph_ready(tess_graph *graph, const void *settings, enum layer_kind kind);
/* Appends layer, of which kind and settings are filled in; its node, or TESS_NODE_NONE. name: NULL for the kind and a number. */
tess_node graph_add_layer(tess_graph *graph, struct layer layer, const char *name,
                          const tess_node *in, int count);
/* Whether five numbers of padding are at least 0 and at most 2^20; else an error that names the layer. */
bool graph_pads_fit(tess_graph *graph, const char *name, const int pads[5]);

#endif
