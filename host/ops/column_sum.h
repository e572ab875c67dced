/* Sums of the columns of a matrix, in an order that depends on its size alone: kernels_cl/reduce.cl. */
#ifndef TESSERA_OPS_COLUMN_SUM_H
#define TESSERA_OPS_COLUMN_SUM_H

#include "core/context.h"

struct column_sum {
    tess_context *ctx;
    int vector;
    cl_kernel partial, blocks, channels;
};

/* On failure nothing is left to destroy. */
tess_status column_sum_create(tess_context *ctx, struct column_sum *out);
void column_sum_destroy(struct column_sum *sum);

/* How a matrix is cut. width: of a wide row; blocks of rows_per_block wide rows are summed by independent work-items. */
struct column_split {
    int width, blocks, rows_per_block;
};

struct column_split column_split_of(int rows, int channels);

/* Scratch bytes for rows x channels; rows, channels >= 1 and their product < 2^31. */
size_t column_sum_workspace(int rows, int channels);

struct column_sum_args {
    cl_mem x; /* rows x channels */
    int rows, channels;
    cl_mem out; /* channels values */
    cl_mem workspace;
    size_t start; /* the workspace begins at this float; x may lie before it in the same memory */
};

/* out[c] = sum over the rows of x[row * channels + c]. Enqueues. what: for the error message. */
tess_status column_sum_enqueue(const struct column_sum *sum, const struct column_sum_args *args,
                               const char *what);

/* The same where another kernel has left the sums of the blocks' columns in the workspace, blocks x width; x is not read. */
tess_status column_sum_finish(const struct column_sum *sum, const struct column_sum_args *args,
                              const char *what);

#endif
