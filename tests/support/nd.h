/* What the tests of the N-dimensional operators share: plain buffers, shapes, indices. */
#ifndef TESSERA_TESTS_ND_H
#define TESSERA_TESTS_ND_H

#include "ops/nd/nd.h"
#include "support/check.h"

#define ND_COUNT(...) ((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define ND_SHAPE(...) ((struct nd_shape){.rank = ND_COUNT(__VA_ARGS__), .dims = {__VA_ARGS__}})
#define ND_SCALAR     ((struct nd_shape){.rank = 0})

/* A buffer of bytes (at least 4) with data, or, with data NULL, full of NaN. */
cl_mem nd_buffer(tess_context *ctx, size_t bytes, const void *data);

/* The first count floats of mem; free() them. */
float *nd_read(tess_context *ctx, cl_mem mem, size_t count);
void nd_read_bytes(tess_context *ctx, cl_mem mem, size_t bytes, void *out);

/* count floats, uniform in [low, high); free() them. */
float *nd_random(size_t count, float low, float high, uint64_t seed);

/* Coordinates of the element-th element in row-major order, and back. */
void nd_coordinates(const struct nd_shape *shape, size_t element, int64_t at[ND_MAX_RANK]);
size_t nd_element(const struct nd_shape *shape, const int64_t at[ND_MAX_RANK]);

/* Where an operand of shape that is broadcast to y has y's element. */
size_t nd_broadcast_element(const struct nd_shape *shape, const struct nd_shape *y, size_t element);

/* "2x3x4", for messages. */
const char *nd_print(const struct nd_shape *shape, char text[96]);

#endif
