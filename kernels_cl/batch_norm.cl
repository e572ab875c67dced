/* Batch normalisation of x, M = N H W rows of C channels, forward and backward, with a residual and an activation.

     forward    y  = act(z),  z = (x - mean[c]) a[c] + bias[c] [+ residual],   a = scale[c] invstd[c]
     backward   g  = dy act'(y),  dbias[c] = sum g,  dscale[c] = invstd[c] sum g (x - mean[c]),  dresidual = g
                dx = a g - p[c] - q[c] (x - mean[c]),   p = a dbias / M,  q = a invstd dscale / M

     batch_norm_stats         mean and squared distance from it, of each column of each block
     batch_norm_finish        those of all blocks together: statistics of the batch, running ones, coefficients
     batch_norm_coefficients  coefficients from given statistics: inference, and the beginning of backward
     batch_norm_fwd           y
     batch_norm_sums          sum g and sum g (x - mean) of each column of each block; dresidual
     batch_norm_bwd_finish    those of all blocks together: dscale, dbias, coefficients
     batch_norm_bwd           dx

   x is read as wide rows of T = k C floats, k the smallest number of rows that makes 64 divide T, so that vectors fit
   whatever C is. Column t belongs to channel t mod C. The tail, M mod k rows, fills a part of the last wide row.

        x, M x C, k = 2          blocks of wide rows of T                    partial, blocks x 2 T
        | c c c |                | c c c  c c c |  block 0      --->         | first sums | second sums |
        | c c c |                | c c c  c c c |  block 0      -'
        | c c c |        =       | c c c  c c c |  block 1      --->         | first sums | second sums |
        | c c c |                | c c c  ----- |  the tail

   A work-item goes through the rows of one block, in VEC WIDE columns. Coefficients stand in the workspace before the
   partial sums, T of each: mean, a, bias, p, q. Blocks are cut and added in an order that depends on the shape and on
   whether the device is a CPU, on nothing else.

   Within a block the squares are those of x minus the block's first row: as that row is one of those that the variance is about,
   sum^2 / rows never is more than rows times what remains after its subtraction.

     VEC              see vector.clh
     WIDE             vectors that a work-item has in each row; WIDE VEC divides 64
     LANES            work-items that share a channel when blocks are added; a power of two, 1 on CPUs
     COLUMNS          channels of their work-group
     ACTIVATION       act_relu, act_tanh, ...: a name of activation.clh without its suffix
     ACTIVATION_GRAD  act_grad_relu, act_grad_tanh, ...
     RECOMPUTE        1: backward makes y from x again (no residual); 0: it reads y */
#include "common.clh"
#include "activation.clh"
#include "fastdiv.clh"
#include "lanes.clh"
#include "vector.clh"

#ifndef WIDE
#define WIDE 1
#endif
#ifndef LANES
#define LANES 1
#endif
#ifndef COLUMNS
#define COLUMNS 16
#endif
#ifndef ACTIVATION
#define ACTIVATION      act_none
#define ACTIVATION_GRAD act_grad_none
#endif
#ifndef RECOMPUTE
#define RECOMPUTE 1
#endif
#if 64 % (VEC * WIDE) != 0
#error VEC * WIDE must divide 64
#endif
#if (LANES & (LANES - 1)) != 0
#error LANES must be a power of two
#endif

#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)
#if VEC != 1 && VEC != 16
DEFINE_ACTIVATIONS(VEC, floatv)
#endif
DEFINE_ACTIVATION_GRADS(VEC, floatv)

#if VEC == 16
#define STORE(v, p) store_global(v, 0, p)
#else
#define STORE(v, p) VSTORE(v, p)
#endif

/* In the workspace, behind the coefficients. */
#define PARTIAL (workspace + 5 * width)

/* How x is cut. elements: M C. rows: wide rows of a block. The tail belongs to the last block, or, if there is no whole wide
   row, is the only block. */
struct cut {
    int channels, elements;
    int width, wide_rows; /* T; whole wide rows */
    int rows, blocks;
    ulong by_groups; /* of width / (VEC WIDE) as a divisor */
};

/* What one work-item does: wide rows [first, last), columns from t on; has_tail: and of the wide row after them. */
struct part {
    int block, first, last, t;
    bool has_tail;
};

struct part part_number(uint id, struct cut cut) {
    struct part part;
    part.block = divide(id, cut.by_groups);
    part.t = (id - part.block * (cut.width / (VEC * WIDE))) * (VEC * WIDE);
    part.first = part.block * cut.rows;
    part.last = min(part.first + cut.rows, cut.wide_rows);
    part.has_tail = part.block == cut.blocks - 1 && cut.wide_rows * cut.width < cut.elements;
    return part;
}

/* ---- statistics */

kernel void batch_norm_stats(global const float *x, global float *workspace, int channels,
                             int elements, int width, int wide_rows, int rows, int blocks,
                             ulong by_groups) {
    struct cut cut = {channels, elements, width, wide_rows, rows, blocks, by_groups};
    struct part part = part_number(get_global_id(0), cut);
    if (part.block >= blocks || part.first >= part.last) return;
    global const float *from = x + part.first * width + part.t;
    floatv origin[WIDE], sum[WIDE], squares[WIDE];
    for (int i = 0; i < WIDE; i++) {
        origin[i] = VLOAD(from + i * VEC);
        sum[i] = squares[i] = (floatv)(0.0f);
    }
    for (int row = part.first + 1; row < part.last; row++) {
        from += width;
        for (int i = 0; i < WIDE; i++) {
            floatv d = VLOAD(from + i * VEC) - origin[i];
            sum[i] += d;
            squares[i] = FMA(d, d, squares[i]);
        }
    }
    float count = part.last - part.first;
    global float *to = PARTIAL + 2 * part.block * width + part.t;
    for (int i = 0; i < WIDE; i++) {
        floatv mean = sum[i] / count, about_mean = squares[i] - mean * sum[i];
        STORE(origin[i] + mean, to + i * VEC);
        /* Not fmax: the NaN of an overflow must stay. */
        STORE(about_mean < 0.0f ? (floatv)(0.0f) : about_mean, to + width + i * VEC);
    }
}

/* The sum over a channel's lanes, for all of them. Every work-item of the group calls it. */
#if LANES > 1
float sum_lanes(float value, int column, int lane, local float *scratch) {
    barrier(CLK_LOCAL_MEM_FENCE);
    scratch[lane * COLUMNS + column] = value;
    for (int step = LANES / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < step)
            scratch[lane * COLUMNS + column] += scratch[(lane + step) * COLUMNS + column];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return scratch[column];
}
#define CHANNEL_GROUP __attribute__((reqd_work_group_size(LANES * COLUMNS, 1, 1)))
#define LANES_AND_CHANNEL                                                                          \
    local float scratch[LANES * COLUMNS];                                                          \
    int column = get_local_id(0) % COLUMNS, lane = get_local_id(0) / COLUMNS;                      \
    int own = get_group_id(0) * COLUMNS + column;
#else
#define sum_lanes(value, column, lane, scratch) (value)
#define CHANNEL_GROUP
#define LANES_AND_CHANNEL                                                                          \
    int lane = 0, own = get_global_id(0);
#endif

/* Coefficient number of channel c, at all its columns. */
void set_coefficient(global float *coefficients, int number, int width, int channels, int c,
                     float value) {
    for (int t = c; t < width; t += channels)
        coefficients[number * width + t] = value;
}

/* scale, bias: null means 1 and 0. running: null, or updated with the unbiased variance. */
CHANNEL_GROUP
kernel void batch_norm_finish(global const float *x, global float *workspace,
                              global const float *scale, global const float *bias,
                              global float *running_mean, global float *running_var,
                              global float *saved_mean, global float *saved_invstd, int channels, int elements, int width,
                              int wide_rows, int rows, int blocks, float eps, float momentum) {
    LANES_AND_CHANNEL
    int c = min(own, channels - 1); /* those beyond the end only keep the others company */
    int tail = wide_rows * width, whole = wide_rows > 0 ? blocks : 0;
    global const float *partial = PARTIAL;
    float count = elements / channels;
    float origin = whole ? partial[c] : x[c], sum = 0.0f;
    for (int block = lane; block < whole; block += LANES) {
        float here = min(rows, wide_rows - block * rows);
        for (int t = c; t < width; t += channels)
            sum += here * (partial[2 * block * width + t] - origin);
    }
    if (lane == 0)
        for (int i = tail + c; i < elements; i += channels)
            sum += x[i] - origin;
    sum = sum_lanes(sum, column, lane, scratch);
    float mean = origin + sum / count;

    float squares = 0.0f;
    for (int block = lane; block < whole; block += LANES) {
        float here = min(rows, wide_rows - block * rows);
        global const float *sums = partial + 2 * block * width;
        for (int t = c; t < width; t += channels) {
            float d = sums[t] - mean;
            squares += FMA(here * d, d, sums[width + t]);
        }
    }
    if (lane == 0)
        for (int i = tail + c; i < elements; i += channels)
            squares = FMA(x[i] - mean, x[i] - mean, squares);
    squares = sum_lanes(squares, column, lane, scratch);
    if (lane != 0 || own >= channels) return;

    float invstd = 1.0f / sqrt(squares / count + eps);
    saved_mean[c] = mean;
    saved_invstd[c] = invstd;
    if (running_mean) {
        running_mean[c] += momentum * (mean - running_mean[c]);
        running_var[c] += momentum * (squares / (count - 1.0f) - running_var[c]);
    }
    set_coefficient(workspace, 0, width, channels, c, mean);
    set_coefficient(workspace, 1, width, channels, c, scale ? scale[c] * invstd : invstd);
    set_coefficient(workspace, 2, width, channels, c, bias ? bias[c] : 0.0f);
}

/* spread: the variance, or, with is_invstd, 1 / sqrt(variance + eps). */
kernel void batch_norm_coefficients(global const float *mean, global const float *spread,
                                    global const float *scale, global const float *bias,
                                    global float *workspace, int channels, int width,
                                    int is_invstd, float eps) {
    int c = get_global_id(0);
    if (c >= channels) return;
    float a = is_invstd ? spread[c] : 1.0f / sqrt(spread[c] + eps);
    set_coefficient(workspace, 0, width, channels, c, mean[c]);
    set_coefficient(workspace, 1, width, channels, c, scale ? scale[c] * a : a);
    set_coefficient(workspace, 2, width, channels, c, bias ? bias[c] : 0.0f);
}

/* ---- forward */

/* residual: null or of x's shape. y may be x or residual. Blocks are taken from the last one on: what the statistics read last
   is still in the caches. */
kernel void batch_norm_fwd(global const float *x, global const float *residual,
                           global const float *workspace, global float *y, int channels,
                           int elements, int width, int wide_rows, int rows, int blocks,
                           ulong by_groups, float alpha) {
    struct cut cut = {channels, elements, width, wide_rows, rows, blocks, by_groups};
    int items = blocks * (width / (VEC * WIDE)), id = get_global_id(0);
    if (id >= items) return;
    struct part part = part_number(items - 1 - id, cut);
    floatv mean[WIDE], a[WIDE], b[WIDE];
    for (int i = 0; i < WIDE; i++) {
        mean[i] = VLOAD(workspace + part.t + i * VEC);
        a[i] = VLOAD(workspace + width + part.t + i * VEC);
        b[i] = VLOAD(workspace + 2 * width + part.t + i * VEC);
    }
    for (int row = part.first; row < part.last; row++) {
        int at = row * width + part.t;
        for (int i = 0; i < WIDE; i++) {
            floatv z = FMA(VLOAD(x + at + i * VEC) - mean[i], a[i], b[i]);
            if (residual) z += VLOAD(residual + at + i * VEC);
            STORE(CONCAT(ACTIVATION, VEC)(z, alpha), y + at + i * VEC);
        }
    }
    for (int i = 0; part.has_tail && i < WIDE; i++) {
        int at = wide_rows * width;
        if (part.t + i * VEC >= elements - at) return;
        at += part.t + i * VEC;
        floatv z = FMA(load_until(x, at, elements) - mean[i], a[i], b[i]);
        if (residual) z += load_until(residual, at, elements);
        store_until(CONCAT(ACTIVATION, VEC)(z, alpha), y, at, elements);
    }
}

/* ---- backward */

/* g from dy and from what act' follows from: centred x, or y. */
#if RECOMPUTE
#define GRADIENT(dy, centred, y, a, b)                                                             \
    ((dy) * CONCAT(ACTIVATION_GRAD, VEC)(CONCAT(ACTIVATION, VEC)(FMA(centred, a, b), alpha), alpha))
#else
#define GRADIENT(dy, centred, y, a, b) ((dy) * CONCAT(ACTIVATION_GRAD, VEC)(y, alpha))
#endif

/* dresidual: null, or receives g; may be dy. y: null with RECOMPUTE. */
kernel void batch_norm_sums(global const float *x, global const float *y, global const float *dy,
                            global float *workspace, global float *dresidual, int channels,
                            int elements, int width, int wide_rows, int rows, int blocks, ulong by_groups, float alpha) {
    struct cut cut = {channels, elements, width, wide_rows, rows, blocks, by_groups};
    struct part part = part_number(get_global_id(0), cut);
    if (part.block >= blocks) return;
    floatv mean[WIDE], a[WIDE], b[WIDE], sum[WIDE], products[WIDE];
    for (int i = 0; i < WIDE; i++) {
        mean[i] = VLOAD(workspace + part.t + i * VEC);
        a[i] = VLOAD(workspace + width + part.t + i * VEC);
        b[i] = VLOAD(workspace + 2 * width + part.t + i * VEC);
        sum[i] = products[i] = (floatv)(0.0f);
    }
    for (int row = part.first; row < part.last; row++) {
        for (int i = 0; i < WIDE; i++) {
            int at = row * width + part.t + i * VEC;
            floatv centred = VLOAD(x + at) - mean[i];
            floatv g = GRADIENT(VLOAD(dy + at), centred, VLOAD(y + at), a[i], b[i]);
            sum[i] += g;
            products[i] = FMA(g, centred, products[i]);
            if (dresidual) STORE(g, dresidual + at);
        }
    }
    for (int i = 0; part.has_tail && i < WIDE; i++) {
        int at = wide_rows * width;
        if (part.t + i * VEC >= elements - at) break;
        at += part.t + i * VEC;
        floatv centred = load_until(x, at, elements) - mean[i];
        floatv g = GRADIENT(load_until(dy, at, elements), centred, load_until(y, at, elements), a[i],
                            b[i]);
        sum[i] += g;
        products[i] = FMA(g, centred, products[i]);
        if (dresidual) store_until(g, dresidual, at, elements);
    }
    global float *to = PARTIAL + 2 * part.block * width + part.t;
    for (int i = 0; i < WIDE; i++) {
        STORE(sum[i], to + i * VEC);
        STORE(products[i], to + width + i * VEC);
    }
}

/* dscale, dbias: null or C values. */
CHANNEL_GROUP
kernel void batch_norm_bwd_finish(global float *workspace, global const float *invstd,
                                  global float *dscale, global float *dbias, int channels,
                                  int elements, int width, int blocks) {
    LANES_AND_CHANNEL
    int c = min(own, channels - 1);
    global const float *partial = PARTIAL;
    float sum = 0.0f, products = 0.0f;
    for (int block = lane; block < blocks; block += LANES)
        for (int t = c; t < width; t += channels) {
            sum += partial[2 * block * width + t];
            products += partial[(2 * block + 1) * width + t];
        }
    sum = sum_lanes(sum, column, lane, scratch);
    products = sum_lanes(products, column, lane, scratch);
    if (lane != 0 || own >= channels) return;
    products *= invstd[c];
    if (dscale) dscale[c] = products;
    if (dbias) dbias[c] = sum;
    float a = workspace[width + c] / (elements / channels);
    set_coefficient(workspace, 3, width, channels, c, a * sum);
    set_coefficient(workspace, 4, width, channels, c, a * invstd[c] * products);
}

/* has_g: dy holds g already (dresidual). dx may be dy. Blocks from the last one on, as in batch_norm_fwd. */
kernel void batch_norm_bwd(global const float *x, global const float *y, global const float *dy,
                           global const float *workspace, global float *dx, int has_g,
                           int channels, int elements, int width, int wide_rows, int rows,
                           int blocks, ulong by_groups, float alpha) {
    struct cut cut = {channels, elements, width, wide_rows, rows, blocks, by_groups};
    int items = blocks * (width / (VEC * WIDE)), id = get_global_id(0);
    if (id >= items) return;
    struct part part = part_number(items - 1 - id, cut);
    floatv mean[WIDE], a[WIDE], b[WIDE], p[WIDE], q[WIDE];
    for (int i = 0; i < WIDE; i++) {
        mean[i] = VLOAD(workspace + part.t + i * VEC);
        a[i] = VLOAD(workspace + width + part.t + i * VEC);
        b[i] = VLOAD(workspace + 2 * width + part.t + i * VEC);
        p[i] = VLOAD(workspace + 3 * width + part.t + i * VEC);
        q[i] = VLOAD(workspace + 4 * width + part.t + i * VEC);
    }
    for (int row = part.first; row < part.last; row++) {
        for (int i = 0; i < WIDE; i++) {
            int at = row * width + part.t + i * VEC;
            floatv centred = VLOAD(x + at) - mean[i], g = VLOAD(dy + at);
            if (!has_g) g = GRADIENT(g, centred, VLOAD(y + at), a[i], b[i]);
            STORE(FMA(a[i], g, -FMA(q[i], centred, p[i])), dx + at);
        }
    }
    for (int i = 0; part.has_tail && i < WIDE; i++) {
        int at = wide_rows * width;
        if (part.t + i * VEC >= elements - at) return;
        at += part.t + i * VEC;
        floatv centred = load_until(x, at, elements) - mean[i], g = load_until(dy, at, elements);
        if (!has_g) g = GRADIENT(g, centred, load_until(y, at, elements), a[i], b[i]);
        store_until(FMA(a[i], g, -FMA(q[i], centred, p[i])), dx, at, elements);
    }
}
