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

/* All of verify_instance, and then one run, over poison again, of the same configuration built with its ids counted from the end
   (reversed_ids, core/program.h): that result too is complete, right, and as near the first one as rounding explains. So work-groups
   neither write into each other's results nor read them. In one order that may stay hidden: a work-group that writes a row too
   many, which the next one then overwrites, is right each time on a device that starts groups in the order of their ids, until
   the day when it is not. Not seen: what a third work-group covers in both orders. Costs one build more, which is most of a trial. */
tess_status verify_both_orders(struct workbench *bench, const char *printed, struct verdict *out);

/* For the winner of a search: every element, or of large problems every element at batch 1 and a dense sample of the
   batch; and two problems like it whose sizes are ragged. macs: about how many multiply-adds the answers of each may cost. From 1e8 on all
   is done in both orders, and ragged are all sizes; below, the number of channels that are summed over (of backward-weights, the input's)
   stays, because kernels compile it in and would be built again. */
tess_status verify_winner(struct workbench *bench, const char *printed, double macs,
                          struct verdict *out);

#endif
