/* Inside the N-dimensional operators: maps that are sparse along each dimension (kernels_cl/nd_taps.cl). */
#ifndef TESSERA_OPS_ND_ND_TAPS_H
#define TESSERA_OPS_ND_ND_TAPS_H

#include "ops/nd/nd_walk.h"

/* One dimension: y's coordinate c is the sum of taps start[c] .. start[c + 1] - 1, each weight times x's element index. Owns its memory;
   all zero: plain, x's and y's coordinates are the same. */
struct nd_tap_table {
    int x, y;   /* sizes */
    int *start; /* y + 1 */
    int *index;
    float *weight;
};

/* Room for y coordinates and taps of them. false: no memory. */
bool nd_tap_table_alloc(struct nd_tap_table *table, int x, int y, int taps);
void nd_tap_table_free(struct nd_tap_table *table);
/* The transposed map: the gradient. false: no memory. */
bool nd_tap_table_transpose(const struct nd_tap_table *table, struct nd_tap_table *out);

struct nd_taps_launch {
    tess_context *ctx;
    cl_mem memory, start, index, weight; /* owned */
    size_t bytes[4];                     /* of each of them */
    cl_kernel kernel;
    struct kernel_range range;
};

/* tables: one a dimension of x. y's size follows from them. Neither may be empty. On failure nothing is left to destroy. */
tess_status nd_taps_create(tess_context *ctx, const struct nd_shape *x,
                           const struct nd_tap_table *tables, const char *what,
                           struct nd_taps_launch *out);
void nd_taps_destroy(struct nd_taps_launch *launch);
tess_status nd_taps_enqueue(const struct nd_taps_launch *launch, cl_mem x, cl_mem y,
                            const char *what);

#endif
