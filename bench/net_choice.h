/* Networks that a command's options name, and the sizes that the options give them. Options come in any order, so networks are built
   when all are known. */
#ifndef TESSERA_BENCH_NET_CHOICE_H
#define TESSERA_BENCH_NET_CHOICE_H

#include "bench/problem_list.h"

enum { NET_CHOICE_MAX = 32 };

/* Start with {0}. */
struct net_choice {
    const char *names[NET_CHOICE_MAX]; /* borrowed */
    int count;
    tess_zoo_options size; /* zeros: the networks' own */
};

/* option: "net", "input", "classes" or "width". A failure names the option as the command's other messages do. */
tess_status net_choice_set(struct net_choice *choice, const char *option, const char *value,
                           tess_error *error);

/* Appends every distinct convolution of the networks. A size without a network is TESS_INVALID_ARGUMENT. */
tess_status net_choice_add(const struct net_choice *choice, struct problem_list *list,
                           tess_error *error);

#endif
