#include "support/nd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cl_mem nd_buffer(tess_context *ctx, size_t bytes, const void *data) {
    cl_mem mem = NULL;
    size_t size = bytes < 4 ? 4 : bytes;
    assert_ok(ctx, context_buffer_create(ctx, size, &mem));
    ctx->counters.device_bytes -= size; /* clReleaseMemObject ends it */
    char *copy = check_alloc(size);
    memset(copy, 0xFF, size); /* a NaN, as floats */
    if (data) memcpy(copy, data, bytes);
    assert_int_equal(clEnqueueWriteBuffer(ctx->queue, mem, CL_TRUE, 0, size, copy, 0, NULL, NULL),
                     CL_SUCCESS);
    free(copy);
    return mem;
}

void nd_read_bytes(tess_context *ctx, cl_mem mem, size_t bytes, void *out) {
    if (bytes == 0) return;
    assert_int_equal(clEnqueueReadBuffer(ctx->queue, mem, CL_TRUE, 0, bytes, out, 0, NULL, NULL),
                     CL_SUCCESS);
}

float *nd_read(tess_context *ctx, cl_mem mem, size_t count) {
    float *data = check_alloc(count * sizeof *data);
    nd_read_bytes(ctx, mem, count * sizeof *data, data);
    return data;
}

float *nd_random(size_t count, float low, float high, uint64_t seed) {
    float *data = check_alloc(count * sizeof *data);
    check_random(data, count, low, high, seed);
    return data;
}

void nd_coordinates(const struct nd_shape *shape, size_t element, int64_t at[ND_MAX_RANK]) {
    for (int d = shape->rank - 1; d >= 0; d--) {
        at[d] = (int64_t)(element % (size_t)shape->dims[d]);
        element /= (size_t)shape->dims[d];
    }
}

size_t nd_element(const struct nd_shape *shape, const int64_t at[ND_MAX_RANK]) {
    size_t element = 0;
    for (int d = 0; d < shape->rank; d++)
        element = element * (size_t)shape->dims[d] + (size_t)at[d];
    return element;
}

size_t nd_broadcast_element(const struct nd_shape *shape, const struct nd_shape *y,
                            size_t element) {
    int64_t of_y[ND_MAX_RANK], at[ND_MAX_RANK];
    nd_coordinates(y, element, of_y);
    int missing = y->rank - shape->rank;
    for (int d = 0; d < shape->rank; d++)
        at[d] = shape->dims[d] == 1 ? 0 : of_y[missing + d];
    return nd_element(shape, at);
}

const char *nd_print(const struct nd_shape *shape, char text[96]) {
    int used = snprintf(text, 96, shape->rank ? "" : "scalar");
    for (int d = 0; d < shape->rank; d++)
        used += snprintf(text + used, 96 - (size_t)used, d ? "x%lld" : "%lld",
                         (long long)shape->dims[d]);
    return text;
}
