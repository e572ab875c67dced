/* One algorithm for each convolution and pass of a network, so that all fit the device memory together and the network is fast. */
#ifndef TESSERA_NET_CHOOSE_ALGORITHMS_H
#define TESSERA_NET_CHOOSE_ALGORITHMS_H

#include "core/status.h"

struct algorithm_option {
    double seconds;   /* predicted or measured */
    size_t workspace; /* bytes, while it runs */
    size_t held;      /* bytes, all the time: packed weights */
};

/* A place in the network that needs an algorithm. */
struct algorithm_site {
    const struct algorithm_option *options; /* borrowed */
    int count;                              /* at least 1 */
    size_t alive; /* bytes of activations and gradients that exist while it runs */
};

/* Picks an option for each site: the least sum of seconds with
     max over sites (alive + workspace) + sum of held <= limit.
   The maximum is enumerated: under each, a site's options are those that fit it, and what is held is brought within the rest by
   the exchanges that cost the least time a byte (the greedy rule of the knapsack problem: exact in its Lagrangian relaxation,
   and exact where nothing is held, as in training). A smaller index wins a tie. picks: count indices. *fits: false where no
   choice fits; picks are then of the least memory that exchanges find. Fails only without host memory. */
tess_status choose_algorithms(const struct algorithm_site *sites, int count, size_t limit,
                              tess_error *error, int *picks, bool *fits);

/* What a choice costs. */
double choice_seconds(const struct algorithm_site *sites, int count, const int *picks);
size_t choice_bytes(const struct algorithm_site *sites, int count, const int *picks);

#endif
