/* Dropout: y[i] = word(i) <= last ? x[i] * scale : 0, where word(i) is word i mod 4 of the Philox block i / 4.

     x   | 0 1 2 3 | 4 5 6 7 | 8 9 ...     one work-item, one block of random words, four elements

   last = (1 - rate) 2^32 - 1 is an integer, so the mask does not depend on a device's arithmetic; scale = 1 / (1 -
   rate). The gradient is the same kernel on dy. No tuning parameters. */
#include "common.clh"
#include "philox.clh"

kernel void dropout_fwd(global const float *x, global float *y, int count, uint last, float scale,
                        ulong seed, ulong stream) {
    uint block = get_global_id(0);
    if (block >= count / 4 + (count % 4 != 0)) return;
    uint4 counter = (uint4)(block, 0, (uint)stream, (uint)(stream >> 32));
    uint4 word = philox4x32(counter, (uint2)((uint)seed, (uint)(seed >> 32)));
    if (block < count / 4) {
        vstore4(word <= last ? vload4(block, x) * scale : (float4)(0.0f), block, y);
        return;
    }
    uint words[4];
    vstore4(word, 0, words);
    for (int i = block * 4; i < count; i++)
        y[i] = words[i % 4] <= last ? x[i] * scale : 0.0f;
}
