/* Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy
   as 1, 2, 3; SC 2011). The same as kernels_cl/philox.clh, bit for bit. A number is a function of key and
   counter alone: no state, any order, the same on every machine. */
#ifndef TESSERA_OPS_RANDOM_H
#define TESSERA_OPS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Four random words for a counter and a key. out may be counter. */
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A sequence: the blocks with counters (0, 1, 2, ...; stream) under the key seed, word by word. Different
   streams of a seed never share a block. Start: {.seed = s, .stream = t}. */
struct random_stream {
    uint64_t seed, stream;
    uint64_t drawn; /* words so far; may be set, to go anywhere in the sequence */
    /* The block that the last word came from, and what it is of; has_block false: none yet. */
    bool has_block;
    uint64_t block[3]; /* seed, stream, counter */
    uint32_t words[4];
};

uint32_t random_word(struct random_stream *random);

/* Uniform in [0, 1), a multiple of 2^-24. Draws one word. */
float random_uniform(struct random_stream *random);

/* Standard normal, by Box-Muller in double: Box and Muller 1958. Draws two words. */
double random_normal(struct random_stream *random);

/* out[i] = scale times the next random_normal, for i in 0 .. count - 1: the same numbers, several times faster;
   of many, half by a second thread. */
void random_normals(struct random_stream *random, double scale, float *out, size_t count);

/* Uniform in 0 .. bound - 1, without bias (Lemire 2019). bound >= 1. Draws a word, rarely more. */
uint32_t random_below(struct random_stream *random, uint32_t bound);

#endif
