/* Softmax, its gradient, and cross-entropy of softmax with integer labels.

   softmax_fwd   y[n,c]  = exp(x[n,c] - m[n]) / s[n],  m[n] = max_c x[n,c],  s[n] = sum_c exp(x[n,c] - m[n])
   softmax_bwd   dx[n,c] = y[n,c] (dy[n,c] - sum_c y[n,c] dy[n,c])
   xent_rows     loss[n] = log s[n] - (x[n,label] - m[n]);  correct[n] = first argmax of the row == label
                 dx[n,c] = (exp(x[n,c] - m[n]) / s[n] - [c == label]) scale
   xent_sum      result  = { sum_n loss[n], sum_n correct[n] }

   Subtracting the maximum makes every exponent <= 0 and s >= 1, so large logits neither overflow nor divide by
   zero. A NaN in a row makes s, and with it all that is computed from the row, NaN.

   Layout and who does what: a row is C adjacent floats; LANES work-items share it, ROWS rows a work-group.

       c      0  1  2 ... LANES-1 | LANES ...        local id 0 = lane, local id 1 = row in the work-group
       lane   0  1  2 ... LANES-1 | 0     ...        global size: LANES x (N rounded up to ROWS)

   Each lane adds its values in ascending order; the lanes are added as a binary tree. The order depends on C
   alone (on devices that allow work-groups of 64), so results repeat bit for bit.

   parameter   meaning                            legal values
   LANES       work-items that share a row        power of two
   ROWS        rows of a work-group               >= 1; LANES * ROWS <= 256
   xent_sum is one work-group of LANES * ROWS work-items, a power of two.

   y and dx hold the exponentials until the sum is known. They may be the inputs' memory: an element of a row is
   read and written by one work-item only. */
#include "common.clh"

#ifndef LANES
#define LANES 4
#endif
#ifndef ROWS
#define ROWS 16
#endif
#if (LANES & (LANES - 1)) || (ROWS & (ROWS - 1)) || LANES * ROWS > 256
#error "LANES and ROWS must be powers of two, and LANES * ROWS at most 256"
#endif

/* The lanes' maximum. share: LANES floats of this row. All work-items of the group must call it. */
float lanes_max(__local float *share, int lane, float value)
{
    share[lane] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int step = LANES / 2; step > 0; step /= 2) {
        if (lane < step) share[lane] = fmax(share[lane], share[lane + step]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float result = share[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
}

/* The same for the sum of width values, width a power of two. */
float lanes_sum(__local float *share, int lane, int width, float value)
{
    share[lane] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int step = width / 2; step > 0; step /= 2) {
        if (lane < step) share[lane] += share[lane + step];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float result = share[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
}

/* The same for the smallest index. */
int lanes_min(__local int *share, int lane, int value)
{
    share[lane] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int step = LANES / 2; step > 0; step /= 2) {
        if (lane < step) share[lane] = min(share[lane], share[lane + step]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int result = share[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
}

/* Work-items of rows beyond N have rows of no values, and take part for the barriers' sake. */
#define ROW_SETUP                                                                                  \
    __local float share_all[LANES * ROWS];                                                         \
    __local float *share = share_all + (int)get_local_id(1) * LANES;                               \
    const int lane = (int)get_local_id(0);                                                         \
    const int row = (int)get_global_id(1);                                                         \
    const int width = row < N ? C : 0;                                                             \
    const size_t base = (size_t)row * (size_t)C;

__kernel void softmax_fwd(const int N, const int C, __global const float *x, __global float *y)
{
    ROW_SETUP
    float largest = -INFINITY;
    for (int c = lane; c < width; c += LANES) largest = fmax(largest, x[base + c]);
    largest = lanes_max(share, lane, largest);

    float sum = 0.0f;
    for (int c = lane; c < width; c += LANES) {
        const float e = exp(x[base + c] - largest);
        y[base + c] = e;
        sum += e;
    }
    sum = lanes_sum(share, lane, LANES, sum);

    const float inverse = 1.0f / sum;
    for (int c = lane; c < width; c += LANES) y[base + c] *= inverse;
}

__kernel void softmax_bwd(const int N, const int C, __global const float *y,
                          __global const float *dy, __global float *dx)
{
    ROW_SETUP
    float dot = 0.0f;
    for (int c = lane; c < width; c += LANES) dot = FMA(y[base + c], dy[base + c], dot);
    dot = lanes_sum(share, lane, LANES, dot);

    for (int c = lane; c < width; c += LANES) dx[base + c] = y[base + c] * (dy[base + c] - dot);
}

/* rows: N losses, then N times 1.0f (correct) or 0.0f. dx: may be NULL. */
__kernel void xent_rows(const int N, const int C, const float scale, __global const float *x,
                        __global const int *labels, __global float *rows, __global float *dx)
{
    ROW_SETUP
    __local int index_all[LANES * ROWS];
    __local int *share_index = index_all + (int)get_local_id(1) * LANES;
    const int label = width > 0 ? labels[row] : -1;
    const bool labelled = label >= 0 && label < C;
    const int owner = labelled ? label % LANES : 0; /* the lane that reads and writes x[n,label] */

    float largest = -INFINITY;
    int first = C;
    for (int c = lane; c < width; c += LANES) {
        const float value = x[base + c];
        if (value > largest) {
            largest = value;
            first = c;
        }
    }
    const float lane_largest = largest;
    largest = lanes_max(share, lane, lane_largest);
    first = lanes_min(share_index, lane, lane_largest == largest ? first : C);

    const float wanted = labelled && lane == owner ? x[base + label] : 0.0f;
    float sum = 0.0f;
    for (int c = lane; c < width; c += LANES) {
        const float e = exp(x[base + c] - largest);
        if (dx) dx[base + c] = e;
        sum += e;
    }
    sum = lanes_sum(share, lane, LANES, sum);

    if (width > 0 && lane == owner) {
        rows[row] = labelled ? log(sum) - (wanted - largest) : 0.0f;
        rows[N + row] = labelled && first == label && !isnan(sum) ? 1.0f : 0.0f;
    }
    const float inverse = 1.0f / sum;
    for (int c = lane; dx && c < width; c += LANES) {
        const float p = dx[base + c] * inverse;
        dx[base + c] = labelled ? (p - (c == label ? 1.0f : 0.0f)) * scale : 0.0f;
    }
}

__kernel void xent_sum(const int N, __global const float *rows, __global float *result)
{
    __local float share[LANES * ROWS];
    const int lane = (int)get_local_id(0);
    float loss = 0.0f, correct = 0.0f;
    for (int n = lane; n < N; n += LANES * ROWS) {
        loss += rows[n];
        correct += rows[N + n];
    }
    loss = lanes_sum(share, lane, LANES * ROWS, loss);
    correct = lanes_sum(share, lane, LANES * ROWS, correct);
    if (lane == 0) {
        result[0] = loss;
        result[1] = correct;
    }
}
