/* Every measured limit of a device, with its spread. */
#ifndef TESSERA_BENCH_ROOF_SET_H
#define TESSERA_BENCH_ROOF_SET_H

#include <jansson.h>

#include "tessera.h"

/* Measures all limits in turn, samples times each, in about ten seconds: an array of
   {"roof": "fma", "label": "multiply-adds in registers", "unit": "GFLOP/s", "value" (median), "mad", "ci": [low, high], "best", "samples"}.
   The roofs: fma, copy, triad, local, launch, launch_queued, write, read. Released by the caller. */
tess_status roof_set_measure(tess_context *ctx, int samples, json_t **out);

#endif
