/* Squared error of x against a target, both of count floats, and its gradient.

     mse_blocks   partial[b] = sum of (x[i] - target[i])^2 over block b;  dx[i] = slope (x[i] - target[i])
     mse_sum      result = sum of partial

   Elements from counted on are padding: no error, dx = 0.

        | GROUP vectors of VEC | GROUP vectors | ... STEPS times        a block of GROUP work-items
        | lane 0 | lane 1 | .. | lane 0 | ...                           each with one partial sum

   The order of the additions depends on the number of elements and the parameters alone.

     VEC     see vector.clh
     STEPS   vectors of a work-item
     GROUP   work-items side by side: 1 on CPUs, more on GPUs
     LANES   work-items of mse_sum, a power of two */
#include "common.clh"
#include "vector.clh"

#ifndef STEPS
#define STEPS 16
#endif
#ifndef GROUP
#define GROUP 1
#endif
#ifndef LANES
#define LANES 16
#endif
#if (LANES & (LANES - 1)) != 0
#error LANES must be a power of two
#endif

/* dx: may be null, or x or target. items: partial sums. */
kernel void mse_blocks(global const float *x, global const float *target, global float *dx,
                       global float *partial, int items, int count, int counted, float slope) {
    int id = get_global_id(0);
    if (id >= items) return;
    uint first = (id / GROUP * (GROUP * STEPS) + id % GROUP) * VEC;
    floatv sum = (floatv)(0.0f);
    for (int step = 0; step < STEPS; step++) {
        uint at = first + step * (GROUP * VEC); /* may be beyond the largest int */
        if (at >= count) break;
        floatv d = (floatv)(0.0f);
        if (at < counted) d = load_until(x, at, counted) - load_until(target, at, counted);
        sum = FMA(d, d, sum);
        if (dx) store_until(slope * d, dx, at, count);
    }
    float part[VEC], total = 0.0f;
    VSTORE(sum, part);
    for (int i = 0; i < VEC; i++)
        total += part[i];
    partial[id] = total;
}

/* One work-group. */
kernel void mse_sum(global const float *partial, int items, global float *result) {
    local float share[LANES];
    int lane = get_local_id(0);
    float sum = 0.0f;
    for (int i = lane; i < items; i += LANES)
        sum += partial[i];
    share[lane] = sum;
    for (int step = LANES / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < step) share[lane] += share[lane + step];
    }
    if (lane == 0) *result = share[0];
}
