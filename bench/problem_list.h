/* Lists of convolution problems: what benchmarks and tuner work through. */
#ifndef TESSERA_BENCH_PROBLEM_LIST_H
#define TESSERA_BENCH_PROBLEM_LIST_H

#include "tessera.h"

struct problem_entry {
    tess_conv_desc desc;
    int count; /* how often it occurs in its network */
};

/* Start with {0}; entries belong to the list. */
struct problem_list {
    struct problem_entry *entries;
    int count, capacity;
};

/* A problem that is there already gets the higher count. */
tess_status problem_list_add(struct problem_list *list, const char *key, int count,
                             tess_error *error);

/* A text file: one key a line, "x3" behind it for a problem that occurs three times, # starts a comment. */
tess_status problem_list_add_file(struct problem_list *list, const char *path, tess_error *error);

/* Every distinct convolution of a network of the zoo or of a .onnx file, for one image; auxiliary classifiers included. size: as for
   tess_model_build, NULL: the network's own; an input that a file does not have is TESS_INVALID_SHAPE. */
tess_status problem_list_add_net(struct problem_list *list, const char *name,
                                 const tess_zoo_options *size, tess_error *error);

/* Gives every problem this batch size. */
tess_status problem_list_set_batch(struct problem_list *list, int batch, tess_error *error);

void problem_list_free(struct problem_list *list);

#endif
