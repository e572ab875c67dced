/* The candidates for one convolution problem and pass on one device. */
#ifndef TESSERA_TUNER_SPACE_H
#define TESSERA_TUNER_SPACE_H

#include "ops/conv/conv_algo.h"

enum { SPACE_ALGOS_MAX = 32 };

struct candidate {
    const struct conv_algo *algo;
    struct conv_config config;
    double predicted; /* cycles, see conv_algo.predict */
    size_t bytes;     /* workspace and packed weights */
};

struct space {
    struct conv_problem problem;
    struct candidate *list; /* algorithm after algorithm, in the registry's order */
    int count;
    const struct conv_algo *algo[SPACE_ALGOS_MAX]; /* those that have candidates */
    int algo_first[SPACE_ALGOS_MAX], algo_count;   /* algo[i]'s begin at list[algo_first[i]] */
};

struct space_options {
    bool strict;      /* leave out algorithms with an error_growth */
    bool limit_bytes; /* leave out candidates that take more than byte_limit */
    size_t byte_limit;
    /* Leave out candidates that are predicted to take more than so many times what the best of those within the limits
       above is: at least 1, INFINITY for none; 0 stands for 30. A candidate without a prediction stays. */
    double hopeless;
};

/* options may be NULL: all zero. No candidate at all is TESS_UNSUPPORTED. */
tess_status space_create(const struct conv_problem *problem, const tess_device_info *device,
                         const struct space_options *options, tess_error *error,
                         struct space **out);
/* A space of given candidates, algorithm after algorithm, for replays and tests; list is copied, its algorithms are borrowed. */
tess_status space_from_list(const struct conv_problem *problem, const struct candidate *list,
                            int count, tess_error *error, struct space **out);
void space_destroy(struct space *space); /* NULL is allowed */

/* The index of a configuration, as printed or as a table; -1: not in the space. */
int space_find(const struct space *space, const struct conv_algo *algo,
               const struct conv_config *config);
int space_find_printed(const struct space *space, const char *printed);

/* Candidates of the same algorithm that differ from candidate in one parameter (nearest values first, then the others). Returns how many, at most max. */
int space_neighbours(const struct space *space, int candidate, int *out, int max);

#endif
