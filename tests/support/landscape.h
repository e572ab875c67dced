/* Made-up search spaces with made-up times, for tests of search strategies: multiplicative effects of each parameter, interactions of pairs,
   a cliff, roughness, failures, and predictions that are wrong by a given factor. */
#ifndef TESSERA_TESTS_LANDSCAPE_H
#define TESSERA_TESTS_LANDSCAPE_H

#include "tuner/space.h"

enum { LANDSCAPE_ALGOS_MAX = 5 };

struct landscape_options {
    uint64_t seed;
    int algos;       /* 1 to LANDSCAPE_ALGOS_MAX; each smaller than the one before */
    int size;        /* candidates, about */
    double wrong;    /* typical factor between prediction and truth, 1: exact */
    double rough;    /* relative deviation of a candidate from what its parameters explain */
    double failures; /* share */
};

struct landscape {
    struct space *space;
    double *seconds; /* by candidate; INFINITY: fails */
    double best;
    struct conv_algo algo[LANDSCAPE_ALGOS_MAX];
    struct conv_param param[LANDSCAPE_ALGOS_MAX][CONV_PARAMS_MAX];
    char name[LANDSCAPE_ALGOS_MAX][8];
};

/* Fails the test if it cannot. */
struct landscape *landscape_create(const struct landscape_options *options);
void landscape_destroy(struct landscape *landscape);

#endif
