/* Backward through an activation whose output is a part of the channels of a wider tensor, as a concatenation without copies leaves it:

     dx[row, c] = dy[row, dy_first + c] act'(y[row, y_first + c]),  c < count

        y, a row  | ... | y_first ... y_first+count-1 | ... |   dy likewise;   dx: rows of count

   One work-item does VEC channels of one row, or the last few; rows of y and dy are y_row and dy_row elements apart.

     VEC              see vector.clh
     ACTIVATION_GRAD  act_grad_relu, act_grad_tanh, ...: a name of activation.clh without its suffix */
#include "common.clh"
#include "activation.clh"
#include "fastdiv.clh"
#include "vector.clh"

#ifndef ACTIVATION_GRAD
#define ACTIVATION_GRAD act_grad_none
#endif

#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)

#if VEC != 1 && VEC != 16
DEFINE_ACTIVATIONS(VEC, floatv)
#endif
DEFINE_ACTIVATION_GRADS(VEC, floatv)

/* segments: ceil(count / VEC), by_segments: as a divisor. */
kernel void slice_activation_bwd(global const float *y, int y_row, int y_first,
                                 global const float *dy, int dy_row, int dy_first,
                                 global float *dx, int rows, int count, int segments,
                                 ulong by_segments, float alpha) {
    uint id = get_global_id(0);
    int row = divide(id, by_segments);
    if (row >= rows) return;
    int c = (id - row * segments) * VEC;
    int y_at = row * y_row + y_first, dy_at = row * dy_row + dy_first, to = row * count;
    floatv slope = CONCAT(ACTIVATION_GRAD, VEC)(load_until(y, y_at + c, y_at + count), alpha);
    store_until(load_until(dy, dy_at + c, dy_at + count) * slope, dx, to + c, to + count);
}
