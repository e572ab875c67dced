/* A network within its limit of device memory. */
#ifndef TESSERA_NET_FIT_MEMORY_H
#define TESSERA_NET_FIT_MEMORY_H

#include "net/net.h"

/* Makes the convolutions' plans, after outputs were given up for recomputation as the options say. With a memory limit all that
   the network will have allocated then fits it: algorithms are chosen together, and of the ways to fit (other algorithms,
   recomputation, both) the one that is predicted to cost the least time is taken. held: device bytes that the network has
   allocated so far. Otherwise TESS_OUT_OF_DEVICE_MEMORY, with what is needed at least, what for, and what would help. */
tess_status net_fit(tess_net *net, const struct net_debug *debug, size_t held);

#endif
