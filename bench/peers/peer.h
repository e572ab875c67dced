/* Another library's convolution, timed beside ours in one process. A peer runs on the host's processor. */
#ifndef TESSERA_BENCH_PEERS_PEER_H
#define TESSERA_BENCH_PEERS_PEER_H

#include "ops/conv/conv_problem.h"

struct peer_conv;

struct peer {
    const char *name;
    /* Prepares everything that is not to be timed: its primitive, its preferred layouts, copies of the operands in them. threads: as many as
       our device has compute units. x NHWC, w RSCK, y NHWC: what the pass reads; not kept. */
    tess_status (*create)(const struct conv_problem *problem, int threads, const float *x,
                          const float *w, const float *y, tess_error *error,
                          struct peer_conv **out);
    tess_status (*run)(
        void *conv); /* a struct timed's run; user: the peer_conv; blocks until it is done */
    const char *(*about)(const struct peer_conv *conv); /* implementation's name and version */
    /* Its result in our layout, to compare; result has the elements of the pass's output. */
    tess_status (*read)(struct peer_conv *conv, float *result);
    void (*destroy)(struct peer_conv *conv); /* takes NULL */
};

/* NULL: no peer of this name was built in. */
const struct peer *peer_find(const char *name);

#endif
