/* Divisors for kernels_cl/fastdiv.clh. */
#ifndef TESSERA_OPS_FASTDIV_H
#define TESSERA_OPS_FASTDIV_H

#include <stdint.h>

/* For 1 <= d < 2^31: n / d == (2 n m >> 32) >> l for all n < 2^31, with l = ceil(log2 d) and m = ceil(2^(31+l)
   / d), because m d - 2^(31+l) < d <= 2^l. Returns m in the low and l in the high 32 bits. */
static inline uint64_t fastdiv(int d) {
    uint64_t l = 0, divisor = (uint64_t)d;
    while (((uint64_t)1 << l) < divisor)
        l++;
    uint64_t m = (((uint64_t)1 << (31 + l)) + divisor - 1) / divisor;
    return m | l << 32;
}

#endif
