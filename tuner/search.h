/* Which candidate to try next. A search never measures anything: it is asked and told, so that the tuner and the replay of a
   recorded exhaustive search use the same code.

   search_create; while ((i = search_next(search, spent)) >= 0) { measure i; search_tell(search, i, ...); }

   Algorithms race first: each gets a fair number of evaluations before one may be dropped. The survivors share the rest: warm starts, local search around the best few, and at least 30 % on
   cold restarts. Everything is a function of the seed and of what was told. */
#ifndef TESSERA_TUNER_SEARCH_H
#define TESSERA_TUNER_SEARCH_H

#include "tuner/space.h"

struct search;

struct search_options {
    uint64_t seed;
    int evaluations; /* most candidates to try; 0: the whole space */
    int first;       /* the planner's answer without tuning: tried first; -1: none */
    const int *warm; /* further good guesses, best first; borrowed during creation */
    int warm_count;
    bool exhaustive; /* every candidate, in an order spread over the space */
};

tess_status search_create(const struct space *space, const struct search_options *options,
                          tess_error *error, struct search **out);
void search_destroy(struct search *search);

/* The candidate to try, or -1 when the search is done. spent: the share of the time budget that is used up, 0 to 1; 0 where evaluations alone
   limit the search. */
int search_next(struct search *search, double spent);

/* What came of it. seconds: INFINITY for a failure of any kind. A candidate may be told again with a better estimate. */
void search_tell(struct search *search, int candidate, double seconds);

int search_best(const struct search *search);      /* -1: nothing worked so far */
int search_evaluated(const struct search *search); /* candidates told so far */
int search_cold(const struct search *search);      /* asked for by cold restarts so far */

#endif
