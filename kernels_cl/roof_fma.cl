/* roof_fma: the device's fused multiply-add peak, for benchmarks to compare with.

   Each work-item keeps CHAINS independent vectors of LANES floats in registers and multiplies and adds them steps times:
   2 CHAINS LANES steps floating-point operations. The sum goes to out, so that nothing is optimised away.

   parameter  meaning                        unit      legal
   LANES      width of a vector              floats    1 4 8 16
   CHAINS     independent accumulators       vectors   1 ..     latency times multiply-adds a cycle, at least  */

#include "common.clh"

#ifndef LANES
#define LANES 4
#endif
#ifndef CHAINS
#define CHAINS 12
#endif
#if LANES == 1
typedef float vector;
#elif LANES == 4
typedef float4 vector;
#elif LANES == 8
typedef float8 vector;
#elif LANES == 16
typedef float16 vector;
#else
#error "roof_fma: LANES is 1, 4, 8 or 16"
#endif

__kernel void roof_fma(__global vector *out, float scale, float shift, int steps) {
    vector chain[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; i++) chain[i] = (vector)((float)i);
    for (int step = 0; step < steps; step++)
#pragma unroll
        for (int i = 0; i < CHAINS; i++)
            chain[i] = FMA(chain[i], (vector)(scale), (vector)(shift));
    vector sum = chain[0];
#pragma unroll
    for (int i = 1; i < CHAINS; i++) sum += chain[i];
    out[get_global_id(0)] = sum;
}
