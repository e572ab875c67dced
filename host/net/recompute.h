/* Cheap layers' outputs that are not kept for the gradient but made again. */
#ifndef TESSERA_NET_RECOMPUTE_H
#define TESSERA_NET_RECOMPUTE_H

#include "net/net.h"

/* For each instruction, the bytes of the planned slots that exist while it runs; each slot rounded up to align. alive has
   instruction_count elements. */
void net_alive(const tess_net *net, size_t align, size_t *alive);

/* Rewrites the instructions until what lives at once, with workspaces, is at most target bytes, or no cheap layer helps any more.
   The output of batch normalisation, activation, concat, LRN, addition or dropout then ends with its last reader in the forward
   part, and right before the first instruction of the backward part that reads it copies of its instructions make it again from
   the same inputs: batch normalisation with the statistics that it saved, so running ones do not move twice. Where the most
   lives, the output that frees the most bytes there for the bytes that its instructions move goes first.
   Before net_memory_create. *bytes: grows by what the added instructions read and write. */
tess_status net_recompute(tess_net *net, size_t align, size_t target, double *bytes);

#endif
