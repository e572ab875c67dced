/* roof_local: how fast a work-group reads its local memory.

   A tile of 16 KiB is filled once; then every work-item reads READS vectors a step from it, neighbours beside each other, and adds them up,
   so that nothing is optimised away. The place moves with each step.

   parameter  meaning               unit      legal
   V          width of a vector     floats    4 8 16    */

#ifndef V
#define V 4
#endif
#if V == 4
typedef float4 vector;
#elif V == 8
typedef float8 vector;
#elif V == 16
typedef float16 vector;
#else
#error "roof_local: V is 4, 8 or 16"
#endif
#define TILE (4096 / V)
#define READS 8

__kernel void roof_local(__global vector *out, __local vector *tile, int steps) {
    const int lane = (int)get_local_id(0), lanes = (int)get_local_size(0);
    for (int i = lane; i < TILE; i += lanes) tile[i] = (vector)((float)i);
    barrier(CLK_LOCAL_MEM_FENCE);
    vector sum[READS];
#pragma unroll
    for (int j = 0; j < READS; j++) sum[j] = (vector)(0.0f);
    int at = lane;
    for (int step = 0; step < steps; step++) {
#pragma unroll
        for (int j = 0; j < READS; j++) sum[j] += tile[(at + j * lanes) & (TILE - 1)];
        at += READS * lanes;
    }
    vector all = sum[0];
#pragma unroll
    for (int j = 1; j < READS; j++) all += sum[j];
    out[get_global_id(0)] = all;
}
