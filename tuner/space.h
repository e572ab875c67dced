/* The candidates for one convolution problem and pass on one device. */
#ifndef TESSERA_TUNER_SPACE_H
#define TESSERA_TUNER_SPACE_H

#include "ops/conv/conv_algo.h"

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
    const struct conv_algo *algo[32]; /* those that have candidates */
    int algo_first[32],
        algo_count; /* algo[i] has list[algo_first[i]] .. list[algo_first[i + 1] - 1] */
};

struct space_options {
    bool strict;      /* leave out algorithms with an error_growth */
    bool limit_bytes; /* leave out candidates that take more than byte_limit */
    size_t byte_limit;
};

/* options may be NULL. */
tess_status space_create(const struct conv_problem *problem, const tess_device_info *device,
                         const struct space_options *options, tess_error *error,
                         struct space **out);
void space_destroy(struct space *space);

/* The index of a configuration, as printed or as a table; -1: not in the space. */
int space_find(const struct space *space, const struct conv_algo *algo,
               const struct conv_config *config);
int space_find_printed(const struct space *space, const char *printed);

/* Candidates of the same algorithm that differ from candidate in one parameter (nearest values first, then the others). Returns how many, at most max. */
int space_neighbours(const struct space *space, int candidate, int *out, int max);

#endif
