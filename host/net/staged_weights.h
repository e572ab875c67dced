/* Weights of an inference network that the device does not keep as they are: those of which it needs another form alone, packed or
   folded, and those that no instruction reads. Their values are what a seed and the graph say, or a copy on the host.
   tess_net_init and tess_net_load bring them to the device one layer after the other, in memory that activations use
   later, fold and pack them. So neither network nor start needs memory for the same weights twice.

       seed, graph, file --upload--> arena --fold--> arena --pack--> the plan's packed weights
                                       the plan packs none: --fold--> the layer's folded weights

   tess_net_param gives a parameter, and what is folded with it, memory of its own for good: the caller may write to it at any time. */
#ifndef TESSERA_NET_STAGED_WEIGHTS_H
#define TESSERA_NET_STAGED_WEIGHTS_H

#include "net/net.h"

/* Marks what is staged. When the plans are made, before parameters get memory. */
tess_status staged_mark(tess_net *net);
/* Whether an inference network has no instruction for a layer. */
bool staged_unread(const tess_net *net, int layer);

/* Folds and packs the staged parameter of that index, of which values, K C R S, is told to be the value. Waits only for what was
   enqueued before. */
tess_status staged_pack(tess_net *net, int index, const float *values);
/* All, if net->packs_due: where neither tess_net_init nor tess_net_load was called, or failed. */
tess_status staged_pack_due(tess_net *net);

/* A parameter's values K C R S, staged or not. Blocking. */
tess_status param_read(tess_net *net, int index, float *values);
/* values: K C R S; copied. Blocking. */
tess_status param_write(tess_net *net, int index, const float *values);

/* Ends the staging of a parameter and of what is folded with it. On failure they stay staged, and the context has the error. */
tess_status staged_keep(tess_net *net, int index);

#endif
