/* Activations in float64. */
#ifndef TESSERA_TESTS_REF_ACT_H
#define TESSERA_TESTS_REF_ACT_H

#include "tessera.h"

/* act(x); NaN stays NaN. */
double ref_act(tess_act act, double x);

/* act'(x), by central differences; x should be further than 1e-7 from a corner. */
double ref_act_slope(tess_act act, double x);

#endif
