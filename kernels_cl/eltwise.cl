/* Element-wise operators, ACT one of the names at the end of the activations in activation.clh:

     ACT_fwd         y[i] = act(x[i])
     ACT_bwd         dx[i] = dy[i] act'(.), from the output y[i]
     add_ACT_fwd     y[i] = act(a[i] + b[i])
     bias_ACT_fwd    y[i] = act(x[i] + bias[i mod C])
     copy_channels   to[row, to_first + c] = from[row, from_first + c] for c < count: concat and slice

   One work-item does VEC elements of the flat array, whatever its layout:

     | 0 ... VEC-1 | VEC ... 2 VEC-1 | ... | the last ones, fewer |

   An activation has an entry point of its own, not a run-time switch, because only then is the loop over work-items
   short enough to stream. Outputs may be inputs: each element is read before it is written, by the same work-item.

     VEC   see vector.clh */
#include "common.clh"
#include "activation.clh"
#include "fastdiv.clh"
#include "vector.clh"

#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)

#if VEC != 1 && VEC != 16
DEFINE_ACTIVATIONS(VEC, floatv)
#endif
DEFINE_ACTIVATION_GRADS(VEC, floatv)

/* bias[at % channels ...], VEC of them, going round at the end. by_channels: channels as a divisor. */
floatv load_bias(global const float *bias, int at, int channels, ulong by_channels) {
    int c = at - divide(at, by_channels) * channels;
    if (c <= channels - VEC) return VLOAD(bias + c);
    float lanes[VEC];
    for (int i = 0; i < VEC; i++) {
        lanes[i] = bias[c];
        c = c + 1 == channels ? 0 : c + 1;
    }
    return VLOAD(lanes);
}

#define DEFINE_KERNELS(act)                                                                        \
    kernel void act##_fwd(global const float *x, global float *y, int count, float alpha) {        \
        uint i = get_global_id(0) * VEC;                                                           \
        if (i >= count) return;                                                                    \
        store_until(CONCAT(act_##act, VEC)(load_until(x, i, count), alpha), y, i, count);          \
    }                                                                                              \
    kernel void act##_bwd(global const float *y, global const float *dy, global float *dx,         \
                          int count, float alpha) {                                                \
        uint i = get_global_id(0) * VEC;                                                           \
        if (i >= count) return;                                                                    \
        floatv slope = CONCAT(act_grad_##act, VEC)(load_until(y, i, count), alpha);                \
        store_until(load_until(dy, i, count) * slope, dx, i, count);                               \
    }                                                                                              \
    kernel void add_##act##_fwd(global const float *a, global const float *b, global float *y,     \
                                int count, float alpha) {                                          \
        uint i = get_global_id(0) * VEC;                                                           \
        if (i >= count) return;                                                                    \
        floatv sum = load_until(a, i, count) + load_until(b, i, count);                            \
        store_until(CONCAT(act_##act, VEC)(sum, alpha), y, i, count);                              \
    }                                                                                              \
    kernel void bias_##act##_fwd(global const float *x, global const float *bias, global float *y, \
                                 int count, float alpha, int channels, ulong by_channels) {        \
        uint i = get_global_id(0) * VEC;                                                           \
        if (i >= count) return;                                                                    \
        floatv sum = load_until(x, i, count) + load_bias(bias, i, channels, by_channels);          \
        store_until(CONCAT(act_##act, VEC)(sum, alpha), y, i, count);                              \
    }

DEFINE_KERNELS(none)
DEFINE_KERNELS(relu)
DEFINE_KERNELS(leaky_relu)
DEFINE_KERNELS(elu)
DEFINE_KERNELS(sigmoid)
DEFINE_KERNELS(tanh)
DEFINE_KERNELS(clipped_relu)
DEFINE_KERNELS(selu)
DEFINE_KERNELS(hard_sigmoid)

/* A work-item copies VEC channels of one row, or the last few. segments: ceil(count / VEC), by_segments: as a
   divisor. Rows of from and to are from_row and to_row elements apart. */
kernel void copy_channels(global const float *from, int from_row, int from_first, global float *to,
                          int to_row, int to_first, int rows, int count, int segments,
                          ulong by_segments) {
    uint id = get_global_id(0);
    int row = divide(id, by_segments);
    if (row >= rows) return;
    int c = (id - row * segments) * VEC;
    int source = row * from_row + from_first, target = row * to_row + to_first;
    store_until(load_until(from, source + c, source + count), to, target + c, target + count);
}
