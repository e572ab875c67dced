/* A network in float64 on the host: plain loops over N C H W, written from the formulas in tessera.h. */
#ifndef TESSERA_TESTS_REF_NET_H
#define TESSERA_TESTS_REF_NET_H

#include "support/check.h"

#include "net/graph.h"

struct ref_net {
    const tess_graph *graph;
    int batch;
    double **values; /* by layer: N C H W */
    double **params; /* in the order of tess_net_param; K C R S, K by C H W, vectors */
    size_t *param_sizes;
    int param_count;
    int *first_param;     /* by layer */
    const float *targets; /* of every squared error, N C H W; borrowed. NULL: there is none */
    bool training;  /* batch normalisation takes the batch's statistics, not the running ones */
    double **masks; /* by layer: factors of dropout, N C H W; NULL: dropout is off */
};

/* Takes the parameters from net, which must be of graph. Ended by ref_net_destroy. */
struct ref_net *ref_net_create(const tess_graph *graph, int batch, tess_net *net);
void ref_net_destroy(struct ref_net *ref);

/* From now on as in a training step: fills the masks of all dropout layers as (seed, step) determine them, by asking tess_dropout about ones. */
void ref_net_masks(struct ref_net *ref, tess_context *ctx, uint64_t seed, uint64_t step);

/* Evaluates. input: N C H W. In training all losses, each summed over the rows whose label is not negative, times its weight; else the
   cross-entropy of the end, if that is a softmax. The graph's output is then in values[last]. */
double ref_net_loss(struct ref_net *ref, const float *input, const int32_t *labels);

/* The same after a change to parameter index alone: evaluates from its layer on. */
double ref_net_loss_after(struct ref_net *ref, int index, const int32_t *labels);

/* ref_layers.c: an output element of the kinds that ref_net.c does not have itself, before the activation. */
double ref_layer_at(const struct ref_net *ref, int index, int n, int c, int h, int w);

#endif
