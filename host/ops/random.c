#include "ops/random.h"

#include <string.h>

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t random_word(struct random_stream *random) {
    uint64_t counter = random->drawn / 4;
    const uint64_t block[3] = {random->seed, random->stream, counter};
    if (!random->has_block || memcmp(block, random->block, sizeof block) != 0) {
        const uint32_t words[4] = {(uint32_t)counter, (uint32_t)(counter >> 32),
                                   (uint32_t)random->stream, (uint32_t)(random->stream >> 32)};
        const uint32_t key[2] = {(uint32_t)random->seed, (uint32_t)(random->seed >> 32)};
        philox4x32(words, key, random->words);
        memcpy(random->block, block, sizeof block);
        random->has_block = true;
    }
    return random->words[random->drawn++ % 4];
}

float random_uniform(struct random_stream *random) {
    return (float)(random_word(random) >> 8) * 0x1p-24f;
}

uint32_t random_below(struct random_stream *random, uint32_t bound) {
    uint64_t product = (uint64_t)random_word(random) * bound;
    if ((uint32_t)product < bound) {
        uint32_t reject = (0u - bound) % bound;
        while ((uint32_t)product < reject)
            product = (uint64_t)random_word(random) * bound;
    }
    return (uint32_t)(product >> 32);
}
