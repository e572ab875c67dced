/* Dropout: y[i] = word(i) <= last ? x[i] * scale : 0, where word(i) is word i mod 4 of the Philox block i / 4.

     x       | 0 1 2 3 | 4 5 6 7 | 8 9 10 11 | 12 13 14 15 | 16 ...
     block   | 0       | 1       | 2         | 3           | 4        one work-item: four blocks, 16 elements

   last = (1 - rate) 2^32 - 1 is an integer, so the mask does not depend on a device's arithmetic; scale = 1 / (1 -
   rate). The gradient is the same kernel on dy. No tuning parameters. */
#include "common.clh"
#include "philox.clh"

kernel void dropout_fwd(global const float *x, global float *y, int count, uint last, float scale,
                        ulong seed, ulong stream) {
    uint first = get_global_id(0) * 16;
    if (first >= count) return;
    struct philox_blocks b = {first / 4 + (uint4)(0, 1, 2, 3), 0, (uint)stream,
                              (uint)(stream >> 32)};
    b = philox4x32(b, (uint2)((uint)seed, (uint)(seed >> 32)));
    uint16 words = (uint16)(b.c0.x, b.c1.x, b.c2.x, b.c3.x, b.c0.y, b.c1.y, b.c2.y, b.c3.y,
                            b.c0.z, b.c1.z, b.c2.z, b.c3.z, b.c0.w, b.c1.w, b.c2.w, b.c3.w);
    if (count - first >= 16) {
        float16 kept = vload16(0, x + first) * scale;
        vstore16(words <= last ? kept : (float16)(0.0f), 0, y + first);
        return;
    }
    uint word[16];
    vstore16(words, 0, word);
    for (uint i = first; i < count; i++)
        y[i] = word[i - first] <= last ? x[i] * scale : 0.0f;
}
