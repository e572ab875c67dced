/* What the time of a candidate probably is, from the predictions of the algorithms and from what was measured so far.

   A Gaussian process over the logarithm of measured / predicted. Candidates of one algorithm are related through

       level of the algorithm + slope of the prediction + sum over parameters + product over parameters

   where a parameter relates two values by exp(-steps between them / length): the sum learns what one value does whatever the
   others are, the product learns what holds near a point only. The weights are fitted by maximum likelihood over a small grid.
   (Rasmussen and Williams, Gaussian Processes for Machine Learning, sections 2.2, 5.4; Duvenaud et al. 2011 for the sum.) */
#ifndef TESSERA_TUNER_SEARCH_MODEL_H
#define TESSERA_TUNER_SEARCH_MODEL_H

#include "tuner/space.h"

struct search_model;

/* log seconds */
struct estimate {
    double mean, deviation;
};

/* space is borrowed. */
tess_status search_model_create(const struct space *space, tess_error *error,
                                struct search_model **out);
void search_model_destroy(struct search_model *model); /* NULL is allowed */

/* seconds: INFINITY for a failure, which counts as slow and is not trusted much. Told again: replaces. When as
   many candidates as memory allows were told (512, fewer in a space of more than 32,768), further ones are left out. */
void search_model_tell(struct search_model *model, int candidate, double seconds);

/* Takes in what was told since the last time; before the next search_model_estimate. */
void search_model_update(struct search_model *model);

/* Before anything was told, means are those of the predictions up to a constant. */
struct estimate search_model_estimate(const struct search_model *model, int candidate);

#endif
