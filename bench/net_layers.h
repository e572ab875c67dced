/* Where the time of a step goes: markers between the instructions, on the device's own clock. */
#ifndef TESSERA_BENCH_NET_LAYERS_H
#define TESSERA_BENCH_NET_LAYERS_H

#include <stdio.h>

#include "net/net.h"

/* A step: tess_net_forward or tess_net_train_step. What it enqueues after the last instruction counts as the update. */
struct net_layers_request {
    tess_net *net;
    tess_status (*step)(void *user);
    void *user;
    int samples;
    FILE *text; /* tables for people; NULL: none */
    FILE *json; /* one object a line; NULL: none */
    /* Repeated in every line: */
    const char *name, *mode;
    int batch;
};

/* Runs one step to warm up, then samples steps, and prints medians: a line an operation (all its instructions together; "ms",
   "share" of the step, "bytes" of the tensors, "instructions") and a line an instruction ("layer", "kind" of the layer, "op",
   "ms", "bytes"). Needs a context with profiling. */
tess_status net_layers_print(const struct net_layers_request *request);

#endif
