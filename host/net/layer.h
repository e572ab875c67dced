/* What the kinds of layers are: one table row each. */
#ifndef TESSERA_NET_LAYER_H
#define TESSERA_NET_LAYER_H

#include "net/graph.h"

enum param_start { START_WEIGHTS, START_VALUE };

/* One parameter of a layer. */
struct param_spec {
    const char *suffix;    /* "weight": the parameter is called "<layer>.weight" */
    tess_tensor_desc desc; /* on the device */
    int rank;              /* in a file: 4: K C R S; 2: K by C H W; 1: a vector */
    enum param_start start;
    float value;            /* START_VALUE */
    bool state;             /* saved and loaded, but not trained */
    double fan_in, fan_out; /* START_WEIGHTS */
};

struct layer_kind_info {
    const char *name;
    bool numbered; /* default names count: "conv1" */
    /* Checks the layer against its inputs; fills c, h, w and what depends on the inputs. */
    tess_status (*shape)(const struct tess_graph *graph, struct layer *layer, tess_error *error);
    /* Fills specs and gives their number. NULL: none. */
    int (*params)(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]);
    double (*flops)(const struct layer *layer); /* forward, one image; NULL: none */
    void (*describe)(const struct layer *layer, char detail[LAYER_DETAIL_SIZE]); /* NULL: "" */
    bool loss; /* what training steps descend */
    bool end;  /* a graph may end with it */
};

extern const struct layer_kind_info layer_kinds[LAYER_KINDS];

/* Nothing can follow a loss or an end. */
static inline bool layer_is_leaf(const struct layer *layer) {
    return layer_kinds[layer->kind].loss || layer_kinds[layer->kind].end;
}

/* The classes of the graph's classifiers; 0: it has none. */
int graph_classes(const struct tess_graph *graph);

/* A vector of count elements that start as value. */
struct param_spec vector_spec(const char *suffix, int count, float value);

/* "ReLU", for summaries; "" for none. */
const char *act_name(tess_activation kind);

int layer_params(const struct layer *layer, struct param_spec specs[LAYER_PARAMS]);

/* The activation that a layer's output goes through: its own, or that of an activation layer that is the
   only one to read it. *folded becomes that layer's index, or -1. */
tess_act layer_act(const struct tess_graph *graph, int index, int *folded);

/* Sets the output; an error where no tensor can be of that shape. */
tess_status shape_set(struct layer *layer, int c, int h, int w, tess_error *error);
tess_status weights_fit(double elements, tess_error *error);

/* tess_status functions of shape.c, for the table. */
tess_status shape_input(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_conv(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_pool(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_fc(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_same(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_add(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_concat(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_dropout(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_batch_norm(const struct tess_graph *graph, struct layer *layer,
                             tess_error *error);
tess_status shape_lrn(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status shape_auxiliary(const struct tess_graph *graph, struct layer *layer, tess_error *error);
tess_status loss_weight_check(const struct layer *layer, tess_error *error);
tess_status shape_softmax(const struct tess_graph *graph, struct layer *layer, tess_error *error);

#endif
