/* Small networks that between them have every layer, fork and fold; and batches to feed them. */
#ifndef TESSERA_TESTS_TEST_NETS_H
#define TESSERA_TESTS_TEST_NETS_H

#include "support/check.h"

#include "net/net.h"

struct test_net {
    const char *name;
    void (*build)(tess_graph *graph);
};

/* Ends with a NULL name. */
extern const struct test_net test_nets[];

/* A network of test_nets or of the zoo, whose own shape is used. Ended by tess_graph_destroy. */
tess_graph *test_net_graph(const char *name);

/* check_teardown, and CLBlast's programs: under Oclgrind 21.10 their release at the process's end would corrupt the heap. */
int test_nets_teardown(void **state);

struct test_batch {
    float *input; /* N C H W */
    int32_t *labels;
    float *targets; /* of every squared error, from its first element on: N C H W */
};

/* Seeded noise and labels for a graph; rows from valid on have label -1. */
struct test_batch test_batch_make(const tess_graph *graph, int batch, int valid, uint64_t seed);
void test_batch_free(struct test_batch *batch);
/* Into the network's input, labels and targets, as far as it has them. */
void test_batch_write(tess_net *net, const struct test_batch *batch);

/* Makes, initialises by seed 1 and feeds a network; also gives vectors (biases, scales) noise, so that they count. */
tess_net *test_net_make(tess_context *ctx, const tess_graph *graph, const tess_net_options *options,
                        const struct net_debug *debug, const struct test_batch *batch);

/* Multiplies the last weights of residual branches, so that the branches become small against their shortcuts: a hundred normalisations of few samples would blow rounding up into another
   loss. */
void test_net_calm(tess_context *ctx, tess_net *net, float factor);

/* All gradients that there are, one after the other, each in its own layout; free() them. *bytes: their size. */
float *test_net_gradients(tess_net *net, size_t *bytes);
/* All values likewise. */
float *test_net_values(tess_net *net, size_t *bytes);

#endif
