/* Where buffers of known lifetimes lie, so that those that are never alive together share memory. */
#ifndef TESSERA_NET_MEMORY_PLAN_H
#define TESSERA_NET_MEMORY_PLAN_H

#include "core/status.h"

struct memory_item {
    size_t bytes;    /* at least 1 */
    int first, last; /* alive in these steps, both included */
    int arena;       /* out */
    size_t offset;   /* out: a multiple of align */
};

struct memory_limits {
    size_t align; /* of offsets and sizes */
    size_t arena; /* most bytes of one arena; at least align */
    bool share;   /* false: every item for itself, for comparison */
};

struct memory_plan {
    size_t *arena_bytes; /* owned */
    int arena_count;
    size_t total;    /* of all arenas */
    size_t unshared; /* what the items would take side by side */
};

/* Greedy by size: the largest item first, into the tightest gap between those that it shares steps with, else
   after them, else into the next arena (Pisarchyk and Lee: Efficient memory management for deep neural
   net inference, 2020, section 5). Depends on the items alone. Fills items' arena and offset, and *out, which
   memory_plan_end frees. An item larger than an arena may be: OUT_OF_DEVICE_MEMORY, its index in *culprit. */
tess_status memory_plan_make(struct memory_item *items, int count,
                             const struct memory_limits *limits, tess_error *error, int *culprit,
                             struct memory_plan *out);
void memory_plan_end(struct memory_plan *plan);

#endif
