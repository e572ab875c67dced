/* Sums of the columns of a matrix with M rows of C floats, in an order that depends on M and C alone.

   The matrix is read as rows of T = k C floats, k original rows in each, where k is chosen so that 16 divides
   T: then vectors fit whatever C is, and neighbours read neighbours also for C = 6.

        x, M x C              as wide rows of T, k = 2         partial, blocks x T      out, C
        | c c c |             | c c c  c c c |  block 0  --->  | t t t  t t t |
        | c c c |             | c c c  c c c |  block 0  -'    | t t t  t t t | ---> sum over the blocks,
        | c c c |      =      | c c c  c c c |  block 1  --->                        then over the k parts
        | ..... |             | c c c  ----- |  block 1  -'

     column_sum_partial    partial[b,t] = sum over the wide rows of block b
     column_sum_blocks     partial[0,t] = sum over b of partial[b,t]
     column_sum_channels   out[c] = sum over j of partial[0, j C + c]

     VEC   see vector.clh; at least 4 and a divisor of 16 */
#include "common.clh"
#include "fastdiv.clh"
#include "vector.clh"

/* by_vectors: T / VEC as a divisor. rows: wide rows of a block. count: M C. partial begins at workspace[start], so
   that x may be an earlier part of the same memory. */
kernel void column_sum_partial(global const float *x, global float *workspace, int start, int count,
                               int width, int blocks, int rows, ulong by_vectors) {
    uint id = get_global_id(0);
    int block = divide(id, by_vectors);
    if (block >= blocks) return;
    int t = (id - block * (width / VEC)) * VEC;
    int last = t < count ? min((block + 1) * rows, (count - 1 - t) / width + 1) : 0;
    floatv sum = (floatv)(0.0f);
    for (int row = block * rows; row < last; row++)
        sum += load_until(x, row * width + t, count);
    VSTORE(sum, workspace + start + block * width + t);
}

kernel void column_sum_blocks(global float *workspace, int start, int width, int blocks) {
    global float *partial = workspace + start;
    int t = get_global_id(0) * VEC;
    if (t >= width) return;
    floatv sum = VLOAD(partial + t);
    for (int block = 1; block < blocks; block++)
        sum += VLOAD(partial + block * width + t);
    VSTORE(sum, partial + t);
}

kernel void column_sum_channels(global const float *workspace, int start, global float *out,
                                int width, int channels) {
    global const float *partial = workspace + start;
    int c = get_global_id(0);
    if (c >= channels) return;
    float sum = 0.0f;
    for (int t = c; t < width; t += channels)
        sum += partial[t];
    out[c] = sum;
}
