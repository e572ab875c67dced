/* Does a configuration compute the right thing, and only that? Asked before anything is timed. */
#ifndef TESSERA_TUNER_VERIFY_H
#define TESSERA_TUNER_VERIFY_H

#include "tuner/workbench.h"

struct verdict {
    bool right;
    double max_err;  /* largest error, relative to what rounding explains; above 1 is wrong */
    char cause[200]; /* why it is wrong; "" */
};

/* Packs and runs twice, each time over poison: result, packed weights and workspace hold NaN before, the bands around every buffer too.
   Right is a result
   - without any NaN or infinity: what was not stored, or was computed from what lies outside an operand;
   - of the same bits both times: no race, nothing left over from the call before;
   - that is near the float64 answers of the workbench's sample;
   with every band and operand as it was. A failure of the device is a status, a wrong result is not. */
tess_status verify_instance(struct instance *instance, struct verdict *out);

/* For the winner of a search: every element, or of large problems every element at batch 1 and a dense sample of the batch;
   and two problems like it whose sizes are ragged. macs: about how many multiply-adds the answers of each may cost. */
tess_status verify_winner(struct workbench *bench, const char *printed, double macs,
                          struct verdict *out);

#endif
