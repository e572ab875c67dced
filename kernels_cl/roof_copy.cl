/* roof_copy: to[i] = from[i], as fast as the memory allows: what bandwidth-bound kernels are compared with.
   roof_triad: to[i] = from[i] + scale * more[i], as STREAM has it (McCalpin 1995).

   RUN   vectors of 16 floats a work-item writes, one after the other   CPUs: 64, GPUs: 1 (neighbours coalesce) */

#ifndef RUN
#define RUN 1
#endif

__kernel void roof_copy(__global const float16 *restrict from, __global float16 *restrict to) {
    const size_t at = get_global_id(0) * RUN;
    for (int i = 0; i < RUN; i++) to[at + i] = from[at + i];
}

__kernel void roof_triad(__global const float16 *restrict from, __global const float16 *restrict more,
                         __global float16 *restrict to, float scale) {
    const size_t at = get_global_id(0) * RUN;
    for (int i = 0; i < RUN; i++) to[at + i] = from[at + i] + scale * more[at + i];
}
